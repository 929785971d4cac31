//! Every refusal of the controller, with its Kafka code; and what a success leaves behind.

mod common;

use std::collections::BTreeSet;

use chronik_coord::{
    Action, AlterConfigs, Change, ConfigChange, ConfigOp, ConfigResource, ConfigSource, Controller,
    CreateTopics, DeleteTopics, ItemError, NewTopic, OpKind, ReplyBody, TopicDefaults, TopicRef, limits,
};
use chronik_wire::error_code::ErrorCode;
use chronik_wire::types::{NodeId, Offset, PartitionIndex, TopicId};
use common::{Rig, broker, create, topic};

fn code(error: Option<ItemError>) -> ErrorCode {
    error.map_or(ErrorCode::NONE, |error| {
        assert!(!error.message.is_empty());
        error.code
    })
}

fn rejection(body: &ReplyBody) -> ErrorCode {
    body.rejection().expect("a rejection").code
}

#[test]
fn topic_names_are_checked_at_their_bounds() {
    let mut rig = Rig::new(1);
    let long = "x".repeat(249);
    for (number, name) in ["a", "A.b_c-9", "...", "_x", "__x", &long].into_iter().enumerate() {
        assert_eq!(code(rig.create(topic(name, 10 + number as u128))), ErrorCode::NONE, "{name}");
    }
    for name in ["", ".", "..", "a b", "ä", "a/b", "__meta", "__cluster_metadata", &(long + "x")] {
        assert_eq!(code(rig.create(topic(name, 99))), ErrorCode::INVALID_TOPIC_EXCEPTION, "{name}");
    }
}

#[test]
fn creation_is_refused_with_kafkas_codes() {
    let mut rig = Rig::new(3);
    let manual = |assignments: &[(i32, &[i32])]| NewTopic {
        assignments: assignments
            .iter()
            .map(|(index, nodes)| (PartitionIndex(*index), nodes.iter().map(|node| NodeId(*node)).collect()))
            .collect(),
        ..topic("m", 50)
    };
    let config = |name: &str, value: Option<&str>| NewTopic {
        configs: vec![(name.into(), value.map(str::to_owned))],
        ..topic("c", 60)
    };
    assert_eq!(code(rig.create(topic("taken", 1_000))), ErrorCode::NONE);

    let cases = [
        (topic("taken", 1_001), ErrorCode::TOPIC_ALREADY_EXISTS),
        (topic("other", 1_000), ErrorCode::INVALID_REQUEST),
        (topic("other", 0), ErrorCode::INVALID_REQUEST),
        (topic("other", TopicId::META.0), ErrorCode::INVALID_REQUEST),
        (NewTopic { partitions: 0, ..topic("p", 2) }, ErrorCode::INVALID_PARTITIONS),
        (NewTopic { partitions: -2, ..topic("p", 2) }, ErrorCode::INVALID_PARTITIONS),
        (NewTopic { partitions: i32::MAX, ..topic("p", 2) }, ErrorCode::INVALID_PARTITIONS),
        (NewTopic { replication_factor: 0, ..topic("r", 3) }, ErrorCode::INVALID_REPLICATION_FACTOR),
        (NewTopic { replication_factor: -2, ..topic("r", 3) }, ErrorCode::INVALID_REPLICATION_FACTOR),
        (NewTopic { replication_factor: 4, ..topic("r", 3) }, ErrorCode::INVALID_REPLICATION_FACTOR),
        (NewTopic { partitions: 1, ..manual(&[(0, &[1])]) }, ErrorCode::INVALID_REQUEST),
        (NewTopic { replication_factor: 1, ..manual(&[(0, &[1])]) }, ErrorCode::INVALID_REQUEST),
        (manual(&[(1, &[1])]), ErrorCode::INVALID_REPLICA_ASSIGNMENT),
        (manual(&[(0, &[1]), (0, &[2])]), ErrorCode::INVALID_REPLICA_ASSIGNMENT),
        (manual(&[(0, &[])]), ErrorCode::INVALID_REPLICA_ASSIGNMENT),
        (manual(&[(0, &[1, 1])]), ErrorCode::INVALID_REPLICA_ASSIGNMENT),
        (manual(&[(0, &[1, 4])]), ErrorCode::INVALID_REPLICA_ASSIGNMENT),
        (manual(&[(0, &[1, 2]), (1, &[1])]), ErrorCode::INVALID_REPLICA_ASSIGNMENT),
        (config("no.such.key", Some("1")), ErrorCode::INVALID_CONFIG),
        (config("retention.ms", Some("soon")), ErrorCode::INVALID_CONFIG),
        (config("retention.ms", None), ErrorCode::INVALID_CONFIG),
        (config("unclean.leader.election.enable", Some("true")), ErrorCode::INVALID_CONFIG),
    ];
    let before = rig.controller.image();
    for (new, expected) in cases {
        let shown = format!("{new:?}");
        assert_eq!(code(rig.create(new)), expected, "{shown}");
    }
    let after = rig.controller.image();
    assert_eq!(
        (after.topic_count(), after.partition_count()),
        (before.topic_count(), before.partition_count())
    );
}

