//! A node whose disk was wiped follows without a vote; a cluster is founded once, by all of its nodes.

mod harness;

use chronik_wire::error_code::ErrorCode;
use chronik_wire::types::{NodeId, PartitionKey};
use harness::client::{PRODUCE_VERSION, one, produce_request, values};
use harness::{Options, TestCluster};

/// Longer than any election.
const LONG_MS: u64 = 3_000;

/// A cluster whose topic `t` is led by node 2, with one record on all nodes.
fn cluster() -> TestCluster {
    let mut cluster = TestCluster::start(3, &Options::default());
    cluster.create_topic("first", 1, &[]);
    cluster.create_topic("t", 1, &[]);
    assert_eq!(cluster.leader(cluster.key("t", 0)), Some(NodeId(2)));
    assert_eq!(cluster.send("t", "0"), 0);
    cluster
}

fn wipe_and_restart(cluster: &mut TestCluster, node: NodeId) {
    cluster.kill(node);
    cluster.wipe(node);
    cluster.restart(node);
}

fn catches_up(cluster: &mut TestCluster, node: NodeId, next_offset: i64) {
    cluster.wait_for("the wiped node to host the topic", |cluster| {
        cluster.node(node).broker.node().image().topic("t").is_some()
    });
    cluster.pass_ms(500);
    let served = cluster.node(node).served_as_follower();
    let data = cluster.fetch(node, "t", 0, 1_000);
    assert_eq!((data.error_code, data.high_watermark), (ErrorCode::NONE, next_offset));
    let expected: Vec<String> = (0..next_offset).map(|value| value.to_string()).collect();
    assert_eq!(values(&data), expected);
    assert_eq!(cluster.node(node).served_as_follower(), served + 1, "somebody else served it");
}

#[test]
fn a_wiped_node_catches_up_and_serves_reads_without_a_vote() {
    let mut cluster = cluster();
    let wiped = NodeId(3);
    wipe_and_restart(&mut cluster, wiped);
    assert_eq!(cluster.send("t", "1"), 1);
    catches_up(&mut cluster, wiped, 2);
    assert!(!cluster.node(wiped).broker.node().is_member());
    assert!(cluster.node(NodeId(1)).broker.node().is_member());
    let image = cluster.node(NodeId(1)).broker.node().image();
    let known: Vec<(NodeId, bool)> = image.brokers.values().map(|broker| (broker.id, broker.votes)).collect();
    assert_eq!(known, [(NodeId(1), true), (NodeId(2), true), (NodeId(3), false)]);
    // It cannot lead: partitions begin elsewhere, or creating them would wait for a leader in vain.
    cluster.create_topic("new", 6, &[]);
    let leaders = (0..6).map(|partition| cluster.leader(cluster.key("new", partition)));
    assert!(leaders.into_iter().all(|leader| leader.is_some_and(|leader| leader != wiped)));
    // It stays so over its restarts, and is fed again each time.
    cluster.kill(wiped);
    assert_eq!(cluster.send("t", "2"), 2);
    cluster.restart(wiped);
    catches_up(&mut cluster, wiped, 3);
    assert!(!cluster.node(wiped).broker.node().is_member());
}

#[test]
fn what_only_a_dead_node_holds_is_not_elected_away_by_a_wiped_one() {
    let mut cluster = cluster();
    let (leader, behind, wiped) = (NodeId(2), NodeId(1), NodeId(3));
    let key = cluster.key("t", 0);
    // Node 1 hears nothing of it: nodes 2 and 3 acknowledge.
    cluster.cut(leader, behind);
    assert_eq!(cluster.send("t", "1"), 1);
    cluster.kill(wiped);
    cluster.wipe(wiped);
    cluster.kill(leader);
    cluster.recover();
    cluster.restart(wiped);
    cluster.pass_ms(LONG_MS);
    assert_eq!(cluster.leader(key), None, "a node without the record leads");
    assert_eq!(cluster.leader(PartitionKey::META), None, "one member of three decides about the metadata");
    assert!(cluster.node(wiped).votes_refused() > 0, "nobody asked for a vote");
    let refused = cluster.produce(behind, "t", one("lost"));
    assert_ne!(refused.error_code, ErrorCode::NONE);

    cluster.restart(leader);
    cluster.wait_for("a leader", |cluster| cluster.leader(key).is_some());
    assert_eq!(cluster.leader(key), Some(leader), "only it may lead");
    assert_eq!(cluster.send("t", "2"), 2);
    catches_up(&mut cluster, wiped, 3);
    // The others go on without each other's help as before, as long as two members run.
    let data = cluster.fetch(behind, "t", 0, 1_000);
    assert_eq!((data.error_code, data.high_watermark), (ErrorCode::NONE, 3));
}

