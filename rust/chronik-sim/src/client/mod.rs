//! Clients: they speak the protocol to nodes over the switchboard and write down what they saw.
//!
//! Who decides nothing here: a client knows what a Kafka client can know, apart from the ids of the topics, and its
//! history is judged by a checker that knows no broker.

mod admin;
mod consumer;
mod copiers;
mod final_reads;
mod group_consumers;
mod group_requests;
mod members;
mod producer;
mod readers;
mod requests;
mod sessions;
mod transactions;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::rc::Rc;

use bytes::Bytes;
use chronik_history::{Event, History, Operation, Status, Text};
use chronik_wire::api::Request;
use chronik_wire::header::{decode_response, request_frame};
use chronik_wire::types::{NodeId, PartitionIndex, PartitionKey, TopicId};

use crate::plan::WorkloadPlan;
use crate::random::Random;
use crate::switchboard::{CallError, Switchboard};

pub(crate) use admin::{Topic, create_topics};
pub(crate) use copiers::judge_copies;
pub(crate) use final_reads::read_everything;

use copiers::COPIERS;
use group_consumers::{CLASSIC, NEWER};
use members::Member;
use transactions::Worker;

/// Time after which a client gives an answer up, in microseconds: more than any honest answer takes.
const PATIENCE_US: u64 = 15_000_000;
/// Time from one common rest of all clients to the next, in microseconds.
const REST_EVERY_US: u64 = 6_000_000;
/// Pause after a failure, in microseconds.
const BACKOFF_US: u64 = 100_000;

/// Longest rest between two lives of a topic, in microseconds.
const REST_US: u64 = 1_000_000;

/// One partition that clients use.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) topic: Rc<str>,
    pub(crate) id: TopicId,
    pub(crate) partition: i32,
    /// `topic id/partition`, as histories name it.
    pub(crate) key: Text,
}

impl Place {
    /// The partition as brokers name it.
    pub(crate) fn partition_key(&self) -> PartitionKey {
        PartitionKey::new(self.id, PartitionIndex(self.partition))
    }

    pub(crate) fn new(topic: &Rc<str>, id: TopicId, partition: i32) -> Place {
        Place {
            topic: Rc::clone(topic),
            id,
            partition,
            key: Text::from(format!("{topic}-{:x}/{partition}", id.0 >> 96)),
        }
    }
}

/// What all clients of a run share.
pub(crate) struct Crowd {
    pub(crate) board: Rc<Switchboard>,
    /// The nodes that clients begin with.
    pub(crate) nodes: Vec<NodeId>,
    /// These, and whom they have heard of since.
    known: RefCell<Vec<NodeId>>,
    pub(crate) plan: WorkloadPlan,
    /// How long honest waits may take beyond their length, in per mille: clocks of nodes run slower.
    pub(crate) slowest_per_mille: u64,
    pub(crate) history: RefCell<History>,
    /// No client begins anything new.
    pub(crate) closing: Cell<bool>,
    /// Clients that have not ended.
    pub(crate) active: Cell<usize>,
    /// The largest end that anybody has proved, by key.
    ends: RefCell<BTreeMap<Text, i64>>,
    /// Sends that were acknowledged.
    pub(crate) acknowledged: Cell<u64>,
    /// What clients were told that no well-behaved client may be told.
    pub(crate) complaints: RefCell<Vec<String>>,
    /// What clients met that is rare, by the name of its counter.
    sights: RefCell<BTreeMap<&'static str, u64>>,
    /// How often the state of the cluster was put back: clients of each time have names of their own.
    era: Cell<u64>,
}

/// What had happened to clients when the state of the cluster was taken.
pub(crate) struct Remembered {
    events: usize,
    at_ns: u64,
    ends: BTreeMap<Text, i64>,
}

