//! A shard: one thread, one runtime, all partitions that live on it, of every node of the process.
//!
//! Owns the seats of the nodes and the ways between them. Its turn (`turn.rs`) drives them; other threads reach it
//! through its port.

mod compaction_thread;
mod disk_thread;
pub(crate) mod port;
pub(crate) mod seat;
mod thread;
mod turn;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use chronik_broker::{Hosts, PeerMessage};
use chronik_wire::types::NodeId;
use tokio::sync::oneshot;

use self::port::{Event, ShardPort};
use self::seat::Seat;
pub(crate) use self::thread::ShardThread;
use crate::clock::Clock;
use crate::peers::delayed::{Delayed, Travelling};
use crate::peers::links::{Links, Verdict};
use crate::profile::Profile;

/// How messages leave a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Carrier {
    /// Straight into the other node's queues: all nodes are in this process.
    InProcess,
    /// Over the node's peer connections.
    Tcp,
}

/// What all shards of a process are told at their start.
#[derive(Clone)]
pub(crate) struct ShardConfig {
    /// Time.
    pub(crate) clock: Clock,
    /// Timers.
    pub(crate) profile: Profile,
    /// How messages leave a node.
    pub(crate) carrier: Carrier,
    /// Seed of the links' faults.
    pub(crate) seed: u64,
    /// All shards of the process, by index.
    pub(crate) ports: Arc<[Arc<ShardPort>]>,
}

/// Something a test or a start waits for, looked at after every turn.
struct Awaited {
    holds: Box<dyn Fn(&Shard) -> bool>,
    done: oneshot::Sender<()>,
}

/// One shard, as its own thread sees it.
pub(crate) struct Shard {
    index: usize,
    config: ShardConfig,
    port: Arc<ShardPort>,
    seats: RefCell<Vec<Rc<Seat>>>,
    links: RefCell<Links>,
    delayed: RefCell<Delayed>,
    awaited: RefCell<Vec<Awaited>>,
    next_deal: Cell<usize>,
}

impl Shard {
    fn new(index: usize, config: ShardConfig) -> Rc<Shard> {
        let links = Links::new(config.seed.wrapping_add(index as u64));
        Rc::new(Shard {
            index,
            port: Arc::clone(&config.ports[index]),
            config,
            seats: RefCell::new(Vec::new()),
            links: RefCell::new(links),
            delayed: RefCell::new(Delayed::default()),
            awaited: RefCell::new(Vec::new()),
            next_deal: Cell::new(0),
        })
    }

    /// This shard's number.
    pub(crate) fn index(&self) -> usize {
        self.index
    }

    /// This shard's door.
    pub(crate) fn port(&self) -> &Arc<ShardPort> {
        &self.port
    }

    /// Time.
    pub(crate) fn clock(&self) -> &Clock {
        &self.config.clock
    }

    /// The links of this shard's messages.
    pub(crate) fn links(&self) -> &RefCell<Links> {
        &self.links
    }

    /// A node that runs here.
    pub(crate) fn seat(&self, node: NodeId) -> Option<Rc<Seat>> {
        self.seats.borrow().iter().find(|seat| seat.node == node).cloned()
    }

    /// All nodes that run here, in order of their ids.
    pub(crate) fn seats(&self) -> Vec<Rc<Seat>> {
        self.seats.borrow().clone()
    }

    /// A node runs here from now on.
    pub(crate) fn add(&self, seat: Rc<Seat>) {
        let mut seats = self.seats.borrow_mut();
        seats.push(seat);
        seats.sort_by_key(|seat| seat.node);
        self.port.wake();
    }

    /// Ends a node here: from this call on it does nothing more, and when this returns all it owned is gone.
    pub(crate) async fn remove(&self, node: NodeId) -> bool {
        let Some(seat) = self.seat(node) else { return false };
        self.seats.borrow_mut().retain(|other| other.node != node);
        seat.life.end().await;
        true
    }

