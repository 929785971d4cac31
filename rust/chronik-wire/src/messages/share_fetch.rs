//! ShareFetch (key 78), versions 1-2: acquires records of a share group and settles those acquired before. Versions: 2 the
//! mode of acquiring (KIP-1206), renewed locks (KIP-1222).

use super::common::{LeaderIdAndEpoch, NodeEndpoint};
use crate::codec::Records;
use crate::error_code::ErrorCode;
use crate::types::TopicId;

message! {
    /// Asks for records.
    pub struct ShareFetchRequest [1..=2, flexible 0..] {
        /// The share group.
        group_id: Option<String> [1..],
        /// The member of the group.
        member_id: Option<String> [1..],
        /// The share session's epoch: 0 opens the session, -1 closes it, otherwise it grows by one with each request.
        share_session_epoch: i32 [1..],
        /// How long to wait for records, in milliseconds.
        max_wait_ms: i32 [1..],
        /// How many bytes to wait for.
        min_bytes: i32 [1..],
        /// How many bytes the answer may hold; the first batch may exceed it.
        max_bytes: i32 [1..] = i32::MAX,
        /// How many records to acquire; whole batches may exceed it.
        max_records: i32 [1..],
        /// The number of records that the client would like in one range of acquired records.
        batch_size: i32 [1..],
        /// 0 acquires whole batches, 1 never more than `max_records`.
        share_acquire_mode: i8 [2..],
        /// Whether locks are renewed among the acknowledgements.
        is_renew_ack: bool [2..],
        /// The partitions added to the session, and those with acknowledgements.
        topics: Vec<FetchTopic> [1..],
        /// The partitions that leave the session.
        forgotten_topics_data: Vec<ForgottenTopic> [1..],
    }

    /// The partitions of one topic.
    pub struct FetchTopic {
        /// The topic's id.
        topic_id: TopicId [1..],
        /// The partitions.
        partitions: Vec<FetchPartition> [1..],
    }

    /// One partition.
    pub struct FetchPartition {
        /// The partition's number.
        partition_index: i32 [1..],
        /// What became of records acquired before.
        acknowledgement_batches: Vec<AcknowledgementBatch> [1..],
    }

    /// What became of a range of records.
    pub struct AcknowledgementBatch {
        /// The first offset.
        first_offset: i64 [1..],
        /// The last offset, included.
        last_offset: i64 [1..],
        /// One type for all, or one per offset: 0 gap, 1 accept, 2 release, 3 reject, 4 renew.
        acknowledge_types: Vec<i8> [1..],
    }

    /// Partitions of one topic that leave the session.
    pub struct ForgottenTopic {
        /// The topic's id.
        topic_id: TopicId [1..],
        /// The partitions' numbers.
        partitions: Vec<i32> [1..],
    }

    /// Records, and what became of the acknowledgements.
    pub struct ShareFetchResponse [1..=2, flexible 0..] {
        /// How long the client should wait before it sends again, in milliseconds.
        throttle_time_ms: i32 [1..],
        /// An error of the whole request, such as 122 or 123.
        error_code: ErrorCode [1..],
        /// The error in words.
        error_message: Option<String> [1..],
        /// How long the acquired records stay locked, in milliseconds.
        acquisition_lock_timeout_ms: i32 [1..],
        /// The results by topic.
        responses: Vec<ShareFetchableTopicResponse> [1..],
        /// Where the leaders named in the results can be reached.
        node_endpoints: Vec<NodeEndpoint> [1..],
    }

    /// The results of one topic.
    pub struct ShareFetchableTopicResponse {
        /// The topic's id.
        topic_id: TopicId [1..],
        /// The results by partition.
        partitions: Vec<PartitionData> [1..],
    }

    /// The result of one partition.
    pub struct PartitionData {
        /// The partition's number.
        partition_index: i32 [1..],
        /// An error of the fetch.
        error_code: ErrorCode [1..],
        /// The error in words.
        error_message: Option<String> [1..],
        /// An error of the acknowledgements.
        acknowledge_error_code: ErrorCode [1..],
        /// The error in words.
        acknowledge_error_message: Option<String> [1..],
        /// The leader to turn to.
        current_leader: LeaderIdAndEpoch [1..],
        /// The record batches.
        records: Records [1..],
        /// The ranges within them that the member has acquired.
        acquired_records: Vec<AcquiredRecords> [1..],
    }

    /// A range of acquired records.
    pub struct AcquiredRecords {
        /// The first offset.
        first_offset: i64 [1..],
        /// The last offset, included.
        last_offset: i64 [1..],
        /// How often they have been delivered, this time included.
        delivery_count: i16 [1..],
    }
}
