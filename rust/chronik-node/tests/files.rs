//! Clusters and servers on files: what was acknowledged is there after everything was stopped and started again.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use chronik_node::{
    Cluster, ClusterError, ClusterOptions, Durability, HostPort, NodeId, NodeOptions, NodeServer, Transport,
};
use chronik_wire::error_code::ErrorCode;
use support::{Client, PATIENCE, PRODUCE, assert_quiet, eventually, produce_acked, produce_request, start};

fn on_files(folder: &Path, durability: Durability, transport: Transport) -> Cluster {
    start(|options| {
        options.data_dir = Some(folder.to_owned());
        options.durability = durability;
        options.transport = transport;
    })
}

#[test]
fn a_folder_that_was_emptied_makes_a_follower_of_its_node() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = on_files(folder.path(), Durability::Fsync, Transport::InProcess);
    cluster.create_topic("t", Some(1), Some(3), &BTreeMap::new()).unwrap();
    for _ in 0..3 {
        produce_acked(&cluster, "t", b"x");
    }
    let wiped = cluster.leader("t", 0).unwrap();
    cluster.wipe(wiped).unwrap();
    let left = std::fs::read_dir(folder.path().join(format!("node-{wiped}"))).unwrap();
    assert!(left.flatten().all(|entry| entry.path().is_file()), "data is left");
    cluster.restart(wiped).unwrap();
    let mut client = Client::to(&cluster, wiped);
    eventually("the records are back", || client.latest("t").unwrap() == Ok(3));
    cluster.stop().unwrap();

    // It is the folder that has no vote: a new cluster on all of them knows it.
    let cluster = on_files(folder.path(), Durability::Fsync, Transport::InProcess);
    let mut client = Client::to(&cluster, wiped);
    eventually("the records are still there", || client.latest("t").unwrap() == Ok(3));
    assert_ne!(cluster.leader("t", 0).unwrap(), wiped);
    assert!(cluster.stats()["learner_answers"] > 0);
}

#[test]
fn a_cluster_on_files_finds_its_records_again() {
    for (durability, transport) in [
        (Durability::Fsync, Transport::InProcess),
        (Durability::Os, Transport::InProcess),
        (Durability::Fsync, Transport::Tcp),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let cluster = on_files(folder.path(), durability, transport);
        cluster.create_topic("t", Some(1), Some(3), &BTreeMap::new()).unwrap();
        for number in 0..20 {
            assert_eq!(produce_acked(&cluster, "t", b"x"), number);
        }
        let synced = cluster.stats()["disk_syncs"];
        assert_eq!(synced > 0, durability == Durability::Fsync, "{synced} syncs under {durability:?}");
        assert_quiet(&cluster);
        cluster.stop().unwrap();

        let cluster = on_files(folder.path(), durability, transport);
        assert_eq!(cluster.topics(), ["t"]);
        for node in cluster.node_ids() {
            let mut client = Client::to(&cluster, node);
            eventually("the records are back", || client.latest("t").unwrap() == Ok(20));
            assert!(!client.fetch("t", 0, 0).unwrap().records.is_empty());
        }
        assert_eq!(produce_acked(&cluster, "t", b"x"), 20);
        assert_quiet(&cluster);
        let second = Cluster::start(ClusterOptions {
            data_dir: Some(folder.path().to_owned()),
            ..ClusterOptions::default()
        });
        assert!(matches!(second, Err(ClusterError::DataDirectory { .. })), "a directory in use was taken");
    }
}

#[test]
fn syncs_are_shared_by_what_arrives_together() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = on_files(folder.path(), Durability::Fsync, Transport::InProcess);
    cluster.create_topic("t", Some(1), Some(3), &BTreeMap::new()).unwrap();
    let leader = cluster.leader("t", 0).unwrap();
    let before = cluster.node_stats(leader).unwrap()["disk_syncs"];
    let mut client = Client::to(&cluster, leader);
    const BATCHES: u64 = 300;
    for _ in 0..BATCHES {
        client.send(&produce_request("t", b"x", -1), PRODUCE);
    }
    for _ in 0..BATCHES {
        let (_, answer) = client.receive::<chronik_wire::messages::produce::ProduceRequest>(PRODUCE).unwrap();
        assert_eq!(answer.responses[0].partition_responses[0].error_code, ErrorCode::NONE);
    }
    let syncs = cluster.node_stats(leader).unwrap()["disk_syncs"] - before;
    assert!(syncs * 2 < BATCHES, "{syncs} syncs for {BATCHES} batches");
}

