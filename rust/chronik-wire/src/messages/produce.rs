//! Produce (key 0), layouts 3-13. Versions 0-2 are advertised, because a client looks for them, and refused.
//!
//! Versions: 5 log start · 8 record errors · 9 flexible · 10 leader hints · 13 topic ids instead of names.

use bytes::Bytes;

use super::common::{LeaderIdAndEpoch, NodeEndpoint};
use crate::error_code::ErrorCode;
use crate::types::TopicId;

message! {
    /// Brings record batches.
    pub struct ProduceRequest [3..=13, flexible 9..] {
        /// The transaction the batches belong to, if any.
        transactional_id: Option<String> [3..],
        /// Acknowledgement wanted: 0 none at all, 1 the leader, -1 the in-sync replicas.
        acks: i16 [3..],
        /// How long to wait for it, in milliseconds.
        timeout_ms: i32 [3..],
        /// The batches by topic.
        topic_data: Vec<TopicProduceData> [3..],
    }

    /// The batches of one topic.
    pub struct TopicProduceData {
        /// The topic's name, up to version 12.
        name: String [3..=12],
        /// The topic's id, from version 13 on.
        topic_id: TopicId [13..],
        /// The batches by partition.
        partition_data: Vec<PartitionProduceData> [3..],
    }

    /// The batch of one partition.
    pub struct PartitionProduceData {
        /// The partition's number.
        index: i32 [3..],
        /// The batch: a slice of the frame.
        records: Option<Bytes> [3..],
    }

    /// What became of each batch.
    pub struct ProduceResponse [3..=13, flexible 9..] {
        /// The results by topic.
        responses: Vec<TopicProduceResponse> [3..],
        /// How long the client should wait before it sends again, in milliseconds.
        throttle_time_ms: i32 [3..],
        /// Where the leaders named in the results can be reached.
        node_endpoints: Vec<NodeEndpoint> [10.., tag 0],
    }

    /// The results of one topic.
    pub struct TopicProduceResponse {
        /// The topic's name, up to version 12.
        name: String [3..=12],
        /// The topic's id, from version 13 on.
        topic_id: TopicId [13..],
        /// The results by partition.
        partition_responses: Vec<PartitionProduceResponse> [3..],
    }

    /// The result of one partition.
    pub struct PartitionProduceResponse {
        /// The partition's number.
        index: i32 [3..],
        /// An error of this batch.
        error_code: ErrorCode [3..],
        /// The offset of the batch's first record, or -1.
        base_offset: i64 [3..],
        /// The broker's timestamp in milliseconds, or -1 if the producer's stands.
        log_append_time_ms: i64 [3..] = -1,
        /// The first offset of the partition's log.
        log_start_offset: i64 [5..] = -1,
        /// The records that made the batch fail.
        record_errors: Vec<BatchIndexAndErrorMessage> [8..],
        /// The error in words.
        error_message: Option<String> [8..],
        /// The leader to turn to.
        current_leader: LeaderIdAndEpoch [10.., tag 0],
    }

    /// One record that made a batch fail.
    pub struct BatchIndexAndErrorMessage {
        /// The record's place in the batch.
        batch_index: i32 [8..],
        /// What is wrong with it.
        batch_index_error_message: Option<String> [8..],
    }
}
