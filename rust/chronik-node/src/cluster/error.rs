//! What can go wrong with a call to a cluster. The texts are final: Python shows them as they are.

use chronik_wire::types::NodeId;

/// Why a call to a cluster or server failed.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// An option that makes no sense.
    #[error("{0}")]
    InvalidOption(String),
    /// Kafka configuration that makes no sense, one line per mistake.
    #[error("{}", .0.join("; "))]
    InvalidConfig(Vec<String>),
    /// A port that somebody else has.
    #[error("{address} is in use; pass ports=None to let the system choose")]
    PortInUse {
        /// `host:port`.
        address: String,
    },
    /// An address that cannot be bound.
    #[error("cannot listen on {address}: {source}; pass the address of an interface of this machine")]
    Bind {
        /// `host:port`.
        address: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A data directory that cannot be used.
    #[error("data directory {path}: {problem}")]
    DataDirectory {
        /// The directory.
        path: String,
        /// What is wrong with it, and what to do.
        problem: String,
    },
    /// A node's disk that does not do what it was asked.
    #[error("the disk of node {node}: {problem}")]
    Disk {
        /// The node.
        node: NodeId,
        /// What it said.
        problem: String,
    },
    /// The state of a cluster that keeps its data in files was asked for or should be put back.
    #[error(
        "the data of this cluster is in files; snapshot, restore and reset need one in memory (data_dir=None)"
    )]
    NotInMemory,
    /// A snapshot of other nodes.
    #[error("the snapshot is of nodes {of}, the cluster has nodes {has}; take one after nodes came or went")]
    ForeignSnapshot {
        /// Nodes of the snapshot.
        of: String,
        /// Nodes of the cluster.
        has: String,
    },
    /// The system gave no thread, socket or timer.
    #[error("the system refused {what}: {source}")]
    System {
        /// What was asked for.
        what: &'static str,
        /// What it said.
        source: std::io::Error,
    },
    /// A node's replicas could not be opened.
    #[error("node {node} cannot start: {problem}")]
    NodeStart {
        /// The node.
        node: NodeId,
        /// Why.
        problem: String,
    },
    /// A node that was not removed from its cluster.
    #[error("node {node} was not removed: {problem}")]
    Removal {
        /// The node.
        node: NodeId,
        /// Why.
        problem: String,
    },
    /// Something did not come about in time.
    #[error("{what} did not happen within {limit_ms} ms; {hint}")]
    TimedOut {
        /// What was waited for.
        what: String,
        /// How long.
        limit_ms: u64,
        /// What to look at.
        hint: &'static str,
    },
    /// A node id that the cluster does not have.
    #[error("no node {node} in this cluster; its nodes are {known}")]
    UnknownNode {
        /// The id asked for.
        node: NodeId,
        /// The ids there are.
        known: String,
    },
    /// A node that is down.
    #[error("node {node} is not running; restart it first")]
    NotRunning {
        /// The node.
        node: NodeId,
    },
    /// A node that runs already.
    #[error("node {node} is running; kill or crash it first")]
    AlreadyRunning {
        /// The node.
        node: NodeId,
    },
    /// A node that is frozen.
    #[error("node {node} is frozen; thaw it first")]
    Frozen {
        /// The node.
        node: NodeId,
    },
    /// No running node that could be asked.
    #[error("no node of the cluster is running and awake; restart or thaw one first")]
    NobodyToAsk,
    /// A topic that does not exist.
    #[error("no topic {topic:?}; create it first")]
    UnknownTopic {
        /// The topic.
        topic: String,
    },
    /// A partition that the topic does not have.
    #[error("topic {topic:?} has no partition {partition}; it has {count}")]
    UnknownPartition {
        /// The topic.
        topic: String,
        /// The partition asked for.
        partition: i32,
        /// How many it has.
        count: usize,
    },
    /// A node that holds no replica of the partition.
    #[error(
        "node {node} holds no replica of partition {partition} of {topic:?}; its replicas are on {replicas}"
    )]
    NotAReplica {
        /// The node.
        node: NodeId,
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// Who holds one.
        replicas: String,
    },
    /// A topic that exists already.
    #[error("topic {topic:?} exists already; choose another name or delete it first")]
    TopicExists {
        /// The topic.
        topic: String,
    },
    /// A Kafka error of an administrative request.
    #[error("{action} failed with error code {code}: {message}")]
    Kafka {
        /// What was asked for.
        action: String,
        /// Kafka's error code.
        code: i16,
        /// The broker's words.
        message: String,
    },
    /// The cluster has been stopped, or a thread of it has died.
    #[error("the cluster is stopped; start a new one")]
    Stopped,
    /// A shard's thread did not end in time.
    #[error("a thread of the cluster did not end within {limit_ms} ms; its ports and memory stay taken")]
    StillRunning {
        /// How long was waited.
        limit_ms: u64,
    },
}
