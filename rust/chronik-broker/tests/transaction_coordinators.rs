//! Whole transactions: the coordinator begins, ends and remembers them, whatever becomes of the nodes.

mod harness;

use std::pin::pin;
use std::task::{Context, Waker};

use chronik_broker::{NodeMessage, PeerMessage};
use chronik_coord::Action;
use chronik_coord::command::{AlterReassignment, AlterReassignments};
use chronik_replica::EndMarker;
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::add_offsets_to_txn::AddOffsetsToTxnRequest;
use chronik_wire::messages::add_partitions_to_txn::{AddPartitionsToTxnRequest, AddPartitionsToTxnTopic};
use chronik_wire::messages::end_txn::EndTxnRequest;
use chronik_wire::messages::find_coordinator::{FindCoordinatorRequest, GROUP, TRANSACTION};
use chronik_wire::messages::init_producer_id::InitProducerIdRequest;
use chronik_wire::messages::list_transactions::ListTransactionsRequest;
use chronik_wire::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use chronik_wire::messages::txn_offset_commit::{
    TxnOffsetCommitRequest, TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use chronik_wire::types::{NodeId, PartitionIndex, PartitionKey};
use harness::client::{FETCH_VERSION, PRODUCE_VERSION, fetch_request, one, produce_request};
use harness::{Options, TestCluster};

const ID: &str = "payments";
const GROUP_ID: &str = "copier";
const NOT_NOW: [ErrorCode; 5] = [
    ErrorCode::COORDINATOR_LOAD_IN_PROGRESS,
    ErrorCode::COORDINATOR_NOT_AVAILABLE,
    ErrorCode::NOT_COORDINATOR,
    ErrorCode::CONCURRENT_TRANSACTIONS,
    ErrorCode::NOT_LEADER_OR_FOLLOWER,
];

fn cluster() -> TestCluster {
    let config = [("offsets.topic.num.partitions", "2"), ("transaction.state.log.num.partitions", "2")];
    let config = config.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let mut cluster = TestCluster::start(3, &Options { config, ..Options::default() });
    cluster.create_topic("t", 2, &[]);
    cluster
}

/// A producer as its client knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Producer {
    id: i64,
    epoch: i16,
    sequences: [i32; 2],
}

/// A client that goes on until it is told something final, as real ones do.
impl TestCluster {
    fn any(&self) -> NodeId {
        *self.nodes.keys().next().expect("a node lives")
    }

    /// The coordinator of a key, as a live node names it.
    fn coordinator(&mut self, key_type: i8, key: &str) -> NodeId {
        let request =
            FindCoordinatorRequest { key_type, coordinator_keys: vec![key.to_owned()], ..Default::default() };
        for _ in 0..1_000 {
            let asked = self.any();
            let found = self.call(asked, 4, &request).coordinators.remove(0);
            if found.error_code == ErrorCode::NONE && self.nodes.contains_key(&NodeId(found.node_id)) {
                return NodeId(found.node_id);
            }
            self.pass_ms(10);
        }
        panic!("no coordinator in time");
    }

    /// Asks the coordinator of a key until the answer is final.
    fn finally<T>(
        &mut self,
        (key_type, key): (i8, &str),
        mut ask: impl FnMut(&mut TestCluster, NodeId) -> (ErrorCode, T),
    ) -> (ErrorCode, T) {
        for _ in 0..1_000 {
            let node = self.coordinator(key_type, key);
            let (code, answer) = ask(self, node);
            if !NOT_NOW.contains(&code) {
                return (code, answer);
            }
            self.pass_ms(10);
        }
        panic!("no final answer in time");
    }

