//! Transactions as clients see them, at every node: what is open is hidden, what was aborted is named, what was
//! committed is there after the marker; and who may write, end and describe them.

mod harness;

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use chronik_wire::batch::{BatchBuilder, BatchHeader, ControlMarker, split_batches};
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::describe_producers::{
    DescribeProducersRequest, PartitionResponse, ProducerState, TopicRequest,
};
use chronik_wire::messages::fetch::PartitionData;
use chronik_wire::messages::list_offsets::{
    LATEST_TIMESTAMP, ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};
use chronik_wire::messages::write_txn_markers::{
    WritableTxnMarker, WritableTxnMarkerTopic, WriteTxnMarkersRequest,
};
use chronik_wire::types::NodeId;
use harness::client::{FETCH_VERSION, PRODUCE_VERSION, fetch_request, one, produce_request, values};
use harness::{Options, TestCluster};

/// A cluster whose clients' word is taken for what belongs to a transaction, with a topic `t`.
fn cluster() -> TestCluster {
    let mut options = Options::default();
    options.config.insert("transaction.partition.verification.enable".to_owned(), "false".to_owned());
    let mut cluster = TestCluster::start(3, &options);
    cluster.create_topic("t", 1, &[]);
    cluster
}

fn leader(cluster: &TestCluster) -> NodeId {
    cluster.leader(cluster.key("t", 0)).expect("a leader")
}

fn follower(cluster: &TestCluster) -> NodeId {
    let leader = leader(cluster);
    *cluster.nodes.keys().find(|node| **node != leader).expect("a follower")
}

fn within(producer: i64, epoch: i16, sequence: i32, value: &str) -> BatchBuilder {
    one(value).producer(producer, epoch, sequence).transactional()
}

/// Produces a batch in the name of a transaction; the code and the offset.
fn write(cluster: &mut TestCluster, node: NodeId, batch: BatchBuilder) -> (ErrorCode, i64) {
    let mut request = produce_request("t", 0, batch, -1, 1_000);
    request.transactional_id = Some("mine".to_owned());
    let response = cluster.call(node, PRODUCE_VERSION, &request);
    let result = &response.responses[0].partition_responses[0];
    (result.error_code, result.base_offset)
}

fn marker(producer_id: i64, commit: bool) -> WritableTxnMarker {
    WritableTxnMarker {
        producer_id,
        producer_epoch: 0,
        transaction_result: commit,
        topics: vec![WritableTxnMarkerTopic { name: "t".to_owned(), partition_indexes: vec![0] }],
        coordinator_epoch: 1,
        transaction_version: 0,
    }
}

fn end(cluster: &mut TestCluster, node: NodeId, marker: WritableTxnMarker) -> ErrorCode {
    let response = cluster.call(node, 2, &WriteTxnMarkersRequest { markers: vec![marker] });
    response.markers[0].topics[0].partitions[0].error_code
}

/// A fetch of committed records.
fn fetch(cluster: &mut TestCluster, node: NodeId, offset: i64, wait_ms: i32) -> PartitionData {
    let mut request = fetch_request("t", offset, wait_ms);
    request.isolation_level = 1;
    cluster.fetch_version(node, FETCH_VERSION, request)
}

/// What a consumer of committed records makes of an answer.
fn committed(data: &PartitionData) -> Vec<String> {
    let mut aborted = data.aborted_transactions.clone().expect("a list, if an empty one");
    aborted.sort_by_key(|transaction| transaction.first_offset);
    let mut aborted = aborted.into_iter().peekable();
    let mut ignored = BTreeSet::new();
    let mut seen = Vec::new();
    for batch in split_batches(data.records.to_bytes()) {
        let batch = batch.expect("whole batches");
        let header = *batch.header();
        while let Some(next) = aborted.next_if(|next| next.first_offset <= header.last_offset().0) {
            ignored.insert(next.producer_id);
        }
        if header.attributes.is_control() {
            ignored.remove(&header.producer_id);
        } else if !header.attributes.is_transactional() || !ignored.contains(&header.producer_id) {
            let one = PartitionData { records: batch.into_bytes().into(), ..PartitionData::default() };
            seen.extend(values(&one));
        }
    }
    seen
}

