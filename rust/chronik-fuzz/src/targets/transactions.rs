//! The state of transactions: records of `__transaction_state` and snapshots, as bytes and as a machine.

use bytes::Bytes;
use chronik_coord::coordinator::{
    Coordinator, CoordinatorBatch, CoordinatorRecord, CoordinatorState, MarkerOrder, Moment, OpenTransaction,
    Ticket,
};
use chronik_coord::transactions::{
    TransactionRequest, TransactionStatus, Transactions, TransactionsConfig, TransactionsState,
};
use chronik_wire::messages::add_partitions_to_txn::{AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction};
use chronik_wire::messages::end_txn::EndTxnRequest;
use chronik_wire::messages::init_producer_id::InitProducerIdRequest;
use chronik_wire::types::Offset;

use crate::Verdict;
use crate::input::Input;

/// Records of one input.
const RECORDS_MAX: usize = 64;
/// Looks at the time, a day apart, after which everything that was open must be decided.
const DAYS: i64 = 40;
const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

const HAS_VALUE: u8 = 1;
const IN_TRANSACTION: u8 = 2;

/// `data` is a log of records; those that cannot be read change nothing. Then the same bytes are read as a snapshot.
pub fn run(data: &[u8]) -> Verdict {
    let mut state = TransactionsState::default();
    let mut input = Input::new(data);
    let mut accepted = false;
    for offset in 0..RECORDS_MAX as i64 {
        if input.is_empty() {
            break;
        }
        accepted |= apply(&mut state, &mut input, Offset(offset));
    }
    restores_to_itself(&state);
    lead(&state);
    if let Ok(restored) = TransactionsState::restore(data) {
        assert_eq!(restored.snapshot(), data, "a state has one encoding");
        lead(&restored);
        accepted = true;
    }
    Verdict::accepted(accepted)
}

fn apply(state: &mut TransactionsState, input: &mut Input<'_>, at: Offset) -> bool {
    let flags = input.byte();
    let mut part = || {
        let length = usize::from(input.u16());
        Bytes::copy_from_slice(input.take(length))
    };
    let (key, value) = (part(), part());
    let record = CoordinatorRecord { key, value: (flags & HAS_VALUE != 0).then_some(value) };
    let transaction = (flags & IN_TRANSACTION != 0).then_some(OpenTransaction { producer: 1, epoch: 0 });
    let before = state.clone();
    let result = state.apply(&record, at, 0, transaction);
    if result.is_err() {
        assert_eq!(&before, state, "a record that cannot be read changes nothing");
    }
    result.is_ok()
}

/// Snapshots are compared byte by byte, and a restored replica must go on as the others do.
fn restores_to_itself(state: &TransactionsState) {
    let snapshot = state.snapshot();
    let restored = TransactionsState::restore(&snapshot).expect("an own snapshot restores");
    assert_eq!(&restored, state);
}

/// A leader takes office with whatever the log says. All markers it orders are written, time passes, and in the end no
/// transaction is open or only decided.
fn lead(state: &TransactionsState) {
    let moment = |now_ms: i64| Moment { now_ms, wall_ms: now_ms, random: 1 };
    let mut follower = state.clone();
    let mut machine = Transactions::lead(state.clone(), TransactionsConfig::default(), moment(0));
    let mut ticket = 0;
    for day in 0..DAYS {
        let now = moment(day * DAY_MS);
        follow(&mut follower, &machine.on_time(now).batches);
        for order in machine.take_markers() {
            assert!(!order.partitions.is_empty(), "an order names partitions");
            ticket += 1;
            let output = machine.handle(Ticket(ticket), written(order), now);
            follow(&mut follower, &output.batches);
        }
    }
    let is_open = |status: TransactionStatus| status == TransactionStatus::Ongoing || status.is_prepared();
    let open = follower.iter().filter(|(_, transaction)| is_open(transaction.status())).count();
    assert_eq!(open, 0, "what is over its time is decided, and what is decided is complete");
}

fn written(order: MarkerOrder) -> TransactionRequest {
    TransactionRequest::MarkersWritten {
        transactional_id: order.transactional_id.to_string(),
        producer_id: order.producer_id,
        producer_epoch: order.producer_epoch,
        partitions: order.partitions.iter().map(|(topic, index)| (topic.to_string(), *index)).collect(),
    }
}

fn follow(follower: &mut TransactionsState, batches: &[CoordinatorBatch]) {
    for record in batches.iter().flat_map(|batch| &batch.records) {
        follower.apply(record, Offset(0), 0, None).expect("what a machine writes can be read");
    }
}

/// What a machine writes for a transaction that is begun, added to, and ended both ways; and a snapshot after each step.
pub fn seeds() -> Vec<Vec<u8>> {
    let moment = Moment { now_ms: 0, wall_ms: 1_000, random: 1 };
    let config = TransactionsConfig::default();
    let mut machine = Transactions::lead(TransactionsState::default(), config, moment);
    let (mut log, mut state, mut seeds) = (Vec::new(), TransactionsState::default(), Vec::new());
    for (ticket, request) in requests().into_iter().enumerate() {
        let mut batches = machine.handle(Ticket(ticket as u64), request, moment).batches;
        for order in machine.take_markers() {
            batches.extend(machine.handle(Ticket(100 + ticket as u64), written(order), moment).batches);
        }
        follow(&mut state, &batches);
        log.extend(batches.iter().flat_map(framed));
        seeds.extend([log.clone(), state.snapshot().to_vec()]);
    }
    seeds
}

fn framed(batch: &CoordinatorBatch) -> Vec<u8> {
    let mut out = Vec::new();
    for CoordinatorRecord { key, value } in &batch.records {
        out.push(u8::from(value.is_some()) * HAS_VALUE);
        for part in [key, &value.clone().unwrap_or_default()] {
            out.extend((part.len() as u16).to_be_bytes());
            out.extend_from_slice(part);
        }
    }
    out
}

fn requests() -> Vec<TransactionRequest> {
    let init = TransactionRequest::InitProducerId {
        request: InitProducerIdRequest {
            transactional_id: Some("pay".to_owned()),
            transaction_timeout_ms: 60_000,
            ..Default::default()
        },
        version: 4,
        fresh_producer_id: Some(7),
    };
    let add = |producer_epoch| TransactionRequest::AddPartitions {
        transaction: AddPartitionsToTxnTransaction {
            transactional_id: "pay".to_owned(),
            producer_id: 7,
            producer_epoch,
            verify_only: false,
            topics: vec![AddPartitionsToTxnTopic { name: "t".to_owned(), partitions: vec![0, 1] }],
        },
        version: 3,
    };
    let end = |producer_epoch, committed, version| TransactionRequest::EndTxn {
        request: EndTxnRequest {
            transactional_id: "pay".to_owned(),
            producer_id: 7,
            producer_epoch,
            committed,
        },
        version,
        fresh_producer_id: None,
    };
    vec![init, add(0), end(0, true, 4), add(0), end(0, false, 5), add(1)]
}