#[test]
fn without_brokers_no_replication_factor_is_possible() {
    assert_eq!(code(Rig::new(0).create(topic("a", 5))), ErrorCode::INVALID_REPLICATION_FACTOR);
}

#[test]
fn defaults_follow_the_proposer_and_the_number_of_brokers() {
    for (brokers, expected) in [(1, 1), (2, 2), (3, 3), (5, 3)] {
        let mut rig = Rig::new(brokers);
        assert_eq!(code(rig.create(topic("a", 5))), ErrorCode::NONE);
        let image = rig.controller.image();
        assert_eq!(image.topic("a").expect("created").partitions[0].replicas.len(), expected);
    }
    let mut rig = Rig::new(3);
    let defaults = TopicDefaults { partitions: 4, replication_factor: 2 };
    let action = CreateTopics { topics: vec![topic("b", 6)], live: vec![], defaults };
    let reply = rig.run(Action::CreateTopics(action));
    let ReplyBody::TopicsCreated(outcomes) = reply.body else { panic!("not a creation") };
    let created = outcomes[0].1.as_ref().expect("created");
    assert_eq!((created.id, created.partitions, created.replication_factor), (TopicId(6), 4, 2));
}

#[test]
fn a_manual_assignment_is_kept_as_given() {
    let mut rig = Rig::new(3);
    let assignments = vec![
        (PartitionIndex(1), vec![NodeId(3), NodeId(2)]),
        (PartitionIndex(0), vec![NodeId(2), NodeId(1)]),
    ];
    assert_eq!(code(rig.create(NewTopic { assignments, ..topic("m", 5) })), ErrorCode::NONE);
    let image = rig.controller.image();
    let partitions = &image.topic("m").expect("created").partitions;
    assert_eq!(partitions[0].replicas, [NodeId(2), NodeId(1)]);
    assert_eq!((partitions[1].designated, partitions.len()), (NodeId(3), 2));
}

#[test]
fn leaders_of_many_small_topics_spread_over_all_live_brokers() {
    let mut rig = Rig::new(3);
    for number in 0..30 {
        rig.create(topic(&format!("t{number}"), 100 + number));
    }
    let image = rig.controller.image();
    for node in 1..=3 {
        let led = image.topics().filter(|topic| topic.partitions[0].designated == NodeId(node)).count();
        assert_eq!(led, 10);
    }
    let live = vec![NodeId(2)];
    let defaults = TopicDefaults { partitions: 6, replication_factor: 3 };
    rig.run(Action::CreateTopics(CreateTopics { topics: vec![topic("live", 5)], live, defaults }));
    let image = rig.controller.image();
    let leaders: BTreeSet<_> =
        image.topic("live").expect("created").partitions.iter().map(|p| p.designated).collect();
    assert_eq!(leaders, BTreeSet::from([NodeId(2)]), "a broker that is down is not asked to lead");
}

#[test]
fn one_name_twice_in_a_request_is_refused_and_the_others_are_created() {
    let mut rig = Rig::new(1);
    let reply = rig.run(create(vec![topic("a", 5), topic("b", 6), topic("a", 7)]));
    let ReplyBody::TopicsCreated(outcomes) = reply.body else { panic!("not a creation") };
    let codes: Vec<_> = outcomes.iter().map(|(_, outcome)| code(outcome.clone().err())).collect();
    assert_eq!(codes, [ErrorCode::INVALID_REQUEST, ErrorCode::NONE, ErrorCode::INVALID_REQUEST]);
}

