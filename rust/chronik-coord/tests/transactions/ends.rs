//! The way from a decision to its end: markers, reports, and who waits for them.

use chronik_coord::coordinator::Coordinator;
use chronik_coord::transactions::TransactionStatus;
use chronik_wire::error_code::ErrorCode;

use super::harness::*;

/// A transaction over three partitions.
fn open(desk: &mut Desk) -> Producer {
    let producer = desk.init();
    assert_eq!(code(desk.ask(add(ID, producer, &[("t", 0), ("t", 1), ("u", 0)], 3))), ErrorCode::NONE);
    producer
}

#[test]
fn the_answer_comes_when_every_marker_is_written() {
    for (commit, version) in [(true, KEEPING), (false, KEEPING), (true, RAISING), (false, RAISING)] {
        let mut desk = Desk::new();
        let producer = open(&mut desk);
        let ticket = desk.send(end(ID, producer, commit, version));
        let order = desk.orders.pop().expect("an order");
        assert_eq!((order.commit, order.partitions.len()), (commit, 3));
        for partition in &order.partitions {
            assert!(!desk.replies.contains_key(&ticket), "a marker is missing");
            assert!(desk.status().is_some_and(TransactionStatus::is_prepared));
            desk.report(&order, std::slice::from_ref(partition));
        }
        let reply = desk.replies.remove(&ticket).expect("the answer");
        assert_eq!(code(reply), ErrorCode::NONE);
        let done = if commit { TransactionStatus::CompleteCommit } else { TransactionStatus::CompleteAbort };
        assert_eq!(desk.status(), Some(done));
        assert_eq!(desk.machine.take_markers(), []);
    }
}

#[test]
fn offsets_of_groups_get_a_marker_too() {
    let mut desk = Desk::new();
    let producer = desk.init();
    assert_eq!(code(desk.ask(add_offsets(ID, producer, 3))), ErrorCode::NONE);
    desk.send(end(ID, producer, true, KEEPING));
    let partitions: Vec<_> = desk.orders[0].partitions.iter().map(|(topic, id)| (&**topic, id.0)).collect();
    assert_eq!(partitions, [("__consumer_offsets", 3)]);
}

#[test]
fn reports_about_other_transactions_are_ignored() {
    let mut desk = Desk::new();
    let producer = open(&mut desk);
    desk.send(end(ID, producer, true, RAISING));
    let order = desk.orders.pop().expect("an order");
    let mut other = order.clone();
    other.producer_epoch -= 1;
    desk.report(&other, &order.partitions);
    other = order.clone();
    other.producer_id += 1;
    desk.report(&other, &order.partitions);
    other = order.clone();
    other.transactional_id = "unknown".into();
    desk.report(&other, &order.partitions);
    assert_eq!(desk.status(), Some(TransactionStatus::PrepareCommit));
    desk.report(&order, &order.partitions);
    assert_eq!(desk.status(), Some(TransactionStatus::CompleteCommit));
    let records = desk.records;
    desk.report(&order, &order.partitions);
    assert_eq!(desk.records, records, "a report that comes twice changes nothing");
}

#[test]
fn a_transaction_without_partitions_ends_at_once() {
    let mut desk = Desk::new();
    let producer = desk.init();
    assert_eq!(code(desk.ask(add(ID, producer, &[("t", 0)], 3))), ErrorCode::NONE);
    desk.end(producer, true, KEEPING);
    let ticket = desk.send(end(ID, producer, false, RAISING));
    let next = initialised(desk.replies.remove(&ticket).expect("an answer at once"));
    assert_eq!(next, Ok((producer.0, 1)));
    assert!(desk.orders.is_empty());
    assert_eq!(desk.status(), Some(TransactionStatus::CompleteAbort));
}

#[test]
fn whoever_waits_too_long_is_told_to_come_again() {
    let mut desk = Desk::new();
    let producer = open(&mut desk);
    let ticket = desk.send(end(ID, producer, true, KEEPING));
    desk.advance(desk.config.end_wait_ms_max - 1);
    assert!(!desk.replies.contains_key(&ticket));
    desk.advance(1);
    let reply = desk.replies.remove(&ticket).expect("an answer in time");
    assert_eq!(code(reply), ErrorCode::CONCURRENT_TRANSACTIONS);
    assert_eq!(desk.machine.next_deadline_ms(), None, "nothing else is due");
    desk.write_markers();
    assert_eq!(code(desk.end(producer, true, KEEPING)), ErrorCode::NONE);
}

#[test]
fn whoever_has_gone_is_not_answered() {
    let mut desk = Desk::new();
    let producer = open(&mut desk);
    let ticket = desk.send(end(ID, producer, true, KEEPING));
    let output = desk.machine.cancel(ticket, moment(desk.now_ms));
    desk.take(output);
    assert_eq!(desk.machine.next_deadline_ms(), None);
    desk.write_markers();
    assert_eq!(desk.replies.remove(&ticket), None);
    assert_eq!(desk.status(), Some(TransactionStatus::CompleteCommit), "the decision stands");
    let output = desk.machine.cancel(ticket, moment(desk.now_ms));
    desk.take(output);
    assert!(desk.machine.next_deadline_ms().is_some(), "a late cancellation does not touch the expiry");
}

#[test]
fn a_partition_added_twice_leaves_one_record() {
    let mut desk = Desk::new();
    let producer = open(&mut desk);
    let records = desk.records;
    assert_eq!(code(desk.ask(add(ID, producer, &[("u", 0), ("t", 1)], 3))), ErrorCode::NONE);
    assert_eq!(desk.records, records);
    assert_eq!(code(desk.ask(add(ID, producer, &[("u", 1)], 3))), ErrorCode::NONE);
    assert_eq!(desk.records, records + 1);
}
