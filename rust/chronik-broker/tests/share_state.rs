//! The share coordinator over the wire: accounts of share-partitions, at the node that has them and at no other.

mod harness;

use chronik_coord::share::ShareKey;
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::delete_share_group_state::{self as delete, DeleteShareGroupStateRequest};
use chronik_wire::messages::find_coordinator::{FindCoordinatorRequest, SHARE};
use chronik_wire::messages::initialize_share_group_state::{
    self as initialize, InitializeShareGroupStateRequest,
};
use chronik_wire::messages::read_share_group_state::{self as read, ReadShareGroupStateRequest, StateBatch};
use chronik_wire::messages::read_share_group_state_summary::{
    self as summary, ReadShareGroupStateSummaryRequest,
};
use chronik_wire::messages::write_share_group_state::{self as write, WriteShareGroupStateRequest};
use chronik_wire::types::{NodeId, PartitionIndex, TopicId};
use harness::{Options, TestCluster};

const GROUP: &str = "workers";
const LOADING: [ErrorCode; 3] = [
    ErrorCode::COORDINATOR_LOAD_IN_PROGRESS,
    ErrorCode::COORDINATOR_NOT_AVAILABLE,
    ErrorCode::NOT_COORDINATOR,
];

fn cluster() -> TestCluster {
    let config = [("share.coordinator.state.topic.num.partitions".to_owned(), "2".to_owned())].into();
    let mut cluster = TestCluster::start(3, &Options { config, ..Options::default() });
    cluster.create_topic("t", 1, &[]);
    cluster
}

impl TestCluster {
    fn topic_id(&self) -> TopicId {
        let node = self.nodes.values().next().expect("a node lives");
        node.broker.node().image().topic("t").expect("the topic").id
    }

    fn find(&mut self, key: &str) -> (ErrorCode, NodeId) {
        let request = FindCoordinatorRequest {
            key_type: SHARE,
            coordinator_keys: vec![key.to_owned()],
            ..FindCoordinatorRequest::default()
        };
        let asked = *self.nodes.keys().next().expect("a node lives");
        let found = self.call(asked, 6, &request).coordinators.remove(0);
        (found.error_code, NodeId(found.node_id))
    }

    fn coordinator(&mut self) -> NodeId {
        let key = ShareKey { group: GROUP.into(), topic: self.topic_id(), partition: PartitionIndex(0) };
        for _ in 0..1_000 {
            let (code, node) = self.find(&key.name());
            if code == ErrorCode::NONE
                && self.nodes.contains_key(&node)
                && !LOADING.contains(&self.read(node, -1).error_code)
            {
                return node;
            }
            self.pass_ms(10);
        }
        panic!("no coordinator in time");
    }

    fn initialize(&mut self, node: NodeId, state_epoch: i32, start_offset: i64) -> ErrorCode {
        let partitions = vec![initialize::PartitionData { partition: 0, state_epoch, start_offset }];
        let topics = vec![initialize::InitializeStateData { topic_id: self.topic_id(), partitions }];
        let request = InitializeShareGroupStateRequest { group_id: GROUP.to_owned(), topics };
        self.call(node, 0, &request).results[0].partitions[0].error_code
    }

    fn read(&mut self, node: NodeId, leader_epoch: i32) -> read::PartitionResult {
        let partitions = vec![read::PartitionData { partition: 0, leader_epoch }];
        let topics = vec![read::ReadStateData { topic_id: self.topic_id(), partitions }];
        let request = ReadShareGroupStateRequest { group_id: GROUP.to_owned(), topics };
        self.call(node, 0, &request).results[0].partitions[0].clone()
    }

