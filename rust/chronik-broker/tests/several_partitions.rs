//! Requests over several partitions: each fails alone, none waits for another longer than it must, and limits hold
//! over all of them.

mod harness;

use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::fetch::{FetchPartition, FetchRequest, PartitionData};
use chronik_wire::messages::list_offsets::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use chronik_wire::messages::offset_for_leader_epoch::{
    OffsetForLeaderEpochRequest, OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use chronik_wire::types::NodeId;
use harness::client::{FETCH_VERSION, PRODUCE_VERSION, fetch_request, one, produce_request, values};
use harness::{Options, TestCluster};

const ONE: NodeId = NodeId(1);
const TWO: NodeId = NodeId(2);

/// Topic `a` is led by node 1, as the metadata is, and topic `b` by node 2.
fn cluster(configs: &[(&str, &str)]) -> TestCluster {
    let mut cluster = TestCluster::start(3, &Options::default());
    cluster.create_topic("a", 1, configs);
    cluster.create_topic("b", 1, configs);
    assert_eq!(cluster.leader(cluster.key("a", 0)), Some(ONE));
    assert_eq!(cluster.leader(cluster.key("b", 0)), Some(TWO));
    cluster
}

fn cut_both_ways(cluster: &mut TestCluster, one: NodeId, other: NodeId) {
    cluster.cut(one, other);
    cluster.cut(other, one);
}

fn fetch_of(topics: &[(&str, i64)], wait_ms: i32) -> FetchRequest {
    let topic = |(name, offset): &(&str, i64)| fetch_request(name, *offset, wait_ms).topics.remove(0);
    FetchRequest { topics: topics.iter().map(topic).collect(), ..fetch_request("", 0, wait_ms) }
}

fn answer_of<'a>(response: &'a [(String, PartitionData)], topic: &str) -> &'a PartitionData {
    &response.iter().find(|(name, _)| name == topic).expect("answered").1
}

fn fetch(cluster: &mut TestCluster, node: NodeId, request: &FetchRequest) -> Vec<(String, PartitionData)> {
    let response = cluster.call(node, FETCH_VERSION, request);
    let topics = response.responses.into_iter();
    topics
        .flat_map(|topic| topic.partitions.into_iter().map(move |data| (topic.topic.clone(), data)))
        .collect()
}

#[test]
fn a_hint_does_not_wait_for_a_gate_that_cannot_be_passed() {
    let mut cluster = cluster(&[]);
    cluster.pass_ms(200);
    cut_both_ways(&mut cluster, ONE, TWO);
    let mut request = fetch_of(&[("a", 0), ("b", 0)], 5_000);
    request.rack_id = "rack-3".to_owned();
    let started_ms = cluster.now_ms();
    let answers = fetch(&mut cluster, ONE, &request);
    assert_eq!(answer_of(&answers, "a").preferred_read_replica, 3);
    assert_eq!(answer_of(&answers, "b").error_code, ErrorCode::OFFSET_NOT_AVAILABLE);
    assert!(cluster.now_ms() - started_ms <= 300, "answered after {} ms", cluster.now_ms() - started_ms);
}

#[test]
fn records_that_needed_no_gate_wait_for_a_straggler_no_longer_than_others() {
    let mut cluster = cluster(&[("chronik.read.consistency", "tail")]);
    cluster.send("a", "v");
    cluster.pass_ms(200);
    cut_both_ways(&mut cluster, ONE, TWO);
    let started_ms = cluster.now_ms();
    let answers = fetch(&mut cluster, ONE, &fetch_of(&[("a", 0), ("b", 0)], 5_000));
    assert_eq!(values(answer_of(&answers, "a")), vec!["v".to_owned()]);
    assert_eq!(answer_of(&answers, "b").error_code, ErrorCode::OFFSET_NOT_AVAILABLE);
    assert!(cluster.now_ms() - started_ms <= 300, "answered after {} ms", cluster.now_ms() - started_ms);
}

