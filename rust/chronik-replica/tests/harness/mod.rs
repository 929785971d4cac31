//! A deterministic little world for tests: hosts, a network moved by hand, disks that forget unsynced bytes.
//!
//! Nothing here sleeps or looks at a clock. Time is a number that `tick` advances; messages move when `settle` or
//! `tick` says so, each through the codec, so that what tests see is what a wire would carry.
#![allow(
    clippy::unwrap_used,
    dead_code,
    unreachable_pub,
    reason = "each test binary includes this module and uses its own part"
)]

pub mod faults;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use chronik_log::{LogConfig, MemDisk, UnsyncedPolicy};
use chronik_replica::*;
use chronik_wire::batch::{BatchBuilder, BatchHeader, EndTransaction};
use chronik_wire::types::{NodeId, Offset, PartitionIndex, PartitionKey, TopicId};

pub const KEY: PartitionKey = PartitionKey::new(TopicId(77), PartitionIndex(0));
/// A deadline no test reaches.
pub const LATE: u64 = u64::MAX / 2;
const TURNS_MAX: usize = 100_000;

pub fn key(partition: i32) -> PartitionKey {
    PartitionKey::new(TopicId(77), PartitionIndex(partition))
}

pub struct Node {
    pub host: Option<Host>,
    pub disk: MemDisk,
    pub config: HostConfig,
    pub counters: Arc<ReplicaCounters>,
    pub keys: BTreeMap<PartitionKey, TopicSettings>,
    /// Which member it is of a group that it does not belong to from the beginning.
    pub stays: BTreeMap<PartitionKey, u32>,
    /// Who shall belong to its groups.
    pub wanted: BTreeMap<PartitionKey, Vec<WantedMember>>,
    pub frozen: bool,
    /// What its disk is worth.
    pub standing: Standing,
    /// Sync jobs run only when told.
    pub hold_syncs: bool,
    job: Option<SyncJob>,
    /// Compactions run only when told.
    pub hold_compactions: bool,
    compaction: Option<CompactionTask>,
}

#[derive(Clone, Debug)]
pub struct Flight {
    pub from: NodeId,
    pub to: NodeId,
    pub key: PartitionKey,
    pub message: ReplicaMessage,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Arrived,
    Lost,
    Held,
}

pub type Filter = Box<dyn Fn(&Flight) -> bool>;

pub struct World {
    pub now_ms: u64,
    pub nodes: BTreeMap<NodeId, Node>,
    pub cuts: BTreeSet<(NodeId, NodeId)>,
    /// Messages kept back by `hold`, in order.
    pub held: Vec<Flight>,
    pub hold: Option<Filter>,
    /// Nodes that handle messages but get no ticks, as if their timers hung.
    pub no_ticks: BTreeSet<NodeId>,
    /// Messages on a detour, with their time of arrival.
    delayed: Vec<(u64, Flight)>,
    pub delay_percent: u64,
    pub drop_percent: u64,
    pub duplicate_percent: u64,
    pub log: Arc<LogConfig>,
    /// How many of the nodes, from the first on, groups begin with.
    pub founders: usize,
    pub delivered: u64,
    /// Every message and its fate, if somebody wants to tell the story.
    pub journal: Option<Vec<(Fate, Flight)>>,
    random: u64,
    queue: VecDeque<Flight>,
}

impl World {
    /// Nodes 1 to `count` with test timing.
    pub fn new(count: i32) -> World {
        World::with(count, |config| config)
    }

