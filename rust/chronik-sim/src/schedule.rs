//! One schedule from start to verdict: a phase with faults, then a healed cluster in which everything pending ends, all
//! replicas become equal and every one of them is read to the end.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use chronik_history::{Call, FINAL_PHASE, History, Operation, PhaseArgs, check};

use crate::client::{Crowd, Remembered, Topic, create_topics, judge_copies, read_everything};
use crate::plan::Plan;
use crate::random::Random;
use crate::simulation::{Rewind, Simulation, Snapshot};

/// Simulated time in which the cluster must have its topics, in microseconds.
const SETUP_US: u64 = 60_000_000;
/// Simulated time in which everything pending must end once all is healed, in microseconds.
const LIVENESS_US: u64 = 30_000_000;
/// Simulated time for the reads of the last phase, in microseconds.
const FINAL_READS_US: u64 = 60_000_000;

/// What became of a schedule.
#[derive(Debug)]
pub struct Outcome {
    /// The schedule.
    pub plan: Plan,
    /// What was wrong: nothing, if the schedule passed.
    pub findings: Vec<Finding>,
    /// Fingerprint of everything that happened.
    pub trace_hash: u64,
    /// Events that the fingerprint covers.
    pub trace_events: u64,
    /// Simulated time, in microseconds.
    pub simulated_us: u64,
    /// Operations that clients began.
    pub operations: u64,
    /// Sends that were acknowledged.
    pub acknowledged: u64,
    /// What nodes counted, over all of them.
    pub counters: BTreeMap<String, u64>,
    /// How often each kind of fault took effect.
    pub faults: BTreeMap<&'static str, u64>,
    /// Why replicas stopped.
    pub stops: BTreeMap<String, u64>,
    /// What clients saw.
    pub history: History,
}

/// How much of a run is told on standard output while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Story {
    /// Nothing.
    Untold,
    /// Starts, faults, elections, and what was found.
    Told,
    /// The same and every operation of a client.
    WithOperations,
}

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The rule that was broken: one of the checker's, or `invariant`, `liveness`, `panic`.
    pub rule: String,
    /// What was seen, and what should have been.
    pub text: String,
}

impl Finding {
    fn new(rule: &str, text: impl Into<String>) -> Finding {
        Finding { rule: rule.to_owned(), text: text.into() }
    }
}

/// Runs a plan.
pub fn run(plan: &Plan, story: Story) -> Outcome {
    match catch_unwind(AssertUnwindSafe(|| Schedule::new(plan, story).run())) {
        Ok(outcome) => outcome,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            Outcome {
                plan: plan.clone(),
                findings: vec![Finding::new(
                    "panic",
                    text.unwrap_or_else(|| "a panic without a text".to_owned()),
                )],
                trace_hash: 0,
                trace_events: 0,
                simulated_us: 0,
                operations: 0,
                acknowledged: 0,
                counters: BTreeMap::new(),
                faults: BTreeMap::new(),
                stops: BTreeMap::new(),
                history: History::default(),
            }
        }
    }
}

struct Schedule {
    simulation: Simulation,
    crowd: Rc<Crowd>,
    random: Random,
    findings: Vec<Finding>,
    /// The state of the cluster and of its clients that may be put back.
    taken: Option<(Snapshot, Remembered)>,
}

impl Schedule {
    fn new(plan: &Plan, story: Story) -> Schedule {
        let simulation = Simulation::new(plan.clone(), story);
        let slowest = plan.cluster.clock_per_mille.iter().copied().min().unwrap_or(1_000).min(1_000);
        let crowd = Crowd::new(&simulation.board, simulation.ids(), plan.workload.clone(), slowest);
        Schedule {
            simulation,
            crowd,
            random: Random::new(plan.seed ^ 0x0063_726f_7764),
            findings: Vec::new(),
            taken: None,
        }
    }

    fn run(mut self) -> Outcome {
        if let Some(topics) = self.set_up() {
            let topics: Rc<[Topic]> = topics.into();
            self.crowd.start(&topics, &mut self.random);
            self.simulation.enter_faults();
            let end_us = self.simulation.board.now_us() + self.simulation.plan.duration_ms * 1_000;
            while self.simulation.run_until(end_us, Simulation::wants_rewind) {
                self.rewind(&topics);
            }
            self.finish(&topics);
        }
        self.judge()
    }

    /// Creates the topics of the plan, before any fault.
    fn set_up(&mut self) -> Option<Vec<Topic>> {
        let made: Rc<RefCell<Option<Vec<Topic>>>> = Rc::default();
        let (slot, random) = (Rc::clone(&made), self.random.fork(1));
        let creating = create_topics(Rc::clone(&self.crowd), self.simulation.plan.cluster.clone(), random);
        self.simulation.board.spawn_client(Box::pin(async move {
            let topics = creating.await;
            *slot.borrow_mut() = Some(topics);
        }));
        if !self.simulation.run_until(SETUP_US, |_| made.borrow().is_some()) {
            self.findings.push(Finding::new("liveness", "the topics were never created"));
        }
        made.take()
    }

    /// Takes the state of the cluster, or puts it back: then what was seen until now is judged, and what was seen since the
    /// state was taken has not happened. New clients find what was acknowledged before, and nothing of what came after.
    fn rewind(&mut self, topics: &Rc<[Topic]>) {
        match self.simulation.take_rewind() {
            Some(Rewind::Take) => {
                self.taken = Some((self.simulation.take_snapshot(), self.crowd.remember()));
            }
            Some(Rewind::PutBack) => {
                let Some((snapshot, remembered)) = self.taken.take() else { return };
                if self.simulation.put_back(&snapshot) {
                    let whole = self.crowd.rewind(&remembered);
                    self.accuse(&whole);
                    self.crowd.start(topics, &mut self.random);
                }
            }
            None => {}
        }
    }

