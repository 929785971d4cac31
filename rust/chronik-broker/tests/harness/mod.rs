//! A whole cluster of brokers without sockets, threads or clocks: requests go in as frames, messages move by hand,
//! time passes when everybody waits. Deterministic: no test here can be slow or flaky because of the machine.

#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of the harness")]

pub mod client;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::Future;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use chronik_broker::{
    Broker, BrokerConfig, BrokerCounters, CloseReason, Connection, Hosts, Interceptions, LocalFuture,
    NodeState, PeerMessage, World,
};
use chronik_coord::Endpoint;
use chronik_log::MemDisk;
use chronik_replica::{GateMode, Host, HostConfig, ReplicaCounters};
use chronik_wire::api::Request;
use chronik_wire::header::{decode_response, request_frame};
use chronik_wire::types::{NodeId, PartitionIndex, PartitionKey};

const TICK_MS: u64 = 10;
const STEP_MS: u64 = 5;
const BEAT_MS: u64 = 50;
const FIRST_PORT: u16 = 10_000;
/// Simulated time after which a test has failed.
const PATIENCE_MS: u64 = 60_000;

/// Time and tasks of the whole cluster.
#[derive(Default)]
struct Shared {
    now_ms: Cell<u64>,
    random: Cell<u64>,
    new_tasks: RefCell<Vec<(NodeId, LocalFuture<()>)>>,
}

struct TestWorld {
    node: NodeId,
    shared: Rc<Shared>,
}

