//! A failover after every step of a transaction's life: what is decided is carried out, what is not is left as it was.

use chronik_coord::transactions::{TransactionRequest, TransactionStatus};
use chronik_wire::error_code::ErrorCode;

use super::harness::*;

const PARTITIONS: [(&str, i32); 3] = [("t", 0), ("t", 1), ("u", 0)];

/// Asks until the answer is a definite one, as clients do.
fn persist(desk: &mut Desk, request: &TransactionRequest) -> Producer {
    for _ in 0..4 {
        let reply = desk.ask(request.clone());
        match initialised(reply) {
            Ok(producer) => return producer,
            Err(ErrorCode::CONCURRENT_TRANSACTIONS) => desk.write_markers(),
            Err(code) => panic!("{code}"),
        }
    }
    panic!("never answered");
}

#[test]
fn whoever_leads_carries_out_what_is_decided() {
    // Before the failover: nothing, the partitions, the decision, one marker, two, all three.
    for steps in 0..=5 {
        for (commit, version) in [(true, KEEPING), (false, KEEPING), (true, RAISING), (false, RAISING)] {
            let mut desk = Desk::new();
            let producer = desk.init();
            let mut ticket = None;
            if steps >= 1 {
                assert_eq!(code(desk.ask(add(ID, producer, &PARTITIONS, 3))), ErrorCode::NONE);
            }
            if steps >= 2 {
                ticket = Some(desk.send(end(ID, producer, commit, version)));
            }
            if steps >= 3 {
                let order = desk.orders[0].clone();
                desk.report(&order, &order.partitions[..steps - 2]);
            }
            let answered = ticket.is_some_and(|ticket| desk.replies.contains_key(&ticket));
            assert_eq!(answered, steps == 5, "answered when all markers are reported and not before");
            let before = desk.status();

            desk.fail_over();
            assert_eq!(desk.status(), before);
            match steps {
                0 | 1 => {
                    assert!(desk.orders.is_empty(), "nothing is decided");
                    assert_eq!(code(desk.ask(add(ID, producer, &PARTITIONS, 3))), ErrorCode::NONE);
                }
                2..=4 => {
                    let order = &desk.orders[0];
                    assert_eq!((order.commit, order.partitions.len()), (commit, 3), "all are ordered again");
                }
                _ => assert!(desk.orders.is_empty(), "all is done"),
            }
            let next = persist(&mut desk, &end(ID, producer, commit, version));
            let done =
                if commit { TransactionStatus::CompleteCommit } else { TransactionStatus::CompleteAbort };
            assert_eq!(desk.status(), Some(done), "after {steps} steps");
            if version == RAISING {
                assert_eq!(next, (producer.0, 1), "the same epoch whoever answers");
                assert_eq!(desk.add(next), ErrorCode::NONE);
            } else {
                assert_eq!(desk.add(producer), ErrorCode::NONE);
            }
        }
    }
}

#[test]
fn an_abort_for_a_new_producer_goes_on_after_a_failover() {
    let mut desk = Desk::new();
    let first = desk.init();
    desk.add(first);
    assert_eq!(code(desk.ask(init(ID, None))), ErrorCode::CONCURRENT_TRANSACTIONS);
    desk.fail_over();
    assert_eq!(code(desk.ask(init(ID, None))), ErrorCode::CONCURRENT_TRANSACTIONS);
    desk.write_markers();
    assert_eq!(desk.init(), (first.0, 2));
}

#[test]
fn a_coordinator_that_was_never_heard_changes_nothing() {
    let mut desk = Desk::new();
    let first = desk.init();
    desk.add(first);
    let state = desk.follower.clone();
    desk.send(end(ID, first, true, KEEPING));
    // Its record was not committed: the next coordinator begins before it.
    let mut next = Desk::with(state, desk.config, desk.now_ms);
    assert!(next.orders.is_empty());
    assert_eq!(next.status(), Some(TransactionStatus::Ongoing));
    assert_eq!(code(next.end(first, false, KEEPING)), ErrorCode::NONE);
    assert_eq!(next.status(), Some(TransactionStatus::CompleteAbort));
}
