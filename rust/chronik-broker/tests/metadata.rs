//! What clients are told about the cluster: Metadata, DescribeCluster, DescribeTopicPartitions.

mod harness;

use std::collections::{BTreeMap, BTreeSet};

use chronik_broker::CloseReason;
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::create_topics::{
    CreatableReplicaAssignment, CreatableTopic, CreateTopicsRequest,
};
use chronik_wire::messages::describe_cluster::DescribeClusterRequest;
use chronik_wire::messages::describe_topic_partitions::{
    Cursor, DescribeTopicPartitionsRequest, TopicRequest,
};
use chronik_wire::messages::metadata::{
    MetadataRequest, MetadataRequestTopic, MetadataResponse, MetadataResponseTopic,
};
use chronik_wire::types::{NodeId, TopicId};
use harness::{Options, TestCluster};

const VERSION: i16 = 12;
const PINNED_PORT: i32 = 20_000;
const PORT: i32 = 10_000;

fn named(names: &[&str], may_create: bool) -> MetadataRequest {
    let topic =
        |name: &&str| MetadataRequestTopic { name: Some((*name).to_owned()), topic_id: TopicId::ZERO };
    MetadataRequest {
        topics: Some(names.iter().map(topic).collect()),
        allow_auto_topic_creation: may_create,
        ..MetadataRequest::default()
    }
}

fn all() -> MetadataRequest {
    MetadataRequest { topics: None, ..MetadataRequest::default() }
}

fn pinned(cluster: &mut TestCluster, node: NodeId, request: &MetadataRequest) -> MetadataResponse {
    let answer = cluster.ask(node, true, VERSION, request);
    cluster.run(answer).expect("the connection stays open").expect("there is an answer")
}

fn broker_ids(response: &MetadataResponse) -> Vec<i32> {
    response.brokers.iter().map(|broker| broker.node_id).collect()
}

fn only(response: MetadataResponse) -> MetadataResponseTopic {
    assert_eq!(response.topics.len(), 1);
    response.topics.into_iter().next().expect("one topic")
}

fn auto_create_off() -> Options {
    let config = BTreeMap::from([("auto.create.topics.enable".to_owned(), "false".to_owned())]);
    Options { config, ..Options::default() }
}

/// A topic whose one replica is on node 1.
fn create_on_node_one(cluster: &mut TestCluster, name: &str) {
    let request = CreateTopicsRequest {
        topics: vec![CreatableTopic {
            name: name.to_owned(),
            num_partitions: -1,
            replication_factor: -1,
            assignments: vec![CreatableReplicaAssignment { partition_index: 0, broker_ids: vec![1] }],
            configs: Vec::new(),
        }],
        timeout_ms: 5_000,
        validate_only: false,
    };
    assert_eq!(cluster.call(NodeId(2), 7, &request).topics[0].error_code, ErrorCode::NONE);
}

#[test]
fn every_node_tells_the_same_story_in_every_version() {
    let mut cluster = TestCluster::start(3, &Options::default());
    cluster.create_topic("t", 3, &[]);
    for version in 0..=13 {
        let mut stories = BTreeSet::new();
        for node in 1..=3 {
            let response = cluster.call(NodeId(node), version, &named(&["t"], false));
            assert_eq!(broker_ids(&response), [1, 2, 3], "v{version}");
            let first = &response.brokers[0];
            assert_eq!((first.host.as_str(), first.port), ("127.0.0.1", PORT + 1));
            assert_eq!(first.rack.as_deref(), (version >= 1).then_some("rack-1"));
            if version >= 1 {
                assert!((1..=3).contains(&response.controller_id), "v{version}");
            }
            assert_eq!(response.cluster_id.is_some(), version >= 2);
            stories.insert(format!("{response:?}"));
            let topic = only(response);
            assert_eq!((topic.error_code, topic.name.as_deref()), (ErrorCode::NONE, Some("t")));
            assert_eq!(topic.topic_id != TopicId::ZERO, version >= 10);
            assert_eq!(topic.partitions.len(), 3);
            for partition in &topic.partitions {
                assert_eq!(partition.error_code, ErrorCode::NONE);
                assert!(partition.replica_nodes.contains(&partition.leader_id));
                assert_eq!(partition.isr_nodes.len(), 3, "every voter starts in sync");
                assert_eq!(partition.leader_epoch > 0, version >= 7);
            }
        }
        assert_eq!(stories.len(), 1, "v{version}: nodes differ: {stories:#?}");
    }
}

