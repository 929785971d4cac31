//! OffsetDelete (key 47), version 0: forgets committed offsets of topics to which the group is not subscribed.

use crate::codec::NEVER;
use crate::error_code::ErrorCode;

message! {
    /// Asks to forget offsets.
    pub struct OffsetDeleteRequest [0..=0, flexible NEVER..] {
        /// The group.
        group_id: String [0..],
        /// The topics.
        topics: Vec<OffsetDeleteRequestTopic> [0..],
    }

    /// The partitions of one topic.
    pub struct OffsetDeleteRequestTopic {
        /// The topic's name.
        name: String [0..],
        /// The partitions.
        partitions: Vec<OffsetDeleteRequestPartition> [0..],
    }

    /// One partition.
    pub struct OffsetDeleteRequestPartition {
        /// The partition's number.
        partition_index: i32 [0..],
    }

    /// What became of the offsets.
    pub struct OffsetDeleteResponse [0..=0, flexible NEVER..] {
        /// An error of the group.
        error_code: ErrorCode [0..],
        /// How long the client should wait before it sends again, in milliseconds.
        throttle_time_ms: i32 [0..],
        /// The topics.
        topics: Vec<OffsetDeleteResponseTopic> [0..],
    }

    /// The results of one topic.
    pub struct OffsetDeleteResponseTopic {
        /// The topic's name.
        name: String [0..],
        /// The partitions.
        partitions: Vec<OffsetDeleteResponsePartition> [0..],
    }

    /// The result of one partition.
    pub struct OffsetDeleteResponsePartition {
        /// The partition's number.
        partition_index: i32 [0..],
        /// An error of this partition.
        error_code: ErrorCode [0..],
    }
}
