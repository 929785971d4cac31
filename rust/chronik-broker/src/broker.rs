//! One shard's broker: where a request frame comes in and a response goes out, and where nodes talk to each other.
//!
//! Owns the shard's fetch sessions and the door to the replicas; shares the node's state with its other shards.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;

use chronik_coord::groups::{Groups, GroupsState};
use chronik_coord::metadata_generation;
use chronik_coord::share::{ShareCoordinator, ShareStates};
use chronik_coord::transactions::{Transactions, TransactionsState};
use chronik_log::{Index, LogConfig};
use chronik_replica::{Host, Replica, ReplicaError, ReplicaSpec, Standing, TopicSettings};
use chronik_wire::types::{DirectoryId, NodeId, PartitionKey};

use crate::arrivals::Arrivals;
use crate::coordination::Seats;
use crate::fetch_session::SessionCache;
use crate::forward::ForwardsTaken;
use crate::hosts::Hosts;
use crate::limits;
use crate::membership;
use crate::meta::MetaMachine;
use crate::node_state::{CallAnswer, NodeState};
use crate::peer::NodeMessage;
use crate::producer_ids::ProducerIds;
use crate::reconcile::directory_of;
use crate::repairs::Repairs;
use crate::topic_configs::TopicConfigs;
use crate::world::{World, random_u128};

/// A node's broker on one of its shards.
pub struct Broker {
    pub(crate) node: Arc<NodeState>,
    pub(crate) shard: usize,
    pub(crate) world: Rc<dyn World>,
    pub(crate) hosts: Hosts,
    pub(crate) sessions: RefCell<SessionCache>,
    pub(crate) topic_configs: TopicConfigs,
    pub(crate) producer_ids: ProducerIds,
    pub(crate) forwards_taken: RefCell<ForwardsTaken>,
    pub(crate) group_seats: Seats<GroupsState>,
    pub(crate) transaction_seats: Seats<TransactionsState>,
    pub(crate) share_seats: Seats<ShareStates>,
    pub(crate) arrivals: RefCell<Arrivals>,
    /// Nodes this one has not heard of whose beats were answered in this interval; on shard 0.
    answered: RefCell<BTreeSet<NodeId>>,
    pub(crate) repairs: Repairs,
}

impl Broker {
    /// The broker of shard `shard`. On shard 0 this opens the metadata replica, so that it exists before any listener.
    pub fn new(
        node: Arc<NodeState>,
        shard: usize,
        world: Rc<dyn World>,
        hosts: Hosts,
    ) -> Result<Rc<Broker>, ReplicaError> {
        membership::await_standing(&node, &mut hosts.own().borrow_mut());
        if shard == 0 {
            membership::open(&node, &hosts, DirectoryId(random_u128(&*world)))?;
            open_metadata(&node, &mut hosts.own().borrow_mut())?;
        }
        let sessions = RefCell::new(SessionCache::new(world.random_u64()));
        Ok(Rc::new(Broker {
            node,
            shard,
            world,
            hosts,
            sessions,
            topic_configs: TopicConfigs::default(),
            producer_ids: ProducerIds::default(),
            forwards_taken: RefCell::default(),
            group_seats: Seats::default(),
            transaction_seats: Seats::default(),
            share_seats: Seats::default(),
            arrivals: RefCell::default(),
            answered: RefCell::default(),
            repairs: Repairs::default(),
        }))
    }

    /// The state shared with the node's other shards.
    pub fn node(&self) -> &Arc<NodeState> {
        &self.node
    }

    /// The door to this node's replicas.
    pub fn hosts(&self) -> &Hosts {
        &self.hosts
    }

    /// Starts what runs beside requests: following the metadata and, on shard 0, joining the cluster.
    pub fn start(self: &Rc<Self>) {
        self.world.spawn(Box::pin(Rc::clone(self).reconcile_forever()));
        if self.shard == 0 {
            self.send_beats();
            self.ask_for_standing();
            self.world.spawn(Box::pin(Rc::clone(self).register_forever()));
        }
        self.world.spawn(Box::pin(Rc::clone(self).remove_strays()));
    }

