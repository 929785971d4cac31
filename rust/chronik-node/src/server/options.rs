//! What a server is asked to be.

use std::collections::BTreeMap;
use std::path::PathBuf;

use chronik_wire::types::NodeId;

use crate::cluster::{ClusterError, Durability};
use crate::limits;
use crate::profile::Profile;

/// A host and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPort {
    /// Name or address, without brackets.
    pub host: String,
    /// The port; 0 lets the system choose where that is allowed.
    pub port: u16,
}

impl std::fmt::Display for HostPort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Options of [`NodeServer::start`].
#[derive(Debug, Clone)]
pub struct NodeOptions {
    /// This node.
    pub node: NodeId,
    /// Where Kafka clients are accepted.
    pub kafka: HostPort,
    /// What Metadata tells clients; `None` for the bound address. A port of 0 means the bound one.
    pub advertised: Option<HostPort>,
    /// Port of the pinned listener, on the host of `kafka`; `None` for no such listener.
    pub pinned_port: Option<u16>,
    /// Where the peers of this node call it; `None` for a node without peers.
    pub raft: Option<HostPort>,
    /// Where the peers are told to call this node; `None` for the bound address. A port of 0 means the bound one.
    pub raft_advertised: Option<HostPort>,
    /// Other nodes and where they are called. A cluster begins with all of them and this node as its voters; a node
    /// that knows its cluster already, or joins one, takes them for addresses alone.
    pub peers: BTreeMap<NodeId, HostPort>,
    /// Peer listeners of a running cluster that this node joins. It may have been there before, on this disk or on one
    /// that is lost. Empty for a node that begins with its peers.
    pub join: Vec<HostPort>,
    /// Rack of this node.
    pub rack: Option<String>,
    /// Where the files go; `None` keeps everything in memory.
    pub data_dir: Option<PathBuf>,
    /// When an acknowledged record is safe.
    pub durability: Durability,
    /// Threads that carry partitions; `None` for one per core.
    pub shards: Option<usize>,
    /// Kafka broker configuration by its Kafka names, replication defaults included.
    pub config: BTreeMap<String, String>,
    /// Timers.
    pub profile: Profile,
    /// Whether this node serves fetches as a follower.
    pub fetch_from_followers: bool,
    /// Longest wait at the read gate, in milliseconds.
    pub gate_cap_ms: u64,
    /// Name of the cluster: nodes with different names refuse each other.
    pub cluster_name: String,
}

impl NodeOptions {
    /// A node of its own with everything by default, on system-chosen ports of the loopback interface, in memory.
    pub fn new(node: NodeId) -> NodeOptions {
        NodeOptions {
            node,
            kafka: HostPort { host: "127.0.0.1".to_owned(), port: 0 },
            advertised: None,
            pinned_port: None,
            raft: None,
            raft_advertised: None,
            peers: BTreeMap::new(),
            join: Vec::new(),
            rack: None,
            data_dir: None,
            durability: Durability::Fsync,
            shards: None,
            config: BTreeMap::new(),
            profile: Profile::SERVER,
            fetch_from_followers: true,
            gate_cap_ms: 5_000,
            cluster_name: "chronik".to_owned(),
        }
    }

    pub(super) fn check(&self) -> Result<(), ClusterError> {
        let invalid = |text: String| Err(ClusterError::InvalidOption(text));
        if self.node.0 < 0 {
            return invalid(format!("node id is {}; pass a number from 0 up", self.node));
        }
        if self.peers.contains_key(&self.node) {
            return invalid(format!("node {} is among its own peers; list the others only", self.node));
        }
        if self.raft.is_none() && !(self.peers.is_empty() && self.join.is_empty()) {
            return invalid("a node with peers needs a raft address of its own; set it".to_owned());
        }
        if self.join.len() > limits::JOIN_ADDRESSES_MAX {
            let (given, most) = (self.join.len(), limits::JOIN_ADDRESSES_MAX);
            return invalid(format!("{given} addresses to join at are too many; give up to {most}"));
        }
        if let Some(shards) = self.shards.filter(|shards| !(1..=limits::SHARDS_MAX).contains(shards)) {
            return invalid(format!("shards is {shards}; pass a number from 1 to {}", limits::SHARDS_MAX));
        }
        self.profile.check().map_err(|error| ClusterError::InvalidOption(error.to_string()))
    }
}