struct Sleep {
    shared: Rc<Shared>,
    at_ms: u64,
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        // Every task is polled in every pass, so nobody needs to be woken.
        if self.shared.now_ms.get() >= self.at_ms { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl World for TestWorld {
    fn now_ms(&self) -> u64 {
        self.shared.now_ms.get()
    }

    fn wall_ms(&self) -> i64 {
        1_700_000_000_000 + self.shared.now_ms.get() as i64
    }

    fn sleep_until(&self, at_ms: u64) -> LocalFuture<()> {
        Box::pin(Sleep { shared: Rc::clone(&self.shared), at_ms })
    }

    fn random_u64(&self) -> u64 {
        let next = self.shared.random.get().wrapping_mul(6_364_136_223_846_793_005).wrapping_add(0x9e37_79b9);
        self.shared.random.set(next);
        next ^ (next >> 29)
    }

    fn spawn(&self, future: LocalFuture<()>) {
        self.shared.new_tasks.borrow_mut().push((self.node, future));
    }
}

/// One node.
pub struct TestNode {
    pub id: NodeId,
    pub broker: Rc<Broker>,
    pub host: Rc<RefCell<Host>>,
    pub gates: Arc<ReplicaCounters>,
    pub counters: Arc<BrokerCounters>,
    pub disk: MemDisk,
    inbox: VecDeque<(NodeId, PeerMessage)>,
}

/// How a cluster differs from the ordinary one.
#[derive(Default, Clone)]
pub struct Options {
    /// The read gate switched off: what tests of the gate must notice.
    pub gate_off: bool,
    /// Kafka broker configuration.
    pub config: BTreeMap<String, String>,
    /// Followers refuse fetches.
    pub followers_refuse: bool,
    /// Requests to be intercepted, at all nodes.
    pub interceptions: Arc<Interceptions>,
}

/// The cluster: nodes 1 to n, racks `rack-1` to `rack-n`.
pub struct TestCluster {
    pub nodes: BTreeMap<NodeId, TestNode>,
    /// The nodes that the cluster is founded with.
    founders: Vec<NodeId>,
    shared: Rc<Shared>,
    tasks: Vec<(NodeId, LocalFuture<()>)>,
    cut: BTreeSet<(NodeId, NodeId)>,
    frozen: BTreeSet<NodeId>,
    /// Links that deliver nothing for now, with what is under way on them.
    held: BTreeMap<(NodeId, NodeId), VecDeque<PeerMessage>>,
    /// Nodes that are down, with their disks.
    down: BTreeMap<NodeId, MemDisk>,
    options: Options,
    lives: u64,
    ticked_at_ms: u64,
    beaten_at_ms: u64,
}

impl TestCluster {
    /// Starts `count` nodes and waits until each knows all.
    pub fn start(count: i32, options: &Options) -> TestCluster {
        let mut cluster = TestCluster::boot(count, options, &[]);
        let everybody = cluster.nodes.len();
        cluster.wait_for("every node to know all nodes", |cluster| {
            cluster.nodes.values().all(|node| node.broker.node().image().brokers.len() == everybody)
        });
        cluster
    }

    /// Starts `count` nodes but the absent ones, which are down with empty disks, and waits for nothing.
    pub fn boot(count: i32, options: &Options, absent: &[NodeId]) -> TestCluster {
        let shared = Rc::new(Shared::default());
        let ids: Vec<NodeId> = (1..=count).map(NodeId).collect();
        let start = |id: &NodeId| start_node(*id, &ids, &shared, options, 100 + id.0 as u64, MemDisk::new());
        let nodes = ids.iter().filter(|id| !absent.contains(id)).map(|id| (*id, start(id))).collect();
        let cluster = TestCluster {
            nodes,
            founders: ids.clone(),
            shared,
            tasks: Vec::new(),
            cut: BTreeSet::new(),
            frozen: BTreeSet::new(),
            held: BTreeMap::new(),
            down: absent.iter().map(|id| (*id, MemDisk::new())).collect(),
            options: options.clone(),
            lives: 0,
            ticked_at_ms: 0,
            beaten_at_ms: 0,
        };
        for node in cluster.nodes.values() {
            node.broker.start();
        }
        cluster
    }

    /// Simulated milliseconds since the start.
    pub fn now_ms(&self) -> u64 {
        self.shared.now_ms.get()
    }

    pub fn node(&self, id: NodeId) -> &TestNode {
        &self.nodes[&id]
    }

    /// Runs until `condition`; panics when it never comes.
    pub fn wait_for(&mut self, what: &str, mut condition: impl FnMut(&TestCluster) -> bool) {
        let give_up_ms = self.now_ms() + PATIENCE_MS;
        while !condition(self) {
            assert!(self.now_ms() < give_up_ms, "waited in vain for {what}");
            self.step();
        }
    }

    /// Runs everything until `future` is ready.
    pub fn run<T>(&mut self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        let give_up_ms = self.now_ms() + PATIENCE_MS;
        loop {
            if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                return value;
            }
            assert!(self.now_ms() < give_up_ms, "a request was never answered");
            self.step();
        }
    }

    /// Runs everything until all of `futures` are ready; all are under way at once.
    pub fn run_all<T>(&mut self, futures: Vec<impl Future<Output = T>>) -> Vec<T> {
        let mut waiting: Vec<_> = futures.into_iter().map(|future| (Box::pin(future), None)).collect();
        self.run(std::future::poll_fn(|context| {
            for (future, value) in waiting.iter_mut().filter(|(_, value)| value.is_none()) {
                if let Poll::Ready(ready) = future.as_mut().poll(context) {
                    *value = Some(ready);
                }
            }
            if waiting.iter().all(|(_, value)| value.is_some()) { Poll::Ready(()) } else { Poll::Pending }
        }));
        waiting.into_iter().filter_map(|(_, value)| value).collect()
    }

    /// Lets simulated time pass.
    pub fn pass_ms(&mut self, ms: u64) {
        let until_ms = self.now_ms() + ms;
        while self.now_ms() < until_ms {
            self.step();
        }
    }

    /// A request that is under way on a connection of its own: poll it with [`TestCluster::run`].
    pub fn ask<R: Request>(
        &self,
        node: NodeId,
        pinned: bool,
        version: i16,
        request: &R,
    ) -> impl Future<Output = Result<Option<R::Response>, CloseReason>> + use<R> {
        self.ask_on(&connection(pinned), node, version, request)
    }

    /// A request that is under way on a connection that others use as well.
    pub fn ask_on<R: Request>(
        &self,
        connection: &Connection,
        node: NodeId,
        version: i16,
        request: &R,
    ) -> impl Future<Output = Result<Option<R::Response>, CloseReason>> + use<R> {
        let pieces = request_frame(version, 7, Some("test"), request).expect("request encodes");
        let frame = Bytes::from(pieces.concat()).slice(4..);
        let (broker, connection) = (Rc::clone(&self.node(node).broker), connection.clone());
        async move {
            let answer = broker.handle(&connection, frame).await?;
            Ok(answer.map(|pieces| {
                let (correlation, response) =
                    decode_response::<R>(Bytes::from(pieces.concat()), version).expect("response decodes");
                assert_eq!(correlation, 7);
                response
            }))
        }
    }

    /// Asks and waits for the answer.
    pub fn call<R: Request>(&mut self, node: NodeId, version: i16, request: &R) -> R::Response {
        let answer = self.ask(node, false, version, request);
        self.run(answer).expect("the connection stays open").expect("there is an answer")
    }

    /// The node that leads a partition, as node 1 knows it.
    pub fn leader(&self, key: PartitionKey) -> Option<NodeId> {
        self.node(NodeId(1)).broker.node().view(|view| view.leader(key)).map(|(leader, _)| leader)
    }

    /// The key of a topic's partition.
    pub fn key(&self, topic: &str, partition: i32) -> PartitionKey {
        let image = self.node(NodeId(1)).broker.node().image();
        PartitionKey::new(image.topic(topic).expect("topic exists").id, PartitionIndex(partition))
    }

    /// Messages from `from` to `to` are lost from now on.
    pub fn cut(&mut self, from: NodeId, to: NodeId) {
        self.cut.insert((from, to));
    }

    /// Cuts a node off from all others, both ways.
    pub fn isolate(&mut self, node: NodeId) {
        for other in self.nodes.keys().copied().filter(|other| *other != node).collect::<Vec<_>>() {
            self.cut(node, other);
            self.cut(other, node);
        }
    }

    /// Every link works again.
    pub fn recover(&mut self) {
        self.cut.clear();
    }

    /// The node does nothing until thawed; what is sent to it waits.
    pub fn freeze(&mut self, node: NodeId) {
        self.frozen.insert(node);
    }

    pub fn thaw(&mut self, node: NodeId) {
        self.frozen.remove(&node);
        let now_ms = self.now_ms();
        self.node(node).broker.node().view(|view| view.forgive_silence(now_ms));
    }

    /// What is sent from `from` to `to` stays under way until [`TestCluster::release`].
    pub fn hold(&mut self, from: NodeId, to: NodeId) {
        self.held.entry((from, to)).or_default();
    }

    /// What was held arrives, at whoever is there now.
    pub fn release(&mut self, from: NodeId, to: NodeId) {
        let held = self.held.remove(&(from, to)).unwrap_or_default();
        if let Some(peer) = self.nodes.get_mut(&to) {
            peer.inbox.extend(held.into_iter().map(|message| (from, message)));
        }
    }

    /// Delivers messages held between `from` and `to` up to the first that `stop` names, or all.
    pub fn release_before(&mut self, from: NodeId, to: NodeId, stop: impl FnMut(&PeerMessage) -> bool) {
        let held = self.held.get_mut(&(from, to)).expect("the link is held");
        let count = held.iter().position(stop).unwrap_or(held.len());
        let free: Vec<_> = held.drain(..count).map(|message| (from, message)).collect();
        self.nodes.get_mut(&to).expect("the node runs").inbox.extend(free);
    }

    /// How many messages are held between `from` and `to` that `which` names.
    pub fn held(&self, from: NodeId, to: NodeId, which: impl Fn(&PeerMessage) -> bool) -> usize {
        self.held.get(&(from, to)).map_or(0, |held| held.iter().filter(|message| which(message)).count())
    }

    /// A node's process dies; the others are not told. Everything unsynced survives.
    pub fn kill(&mut self, node: NodeId) {
        let dead = self.nodes.remove(&node).expect("the node runs");
        self.tasks.append(&mut self.shared.new_tasks.borrow_mut());
        self.tasks.retain(|(owner, _)| *owner != node);
        dead.disk.kill();
        self.down.insert(node, dead.disk);
    }

    /// The disk of a node that is down.
    pub fn disk_of_dead(&self, node: NodeId) -> &MemDisk {
        &self.down[&node]
    }

    /// A node that is down gets an empty disk.
    pub fn wipe(&mut self, node: NodeId) {
        self.down.insert(node, MemDisk::new()).expect("the node was killed");
    }

    /// A node that was killed starts again on its disk.
    pub fn restart(&mut self, node: NodeId) {
        let disk = self.down.remove(&node).expect("the node was killed");
        let ids = self.founders.clone();
        self.lives += 1;
        // Drawn at random outside: far from every other.
        let incarnation = self.lives << 32;
        let started = start_node(node, &ids, &self.shared, &self.options, incarnation, disk);
        started.broker.start();
        self.nodes.insert(node, started);
    }

    /// A node that the cluster was founded without joins it.
    pub fn add_node(&mut self, node: NodeId) {
        self.down.insert(node, MemDisk::new());
        self.restart(node);
        self.wait_for("the new node to be registered and to know of it", |cluster| {
            cluster.node(node).broker.node().image().brokers.contains_key(&node)
        });
    }

    /// Has the controller do something, by way of node `at`.
    pub fn control(&mut self, at: NodeId, action: chronik_coord::Action) -> chronik_coord::ReplyBody {
        let broker = self.node(at).broker.clone();
        let deadline_ms = self.now_ms() + 5_000;
        self.run(async move { broker.controller_call(action, deadline_ms).await.expect("a controller").body })
    }

    /// Whether a node is frozen.
    pub fn is_frozen(&self, node: NodeId) -> bool {
        self.frozen.contains(&node)
    }

    /// Runs until `future` is ready, as long as the node asked is not frozen.
    pub fn run_while_thawed<T>(&mut self, node: NodeId, future: impl Future<Output = T>) -> Option<T> {
        if self.is_frozen(node) { None } else { Some(self.run(future)) }
    }

    /// Everything that can happen now, then a step of time.
    fn step(&mut self) {
        while self.pass() {}
        self.shared.now_ms.set(self.now_ms() + STEP_MS);
        let now_ms = self.now_ms();
        if now_ms >= self.ticked_at_ms + TICK_MS {
            self.ticked_at_ms = now_ms;
            for node in self.live() {
                self.nodes[&node].host.borrow_mut().on_tick(now_ms);
            }
        }
        if now_ms >= self.beaten_at_ms + BEAT_MS {
            self.beaten_at_ms = now_ms;
            for node in self.live() {
                self.nodes[&node].broker.on_beat(now_ms);
            }
        }
        while self.pass() {}
    }

    /// Polls every task, turns every host, delivers every message. Returns whether anything moved.
    fn pass(&mut self) -> bool {
        let mut moved = self.poll_tasks();
        for id in self.live() {
            let now_ms = self.now_ms();
            let Some(node) = self.nodes.get_mut(&id) else { continue };
            let inbox = std::mem::take(&mut node.inbox);
            moved |= !inbox.is_empty();
            for (from, message) in inbox {
                match message {
                    PeerMessage::Replica(key, message) => {
                        node.host.borrow_mut().on_message(from, key, message)
                    }
                    PeerMessage::Node(message) => node.broker.on_node_message(from, message),
                }
            }
            let mut out = Vec::new();
            if node.host.borrow().is_dirty() {
                let turn = node.host.borrow_mut().turn(now_ms);
                out.extend(turn.messages.into_iter().map(|(to, key, m)| (to, PeerMessage::Replica(key, m))));
                node.broker.announce_leader_changes();
                moved = true;
            }
            let messages = node.broker.node().take_messages();
            out.extend(messages.into_iter().map(|(to, message)| (to, PeerMessage::Node(message))));
            moved |= !out.is_empty();
            for (to, message) in out {
                if self.cut.contains(&(id, to)) {
                    continue;
                }
                // Through the codec, as on a wire.
                let bytes = Bytes::from(message.encode().concat());
                let message = PeerMessage::decode(bytes).expect("own messages decode");
                if let Some(held) = self.held.get_mut(&(id, to)) {
                    held.push_back(message);
                } else if let Some(peer) = self.nodes.get_mut(&to) {
                    peer.inbox.push_back((id, message));
                }
            }
        }
        moved
    }

    fn poll_tasks(&mut self) -> bool {
        let mut moved = false;
        let mut context = Context::from_waker(Waker::noop());
        let frozen = self.frozen.clone();
        self.tasks.append(&mut self.shared.new_tasks.borrow_mut());
        self.tasks.retain_mut(|(node, task)| {
            if frozen.contains(node) {
                return true;
            }
            let done = task.as_mut().poll(&mut context).is_ready();
            moved |= done;
            !done
        });
        moved || !self.shared.new_tasks.borrow().is_empty()
    }

    fn live(&self) -> Vec<NodeId> {
        self.nodes.keys().copied().filter(|node| !self.frozen.contains(node)).collect()
    }
}

/// A new connection of a client.
pub fn connection(pinned: bool) -> Connection {
    Connection::new(1, SocketAddr::from(([127, 0, 0, 1], 1)), pinned)
}

impl TestNode {
    /// Partition answers this node served as follower.
    pub fn served_as_follower(&self) -> u64 {
        self.counters.fetches_served_as_follower.load(Ordering::Relaxed)
    }