#[test]
fn partition_limits_hold_at_the_limit_and_one_past_it() {
    let mut rig = Rig::new(1);
    let most = limits::PARTITIONS_PER_TOPIC_MAX as i32;
    let sized = |id: u128, partitions: i32| NewTopic { partitions, ..topic(&format!("t{id}"), id) };
    assert_eq!(code(rig.create(sized(5, most + 1))), ErrorCode::INVALID_PARTITIONS);
    for id in 5..10 {
        assert_eq!(code(rig.create(sized(id, most))), ErrorCode::NONE);
    }
    assert_eq!(rig.controller.image().partition_count(), limits::PARTITIONS_MAX);
    assert_eq!(code(rig.create(sized(11, 1))), ErrorCode::POLICY_VIOLATION);
    rig.run(Action::DeleteTopics(DeleteTopics { topics: vec![TopicRef::Name("t5".into())] }));
    assert_eq!(code(rig.create(sized(11, 1))), ErrorCode::NONE);
}

#[test]
fn deletion_by_name_and_by_id_frees_the_name() {
    let mut rig = Rig::new(1);
    rig.create(topic("a", 5));
    rig.create(topic("b", 6));
    let refs = [
        (TopicRef::Name("a".into()), ErrorCode::NONE),
        (TopicRef::Id(TopicId(6)), ErrorCode::NONE),
        (TopicRef::Name("a".into()), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
        (TopicRef::Id(TopicId(6)), ErrorCode::UNKNOWN_TOPIC_ID),
    ];
    let topics = refs.iter().map(|(topic, _)| topic.clone()).collect();
    let ReplyBody::TopicsDeleted(outcomes) = rig.run(Action::DeleteTopics(DeleteTopics { topics })).body
    else {
        panic!("not a deletion")
    };
    for ((asked, outcome), (expected_ref, expected)) in outcomes.into_iter().zip(refs) {
        assert_eq!(asked, expected_ref);
        assert_eq!(code(outcome.err()), expected);
    }
    assert_eq!(rig.controller.image().topic_count(), 0);
    assert_eq!(code(rig.create(topic("a", 7))), ErrorCode::NONE, "the name is free, under another id");
}

fn alter(rig: &mut Rig, resource: ConfigResource, change: Change) -> ErrorCode {
    let resources = vec![ConfigChange { resource, change }];
    match rig.run(Action::AlterConfigs(AlterConfigs { resources })).body {
        ReplyBody::ConfigsAltered(mut outcomes) => code(outcomes.pop().expect("one outcome").1.err()),
        other => panic!("not an alteration: {other:?}"),
    }
}

fn op(name: &str, kind: OpKind, value: Option<&str>) -> ConfigOp {
    ConfigOp { name: name.into(), kind, value: value.map(str::to_owned) }
}

fn override_of(rig: &Rig, name: &str) -> Option<String> {
    rig.controller.image().topic("t").expect("created").configs.get(name).cloned()
}

#[test]
fn topic_configs_change_step_by_step_or_as_a_whole() {
    let mut rig = Rig::new(1);
    rig.create(topic("t", 5));
    let t = || ConfigResource::Topic("t".into());
    let set = vec![
        op("retention.ms", OpKind::Set, Some("1")),
        op("cleanup.policy", OpKind::Append, Some("compact")),
    ];
    assert_eq!(alter(&mut rig, t(), Change::Incremental(set)), ErrorCode::NONE);
    assert_eq!(override_of(&rig, "retention.ms").as_deref(), Some("1"));
    assert_eq!(
        override_of(&rig, "cleanup.policy").as_deref(),
        Some("delete,compact"),
        "the default is appended to"
    );

    let step = vec![
        op("retention.ms", OpKind::Delete, None),
        op("cleanup.policy", OpKind::Subtract, Some("delete")),
    ];
    assert_eq!(alter(&mut rig, t(), Change::Incremental(step)), ErrorCode::NONE);
    assert_eq!(override_of(&rig, "retention.ms"), None);
    assert_eq!(override_of(&rig, "cleanup.policy").as_deref(), Some("compact"));

    let whole = Change::Replace(vec![("segment.ms".into(), Some("9".into()))]);
    assert_eq!(alter(&mut rig, t(), whole), ErrorCode::NONE);
    assert_eq!(override_of(&rig, "cleanup.policy"), None);
    assert_eq!(override_of(&rig, "segment.ms").as_deref(), Some("9"));
}

#[test]
fn refused_changes_change_nothing() {
    let mut rig = Rig::new(1);
    rig.create(topic("t", 5));
    let t = || ConfigResource::Topic("t".into());
    let one = |name: &str, kind, value| Change::Incremental(vec![op(name, kind, value)]);
    let cases = [
        (t(), one("no.such", OpKind::Set, Some("1")), ErrorCode::INVALID_CONFIG),
        (t(), one("no.such", OpKind::Delete, None), ErrorCode::INVALID_CONFIG),
        (t(), one("retention.ms", OpKind::Set, Some("x")), ErrorCode::INVALID_CONFIG),
        (t(), one("retention.ms", OpKind::Set, None), ErrorCode::INVALID_REQUEST),
        (t(), one("retention.ms", OpKind::Append, Some("1")), ErrorCode::INVALID_CONFIG),
        (t(), one("cleanup.policy", OpKind::Append, Some("shred")), ErrorCode::INVALID_CONFIG),
        (
            t(),
            Change::Incremental(vec![
                op("segment.ms", OpKind::Set, Some("1")),
                op("segment.ms", OpKind::Delete, None),
            ]),
            ErrorCode::INVALID_REQUEST,
        ),
        (t(), Change::Replace(vec![("segment.ms".into(), None)]), ErrorCode::INVALID_REQUEST),
        (
            t(),
            Change::Incremental(vec![
                op("segment.ms", OpKind::Set, Some("1")),
                op("retention.ms", OpKind::Set, Some("x")),
            ]),
            ErrorCode::INVALID_CONFIG,
        ),
        (
            ConfigResource::Topic("none".into()),
            one("segment.ms", OpKind::Set, Some("1")),
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        ),
        (
            ConfigResource::Broker(Some(NodeId(9))),
            one("log.retention.ms", OpKind::Set, Some("1")),
            ErrorCode::BROKER_ID_NOT_REGISTERED,
        ),
        (
            ConfigResource::Group(String::new()),
            one("share.session.timeout.ms", OpKind::Set, Some("50000")),
            ErrorCode::INVALID_REQUEST,
        ),
        (
            ConfigResource::Group("g".into()),
            one("share.record.lock.duration.ms", OpKind::Set, Some("999")),
            ErrorCode::INVALID_CONFIG,
        ),
        (
            ConfigResource::Group("g".into()),
            one("retention.ms", OpKind::Set, Some("1")),
            ErrorCode::INVALID_CONFIG,
        ),
        (ConfigResource::Broker(None), one("node.id", OpKind::Set, Some("1")), ErrorCode::INVALID_CONFIG),
        (
            ConfigResource::Broker(None),
            one("retention.ms", OpKind::Set, Some("1")),
            ErrorCode::INVALID_CONFIG,
        ),
    ];
    for (resource, change, expected) in cases {
        let shown = format!("{resource:?} {change:?}");
        assert_eq!(alter(&mut rig, resource, change), expected, "{shown}");
    }
    assert!(rig.controller.image().topic("t").expect("created").configs.is_empty());
    assert!(rig.controller.image().broker_overrides(None).is_empty());
    assert_eq!(rig.controller.image().configured_groups().len(), 0);
}

#[test]
fn broker_configs_are_kept_per_broker_and_for_all() {
    let mut rig = Rig::new(2);
    let set =
        |value: &str| Change::Incremental(vec![op("log.flush.interval.messages", OpKind::Set, Some(value))]);
    assert_eq!(alter(&mut rig, ConfigResource::Broker(None), set("5")), ErrorCode::NONE);
    assert_eq!(alter(&mut rig, ConfigResource::Broker(Some(NodeId(2))), set("7")), ErrorCode::NONE);
    let image = rig.controller.image();
    let shown = |node: i32| {
        let resolved = image.broker_config("log.flush.interval.messages", NodeId(node), &Default::default());
        resolved.expect("a key").value
    };
    assert_eq!((shown(1).as_deref(), shown(2).as_deref()), (Some("5"), Some("7")));
}

#[test]
fn group_configs_are_kept_per_group_and_survive_a_snapshot() {
    let mut rig = Rig::new(1);
    let g = || ConfigResource::Group("g".into());
    let key = "share.session.timeout.ms";
    let set = Change::Incremental(vec![op(key, OpKind::Set, Some("50000"))]);
    assert_eq!(alter(&mut rig, g(), set), ErrorCode::NONE);
    let restored = Controller::restore(&rig.controller.snapshot()).expect("our own snapshot");
    for image in [rig.controller.image(), restored.image()] {
        assert_eq!(image.configured_groups().collect::<Vec<_>>(), ["g"]);
        let shown = |group: &str| image.group_config(group, key, NodeId(1), &Default::default());
        let (of_g, of_other) = (shown("g").expect("a key"), shown("other").expect("a key"));
        assert_eq!((of_g.value.as_deref(), of_g.source), (Some("50000"), ConfigSource::DynamicGroup));
        assert_eq!((of_other.value.as_deref(), of_other.source), (Some("45000"), ConfigSource::Default));
        let names: Vec<_> = of_g.synonyms.iter().map(|synonym| synonym.name.as_str()).collect();
        assert_eq!(names, [key, "group.share.session.timeout.ms"]);
    }
    let delete = Change::Incremental(vec![op(key, OpKind::Delete, None)]);
    assert_eq!(alter(&mut rig, g(), delete), ErrorCode::NONE);
    assert_eq!(rig.controller.image().configured_groups().len(), 0);
}

#[test]
fn one_resource_twice_in_a_request_is_refused() {
    let mut rig = Rig::new(1);
    rig.create(topic("t", 5));
    let change =
        ConfigChange { resource: ConfigResource::Topic("t".into()), change: Change::Incremental(vec![]) };
    let reply = rig.run(Action::AlterConfigs(AlterConfigs { resources: vec![change.clone(), change] }));
    let ReplyBody::ConfigsAltered(outcomes) = reply.body else { panic!("not an alteration") };
    assert!(outcomes.into_iter().all(|(_, outcome)| code(outcome.err()) == ErrorCode::INVALID_REQUEST));
}

#[test]
fn nothing_new_is_led_by_a_broker_without_a_vote() {
    let mut rig = Rig::new(3);
    let wiped = chronik_coord::BrokerRegistration {
        votes: false,
        directory: chronik_wire::types::DirectoryId(99),
        ..broker(2)
    };
    assert_eq!(rig.run(Action::RegisterBroker(wiped)).body, ReplyBody::Done);
    for (name, id, live) in [("all", 5, vec![]), ("seen", 6, [1, 2].map(NodeId).to_vec())] {
        let defaults = TopicDefaults { partitions: 6, replication_factor: 1 };
        rig.run(Action::CreateTopics(CreateTopics { topics: vec![topic(name, id)], live, defaults }));
        let image = rig.controller.image();
        let placed = &image.topic(name).expect("created").partitions;
        assert_eq!(placed.len(), 6);
        assert!(placed.iter().all(|partition| !partition.replicas.contains(&NodeId(2))), "{placed:?}");
    }
    rig.create(NewTopic { replication_factor: 3, ..topic("wide", 7) });
    let image = rig.controller.image();
    let placed = &image.topic("wide").expect("created").partitions;
    assert!(placed.iter().all(|partition| partition.replicas.len() == 3), "it still holds replicas");
    assert!(placed.iter().all(|partition| partition.designated != NodeId(2)));
}

#[test]
fn brokers_register_again_and_leave_only_when_empty() {
    let mut rig = Rig::new(2);
    let newer = chronik_coord::BrokerRegistration { incarnation: 9, ..broker(1) };
    assert_eq!(rig.run(Action::RegisterBroker(newer)).body, ReplyBody::Done);
    assert_eq!(rig.controller.image().brokers[&NodeId(1)].incarnation, 9);
    let unreachable = Some(chronik_coord::Endpoint { host: "localhost".into(), port: 0 });
    let unreachable = chronik_coord::BrokerRegistration { peer: unreachable, ..broker(3) };
    assert_eq!(rejection(&rig.run(Action::RegisterBroker(unreachable)).body), ErrorCode::INVALID_REQUEST);
    let nowhere = chronik_coord::BrokerRegistration { rack: Some(String::new()), ..broker(3) };
    assert_eq!(rejection(&rig.run(Action::RegisterBroker(nowhere)).body), ErrorCode::INVALID_REQUEST);
    let negative = chronik_coord::BrokerRegistration { id: NodeId(-1), ..broker(1) };
    assert_eq!(rejection(&rig.run(Action::RegisterBroker(negative)).body), ErrorCode::INVALID_REQUEST);

    rig.create(topic("t", 5));
    let held = rig.run(Action::UnregisterBroker { id: NodeId(1) });
    assert_eq!(rejection(&held.body), ErrorCode::INVALID_REQUEST);
    let unknown = rig.run(Action::UnregisterBroker { id: NodeId(7) });
    assert_eq!(rejection(&unknown.body), ErrorCode::BROKER_ID_NOT_REGISTERED);
    rig.run(Action::DeleteTopics(DeleteTopics { topics: vec![TopicRef::Name("t".into())] }));
    assert_eq!(rig.run(Action::UnregisterBroker { id: NodeId(1) }).body, ReplyBody::Done);
    assert_eq!(rig.controller.image().brokers.len(), 1);
}

#[test]
fn the_broker_limit_holds_at_the_limit_and_one_past_it() {
    let mut rig = Rig::new(limits::BROKERS_MAX as i32);
    let past = rig.run(Action::RegisterBroker(broker(limits::BROKERS_MAX as i32 + 1)));
    assert_eq!(rejection(&past.body), ErrorCode::POLICY_VIOLATION);
    assert_eq!(rig.run(Action::RegisterBroker(broker(1))).body, ReplyBody::Done, "a known one may come back");
}

#[test]
fn producer_ids_never_overlap() {
    let mut rig = Rig::new(2);
    let block = |rig: &mut Rig, node: i32| rig.run(Action::AllocateProducerIds { broker: NodeId(node) }).body;
    assert_eq!(block(&mut rig, 1), ReplyBody::ProducerIds { first: 0, count: 1_000 });
    assert_eq!(block(&mut rig, 2), ReplyBody::ProducerIds { first: 1_000, count: 1_000 });
    assert_eq!(rejection(&block(&mut rig, 3)), ErrorCode::BROKER_ID_NOT_REGISTERED);
}

#[test]
fn the_first_cluster_id_stays() {
    let mut rig = Rig::new(1);
    let set = |id: &str| Action::SetClusterId { cluster_id: id.into() };
    for wrong in ["", "short", "AAAAAAAAAAAAAAAAAAAAA=", "AAAAAAAAAAAAAAAAAAAAAAA"] {
        assert_eq!(rejection(&rig.run(set(wrong)).body), ErrorCode::INVALID_REQUEST, "{wrong}");
    }
    let first = "ABCDEFGHIJKLMNOPQRST-_".to_owned();
    assert_eq!(rig.run(set(&first)).body, ReplyBody::ClusterId(first.clone()));
    assert_eq!(rig.run(set("0000000000000000000000")).body, ReplyBody::ClusterId(first.clone()));
    assert_eq!(rig.controller.image().cluster_id.as_deref(), Some(first.as_str()));
}

#[test]
fn a_check_says_what_apply_would_and_changes_nothing() {
    let mut rig = Rig::new(3);
    let action = create(vec![topic("a", 5), topic("__meta", 6)]);
    let before = rig.controller.snapshot();
    let checked = rig.controller.check(&action);
    assert_eq!(rig.controller.snapshot(), before);
    assert_eq!(checked.at, Offset::UNKNOWN);
    assert_eq!(rig.run(action).body, checked.body);
}