    pub fn with(count: i32, adjust: impl Fn(HostConfig) -> HostConfig) -> World {
        let mut nodes = BTreeMap::new();
        for node in (1..=count).map(NodeId) {
            let config = adjust(HostConfig::for_test(node));
            nodes.insert(
                node,
                Node {
                    host: None,
                    disk: MemDisk::new(),
                    config,
                    counters: Arc::new(ReplicaCounters::default()),
                    keys: BTreeMap::new(),
                    stays: BTreeMap::new(),
                    wanted: BTreeMap::new(),
                    frozen: false,
                    standing: Standing::Voter,
                    hold_syncs: false,
                    job: None,
                    hold_compactions: false,
                    compaction: None,
                },
            );
        }
        let mut world = World {
            now_ms: 1_000,
            nodes,
            cuts: BTreeSet::new(),
            held: Vec::new(),
            hold: None,
            no_ticks: BTreeSet::new(),
            delayed: Vec::new(),
            delay_percent: 0,
            drop_percent: 0,
            duplicate_percent: 0,
            log: Arc::new(LogConfig::default()),
            founders: count as usize,
            delivered: 0,
            journal: None,
            random: 0x1234_5678,
            queue: VecDeque::new(),
        };
        for node in world.ids() {
            world.start(node);
        }
        world
    }

    /// Three nodes with one partition, led by node 1.
    pub fn elected() -> World {
        let mut world = World::new(3);
        world.create_all(KEY, TopicSettings::default());
        world.until("node 1 leads", |world| world.confirmed_leader(KEY) == Some(NodeId(1)));
        world
    }

    pub fn ids(&self) -> Vec<NodeId> {
        self.nodes.keys().copied().collect()
    }

    pub fn seed(&mut self, seed: u64) {
        self.random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    }