/// What each node shows a consumer of committed records from the start.
fn seen(cluster: &mut TestCluster) -> Vec<Vec<String>> {
    let nodes: Vec<NodeId> = cluster.nodes.keys().copied().collect();
    nodes.into_iter().map(|node| committed(&fetch(cluster, node, 0, 0))).collect()
}

fn end_offset(cluster: &mut TestCluster, node: NodeId, isolation_level: i8) -> i64 {
    let partition = ListOffsetsPartition { timestamp: LATEST_TIMESTAMP, ..ListOffsetsPartition::default() };
    let topics = vec![ListOffsetsTopic { name: "t".to_owned(), partitions: vec![partition] }];
    let request = ListOffsetsRequest { isolation_level, topics, ..ListOffsetsRequest::default() };
    let response = cluster.call(node, 7, &request);
    assert_eq!(response.topics[0].partitions[0].error_code, ErrorCode::NONE);
    response.topics[0].partitions[0].offset
}

fn describe(cluster: &mut TestCluster, node: NodeId) -> PartitionResponse {
    let topics = vec![TopicRequest { name: "t".to_owned(), partition_indexes: vec![0] }];
    let response = cluster.call(node, 0, &DescribeProducersRequest { topics });
    response.topics[0].partitions[0].clone()
}

#[test]
fn aborted_records_are_shown_at_no_node_and_committed_ones_at_each_after_the_marker() {
    let mut cluster = cluster();
    let leader = leader(&cluster);
    for round in 0..3 {
        assert_eq!(write(&mut cluster, leader, within(1, 0, round, "gone")).0, ErrorCode::NONE);
        assert_eq!(write(&mut cluster, leader, within(2, 0, round, "kept")).0, ErrorCode::NONE);
        cluster.send("t", "plain");
        assert_eq!(end(&mut cluster, leader, marker(1, false)), ErrorCode::NONE);
        assert_eq!(end(&mut cluster, leader, marker(2, true)), ErrorCode::NONE);
        let expected: Vec<&str> = ["kept", "plain"].repeat(round as usize + 1);
        assert_eq!(seen(&mut cluster), vec![expected; 3]);
    }
    let follower = follower(&cluster);
    let everything = cluster.fetch(follower, "t", 0, 0);
    assert_eq!(everything.aborted_transactions, None, "whoever reads everything needs no list");
    assert_eq!(everything.high_watermark, 15);
    assert!(cluster.node(follower).served_as_follower() > 0);
    let tail = fetch(&mut cluster, follower, 11, 0);
    let named: Vec<_> = tail.aborted_transactions.clone().expect("a list");
    assert_eq!(named.len(), 1, "of a range only those that concern it: {named:?}");
    assert_eq!(committed(&tail), ["kept", "plain"]);
}

#[test]
fn the_oldest_open_transaction_is_the_end_for_readers_of_committed_records() {
    let mut cluster = cluster();
    let (leader, follower) = (leader(&cluster), follower(&cluster));
    cluster.send("t", "first");
    write(&mut cluster, leader, within(1, 0, 0, "one"));
    write(&mut cluster, leader, within(2, 0, 0, "two"));
    end(&mut cluster, leader, marker(2, true));
    for node in [leader, follower] {
        let data = fetch(&mut cluster, node, 0, 0);
        assert_eq!((data.last_stable_offset, data.high_watermark), (1, 4));
        assert_eq!(committed(&data), ["first"]);
        assert_eq!((end_offset(&mut cluster, node, 1), end_offset(&mut cluster, node, 0)), (1, 4));
    }
    // Between the last stable offset and the high watermark a reader waits, without an error.
    let waiting = fetch(&mut cluster, follower, 3, 50);
    assert_eq!((waiting.error_code, waiting.records.len()), (ErrorCode::NONE, 0));
    let mut request = fetch_request("t", 1, 5_000);
    request.isolation_level = 1;
    let parked = cluster.ask(follower, false, FETCH_VERSION, &request);
    let response = {
        let mut parked = Box::pin(parked);
        let early = cluster
            .run(std::future::poll_fn(|task| std::task::Poll::Ready(parked.as_mut().poll(task).is_ready())));
        assert!(!early);
        cluster.pass_ms(100);
        let before_ms = cluster.now_ms();
        assert_eq!(end(&mut cluster, leader, marker(1, true)), ErrorCode::NONE);
        let response = cluster.run(parked).expect("open").expect("answered");
        assert!(cluster.now_ms() - before_ms < 100, "woken by the marker");
        response
    };
    let data = &response.responses[0].partitions[0];
    assert_eq!((data.last_stable_offset, committed(data)), (5, vec!["one".to_owned(), "two".to_owned()]));
}

