//! Configuration: DescribeConfigs shows every key with its value, its source and its type; replicas act on it.

mod harness;

use std::collections::BTreeMap;

use chronik_coord::{Action, AlterConfigs, Change, ConfigChange, ConfigResource, ReplyBody};
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult, DescribeConfigsResult,
};
use chronik_wire::types::NodeId;
use harness::{Options, TestCluster};

const VERSION: i16 = 4;
const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const STATIC: i8 = 4;
const DEFAULT: i8 = 5;
const LONG: i8 = 5;

fn resource(resource_type: i8, name: &str, keys: Option<&[&str]>) -> DescribeConfigsResource {
    DescribeConfigsResource {
        resource_type,
        resource_name: name.to_owned(),
        configuration_keys: keys.map(|keys| keys.iter().map(|key| (*key).to_owned()).collect()),
    }
}

fn describe(
    cluster: &mut TestCluster,
    version: i16,
    resource: DescribeConfigsResource,
) -> DescribeConfigsResult {
    let request = DescribeConfigsRequest {
        resources: vec![resource],
        include_synonyms: true,
        include_documentation: version >= 3,
    };
    cluster.call(NodeId(2), version, &request).results.pop().expect("one result")
}

fn entry<'a>(result: &'a DescribeConfigsResult, name: &str) -> &'a DescribeConfigsResourceResult {
    result.configs.iter().find(|config| config.name == name).unwrap_or_else(|| panic!("{name} is missing"))
}

fn cluster() -> TestCluster {
    let config = BTreeMap::from([
        ("log.retention.hours".to_owned(), "2".to_owned()),
        ("ssl.key.password".to_owned(), "secret".to_owned()),
    ]);
    let mut cluster = TestCluster::start(3, &Options { config, ..Options::default() });
    cluster.create_topic("t", 1, &[("segment.ms", "60000")]);
    cluster
}

#[test]
fn a_topic_shows_every_key_with_value_source_and_type() {
    let mut cluster = cluster();
    for version in 1..=VERSION {
        let result = describe(&mut cluster, version, resource(TOPIC, "t", None));
        assert_eq!((result.error_code, result.resource_name.as_str()), (ErrorCode::NONE, "t"));
        let bytes = entry(&result, "retention.bytes");
        assert_eq!(
            (bytes.value.as_deref(), bytes.config_source, bytes.read_only),
            (Some("-1"), DEFAULT, false)
        );
        let own = entry(&result, "segment.ms");
        assert_eq!((own.value.as_deref(), own.config_source), (Some("60000"), 1));
        let inherited = entry(&result, "retention.ms");
        assert_eq!((inherited.value.as_deref(), inherited.config_source), (Some("7200000"), STATIC));
        assert_eq!(inherited.synonyms[0].name, "log.retention.hours");
        assert_eq!(entry(&result, "max.message.bytes").value.as_deref(), Some("1048588"));
        assert!(result.configs.iter().all(|config| config.name != "internal.segment.bytes"));
        if version >= 3 {
            assert_eq!(bytes.config_type, LONG);
            assert!(bytes.documentation.as_ref().is_some_and(|text| text.starts_with("Long")));
        }
    }
}

#[test]
fn only_the_keys_asked_for_are_shown() {
    let mut cluster = cluster();
    let result =
        describe(&mut cluster, VERSION, resource(TOPIC, "t", Some(&["cleanup.policy", "no.such.key"])));
    assert_eq!(result.configs.len(), 1);
    assert_eq!(result.configs[0].name, "cleanup.policy");
}

