//! A machine with its log and a follower, and short ways to ask.
//!
//! Everything appended is committed at once, and the follower that applies it must equal the machine byte for byte after
//! every input: so every test is a test of the records too.

use std::collections::BTreeMap;
use std::sync::Arc;

use chronik_coord::coordinator::{Coordinator, CoordinatorState, MarkerOrder, Moment, Output, Ticket};
use chronik_coord::transactions::{
    TransactionReply, TransactionRequest, TransactionStatus, Transactions, TransactionsConfig,
    TransactionsState,
};
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::add_offsets_to_txn::AddOffsetsToTxnRequest;
use chronik_wire::messages::add_partitions_to_txn::{AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction};
use chronik_wire::messages::end_txn::EndTxnRequest;
use chronik_wire::messages::init_producer_id::InitProducerIdRequest;
use chronik_wire::types::{Offset, PartitionIndex};

/// A producer id and its epoch.
pub(crate) type Producer = (i64, i16);

/// The transactional id of most tests.
pub(crate) const ID: &str = "pay";
/// How long its transactions may stay open.
pub(crate) const TIMEOUT_MS: i32 = 60_000;
/// The version of InitProducerId that most tests use.
pub(crate) const INIT: i16 = 4;
/// The last version of EndTxn that keeps the epoch, and the first that raises it.
pub(crate) const KEEPING: i16 = 4;
pub(crate) const RAISING: i16 = 5;

pub(crate) struct Desk {
    pub(crate) machine: Transactions,
    pub(crate) follower: TransactionsState,
    pub(crate) config: TransactionsConfig,
    pub(crate) now_ms: i64,
    pub(crate) orders: Vec<MarkerOrder>,
    pub(crate) replies: BTreeMap<Ticket, TransactionReply>,
    pub(crate) records: usize,
    last_ticket: u64,
    fresh_producer_id: i64,
}

impl Desk {
    pub(crate) fn new() -> Desk {
        Desk::with(TransactionsState::default(), TransactionsConfig::default(), 1_000_000)
    }

    pub(crate) fn with(state: TransactionsState, config: TransactionsConfig, now_ms: i64) -> Desk {
        let mut machine = Transactions::lead(state.clone(), config, moment(now_ms));
        let orders = machine.take_markers();
        Desk {
            machine,
            follower: state,
            config,
            now_ms,
            orders,
            replies: BTreeMap::new(),
            records: 0,
            last_ticket: 0,
            fresh_producer_id: 7_000,
        }
    }

    /// Another node takes over with what the log says.
    pub(crate) fn fail_over(&mut self) {
        let next = Desk::with(self.follower.clone(), self.config, self.now_ms);
        let (ticket, fresh) = (self.last_ticket, self.fresh_producer_id);
        *self = Desk { last_ticket: ticket, fresh_producer_id: fresh, ..next };
    }

    pub(crate) fn take(&mut self, output: Output<TransactionReply>) {
        for batch in output.batches {
            assert!(!batch.records.is_empty(), "a batch has records");
            for record in &batch.records {
                self.records += 1;
                self.follower
                    .apply(record, Offset(0), self.now_ms, batch.transaction)
                    .expect("a good record");
            }
        }
        assert_eq!(self.follower.snapshot(), self.machine.state().snapshot(), "the log says it all");
        self.orders.extend(self.machine.take_markers());
        for (ticket, reply) in output.replies {
            assert!(ticket.0 <= self.last_ticket, "a ticket that was given out");
            assert_eq!(self.replies.insert(ticket, reply), None, "one answer for each ticket");
        }
    }

    /// Asks, and leaves the answer for later.
    pub(crate) fn send(&mut self, request: TransactionRequest) -> Ticket {
        self.send_at(request, moment(self.now_ms))
    }

    pub(crate) fn send_at(&mut self, request: TransactionRequest, moment: Moment) -> Ticket {
        self.last_ticket += 1;
        let ticket = Ticket(self.last_ticket);
        let output = self.machine.handle(ticket, request, moment);
        self.take(output);
        ticket
    }

    /// Asks, writes the markers that the answer waits for, and gives a fresh producer id if one is needed.
    pub(crate) fn ask(&mut self, request: TransactionRequest) -> TransactionReply {
        let mut request = request;
        loop {
            let ticket = self.send(request.clone());
            if !self.replies.contains_key(&ticket) {
                self.write_markers();
            }
            match self.replies.remove(&ticket).expect("an answer") {
                TransactionReply::ProducerIdNeeded => request = self.with_fresh_id(request),
                reply => return reply,
            }
        }
    }

    fn with_fresh_id(&mut self, request: TransactionRequest) -> TransactionRequest {
        self.fresh_producer_id += 1;
        let fresh = Some(self.fresh_producer_id);
        match request {
            TransactionRequest::InitProducerId { request, version, fresh_producer_id: None } => {
                TransactionRequest::InitProducerId { request, version, fresh_producer_id: fresh }
            }
            TransactionRequest::EndTxn { request, version, fresh_producer_id: None } => {
                TransactionRequest::EndTxn { request, version, fresh_producer_id: fresh }
            }
            other => panic!("a producer id is needed again, or by {other:?}"),
        }
    }

    /// Carries out all orders.
    pub(crate) fn write_markers(&mut self) {
        for order in std::mem::take(&mut self.orders) {
            self.report(&order, &order.partitions);
        }
    }

