//! One broker without sockets, threads or clocks. Time passes when nothing else can happen.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use chronik_broker::{
    Broker, BrokerConfig, BrokerCounters, CloseReason, Connection, Hosts, LocalFuture, NodeState, World,
};
use chronik_coord::{Endpoint, NewTopic};
use chronik_log::MemDisk;
use chronik_replica::{Host, HostConfig, ReplicaCounters};
use chronik_wire::api::Request;
use chronik_wire::header::{decode_response, request_frame};
use chronik_wire::types::{NodeId, TopicId};

const ID: NodeId = NodeId(1);
/// Steps of simulated time: fine at first, then coarse, since a request may ask to be parked for minutes.
const FINE_STEP_MS: u64 = 10;
const FINE_STEPS: u32 = 200;
const COARSE_STEP_MS: u64 = 5_000;
/// Longest simulated time in which everything must be answered: the longest wait a request may ask for, and some.
const PATIENCE_MS: u64 = 360_000;
/// Passes over all tasks after which a node must have come to rest.
const PASSES_MAX: usize = 10_000;

/// Time and tasks.
#[derive(Default)]
struct Shared {
    now_ms: Cell<u64>,
    random: Cell<u64>,
    new_tasks: RefCell<Vec<LocalFuture<()>>>,
}

struct Outside(Rc<Shared>);

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

impl World for Outside {
    fn now_ms(&self) -> u64 {
        self.0.now_ms.get()
    }

    fn wall_ms(&self) -> i64 {
        1_700_000_000_000 + self.0.now_ms.get() as i64
    }

    fn sleep_until(&self, at_ms: u64) -> LocalFuture<()> {
        Box::pin(Sleep { shared: Rc::clone(&self.0), at_ms })
    }

    fn random_u64(&self) -> u64 {
        let next = self.0.random.get().wrapping_mul(6_364_136_223_846_793_005).wrapping_add(0x9e37_79b9);
        self.0.random.set(next);
        next ^ (next >> 29)
    }

    fn spawn(&self, future: LocalFuture<()>) {
        self.0.new_tasks.borrow_mut().push(future);
    }
}

/// A node that is a cluster by itself.
pub(super) struct Node {
    broker: Rc<Broker>,
    host: Rc<RefCell<Host>>,
    shared: Rc<Shared>,
    tasks: Vec<LocalFuture<()>>,
}

impl Node {
    /// Starts it and waits until it is registered.
    pub(super) fn start() -> Node {
        let shared = Rc::new(Shared::default());
        let config = HostConfig { incarnation: 9, ..HostConfig::for_test(ID) };
        let gate_cap_ms = config.gate_cap_ms;
        let disk = Arc::new(MemDisk::new());
        let host = Host::new(config, disk, Arc::new(ReplicaCounters::default()), Arc::new(|| ()));
        let host = Rc::new(RefCell::new(host));
        let endpoint = |port| Endpoint { host: "127.0.0.1".to_owned(), port };
        let config = BrokerConfig {
            node: ID,
            incarnation: 9,
            voters: vec![ID],
            designated: ID,
            advertised: endpoint(10_001),
            pinned: Some(endpoint(20_001)),
            peer: None,
            contacts: Vec::new(),
            asks_admission: false,
            rack: Some("rack".to_owned()),
            cluster_id_proposal: "AAAAAAAAAAAAAAAAAAAAAA".to_owned(),
            broker_config: BTreeMap::new(),
            fetch_from_followers: true,
            gate_cap_ms,
            peer_timeout_ms: 300,
            shards: 1,
            shard: 0,
            interceptions: Arc::default(),
        };
        let state = NodeState::new(config, Arc::new(BrokerCounters::default()), Arc::new(|| ()));
        let world = Rc::new(Outside(Rc::clone(&shared)));
        let broker = Broker::new(state, 0, world, Hosts::single(Rc::clone(&host)));
        let broker = broker.expect("the metadata group opens on an empty disk");
        broker.start();
        let mut node = Node { broker, host, shared, tasks: Vec::new() };
        let state = Arc::clone(node.broker.node());
        node.run(std::future::poll_fn(move |_| {
            if state.image().brokers.is_empty() { Poll::Pending } else { Poll::Ready(()) }
        }));
        node
    }

