//! ShareAcknowledge (key 79), versions 1-2: settles records acquired before. Versions: 2 renewed locks (KIP-1222).

use super::common::{LeaderIdAndEpoch, NodeEndpoint};
use super::share_fetch::AcknowledgementBatch;
use crate::error_code::ErrorCode;
use crate::types::TopicId;

message! {
    /// Says what became of records.
    pub struct ShareAcknowledgeRequest [1..=2, flexible 0..] {
        /// The share group.
        group_id: Option<String> [1..],
        /// The member of the group.
        member_id: Option<String> [1..],
        /// The share session's epoch: -1 closes the session, otherwise it grows by one with each request.
        share_session_epoch: i32 [1..],
        /// Whether locks are renewed among the acknowledgements.
        is_renew_ack: bool [2..],
        /// The topics.
        topics: Vec<AcknowledgeTopic> [1..],
    }

    /// The partitions of one topic.
    pub struct AcknowledgeTopic {
        /// The topic's id.
        topic_id: TopicId [1..],
        /// The partitions.
        partitions: Vec<AcknowledgePartition> [1..],
    }

    /// One partition.
    pub struct AcknowledgePartition {
        /// The partition's number.
        partition_index: i32 [1..],
        /// What became of its records.
        acknowledgement_batches: Vec<AcknowledgementBatch> [1..],
    }

    /// What became of the acknowledgements.
    pub struct ShareAcknowledgeResponse [1..=2, flexible 0..] {
        /// How long the client should wait before it sends again, in milliseconds.
        throttle_time_ms: i32 [1..],
        /// An error of the whole request, such as 122 or 123.
        error_code: ErrorCode [1..],
        /// The error in words.
        error_message: Option<String> [1..],
        /// How long renewed locks hold, in milliseconds.
        acquisition_lock_timeout_ms: i32 [2..],
        /// The results by topic.
        responses: Vec<ShareAcknowledgeTopicResponse> [1..],
        /// Where the leaders named in the results can be reached.
        node_endpoints: Vec<NodeEndpoint> [1..],
    }

    /// The results of one topic.
    pub struct ShareAcknowledgeTopicResponse {
        /// The topic's id.
        topic_id: TopicId [1..],
        /// The results by partition.
        partitions: Vec<PartitionData> [1..],
    }

    /// The result of one partition.
    pub struct PartitionData {
        /// The partition's number.
        partition_index: i32 [1..],
        /// An error of this partition.
        error_code: ErrorCode [1..],
        /// The error in words.
        error_message: Option<String> [1..],
        /// The leader to turn to.
        current_leader: LeaderIdAndEpoch [1..],
    }
}
