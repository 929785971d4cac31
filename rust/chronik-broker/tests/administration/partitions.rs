//! CreatePartitions.

use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::CreatePartitionsRequest;
use chronik_wire::messages::create_partitions::{CreatePartitionsAssignment, CreatePartitionsTopic};
use chronik_wire::types::NodeId;

use crate::harness::{Options, TestCluster};

/// A topic, the number of partitions it shall have, and the replicas of the new ones.
type Wish<'a> = (&'a str, i32, Option<&'a [&'a [i32]]>);

fn grow(
    cluster: &mut TestCluster,
    node: i32,
    version: i16,
    (name, count, by_hand): Wish<'_>,
    validate_only: bool,
) -> ErrorCode {
    let assigned = |nodes: &&[i32]| CreatePartitionsAssignment { broker_ids: nodes.to_vec() };
    let topic = CreatePartitionsTopic {
        name: name.to_owned(),
        count,
        assignments: by_hand.map(|assignments| assignments.iter().map(assigned).collect()),
    };
    let request = CreatePartitionsRequest { topics: vec![topic], timeout_ms: 5_000, validate_only };
    cluster.call(NodeId(node), version, &request).results[0].error_code
}

#[test]
fn a_grown_topic_has_leaders_everywhere_and_takes_records() {
    let mut cluster = TestCluster::start(3, &Options::default());
    cluster.create_topic("t", 1, &[]);
    for (version, count) in [(0, 2), (1, 3), (2, 4), (3, 5)] {
        assert_eq!(grow(&mut cluster, 2, version, ("t", count, None), false), ErrorCode::NONE);
        let newest = cluster.key("t", count - 1);
        for (node, state) in &cluster.nodes {
            let leader = state.broker.node().view(|view| view.leader(newest));
            assert!(leader.is_some(), "node {node} knows the leader when the answer comes");
        }
    }
    let newest = cluster.key("t", 4);
    let leader = cluster.leader(newest).expect("a leader");
    let request =
        crate::harness::client::produce_request("t", 4, crate::harness::client::one("x"), -1, 1_000);
    let response = cluster.call(leader, 9, &request);
    assert_eq!(response.responses[0].partition_responses[0].error_code, ErrorCode::NONE);
}

#[test]
fn replicas_chosen_by_hand_are_used() {
    let mut cluster = TestCluster::start(3, &Options::default());
    cluster.create_topic("t", 1, &[]);
    assert_eq!(grow(&mut cluster, 1, 3, ("t", 2, Some(&[&[3, 1, 2]])), false), ErrorCode::NONE);
    let key = cluster.key("t", 1);
    assert_eq!(cluster.leader(key), Some(NodeId(3)), "the first one leads");
}

#[test]
fn a_check_foretells_and_changes_nothing() {
    let mut cluster = TestCluster::start(3, &Options::default());
    cluster.create_topic("t", 2, &[]);
    assert_eq!(grow(&mut cluster, 2, 3, ("t", 3, None), true), ErrorCode::NONE);
    assert_eq!(grow(&mut cluster, 2, 3, ("t", 2, None), true), ErrorCode::INVALID_PARTITIONS);
    let image = cluster.node(NodeId(2)).broker.node().image();
    assert_eq!(image.topic("t").expect("there").partitions.len(), 2);
}

#[test]
fn bad_growth_gets_kafkas_codes() {
    let mut cluster = TestCluster::start(3, &Options::default());
    cluster.create_topic("t", 2, &[]);
    let cases: [(Wish<'_>, ErrorCode); 5] = [
        (("absent", 3, None), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
        (("t", 1, None), ErrorCode::INVALID_PARTITIONS),
        (("t", 4, Some(&[&[1, 2, 3]])), ErrorCode::INVALID_REPLICA_ASSIGNMENT),
        (("t", 3, Some(&[&[1, 2, 9]])), ErrorCode::INVALID_REPLICA_ASSIGNMENT),
        (("__consumer_offsets", 99, None), ErrorCode::INVALID_TOPIC_EXCEPTION),
    ];
    for (wish, expected) in cases {
        assert_eq!(grow(&mut cluster, 2, 3, wish, false), expected, "{wish:?}");
    }
}
