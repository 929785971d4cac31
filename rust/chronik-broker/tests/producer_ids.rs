//! InitProducerId and FindCoordinator.

mod harness;

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::find_coordinator::FindCoordinatorRequest;
use chronik_wire::messages::init_producer_id::InitProducerIdRequest;
use chronik_wire::types::NodeId;
use harness::{Options, TestCluster};

#[test]
fn ids_of_all_nodes_are_different_and_most_cost_no_call() {
    let mut cluster = TestCluster::start(3, &Options::default());
    let calls = |cluster: &TestCluster| -> u64 {
        cluster.nodes.values().map(|node| node.counters.controller_calls.load(Ordering::Relaxed)).sum()
    };
    let before = calls(&cluster);
    let mut seen = BTreeSet::new();
    for round in 0..1_200 {
        let node = NodeId(1 + round % 3);
        let version = (round % 6) as i16;
        let response = cluster.call(node, version, &InitProducerIdRequest::default());
        assert_eq!((response.error_code, response.producer_epoch), (ErrorCode::NONE, 0));
        assert!(seen.insert(response.producer_id), "{} was given twice", response.producer_id);
    }
    assert_eq!(calls(&cluster) - before, 3, "one block per node");
}

#[test]
fn a_used_up_block_is_followed_by_the_next_and_fetched_once_for_all() {
    let mut cluster = TestCluster::start(3, &Options::default());
    let node = NodeId(2);
    let asked = (0..1_500).map(|_| cluster.ask(node, false, 4, &InitProducerIdRequest::default())).collect();
    let answers = cluster.run_all(asked).into_iter();
    let ids: BTreeSet<i64> =
        answers.map(|answer| answer.expect("open").expect("answered").producer_id).collect();
    assert_eq!(ids.len(), 1_500);
    assert_eq!(cluster.node(node).broker.node().image().next_producer_id, 2_000, "two blocks for 1,500 ids");
}

#[test]
fn a_known_producer_gets_a_new_id() {
    let mut cluster = TestCluster::start(1, &Options::default());
    let first = cluster.call(NodeId(1), 4, &InitProducerIdRequest::default()).producer_id;
    let again = InitProducerIdRequest { producer_id: first, producer_epoch: 0, ..Default::default() };
    let second = cluster.call(NodeId(1), 4, &again);
    assert_eq!(second.error_code, ErrorCode::NONE);
    assert_ne!(second.producer_id, first);
}

#[test]
fn transactions_are_refused_honestly() {
    let mut cluster = TestCluster::start(1, &Options::default());
    let with =
        |id: &str| InitProducerIdRequest { transactional_id: Some(id.to_owned()), ..Default::default() };
    for version in 0..=5 {
        let refused = cluster.call(NodeId(1), version, &with("tx"));
        assert_eq!((refused.error_code, refused.producer_id), (ErrorCode::COORDINATOR_NOT_AVAILABLE, -1));
        assert_eq!(cluster.call(NodeId(1), version, &with("")).error_code, ErrorCode::INVALID_REQUEST);
    }
}

#[test]
fn without_a_majority_a_producer_is_told_to_try_again() {
    let mut cluster = TestCluster::start(3, &Options::default());
    cluster.isolate(NodeId(1));
    let asked_ms = cluster.now_ms();
    let response = cluster.call(NodeId(1), 4, &InitProducerIdRequest::default());
    assert_eq!((response.error_code, response.producer_id), (ErrorCode::COORDINATOR_LOAD_IN_PROGRESS, -1));
    assert!(cluster.now_ms() - asked_ms < 2_500, "before any client gives up waiting");
}

#[test]
fn nobody_coordinates_anything_yet() {
    let mut cluster = TestCluster::start(1, &Options::default());
    for version in 0..=6 {
        let request = FindCoordinatorRequest {
            key: if version < 4 { "g".to_owned() } else { String::new() },
            coordinator_keys: if version < 4 { Vec::new() } else { vec!["g".to_owned(), "h".to_owned()] },
            ..FindCoordinatorRequest::default()
        };
        let response = cluster.call(NodeId(1), version, &request);
        if version < 4 {
            let found = (response.error_code, response.node_id, response.port);
            assert_eq!(found, (ErrorCode::COORDINATOR_NOT_AVAILABLE, -1, -1), "v{version}");
            continue;
        }
        assert_eq!(response.coordinators.len(), 2);
        for coordinator in response.coordinators {
            assert_eq!(
                (coordinator.error_code, coordinator.node_id),
                (ErrorCode::COORDINATOR_NOT_AVAILABLE, -1)
            );
            assert!(coordinator.error_message.is_some());
        }
    }
    let odd = FindCoordinatorRequest { key: "g".to_owned(), key_type: 9, ..Default::default() };
    assert_eq!(cluster.call(NodeId(1), 3, &odd).error_code, ErrorCode::INVALID_REQUEST);
}
