//! DescribeShareGroupOffsets (key 90), versions 0-1: how far share groups have come. Versions: 1 the lag.

use crate::error_code::ErrorCode;
use crate::types::TopicId;

message! {
    /// Asks how far share groups have come.
    pub struct DescribeShareGroupOffsetsRequest [0..=1, flexible 0..] {
        /// The groups.
        groups: Vec<DescribeShareGroupOffsetsRequestGroup> [0..],
    }

    /// One group.
    pub struct DescribeShareGroupOffsetsRequestGroup {
        /// The group.
        group_id: String [0..],
        /// The topics asked about; null for all that the group has read.
        topics: Option<Vec<DescribeShareGroupOffsetsRequestTopic>> [0..],
    }

    /// Partitions of one topic.
    pub struct DescribeShareGroupOffsetsRequestTopic {
        /// The topic's name.
        topic_name: String [0..],
        /// The partitions' numbers.
        partitions: Vec<i32> [0..],
    }

    /// How far the groups have come.
    pub struct DescribeShareGroupOffsetsResponse [0..=1, flexible 0..] {
        /// How long the client should wait before it sends again, in milliseconds.
        throttle_time_ms: i32 [0..],
        /// The results by group.
        groups: Vec<DescribeShareGroupOffsetsResponseGroup> [0..],
    }

    /// The results of one group.
    pub struct DescribeShareGroupOffsetsResponseGroup {
        /// The group.
        group_id: String [0..],
        /// The results by topic.
        topics: Vec<DescribeShareGroupOffsetsResponseTopic> [0..],
        /// An error of this group.
        error_code: ErrorCode [0..],
        /// The error in words.
        error_message: Option<String> [0..],
    }

    /// The results of one topic.
    pub struct DescribeShareGroupOffsetsResponseTopic {
        /// The topic's name.
        topic_name: String [0..],
        /// The topic's id.
        topic_id: TopicId [0..],
        /// The results by partition.
        partitions: Vec<DescribeShareGroupOffsetsResponsePartition> [0..],
    }

    /// The result of one partition.
    pub struct DescribeShareGroupOffsetsResponsePartition {
        /// The partition's number.
        partition_index: i32 [0..],
        /// The share-partition start offset, or -1.
        start_offset: i64 [0..],
        /// The epoch of the partition's leader.
        leader_epoch: i32 [0..],
        /// How many records are left to deliver, or -1.
        lag: i64 [1..] = -1,
        /// An error of this partition.
        error_code: ErrorCode [0..],
        /// The error in words.
        error_message: Option<String> [0..],
    }
}