/// Free ports of the loopback interface, for nodes that must know each other's before they start. They lie below the
/// range from which the system gives ports to everybody who asks for any, so nobody takes them in between.
fn free_ports(count: usize) -> Vec<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(18_000);
    let candidates = std::iter::repeat_with(|| NEXT.fetch_add(1, Ordering::Relaxed));
    candidates.filter(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok()).take(count).collect()
}

fn local(port: u16) -> HostPort {
    HostPort { host: "127.0.0.1".to_owned(), port }
}

fn server(node: i32, raft: &[u16], folder: &Path, cluster_name: &str) -> NodeServer {
    let peers =
        (1..=3).filter(|peer| *peer != node).map(|peer| (NodeId(peer), local(raft[peer as usize - 1])));
    let options = NodeOptions {
        raft: Some(local(raft[node as usize - 1])),
        peers: peers.collect(),
        data_dir: Some(folder.join(format!("node{node}"))),
        shards: Some(2),
        pinned_port: Some(0),
        cluster_name: cluster_name.to_owned(),
        ..NodeOptions::new(NodeId(node))
    };
    NodeServer::start(options).unwrap()
}

fn produce_somewhere(servers: &[NodeServer], value: &[u8]) -> i64 {
    let mut offset = None;
    eventually("an acknowledged produce", || {
        offset = servers
            .iter()
            .find_map(|server| Client::connect(server.kafka_address().port).produce("t", value).ok()?.ok());
        offset.is_some()
    });
    offset.unwrap()
}

#[test]
fn three_servers_form_a_cluster_and_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let raft = free_ports(3);
    let start_all =
        || -> Vec<NodeServer> { (1..=3).map(|node| server(node, &raft, folder.path(), "three")).collect() };
    let mut servers = start_all();
    for server in &servers {
        assert!(server.wait_ready(PATIENCE).unwrap());
    }
    let mut client = Client::connect(servers[0].kafka_address().port);
    eventually("every broker is listed", || client.metadata(&[]).unwrap().brokers.len() == 3);
    support::create_topic(&mut client, "t", 3);
    assert_eq!(produce_somewhere(&servers, b"one"), 0);

    // One leaves in order: the others go on.
    servers.remove(0).stop().unwrap();
    assert_eq!(produce_somewhere(&servers, b"two"), 1);
    for server in servers.drain(..) {
        server.stop().unwrap();
    }

    let servers = start_all();
    for server in &servers {
        assert!(server.wait_ready(PATIENCE).unwrap());
        let mut client = Client::connect(server.kafka_address().port);
        eventually("the records are back", || client.latest("t").unwrap() == Ok(2));
    }
    assert_eq!(produce_somewhere(&servers, b"three"), 2);
}

#[test]
fn a_node_of_another_cluster_is_refused() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let raft = free_ports(3);
    let first = server(1, &raft, one.path(), "ours");
    let second = server(2, &raft, two.path(), "theirs");
    assert!(!first.wait_ready(Duration::from_millis(1_500)).unwrap());
    assert_eq!(first.stats()["peer_connects"] + second.stats()["peer_connects"], 0);
}

#[test]
fn a_single_server_needs_nobody() {
    let server = NodeServer::start(NodeOptions::new(NodeId(0))).unwrap();
    assert!(server.wait_ready(PATIENCE).unwrap());
    let mut client = Client::connect(server.kafka_address().port);
    support::create_topic(&mut client, "t", 1);
    assert_eq!(client.produce("t", b"x").unwrap(), Ok(0));
    assert_eq!(client.latest("t").unwrap(), Ok(1));
    server.stop().unwrap();
    server.stop().unwrap();
}
