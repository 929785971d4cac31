//! AlterClientQuotas and DescribeClientQuotas, and what comes of quotas.

use bytes::Bytes;
use chronik_wire::error_code::ErrorCode;
use chronik_wire::header::{decode_response, request_frame};
use chronik_wire::messages::alter_client_quotas::{EntityData, EntryData, OpData};
use chronik_wire::messages::create_partitions::CreatePartitionsTopic;
use chronik_wire::messages::create_topics::CreatableTopic;
use chronik_wire::messages::describe_client_quotas::ComponentData;
use chronik_wire::messages::{
    AlterClientQuotasRequest, CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest,
    DescribeClientQuotasRequest, FetchRequest, ProduceRequest,
};
use chronik_wire::types::NodeId;

use crate::harness::client::{fetch_request, one, produce_request};
use crate::harness::{Options, TestCluster, connection};

type Named<'a> = (&'a str, Option<&'a str>);

/// The client id under which the harness asks.
const CLIENT: &str = "test";

fn entry(entity: &[Named<'_>], ops: &[(&str, Option<f64>)]) -> EntryData {
    let part = |(kind, name): &Named<'_>| EntityData {
        entity_type: (*kind).to_owned(),
        entity_name: name.map(str::to_owned),
    };
    let op = |(key, value): &(&str, Option<f64>)| OpData {
        key: (*key).to_owned(),
        value: value.unwrap_or_default(),
        remove: value.is_none(),
    };
    EntryData { entity: entity.iter().map(part).collect(), ops: ops.iter().map(op).collect() }
}

fn alter(
    cluster: &mut TestCluster,
    node: i32,
    entries: Vec<EntryData>,
    validate_only: bool,
) -> Vec<ErrorCode> {
    let request = AlterClientQuotasRequest { entries, validate_only };
    let response = cluster.call(NodeId(node), 1, &request);
    response.entries.into_iter().map(|entry| entry.error_code).collect()
}

/// The entities that match, as text, with the sum of their quotas.
fn described(
    cluster: &mut TestCluster,
    node: i32,
    components: &[(&str, i8, Option<&str>)],
    strict: bool,
) -> Result<Vec<(String, f64)>, ErrorCode> {
    let component = |(kind, match_type, name): &(&str, i8, Option<&str>)| ComponentData {
        entity_type: (*kind).to_owned(),
        match_type: *match_type,
        match_name: name.map(str::to_owned),
    };
    let components = components.iter().map(component).collect();
    let request = DescribeClientQuotasRequest { components, strict };
    let response = cluster.call(NodeId(node), 1, &request);
    if response.error_code.is_error() {
        assert_eq!(response.entries, None);
        return Err(response.error_code);
    }
    let shown = response.entries.expect("entries").into_iter().map(|entry| {
        let parts = entry.entity.into_iter().map(|part| {
            format!("{}={}", part.entity_type, part.entity_name.as_deref().unwrap_or("<default>"))
        });
        (parts.collect::<Vec<_>>().join(","), entry.values.iter().map(|quota| quota.value).sum())
    });
    Ok(shown.collect())
}

#[test]
fn quotas_are_set_at_any_node_and_shown_at_every_other() {
    let mut cluster = TestCluster::start(3, &Options::default());
    let rate = |value| [("producer_byte_rate", Some(value))];
    let entries = vec![
        entry(&[("client-id", Some("a"))], &rate(1.0)),
        entry(&[("client-id", None)], &rate(2.0)),
        entry(&[("user", Some("u")), ("client-id", Some("a"))], &rate(4.0)),
        entry(&[("ip", Some("1.2.3.4"))], &[("connection_creation_rate", Some(8.0))]),
        entry(&[("cow", None)], &rate(1.0)),
    ];
    let codes = alter(&mut cluster, 2, entries, false);
    let none = ErrorCode::NONE;
    assert_eq!(codes, [none, none, none, none, ErrorCode::INVALID_REQUEST]);
    for node in 1..=3 {
        let mut show = |components: &[_], strict| described(&mut cluster, node, components, strict);
        let text = |shown: Vec<(&str, f64)>| -> Result<Vec<(String, f64)>, ErrorCode> {
            Ok(shown.into_iter().map(|(entity, sum)| (entity.to_owned(), sum)).collect())
        };
        let (a, both) = (("client-id=a", 1.0), ("user=u,client-id=a", 4.0));
        assert_eq!(show(&[], false).expect("shown").len(), 4);
        assert_eq!(show(&[("client-id", 0, Some("a"))], true), text(vec![a]));
        assert_eq!(show(&[("client-id", 0, Some("a"))], false).expect("shown").len(), 2);
        assert_eq!(show(&[("client-id", 1, None)], true), text(vec![("client-id=<default>", 2.0)]));
        assert_eq!(show(&[("client-id", 2, None)], true).expect("shown").len(), 2);
        assert_eq!(show(&[("user", 2, None), ("client-id", 2, None)], true), text(vec![both]));
        assert_eq!(show(&[("cow", 2, None)], true), Err(ErrorCode::UNSUPPORTED_VERSION));
        let invalid: [&[(&str, i8, Option<&str>)]; 6] = [
            &[("user", 0, None)],
            &[("user", 1, Some("u"))],
            &[("user", 9, None)],
            &[("", 2, None)],
            &[("user", 2, None), ("user", 2, None)],
            &[("user", 2, None), ("ip", 2, None)],
        ];
        for components in invalid {
            assert_eq!(show(components, false), Err(ErrorCode::INVALID_REQUEST), "{components:?}");
        }
    }
    let remove = || vec![entry(&[("client-id", Some("a"))], &[("producer_byte_rate", None)])];
    assert_eq!(alter(&mut cluster, 1, remove(), true), [none]);
    assert_eq!(described(&mut cluster, 1, &[], false).expect("shown").len(), 4, "that was only a check");
    assert_eq!(alter(&mut cluster, 1, remove(), false), [none]);
    assert_eq!(described(&mut cluster, 3, &[], false).expect("shown").len(), 3);
}