#[test]
fn records_of_one_partition_do_not_answer_for_another_at_its_gate() {
    let mut cluster = cluster(&[]);
    cluster.send("a", "v");
    cluster.send("b", "v");
    cluster.pass_ms(200);
    cut_both_ways(&mut cluster, ONE, TWO);
    let answers = fetch(&mut cluster, ONE, &fetch_of(&[("a", 0), ("b", 1)], 5_000));
    assert_eq!(values(answer_of(&answers, "a")), vec!["v".to_owned()]);
    assert_eq!(answer_of(&answers, "b").error_code, ErrorCode::OFFSET_NOT_AVAILABLE);
}

#[test]
fn a_failed_gate_in_tail_mode_does_not_lift_the_size_limit() {
    let mut cluster = cluster(&[("chronik.read.consistency", "tail")]);
    cluster.send("b", "first");
    cluster.pass_ms(50);
    // Node 1 hears its leader and is not heard: records come, answers to barriers do not.
    cluster.cut(ONE, TWO);
    let mut request = fetch_request("b", 1, 300);
    request.max_bytes = 1_000;
    let mut fetch = Box::pin(cluster.ask(ONE, false, FETCH_VERSION, &request));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(std::future::Future::poll(fetch.as_mut(), &mut context).is_pending());
    for _ in 0..5 {
        cluster.send("b", &"x".repeat(600));
    }
    let key = cluster.key("b", 0);
    let applied = cluster.node(ONE).host.borrow().view(key).expect("hosted").high_watermark.0;
    assert!(applied >= 5, "the records came: {applied}");
    let response = cluster.run(fetch).expect("open").expect("answered");
    let data = &response.responses[0].partitions[0];
    assert_eq!((data.error_code, values(data).len()), (ErrorCode::NONE, 1), "{} bytes", data.records.len());
}

#[test]
fn a_session_serves_every_partition_though_one_fills_most_of_each_answer() {
    let mut cluster = TestCluster::start(3, &Options::default());
    cluster.create_topic("t", 2, &[]);
    for partition in 0..2 {
        for _ in 0..4 {
            let leader = cluster.leader(cluster.key("t", partition)).expect("a leader");
            let request = produce_request("t", partition, one(&"x".repeat(600)), -1, 1_000);
            let response = cluster.call(leader, PRODUCE_VERSION, &request);
            assert_eq!(response.responses[0].partition_responses[0].error_code, ErrorCode::NONE);
        }
    }
    let wanted = |partition: i32, fetch_offset: i64| FetchPartition {
        partition,
        fetch_offset,
        partition_max_bytes: 1 << 20,
        ..FetchPartition::default()
    };
    let mut request = fetch_request("t", 0, 0);
    // Room for one batch and a half.
    (request.max_bytes, request.session_epoch) = (1_000, 0);
    request.topics[0].partitions = vec![wanted(0, 0), wanted(1, 0)];
    let mut next = [0, 0];
    for epoch in 1..=4 {
        let response = cluster.call(ONE, FETCH_VERSION, &request);
        (request.session_id, request.session_epoch) = (response.session_id, epoch);
        let mut moved = Vec::new();
        for data in response.responses.iter().flat_map(|topic| &topic.partitions) {
            let count = values(data).len() as i64;
            if count > 0 {
                next[data.partition_index as usize] += count;
                moved.push(wanted(data.partition_index, next[data.partition_index as usize]));
            }
        }
        request.topics[0].partitions = moved;
    }
    assert_eq!(next, [2, 2], "records served per partition after four answers");
}

#[test]
fn a_topic_that_cannot_be_looked_up_spoils_no_other() {
    let mut cluster = cluster(&[]);
    cluster.send("b", "v");
    cluster.pass_ms(200);
    // Node 2 leads its topic with node 3 and cannot reach the leader of the metadata.
    cut_both_ways(&mut cluster, ONE, TWO);
    let mut request = produce_request("b", 0, one("w"), -1, 2_000);
    request.topic_data.push(produce_request("unknown", 0, one("w"), -1, 2_000).topic_data.remove(0));
    let response = cluster.call(TWO, PRODUCE_VERSION, &request);
    let code = |topic: usize| response.responses[topic].partition_responses[0].error_code;
    assert_eq!((code(0), code(1)), (ErrorCode::NONE, ErrorCode::NOT_LEADER_OR_FOLLOWER));
    let answers = fetch(&mut cluster, TWO, &fetch_of(&[("b", 1), ("unknown", 0)], 0));
    assert_eq!(values(answer_of(&answers, "b")), vec!["w".to_owned()]);
    assert_eq!(answer_of(&answers, "unknown").error_code, ErrorCode::NOT_LEADER_OR_FOLLOWER);
}