#[test]
fn leaders_of_one_topic_are_spread() {
    let mut cluster = TestCluster::start(3, &Options::default());
    cluster.create_topic("t", 3, &[]);
    let topic = only(cluster.call(NodeId(2), VERSION, &named(&["t"], false)));
    let leaders: BTreeSet<_> = topic.partitions.iter().map(|partition| partition.leader_id).collect();
    assert_eq!(leaders.len(), 3);
}

#[test]
fn null_asks_for_all_topics_and_an_empty_list_for_none_from_version_one() {
    let mut cluster = TestCluster::start(1, &Options::default());
    cluster.create_topic("b", 1, &[]);
    cluster.create_topic("aa", 1, &[]);
    let names = |response: MetadataResponse| -> Vec<String> {
        response.topics.into_iter().filter_map(|topic| topic.name).collect()
    };
    for version in 1..=13 {
        assert_eq!(names(cluster.call(NodeId(1), version, &all())), ["aa", "b"], "v{version}");
        assert!(names(cluster.call(NodeId(1), version, &named(&[], false))).is_empty(), "v{version}");
    }
    assert_eq!(names(cluster.call(NodeId(1), 0, &named(&[], false))), ["aa", "b"]);
    let twice = cluster.call(NodeId(1), VERSION, &named(&["b", "b"], false));
    assert_eq!(names(twice), ["b"], "a topic named twice is described once");
}

#[test]
fn a_request_passes_the_gate_and_a_hundred_at_once_share_it() {
    let mut cluster = TestCluster::start(3, &Options::default());
    cluster.create_topic("t", 1, &[]);
    let follower =
        (1..=3).map(NodeId).find(|node| Some(*node) != cluster.leader(meta())).expect("a follower");
    let before = cluster.node(follower).gate_rounds();
    cluster.call(follower, VERSION, &all());
    let one = cluster.node(follower).gate_rounds() - before;
    assert_eq!(one, 1, "the gate is passed");

    let before = cluster.node(follower).gate_rounds();
    let asked = (0..100).map(|_| cluster.ask(follower, false, VERSION, &all())).collect();
    assert!(cluster.run_all(asked).iter().all(Result::is_ok));
    let shared = cluster.node(follower).gate_rounds() - before;
    assert!((1..=2).contains(&shared), "{shared} rounds for 100 requests");
}

fn meta() -> chronik_wire::types::PartitionKey {
    chronik_wire::types::PartitionKey::META
}

#[test]
fn unknown_topics_and_ids_are_told_apart_and_nothing_is_created_unasked() {
    let mut cluster = TestCluster::start(1, &Options::default());
    let absent =
        cluster.call(NodeId(1), VERSION, &named(&["absent", "bad name", "__consumer_offsets"], false));
    let codes: Vec<_> = absent.topics.iter().map(|topic| topic.error_code).collect();
    let unknown = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
    assert_eq!(codes, [unknown, ErrorCode::INVALID_TOPIC_EXCEPTION, unknown]);

    cluster.create_topic("t", 1, &[]);
    let id = cluster.key("t", 0).topic;
    let by_id = |id| MetadataRequest {
        topics: Some(vec![MetadataRequestTopic { name: None, topic_id: id }]),
        ..MetadataRequest::default()
    };
    let found = only(cluster.call(NodeId(1), VERSION, &by_id(id)));
    assert_eq!((found.error_code, found.name.as_deref()), (ErrorCode::NONE, Some("t")));
    let missing = only(cluster.call(NodeId(1), VERSION, &by_id(TopicId(5))));
    assert_eq!(
        (missing.error_code, missing.name, missing.topic_id),
        (ErrorCode::UNKNOWN_TOPIC_ID, None, TopicId(5))
    );
    let nothing = only(cluster.call(NodeId(1), VERSION, &by_id(TopicId::ZERO)));
    assert_eq!(nothing.error_code, ErrorCode::INVALID_REQUEST);
    let too_old = only(cluster.call(NodeId(1), 11, &by_id(id)));
    assert_eq!((too_old.error_code, too_old.name.as_deref()), (ErrorCode::INVALID_REQUEST, Some("")));
    assert_eq!(cluster.node(NodeId(1)).broker.node().image().topic_count(), 1);
}

