//! Produces: acknowledged means committed, repeated means once, refused means nothing appended.

mod harness;

use chronik_broker::{Broker, CloseReason, RequestClass};
use chronik_wire::batch::BatchBuilder;
use chronik_wire::error_code::ErrorCode;
use chronik_wire::types::NodeId;
use harness::client::{PRODUCE_VERSION, one, produce_request, values};
use harness::{Options, TestCluster, connection};

fn cluster(configs: &[(&str, &str)]) -> (TestCluster, NodeId, NodeId) {
    let mut cluster = TestCluster::start(3, &Options::default());
    cluster.create_topic("t", 1, configs);
    let leader = cluster.leader(cluster.key("t", 0)).expect("a leader");
    let follower = *cluster.nodes.keys().find(|node| **node != leader).expect("a follower");
    (cluster, leader, follower)
}

fn numbered(sequence: i32, value: &str) -> BatchBuilder {
    one(value).producer(9_000, 0, sequence)
}

#[test]
fn a_follower_refuses_and_names_the_leader() {
    let (mut cluster, leader, follower) = cluster(&[]);
    let request = produce_request("t", 0, one("v"), -1, 1_000);
    let response = cluster.call(follower, 10, &request);
    let result = &response.responses[0].partition_responses[0];
    assert_eq!(result.error_code, ErrorCode::NOT_LEADER_OR_FOLLOWER);
    assert_eq!(result.current_leader.leader_id, leader.0);
    assert_eq!(response.node_endpoints[0].node_id, leader.0);
}

#[test]
fn on_the_pinned_address_a_produce_is_carried_to_the_leader() {
    let (mut cluster, leader, follower) = cluster(&[]);
    let asked = cluster.ask(follower, true, PRODUCE_VERSION, &produce_request("t", 0, one("v"), -1, 1_000));
    let response = cluster.run(asked).expect("open").expect("answered");
    let result = &response.responses[0].partition_responses[0];
    assert_eq!((result.error_code, result.base_offset), (ErrorCode::NONE, 0), "{result:?}");
    assert_eq!(values(&cluster.fetch(follower, "t", 0, 0)), vec!["v".to_owned()]);
    assert_eq!(
        cluster.node(follower).counters.produces_forwarded.load(std::sync::atomic::Ordering::Relaxed),
        1
    );
    assert_eq!(cluster.node(leader).counters.batches_appended.load(std::sync::atomic::Ordering::Relaxed), 1);
}

