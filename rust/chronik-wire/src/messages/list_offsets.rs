//! ListOffsets (key 2), versions 1-11. Versions: 2 isolation · 4 leader epochs · 6 flexible · 7 timestamp -3 · 8 -4 ·
//! 9 -5 · 10 timeout · 11 -6.

use crate::error_code::ErrorCode;

/// Timestamp that asks for the end of the partition.
pub const LATEST_TIMESTAMP: i64 = -1;
/// Timestamp that asks for the first offset.
pub const EARLIEST_TIMESTAMP: i64 = -2;
/// Timestamp that asks for the record with the largest timestamp.
pub const MAX_TIMESTAMP: i64 = -3;
/// Timestamp that asks for the first offset in local storage.
pub const EARLIEST_LOCAL_TIMESTAMP: i64 = -4;
/// Timestamp that asks for the last offset in tiered storage.
pub const LATEST_TIERED_TIMESTAMP: i64 = -5;
/// Timestamp that asks for the first offset not yet in tiered storage.
pub const EARLIEST_PENDING_UPLOAD_TIMESTAMP: i64 = -6;

message! {
    /// Asks for offsets by timestamp.
    pub struct ListOffsetsRequest [1..=11, flexible 6..] {
        /// The node id of a replica, or -1 for a client.
        replica_id: i32 [1..] = -1,
        /// 0 reads uncommitted, 1 only committed transactions.
        isolation_level: i8 [2..],
        /// What to look up.
        topics: Vec<ListOffsetsTopic> [1..],
        /// How long to wait for tiered storage, in milliseconds.
        timeout_ms: i32 [10..],
    }

    /// The partitions of one topic.
    pub struct ListOffsetsTopic {
        /// The topic's name.
        name: String [1..],
        /// The partitions.
        partitions: Vec<ListOffsetsPartition> [1..],
    }

    /// One partition to look up.
    pub struct ListOffsetsPartition {
        /// The partition's number.
        partition_index: i32 [1..],
        /// The leader epoch the client knows, or -1.
        current_leader_epoch: i32 [4..] = -1,
        /// The timestamp in milliseconds, or one of the negative constants.
        timestamp: i64 [1..],
    }

    /// The offsets asked for.
    pub struct ListOffsetsResponse [1..=11, flexible 6..] {
        /// How long the client should wait before it sends again, in milliseconds.
        throttle_time_ms: i32 [2..],
        /// The results by topic.
        topics: Vec<ListOffsetsTopicResponse> [1..],
    }

    /// The results of one topic.
    pub struct ListOffsetsTopicResponse {
        /// The topic's name.
        name: String [1..],
        /// The results by partition.
        partitions: Vec<ListOffsetsPartitionResponse> [1..],
    }

    /// The result of one partition.
    pub struct ListOffsetsPartitionResponse {
        /// The partition's number.
        partition_index: i32 [1..],
        /// An error of this partition.
        error_code: ErrorCode [1..],
        /// The timestamp of the record found, or -1.
        timestamp: i64 [1..] = -1,
        /// The offset found, or -1.
        offset: i64 [1..] = -1,
        /// The leader epoch of the record found, or -1.
        leader_epoch: i32 [4..] = -1,
    }
}