#[test]
fn a_leader_dies_between_batch_and_marker() {
    let mut cluster = cluster();
    let first = leader(&cluster);
    write(&mut cluster, first, within(1, 0, 0, "gone"));
    write(&mut cluster, first, within(2, 0, 0, "kept"));
    end(&mut cluster, first, marker(1, false));
    cluster.kill(first);
    let key = {
        let any = *cluster.nodes.keys().next().expect("a node");
        let image = cluster.node(any).broker.node().image();
        let topic = image.topic("t").expect("it exists").id;
        chronik_wire::types::PartitionKey::new(topic, chronik_wire::types::PartitionIndex(0))
    };
    let next_leader = |cluster: &TestCluster| {
        let nodes = cluster.nodes.values();
        let views = nodes.filter_map(|node| Some((node.id, node.host.borrow().view(key).ok()?)));
        views.into_iter().find(|(_, view)| view.confirmed).map(|(node, _)| node)
    };
    cluster.wait_for("another leader", |cluster| next_leader(cluster).is_some());
    let second = next_leader(&cluster).expect("a leader");
    assert_eq!(fetch(&mut cluster, second, 0, 0).last_stable_offset, 1);
    assert_eq!(end(&mut cluster, second, marker(2, true)), ErrorCode::NONE);
    assert_eq!(
        end(&mut cluster, second, marker(1, false)),
        ErrorCode::NONE,
        "repeated, it ends nothing more"
    );
    cluster.restart(first);
    assert_eq!(seen(&mut cluster), [["kept"], ["kept"], ["kept"]]);
    assert_eq!(fetch(&mut cluster, first, 0, 0).high_watermark, 4);
}

