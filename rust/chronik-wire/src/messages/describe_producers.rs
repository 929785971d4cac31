//! DescribeProducers (key 61), version 0: the producers a partition knows.

use crate::error_code::ErrorCode;

message! {
    /// Asks about partitions.
    pub struct DescribeProducersRequest [0..=0, flexible 0..] {
        /// The topics.
        topics: Vec<TopicRequest> [0..],
    }

    /// The partitions of one topic.
    pub struct TopicRequest {
        /// The topic's name.
        name: String [0..],
        /// The partitions' numbers.
        partition_indexes: Vec<i32> [0..],
    }

    /// The producers.
    pub struct DescribeProducersResponse [0..=0, flexible 0..] {
        /// How long the client should wait before it sends again, in milliseconds.
        throttle_time_ms: i32 [0..],
        /// The topics.
        topics: Vec<TopicResponse> [0..],
    }

    /// The results of one topic.
    pub struct TopicResponse {
        /// The topic's name.
        name: String [0..],
        /// The partitions.
        partitions: Vec<PartitionResponse> [0..],
    }

    /// The producers of one partition.
    pub struct PartitionResponse {
        /// The partition's number.
        partition_index: i32 [0..],
        /// An error of this partition.
        error_code: ErrorCode [0..],
        /// The error in words.
        error_message: Option<String> [0..],
        /// The producers.
        active_producers: Vec<ProducerState> [0..],
    }

    /// One producer.
    pub struct ProducerState {
        /// The producer's id.
        producer_id: i64 [0..],
        /// The producer's epoch.
        producer_epoch: i32 [0..],
        /// The last sequence number, or -1.
        last_sequence: i32 [0..] = -1,
        /// The last record's timestamp in milliseconds, or -1.
        last_timestamp: i64 [0..] = -1,
        /// The epoch of the coordinator that last wrote a marker.
        coordinator_epoch: i32 [0..],
        /// Where the open transaction begins, or -1.
        current_txn_start_offset: i64 [0..] = -1,
    }
}
