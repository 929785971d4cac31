//! OffsetForLeaderEpoch (key 23), versions 2-4: where an epoch ended (KIP-320). Versions: 3 replica id · 4 flexible.

use crate::error_code::ErrorCode;

message! {
    /// Asks where epochs ended.
    pub struct OffsetForLeaderEpochRequest [2..=4, flexible 4..] {
        /// The node id of a replica, -1 for a consumer, -2 for a debugging one.
        replica_id: i32 [3..] = -2,
        /// What to look up.
        topics: Vec<OffsetForLeaderTopic> [2..],
    }

    /// The partitions of one topic.
    pub struct OffsetForLeaderTopic {
        /// The topic's name.
        topic: String [2..],
        /// The partitions.
        partitions: Vec<OffsetForLeaderPartition> [2..],
    }

    /// One partition to look up.
    pub struct OffsetForLeaderPartition {
        /// The partition's number.
        partition: i32 [2..],
        /// The leader epoch the client knows, or -1.
        current_leader_epoch: i32 [2..] = -1,
        /// The epoch whose end is wanted.
        leader_epoch: i32 [2..],
    }

    /// Where epochs ended.
    pub struct OffsetForLeaderEpochResponse [2..=4, flexible 4..] {
        /// How long the client should wait before it sends again, in milliseconds.
        throttle_time_ms: i32 [2..],
        /// The results by topic.
        topics: Vec<OffsetForLeaderTopicResult> [2..],
    }

    /// The results of one topic.
    pub struct OffsetForLeaderTopicResult {
        /// The topic's name.
        topic: String [2..],
        /// The results by partition.
        partitions: Vec<EpochEndOffset> [2..],
    }

    /// The result of one partition.
    pub struct EpochEndOffset {
        /// An error of this partition.
        error_code: ErrorCode [2..],
        /// The partition's number.
        partition: i32 [2..],
        /// The largest epoch not above the one asked for, or -1.
        leader_epoch: i32 [2..] = -1,
        /// Its end offset, or -1.
        end_offset: i64 [2..] = -1,
    }
}
