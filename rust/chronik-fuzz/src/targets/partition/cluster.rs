//! Three hosts with one partition, and what lies between them: messages under way, disks, time. Everything moves by hand.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use chronik_log::{LogConfig, MemDisk, UnsyncedPolicy};
use chronik_replica::{
    AbortedTransaction, Acks, AppendError, AppendReceiver, EndMarker, Faults, GateError, GatePass, Host,
    HostConfig, ReplicaCounters, ReplicaMessage, ReplicaSpec, SyncJob, SyncMode, TopicSettings,
};
use chronik_wire::batch::{BatchBuilder, BatchHeader, BatchView};
use chronik_wire::types::{NodeId, Offset, PartitionIndex, PartitionKey, TopicId};
use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;

use super::model::{Batch, Content, Knowledge, MARKER, Outcome, Read};
use super::transactions::End;

const KEY: PartitionKey = PartitionKey::new(TopicId(7), PartitionIndex(0));
const DIR: &str = "topic-0";
const TICK_MS: u64 = 10;
/// How long a client waits for an answer, in milliseconds.
const TIMEOUT_MS: u64 = 400;
/// Passes over all nodes after which a settled cluster must have come to rest.
const PASSES_MAX: usize = 20_000;

struct Node {
    host: Option<Host>,
    disk: MemDisk,
    job: Option<SyncJob>,
    holds_syncs: bool,
    lives: u64,
}

struct Flight {
    from: usize,
    to: usize,
    message: ReplicaMessage,
}

/// A read that waits at the gate of a node.
struct Waiting {
    node: usize,
    began: Knowledge,
    gate: oneshot::Receiver<Result<GatePass, GateError>>,
}

/// The nodes of one partition.
pub(super) struct Cluster {
    now_ms: u64,
    nodes: Vec<Node>,
    under_way: VecDeque<Flight>,
    cut_off: BTreeSet<usize>,
    log: Arc<LogConfig>,
    planted: Faults,
    produces: Vec<(u32, AppendReceiver)>,
    ends: Vec<(End, AppendReceiver)>,
    reads: Vec<Waiting>,
    done_reads: Vec<Read>,
}

impl Cluster {
    /// `count` nodes that have just started.
    pub(super) fn new(count: usize, segment_bytes: u64, planted: Faults) -> Cluster {
        let node = |_| Node { host: None, disk: MemDisk::new(), job: None, holds_syncs: false, lives: 0 };
        let mut cluster = Cluster {
            now_ms: 1_000,
            nodes: (0..count).map(node).collect(),
            under_way: VecDeque::new(),
            cut_off: BTreeSet::new(),
            log: Arc::new(LogConfig { segment_bytes, tail_bytes: 2_000, ..LogConfig::default() }),
            planted,
            produces: Vec::new(),
            ends: Vec::new(),
            reads: Vec::new(),
            done_reads: Vec::new(),
        };
        (0..count).for_each(|node| cluster.restart(node));
        cluster
    }

    /// Simulated milliseconds.
    pub(super) fn now_ms(&self) -> u64 {
        self.now_ms
    }

    // ---- faults

    /// Starts a node that is down.
    pub(super) fn restart(&mut self, node: usize) {
        let voters: Vec<NodeId> = (0..self.nodes.len()).map(id).collect();
        let Some(target) = self.nodes.get_mut(node).filter(|target| target.host.is_none()) else { return };
        target.lives += 1;
        let config = HostConfig {
            incarnation: target.lives << 8 | node as u64,
            sync: SyncMode::Deferred,
            faults: self.planted,
            ..HostConfig::for_test(id(node))
        };
        let counters = Arc::new(ReplicaCounters::default());
        let mut host = Host::new(config, Arc::new(target.disk.clone()), counters, Arc::new(|| {}));
        host.on_tick(self.now_ms);
        let spec = ReplicaSpec {
            key: KEY,
            voters,
            generation: 0,
            successor: None,
            standing: None,
            designated: id(0),
            dir: DIR.to_owned(),
            log: Arc::clone(&self.log),
            settings: TopicSettings::default(),
            machine: None,
        };
        host.create_replica(spec).expect("what a crash leaves can be opened");
        target.host = Some(host);
    }

