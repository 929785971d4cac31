//! What is advertised is served: every key in every version, and nothing else.

mod harness;

use bytes::Bytes;
use chronik_broker::{CloseReason, Connection};
use chronik_wire::api::{ApiKey, Request};
use chronik_wire::error_code::ErrorCode;
use chronik_wire::header::{decode_response, request_frame};
use chronik_wire::messages::*;
use harness::client::{fetch_request, one, produce_request};
use harness::{Options, TestCluster};

use chronik_wire::types::NodeId;

const NODE: NodeId = NodeId(1);

fn cluster() -> TestCluster {
    let mut cluster = TestCluster::start(3, &Options::default());
    cluster.create_topic("t", 1, &[]);
    cluster
}

/// Sends a request in every advertised version that has a layout; the answer has to decode in the same version.
fn walk<R: Request>(cluster: &mut TestCluster, walked: &mut Vec<i16>, request: impl Fn(i16) -> R) {
    for version in R::KEY.layouts() {
        let answer = cluster.ask(NODE, false, version, &request(version));
        let answer = cluster.run(answer);
        assert!(matches!(answer, Ok(Some(_))), "{} version {version}: {answer:?}", R::KEY);
    }
    walked.push(R::KEY as i16);
}

#[test]
fn every_advertised_key_and_version_is_answered() {
    let mut cluster = cluster();
    let topic = cluster.key("t", 0).topic;
    let mut walked = Vec::new();
    let all = &mut walked;
    walk(&mut cluster, all, |_| {
        let mut request = produce_request("t", 0, one("v"), -1, 1_000);
        request.topic_data[0].topic_id = topic;
        request
    });
    walk(&mut cluster, all, |_| {
        let mut request = fetch_request("t", 0, 0);
        request.topics[0].topic_id = topic;
        request
    });
    walk(&mut cluster, all, |_| ListOffsetsRequest::default());
    walk(&mut cluster, all, |_| MetadataRequest::default());
    walk(&mut cluster, all, |_| FindCoordinatorRequest::default());
    walk(&mut cluster, all, |_| ApiVersionsRequest::default());
    walk(&mut cluster, all, |_| CreateTopicsRequest { timeout_ms: 1_000, ..CreateTopicsRequest::default() });
    walk(&mut cluster, all, |_| DeleteTopicsRequest { timeout_ms: 1_000, ..DeleteTopicsRequest::default() });
    walk(&mut cluster, all, |_| InitProducerIdRequest::default());
    walk(&mut cluster, all, |_| OffsetForLeaderEpochRequest::default());
    walk(&mut cluster, all, |_| WriteTxnMarkersRequest::default());
    walk(&mut cluster, all, |_| DescribeProducersRequest::default());
    walk(&mut cluster, all, |_| DescribeConfigsRequest::default());
    walk(&mut cluster, all, |_| DescribeClusterRequest {
        endpoint_type: 1,
        ..DescribeClusterRequest::default()
    });
    walk(&mut cluster, all, |_| DescribeTopicPartitionsRequest::default());
    walk(&mut cluster, all, |_| DeleteRecordsRequest::default());
    walk(&mut cluster, all, |_| AlterConfigsRequest::default());
    walk(&mut cluster, all, |_| AlterReplicaLogDirsRequest::default());
    walk(&mut cluster, all, |_| DescribeLogDirsRequest::default());
    walk(&mut cluster, all, |_| CreatePartitionsRequest::default());
    walk(&mut cluster, all, |_| ElectLeadersRequest::default());
    walk(&mut cluster, all, |_| IncrementalAlterConfigsRequest::default());
    walk(&mut cluster, all, |_| DescribeClientQuotasRequest::default());
    walk(&mut cluster, all, |_| AlterClientQuotasRequest::default());
    walk(&mut cluster, all, |_| DescribeQuorumRequest::default());
    walk(&mut cluster, all, |_| DescribeAclsRequest::default());
    walk(&mut cluster, all, |_| CreateAclsRequest::default());
    walk(&mut cluster, all, |_| DeleteAclsRequest::default());
    walk(&mut cluster, all, |_| DescribeUserScramCredentialsRequest::default());
    walk(&mut cluster, all, |_| UpdateFeaturesRequest::default());
    walk(&mut cluster, all, |_| UnregisterBrokerRequest::default());
    walk(&mut cluster, all, |_| ListConfigResourcesRequest::default());
    walk(&mut cluster, all, |_| OffsetCommitRequest::default());
    walk(&mut cluster, all, |_| OffsetFetchRequest::default());
    walk(&mut cluster, all, |_| JoinGroupRequest::default());
    walk(&mut cluster, all, |_| HeartbeatRequest::default());
    walk(&mut cluster, all, |_| LeaveGroupRequest::default());
    walk(&mut cluster, all, |_| SyncGroupRequest::default());
    walk(&mut cluster, all, |_| DescribeGroupsRequest::default());
    walk(&mut cluster, all, |_| ListGroupsRequest::default());
    walk(&mut cluster, all, |_| AddPartitionsToTxnRequest::default());
    walk(&mut cluster, all, |_| AddOffsetsToTxnRequest::default());
    walk(&mut cluster, all, |_| EndTxnRequest::default());
    walk(&mut cluster, all, |_| TxnOffsetCommitRequest::default());
    walk(&mut cluster, all, |_| DeleteGroupsRequest::default());
    walk(&mut cluster, all, |_| AlterPartitionReassignmentsRequest::default());
    walk(&mut cluster, all, |_| ListPartitionReassignmentsRequest::default());
    walk(&mut cluster, all, |_| OffsetDeleteRequest::default());
    walk(&mut cluster, all, |_| DescribeTransactionsRequest::default());
    walk(&mut cluster, all, |_| ListTransactionsRequest::default());
    walk(&mut cluster, all, |_| ConsumerGroupHeartbeatRequest::default());
    walk(&mut cluster, all, |_| ConsumerGroupDescribeRequest::default());
    walk(&mut cluster, all, |_| ShareFetchRequest::default());
    walk(&mut cluster, all, |_| ShareAcknowledgeRequest::default());
    walk(&mut cluster, all, |_| InitializeShareGroupStateRequest::default());
    walk(&mut cluster, all, |_| ReadShareGroupStateRequest::default());
    walk(&mut cluster, all, |_| WriteShareGroupStateRequest::default());
    walk(&mut cluster, all, |_| DeleteShareGroupStateRequest::default());
    walk(&mut cluster, all, |_| ReadShareGroupStateSummaryRequest::default());
    walk(&mut cluster, all, |_| ShareGroupHeartbeatRequest::default());
    walk(&mut cluster, all, |_| ShareGroupDescribeRequest::default());
    walk(&mut cluster, all, |_| DescribeShareGroupOffsetsRequest::default());
    walk(&mut cluster, all, |_| AlterShareGroupOffsetsRequest::default());
    walk(&mut cluster, all, |_| DeleteShareGroupOffsetsRequest::default());
    let advertised = cluster.call(NODE, 4, &ApiVersionsRequest::default()).api_keys;
    let advertised: Vec<i16> = advertised.iter().map(|api| api.api_key).collect();
    walked.sort_unstable();
    assert_eq!(walked, advertised, "one walk per advertised key");
}

