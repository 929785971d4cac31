//! Share groups: several consumers of one partition, each record with one of them at a time, whatever becomes of the
//! consumers, of the leader and of the share coordinator.

mod harness;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::task::Poll;

use chronik_broker::Connection;
use chronik_coord::share::ShareKey;
use chronik_coord::{
    Action, AlterConfigs, Change, ConfigChange, ConfigOp, ConfigResource, OpKind, ReplyBody,
};
use chronik_wire::batch::{BatchBuilder, split_batches};
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::share_acknowledge::{
    AcknowledgePartition, AcknowledgeTopic, ShareAcknowledgeRequest, ShareAcknowledgeResponse,
};
use chronik_wire::messages::share_fetch::{
    AcknowledgementBatch, FetchPartition, FetchTopic, PartitionData, ShareFetchRequest, ShareFetchResponse,
};
use chronik_wire::messages::write_txn_markers::{
    WritableTxnMarker, WritableTxnMarkerTopic, WriteTxnMarkersRequest,
};
use chronik_wire::types::{NodeId, PartitionIndex, PartitionKey};
use harness::client::{PRODUCE_VERSION, one, produce_request};
use harness::{Options, TestCluster, connection};

const GROUP: &str = "workers";
const VERSION: i16 = 2;
const ACCEPT: i8 = 1;
const RELEASE: i8 = 2;
const REJECT: i8 = 3;
const RENEW: i8 = 4;
const LOCK_MS: u64 = 1_000;

fn cluster_with(extra: &[(&str, &str)]) -> TestCluster {
    let config = [
        ("share.coordinator.state.topic.num.partitions", "2"),
        ("group.share.min.record.lock.duration.ms", "1000"),
        ("group.share.record.lock.duration.ms", "1000"),
        ("transaction.partition.verification.enable", "false"),
    ];
    let config = config.iter().chain(extra).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let mut cluster = TestCluster::start(3, &Options { config: config.collect(), ..Options::default() });
    cluster.create_topic("t", 1, &[]);
    cluster
}

/// A cluster whose share groups begin with the first record.
fn cluster() -> TestCluster {
    let mut cluster = cluster_with(&[]);
    cluster.set_of_group("share.auto.offset.reset", "earliest");
    cluster
}

/// A consumer, as its client knows it.
struct Member {
    name: String,
    connection: Connection,
    /// The epoch of its next request.
    epoch: i32,
}

impl Member {
    fn new(name: &str) -> Member {
        Member { name: name.to_owned(), connection: connection(false), epoch: 0 }
    }

    fn next_epoch(&mut self) -> i32 {
        self.epoch += 1;
        self.epoch - 1
    }

    /// Goes on with a new connection and a new session.
    fn reconnect(&mut self) {
        self.connection = connection(false);
        self.epoch = 0;
    }
}

/// First and last offset and what is said of those in between.
type Said = (i64, i64, Vec<i8>);

fn batches(said: &[Said]) -> Vec<AcknowledgementBatch> {
    let batch = |(first_offset, last_offset, types): &Said| AcknowledgementBatch {
        first_offset: *first_offset,
        last_offset: *last_offset,
        acknowledge_types: types.clone(),
    };
    said.iter().map(batch).collect()
}

fn values(data: &PartitionData) -> Vec<(i64, String, i16)> {
    let mut values = Vec::new();
    for batch in split_batches(data.records.to_bytes()) {
        for record in batch.expect("whole batches").records().expect("records") {
            let record = record.expect("a record");
            let offset = record.offset.0;
            let range = data
                .acquired_records
                .iter()
                .find(|range| (range.first_offset..=range.last_offset).contains(&offset));
            if let Some(range) = range {
                let value = String::from_utf8(record.value.expect("value").to_vec()).expect("text");
                values.push((offset, value, range.delivery_count));
            }
        }
    }
    values
}

