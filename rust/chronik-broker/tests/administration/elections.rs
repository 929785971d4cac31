//! ElectLeaders.

use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::ElectLeadersRequest;
use chronik_wire::messages::elect_leaders::TopicPartitions;
use chronik_wire::types::{NodeId, PartitionKey};

use crate::harness::{Options, TestCluster};

const PREFERRED: i8 = 0;
const UNCLEAN: i8 = 1;

fn elect(
    cluster: &mut TestCluster,
    node: NodeId,
    kind: i8,
    partitions: Option<&[(&str, i32)]>,
) -> Vec<(String, i32, ErrorCode)> {
    let named = |(topic, partition): &(&str, i32)| TopicPartitions {
        topic: (*topic).to_owned(),
        partitions: vec![*partition],
    };
    let request = ElectLeadersRequest {
        election_type: kind,
        topic_partitions: partitions.map(|partitions| partitions.iter().map(named).collect()),
        timeout_ms: 5_000,
    };
    let response = cluster.call(node, 2, &request);
    assert_eq!(response.error_code, ErrorCode::NONE);
    let results = response.replica_election_results.into_iter().flat_map(|result| {
        let topic = result.topic;
        result.partition_result.into_iter().map(move |one| (topic.clone(), one.partition_id, one.error_code))
    });
    results.collect()
}

fn preferred(cluster: &TestCluster, key: PartitionKey) -> NodeId {
    let image = cluster.node(NodeId(1)).broker.node().image();
    image.assignment(key).expect("there").replicas[0]
}

/// Takes the leadership away from the preferred replica; gives the partition's key and who should lead.
fn displaced(cluster: &mut TestCluster, topic: &str) -> (PartitionKey, NodeId) {
    let key = cluster.key(topic, 0);
    let should = preferred(cluster, key);
    assert_eq!(cluster.leader(key), Some(should));
    let other = *cluster.nodes.keys().find(|node| **node != should).expect("another");
    cluster.node(should).host.borrow_mut().transfer_leader(key, other).expect("it leads");
    cluster.wait_for("another leader", |cluster| cluster.leader(key) == Some(other));
    (key, should)
}

#[test]
fn the_preferred_replica_leads_again_whichever_node_is_asked() {
    for asked in 1..=3 {
        let mut cluster = TestCluster::start(3, &Options::default());
        cluster.create_topic("t", 1, &[]);
        let (key, should) = displaced(&mut cluster, "t");
        let outcome = elect(&mut cluster, NodeId(asked), PREFERRED, Some(&[("t", 0)]));
        assert_eq!(outcome, [("t".to_owned(), 0, ErrorCode::NONE)], "asked {asked}");
        let known = cluster.node(NodeId(asked)).broker.node().view(|view| view.leader(key));
        assert_eq!(known.map(|(leader, _)| leader), Some(should), "asked {asked}");
        let again = elect(&mut cluster, NodeId(asked), PREFERRED, Some(&[("t", 0)]));
        assert_eq!(again, [("t".to_owned(), 0, ErrorCode::ELECTION_NOT_NEEDED)]);
    }
}

#[test]
fn without_a_list_only_partitions_that_needed_it_are_told_of() {
    let mut cluster = TestCluster::start(3, &Options::default());
    cluster.create_topic("quiet", 3, &[]);
    cluster.create_topic("t", 1, &[]);
    assert_eq!(elect(&mut cluster, NodeId(2), PREFERRED, None), []);
    displaced(&mut cluster, "t");
    let outcome = elect(&mut cluster, NodeId(2), PREFERRED, None);
    assert_eq!(outcome, [("t".to_owned(), 0, ErrorCode::NONE)]);
}

#[test]
fn impossible_elections_get_kafkas_codes() {
    let mut cluster = TestCluster::start(3, &Options::default());
    cluster.create_topic("t", 1, &[]);
    let unknown = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
    let outcome = elect(&mut cluster, NodeId(1), PREFERRED, Some(&[("absent", 0), ("t", 4)]));
    assert_eq!(outcome, [("absent".to_owned(), 0, unknown), ("t".to_owned(), 4, unknown)]);
    let outcome = elect(&mut cluster, NodeId(1), UNCLEAN, Some(&[("t", 0)]));
    assert_eq!(outcome, [("t".to_owned(), 0, ErrorCode::ELECTION_NOT_NEEDED)]);
    let request = ElectLeadersRequest { election_type: 7, ..Default::default() };
    assert_eq!(cluster.call(NodeId(1), 2, &request).error_code, ErrorCode::INVALID_REQUEST);
    let (key, should) = displaced(&mut cluster, "t");
    let leader = cluster.leader(key).expect("a leader");
    cluster.kill(should);
    cluster.wait_for("its death to be known", |cluster| {
        !cluster.node(leader).broker.node().view(|view| view.is_alive(should))
    });
    let outcome = elect(&mut cluster, leader, PREFERRED, Some(&[("t", 0)]));
    assert_eq!(outcome, [("t".to_owned(), 0, ErrorCode::PREFERRED_LEADER_NOT_AVAILABLE)]);
}