impl Crowd {
    pub(crate) fn new(
        board: &Rc<Switchboard>,
        nodes: Vec<NodeId>,
        plan: WorkloadPlan,
        slowest_per_mille: u64,
    ) -> Rc<Crowd> {
        Rc::new(Crowd {
            board: Rc::clone(board),
            known: RefCell::new(nodes.clone()),
            nodes,
            plan,
            slowest_per_mille,
            history: RefCell::default(),
            closing: Cell::new(false),
            active: Cell::new(0),
            ends: RefCell::default(),
            acknowledged: Cell::new(0),
            complaints: RefCell::default(),
            sights: RefCell::default(),
            era: Cell::new(0),
        })
    }

    /// Starts every client of the plan.
    pub(crate) fn start(self: &Rc<Self>, topics: &[Topic], random: &mut Random) {
        let of_copies = |wanted: bool| {
            topics.iter().filter(move |topic| topic.is_for_copies() == wanted).flat_map(Topic::places)
        };
        let places: Rc<[Place]> = of_copies(false).collect();
        let outputs: Vec<Place> = of_copies(true).collect();
        let mut number = 0;
        let mut client = |name: &str, home: Option<NodeId>| {
            number += 1;
            let era = match self.era.get() {
                0 => String::new(),
                era => format!("-again{era}"),
            };
            Client::new(self, &format!("{name}-{number}{era}"), home, random.fork(number))
        };
        for _ in 0..self.plan.writers {
            self.run(producer::write(client("writer", None), Rc::clone(&places)));
        }
        for turn in 0..self.plan.idempotent_writers {
            if let Some(place) = places.get(turn % places.len().max(1)) {
                self.run(producer::write_exactly_once(client("idempotent", None), place.clone()));
            }
        }
        for node in &self.nodes {
            for _ in 0..self.plan.end_readers {
                self.run(readers::watch_the_end(client("end-reader", Some(*node)), Rc::clone(&places)));
            }
            for _ in 0..self.plan.session_readers {
                self.run(sessions::watch_all(client("session-reader", Some(*node)), Rc::clone(&places)));
            }
            for _ in 0..self.plan.scanners {
                self.run(readers::scan(client("scanner", Some(*node)), Rc::clone(&places)));
            }
        }
        for _ in 0..self.plan.consumers {
            self.run(consumer::follow(client("consumer", None), Rc::clone(&places)));
        }
        for number in 0..self.plan.transactional_writers {
            let transactional_id: Rc<str> = Rc::from(format!("app{number}"));
            for _ in 0..if self.plan.rivals { 2 } else { 1 } {
                let (id, places) = (Rc::clone(&transactional_id), Rc::clone(&places));
                self.run(transactions::transact(client("transactional", None), id, places));
            }
        }
        if self.plan.topic_churn {
            self.run(admin::churn(client("admin", None)));
        }
        for _ in 0..self.plan.members {
            let member = Member::new(client("member", None), CLASSIC, false, Rc::clone(&places));
            self.run(group_consumers::consume(member));
        }
        for _ in 0..self.plan.newer_members {
            let member = Member::new(client("newer-member", None), NEWER, true, Rc::clone(&places));
            self.run(group_consumers::consume(member));
        }
        if self.plan.members + self.plan.newer_members + self.plan.copiers > 0 {
            for node in &self.nodes {
                let watcher = client("offset-reader", Some(*node));
                self.run(group_consumers::watch_offsets(watcher, Rc::clone(&places)));
            }
        }
        if self.plan.deletes_records {
            self.run(admin::delete_records(client("deleter", None), Rc::clone(&places)));
        }
        for number in 0..self.plan.copiers {
            let reader = client("copier", None);
            let writer = Client::new(self, &reader.name, None, reader.random.borrow_mut().fork(1));
            let member = Member::new(reader, COPIERS, self.plan.newer_copiers, Rc::clone(&places));
            let worker = Worker::new(writer, Rc::from(format!("copier{number}")), Rc::clone(&places));
            self.run(copiers::copy(member, worker, outputs.clone()));
        }
    }

