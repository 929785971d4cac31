//! CreateTopics and DeleteTopics: what a client can rely on once it has the answer.

mod harness;

use std::collections::BTreeMap;

use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::create_topics::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig, CreatableTopicResult,
    CreateTopicsRequest,
};
use chronik_wire::messages::delete_topics::{DeletableTopicResult, DeleteTopicState, DeleteTopicsRequest};
use chronik_wire::types::{NodeId, PartitionIndex, PartitionKey, TopicId};
use harness::{Options, TestCluster};

const CREATE: i16 = 7;
const DELETE: i16 = 6;

fn topic(name: &str) -> CreatableTopic {
    CreatableTopic {
        name: name.to_owned(),
        num_partitions: -1,
        replication_factor: -1,
        assignments: Vec::new(),
        configs: Vec::new(),
    }
}

fn request(topics: Vec<CreatableTopic>) -> CreateTopicsRequest {
    CreateTopicsRequest { topics, timeout_ms: 5_000, validate_only: false }
}

fn create(cluster: &mut TestCluster, node: i32, topic: CreatableTopic) -> CreatableTopicResult {
    let mut response = cluster.call(NodeId(node), CREATE, &request(vec![topic]));
    response.topics.pop().expect("one result")
}

fn delete(cluster: &mut TestCluster, node: i32, names: &[&str]) -> Vec<DeletableTopicResult> {
    let topics =
        names.iter().map(|name| DeleteTopicState { name: Some((*name).to_owned()), topic_id: TopicId::ZERO });
    let request = DeleteTopicsRequest { topics: topics.collect(), timeout_ms: 5_000, ..Default::default() };
    cluster.call(NodeId(node), DELETE, &request).responses
}

fn knows_leaders(cluster: &TestCluster, node: i32, id: TopicId, partitions: i32) -> bool {
    let state = cluster.node(NodeId(node)).broker.node();
    let present = state.image().topic_by_id(id).is_some();
    let key = |index| PartitionKey::new(id, PartitionIndex(index));
    present && (0..partitions).all(|index| state.view(|view| view.leader(key(index)).is_some()))
}

#[test]
fn when_the_answer_is_here_every_node_knows_every_leader() {
    let mut cluster = TestCluster::start(3, &Options::default());
    for round in 0..20 {
        let name = format!("t{round}");
        let result =
            create(&mut cluster, 1 + round % 3, CreatableTopic { num_partitions: 4, ..topic(&name) });
        assert_eq!(result.error_code, ErrorCode::NONE, "{result:?}");
        assert_eq!((result.num_partitions, result.replication_factor), (4, 3));
        for node in 1..=3 {
            assert!(knows_leaders(&cluster, node, result.topic_id, 4), "node {node} in round {round}");
        }
        assert_eq!(cluster.send(&name, "v"), 0, "the topic takes records at once");
    }
}

#[test]
fn every_version_creates_and_deletes() {
    let mut cluster = TestCluster::start(1, &Options::default());
    for version in 2..=7 {
        let name = format!("v{version}");
        let result = cluster.call(NodeId(1), version, &request(vec![topic(&name)])).topics.remove(0);
        assert_eq!((result.error_code, result.name), (ErrorCode::NONE, name));
        assert_eq!(result.topic_id != TopicId::ZERO, version >= 7);
        let configs = result.configs.expect("never null");
        assert_eq!(configs.iter().any(|config| config.name == "retention.ms"), version >= 5);
        assert!(configs.iter().all(|config| !config.name.starts_with("internal.")));
    }
    for version in 1..=5 {
        let names = vec![format!("v{}", version + 1)];
        let request = DeleteTopicsRequest { topic_names: names, timeout_ms: 5_000, ..Default::default() };
        let response = cluster.call(NodeId(1), version, &request);
        assert_eq!(response.responses[0].error_code, ErrorCode::NONE, "v{version}");
    }
    assert_eq!(cluster.node(NodeId(1)).broker.node().image().topic_count(), 1);
}

