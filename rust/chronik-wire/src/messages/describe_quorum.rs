//! DescribeQuorum (key 55), versions 0-2: the quorum of the metadata log. Versions: 1 times of the replicas · 2
//! messages, directories and nodes.

use crate::error_code::ErrorCode;
use crate::types::TopicId;

message! {
    /// Asks about the quorum.
    pub struct DescribeQuorumRequest [0..=2, flexible 0..] {
        /// The topics.
        topics: Vec<TopicRequest> [0..],
    }

    /// A topic asked about.
    pub struct TopicRequest {
        /// The topic's name; Kafka's metadata log is `__cluster_metadata`.
        topic_name: String [0..],
        /// The partitions.
        partitions: Vec<PartitionRequest> [0..],
    }

    /// A partition asked about.
    pub struct PartitionRequest {
        /// The partition's number.
        partition_index: i32 [0..],
    }

    /// The quorum.
    pub struct DescribeQuorumResponse [0..=2, flexible 0..] {
        /// An error of the request.
        error_code: ErrorCode [0..],
        /// The error in words.
        error_message: Option<String> [2..],
        /// The topics.
        topics: Vec<TopicData> [0..],
        /// The voters and how they are reached.
        nodes: Vec<Node> [2..],
    }

    /// The quorums of one topic.
    pub struct TopicData {
        /// The topic's name; Kafka's metadata log is `__cluster_metadata`.
        topic_name: String [0..],
        /// The partitions.
        partitions: Vec<PartitionData> [0..],
    }

    /// The quorum of one partition.
    pub struct PartitionData {
        /// The partition's number.
        partition_index: i32 [0..],
        /// An error of this partition.
        error_code: ErrorCode [0..],
        /// The error in words.
        error_message: Option<String> [2..],
        /// The leader's node id, or -1 if there is none.
        leader_id: i32 [0..],
        /// The leader's epoch.
        leader_epoch: i32 [0..],
        /// The offset after the last committed record.
        high_watermark: i64 [0..],
        /// The replicas that vote.
        current_voters: Vec<ReplicaState> [0..],
        /// The replicas that only follow.
        observers: Vec<ReplicaState> [0..],
    }

    /// How far one replica is.
    pub struct ReplicaState {
        /// The replica's node id.
        replica_id: i32 [0..],
        /// The identity of its disk.
        replica_directory_id: TopicId [2..],
        /// The end of its log, or -1 if unknown.
        log_end_offset: i64 [0..],
        /// When the leader last heard from it, in milliseconds since 1970; -1 if unknown.
        last_fetch_timestamp: i64 [1..] = -1,
        /// When it last had all the leader had, in milliseconds since 1970; -1 if unknown.
        last_caught_up_timestamp: i64 [1..] = -1,
    }

    /// How one node is reached.
    pub struct Node {
        /// The node's id.
        node_id: i32 [2..],
        /// Its addresses.
        listeners: Vec<Listener> [2..],
    }

    /// One address.
    pub struct Listener {
        /// The listener's name.
        name: String [2..],
        /// Its host.
        host: String [2..],
        /// Its port.
        port: u16 [2..],
    }
}
