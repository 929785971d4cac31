//! Requests that a test counts, delays or refuses: nothing of a refused request happens, whatever its API.

mod harness;

use chronik_broker::{Interception, InterceptionRule};
use chronik_wire::api::{ApiKey, Request};
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::*;
use chronik_wire::types::NodeId;
use harness::client::{fetch_request, one, produce_request, values};
use harness::{Options, TestCluster, connection};

const NODE: NodeId = NodeId(1);

fn cluster() -> (TestCluster, Options) {
    let options = Options::default();
    let mut cluster = TestCluster::start(3, &options);
    cluster.create_topic("orders", 1, &[]);
    cluster.create_topic("other", 1, &[]);
    (cluster, options)
}

fn rule(api: ApiKey) -> InterceptionRule {
    InterceptionRule { api, topic: None, node: None, error: None, delay_ms: 0, times: None }
}

fn intercept(options: &Options, rule: InterceptionRule) -> Interception {
    options.interceptions.add(rule).expect("a rule that may strike")
}

fn leader(cluster: &TestCluster, topic: &str) -> NodeId {
    cluster.leader(cluster.key(topic, 0)).expect("a leader")
}

/// Records behind the gate of the leader.
fn stored(cluster: &mut TestCluster, topic: &str) -> Vec<String> {
    let leader = leader(cluster, topic);
    values(&cluster.fetch(leader, topic, 0, 0))
}

#[test]
fn a_refused_produce_leaves_nothing_and_the_next_one_is_served() {
    let (mut cluster, options) = cluster();
    let error = Some(ErrorCode::NOT_ENOUGH_REPLICAS);
    let topic = Some("orders".to_owned());
    let refused =
        intercept(&options, InterceptionRule { error, topic, times: Some(1), ..rule(ApiKey::Produce) });
    let leader = leader(&cluster, "orders");
    let answer = cluster.produce(leader, "orders", one("refused"));
    assert_eq!((answer.error_code, answer.base_offset), (ErrorCode::NOT_ENOUGH_REPLICAS, -1));
    assert_eq!((refused.count(), refused.is_active()), (1, false));
    assert_eq!(cluster.produce(leader, "orders", one("served")).error_code, ErrorCode::NONE);
    assert_eq!(stored(&mut cluster, "orders"), ["served"]);
    assert_eq!(refused.count(), 1);
}

#[test]
fn a_rule_for_one_topic_leaves_the_others_of_a_request_alone() {
    let (mut cluster, options) = cluster();
    let node = leader(&cluster, "orders");
    cluster.send("orders", "a");
    cluster.send("other", "b");
    let topic = Some("orders".to_owned());
    let error = Some(ErrorCode::UNKNOWN_SERVER_ERROR);
    for api in [ApiKey::Fetch, ApiKey::Metadata] {
        intercept(&options, InterceptionRule { topic: topic.clone(), error, ..rule(api) });
    }
    // By name in version 12 and by id in version 13; the second is an incremental fetch, which names nothing.
    for version in [12, 13] {
        let mut request = fetch_request("orders", 0, 100);
        request.topics.extend(fetch_request("other", 0, 100).topics);
        for topic in &mut request.topics {
            topic.topic_id = cluster.key(&topic.topic, 0).topic;
        }
        (request.session_id, request.session_epoch) = (0, 0);
        let first = cluster.call(node, version, &request);
        let codes: Vec<_> = first.responses.iter().map(|topic| topic.partitions[0].error_code).collect();
        assert_eq!(codes, [ErrorCode::UNKNOWN_SERVER_ERROR, ErrorCode::NONE], "version {version}");
        (request.session_id, request.session_epoch) = (first.session_id, 1);
        request.topics.clear();
        let second = cluster.call(node, version, &request);
        let mut codes = second.responses.iter().map(|topic| topic.partitions[0].error_code);
        assert!(codes.any(|code| code == ErrorCode::UNKNOWN_SERVER_ERROR), "version {version}");
    }
    let metadata = cluster.call(NODE, 9, &MetadataRequest { topics: None, ..MetadataRequest::default() });
    assert_eq!(metadata.brokers.len(), 3);
    for topic in metadata.topics {
        let refused = topic.name.as_deref() == Some("orders");
        let code = if refused { ErrorCode::UNKNOWN_SERVER_ERROR } else { ErrorCode::NONE };
        assert_eq!(topic.error_code, code, "{:?}", topic.name);
        assert_eq!(topic.partitions.is_empty(), refused, "{:?}", topic.name);
    }
}

