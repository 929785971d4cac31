//! InitProducerId and FindCoordinator.

mod harness;

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::find_coordinator::{FindCoordinatorRequest, GROUP, SHARE, TRANSACTION};
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
fn a_transactional_id_is_sent_to_look_for_its_coordinator_first() {
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

const SHARE_PARTITIONS: [&str; 2] = ["g:AAAAAAAAAAAAAAAAAAAAAQ:0", "h:AAAAAAAAAAAAAAAAAAAAAQ:7"];

#[test]
fn every_version_finds_the_coordinators_of_groups_transactions_and_share_partitions() {
    let mut cluster = TestCluster::start(1, &Options::default());
    for (version, key_type) in
        (0..=6).flat_map(|version| [GROUP, TRANSACTION, SHARE].map(|kind| (version, kind)))
    {
        let several = version >= 4;
        // A share-partition has a name of three parts.
        let keys = if key_type == SHARE { SHARE_PARTITIONS } else { ["g", "h"] }.map(str::to_owned);
        let request = FindCoordinatorRequest {
            key: if several { String::new() } else { keys[0].clone() },
            // Version 0 knows groups only.
            key_type: if version == 0 { GROUP } else { key_type },
            coordinator_keys: if several { keys.to_vec() } else { Vec::new() },
        };
        let response = cluster.call(NodeId(1), version, &request);
        let mut found: Vec<_> =
            response.coordinators.iter().map(|found| (found.error_code, found.node_id)).collect();
        if !several {
            found.push((response.error_code, response.node_id));
        }
        let expected = vec![(ErrorCode::NONE, 1); if several { 2 } else { 1 }];
        assert_eq!(found, expected, "v{version}, kind {key_type}");
    }
    for (key, key_type) in [("g", 9), ("g", SHARE), ("g:t:0", SHARE)] {
        let odd = FindCoordinatorRequest { key: key.to_owned(), key_type, ..Default::default() };
        let refused = cluster.call(NodeId(1), 3, &odd);
        assert_eq!(
            (refused.error_code, refused.node_id),
            (ErrorCode::INVALID_REQUEST, -1),
            "{key} {key_type}"
        );
    }
}
