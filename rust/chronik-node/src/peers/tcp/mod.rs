//! Peer connections between processes: one per direction of a pair of nodes, for all groups.
//!
//! Messages of one turn wait in the peer's queue and leave in one vectored write. A queue that overflows, and a
//! connection that breaks, lose messages; order is never lost, and Raft repeats what matters.
//!
//! Whom a node calls follows from its configuration and from the metadata (`directory`). A node that nobody knows yet
//! calls first and says where it is called; it is attended to for as long as it is connected, and belongs to the
//! cluster once it has registered.

mod answering;
pub(crate) mod directory;
mod hello;
mod inbound;
mod outbound;
pub(crate) mod questions;

pub(crate) use hello::{ANYBODY, Hello, HelloError, key_of};

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::{Rc, Weak};
use std::sync::Arc;

use chronik_broker::PeerMessage;
use chronik_log::Members;
use chronik_wire::types::NodeId;
use tokio::net::TcpListener;
use tokio::sync::watch;

use self::outbound::Outbound;
use crate::gate::Life;
use crate::limits;
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
    /// `host:port` where the others call this node.
    pub(crate) own_address: String,
    /// `host:port` of the peer listeners of other nodes, as configured. What a node says of itself changes none of them.
    pub(crate) addresses: BTreeMap<NodeId, String>,
    /// `host:port` of the peer listeners of nodes that this one has heard of.
    pub(crate) contacts: BTreeMap<NodeId, String>,
    /// `host:port` of peer listeners of a running cluster that this node joins, whoever lives there.
    pub(crate) joins: Vec<String>,
    /// Set when the cluster says that it has removed this node.
    pub(crate) removed: watch::Sender<bool>,
}

/// A node that this one has to do with.
struct Known {
    outbound: Rc<Outbound>,
    /// Number of its newest inbound connection: an older one ends, so that order is kept over a reconnect, and a peer
    /// that vanished without a word leaves nothing behind.
    newest_inbound: watch::Sender<u64>,
    /// The start number that it gave when it last called; none has before the first call.
    incarnation: Cell<Option<u64>>,
}

/// A node's peer connections.
pub(crate) struct Peers {
    plan: PeerPlan,
    counters: Arc<EdgeCounters>,
    known: RefCell<BTreeMap<NodeId, Known>>,
    /// Nodes that have called and are not registered yet.
    newcomers: RefCell<BTreeSet<NodeId>>,
    /// Nodes that were removed, with the start number of the life that had called. One that never has may be dead, and
    /// its id somebody else's soon: nobody is told anything then.
    removed: RefCell<BTreeMap<NodeId, u64>>,
    /// What the metadata says: the cluster's id, and the disks it was founded with.
    cluster_id: Cell<u128>,
    founders: RefCell<Members>,
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
        let peers = Rc::new(Peers {
            known: RefCell::default(),
            newcomers: RefCell::default(),
            removed: RefCell::default(),
            cluster_id: Cell::new(0),
            founders: RefCell::default(),
            inbound_open: Cell::new(0),
            next_inbound: Cell::new(1),
            plan,
            counters,
        });
        let contacts = peers.plan.contacts.iter();
        for (peer, address) in contacts.chain(&peers.plan.addresses) {
            peers.meet(*peer, address, life);
        }
        life.spawn(inbound::accept(Rc::clone(&peers), listener, Rc::clone(life), shard));
        peers
    }

    /// From now on this peer is called there, unless the configuration says where, and answered when it calls.
    fn meet(self: &Rc<Self>, peer: NodeId, address: &str, life: &Rc<Life>) {
        let address = self.plan.addresses.get(&peer).map_or(address, String::as_str);
        let mut all = self.known.borrow_mut();
        if let Some(known) = all.get(&peer) {
            known.outbound.move_to(address);
            return;
        }
        let outbound = Outbound::new(peer, address.to_owned());
        life.spawn(outbound::run(Rc::clone(&outbound), Rc::clone(self)));
        all.insert(
            peer,
            Known { outbound, newest_inbound: watch::Sender::new(0), incarnation: Cell::default() },
        );
    }

    /// This peer is neither called nor heard any more.
    fn part(&self, peer: NodeId) -> Option<Known> {
        self.newcomers.borrow_mut().remove(&peer);
        let known = self.known.borrow_mut().remove(&peer)?;
        known.outbound.end();
        Some(known)
    }

    /// The peer has left the cluster: parts from it, and says so should this life of it call again.
    fn dismiss(&self, peer: NodeId) {
        let Some(known) = self.part(peer) else { return };
        tracing::info!(peer = peer.0, "the peer does not belong to the cluster any more");
        let Some(incarnation) = known.incarnation.get() else { return };
        let mut removed = self.removed.borrow_mut();
        removed.insert(peer, incarnation);
        if removed.len() > limits::PEERS_REMOVED_MAX {
            removed.pop_first();
        }
    }

    /// The peer is known to be dead: what its connection still holds is not heard any more. A leader that speaks after
    /// its death would keep the others from electing a new one.
    pub(crate) fn hang_up(&self, peer: NodeId) {
        if let Some(known) = self.known.borrow().get(&peer) {
            known.newest_inbound.send_replace(self.next_number());
        }
    }

    fn next_number(&self) -> u64 {
        self.next_inbound.replace(self.next_inbound.get() + 1)
    }

    /// Queues a message for a peer.
    pub(crate) fn send(&self, to: NodeId, message: &PeerMessage) {
        let queued = self.known.borrow().get(&to).is_some_and(|known| known.outbound.push(message));
        if !queued {
            self.counters.peer_messages_dropped.add(1);
        }
    }

    /// What this node says of itself to `to`.
    fn hello(&self, to: NodeId) -> Hello {
        Hello {
            cluster_key: self.plan.cluster_key,
            cluster_id: self.cluster_id.get(),
            from: self.plan.node,
            to,
            incarnation: self.plan.incarnation,
            address: self.plan.own_address.clone(),
            removed: false,
        }
    }
}
