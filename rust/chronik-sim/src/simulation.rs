//! The loop: takes the next event, lets everybody react, looks inside, and goes on.

mod faults;
mod inspect;
mod membership;
mod snapshots;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use chronik_broker::{BrokerCounters, PeerMessage};
use chronik_log::{MemDisk, UnsyncedPolicy};
use chronik_replica::{ReplicaCounters, SyncJob};
use chronik_wire::types::NodeId;

use crate::auditor::Auditor;
use crate::engine::{Owner, Tasks, Trace};
use crate::network::Network;
use crate::node::{Node, NodeClock, Start, Timers};
use crate::plan::Plan;
use crate::random::Random;
use crate::schedule::Story;
use crate::switchboard::{CallError, Clockwork, Event, Life, Switchboard, SyncEnd};

pub(crate) use snapshots::{Rewind, Snapshot};

/// Time over which a thawed node takes what waited, so that new requests come in between, in microseconds.
const CATCH_UP_US: u64 = 20_000;

/// Time until a process that could not start is started again, in microseconds.
const RESTART_US: u64 = 500_000;

/// Events of one schedule, at most; honest ones of a minute have a few hundred thousand.
const EVENTS_MAX: u64 = 10_000_000;

/// Mean time that a step of a compaction takes.
const COMPACTION_STEP_US: u64 = 3_000;

/// One node of the cluster over all of its lives.
struct Seat {
    disk: MemDisk,
    clock: Rc<NodeClock>,
    replica_counters: Arc<ReplicaCounters>,
    broker_counters: Arc<BrokerCounters>,
    running: Option<Node>,
    lives: Life,
    /// Faults that hold it frozen.
    frozen_by: BTreeSet<usize>,
    /// What came while it was frozen.
    backlog: Vec<Event>,
    /// Mean time of a sync, in microseconds.
    sync_us: u64,
    /// Its power is about to go: what becomes of unsynced bytes then.
    dying: Option<UnsyncedPolicy>,
    /// It lost or damaged synced bytes: it may stay out of its groups for ever.
    damaged: bool,
    /// Why it could not start the last time.
    dead: Option<String>,
    restart_entered: bool,
    /// It has left the cluster for good.
    left: bool,
}

impl Seat {
    /// A node that was never started, with a new disk.
    fn new(clock_per_mille: u64, sync_us: u64, random: &mut Random) -> Seat {
        Seat {
            disk: MemDisk::new(),
            clock: Rc::new(NodeClock::new(clock_per_mille, random)),
            replica_counters: Arc::default(),
            broker_counters: Arc::default(),
            running: None,
            lives: 0,
            frozen_by: BTreeSet::new(),
            backlog: Vec::new(),
            sync_us,
            dying: None,
            damaged: false,
            dead: None,
            restart_entered: false,
            left: false,
        }
    }
}

impl Drop for Simulation {
    /// Futures hold the switchboard that holds them: without this nothing of a run would ever be freed.
    fn drop(&mut self) {
        self.seats.clear();
        let tasks = self.board.tasks.take();
        let agenda = self.board.agenda.take();
        drop((tasks, agenda));
        self.board.calls.take();
    }
}

/// A cluster under simulation.
pub(crate) struct Simulation {
    pub(crate) plan: Plan,
    pub(crate) board: Rc<Switchboard>,
    network: Network,
    seats: BTreeMap<NodeId, Seat>,
    random: Random,
    pub(crate) auditor: Auditor,
    /// How often each kind of fault took effect.
    pub(crate) faults_played: BTreeMap<&'static str, u64>,
    /// The node that each fault under way has hit.
    victims: BTreeMap<usize, Vec<NodeId>>,
    /// Changes of who belongs to the cluster that are under way.
    changes: Vec<membership::Change>,
    /// What came about that is rare, by the name of its counter.
    sights: BTreeMap<&'static str, u64>,
    /// What is to be done with the state of the cluster.
    rewind: Option<Rewind>,
    /// When it was last put back: whatever is older arrives nowhere.
    rewound_us: u64,
    /// No fault begins any more.
    calm: bool,
}

