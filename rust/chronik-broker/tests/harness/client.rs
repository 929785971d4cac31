//! What tests say to brokers, in the words of the protocol.

use chronik_coord::{Action, CreateTopics, NewTopic, ReplyBody, TopicDefaults};
use chronik_wire::batch::BatchBuilder;
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::fetch::{FetchPartition, FetchRequest, FetchTopic, PartitionData};
use chronik_wire::messages::list_offsets::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use chronik_wire::messages::produce::{
    PartitionProduceData, PartitionProduceResponse, ProduceRequest, TopicProduceData,
};
use chronik_wire::types::{NodeId, TopicId};

use super::TestCluster;

pub const FETCH_VERSION: i16 = 12;
pub const PRODUCE_VERSION: i16 = 9;
const LIST_OFFSETS_VERSION: i16 = 7;

impl TestCluster {
    /// Creates a topic with one replica on every node and waits until every node knows its leaders.
    pub fn create_topic(&mut self, name: &str, partitions: i32, configs: &[(&str, &str)]) {
        let id = TopicId(self.now_ms() as u128 * 1_000 + 1_000_000 + name.len() as u128);
        let topic = NewTopic {
            name: name.to_owned(),
            id,
            partitions,
            replication_factor: self.nodes.len() as i16,
            assignments: Vec::new(),
            configs: configs
                .iter()
                .map(|(key, value)| ((*key).to_owned(), Some((*value).to_owned())))
                .collect(),
        };
        let defaults = TopicDefaults { partitions: 1, replication_factor: -1 };
        let action = Action::CreateTopics(CreateTopics { topics: vec![topic], live: Vec::new(), defaults });
        let broker = self.node(NodeId(1)).broker.clone();
        let deadline_ms = self.now_ms() + 5_000;
        let ready = self.run(async move {
            let reply = broker.controller_call(action, deadline_ms).await.expect("the controller answers");
            let ReplyBody::TopicsCreated(created) = &reply.body else { panic!("{reply:?}") };
            assert!(created.iter().all(|(_, result)| result.is_ok()), "{created:?}");
            broker.await_topics(reply.at, &[id], deadline_ms).await
        });
        assert!(ready, "every node knows every leader");
    }

    /// Produces one batch at a node and returns what became of it.
    pub fn produce(&mut self, node: NodeId, topic: &str, batch: BatchBuilder) -> PartitionProduceResponse {
        let request = produce_request(topic, 0, batch, -1, 1_000);
        let response = self.call(node, PRODUCE_VERSION, &request);
        response.responses[0].partition_responses[0].clone()
    }

    /// Produces one value with `acks=all` at the leader and returns its offset.
    pub fn send(&mut self, topic: &str, value: &str) -> i64 {
        let leader = self.leader(self.key(topic, 0)).expect("there is a leader");
        let result = self.produce(leader, topic, one(value));
        assert_eq!(result.error_code, ErrorCode::NONE, "{result:?}");
        result.base_offset
    }

    /// Fetches partition 0 of a topic at a node.
    pub fn fetch(&mut self, node: NodeId, topic: &str, offset: i64, wait_ms: i32) -> PartitionData {
        self.fetch_version(node, FETCH_VERSION, fetch_request(topic, offset, wait_ms))
    }

    /// Sends a fetch of one partition in some version.
    pub fn fetch_version(&mut self, node: NodeId, version: i16, request: FetchRequest) -> PartitionData {
        let response = self.call(node, version, &request);
        assert_eq!(response.error_code, ErrorCode::NONE);
        response.responses[0].partitions[0].clone()
    }

    /// ListOffsets of partition 0: error and offset.
    pub fn list_offset(&mut self, node: NodeId, topic: &str, timestamp: i64) -> (ErrorCode, i64) {
        let partition = ListOffsetsPartition { timestamp, ..ListOffsetsPartition::default() };
        let topics = vec![ListOffsetsTopic { name: topic.to_owned(), partitions: vec![partition] }];
        let request = ListOffsetsRequest { topics, ..ListOffsetsRequest::default() };
        let response = self.call(node, LIST_OFFSETS_VERSION, &request);
        let partition = &response.topics[0].partitions[0];
        (partition.error_code, partition.offset)
    }
}

/// A batch of one record.
pub fn one(value: &str) -> BatchBuilder {
    BatchBuilder::new().record(1_700_000_000_000, None, Some(value.as_bytes()))
}

pub fn produce_request(
    topic: &str,
    partition: i32,
    batch: BatchBuilder,
    acks: i16,
    timeout_ms: i32,
) -> ProduceRequest {
    let records = Some(batch.build().expect("batch builds"));
    ProduceRequest {
        acks,
        timeout_ms,
        topic_data: vec![TopicProduceData {
            name: topic.to_owned(),
            partition_data: vec![PartitionProduceData { index: partition, records }],
            ..TopicProduceData::default()
        }],
        ..ProduceRequest::default()
    }
}

pub fn fetch_request(topic: &str, offset: i64, wait_ms: i32) -> FetchRequest {
    let partition =
        FetchPartition { fetch_offset: offset, partition_max_bytes: 1 << 20, ..FetchPartition::default() };
    FetchRequest {
        max_wait_ms: wait_ms,
        min_bytes: 1,
        max_bytes: 1 << 20,
        topics: vec![FetchTopic {
            topic: topic.to_owned(),
            partitions: vec![partition],
            ..FetchTopic::default()
        }],
        ..FetchRequest::default()
    }
}

/// The values in an answer, from every batch.
pub fn values(data: &PartitionData) -> Vec<String> {
    chronik_wire::batch::split_batches(data.records.to_bytes())
        .map(|batch| batch.expect("whole batches"))
        .flat_map(|batch| batch.records().expect("records").collect::<Vec<_>>())
        .map(|record| {
            String::from_utf8(record.expect("record").value.expect("value").to_vec()).expect("text")
        })
        .collect()
}