    pub fn random(&mut self, below: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 16) % below
    }

    pub fn node(&mut self, node: i32) -> &mut Node {
        self.nodes.get_mut(&NodeId(node)).unwrap()
    }

    pub fn host(&mut self, node: i32) -> &mut Host {
        self.node(node).host.as_mut().unwrap()
    }

    pub fn counters(&self, node: i32) -> &ReplicaCounters {
        &self.nodes[&NodeId(node)].counters
    }

    pub fn sum(&self, counter: impl Fn(&ReplicaCounters) -> &Counter) -> u64 {
        self.nodes.values().map(|node| counter(&node.counters).get()).sum()
    }

    pub fn view(&self, node: i32) -> ReadView {
        self.nodes[&NodeId(node)].host.as_ref().unwrap().view(KEY).unwrap()
    }

    fn start(&mut self, id: NodeId) {
        let node = self.nodes.get_mut(&id).unwrap();
        node.config.incarnation = node.config.incarnation.wrapping_mul(31).wrapping_add(id.0 as u64 + 7);
        let mut host = Host::new(
            node.config.clone(),
            Arc::new(node.disk.clone()),
            Arc::clone(&node.counters),
            Arc::new(|| {}),
        );
        host.on_tick(self.now_ms);
        host.set_standing(node.standing);
        node.host = Some(host);
        let keys = node.keys.clone();
        for (key, settings) in keys {
            self.open(id, key, settings);
        }
    }

    pub fn spec(&self, key: PartitionKey, settings: TopicSettings) -> ReplicaSpec {
        let voters: Vec<NodeId> = self.ids().into_iter().take(self.founders).collect();
        let designated = voters[key.partition.0 as usize % voters.len()];
        let dir = format!("t-{}", key.partition.0);
        ReplicaSpec {
            key,
            voters,
            generation: 0,
            successor: None,
            standing: None,
            designated,
            dir,
            log: Arc::clone(&self.log),
            settings,
            machine: None,
        }
    }

    pub fn open(&mut self, id: NodeId, key: PartitionKey, settings: TopicSettings) {
        let mut spec = self.spec(key, settings.clone());
        let node = self.nodes.get_mut(&id).unwrap();
        node.keys.insert(key, settings);
        if let Some(generation) = node.stays.get(&key) {
            spec.generation = *generation;
            spec.standing = Some(Standing::Voter);
            spec.dir = format!("{}-{generation}", spec.dir);
        }
        let host = node.host.as_mut().unwrap();
        host.create_replica(spec).unwrap();
        if let Some(wanted) = node.wanted.get(&key) {
            host.want_members(key, wanted.clone());
        }
    }

    // ---- members

    /// The node gets a replica that is a new member, if it has not got that one.
    pub fn stay(&mut self, node: i32, generation: u32) {
        if self.node(node).stays.get(&KEY) == Some(&generation) {
            return;
        }
        self.node(node).stays.insert(KEY, generation);
        if let Some(host) = &mut self.node(node).host {
            let _ = host.remove_replica(KEY, true);
            self.open(NodeId(node), KEY, TopicSettings::default());
        } else {
            self.node(node).keys.insert(KEY, TopicSettings::default());
        }
    }

    /// Everybody hears who shall belong to the group: (node, generation).
    pub fn want(&mut self, members: &[(i32, u32)]) {
        for node in self.ids() {
            self.want_at(node.0, members);
        }
        self.settle();
    }

    /// One node hears who shall belong to the group.
    pub fn want_at(&mut self, node: i32, members: &[(i32, u32)]) {
        let wish = |(node, generation): &(i32, u32)| WantedMember {
            id: MemberId { node: NodeId(*node), generation: *generation },
            votes: true,
        };
        let wanted: Vec<WantedMember> = members.iter().map(wish).collect();
        let node = self.node(node);
        node.wanted.insert(KEY, wanted.clone());
        if let Some(host) = &mut node.host {
            host.want_members(KEY, wanted);
        }
    }

    /// The node no longer belongs to the group: its replica goes with its data.
    pub fn drop_replica(&mut self, node: i32) {
        self.node(node).keys.remove(&KEY);
        self.node(node).stays.remove(&KEY);
        if let Some(host) = &mut self.node(node).host {
            let _ = host.remove_replica(KEY, true);
        }
    }

    /// Whether the group's leader says that it consists of who is wanted.
    pub fn has_arrived(&self) -> bool {
        let leader = self.confirmed_leader(KEY).and_then(|leader| self.nodes[&leader].host.as_ref());
        leader.and_then(|host| host.replica(KEY)).is_some_and(Replica::is_settled_as_wanted)
    }

    /// The voters as a node has applied them.
    pub fn voters(&self, node: i32) -> Vec<i32> {
        let host = self.nodes[&NodeId(node)].host.as_ref().unwrap();
        host.replica(KEY).unwrap().membership().voters.iter().map(|voter| voter.node.0).collect()
    }

    pub fn create_all(&mut self, key: PartitionKey, settings: TopicSettings) {
        for id in self.ids() {
            self.open(id, key, settings.clone());
        }
        self.settle();
    }

    // ---- faults

    pub fn cut(&mut self, from: i32, to: i32) {
        self.cuts.insert((NodeId(from), NodeId(to)));
    }

    pub fn isolate(&mut self, node: i32) {
        for other in self.ids().into_iter().filter(|other| other.0 != node) {
            self.cuts.insert((NodeId(node), other));
            self.cuts.insert((other, NodeId(node)));
        }
    }

    pub fn recover(&mut self) {
        self.cuts.clear();
    }

    /// The node is gone with what its disk had not synced.
    pub fn crash(&mut self, node: i32, policy: UnsyncedPolicy) {
        let node = self.node(node);
        node.host = None;
        node.job = None;
        node.compaction = None;
        node.disk.crash(policy);
    }

    /// The node starts again on an empty disk.
    pub fn restart_wiped(&mut self, node: i32, standing: Standing) {
        self.crash(node, UnsyncedPolicy::Drop);
        self.node(node).disk = MemDisk::new();
        self.node(node).standing = standing;
        self.restart(node);
    }

    pub fn restart(&mut self, node: i32) {
        self.start(NodeId(node));
    }

    pub fn tell_down(&mut self, node: i32, certain: bool) {
        for other in self.ids().into_iter().filter(|other| other.0 != node) {
            if let Some(host) = self.nodes.get_mut(&other).and_then(|node| node.host.as_mut()) {
                host.on_peer_down(NodeId(node), certain);
            }
        }
    }

    pub fn tell_up(&mut self, node: i32) {
        for other in self.ids().into_iter().filter(|other| other.0 != node) {
            if let Some(host) = self.nodes.get_mut(&other).and_then(|node| node.host.as_mut()) {
                host.on_peer_up(NodeId(node));
            }
        }
    }

    // ---- time and messages

    /// One turn of one node; its messages join the network.
    pub fn turn(&mut self, id: NodeId) -> bool {
        let now_ms = self.now_ms;
        let node = self.nodes.get_mut(&id).unwrap();
        if node.frozen {
            return false;
        }
        let Some(host) = node.host.as_mut().filter(|host| host.is_dirty()) else { return false };
        let output = host.turn(now_ms);
        if let Some(job) = output.sync {
            node.job = Some(job);
        }
        for (to, key, message) in output.messages {
            self.enqueue(Flight { from: id, to, key, message });
        }
        true
    }

    fn enqueue(&mut self, flight: Flight) {
        if self.cuts.contains(&(flight.from, flight.to)) {
            return self.note(Fate::Lost, &flight);
        }
        if self.hold.as_ref().is_some_and(|hold| hold(&flight)) {
            self.note(Fate::Held, &flight);
            return self.held.push(flight);
        }
        if self.drop_percent > 0 && self.random(100) < self.drop_percent {
            return;
        }
        if self.duplicate_percent > 0 && self.random(100) < self.duplicate_percent {
            self.queue.push_back(flight.clone());
        }
        if self.delay_percent > 0 && self.random(100) < self.delay_percent {
            let arrives_ms = self.now_ms + 10 + self.random(400);
            return self.delayed.push((arrives_ms, flight));
        }
        self.queue.push_back(flight);
    }

    /// Lets go of everything held.
    pub fn release(&mut self) {
        self.hold = None;
        let held = std::mem::take(&mut self.held);
        self.queue.extend(held);
        self.settle();
    }

    /// Gives one message to its node, through the codec.
    pub fn deliver(&mut self, flight: Flight) {
        let pieces = flight.message.encode();
        let whole: Vec<u8> = pieces.iter().flat_map(|piece| piece.to_vec()).collect();
        let message = ReplicaMessage::decode(Bytes::from(whole)).unwrap();
        assert_eq!(message, flight.message);
        self.delivered += 1;
        let node = &self.nodes[&flight.to];
        let listens = node.host.is_some() && !node.frozen;
        self.note(if listens { Fate::Arrived } else { Fate::Lost }, &flight);
        let node = self.nodes.get_mut(&flight.to).unwrap();
        if let Some(host) = node.host.as_mut().filter(|_| listens) {
            host.on_message(flight.from, flight.key, message);
        }
    }

    fn note(&mut self, fate: Fate, flight: &Flight) {
        if let Some(journal) = &mut self.journal {
            journal.push((fate, flight.clone()));
        }
    }

    /// Turns and deliveries until nothing moves.
    pub fn settle(&mut self) {
        for _ in 0..TURNS_MAX {
            let mut moved = false;
            for id in self.ids() {
                moved |= self.turn(id);
                moved |= self.run_sync(id);
                moved |= self.run_compaction(id);
            }
            while let Some(flight) = self.queue.pop_front() {
                self.deliver(flight);
                moved = true;
            }
            if !moved {
                return;
            }
        }
        panic!("the world does not come to rest");
    }

    /// One step of the node's compaction, if it has one to run.
    fn run_compaction(&mut self, id: NodeId) -> bool {
        const STEP_BYTES: u64 = 500;
        let node = self.nodes.get_mut(&id).unwrap();
        let Some(host) = node.host.as_mut().filter(|_| !node.hold_compactions && !node.frozen) else {
            return false;
        };
        if node.compaction.is_none() {
            node.compaction = host.take_compaction();
        }
        let Some(task) = node.compaction.as_mut() else { return false };
        if let Some(report) = task.step(STEP_BYTES) {
            node.compaction = None;
            host.on_compacted(report);
        }
        true
    }

    fn run_sync(&mut self, id: NodeId) -> bool {
        let node = self.nodes.get_mut(&id).unwrap();
        if node.hold_syncs || node.frozen {
            return false;
        }
        let (Some(job), Some(host)) = (node.job.take(), node.host.as_mut()) else { return false };
        host.on_synced(job.run());
        true
    }

    /// One tick everywhere, then rest.
    pub fn tick(&mut self) {
        let tick_ms = self.nodes.values().next().unwrap().config.tick_ms;
        self.now_ms += tick_ms;
        let now_ms = self.now_ms;
        let (due, later) = std::mem::take(&mut self.delayed).into_iter().partition(|(at, _)| *at <= now_ms);
        self.delayed = later;
        let due: Vec<(u64, Flight)> = due;
        self.queue.extend(due.into_iter().map(|(_, flight)| flight));
        for (id, node) in &mut self.nodes {
            if node.frozen || self.no_ticks.contains(id) {
                continue;
            }
            if let Some(host) = &mut node.host
                && host.needs_ticks()
            {
                host.on_tick(now_ms);
            }
        }
        self.settle();
    }

    pub fn ticks(&mut self, count: usize) {
        for _ in 0..count {
            self.tick();
        }
    }

    /// Ticks until `done`, within a bound far above what is right.
    pub fn until(&mut self, what: &str, done: impl Fn(&World) -> bool) -> usize {
        self.settle();
        for tick in 0..1_000 {
            if done(self) {
                return tick;
            }
            self.tick();
        }
        panic!("never came true: {what}");
    }

    /// The node that leads and knows that its term is confirmed, in the highest term.
    pub fn confirmed_leader(&self, key: PartitionKey) -> Option<NodeId> {
        let hosts = self.nodes.iter().filter_map(|(id, node)| Some((*id, node.host.as_ref()?)));
        let views = hosts.filter_map(|(id, host)| Some((id, host.view(key).ok()?)));
        let leaders = views.filter(|(_, view)| view.confirmed);
        leaders.max_by_key(|(_, view)| view.leader_epoch).map(|(id, _)| id)
    }

    // ---- requests

    pub fn append(&mut self, node: i32, batch: BytesMut) -> AppendReceiver {
        self.host(node).append(KEY, batch, Acks::All, LATE)
    }

    /// Appends at `node` and waits for the answer.
    pub fn produce(&mut self, node: i32, batch: BytesMut) -> Result<Appended, AppendError> {
        let mut answer = self.append(node, batch);
        self.wait(&mut answer)
    }

    /// Like `append`, for a node that may be down.
    pub fn try_append(&mut self, node: i32, batch: BytesMut, deadline_ms: u64) -> Option<AppendReceiver> {
        Some(self.node(node).host.as_mut()?.append(KEY, batch, Acks::All, deadline_ms))
    }

    pub fn enter_until(&mut self, node: i32, deadline_ms: u64) -> GateReceiver {
        self.host(node).enter_gate(KEY, deadline_ms)
    }

    pub fn enter(&mut self, node: i32) -> GateReceiver {
        self.host(node).enter_gate(KEY, LATE)
    }

    /// Enters the gate at `node` and waits for the answer.
    pub fn pass(&mut self, node: i32) -> Result<GatePass, GateError> {
        let mut answer = self.enter(node);
        self.wait(&mut answer)
    }

    pub fn wait<T>(&mut self, answer: &mut tokio::sync::oneshot::Receiver<T>) -> T {
        self.settle();
        for _ in 0..1_000 {
            if let Ok(value) = answer.try_recv() {
                return value;
            }
            self.tick();
        }
        panic!("never answered");
    }

    /// Ends a transaction at `node` and waits for the answer.
    pub fn end(&mut self, node: i32, marker: EndMarker) -> Result<Appended, AppendError> {
        let mut answer = self.host(node).append_marker(KEY, marker, LATE);
        self.wait(&mut answer)
    }

    /// What a consumer of committed records reads at `node`: up to the last stable offset, without the records of
    /// aborted transactions, which it tells apart as clients do.
    pub fn committed(&mut self, node: i32) -> Vec<String> {
        let view = self.view(node);
        let (from, end) = (view.log_start, view.last_stable_offset);
        let mut aborted = self.host(node).aborted_transactions(KEY, from, end).unwrap();
        aborted.sort_by_key(|transaction| transaction.first_offset);
        let mut aborted = aborted.into_iter().peekable();
        let mut ignored = BTreeSet::new();
        let mut values = Vec::new();
        for batch in self.host(node).read(KEY, from, end, usize::MAX, true).unwrap() {
            let header = BatchHeader::parse(&batch).unwrap();
            while let Some(next) = aborted.next_if(|next| next.first_offset <= header.last_offset()) {
                ignored.insert(next.producer);
            }
            if header.attributes.is_control() {
                ignored.remove(&header.producer_id);
            } else if !header.attributes.is_transactional() || !ignored.contains(&header.producer_id) {
                values.extend(values_of(&batch));
            }
        }
        values
    }

    /// All values readable at `node`, in order.
    pub fn values(&mut self, node: i32) -> Vec<String> {
        let view = self.view(node);
        let from = view.log_start;
        let batches = self.host(node).read(KEY, from, view.high_watermark, usize::MAX, true).unwrap();
        batches.iter().filter(|batch| !is_control(batch)).flat_map(values_of).collect()
    }
}

