//! Replicas that move between the nodes of a whole cluster, nodes that come and go, disks that are admitted again.

mod harness;

use chronik_broker::NodeState;
use chronik_coord::{Action, Assignment, DrainBroker, ReplyBody};
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::alter_partition_reassignments::{
    AlterPartitionReassignmentsRequest, ReassignablePartition, ReassignableTopic,
};
use chronik_wire::messages::list_partition_reassignments::{
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsTopics,
};
use chronik_wire::types::{NodeId, PartitionKey};
use harness::client::values;
use harness::{Options, TestCluster};

const FOUR: NodeId = NodeId(4);

fn image(cluster: &TestCluster, node: i32) -> std::sync::Arc<chronik_coord::MetaImage> {
    cluster.node(NodeId(node)).broker.node().image()
}

fn assignment(cluster: &TestCluster) -> Assignment {
    image(cluster, 2).topic("t").expect("it exists").partitions[0].clone()
}

/// Four nodes, the fourth of which joined later, and topic "t" with some records on the first three.
fn four() -> TestCluster {
    let mut cluster = TestCluster::start(3, &Options::default());
    cluster.create_topic("t", 1, &[]);
    for value in 0..5 {
        assert_eq!(cluster.send("t", &value.to_string()), value);
    }
    cluster.add_node(FOUR);
    cluster
}

fn alter(cluster: &mut TestCluster, topic: &str, replicas: Option<&[i32]>) -> ErrorCode {
    let partition = ReassignablePartition { partition_index: 0, replicas: replicas.map(<[i32]>::to_vec) };
    let topic = ReassignableTopic { name: topic.to_owned(), partitions: vec![partition] };
    let request = AlterPartitionReassignmentsRequest {
        topics: vec![topic],
        ..AlterPartitionReassignmentsRequest::default()
    };
    let response = cluster.call(NodeId(2), 1, &request);
    assert_eq!(response.error_code, ErrorCode::NONE);
    response.responses[0].partitions[0].error_code
}

/// Replicas, adding and removing of what is being moved, as node `at` says.
fn moving(cluster: &mut TestCluster, at: i32) -> Vec<(Vec<i32>, Vec<i32>, Vec<i32>)> {
    let request = ListPartitionReassignmentsRequest::default();
    let response = cluster.call(NodeId(at), 0, &request);
    assert_eq!(response.error_code, ErrorCode::NONE);
    let partitions = response.topics.into_iter().flat_map(|topic| topic.partitions);
    partitions.map(|p| (p.replicas, p.adding_replicas, p.removing_replicas)).collect()
}

fn arrives(cluster: &mut TestCluster) {
    cluster.wait_for("the end of the reassignment", |cluster| {
        // A node that is emptied hears of nothing any more once it is.
        let newest = image(cluster, 2);
        let nodes = cluster.nodes.values().filter(|node| !newest.is_draining(node.id));
        nodes
            .map(|node| node.broker.node().image())
            .all(|image| image.topic("t").is_some_and(|topic| !topic.partitions[0].is_moving()))
    });
}

fn hosts(cluster: &TestCluster, node: i32, key: PartitionKey) -> bool {
    cluster.node(NodeId(node)).host.borrow().replica(key).is_some()
}

/// The voters of the metadata group as its leader has applied them.
fn quorum(cluster: &TestCluster) -> Vec<i32> {
    let leader = cluster
        .nodes
        .values()
        .find(|node| node.host.borrow().view(PartitionKey::META).is_ok_and(|view| view.confirmed));
    let Some(leader) = leader else { return Vec::new() };
    let host = leader.host.borrow();
    let voters = host.replica(PartitionKey::META).expect("everybody has it").membership().voters;
    voters.iter().map(|voter| voter.node.0).collect()
}

fn has_vote(cluster: &TestCluster, node: i32) -> bool {
    NodeState::has_vote(cluster.node(NodeId(node)).broker.node())
}

