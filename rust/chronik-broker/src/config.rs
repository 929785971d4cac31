//! What a node is told at its start. Everything that may change later lives in the metadata image.

use std::collections::BTreeMap;
use std::sync::Arc;

use chronik_coord::Endpoint;
use chronik_wire::types::NodeId;

use crate::interception::Interceptions;

/// A node's fixed configuration.
#[derive(Debug, Clone)]
pub struct BrokerConfig {
    /// This node.
    pub node: NodeId,
    /// A random number drawn at this start of the process.
    pub incarnation: u64,
    /// Every node that the cluster is founded with; all vote in the metadata group. This node is one of them, unless it
    /// came later.
    pub voters: Vec<NodeId>,
    /// The voter that campaigns at once when the metadata group starts for the first time.
    pub designated: NodeId,
    /// Address that Metadata gives to clients.
    pub advertised: Endpoint,
    /// Address of the pinned listener, if there is one.
    pub pinned: Option<Endpoint>,
    /// Where other processes call this node; `None` if they need no address.
    pub peer: Option<Endpoint>,
    /// Nodes that this one begins with, beside those the cluster was founded with, until it is registered.
    pub contacts: Vec<NodeId>,
    /// Whether the cluster is asked to count on this node's disk, should it know another one under its id.
    pub asks_admission: bool,
    /// The node's rack.
    pub rack: Option<String>,
    /// A random 22-character id, proposed as the cluster's when it has none yet.
    pub cluster_id_proposal: String,
    /// Kafka broker configuration by its Kafka names, checked by the catalogue.
    pub broker_config: BTreeMap<String, String>,
    /// Whether followers serve fetches at all (`CHRONIK_FETCH_FROM_FOLLOWERS`).
    pub fetch_from_followers: bool,
    /// Longest wait at the read gate (`CHRONIK_FETCH_FOLLOWER_MAX_WAIT_MS`).
    pub gate_cap_ms: u64,
    /// A peer that was silent for longer than this is not listed as live.
    pub peer_timeout_ms: u64,
    /// How many shards this node has, and which one this broker serves.
    pub shards: usize,
    /// Index of this broker's shard.
    pub shard: usize,
    /// Requests that a test wants counted, delayed or refused; one for all nodes of its cluster.
    pub interceptions: Arc<Interceptions>,
}

/// What the directory of a node is called that keeps everything in memory.
const IN_MEMORY: &str = "memory";

impl BrokerConfig {
    /// The directory of this node's replicas, as clients are told: the first of `log.dirs`, which the edge fills in for
    /// a node with a disk.
    pub(crate) fn log_dir(&self) -> String {
        let configured = ["log.dirs", "log.dir"].iter().find_map(|name| self.broker_config.get(*name));
        let first = configured.and_then(|dirs| dirs.split(',').map(str::trim).find(|dir| !dir.is_empty()));
        first.unwrap_or(IN_MEMORY).to_owned()
    }
}
