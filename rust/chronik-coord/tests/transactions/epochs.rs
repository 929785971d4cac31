//! Epochs: how they rise, how a lost answer is repeated, and what happens when they are used up.

use chronik_coord::transactions::{TransactionReply, TransactionRequest, TransactionStatus};
use chronik_wire::error_code::ErrorCode;

use super::harness::*;

/// The last epoch a producer is given.
const LAST: i16 = i16::MAX - 1;

/// A producer at its last epoch.
fn at_last_epoch(desk: &mut Desk) -> Producer {
    let mut producer = desk.init();
    while producer.1 < LAST {
        producer = desk.init();
    }
    producer
}

#[test]
fn every_new_producer_fences_the_one_before() {
    let mut desk = Desk::new();
    let first = desk.init();
    assert_eq!(first, (7_001, 0));
    let second = desk.init();
    assert_eq!(second, (7_001, 1));
    assert_eq!(desk.add(first), ErrorCode::PRODUCER_FENCED);
    assert_eq!(desk.add(second), ErrorCode::NONE);
}

#[test]
fn a_fresh_producer_id_is_asked_for_only_when_needed() {
    let mut desk = Desk::new();
    let ticket = desk.send(init(ID, None));
    assert_eq!(desk.replies.remove(&ticket), Some(TransactionReply::ProducerIdNeeded));
    assert_eq!(desk.records, 0, "nothing has changed");
    let first = desk.init();
    let TransactionRequest::InitProducerId { request, version, .. } = init(ID, None) else { unreachable!() };
    let request = TransactionRequest::InitProducerId { request, version, fresh_producer_id: Some(99) };
    assert_eq!(initialised(desk.ask(request)), Ok((first.0, 1)), "the offered id is not taken");
}

#[test]
fn a_producer_that_goes_on_may_ask_again_even_after_a_failover() {
    let mut desk = Desk::new();
    let first = desk.init();
    let second = initialised(desk.ask(init(ID, Some(first))));
    assert_eq!(second, Ok((first.0, 1)));
    for _ in 0..3 {
        assert_eq!(initialised(desk.ask(init(ID, Some(first)))), second, "the answer was lost");
        desk.fail_over();
    }
    // Once another producer has begun, the first is fenced.
    desk.init();
    assert_eq!(initialised(desk.ask(init(ID, Some(first)))), Err(ErrorCode::PRODUCER_FENCED));
    assert_eq!(initialised(desk.ask(init(ID, Some((first.0, 1))))), Err(ErrorCode::PRODUCER_FENCED));
}

#[test]
fn a_replaced_producer_does_not_take_the_end_of_its_successor_for_its_own() {
    for commit in [true, false] {
        let mut desk = Desk::new();
        let first = desk.init();
        let second = desk.init();
        desk.add(second);
        assert_eq!(code(desk.end(second, commit, KEEPING)), ErrorCode::NONE);
        // Its epoch is one below that of the successor, as if its own end had raised it.
        assert_eq!(initialised(desk.end(first, commit, RAISING)), Err(ErrorCode::PRODUCER_FENCED));
    }
}

#[test]
fn a_stale_producer_cannot_abort_the_transaction_of_its_successor() {
    let mut desk = Desk::new();
    let first = desk.init();
    let second = desk.init();
    desk.add(second);
    assert_eq!(initialised(desk.ask(init(ID, Some(first)))), Err(ErrorCode::PRODUCER_FENCED));
    assert_eq!(desk.status(), Some(TransactionStatus::Ongoing));
}

#[test]
fn a_new_producer_aborts_the_open_transaction_first() {
    let mut desk = Desk::new();
    let first = desk.init();
    desk.add(first);
    assert_eq!(initialised(desk.ask(init(ID, None))), Err(ErrorCode::CONCURRENT_TRANSACTIONS));
    assert_eq!(desk.status(), Some(TransactionStatus::PrepareAbort));
    assert_eq!(initialised(desk.ask(init(ID, None))), Err(ErrorCode::CONCURRENT_TRANSACTIONS));
    let order = desk.orders.pop().expect("one order");
    assert!(desk.orders.is_empty(), "asking again orders nothing");
    assert_eq!((order.producer_id, order.producer_epoch, order.commit), (first.0, 1, false));
    desk.report(&order, &order.partitions);
    assert_eq!(desk.status(), Some(TransactionStatus::CompleteAbort));
    assert_eq!(desk.init(), (first.0, 2), "raised once to fence and once to give");
}

