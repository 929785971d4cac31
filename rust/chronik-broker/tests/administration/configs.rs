//! AlterConfigs, IncrementalAlterConfigs and ListConfigResources.

use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::alter_configs as legacy;
use chronik_wire::messages::describe_configs::{DescribeConfigsRequest, DescribeConfigsResource};
use chronik_wire::messages::incremental_alter_configs as incremental;
use chronik_wire::messages::{
    AlterConfigsRequest, IncrementalAlterConfigsRequest, ListConfigResourcesRequest,
};
use chronik_wire::types::NodeId;

use crate::harness::{Options, TestCluster};

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const GROUP: i8 = 32;
const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;
const DYNAMIC_TOPIC: i8 = 1;
const DYNAMIC_BROKER: i8 = 2;
const DEFAULT: i8 = 5;
const DYNAMIC_GROUP: i8 = 8;

type Op<'a> = (&'a str, i8, Option<&'a str>);

fn step(kind: i8, name: &str, ops: &[Op<'_>]) -> incremental::AlterConfigsResource {
    let op = |(name, operation, value): &Op<'_>| incremental::AlterableConfig {
        name: (*name).to_owned(),
        config_operation: *operation,
        value: value.map(str::to_owned),
    };
    incremental::AlterConfigsResource {
        resource_type: kind,
        resource_name: name.to_owned(),
        configs: ops.iter().map(op).collect(),
    }
}

fn alter(
    cluster: &mut TestCluster,
    node: i32,
    resources: Vec<incremental::AlterConfigsResource>,
    validate_only: bool,
) -> Vec<ErrorCode> {
    let request = IncrementalAlterConfigsRequest { resources, validate_only };
    let response = cluster.call(NodeId(node), 1, &request);
    response.responses.into_iter().map(|response| response.error_code).collect()
}

/// The value of a key, and where it comes from, as one node shows it.
fn shown(cluster: &mut TestCluster, node: i32, kind: i8, name: &str, key: &str) -> (Option<String>, i8) {
    let resource = DescribeConfigsResource {
        resource_type: kind,
        resource_name: name.to_owned(),
        configuration_keys: Some(vec![key.to_owned()]),
    };
    let request = DescribeConfigsRequest { resources: vec![resource], ..Default::default() };
    let result = cluster.call(NodeId(node), 4, &request).results.remove(0);
    assert_eq!(result.error_code, ErrorCode::NONE, "{result:?}");
    let config = &result.configs[0];
    (config.value.clone(), config.config_source)
}