impl Simulation {
    /// A cluster whose nodes start now.
    pub(crate) fn new(plan: Plan, story: Story) -> Simulation {
        let mut random = Random::new(plan.seed ^ 0x7369_6d75_6c61_7465);
        let board = Switchboard::new(random.fork(1), story);
        let network = Network::new(plan.network.clone(), random.fork(2));
        let mut seats = BTreeMap::new();
        for (place, id) in (1..=plan.cluster.nodes).map(NodeId).enumerate() {
            let per_mille = plan.cluster.clock_per_mille.get(place).copied().unwrap_or(1_000);
            seats.insert(id, Seat::new(per_mille, plan.cluster.sync_us, &mut random));
        }
        let mut simulation = Simulation {
            plan,
            board,
            network,
            seats,
            random,
            auditor: Auditor::default(),
            faults_played: BTreeMap::new(),
            victims: BTreeMap::new(),
            changes: Vec::new(),
            sights: BTreeMap::new(),
            rewind: None,
            rewound_us: 0,
            calm: false,
        };
        for id in simulation.ids() {
            simulation.start(id);
        }
        simulation
    }

    /// The phase with faults begins: their times count from now.
    pub(crate) fn enter_faults(&self) {
        for (number, fault) in self.plan.faults.iter().enumerate() {
            self.board.after(fault.at_ms * 1_000, Event::FaultBegins(number));
        }
    }

    /// All nodes, up or down.
    pub(crate) fn ids(&self) -> Vec<NodeId> {
        self.seats.keys().copied().collect()
    }

    /// Whether so much has happened that nodes or clients must be keeping each other busy for nothing.
    pub(crate) fn is_storm(&self) -> bool {
        self.board.trace.borrow().events() > EVENTS_MAX
    }