impl TestCluster {
    fn set_of_group(&mut self, name: &str, value: &str) {
        let op = ConfigOp { name: name.to_owned(), kind: OpKind::Set, value: Some(value.to_owned()) };
        let resource = ConfigResource::Group(GROUP.to_owned());
        let changes = vec![ConfigChange { resource, change: Change::Incremental(vec![op]) }];
        let action = Action::AlterConfigs(AlterConfigs { resources: changes });
        let ReplyBody::ConfigsAltered(altered) = self.control(NodeId(1), action) else { panic!("altered") };
        assert!(altered.iter().all(|(_, result)| result.is_ok()), "{altered:?}");
    }

    fn acknowledge_request(&self, member: &Member, epoch: i32, said: &[Said]) -> ShareAcknowledgeRequest {
        let partition = AcknowledgePartition { partition_index: 0, acknowledgement_batches: batches(said) };
        ShareAcknowledgeRequest {
            group_id: Some(GROUP.to_owned()),
            member_id: Some(member.name.clone()),
            share_session_epoch: epoch,
            is_renew_ack: said.iter().any(|(_, _, types)| types.contains(&RENEW)),
            topics: vec![AcknowledgeTopic {
                topic_id: self.key_of("t", 0).topic,
                partitions: vec![partition],
            }],
        }
    }

    /// The key of a topic's partition, whichever nodes live.
    fn key_of(&self, topic: &str, partition: i32) -> PartitionKey {
        let node = self.nodes.values().next().expect("a node lives");
        let id = node.broker.node().image().topic(topic).expect("the topic").id;
        PartitionKey::new(id, PartitionIndex(partition))
    }

    fn share_leader(&mut self) -> NodeId {
        let key = self.key_of("t", 0);
        self.leader_of(key)
    }

    fn leader_of(&mut self, key: PartitionKey) -> NodeId {
        for _ in 0..1_000 {
            let live: Vec<NodeId> = self.nodes.keys().copied().collect();
            for node in live {
                let leader = self.node(node).broker.node().view(|view| view.leader(key));
                if let Some((leader, _)) = leader.filter(|(leader, _)| self.nodes.contains_key(leader)) {
                    return leader;
                }
            }
            self.pass_ms(10);
        }
        panic!("no leader in time");
    }

    fn share_request(&self, member: &mut Member, said: &[Said], wait_ms: i32) -> ShareFetchRequest {
        let epoch = member.next_epoch();
        let partition = FetchPartition { partition_index: 0, acknowledgement_batches: batches(said) };
        let topic = FetchTopic { topic_id: self.key_of("t", 0).topic, partitions: vec![partition] };
        ShareFetchRequest {
            group_id: Some(GROUP.to_owned()),
            member_id: Some(member.name.clone()),
            share_session_epoch: epoch,
            max_wait_ms: wait_ms,
            min_bytes: 1,
            max_bytes: 1 << 20,
            max_records: 500,
            batch_size: 500,
            topics: if epoch == 0 || !said.is_empty() { vec![topic] } else { Vec::new() },
            ..ShareFetchRequest::default()
        }
    }

    fn share_ask(
        &self,
        node: NodeId,
        member: &Member,
        request: &ShareFetchRequest,
    ) -> impl Future<Output = ShareFetchResponse> + use<> {
        let asked = self.ask_on(&member.connection, node, VERSION, request);
        async move { asked.await.expect("the connection stays open").expect("there is an answer") }
    }

    /// One fetch of the only partition at a node; says `said` on the way.
    fn share_fetch_at(
        &mut self,
        node: NodeId,
        member: &mut Member,
        said: &[Said],
        wait_ms: i32,
    ) -> PartitionData {
        let request = self.share_request(member, said, wait_ms);
        let asked = self.share_ask(node, member, &request);
        let response = self.run(asked);
        assert_eq!(response.error_code, ErrorCode::NONE, "{response:?}");
        let mut topics = response.responses;
        topics.pop().and_then(|mut topic| topic.partitions.pop()).unwrap_or_default()
    }

    fn share_fetch(&mut self, member: &mut Member, said: &[Said], wait_ms: i32) -> PartitionData {
        let leader = self.share_leader();
        self.share_fetch_at(leader, member, said, wait_ms)
    }

    fn share_acknowledge(
        &mut self,
        node: NodeId,
        member: &mut Member,
        epoch: i32,
        said: &[Said],
    ) -> ShareAcknowledgeResponse {
        let request = self.acknowledge_request(member, epoch, said);
        let asked = self.ask_on(&member.connection, node, VERSION, &request);
        self.run(asked).expect("open").expect("answered")
    }

