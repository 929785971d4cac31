//! DescribeTopicPartitions (key 75), version 0: topics with their partitions, page by page.

use super::common::OPERATIONS_UNKNOWN;
use crate::error_code::ErrorCode;
use crate::types::TopicId;

message! {
    /// Asks about topics.
    pub struct DescribeTopicPartitionsRequest [0..=0, flexible 0..] {
        /// The topics asked about; none asks for all.
        topics: Vec<TopicRequest> [0..],
        /// Most partitions in one response.
        response_partition_limit: i32 [0..] = 2_000,
        /// Where to go on, as the last response said.
        cursor: Option<Cursor> [0..],
    }

    /// A topic asked about.
    pub struct TopicRequest {
        /// The topic's name.
        name: String [0..],
    }

    /// The first partition of the next page.
    pub struct Cursor {
        /// The topic's name.
        topic_name: String [0..],
        /// The partition's number.
        partition_index: i32 [0..],
    }

    /// One page of topics.
    pub struct DescribeTopicPartitionsResponse [0..=0, flexible 0..] {
        /// How long the client should wait before it sends again, in milliseconds.
        throttle_time_ms: i32 [0..],
        /// The topics of this page.
        topics: Vec<DescribeTopicPartitionsResponseTopic> [0..],
        /// Where the next page begins; null on the last.
        next_cursor: Option<Cursor> [0..],
    }

    /// One topic.
    pub struct DescribeTopicPartitionsResponseTopic {
        /// An error of this topic.
        error_code: ErrorCode [0..],
        /// The topic's name.
        name: Option<String> [0..],
        /// The topic's id.
        topic_id: TopicId [0..],
        /// Whether the topic belongs to the broker itself.
        is_internal: bool [0..],
        /// The partitions of this page.
        partitions: Vec<DescribeTopicPartitionsResponsePartition> [0..],
        /// The operations the client may do on the topic, as a bit field.
        topic_authorized_operations: i32 [0..] = OPERATIONS_UNKNOWN,
    }

    /// One partition.
    pub struct DescribeTopicPartitionsResponsePartition {
        /// An error of this partition.
        error_code: ErrorCode [0..],
        /// The partition's number.
        partition_index: i32 [0..],
        /// The leader's node id, or -1 if there is none.
        leader_id: i32 [0..],
        /// The leader's epoch.
        leader_epoch: i32 [0..] = -1,
        /// All nodes that hold a replica.
        replica_nodes: Vec<i32> [0..],
        /// The nodes whose replica is in sync.
        isr_nodes: Vec<i32> [0..],
        /// Nodes that could lead although they are out of sync.
        eligible_leader_replicas: Option<Vec<i32>> [0..],
        /// The last known such nodes.
        last_known_elr: Option<Vec<i32>> [0..],
        /// The nodes whose replica is offline.
        offline_replicas: Vec<i32> [0..],
    }
}

nullable_struct!(Cursor);