#[test]
fn a_topic_created_on_first_use_is_usable_at_every_node_in_the_same_answer() {
    let mut cluster = TestCluster::start(3, &Options::default());
    for (version, name) in [(1, "old"), (12, "new")] {
        let topic = only(cluster.call(NodeId(2), version, &named(&[name], true)));
        assert_eq!(topic.error_code, ErrorCode::NONE);
        assert_eq!(topic.partitions.len(), 1);
        assert_eq!(topic.partitions[0].replica_nodes.len(), 3);
        for node in 1..=3 {
            let seen = only(cluster.call(NodeId(node), version, &named(&[name], false)));
            assert_eq!(seen.partitions, topic.partitions, "node {node}");
        }
    }
    let flag_is_ignored_before_4 = only(cluster.call(NodeId(2), 3, &named(&["three"], true)));
    assert_eq!(flag_is_ignored_before_4.error_code, ErrorCode::NONE);
    let asked = named(&["bad name", "__meta", "__consumer_offsets", "__x"], true);
    let refused = cluster.call(NodeId(2), VERSION, &asked);
    let codes: Vec<_> = refused.topics.iter().map(|topic| topic.error_code).collect();
    // Internal topics are the brokers' to create; a name that only looks like theirs is anybody's.
    let invalid = ErrorCode::INVALID_TOPIC_EXCEPTION;
    assert_eq!(codes, [invalid, invalid, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, ErrorCode::NONE]);
}

#[test]
fn first_use_by_two_clients_at_two_nodes_makes_one_topic() {
    let mut cluster = TestCluster::start(3, &Options::default());
    let asked = [1, 3].map(|node| cluster.ask(NodeId(node), false, VERSION, &named(&["t"], true)));
    let answers = cluster.run_all(asked.into());
    let topics: Vec<_> =
        answers.into_iter().map(|answer| only(answer.expect("open").expect("answered"))).collect();
    assert_eq!(topics[0], topics[1]);
    assert_eq!(topics[0].error_code, ErrorCode::NONE);
}