    /// Says something of records at the leader; the partition's code.
    fn say(&mut self, member: &mut Member, said: &[Said]) -> ErrorCode {
        let leader = self.share_leader();
        let epoch = member.next_epoch();
        let response = self.share_acknowledge(leader, member, epoch, said);
        assert_eq!(response.error_code, ErrorCode::NONE, "{response:?}");
        response.responses[0].partitions[0].error_code
    }

    fn send_all(&mut self, values: &[&str]) {
        for value in values {
            self.send_at_leader(one(value));
        }
    }

    fn send_at_leader(&mut self, batch: BatchBuilder) {
        let leader = self.share_leader();
        let result = self.produce(leader, "t", batch);
        assert_eq!(result.error_code, ErrorCode::NONE, "{result:?}");
    }

    fn counter(&self, name: &str) -> u64 {
        self.nodes.values().map(|node| node.counted()[name]).sum()
    }

    /// The node that has the account of the group's only partition.
    fn share_coordinator(&mut self) -> NodeId {
        let topic = self.key_of("t", 0);
        let name = ShareKey { group: GROUP.into(), topic: topic.topic, partition: topic.partition }.name();
        let partition = chronik_coord::coordinator::partition_for(&name, 2);
        let key = self.key_of("__share_group_state", partition);
        self.leader_of(key)
    }
}

/// Completes when everything that can happen has had a turn.
async fn a_step() {
    let mut polled = false;
    std::future::poll_fn(
        |_| {
            if std::mem::replace(&mut polled, true) { Poll::Ready(()) } else { Poll::Pending }
        },
    )
    .await;
}

fn offsets(data: &PartitionData) -> Vec<i64> {
    values(data).into_iter().map(|(offset, _, _)| offset).collect()
}

#[test]
fn members_share_a_partition_and_what_is_accepted_never_comes_again() {
    let mut cluster = cluster();
    cluster.send_all(&["a", "b", "c"]);
    let (mut one, mut two) = (Member::new("one"), Member::new("two"));
    let first = cluster.share_fetch(&mut one, &[], 1_000);
    assert_eq!((first.error_code, first.acquired_records.len()), (ErrorCode::NONE, 1));
    assert_eq!(
        values(&first).iter().map(|(_, value, _)| value.as_str()).collect::<Vec<_>>(),
        ["a", "b", "c"]
    );
    assert_eq!(values(&cluster.share_fetch(&mut two, &[], 0)), [], "they are somebody's");
    cluster.send_all(&["d"]);
    assert_eq!(offsets(&cluster.share_fetch(&mut two, &[], 1_000)), [3]);
    // Said on the way, and with a request of its own.
    let answer = cluster.share_fetch(&mut one, &[(0, 1, vec![ACCEPT]), (2, 2, vec![REJECT])], 0);
    assert_eq!((answer.acknowledge_error_code, answer.acquired_records.len()), (ErrorCode::NONE, 0));
    assert_eq!(cluster.say(&mut two, &[(3, 3, vec![ACCEPT])]), ErrorCode::NONE);
    assert_eq!(
        cluster.say(&mut two, &[(3, 3, vec![ACCEPT])]),
        ErrorCode::NONE,
        "of what is done nobody minds"
    );
    cluster.pass_ms(2 * LOCK_MS);
    assert_eq!(values(&cluster.share_fetch(&mut one, &[], 0)), []);
    assert_eq!(cluster.counter("share_acknowledgements_refused"), 0);
    assert!(cluster.counter("share_state_writes") >= 2);
}

