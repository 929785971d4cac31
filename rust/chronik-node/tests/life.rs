//! A cluster's life: it starts quickly and quietly, and stops without a trace.
#![allow(clippy::unwrap_used)]

mod support;

use std::net::TcpStream;
use std::time::{Duration, Instant};

use chronik_node::{ClusterError, NodeId, Transport};
use support::{Client, assert_quiet, produce_acked, start, with_topic};

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

fn resident_kib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Everything about a process as a whole is one test: another one running beside it would be counted too.
#[test]
fn clusters_come_and_go_without_a_trace() {
    a_started_cluster_is_known_at_every_node(Transport::InProcess);
    a_started_cluster_is_known_at_every_node(Transport::Tcp);
    a_dropped_cluster_stops();
    two_clusters_share_nothing();
    loops_leave_nothing_behind();
}

fn a_started_cluster_is_known_at_every_node(transport: Transport) {
    let cluster = start(|options| options.transport = transport);
    for node in cluster.node_ids() {
        let metadata = Client::to(&cluster, node).metadata(&[]).unwrap();
        assert_eq!(metadata.brokers.len(), 3, "at node {node}");
        assert!(metadata.controller_id >= 0);
    }
    assert_quiet(&cluster);
    cluster.stop().unwrap();
    cluster.stop().unwrap();
    assert!(matches!(cluster.leader("t", 0), Err(ClusterError::NobodyToAsk | ClusterError::Stopped)));
}

fn a_dropped_cluster_stops() {
    let before = (threads(), descriptors());
    let cluster = with_topic(|_| {});
    let port = cluster.node(NodeId(1)).unwrap().port;
    produce_acked(&cluster, "t", b"x");
    let begun = Instant::now();
    drop(cluster);
    assert!(begun.elapsed() < Duration::from_secs(2));
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "the port is closed");
    assert_eq!((threads(), descriptors()), before);
}

fn two_clusters_share_nothing() {
    let (one, two) = (with_topic(|_| {}), start(|_| {}));
    produce_acked(&one, "t", b"x");
    assert_eq!(two.topics(), Vec::<String>::new());
    assert_eq!(one.topics(), ["t"]);
    assert_eq!(two.stats()["batches_appended"], 0);
}

fn loops_leave_nothing_behind() {
    let mut starts = Vec::new();
    let mut round = || {
        let begun = Instant::now();
        let cluster = start(|_| {});
        starts.push(begun.elapsed());
        cluster.stop().unwrap();
    };
    // The first ones warm up allocator and lazily made tables.
    (0..20).for_each(|_| round());
    let before = (threads(), descriptors(), resident_kib());
    (0..200).for_each(|_| round());
    assert_eq!((threads(), descriptors()), (before.0, before.1));
    let grown = resident_kib().saturating_sub(before.2);
    assert!(grown < 4 << 10, "{grown} KiB more after 200 clusters");
    starts.sort();
    println!("start p50 {:?}, p99 {:?}", starts[starts.len() / 2], starts[starts.len() * 99 / 100]);
}