    fn init(&mut self) -> Producer {
        let request = InitProducerIdRequest {
            transactional_id: Some(ID.to_owned()),
            transaction_timeout_ms: 10_000,
            ..InitProducerIdRequest::default()
        };
        let (code, answer) = self.finally((TRANSACTION, ID), |cluster, node| {
            let answer = cluster.call(node, 4, &request);
            (answer.error_code, answer)
        });
        assert_eq!(code, ErrorCode::NONE, "{answer:?}");
        Producer { id: answer.producer_id, epoch: answer.producer_epoch, sequences: [0; 2] }
    }

    fn add(&mut self, producer: &Producer, partitions: &[i32]) -> ErrorCode {
        let request = AddPartitionsToTxnRequest {
            v3_and_below_transactional_id: ID.to_owned(),
            v3_and_below_producer_id: producer.id,
            v3_and_below_producer_epoch: producer.epoch,
            v3_and_below_topics: vec![AddPartitionsToTxnTopic {
                name: "t".to_owned(),
                partitions: partitions.to_vec(),
            }],
            ..AddPartitionsToTxnRequest::default()
        };
        let asked = self.finally((TRANSACTION, ID), |cluster, node| {
            let answer = cluster.call(node, 3, &request);
            (answer.results_by_topic_v3_and_below[0].results_by_partition[0].partition_error_code, ())
        });
        asked.0
    }

    fn write(&mut self, producer: &mut Producer, partition: i32, value: &str) -> ErrorCode {
        let sequence = producer.sequences[partition as usize];
        producer.sequences[partition as usize] += 1;
        for _ in 0..1_000 {
            let key = self.key_at(partition);
            let leader = self.node(self.any()).broker.node().view(|view| view.leader(key));
            if let Some((leader, _)) = leader.filter(|(leader, _)| self.nodes.contains_key(leader)) {
                let batch = one(value).producer(producer.id, producer.epoch, sequence).transactional();
                let mut request = produce_request("t", partition, batch, -1, 1_000);
                request.transactional_id = Some(ID.to_owned());
                let answer = self.call(leader, PRODUCE_VERSION, &request);
                let code = answer.responses[0].partition_responses[0].error_code;
                if !NOT_NOW.contains(&code) {
                    return code;
                }
            }
            self.pass_ms(10);
        }
        panic!("no final answer in time");
    }

    fn key_at(&self, partition: i32) -> PartitionKey {
        let image = self.node(self.any()).broker.node().image();
        PartitionKey::new(image.topic("t").expect("the topic is known").id, PartitionIndex(partition))
    }

    fn end(&mut self, producer: &Producer, committed: bool) -> ErrorCode {
        let request = EndTxnRequest {
            transactional_id: ID.to_owned(),
            producer_id: producer.id,
            producer_epoch: producer.epoch,
            committed,
        };
        let asked =
            self.finally((TRANSACTION, ID), |cluster, node| (cluster.call(node, 3, &request).error_code, ()));
        asked.0
    }

    /// The last stable offset of a partition and the number of aborted transactions below, as one node tells.
    fn stable(&mut self, node: NodeId, partition: i32) -> (i64, usize) {
        let mut request = fetch_request("t", 0, 0);
        request.isolation_level = 1;
        request.topics[0].partitions[0].partition = partition;
        let answer = self.fetch_version(node, FETCH_VERSION, request);
        assert_eq!(answer.error_code, ErrorCode::NONE, "{answer:?}");
        (answer.last_stable_offset, answer.aborted_transactions.map_or(0, |aborted| aborted.len()))
    }

    fn at_every_node(&mut self, partition: i32) -> Vec<(i64, usize)> {
        let nodes: Vec<NodeId> = self.nodes.keys().copied().collect();
        nodes.into_iter().map(|node| self.stable(node, partition)).collect()
    }
}