#[test]
fn a_released_record_goes_to_another_member_with_a_higher_count_and_wakes_it() {
    let mut cluster = cluster();
    cluster.send_all(&["a", "b"]);
    let (mut one, mut two) = (Member::new("one"), Member::new("two"));
    assert_eq!(offsets(&cluster.share_fetch(&mut one, &[], 1_000)), [0, 1]);
    let request = cluster.share_request(&mut two, &[], 30_000);
    let leader = cluster.share_leader();
    let waiting = cluster.share_ask(leader, &two, &request);
    let epoch = one.next_epoch();
    let saying = cluster.acknowledge_request(&one, epoch, &[(0, 1, vec![RELEASE, ACCEPT])]);
    let saying = cluster.ask_on(&one.connection, leader, VERSION, &saying);
    let asked_ms = cluster.now_ms();
    let (response, said) = cluster.run(async {
        tokio::join!(waiting, async {
            // The other one waits by then.
            for _ in 0..20 {
                a_step().await;
            }
            saying.await.expect("open").expect("answered")
        })
    });
    assert_eq!(said.responses[0].partitions[0].error_code, ErrorCode::NONE);
    assert!(cluster.now_ms() - asked_ms < LOCK_MS, "woken, not by the clock");
    assert_eq!(values(&response.responses[0].partitions[0]), [(0, "a".to_owned(), 2)]);
    assert!(cluster.counter("share_fetches_parked") >= 1);
}

#[test]
fn a_lock_runs_out_by_the_clock_unless_it_is_renewed() {
    let mut cluster = cluster();
    cluster.send_all(&["a", "b"]);
    let (mut one, mut two) = (Member::new("one"), Member::new("two"));
    let leader = cluster.share_leader();
    let request = cluster.share_request(&mut one, &[], 1_000);
    let asked = cluster.share_ask(leader, &one, &request);
    let response = cluster.run(asked);
    assert_eq!(response.acquisition_lock_timeout_ms, LOCK_MS as i32);
    assert_eq!(offsets(&response.responses[0].partitions[0]), [0, 1]);
    cluster.pass_ms(LOCK_MS / 2);
    assert_eq!(cluster.say(&mut one, &[(0, 0, vec![RENEW])]), ErrorCode::NONE);
    // Whoever waits is woken when the time of the other record is over.
    let answer = cluster.share_fetch(&mut two, &[], 10_000);
    assert_eq!(values(&answer), [(1, "b".to_owned(), 2)]);
    assert_eq!(cluster.counter("share_locks_expired"), 1);
    let late = cluster.say(&mut one, &[(1, 1, vec![ACCEPT])]);
    assert_eq!(late, ErrorCode::INVALID_RECORD_STATE);
    assert_eq!(cluster.say(&mut one, &[(0, 0, vec![ACCEPT])]), ErrorCode::NONE);
}

#[test]
fn a_record_is_given_up_after_so_many_deliveries() {
    let mut cluster = cluster();
    cluster.set_of_group("share.delivery.count.limit", "2");
    cluster.send_all(&["a"]);
    let mut one = Member::new("one");
    assert_eq!(values(&cluster.share_fetch(&mut one, &[], 1_000)), [(0, "a".to_owned(), 1)]);
    let again = cluster.share_fetch(&mut one, &[(0, 0, vec![RELEASE])], 1_000);
    assert_eq!(values(&again), [(0, "a".to_owned(), 2)]);
    assert_eq!(values(&cluster.share_fetch(&mut one, &[(0, 0, vec![RELEASE])], 100)), []);
    cluster.send_all(&["b"]);
    assert_eq!(values(&cluster.share_fetch(&mut one, &[], 1_000)), [(1, "b".to_owned(), 1)]);
}

#[test]
fn a_connection_that_ends_gives_back_what_its_member_had() {
    let mut cluster = cluster();
    cluster.send_all(&["a", "b", "c"]);
    let (mut one, mut two, mut three) = (Member::new("one"), Member::new("two"), Member::new("three"));
    assert_eq!(offsets(&cluster.share_fetch(&mut three, &[], 1_000)), [0, 1, 2]);
    assert_eq!(values(&cluster.share_fetch(&mut one, &[], 0)), []);
    // Its connection breaks.
    drop(three);
    assert_eq!(offsets(&cluster.share_fetch(&mut one, &[], 1_000)), [0, 1, 2]);
    // One closes its session with a last word.
    let leader = cluster.share_leader();
    let answer = cluster.share_acknowledge(leader, &mut one, -1, &[(0, 0, vec![ACCEPT])]);
    assert_eq!(
        (answer.error_code, answer.responses[0].partitions[0].error_code),
        (ErrorCode::NONE, ErrorCode::NONE)
    );
    assert_eq!(offsets(&cluster.share_fetch(&mut two, &[], 1_000)), [1, 2]);
    let gone = cluster.share_acknowledge(leader, &mut one, -1, &[]);
    assert_eq!(gone.error_code, ErrorCode::SHARE_SESSION_NOT_FOUND);
}