    fn run(self: &Rc<Self>, future: impl Future<Output = ()> + 'static) {
        self.active.set(self.active.get() + 1);
        let crowd = Rc::clone(self);
        self.board.spawn_client(Box::pin(async move {
            future.await;
            crowd.active.set(crowd.active.get() - 1);
        }));
    }

    /// A client met something rare.
    fn saw(&self, path: &'static str) {
        *self.sights.borrow_mut().entry(path).or_default() += 1;
    }

    /// What clients met that is rare.
    pub(crate) fn sights(&self) -> BTreeMap<&'static str, u64> {
        self.sights.borrow().clone()
    }

    /// What has happened so far.
    pub(crate) fn remember(&self) -> Remembered {
        let events = self.history.borrow().events.len();
        Remembered { events, at_ns: self.board.stamp_ns(), ends: self.ends.borrow().clone() }
    }

    /// What came later has not happened, and all clients are gone. The history up to now, which is complete.
    pub(crate) fn rewind(&self, to: &Remembered) -> History {
        self.board.dismiss_clients();
        self.active.set(0);
        self.era.set(self.era.get() + 1);
        self.ends.replace(to.ends.clone());
        let whole = self.history.take();
        let mut kept = whole.events.get(..to.events).unwrap_or_default().to_vec();
        // Nobody was told how it ended: that answer has not been given.
        let is_open = |event: &&mut Event| event.returned_ns.is_none_or(|returned_ns| returned_ns > to.at_ns);
        kept.iter_mut().filter(is_open).for_each(Event::forget_answer);
        // Of the topic that comes and goes nobody promises to read the life that comes back.
        kept.retain(|event| !admin::is_about_churned(event));
        self.history.replace(History { events: kept });
        whole
    }

    /// The largest end that anybody has proved.
    pub(crate) fn proved_end(&self, place: &Place) -> i64 {
        self.ends.borrow().get(&place.key).copied().unwrap_or(0)
    }

    fn prove_end(&self, place: &Place, end: i64) {
        let mut ends = self.ends.borrow_mut();
        let known = ends.entry(place.key.clone()).or_default();
        *known = (*known).max(end);
    }

    /// Writes down that something not of a client begins: a phase.
    pub(crate) fn mark(&self, operation: Operation) {
        let mut event = Event::invoked(self.board.stamp_ns(), "sim", "", operation);
        event.returned_ns = Some(self.board.stamp_ns());
        event.status = Status::Ok;
        self.history.borrow_mut().push(event);
    }
}

/// One client: a name, a connection and luck of its own.
pub(crate) struct Client {
    pub(crate) crowd: Rc<Crowd>,
    pub(crate) name: Text,
    /// The node it always asks, if there is one.
    home: Option<NodeId>,
    random: RefCell<Random>,
    connection: Cell<u64>,
}

impl Client {
    pub(crate) fn new(crowd: &Rc<Crowd>, name: &str, home: Option<NodeId>, random: Random) -> Client {
        let connection = Cell::new(crowd.board.connect());
        Client {
            crowd: Rc::clone(crowd),
            name: Text::from(name),
            home,
            random: RefCell::new(random),
            connection,
        }
    }

    fn is_closing(&self) -> bool {
        self.crowd.closing.get()
    }

    fn below(&self, bound: u64) -> u64 {
        self.random.borrow_mut().below(bound)
    }

    fn chance(&self, per_mille: u64) -> bool {
        self.random.borrow_mut().chance(per_mille)
    }

