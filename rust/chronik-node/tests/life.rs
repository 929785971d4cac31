//! A cluster's life: it starts quickly and quietly, and stops without a trace.

mod support;

use std::time::Instant;

use support::{Client, assert_quiet, start};

#[test]
fn a_started_cluster_is_known_at_every_node() {
    let begun = Instant::now();
    let cluster = start(|_| {});
    println!("started in {:?}", begun.elapsed());
    for node in cluster.node_ids() {
        let metadata = Client::to(&cluster, node).metadata(&[]).unwrap();
        assert_eq!(metadata.brokers.len(), 3, "at node {node}");
        assert!(metadata.controller_id >= 0);
    }
    assert_quiet(&cluster);
    cluster.stop().unwrap();
    cluster.stop().unwrap();
}