#[test]
fn a_group_that_comes_back_at_once_has_one_leader() {
    let mut cluster = cluster();
    cluster.send_all(&["a", "b"]);
    let mut one = Member::new("one");
    assert_eq!(offsets(&cluster.share_fetch(&mut one, &[], 1_000)), [0, 1]);
    // What it gives back is still being written down when the group is there again.
    let leader = cluster.share_leader();
    assert_eq!(cluster.share_acknowledge(leader, &mut one, -1, &[]).error_code, ErrorCode::NONE);
    one.reconnect();
    let loaded = cluster.counter("share_partitions_loaded");
    assert_eq!(offsets(&cluster.share_fetch(&mut one, &[], 1_000)), [0, 1]);
    cluster.pass_ms(100);
    for _ in 0..3 {
        assert_eq!(offsets(&cluster.share_fetch(&mut one, &[], 0)), Vec::<i64>::new());
    }
    assert_eq!(cluster.counter("share_partitions_loaded"), loaded + 1, "the old one took none along");
}

#[test]
fn requests_of_the_wrong_epoch_do_nothing() {
    let mut cluster = cluster();
    cluster.send_all(&["a"]);
    let mut one = Member::new("one");
    cluster.share_fetch(&mut one, &[], 1_000);
    let leader = cluster.share_leader();
    for (epoch, code) in
        [(7, ErrorCode::INVALID_SHARE_SESSION_EPOCH), (0, ErrorCode::INVALID_SHARE_SESSION_EPOCH)]
    {
        let answer = cluster.share_acknowledge(leader, &mut one, epoch, &[(0, 0, vec![ACCEPT])]);
        assert_eq!((answer.error_code, answer.responses.len()), (code, 0));
    }
    let mut stranger = Member { name: "other".to_owned(), connection: connection(false), epoch: 3 };
    let request = cluster.share_request(&mut stranger, &[], 0);
    let asked = cluster.share_ask(leader, &stranger, &request);
    assert_eq!(cluster.run(asked).error_code, ErrorCode::SHARE_SESSION_NOT_FOUND);
    for (group, member) in
        [(None, Some("m")), (Some(""), Some("m")), (Some("g"), None), (Some("g"), Some(""))]
    {
        let request = ShareFetchRequest {
            group_id: group.map(str::to_owned),
            member_id: member.map(str::to_owned),
            ..ShareFetchRequest::default()
        };
        assert_eq!(cluster.call(leader, VERSION, &request).error_code, ErrorCode::INVALID_REQUEST);
    }
    assert_eq!(cluster.say(&mut one, &[(0, 0, vec![9])]), ErrorCode::INVALID_REQUEST);
    assert_eq!(cluster.say(&mut one, &[(0, 5, vec![ACCEPT])]), ErrorCode::INVALID_REQUEST);
    assert_eq!(cluster.say(&mut one, &[(0, 0, vec![ACCEPT])]), ErrorCode::NONE);
}

#[test]
fn there_are_no_more_sessions_than_configured() {
    let mut cluster = cluster_with(&[("group.share.max.share.sessions", "1")]);
    let (mut one, mut two) = (Member::new("one"), Member::new("two"));
    let leader = cluster.share_leader();
    cluster.share_fetch(&mut one, &[], 0);
    let request = cluster.share_request(&mut two, &[], 200);
    let asked_ms = cluster.now_ms();
    let asked = cluster.share_ask(leader, &two, &request);
    assert_eq!(cluster.run(asked).error_code, ErrorCode::SHARE_SESSION_LIMIT_REACHED);
    assert!(cluster.now_ms() >= asked_ms + 200, "not at once, or it would be asked for at once again");
}