#[test]
fn every_node_in_turn_may_lose_its_disk_the_founder_included() {
    for wiped in [1, 2, 3].map(NodeId) {
        let mut cluster = cluster();
        let key = cluster.key("t", 0);
        wipe_and_restart(&mut cluster, wiped);
        let members: Vec<NodeId> = [1, 2, 3].map(NodeId).into_iter().filter(|node| *node != wiped).collect();
        cluster.wait_for("a member to lead", |cluster| {
            let view = cluster.node(members[0]).broker.node().view(|view| view.leader(key));
            view.is_some_and(|(leader, _)| members.contains(&leader))
        });
        let (leader, _) =
            cluster.node(members[0]).broker.node().view(|view| view.leader(key)).expect("a leader");
        let produced = cluster.produce(leader, "t", one("1"));
        assert_eq!((produced.error_code, produced.base_offset), (ErrorCode::NONE, 1));
        catches_up(&mut cluster, wiped, 2);
        assert!(!cluster.node(wiped).broker.node().is_member(), "node {wiped}");
    }
}

#[test]
fn a_wiped_node_makes_no_quorum() {
    let mut cluster = cluster();
    let (leader, wiped) = (NodeId(2), NodeId(3));
    let key = cluster.key("t", 0);
    wipe_and_restart(&mut cluster, wiped);
    catches_up(&mut cluster, wiped, 1);
    cluster.kill(NodeId(1));
    let request = produce_request("t", 0, one("1"), -1, 1_000);
    let answer = cluster.call(leader, PRODUCE_VERSION, &request);
    let error = answer.responses[0].partition_responses[0].error_code;
    assert_ne!(error, ErrorCode::NONE, "the leader and a wiped node acknowledged");
    cluster.restart(NodeId(1));
    cluster.wait_for("a leader", |cluster| {
        cluster.leader(key).is_some() && cluster.node(NodeId(1)).broker.node().image().topic("t").is_some()
    });
    cluster.send("t", "2");
}

#[test]
fn two_of_three_new_nodes_found_nothing_and_the_third_completes_them() {
    for late in [1, 2, 3].map(NodeId) {
        let mut cluster = TestCluster::boot(3, &Options::default(), &[late]);
        cluster.pass_ms(LONG_MS);
        assert!(cluster.nodes.values().all(|node| !node.broker.node().is_member()), "without node {late}");
        cluster.restart(late);
        cluster.wait_for("every node to know all nodes", |cluster| {
            cluster.nodes.values().all(|node| node.broker.node().image().brokers.len() == 3)
        });
        assert!(cluster.nodes.values().all(|node| node.broker.node().is_member()));
    }
}

#[test]
fn nodes_that_die_during_the_founding_complete_it_when_they_return() {
    // Every instant of the first moments: whoever dies then comes back with what its disk holds.
    for passes_ms in (0..60).step_by(5) {
        for victim in [1, 2, 3].map(NodeId) {
            let mut cluster = TestCluster::boot(3, &Options::default(), &[]);
            cluster.hold(NodeId(1), NodeId(3));
            cluster.pass_ms(passes_ms);
            cluster.kill(victim);
            cluster.pass_ms(200);
            cluster.restart(victim);
            cluster.release(NodeId(1), NodeId(3));
            cluster.wait_for("every node to know all nodes", |cluster| {
                cluster.nodes.values().all(|node| node.broker.node().image().brokers.len() == 3)
            });
            assert!(cluster.nodes.values().all(|node| node.broker.node().is_member()));
        }
    }
}

/// With its bug planted each of these scenarios fails.
#[cfg(feature = "mutants")]
#[test]
fn the_scenarios_above_kill_their_bugs() {
    use chronik_mutants::Mutant;
    use harness::killed;

    killed(Mutant::WipedDiskVotes, what_only_a_dead_node_holds_is_not_elected_away_by_a_wiped_one);
    killed(Mutant::WipedDiskVotes, a_wiped_node_makes_no_quorum);
}