#[test]
fn a_commit_is_visible_at_every_node_when_it_is_acknowledged() {
    let mut cluster = cluster();
    let mut producer = cluster.init();
    for round in 0..5 {
        assert_eq!(cluster.add(&producer, &[0, 1]), ErrorCode::NONE);
        for partition in [0, 1] {
            assert_eq!(cluster.write(&mut producer, partition, "v"), ErrorCode::NONE);
            assert_eq!(cluster.at_every_node(partition), vec![(2 * round, 0); 3], "open, so hidden");
        }
        assert_eq!(cluster.end(&producer, true), ErrorCode::NONE);
        for partition in [0, 1] {
            assert_eq!(cluster.at_every_node(partition), vec![(2 * round + 2, 0); 3], "with its marker");
        }
    }
    assert_eq!(cluster.add(&producer, &[0]), ErrorCode::NONE);
    assert_eq!(cluster.write(&mut producer, 0, "x"), ErrorCode::NONE);
    assert_eq!(cluster.end(&producer, false), ErrorCode::NONE);
    assert_eq!(cluster.at_every_node(0), vec![(12, 1); 3], "named as aborted, everywhere");
}

/// The coordinator is cut off, and alone holds a partition of the transaction: it could write the marker there.
#[test]
fn no_marker_is_written_before_the_decision_is_committed() {
    let mut cluster = cluster();
    let mut producer = cluster.init();
    let node = cluster.coordinator(TRANSACTION, ID);
    let alone =
        AlterReassignment { topic: "t".to_owned(), partition: PartitionIndex(0), replicas: Some(vec![node]) };
    let action = Action::AlterReassignments(AlterReassignments {
        partitions: vec![alone],
        allow_replication_factor_change: true,
    });
    cluster.control(node, action);
    let key = cluster.key_at(0);
    cluster.wait_for("the coordinator to hold the partition alone", |cluster| {
        let image = cluster.node(node).broker.node().image();
        let leads = cluster.node(node).broker.node().view(|view| view.leader(key)).map(|(leader, _)| leader);
        image.assignment(key).is_some_and(|now| now.replicas == [node] && !now.is_moving())
            && leads == Some(node)
    });
    assert_eq!(cluster.add(&producer, &[0]), ErrorCode::NONE);
    assert_eq!(cluster.write(&mut producer, 0, "v"), ErrorCode::NONE);
    assert_eq!(cluster.coordinator(TRANSACTION, ID), node);
    cluster.isolate(node);
    let request = EndTxnRequest {
        transactional_id: ID.to_owned(),
        producer_id: producer.id,
        producer_epoch: producer.epoch,
        committed: true,
    };
    let mut answer = pin!(cluster.ask(node, false, 3, &request));
    assert!(answer.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    cluster.pass_ms(100);
    let view = cluster.node(node).host.borrow().view(key).expect("it is there");
    assert_eq!((view.last_stable_offset.0, view.high_watermark.0), (0, 1), "open, without a marker");
}

#[test]
fn a_newer_producer_of_the_same_id_fences_the_older_and_aborts_what_it_left() {
    let mut cluster = cluster();
    let mut old = cluster.init();
    assert_eq!(cluster.add(&old, &[0]), ErrorCode::NONE);
    assert_eq!(cluster.write(&mut old, 0, "left"), ErrorCode::NONE);
    let new = cluster.init();
    assert_eq!((new.id, new.epoch > old.epoch), (old.id, true));
    assert_eq!(cluster.at_every_node(0), vec![(2, 1); 3], "decided before the newer one is let in");
    assert_ne!(cluster.end(&old, true), ErrorCode::NONE);
    assert_ne!(cluster.write(&mut old, 0, "zombie"), ErrorCode::NONE);
    assert_eq!(cluster.at_every_node(0), vec![(2, 1); 3]);
}

#[test]
fn a_transaction_goes_on_when_its_coordinator_dies() {
    let mut cluster = cluster();
    let mut producer = cluster.init();
    assert_eq!(cluster.add(&producer, &[0, 1]), ErrorCode::NONE);
    for partition in [0, 1] {
        assert_eq!(cluster.write(&mut producer, partition, "v"), ErrorCode::NONE);
    }
    let node = cluster.coordinator(TRANSACTION, ID);
    cluster.kill(node);
    assert_eq!(cluster.end(&producer, true), ErrorCode::NONE);
    for partition in [0, 1] {
        assert_eq!(cluster.at_every_node(partition), vec![(2, 0); 2]);
    }
    assert_eq!(cluster.add(&producer, &[0]), ErrorCode::NONE);
    assert_eq!(cluster.write(&mut producer, 0, "w"), ErrorCode::NONE);
    assert_eq!(cluster.end(&producer, true), ErrorCode::NONE);
}

#[test]
fn a_transaction_that_is_over_its_time_is_aborted() {
    let mut cluster = cluster();
    let mut producer = cluster.init();
    assert_eq!(cluster.add(&producer, &[0]), ErrorCode::NONE);
    assert_eq!(cluster.write(&mut producer, 0, "v"), ErrorCode::NONE);
    cluster.pass_ms(8_000);
    assert_eq!(cluster.at_every_node(0), vec![(0, 0); 3]);
    cluster.pass_ms(4_000);
    assert_eq!(cluster.at_every_node(0), vec![(2, 1); 3]);
    assert_ne!(cluster.end(&producer, true), ErrorCode::NONE, "too late");
}

#[test]
fn offsets_committed_in_a_transaction_count_when_it_does() {
    let mut cluster = cluster();
    let producer = cluster.init();
    for (committed, expected) in [(false, -1), (true, 7)] {
        let add = AddOffsetsToTxnRequest {
            transactional_id: ID.to_owned(),
            producer_id: producer.id,
            producer_epoch: producer.epoch,
            group_id: GROUP_ID.to_owned(),
        };
        let added =
            cluster.finally((TRANSACTION, ID), |cluster, node| (cluster.call(node, 3, &add).error_code, ()));
        assert_eq!(added.0, ErrorCode::NONE);
        let commit = offset_commit(&producer, GROUP_ID);
        let taken = cluster.finally((GROUP, GROUP_ID), |cluster, node| {
            (cluster.call(node, 3, &commit).topics[0].partitions[0].error_code, ())
        });
        assert_eq!(taken.0, ErrorCode::NONE);
        assert_eq!(cluster.end(&producer, committed), ErrorCode::NONE);
        let fetch = OffsetFetchRequest {
            groups: vec![OffsetFetchRequestGroup {
                group_id: GROUP_ID.to_owned(),
                topics: Some(vec![OffsetFetchRequestTopics {
                    name: "t".to_owned(),
                    partition_indexes: vec![0],
                    ..OffsetFetchRequestTopics::default()
                }]),
                ..OffsetFetchRequestGroup::default()
            }],
            require_stable: true,
            ..OffsetFetchRequest::default()
        };
        let (code, offset) = cluster.finally((GROUP, GROUP_ID), |cluster, node| {
            let group = cluster.call(node, 8, &fetch).groups.remove(0);
            (group.error_code, group.topics[0].partitions[0].committed_offset)
        });
        assert_eq!((code, offset), (ErrorCode::NONE, expected), "committed: {committed}");
    }
}

fn offset_commit(producer: &Producer, group: &str) -> TxnOffsetCommitRequest {
    TxnOffsetCommitRequest {
        transactional_id: ID.to_owned(),
        group_id: group.to_owned(),
        producer_id: producer.id,
        producer_epoch: producer.epoch,
        topics: vec![TxnOffsetCommitRequestTopic {
            name: "t".to_owned(),
            partitions: vec![TxnOffsetCommitRequestPartition {
                partition_index: 0,
                committed_offset: 7,
                ..TxnOffsetCommitRequestPartition::default()
            }],
        }],
        ..TxnOffsetCommitRequest::default()
    }
}

#[test]
fn offsets_that_were_verified_before_the_transaction_ended_are_not_written_after_it() {
    let mut cluster = cluster();
    let producer = cluster.init();
    let transactions = cluster.coordinator(TRANSACTION, ID);
    let group = (0..100)
        .map(|number| format!("copier-{number}"))
        .find(|group| cluster.coordinator(GROUP, group) != transactions);
    let group = group.expect("the groups are spread over nodes");
    let groups = cluster.coordinator(GROUP, &group);
    let add = AddOffsetsToTxnRequest {
        transactional_id: ID.to_owned(),
        producer_id: producer.id,
        producer_epoch: producer.epoch,
        group_id: group.clone(),
    };
    let added =
        cluster.finally((TRANSACTION, ID), |cluster, node| (cluster.call(node, 3, &add).error_code, ()));
    assert_eq!(added.0, ErrorCode::NONE);
    // The transaction's coordinator agrees, and while its word is under way the marker is written.
    let is_word =
        |message: &PeerMessage| matches!(message, PeerMessage::Node(NodeMessage::ForwardReply { .. }));
    cluster.hold(transactions, groups);
    let mut commit = Box::pin(cluster.ask(groups, false, 3, &offset_commit(&producer, &group)));
    while cluster.held(transactions, groups, is_word) == 0 {
        cluster.release_before(transactions, groups, is_word);
        let polled = commit.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(polled.is_pending(), "it waits for the word");
        cluster.pass_ms(1);
    }
    let image = cluster.node(groups).broker.node().image();
    let offsets = image.topic("__consumer_offsets").expect("the topic");
    let led = offsets.keyed_partitions().map(|(key, _)| key).filter(|key| {
        cluster.node(groups).host.borrow().view(*key).is_ok_and(|view| view.leader == Some(groups))
    });
    for key in led.collect::<Vec<_>>() {
        let marker = EndMarker {
            producer: producer.id,
            epoch: producer.epoch,
            commit: false,
            coordinator_epoch: 0,
            bumps_epoch: false,
            timestamp_ms: 0,
        };
        drop(cluster.node(groups).host.borrow_mut().append_marker(key, marker, u64::MAX));
    }
    cluster.release(transactions, groups);
    let answer = cluster.run(commit).expect("the connection stays open").expect("there is an answer");
    let code = answer.topics[0].partitions[0].error_code;
    assert_eq!(code, ErrorCode::NOT_COORDINATOR, "it is to be asked again");
    let counters = cluster.node(groups).counted();
    assert_eq!(counters["verifications_lapsed"], 1);
    // The transaction goes on as far as its coordinator knows, so it is verified anew.
    let taken = cluster.finally((GROUP, &group), |cluster, node| {
        let answer = cluster.call(node, 3, &offset_commit(&producer, &group));
        (answer.topics[0].partitions[0].error_code, ())
    });
    assert_eq!(taken.0, ErrorCode::NONE);
    assert_eq!(cluster.end(&producer, true), ErrorCode::NONE);
}

#[test]
fn a_coordinator_lists_its_transactions_and_nobody_elses() {
    let mut cluster = cluster();
    let producer = cluster.init();
    assert_eq!(cluster.add(&producer, &[0]), ErrorCode::NONE);
    let node = cluster.coordinator(TRANSACTION, ID);
    for asked in [1, 2, 3].map(NodeId) {
        let listed = cluster.call(asked, 1, &ListTransactionsRequest::default());
        let states: Vec<_> = listed
            .transaction_states
            .iter()
            .map(|listed| (&listed.transactional_id[..], &listed.transaction_state[..]))
            .collect();
        let expected = if asked == node { vec![(ID, "Ongoing")] } else { Vec::new() };
        assert_eq!((listed.error_code, states), (ErrorCode::NONE, expected), "at node {asked}");
    }
}

/// With its bug planted the scenario fails.
#[cfg(feature = "mutants")]
#[test]
fn the_scenarios_above_kill_their_bugs() {
    harness::killed(
        chronik_mutants::Mutant::MarkersBeforeDecision,
        no_marker_is_written_before_the_decision_is_committed,
    );
}