    /// Every beat interval, on shard 0: says "alive", and notices who does not.
    pub fn on_beat(&self, now_ms: u64) {
        let timeout_ms = self.node.config.peer_timeout_ms;
        let gone = self.node.view(|view| view.expire(now_ms, timeout_ms));
        for node in gone {
            self.peer_went_down(node, false);
        }
        self.answered.borrow_mut().clear();
        self.send_beats();
        self.ask_for_standing();
    }

    /// The edge knows for certain that a node has died or was stopped.
    pub fn on_peer_stopped(&self, node: NodeId) {
        let now_ms = self.world.now_ms();
        if self.node.view(|view| view.set_alive(node, false, now_ms)) {
            self.peer_went_down(node, true);
        }
    }

    /// Takes a message from another node; runs on shard 0.
    pub fn on_node_message(self: &Rc<Self>, from: NodeId, message: NodeMessage) {
        match message {
            NodeMessage::Beat { incarnation, leadership_version } => {
                self.on_peer_beat(from, incarnation, leadership_version);
            }
            NodeMessage::StandingRequest { life } => self.on_standing_request(from, life),
            NodeMessage::StandingReply { life, directory, members } => {
                self.on_standing_reply(from, life, directory, &members);
            }
            NodeMessage::LeadershipRequest => self.send_own_leaderships(from),
            NodeMessage::Leadership { from_version, to_version, changes } => {
                if self.node.view(|view| view.on_announcement(from, from_version, to_version, &changes)) {
                    self.node.view_has_changed();
                }
            }
            NodeMessage::ControllerCall { call, command } => {
                self.world.spawn(Box::pin(Rc::clone(self).serve_controller_call(from, call, command)));
            }
            NodeMessage::ControllerReply { call, reply } => {
                self.node.answer_call(call, reply.map_or(CallAnswer::Refused, CallAnswer::Bytes));
            }
            NodeMessage::AwaitTopics { call, applied, topics } => {
                let broker = Rc::clone(self);
                self.world.spawn(Box::pin(async move {
                    let deadline_ms = broker.world.now_ms() + limits::INTERNAL_CALL_TIMEOUT_MS;
                    if broker.await_topics_here(applied, &topics, deadline_ms).await {
                        broker.node.send(from, NodeMessage::AwaitTopicsReply { call });
                    }
                }));
            }
            NodeMessage::AwaitTopicsReply { call } => self.node.answer_call(call, CallAnswer::Done),
            NodeMessage::QuorumQuestion { call, applied } => {
                let settled = self.is_quorum_settled(applied);
                self.node.send(from, NodeMessage::QuorumAnswer { call, settled });
            }
            NodeMessage::QuorumAnswer { call, settled } => {
                self.node.answer_call(call, if settled { CallAnswer::Done } else { CallAnswer::Refused });
            }
            NodeMessage::ForwardRequest { call, frame } => {
                self.on_forwarded(from, call, frame);
            }
            NodeMessage::ForwardReply { call, frame } => {
                self.node.answer_call(call, frame.map_or(CallAnswer::Refused, CallAnswer::Bytes));
            }
        }
    }

    /// After a turn: announces what this shard's replicas have come to lead, or lead no longer.
    pub fn announce_leader_changes(self: &Rc<Self>) {
        self.report_arrivals();
        let changes = self.hosts.own().borrow_mut().take_leader_changes();
        if changes.is_empty() {
            return;
        }
        let (from_version, to_version) = self.node.view(|view| {
            let before = view.own_version();
            for change in &changes {
                view.on_own_change(change);
            }
            (before + 1, view.own_version())
        });
        self.node.view_has_changed();
        for change in &changes {
            self.on_leadership::<Groups>(change);
            self.on_leadership::<Transactions>(change);
            self.on_leadership::<ShareCoordinator>(change);
        }
        for peer in self.other_nodes() {
            if changes.len() <= limits::LEADERSHIP_PER_MESSAGE_MAX {
                let changes = changes.clone();
                self.node.send(peer, NodeMessage::Leadership { from_version, to_version, changes });
            } else {
                self.send_own_leaderships(peer);
            }
        }
    }

