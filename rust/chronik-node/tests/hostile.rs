//! Clients that mean no good, or nothing at all: they are closed or ignored, and their neighbours do not notice.
#![allow(clippy::unwrap_used)]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use chronik_node::{Cluster, NodeId};
use chronik_wire::error_code::ErrorCode;
use support::{Client, FETCH, assert_quiet, eventually, fetch_request, produce_acked, with_topic};

fn port(cluster: &Cluster) -> u16 {
    cluster.node(NodeId(1)).unwrap().port
}

/// Sends the bytes and returns whether the node closed the connection.
fn is_closed_after(port: u16, bytes: &[u8]) -> bool {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    // The node may close before it has taken everything.
    let _ = stream.write_all(bytes);
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => true,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    }
}

fn framed(body: &[u8]) -> Vec<u8> {
    [&(body.len() as u32).to_be_bytes()[..], body].concat()
}

#[test]
fn foreign_bytes_close_their_connection_only() {
    let cluster = with_topic(|_| {});
    let mut neighbour = Client::connect(port(&cluster));
    let hostile: Vec<(&str, Vec<u8>)> = vec![
        ("http", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
        ("tls", vec![0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]),
        ("a negative length", vec![0xff, 0xff, 0xff, 0xff, 0, 0]),
        ("an absurd length", vec![0x7f, 0xff, 0xff, 0xff, 0, 0]),
        ("an empty frame", framed(&[])),
        ("half a header", framed(&[0, 3])),
        ("an unknown api", framed(&[0x7f, 0x7f, 0, 0, 0, 0, 0, 1, 0xff, 0xff])),
        (
            "the metadata bomb",
            framed(&[0, 3, 0, 9, 0, 0, 0, 1, 0xff, 0xff, 0, 0xff, 0xff, 0xff, 0xff, 0x0f, 1]),
        ),
        ("a fetch of nothing", framed(&[0, 1, 0, 11, 0, 0, 0, 1, 0xff, 0xff, 1, 2, 3])),
    ];
    for (name, bytes) in hostile {
        assert!(is_closed_after(port(&cluster), &bytes), "{name} was not closed");
        assert_eq!(neighbour.metadata(&["t"]).unwrap().topics[0].error_code, ErrorCode::NONE, "after {name}");
    }
    assert!(cluster.node_stats(NodeId(1)).unwrap()["frames_refused"] >= 4);
    produce_acked(&cluster, "t", b"still works");
}

#[test]
fn two_thousand_idle_connections_harm_nobody() {
    let limit = rustix::process::Resource::Nofile;
    let mut descriptors = rustix::process::getrlimit(limit);
    descriptors.current = descriptors.maximum;
    rustix::process::setrlimit(limit, descriptors).unwrap();
    let wanted = 2_000.min(descriptors.current.map_or(2_000, |most| most as usize / 3));
    let cluster = with_topic(|_| {});
    let idle: Vec<TcpStream> =
        (0..wanted).map(|_| TcpStream::connect(("127.0.0.1", port(&cluster))).unwrap()).collect();
    eventually("all are open", || {
        cluster.node_stats(NodeId(1)).unwrap()["connections_open"] as usize >= wanted
    });
    for (number, mut stream) in idle.iter().enumerate() {
        // Half a frame each, of all lengths.
        stream.write_all(&(1_000_000 + number as u32).to_be_bytes()).unwrap();
        stream.write_all(&[0, 3]).unwrap();
    }
    produce_acked(&cluster, "t", b"x");
    assert_eq!(Client::connect(port(&cluster)).latest("t").unwrap(), Ok(1));
    drop(idle);
    eventually("all are closed", || cluster.node_stats(NodeId(1)).unwrap()["connections_open"] <= 1);
    assert_quiet(&cluster);
}

#[test]
fn a_client_that_leaves_unparks_its_fetch() {
    let cluster = with_topic(|_| {});
    let node = cluster.followers("t", 0).unwrap()[0];
    let stats = || cluster.node_stats(node).unwrap();
    let mut client = Client::to(&cluster, node);
    client.send(&fetch_request("t", 0, 60_000), FETCH);
    eventually("the fetch is parked", || stats()["fetches_parked"] == 1);
    drop(client);
    eventually("the connection is gone", || stats()["connections_open"] == 0);
}

#[test]
fn a_client_that_never_reads_its_answers_does_not_hold_up_others() {
    let cluster = with_topic(|_| {});
    let leader = cluster.leader("t", 0).unwrap();
    for _ in 0..8 {
        let value = vec![7; 900_000];
        Client::to(&cluster, leader).produce("t", &value).unwrap().unwrap();
    }
    let mut deaf = Client::to(&cluster, leader);
    deaf.raw().set_write_timeout(Some(Duration::from_secs(5))).unwrap();
    for _ in 0..40 {
        deaf.send(&fetch_request("t", 0, 0), FETCH);
    }
    let mut other = Client::to(&cluster, leader);
    for round in 0..20 {
        assert_eq!(other.produce("t", b"x").unwrap(), Ok(8 + round));
    }
    // It can still have everything once it reads.
    for _ in 0..40 {
        deaf.receive_frame().unwrap();
    }
}
