//! Time: open transactions that last too long, transactional ids that nobody uses.

use chronik_coord::coordinator::{Coordinator, Moment};
use chronik_coord::transactions::{
    TransactionReply, TransactionRequest, TransactionStatus, TransactionsConfig,
};
use chronik_wire::error_code::ErrorCode;

use super::harness::*;

#[test]
fn a_transaction_that_lasts_too_long_is_aborted_and_its_producer_fenced() {
    let mut desk = Desk::new();
    let producer = desk.init();
    desk.add(producer);
    desk.advance(i64::from(TIMEOUT_MS) / 2);
    // More partitions do not give more time.
    desk.ask(add(ID, producer, &[("t", 1)], 3));
    desk.advance(i64::from(TIMEOUT_MS) / 2 - 1);
    assert_eq!(desk.status(), Some(TransactionStatus::Ongoing));
    desk.advance(1);
    assert_eq!(desk.status(), Some(TransactionStatus::PrepareAbort));
    let order = &desk.orders[0];
    assert_eq!((order.producer_epoch, order.commit, order.partitions.len()), (1, false, 2));
    assert_eq!(code(desk.end(producer, true, KEEPING)), ErrorCode::PRODUCER_FENCED);
    desk.write_markers();
    assert_eq!(code(desk.end(producer, true, KEEPING)), ErrorCode::PRODUCER_FENCED);
    assert_eq!(code(desk.end(producer, true, RAISING)), ErrorCode::INVALID_TXN_STATE);
    // From version 5 on the producer can make the abort its own, and goes on with the epoch that fenced it.
    assert_eq!(initialised(desk.end(producer, false, RAISING)), Ok((producer.0, 1)));
    assert_eq!(desk.add((producer.0, 1)), ErrorCode::NONE);
}

#[test]
fn a_new_coordinator_gives_an_open_transaction_its_whole_time() {
    let mut desk = Desk::new();
    let producer = desk.init();
    desk.add(producer);
    desk.advance(i64::from(TIMEOUT_MS) - 1);
    desk.fail_over();
    desk.advance(i64::from(TIMEOUT_MS) - 1);
    assert_eq!(desk.status(), Some(TransactionStatus::Ongoing));
    desk.advance(1);
    assert_eq!(desk.status(), Some(TransactionStatus::PrepareAbort));
}

#[test]
fn an_idle_transactional_id_is_forgotten() {
    for used in [false, true] {
        let mut desk = Desk::new();
        let producer = desk.init();
        if used {
            desk.add(producer);
            desk.end(producer, true, KEEPING);
        }
        let expiration_ms = desk.config.id_expiration_ms;
        desk.advance(expiration_ms - 1);
        assert!(desk.status().is_some());
        // The time already gone counts for the next coordinator too.
        desk.fail_over();
        desk.advance(1);
        assert_eq!(desk.status(), None);
        assert_eq!(desk.machine.next_deadline_ms(), None);
        assert_eq!(desk.add(producer), ErrorCode::INVALID_PRODUCER_ID_MAPPING);
    }
}

#[test]
fn nothing_open_or_decided_is_forgotten() {
    for decided in [false, true] {
        let mut desk = Desk::new();
        let producer = desk.init();
        desk.add(producer);
        if decided {
            desk.send(end(ID, producer, true, KEEPING));
        }
        desk.advance(2 * desk.config.id_expiration_ms);
        assert!(desk.status().is_some_and(TransactionStatus::is_prepared));
    }
}

#[test]
fn use_begins_the_expiry_anew() {
    let mut desk = Desk::new();
    desk.init();
    desk.advance(desk.config.id_expiration_ms - 1);
    desk.init();
    desk.advance(desk.config.id_expiration_ms - 1);
    assert!(desk.status().is_some());
}

#[test]
fn a_new_setting_moves_the_expiry() {
    let mut desk = Desk::new();
    desk.init();
    let config = TransactionsConfig { id_expiration_ms: 10_000, ..desk.config };
    desk.machine.configure(config);
    desk.advance(9_999);
    assert!(desk.status().is_some());
    desk.advance(1);
    assert_eq!(desk.status(), None);
}

#[test]
fn a_wall_clock_set_back_makes_no_record_older() {
    let mut desk = Desk::new();
    let producer = desk.init();
    let began_ms = moment(desk.now_ms).wall_ms;
    desk.now_ms += 1;
    desk.send_at(add(ID, producer, &[("t", 0)], 3), Moment { wall_ms: 5, ..moment(desk.now_ms) });
    let TransactionReply::Describe(described) =
        desk.ask(TransactionRequest::Describe { transactional_id: ID.to_owned() })
    else {
        panic!("not described")
    };
    assert_eq!(described.transaction_start_time_ms, began_ms);
    // Nor does it shorten or lengthen what the broker clock decides.
    desk.advance(i64::from(TIMEOUT_MS) - 1);
    assert_eq!(desk.status(), Some(TransactionStatus::Ongoing));
    desk.advance(1);
    assert_eq!(desk.status(), Some(TransactionStatus::PrepareAbort));
}
