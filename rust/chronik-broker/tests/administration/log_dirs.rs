//! DescribeLogDirs and AlterReplicaLogDirs.

use std::collections::BTreeMap;

use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::alter_replica_log_dirs::{AlterReplicaLogDir, AlterReplicaLogDirTopic};
use chronik_wire::messages::describe_log_dirs::DescribableLogDirTopic;
use chronik_wire::messages::{AlterReplicaLogDirsRequest, DescribeLogDirsRequest};
use chronik_wire::types::NodeId;

use crate::harness::{Options, TestCluster};

fn cluster() -> TestCluster {
    let config = BTreeMap::from([("log.dirs".to_owned(), "/data/a,/data/b".to_owned())]);
    let mut cluster = TestCluster::start(3, &Options { config, ..Options::default() });
    cluster.create_topic("t", 2, &[]);
    cluster.create_topic("u", 1, &[]);
    cluster
}

#[test]
fn the_directory_shows_every_replica_with_its_size() {
    let mut cluster = cluster();
    let sizes = |cluster: &mut TestCluster, version, topics| {
        let request = DescribeLogDirsRequest { topics };
        let mut response = cluster.call(NodeId(2), version, &request);
        assert_eq!((response.error_code, response.results.len()), (ErrorCode::NONE, 1));
        let directory = response.results.remove(0);
        assert_eq!((directory.error_code, directory.log_dir.as_str()), (ErrorCode::NONE, "/data/a"));
        let replicas = directory.topics.into_iter().flat_map(|topic| {
            let name = topic.name;
            topic.partitions.into_iter().map(move |replica| {
                assert_eq!((replica.offset_lag, replica.is_future_key), (0, false));
                ((name.clone(), replica.partition_index), replica.partition_size)
            })
        });
        replicas.collect::<BTreeMap<_, _>>()
    };
    let before = sizes(&mut cluster, 5, None);
    let names: Vec<_> = before.keys().map(|(name, index)| (name.as_str(), *index)).collect();
    assert_eq!(names, [("t", 0), ("t", 1), ("u", 0)], "internal logs are not shown");
    cluster.send("t", &"x".repeat(1_000));
    let wanted = DescribableLogDirTopic { topic: "t".to_owned(), partitions: vec![0, 9] };
    for version in 1..=5 {
        let after = sizes(&mut cluster, version, Some(vec![wanted.clone()]));
        let t0 = ("t".to_owned(), 0);
        assert_eq!(after.len(), 1, "only what was asked about and is here");
        assert!(after[&t0] >= before[&t0] + 1_000, "{before:?} {after:?}");
    }
}

#[test]
fn a_replica_moves_to_the_directory_where_it_is_and_to_no_other() {
    let mut cluster = cluster();
    let mut move_to = |path: &str, topic: &str, partition| {
        let topics = vec![AlterReplicaLogDirTopic { name: topic.to_owned(), partitions: vec![partition] }];
        let dirs = vec![AlterReplicaLogDir { path: path.to_owned(), topics }];
        let response = cluster.call(NodeId(1), 2, &AlterReplicaLogDirsRequest { dirs });
        response.results[0].partitions[0].error_code
    };
    assert_eq!(move_to("/data/a", "t", 1), ErrorCode::NONE);
    assert_eq!(move_to("/elsewhere", "t", 1), ErrorCode::LOG_DIR_NOT_FOUND);
    assert_eq!(move_to("/data/a", "t", 7), ErrorCode::REPLICA_NOT_AVAILABLE);
    assert_eq!(move_to("/data/a", "absent", 0), ErrorCode::REPLICA_NOT_AVAILABLE);
}
