//! ReadShareGroupState (key 84), version 0: the state of share partitions, for their new leader. Between
//! brokers.

use crate::error_code::ErrorCode;
use crate::types::TopicId;

message! {
    /// Asks for states.
    pub struct ReadShareGroupStateRequest [0..=0, flexible 0..] {
        /// The share group.
        group_id: String [0..],
        /// The topics.
        topics: Vec<ReadStateData> [0..],
    }

    /// The partitions of one topic.
    pub struct ReadStateData {
        /// The topic's id.
        topic_id: TopicId [0..],
        /// The partitions.
        partitions: Vec<PartitionData> [0..],
    }

    /// One partition.
    pub struct PartitionData {
        /// The partition's number.
        partition: i32 [0..],
        /// The epoch of the partition's leader.
        leader_epoch: i32 [0..],
    }

    /// The results.
    pub struct ReadShareGroupStateResponse [0..=0, flexible 0..] {
        /// The results by topic.
        results: Vec<ReadStateResult> [0..],
    }

    /// The results of one topic.
    pub struct ReadStateResult {
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
        /// The state's epoch.
        state_epoch: i32 [0..],
        /// The share-partition start offset, or -1.
        start_offset: i64 [0..],
        /// The records from the start offset on that are not merely available.
        state_batches: Vec<StateBatch> [0..],
    }

    /// A range of records in one state.
    pub struct StateBatch {
        /// The first offset.
        first_offset: i64 [0..],
        /// The last offset, included.
        last_offset: i64 [0..],
        /// 0 available, 2 acknowledged, 4 archived.
        delivery_state: i8 [0..],
        /// How often the records have been delivered.
        delivery_count: i16 [0..],
    }
}
