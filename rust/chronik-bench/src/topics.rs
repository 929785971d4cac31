//! Topics of a run: creating them, waiting for their leaders, deleting them, through any broker's own protocol.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::create_topics::{CreatableTopic, CreatableTopicConfig};
use chronik_wire::messages::metadata::MetadataRequestTopic;
use chronik_wire::messages::{CreateTopicsRequest, DeleteTopicsRequest, MetadataRequest};

use crate::client::Client;
use crate::error::BenchError;

/// Longest wait for a topic's leaders.
const LEADERS_TIMEOUT: Duration = Duration::from_secs(20);
/// Pause between two looks at the metadata.
const LEADERS_PAUSE: Duration = Duration::from_millis(5);
/// Highest versions used: the last that name topics by name in the old encoding.
const METADATA_VERSION_MAX: i16 = 8;
const CREATE_TOPICS_VERSION_MAX: i16 = 4;
const DELETE_TOPICS_VERSION_MAX: i16 = 3;

/// A topic's partitions and where they are served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// By partition: the leader's address, then the other replicas'.
    pub replicas: Vec<Vec<String>>,
}

impl Placement {
    /// The address of a partition's leader.
    pub fn leader(&self, partition: usize) -> Result<&str, BenchError> {
        self.replica(partition, 0)
    }

    /// The address of a partition's first follower.
    pub fn follower(&self, partition: usize) -> Result<&str, BenchError> {
        self.replica(partition, 1)
    }

    fn replica(&self, partition: usize, place: usize) -> Result<&str, BenchError> {
        let replica = self.replicas.get(partition).and_then(|replicas| replicas.get(place));
        replica
            .map(String::as_str)
            .ok_or_else(|| BenchError::Unexpected(format!("partition {partition} has no replica {place}")))
    }
}

/// Creates a topic and waits until every partition has a leader.
pub fn create(
    client: &mut Client,
    name: &str,
    partitions: i32,
    replication_factor: i16,
    configs: &[(&str, &str)],
) -> Result<Placement, BenchError> {
    let version = client.version::<CreateTopicsRequest>(CREATE_TOPICS_VERSION_MAX)?;
    let configs = configs
        .iter()
        .map(|(name, value)| CreatableTopicConfig { name: (*name).into(), value: Some((*value).into()) })
        .collect();
    let topic = CreatableTopic {
        name: name.into(),
        num_partitions: partitions,
        replication_factor,
        configs,
        ..CreatableTopic::default()
    };
    let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 30_000, validate_only: false };
    let answer = client.call(version, &request)?;
    let code = answer.topics.first().map_or(ErrorCode::UNKNOWN_SERVER_ERROR, |topic| topic.error_code);
    if code != ErrorCode::NONE && code != ErrorCode::TOPIC_ALREADY_EXISTS {
        return Err(BenchError::Refused { what: format!("CreateTopics of {name}"), code });
    }
    wait_for_leaders(client, name)
}

/// Deletes a topic. Its memory and files are what the next round must not pay for.
pub fn delete(client: &mut Client, name: &str) -> Result<(), BenchError> {
    let version = client.version::<DeleteTopicsRequest>(DELETE_TOPICS_VERSION_MAX)?;
    let request = DeleteTopicsRequest {
        topic_names: vec![name.into()],
        timeout_ms: 30_000,
        ..DeleteTopicsRequest::default()
    };
    let answer = client.call(version, &request)?;
    match answer.responses.first().map_or(ErrorCode::UNKNOWN_SERVER_ERROR, |topic| topic.error_code) {
        ErrorCode::NONE => Ok(()),
        code => Err(BenchError::Refused { what: format!("DeleteTopics of {name}"), code }),
    }
}

/// Waits until every partition of a topic has a leader, and says where its replicas are.
pub fn wait_for_leaders(client: &mut Client, name: &str) -> Result<Placement, BenchError> {
    let deadline = Instant::now() + LEADERS_TIMEOUT;
    loop {
        if let Some(placement) = placement(client, name)? {
            return Ok(placement);
        }
        if Instant::now() > deadline {
            return Err(BenchError::Unexpected(format!(
                "topic {name} had no leaders within {LEADERS_TIMEOUT:?}"
            )));
        }
        std::thread::sleep(LEADERS_PAUSE);
    }
}

/// How many brokers this one's metadata shows.
pub fn broker_count(client: &mut Client) -> Result<usize, BenchError> {
    let version = client.version::<MetadataRequest>(METADATA_VERSION_MAX)?;
    let request = MetadataRequest { topics: Some(Vec::new()), ..MetadataRequest::default() };
    Ok(client.call(version, &request)?.brokers.len())
}

fn placement(client: &mut Client, name: &str) -> Result<Option<Placement>, BenchError> {
    let version = client.version::<MetadataRequest>(METADATA_VERSION_MAX)?;
    let topic = MetadataRequestTopic { name: Some(name.into()), ..MetadataRequestTopic::default() };
    let request = MetadataRequest { topics: Some(vec![topic]), ..MetadataRequest::default() };
    let answer = client.call(version, &request)?;
    let addresses: BTreeMap<i32, String> = answer
        .brokers
        .iter()
        .map(|broker| (broker.node_id, format!("{}:{}", broker.host, broker.port)))
        .collect();
    let Some(topic) = answer.topics.first().filter(|topic| topic.error_code == ErrorCode::NONE) else {
        return Ok(None);
    };
    let mut partitions: Vec<_> = topic.partitions.iter().collect();
    partitions.sort_by_key(|partition| partition.partition_index);
    let mut replicas = Vec::new();
    for partition in partitions {
        let Some(leader) = addresses.get(&partition.leader_id) else { return Ok(None) };
        let others = partition.replica_nodes.iter().filter(|node| **node != partition.leader_id);
        let others = others.filter_map(|node| addresses.get(node));
        replicas.push(std::iter::once(leader).chain(others).cloned().collect());
    }
    Ok((!replicas.is_empty()).then_some(Placement { replicas }))
}

/// Whether this broker shows a leader for every partition of a topic.
pub fn has_leaders(client: &mut Client, name: &str) -> Result<bool, BenchError> {
    Ok(placement(client, name)?.is_some())
}
