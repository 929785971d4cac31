//! Every status against every request: the code that Kafka's coordinator answers.

use chronik_coord::transactions::TransactionStatus;
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::init_producer_id::InitProducerIdRequest;

use super::harness::*;

/// A desk whose transactional id stands there, and the producer that brought it there by ends of this version. The epoch
/// is 3, so that there are older ones.
fn standing(status: TransactionStatus, version: i16) -> (Desk, Producer) {
    let mut desk = Desk::new();
    let mut producer = desk.init();
    for _ in 0..3 {
        producer = desk.init();
    }
    assert_eq!(producer, (7_001, 3));
    if status != TransactionStatus::Empty {
        assert_eq!(desk.add(producer), ErrorCode::NONE);
    }
    let commit = matches!(status, TransactionStatus::PrepareCommit | TransactionStatus::CompleteCommit);
    if status.is_prepared() {
        desk.send(end(ID, producer, commit, version));
    } else if !matches!(status, TransactionStatus::Empty | TransactionStatus::Ongoing) {
        desk.end(producer, commit, version);
    }
    assert_eq!(desk.status(), Some(status));
    (desk, producer)
}

/// The answers of one status, by request.
struct Row {
    status: TransactionStatus,
    init: i16,
    init_claim: i16,
    init_stale: i16,
    add: i16,
    offsets: i16,
    verify: i16,
    verify_other: i16,
    commit: i16,
    abort: i16,
    commit_raising: i16,
    abort_raising: i16,
    commit_again: i16,
    abort_again: i16,
}

#[rustfmt::skip]
const TABLE: [Row; 6] = [
    Row { status: TransactionStatus::Empty, init: 0, init_claim: 0, init_stale: 90, add: 0, offsets: 0,
        verify: 120, verify_other: 120, commit: 48, abort: 48,
        commit_raising: 48, abort_raising: 0, commit_again: 90, abort_again: 90 },
    Row { status: TransactionStatus::Ongoing, init: 51, init_claim: 51, init_stale: 90, add: 0, offsets: 0,
        verify: 0, verify_other: 120, commit: 0, abort: 0,
        commit_raising: 0, abort_raising: 0, commit_again: 90, abort_again: 90 },
    Row { status: TransactionStatus::PrepareCommit, init: 51, init_claim: 51, init_stale: 51, add: 51, offsets: 51,
        verify: 51, verify_other: 51, commit: 51, abort: 48,
        commit_raising: 90, abort_raising: 90, commit_again: 90, abort_again: 90 },
    Row { status: TransactionStatus::PrepareAbort, init: 51, init_claim: 51, init_stale: 51, add: 51, offsets: 51,
        verify: 51, verify_other: 51, commit: 48, abort: 51,
        commit_raising: 90, abort_raising: 90, commit_again: 90, abort_again: 90 },
    Row { status: TransactionStatus::CompleteCommit, init: 0, init_claim: 0, init_stale: 90, add: 0, offsets: 0,
        verify: 120, verify_other: 120, commit: 0, abort: 48,
        commit_raising: 48, abort_raising: 0, commit_again: 90, abort_again: 90 },
    Row { status: TransactionStatus::CompleteAbort, init: 0, init_claim: 0, init_stale: 90, add: 0, offsets: 0,
        verify: 120, verify_other: 120, commit: 48, abort: 0,
        commit_raising: 48, abort_raising: 0, commit_again: 90, abort_again: 90 },
];

#[test]
fn every_status_answers_every_request_as_kafka_does() {
    for row in TABLE {
        let producer = (7_001, 3);
        let before = (producer.0, producer.1 - 1);
        let asked = [
            ("init", init(ID, None), row.init),
            ("init_claim", init(ID, Some(producer)), row.init_claim),
            ("init_stale", init(ID, Some(before)), row.init_stale),
            ("add", add(ID, producer, &[("t", 0)], 3), row.add),
            ("add more", add(ID, producer, &[("t", 1), ("u", 0)], 3), row.add),
            ("add by a broker", add(ID, producer, &[("t", 1)], 5), row.add),
            ("offsets", add_offsets(ID, producer, 3), row.offsets),
            ("verify", verify(ID, producer, &[("t", 0)]), row.verify),
            ("verify_other", verify(ID, producer, &[("t", 9)]), row.verify_other),
            ("commit", end(ID, producer, true, KEEPING), row.commit),
            ("abort", end(ID, producer, false, KEEPING), row.abort),
            ("commit_raising", end(ID, producer, true, RAISING), row.commit_raising),
            ("abort_raising", end(ID, producer, false, RAISING), row.abort_raising),
            ("commit_again", end(ID, before, true, RAISING), row.commit_again),
            ("abort_again", end(ID, before, false, RAISING), row.abort_again),
        ];
        for (name, request, expected) in asked {
            let (mut desk, _) = standing(row.status, KEEPING);
            let refused = expected != 0 && name != "init" && name != "init_claim";
            let records = desk.records;
            let answer = code(desk.ask(request));
            assert_eq!(answer, ErrorCode(expected), "{name} while {:?}", row.status);
            assert!(
                !refused || desk.records == records,
                "{name} while {:?}: refused yet on record",
                row.status
            );
        }
    }
}

