//! The bounds, at the limit and one past it.

use chronik_coord::coordinator::Coordinator;
use chronik_coord::transactions::limits::{
    DEADLINES_PER_CALL_MAX, EXPIRY_BATCH_BYTES_MAX, PARTITIONS_BYTES_MAX, PARTITIONS_PER_TRANSACTION_MAX,
    TRANSACTIONAL_ID_BYTES_MAX, TRANSACTIONAL_IDS_MAX,
};
use chronik_coord::transactions::{TransactionReply, TransactionRequest, Transactions, TransactionsState};
use chronik_wire::error_code::ErrorCode;

use super::harness::*;

#[test]
fn a_transactional_id_has_a_bounded_length() {
    let mut desk = Desk::new();
    let longest = "x".repeat(TRANSACTIONAL_ID_BYTES_MAX);
    assert_eq!(code(desk.ask(init(&longest, None))), ErrorCode::NONE);
    assert_eq!(code(desk.ask(init(&format!("{longest}x"), None))), ErrorCode::INVALID_REQUEST);
}

#[test]
fn a_transaction_has_a_bounded_number_of_partitions() {
    let mut desk = Desk::new();
    let producer = desk.init();
    let most: Vec<_> = (0..PARTITIONS_PER_TRANSACTION_MAX as i32).map(|id| ("t", id)).collect();
    assert_eq!(code(desk.ask(add(ID, producer, &most, 3))), ErrorCode::NONE);
    assert_eq!(code(desk.ask(add(ID, producer, &[("u", 0)], 3))), ErrorCode::POLICY_VIOLATION);
    assert_eq!(code(desk.ask(add(ID, producer, &[("t", 1)], 3))), ErrorCode::NONE, "one it has already");
    assert_eq!(code(desk.end(producer, true, KEEPING)), ErrorCode::NONE);
}

#[test]
fn the_partitions_of_a_transaction_fit_a_record() {
    let mut desk = Desk::new();
    let producer = desk.init();
    let names: Vec<String> = (0..PARTITIONS_BYTES_MAX / 265 + 1).map(|i| format!("{i:0>249}")).collect();
    let all: Vec<_> = names.iter().map(|name| (name.as_str(), 0)).collect();
    assert_eq!(code(desk.ask(add(ID, producer, &all, 3))), ErrorCode::POLICY_VIOLATION);
    assert_eq!(code(desk.ask(add(ID, producer, &all[1..], 3))), ErrorCode::NONE);
}

/// A machine that knows this many transactional ids, without the cost of a follower.
fn crowded(ids: usize) -> Transactions {
    let mut machine = Transactions::lead(TransactionsState::default(), Default::default(), moment(1_000_000));
    for number in 0..ids {
        let reply = begin(&mut machine, number);
        assert_eq!(code(reply), ErrorCode::NONE);
    }
    machine
}

fn begin(machine: &mut Transactions, number: usize) -> TransactionReply {
    let TransactionRequest::InitProducerId { request, version, .. } = init(&format!("id-{number}"), None)
    else {
        unreachable!()
    };
    let request =
        TransactionRequest::InitProducerId { request, version, fresh_producer_id: Some(number as i64) };
    let ticket = chronik_coord::coordinator::Ticket(number as u64);
    machine.handle(ticket, request, moment(1_000_000)).replies.remove(0).1
}

#[test]
fn the_number_of_transactional_ids_is_bounded_and_expiry_makes_room() {
    let mut machine = crowded(TRANSACTIONAL_IDS_MAX);
    assert_eq!(code(begin(&mut machine, TRANSACTIONAL_IDS_MAX)), ErrorCode::POLICY_VIOLATION);
    assert_eq!(code(begin(&mut machine, 0)), ErrorCode::NONE, "one that is known");
    let later = moment(machine.next_deadline_ms().expect("expiry"));
    let output = machine.on_time(later);
    let forgotten: usize = output.batches.iter().map(|batch| batch.records.len()).sum();
    assert_eq!(forgotten, DEADLINES_PER_CALL_MAX, "a bounded number at a time");
    for batch in &output.batches {
        let bytes: usize = batch.records.iter().map(|record| record.key.len()).sum();
        assert!(bytes <= EXPIRY_BATCH_BYTES_MAX);
    }
    assert_eq!(machine.next_deadline_ms(), Some(later.now_ms), "the rest is due");
    assert_eq!(code(begin(&mut machine, TRANSACTIONAL_IDS_MAX)), ErrorCode::NONE);
}

#[test]
fn long_names_expire_in_several_batches() {
    let mut desk = Desk::new();
    let count = EXPIRY_BATCH_BYTES_MAX / TRANSACTIONAL_ID_BYTES_MAX + 1;
    for number in 0..count {
        let id = format!("{number:0>width$}", width = TRANSACTIONAL_ID_BYTES_MAX);
        assert_eq!(code(desk.ask(init(&id, None))), ErrorCode::NONE);
    }
    desk.now_ms += desk.config.id_expiration_ms;
    let output = desk.machine.on_time(moment(desk.now_ms));
    assert!(output.batches.len() > 1);
    desk.take(output);
    assert!(desk.follower.is_empty());
}
