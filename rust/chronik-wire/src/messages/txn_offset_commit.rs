//! TxnOffsetCommit (key 28), versions 0-5: commits offsets of a group within a transaction. Versions: 2 leader epoch ·
//! 3 flexible, with the generation · 4 new errors · 5 the group is added to the transaction here (KIP-890).

use crate::error_code::ErrorCode;

message! {
    /// Asks to keep offsets once the transaction commits.
    pub struct TxnOffsetCommitRequest [0..=5, flexible 3..] {
        /// The transactional id.
        transactional_id: String [0..],
        /// The group.
        group_id: String [0..],
        /// The producer's id.
        producer_id: i64 [0..],
        /// The producer's epoch.
        producer_epoch: i16 [0..],
        /// The generation of the group, or -1.
        generation_id: i32 [3..] = -1,
        /// The member, or empty.
        member_id: String [3..],
        /// The name of a static member; null for a dynamic one.
        group_instance_id: Option<String> [3..],
        /// The topics.
        topics: Vec<TxnOffsetCommitRequestTopic> [0..],
    }

    /// The offsets of one topic.
    pub struct TxnOffsetCommitRequestTopic {
        /// The topic's name.
        name: String [0..],
        /// The partitions.
        partitions: Vec<TxnOffsetCommitRequestPartition> [0..],
    }

    /// The offset of one partition.
    pub struct TxnOffsetCommitRequestPartition {
        /// The partition's number.
        partition_index: i32 [0..],
        /// The offset of the next record to read.
        committed_offset: i64 [0..],
        /// The epoch of the last record read, or -1.
        committed_leader_epoch: i32 [2..] = -1,
        /// What the client wishes to keep beside the offset.
        committed_metadata: Option<String> [0..],
    }

    /// What became of the offsets.
    pub struct TxnOffsetCommitResponse [0..=5, flexible 3..] {
        /// How long the client should wait before it sends again, in milliseconds.
        throttle_time_ms: i32 [0..],
        /// The topics.
        topics: Vec<TxnOffsetCommitResponseTopic> [0..],
    }

    /// The results of one topic.
    pub struct TxnOffsetCommitResponseTopic {
        /// The topic's name.
        name: String [0..],
        /// The partitions.
        partitions: Vec<TxnOffsetCommitResponsePartition> [0..],
    }

    /// The result of one partition.
    pub struct TxnOffsetCommitResponsePartition {
        /// The partition's number.
        partition_index: i32 [0..],
        /// An error of this partition.
        error_code: ErrorCode [0..],
    }
}