    /// A node goes down with what its disk had not synced.
    pub(super) fn crash(&mut self, node: usize, policy: UnsyncedPolicy) {
        let target = &mut self.nodes[node];
        target.host = None;
        target.job = None;
        target.disk.crash(policy);
        self.reads.retain(|waiting| waiting.node != node);
    }

    /// Nothing reaches or leaves the node from now on.
    pub(super) fn isolate(&mut self, node: usize) {
        self.cut_off.insert(node);
    }

    /// Every link works again.
    pub(super) fn recover(&mut self) {
        self.cut_off.clear();
    }

    /// What is under way is lost.
    pub(super) fn lose_messages(&mut self) {
        self.under_way.clear();
    }

    /// What is under way arrives twice.
    pub(super) fn double_messages(&mut self) {
        let again = |flight: &Flight| Flight { message: flight.message.clone(), ..*flight };
        let doubled: Vec<Flight> = self.under_way.iter().map(again).collect();
        self.under_way.extend(doubled);
    }

    /// The node's syncs stay under way from now on, or no longer.
    pub(super) fn hold_syncs(&mut self, node: usize) {
        self.nodes[node].holds_syncs ^= true;
    }

    /// Everything works again.
    pub(super) fn heal(&mut self) {
        self.recover();
        for node in 0..self.nodes.len() {
            self.nodes[node].holds_syncs = false;
            self.restart(node);
        }
    }

    // ---- clients

    /// Sends a batch to a node; one that is down loses it.
    pub(super) fn produce(&mut self, node: usize, batch: Batch) {
        let deadline_ms = self.now_ms + TIMEOUT_MS;
        let answer = match &mut self.nodes[node].host {
            Some(host) => host.append(KEY, bytes_of(batch), Acks::All, deadline_ms),
            // An answer that never comes.
            None => oneshot::channel().1,
        };
        self.produces.push((batch.number, answer));
    }

    /// Has a node write the end of a transaction; one that is down loses it.
    pub(super) fn end(&mut self, node: usize, end: End) {
        let deadline_ms = self.now_ms + TIMEOUT_MS;
        let marker = EndMarker {
            producer: transactional_id(end.producer),
            epoch: end.epoch + 1,
            commit: end.commit,
            coordinator_epoch: 0,
            bumps_epoch: true,
            timestamp_ms: 1_000,
        };
        let answer = match &mut self.nodes[node].host {
            Some(host) => host.append_marker(KEY, marker, deadline_ms),
            // An answer that never comes.
            None => oneshot::channel().1,
        };
        self.ends.push((end, answer));
    }

    /// Enters the read gate of a node.
    pub(super) fn read(&mut self, node: usize, began: Knowledge) {
        let deadline_ms = self.now_ms + TIMEOUT_MS;
        if let Some(host) = &mut self.nodes[node].host {
            self.reads.push(Waiting { node, began, gate: host.enter_gate(KEY, deadline_ms) });
        }
    }

    /// Proposes to drop `share` of 256 of what a node holds.
    pub(super) fn move_log_start(&mut self, node: usize, share: u8) {
        let Some(host) = &mut self.nodes[node].host else { return };
        let Ok(view) = host.view(KEY) else { return };
        let to = view.log_start.0 + (view.high_watermark.0 - view.log_start.0) * i64::from(share) / 255;
        // A node that does not lead refuses.
        let _ = host.move_log_start(KEY, Offset(to));
    }

    /// Hands leadership from one node to another, if it has it.
    pub(super) fn transfer_leader(&mut self, node: usize, to: usize) {
        if let Some(host) = &mut self.nodes[node].host {
            let _ = host.transfer_leader(KEY, id(to));
        }
    }

    /// What clients were told since the last call.
    pub(super) fn take_answers(&mut self) -> Vec<(u32, Outcome)> {
        let mut answers = Vec::new();
        self.produces.retain_mut(|(number, answer)| match answer.try_recv() {
            Err(TryRecvError::Empty) => true,
            answered => {
                answers.push((*number, answered.map_or(Outcome::Unknown, outcome)));
                false
            }
        });
        answers
    }

    /// What the coordinators were told since the last call.
    pub(super) fn take_ends(&mut self) -> Vec<(End, Outcome)> {
        let mut answers = Vec::new();
        self.ends.retain_mut(|(end, answer)| match answer.try_recv() {
            Err(TryRecvError::Empty) => true,
            answered => {
                answers.push((*end, answered.map_or(Outcome::Unknown, outcome)));
                false
            }
        });
        answers
    }

