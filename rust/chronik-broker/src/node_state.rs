//! What all shards of one node have in common: the image, the view of the other nodes, calls under way, the outbox.
//!
//! Everything here is short-held and uncontended; no lock is kept across an await.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use chronik_coord::groups::Groups;
use chronik_coord::share::ShareCoordinator;
use chronik_coord::transactions::Transactions;
use chronik_coord::{CommandId, MetaImage};
use chronik_log::Members;
use chronik_wire::types::{NodeId, Offset};
use tokio::sync::{oneshot, watch};

use crate::config::BrokerConfig;
use crate::coordination::Doors;
use crate::counters::BrokerCounters;
use crate::founding::Founding;
use crate::limits;
use crate::meta::MetaSeat;
use crate::peer::NodeMessage;
use crate::quotas::Buckets;
use crate::share::ShareTable;
use crate::strays::StartFacts;
use crate::view::ClusterView;

/// What came back for a call to another node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CallAnswer {
    /// The controller's encoded reply, or a forwarded response.
    Bytes(Bytes),
    /// The node got there.
    Done,
    /// The node asked cannot do it.
    Refused,
}

/// One node's shared state.
pub struct NodeState {
    /// The fixed configuration.
    pub config: BrokerConfig,
    /// Counters of this node.
    pub counters: Arc<BrokerCounters>,
    pub(crate) seat: Arc<MetaSeat>,
    view: Mutex<ClusterView>,
    view_changed: watch::Sender<u64>,
    outbox: Mutex<Vec<(NodeId, NodeMessage)>>,
    calls: Mutex<HashMap<u64, oneshot::Sender<CallAnswer>>>,
    next_call: AtomicU64,
    next_command: AtomicU64,
    /// Per shard: the metadata its replicas have been brought in line with.
    placed: Mutex<Vec<Offset>>,
    start: StartFacts,
    pub(crate) group_doors: Doors<Groups>,
    pub(crate) transaction_doors: Doors<Transactions>,
    pub(crate) share_doors: Doors<ShareCoordinator>,
    pub(crate) share: ShareTable,
    founding: Mutex<Founding>,
    buckets: Mutex<Buckets>,
    wake: Arc<dyn Fn() + Send + Sync>,
}

impl NodeState {
    /// The state of a node that has just started. `wake` tells the edge that the outbox is not empty.
    pub fn new(
        config: BrokerConfig,
        counters: Arc<BrokerCounters>,
        wake: Arc<dyn Fn() + Send + Sync>,
    ) -> Arc<NodeState> {
        let view = ClusterView::new(config.node, config.voters.iter().copied());
        // Each life numbers its calls from a random place: an answer to an earlier one must find nobody here.
        let next_call = AtomicU64::new(config.incarnation);
        let founding = Founding::new(config.node, &config.voters, config.designated, config.incarnation);
        let placed = Mutex::new(vec![Offset::UNKNOWN; config.shards.max(1)]);
        Arc::new(NodeState {
            config,
            counters,
            seat: Arc::new(MetaSeat::default()),
            view: Mutex::new(view),
            view_changed: watch::channel(0).0,
            outbox: Mutex::new(Vec::new()),
            calls: Mutex::new(HashMap::new()),
            next_call,
            next_command: AtomicU64::new(1),
            placed,
            start: StartFacts::default(),
            group_doors: Doors::default(),
            transaction_doors: Doors::default(),
            share_doors: Doors::default(),
            share: ShareTable::default(),
            founding: Mutex::new(founding),
            buckets: Mutex::default(),
            wake,
        })
    }

    /// The newest applied metadata.
    pub fn image(&self) -> Arc<MetaImage> {
        self.seat.image()
    }

    /// To be told of every new image.
    pub fn subscribe_image(&self) -> watch::Receiver<Arc<MetaImage>> {
        self.seat.subscribe()
    }

    /// The nodes that this one has to do with, by this image: those it was founded with, unless they have left, and those
    /// that have registered. One that joins begins with the nodes it has heard of.
    pub fn other_nodes(&self, image: &MetaImage) -> BTreeSet<NodeId> {
        let config = &self.config;
        let founders = config.voters.iter().filter(|node| !image.has_left(**node));
        let mut others: BTreeSet<NodeId> = founders.chain(image.brokers.keys()).copied().collect();
        if !self.registered_by(image.offset) {
            others.extend(config.contacts.iter().copied());
        }
        others.remove(&config.node);
        others
    }

    /// The disks that the cluster was founded with; empty while this node does not know them.
    pub fn founders(&self) -> Members {
        self.founding(|founding| founding.founders())
    }

    /// Reads or changes the view of the other nodes.
    pub fn view<R>(&self, read: impl FnOnce(&mut ClusterView) -> R) -> R {
        read(&mut lock(&self.view))
    }

    /// Whether this node's disk is one the cluster was founded with: it votes. A node with a wiped or a new disk follows.
    pub fn is_member(&self) -> bool {
        self.founding(|founding| founding.is_member())
    }

