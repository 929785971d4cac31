//! Producers, zombies and failovers at random, against partitions of ten lines.
//!
//! The world: one coordinator whose log is committed late, cut at failovers and carried on by another; the markers that it
//! orders, carried out late and by deposed coordinators too; partitions that know epochs and nothing else; producers that
//! repeat what was not answered. What must hold: what a producer wrote in one transaction is committed in every partition
//! or aborted in every partition; an acknowledged end is seen everywhere; whoever was fenced never succeeds again; every
//! request is answered once.

use std::collections::{BTreeMap, BTreeSet};

use chronik_coord::coordinator::{
    Coordinator, CoordinatorBatch, CoordinatorState, MarkerOrder, Output, Ticket,
};
use chronik_coord::transactions::{
    TransactionReply, TransactionRequest, TransactionStatus, Transactions, TransactionsConfig,
    TransactionsState,
};
use chronik_wire::error_code::ErrorCode;
use chronik_wire::types::Offset;
use proptest::collection::vec;
use proptest::prelude::*;

use super::harness::*;

const IDS: [&str; 2] = ["pay", "ship"];
const PARTITIONS: i32 = 3;
const CLIENTS_MAX: usize = 6;

/// How often the interesting things happened.
#[derive(Debug, Default)]
struct Marks {
    commits: usize,
    aborts: usize,
    fenced: usize,
    failovers_while_decided: usize,
    orders_of_the_deposed: usize,
    timeouts: usize,
    new_ids: usize,
}

/// What one transaction of one producer wrote, under a number of its own.
type Uid = usize;

#[derive(Debug)]
enum Entry {
    Data { producer: i64, uid: Uid },
    Marker { producer: i64, commit: bool },
}

/// What a partition knows of one producer id.
#[derive(Debug, Default)]
struct Known {
    epoch: i16,
    reign: u32,
    open: bool,
}

#[derive(Debug, Default)]
struct Partition {
    known: BTreeMap<i64, Known>,
    log: Vec<Entry>,
}

impl Partition {
    /// Ends the producer's transaction, unless someone newer has; says whether this counts as done.
    fn mark(&mut self, order: &MarkerOrder, reign: u32) -> bool {
        let known = self.known.entry(order.producer_id).or_default();
        if reign < known.reign || order.producer_epoch < known.epoch {
            return false;
        }
        (known.reign, known.epoch) = (reign, order.producer_epoch);
        if known.open {
            known.open = false;
            self.log.push(Entry::Marker { producer: order.producer_id, commit: order.commit });
        }
        true
    }