#[test]
fn each_topic_of_a_request_succeeds_or_fails_alone() {
    let mut cluster = TestCluster::start(3, &Options::default());
    create(&mut cluster, 1, topic("taken"));
    let assignment =
        |nodes: &[i32]| CreatableReplicaAssignment { partition_index: 0, broker_ids: nodes.to_vec() };
    let config =
        |name: &str, value: &str| CreatableTopicConfig { name: name.into(), value: Some(value.into()) };
    let topics = vec![
        topic("good"),
        topic("taken"),
        topic("bad name"),
        CreatableTopic { num_partitions: 0, ..topic("none") },
        CreatableTopic { replication_factor: 4, ..topic("wide") },
        CreatableTopic { assignments: vec![assignment(&[1, 9])], ..topic("lost") },
        CreatableTopic { assignments: vec![assignment(&[2, 1])], ..topic("manual") },
        CreatableTopic { configs: vec![config("retention.ms", "x")], ..topic("odd") },
        CreatableTopic { configs: vec![config("retention.ms", "7")], ..topic("short") },
        topic("twice"),
        topic("twice"),
    ];
    let results = cluster.call(NodeId(2), CREATE, &request(topics)).topics;
    let codes: Vec<_> = results.iter().map(|result| (result.name.as_str(), result.error_code)).collect();
    let expected = [
        ("good", ErrorCode::NONE),
        ("taken", ErrorCode::TOPIC_ALREADY_EXISTS),
        ("bad name", ErrorCode::INVALID_TOPIC_EXCEPTION),
        ("none", ErrorCode::INVALID_PARTITIONS),
        ("wide", ErrorCode::INVALID_REPLICATION_FACTOR),
        ("lost", ErrorCode::INVALID_REPLICA_ASSIGNMENT),
        ("manual", ErrorCode::NONE),
        ("odd", ErrorCode::INVALID_CONFIG),
        ("short", ErrorCode::NONE),
        ("twice", ErrorCode::INVALID_REQUEST),
        ("twice", ErrorCode::INVALID_REQUEST),
    ];
    assert_eq!(codes, expected);
    for result in &results {
        assert_eq!(result.error_message.is_some(), result.error_code != ErrorCode::NONE, "{result:?}");
    }
    let image = cluster.node(NodeId(1)).broker.node().image();
    let manual = &image.topic("manual").expect("created").partitions[0];
    assert_eq!((manual.replicas.as_slice(), manual.designated), (&[NodeId(2), NodeId(1)][..], NodeId(2)));
    assert_eq!(cluster.leader(cluster.key("manual", 0)), Some(NodeId(2)), "the first replica leads");
    let shown =
        results[8].configs.as_ref().expect("shown").iter().find(|config| config.name == "retention.ms");
    let shown = shown.expect("every key is shown");
    assert_eq!((shown.value.as_deref(), shown.config_source), (Some("7"), 1));
}

#[test]
fn a_request_that_only_validates_changes_nothing() {
    let mut cluster = TestCluster::start(3, &Options::default());
    create(&mut cluster, 1, topic("taken"));
    let before = cluster.node(NodeId(1)).broker.node().image().offset;
    let ask = CreateTopicsRequest { validate_only: true, ..request(vec![topic("new"), topic("taken")]) };
    for node in 1..=3 {
        let results = cluster.call(NodeId(node), CREATE, &ask).topics;
        assert_eq!((results[0].error_code, results[0].num_partitions), (ErrorCode::NONE, 1));
        assert_eq!(results[1].error_code, ErrorCode::TOPIC_ALREADY_EXISTS);
    }
    assert_eq!(cluster.node(NodeId(1)).broker.node().image().offset, before, "nothing was even proposed");
}

#[test]
fn defaults_come_from_the_brokers_configuration() {
    let config = BTreeMap::from([
        ("num.partitions".to_owned(), "5".to_owned()),
        ("default.replication.factor".to_owned(), "2".to_owned()),
    ]);
    let mut cluster = TestCluster::start(3, &Options { config, ..Options::default() });
    let result = create(&mut cluster, 3, topic("t"));
    assert_eq!((result.num_partitions, result.replication_factor), (5, 2));
}

#[test]
fn a_dead_node_does_not_hold_up_a_creation_and_leads_nothing_new() {
    let mut cluster = TestCluster::start(3, &Options::default());
    cluster.freeze(NodeId(2));
    cluster.wait_for("node 2 to be missed", |cluster| {
        [1, 3]
            .iter()
            .all(|node| cluster.node(NodeId(*node)).broker.node().view(|view| !view.is_alive(NodeId(2))))
    });
    let started_ms = cluster.now_ms();
    let result = create(&mut cluster, 1, CreatableTopic { num_partitions: 6, ..topic("t") });
    assert_eq!(result.error_code, ErrorCode::NONE, "{result:?}");
    assert!(cluster.now_ms() - started_ms < 2_000, "took {} ms", cluster.now_ms() - started_ms);
    let image = cluster.node(NodeId(1)).broker.node().image();
    assert!(image.topic("t").expect("created").partitions.iter().all(|p| p.designated != NodeId(2)));
    cluster.thaw(NodeId(2));
    cluster.wait_for("node 2 to learn of it", |cluster| knows_leaders(cluster, 2, result.topic_id, 6));
}