#[test]
fn the_end_raises_the_epoch_from_version_5_on() {
    let mut desk = Desk::new();
    let mut producer = desk.init();
    for commit in [true, false, true] {
        desk.add(producer);
        let next = initialised(desk.end(producer, commit, RAISING)).expect("ended");
        assert_eq!(next, (producer.0, producer.1 + 1));
        assert_eq!(desk.add(producer), ErrorCode::PRODUCER_FENCED, "what comes late is fenced");
        producer = next;
    }
}

#[test]
fn the_marker_carries_the_raised_epoch() {
    for (version, expected) in [(KEEPING, (0, 0)), (RAISING, (1, 2))] {
        let mut desk = Desk::new();
        let producer = desk.init();
        desk.add(producer);
        desk.send(end(ID, producer, true, version));
        let order = &desk.orders[0];
        assert_eq!((order.producer_epoch, order.transaction_version), expected);
    }
}

#[test]
fn used_up_epochs_lead_to_a_new_producer_id_when_a_producer_begins() {
    let mut desk = Desk::new();
    let last = at_last_epoch(&mut desk);
    assert_eq!(last, (7_001, LAST));
    assert_eq!(desk.init(), (7_002, 0));
    // The same for a producer that goes on, which may ask again.
    let last = at_last_epoch(&mut desk);
    let next = initialised(desk.ask(init(ID, Some(last))));
    assert_eq!(next, Ok((7_003, 0)));
    assert_eq!(initialised(desk.ask(init(ID, Some(last)))), next);
    desk.fail_over();
    assert_eq!(initialised(desk.ask(init(ID, Some(last)))), next);
}

#[test]
fn used_up_epochs_lead_to_a_new_producer_id_when_a_transaction_ends() {
    for commit in [true, false] {
        let mut desk = Desk::new();
        let last = at_last_epoch(&mut desk);
        desk.add(last);
        let next = initialised(desk.end(last, commit, RAISING));
        assert_eq!(next, Ok((7_002, 0)));
        assert_eq!(initialised(desk.end(last, commit, RAISING)), next, "asked again");
        assert_eq!(initialised(desk.end(last, !commit, RAISING)), Err(ErrorCode::INVALID_TXN_STATE));
        desk.fail_over();
        assert_eq!(initialised(desk.end(last, commit, RAISING)), next, "asked another coordinator");
        assert_eq!(desk.add((7_002, 0)), ErrorCode::NONE);
    }
}

#[test]
fn the_old_end_keeps_the_last_epoch() {
    let mut desk = Desk::new();
    let last = at_last_epoch(&mut desk);
    desk.add(last);
    assert_eq!(code(desk.end(last, true, KEEPING)), ErrorCode::NONE);
    assert_eq!(desk.add(last), ErrorCode::NONE);
}

#[test]
fn nobody_is_given_the_epoch_kept_back_for_fencing() {
    let mut desk = Desk::new();
    let last = at_last_epoch(&mut desk);
    desk.add(last);
    desk.advance(i64::from(TIMEOUT_MS));
    assert_eq!(desk.orders[0].producer_epoch, i16::MAX, "the marker still has an epoch to fence with");
    desk.write_markers();
    // The producer learns of the abort by trying its own; it goes on under a new id, and may ask again.
    let next = initialised(desk.end(last, false, RAISING));
    assert_eq!(next, Ok((7_002, 0)));
    assert_eq!(initialised(desk.end(last, false, RAISING)), next);
    assert_eq!(desk.add((7_002, 0)), ErrorCode::NONE);
}

/// With its bug planted the scenario fails.
#[cfg(feature = "mutants")]
#[test]
fn the_scenarios_above_kill_their_bugs() {
    let scenario = a_replaced_producer_does_not_take_the_end_of_its_successor_for_its_own;
    let planted = chronik_mutants::plant(chronik_mutants::Mutant::ZombieEndsTransaction);
    let outcome = std::panic::catch_unwind(scenario);
    drop(planted);
    assert!(outcome.is_err(), "zombie-ends-transaction survives");
}
