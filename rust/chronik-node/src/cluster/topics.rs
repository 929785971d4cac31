//! Topics: created, deleted and moved through a running broker, by the same code that serves Kafka clients.

use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use chronik_broker::{Connection, Hosts};
use chronik_wire::api::Request;
use chronik_wire::error_code::ErrorCode;
use chronik_wire::header::{decode_response, request_frame};
use chronik_wire::messages::create_topics::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest, CreateTopicsResponse,
};
use chronik_wire::messages::delete_topics::{DeleteTopicsRequest, DeleteTopicsResponse};
use chronik_wire::types::{NodeId, PartitionKey};

use super::error::ClusterError;
use super::inspect::{known_leader, states_of};
use super::record::Presence;
use super::{Cluster, timed_out};
use crate::launch;
use crate::limits;
use crate::shard::Shard;
use crate::shard::seat::Seat;

const CREATE_VERSION: i16 = 7;
const DELETE_VERSION: i16 = 5;
const LENGTH_BYTES: usize = 4;

impl Cluster {
    /// Creates a topic. Returns when every live node knows it and its leaders. `None` for the cluster's defaults.
    pub fn create_topic(
        &self,
        name: &str,
        partitions: Option<i32>,
        replication_factor: Option<i16>,
        config: &std::collections::BTreeMap<String, String>,
    ) -> Result<(), ClusterError> {
        let configs = config
            .iter()
            .map(|(name, value)| CreatableTopicConfig { name: name.clone(), value: Some(value.clone()) });
        let request = CreateTopicsRequest {
            topics: vec![CreatableTopic {
                name: name.to_owned(),
                num_partitions: partitions.unwrap_or(-1),
                replication_factor: replication_factor.unwrap_or(-1),
                configs: configs.collect(),
                ..CreatableTopic::default()
            }],
            timeout_ms: limits::ADMIN_TIMEOUT.as_millis() as i32,
            ..CreateTopicsRequest::default()
        };
        let response: CreateTopicsResponse = self.request(&request, CREATE_VERSION, "create a topic")?;
        let result = response.topics.into_iter().next();
        let (code, message) = result.map_or((ErrorCode::UNKNOWN_SERVER_ERROR, None), |result| {
            (result.error_code, result.error_message)
        });
        match code {
            ErrorCode::NONE => Ok(()),
            ErrorCode::TOPIC_ALREADY_EXISTS => Err(ClusterError::TopicExists { topic: name.to_owned() }),
            code => Err(kafka_error(format!("creating topic {name:?}"), code, message)),
        }
    }

    /// Deletes a topic. Returns when every live node has forgotten it.
    pub fn delete_topic(&self, name: &str) -> Result<(), ClusterError> {
        let request = DeleteTopicsRequest {
            topic_names: vec![name.to_owned()],
            timeout_ms: limits::ADMIN_TIMEOUT.as_millis() as i32,
            ..DeleteTopicsRequest::default()
        };
        let response: DeleteTopicsResponse = self.request(&request, DELETE_VERSION, "delete a topic")?;
        let result = response.responses.into_iter().next();
        let (code, message) = result.map_or((ErrorCode::UNKNOWN_SERVER_ERROR, None), |result| {
            (result.error_code, result.error_message)
        });
        match code {
            ErrorCode::NONE => Ok(()),
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION => {
                Err(ClusterError::UnknownTopic { topic: name.to_owned() })
            }
            code => Err(kafka_error(format!("deleting topic {name:?}"), code, message)),
        }
    }