pub type GateReceiver = tokio::sync::oneshot::Receiver<Result<GatePass, GateError>>;

/// A batch of plain records.
pub fn batch(values: &[&str]) -> BytesMut {
    let mut builder = BatchBuilder::new();
    for value in values {
        builder = builder.record(1_000, None, Some(value.as_bytes()));
    }
    builder.build_mut().unwrap()
}

/// A batch of one record from an idempotent producer.
pub fn numbered(producer: i64, epoch: i16, sequence: i32, value: &str) -> BytesMut {
    let builder = BatchBuilder::new().producer(producer, epoch, sequence);
    builder.record(1_000, None, Some(value.as_bytes())).build_mut().unwrap()
}

/// A batch of one record of a transaction.
pub fn transactional(producer: i64, epoch: i16, sequence: i32, value: &str) -> BytesMut {
    let builder = BatchBuilder::new().producer(producer, epoch, sequence).transactional();
    builder.record(1_000, None, Some(value.as_bytes())).build_mut().unwrap()
}

/// The end of a transaction whose records have the same epoch, by coordinator 1.
pub fn ending(producer: i64, epoch: i16, commit: bool) -> EndMarker {
    EndMarker { producer, epoch, commit, coordinator_epoch: 1, bumps_epoch: false, timestamp_ms: 2_000 }
}

