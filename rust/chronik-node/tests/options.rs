//! What a cluster refuses to be, said before anything is bound.
#![allow(clippy::unwrap_used)]

use chronik_node::{Cluster, ClusterError, ClusterOptions};

#[test]
fn bad_options_are_refused_before_anything_is_bound() {
    let refused = |change: fn(&mut ClusterOptions)| {
        let mut options = ClusterOptions::default();
        change(&mut options);
        Cluster::start(options).unwrap_err().to_string()
    };
    assert!(refused(|options| options.nodes = 0).contains("nodes is 0"));
    assert!(refused(|options| options.shards = 0).contains("shards is 0"));
    assert!(refused(|options| options.racks = Some(vec![])).contains("racks has 0 entries"));
    assert!(refused(|options| options.first_node_id = -1).contains("first_node_id is -1"));
    assert!(refused(|options| options.profile.tick_ms = 1).contains("election timeout"));
    let unknown = refused(|options| {
        options.config.insert("no.such.key".to_owned(), "1".to_owned());
    });
    assert!(unknown.contains("no.such.key"), "{unknown}");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let options = ClusterOptions {
        nodes: 1,
        ports: Some(vec![taken.local_addr().unwrap().port()]),
        ..ClusterOptions::default()
    };
    assert!(matches!(Cluster::start(options), Err(ClusterError::PortInUse { .. })));
}
