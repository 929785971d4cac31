//! ElectLeaders (key 43), versions 0-2: elects the preferred leader of partitions. Versions: 1 kinds of elections · 2
//! flexible.

use crate::error_code::ErrorCode;

message! {
    /// Asks for elections.
    pub struct ElectLeadersRequest [0..=2, flexible 2..] {
        /// 0 elects the preferred replica, 1 any that is left (unclean).
        election_type: i8 [1..],
        /// The partitions; null asks for all.
        topic_partitions: Option<Vec<TopicPartitions>> [0..],
        /// How long to wait for the outcome, in milliseconds.
        timeout_ms: i32 [0..] = 60_000,
    }

    /// The partitions of one topic.
    pub struct TopicPartitions {
        /// The topic's name.
        topic: String [0..],
        /// The partitions' numbers.
        partitions: Vec<i32> [0..],
    }

    /// What became of the elections.
    pub struct ElectLeadersResponse [0..=2, flexible 2..] {
        /// How long the client should wait before it sends again, in milliseconds.
        throttle_time_ms: i32 [0..],
        /// An error of the request.
        error_code: ErrorCode [1..],
        /// The results by topic.
        replica_election_results: Vec<ReplicaElectionResult> [0..],
    }

    /// The results of one topic.
    pub struct ReplicaElectionResult {
        /// The topic's name.
        topic: String [0..],
        /// The results by partition.
        partition_result: Vec<PartitionResult> [0..],
    }

    /// The result of one partition.
    pub struct PartitionResult {
        /// The partition's number.
        partition_id: i32 [0..],
        /// An error of this partition.
        error_code: ErrorCode [0..],
        /// The error in words.
        error_message: Option<String> [0..],
    }
}