fn value(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn steps_show_at_once_at_every_node_and_reach_the_replicas() {
    let mut cluster = TestCluster::start(3, &Options::default());
    cluster.create_topic("t", 1, &[]);
    let ops = [("min.insync.replicas", SET, Some("2")), ("cleanup.policy", APPEND, Some("compact"))];
    assert_eq!(alter(&mut cluster, 2, vec![step(TOPIC, "t", &ops)], false), [ErrorCode::NONE]);
    let key = cluster.key("t", 0);
    for node in 1..=3 {
        // Before anything else happens: the answer came when every node acted on it.
        let settings = cluster.node(NodeId(node)).host.borrow().view(key).expect("hosted").settings;
        assert_eq!(settings.min_insync_replicas, 2, "node {node}");
        let policy = shown(&mut cluster, node, TOPIC, "t", "cleanup.policy");
        assert_eq!(policy, (value("delete,compact"), DYNAMIC_TOPIC));
    }
    let ops = [("min.insync.replicas", DELETE, None), ("cleanup.policy", SUBTRACT, Some("delete"))];
    assert_eq!(alter(&mut cluster, 3, vec![step(TOPIC, "t", &ops)], false), [ErrorCode::NONE]);
    assert_eq!(shown(&mut cluster, 1, TOPIC, "t", "min.insync.replicas"), (value("1"), DEFAULT));
    assert_eq!(shown(&mut cluster, 1, TOPIC, "t", "cleanup.policy"), (value("compact"), DYNAMIC_TOPIC));
}

#[test]
fn the_old_way_replaces_everything() {
    let mut cluster = TestCluster::start(3, &Options::default());
    cluster.create_topic("t", 1, &[("segment.ms", "60000")]);
    let config = |name: &str, value: &str| legacy::AlterableConfig {
        name: name.to_owned(),
        value: Some(value.to_owned()),
    };
    let resource = |kind, name: &str, configs| legacy::AlterConfigsResource {
        resource_type: kind,
        resource_name: name.to_owned(),
        configs,
    };
    let resources = vec![
        resource(TOPIC, "t", vec![config("retention.ms", "7000")]),
        resource(BROKER, "1", vec![config("log.flush.interval.messages", "4711")]),
    ];
    let request = AlterConfigsRequest { resources, validate_only: false };
    for version in 0..=2 {
        let response = cluster.call(NodeId(1), version, &request);
        assert!(response.responses.iter().all(|one| one.error_code.is_none()), "{response:?}");
    }
    assert_eq!(shown(&mut cluster, 2, TOPIC, "t", "retention.ms"), (value("7000"), DYNAMIC_TOPIC));
    assert_eq!(shown(&mut cluster, 2, TOPIC, "t", "segment.ms").1, DEFAULT, "what is not named is gone");
    let flush = shown(&mut cluster, 1, BROKER, "1", "log.flush.interval.messages");
    assert_eq!(flush, (value("4711"), DYNAMIC_BROKER));
    assert_ne!(shown(&mut cluster, 2, BROKER, "2", "log.flush.interval.messages").1, DYNAMIC_BROKER);
}

#[test]
fn a_check_foretells_and_changes_nothing() {
    let mut cluster = TestCluster::start(3, &Options::default());
    cluster.create_topic("t", 1, &[]);
    let good = step(TOPIC, "t", &[("retention.ms", SET, Some("7"))]);
    let bad = step(TOPIC, "t", &[("retention.ms", SET, Some("soon"))]);
    assert_eq!(alter(&mut cluster, 2, vec![good], true), [ErrorCode::NONE]);
    assert_eq!(alter(&mut cluster, 2, vec![bad], true), [ErrorCode::INVALID_CONFIG]);
    assert_eq!(shown(&mut cluster, 2, TOPIC, "t", "retention.ms").1, DEFAULT);
}

#[test]
fn bad_changes_get_kafkas_codes_and_spare_their_neighbours() {
    let mut cluster = TestCluster::start(3, &Options::default());
    cluster.create_topic("t", 1, &[]);
    cluster.create_topic("u", 1, &[]);
    let set = |name, value| [(name, SET, Some(value))];
    let cases = [
        (step(TOPIC, "t", &set("no.such.key", "1")), ErrorCode::INVALID_CONFIG),
        (step(TOPIC, "t", &set("retention.ms", "soon")), ErrorCode::INVALID_CONFIG),
        (step(TOPIC, "t", &[("retention.ms", APPEND, Some("1"))]), ErrorCode::INVALID_CONFIG),
        (step(BROKER, "1", &set("node.id", "7")), ErrorCode::INVALID_CONFIG),
        (step(TOPIC, "t", &[("retention.ms", SET, None)]), ErrorCode::INVALID_REQUEST),
        (step(TOPIC, "t", &[("retention.ms", 9, Some("1"))]), ErrorCode::INVALID_REQUEST),
        (
            step(TOPIC, "t", &[("retention.ms", SET, Some("1")), ("retention.ms", DELETE, None)]),
            ErrorCode::INVALID_REQUEST,
        ),
        (step(BROKER, "2", &set("log.retention.ms", "7")), ErrorCode::INVALID_REQUEST),
        (step(BROKER, "one", &set("log.retention.ms", "7")), ErrorCode::INVALID_REQUEST),
        (step(8, "1", &set("root", "INFO")), ErrorCode::INVALID_REQUEST),
        (step(GROUP, "", &set("share.auto.offset.reset", "earliest")), ErrorCode::INVALID_REQUEST),
        (step(GROUP, "g", &set("share.auto.offset.reset", "none")), ErrorCode::INVALID_CONFIG),
        (step(GROUP, "g", &set("share.session.timeout.ms", "44999")), ErrorCode::INVALID_CONFIG),
        (step(GROUP, "g", &set("share.delivery.count.limit", "11")), ErrorCode::INVALID_CONFIG),
        (step(GROUP, "g", &set("retention.ms", "1")), ErrorCode::INVALID_CONFIG),
        (step(TOPIC, "absent", &set("retention.ms", "7")), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
        (step(TOPIC, "bad name", &set("retention.ms", "7")), ErrorCode::INVALID_TOPIC_EXCEPTION),
    ];
    for (place, (case, expected)) in cases.into_iter().enumerate() {
        let good = step(TOPIC, "u", &set("retention.ms", "77"));
        let codes = alter(&mut cluster, 1, vec![case.clone(), good], false);
        assert_eq!(codes, [expected, ErrorCode::NONE], "case {place}: {case:?}");
    }
    let twice = || step(TOPIC, "u", &set("retention.ms", "1"));
    assert_eq!(alter(&mut cluster, 1, vec![twice(), twice()], false), [ErrorCode::INVALID_REQUEST; 2]);
    assert_eq!(shown(&mut cluster, 1, TOPIC, "t", "retention.ms").1, DEFAULT);
    assert_eq!(shown(&mut cluster, 1, TOPIC, "u", "retention.ms").0, value("77"));
}

#[test]
fn the_default_of_all_brokers_is_changed_under_the_empty_name() {
    let mut cluster = TestCluster::start(3, &Options::default());
    cluster.create_topic("t", 1, &[]);
    let all = step(BROKER, "", &[("log.retention.ms", SET, Some("9000"))]);
    assert_eq!(alter(&mut cluster, 3, vec![all], false), [ErrorCode::NONE]);
    for node in 1..=3 {
        assert_eq!(shown(&mut cluster, node, TOPIC, "t", "retention.ms"), (value("9000"), 3));
    }
}

#[test]
fn a_group_has_a_configuration_of_its_own_whether_it_exists_or_not() {
    let mut cluster = TestCluster::start(3, &Options::default());
    let key = "share.record.lock.duration.ms";
    assert_eq!(shown(&mut cluster, 1, GROUP, "g", key), (value("30000"), DEFAULT));
    let ops = [(key, SET, Some("20000")), ("share.auto.offset.reset", SET, Some("by_duration:PT1H"))];
    assert_eq!(alter(&mut cluster, 2, vec![step(GROUP, "g", &ops)], false), [ErrorCode::NONE]);
    for node in 1..=3 {
        assert_eq!(shown(&mut cluster, node, GROUP, "g", key), (value("20000"), DYNAMIC_GROUP));
        assert_eq!(shown(&mut cluster, node, GROUP, "other", key), (value("30000"), DEFAULT));
    }
    let request = ListConfigResourcesRequest { resource_types: vec![GROUP] };
    let listed = cluster.call(NodeId(3), 1, &request).config_resources;
    assert_eq!(listed.len(), 1);
    assert_eq!((listed[0].resource_type, listed[0].resource_name.as_str()), (GROUP, "g"));
    let ops = [(key, DELETE, None), ("share.auto.offset.reset", DELETE, None)];
    assert_eq!(alter(&mut cluster, 1, vec![step(GROUP, "g", &ops)], false), [ErrorCode::NONE]);
    assert_eq!(cluster.call(NodeId(3), 1, &request).config_resources, []);
}

#[test]
fn resources_are_listed_by_kind() {
    let mut cluster = TestCluster::start(3, &Options::default());
    cluster.create_topic("b", 1, &[]);
    cluster.create_topic("a", 1, &[]);
    let mut list = |version, kinds: &[i8]| {
        let request = ListConfigResourcesRequest { resource_types: kinds.to_vec() };
        let response = cluster.call(NodeId(2), version, &request);
        let named = response.config_resources.into_iter().map(|one| (one.resource_type, one.resource_name));
        (response.error_code, named.collect::<Vec<_>>())
    };
    let topics = [(TOPIC, "a".to_owned()), (TOPIC, "b".to_owned())];
    assert_eq!(list(1, &[TOPIC]), (ErrorCode::NONE, topics.to_vec()));
    let (code, all) = list(1, &[]);
    assert_eq!((code, all.len()), (ErrorCode::NONE, 2 + 3 + 3));
    assert!(all.contains(&(BROKER, "3".to_owned())));
    assert_eq!(list(0, &[]), (ErrorCode::NONE, vec![]));
    assert_eq!(list(1, &[TOPIC, 77]), (ErrorCode::UNSUPPORTED_VERSION, vec![]));
}
