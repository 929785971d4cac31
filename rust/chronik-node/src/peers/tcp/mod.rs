//! Peer connections between processes: one per direction of a pair of nodes, for all groups.
//!
//! Messages of one turn wait in the peer's queue and leave in one vectored write. A queue that overflows, and a
//! connection that breaks, lose messages; order is never lost, and Raft repeats what matters.

mod hello;
mod inbound;
mod outbound;

#[cfg(feature = "testing")]
pub(crate) use hello::Hello;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use chronik_broker::PeerMessage;
use chronik_wire::types::NodeId;
use tokio::net::TcpListener;
use tokio::sync::watch;

use self::outbound::Outbound;
use crate::gate::Life;
use crate::shard::Shard;
use crate::stats::EdgeCounters;

/// Where the peers of a node are, and who the node is to them.
#[derive(Debug, Clone)]
pub(crate) struct PeerPlan {
    /// Names the cluster.
    pub(crate) cluster_key: u128,
    /// This node.
    pub(crate) node: NodeId,
    /// Its start number.
    pub(crate) incarnation: u64,
    /// `host:port` of every other node's peer listener.
    pub(crate) addresses: BTreeMap<NodeId, String>,
}

/// A node's peer connections.
pub(crate) struct Peers {
    plan: PeerPlan,
    counters: Arc<EdgeCounters>,
    outbound: RefCell<BTreeMap<NodeId, Rc<Outbound>>>,
    /// Newest inbound connection per peer: an older one ends, so that order is kept over a reconnect, and a peer that
    /// vanished without a word leaves nothing behind.
    newest_inbound: RefCell<BTreeMap<NodeId, watch::Sender<u64>>>,
    inbound_open: Cell<usize>,
    next_inbound: Cell<u64>,
}

impl Peers {
    /// Opens the node's connections: calls every peer, and answers at `listener`.
    pub(crate) fn start(
        plan: PeerPlan,
        listener: TcpListener,
        life: &Rc<Life>,
        counters: Arc<EdgeCounters>,
        shard: Weak<Shard>,
    ) -> Rc<Peers> {
        let addresses = plan.addresses.clone();
        let peers = Rc::new(Peers {
            outbound: RefCell::default(),
            newest_inbound: RefCell::default(),
            inbound_open: Cell::new(0),
            next_inbound: Cell::new(1),
            plan,
            counters,
        });
        for (peer, address) in addresses {
            peers.meet(peer, address, life);
        }
        life.spawn(inbound::accept(Rc::clone(&peers), listener, Rc::clone(life), shard));
        peers
    }

    /// From now on this peer is called, and answered when it calls. One that is known already is left as it is.
    pub(crate) fn meet(self: &Rc<Self>, peer: NodeId, address: String, life: &Rc<Life>) {
        self.newest_inbound.borrow_mut().entry(peer).or_insert_with(|| watch::Sender::new(0));
        let mut all = self.outbound.borrow_mut();
        if let std::collections::btree_map::Entry::Vacant(place) = all.entry(peer) {
            let outbound = place.insert(Outbound::new(peer, address));
            life.spawn(outbound::run(Rc::clone(outbound), Rc::clone(self)));
        }
    }

    /// The peer is known to be dead: what its connection still holds is not heard any more. A leader that speaks after
    /// its death would keep the others from electing a new one.
    pub(crate) fn hang_up(&self, peer: NodeId) {
        if let Some(newest) = self.newest_inbound.borrow().get(&peer) {
            newest.send_replace(self.next_inbound.replace(self.next_inbound.get() + 1));
        }
    }

    /// Queues a message for a peer.
    pub(crate) fn send(&self, to: NodeId, message: &PeerMessage) {
        let queued = self.outbound.borrow().get(&to).is_some_and(|outbound| outbound.push(message));
        if !queued {
            self.counters.peer_messages_dropped.add(1);
        }
    }
}
