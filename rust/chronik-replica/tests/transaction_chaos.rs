//! Transactions under faults of all kinds, many seeds: producers that commit, abort and are timed out, with and without
//! an epoch bumped at each end; batches that come long after their transaction has ended; markers that come twice, also
//! from a coordinator that has been replaced; readers of committed records behind the gate at every node.
//!
//! Checked: nobody sees a record of a transaction that was not decided to be committed; whoever enters the gate after a
//! marker was acknowledged sees all of its transaction that lies below the last stable offset, which never goes back;
//! in the end nothing is open, and every replica shows exactly the committed records.
#![allow(clippy::unwrap_used, reason = "test code")]

mod harness;

use std::collections::BTreeMap;
use std::sync::Arc;

use chronik_log::LogConfig;
use chronik_replica::*;
use chronik_wire::types::Offset;
use harness::*;
use tokio::sync::oneshot::error::TryRecvError;

/// How long a client waits for an answer.
const TIMEOUT_MS: u64 = 400;

#[derive(Default)]
struct Transaction {
    /// What was decided; nobody may see its records before it is a commit.
    commit: Option<bool>,
    /// A marker was acknowledged.
    ended: bool,
    /// Acknowledged records.
    records: Vec<(i64, String)>,
}

/// A batch on its way: not sent, waiting behind its verification, or sent.
struct Write {
    epoch: i16,
    sequence: i32,
    value: String,
    guard: Option<VerificationGuard>,
    /// Its transaction has been decided: the coordinator vouches for it no more.
    late: bool,
    /// Steps that the way to the leader takes after the verification.
    delay: u64,
    answer: Option<AppendReceiver>,
}

struct Producer {
    id: i64,
    epoch: i16,
    next_sequence: i32,
    /// The epoch rises with each end.
    bumps_epoch: bool,
    coordinator_epoch: i32,
    transaction: usize,
    write: Option<Write>,
    marker: Option<(EndMarker, Option<AppendReceiver>)>,
}

/// All transactions, and what comes too late.
#[derive(Default)]
struct Story {
    transactions: Vec<Transaction>,
    late_writes: Vec<(i64, Write)>,
    late_markers: Vec<(u64, EndMarker)>,
    quiet: bool,
    ended: u64,
}

fn target(world: &mut World) -> i32 {
    let known = world.confirmed_leader(KEY).map(|leader| leader.0);
    match known {
        Some(leader) if world.random(8) > 0 => leader,
        _ => 1 + world.random(3) as i32,
    }
}

impl Write {
    /// One step on its way; the offset once it is acknowledged, an error that is final.
    fn step(&mut self, world: &mut World, producer: i64) -> Option<Result<i64, AppendError>> {
        match self.answer.as_mut().map(AppendReceiver::try_recv) {
            Some(Ok(Ok(appended))) => return Some(Ok(appended.base_offset.0)),
            Some(Ok(Err(
                error @ (AppendError::InvalidProducerEpoch { .. }
                | AppendError::InvalidTransactionState { .. }),
            ))) => return Some(Err(error)),
            // Also a gap in the sequence: a deposed leader has not seen what came before.
            Some(Ok(Err(_)) | Err(TryRecvError::Closed)) => (self.answer, self.guard) = (None, None),
            Some(Err(TryRecvError::Empty)) => return None,
            None => {}
        }
        let node = target(world);
        let deadline_ms = world.now_ms + TIMEOUT_MS;
        let slow = world.random(6);
        let host = world.node(node).host.as_mut()?;
        if self.guard.is_none() {
            self.guard = host.begin_verification(KEY, producer, self.epoch);
            if self.guard.is_some() && self.late {
                return Some(Err(AppendError::Unverified { producer }));
            }
            if self.guard.is_some() {
                self.delay = slow;
                return None;
            }
        }
        if self.delay > 0 {
            self.delay -= 1;
            return None;
        }
        let batch = transactional(producer, self.epoch, self.sequence, &self.value);
        self.answer = Some(host.append_verified(KEY, batch, Acks::All, deadline_ms, self.guard));
        None
    }
}

