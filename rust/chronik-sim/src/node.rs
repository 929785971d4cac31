//! One start of one node: the production broker and its replicas on a simulated disk, with a clock of its own.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use chronik_broker::{
    Broker, BrokerConfig, BrokerCounters, Connection, Hosts, LocalFuture, NodeState, PeerMessage, World,
};
use chronik_coord::Endpoint;
use chronik_log::MemDisk;
use chronik_replica::{
    CompactionTask, Faults, GateMode, Host, HostConfig, ReplicaCounters, ReplicaError, SyncMode, TurnOutput,
};
use chronik_wire::types::NodeId;

use crate::engine::Owner;
use crate::plan::{ClusterPlan, Durability};
use crate::random::Random;
use crate::switchboard::{Event, Life, Switchboard};

/// Wall-clock time at the start of a simulation, in milliseconds since the epoch.
const WALL_START_MS: i64 = 1_700_000_000_000;

/// What a compaction reads and writes in one step.
const COMPACTION_STEP_BYTES: u64 = 2_000;
/// Room that Raft keeps for itself on a full disk, in bytes: small, as simulated logs are.
pub(crate) const DISK_RESERVE_BYTES: u64 = 64 << 10;
/// Partitions of each topic that coordinators keep their records in.
const COORDINATOR_PARTITIONS: u64 = 2;
/// Smallest segment of these topics, in bytes: one record of a group fits.
const COORDINATOR_SEGMENT_BYTES_MIN: u64 = 2_000;
/// Kafka port of node 0; nobody listens there, clients have the switchboard.
const FIRST_PORT: u16 = 9_092;

/// How a node's clocks run against the time of the simulation.
#[derive(Debug)]
pub(crate) struct NodeClock {
    /// 1,000 is right, 500 half as fast.
    per_mille: u64,
    /// What the clock shows at time 0.
    start_ms: u64,
    wall_offset_ms: Cell<i64>,
}

impl NodeClock {
    pub(crate) fn new(per_mille: u64, random: &mut Random) -> NodeClock {
        let start_ms = random.between(1_000, 1_000_000);
        NodeClock { per_mille: per_mille.max(1), start_ms, wall_offset_ms: Cell::new(0) }
    }

    /// Monotonic milliseconds on this node.
    pub(crate) fn now_ms(&self, now_us: u64) -> u64 {
        self.start_ms + now_us * self.per_mille / 1_000_000
    }

    /// The instant at which the clock shows `at_ms`.
    fn instant_us(&self, at_ms: u64) -> u64 {
        (at_ms.saturating_sub(self.start_ms) * 1_000_000).div_ceil(self.per_mille)
    }

    /// How long a span of this clock is in simulated time.
    pub(crate) fn span_us(&self, ms: u64) -> u64 {
        ms * 1_000_000 / self.per_mille
    }

    pub(crate) fn jump(&self, by_ms: i64) {
        self.wall_offset_ms.set(self.wall_offset_ms.get() + by_ms);
    }
}

struct SimWorld {
    node: NodeId,
    board: Rc<Switchboard>,
    clock: Rc<NodeClock>,
    random: RefCell<Random>,
}

impl World for SimWorld {
    fn now_ms(&self) -> u64 {
        self.clock.now_ms(self.board.now_us())
    }

    fn wall_ms(&self) -> i64 {
        let passed_ms = i64::try_from(self.board.now_us() / 1_000).unwrap_or(i64::MAX);
        WALL_START_MS + passed_ms + self.clock.wall_offset_ms.get()
    }

    fn sleep_until(&self, at_ms: u64) -> LocalFuture<()> {
        let (board, clock) = (Rc::clone(&self.board), Rc::clone(&self.clock));
        Box::pin(NodeSleep { board, clock, at_ms, entered: false })
    }

    fn random_u64(&self) -> u64 {
        self.random.borrow_mut().next_u64()
    }

    fn spawn(&self, future: LocalFuture<()>) {
        self.board.tasks.borrow().spawn(Owner::Node(self.node), future);
    }
}

/// Ready when the node's clock has come so far.
struct NodeSleep {
    board: Rc<Switchboard>,
    clock: Rc<NodeClock>,
    at_ms: u64,
    entered: bool,
}

impl Future for NodeSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let now_us = self.board.now_us();
        if self.clock.now_ms(now_us) >= self.at_ms {
            return Poll::Ready(());
        }
        if !self.entered {
            self.entered = true;
            let at_us = self.clock.instant_us(self.at_ms).max(now_us + 1);
            self.board.agenda.borrow_mut().enter(at_us, Event::Wake(context.waker().clone()));
        }
        Poll::Pending
    }
}