    fn on_peer_beat(&self, from: NodeId, incarnation: u64, version: u64) {
        let now_ms = self.world.now_ms();
        let outcome = self.node.view(|view| view.on_beat(from, incarnation, version, now_ms));
        // Two nodes that have just met need not wait for an interval. A node that this one has not heard of gets no beats
        // but these answers: without them it would soon take all others for dead, and not find the controller. One answer
        // an interval is enough, and two that have not heard of each other do not answer each other for ever.
        let is_stranger = !self.other_nodes().any(|other| other == from);
        if outcome.came_up || (is_stranger && self.answered.borrow_mut().insert(from)) {
            self.send_beat(from);
        }
        if outcome.came_up {
            self.ask_for_standing();
            self.hosts.each(move |host| host.on_peer_up(from));
            self.node.view_has_changed();
        }
        if outcome.stale {
            self.node.send(from, NodeMessage::LeadershipRequest);
        }
    }

    /// Whether a node belongs to the cluster, by what this one has heard. All others are still to register.
    pub(crate) fn knows(&self, node: NodeId) -> bool {
        self.node.config.voters.contains(&node) || self.node.image().brokers.contains_key(&node)
    }

    fn peer_went_down(&self, node: NodeId, certain: bool) {
        tracing::info!(node = self.node.config.node.0, peer = node.0, certain, "peer is down");
        self.hosts.each(move |host| host.on_peer_down(node, certain));
        self.node.view_has_changed();
    }

    fn send_own_leaderships(&self, to: NodeId) {
        let (version, changes) = self.node.view(|view| view.own_leaderships());
        let mut parts = changes.chunks(limits::LEADERSHIP_PER_MESSAGE_MAX).peekable();
        if parts.peek().is_none() {
            let message =
                NodeMessage::Leadership { from_version: 0, to_version: version, changes: Vec::new() };
            self.node.send(to, message);
        }
        while let Some(part) = parts.next() {
            // Only the last part completes the version; if an earlier one is lost the stream is FIFO and so is the rest.
            let to_version = if parts.peek().is_none() { version } else { 0 };
            let message = NodeMessage::Leadership { from_version: 0, to_version, changes: part.to_vec() };
            self.node.send(to, message);
        }
    }

    fn send_beats(&self) {
        for peer in self.other_nodes() {
            self.send_beat(peer);
        }
    }

    fn send_beat(&self, to: NodeId) {
        let leadership_version = self.node.view(|view| view.own_version());
        let incarnation = self.node.config.incarnation;
        self.node.send(to, NodeMessage::Beat { incarnation, leadership_version });
    }

    /// The nodes that this one has to do with.
    pub(crate) fn other_nodes(&self) -> impl Iterator<Item = NodeId> + use<> {
        self.node.other_nodes(&self.node.image()).into_iter()
    }
}

fn open_metadata(node: &Arc<NodeState>, host: &mut Host) -> Result<(), ReplicaError> {
    let founds = node.config.voters.contains(&node.config.node);
    let directory = node.founding(|founding| founding.directory());
    let generation = metadata_generation(directory.unwrap_or(DirectoryId(0)));
    host.create_replica(ReplicaSpec {
        key: PartitionKey::META,
        voters: node.config.voters.clone(),
        // A node that the cluster was not founded with is the member that its disk is. A founder on another disk stands
        // in for its former one, until the group takes the new one in.
        generation: if founds { 0 } else { generation },
        successor: Some(generation),
        standing: if founds { None } else { Some(Standing::Voter) },
        designated: node.config.designated,
        dir: directory_of(PartitionKey::META, 0),
        log: Arc::new(LogConfig::default()),
        settings: TopicSettings { min_insync_replicas: 1, retention_ms: None, ..TopicSettings::default() },
        machine: Some(Box::new(MetaMachine(Arc::clone(&node.seat)))),
    })?;
    let log_is_empty = |replica: &Replica| replica.log().last_index() == Index::ZERO;
    if !host.replica(PartitionKey::META).is_none_or(log_is_empty) {
        node.set_had_metadata();
    }
    Ok(())
}