impl Producer {
    fn new(id: i64, story: &mut Story) -> Producer {
        story.transactions.push(Transaction::default());
        Producer {
            id,
            epoch: 0,
            next_sequence: 0,
            bumps_epoch: id % 2 == 0,
            coordinator_epoch: 1,
            transaction: story.transactions.len() - 1,
            write: None,
            marker: None,
        }
    }

    fn step(&mut self, world: &mut World, story: &mut Story, seed: u64) {
        if self.marker.is_some() {
            return self.end(world, story, seed);
        }
        let Some(write) = &mut self.write else {
            return self.go_on(world, story);
        };
        match write.step(world, self.id) {
            None if world.random(40) == 0 && !story.quiet => {
                // The client gives up, or is timed out; the batch goes on without it.
                let write = self.write.take().unwrap();
                story.late_writes.push((self.id, Write { late: true, ..write }));
                self.decide(world, story, false);
            }
            None => {}
            Some(Ok(offset)) => {
                let value = self.write.take().unwrap().value;
                story.transactions[self.transaction].records.push((offset, value));
                self.next_sequence += 1;
            }
            Some(Err(error)) => panic!("seed {seed}: producer {} is refused: {error}", self.id),
        }
    }

    fn go_on(&mut self, world: &mut World, story: &mut Story) {
        let written = story.transactions[self.transaction].records.len();
        if written >= 5 || (written > 0 && (story.quiet || world.random(4) == 0)) {
            let commit = world.random(2) == 0;
            return self.decide(world, story, commit);
        }
        if !story.quiet {
            let value = format!("{}-{}-{}", self.id, self.transaction, written);
            let (epoch, sequence) = (self.epoch, self.next_sequence);
            self.write =
                Some(Write { epoch, sequence, value, guard: None, late: false, delay: 0, answer: None });
        }
    }

    fn decide(&mut self, world: &mut World, story: &mut Story, commit: bool) {
        story.transactions[self.transaction].commit = Some(commit);
        // With an unknown batch left behind, the next transaction has an epoch of its own in any case.
        let given_up = !commit
            && story.late_writes.iter().any(|(id, write)| (*id, write.epoch) == (self.id, self.epoch));
        let marker_epoch = self.epoch + i16::from(self.bumps_epoch);
        if self.bumps_epoch || given_up {
            self.epoch += 1;
            self.next_sequence = 0;
        }
        let marker = EndMarker {
            producer: self.id,
            epoch: marker_epoch,
            commit,
            coordinator_epoch: self.coordinator_epoch,
            bumps_epoch: self.bumps_epoch,
            timestamp_ms: world.now_ms as i64,
        };
        self.marker = Some((marker, None));
    }

    fn end(&mut self, world: &mut World, story: &mut Story, seed: u64) {
        let (marker, answer) = self.marker.as_mut().unwrap();
        match answer.as_mut().map(AppendReceiver::try_recv) {
            Some(Ok(Ok(_))) => {
                let marker = *marker;
                self.marker = None;
                // Known by its epoch, a repetition may come at any time; else only from a coordinator that is replaced.
                if self.bumps_epoch && world.random(3) == 0 {
                    story.late_markers.push((1 + world.random(60), marker));
                }
                story.transactions[self.transaction].ended = true;
                story.transactions.push(Transaction::default());
                story.ended += 1;
                self.transaction = story.transactions.len() - 1;
                return;
            }
            Some(Ok(Err(
                error @ (AppendError::InvalidProducerEpoch { .. } | AppendError::CoordinatorFenced { .. }),
            ))) => panic!("seed {seed}: a marker of {} is refused: {error}", self.id),
            Some(Ok(Err(_)) | Err(TryRecvError::Closed)) => *answer = None,
            Some(Err(TryRecvError::Empty)) if world.random(30) == 0 => {
                // Another coordinator takes over and writes the marker again. The first one's may still be under way.
                story.late_markers.push((1 + world.random(60), *marker));
                self.coordinator_epoch += 1;
                marker.coordinator_epoch = self.coordinator_epoch;
                *answer = None;
            }
            Some(Err(TryRecvError::Empty)) => return,
            None => {}
        }
        let (node, deadline_ms) = (target(world), world.now_ms + TIMEOUT_MS);
        if let Some(host) = &mut world.node(node).host {
            *answer = Some(host.append_marker(KEY, *marker, deadline_ms));
        }
    }
}

