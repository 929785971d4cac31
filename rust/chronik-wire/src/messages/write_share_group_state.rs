//! WriteShareGroupState (key 85), versions 0-1: keeps the state of share partitions. Between brokers. Versions: 1 the
//! number of settled records (KIP-1226).

use super::read_share_group_state::StateBatch;
use crate::error_code::ErrorCode;
use crate::types::TopicId;

message! {
    /// Asks to keep states.
    pub struct WriteShareGroupStateRequest [0..=1, flexible 0..] {
        /// The share group.
        group_id: String [0..],
        /// The topics.
        topics: Vec<WriteStateData> [0..],
    }

    /// The partitions of one topic.
    pub struct WriteStateData {
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
        /// The epoch of the partition's leader.
        leader_epoch: i32 [0..],
        /// The share-partition start offset, or -1.
        start_offset: i64 [0..],
        /// How many records from the start offset on are settled, or -1.
        delivery_complete_count: i32 [1..] = -1,
        /// The records from the start offset on that are not merely available.
        state_batches: Vec<StateBatch> [0..],
    }

    /// The results.
    pub struct WriteShareGroupStateResponse [0..=1, flexible 0..] {
        /// The results by topic.
        results: Vec<WriteStateResult> [0..],
    }

    /// The results of one topic.
    pub struct WriteStateResult {
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