    /// The reads that ended since the last call.
    pub(super) fn take_reads(&mut self) -> Vec<Read> {
        std::mem::take(&mut self.done_reads)
    }

    // ---- time and messages

    /// One turn of every node, then at most `deliveries` messages.
    pub(super) fn step(&mut self, deliveries: usize) {
        (0..self.nodes.len()).for_each(|node| {
            self.turn(node);
        });
        for _ in 0..deliveries {
            let Some(flight) = self.under_way.pop_front() else { break };
            self.deliver(flight);
        }
    }

    /// Turns and deliveries until nothing moves.
    pub(super) fn settle(&mut self) {
        for _ in 0..PASSES_MAX {
            let mut moved = false;
            for node in 0..self.nodes.len() {
                moved |= self.turn(node);
            }
            while let Some(flight) = self.under_way.pop_front() {
                self.deliver(flight);
                moved = true;
            }
            if !moved {
                return;
            }
        }
        panic!("the cluster does not come to rest");
    }

    /// Lets time pass, settling after each tick.
    pub(super) fn ticks(&mut self, count: usize) {
        for _ in 0..count {
            self.now_ms += TICK_MS;
            for host in self.nodes.iter_mut().filter_map(|node| node.host.as_mut()) {
                host.on_tick(self.now_ms);
            }
            self.settle();
        }
    }

    fn turn(&mut self, node: usize) -> bool {
        let target = &mut self.nodes[node];
        let Some(host) = &mut target.host else { return false };
        let mut moved = false;
        if host.is_dirty() {
            moved = true;
            let output = host.turn(self.now_ms);
            if let Some(job) = output.sync {
                target.job = Some(job);
            }
            for (to, _, message) in output.messages {
                let to = (to.0 - 1) as usize;
                if !self.cut_off.contains(&node) && !self.cut_off.contains(&to) {
                    self.under_way.push_back(Flight { from: node, to, message });
                }
            }
        }
        if let Some(job) = target.job.take_if(|_| !target.holds_syncs) {
            host.on_synced(job.run());
            moved = true;
        }
        let stopped = host.replica(KEY).and_then(|replica| replica.stop_reason());
        assert_eq!(stopped, None, "a replica stopped, and no disk failed");
        self.answer_reads(node);
        moved
    }

    /// Reads that the gate let through see everything at once.
    fn answer_reads(&mut self, node: usize) {
        let mut passed = Vec::new();
        let here = |waiting: &mut Waiting| waiting.node == node;
        for mut waiting in self.reads.extract_if(.., here).collect::<Vec<_>>() {
            match waiting.gate.try_recv() {
                Err(TryRecvError::Empty) => self.reads.push(waiting),
                Ok(Ok(_)) => passed.push(waiting.began),
                // An honest error.
                Ok(Err(_)) | Err(TryRecvError::Closed) => {}
            }
        }
        for began in passed {
            let read = self.view(node, began);
            self.done_reads.push(read);
        }
    }

    /// Gives a message to its node, through the codec.
    fn deliver(&mut self, flight: Flight) {
        let bytes = Bytes::from(flight.message.encode().concat());
        let message = ReplicaMessage::decode(bytes).expect("own messages decode");
        if let Some(host) = &mut self.nodes[flight.to].host {
            host.on_message(id(flight.from), KEY, message);
        }
    }

    // ---- what is there

    /// The node that leads and knows it, in the highest term.
    pub(super) fn leader(&self) -> Option<usize> {
        let views = self.nodes.iter().enumerate().filter_map(|(node, target)| {
            let view = target.host.as_ref()?.view(KEY).ok()?;
            view.confirmed.then_some((view.leader_epoch, node))
        });
        views.max().map(|(_, node)| node)
    }

    /// Whether there is a leader, all have applied the same, and nobody waits for an answer.
    pub(super) fn is_done(&self) -> bool {
        let applied: BTreeSet<_> = self
            .nodes
            .iter()
            .map(|node| node.host.as_ref().and_then(|host| host.view(KEY).ok()).map(|view| view.applied))
            .collect();
        self.leader().is_some()
            && applied.len() == 1
            && self.produces.is_empty()
            && self.ends.is_empty()
            && self.reads.is_empty()
    }

