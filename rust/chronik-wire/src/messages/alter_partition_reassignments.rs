//! AlterPartitionReassignments (key 45), versions 0-1: moves partitions to other nodes. Versions: 1 a number of
//! replicas that must stay.

use crate::error_code::ErrorCode;

message! {
    /// Asks to move partitions.
    pub struct AlterPartitionReassignmentsRequest [0..=1, flexible 0..] {
        /// How long to wait for the outcome, in milliseconds.
        timeout_ms: i32 [0..] = 60_000,
        /// Whether the number of replicas may change.
        allow_replication_factor_change: bool [1..] = true,
        /// The topics.
        topics: Vec<ReassignableTopic> [0..],
    }

    /// The partitions of one topic.
    pub struct ReassignableTopic {
        /// The topic's name.
        name: String [0..],
        /// The partitions.
        partitions: Vec<ReassignablePartition> [0..],
    }

    /// Where one partition shall be.
    pub struct ReassignablePartition {
        /// The partition's number.
        partition_index: i32 [0..],
        /// The nodes that shall hold the replicas; null cancels a reassignment under way.
        replicas: Option<Vec<i32>> [0..],
    }

    /// What became of the request.
    pub struct AlterPartitionReassignmentsResponse [0..=1, flexible 0..] {
        /// How long the client should wait before it sends again, in milliseconds.
        throttle_time_ms: i32 [0..],
        /// Whether the number of replicas may change.
        allow_replication_factor_change: bool [1..] = true,
        /// An error of the request.
        error_code: ErrorCode [0..],
        /// The error in words.
        error_message: Option<String> [0..],
        /// The results by topic.
        responses: Vec<ReassignableTopicResponse> [0..],
    }

    /// The results of one topic.
    pub struct ReassignableTopicResponse {
        /// The topic's name.
        name: String [0..],
        /// The partitions.
        partitions: Vec<ReassignablePartitionResponse> [0..],
    }

    /// The result of one partition.
    pub struct ReassignablePartitionResponse {
        /// The partition's number.
        partition_index: i32 [0..],
        /// An error of this partition.
        error_code: ErrorCode [0..],
        /// The error in words.
        error_message: Option<String> [0..],
    }
}
