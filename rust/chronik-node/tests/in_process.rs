//! The scenarios with nodes that talk through queues of their process.
#![allow(clippy::unwrap_used)]

mod scenarios;
mod support;

use chronik_node::{Profile, Transport};
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::unregister_broker::UnregisterBrokerRequest;
use scenarios::Carried;
use support::Client;

const CARRIED: Carried = Carried { transport: Transport::InProcess, shards: 1 };

#[test]
fn every_replica_shows_what_was_acknowledged() {
    scenarios::every_replica_shows_what_was_acknowledged(CARRIED, 1_000);
}

#[test]
fn a_parked_fetch_is_woken_by_the_record() {
    scenarios::a_parked_fetch_is_woken_by_the_record(CARRIED);
}

#[test]
fn a_lost_leader_is_replaced() {
    scenarios::a_lost_leader_is_replaced(CARRIED);
}

#[test]
fn a_frozen_node_answers_after_the_thaw() {
    scenarios::a_frozen_node_answers_after_the_thaw(CARRIED);
}

#[test]
fn crashes_and_a_power_cut_lose_nothing_acknowledged() {
    scenarios::crashes_and_a_power_cut_lose_nothing_acknowledged(CARRIED);
}

#[test]
fn a_node_that_lost_its_disk_always_comes_back() {
    scenarios::a_node_that_lost_its_disk_always_comes_back(CARRIED, 200);
}

#[test]
fn a_wiped_node_follows_without_a_vote() {
    scenarios::a_wiped_node_follows_without_a_vote(CARRIED);
}

#[test]
fn slow_and_lossy_links_are_survived() {
    scenarios::slow_and_lossy_links_are_survived(CARRIED);
}

#[test]
fn a_follower_that_hears_nothing_claims_nothing() {
    scenarios::a_follower_that_hears_nothing_claims_nothing(CARRIED);
}

#[test]
fn leadership_moves() {
    scenarios::leadership_moves(CARRIED);
}

#[test]
fn a_pipeline_keeps_its_order() {
    scenarios::a_pipeline_keeps_its_order(CARRIED);
}

#[test]
fn many_partitions_work() {
    scenarios::many_partitions_work(CARRIED);
}

/// The read-your-writes claim is the gate's: with a slow link to the follower it holds, and without the gate it does
/// not.
#[test]
fn a_lagging_follower_tells_the_truth_only_because_of_the_gate() {
    let lies = |read_gate: bool| {
        let cluster = support::with_topic(|options| options.read_gate = read_gate);
        let leader = cluster.leader("t", 0).unwrap();
        let follower = cluster.followers("t", 0).unwrap()[0];
        cluster.delay(leader, follower, 40).unwrap();
        let mut reader = support::Client::to(&cluster, follower);
        let lies = (0..10).filter(|_| {
            let offset = support::produce_acked(&cluster, "t", b"x");
            let answer = reader.fetch("t", offset, 0).unwrap();
            answer.error_code == chronik_wire::error_code::ErrorCode::NONE && answer.high_watermark <= offset
        });
        let lies = lies.count();
        let rounds = cluster.node_stats(follower).unwrap()["read_gate_rounds"];
        assert_eq!(rounds > 0, read_gate, "{rounds} rounds");
        lies
    };
    assert_eq!(lies(true), 0);
    assert!(lies(false) > 0, "the lag was not seen: the test proves nothing");
}

/// Time travel: broker time moves, and with it what retention may drop; nothing else does.
#[test]
fn advancing_the_clock_expires_old_records() {
    let cluster = support::start(|_| {});
    let hour = [("retention.ms".to_owned(), "3600000".to_owned())].into_iter().collect();
    cluster.create_topic("t", Some(1), Some(3), &hour).unwrap();
    let end = support::produce_acked(&cluster, "t", b"x") + 1;
    let follower = cluster.followers("t", 0).unwrap()[0];
    let mut reader = support::Client::to(&cluster, follower);
    cluster.advance(1_800_000).unwrap();
    assert_eq!(reader.fetch("t", 0, 0).unwrap().log_start_offset, 0);
    cluster.advance(3_600_000).unwrap();
    support::eventually("the record has expired", || {
        reader.fetch("t", end, 0).unwrap().log_start_offset == end
    });
    assert_eq!(support::produce_acked(&cluster, "t", b"x"), end);
}