fn handle(cluster: &mut TestCluster, frame: Bytes) -> Result<Option<Vec<Bytes>>, CloseReason> {
    let broker = cluster.node(NODE).broker.clone();
    let peer = std::net::SocketAddr::from(([127, 0, 0, 1], 1));
    cluster.run(async move { broker.handle(&Connection::new(1, peer, false), frame).await })
}

#[test]
fn api_versions_in_an_unknown_version_is_answered_with_35_in_version_0() {
    let mut cluster = cluster();
    let mut frame = request_frame(4, 77, None, &ApiVersionsRequest::default()).expect("encodes").concat();
    frame[6..8].copy_from_slice(&99_i16.to_be_bytes());
    let answer = handle(&mut cluster, Bytes::from(frame).slice(4..)).expect("answered").expect("not silent");
    let (correlation, response) =
        decode_response::<ApiVersionsRequest>(Bytes::from(answer.concat()), 0).expect("version 0 layout");
    assert_eq!((correlation, response.error_code), (77, ErrorCode::UNSUPPORTED_VERSION));
    assert!(response.api_keys.iter().any(|api| api.api_key == ApiKey::ApiVersions as i16));
}

#[test]
fn unknown_keys_and_versions_close_the_connection() {
    let mut cluster = cluster();
    let metadata = request_frame(4, 1, None, &MetadataRequest::default()).expect("encodes").concat();
    let mut unknown_version = metadata.clone();
    unknown_version[6..8].copy_from_slice(&99_i16.to_be_bytes());
    let refused = handle(&mut cluster, Bytes::from(unknown_version).slice(4..));
    assert_eq!(refused, Err(CloseReason::Unsupported { api_key: 3, version: 99 }));
    let mut unknown_key = metadata.clone();
    unknown_key[4..6].copy_from_slice(&999_i16.to_be_bytes());
    let refused = handle(&mut cluster, Bytes::from(unknown_key).slice(4..));
    assert_eq!(refused, Err(CloseReason::Unsupported { api_key: 999, version: 4 }));
}

