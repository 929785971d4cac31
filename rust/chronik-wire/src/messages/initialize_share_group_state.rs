//! InitializeShareGroupState (key 83), version 0: begins the state of share partitions. Between brokers.

use crate::error_code::ErrorCode;
use crate::types::TopicId;

message! {
    /// Asks to begin states.
    pub struct InitializeShareGroupStateRequest [0..=0, flexible 0..] {
        /// The share group.
        group_id: String [0..],
        /// The topics.
        topics: Vec<InitializeStateData> [0..],
    }

    /// The partitions of one topic.
    pub struct InitializeStateData {
        /// The topic's id.
        topic_id: TopicId [0..],
        /// The partitions.
        partitions: Vec<PartitionData> [0..],
    }

    /// One partition.
    pub struct PartitionData {
        /// The partition's number.
        partition: i32 [0..],
        /// The state's epoch.
        state_epoch: i32 [0..],
        /// The share-partition start offset, or -1.
        start_offset: i64 [0..],
    }

    /// The results.
    pub struct InitializeShareGroupStateResponse [0..=0, flexible 0..] {
        /// The results by topic.
        results: Vec<InitializeStateResult> [0..],
    }

    /// The results of one topic.
    pub struct InitializeStateResult {
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
