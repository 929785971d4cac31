//! What the edge counts, and how the counters of all rooms are read together.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chronik_broker::BrokerCounters;
use chronik_replica::ReplicaCounters;

/// A number that only goes up, or a level that goes both ways.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn subtract(&self, count: u64) {
        self.0.fetch_sub(count, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

macro_rules! edge_counters {
    ($($(#[$meta:meta])* $name:ident,)*) => {
        /// What one node's edge counts.
        #[derive(Debug, Default)]
        pub(crate) struct EdgeCounters {
            $($(#[$meta])* pub(crate) $name: Counter,)*
        }

        impl EdgeCounters {
            fn snapshot(&self, into: &mut BTreeMap<String, u64>) {
                $(into.insert(stringify!($name).to_owned(), self.$name.get());)*
            }
        }
    };
}

edge_counters! {
    /// Bytes received from clients.
    bytes_in,
    /// Bytes sent to clients.
    bytes_out,
    /// Client connections open now.
    connections_open,
    /// Client connections accepted.
    connections_accepted,
    /// Client connections refused over a limit.
    connections_refused,
    /// Frames refused: absurd lengths and foreign protocols.
    frames_refused,
    /// Messages sent to other nodes.
    peer_messages_sent,
    /// Messages received from other nodes.
    peer_messages_received,
    /// Messages to other nodes lost to a fault, a full queue or a lost connection.
    peer_messages_dropped,
    /// Bytes sent to other nodes; nothing in process.
    peer_bytes_out,
    /// Bytes received from other nodes; nothing in process.
    peer_bytes_in,
    /// Peer connections established by this node.
    peer_connects,
    /// Turns taken in which something had to be done.
    turns,
    /// Sync jobs done by the disk thread.
    disk_syncs,
    /// Times this node was started.
    starts,
}

/// All counters of one node. They outlive its restarts, so that a test may compare before and after.
#[derive(Debug, Clone, Default)]
pub(crate) struct NodeCounters {
    /// The edge's.
    pub(crate) edge: Arc<EdgeCounters>,
    /// The broker's.
    pub(crate) broker: Arc<BrokerCounters>,
    /// The replicas'.
    pub(crate) replica: Arc<ReplicaCounters>,
}

impl NodeCounters {
    /// Every counter by its name.
    pub(crate) fn snapshot(&self) -> BTreeMap<String, u64> {
        let mut all = self.replica.to_map();
        self.broker.snapshot(&mut all);
        self.edge.snapshot(&mut all);
        all
    }
}