    /// Reports some partitions of an order.
    pub(crate) fn report(&mut self, order: &MarkerOrder, partitions: &[(Arc<str>, PartitionIndex)]) {
        let ticket = self.send(TransactionRequest::MarkersWritten {
            transactional_id: order.transactional_id.to_string(),
            producer_id: order.producer_id,
            producer_epoch: order.producer_epoch,
            partitions: partitions.iter().map(|(topic, id)| (topic.to_string(), *id)).collect(),
        });
        assert_eq!(self.replies.remove(&ticket), Some(TransactionReply::MarkersNoted));
    }

    /// Puts the clock forward and lets the machine see it.
    pub(crate) fn advance(&mut self, ms: i64) {
        self.now_ms += ms;
        while self.machine.next_deadline_ms().is_some_and(|deadline_ms| deadline_ms <= self.now_ms) {
            let output = self.machine.on_time(moment(self.now_ms));
            self.take(output);
        }
    }

    pub(crate) fn status(&self) -> Option<TransactionStatus> {
        self.follower.get(ID).map(|transaction| transaction.status())
    }

    /// A producer begins and is told its id and epoch.
    pub(crate) fn init(&mut self) -> Producer {
        initialised(self.ask(init(ID, None))).expect("a producer id")
    }

    /// Partition 0 of topic `t` joins the transaction.
    pub(crate) fn add(&mut self, producer: Producer) -> ErrorCode {
        code(self.ask(add(ID, producer, &[("t", 0)], 3)))
    }

    /// Asks for the end; the answer comes when the markers are written.
    pub(crate) fn end(&mut self, producer: Producer, commit: bool, version: i16) -> TransactionReply {
        self.ask(end(ID, producer, commit, version))
    }
}

/// The broker clock; the wall clock runs ten seconds ahead of it.
pub(crate) fn moment(now_ms: i64) -> Moment {
    Moment { now_ms, wall_ms: now_ms + 10_000, random: 0 }
}

pub(crate) fn init(id: &str, claim: Option<Producer>) -> TransactionRequest {
    init_at(id, claim, INIT)
}

pub(crate) fn init_at(id: &str, claim: Option<Producer>, version: i16) -> TransactionRequest {
    let (producer_id, producer_epoch) = claim.unwrap_or((-1, -1));
    TransactionRequest::InitProducerId {
        request: InitProducerIdRequest {
            transactional_id: Some(id.to_owned()),
            transaction_timeout_ms: TIMEOUT_MS,
            producer_id,
            producer_epoch,
        },
        version,
        fresh_producer_id: None,
    }
}

fn topics(partitions: &[(&str, i32)]) -> Vec<AddPartitionsToTxnTopic> {
    partitions
        .iter()
        .map(|(name, id)| AddPartitionsToTxnTopic { name: (*name).to_owned(), partitions: vec![*id] })
        .collect()
}

pub(crate) fn add(
    id: &str,
    producer: Producer,
    partitions: &[(&str, i32)],
    version: i16,
) -> TransactionRequest {
    TransactionRequest::AddPartitions {
        transaction: AddPartitionsToTxnTransaction {
            transactional_id: id.to_owned(),
            producer_id: producer.0,
            producer_epoch: producer.1,
            verify_only: false,
            topics: topics(partitions),
        },
        version,
    }
}

pub(crate) fn verify(id: &str, producer: Producer, partitions: &[(&str, i32)]) -> TransactionRequest {
    match add(id, producer, partitions, 5) {
        TransactionRequest::AddPartitions { transaction, version } => TransactionRequest::AddPartitions {
            transaction: AddPartitionsToTxnTransaction { verify_only: true, ..transaction },
            version,
        },
        other => other,
    }
}

pub(crate) fn add_offsets(id: &str, producer: Producer, version: i16) -> TransactionRequest {
    TransactionRequest::AddOffsets {
        request: AddOffsetsToTxnRequest {
            transactional_id: id.to_owned(),
            producer_id: producer.0,
            producer_epoch: producer.1,
            group_id: "g".to_owned(),
        },
        version,
        offsets_partition: PartitionIndex(3),
    }
}

pub(crate) fn end(id: &str, producer: Producer, commit: bool, version: i16) -> TransactionRequest {
    TransactionRequest::EndTxn {
        request: EndTxnRequest {
            transactional_id: id.to_owned(),
            producer_id: producer.0,
            producer_epoch: producer.1,
            committed: commit,
        },
        version,
        fresh_producer_id: None,
    }
}

/// The producer that an InitProducerId or an EndTxn of version 5 answers, or its error.
pub(crate) fn initialised(reply: TransactionReply) -> Result<Producer, ErrorCode> {
    let (code, producer) = match reply {
        TransactionReply::InitProducerId(reply) => {
            (reply.error_code, (reply.producer_id, reply.producer_epoch))
        }
        TransactionReply::EndTxn(reply) => (reply.error_code, (reply.producer_id, reply.producer_epoch)),
        other => panic!("no producer in {other:?}"),
    };
    if code.is_error() { Err(code) } else { Ok(producer) }
}

/// The one error code of a reply.
pub(crate) fn code(reply: TransactionReply) -> ErrorCode {
    match reply {
        TransactionReply::InitProducerId(reply) => reply.error_code,
        TransactionReply::AddOffsets(reply) => reply.error_code,
        TransactionReply::EndTxn(reply) => reply.error_code,
        TransactionReply::Describe(reply) => reply.error_code,
        TransactionReply::List(reply) => reply.error_code,
        TransactionReply::AddPartitions(reply) => {
            let partitions = reply.topic_results.iter().flat_map(|topic| &topic.results_by_partition);
            let mut codes: Vec<_> = partitions.map(|partition| partition.partition_error_code).collect();
            codes.dedup();
            assert_eq!(codes.len(), 1, "one code for all partitions");
            codes[0]
        }
        other => panic!("no code in {other:?}"),
    }
}
