//! The scenarios with nodes that talk through queues of their process.
#![allow(clippy::unwrap_used)]

mod scenarios;
mod support;

use chronik_node::Transport;
use scenarios::Carried;

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