#[test]
fn a_repeated_idempotent_batch_is_answered_with_its_first_offset() {
    let (mut cluster, leader, _) = cluster(&[]);
    for sequence in 0..5 {
        assert_eq!(cluster.produce(leader, "t", numbered(sequence, "v")).base_offset, i64::from(sequence));
    }
    for sequence in 0..5 {
        let again = cluster.produce(leader, "t", numbered(sequence, "v"));
        assert_eq!((again.error_code, again.base_offset), (ErrorCode::NONE, i64::from(sequence)));
    }
    let gap = cluster.produce(leader, "t", numbered(7, "v"));
    assert_eq!(gap.error_code, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
    assert_eq!(cluster.fetch(leader, "t", 0, 0).high_watermark, 5);
}

#[test]
fn what_is_malformed_or_too_large_is_refused_and_nothing_is_appended() {
    let (mut cluster, leader, _) = cluster(&[("max.message.bytes", "200")]);
    let large = cluster.produce(leader, "t", one(&"x".repeat(300)));
    assert_eq!(large.error_code, ErrorCode::MESSAGE_TOO_LARGE);
    let mut damaged = produce_request("t", 0, one("v"), -1, 1_000);
    let records = damaged.topic_data[0].partition_data[0].records.take().expect("records");
    let mut bytes = records.to_vec();
    *bytes.last_mut().expect("bytes") ^= 1;
    damaged.topic_data[0].partition_data[0].records = Some(bytes.into());
    let response = cluster.call(leader, PRODUCE_VERSION, &damaged);
    assert_eq!(response.responses[0].partition_responses[0].error_code, ErrorCode::CORRUPT_MESSAGE);
    let two = [one("a").build().expect("builds"), one("b").build().expect("builds")].concat();
    let mut request = produce_request("t", 0, one("v"), -1, 1_000);
    request.topic_data[0].partition_data[0].records = Some(two.into());
    let response = cluster.call(leader, PRODUCE_VERSION, &request);
    assert_eq!(response.responses[0].partition_responses[0].error_code, ErrorCode::INVALID_RECORD);
    assert_eq!(cluster.fetch(leader, "t", 0, 0).high_watermark, 0);
}

#[test]
fn without_a_quorum_nothing_is_acknowledged() {
    let (mut cluster, leader, _) = cluster(&[]);
    cluster.isolate(leader);
    let result = cluster.produce(leader, "t", one("v"));
    assert_eq!(result.error_code, ErrorCode::REQUEST_TIMED_OUT, "appended, fate open");
}

#[test]
fn too_few_members_in_sync_refuse_before_the_append() {
    let mut options = Options::default();
    options.config.insert("replica.lag.time.max.ms".to_owned(), "500".to_owned());
    let mut cluster = TestCluster::start(3, &options);
    cluster.create_topic("t", 1, &[("min.insync.replicas", "3")]);
    let leader = cluster.leader(cluster.key("t", 0)).expect("a leader");
    let follower = *cluster.nodes.keys().find(|node| **node != leader).expect("a follower");
    assert_eq!(cluster.produce(leader, "t", one("v")).error_code, ErrorCode::NONE);
    cluster.freeze(follower);
    let after = cluster.produce(leader, "t", one("v"));
    assert_eq!(after.error_code, ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND, "committed, on too few");
    cluster.pass_ms(1_000);
    let before = cluster.produce(leader, "t", one("v"));
    assert_eq!(before.error_code, ErrorCode::NOT_ENOUGH_REPLICAS);
    assert_eq!(cluster.fetch(leader, "t", 0, 0).high_watermark, 2, "the refused one was not appended");
}

#[test]
fn acks_0_gets_no_answer_and_its_failure_closes() {
    let (mut cluster, leader, follower) = cluster(&[]);
    let asked = cluster.ask(leader, false, PRODUCE_VERSION, &produce_request("t", 0, one("v"), 0, 1_000));
    assert_eq!(cluster.run(asked), Ok(None));
    let asked = cluster.ask(follower, false, PRODUCE_VERSION, &produce_request("t", 0, one("v"), 0, 1_000));
    let refused = ErrorCode::NOT_LEADER_OR_FOLLOWER.0;
    assert_eq!(cluster.run(asked), Err(CloseReason::UnacknowledgedProduceFailed(refused)));
}

#[test]
fn every_codec_comes_back_byte_for_byte() {
    let (mut cluster, leader, follower) = cluster(&[]);
    for compression in chronik_wire::batch::Compression::ALL {
        let batch = one("compressed").compression(compression);
        let sent = batch.build().expect("builds");
        let mut request = produce_request("t", 0, one("v"), -1, 1_000);
        request.topic_data[0].partition_data[0].records = Some(sent.clone());
        let response = cluster.call(leader, PRODUCE_VERSION, &request);
        let offset = response.responses[0].partition_responses[0].base_offset;
        let fetched = cluster.fetch(follower, "t", offset, 0).records.to_bytes();
        assert_eq!(fetched.len(), sent.len());
        // Bytes 0-7 are the offset and 12-15 the leader epoch; nothing else is ours to write.
        assert_eq!((&fetched[8..12], &fetched[16..]), (&sent[8..12], &sent[16..]), "{compression:?}");
    }
}

#[test]
fn a_produce_appends_before_its_first_suspension() {
    let (mut cluster, leader, _) = cluster(&[]);
    let mut first = Box::pin(cluster.ask(
        leader,
        false,
        PRODUCE_VERSION,
        &produce_request("t", 0, numbered(0, "a"), -1, 1_000),
    ));
    let mut second = Box::pin(cluster.ask(
        leader,
        false,
        PRODUCE_VERSION,
        &produce_request("t", 0, numbered(1, "b"), -1, 1_000),
    ));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    // Started in order, neither finished: what pipelining on one connection does.
    assert!(std::future::Future::poll(first.as_mut(), &mut context).is_pending());
    assert!(std::future::Future::poll(second.as_mut(), &mut context).is_pending());
    let second = cluster.run(second).expect("open").expect("answered");
    let first = cluster.run(first).expect("open").expect("answered");
    let offset = |response: &chronik_wire::messages::ProduceResponse| {
        response.responses[0].partition_responses[0].base_offset
    };
    assert_eq!((offset(&first), offset(&second)), (0, 1));
}

#[test]
fn a_produce_that_waits_for_its_topic_to_be_known_is_not_overtaken() {
    let mut cluster = TestCluster::start(1, &Options::default());
    cluster.create_topic("t", 1, &[]);
    let (node, key) = (NodeId(1), cluster.key("t", 0));
    assert_eq!(cluster.produce(node, "t", numbered(0, "a")).error_code, ErrorCode::NONE);
    cluster.kill(node);
    cluster.restart(node);
    assert!(cluster.node(node).broker.node().image().topic("t").is_none(), "nothing is known at the start");
    let connection = connection(false);
    let [mut first, mut second] = [1, 2].map(|sequence| {
        let request = produce_request("t", 0, numbered(sequence, "b"), -1, 1_000);
        Box::pin(cluster.ask_on(&connection, node, PRODUCE_VERSION, &request))
    });
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(std::future::Future::poll(first.as_mut(), &mut context).is_pending());
    cluster.wait_for("the topic and its leader to be known", |cluster| {
        let node = cluster.node(node).broker.node();
        node.image().topic("t").is_some() && node.view(|view| view.leader(key)).is_some()
    });
    // It comes in before the first one has noticed.
    assert!(std::future::Future::poll(second.as_mut(), &mut context).is_pending());
    let answers = cluster.run_all(vec![first, second]);
    let results = answers.into_iter().map(|answer| {
        let answer = answer.expect("open").expect("answered");
        let result = &answer.responses[0].partition_responses[0];
        (result.error_code, result.base_offset)
    });
    assert_eq!(results.collect::<Vec<_>>(), [(ErrorCode::NONE, 1), (ErrorCode::NONE, 2)]);
}

/// With its bug planted each of these scenarios fails.
#[cfg(feature = "mutants")]
#[test]
fn the_scenarios_above_kill_their_bugs() {
    use chronik_mutants::Mutant;
    use harness::killed;

    killed(Mutant::ProducesOvertake, a_produce_that_waits_for_its_topic_to_be_known_is_not_overtaken);
}

#[test]
fn only_produce_is_of_the_class_that_may_be_pipelined() {
    assert_eq!(Broker::request_class(&bytes::Bytes::from_static(&[0, 0, 0, 9])), RequestClass::Produce);
    assert_eq!(Broker::request_class(&bytes::Bytes::from_static(&[0, 1, 0, 9])), RequestClass::Ordered);
    assert_eq!(Broker::request_class(&bytes::Bytes::from_static(&[0])), RequestClass::Ordered);
}
