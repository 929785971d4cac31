//! The scenarios with nodes that talk over TCP, as those on machines of their own do.
#![allow(clippy::unwrap_used)]

mod scenarios;
mod support;

use chronik_node::Transport;
use scenarios::Carried;

const CARRIED: Carried = Carried { transport: Transport::Tcp, shards: 1 };

#[test]
fn every_replica_shows_what_was_acknowledged() {
    scenarios::every_replica_shows_what_was_acknowledged(CARRIED, 300);
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
    scenarios::a_node_that_lost_its_disk_always_comes_back(CARRIED, 50);
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

#[test]
fn nodes_come_and_go() {
    scenarios::nodes_come_and_go(CARRIED);
}

#[test]
fn a_cluster_outlives_its_founders() {
    scenarios::a_cluster_outlives_its_founders(CARRIED);
}

#[test]
fn a_lost_disk_is_admitted_again() {
    scenarios::a_lost_disk_is_admitted_again(CARRIED);
}