    /// How each transaction that wrote here ended, if it has.
    fn outcomes(&self) -> Vec<(Uid, Option<bool>)> {
        let entries = self.log.iter().enumerate();
        let data = entries.filter_map(|(at, entry)| match entry {
            Entry::Data { producer, uid } => Some((at, *producer, *uid)),
            Entry::Marker { .. } => None,
        });
        data.map(|(at, producer, uid)| {
            let end = self.log[at..].iter().find_map(|entry| match entry {
                Entry::Marker { producer: ended, commit } if *ended == producer => Some(*commit),
                _ => None,
            });
            (uid, end)
        })
        .collect()
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Stage {
    Fresh,
    Ready(Producer),
    Adding { producer: Producer, uid: Uid, partition: i32, touched: BTreeSet<i32> },
    Open { producer: Producer, uid: Uid, touched: BTreeSet<i32> },
    Ending { producer: Producer, uid: Uid, commit: bool },
    Fenced,
}

#[derive(Debug)]
struct Client {
    id: &'static str,
    raising: bool,
    stage: Stage,
    asked: Option<Ticket>,
    /// Another client of this transactional id was given its epoch before the request left.
    replaced: bool,
}

/// A marker to be written into one partition.
#[derive(Debug, Clone)]
struct Work {
    reign: u32,
    order: MarkerOrder,
    partition: i32,
}

struct World {
    machine: Transactions,
    reign: u32,
    committed: TransactionsState,
    log: Vec<CoordinatorBatch>,
    /// What is said once so many batches are committed in this reign.
    held: Vec<(usize, Ticket, TransactionReply)>,
    held_orders: Vec<(usize, MarkerOrder)>,
    committed_batches: usize,
    works: Vec<Work>,
    reports: Vec<Work>,
    partitions: Vec<Partition>,
    clients: Vec<Client>,
    requests: BTreeMap<Ticket, (usize, TransactionRequest)>,
    owners: BTreeMap<&'static str, usize>,
    asked_to_commit: BTreeSet<Uid>,
    acknowledged: BTreeMap<Uid, bool>,
    answered: BTreeSet<Ticket>,
    given_up: BTreeSet<Ticket>,
    last_ticket: u64,
    last_producer_id: i64,
    last_uid: Uid,
    now_ms: i64,
    marks: Marks,
}

impl World {
    fn new() -> World {
        let now_ms = 1_000_000;
        let config = TransactionsConfig::default();
        World {
            machine: Transactions::lead(TransactionsState::default(), config, moment(now_ms)),
            reign: 1,
            committed: TransactionsState::default(),
            log: Vec::new(),
            held: Vec::new(),
            held_orders: Vec::new(),
            committed_batches: 0,
            works: Vec::new(),
            reports: Vec::new(),
            partitions: (0..PARTITIONS).map(|_| Partition::default()).collect(),
            clients: Vec::new(),
            requests: BTreeMap::new(),
            owners: BTreeMap::new(),
            asked_to_commit: BTreeSet::new(),
            acknowledged: BTreeMap::new(),
            answered: BTreeSet::new(),
            given_up: BTreeSet::new(),
            last_ticket: 0,
            last_producer_id: 0,
            last_uid: 0,
            now_ms,
            marks: Marks::default(),
        }
    }

    fn step(&mut self, choice: u16) {
        let (kind, luck) = (choice % 16, usize::from(choice / 16));
        match kind {
            0..=6 if !self.clients.is_empty() => self.client_steps(luck % self.clients.len(), luck / 7),
            7..=9 => self.commit(luck % (self.log.len() + 1)),
            10 | 11 if !self.works.is_empty() => {
                let work = self.works.remove(luck % self.works.len());
                self.carry_out(work);
            }
            12 if !self.reports.is_empty() => {
                let report = self.reports.remove(luck % self.reports.len());
                self.report(&report);
            }
            13 => self.advance(luck as i64 * 5),
            14 if luck.is_multiple_of(3) => self.fail_over(luck),
            15 if self.clients.len() < CLIENTS_MAX => self.clients.push(Client {
                id: IDS[luck % IDS.len()],
                raising: luck / 2 % 2 == 0,
                stage: Stage::Fresh,
                asked: None,
                replaced: false,
            }),
            15 => {
                let count = self.clients.len();
                self.give_up(luck % count);
            }
            _ => {}
        }
    }

    // The coordinator.

    fn take(&mut self, output: Output<TransactionReply>) {
        self.log.extend(output.batches);
        let needs = self.committed_batches + self.log.len();
        for (ticket, reply) in output.replies {
            assert!(self.answered.insert(ticket), "answered twice");
            self.held.push((needs, ticket, reply));
        }
        let orders = self.machine.take_markers();
        self.held_orders.extend(orders.into_iter().map(|order| (needs, order)));
        self.say();
    }

    fn commit(&mut self, batches: usize) {
        for batch in self.log.drain(..batches) {
            for record in &batch.records {
                self.committed.apply(record, Offset(0), 0, None).expect("a good record");
            }
            self.committed_batches += 1;
        }
        self.say();
    }

    /// Says what is proved by now.
    fn say(&mut self) {
        let committed = self.committed_batches;
        let (proved, held) =
            std::mem::take(&mut self.held_orders).into_iter().partition(|o| o.0 <= committed);
        self.held_orders = held;
        let proved: Vec<(usize, MarkerOrder)> = proved;
        for (_, order) in proved {
            for (_, partition) in &order.partitions {
                let work = Work { reign: self.reign, order: order.clone(), partition: partition.0 };
                self.works.push(work);
            }
        }
        while let Some(at) = self.held.iter().position(|held| held.0 <= committed) {
            let (_, ticket, reply) = self.held.remove(at);
            self.deliver(ticket, reply);
        }
    }

    fn fail_over(&mut self, luck: usize) {
        let kept = luck % (self.log.len() + 1);
        self.held.clear();
        self.commit(kept);
        self.log.clear();
        self.held_orders.clear();
        // Markers already ordered may still be written; whoever would report them is gone.
        self.reports.clear();
        for (_, (client, _)) in std::mem::take(&mut self.requests) {
            self.clients[client].asked = None;
        }
        self.given_up.clear();
        if self.committed.iter().any(|(_, transaction)| transaction.status().is_prepared()) {
            self.marks.failovers_while_decided += 1;
        }
        self.reign += 1;
        let config = TransactionsConfig::default();
        self.machine = Transactions::lead(self.committed.clone(), config, moment(self.now_ms));
        self.take(Output::default());
    }

    fn advance(&mut self, ms: i64) {
        self.now_ms += ms;
        if self.machine.next_deadline_ms().is_some_and(|deadline_ms| deadline_ms <= self.now_ms) {
            let output = self.machine.on_time(moment(self.now_ms));
            self.marks.timeouts += output.batches.len();
            self.take(output);
        }
    }

    // The partitions.

    fn carry_out(&mut self, work: Work) {
        if work.reign < self.reign {
            self.marks.orders_of_the_deposed += 1;
        }
        let done = self.partitions[work.partition as usize].mark(&work.order, work.reign);
        if work.reign == self.reign {
            assert!(done, "nobody is newer than the coordinator in office");
            self.reports.push(work);
        }
    }

    fn report(&mut self, work: &Work) {
        self.last_ticket += 1;
        let ticket = Ticket(self.last_ticket);
        let request = TransactionRequest::MarkersWritten {
            transactional_id: work.order.transactional_id.to_string(),
            producer_id: work.order.producer_id,
            producer_epoch: work.order.producer_epoch,
            partitions: vec![("t".to_owned(), chronik_wire::types::PartitionIndex(work.partition))],
        };
        let output = self.machine.handle(ticket, request, moment(self.now_ms));
        self.take(output);
    }

    /// A producer writes; the partition asks the coordinator about a transaction it does not know.
    fn write(&mut self, id: &str, producer: Producer, uid: Uid, partition: i32) -> bool {
        let reaches = |state: &TransactionsState| {
            state.get(id).is_some_and(|transaction| {
                transaction.status() == TransactionStatus::Ongoing
                    && transaction.producer() == producer
                    && transaction.partitions().any(|(_, known)| known.0 == partition)
            })
        };
        let verified = reaches(&self.committed) && reaches(self.machine.state());
        let partition = &mut self.partitions[partition as usize];
        let known = partition.known.entry(producer.0).or_default();
        if producer.1 < known.epoch || !(known.open || verified) {
            return false;
        }
        known.epoch = producer.1;
        known.open = true;
        partition.log.push(Entry::Data { producer: producer.0, uid });
        true
    }

    // The producers.

    fn ask(&mut self, client: usize, request: TransactionRequest) {
        self.last_ticket += 1;
        let ticket = Ticket(self.last_ticket);
        let id = self.clients[client].id;
        self.clients[client].replaced = self.owners.get(id).is_some_and(|owner| *owner != client);
        self.clients[client].asked = Some(ticket);
        self.requests.insert(ticket, (client, request.clone()));
        let output = self.machine.handle(ticket, request, moment(self.now_ms));
        self.take(output);
    }

    fn give_up(&mut self, client: usize) {
        let Some(ticket) = self.clients[client].asked.take() else { return };
        self.requests.remove(&ticket);
        self.given_up.insert(ticket);
        let output = self.machine.cancel(ticket, moment(self.now_ms));
        self.take(output);
    }

    fn client_steps(&mut self, client: usize, luck: usize) {
        let Client { id, raising, ref stage, asked: None, .. } = self.clients[client] else { return };
        let (stage, end_version) = (stage.clone(), if raising { RAISING } else { KEEPING });
        let partition = luck as i32 % PARTITIONS;
        match stage {
            Stage::Fenced => {}
            Stage::Fresh => self.ask(client, init(id, None)),
            Stage::Ready(producer) => {
                self.last_uid += 1;
                let (uid, touched) = (self.last_uid, BTreeSet::new());
                self.clients[client].stage = Stage::Adding { producer, uid, partition, touched };
            }
            Stage::Adding { producer, partition, .. } => {
                let version = if raising { 5 } else { 3 };
                self.ask(client, add(id, producer, &[("t", partition)], version));
            }
            Stage::Open { producer, uid, touched } => match luck % 5 {
                0 => {
                    self.clients[client].stage = Stage::Adding { producer, uid, partition, touched };
                }
                1 | 2 => {
                    let partitions: Vec<i32> = touched.iter().copied().collect();
                    let partition = partitions[luck / 5 % partitions.len()];
                    if !self.write(id, producer, uid, partition) {
                        self.clients[client].stage = Stage::Ending { producer, uid, commit: false };
                    }
                }
                outcome => {
                    let commit = outcome == 3;
                    if commit {
                        self.asked_to_commit.insert(uid);
                    }
                    self.clients[client].stage = Stage::Ending { producer, uid, commit };
                }
            },
            Stage::Ending { producer, commit, .. } => {
                self.ask(client, end(id, producer, commit, end_version))
            }
        }
    }

    fn deliver(&mut self, ticket: Ticket, reply: TransactionReply) {
        let Some((client, request)) = self.requests.remove(&ticket) else { return };
        self.clients[client].asked = None;
        if reply == TransactionReply::ProducerIdNeeded {
            self.last_producer_id += 1;
            self.marks.new_ids += 1;
            let fresh = Some(self.last_producer_id);
            let request = match request {
                TransactionRequest::InitProducerId { request, version, .. } => {
                    TransactionRequest::InitProducerId { request, version, fresh_producer_id: fresh }
                }
                TransactionRequest::EndTxn { request, version, .. } => {
                    TransactionRequest::EndTxn { request, version, fresh_producer_id: fresh }
                }
                other => panic!("a producer id for {other:?}"),
            };
            return self.ask(client, request);
        }
        let stage = self.clients[client].stage.clone();
        let answer = code(reply.clone());
        let zombie = self.clients[client].replaced && stage != Stage::Fresh;
        assert!(!(zombie && answer == ErrorCode::NONE), "{stage:?} of a fenced producer succeeded");
        self.clients[client].stage = match (stage, answer) {
            (stage, ErrorCode::CONCURRENT_TRANSACTIONS) => stage,
            // Producers of the newer kind abort when they are in doubt, whatever has become of them.
            (Stage::Adding { producer, uid, .. }, ErrorCode::PRODUCER_FENCED)
                if self.clients[client].raising =>
            {
                Stage::Ending { producer, uid, commit: false }
            }
            (Stage::Fresh, ErrorCode::NONE) => {
                self.owners.insert(self.clients[client].id, client);
                Stage::Ready(initialised(reply).expect("no error"))
            }
            (Stage::Adding { producer, uid, partition, mut touched }, ErrorCode::NONE) => {
                touched.insert(partition);
                Stage::Open { producer, uid, touched }
            }
            (Stage::Ending { producer, uid, commit }, ErrorCode::NONE) => {
                self.acknowledge(uid, commit);
                let next = if self.clients[client].raising { initialised(reply) } else { Ok(producer) };
                Stage::Ready(next.expect("no error"))
            }
            (
                _,
                ErrorCode::PRODUCER_FENCED
                | ErrorCode::INVALID_PRODUCER_ID_MAPPING
                | ErrorCode::INVALID_TXN_STATE,
            ) => {
                self.marks.fenced += 1;
                Stage::Fenced
            }
            (stage, code) => panic!("{code} to a producer at {stage:?}"),
        };
    }

    /// An end is acknowledged: whoever reads now, anywhere, must see it.
    fn acknowledge(&mut self, uid: Uid, commit: bool) {
        if commit {
            self.marks.commits += 1;
        } else {
            self.marks.aborts += 1;
        }
        self.acknowledged.insert(uid, commit);
        for partition in &self.partitions {
            for (_, outcome) in partition.outcomes().into_iter().filter(|(written, _)| *written == uid) {
                assert_eq!(outcome, Some(commit), "transaction {uid} is acknowledged");
            }
        }
    }

    /// Lets everything come to rest: whatever was left open times out.
    fn settle(&mut self) {
        for _ in 0..8 {
            self.commit(self.log.len());
            while let Some(work) = self.works.pop() {
                self.carry_out(work);
            }
            while let Some(report) = self.reports.pop() {
                self.report(&report);
            }
            self.advance(i64::from(TIMEOUT_MS));
        }
        for (id, transaction) in self.committed.iter() {
            let status = transaction.status();
            assert!(!status.is_prepared() && status != TransactionStatus::Ongoing, "{id} is {status:?}");
        }
        assert!(self.requests.is_empty(), "everybody has an answer");
    }

    fn check(&self) {
        let mut outcomes: BTreeMap<Uid, bool> = BTreeMap::new();
        for partition in &self.partitions {
            for (uid, outcome) in partition.outcomes() {
                let commit = outcome.unwrap_or_else(|| panic!("transaction {uid} hangs"));
                assert_eq!(*outcomes.entry(uid).or_insert(commit), commit, "transaction {uid} is torn");
            }
        }
        for (uid, commit) in &outcomes {
            assert!(!commit || self.asked_to_commit.contains(uid), "nobody committed transaction {uid}");
            let acknowledged = self.acknowledged.get(uid).copied().unwrap_or(*commit);
            assert_eq!(*commit, acknowledged, "transaction {uid} was acknowledged otherwise");
        }
    }
}

fn run(choices: impl IntoIterator<Item = u16>) -> Marks {
    let mut world = World::new();
    for choice in choices {
        world.step(choice);
    }
    world.settle();
    world.check();
    world.marks
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..Default::default() })]

    #[test]
    fn no_transaction_is_torn_and_nobody_fenced_succeeds(choices in vec(any::<u16>(), 0..600)) {
        run(choices);
    }
}

#[test]
fn the_model_reaches_what_it_is_there_for() {
    let mut all = Marks::default();
    let mut luck = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..200 {
        let choices: Vec<u16> = (0..2_000)
            .map(|_| {
                luck ^= luck << 13;
                luck ^= luck >> 7;
                luck ^= luck << 17;
                (luck >> 24) as u16
            })
            .collect();
        let marks = run(choices);
        all.commits += marks.commits;
        all.aborts += marks.aborts;
        all.fenced += marks.fenced;
        all.failovers_while_decided += marks.failovers_while_decided;
        all.orders_of_the_deposed += marks.orders_of_the_deposed;
        all.timeouts += marks.timeouts;
        all.new_ids += marks.new_ids;
    }
    let Marks { commits, aborts, fenced, failovers_while_decided, orders_of_the_deposed, timeouts, new_ids } =
        all;
    for (what, count) in [
        ("commits", commits),
        ("aborts", aborts),
        ("fenced producers", fenced),
        ("failovers while decided", failovers_while_decided),
        ("orders of a deposed coordinator", orders_of_the_deposed),
        ("time-outs", timeouts),
        ("new producer ids", new_ids),
    ] {
        assert!(count >= 100, "{what}: {count}");
    }
}