pub fn is_control(batch: &Bytes) -> bool {
    BatchHeader::parse(batch).unwrap().attributes.is_control()
}

pub fn values_of(batch: &Bytes) -> Vec<String> {
    let view = chronik_wire::batch::BatchView::parse(batch.clone()).unwrap();
    view.verify_checksum().unwrap();
    if let Some(end) = EndTransaction::read(&view) {
        return vec![format!("{:?} of {}", end.marker, end.producer_id).to_lowercase()];
    }
    let records = view.records().unwrap();
    records.map(|record| String::from_utf8(record.unwrap().value.unwrap().to_vec()).unwrap()).collect()
}

pub fn is_open<T>(answer: &mut tokio::sync::oneshot::Receiver<T>) -> bool {
    matches!(answer.try_recv(), Err(tokio::sync::oneshot::error::TryRecvError::Empty))
}

pub fn ok(base_offset: i64) -> Result<Appended, AppendError> {
    Ok(Appended { base_offset: Offset(base_offset), log_start: Offset(0), duplicate: false })
}

/// Runs a scenario as it is and then with a bug planted, when it must fail.
#[cfg(feature = "mutants")]
pub fn killed(mutant: chronik_mutants::Mutant, scenario: fn()) {
    scenario();
    let planted = chronik_mutants::plant(mutant);
    let outcome = std::panic::catch_unwind(scenario);
    drop(planted);
    assert!(outcome.is_err(), "{} survives", mutant.name());
}