    fn write(
        &mut self,
        node: NodeId,
        (state_epoch, leader_epoch): (i32, i32),
        start_offset: i64,
        done: &[i64],
    ) -> ErrorCode {
        let batch = |offset: &i64| StateBatch {
            first_offset: *offset,
            last_offset: *offset,
            delivery_state: 2,
            delivery_count: 1,
        };
        let state_batches = done.iter().map(batch).collect();
        let data = write::PartitionData {
            partition: 0,
            state_epoch,
            leader_epoch,
            start_offset,
            delivery_complete_count: -1,
            state_batches,
        };
        let topics = vec![write::WriteStateData { topic_id: self.topic_id(), partitions: vec![data] }];
        let request = WriteShareGroupStateRequest { group_id: GROUP.to_owned(), topics };
        self.call(node, 1, &request).results[0].partitions[0].error_code
    }

    fn summary(&mut self, node: NodeId) -> summary::PartitionResult {
        let partitions = vec![summary::PartitionData { partition: 0, leader_epoch: -1 }];
        let topics = vec![summary::ReadStateSummaryData { topic_id: self.topic_id(), partitions }];
        let request = ReadShareGroupStateSummaryRequest { group_id: GROUP.to_owned(), topics };
        self.call(node, 1, &request).results[0].partitions[0].clone()
    }

    fn delete(&mut self, node: NodeId, partition: i32) -> ErrorCode {
        let topics = vec![delete::DeleteStateData {
            topic_id: self.topic_id(),
            partitions: vec![delete::PartitionData { partition }],
        }];
        let request = DeleteShareGroupStateRequest { group_id: GROUP.to_owned(), topics };
        self.call(node, 0, &request).results[0].partitions[0].error_code
    }
}

#[test]
fn an_account_is_kept_by_one_node_and_survives_it() {
    let mut cluster = cluster();
    let node = cluster.coordinator();
    let other = *cluster.nodes.keys().find(|other| **other != node).expect("another node");
    assert_eq!(cluster.initialize(other, 0, 0), ErrorCode::NOT_COORDINATOR);
    assert_eq!(cluster.read(node, 1).error_code, ErrorCode::INVALID_REQUEST, "never begun");
    assert_eq!(cluster.initialize(node, 0, 5), ErrorCode::NONE);
    assert_eq!(cluster.read(node, 3).error_code, ErrorCode::NONE);
    assert_eq!(cluster.write(node, (0, 3), 6, &[8, 9]), ErrorCode::NONE);
    cluster.kill(node);
    let node = cluster.coordinator();
    let account = cluster.read(node, 4);
    assert_eq!((account.error_code, account.start_offset, account.state_epoch), (ErrorCode::NONE, 6, 0));
    let batch = StateBatch { first_offset: 8, last_offset: 9, delivery_state: 2, delivery_count: 1 };
    assert_eq!(account.state_batches, [batch]);
    let far = cluster.summary(node);
    assert_eq!((far.start_offset, far.delivery_complete_count, far.leader_epoch), (6, 2, 4));
    // Whoever led before is fenced by whoever has read since, and everybody by a new account.
    assert_eq!(cluster.write(node, (0, 3), 7, &[]), ErrorCode::FENCED_LEADER_EPOCH);
    assert_eq!(cluster.initialize(node, 1, 0), ErrorCode::NONE);
    assert_eq!(cluster.write(node, (0, 4), 7, &[]), ErrorCode::FENCED_STATE_EPOCH);
    assert_eq!(cluster.summary(node).start_offset, 0);
    assert_eq!(cluster.delete(node, 0), ErrorCode::NONE);
    assert_eq!(cluster.read(node, 5).error_code, ErrorCode::INVALID_REQUEST);
    assert_eq!(cluster.summary(node).start_offset, -1);
}

#[test]
fn nonsense_is_refused() {
    let mut cluster = cluster();
    let node = cluster.coordinator();
    assert_eq!(cluster.delete(node, -1), ErrorCode::INVALID_REQUEST);
    assert_eq!(cluster.delete(node, 1), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    for key in ["", "workers", "workers:nonsense:0", "workers:AAAAAAAAAAAAAAAAAAAAAQ:x"] {
        assert_eq!(cluster.find(key).0, ErrorCode::INVALID_REQUEST, "{key}");
    }
}
