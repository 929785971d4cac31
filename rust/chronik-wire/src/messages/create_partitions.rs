//! CreatePartitions (key 37), versions 0-3: raises the number of partitions of topics. Versions: 2 flexible · 3 quota
//! errors.

use crate::error_code::ErrorCode;

message! {
    /// Asks for more partitions.
    pub struct CreatePartitionsRequest [0..=3, flexible 2..] {
        /// The topics to grow.
        topics: Vec<CreatePartitionsTopic> [0..],
        /// How long to wait for the outcome, in milliseconds.
        timeout_ms: i32 [0..],
        /// Whether only to check the request.
        validate_only: bool [0..],
    }

    /// The partitions wanted of one topic.
    pub struct CreatePartitionsTopic {
        /// The topic's name.
        name: String [0..],
        /// The number of partitions the topic shall have.
        count: i32 [0..],
        /// Replicas of the new partitions chosen by hand, or null.
        assignments: Option<Vec<CreatePartitionsAssignment>> [0..],
    }

    /// The replicas of one new partition.
    pub struct CreatePartitionsAssignment {
        /// The nodes to hold its replicas.
        broker_ids: Vec<i32> [0..],
    }

    /// What became of each topic.
    pub struct CreatePartitionsResponse [0..=3, flexible 2..] {
        /// How long the client should wait before it sends again, in milliseconds.
        throttle_time_ms: i32 [0..],
        /// One result per topic.
        results: Vec<CreatePartitionsTopicResult> [0..],
    }

    /// What became of one topic.
    pub struct CreatePartitionsTopicResult {
        /// The topic's name.
        name: String [0..],
        /// An error of this topic.
        error_code: ErrorCode [0..],
        /// The error in words.
        error_message: Option<String> [0..],
    }
}