#[test]
fn a_new_group_begins_where_it_is_told() {
    let mut cluster = cluster_with(&[]);
    cluster.send_all(&["old"]);
    let mut one = Member::new("one");
    assert_eq!(values(&cluster.share_fetch(&mut one, &[], 3_000)), [], "behind what is there");
    cluster.send_all(&["new"]);
    // Decided and written down when it came: also a new leader begins there.
    let leader = cluster.share_leader();
    cluster.kill(leader);
    let next = cluster.share_leader();
    assert_ne!(next, leader);
    one.reconnect();
    let mut seen = Vec::new();
    for _ in 0..100 {
        let at = cluster.share_leader();
        let request = cluster.share_request(&mut one, &[], 500);
        let asked = cluster.share_ask(at, &one, &request);
        let response = cluster.run(asked);
        if response.error_code != ErrorCode::NONE {
            one.reconnect();
            continue;
        }
        seen.extend(response.responses.iter().flat_map(|topic| &topic.partitions).flat_map(values));
        if !seen.is_empty() {
            break;
        }
    }
    assert_eq!(seen, [(1, "new".to_owned(), 1)]);
}

#[test]
fn a_leader_that_is_not_one_says_who_is() {
    let mut cluster = cluster();
    let leader = cluster.share_leader();
    let other = *cluster.nodes.keys().find(|node| **node != leader).expect("another node");
    let mut one = Member::new("one");
    let request = cluster.share_request(&mut one, &[], 0);
    let asked = cluster.share_ask(other, &one, &request);
    let response = cluster.run(asked);
    let data = &response.responses[0].partitions[0];
    assert_eq!(
        (data.error_code, data.current_leader.leader_id),
        (ErrorCode::NOT_LEADER_OR_FOLLOWER, leader.0)
    );
    assert_eq!(response.node_endpoints.iter().map(|node| node.node_id).collect::<Vec<_>>(), [leader.0]);
    let answer = cluster.share_acknowledge(other, &mut one, 1, &[(0, 0, vec![ACCEPT])]);
    let data = &answer.responses[0].partitions[0];
    assert_eq!(
        (data.error_code, data.current_leader.leader_id),
        (ErrorCode::NOT_LEADER_OR_FOLLOWER, leader.0)
    );
}

#[test]
fn a_leader_that_is_cut_off_hands_out_nothing() {
    let mut cluster = cluster();
    cluster.send_all(&["a"]);
    let leader = cluster.share_leader();
    let mut one = Member::new("one");
    cluster.isolate(leader);
    let data = cluster.share_fetch_at(leader, &mut one, &[], 100);
    assert_ne!(data.error_code, ErrorCode::NONE);
    assert_eq!((data.records.len(), data.acquired_records.len()), (0, 0));
}

#[test]
fn what_was_accepted_survives_the_leader_and_what_was_not_comes_again() {
    let mut cluster = cluster();
    cluster.send_all(&["a", "b", "c", "d"]);
    let (mut one, mut two) = (Member::new("one"), Member::new("two"));
    assert_eq!(offsets(&cluster.share_fetch(&mut one, &[], 1_000)), [0, 1, 2, 3]);
    assert_eq!(
        cluster.say(&mut one, &[(0, 0, vec![ACCEPT]), (2, 2, vec![ACCEPT]), (3, 3, vec![RELEASE])]),
        ErrorCode::NONE
    );
    let leader = cluster.share_leader();
    cluster.kill(leader);
    let mut seen = BTreeMap::new();
    for _ in 0..100 {
        two.reconnect();
        let at = cluster.share_leader();
        let data = cluster.share_fetch_at(at, &mut two, &[], 500);
        seen.extend(values(&data).into_iter().map(|(offset, _, count)| (offset, count)));
        if seen.len() == 2 {
            break;
        }
    }
    // The second was handed out by the old leader, which told nobody; the last was released.
    assert_eq!(seen, BTreeMap::from([(1, 1), (3, 2)]));
}

