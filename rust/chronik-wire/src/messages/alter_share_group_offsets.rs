//! AlterShareGroupOffsets (key 91), version 0: moves the start offsets of an empty share group.

use crate::error_code::ErrorCode;
use crate::types::TopicId;

message! {
    /// Asks to move start offsets.
    pub struct AlterShareGroupOffsetsRequest [0..=0, flexible 0..] {
        /// The group.
        group_id: String [0..],
        /// The topics.
        topics: Vec<AlterShareGroupOffsetsRequestTopic> [0..],
    }

    /// The partitions of one topic.
    pub struct AlterShareGroupOffsetsRequestTopic {
        /// The topic's name.
        topic_name: String [0..],
        /// The partitions.
        partitions: Vec<AlterShareGroupOffsetsRequestPartition> [0..],
    }

    /// One partition.
    pub struct AlterShareGroupOffsetsRequestPartition {
        /// The partition's number.
        partition_index: i32 [0..],
        /// The start offset it shall have.
        start_offset: i64 [0..],
    }

    /// The results.
    pub struct AlterShareGroupOffsetsResponse [0..=0, flexible 0..] {
        /// How long the client should wait before it sends again, in milliseconds.
        throttle_time_ms: i32 [0..],
        /// An error of the whole request.
        error_code: ErrorCode [0..],
        /// The error in words.
        error_message: Option<String> [0..],
        /// The results by topic.
        responses: Vec<AlterShareGroupOffsetsResponseTopic> [0..],
    }

    /// The results of one topic.
    pub struct AlterShareGroupOffsetsResponseTopic {
        /// The topic's name.
        topic_name: String [0..],
        /// The topic's id.
        topic_id: TopicId [0..],
        /// The results by partition.
        partitions: Vec<AlterShareGroupOffsetsResponsePartition> [0..],
    }

    /// The result of one partition.
    pub struct AlterShareGroupOffsetsResponsePartition {
        /// The partition's number.
        partition_index: i32 [0..],
        /// An error of this partition.
        error_code: ErrorCode [0..],
        /// The error in words.
        error_message: Option<String> [0..],
    }
}
