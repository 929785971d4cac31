//! DescribeTransactions and ListTransactions.

use chronik_coord::transactions::{TransactionReply, TransactionRequest};
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::describe_transactions::{TopicData, TransactionState as Described};
use chronik_wire::messages::list_transactions::ListTransactionsRequest;

use super::harness::*;

fn describe(desk: &mut Desk, id: &str) -> Described {
    match desk.ask(TransactionRequest::Describe { transactional_id: id.to_owned() }) {
        TransactionReply::Describe(described) => described,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_transaction_is_described() {
    let mut desk = Desk::new();
    let producer = desk.init();
    let empty = describe(&mut desk, ID);
    assert_eq!((empty.transaction_state.as_str(), empty.transaction_start_time_ms), ("Empty", -1));
    desk.advance(1_000);
    desk.ask(add(ID, producer, &[("u", 2), ("t", 1), ("t", 0)], 3));
    let described = describe(&mut desk, ID);
    let expected = Described {
        error_code: ErrorCode::NONE,
        transactional_id: ID.to_owned(),
        transaction_state: "Ongoing".to_owned(),
        transaction_timeout_ms: TIMEOUT_MS,
        transaction_start_time_ms: moment(desk.now_ms).wall_ms,
        producer_id: producer.0,
        producer_epoch: producer.1,
        topics: vec![
            TopicData { topic: "t".to_owned(), partitions: vec![0, 1] },
            TopicData { topic: "u".to_owned(), partitions: vec![2] },
        ],
    };
    assert_eq!(described, expected);
    assert_eq!(describe(&mut desk, "unknown").error_code, ErrorCode::TRANSACTIONAL_ID_NOT_FOUND);
    assert_eq!(describe(&mut desk, "").error_code, ErrorCode::INVALID_REQUEST);
}

fn listed(desk: &mut Desk, request: ListTransactionsRequest) -> (Vec<String>, Vec<String>) {
    match desk.ask(TransactionRequest::List(request)) {
        TransactionReply::List(list) => {
            assert_eq!(list.error_code, ErrorCode::NONE);
            let ids = list.transaction_states.into_iter().map(|state| state.transactional_id).collect();
            (ids, list.unknown_state_filters)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn transactions_are_listed_by_state_producer_duration_and_pattern() {
    let mut desk = Desk::new();
    let idle = initialised(desk.ask(init("idle", None))).expect("idle");
    let old = initialised(desk.ask(init("old", None))).expect("old");
    desk.ask(add("old", old, &[("t", 0)], 3));
    desk.advance(5_000);
    let young = initialised(desk.ask(init("young", None))).expect("young");
    desk.ask(add("young", young, &[("t", 0)], 3));

    let all = ListTransactionsRequest { duration_filter: -1, ..Default::default() };
    let mut check = |request: &ListTransactionsRequest, expected: &[&str]| {
        assert_eq!(listed(&mut desk, request.clone()).0, expected, "{request:?}");
    };
    let strings = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    check(&all, &["idle", "old", "young"]);
    check(
        &ListTransactionsRequest { state_filters: strings(&["Ongoing"]), ..all.clone() },
        &["old", "young"],
    );
    check(&ListTransactionsRequest { state_filters: strings(&["Dead"]), ..all.clone() }, &[]);
    check(
        &ListTransactionsRequest { producer_id_filters: vec![idle.0, young.0], ..all.clone() },
        &["idle", "young"],
    );
    check(&ListTransactionsRequest { duration_filter: 0, ..all.clone() }, &["old"]);
    check(&ListTransactionsRequest { duration_filter: 4_999, ..all.clone() }, &["old"]);
    check(&ListTransactionsRequest { duration_filter: 5_000, ..all.clone() }, &[]);
    let pattern = |text: &str| ListTransactionsRequest {
        transactional_id_pattern: Some(text.to_owned()),
        ..all.clone()
    };
    check(&pattern(".*l.*"), &["idle", "old"]);
    check(&pattern("l"), &[]);
    check(&pattern(""), &["idle", "old", "young"]);
    assert_eq!(code(desk.ask(TransactionRequest::List(pattern("(")))), ErrorCode::INVALID_REGULAR_EXPRESSION);
    let request = ListTransactionsRequest { state_filters: strings(&["Ongoing", "Lost", "Dead"]), ..all };
    assert_eq!(listed(&mut desk, request), (strings(&["old", "young"]), strings(&["Lost"])));
}