#[test]
fn a_broker_shows_what_it_was_started_with_and_keeps_its_secrets() {
    let mut cluster = cluster();
    let result = describe(&mut cluster, VERSION, resource(BROKER, "2", None));
    assert_eq!(result.error_code, ErrorCode::NONE);
    let listeners = entry(&result, "advertised.listeners");
    assert_eq!(listeners.value.as_deref(), Some("PLAINTEXT://127.0.0.1:10002"));
    assert_eq!((listeners.config_source, listeners.read_only), (STATIC, true));
    assert_eq!(entry(&result, "node.id").value.as_deref(), Some("2"));
    assert_eq!(entry(&result, "broker.rack").value.as_deref(), Some("rack-2"));
    assert_eq!(entry(&result, "auto.create.topics.enable").value.as_deref(), Some("true"));
    assert!(!entry(&result, "log.retention.ms").read_only, "it may change at run time");
    let secret = entry(&result, "ssl.key.password");
    assert_eq!((secret.value.as_deref(), secret.is_sensitive, secret.config_source), (None, true, STATIC));
    assert!(secret.synonyms.iter().all(|synonym| synonym.value.is_none()));
}

#[test]
fn what_cannot_be_described_is_refused_per_resource() {
    let mut cluster = cluster();
    let cases = [
        (resource(TOPIC, "absent", None), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
        (resource(TOPIC, "bad name", None), ErrorCode::INVALID_TOPIC_EXCEPTION),
        (resource(BROKER, "1", None), ErrorCode::INVALID_REQUEST),
        (resource(BROKER, "two", None), ErrorCode::INVALID_REQUEST),
        (resource(8, "2", None), ErrorCode::INVALID_REQUEST),
        (resource(BROKER, "", None), ErrorCode::NONE),
    ];
    for (resource, expected) in cases {
        let shown = format!("{resource:?}");
        let result = describe(&mut cluster, VERSION, resource);
        assert_eq!(result.error_code, expected, "{shown}");
        assert!(result.configs.is_empty());
    }
}

#[test]
fn a_node_that_is_cut_off_claims_nothing() {
    let mut cluster = cluster();
    cluster.isolate(NodeId(2));
    let result = describe(&mut cluster, VERSION, resource(TOPIC, "t", None));
    assert_eq!(result.error_code, ErrorCode::LEADER_NOT_AVAILABLE);
}

fn override_broker(cluster: &mut TestCluster, broker: Option<NodeId>, name: &str, value: &str) {
    let change = ConfigChange {
        resource: ConfigResource::Broker(broker),
        change: Change::Replace(vec![(name.to_owned(), Some(value.to_owned()))]),
    };
    let action = Action::AlterConfigs(AlterConfigs { resources: vec![change] });
    let broker = cluster.node(NodeId(1)).broker.clone();
    let deadline_ms = cluster.now_ms() + 5_000;
    let reply = cluster.run(async move { broker.controller_call(action, deadline_ms).await });
    let ReplyBody::ConfigsAltered(altered) = reply.expect("the controller answers").body else {
        panic!("another reply was expected")
    };
    assert!(altered.iter().all(|(_, outcome)| outcome.is_ok()), "{altered:?}");
}

#[test]
fn what_brokers_are_told_at_run_time_reaches_the_replicas_they_have() {
    let mut cluster = TestCluster::start(3, &Options::default());
    cluster.create_topic("plain", 1, &[]);
    cluster.create_topic("own", 1, &[("min.insync.replicas", "1")]);
    let in_force = |cluster: &TestCluster, topic: &str| -> Vec<usize> {
        let key = cluster.key(topic, 0);
        let settings = |node: &harness::TestNode| node.host.borrow().view(key).expect("hosted").settings;
        cluster.nodes.values().map(|node| settings(node).min_insync_replicas).collect()
    };
    assert_eq!(in_force(&cluster, "plain"), [1, 1, 1]);
    override_broker(&mut cluster, None, "min.insync.replicas", "2");
    cluster.wait_for("every replica to know", |cluster| in_force(cluster, "plain") == [2, 2, 2]);
    override_broker(&mut cluster, Some(NodeId(3)), "min.insync.replicas", "3");
    cluster.wait_for("the replica of one node to know", |cluster| in_force(cluster, "plain") == [2, 2, 3]);
    assert_eq!(in_force(&cluster, "own"), [1, 1, 1], "a topic's own setting wins");
}