#[test]
fn a_rule_for_a_node_strikes_there_only() {
    let (mut cluster, options) = cluster();
    let node = Some(NodeId(2));
    let error = Some(ErrorCode::NOT_CONTROLLER);
    let struck = intercept(&options, InterceptionRule { node, error, ..rule(ApiKey::DescribeCluster) });
    let request = DescribeClusterRequest { endpoint_type: 1, ..DescribeClusterRequest::default() };
    assert_eq!(cluster.call(NODE, 0, &request).error_code, ErrorCode::NONE);
    assert_eq!(cluster.call(NodeId(2), 0, &request).error_code, ErrorCode::NOT_CONTROLLER);
    struck.remove();
    assert_eq!(cluster.call(NodeId(2), 0, &request).error_code, ErrorCode::NONE);
    assert_eq!(struck.count(), 1);
}

#[test]
fn produces_behind_a_delayed_one_do_not_overtake_it() {
    let (mut cluster, options) = cluster();
    let leader = leader(&cluster, "orders");
    let delayed =
        intercept(&options, InterceptionRule { delay_ms: 2_000, times: Some(1), ..rule(ApiKey::Produce) });
    let began_ms = cluster.now_ms();
    let connection = connection(false);
    let answers = ["first", "second"].map(|value| {
        cluster.ask_on(&connection, leader, 9, &produce_request("orders", 0, one(value), -1, 1_000))
    });
    for answer in cluster.run_all(answers.into_iter().collect()) {
        let answer = answer.expect("open").expect("answered");
        // Their time-out of one second began after the delay.
        assert_eq!(answer.responses[0].partition_responses[0].error_code, ErrorCode::NONE);
    }
    assert!(cluster.now_ms() >= began_ms + 2_000, "{} ms", cluster.now_ms() - began_ms);
    assert_eq!(delayed.count(), 1);
    assert_eq!(stored(&mut cluster, "orders"), ["first", "second"]);
}

#[test]
fn a_request_that_is_carried_to_another_node_is_struck_once() {
    let (mut cluster, options) = cluster();
    let counted = intercept(&options, rule(ApiKey::OffsetFetch));
    for node in [NodeId(1), NodeId(2), NodeId(3)] {
        let request = OffsetFetchRequest { group_id: "g".to_owned(), ..OffsetFetchRequest::default() };
        // The coordinators' topic is made on first use, so that the answer may be "not yet".
        let answer = cluster.ask(node, true, 5, &request);
        cluster.run(answer).expect("open").expect("answered");
    }
    assert_eq!(counted.count(), 3);
}

/// Every version of an API answers with the error it is told to answer with.
fn refuse<R: Request>(
    cluster: &mut TestCluster,
    options: &Options,
    walked: &mut Vec<i16>,
    request: impl Fn(i16) -> R,
) {
    let code = ErrorCode::THROTTLING_QUOTA_EXCEEDED;
    let struck = intercept(options, InterceptionRule { error: Some(code), ..rule(R::KEY) });
    let versions = R::KEY.layouts();
    let count = versions.clone().count() as u64;
    for version in versions {
        let answer = format!("{:?}", cluster.call(NODE, version, &request(version)));
        assert!(answer.contains("THROTTLING_QUOTA_EXCEEDED"), "{} version {version}: {answer}", R::KEY);
    }
    assert_eq!(struck.count(), count, "{}", R::KEY);
    struck.remove();
    walked.push(R::KEY as i16);
}

fn named<T>(topic: T) -> Vec<T> {
    vec![topic]
}

const TOPIC: &str = "orders";