#[test]
fn without_a_majority_the_answer_is_timed_out_in_bounded_time() {
    let mut cluster = TestCluster::start(3, &Options::default());
    cluster.isolate(NodeId(1));
    let started_ms = cluster.now_ms();
    let ask = CreateTopicsRequest { timeout_ms: 700, ..request(vec![topic("t")]) };
    let results = cluster.call(NodeId(1), CREATE, &ask).topics;
    assert_eq!(results[0].error_code, ErrorCode::REQUEST_TIMED_OUT);
    assert!(cluster.now_ms() - started_ms < 1_500);
    assert_eq!(create(&mut cluster, 2, topic("u")).error_code, ErrorCode::NONE, "the majority goes on");
}

#[test]
fn a_deleted_topic_is_gone_at_every_node_and_its_name_is_free() {
    let mut cluster = TestCluster::start(3, &Options::default());
    let first = create(&mut cluster, 1, topic("t")).topic_id;
    cluster.send("t", "old");
    let deleted = delete(&mut cluster, 2, &["t"]);
    assert_eq!((deleted[0].error_code, deleted[0].topic_id), (ErrorCode::NONE, first));
    for node in 1..=3 {
        let image = cluster.node(NodeId(node)).broker.node().image();
        assert!(image.topic("t").is_none() && image.topic_by_id(first).is_none(), "node {node}");
    }
    let second = create(&mut cluster, 3, topic("t")).topic_id;
    assert_ne!(first, second);
    assert_eq!(cluster.send("t", "new"), 0, "the new topic begins anew");
}

#[test]
fn deletions_are_refused_one_by_one() {
    let mut cluster = TestCluster::start(1, &Options::default());
    let kept = create(&mut cluster, 1, topic("kept")).topic_id;
    let gone = create(&mut cluster, 1, topic("gone")).topic_id;
    let state = |name: Option<&str>, topic_id| DeleteTopicState { name: name.map(str::to_owned), topic_id };
    let topics = vec![
        state(Some("absent"), TopicId::ZERO),
        state(None, TopicId(77)),
        state(Some("kept"), kept),
        state(None, TopicId::ZERO),
        state(None, gone),
        state(Some("kept"), TopicId::ZERO),
        state(Some("kept"), TopicId::ZERO),
    ];
    let request = DeleteTopicsRequest { topics, timeout_ms: 5_000, ..Default::default() };
    let results = cluster.call(NodeId(1), DELETE, &request).responses;
    let codes: Vec<_> = results.iter().map(|result| result.error_code).collect();
    let refused = ErrorCode::INVALID_REQUEST;
    assert_eq!(
        codes,
        [
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
            ErrorCode::UNKNOWN_TOPIC_ID,
            refused,
            refused,
            ErrorCode::NONE,
            refused,
            refused
        ]
    );
    assert_eq!((results[1].name.as_deref(), results[1].topic_id), (None, TopicId(77)));
    assert_eq!((results[4].name.as_deref(), results[4].topic_id), (Some("gone"), gone));
    assert_eq!(cluster.node(NodeId(1)).broker.node().image().topic_count(), 1);
}

#[test]
fn deletion_can_be_switched_off() {
    let config = BTreeMap::from([("delete.topic.enable".to_owned(), "false".to_owned())]);
    let mut cluster = TestCluster::start(1, &Options { config, ..Options::default() });
    create(&mut cluster, 1, topic("t"));
    assert_eq!(delete(&mut cluster, 1, &["t"])[0].error_code, ErrorCode::TOPIC_DELETION_DISABLED);
    assert_eq!(cluster.node(NodeId(1)).broker.node().image().topic_count(), 1);
}

#[test]
fn a_lost_question_does_not_hold_up_a_creation() {
    let mut cluster = TestCluster::start(3, &Options::default());
    cluster.create_topic("t", 1, &[]);
    let id = cluster.key("t", 0).topic;
    let broker = cluster.node(NodeId(1)).broker.clone();
    let applied = broker.node().image().offset;
    let (started_ms, deadline_ms) = (cluster.now_ms(), cluster.now_ms() + 30_000);
    // The first question of node 1 gets lost; nobody is down for it.
    cluster.cut(NodeId(1), NodeId(3));
    let mut known = Box::pin(async move { broker.await_topics(applied, &[id], deadline_ms).await });
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(std::future::Future::poll(known.as_mut(), &mut context).is_pending());
    cluster.pass_ms(20);
    cluster.recover();
    assert!(cluster.run(known), "every node knows the topic");
    assert!(cluster.now_ms() - started_ms < 1_000, "after {} ms", cluster.now_ms() - started_ms);
}

/// With its bug planted each of these scenarios fails.
#[cfg(feature = "mutants")]
#[test]
fn the_scenarios_above_kill_their_bugs() {
    use chronik_mutants::Mutant;
    use harness::killed;

    killed(Mutant::TopicIdReused, a_deleted_topic_is_gone_at_every_node_and_its_name_is_free);
}