    /// Takes all nodes away at one instant. Whoever called ends their lives.
    pub(crate) fn take_all(&self) -> Vec<Rc<Seat>> {
        self.seats.take()
    }

    /// The shard on which the next connection goes, round robin.
    pub(crate) fn deal(&self) -> Arc<ShardPort> {
        let next = self.next_deal.replace(self.next_deal.get().wrapping_add(1));
        Arc::clone(&self.config.ports[next % self.config.ports.len()])
    }

    /// What `look` finds, now or after the first turn after which it finds something; `None` when that takes longer
    /// than `limit`.
    pub(crate) async fn find<R: 'static>(
        &self,
        limit: Duration,
        look: impl Fn(&Shard) -> Option<R> + 'static,
    ) -> Option<R> {
        if let Some(found) = look(self) {
            return Some(found);
        }
        let slot = Rc::new(RefCell::new(None));
        let found = Rc::clone(&slot);
        let holds = move |shard: &Shard| {
            *found.borrow_mut() = look(shard);
            found.borrow().is_some()
        };
        let (done, receiver) = oneshot::channel();
        self.awaited.borrow_mut().push(Awaited { holds: Box::new(holds), done });
        self.port.wake();
        // Either way the slot says what came of it.
        let _ = tokio::time::timeout(limit, receiver).await;
        slot.take()
    }

    /// Sends a message on the link from `from`, with the link's faults.
    fn send(&self, from: &Seat, to: NodeId, message: PeerMessage, now_ms: u64) {
        from.counters.edge.peer_messages_sent.add(1);
        let verdict = self.links.borrow_mut().verdict(from.node, to);
        let delay_ms = match verdict {
            Verdict::Drop => {
                from.counters.edge.peer_messages_dropped.add(1);
                return;
            }
            Verdict::Delay(delay_ms) => delay_ms,
            Verdict::Pass if self.delayed.borrow().occupies(from.node, to) => 0,
            Verdict::Pass => return self.carry(from.node, to, message),
        };
        let travelling = Travelling { from: from.node, to, message };
        if !self.delayed.borrow_mut().push(now_ms, delay_ms, travelling) {
            from.counters.edge.peer_messages_dropped.add(1);
        }
    }

    /// Hands a message over, its link being well or its journey done.
    fn carry(&self, from: NodeId, to: NodeId, message: PeerMessage) {
        match self.config.carrier {
            Carrier::InProcess => self.deliver(from, to, message),
            Carrier::Tcp if self.index != 0 => self.pass_on(0, from, Event::Carry(from, to, message)),
            Carrier::Tcp => {
                let seats = self.seats.borrow();
                let Some(seat) = seats.iter().find(|seat| seat.node == from) else { return };
                match &*seat.peers.borrow() {
                    Some(peers) => peers.send(to, &message),
                    None => seat.counters.edge.peer_messages_dropped.add(1),
                }
            }
        }
    }

    /// Hands an event over to another shard. `node`, one of this process, counts it if it is lost.
    fn pass_on(&self, shard: usize, node: NodeId, event: Event) {
        if !self.config.ports[shard].send(event)
            && let Some(seat) = self.seats.borrow().iter().find(|seat| seat.node == node)
        {
            seat.counters.edge.peer_messages_dropped.add(1);
        }
    }

    /// Gives a message to a node of this process, on the shard it concerns.
    pub(crate) fn deliver(&self, from: NodeId, to: NodeId, message: PeerMessage) {
        let shard = match &message {
            PeerMessage::Replica(key, _) => Hosts::shard_of(*key, self.config.ports.len()),
            PeerMessage::Node(_) => 0,
        };
        if shard != self.index {
            return self.pass_on(shard, to, Event::Deliver(from, to, message));
        }
        let seats = self.seats.borrow();
        // A message for a node that is down is lost, as on a network.
        if let Some(seat) = seats.iter().find(|seat| seat.node == to) {
            seat.receive(from, message);
        }
        if !self.awaited.borrow().is_empty() {
            self.port.wake();
        }
    }
}