/// The time to wait that a produce of some bytes is answered with.
fn throttled_produce(cluster: &mut TestCluster, node: NodeId, bytes: usize) -> i32 {
    let request = produce_request("t", 0, one(&"x".repeat(bytes)), -1, 1_000);
    let response = cluster.call(node, 9, &request);
    assert_eq!(response.responses[0].partition_responses[0].error_code, ErrorCode::NONE, "it is stored");
    response.throttle_time_ms
}

fn limited(quotas: &[EntryData]) -> (TestCluster, NodeId) {
    let mut cluster = TestCluster::start(3, &Options::default());
    cluster.create_topic("t", 1, &[]);
    let codes = alter(&mut cluster, 1, quotas.to_vec(), false);
    assert!(codes.iter().all(|code| code.is_none()), "{codes:?}");
    let leader = cluster.leader(cluster.key("t", 0)).expect("a leader");
    (cluster, leader)
}

#[test]
fn who_produces_too_fast_is_told_to_wait_and_made_to() {
    let rate = entry(&[("client-id", Some(CLIENT))], &[("producer_byte_rate", Some(1_000.0))]);
    let (mut cluster, leader) = limited(&[rate]);
    assert_eq!(throttled_produce(&mut cluster, leader, 9_000), 0, "ten seconds' worth may come at once");
    let wait_ms = throttled_produce(&mut cluster, leader, 5_000);
    assert!((4_000..5_000).contains(&wait_ms), "{wait_ms}");
    // A connection of its own, to see that it is the connection that waits.
    let connection = connection(false);
    let produce = produce_request("t", 0, one(&"x".repeat(1_000)), -1, 1_000);
    let first = cluster.ask_on(&connection, leader, 9, &produce);
    let told_ms = cluster.run(first).expect("open").expect("an answer").throttle_time_ms;
    assert!(told_ms > wait_ms, "the debt grows: {told_ms}");
    let asked_at_ms = cluster.now_ms();
    let second = cluster.ask_on(&connection, leader, 9, &produce);
    cluster.run(second).expect("open").expect("an answer");
    assert!(cluster.now_ms() - asked_at_ms >= told_ms as u64, "nothing is read before the time is over");
}

#[test]
fn who_fetches_too_fast_is_told_to_wait_and_gets_no_more_than_a_window() {
    let rate = entry(&[("client-id", None)], &[("consumer_byte_rate", Some(100.0))]);
    let (mut cluster, leader) = limited(&[rate]);
    for _ in 0..4 {
        assert_eq!(throttled_produce(&mut cluster, leader, 700), 0, "producing is another matter");
    }
    let fetch = |cluster: &mut TestCluster| -> (usize, i32) {
        let request: FetchRequest = fetch_request("t", 0, 0);
        let response = cluster.call(leader, 12, &request);
        (response.responses[0].partitions[0].records.len(), response.throttle_time_ms)
    };
    let (bytes, wait_ms) = fetch(&mut cluster);
    assert!((700..=1_000).contains(&bytes), "{bytes}: no more than a window");
    assert_eq!(wait_ms, 0);
    let (again, wait_ms) = fetch(&mut cluster);
    assert_eq!(again, bytes, "the records come all the same");
    assert!(wait_ms > 0);
}

