//! The edge: sockets, threads, files, clocks; one node, and a cluster of nodes in one process.
//!
//! Everything below this room is a pure machine. Here bytes and time come in and go out: connections feed requests to
//! the broker, one turn per shard drives the replicas, peer messages travel through queues or over TCP, a disk thread
//! waits for `fsync`. Faults of links and nodes live here too, so that both transports and all callers share them.
//!
//! - [`Cluster`]: N nodes in this process, for tests and the Python package.
//! - [`NodeServer`]: one node per process, for `chronik-server`.

mod admission;
mod clock;
mod cluster;
mod connection;
mod gate;
mod launch;
pub mod limits;
mod listener;
mod logs;
mod peers;
mod ports;
mod profile;
mod random;
mod server;
mod shard;
mod stats;
#[cfg(feature = "testing")]
pub mod testing;
mod world;

pub use chronik_broker::Interception;
/// The configuration catalogue, for programs that check a configuration before they start anything.
pub use chronik_broker::coord::config_catalogue;
pub use chronik_wire::types::{NodeId, PartitionIndex};

pub use self::cluster::{
    Cluster, ClusterError, ClusterOptions, Durability, Intercept, NewNode, NodeInfo, PartitionLeader,
    Snapshot, Transport, Unsynced,
};
pub use self::logs::{LogLine, NodeLogLayer, log_lines_dropped, subscribe_logs, unsubscribe_logs};
pub use self::profile::{Profile, ProfileError};
pub use self::server::{HostPort, NodeOptions, NodeServer, remove_node};

/// Everything that is shipped is built on this room.
const _: () =
    assert!(!chronik_mutants::AVAILABLE, "planted bugs are for the simulator only: build without them");
