//! DescribeQuorum and UnregisterBroker.

use chronik_coord::Action;
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::describe_quorum::{PartitionRequest, TopicRequest};
use chronik_wire::messages::{DescribeQuorumRequest, DescribeQuorumResponse, UnregisterBrokerRequest};
use chronik_wire::types::{NodeId, PartitionKey};

use crate::harness::{Options, TestCluster};

fn describe(cluster: &mut TestCluster, node: i32, topic: &str) -> DescribeQuorumResponse {
    let partitions = vec![PartitionRequest { partition_index: 0 }];
    let topics = vec![TopicRequest { topic_name: topic.to_owned(), partitions }];
    cluster.call(NodeId(node), 2, &DescribeQuorumRequest { topics })
}

#[test]
fn every_node_shows_the_quorum_as_its_leader_knows_it() {
    let mut cluster = TestCluster::start(3, &Options::default());
    cluster.create_topic("t", 1, &[]);
    let leader = cluster.leader(PartitionKey::META).expect("a leader");
    let end = cluster.node(leader).host.borrow().view(PartitionKey::META).expect("hosted").high_watermark;
    for node in 1..=3 {
        let response = describe(&mut cluster, node, "__cluster_metadata");
        assert_eq!((response.error_code, response.nodes.len()), (ErrorCode::NONE, 3));
        let partition = &response.topics[0].partitions[0];
        assert_eq!((partition.error_code, partition.leader_id), (ErrorCode::NONE, leader.0));
        assert!(partition.leader_epoch > 0 && partition.high_watermark >= end.0, "{partition:?}");
        let voters: Vec<i32> = partition.current_voters.iter().map(|voter| voter.replica_id).collect();
        assert_eq!((voters, partition.observers.len()), (vec![1, 2, 3], 0));
        for voter in &partition.current_voters {
            assert!(voter.log_end_offset >= end.0 && voter.last_fetch_timestamp > 0, "{voter:?}");
            assert!(voter.replica_directory_id.0 != 0);
        }
    }
}

#[test]
fn a_member_that_is_cut_off_falls_behind() {
    let mut cluster = TestCluster::start(3, &Options::default());
    let leader = cluster.leader(PartitionKey::META).expect("a leader");
    let lost = *cluster.nodes.keys().find(|node| **node != leader).expect("another");
    cluster.isolate(lost);
    let broker = cluster.node(leader).broker.clone();
    let deadline_ms = cluster.now_ms() + 5_000;
    let action = Action::AllocateProducerIds { broker: leader };
    cluster
        .run(async move { broker.controller_call(action, deadline_ms).await })
        .expect("a majority is left");
    let response = describe(&mut cluster, leader.0, "__cluster_metadata");
    let voters = &response.topics[0].partitions[0].current_voters;
    let of = |node: NodeId| voters.iter().find(|voter| voter.replica_id == node.0).expect("a voter");
    assert!(of(lost).log_end_offset < of(leader).log_end_offset, "{voters:?}");
    assert!(of(lost).last_caught_up_timestamp < of(leader).last_caught_up_timestamp, "{voters:?}");
}

#[test]
fn nothing_else_has_a_quorum_to_show() {
    let mut cluster = TestCluster::start(3, &Options::default());
    cluster.create_topic("t", 1, &[]);
    let response = describe(&mut cluster, 1, "t");
    let partition = &response.topics[0].partitions[0];
    assert_eq!(
        (response.error_code, partition.error_code),
        (ErrorCode::NONE, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)
    );
}

#[test]
fn a_broker_that_is_gone_is_forgotten_once_it_holds_nothing() {
    let mut cluster = TestCluster::start(3, &Options::default());
    cluster.create_topic("t", 1, &[]);
    let mut unregister = |node: i32| {
        let response = cluster.call(NodeId(1), 0, &UnregisterBrokerRequest { broker_id: node });
        response.error_code
    };
    assert_eq!(unregister(3), ErrorCode::INVALID_REQUEST, "it holds a replica");
    assert_eq!(unregister(7), ErrorCode::BROKER_ID_NOT_REGISTERED);
}
