//! Share groups: versions and records that the `kafka-protocol` crate does not know, against bytes that Kafka's own encoder
//! wrote.

use super::newer::{ID, TOPIC, check};
use crate::error_code::ErrorCode;
use crate::messages::common::LeaderIdAndEpoch;
use crate::messages::group_records::*;
use crate::messages::read_share_group_state::StateBatch;
use crate::messages::share_fetch::AcknowledgementBatch;
use crate::messages::share_state_records::*;
use crate::messages::*;

fn acknowledgements(acknowledge_types: &[i8]) -> Vec<AcknowledgementBatch> {
    vec![AcknowledgementBatch {
        first_offset: 4,
        last_offset: 6,
        acknowledge_types: acknowledge_types.to_vec(),
    }]
}

fn state_batches() -> Vec<StateBatch> {
    vec![StateBatch { first_offset: 7, last_offset: 8, delivery_state: 2, delivery_count: 1 }]
}

/// [`state_batches`] as they travel.
const BATCHES: &[u8] = &[2, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 8, 2, 0, 1, 0];

#[test]
fn share_fetch_2() {
    use share_fetch::*;
    let partition =
        FetchPartition { partition_index: 2, acknowledgement_batches: acknowledgements(&[1, 2, 4]) };
    let request = ShareFetchRequest {
        group_id: Some("g".into()),
        member_id: Some("m".into()),
        share_session_epoch: 3,
        max_wait_ms: 5,
        min_bytes: 1,
        max_bytes: 100,
        max_records: 7,
        batch_size: 8,
        share_acquire_mode: 1,
        is_renew_ack: true,
        topics: vec![FetchTopic { topic_id: TOPIC, partitions: vec![partition] }],
        forgotten_topics_data: vec![ForgottenTopic { topic_id: TOPIC, partitions: vec![9] }],
    };
    let bytes: &[&[u8]] = &[
        &[2, b'g', 2, b'm', 0, 0, 0, 3, 0, 0, 0, 5, 0, 0, 0, 1, 0, 0, 0, 100, 0, 0, 0, 7, 0, 0, 0, 8, 1, 1],
        &[2],
        ID,
        &[2, 0, 0, 0, 2, 2, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 6, 4, 1, 2, 4, 0, 0, 0, 2],
        ID,
        &[2, 0, 0, 0, 9, 0, 0],
    ];
    check(&request, 2, bytes);
}

#[test]
fn share_acknowledge_2() {
    use share_acknowledge::*;
    let partition =
        AcknowledgePartition { partition_index: 2, acknowledgement_batches: acknowledgements(&[4]) };
    let request = ShareAcknowledgeRequest {
        group_id: Some("g".into()),
        member_id: Some("m".into()),
        share_session_epoch: 3,
        is_renew_ack: true,
        topics: vec![AcknowledgeTopic { topic_id: TOPIC, partitions: vec![partition] }],
    };
    let bytes: &[&[u8]] = &[
        &[2, b'g', 2, b'm', 0, 0, 0, 3, 1, 2],
        ID,
        &[2, 0, 0, 0, 2, 2, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 6, 2, 4, 0, 0, 0, 0],
    ];
    check(&request, 2, bytes);
    let partition = PartitionData {
        partition_index: 2,
        error_code: ErrorCode::INVALID_RECORD_STATE,
        current_leader: LeaderIdAndEpoch { leader_id: 1, leader_epoch: 5 },
        ..Default::default()
    };
    let topic = ShareAcknowledgeTopicResponse { topic_id: TOPIC, partitions: vec![partition] };
    let response = ShareAcknowledgeResponse {
        throttle_time_ms: 1,
        acquisition_lock_timeout_ms: 300,
        responses: vec![topic],
        ..Default::default()
    };
    let bytes: &[&[u8]] = &[
        &[0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 44, 2],
        ID,
        &[2, 0, 0, 0, 2, 0, 121, 0, 0, 0, 0, 1, 0, 0, 0, 5, 0, 0, 0, 1, 0],
    ];
    check(&response, 2, bytes);
}

#[test]
fn share_group_state_1() {
    let request = {
        use write_share_group_state::*;
        let partition = PartitionData {
            partition: 2,
            state_epoch: 3,
            leader_epoch: 4,
            start_offset: 5,
            delivery_complete_count: 6,
            state_batches: state_batches(),
        };
        let topic = WriteStateData { topic_id: TOPIC, partitions: vec![partition] };
        WriteShareGroupStateRequest { group_id: "g".into(), topics: vec![topic] }
    };
    let numbers = [2, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 6];
    check(&request, 1, &[&[2, b'g', 2], ID, &numbers, BATCHES, &[0, 0, 0]]);
    let response = {
        use read_share_group_state_summary::*;
        let partition = PartitionResult {
            partition: 2,
            state_epoch: 3,
            leader_epoch: 4,
            start_offset: 5,
            delivery_complete_count: 6,
            ..Default::default()
        };
        let topic = ReadStateSummaryResult { topic_id: TOPIC, partitions: vec![partition] };
        ReadShareGroupStateSummaryResponse { results: vec![topic] }
    };
    let numbers = [2, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 6];
    check(&response, 1, &[&[2], ID, &numbers, &[0, 0, 0]]);
}

