//! DeleteShareGroupState (key 86), version 0: forgets the state of share partitions. Between brokers.

use crate::error_code::ErrorCode;
use crate::types::TopicId;

message! {
    /// Asks to forget states.
    pub struct DeleteShareGroupStateRequest [0..=0, flexible 0..] {
        /// The share group.
        group_id: String [0..],
        /// The topics.
        topics: Vec<DeleteStateData> [0..],
    }

    /// The partitions of one topic.
    pub struct DeleteStateData {
        /// The topic's id.
        topic_id: TopicId [0..],
        /// The partitions.
        partitions: Vec<PartitionData> [0..],
    }

    /// One partition.
    pub struct PartitionData {
        /// The partition's number.
        partition: i32 [0..],
    }

    /// The results.
    pub struct DeleteShareGroupStateResponse [0..=0, flexible 0..] {
        /// The results by topic.
        results: Vec<DeleteStateResult> [0..],
    }

    /// The results of one topic.
    pub struct DeleteStateResult {
        /// The topic's id.
        topic_id: TopicId [0..],
        /// The results by partition.
        partitions: Vec<PartitionResult> [0..],
    }

    /// The result of one partition.
    pub struct PartitionResult {
        /// The partition's number.
        partition: i32 [0..],
        /// An error of this partition.
        error_code: ErrorCode [0..],
        /// The error in words.
        error_message: Option<String> [0..],
    }
}
