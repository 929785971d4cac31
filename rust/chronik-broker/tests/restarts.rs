//! Nodes that come back: what belongs to an earlier life must not reach into the present one.

mod harness;

use chronik_broker::PeerMessage;
use chronik_log::{Disk, DiskFault, FaultPlan, FileScope, MemDisk};
use chronik_replica::ReplicaMessage;
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::delete_topics::{DeleteTopicState, DeleteTopicsRequest};
use chronik_wire::types::{NodeId, PartitionIndex, PartitionKey, TopicId};
use harness::client::{FETCH_VERSION, fetch_request, one};
use harness::{Options, TestCluster};

/// A cluster with topic `t` led by node 2, so that neither the controller nor node 3 leads it.
fn cluster() -> TestCluster {
    let mut cluster = TestCluster::start(3, &Options::default());
    cluster.create_topic("first", 1, &[]);
    cluster.create_topic("t", 1, &[]);
    assert_eq!(cluster.leader(cluster.key("t", 0)), Some(NodeId(2)));
    cluster
}

#[test]
fn an_answer_to_a_barrier_of_an_earlier_life_opens_no_gate() {
    let mut cluster = cluster();
    let (leader, follower) = (NodeId(2), NodeId(3));
    let key = cluster.key("t", 0);
    cluster.send("t", "old");
    cluster.pass_ms(100);
    let is_answer = move |message: &PeerMessage| matches!(message, PeerMessage::Replica(of, ReplicaMessage::ReadBarrierReply { .. }) if *of == key);
    // A heartbeat is under way, and behind it the answer to the first barrier of the follower's first life.
    cluster.hold(leader, follower);
    cluster.wait_for("a heartbeat", |cluster| {
        cluster.held(leader, follower, |message| matches!(message, PeerMessage::Replica(of, _) if *of == key))
            > 0
    });
    let lost = cluster.ask(follower, false, FETCH_VERSION, &fetch_request("t", 1, 0));
    let mut lost = [Box::pin(lost)];
    let mut poll = move || {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        lost.iter_mut().for_each(|fetch| drop(std::future::Future::poll(fetch.as_mut(), &mut context)));
    };
    cluster.wait_for("the answer to be under way", |cluster| {
        poll();
        cluster.held(leader, follower, is_answer) > 0
    });
    cluster.kill(follower);
    cluster.restart(follower);
    cluster.wait_for("the replica to be there again", |cluster| {
        cluster.node(follower).host.borrow().view(key).is_ok()
    });
    let offset = cluster.send("t", "new");
    // The heartbeat names the leader; the barrier of the second life leaves; then the old answer arrives.
    cluster.release_before(leader, follower, is_answer);
    let fetch = cluster.ask(follower, false, FETCH_VERSION, &fetch_request("t", offset, 0));
    let mut fetch = Box::pin(fetch);
    let rounds = cluster.node(follower).gate_rounds();
    cluster.wait_for("the barrier of the second life", |cluster| {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(std::future::Future::poll(fetch.as_mut(), &mut context).is_pending());
        cluster.node(follower).gate_rounds() > rounds
    });
    let mut seen = 0;
    cluster.release_before(leader, follower, |_| {
        seen += 1;
        seen > 1
    });
    let response = cluster.run(fetch).expect("open").expect("answered");
    let data = &response.responses[0].partitions[0];
    assert_ne!(data.error_code, ErrorCode::NONE, "a stale, empty success: {data:?}");
}

fn directory(key: PartitionKey) -> String {
    format!("{}-{}", key.topic, key.partition)
}

fn directories(disk: &impl Disk) -> Vec<String> {
    disk.list_dirs().expect("the disk can be read")
}

/// Kills node 3 and leaves it with data of a topic that the metadata does not know: deleted so long ago that the node
/// gets a snapshot instead of the deletion. Returns the directory.
fn kill_and_leave_a_stray(cluster: &mut TestCluster) -> String {
    cluster.send("t", "v");
    cluster.pass_ms(100);
    cluster.kill(NodeId(3));
    let stray = directory(PartitionKey::new(TopicId(0xdead), PartitionIndex(0)));
    let disk = cluster.disk_of_dead(NodeId(3));
    for name in [stray.as_str(), "lost+found"] {
        disk.create_dir(name).and_then(|()| disk.sync_dir(name)).expect("a directory");
    }
    stray
}