impl Story {
    /// What comes too late goes on; whatever becomes of it, nobody is told.
    fn step(&mut self, world: &mut World) {
        self.late_writes.retain_mut(|(producer, write)| {
            let is_over = write.step(world, *producer).is_some();
            !is_over && world.random(60) > 0
        });
        let deadline_ms = world.now_ms + TIMEOUT_MS;
        let mut due = Vec::new();
        self.late_markers.retain_mut(|(delay, marker)| {
            *delay -= 1;
            if *delay == 0 {
                due.push(*marker);
            }
            *delay > 0
        });
        for marker in due {
            let node = target(world);
            if let Some(host) = &mut world.node(node).host {
                drop(host.append_marker(KEY, marker, deadline_ms));
            }
        }
    }

    /// Indexes of the transactions that whoever reads from now on must see.
    fn committed(&self) -> Vec<usize> {
        let is_committed =
            |index: &usize| self.transactions[*index].ended && self.transactions[*index].commit == Some(true);
        (0..self.transactions.len()).filter(is_committed).collect()
    }

    /// Compares what a node shows with what was decided; `floor` was committed before the reader came.
    fn check(&self, world: &mut World, node: i32, floor: &[usize], seed: u64) {
        let view = world.view(node);
        // What was committed behind a transaction that is open still waits with it.
        let shown = view.log_start.0..view.last_stable_offset.0;
        let mut seen = BTreeMap::new();
        for value in world.committed(node) {
            let transaction: usize = value.split('-').nth(1).unwrap().parse().unwrap();
            let decided = self.transactions[transaction].commit;
            assert_eq!(decided, Some(true), "seed {seed}: node {node} shows {value}");
            assert!(seen.insert(value.clone(), ()).is_none(), "seed {seed}: {value} is there twice");
        }
        for (offset, value) in floor.iter().flat_map(|index| &self.transactions[*index].records) {
            let is_there = seen.contains_key(value) || !shown.contains(offset);
            assert!(is_there, "seed {seed}: node {node} lacks {value}, which was committed at {offset}");
        }
    }
}

/// Node, life of its process, the last stable offset and the transactions that must be seen, the gate.
type Reader = (i32, u64, i64, Vec<usize>, GateReceiver);

#[derive(Default)]
struct Readers {
    open: Vec<Reader>,
    stable: i64,
    passes: u64,
}

impl Readers {
    fn step(&mut self, world: &mut World, story: &Story, seed: u64) {
        let node = 1 + world.random(3) as i32;
        let deadline_ms = world.now_ms + 300;
        if world.node(node).host.is_some() {
            let gate = world.enter_until(node, deadline_ms);
            let life = world.node(node).config.incarnation;
            self.open.push((node, life, self.stable, story.committed(), gate));
        }
        for (node, life, stable, floor, mut gate) in std::mem::take(&mut self.open) {
            match gate.try_recv() {
                Ok(Ok(_)) => {
                    let is_alive = world.node(node).host.is_some();
                    if is_alive && world.node(node).config.incarnation == life {
                        let shown = world.view(node).last_stable_offset.0;
                        assert!(shown >= stable, "seed {seed}: node {node} shows {shown} after {stable}");
                        self.stable = self.stable.max(shown);
                        story.check(world, node, &floor, seed);
                        self.passes += 1;
                    }
                }
                Err(TryRecvError::Empty) => self.open.push((node, life, stable, floor, gate)),
                Ok(Err(_)) | Err(TryRecvError::Closed) => {}
            }
        }
    }
}