#[test]
fn a_partition_moves_to_a_node_that_joined_and_clients_see_how() {
    let mut cluster = four();
    let key = cluster.key("t", 0);
    assert_eq!(alter(&mut cluster, "t", Some(&[4, 1, 2])), ErrorCode::NONE);
    let seen = moving(&mut cluster, 1);
    if !seen.is_empty() {
        assert_eq!(seen, [(vec![4, 1, 2, 3], vec![4], vec![3])]);
    }
    arrives(&mut cluster);
    assert!(moving(&mut cluster, 3).is_empty());
    assert_eq!(assignment(&cluster).replicas, [4, 1, 2].map(NodeId));
    cluster.wait_for("node 3 to let go of it", |cluster| !hosts(cluster, 3, key));
    let left = cluster.node(NodeId(3)).host.borrow().directories().expect("the disk works");
    assert!(left.iter().all(|name| !name.starts_with(&key.topic.to_string())), "{left:?}");
    assert_eq!(cluster.send("t", "5"), 5);
    let data = cluster.fetch(FOUR, "t", 0, 1_000);
    assert_eq!(data.error_code, ErrorCode::NONE);
    assert_eq!(values(&data), ["0", "1", "2", "3", "4", "5"]);
    // Any one of the three may die now.
    cluster.kill(NodeId(1));
    cluster.wait_for("a leader without node 1", |cluster| {
        let view = |node: i32| cluster.node(NodeId(node)).broker.node().view(|view| view.leader(key));
        view(2).is_some_and(|(leader, _)| leader != NodeId(1))
    });
    // And node 4 remembers who it is.
    cluster.kill(FOUR);
    cluster.restart(FOUR);
    cluster.wait_for("node 4 to host it again", |cluster| hosts(cluster, 4, key));
}