#[test]
fn a_produce_that_names_an_unknown_topic_keeps_its_place_in_the_pipeline() {
    let mut cluster = cluster(&[]);
    let mut first = produce_request("b", 0, one("first").producer(9_000, 0, 0), -1, 2_000);
    first.topic_data.push(produce_request("unknown", 0, one("x"), -1, 2_000).topic_data.remove(0));
    let second = produce_request("b", 0, one("second").producer(9_000, 0, 1), -1, 2_000);
    let requests = [first, second].map(|request| cluster.ask(TWO, false, PRODUCE_VERSION, &request));
    let responses = cluster.run_all(requests.into());
    let results = responses.into_iter().map(|response| {
        let response = response.expect("open").expect("answered");
        let result = &response.responses[0].partition_responses[0];
        (result.error_code, result.base_offset)
    });
    assert_eq!(results.collect::<Vec<_>>(), [(ErrorCode::NONE, 0), (ErrorCode::NONE, 1)]);
}

const MANY: i32 = 200;

#[test]
fn questions_about_many_partitions_share_one_deadline() {
    let mut cluster = TestCluster::start(3, &Options::default());
    cluster.create_topic("t", MANY, &[]);
    cluster.isolate(TWO);
    cluster.pass_ms(400);
    let cap_ms = cluster.node(TWO).broker.node().config.gate_cap_ms;
    let partitions = || 0..MANY;
    let ask = |partition| OffsetForLeaderPartition { partition, ..OffsetForLeaderPartition::default() };
    let topics =
        vec![OffsetForLeaderTopic { topic: "t".to_owned(), partitions: partitions().map(ask).collect() }];
    let epochs = OffsetForLeaderEpochRequest { topics, ..OffsetForLeaderEpochRequest::default() };
    let started_ms = cluster.now_ms();
    let response = cluster.call(TWO, 3, &epochs);
    assert_eq!(response.topics[0].partitions.len(), MANY as usize);
    assert_ne!(response.topics[0].partitions[0].error_code, ErrorCode::NONE);
    let took_ms = cluster.now_ms() - started_ms;
    assert!(took_ms <= cap_ms + 100, "epochs answered after {took_ms} ms");

    let ask = |partition_index| ListOffsetsPartition { partition_index, ..ListOffsetsPartition::default() };
    let topics =
        vec![ListOffsetsTopic { name: "unknown".to_owned(), partitions: partitions().map(ask).collect() }];
    let request = ListOffsetsRequest { topics, ..ListOffsetsRequest::default() };
    let started_ms = cluster.now_ms();
    let response = cluster.call(TWO, 7, &request);
    assert_eq!(response.topics[0].partitions[0].error_code, ErrorCode::LEADER_NOT_AVAILABLE);
    let took_ms = cluster.now_ms() - started_ms;
    assert!(took_ms <= cap_ms + 100, "offsets answered after {took_ms} ms");
}

#[test]
fn on_the_pinned_address_nobody_is_sent_elsewhere() {
    let mut cluster = TestCluster::start(3, &Options { followers_refuse: true, ..Options::default() });
    cluster.create_topic("t", 1, &[]);
    let follower = TWO;
    for (pinned, hinted) in [(false, 1), (true, 0)] {
        let mut request = fetch_request("t", 0, 0);
        request.topics[0].topic_id = cluster.key("t", 0).topic;
        let asked = cluster.ask(follower, pinned, 16, &request);
        let response = cluster.run(asked).expect("open").expect("answered");
        let data = &response.responses[0].partitions[0];
        assert_eq!(data.error_code, ErrorCode::NOT_LEADER_OR_FOLLOWER);
        assert_eq!(usize::from(data.current_leader.leader_id >= 0), hinted, "pinned: {pinned}");
    }
}

/// With its bug planted each of these scenarios fails.
#[cfg(feature = "mutants")]
#[test]
fn the_scenarios_above_kill_their_bugs() {
    use chronik_mutants::Mutant;
    use harness::killed;

    killed(Mutant::PendingGateAnswered, records_of_one_partition_do_not_answer_for_another_at_its_gate);
}