fn run(seed: u64, sync: SyncMode) -> (u64, u64) {
    let mut world = World::with(3, |config| HostConfig { sync, seed, hibernate_after_ticks: 12, ..config });
    world.log = Arc::new(LogConfig { segment_bytes: 2 * 1024, ..LogConfig::default() });
    world.create_all(KEY, TopicSettings { replica_lag_max_ms: 200, ..TopicSettings::default() });
    world.seed(seed);
    let (mut story, mut readers) = (Story::default(), Readers::default());
    let mut producers: Vec<Producer> = (0..4).map(|id| Producer::new(id, &mut story)).collect();
    for step in 0..600 {
        if step % 40 == 39 {
            faults::new(&mut world);
        }
        for producer in &mut producers {
            producer.step(&mut world, &mut story, seed);
        }
        story.step(&mut world);
        readers.step(&mut world, &story, seed);
        world.tick();
    }
    get_well(&mut world, &mut story, &mut producers, seed);
    (readers.passes, story.ended)
}

fn get_well(world: &mut World, story: &mut Story, producers: &mut [Producer], seed: u64) {
    faults::heal(world);
    story.quiet = true;
    let is_idle = |producer: &Producer, story: &Story| {
        producer.write.is_none()
            && producer.marker.is_none()
            && story.transactions[producer.transaction].records.is_empty()
    };
    for _ in 0..1_000 {
        for producer in producers.iter_mut() {
            producer.step(world, story, seed);
        }
        story.step(world);
        world.tick();
        let is_done = story.late_writes.is_empty() && story.late_markers.is_empty();
        if is_done && producers.iter().all(|producer| is_idle(producer, story)) {
            break;
        }
    }
    assert!(producers.iter().all(|producer| is_idle(producer, story)), "seed {seed}: not finished");
    world.ticks(50);
    let floor = story.committed();
    for node in 1..=3 {
        world.pass(node).unwrap_or_else(|error| panic!("seed {seed}: node {node} is not well: {error}"));
        let view = world.view(node);
        assert!(!view.stopped, "seed {seed}");
        assert_eq!(view.last_stable_offset, view.high_watermark, "seed {seed}: something stays open");
        story.check(world, node, &floor, seed);
        let known = world.host(node).producers(KEY).unwrap();
        assert!(known.iter().all(|producer| producer.open_since.is_none()), "seed {seed}");
        let aborted = |world: &mut World, node| {
            world.host(node).aborted_transactions(KEY, Offset(0), Offset(i64::MAX)).unwrap()
        };
        assert_eq!(aborted(world, node), aborted(world, 1), "seed {seed}");
        assert_eq!(known, world.host(1).producers(KEY).unwrap(), "seed {seed}");
    }
}

#[test]
fn faults_of_all_kinds_tear_no_transaction() {
    let (mut passes, mut ended) = (0, 0);
    for seed in 1..=20 {
        for sync in [SyncMode::Inline, SyncMode::Deferred] {
            let (seed_passes, seed_ended) = run(seed, sync);
            passes += seed_passes;
            ended += seed_ended;
        }
    }
    assert!(passes > 5_000 && ended > 2_000, "the runs did too little: {passes} passes, {ended} ends");
}

#[cfg(feature = "mutants")]
#[test]
fn chance_meets_the_planted_bugs() {
    use chronik_mutants::Mutant;
    for mutant in [
        Mutant::OpenTransactionsVisible,
        Mutant::AbortedListLost,
        Mutant::MarkerRepeated,
        Mutant::LateBatchOpens,
        Mutant::OpenTransactionsNotSaved,
    ] {
        let planted = chronik_mutants::plant(mutant);
        let outcome = std::panic::catch_unwind(faults_of_all_kinds_tear_no_transaction);
        drop(planted);
        assert!(outcome.is_err(), "{} survives", mutant.name());
    }
}
