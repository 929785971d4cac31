//! One node on one shard: its host, its broker, its tasks, and what waits for it while it is frozen.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use chronik_broker::{Broker, Hosts, NodeState, PeerMessage, ShardSender};
use chronik_log::Disk;
use chronik_replica::{CompactionReport, Host, HostConfig, ReplicaError, SyncMode, SyncReport, TurnOutput};
use chronik_wire::types::NodeId;

use super::compaction_thread::CompactionThread;
use super::disk_thread::DiskThread;
use super::port::{HostDoor, ShardPort};
use crate::clock::Clock;
use crate::connection::RequestBudget;
use crate::gate::Life;
use crate::limits;
use crate::logs::NodeLog;
use crate::peers::backlog::Backlog;
use crate::peers::tcp::Peers;
use crate::stats::NodeCounters;
use crate::world::TokioWorld;

/// Everything a shard needs to seat a node. The same for all shards of the node.
#[derive(Clone)]
pub(crate) struct SeatPlan {
    /// The state that the node's shards share.
    pub(crate) node: Arc<NodeState>,
    /// Timers and durability of its replicas.
    pub(crate) host: HostConfig,
    /// Its disk.
    pub(crate) disk: Arc<dyn Disk>,
    /// Its counters.
    pub(crate) counters: NodeCounters,
    /// Its log lines.
    pub(crate) log: Arc<NodeLog>,
    /// All shards of the process.
    pub(crate) shards: Arc<[Arc<ShardPort>]>,
}