#[test]
fn a_coordinator_that_dies_costs_nothing_that_was_said() {
    let mut cluster = cluster();
    cluster.send_all(&["a", "b", "c"]);
    let mut one = Member::new("one");
    assert_eq!(offsets(&cluster.share_fetch(&mut one, &[], 1_000)), [0, 1, 2]);
    assert_eq!(cluster.say(&mut one, &[(0, 0, vec![ACCEPT])]), ErrorCode::NONE);
    let (leader, coordinator) = (cluster.share_leader(), cluster.share_coordinator());
    if leader == coordinator {
        let key = cluster.key("t", 0);
        let to = *cluster.nodes.keys().find(|node| **node != leader).expect("another node");
        cluster.node(leader).host.borrow_mut().transfer_leader(key, to).expect("led here");
        cluster.wait_for("another leader", |cluster| cluster.leader(key) == Some(to));
        one.reconnect();
        assert_eq!(offsets(&cluster.share_fetch(&mut one, &[], 1_000)), [1, 2]);
    }
    cluster.kill(coordinator);
    // Said while nobody has the account: it waits for the next coordinator.
    assert_eq!(cluster.say(&mut one, &[(1, 1, vec![ACCEPT]), (2, 2, vec![RELEASE])]), ErrorCode::NONE);
    let mut two = Member::new("two");
    assert_eq!(
        values(&cluster.share_fetch(&mut two, &[], 1_000))
            .iter()
            .map(|(offset, _, _)| *offset)
            .collect::<Vec<_>>(),
        [2]
    );
}

#[test]
fn without_a_coordinator_nothing_counts_and_the_member_keeps_its_records() {
    let mut cluster = cluster();
    cluster.set_of_group("share.record.lock.duration.ms", "60000");
    cluster.send_all(&["a"]);
    let mut one = Member::new("one");
    assert_eq!(offsets(&cluster.share_fetch(&mut one, &[], 1_000)), [0]);
    let leader = cluster.share_leader();
    cluster.isolate(leader);
    let code = cluster.say_at(leader, &mut one, &[(0, 0, vec![ACCEPT])]);
    assert_ne!(code, ErrorCode::NONE, "nobody has written it down");
    cluster.recover();
    cluster.pass_ms(2_000);
    // Wherever the partition is led now, the record is not lost.
    let mut two = Member::new("two");
    let mut seen = BTreeSet::new();
    for _ in 0..200 {
        let at = cluster.share_leader();
        if at == leader {
            // Still with its member, who gives it back.
            cluster.say_at(leader, &mut one, &[(0, 0, vec![RELEASE])]);
        }
        two.reconnect();
        seen.extend(offsets(&cluster.share_fetch_at(at, &mut two, &[], 500)));
        if !seen.is_empty() {
            break;
        }
    }
    assert_eq!(seen, BTreeSet::from([0]));
}

impl TestCluster {
    fn say_at(&mut self, node: NodeId, member: &mut Member, said: &[Said]) -> ErrorCode {
        let epoch = member.next_epoch();
        let response = self.share_acknowledge(node, member, epoch, said);
        response.responses.first().map_or(response.error_code, |topic| topic.partitions[0].error_code)
    }
}

#[test]
fn committed_readers_get_neither_markers_nor_what_was_aborted() {
    let mut cluster = cluster();
    cluster.set_of_group("share.isolation.level", "read_committed");
    let leader = cluster.share_leader();
    let write = |cluster: &mut TestCluster, producer: i64, value: &str| {
        let batch = one(value).producer(producer, 0, 0).transactional();
        let mut request = produce_request("t", 0, batch, -1, 1_000);
        request.transactional_id = Some("mine".to_owned());
        let response = cluster.call(leader, PRODUCE_VERSION, &request);
        assert_eq!(response.responses[0].partition_responses[0].error_code, ErrorCode::NONE);
    };
    let end = |cluster: &mut TestCluster, producer_id: i64, transaction_result: bool| {
        let topics = vec![WritableTxnMarkerTopic { name: "t".to_owned(), partition_indexes: vec![0] }];
        let marker = WritableTxnMarker {
            producer_id,
            producer_epoch: 0,
            transaction_result,
            topics,
            coordinator_epoch: 1,
            transaction_version: 0,
        };
        let response = cluster.call(leader, 2, &WriteTxnMarkersRequest { markers: vec![marker] });
        assert_eq!(response.markers[0].topics[0].partitions[0].error_code, ErrorCode::NONE);
    };
    write(&mut cluster, 1, "aborted");
    write(&mut cluster, 2, "committed");
    let mut one = Member::new("one");
    assert_eq!(values(&cluster.share_fetch(&mut one, &[], 100)), [], "nothing is decided");
    end(&mut cluster, 1, false);
    end(&mut cluster, 2, true);
    cluster.send_all(&["plain"]);
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.extend(values(&cluster.share_fetch(&mut one, &[], 100)));
    }
    assert_eq!(seen, [(1, "committed".to_owned(), 1), (4, "plain".to_owned(), 1)]);
    assert_eq!(cluster.say(&mut one, &[(1, 1, vec![ACCEPT]), (4, 4, vec![ACCEPT])]), ErrorCode::NONE);
    // Nobody waits for the records between: the group is at the end.
    let mut two = Member::new("two");
    cluster.send_all(&["next"]);
    assert_eq!(offsets(&cluster.share_fetch(&mut two, &[], 1_000)), [5]);
}