/// Calls that cannot succeed say so at once, with the node and the next step.
#[test]
fn impossible_calls_are_refused() {
    let cluster = support::with_topic(|_| {});
    let said = |result: Result<(), chronik_node::ClusterError>| result.unwrap_err().to_string();
    let (stranger, node) = (chronik_node::NodeId(9), cluster.followers("t", 0).unwrap()[0]);
    assert!(said(cluster.kill(stranger)).contains("no node 9 in this cluster; its nodes are 1, 2, 3"));
    assert!(said(cluster.restart(node)).contains("is running"));
    assert!(said(cluster.cut(node, node, false)).contains("no link to itself"));
    assert!(said(cluster.drop_ratio(node, cluster.leader("t", 0).unwrap(), 1.5)).contains("ratio is 1.5"));
    assert!(said(cluster.create_topic("t", None, None, &Default::default())).contains("exists already"));
    assert!(said(cluster.delete_topic("nothing")).contains("no topic \"nothing\""));
    assert!(said(cluster.leader("t", 7).map(|_| ())).contains("no partition 7"));
    cluster.freeze(node).unwrap();
    assert!(said(cluster.transfer_leader("t", 0, node)).contains("is frozen"));
    cluster.kill(node).unwrap();
    assert!(said(cluster.transfer_leader("t", 0, node)).contains("is not running"));
    assert!(said(cluster.freeze(node)).contains("is not running"));
    for other in cluster.node_ids().into_iter().filter(|other| *other != node) {
        cluster.kill(other).unwrap();
    }
    assert!(said(cluster.delete_topic("t")).contains("no node of the cluster is running"));
    cluster.stop().unwrap();
    assert!(said(cluster.recover()).contains("is stopped"));
}

#[test]
fn nodes_come_and_go() {
    scenarios::nodes_come_and_go(CARRIED);
}

#[test]
fn a_cluster_outlives_its_founders() {
    scenarios::a_cluster_outlives_its_founders(CARRIED);
}

/// As after a removal whose last answer was lost: the controller has forgotten the node, the cluster still has it.
#[test]
fn a_node_that_the_controller_has_forgotten_can_still_be_removed() {
    let cluster = support::with_topic(|_| {});
    let joined = cluster.add_node(&chronik_node::NewNode::default()).unwrap();
    let mut admin = support::Client::to(&cluster, cluster.leader("t", 0).unwrap());
    let unregister = UnregisterBrokerRequest { broker_id: joined.0 };
    assert_eq!(admin.call(&unregister, 0).unwrap().error_code, ErrorCode::NONE);
    cluster.remove_node(joined).unwrap();
    assert_eq!(cluster.node_ids().len(), 3);
    let stranger = cluster.remove_node(joined).unwrap_err().to_string();
    assert!(stranger.contains("no node 4 in this cluster"), "{stranger}");
}

#[test]
fn a_lost_disk_is_admitted_again() {
    scenarios::a_lost_disk_is_admitted_again(CARRIED);
}

#[test]
fn clients_are_served_between_ticks_that_take_longer_than_they_may() {
    // Every group is awake, and a tick comes a millisecond after the last one, which took several.
    let profile = Profile {
        tick_ms: 1,
        election_ticks: 400,
        heartbeat_ticks: 1,
        hibernate_after_ticks: 0,
        ..Profile::TEST
    };
    let cluster = support::start(|options| options.profile = profile);
    cluster.create_topic("t", Some(400), Some(3), &Default::default()).unwrap();
    let node = cluster.node_ids()[0];
    let mut client = Client::to(&cluster, node);
    let turns = || cluster.stats()["turns"];
    let mut waited: Vec<u64> = (0..15)
        .map(|_| {
            let before = turns();
            client.metadata(&["t"]).unwrap();
            turns() - before
        })
        .collect();
    waited.sort_unstable();
    // Three nodes pass a handful of times per turn of the shard.
    assert!(waited[waited.len() / 2] < 300, "turns that clients waited for: {waited:?}");
}