#[test]
fn data_of_a_topic_deleted_while_a_node_was_down_goes_once_the_metadata_is_known() {
    let mut cluster = cluster();
    let node = NodeId(3);
    let stray = kill_and_leave_a_stray(&mut cluster);
    cluster.isolate(node);
    cluster.restart(node);
    cluster.pass_ms(2_000);
    let there = directories(&cluster.node(node).disk);
    assert!(there.contains(&stray), "alone the node cannot know: {there:?}");
    cluster.recover();
    cluster.wait_for("the deleted topic's data to go", |cluster| {
        !directories(&cluster.node(node).disk).contains(&stray)
    });
    cluster.pass_ms(500);
    let kept = ["first", "t"].map(|topic| directory(cluster.key(topic, 0)));
    let there = directories(&cluster.node(node).disk);
    for kept in kept.into_iter().chain([directory(PartitionKey::META), "lost+found".to_owned()]) {
        assert!(there.contains(&kept), "{kept} is missing from {there:?}");
    }
    let offset = cluster.send("t", "w");
    assert_eq!(cluster.fetch(node, "t", offset, 500).high_watermark, offset + 1);
}

#[test]
fn a_node_that_lost_its_metadata_deletes_nothing() {
    let mut cluster = cluster();
    let node = NodeId(3);
    let stray = kill_and_leave_a_stray(&mut cluster);
    cluster.disk_of_dead(node).remove_dir(&directory(PartitionKey::META)).expect("removed");
    cluster.restart(node);
    cluster.pass_ms(2_000);
    let there = directories(&cluster.node(node).disk);
    assert!(there.contains(&stray) && there.contains(&directory(PartitionKey::META)), "{there:?}");
}

/// Kills node 3, lets `break_disk` at the directory of topic `t`, and starts the node again.
fn restart_with(break_disk: impl FnOnce(&MemDisk, FileScope)) -> TestCluster {
    let mut cluster = kill_and_break(break_disk);
    cluster.restart(NodeId(3));
    cluster
}

fn kill_and_break(break_disk: impl FnOnce(&MemDisk, FileScope)) -> TestCluster {
    let mut cluster = cluster();
    cluster.send("t", "v");
    cluster.pass_ms(500);
    cluster.kill(NodeId(3));
    let dir = directory(cluster.key("t", 0));
    break_disk(cluster.disk_of_dead(NodeId(3)), FileScope::everywhere().in_dir(&dir));
    cluster
}

/// A bit of what the replica of `t` at node 3 has written is not as it was.
fn damage(disk: &MemDisk, scope: FileScope) {
    assert!(disk.flip_random_bit(1, &scope.ending(".log")).is_some(), "there is a segment to damage");
}

#[test]
fn a_node_with_damaged_data_refuses_that_partition_and_serves_the_others() {
    let mut cluster = kill_and_break(damage);
    let node = NodeId(3);
    // Alone it can do nothing about it.
    cluster.isolate(node);
    cluster.restart(node);
    cluster.pass_ms(3_000);
    let refused = cluster.fetch(node, "t", 0, 100);
    assert_eq!(refused.error_code, ErrorCode::KAFKA_STORAGE_ERROR, "{refused:?}");
    assert_eq!(cluster.list_offset(node, "t", -1).0, ErrorCode::KAFKA_STORAGE_ERROR);
    let offset = cluster.send("t", "w");
    assert_eq!(cluster.fetch(NodeId(1), "t", offset, 500).high_watermark, offset + 1, "two others go on");
    cluster.recover();
    let offset = cluster.send("first", "x");
    assert_eq!(cluster.fetch(node, "first", offset, 500).high_watermark, offset + 1);
}

#[test]
fn a_damaged_replica_is_replaced_by_a_new_one_that_votes() {
    let mut cluster = restart_with(damage);
    let (node, key) = (NodeId(3), cluster.key("t", 0));
    let offset = cluster.send("t", "w");
    cluster.wait_for("the new replica to be in sync", |cluster| {
        let leadership = cluster.node(NodeId(1)).broker.node().view(|view| view.leadership(key).cloned());
        leadership.is_some_and(|known| known.isr.len() == 3 && known.leader.is_some())
            && cluster.node(node).host.borrow().replica(key).is_some()
    });
    assert_eq!(cluster.node(node).counted()["replicas_replaced"], 1);
    assert_eq!(cluster.fetch(node, "t", offset, 500).high_watermark, offset + 1);
    // It makes a majority with one other, and has everything: the records from before the damage as well.
    cluster.kill(NodeId(1));
    cluster.wait_for("another leader", |cluster| {
        let leader = cluster.node(NodeId(2)).broker.node().view(|view| view.leader(key));
        leader.is_some_and(|(leader, _)| leader != NodeId(1))
    });
    let (leader, _) = cluster.node(NodeId(2)).broker.node().view(|view| view.leader(key)).expect("a leader");
    let produced = cluster.produce(leader, "t", one("x"));
    assert_eq!((produced.error_code, produced.base_offset), (ErrorCode::NONE, offset + 1));
    let fetched = cluster.fetch(node, "t", 0, 500);
    assert_eq!(fetched.high_watermark, offset + 2);
    assert!(!fetched.records.is_empty());
}