    fn accuse(&mut self, history: &History) {
        for anomaly in &check(history).anomalies {
            self.findings.push(Finding::new(anomaly.rule.name(), &*anomaly.explanation));
        }
    }

    fn finish(&mut self, topics: &Rc<[Topic]>) {
        self.simulation.board.tell(|| "all faults end; everything pending must end".to_owned());
        self.simulation.heal();
        self.crowd.closing.set(true);
        let until_us = self.simulation.board.now_us() + LIVENESS_US;
        let crowd = Rc::clone(&self.crowd);
        if !self.simulation.run_until(until_us, |_| crowd.active.get() == 0) {
            let (active, state) = (crowd.active.get(), self.simulation.unrest());
            let text = format!("{active} clients have not ended 30 s after all faults{state}");
            self.findings.push(Finding::new("liveness", text));
        }
        self.check_dead();
        self.check_members();
        let until_us = self.simulation.board.now_us() + LIVENESS_US;
        if !self.simulation.run_until(until_us, |simulation| simulation.difference().is_none()) {
            let text = self.simulation.difference().unwrap_or_default();
            self.findings
                .push(Finding::new("liveness", format!("replicas are not equal after 30 s: {text}")));
        }
        self.read_everything(topics);
    }

    /// A node that cannot start must have a damaged disk.
    fn check_dead(&mut self) {
        let until_us = self.simulation.board.now_us() + LIVENESS_US;
        self.simulation
            .run_until(until_us, |simulation| simulation.dead().iter().all(|(_, damaged, _)| *damaged));
        for (node, damaged, reason) in self.simulation.dead() {
            if !damaged {
                let text = format!("node {node} cannot start on an undamaged disk: {reason}");
                self.findings.push(Finding::new("liveness", text));
            }
        }
    }

    /// Who shall join, leave or move does so in time, unless a damaged disk stands in the way.
    fn check_members(&mut self) {
        let until_us = self.simulation.board.now_us() + LIVENESS_US;
        let settled = |simulation: &Simulation| simulation.unsettled_change().is_none();
        if !self.simulation.run_until(until_us, settled) && !self.simulation.is_anybody_damaged() {
            let text = self.simulation.unsettled_change().unwrap_or_default();
            let text = format!("a change of members has not come about 30 s after all faults: {text}");
            self.findings.push(Finding::new("liveness", text));
        }
    }

    fn read_everything(&mut self, topics: &Rc<[Topic]>) {
        self.crowd.mark(Operation::Phase(Call::new(PhaseArgs { name: FINAL_PHASE.into() })));
        let places = topics.iter().flat_map(Topic::places);
        let replicas: Vec<_> = places
            .map(|place| {
                let holders = self.simulation.holders(place.partition_key());
                (place, holders)
            })
            .collect();
        let done: Rc<std::cell::Cell<bool>> = Rc::default();
        let end = Rc::clone(&done);
        // What is dropped may not have been copied, or not where it could be counted.
        let cluster = &self.simulation.plan.cluster;
        let keeps = cluster.retention_bytes + cluster.retention_ms == 0 && !self.crowd.plan.deletes_records;
        let counts = self.crowd.plan.copiers > 0 && keeps;
        let auditing =
            counts.then(|| judge_copies(Rc::clone(&self.crowd), replicas.clone(), self.random.fork(3)));
        let reading = read_everything(Rc::clone(&self.crowd), replicas, self.random.fork(2));
        self.simulation.board.spawn_client(Box::pin(async move {
            reading.await;
            if let Some(auditing) = auditing {
                auditing.await;
            }
            end.set(true);
        }));
        let until_us = self.simulation.board.now_us() + FINAL_READS_US;
        if !self.simulation.run_until(until_us, |_| done.get()) {
            let state = self.simulation.unrest();
            let text = format!("the last reads did not end within 60 s{state}");
            self.findings.push(Finding::new("liveness", text));
        }
    }

    fn judge(mut self) -> Outcome {
        if self.simulation.is_storm() {
            self.findings.push(Finding::new("liveness", "a storm: the nodes never come to rest"));
        }
        for text in self.simulation.auditor.violations() {
            self.findings.push(Finding::new("invariant", text));
        }
        for text in self.crowd.complaints.take() {
            self.findings.push(Finding::new("complaint", text));
        }
        let history = self.crowd.history.take();
        self.accuse(&history);
        for finding in &self.findings {
            self.simulation.board.tell(|| format!("FOUND {}: {}", finding.rule, finding.text));
        }
        let mut counters = self.simulation.counters();
        counters.extend(self.crowd.sights().into_iter().map(|(name, count)| (name.to_owned(), count)));
        let trace = self.simulation.board.trace.borrow();
        Outcome {
            plan: self.simulation.plan.clone(),
            findings: self.findings,
            trace_hash: trace.hash(),
            trace_events: trace.events(),
            simulated_us: self.simulation.board.now_us(),
            operations: history.events.len() as u64,
            acknowledged: self.crowd.acknowledged.get(),
            counters,
            faults: self.simulation.faults_played.clone(),
            stops: self.simulation.auditor.stops.clone(),
            history,
        }
    }
}