#[test]
fn an_end_that_raised_the_epoch_is_answered_again() {
    let before = (7_001, 3);
    let present = (7_001, 4);
    for (status, commit_again, abort_again, commit, abort) in [
        (TransactionStatus::PrepareCommit, 51, 48, 90, 90),
        (TransactionStatus::PrepareAbort, 48, 51, 90, 90),
        (TransactionStatus::CompleteCommit, 0, 48, 48, 0),
        (TransactionStatus::CompleteAbort, 48, 0, 48, 0),
    ] {
        for (producer, committed, expected) in [
            (before, true, commit_again),
            (before, false, abort_again),
            (present, true, commit),
            (present, false, abort),
        ] {
            let (mut desk, _) = standing(status, RAISING);
            let answer = desk.ask(end(ID, producer, committed, RAISING));
            assert_eq!(code(answer), ErrorCode(expected), "{producer:?} {committed} while {status:?}");
        }
    }
}

#[test]
fn a_producer_of_another_id_or_epoch_is_refused_in_every_status() {
    for row in TABLE {
        let stranger = (6_999, 3);
        let stale = (7_001, 2);
        let ahead = (7_001, 4);
        for (request, expected) in [
            (add(ID, stranger, &[("t", 0)], 3), 49),
            (verify(ID, stranger, &[("t", 0)]), 49),
            (add_offsets(ID, stranger, 3), 49),
            (end(ID, stranger, true, KEEPING), 49),
            (end(ID, stranger, true, RAISING), 49),
            (add(ID, stale, &[("t", 0)], 3), 90),
            (add(ID, ahead, &[("t", 0)], 3), 90),
            (verify(ID, stale, &[("t", 0)]), 90),
            (add_offsets(ID, stale, 3), 90),
            (end(ID, stale, true, KEEPING), 90),
            (end(ID, ahead, false, KEEPING), 90),
            (end(ID, ahead, false, RAISING), 90),
        ] {
            let (mut desk, _) = standing(row.status, KEEPING);
            let text = format!("{request:?} while {:?}", row.status);
            assert_eq!(code(desk.ask(request)), ErrorCode(expected), "{text}");
        }
    }
}

#[test]
fn an_unknown_transactional_id_has_no_producer() {
    let mut desk = Desk::new();
    let producer = (7_001, 0);
    for request in [
        add(ID, producer, &[("t", 0)], 3),
        verify(ID, producer, &[("t", 0)]),
        add_offsets(ID, producer, 3),
        end(ID, producer, true, KEEPING),
        end(ID, producer, true, RAISING),
    ] {
        assert_eq!(code(desk.ask(request)), ErrorCode::INVALID_PRODUCER_ID_MAPPING);
    }
    // Kafka gives a new producer id to whoever comes back to an id that has expired.
    assert_eq!(initialised(desk.ask(init(ID, Some((12, 5))))), Ok((7_001, 0)));
}

#[test]
fn malformed_requests_are_told_so() {
    let mut desk = Desk::new();
    let producer = desk.init();
    for request in [
        init("", None),
        init(ID, Some((-1, 3))),
        init(ID, Some((7_001, -1))),
        add("", producer, &[("t", 0)], 3),
        verify("", producer, &[("t", 0)]),
        add_offsets("", producer, 3),
        end("", producer, true, KEEPING),
        end("", producer, true, RAISING),
    ] {
        assert_eq!(code(desk.ask(request)), ErrorCode::INVALID_REQUEST);
    }
    for timeout_ms in [0, -1, desk.config.timeout_ms_max + 1, i32::MAX] {
        let request = InitProducerIdRequest {
            transactional_id: Some(ID.to_owned()),
            transaction_timeout_ms: timeout_ms,
            ..Default::default()
        };
        let request = chronik_coord::transactions::TransactionRequest::InitProducerId {
            request,
            version: INIT,
            fresh_producer_id: None,
        };
        assert_eq!(code(desk.ask(request)), ErrorCode::INVALID_TRANSACTION_TIMEOUT);
    }
}

#[test]
fn old_requests_do_not_hear_of_fenced_producers() {
    let (old, new) = (ErrorCode::INVALID_PRODUCER_EPOCH, ErrorCode::PRODUCER_FENCED);
    let (mut desk, producer) = standing(TransactionStatus::Empty, KEEPING);
    let stale = (producer.0, producer.1 - 2);
    for (version, expected) in [(3, old), (4, new), (5, new)] {
        assert_eq!(code(desk.ask(init_at(ID, Some(stale), version))), expected);
    }
    for (version, expected) in [(0, old), (1, old), (2, new), (3, new)] {
        assert_eq!(code(desk.ask(add(ID, stale, &[("t", 0)], version))), expected);
        assert_eq!(code(desk.ask(add_offsets(ID, stale, version))), expected);
        assert_eq!(code(desk.ask(end(ID, stale, true, version))), expected);
    }
}