/// Asks for a topic of this many partitions; the error and the time to wait.
fn create(cluster: &mut TestCluster, version: i16, name: &str, partitions: i32) -> (ErrorCode, i32) {
    let topic = CreatableTopic {
        name: name.to_owned(),
        num_partitions: partitions,
        replication_factor: 1,
        ..CreatableTopic::default()
    };
    let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 1_000, ..Default::default() };
    let response = cluster.call(NodeId(1), version, &request);
    (response.topics[0].error_code, response.throttle_time_ms)
}

#[test]
fn who_creates_and_deletes_partitions_too_fast_is_refused_or_made_to_wait() {
    let rate = entry(&[("client-id", Some(CLIENT))], &[("controller_mutation_rate", Some(1.0))]);
    let (mut cluster, _) = limited(&[rate]);
    let over = ErrorCode::THROTTLING_QUOTA_EXCEEDED;
    assert_eq!(create(&mut cluster, 7, "a", 11), (ErrorCode::NONE, 0), "a window's worth may come at once");
    assert_eq!(create(&mut cluster, 7, "a", 100).0, ErrorCode::TOPIC_ALREADY_EXISTS, "that costs nothing");
    assert_eq!(create(&mut cluster, 7, "b", 2), (ErrorCode::NONE, 0), "the account is even still");
    let (code, wait_ms) = create(&mut cluster, 7, "c", 1);
    assert!(code == over && (1_000..=2_000).contains(&wait_ms), "{code} {wait_ms}");
    let grow = |version: i16, cluster: &mut TestCluster| {
        let topic = CreatePartitionsTopic { name: "b".to_owned(), count: 3, assignments: None };
        let topics = vec![topic];
        let request = CreatePartitionsRequest { topics, timeout_ms: 1_000, validate_only: false };
        let response = cluster.call(NodeId(1), version, &request);
        (response.results[0].error_code, response.throttle_time_ms)
    };
    let delete = |version: i16, cluster: &mut TestCluster| {
        let topic_names = vec!["a".to_owned()];
        let request = DeleteTopicsRequest { topic_names, timeout_ms: 1_000, ..Default::default() };
        let response = cluster.call(NodeId(1), version, &request);
        (response.responses[0].error_code, response.throttle_time_ms)
    };
    let refused = [grow(3, &mut cluster), delete(5, &mut cluster)];
    assert!(refused.iter().all(|(code, wait_ms)| *code == over && *wait_ms > 0), "{refused:?}");
    cluster.pass_ms(2_000);
    assert_eq!(create(&mut cluster, 7, "c", 1), (ErrorCode::NONE, 0), "time has passed");
    // Older versions do not know the error: they get what they want, and have to wait.
    let (code, wait_ms) = create(&mut cluster, 5, "d", 5);
    assert!(code == ErrorCode::NONE && wait_ms > 0, "{code} {wait_ms}");
    let (code, longer_ms) = grow(2, &mut cluster);
    assert!(code == ErrorCode::NONE && longer_ms > wait_ms, "{code} {longer_ms}");
    let (code, longest_ms) = delete(4, &mut cluster);
    assert!(code == ErrorCode::NONE && longest_ms > longer_ms, "{code} {longest_ms}");
}

#[test]
fn the_narrowest_quota_counts_and_every_client_has_its_own_account() {
    let of = |entity: &[Named<'_>], rate| entry(entity, &[("producer_byte_rate", Some(rate))]);
    let (mut cluster, leader) = limited(&[
        of(&[("client-id", Some(CLIENT))], 10.0),
        of(&[("user", None), ("client-id", None)], 1_000.0),
    ]);
    assert_eq!(throttled_produce(&mut cluster, leader, 8_000), 0, "a quota with a user comes first");
    assert!(throttled_produce(&mut cluster, leader, 8_000) > 0);
    let request = produce_request("t", 0, one(&"x".repeat(8_000)), -1, 1_000);
    let pieces = request_frame(9, 7, Some("other"), &request).expect("encodes");
    let frame = Bytes::from(pieces.concat()).slice(4..);
    let broker = cluster.node(leader).broker.clone();
    let answer = cluster.run(async move { broker.handle(&connection(false), frame).await });
    let pieces = answer.expect("open").expect("an answer");
    let (_, response) = decode_response::<ProduceRequest>(Bytes::from(pieces.concat()), 9).expect("decodes");
    assert_eq!(response.throttle_time_ms, 0, "another client starts even");
}
