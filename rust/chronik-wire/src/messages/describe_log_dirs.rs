//! DescribeLogDirs (key 35), versions 1-5: where replicas are stored and how large they are. Versions: 2 flexible · 3
//! an error of the request · 4 the size of the directory · 5 cordoned directories.

use crate::error_code::ErrorCode;

message! {
    /// Asks about replicas.
    pub struct DescribeLogDirsRequest [1..=5, flexible 2..] {
        /// The topics; null asks for all.
        topics: Option<Vec<DescribableLogDirTopic>> [1..],
    }

    /// The partitions of one topic.
    pub struct DescribableLogDirTopic {
        /// The topic's name.
        topic: String [1..],
        /// The partitions' numbers.
        partitions: Vec<i32> [1..],
    }

    /// The directories.
    pub struct DescribeLogDirsResponse [1..=5, flexible 2..] {
        /// How long the client should wait before it sends again, in milliseconds.
        throttle_time_ms: i32 [1..],
        /// An error of the request.
        error_code: ErrorCode [3..],
        /// One result per directory.
        results: Vec<DescribeLogDirsResult> [1..],
    }

    /// One directory.
    pub struct DescribeLogDirsResult {
        /// An error of this directory.
        error_code: ErrorCode [1..],
        /// The directory's absolute path.
        log_dir: String [1..],
        /// The topics.
        topics: Vec<DescribeLogDirsTopic> [1..],
        /// The size of the volume, in bytes; -1 if unknown.
        total_bytes: i64 [4..] = -1,
        /// What is free of it, in bytes; -1 if unknown.
        usable_bytes: i64 [4..] = -1,
        /// Whether new replicas must not be placed here.
        is_cordoned: bool [5..],
    }

    /// The replicas of one topic.
    pub struct DescribeLogDirsTopic {
        /// The topic's name.
        name: String [1..],
        /// The partitions.
        partitions: Vec<DescribeLogDirsPartition> [1..],
    }

    /// One replica.
    pub struct DescribeLogDirsPartition {
        /// The partition's number.
        partition_index: i32 [1..],
        /// The size of the log, in bytes.
        partition_size: i64 [1..],
        /// How many offsets the replica is behind the high watermark.
        offset_lag: i64 [1..],
        /// Whether the replica is being moved here from another directory.
        is_future_key: bool [1..],
    }
}