    /// Partition answers this node served as leader.
    pub fn served_as_leader(&self) -> u64 {
        self.counters.fetches_served_as_leader.load(Ordering::Relaxed)
    }

    /// Everything this node's broker has counted, by name.
    pub fn counted(&self) -> BTreeMap<String, u64> {
        let mut counted = BTreeMap::new();
        self.counters.snapshot(&mut counted);
        counted
    }

    /// Votes this node refused because its disk is none of the cluster's.
    pub fn votes_refused(&self) -> u64 {
        self.gates.to_map()["votes_refused_unknown_directory"]
    }

    /// Rounds of the read gate this node has started.
    pub fn gate_rounds(&self) -> u64 {
        self.gates.to_map()["read_gate_rounds"]
    }
}

fn start_node(
    id: NodeId,
    all: &[NodeId],
    shared: &Rc<Shared>,
    options: &Options,
    incarnation: u64,
    disk: MemDisk,
) -> TestNode {
    let gates = Arc::new(ReplicaCounters::default());
    let counters = Arc::new(BrokerCounters::default());
    let mut host_config = HostConfig::for_test(id);
    host_config.incarnation = incarnation;
    if options.gate_off {
        host_config.faults.gate = GateMode::Off;
    }
    let gate_cap_ms = host_config.gate_cap_ms;
    let host = Host::new(host_config, Arc::new(disk.clone()), Arc::clone(&gates), Arc::new(|| ()));
    let host = Rc::new(RefCell::new(host));
    let config = BrokerConfig {
        node: id,
        incarnation,
        voters: all.to_vec(),
        designated: all[0],
        advertised: Endpoint { host: "127.0.0.1".to_owned(), port: FIRST_PORT + id.0 as u16 },
        pinned: Some(Endpoint { host: "127.0.0.1".to_owned(), port: 2 * FIRST_PORT + id.0 as u16 }),
        peer: None,
        contacts: Vec::new(),
        asks_admission: false,
        rack: Some(format!("rack-{id}")),
        cluster_id_proposal: "AAAAAAAAAAAAAAAAAAAAAA".to_owned(),
        broker_config: options.config.clone(),
        fetch_from_followers: !options.followers_refuse,
        gate_cap_ms,
        peer_timeout_ms: 300,
        shards: 1,
        shard: 0,
        interceptions: Arc::clone(&options.interceptions),
    };
    let node = NodeState::new(config, Arc::clone(&counters), Arc::new(|| ()));
    let world = Rc::new(TestWorld { node: id, shared: Rc::clone(shared) });
    let broker =
        Broker::new(node, 0, world, Hosts::single(Rc::clone(&host))).expect("metadata replica opens");
    TestNode { id, broker, host, gates, counters, disk, inbox: VecDeque::new() }
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
