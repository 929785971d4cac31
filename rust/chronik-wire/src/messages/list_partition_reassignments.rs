//! ListPartitionReassignments (key 46), version 0: the partitions that are being moved.

use crate::error_code::ErrorCode;

message! {
    /// Asks about reassignments.
    pub struct ListPartitionReassignmentsRequest [0..=0, flexible 0..] {
        /// How long to wait for the outcome, in milliseconds.
        timeout_ms: i32 [0..] = 60_000,
        /// The topics; null asks for all.
        topics: Option<Vec<ListPartitionReassignmentsTopics>> [0..],
    }

    /// The partitions of one topic.
    pub struct ListPartitionReassignmentsTopics {
        /// The topic's name.
        name: String [0..],
        /// The partitions' numbers.
        partition_indexes: Vec<i32> [0..],
    }

    /// The reassignments under way.
    pub struct ListPartitionReassignmentsResponse [0..=0, flexible 0..] {
        /// How long the client should wait before it sends again, in milliseconds.
        throttle_time_ms: i32 [0..],
        /// An error, or 0.
        error_code: ErrorCode [0..],
        /// The error in words.
        error_message: Option<String> [0..],
        /// The topics.
        topics: Vec<OngoingTopicReassignment> [0..],
    }

    /// The reassignments of one topic.
    pub struct OngoingTopicReassignment {
        /// The topic's name.
        name: String [0..],
        /// The partitions.
        partitions: Vec<OngoingPartitionReassignment> [0..],
    }

    /// The reassignment of one partition.
    pub struct OngoingPartitionReassignment {
        /// The partition's number.
        partition_index: i32 [0..],
        /// All nodes that hold a replica.
        replicas: Vec<i32> [0..],
        /// The nodes that are being added.
        adding_replicas: Vec<i32> [0..],
        /// The nodes that are being removed.
        removing_replicas: Vec<i32> [0..],
    }
}