/// Timers of a node, in milliseconds of its own clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timers {
    pub(crate) tick_ms: u64,
    pub(crate) beat_ms: u64,
    pub(crate) peer_timeout_ms: u64,
    pub(crate) retention_ms: u64,
}

impl Timers {
    /// Those that go with a tick, in the proportions of the profiles that are shipped.
    pub(crate) fn of(plan: &ClusterPlan) -> Timers {
        let tick_ms = plan.tick_ms;
        Timers { tick_ms, beat_ms: 4 * tick_ms, peer_timeout_ms: 16 * tick_ms, retention_ms: 5_000 }
    }
}

/// One life of a node.
pub(crate) struct Node {
    pub(crate) life: Life,
    pub(crate) broker: Rc<Broker>,
    pub(crate) host: Rc<RefCell<Host>>,
    pub(crate) clock: Rc<NodeClock>,
    /// Longest time until a turn, in microseconds.
    pub(crate) turn_us: Cell<u64>,
    pub(crate) turn_entered: Cell<bool>,
    /// When its last beat was, on its own clock.
    beaten_at_ms: Cell<u64>,
    timers: Timers,
    /// The compaction under way.
    compaction: RefCell<Option<CompactionTask>>,
    /// Connections of clients, by number and whether they came to the pinned address.
    connections: RefCell<BTreeMap<(u64, bool), Connection>>,
}

/// What a node is started from.
pub(crate) struct Start<'a> {
    pub(crate) id: NodeId,
    /// Nodes that it has heard of.
    pub(crate) contacts: Vec<NodeId>,
    pub(crate) life: Life,
    pub(crate) plan: &'a ClusterPlan,
    pub(crate) board: &'a Rc<Switchboard>,
    pub(crate) disk: &'a MemDisk,
    pub(crate) clock: Rc<NodeClock>,
    pub(crate) replica_counters: &'a Arc<ReplicaCounters>,
    pub(crate) broker_counters: &'a Arc<BrokerCounters>,
    pub(crate) random: Random,
}

impl Node {
    /// Starts a node on its disk.
    ///
    /// # Errors
    /// Its metadata replica cannot be opened.
    pub(crate) fn start(start: Start<'_>) -> Result<Node, ReplicaError> {
        let Start { id, life, plan, board, disk, clock, mut random, .. } = start;
        let timers = Timers::of(plan);
        let incarnation = random.next_u64();
        let host = HostConfig {
            node: id,
            incarnation,
            seed: random.next_u64(),
            tick_ms: timers.tick_ms,
            sync: match plan.durability {
                Durability::Fsync => SyncMode::Deferred,
                Durability::FsyncInline => SyncMode::Inline,
                Durability::Os => SyncMode::Never,
            },
            disk_reserve_bytes: DISK_RESERVE_BYTES,
            faults: Faults { gate: if plan.gate_off { GateMode::Off } else { GateMode::On } },
            ..HostConfig::for_test(id)
        };
        let gate_cap_ms = host.gate_cap_ms;
        let no_bell: Arc<dyn Fn() + Send + Sync> = Arc::new(|| ());
        let host = Host::new(
            host,
            Arc::new(disk.clone()),
            Arc::clone(start.replica_counters),
            // The simulation looks at every node after every event; nobody needs to ring.
            Arc::clone(&no_bell),
        );
        let host = Rc::new(RefCell::new(host));
        let state = NodeState::new(
            BrokerConfig {
                node: id,
                incarnation,
                voters: (1..=plan.nodes).map(NodeId).collect(),
                designated: NodeId(1),
                advertised: endpoint(id, 0),
                pinned: Some(endpoint(id, 10_000)),
                peer: None,
                contacts: start.contacts,
                asks_admission: false,
                rack: Some(format!("rack-{id}")),
                cluster_id_proposal: "simulated-cluster-id-0".to_owned(),
                broker_config: broker_config(plan),
                fetch_from_followers: true,
                gate_cap_ms,
                peer_timeout_ms: timers.peer_timeout_ms,
                shards: 1,
                shard: 0,
                interceptions: Arc::default(),
            },
            Arc::clone(start.broker_counters),
            no_bell,
        );
        let world = SimWorld {
            node: id,
            board: Rc::clone(board),
            clock: Rc::clone(&clock),
            random: RefCell::new(random.fork(1)),
        };
        let broker = Broker::new(state, 0, Rc::new(world), Hosts::single(Rc::clone(&host)))?;
        broker.start();
        let beaten_at_ms = Cell::new(clock.now_ms(board.now_us()));
        let turn_us = Cell::new(plan.turn_us);
        Ok(Node {
            life,
            broker,
            host,
            clock,
            turn_us,
            turn_entered: Cell::new(false),
            beaten_at_ms,
            timers,
            compaction: RefCell::new(None),
            connections: RefCell::default(),
        })
    }

