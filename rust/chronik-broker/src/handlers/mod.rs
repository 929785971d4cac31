//! One file per Kafka API. A handler decodes nothing, locks nothing across an await and knows no file or socket: it
//! turns a request into a response by asking the image, the replicas and the controller.

use std::rc::Rc;

use crate::broker::Broker;
use crate::connection::{CloseReason, Connection};
use crate::limits;

pub(crate) mod add_offsets_to_txn;
pub(crate) mod add_partitions_to_txn;
pub(crate) mod alter_client_quotas;
pub(crate) mod alter_configs;
pub(crate) mod alter_partition_reassignments;
pub(crate) mod alter_replica_log_dirs;
pub(crate) mod alter_share_group_offsets;
pub(crate) mod api_versions;
pub(crate) mod consumer_group_describe;
pub(crate) mod consumer_group_heartbeat;
pub(crate) mod create_acls;
pub(crate) mod create_partitions;
pub(crate) mod create_topics;
pub(crate) mod delete_acls;
pub(crate) mod delete_groups;
pub(crate) mod delete_records;
pub(crate) mod delete_share_group_offsets;
pub(crate) mod delete_share_group_state;
pub(crate) mod delete_topics;
pub(crate) mod describe_acls;
pub(crate) mod describe_client_quotas;
pub(crate) mod describe_cluster;
pub(crate) mod describe_configs;
pub(crate) mod describe_groups;
pub(crate) mod describe_log_dirs;
pub(crate) mod describe_producers;
pub(crate) mod describe_quorum;
pub(crate) mod describe_share_group_offsets;
pub(crate) mod describe_topic_partitions;
pub(crate) mod describe_transactions;
pub(crate) mod describe_user_scram_credentials;
pub(crate) mod elect_leaders;
pub(crate) mod end_txn;
pub(crate) mod fetch;
pub(crate) mod find_coordinator;
pub(crate) mod heartbeat;
pub(crate) mod incremental_alter_configs;
pub(crate) mod init_producer_id;
pub(crate) mod initialize_share_group_state;
pub(crate) mod join_group;
pub(crate) mod leave_group;
pub(crate) mod list_config_resources;
pub(crate) mod list_groups;
pub(crate) mod list_offsets;
pub(crate) mod list_partition_reassignments;
pub(crate) mod list_transactions;
pub(crate) mod metadata;
pub(crate) mod offset_commit;
pub(crate) mod offset_delete;
pub(crate) mod offset_fetch;
pub(crate) mod offset_for_leader_epoch;
pub(crate) mod produce;
pub(crate) mod read_share_group_state;
pub(crate) mod read_share_group_state_summary;
pub(crate) mod share_acknowledge;
pub(crate) mod share_fetch;
pub(crate) mod share_group_describe;
pub(crate) mod share_group_heartbeat;
pub(crate) mod sync_group;
pub(crate) mod txn_offset_commit;
pub(crate) mod unregister_broker;
pub(crate) mod update_features;
pub(crate) mod write_share_group_state;
pub(crate) mod write_txn_markers;

/// What a handler gets beside the request.
#[derive(Clone)]
pub(crate) struct Context {
    /// The broker of this shard.
    pub(crate) broker: Rc<Broker>,
    /// Where the request came from.
    pub(crate) connection: Connection,
    /// The request's version.
    pub(crate) version: i16,
    /// The client's name of itself.
    pub(crate) client_id: Option<String>,
    /// Monotonic time of arrival: deadlines count from here.
    pub(crate) arrived_ms: u64,
    /// The request's size, its header included.
    pub(crate) frame_bytes: usize,
}

/// A response, no response (`acks=0`), or a connection to close.
pub(crate) type Answer<T> = Result<Option<T>, CloseReason>;

impl Context {
    /// The deadline of a request that names its own time-out. Negative and absurd values are cut to the bounds.
    pub(crate) fn deadline_ms(&self, timeout_ms: i32) -> u64 {
        let timeout_ms = u64::try_from(timeout_ms).unwrap_or(0).min(limits::REQUEST_TIMEOUT_MS_MAX);
        self.arrived_ms + timeout_ms
    }

    /// The deadline of an administrative request that names no time-out.
    pub(crate) fn admin_deadline_ms(&self) -> u64 {
        self.arrived_ms + limits::ADMIN_TIMEOUT_MS
    }

    /// The deadline of the metadata gate for requests that describe the cluster. A node that is cut off must say so
    /// soon, or clients that ask it never learn of the others; six times the silence after which a peer counts as
    /// gone is ample for an election. Never above the cap.
    pub(crate) fn metadata_deadline_ms(&self) -> u64 {
        let config = &self.broker.node.config;
        self.arrived_ms + config.gate_cap_ms.min(limits::METADATA_GATE_PEER_TIMEOUTS * config.peer_timeout_ms)
    }

    /// The deadline of the read gate for requests without a time-out of their own.
    pub(crate) fn gate_deadline_ms(&self) -> u64 {
        self.arrived_ms + self.broker.node.config.gate_cap_ms
    }
}