    /// Runs until `done`, or until the simulated time `until_us`, or until a storm. Returns whether it is done.
    pub(crate) fn run_until(&mut self, until_us: u64, done: impl Fn(&Simulation) -> bool) -> bool {
        self.settle();
        while !done(self) {
            let next = self.board.agenda.borrow_mut().next(until_us).filter(|_| !self.is_storm());
            let Some((at_us, event)) = next else {
                self.board.set_now_us(until_us);
                return false;
            };
            self.board.set_now_us(at_us);
            self.take(event);
            self.settle();
        }
        true
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Wake(waker) => waker.wake(),
            Event::Strike(id, life, clockwork) => self.strike(id, life, clockwork),
            Event::Turn(id, life) => self.turn(id, life),
            Event::Deliver { link, sent_us, receiver, frame } => self.deliver(link, sent_us, receiver, frame),
            Event::Synced(id, life, end) => self.synced(id, life, end),
            Event::Compact(id, life) => self.compact(id, life),
            Event::Request(number) => self.request(number),
            Event::Answer(number, answer) => {
                let digest = match &answer {
                    Ok(frame) => Trace::digest(frame.as_deref().unwrap_or_default()),
                    Err(error) => *error as u64,
                };
                self.note(6, number, digest);
                self.board.deliver_answer(number, answer);
            }
            Event::FaultBegins(number) => self.begin_fault(number),
            Event::FaultEnds(number) => self.end_fault(number),
            Event::Start(id) => self.start(id),
            Event::Membership => self.look_at_changes(),
            Event::Restart(id) => {
                if let Some(seat) = self.seats.get_mut(&id) {
                    seat.restart_entered = false;
                }
                self.start(id);
            }
        }
    }

    fn note(&self, kind: u64, what: u64, digest: u64) {
        self.board.trace.borrow_mut().note(self.board.now_us(), &[kind, what, digest]);
    }

    /// Lets tasks run, sends what nodes have to say, and enters the turns that are due.
    fn settle(&mut self) {
        let seats = &self.seats;
        let frozen = |id| seats.get(&id).is_some_and(|seat| !seat.frozen_by.is_empty());
        Tasks::run(&self.board.tasks, frozen);
        for place in 0..self.seats.len() {
            let Some(id) = self.seats.keys().nth(place).copied() else { break };
            if self.is_frozen(id) {
                continue;
            }
            self.stop_if_powerless(id);
            let Some(node) = self.seats.get(&id).and_then(|seat| seat.running.as_ref()) else { continue };
            let life = node.life;
            let messages = node.broker.node().take_messages();
            if node.host.borrow().is_dirty() && !node.turn_entered.replace(true) {
                let after_us = 1 + self.random.below(node.turn_us.get());
                self.board.after(after_us, Event::Turn(id, life));
            }
            let compacts = node.begin_compaction();
            for (to, message) in messages {
                self.send(id, to, &PeerMessage::Node(message));
            }
            if compacts {
                self.board.after(1 + self.random.around(COMPACTION_STEP_US), Event::Compact(id, life));
            }
        }
    }

    /// A step of a node's compaction, which its shard does not wait for.
    fn compact(&mut self, id: NodeId, life: Life) {
        if self.node(id, life).is_some() && self.is_frozen(id) {
            self.keep(id, Event::Compact(id, life));
            return;
        }
        let Some(node) = self.node(id, life) else { return };
        let goes_on = node.step_compaction();
        self.note(7, id.0 as u64, u64::from(goes_on));
        if goes_on {
            self.board.after(1 + self.random.around(COMPACTION_STEP_US), Event::Compact(id, life));
        }
    }

    fn node(&self, id: NodeId, life: Life) -> Option<&Node> {
        self.seats.get(&id)?.running.as_ref().filter(|node| node.life == life)
    }

    fn strike(&mut self, id: NodeId, life: Life, clockwork: Clockwork) {
        let Some(node) = self.node(id, life) else { return };
        let timers = Timers::of(&self.plan.cluster);
        let interval_ms = match clockwork {
            Clockwork::Tick => timers.tick_ms,
            Clockwork::Beat => timers.beat_ms,
            Clockwork::Retention => timers.retention_ms,
        };
        self.board.after(node.clock.span_us(interval_ms), Event::Strike(id, life, clockwork));
        if self.is_frozen(id) {
            return;
        }
        let now_us = self.board.now_us();
        match clockwork {
            Clockwork::Tick => node.tick(now_us),
            Clockwork::Beat => node.beat(now_us),
            Clockwork::Retention => node.retention(node.wall_ms(now_us)),
        }
        self.note(1, id.0 as u64, clockwork as u64);
    }

    fn turn(&mut self, id: NodeId, life: Life) {
        if self.node(id, life).is_some() && self.is_frozen(id) {
            self.keep(id, Event::Turn(id, life));
            return;
        }
        let now_us = self.board.now_us();
        let running = self.seats.get(&id).and_then(|seat| seat.running.as_ref());
        let Some(node) = running.filter(|node| node.life == life) else { return };
        node.turn_entered.set(false);
        self.auditor.before_turn(id, life, &node.host.borrow());
        let output = node.turn(now_us);
        if self.stop_if_powerless(id) {
            // What it wanted to say after the power had gone was never said.
            return;
        }
        let Some(node) = self.seats.get(&id).and_then(|seat| seat.running.as_ref()) else { return };
        let elected = self.auditor.look(id, life, &node.host.borrow(), &node.broker.node().image());
        for (to, key, message) in &output.messages {
            self.auditor.on_said((id, *to), *key, &node.host.borrow(), message);
        }
        self.note(2, id.0 as u64, output.messages.len() as u64);
        for (key, term) in elected {
            self.board.tell(|| format!("node {id} leads {key:?} in term {term}"));
        }
        if let Some(job) = output.sync {
            self.start_sync(id, life, job);
        }
        for (to, key, message) in output.messages {
            self.send(id, to, &PeerMessage::Replica(key, message));
        }
    }

    /// A sync takes time. Its bytes become durable at some point of it: here at the start or at the end.
    fn start_sync(&mut self, id: NodeId, life: Life, job: SyncJob) {
        let mean_us = self.seats.get(&id).map_or(1, |seat| seat.sync_us);
        let takes_us = 1 + self.random.around(mean_us);
        let early = self.random.chance(500);
        let end = if early { SyncEnd::Report(job.run()) } else { SyncEnd::Job(job) };
        self.board.after(takes_us, Event::Synced(id, life, end));
    }

    fn synced(&mut self, id: NodeId, life: Life, end: SyncEnd) {
        if self.node(id, life).is_some() && self.is_frozen(id) {
            self.keep(id, Event::Synced(id, life, end));
            return;
        }
        let Some(node) = self.node(id, life) else { return };
        let report = match end {
            SyncEnd::Job(job) => job.run(),
            SyncEnd::Report(report) => report,
        };
        let failed = report.has_failed();
        node.host.borrow_mut().on_synced(report);
        self.note(3, id.0 as u64, 0);
        if failed && self.calm {
            // The disk failed before everything was healed; the replica learns of it only now.
            self.restart_if_stopped(&[id]);
        }
    }

    fn send(&mut self, from: NodeId, to: NodeId, message: &PeerMessage) {
        let now_us = self.board.now_us();
        let arrivals = self.network.send((from, to), now_us);
        if arrivals.is_empty() {
            return;
        }
        let frame = Bytes::from(message.encode().concat());
        let receiver = self.seats.get(&to).map_or(0, |seat| seat.lives);
        for at_us in arrivals {
            let event = Event::Deliver { link: (from, to), sent_us: now_us, receiver, frame: frame.clone() };
            self.board.agenda.borrow_mut().enter(at_us, event);
        }
    }

    fn deliver(&mut self, link: (NodeId, NodeId), sent_us: u64, receiver: Life, frame: Bytes) {
        let (from, to) = link;
        if sent_us < self.rewound_us || !self.network.arrives(link, sent_us) {
            return;
        }
        if self.is_frozen(to) {
            self.keep(to, Event::Deliver { link, sent_us, receiver, frame });
            return;
        }
        self.note(4, (from.0 as u64) << 32 | to.0 as u64, Trace::digest(&frame));
        let Some(node) = self.seats.get(&to).and_then(|seat| seat.running.as_ref()) else { return };
        let message = PeerMessage::decode(frame).expect("what a node sends, a node can read");
        // A connection ends with the process. Raft bears what is held up longer than that, as a network without
        // connections may do it; what nodes tell each other beside it relies on connections.
        let outlives = !self.plan.network.ordered && matches!(message, PeerMessage::Replica(..));
        if node.life == receiver || outlives {
            node.take(from, message);
        }
    }

    fn request(&mut self, number: u64) {
        let Some((id, connection, pinned, frame)) = self
            .board
            .calls
            .borrow()
            .get(&number)
            .map(|call| (call.node, call.connection, call.pinned, call.frame.clone()))
        else {
            return;
        };
        if self.is_frozen(id) {
            self.keep(id, Event::Request(number));
            return;
        }
        self.note(5, number, Trace::digest(&frame));
        let Some(seat) = self.seats.get(&id) else { return };
        let Some(node) = &seat.running else {
            self.board.answer(number, Err(CallError::Refused));
            return;
        };
        if let Some(call) = self.board.calls.borrow_mut().get_mut(&number) {
            call.served_by = Some(node.life);
        }
        let (broker, board, disk) = (Rc::clone(&node.broker), Rc::clone(&self.board), seat.disk.clone());
        let connection = node.connection(connection, pinned);
        self.board.tasks.borrow().spawn(
            Owner::Node(id),
            Box::pin(async move {
                let answer = broker.handle(&connection, frame).await;
                if disk.power_is_cut() {
                    return;
                }
                let answer = match answer {
                    Ok(pieces) => Ok(pieces.map(|pieces| Bytes::from(pieces.concat()))),
                    Err(reason) => {
                        board.tell(|| format!("node {id} closes a connection: {reason}"));
                        Err(CallError::Closed)
                    }
                };
                board.answer(number, answer);
            }),
        );
    }

    fn is_frozen(&self, id: NodeId) -> bool {
        self.seats.get(&id).is_some_and(|seat| !seat.frozen_by.is_empty())
    }

    fn keep(&mut self, id: NodeId, event: Event) {
        if let Some(seat) = self.seats.get_mut(&id) {
            seat.backlog.push(event);
        }
    }

    /// Starts a node that is down.
    fn start(&mut self, id: NodeId) {
        let mut random = self.random.fork(id.0 as u64);
        let contacts = self.ids().into_iter().filter(|other| !self.has_left(*other)).collect();
        let down = |seat: &&mut Seat| seat.running.is_none() && !seat.left;
        let Some(seat) = self.seats.get_mut(&id).filter(down) else { return };
        seat.lives += 1;
        self.board.disturb(id, false);
        let life = seat.lives;
        let started = Node::start(Start {
            id,
            contacts,
            life,
            plan: &self.plan.cluster,
            board: &self.board,
            disk: &seat.disk,
            clock: Rc::clone(&seat.clock),
            replica_counters: &seat.replica_counters,
            broker_counters: &seat.broker_counters,
            random: random.fork(life),
        });
        match started {
            Ok(node) => {
                self.board.tell(|| format!("node {id} starts (life {life})"));
                let offset_us = random.below(10_000);
                for clockwork in [Clockwork::Tick, Clockwork::Beat, Clockwork::Retention] {
                    self.board.after(offset_us, Event::Strike(id, life, clockwork));
                }
                seat.running = Some(node);
            }
            Err(error) => {
                self.board.tell(|| format!("node {id} cannot start: {error}"));
                seat.dead = Some(error.to_string());
                // The process ends, and whoever keeps it running tries again.
                seat.disk.kill();
                if !seat.damaged && !std::mem::replace(&mut seat.restart_entered, true) {
                    self.board.after(RESTART_US, Event::Restart(id));
                }
            }
        }
    }

    /// Takes a node down whose power has gone.
    fn stop_if_powerless(&mut self, id: NodeId) -> bool {
        let Some(seat) = self.seats.get_mut(&id).filter(|seat| seat.disk.power_is_cut()) else {
            return false;
        };
        let Some(policy) = seat.dying.take() else { return false };
        self.board.tell(|| format!("node {id} loses its power"));
        self.auditor.on_power_cut(id);
        self.stop(id, policy)
    }

    /// Takes a node down where it stands.
    fn stop(&mut self, id: NodeId, policy: UnsyncedPolicy) -> bool {
        let closes = self.random.chance(700);
        let Some(seat) = self.seats.get_mut(&id) else { return false };
        let Some(node) = seat.running.take() else { return false };
        // What it was doing ends without a word; wakers of others may ring, which is all that dropping does.
        let gone = self.board.tasks.borrow_mut().remove(id);
        drop(gone);
        self.board.disturb(id, true);
        seat.dying = None;
        seat.frozen_by.clear();
        let backlog = std::mem::take(&mut seat.backlog);
        seat.disk.crash(policy);
        let life = node.life;
        self.auditor.forget_removed(id, life, &node.host.borrow(), &node.broker.node().image());
        drop(node);
        self.hang_up(id, life, closes);
        for event in backlog {
            if let Event::Request(number) = event {
                self.board.answer(number, Err(CallError::Closed));
            }
        }
        true
    }

    /// Clients of a node that went down notice a closed connection, or nothing at all.
    fn hang_up(&self, id: NodeId, life: Life, closes: bool) {
        let mut calls = self.board.calls.borrow_mut();
        let served: Vec<u64> = calls
            .iter()
            .filter(|(_, call)| call.node == id && call.served_by == Some(life))
            .map(|(number, _)| *number)
            .collect();
        // Whoever gave up before the end is forgotten with it.
        calls.retain(|number, call| !(call.is_abandoned() && served.contains(number)));
        drop(calls);
        if closes {
            served.into_iter().for_each(|number| self.board.answer(number, Err(CallError::Closed)));
        }
    }

    /// The node goes on: what waited comes in pieces, in order for each source, with new requests in between.
    fn resume(&mut self, id: NodeId) {
        let now_us = self.board.now_us();
        let Some(seat) = self.seats.get_mut(&id) else { return };
        self.board.disturb(id, false);
        let backlog = std::mem::take(&mut seat.backlog);
        if let Some(node) = &seat.running {
            node.thaw(now_us);
        }
        self.board.tasks.borrow_mut().thaw(id);
        let step_us = CATCH_UP_US / (backlog.len() as u64 + 1);
        for (place, event) in backlog.into_iter().enumerate() {
            let at_us = step_us * place as u64 + self.random.below(step_us.max(1));
            self.board.after(at_us, event);
        }
    }
}