    /// A client's connection, the same for all its requests.
    pub(crate) fn connection(&self, id: u64, pinned: bool) -> Connection {
        let accept = || Connection::new(id, SocketAddr::from(([127, 0, 0, 1], 1)), pinned);
        self.connections.borrow_mut().entry((id, pinned)).or_insert_with(accept).clone()
    }

    /// Takes a message from another node.
    pub(crate) fn take(&self, from: NodeId, message: PeerMessage) {
        match message {
            PeerMessage::Replica(key, message) => self.host.borrow_mut().on_message(from, key, message),
            PeerMessage::Node(message) => self.broker.on_node_message(from, message),
        }
    }

    /// A tick of the replicas.
    pub(crate) fn tick(&self, now_us: u64) {
        self.host.borrow_mut().on_tick(self.clock.now_ms(now_us));
    }

    /// A beat; after a pause of its own the node judges nobody by the silence.
    pub(crate) fn beat(&self, now_us: u64) {
        let now_ms = self.clock.now_ms(now_us);
        if now_ms - self.beaten_at_ms.get() > 2 * self.timers.beat_ms {
            self.broker.node().view(|view| view.forgive_silence(now_ms));
        }
        self.beaten_at_ms.set(now_ms);
        self.broker.on_beat(now_ms);
    }

    /// The node was frozen and goes on.
    pub(crate) fn thaw(&self, now_us: u64) {
        let now_ms = self.clock.now_ms(now_us);
        self.broker.node().view(|view| view.forgive_silence(now_ms));
        self.beaten_at_ms.set(now_ms);
    }

    /// A look at retention.
    pub(crate) fn retention(&self, wall_ms: i64) {
        self.host.borrow_mut().run_retention(wall_ms);
    }

    /// The wall clock as this node sees it, in milliseconds since the epoch.
    pub(crate) fn wall_ms(&self, now_us: u64) -> i64 {
        WALL_START_MS + (now_us / 1_000) as i64 + self.clock.wall_offset_ms.get()
    }

    /// Takes the next compaction up, if there is one and none is under way.
    pub(crate) fn begin_compaction(&self) -> bool {
        let mut compaction = self.compaction.borrow_mut();
        if compaction.is_some() || !self.host.borrow().wants_compaction() {
            return false;
        }
        *compaction = self.host.borrow_mut().take_compaction();
        compaction.is_some()
    }

    /// A step of the compaction under way; false if that was the last.
    pub(crate) fn step_compaction(&self) -> bool {
        let mut compaction = self.compaction.borrow_mut();
        let Some(report) = compaction.as_mut().map(|task| task.step(COMPACTION_STEP_BYTES)) else {
            return false;
        };
        let Some(report) = report else { return true };
        *compaction = None;
        self.host.borrow_mut().on_compacted(report);
        false
    }

    /// One turn.
    pub(crate) fn turn(&self, now_us: u64) -> TurnOutput {
        let output = self.host.borrow_mut().turn(self.clock.now_ms(now_us));
        self.broker.announce_leader_changes();
        output
    }
}

/// Few partitions for coordinators, so that groups and transactions share them, and sessions that end within a schedule.
fn broker_config(plan: &ClusterPlan) -> BTreeMap<String, String> {
    let segment_bytes = plan.segment_bytes.max(COORDINATOR_SEGMENT_BYTES_MIN);
    // As many as every other topic has: of five nodes two may lose their disks.
    let replicas = plan.nodes as u64;
    let settings = [
        ("offsets.topic.num.partitions", COORDINATOR_PARTITIONS),
        ("offsets.topic.replication.factor", replicas),
        ("offsets.topic.segment.bytes", segment_bytes),
        ("transaction.state.log.num.partitions", COORDINATOR_PARTITIONS),
        ("transaction.state.log.replication.factor", replicas),
        ("transaction.state.log.segment.bytes", segment_bytes),
        ("group.initial.rebalance.delay.ms", 100),
        ("group.min.session.timeout.ms", 100),
        ("group.consumer.session.timeout.ms", 1_500),
        ("group.consumer.min.session.timeout.ms", 100),
        ("group.consumer.heartbeat.interval.ms", 300),
        ("group.consumer.min.heartbeat.interval.ms", 100),
    ];
    settings.into_iter().map(|(key, value)| (key.to_owned(), value.to_string())).collect()
}

fn endpoint(id: NodeId, above: u16) -> Endpoint {
    let port = FIRST_PORT + above + u16::try_from(id.0).unwrap_or_default();
    Endpoint { host: format!("node-{id}"), port }
}
