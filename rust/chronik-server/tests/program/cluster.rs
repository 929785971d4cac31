//! The original procedure: three files, three processes, a topic of three replicas, a produce, a consume from a
//! follower; and what must hold when processes die.

use std::time::{Duration, Instant};

use crate::common::{Client, Cluster, alarms, wait_for};

const TOPIC: &str = "ryw-test";

/// A client of the topic's leader.
fn leader_of(cluster: &Cluster, ask: i32) -> (i32, Client) {
    let leader = wait_for("a leader", || Client::try_connect(cluster.address(ask))?.leader(TOPIC));
    (leader, Client::connect(cluster.address(leader)))
}

#[test]
fn three_processes_from_three_files_serve_a_follower_read_and_stop_in_order() {
    let mut cluster = Cluster::start(3);
    cluster.wait_until_whole(3);
    Client::connect(cluster.address(1)).create_topic(TOPIC, 3);
    let (leader, mut producer) = leader_of(&cluster, 1);
    let written: Vec<String> = (0..10).map(|number| format!("record {number}")).collect();
    for (value, offset) in written.iter().zip(0..) {
        assert_eq!(producer.produce(TOPIC, value), Ok(offset));
    }
    for id in 1..=3 {
        let read = Client::connect(cluster.address(id)).read_all(TOPIC);
        assert_eq!(read.as_ref(), Ok(&written), "node {id}, leader {leader}");
    }
    for id in (1..=3).filter(|id| *id != leader) {
        let log = cluster.log(id);
        let served = |line: &&str| {
            line.contains("chronik_server::fetch_handler")
                && line.contains("role=Some(Follower)")
                && !line.contains(" bytes=0")
        };
        assert!(log.lines().any(|line| served(&line)), "node {id} served nothing as a follower\n{log}");
        let asked =
            |line: &&str| line.contains("chronik_raft::read_index") && line.contains("round answered");
        assert!(log.lines().any(|line| asked(&line)), "node {id} served without asking the leader\n{log}");
    }
    for id in 1..=3 {
        let log = cluster.log(id);
        assert_eq!(alarms(&log), Vec::<&str>::new(), "a clean start has no alarms");
        assert!(!log.to_lowercase().contains("replica not found"), "{log}");
    }
    for id in 1..=3 {
        let status = cluster.terminate(id);
        assert!(status.success(), "node {id} ended with {status}\n{}", cluster.log(id));
        assert!(cluster.log(id).contains(&format!("node {id} has stopped")));
    }
}

#[test]
fn acknowledged_data_survives_the_death_of_every_process() {
    let mut cluster = Cluster::start(3);
    cluster.wait_until_whole(3);
    Client::connect(cluster.address(1)).create_topic(TOPIC, 3);
    let mut acknowledged = Vec::new();
    // One node after the other, the leader among them, then all at once: with fsync none of it may cost a record.
    for victim in 1..=3 {
        let survivor = if victim == 1 { 2 } else { 1 };
        produce_until_acknowledged(&cluster, survivor, &format!("before {victim}"), &mut acknowledged);
        cluster.kill(victim);
        produce_until_acknowledged(&cluster, survivor, &format!("without {victim}"), &mut acknowledged);
        cluster.start_node(victim);
        cluster.wait_until_whole(3);
    }
    for id in 1..=3 {
        cluster.kill(id);
    }
    for id in 1..=3 {
        cluster.start_node(id);
    }
    cluster.wait_until_whole(3);
    for id in 1..=3 {
        let read = wait_for("a read after the restart", || {
            Client::connect(cluster.address(id)).read_all(TOPIC).ok()
        });
        let kept: Vec<&String> = read.iter().filter(|value| acknowledged.contains(value)).collect();
        // A produce that was repeated after a broken connection may stand twice; missing or out of order it may not be.
        let mut once = kept.clone();
        once.dedup();
        assert_eq!(once, acknowledged.iter().collect::<Vec<_>>(), "node {id}");
    }
}

#[test]
fn a_dead_leader_is_replaced_within_2_seconds() {
    let mut cluster = Cluster::start(3);
    cluster.wait_until_whole(3);
    Client::connect(cluster.address(1)).create_topic(TOPIC, 3);
    let mut gaps = Vec::new();
    for number in 0..3 {
        let (leader, mut producer) = leader_of(&cluster, 1);
        wait_for("a produce", || producer.produce(TOPIC, &format!("before {number}")).ok());
        let survivor = if leader == 1 { 2 } else { 1 };
        let killed = Instant::now();
        cluster.kill(leader);
        produce_until_acknowledged(&cluster, survivor, &format!("after {number}"), &mut Vec::new());
        gaps.push(killed.elapsed());
        cluster.start_node(leader);
        cluster.wait_until_whole(3);
    }
    gaps.sort();
    // The median of three: one election may be slowed down by whatever else the machine is doing.
    assert!(gaps[1] <= Duration::from_secs(2), "{gaps:?}");
}

/// Produces at whoever leads, as long as it takes.
fn produce_until_acknowledged(cluster: &Cluster, ask: i32, value: &str, acknowledged: &mut Vec<String>) {
    wait_for(&format!("an acknowledgement of {value:?}"), || {
        let leader = Client::try_connect(cluster.address(ask))?.leader(TOPIC)?;
        Client::try_connect(cluster.address(leader))?.produce(TOPIC, value).ok()
    });
    acknowledged.push(value.to_owned());
}