    /// Creates a topic of one partition.
    pub(super) fn create(&mut self, name: &str) {
        let topic = NewTopic {
            name: name.to_owned(),
            id: TopicId::ZERO,
            partitions: 1,
            replication_factor: 1,
            assignments: Vec::new(),
            configs: Vec::new(),
        };
        let broker = Rc::clone(&self.broker);
        let deadline_ms = self.shared.now_ms.get() + 10_000;
        let created = self.run(async move { broker.create_topics(vec![topic], false, deadline_ms).await });
        assert!(created.iter().all(|(_, result)| result.is_ok()), "{created:?}");
    }

    /// Sends a frame without its length and waits for what becomes of it.
    pub(super) fn ask(&mut self, frame: Bytes) -> Result<Option<Vec<Bytes>>, CloseReason> {
        let broker = Rc::clone(&self.broker);
        let connection = Connection::new(1, SocketAddr::from(([127, 0, 0, 1], 1)), false);
        self.run(async move { broker.handle(&connection, frame).await })
    }

    /// Sends a request and reads the answer.
    pub(super) fn call<R: Request>(&mut self, version: i16, request: &R) -> R::Response {
        let frame = request_frame(version, 7, None, request).expect("a small request encodes");
        let answer = self.ask(Bytes::from(frame.concat()).slice(4..));
        let answer = answer.expect("the connection stays open").expect("there is an answer");
        decode_response::<R>(Bytes::from(answer.concat()), version).expect("the answer decodes").1
    }

    /// # Panics
    /// If a replica has stopped.
    pub(super) fn check_replicas(&self) {
        let host = self.host.borrow();
        for key in host.keys() {
            let reason = host.replica(key).and_then(|replica| replica.stop_reason());
            assert_eq!(reason, None, "{key:?} stopped");
        }
    }

    /// Runs everything until `future` is ready.
    fn run<T>(&mut self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        let give_up_ms = self.shared.now_ms.get() + PATIENCE_MS;
        let mut steps = 0;
        loop {
            self.settle();
            if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                return value;
            }
            let moved = self.settle();
            if !moved {
                assert!(self.shared.now_ms.get() < give_up_ms, "a request was not answered in bounded time");
                self.pass_time(if steps < FINE_STEPS { FINE_STEP_MS } else { COARSE_STEP_MS });
                steps += 1;
            }
        }
    }

    fn pass_time(&mut self, ms: u64) {
        let now_ms = self.shared.now_ms.get() + ms;
        self.shared.now_ms.set(now_ms);
        self.host.borrow_mut().on_tick(now_ms);
        self.broker.on_beat(now_ms);
    }

    /// Polls every task and turns the host until nothing moves. True if anything did.
    fn settle(&mut self) -> bool {
        let mut moved = false;
        for _ in 0..PASSES_MAX {
            if !self.pass() {
                return moved;
            }
            moved = true;
        }
        panic!("the node does not come to rest");
    }

    fn pass(&mut self) -> bool {
        let mut moved = false;
        let mut context = Context::from_waker(Waker::noop());
        self.tasks.append(&mut self.shared.new_tasks.borrow_mut());
        self.tasks.retain_mut(|task| {
            let done = task.as_mut().poll(&mut context).is_ready();
            moved |= done;
            !done
        });
        if self.host.borrow().is_dirty() {
            moved = true;
            let output = self.host.borrow_mut().turn(self.shared.now_ms.get());
            assert!(output.messages.is_empty(), "a cluster of one has nobody to talk to");
            self.broker.announce_leader_changes();
        }
        moved || !self.shared.new_tasks.borrow().is_empty()
    }
}