#[test]
fn what_follows_a_request_in_its_frame_changes_nothing() {
    let mut cluster = cluster();
    let metadata = request_frame(4, 1, None, &MetadataRequest::default()).expect("encodes").concat();
    let exact = handle(&mut cluster, Bytes::from(metadata[4..].to_vec()));
    let surplus = handle(&mut cluster, [&metadata[4..], b"!"].concat().into());
    assert!(surplus.is_ok());
    assert_eq!(surplus, exact);
}

#[test]
fn the_seven_byte_metadata_bomb_is_malformed() {
    let mut cluster = cluster();
    let header = request_frame(
        9,
        1,
        None,
        &MetadataRequest { topics: Some(Vec::new()), ..MetadataRequest::default() },
    )
    .expect("encodes")
    .concat();
    // Header of a flexible Metadata, then an array that claims almost 2^32 topics.
    let mut frame = header[4..15].to_vec();
    frame.extend([0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0]);
    assert!(matches!(handle(&mut cluster, frame.into()), Err(CloseReason::Malformed(_))));
}

#[test]
fn an_unknown_topic_is_told_from_an_unconfirmed_one() {
    let mut cluster = cluster();
    let unknown = cluster.fetch(NODE, "nope", 0, 0);
    assert_eq!(unknown.error_code, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    cluster.isolate(NODE);
    let unconfirmed = cluster.fetch(NODE, "nope", 0, 0);
    assert_eq!(unconfirmed.error_code, ErrorCode::NOT_LEADER_OR_FOLLOWER, "absence is a claim too");
}

#[test]
fn a_recreated_topic_never_answers_for_the_old_id() {
    let mut cluster = cluster();
    let old = cluster.key("t", 0).topic;
    cluster.send("t", "old");
    let request =
        DeleteTopicsRequest { topic_names: vec!["t".to_owned()], timeout_ms: 1_000, ..Default::default() };
    let deleted = cluster.call(NODE, 5, &request);
    assert_eq!(deleted.responses[0].error_code, ErrorCode::NONE);
    cluster.create_topic("t", 1, &[]);
    let mut request = fetch_request("t", 0, 0);
    request.topics[0].topic_id = old;
    let data = cluster.fetch_version(NODE, 13, request);
    assert_eq!(data.error_code, ErrorCode::UNKNOWN_TOPIC_ID);
    assert_eq!(cluster.fetch(NODE, "t", 0, 0).high_watermark, 0, "the new topic is empty");
}

/// With its bug planted each of these scenarios fails.
#[cfg(feature = "mutants")]
#[test]
fn the_scenarios_above_kill_their_bugs() {
    use chronik_mutants::Mutant;
    use harness::killed;

    killed(Mutant::MetadataUngated, an_unknown_topic_is_told_from_an_unconfirmed_one);
}