    fn pick<'a, T>(&self, items: &'a [T]) -> Option<&'a T> {
        self.random.borrow_mut().pick(items)
    }

    fn some_node(&self) -> NodeId {
        self.pick(&self.crowd.known.borrow()).copied().unwrap_or(NodeId(1))
    }

    /// Nodes that a metadata answer names are among those asked from now on.
    fn meet(&self, nodes: impl Iterator<Item = NodeId>) {
        let mut known = self.crowd.known.borrow_mut();
        for node in nodes {
            if !known.contains(&node) {
                known.push(node);
            }
        }
    }

    fn complain(&self, text: String) {
        self.crowd.complaints.borrow_mut().push(format!("{}: {text}", self.name));
    }

    async fn pause(&self) {
        let mean_us = self.crowd.plan.pause_ms * 1_000;
        let for_us = 1 + self.random.borrow_mut().around(mean_us);
        let in_round_us = self.crowd.board.now_us() % REST_EVERY_US;
        let rest_us = (self.crowd.plan.rest_ms * 1_000).saturating_sub(in_round_us);
        self.crowd.board.sleep(for_us + if self.is_closing() { 0 } else { rest_us }).await;
    }

    async fn rest(&self) {
        let for_us = self.below(REST_US);
        self.crowd.board.sleep(for_us).await;
    }

    async fn back_off(&self) {
        let for_us = BACKOFF_US / 2 + self.below(BACKOFF_US);
        self.crowd.board.sleep(for_us).await;
    }

    /// Sends a request and waits for its answer. A connection that failed is replaced.
    async fn ask<R: Request>(
        &self,
        node: NodeId,
        pinned: bool,
        version: i16,
        request: &R,
    ) -> Result<Option<R::Response>, CallError> {
        self.ask_for(PATIENCE_US, node, pinned, version, request).await
    }

    /// The same for an impatient client, which gives up after `patience_us`.
    async fn ask_for<R: Request>(
        &self,
        patience_us: u64,
        node: NodeId,
        pinned: bool,
        version: i16,
        request: &R,
    ) -> Result<Option<R::Response>, CallError> {
        let pieces =
            request_frame(version, 7, Some(&self.name), request).expect("a request of our own encodes");
        let frame = Bytes::from(pieces.concat()).slice(4..);
        let answer = self.crowd.board.call(self.connection.get(), node, pinned, frame, patience_us).await;
        match answer {
            Ok(None) => Ok(None),
            Ok(Some(frame)) => {
                let (_, response) =
                    decode_response::<R>(frame, version).expect("an answer of the broker decodes");
                Ok(Some(response))
            }
            Err(error) => {
                self.crowd.board.disconnect(self.connection.get());
                self.connection.set(self.crowd.board.connect());
                Err(error)
            }
        }
    }

    /// Writes down that an operation begins. Complete it with [`Client::returned`].
    fn invoked(&self, node: NodeId, key: &Text, operation: Operation) -> Pending {
        let mut event =
            Event::invoked(self.crowd.board.stamp_ns(), self.name.clone(), key.clone(), operation);
        event.node = Some(node.0);
        let invoked_us = self.crowd.board.now_us();
        Pending { place: self.crowd.history.borrow_mut().push(event), node, invoked_us }
    }

    /// Writes down how an operation ended.
    fn returned(&self, pending: &Pending, error: i16, status: Status, change: impl FnOnce(&mut Operation)) {
        let mut history = self.crowd.history.borrow_mut();
        let Some(event) = history.events.get_mut(pending.place) else { return };
        event.returned_ns = Some(self.crowd.board.stamp_ns());
        event.error = error;
        event.status = status;
        change(&mut event.operation);
        self.crowd.board.tell_operation(|| chronik_history::describe(event));
    }

    /// How late an honest answer may be: what the node was asked to wait at most, on a clock that may run slow. `None`
    /// if the node stood still meanwhile.
    fn bound_ms(&self, pending: &Pending, wait_ms: u64) -> Option<u64> {
        let disturbed = self.crowd.board.disturbed_since(pending.node, pending.invoked_us);
        (!disturbed).then(|| wait_ms * 1_000 / self.crowd.slowest_per_mille.max(1))
    }
}

/// An operation under way.
struct Pending {
    place: usize,
    node: NodeId,
    invoked_us: u64,
}
