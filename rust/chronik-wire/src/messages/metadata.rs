//! Metadata (key 3), versions 0-13: brokers, topics, partitions and their leaders.
//!
//! Versions: 1 racks, controller · 4 auto-create flag (true before) · 5 offline replicas · 7 leader epochs · 8
//! authorized operations · 9 flexible · 10 topic ids · 12 topics by id, null names · 13 top-level error.

use super::common::OPERATIONS_UNKNOWN;
use crate::error_code::ErrorCode;
use crate::types::TopicId;

message! {
    /// Asks about topics and brokers.
    pub struct MetadataRequest [0..=13, flexible 9..] {
        /// The topics asked about. Null asks for all; in version 0, which knows no null, the empty list does.
        topics: Option<Vec<MetadataRequestTopic>> [0.., nullable 1..],
        /// Whether a topic that does not exist may be created.
        allow_auto_topic_creation: bool [4..] = true,
        /// Whether to list the operations the client may do on the cluster.
        include_cluster_authorized_operations: bool [8..=10],
        /// Whether to list the operations the client may do on each topic.
        include_topic_authorized_operations: bool [8..],
    }

    /// A topic asked about, by name or by id.
    pub struct MetadataRequestTopic {
        /// The topic's id, or zero.
        topic_id: TopicId [10..],
        /// The topic's name; null to ask by id.
        name: Option<String> [0.., nullable 10..],
    }

    /// Brokers and topics as this broker knows them.
    pub struct MetadataResponse [0..=13, flexible 9..] {
        /// How long the client should wait before it sends again, in milliseconds.
        throttle_time_ms: i32 [3..],
        /// The live brokers.
        brokers: Vec<MetadataResponseBroker> [0..],
        /// The cluster's id.
        cluster_id: Option<String> [2..],
        /// The controller's node id, or -1 if unknown.
        controller_id: i32 [1..] = -1,
        /// The topics asked about.
        topics: Vec<MetadataResponseTopic> [0..],
        /// The operations the client may do on the cluster, as a bit field.
        cluster_authorized_operations: i32 [8..=10] = OPERATIONS_UNKNOWN,
        /// An error of the whole request.
        error_code: ErrorCode [13..],
    }

    /// One live broker.
    pub struct MetadataResponseBroker {
        /// The broker's node id.
        node_id: i32 [0..],
        /// Its advertised host.
        host: String [0..],
        /// Its advertised port.
        port: i32 [0..],
        /// Its rack, if it has one.
        rack: Option<String> [1..],
    }

    /// One topic.
    pub struct MetadataResponseTopic {
        /// An error of this topic.
        error_code: ErrorCode [0..],
        /// The topic's name; null when an unknown id was asked for.
        name: Option<String> [0.., nullable 12..],
        /// The topic's id.
        topic_id: TopicId [10..],
        /// Whether the topic belongs to the broker itself.
        is_internal: bool [1..],
        /// The topic's partitions.
        partitions: Vec<MetadataResponsePartition> [0..],
        /// The operations the client may do on the topic, as a bit field.
        topic_authorized_operations: i32 [8..] = OPERATIONS_UNKNOWN,
    }

    /// One partition.
    pub struct MetadataResponsePartition {
        /// An error of this partition.
        error_code: ErrorCode [0..],
        /// The partition's number.
        partition_index: i32 [0..],
        /// The leader's node id, or -1 if there is none.
        leader_id: i32 [0..],
        /// The leader's epoch.
        leader_epoch: i32 [7..] = -1,
        /// All nodes that hold a replica.
        replica_nodes: Vec<i32> [0..],
        /// The nodes whose replica is in sync.
        isr_nodes: Vec<i32> [0..],
        /// The nodes whose replica is offline.
        offline_replicas: Vec<i32> [5..],
    }
}