#[test]
fn every_api_can_be_refused_in_every_version() {
    let (mut cluster, options) = cluster();
    let topic_id = cluster.key(TOPIC, 0).topic;
    let name = || TOPIC.to_owned();
    let mut walked = Vec::new();
    macro_rules! refuse {
        ($request:expr) => {
            refuse(&mut cluster, &options, &mut walked, |_version| $request)
        };
    }
    // Those with one error for all.
    refuse!(ApiVersionsRequest::default());
    refuse!(JoinGroupRequest::default());
    refuse!(SyncGroupRequest::default());
    refuse!(HeartbeatRequest::default());
    refuse!(LeaveGroupRequest::default());
    refuse!(ListGroupsRequest::default());
    refuse!(InitProducerIdRequest::default());
    refuse!(AddOffsetsToTxnRequest::default());
    refuse!(EndTxnRequest::default());
    refuse!(ListTransactionsRequest::default());
    refuse!(ConsumerGroupHeartbeatRequest::default());
    refuse!(ShareGroupHeartbeatRequest::default());
    refuse!(AlterShareGroupOffsetsRequest::default());
    refuse!(DeleteShareGroupOffsetsRequest::default());
    refuse!(DescribeAclsRequest::default());
    refuse!(DescribeClientQuotasRequest::default());
    refuse!(DescribeClusterRequest::default());
    refuse!(DescribeUserScramCredentialsRequest::default());
    refuse!(ListConfigResourcesRequest::default());
    refuse!(UnregisterBrokerRequest::default());
    refuse!(UpdateFeaturesRequest::default());
    refuse!(DescribeQuorumRequest::default());
    refuse!(OffsetDeleteRequest::default());
    refuse!(AlterPartitionReassignmentsRequest::default());
    refuse!(ListPartitionReassignmentsRequest::default());
    refuse!(DescribeLogDirsRequest::default());
    refuse!(FindCoordinatorRequest {
        coordinator_keys: named("g".to_owned()),
        ..FindCoordinatorRequest::default()
    });
    // Those with an error for everything that the request names.
    refuse!({
        let mut request = produce_request(TOPIC, 0, one("v"), -1, 1_000);
        request.topic_data[0].topic_id = topic_id;
        request
    });
    refuse!({
        let mut request = fetch_request(TOPIC, 0, 0);
        request.topics[0].topic_id = topic_id;
        request
    });
    refuse!(ListOffsetsRequest {
        topics: named(list_offsets::ListOffsetsTopic { name: name(), partitions: named(Default::default()) }),
        ..ListOffsetsRequest::default()
    });
    refuse!(MetadataRequest {
        topics: Some(named(metadata::MetadataRequestTopic { name: Some(name()), ..Default::default() })),
        ..MetadataRequest::default()
    });
    refuse!(OffsetForLeaderEpochRequest {
        topics: named(offset_for_leader_epoch::OffsetForLeaderTopic {
            topic: name(),
            partitions: named(Default::default()),
        }),
        ..OffsetForLeaderEpochRequest::default()
    });
    refuse!(DeleteRecordsRequest {
        topics: named(delete_records::DeleteRecordsTopic {
            name: name(),
            partitions: named(Default::default())
        }),
        ..DeleteRecordsRequest::default()
    });
    refuse!(DescribeProducersRequest {
        topics: named(describe_producers::TopicRequest { name: name(), partition_indexes: named(0) }),
    });
    refuse!(DescribeTopicPartitionsRequest {
        topics: named(describe_topic_partitions::TopicRequest { name: name() }),
        ..DescribeTopicPartitionsRequest::default()
    });
    refuse!(WriteTxnMarkersRequest {
        markers: named(write_txn_markers::WritableTxnMarker {
            topics: named(write_txn_markers::WritableTxnMarkerTopic {
                name: name(),
                partition_indexes: named(0)
            }),
            ..Default::default()
        }),
    });
    refuse!(OffsetCommitRequest {
        topics: named(offset_commit::OffsetCommitRequestTopic {
            name: name(),
            topic_id,
            partitions: named(Default::default()),
        }),
        ..OffsetCommitRequest::default()
    });
    refuse!(TxnOffsetCommitRequest {
        topics: named(txn_offset_commit::TxnOffsetCommitRequestTopic {
            name: name(),
            partitions: named(Default::default()),
        }),
        ..TxnOffsetCommitRequest::default()
    });
    refuse!(OffsetFetchRequest {
        topics: Some(named(offset_fetch::OffsetFetchRequestTopic {
            name: name(),
            partition_indexes: named(0)
        })),
        groups: named(Default::default()),
        ..OffsetFetchRequest::default()
    });
    refuse!(AddPartitionsToTxnRequest {
        v3_and_below_topics: named(add_partitions_to_txn::AddPartitionsToTxnTopic {
            name: name(),
            partitions: named(0),
        }),
        ..AddPartitionsToTxnRequest::default()
    });
    refuse!(DescribeGroupsRequest { groups: named("g".to_owned()), ..DescribeGroupsRequest::default() });
    refuse!(ConsumerGroupDescribeRequest {
        group_ids: named("g".to_owned()),
        ..ConsumerGroupDescribeRequest::default()
    });
    refuse!(ShareGroupDescribeRequest {
        group_ids: named("g".to_owned()),
        ..ShareGroupDescribeRequest::default()
    });
    refuse!(DescribeShareGroupOffsetsRequest { groups: named(Default::default()) });
    refuse!(DeleteGroupsRequest { groups_names: named("g".to_owned()) });
    refuse!(DescribeTransactionsRequest { transactional_ids: named("t".to_owned()) });
    refuse!(CreateTopicsRequest {
        topics: named(create_topics::CreatableTopic { name: "new".to_owned(), ..Default::default() }),
        ..CreateTopicsRequest::default()
    });
    refuse!(DeleteTopicsRequest {
        topics: named(delete_topics::DeleteTopicState { name: Some(name()), ..Default::default() }),
        topic_names: named(name()),
        ..DeleteTopicsRequest::default()
    });
    refuse!(CreatePartitionsRequest {
        topics: named(create_partitions::CreatePartitionsTopic { name: name(), ..Default::default() }),
        ..CreatePartitionsRequest::default()
    });
    refuse!(DescribeConfigsRequest {
        resources: named(Default::default()),
        ..DescribeConfigsRequest::default()
    });
    refuse!(AlterConfigsRequest { resources: named(Default::default()), ..AlterConfigsRequest::default() });
    refuse!(IncrementalAlterConfigsRequest {
        resources: named(Default::default()),
        ..IncrementalAlterConfigsRequest::default()
    });
    refuse!(CreateAclsRequest { creations: named(Default::default()) });
    refuse!(DeleteAclsRequest { filters: named(Default::default()) });
    refuse!(AlterClientQuotasRequest {
        entries: named(Default::default()),
        ..AlterClientQuotasRequest::default()
    });
    refuse!(AlterReplicaLogDirsRequest {
        dirs: named(alter_replica_log_dirs::AlterReplicaLogDir {
            topics: named(alter_replica_log_dirs::AlterReplicaLogDirTopic {
                name: name(),
                partitions: named(0)
            }),
            ..Default::default()
        }),
    });
    refuse!(ElectLeadersRequest {
        topic_partitions: Some(named(elect_leaders::TopicPartitions { topic: name(), partitions: named(0) })),
        ..ElectLeadersRequest::default()
    });
    refuse!(ShareFetchRequest::default());
    refuse!(ShareAcknowledgeRequest::default());
    refuse!(InitializeShareGroupStateRequest {
        topics: named(initialize_share_group_state::InitializeStateData {
            topic_id,
            partitions: named(Default::default()),
        }),
        ..InitializeShareGroupStateRequest::default()
    });
    refuse!(ReadShareGroupStateRequest {
        topics: named(read_share_group_state::ReadStateData {
            topic_id,
            partitions: named(Default::default())
        }),
        ..ReadShareGroupStateRequest::default()
    });
    refuse!(WriteShareGroupStateRequest {
        topics: named(write_share_group_state::WriteStateData {
            topic_id,
            partitions: named(Default::default())
        }),
        ..WriteShareGroupStateRequest::default()
    });
    refuse!(DeleteShareGroupStateRequest {
        topics: named(delete_share_group_state::DeleteStateData {
            topic_id,
            partitions: named(Default::default())
        }),
        ..DeleteShareGroupStateRequest::default()
    });
    refuse!(ReadShareGroupStateSummaryRequest {
        topics: named(read_share_group_state_summary::ReadStateSummaryData {
            topic_id,
            partitions: named(Default::default()),
        }),
        ..ReadShareGroupStateSummaryRequest::default()
    });
    let advertised = cluster.call(NODE, 4, &ApiVersionsRequest::default()).api_keys;
    let advertised: Vec<i16> = advertised.iter().map(|api| api.api_key).collect();
    walked.sort_unstable();
    assert_eq!(walked, advertised, "one refusal per advertised key");
}