/// A node was not seated.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SeatError {
    /// Its replicas could not be opened.
    #[error(transparent)]
    Replica(#[from] ReplicaError),
    /// The system gave no thread.
    #[error("no disk thread: {0}")]
    Thread(#[from] std::io::Error),
}

/// A running node on one shard.
pub(crate) struct Seat {
    /// The node.
    pub(crate) node: NodeId,
    /// Its life on this shard: every task of it.
    pub(crate) life: Rc<Life>,
    /// Its replicas of this shard.
    pub(crate) host: Rc<RefCell<Host>>,
    /// Its broker of this shard.
    pub(crate) broker: Rc<Broker>,
    /// What its shards share.
    pub(crate) state: Arc<NodeState>,
    /// Its counters.
    pub(crate) counters: NodeCounters,
    /// Memory for requests.
    pub(crate) budget: Rc<RequestBudget>,
    /// Connections to other processes; on shard 0 of a node with TCP peers.
    pub(crate) peers: RefCell<Option<Rc<Peers>>>,
    shard: usize,
    incarnation: u64,
    backlog: RefCell<Backlog>,
    catching_up: Cell<bool>,
    disk_thread: Option<DiskThread>,
    /// Started with the first task.
    compaction_thread: RefCell<Option<CompactionThread>>,
    port: Arc<ShardPort>,
}

impl Seat {
    /// Entries that the node's replicas have applied, on all its shards.
    pub(super) fn applied(&self) -> u64 {
        self.counters.replica.entries_applied.get()
    }

    /// Opens the node's replicas of shard `shard`. Nothing runs yet.
    pub(crate) fn open(plan: &SeatPlan, shard: usize, clock: &Clock) -> Result<Rc<Seat>, SeatError> {
        let _scope = crate::logs::LogScope::enter(&plan.log);
        let port = Arc::clone(&plan.shards[shard]);
        let bell = Arc::clone(&port);
        let wake: Arc<dyn Fn() + Send + Sync> = Arc::new(move || bell.wake());
        let counters = plan.counters.clone();
        let host = Host::new(plan.host.clone(), Arc::clone(&plan.disk), Arc::clone(&counters.replica), wake);
        let host = Rc::new(RefCell::new(host));
        let hosts = if plan.shards.len() == 1 {
            Hosts::single(Rc::clone(&host))
        } else {
            let door = |port: &Arc<ShardPort>| -> Arc<dyn ShardSender> {
                Arc::new(HostDoor { node: plan.host.node, port: Arc::clone(port) })
            };
            Hosts::sharded(Rc::clone(&host), shard, plan.shards.iter().map(door).collect())
        };
        let life = Life::new(Arc::clone(&plan.log));
        let world = TokioWorld::new(clock.clone(), Rc::clone(&life));
        let broker = Broker::new(Arc::clone(&plan.node), shard, world, hosts)?;
        let disk_thread = match plan.host.sync {
            SyncMode::Deferred => {
                let edge = Arc::clone(&counters.edge);
                Some(DiskThread::start(plan.host.node, plan.host.incarnation, Arc::clone(&port), edge)?)
            }
            SyncMode::Inline | SyncMode::Never => None,
        };
        Ok(Rc::new(Seat {
            node: plan.host.node,
            life,
            host,
            broker,
            state: Arc::clone(&plan.node),
            counters,
            budget: RequestBudget::new(limits::NODE_REQUEST_BYTES_MAX / plan.shards.len()),
            peers: RefCell::new(None),
            shard,
            incarnation: plan.host.incarnation,
            backlog: RefCell::new(Backlog::default()),
            catching_up: Cell::new(false),
            disk_thread,
            compaction_thread: RefCell::new(None),
            port,
        }))
    }

    /// The node's start number.
    pub(crate) fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// Takes a message from another node, or keeps it while the node is frozen or still catching up.
    pub(crate) fn receive(&self, from: NodeId, message: PeerMessage) {
        if self.life.is_frozen() || self.catching_up.get() {
            if !self.backlog.borrow_mut().push(from, message) {
                self.counters.edge.peer_messages_dropped.add(1);
            }
            return;
        }
        self.take(from, message);
    }

    fn take(&self, from: NodeId, message: PeerMessage) {
        let _scope = self.life.log_scope();
        self.counters.edge.peer_messages_received.add(1);
        match message {
            PeerMessage::Replica(key, message) => self.host.borrow_mut().on_message(from, key, message),
            PeerMessage::Node(message) => self.broker.on_node_message(from, message),
        }
    }

    /// After a thaw: takes one message of every sender. True while some are left.
    pub(crate) fn catch_up(&self) -> bool {
        if !self.catching_up.get() {
            return false;
        }
        let round = self.backlog.borrow_mut().take_round();
        for (from, message) in round {
            self.take(from, message);
        }
        self.catching_up.set(!self.backlog.borrow().is_empty());
        self.catching_up.get()
    }

    /// Stops the node where it stands.
    pub(crate) fn freeze(&self) {
        self.life.set_frozen(true);
    }

    /// Lets it go on. Nobody is judged by the silence that was its own.
    pub(crate) fn thaw(&self, now_ms: u64) {
        self.state.view(|view| view.forgive_silence(now_ms));
        self.catching_up.set(!self.backlog.borrow().is_empty());
        self.life.set_frozen(false);
    }

    /// Messages for other nodes that are not about one replica.
    pub(crate) fn take_node_messages(&self) -> Vec<(NodeId, chronik_broker::NodeMessage)> {
        if self.shard == 0 { self.state.take_messages() } else { Vec::new() }
    }

    /// One turn of the host, if it wants one.
    pub(crate) fn turn(&self, now_ms: u64) -> Option<TurnOutput> {
        if !self.host.borrow().is_dirty() {
            return None;
        }
        let _scope = self.life.log_scope();
        let mut output = self.host.borrow_mut().turn(now_ms);
        self.broker.announce_leader_changes();
        if let (Some(job), Some(thread)) = (output.sync.take(), &self.disk_thread) {
            thread.submit(job);
        }
        self.start_compaction();
        Some(output)
    }

    /// Hands the next compaction to its thread, if there is one to run.
    fn start_compaction(&self) {
        if !self.host.borrow().wants_compaction() {
            return;
        }
        let mut thread = self.compaction_thread.borrow_mut();
        if thread.is_none() {
            match CompactionThread::start(self.node, self.incarnation, Arc::clone(&self.port)) {
                Ok(started) => *thread = Some(started),
                Err(error) => return tracing::warn!(node = %self.node, %error, "no compaction thread"),
            }
        }
        if let (Some(thread), Some(task)) = (thread.as_ref(), self.host.borrow_mut().take_compaction()) {
            thread.submit(task);
        }
    }

    /// The compaction thread has finished a task of this life.
    pub(crate) fn on_compacted(&self, report: CompactionReport) {
        let _scope = self.life.log_scope();
        self.host.borrow_mut().on_compacted(report);
        self.start_compaction();
    }

    /// What is due because time passed: retention and compaction.
    pub(crate) fn run_retention(&self, wall_ms: i64) {
        let _scope = self.life.log_scope();
        self.host.borrow_mut().run_retention(wall_ms);
        self.start_compaction();
    }

    /// The disk thread has finished a job of this life.
    pub(crate) fn on_synced(&self, report: SyncReport) {
        let _scope = self.life.log_scope();
        self.host.borrow_mut().on_synced(report);
    }

    /// A tick of the host.
    pub(crate) fn tick(&self, now_ms: u64) {
        let _scope = self.life.log_scope();
        self.host.borrow_mut().on_tick(now_ms);
    }

    /// A beat of the node; `late` if the shard itself was held up, which makes silence no evidence.
    pub(crate) fn beat(&self, now_ms: u64, late: bool) {
        if self.shard != 0 {
            return;
        }
        let _scope = self.life.log_scope();
        if late {
            self.state.view(|view| view.forgive_silence(now_ms));
        }
        self.broker.on_beat(now_ms);
    }
}
