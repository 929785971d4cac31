//! A small Kafka client over real sockets, and helpers that wait for conditions.
#![allow(dead_code, unreachable_pub)]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use bytes::Bytes;
use chronik_node::{Cluster, ClusterOptions, NodeId};
use chronik_wire::api::Request;
use chronik_wire::batch::BatchBuilder;
use chronik_wire::error_code::ErrorCode;
use chronik_wire::header::{decode_response, request_frame};
use chronik_wire::messages::fetch::{FetchPartition, FetchRequest, FetchTopic, PartitionData};
use chronik_wire::messages::list_offsets::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use chronik_wire::messages::metadata::{MetadataRequest, MetadataRequestTopic, MetadataResponse};
use chronik_wire::messages::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};

/// Longest time a test waits for anything.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// One connection. Requests may be pipelined: `send` several, then `receive` as many.
pub struct Client {
    stream: TcpStream,
    next_correlation: i32,
}

impl Client {
    pub fn connect(port: u16) -> Client {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("the node accepts connections");
        stream.set_nodelay(true).expect("nodelay");
        stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
        Client { stream, next_correlation: 1 }
    }

    pub fn to(cluster: &Cluster, node: NodeId) -> Client {
        Client::connect(cluster.node(node).expect("node").port)
    }

    pub fn send<R: Request>(&mut self, request: &R, version: i16) -> i32 {
        let correlation = self.next_correlation;
        self.next_correlation += 1;
        let pieces = request_frame(version, correlation, Some("test"), request).expect("request encodes");
        self.stream.write_all(&pieces.concat()).expect("request is sent");
        correlation
    }

    pub fn receive_frame(&mut self) -> std::io::Result<Bytes> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let mut frame = vec![0; u32::from_be_bytes(length) as usize];
        self.stream.read_exact(&mut frame)?;
        Ok(Bytes::from(frame))
    }

    pub fn receive<R: Request>(&mut self, version: i16) -> std::io::Result<(i32, R::Response)> {
        let frame = self.receive_frame()?;
        Ok(decode_response::<R>(frame, version).expect("response decodes"))
    }

    pub fn call<R: Request>(&mut self, request: &R, version: i16) -> std::io::Result<R::Response> {
        let correlation = self.send(request, version);
        let (answered, response) = self.receive::<R>(version)?;
        assert_eq!(answered, correlation);
        Ok(response)
    }

    pub fn raw(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    pub fn metadata(&mut self, topics: &[&str]) -> std::io::Result<MetadataResponse> {
        let named = topics
            .iter()
            .map(|name| MetadataRequestTopic { name: Some((*name).to_owned()), ..Default::default() });
        let request = MetadataRequest { topics: Some(named.collect()), ..Default::default() };
        self.call(&request, 9)
    }

    /// Produces one record with acks=all; its offset, or the error.
    pub fn produce(&mut self, topic: &str, value: &[u8]) -> std::io::Result<Result<i64, ErrorCode>> {
        let answer = self.call(&produce_request(topic, value, -1), PRODUCE)?;
        let partition = &answer.responses[0].partition_responses[0];
        Ok(if partition.error_code == ErrorCode::NONE {
            Ok(partition.base_offset)
        } else {
            Err(partition.error_code)
        })
    }

    pub fn fetch(&mut self, topic: &str, offset: i64, max_wait_ms: i32) -> std::io::Result<PartitionData> {
        let answer = self.call(&fetch_request(topic, offset, max_wait_ms), FETCH)?;
        let topic = answer.responses.into_iter().next().expect("one topic");
        Ok(topic.partitions.into_iter().next().expect("one partition"))
    }

    /// The latest offset as this node sees it, or the error.
    pub fn latest(&mut self, topic: &str) -> std::io::Result<Result<i64, ErrorCode>> {
        let partition = ListOffsetsPartition { timestamp: -1, ..Default::default() };
        let topic = ListOffsetsTopic { name: topic.to_owned(), partitions: vec![partition] };
        let request = ListOffsetsRequest { replica_id: -1, topics: vec![topic], ..Default::default() };
        let answer = self.call(&request, 7)?;
        let partition = &answer.topics[0].partitions[0];
        Ok(if partition.error_code == ErrorCode::NONE {
            Ok(partition.offset)
        } else {
            Err(partition.error_code)
        })
    }
}

pub const PRODUCE: i16 = 9;
pub const FETCH: i16 = 11;

pub fn produce_request(topic: &str, value: &[u8], acks: i16) -> ProduceRequest {
    let now = std::time::UNIX_EPOCH.elapsed().expect("a clock after 1970");
    let batch = BatchBuilder::new().record(now.as_millis() as i64, None, Some(value)).build().expect("batch");
    let data = PartitionProduceData { index: 0, records: Some(batch) };
    let topic = TopicProduceData { name: topic.to_owned(), partition_data: vec![data], ..Default::default() };
    ProduceRequest { acks, timeout_ms: 10_000, topic_data: vec![topic], ..Default::default() }
}

pub fn fetch_request(topic: &str, offset: i64, max_wait_ms: i32) -> FetchRequest {
    let partition =
        FetchPartition { fetch_offset: offset, partition_max_bytes: 1 << 20, ..Default::default() };
    let topic = FetchTopic { topic: topic.to_owned(), partitions: vec![partition], ..Default::default() };
    FetchRequest {
        max_wait_ms,
        min_bytes: 1,
        max_bytes: 50 << 20,
        session_epoch: -1,
        topics: vec![topic],
        ..Default::default()
    }
}

/// Waits until `holds`; fails the test with `what` if it never does.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "did not come about: {what}");
        std::thread::yield_now();
    }
}

/// Produces at whoever leads until it is acknowledged; the offset.
pub fn produce_acked(cluster: &Cluster, topic: &str, value: &[u8]) -> i64 {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let leader = cluster.leader(topic, 0).expect("a leader");
        if let Ok(Ok(offset)) = Client::to(cluster, leader).produce(topic, value) {
            return offset;
        }
        assert!(Instant::now() < deadline, "no acknowledged produce");
    }
}

pub fn start(change: impl FnOnce(&mut ClusterOptions)) -> Cluster {
    let mut options = ClusterOptions::default();
    change(&mut options);
    Cluster::start(options).expect("the cluster starts")
}

pub fn with_topic(change: impl FnOnce(&mut ClusterOptions)) -> Cluster {
    let cluster = start(change);
    cluster.create_topic("t", Some(1), Some(3), &Default::default()).expect("the topic is created");
    cluster
}

/// No node has complained.
pub fn assert_quiet(cluster: &Cluster) {
    for node in cluster.node_ids() {
        let loud: Vec<String> = cluster
            .node_logs(node)
            .expect("logs")
            .into_iter()
            .filter(|line| line.level <= tracing::Level::WARN)
            .map(|line| line.to_string())
            .collect();
        assert!(loud.is_empty(), "node {node} logged {loud:?}");
    }
}

/// Creates a topic of one partition through a node.
pub fn create_topic(client: &mut Client, name: &str, replication_factor: i16) {
    use chronik_wire::messages::create_topics::{CreatableTopic, CreateTopicsRequest};
    let topic =
        CreatableTopic { name: name.to_owned(), num_partitions: 1, replication_factor, ..Default::default() };
    let request = CreateTopicsRequest { topics: vec![topic], ..Default::default() };
    let answer = client.call(&request, 5).expect("an answer");
    assert_eq!(answer.topics[0].error_code, ErrorCode::NONE, "{:?}", answer.topics[0].error_message);
}