#[test]
fn wrong_wishes_get_kafkas_codes_and_only_what_is_asked_for_is_listed() {
    let mut cluster = four();
    assert_eq!(alter(&mut cluster, "x", Some(&[1])), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    assert_eq!(alter(&mut cluster, "t", Some(&[1, 9])), ErrorCode::INVALID_REPLICA_ASSIGNMENT);
    assert_eq!(alter(&mut cluster, "t", None), ErrorCode::NO_REASSIGNMENT_IN_PROGRESS);
    // Node 4 hears nothing, so the move does not end.
    cluster.isolate(FOUR);
    assert_eq!(alter(&mut cluster, "t", Some(&[1, 2, 4])), ErrorCode::NONE);
    cluster.pass_ms(1_000);
    assert_eq!(moving(&mut cluster, 1), [(vec![1, 2, 4, 3], vec![4], vec![3])]);
    let asked = |index| ListPartitionReassignmentsRequest {
        topics: Some(vec![ListPartitionReassignmentsTopics {
            name: "t".to_owned(),
            partition_indexes: vec![index],
        }]),
        ..ListPartitionReassignmentsRequest::default()
    };
    assert_eq!(cluster.call(NodeId(1), 0, &asked(0)).topics.len(), 1);
    assert!(cluster.call(NodeId(1), 0, &asked(1)).topics.is_empty());
    assert_eq!(alter(&mut cluster, "t", None), ErrorCode::NONE);
    // Node 4 may have joined, for all that the controller knows; it goes when the group says that it is without it.
    arrives(&mut cluster);
    assert!(moving(&mut cluster, 1).is_empty());
    assert_eq!(assignment(&cluster).replicas, [1, 2, 3].map(NodeId));
    cluster.recover();
    assert_eq!(cluster.send("t", "5"), 5);
}

#[test]
fn a_node_that_joins_votes_in_the_metadata_group_and_one_that_is_emptied_leaves_it() {
    let mut cluster = four();
    let key = cluster.key("t", 0);
    cluster.wait_for("four voters", |cluster| quorum(cluster) == [1, 2, 3, 4]);
    assert!(has_vote(&cluster, 4));
    let three = NodeId(3);
    let drain = Action::DrainBroker(DrainBroker { id: three, live: [1, 2, 3, 4].map(NodeId).to_vec() });
    assert_eq!(cluster.control(NodeId(1), drain), ReplyBody::Done);
    arrives(&mut cluster);
    assert!(hosts(&cluster, 4, key));
    cluster.wait_for("three voters", |cluster| quorum(cluster) == [1, 2, 4]);
    cluster.wait_for("node 3 to be empty", |cluster| image(cluster, 1).partitions_of(three).count() == 0);
    assert_eq!(cluster.control(NodeId(1), Action::UnregisterBroker { id: three }), ReplyBody::Done);
    cluster.kill(three);
    assert_eq!(cluster.send("t", "5"), 5);
    // The node that joined counts: with it another founder may die.
    cluster.kill(NodeId(1));
    cluster.wait_for("a controller", |cluster| {
        cluster.nodes.values().all(|node| {
            node.broker
                .node()
                .view(|view| view.leader(PartitionKey::META))
                .is_some_and(|(leader, _)| leader != NodeId(1))
        })
    });
    cluster.wait_for("a leader", |cluster| {
        cluster
            .node(NodeId(2))
            .broker
            .node()
            .view(|view| view.leader(key))
            .is_some_and(|(leader, _)| leader != NodeId(1))
    });
}

#[test]
fn a_lost_disk_is_admitted_again_everywhere_and_then_another_node_may_die() {
    let mut cluster = TestCluster::start(3, &Options::default());
    cluster.create_topic("t", 1, &[]);
    for value in 0..5 {
        assert_eq!(cluster.send("t", &value.to_string()), value);
    }
    let key = cluster.key("t", 0);
    let three = NodeId(3);
    cluster.kill(three);
    cluster.wipe(three);
    cluster.restart(three);
    cluster.wait_for("the wiped node to register", |cluster| {
        image(cluster, 1).brokers.get(&three).is_some_and(|broker| !broker.votes)
    });
    assert!(!has_vote(&cluster, 3));
    assert_eq!(cluster.control(NodeId(1), Action::ReadmitBroker { id: three }), ReplyBody::Done);
    cluster.wait_for("it is a voter of the partition again", |cluster| {
        let leader = cluster.leader(key).expect("a leader");
        let host = cluster.node(leader).host.borrow();
        host.replica(key).is_some_and(|replica| {
            let voters = replica.membership().voters;
            voters.iter().any(|voter| voter.node == three && voter.generation == 1)
        })
    });
    cluster.wait_for("three voters of the metadata", |cluster| quorum(cluster) == [1, 2, 3]);
    cluster.wait_for("it knows", |cluster| has_vote(cluster, 3));
    let leader = cluster.leader(key).expect("a leader");
    let dead = if leader == NodeId(1) { NodeId(2) } else { leader };
    cluster.kill(dead);
    let asked = if dead == NodeId(1) { NodeId(2) } else { NodeId(1) };
    cluster.wait_for("a leader without the dead node", |cluster| {
        cluster
            .node(asked)
            .broker
            .node()
            .view(|view| view.leader(key))
            .is_some_and(|(leader, _)| leader != dead)
    });
    cluster.wait_for("a controller without the dead node", |cluster| {
        cluster
            .node(asked)
            .broker
            .node()
            .view(|view| view.leader(PartitionKey::META))
            .is_some_and(|(leader, _)| leader != dead)
    });
    assert_eq!(cluster.send("t", "5"), 5);
    cluster.pass_ms(500);
    let data = cluster.fetch(three, "t", 0, 1_000);
    assert_eq!(values(&data), ["0", "1", "2", "3", "4", "5"]);
    // It stays a voter over its restarts, with the metadata it has.
    cluster.kill(three);
    cluster.restart(three);
    cluster.wait_for("it is back", |cluster| hosts(cluster, 3, key));
    cluster.wait_for("a leader again", |cluster| {
        cluster.node(asked).broker.node().view(|view| view.leader(key)).is_some()
    });
    assert_eq!(cluster.send("t", "6"), 6);
}

#[test]
fn a_node_that_was_down_when_its_replica_moved_away_cleans_up() {
    let mut cluster = four();
    let key = cluster.key("t", 0);
    let three = NodeId(3);
    cluster.kill(three);
    cluster.pass_ms(500);
    assert_eq!(alter(&mut cluster, "t", Some(&[1, 2, 4])), ErrorCode::NONE);
    cluster.wait_for("the end of the reassignment", |cluster| !assignment(cluster).is_moving());
    cluster.restart(three);
    cluster.wait_for("node 3 to let go of it", |cluster| {
        let left = cluster.node(three).host.borrow().directories().expect("the disk works");
        !hosts(cluster, 3, key) && left.iter().all(|name| !name.starts_with(&key.topic.to_string()))
    });
    // It comes back as another member.
    assert_eq!(alter(&mut cluster, "t", Some(&[1, 3, 4])), ErrorCode::NONE);
    arrives(&mut cluster);
    assert_eq!(cluster.send("t", "5"), 5);
    cluster.pass_ms(500);
    assert_eq!(values(&cluster.fetch(three, "t", 0, 1_000)).len(), 6);
}