#[test]
fn describe_share_group_offsets_1() {
    use describe_share_group_offsets::*;
    let partition = DescribeShareGroupOffsetsResponsePartition {
        partition_index: 2,
        start_offset: 5,
        leader_epoch: 4,
        lag: 6,
        ..Default::default()
    };
    let topic = DescribeShareGroupOffsetsResponseTopic {
        topic_name: "t".into(),
        topic_id: TOPIC,
        partitions: vec![partition],
    };
    let group = DescribeShareGroupOffsetsResponseGroup {
        group_id: "g".into(),
        topics: vec![topic],
        ..Default::default()
    };
    let response = DescribeShareGroupOffsetsResponse { throttle_time_ms: 1, groups: vec![group] };
    let after = [2, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0];
    check(&response, 1, &[&[0, 0, 0, 1, 2, 2, b'g', 2, 2, b't'], ID, &after, &[0, 0, 0, 0, 0, 0]]);
}

#[test]
fn records_of_share_group_state() {
    let key = ShareStateKey { group_id: "g".into(), topic_id: TOPIC, partition: 2 };
    check(&key, 0, &[&[0, 1, b'g'], ID, &[0, 0, 0, 2]]);
    let value = ShareSnapshotValue {
        snapshot_epoch: 1,
        state_epoch: 3,
        leader_epoch: 4,
        start_offset: 5,
        delivery_complete_count: 6,
        create_timestamp: 9,
        write_timestamp: 10,
        state_batches: state_batches(),
    };
    let numbers = [0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 5];
    let times = [0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 10];
    let settled = [1, 0, 4, 0, 0, 0, 6];
    check(&value, 0, &[&numbers, &times, BATCHES, &settled]);
    let value = ShareUpdateValue {
        snapshot_epoch: 1,
        leader_epoch: 4,
        start_offset: 5,
        delivery_complete_count: 6,
        state_batches: state_batches(),
    };
    let numbers = [0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 5];
    check(&value, 0, &[&numbers, BATCHES, &settled]);
}

#[test]
fn records_of_share_groups() {
    let given = || vec![AssignedTopicPartitions { topic_id: TOPIC, partitions: vec![2] }];
    let given_bytes: &[&[u8]] = &[&[2], ID, &[2, 0, 0, 0, 2, 0]];
    let given_bytes = given_bytes.concat();
    let value = ShareGroupMemberMetadataValue {
        rack_id: Some("r".into()),
        client_id: "c".into(),
        client_host: "h".into(),
        subscribed_topic_names: vec!["t".into()],
    };
    check(&value, 0, &[&[2, b'r', 2, b'c', 2, b'h', 2, 2, b't', 0]]);
    let value = ShareGroupMetadataValue { epoch: 3, metadata_hash: 4 };
    check(&value, 0, &[&[0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 4, 0]]);
    let value = ShareGroupTargetAssignmentMetadataValue { assignment_epoch: 3, assignment_timestamp: 4 };
    check(&value, 0, &[&[0, 0, 0, 3, 1, 0, 8, 0, 0, 0, 0, 0, 0, 0, 4]]);
    let value = ShareGroupTargetAssignmentMemberValue { topic_partitions: given() };
    check(&value, 0, &[&given_bytes, &[0]]);
    let value = ShareGroupCurrentMemberAssignmentValue {
        member_epoch: 3,
        previous_member_epoch: 2,
        state: 0,
        assigned_partitions: given(),
    };
    check(&value, 0, &[&[0, 0, 0, 3, 0, 0, 0, 2, 0], &given_bytes, &[0]]);
    let value = ShareGroupStatePartitionMetadataValue {
        initializing_topics: vec![ShareTopicPartitions {
            topic_id: TOPIC,
            topic_name: "t".into(),
            partitions: vec![2],
        }],
        initialized_topics: Vec::new(),
        deleting_topics: vec![ShareTopic { topic_id: TOPIC, topic_name: "u".into() }],
    };
    check(&value, 0, &[&[2], ID, &[2, b't', 2, 0, 0, 0, 2, 0, 1, 2], ID, &[2, b'u', 0, 0]]);
}