#[test]
fn a_damaged_replica_that_the_others_cannot_do_without_is_left_as_it_is() {
    let mut cluster = kill_and_break(damage);
    let node = NodeId(3);
    // Of the two that are well one is gone: nobody leads the partition.
    cluster.kill(NodeId(1));
    cluster.restart(node);
    let before = directories(&cluster.node(node).disk);
    cluster.pass_ms(10_000);
    assert_eq!(cluster.node(node).counted()["replicas_replaced"], 0);
    assert_eq!(directories(&cluster.node(node).disk), before, "what is left of the data stays");
    cluster.restart(NodeId(1));
    cluster.wait_for("the damaged replica to be replaced", |cluster| {
        cluster.node(node).counted()["replicas_replaced"] == 1
    });
}

#[test]
fn a_replica_that_found_no_descriptor_is_opened_once_there_is_one() {
    let mut cluster = restart_with(|disk, scope| {
        disk.inject(FaultPlan { fault: DiskFault::Open, scope, skip: 0, times: u32::MAX });
    });
    let node = NodeId(3);
    cluster.pass_ms(3_000);
    let refused = cluster.fetch(node, "t", 0, 100);
    assert_eq!(refused.error_code, ErrorCode::KAFKA_STORAGE_ERROR, "{refused:?}");
    let tried = cluster.node(node).disk.faults_played(DiskFault::Open);
    cluster.pass_ms(3_000);
    let tries = cluster.node(node).disk.faults_played(DiskFault::Open) - tried;
    assert!((2..=4).contains(&tries), "{tries} tries in three seconds");
    cluster.node(node).disk.clear_faults();
    let key = cluster.key("t", 0);
    cluster.wait_for("the replica", |cluster| cluster.node(node).host.borrow().view(key).is_ok());
    let offset = cluster.send("t", "w");
    assert_eq!(cluster.fetch(node, "t", offset, 500).high_watermark, offset + 1);
}

/// With its bug planted each of these scenarios fails.
#[cfg(feature = "mutants")]
#[test]
fn the_scenarios_above_kill_their_bugs() {
    use chronik_mutants::Mutant;
    use harness::killed;

    killed(Mutant::RoundIdsRepeat, an_answer_to_a_barrier_of_an_earlier_life_opens_no_gate);
}

/// Node 3 removed the data of `t` as it was told, and its power went before it had written down by how much it was told
/// more: it starts with an image that still has the topic. Returns the partition.
fn restart_in_the_past(cluster: &mut TestCluster) -> PartitionKey {
    let (node, key) = (NodeId(3), cluster.key("t", 0));
    cluster.pass_ms(100);
    cluster.kill(node);
    cluster.disk_of_dead(node).remove_dir(&directory(key)).expect("removed");
    cluster.isolate(node);
    cluster.restart(node);
    cluster.pass_ms(2_000);
    assert!(cluster.node(node).broker.node().image().topic_by_id(key.topic).is_some(), "it sees the past");
    assert!(cluster.node(node).host.borrow().replica(key).is_none(), "and creates nothing in it");
    assert!(!directories(&cluster.node(node).disk).contains(&directory(key)));
    key
}

#[test]
fn a_node_that_starts_in_the_past_does_not_revive_a_deleted_topic() {
    let mut cluster = cluster();
    let node = NodeId(3);
    let key = restart_in_the_past(&mut cluster);
    let topics = vec![DeleteTopicState { name: Some("t".to_owned()), topic_id: TopicId::ZERO }];
    let request = DeleteTopicsRequest { topics, timeout_ms: 5_000, ..Default::default() };
    assert_eq!(cluster.call(NodeId(1), 6, &request).responses[0].error_code, ErrorCode::NONE);
    cluster.recover();
    cluster.wait_for("the deletion to be known", |cluster| {
        cluster.node(node).broker.node().image().topic_by_id(key.topic).is_none()
    });
    cluster.pass_ms(500);
    assert_eq!(cluster.node(node).gates.to_map()["replicas_removed"], 0, "it was never hosted again");
    let offset = cluster.send("first", "on");
    assert_eq!(cluster.fetch(node, "first", offset, 500).high_watermark, offset + 1);
}

#[test]
fn a_node_that_starts_in_the_past_creates_what_the_present_has() {
    let mut cluster = cluster();
    let node = NodeId(3);
    let key = restart_in_the_past(&mut cluster);
    cluster.recover();
    cluster.wait_for("the replica to be created", |cluster| {
        cluster.node(node).host.borrow().replica(key).is_some()
    });
}
