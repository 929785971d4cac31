//! What a cluster is asked to be.

use std::collections::BTreeMap;
use std::path::PathBuf;

use chronik_replica::GateMode;

use super::error::ClusterError;
use crate::limits;
use crate::profile::Profile;

/// When an acknowledged record is safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// Synced on a quorum before the acknowledgement. In memory the sync is instant, the order the same.
    #[default]
    Fsync,
    /// Written on a quorum, left to the operating system to sync.
    Os,
}

/// How nodes of one process talk to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Transport {
    /// Through queues of the process.
    #[default]
    InProcess,
    /// Over TCP on the loopback interface, as between machines.
    Tcp,
}

/// What becomes of bytes that were written and not synced, when a node crashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unsynced {
    /// They are lost.
    #[default]
    Drop,
    /// Some are lost, some half written.
    Torn,
    /// They survive, as after the death of a process alone.
    Keep,
}

/// Options of [`Cluster::start`](super::Cluster::start).
#[derive(Debug, Clone)]
pub struct ClusterOptions {
    /// How many nodes; ids count up from `first_node_id`.
    pub nodes: usize,
    /// The first node's id; 0 is allowed.
    pub first_node_id: i32,
    /// One rack per node; `None` for `rack-1`, `rack-2`, and so on.
    pub racks: Option<Vec<String>>,
    /// One Kafka port per node; `None` lets the system choose.
    pub ports: Option<Vec<u16>>,
    /// Address to bind and to advertise.
    pub host: String,
    /// Where the nodes' files go, one folder per node; `None` keeps everything in memory.
    pub data_dir: Option<PathBuf>,
    /// When an acknowledged record is safe.
    pub durability: Durability,
    /// How the nodes talk to each other.
    pub transport: Transport,
    /// Threads that carry the partitions; all nodes share them.
    pub shards: usize,
    /// Kafka broker configuration by its Kafka names, and chronik's own keys.
    pub config: BTreeMap<String, String>,
    /// Names the cluster in log lines and thread names; `None` for `cluster-1`, `cluster-2`, and so on.
    pub name: Option<String>,
    /// Seed of elections and lossy links; `None` draws one (see [`Cluster::seed`](super::Cluster::seed)).
    pub seed: Option<u64>,
    /// Timers.
    pub profile: Profile,
    /// Whether followers serve fetches.
    pub fetch_from_followers: bool,
    /// Longest wait at the read gate, in milliseconds.
    pub gate_cap_ms: u64,
    /// Switches the read gate off, so that a test can show that it fails without it.
    pub read_gate: bool,
}

impl Default for ClusterOptions {
    fn default() -> Self {
        ClusterOptions {
            nodes: 3,
            first_node_id: 1,
            racks: None,
            ports: None,
            host: "127.0.0.1".to_owned(),
            data_dir: None,
            durability: Durability::default(),
            transport: Transport::default(),
            shards: 1,
            config: BTreeMap::new(),
            name: None,
            seed: None,
            profile: Profile::TEST,
            fetch_from_followers: true,
            gate_cap_ms: 5_000,
            read_gate: true,
        }
    }
}

/// Broker configuration that a cluster in a test process has unless it is told otherwise: nobody waits for others who
/// might come, sessions may be as short as a test likes, and the topics of coordinators are small.
const IN_PROCESS_DEFAULTS: [(&str, &str); 10] = [
    ("group.initial.rebalance.delay.ms", "0"),
    ("group.min.session.timeout.ms", "1"),
    ("group.consumer.min.session.timeout.ms", "1"),
    ("group.consumer.min.heartbeat.interval.ms", "1"),
    ("group.consumer.heartbeat.interval.ms", "100"),
    ("group.share.min.session.timeout.ms", "1"),
    ("group.share.min.heartbeat.interval.ms", "1"),
    ("group.share.heartbeat.interval.ms", "100"),
    ("offsets.topic.num.partitions", "4"),
    ("transaction.state.log.num.partitions", "4"),
];

/// Fills in what the configuration leaves to the defaults of a cluster in a test process.
pub(crate) fn with_in_process_defaults(mut config: BTreeMap<String, String>) -> BTreeMap<String, String> {
    for (name, value) in IN_PROCESS_DEFAULTS {
        config.entry(name.to_owned()).or_insert_with(|| value.to_owned());
    }
    config
}

/// A node that joins a running cluster.
#[derive(Debug, Clone, Default)]
pub struct NewNode {
    /// Its rack; `None` for one of its own.
    pub rack: Option<String>,
    /// Its Kafka port; `None` lets the system choose.
    pub port: Option<u16>,
}

impl ClusterOptions {
    /// The nodes that the cluster begins with.
    pub(crate) fn founders(&self) -> Vec<chronik_wire::types::NodeId> {
        (0..self.nodes as i32)
            .map(|number| chronik_wire::types::NodeId(self.first_node_id + number))
            .collect()
    }

    pub(crate) fn check(&self) -> Result<(), ClusterError> {
        let invalid = |text: String| Err(ClusterError::InvalidOption(text));
        if !(1..=limits::NODES_MAX).contains(&self.nodes) {
            return invalid(format!(
                "nodes is {}; pass a number from 1 to {}",
                self.nodes,
                limits::NODES_MAX
            ));
        }
        if self.first_node_id < 0 || self.first_node_id > i32::MAX - limits::NODES_MAX as i32 {
            return invalid(format!("first_node_id is {}; pass a number from 0 up", self.first_node_id));
        }
        if !(1..=limits::SHARDS_MAX).contains(&self.shards) {
            return invalid(format!(
                "shards is {}; pass a number from 1 to {}",
                self.shards,
                limits::SHARDS_MAX
            ));
        }
        let lists =
            [("racks", self.racks.as_ref().map(Vec::len)), ("ports", self.ports.as_ref().map(Vec::len))];
        for (name, length) in lists {
            if let Some(length) = length.filter(|length| *length != self.nodes) {
                return invalid(format!(
                    "{name} has {length} entries for {} nodes; pass one per node",
                    self.nodes
                ));
            }
        }
        self.profile.check().map_err(|error| ClusterError::InvalidOption(error.to_string()))
    }

    pub(crate) fn gate_mode(&self) -> GateMode {
        if self.read_gate { GateMode::On } else { GateMode::Off }
    }
}