    /// Makes `to` the leader of a partition. Returns when every awake node says so.
    pub fn transfer_leader(&self, topic: &str, partition: i32, to: NodeId) -> Result<(), ClusterError> {
        match &*self.record(to)?.presence() {
            Presence::Running { frozen: false, .. } => {}
            Presence::Running { frozen: true, .. } => return Err(ClusterError::Frozen { node: to }),
            Presence::Down(_) => return Err(ClusterError::NotRunning { node: to }),
        }
        let (key, replicas) = self.partition(topic, partition)?;
        if !replicas.contains(&to) {
            let replicas: Vec<String> = replicas.iter().map(ToString::to_string).collect();
            let (topic, replicas) = (topic.to_owned(), replicas.join(", "));
            return Err(ClusterError::NotAReplica { node: to, topic, partition, replicas });
        }
        let deadline = Instant::now() + limits::ADMIN_TIMEOUT;
        while Instant::now() < deadline {
            let from = self.leader(topic, partition)?;
            if from != to {
                self.ask_for_transfer(key, from, to)?;
            }
            // A transfer may be given up, for one when the target lags; then it is asked for again.
            let moved = self.await_on_shard(limits::TRANSFER_PATIENCE, move |shard| {
                let states = states_of(shard);
                let all =
                    states.iter().all(|state| known_leader(std::slice::from_ref(state), key) == Some(to));
                all.then_some(())
            })?;
            if moved.is_some() {
                return Ok(());
            }
        }
        let what = format!("the transfer of partition {partition} of {topic:?} to node {to}");
        Err(timed_out(&what, limits::ADMIN_TIMEOUT, "is the node running, connected and caught up?"))
    }

    fn ask_for_transfer(&self, key: PartitionKey, from: NodeId, to: NodeId) -> Result<(), ClusterError> {
        let index = Hosts::shard_of(key, self.ports.len());
        self.ask(index, "a leader transfer", move |shard| {
            if let Some(seat) = shard.seat(from) {
                // A refusal means that leadership has moved meanwhile; the caller looks again.
                let _ = seat.host.borrow_mut().transfer_leader(key, to);
            }
            launch::ready(())
        })
    }

    /// Has a running broker execute a Kafka request as if a client had sent it.
    fn request<R: Request>(
        &self,
        request: &R,
        version: i16,
        what: &str,
    ) -> Result<R::Response, ClusterError> {
        let failed = |message: String| ClusterError::Kafka {
            action: what.to_owned(),
            code: ErrorCode::UNKNOWN_SERVER_ERROR.0,
            message,
        };
        let pieces =
            request_frame(version, 0, Some("cluster"), request).map_err(|error| failed(error.to_string()))?;
        let frame = joined(pieces).split_off(LENGTH_BYTES);
        let answer = self.ask(0, what, move |shard| {
            Box::pin(async move {
                let Some(seat) = seat_to_ask(&shard) else { return Err(None) };
                let connection = Connection::new(0, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), false);
                let broker = Rc::clone(&seat.broker);
                drop(seat);
                broker.handle(&connection, frame).await.map_err(|reason| Some(reason.to_string()))
            })
        })?;
        let answer = match answer {
            Ok(pieces) => joined(pieces.unwrap_or_default()),
            Err(None) => return Err(ClusterError::NobodyToAsk),
            Err(Some(reason)) => return Err(failed(reason)),
        };
        let (_, response) =
            decode_response::<R>(answer, version).map_err(|error| failed(error.to_string()))?;
        Ok(response)
    }
}

/// The controller if it is awake, else anybody who is.
fn seat_to_ask(shard: &Shard) -> Option<Rc<Seat>> {
    let controller = known_leader(&states_of(shard), PartitionKey::META);
    let awake: Vec<Rc<Seat>> = shard.seats().into_iter().filter(|seat| !seat.life.is_frozen()).collect();
    awake.iter().find(|seat| Some(seat.node) == controller).or_else(|| awake.first()).cloned()
}

fn joined(pieces: Vec<Bytes>) -> Bytes {
    let mut whole = BytesMut::with_capacity(pieces.iter().map(Bytes::len).sum());
    for piece in pieces {
        whole.extend_from_slice(&piece);
    }
    whole.freeze()
}

fn kafka_error(action: String, code: ErrorCode, message: Option<String>) -> ClusterError {
    ClusterError::Kafka { action, code: code.0, message: message.unwrap_or_else(|| code.to_string()) }
}