#[test]
fn with_creation_on_first_use_off_nothing_is_created() {
    let mut cluster = TestCluster::start(1, &auto_create_off());
    let topic = only(cluster.call(NodeId(1), 1, &named(&["t"], true)));
    assert_eq!(topic.error_code, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    assert_eq!(cluster.node(NodeId(1)).broker.node().image().topic_count(), 0);
}

#[test]
fn a_dead_node_is_dropped_and_its_replicas_are_offline() {
    let mut cluster = TestCluster::start(3, &Options::default());
    cluster.create_topic("t", 3, &[]);
    cluster.freeze(NodeId(3));
    cluster.wait_for("the others to lead everything", |cluster| {
        (0..3).all(|index| cluster.leader(cluster.key("t", index)).is_some_and(|leader| leader != NodeId(3)))
            && cluster.node(NodeId(1)).broker.node().view(|view| !view.is_alive(NodeId(3)))
    });
    let response = cluster.call(NodeId(1), VERSION, &named(&["t"], false));
    assert_eq!(broker_ids(&response), [1, 2]);
    for partition in only(response).partitions {
        assert_eq!(partition.error_code, ErrorCode::NONE);
        assert_eq!(partition.offline_replicas, [3]);
        assert_eq!(partition.replica_nodes.len(), 3);
    }
    let fenced =
        |include_fenced_brokers| DescribeClusterRequest { include_fenced_brokers, ..Default::default() };
    assert_eq!(cluster.call(NodeId(1), 2, &fenced(false)).brokers.len(), 2);
    let everybody = cluster.call(NodeId(1), 2, &fenced(true)).brokers;
    let dead: Vec<_> =
        everybody.iter().filter(|broker| broker.is_fenced).map(|broker| broker.broker_id).collect();
    assert_eq!((everybody.len(), dead), (3, vec![3]));

    cluster.thaw(NodeId(3));
    cluster.wait_for("node 3 to be back", |cluster| {
        cluster.node(NodeId(1)).broker.node().view(|view| view.is_alive(NodeId(3)))
    });
    assert_eq!(broker_ids(&cluster.call(NodeId(1), VERSION, &all())), [1, 2, 3]);
}

#[test]
fn a_node_that_is_cut_off_names_the_others_and_claims_nothing() {
    let mut cluster = TestCluster::start(3, &Options::default());
    cluster.create_topic("t", 1, &[]);
    cluster.isolate(NodeId(2));
    cluster.wait_for("node 2 to be missed", |cluster| {
        cluster.node(NodeId(1)).broker.node().view(|view| !view.is_alive(NodeId(2)))
    });
    let response = cluster.call(NodeId(2), VERSION, &named(&["t", "absent"], true));
    assert_eq!(broker_ids(&response), [1, 3]);
    assert_eq!(response.controller_id, -1);
    for topic in &response.topics {
        assert_eq!(topic.error_code, ErrorCode::LEADER_NOT_AVAILABLE, "neither present nor absent is known");
        assert!(topic.partitions.is_empty());
    }
    let everything = cluster.ask(NodeId(2), false, VERSION, &all());
    assert!(matches!(cluster.run(everything), Err(CloseReason::Unanswerable(_))));
    let described = cluster.call(NodeId(2), 1, &DescribeClusterRequest::default());
    assert_eq!(described.error_code, ErrorCode::LEADER_NOT_AVAILABLE);
    assert_eq!(described.brokers.iter().map(|broker| broker.broker_id).collect::<Vec<_>>(), [1, 3]);

    assert_eq!(broker_ids(&cluster.call(NodeId(1), VERSION, &all())), [1, 3], "the others have dropped it");
    cluster.recover();
    cluster.wait_for("node 2 to be back", |cluster| {
        cluster.node(NodeId(1)).broker.node().view(|view| view.is_alive(NodeId(2)))
    });
    assert_eq!(broker_ids(&cluster.call(NodeId(2), VERSION, &all())), [1, 2, 3]);
}

#[test]
fn the_pinned_address_shows_one_node_that_leads_what_it_holds() {
    let mut cluster = TestCluster::start(3, &Options::default());
    cluster.create_topic("t", 3, &[]);
    create_on_node_one(&mut cluster, "alone");
    for node in 1..=3 {
        let response = pinned(&mut cluster, NodeId(node), &named(&["t", "alone"], false));
        assert_eq!(broker_ids(&response), [node]);
        assert_eq!(response.brokers[0].port, PINNED_PORT + node);
        assert_eq!(response.controller_id, node);
        for partition in &response.topics[0].partitions {
            assert_eq!((partition.error_code, partition.leader_id), (ErrorCode::NONE, node));
            assert_eq!((&partition.replica_nodes, &partition.isr_nodes), (&vec![node], &vec![node]));
            assert!(partition.leader_epoch > 0);
        }
        let elsewhere = &response.topics[1].partitions[0];
        let expected = if node == 1 { (ErrorCode::NONE, 1) } else { (ErrorCode::LEADER_NOT_AVAILABLE, -1) };
        assert_eq!((elsewhere.error_code, elsewhere.leader_id), expected);
    }
}

#[test]
fn operations_are_listed_only_when_asked_for() {
    let mut cluster = TestCluster::start(1, &Options::default());
    cluster.create_topic("t", 1, &[]);
    let silent = cluster.call(NodeId(1), 8, &named(&["t"], false));
    assert_eq!(silent.cluster_authorized_operations, i32::MIN);
    assert_eq!(only(silent).topic_authorized_operations, i32::MIN);
    let asking = MetadataRequest {
        include_cluster_authorized_operations: true,
        include_topic_authorized_operations: true,
        ..named(&["t"], false)
    };
    let told = cluster.call(NodeId(1), 8, &asking);
    assert!(told.cluster_authorized_operations > 0);
    assert!(only(told).topic_authorized_operations > 0);
}

#[test]
fn describe_cluster_serves_brokers_and_refuses_other_endpoints() {
    let mut cluster = TestCluster::start(3, &Options::default());
    let described = cluster.call(NodeId(2), 0, &DescribeClusterRequest::default());
    assert_eq!((described.error_code, described.brokers.len()), (ErrorCode::NONE, 3));
    assert_eq!(described.cluster_id.len(), 22);
    assert!((1..=3).contains(&described.controller_id));
    let kind = |endpoint_type| DescribeClusterRequest { endpoint_type, ..Default::default() };
    assert_eq!(cluster.call(NodeId(2), 1, &kind(2)).error_code, ErrorCode::MISMATCHED_ENDPOINT_TYPE);
    assert_eq!(cluster.call(NodeId(2), 1, &kind(3)).error_code, ErrorCode::UNSUPPORTED_ENDPOINT_TYPE);
}

fn page(names: &[&str], limit: i32, cursor: Option<(&str, i32)>) -> DescribeTopicPartitionsRequest {
    DescribeTopicPartitionsRequest {
        topics: names.iter().map(|name| TopicRequest { name: (*name).to_owned() }).collect(),
        response_partition_limit: limit,
        cursor: cursor
            .map(|(topic, partition_index)| Cursor { topic_name: topic.to_owned(), partition_index }),
    }
}

#[test]
fn topics_are_paged_by_partition_and_every_partition_comes_once() {
    let mut cluster = TestCluster::start(1, &Options::default());
    for (name, partitions) in [("c", 2), ("a", 3), ("b", 1)] {
        cluster.create_topic(name, partitions, &[]);
    }
    let whole = [("a", 0), ("a", 1), ("a", 2), ("b", 0), ("c", 0), ("c", 1)];
    for limit in 1..=7 {
        let mut seen: Vec<(String, i32)> = Vec::new();
        let mut cursor: Option<Cursor> = None;
        loop {
            let request = DescribeTopicPartitionsRequest { cursor: cursor.clone(), ..page(&[], limit, None) };
            let response = cluster.call(NodeId(1), 0, &request);
            let got: usize = response.topics.iter().map(|topic| topic.partitions.len()).sum();
            assert!(got <= limit as usize && got > 0, "limit {limit}: {got}");
            for topic in &response.topics {
                let name = topic.name.clone().expect("named");
                seen.extend(
                    topic.partitions.iter().map(|partition| (name.clone(), partition.partition_index)),
                );
            }
            cursor = response.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        assert!(
            seen.iter().map(|(name, index)| (name.as_str(), *index)).eq(whole),
            "limit {limit}: {seen:?}"
        );
    }
}

#[test]
fn a_page_goes_on_behind_a_deleted_topic_and_unknown_topics_take_no_room() {
    let mut cluster = TestCluster::start(1, &Options::default());
    cluster.create_topic("a", 1, &[]);
    cluster.create_topic("c", 1, &[]);
    let behind = cluster.call(NodeId(1), 0, &page(&[], 10, Some(("b", 4))));
    assert_eq!(behind.topics.len(), 1);
    assert_eq!(behind.topics[0].name.as_deref(), Some("c"));

    let mixed = cluster.call(NodeId(1), 0, &page(&["c", "x", "a"], 1, None));
    let got: Vec<_> = mixed.topics.iter().map(|topic| (topic.name.as_deref(), topic.error_code)).collect();
    assert_eq!(got, [(Some("a"), ErrorCode::NONE)]);
    let next = mixed.next_cursor.expect("more to come");
    assert_eq!((next.topic_name.as_str(), next.partition_index), ("c", 0));
    let rest = cluster.call(NodeId(1), 0, &page(&["c", "x", "a"], 1, Some(("c", 0))));
    let got: Vec<_> = rest.topics.iter().map(|topic| (topic.name.as_deref(), topic.error_code)).collect();
    assert_eq!(got, [(Some("c"), ErrorCode::NONE), (Some("x"), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)]);
    assert!(rest.next_cursor.is_none());

    let negative = cluster.ask(NodeId(1), false, 0, &page(&[], 1, Some(("a", -1))));
    assert!(matches!(cluster.run(negative), Err(CloseReason::Unanswerable(_))));
}