#[test]
fn what_does_not_belong_into_a_transaction_is_refused_with_kafkas_codes() {
    let mut cluster = cluster();
    let (leader, follower) = (leader(&cluster), follower(&cluster));
    let nameless = cluster.produce(leader, "t", within(1, 0, 0, "v"));
    assert_eq!(nameless.error_code, ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
    let control = BatchBuilder::new().producer(1, 0, 0).end_transaction(5, ControlMarker::Commit, 0);
    assert_eq!(write(&mut cluster, leader, control).0, ErrorCode::INVALID_RECORD);
    assert_eq!(write(&mut cluster, leader, within(1, 0, 0, "v")), (ErrorCode::NONE, 0));
    let plain = cluster.produce(leader, "t", one("v").producer(1, 0, 1));
    assert_eq!(plain.error_code, ErrorCode::INVALID_TXN_STATE);
    assert_eq!(write(&mut cluster, leader, within(1, 0, 0, "v")), (ErrorCode::NONE, 0), "repeated");
    assert_eq!(write(&mut cluster, follower, within(1, 0, 1, "v")).0, ErrorCode::NOT_LEADER_OR_FOLLOWER);

    assert_eq!(end(&mut cluster, follower, marker(1, true)), ErrorCode::NOT_LEADER_OR_FOLLOWER);
    let mut unknown = marker(1, true);
    unknown.topics[0].name = "unknown".to_owned();
    assert_eq!(end(&mut cluster, leader, unknown), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    let raised = WritableTxnMarker { producer_epoch: 1, coordinator_epoch: 7, ..marker(1, true) };
    assert_eq!(end(&mut cluster, leader, raised.clone()), ErrorCode::NONE);
    assert_eq!(write(&mut cluster, leader, within(1, 0, 1, "v")).0, ErrorCode::INVALID_PRODUCER_EPOCH);
    assert_eq!(end(&mut cluster, leader, marker(1, true)), ErrorCode::INVALID_PRODUCER_EPOCH);
    let deposed = WritableTxnMarker { coordinator_epoch: 6, ..raised };
    assert_eq!(end(&mut cluster, leader, deposed), ErrorCode::TRANSACTION_COORDINATOR_FENCED);
}

#[test]
fn nothing_opens_a_transaction_without_the_word_of_its_coordinator() {
    let mut cluster = TestCluster::start(3, &Options::default());
    cluster.create_topic("t", 1, &[]);
    let leader = leader(&cluster);
    let (code, _) = write(&mut cluster, leader, within(1, 0, 0, "v"));
    assert_ne!(code, ErrorCode::NONE);
    let counters = &cluster.node(leader).counters;
    assert_eq!(counters.transactions_verified.load(Ordering::Relaxed), 1);
    assert_eq!(cluster.fetch(leader, "t", 0, 0).high_watermark, 0);
    assert_eq!(cluster.send("t", "plain"), 0, "other records need no word");
}

#[test]
fn on_the_pinned_address_a_transaction_is_carried_to_the_leader_with_its_name() {
    let mut cluster = cluster();
    let (leader, follower) = (leader(&cluster), follower(&cluster));
    let mut request = produce_request("t", 0, within(1, 0, 0, "v"), -1, 1_000);
    request.transactional_id = Some("mine".to_owned());
    let asked = cluster.ask(follower, true, PRODUCE_VERSION, &request);
    let response = cluster.run(asked).expect("open").expect("answered");
    let result = &response.responses[0].partition_responses[0];
    assert_eq!((result.error_code, result.base_offset), (ErrorCode::NONE, 0), "{result:?}");
    assert_eq!(cluster.node(follower).counters.produces_forwarded.load(Ordering::Relaxed), 1);
    assert_eq!(fetch(&mut cluster, leader, 0, 0).last_stable_offset, 0);
}

#[test]
fn the_leader_describes_its_producers() {
    let mut cluster = cluster();
    let (leader, follower) = (leader(&cluster), follower(&cluster));
    cluster.produce(leader, "t", one("v").producer(1, 4, 0));
    write(&mut cluster, leader, within(2, 0, 0, "v"));
    end(&mut cluster, leader, marker(2, true));
    write(&mut cluster, leader, within(2, 0, 1, "v"));
    let described = describe(&mut cluster, leader);
    let idempotent = ProducerState {
        producer_id: 1,
        producer_epoch: 4,
        last_sequence: 0,
        last_timestamp: 1_700_000_000_000,
        coordinator_epoch: -1,
        current_txn_start_offset: -1,
    };
    let transactional = ProducerState {
        producer_id: 2,
        producer_epoch: 0,
        last_sequence: 1,
        coordinator_epoch: 1,
        current_txn_start_offset: 3,
        ..idempotent.clone()
    };
    assert_eq!(described.active_producers, [idempotent, transactional]);
    assert_eq!(describe(&mut cluster, follower).error_code, ErrorCode::NOT_LEADER_OR_FOLLOWER);
    cluster.isolate(leader);
    assert_eq!(describe(&mut cluster, leader).error_code, ErrorCode::NOT_LEADER_OR_FOLLOWER);
}

#[test]
fn a_session_tells_of_a_moved_last_stable_offset() {
    let mut cluster = cluster();
    let leader = leader(&cluster);
    write(&mut cluster, leader, within(1, 0, 0, "v"));
    let ask = |cluster: &mut TestCluster, session_id, session_epoch, offset| {
        let mut request = fetch_request("t", offset, 0);
        (request.isolation_level, request.session_id, request.session_epoch) = (1, session_id, session_epoch);
        if session_epoch > 0 {
            request.topics.clear();
        }
        cluster.call(leader, FETCH_VERSION, &request)
    };
    let session = ask(&mut cluster, 0, 0, 1).session_id;
    assert!(ask(&mut cluster, session, 1, 1).responses.is_empty(), "nothing has changed");
    end(&mut cluster, leader, marker(1, false));
    let news = ask(&mut cluster, session, 2, 1);
    let data = &news.responses[0].partitions[0];
    assert_eq!((data.last_stable_offset, committed(data).len()), (2, 0));
    let header = BatchHeader::parse(&data.records.to_bytes()).expect("the marker");
    assert!(header.attributes.is_control());
}
