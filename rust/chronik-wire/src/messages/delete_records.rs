//! DeleteRecords (key 21), versions 0-2: moves the start of logs. Versions: 2 flexible.

use crate::error_code::ErrorCode;

message! {
    /// Asks to delete records.
    pub struct DeleteRecordsRequest [0..=2, flexible 2..] {
        /// The topics.
        topics: Vec<DeleteRecordsTopic> [0..],
        /// How long to wait for the outcome, in milliseconds.
        timeout_ms: i32 [0..],
    }

    /// The partitions of one topic.
    pub struct DeleteRecordsTopic {
        /// The topic's name.
        name: String [0..],
        /// The partitions.
        partitions: Vec<DeleteRecordsPartition> [0..],
    }

    /// One partition.
    pub struct DeleteRecordsPartition {
        /// The partition's number.
        partition_index: i32 [0..],
        /// The first offset to keep; -1 for the high watermark.
        offset: i64 [0..],
    }

    /// What became of the partitions.
    pub struct DeleteRecordsResponse [0..=2, flexible 2..] {
        /// How long the client should wait before it sends again, in milliseconds.
        throttle_time_ms: i32 [0..],
        /// The topics.
        topics: Vec<DeleteRecordsTopicResult> [0..],
    }

    /// The results of one topic.
    pub struct DeleteRecordsTopicResult {
        /// The topic's name.
        name: String [0..],
        /// The partitions.
        partitions: Vec<DeleteRecordsPartitionResult> [0..],
    }

    /// The result of one partition.
    pub struct DeleteRecordsPartitionResult {
        /// The partition's number.
        partition_index: i32 [0..],
        /// The first offset of the log now; -1 beside an error.
        low_watermark: i64 [0..],
        /// An error of this partition.
        error_code: ErrorCode [0..],
    }
}