    /// Whether this node's disk is the one that the cluster counts on: it was founded with it, or has admitted it since.
    pub fn has_vote(&self) -> bool {
        let directory = self.founding(|founding| founding.directory());
        match self.image().quorum_member(self.config.node) {
            Some(member) => directory == Some(member.directory),
            None => self.is_member(),
        }
    }

    /// Reads or changes this node's part in the founding of the cluster.
    pub(crate) fn founding<R>(&self, change: impl FnOnce(&mut Founding) -> R) -> R {
        change(&mut lock(&self.founding))
    }

    /// Reads or changes the account over clients with quotas.
    pub(crate) fn buckets<R>(&self, change: impl FnOnce(&mut Buckets) -> R) -> R {
        change(&mut lock(&self.buckets))
    }

    /// Tells everyone who waits for leaders or nodes that the view has changed.
    pub(crate) fn view_has_changed(&self) {
        self.view_changed.send_modify(|version| *version += 1);
    }

    /// To be told of changes of the view.
    pub fn subscribe_view(&self) -> watch::Receiver<u64> {
        self.view_changed.subscribe()
    }

    /// Queues a message for another node. An overfull outbox drops it: every sender resends or heals.
    pub(crate) fn send(&self, to: NodeId, message: NodeMessage) {
        let mut outbox = lock(&self.outbox);
        if outbox.len() < limits::NODE_OUTBOX_MAX {
            outbox.push((to, message));
        }
        drop(outbox);
        (self.wake)();
    }

    /// Everything queued for other nodes.
    pub fn take_messages(&self) -> Vec<(NodeId, NodeMessage)> {
        std::mem::take(&mut lock(&self.outbox))
    }

    /// Opens a call: its number and where its answer arrives. `None` when too many are open.
    pub(crate) fn open_call(&self) -> Option<(u64, oneshot::Receiver<CallAnswer>)> {
        let call = self.next_call.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        let mut calls = lock(&self.calls);
        if calls.len() >= limits::PENDING_CALLS_MAX {
            // Callers that gave up leave their entry behind until somebody needs the room.
            calls.retain(|_, waiting| !waiting.is_closed());
        }
        if calls.len() >= limits::PENDING_CALLS_MAX {
            return None;
        }
        calls.insert(call, sender);
        Some((call, receiver))
    }

    /// Ends a call; an unknown number is ignored, since its caller has gone or was answered already.
    pub(crate) fn answer_call(&self, call: u64, answer: CallAnswer) {
        if let Some(waiting) = lock(&self.calls).remove(&call) {
            let _ = waiting.send(answer);
        }
    }

    /// Forgets a call that its caller has given up.
    pub(crate) fn close_call(&self, call: u64) {
        lock(&self.calls).remove(&call);
    }

    /// The replicas of a shard are as the metadata at `offset` says.
    pub(crate) fn set_placed(&self, shard: usize, offset: Offset) {
        if let Some(placed) = lock(&self.placed).get_mut(shard) {
            *placed = offset;
        }
        self.view_has_changed();
    }

    /// Whether all shards are at least as far as the metadata at `offset`.
    pub(crate) fn has_placed(&self, offset: Offset) -> bool {
        lock(&self.placed).iter().all(|placed| *placed >= offset)
    }

    /// This start of the node is registered at `offset` of the metadata log.
    pub(crate) fn set_registered(&self, offset: Offset) {
        self.start.registered_at.send_replace(Some(offset));
    }

    /// Whether this start of the node is registered.
    pub fn is_registered(&self) -> bool {
        self.start.registered_at.borrow().is_some()
    }

    /// Whether the metadata up to `offset` covers the registration of this start: then it holds everything that was
    /// so when the node started.
    pub(crate) fn registered_by(&self, offset: Offset) -> bool {
        self.start.registered_at.borrow().is_some_and(|at| at <= offset)
    }

    /// Waits until `registered_by(offset)` holds; `false` when the node is gone first.
    pub(crate) async fn registers_by(&self, offset: Offset) -> bool {
        let mut registered = self.start.registered_at.subscribe();
        registered.wait_for(|at| at.is_some_and(|at| at <= offset)).await.is_ok()
    }

    /// Where this start of the node is registered, once it is; `None` when the node is gone first.
    pub(crate) async fn registered_at(&self) -> Option<Offset> {
        let mut registered = self.start.registered_at.subscribe();
        registered.wait_for(Option::is_some).await.ok().and_then(|at| *at)
    }

    /// The node found metadata of its own when it started.
    pub(crate) fn set_had_metadata(&self) {
        self.start.had_metadata.store(true, Ordering::Relaxed);
    }

    /// Whether the node found metadata of its own when it started.
    pub(crate) fn had_metadata(&self) -> bool {
        self.start.had_metadata.load(Ordering::Relaxed)
    }

    /// A command id that was never used before.
    pub(crate) fn next_command_id(&self) -> CommandId {
        CommandId {
            node: self.config.node,
            incarnation: self.config.incarnation,
            sequence: self.next_command.fetch_add(1, Ordering::Relaxed),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
