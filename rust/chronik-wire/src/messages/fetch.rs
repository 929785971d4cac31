//! Fetch (key 1), versions 4-18.
//!
//! Versions: 5 log start · 7 sessions (KIP-227) · 9 leader epoch · 11 rack (KIP-392) · 12 flexible, divergence, leader
//! hint · 13 topic ids instead of names · 15 replica state instead of replica id · 16 node endpoints · 17 replica
//! directory · 18 replica's high watermark.

use super::common::{LeaderIdAndEpoch, NodeEndpoint};
use crate::codec::Records;
use crate::error_code::ErrorCode;
use crate::types::TopicId;

message! {
    /// Asks for records.
    pub struct FetchRequest [4..=18, flexible 12..] {
        /// The cluster the sender believes to be in.
        cluster_id: Option<String> [12.., tag 0],
        /// The node id of a replica, or -1 for a consumer.
        replica_id: i32 [4..=14] = -1,
        /// The same from version 15 on.
        replica_state: ReplicaState [15.., tag 1],
        /// How long to wait for records, in milliseconds.
        max_wait_ms: i32 [4..],
        /// Bytes to wait for.
        min_bytes: i32 [4..],
        /// Most bytes to send, over all partitions; the first batch is sent whatever its size.
        max_bytes: i32 [4..] = i32::MAX,
        /// 0 reads uncommitted, 1 only committed transactions.
        isolation_level: i8 [4..],
        /// The fetch session, or 0.
        session_id: i32 [7..],
        /// The session's epoch: -1 no session, 0 a new one.
        session_epoch: i32 [7..] = -1,
        /// What to fetch; in a session, what changed.
        topics: Vec<FetchTopic> [4..],
        /// What to drop from the session.
        forgotten_topics_data: Vec<ForgottenTopic> [7..],
        /// The consumer's rack, or empty.
        rack_id: String [11..],
    }

    /// The replica that asks.
    pub struct ReplicaState {
        /// The node id of a replica, or -1 for a consumer.
        replica_id: i32 [15..] = -1,
        /// The replica's epoch, or -1.
        replica_epoch: i64 [15..] = -1,
    }

    /// The partitions of one topic.
    pub struct FetchTopic {
        /// The topic's name, up to version 12.
        topic: String [4..=12],
        /// The topic's id, from version 13 on.
        topic_id: TopicId [13..],
        /// The partitions.
        partitions: Vec<FetchPartition> [4..],
    }

    /// One partition to fetch from.
    pub struct FetchPartition {
        /// The partition's number.
        partition: i32 [4..],
        /// The leader epoch the client knows, or -1.
        current_leader_epoch: i32 [9..] = -1,
        /// The first offset wanted.
        fetch_offset: i64 [4..],
        /// The epoch of the last record fetched, or -1.
        last_fetched_epoch: i32 [12..] = -1,
        /// The first offset of a replica's log, or -1 from a consumer.
        log_start_offset: i64 [5..] = -1,
        /// Most bytes to send for this partition.
        partition_max_bytes: i32 [4..],
        /// The directory of the replica that asks, or zero.
        replica_directory_id: TopicId [17.., tag 0],
        /// The high watermark the replica knows; the largest number if it does not take part.
        high_watermark: i64 [18.., tag 1] = i64::MAX,
    }

    /// Partitions to drop from a session.
    pub struct ForgottenTopic {
        /// The topic's name, up to version 12.
        topic: String [7..=12],
        /// The topic's id, from version 13 on.
        topic_id: TopicId [13..],
        /// The partitions' numbers.
        partitions: Vec<i32> [7..],
    }

    /// Brings records.
    pub struct FetchResponse [4..=18, flexible 12..] {
        /// How long the client should wait before it sends again, in milliseconds.
        throttle_time_ms: i32 [4..],
        /// An error of the whole request, such as 70 or 71.
        error_code: ErrorCode [7..],
        /// The fetch session, or 0.
        session_id: i32 [7..],
        /// The results by topic.
        responses: Vec<FetchableTopicResponse> [4..],
        /// Where the leaders named in the results can be reached.
        node_endpoints: Vec<NodeEndpoint> [16.., tag 0],
    }

    /// The results of one topic.
    pub struct FetchableTopicResponse {
        /// The topic's name, up to version 12.
        topic: String [4..=12],
        /// The topic's id, from version 13 on.
        topic_id: TopicId [13..],
        /// The results by partition.
        partitions: Vec<PartitionData> [4..],
    }

    /// The result of one partition.
    pub struct PartitionData {
        /// The partition's number.
        partition_index: i32 [4..],
        /// An error of this partition.
        error_code: ErrorCode [4..],
        /// The high watermark; -1 beside an error.
        high_watermark: i64 [4..] = -1,
        /// The end of the decided transactions; -1 beside an error.
        last_stable_offset: i64 [4..] = -1,
        /// The first offset of the log; -1 beside an error.
        log_start_offset: i64 [5..] = -1,
        /// Where the client's log and this one part, if they do.
        diverging_epoch: EpochEndOffset [12.., tag 0],
        /// The leader to turn to.
        current_leader: LeaderIdAndEpoch [12.., tag 1],
        /// The snapshot to fetch instead.
        snapshot_id: SnapshotId [12.., tag 2],
        /// The aborted transactions within the records; null when reading uncommitted.
        aborted_transactions: Option<Vec<AbortedTransaction>> [4..] = Some(Vec::new()),
        /// The node to read from instead, or -1.
        preferred_read_replica: i32 [11..] = -1,
        /// The record batches: empty rather than null when there are none.
        records: Records [4..],
    }

    /// The end of an epoch in this log.
    pub struct EpochEndOffset {
        /// The largest epoch in common, or -1.
        epoch: i32 [12..] = -1,
        /// Its end offset, or -1.
        end_offset: i64 [12..] = -1,
    }

    /// A snapshot of the log.
    pub struct SnapshotId {
        /// The offset after its last record, or -1.
        end_offset: i64 [12..] = -1,
        /// The epoch of its last record, or -1.
        epoch: i32 [12..] = -1,
    }

    /// One aborted transaction.
    pub struct AbortedTransaction {
        /// The producer's id.
        producer_id: i64 [4..],
        /// The transaction's first offset.
        first_offset: i64 [4..],
    }
}