    /// What holds the cluster up, for a failure's text.
    pub(super) fn describe(&self) -> String {
        let views = self.nodes.iter().map(|node| node.host.as_ref().map(|host| host.view(KEY)));
        format!(
            "{} produces, {} reads open; {:?}",
            self.produces.len(),
            self.reads.len(),
            views.collect::<Vec<_>>()
        )
    }

    /// Everything visible at a node.
    pub(super) fn content(&mut self, node: usize) -> Content {
        self.view(node, Knowledge::default()).content
    }

    /// What a node shows to a reader who does not ask the gate.
    pub(super) fn view(&mut self, node: usize, began: Knowledge) -> Read {
        let host = self.nodes[node].host.as_mut().expect("the node runs");
        let view = host.view(KEY).expect("the partition is hosted");
        let mut read_to =
            |end| host.read(KEY, view.log_start, end, usize::MAX, true).expect("the disk works");
        let (all, stable) = (read_to(view.high_watermark), read_to(view.last_stable_offset));
        let aborted = host
            .aborted_transactions(KEY, view.log_start, view.last_stable_offset)
            .expect("the partition is hosted");
        let visible = |records: Content| -> Content {
            records.into_iter().filter(|(offset, _)| *offset >= view.log_start.0).collect()
        };
        Read {
            began,
            end: view.high_watermark.0,
            log_start: view.log_start.0,
            stable: view.last_stable_offset.0,
            content: visible(all.into_iter().flat_map(records_of).collect()),
            committed: visible(committed_of(stable, aborted)),
        }
    }
}

/// What a client that reads committed records makes of batches and the aborted transactions among them.
fn committed_of(batches: Vec<Bytes>, mut aborted: Vec<AbortedTransaction>) -> Content {
    aborted.sort_by_key(|transaction| transaction.first_offset);
    let mut aborted = aborted.into_iter().peekable();
    let mut ignored = BTreeSet::new();
    let mut content = Vec::new();
    for batch in batches {
        let header = BatchHeader::parse(&batch).expect("the log holds batches");
        while let Some(next) = aborted.next_if(|next| next.first_offset <= header.last_offset()) {
            ignored.insert(next.producer);
        }
        if header.attributes.is_control() {
            ignored.remove(&header.producer_id);
        } else if !header.attributes.is_transactional() || !ignored.contains(&header.producer_id) {
            content.extend(records_of(batch));
        }
    }
    content
}

/// The id of a transactional producer; the others have smaller ones.
fn transactional_id(producer: usize) -> i64 {
    producer as i64 + 1_000
}

fn id(node: usize) -> NodeId {
    NodeId(node as i32 + 1)
}

fn outcome(answer: Result<chronik_replica::Appended, AppendError>) -> Outcome {
    match answer {
        Ok(appended) => Outcome::At(appended.base_offset.0),
        Err(AppendError::TimedOut | AppendError::NotEnoughReplicasAfterAppend) => Outcome::Unknown,
        Err(AppendError::InvalidBatch) => panic!("a batch of ours was called invalid"),
        Err(_) => Outcome::Refused,
    }
}

fn bytes_of(batch: Batch) -> BytesMut {
    let mut builder = BatchBuilder::new();
    match (batch.sequence, batch.transaction) {
        (Some((producer, first)), Some(epoch)) => {
            builder = builder.producer(transactional_id(producer), epoch, first).transactional();
        }
        (Some((producer, first)), None) => builder = builder.producer(producer as i64 + 100, 0, first),
        (None, _) => {}
    }
    for _ in 0..batch.count {
        builder = builder.record(1_000, None, Some(&batch.number.to_be_bytes()));
    }
    builder.build_mut().expect("a small batch can be written")
}

fn records_of(bytes: Bytes) -> Vec<(i64, u32)> {
    let batch = BatchView::parse(bytes).expect("the log holds batches");
    batch.verify_checksum().expect("nobody changed the batch");
    let is_control = batch.header().attributes.is_control();
    let records = batch.records().expect("the batch is plain");
    let number = |value: &[u8]| match value.first_chunk() {
        Some(number) if !is_control => u32::from_be_bytes(*number),
        _ => MARKER,
    };
    records
        .map(|record| record.expect("the batch is ours"))
        .map(|record| (record.offset.0, number(&record.value.unwrap_or_default())))
        .collect()
}