#[test]
fn the_log_start_moves_the_group_on() {
    let mut cluster = cluster();
    cluster.send_all(&["a", "b", "c"]);
    let mut one = Member::new("one");
    cluster.set_of_group("share.record.lock.duration.ms", "60000");
    assert_eq!(offsets(&cluster.share_fetch(&mut one, &[], 1_000)), [0, 1, 2]);
    let (leader, key) = (cluster.share_leader(), cluster.key("t", 0));
    let to = chronik_wire::types::Offset(2);
    cluster.node(leader).host.borrow_mut().move_log_start(key, to).expect("within the log");
    cluster.wait_for("the log start to move", |cluster| {
        cluster.node(leader).host.borrow().view(key).expect("a replica").log_start == to
    });
    cluster.send_all(&["d"]);
    assert_eq!(offsets(&cluster.share_fetch(&mut one, &[], 1_000)), [3]);
    assert_eq!(cluster.say(&mut one, &[(0, 3, vec![ACCEPT])]), ErrorCode::NONE);
    let mut two = Member::new("two");
    assert_eq!(offsets(&cluster.share_fetch(&mut two, &[], 100)), Vec::<i64>::new());
}

#[test]
fn a_strict_member_gets_no_more_than_it_wants() {
    let mut cluster = cluster();
    let batch = ["a", "b", "c"].iter().fold(BatchBuilder::new(), |batch, value| {
        batch.record(1_700_000_000_000, None, Some(value.as_bytes()))
    });
    cluster.send_at_leader(batch);
    let (mut one, mut two) = (Member::new("one"), Member::new("two"));
    let leader = cluster.share_leader();
    let strict = ShareFetchRequest {
        share_acquire_mode: 1,
        max_records: 2,
        ..cluster.share_request(&mut one, &[], 1_000)
    };
    let asked = cluster.share_ask(leader, &one, &strict);
    let response = cluster.run(asked);
    assert_eq!(offsets(&response.responses[0].partitions[0]), [0, 1]);
    assert_eq!(offsets(&cluster.share_fetch(&mut two, &[], 1_000)), [2]);
}

#[test]
fn memory_is_bounded_by_the_records_under_way() {
    let mut cluster = cluster_with(&[("group.share.partition.max.record.locks", "100")]);
    cluster.set_of_group("share.auto.offset.reset", "earliest");
    for _ in 0..3 {
        let batch =
            (0..60).fold(BatchBuilder::new(), |batch, _| batch.record(1_700_000_000_000, None, Some(b"x")));
        cluster.send_at_leader(batch);
    }
    let mut one = Member::new("one");
    assert_eq!(offsets(&cluster.share_fetch(&mut one, &[], 1_000)).len(), 120);
    assert_eq!(values(&cluster.share_fetch(&mut one, &[], 100)), [], "as many as may be");
    let more = cluster.share_fetch(&mut one, &[(0, 59, vec![ACCEPT])], 1_000);
    assert_eq!(more.acknowledge_error_code, ErrorCode::NONE);
    let more =
        if more.acquired_records.is_empty() { cluster.share_fetch(&mut one, &[], 1_000) } else { more };
    assert_eq!(offsets(&more).len(), 60);
}
