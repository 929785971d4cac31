//! Versions that the `kafka-protocol` crate does not know, against bytes that another client's encoder wrote.

use bytes::Bytes;

use super::encoded;
use crate::codec::{Message, Reader};
use crate::error_code::ErrorCode;
use crate::messages::*;
use crate::types::TopicId;

pub(super) const TOPIC: TopicId = TopicId(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10);

/// Both directions agree with the bytes.
pub(super) fn check<M: Message>(message: &M, version: i16, bytes: &[&[u8]]) {
    let bytes = Bytes::from(bytes.concat());
    assert_eq!(encoded(message, version), bytes, "{} version {version}", M::NAME);
    let mut reader = Reader::new(bytes);
    assert_eq!(&M::decode(&mut reader, version).unwrap(), message);
    assert_eq!(reader.remaining(), 0, "{} version {version}", M::NAME);
}

/// [`TOPIC`] as it travels.
pub(super) const ID: &[u8] = &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16];

#[test]
fn list_offsets_11() {
    use list_offsets::*;
    let partition = ListOffsetsPartition { partition_index: 2, current_leader_epoch: 3, timestamp: -1 };
    let topic = ListOffsetsTopic { name: "t".into(), partitions: vec![partition] };
    let request =
        ListOffsetsRequest { replica_id: -1, isolation_level: 1, topics: vec![topic], timeout_ms: 9 };
    let bytes: &[&[u8]] = &[
        &[255, 255, 255, 255, 1, 2, 2, b't', 2, 0, 0, 0, 2, 0, 0, 0, 3],
        &[255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 0, 0, 9, 0],
    ];
    check(&request, 11, bytes);
    let partition = ListOffsetsPartitionResponse {
        partition_index: 2,
        timestamp: 5,
        offset: 9,
        leader_epoch: 3,
        ..Default::default()
    };
    let topic = ListOffsetsTopicResponse { name: "t".into(), partitions: vec![partition] };
    let response = ListOffsetsResponse { throttle_time_ms: 1, topics: vec![topic] };
    let bytes: &[&[u8]] = &[
        &[0, 0, 0, 1, 2, 2, b't', 2, 0, 0, 0, 2, 0, 0],
        &[0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 3, 0, 0, 0],
    ];
    check(&response, 11, bytes);
}

#[test]
fn offset_commit_10() {
    use offset_commit::*;
    let partition = OffsetCommitRequestPartition {
        partition_index: 2,
        committed_offset: 9,
        committed_leader_epoch: 3,
        committed_metadata: Some("x".into()),
    };
    let topic =
        OffsetCommitRequestTopic { topic_id: TOPIC, partitions: vec![partition], ..Default::default() };
    let request = OffsetCommitRequest {
        group_id: "g".into(),
        generation_id_or_member_epoch: 7,
        member_id: "m".into(),
        topics: vec![topic],
        ..Default::default()
    };
    let before = [2, b'g', 0, 0, 0, 7, 2, b'm', 0, 2];
    let after = [2, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 3, 2, b'x', 0, 0, 0];
    check(&request, 10, &[&before, ID, &after]);
    let partition =
        OffsetCommitResponsePartition { partition_index: 2, error_code: ErrorCode::ILLEGAL_GENERATION };
    let topic =
        OffsetCommitResponseTopic { topic_id: TOPIC, partitions: vec![partition], ..Default::default() };
    let response = OffsetCommitResponse { throttle_time_ms: 1, topics: vec![topic] };
    check(&response, 10, &[&[0, 0, 0, 1, 2], ID, &[2, 0, 0, 0, 2, 0, 22, 0, 0, 0]]);
}

#[test]
fn offset_fetch_10() {
    use offset_fetch::*;
    let topic =
        OffsetFetchRequestTopics { topic_id: TOPIC, partition_indexes: vec![2], ..Default::default() };
    let group =
        OffsetFetchRequestGroup { group_id: "g".into(), topics: Some(vec![topic]), ..Default::default() };
    let request = OffsetFetchRequest { groups: vec![group], require_stable: true, ..Default::default() };
    let before = [2, 2, b'g', 0, 255, 255, 255, 255, 2];
    check(&request, 10, &[&before, ID, &[2, 0, 0, 0, 2, 0, 0, 1, 0]]);
    let partition = OffsetFetchResponsePartitions {
        partition_index: 2,
        committed_offset: 9,
        committed_leader_epoch: 3,
        ..Default::default()
    };
    let topic =
        OffsetFetchResponseTopics { topic_id: TOPIC, partitions: vec![partition], ..Default::default() };
    let group = OffsetFetchResponseGroup { group_id: "g".into(), topics: vec![topic], ..Default::default() };
    let response = OffsetFetchResponse { throttle_time_ms: 1, groups: vec![group], ..Default::default() };
    let after = [2, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    check(&response, 10, &[&[0, 0, 0, 1, 2, 2, b'g', 2], ID, &after]);
}

#[test]
fn write_txn_markers_2() {
    use write_txn_markers::*;
    let topic = WritableTxnMarkerTopic { name: "t".into(), partition_indexes: vec![2] };
    let marker = WritableTxnMarker {
        producer_id: 5,
        producer_epoch: 6,
        transaction_result: true,
        topics: vec![topic],
        coordinator_epoch: 8,
        transaction_version: 2,
    };
    let bytes: &[&[u8]] =
        &[&[2, 0, 0, 0, 0, 0, 0, 0, 5, 0, 6, 1], &[2, 2, b't', 2, 0, 0, 0, 2, 0, 0, 0, 0, 8, 2, 0, 0]];
    check(&WriteTxnMarkersRequest { markers: vec![marker] }, 2, bytes);
}

#[test]
fn describe_log_dirs_5() {
    use describe_log_dirs::*;
    check(&DescribeLogDirsRequest { topics: None }, 5, &[&[0, 0]]);
    let partition = DescribeLogDirsPartition {
        partition_index: 2,
        partition_size: 100,
        offset_lag: 4,
        is_future_key: false,
    };
    let topic = DescribeLogDirsTopic { name: "t".into(), partitions: vec![partition] };
    let directory = DescribeLogDirsResult {
        log_dir: "/d".into(),
        topics: vec![topic],
        usable_bytes: 7,
        is_cordoned: true,
        ..Default::default()
    };
    let response =
        DescribeLogDirsResponse { throttle_time_ms: 1, results: vec![directory], ..Default::default() };
    let bytes: &[&[u8]] = &[
        &[0, 0, 0, 1, 0, 0, 2, 0, 0, 3, b'/', b'd', 2, 2, b't', 2, 0, 0, 0, 2],
        &[0, 0, 0, 0, 0, 0, 0, 100, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0],
        &[255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 7, 1, 0, 0],
    ];
    check(&response, 5, bytes);
}
