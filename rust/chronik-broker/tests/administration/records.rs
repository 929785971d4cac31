//! DeleteRecords.

use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::DeleteRecordsRequest;
use chronik_wire::messages::delete_records::{DeleteRecordsPartition, DeleteRecordsTopic};
use chronik_wire::types::NodeId;

use crate::harness::{Options, TestCluster};

fn request(topic: &str, partition: i32, offset: i64) -> DeleteRecordsRequest {
    let partitions = vec![DeleteRecordsPartition { partition_index: partition, offset }];
    let topics = vec![DeleteRecordsTopic { name: topic.to_owned(), partitions }];
    DeleteRecordsRequest { topics, timeout_ms: 1_000 }
}

fn delete(
    cluster: &mut TestCluster,
    node: NodeId,
    topic: &str,
    partition: i32,
    offset: i64,
) -> (ErrorCode, i64) {
    let response = cluster.call(node, 2, &request(topic, partition, offset));
    let result = &response.topics[0].partitions[0];
    (result.error_code, result.low_watermark)
}

fn cluster(records: usize) -> (TestCluster, NodeId, NodeId) {
    let mut cluster = TestCluster::start(3, &Options::default());
    cluster.create_topic("t", 1, &[]);
    for record in 0..records {
        cluster.send("t", &record.to_string());
    }
    let key = cluster.key("t", 0);
    let leader = cluster.leader(key).expect("a leader");
    let follower = *cluster.nodes.keys().find(|node| **node != leader).expect("a follower");
    (cluster, leader, follower)
}

#[test]
fn the_log_starts_where_it_was_told_at_every_replica() {
    let (mut cluster, leader, follower) = cluster(5);
    assert_eq!(delete(&mut cluster, leader, "t", 0, 3), (ErrorCode::NONE, 3));
    assert_eq!(cluster.list_offset(leader, "t", -2), (ErrorCode::NONE, 3));
    assert_eq!(cluster.list_offset(follower, "t", -2), (ErrorCode::NONE, 3), "a follower's read is no older");
    assert_eq!(cluster.fetch(follower, "t", 2, 0).error_code, ErrorCode::OFFSET_OUT_OF_RANGE);
    assert_eq!(delete(&mut cluster, leader, "t", 0, 1), (ErrorCode::NONE, 3), "it never moves back");
    assert_eq!(delete(&mut cluster, leader, "t", 0, -1), (ErrorCode::NONE, 5), "-1 is the high watermark");
    assert_eq!(cluster.list_offset(leader, "t", -1), (ErrorCode::NONE, 5));
}

#[test]
fn bad_requests_get_kafkas_codes() {
    let (mut cluster, leader, follower) = cluster(2);
    cluster.create_topic("compacted", 1, &[("cleanup.policy", "compact")]);
    let key = cluster.key("compacted", 0);
    let other = cluster.leader(key).expect("a leader");
    assert_eq!(delete(&mut cluster, leader, "t", 0, 3), (ErrorCode::OFFSET_OUT_OF_RANGE, -1));
    assert_eq!(delete(&mut cluster, leader, "t", 0, -2), (ErrorCode::OFFSET_OUT_OF_RANGE, -1));
    let unknown = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
    assert_eq!(delete(&mut cluster, leader, "t", 9, 0), (unknown, -1));
    assert_eq!(delete(&mut cluster, leader, "absent", 0, 0), (unknown, -1));
    assert_eq!(delete(&mut cluster, follower, "t", 0, 1), (ErrorCode::NOT_LEADER_OR_FOLLOWER, -1));
    assert_eq!(delete(&mut cluster, other, "compacted", 0, -1), (ErrorCode::POLICY_VIOLATION, -1));
    assert_eq!(cluster.list_offset(leader, "t", -2), (ErrorCode::NONE, 0), "nothing was deleted");
}

#[test]
fn a_client_of_a_pinned_address_reaches_the_leader() {
    let (mut cluster, _, follower) = cluster(3);
    let answer = cluster.ask(follower, true, 2, &request("t", 0, 2));
    let response = cluster.run(answer).expect("the connection stays open").expect("an answer");
    let result = &response.topics[0].partitions[0];
    assert_eq!((result.error_code, result.low_watermark), (ErrorCode::NONE, 2));
}

#[test]
fn without_a_majority_nothing_is_reported_as_deleted() {
    let (mut cluster, leader, _) = cluster(2);
    cluster.isolate(leader);
    let (code, low) = delete(&mut cluster, leader, "t", 0, 1);
    assert!([ErrorCode::REQUEST_TIMED_OUT, ErrorCode::NOT_LEADER_OR_FOLLOWER].contains(&code), "{code}");
    assert_eq!(low, -1);
}
