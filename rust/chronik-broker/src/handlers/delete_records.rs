//! DeleteRecords (key 21), versions 0-2.
//!
//! Behaviour: the leader of a partition, its end confirmed by the read gate, moves the start of the log, and answers with
//! the new start when that is agreed on and applied; -1 stands for the high watermark. An offset above the high watermark
//! is 1, a partition that does not exist 3, another node's 6, a topic that is only compacted 44, an internal topic 17, out
//! of time 7. A start below the present one changes nothing. On a pinned address the leader is asked on the client's
//! behalf.
//! Versions: 2 flexible.
//! Tests: tests/administration/records.rs.

use std::sync::Arc;

use chronik_coord::MetaImage;
use chronik_replica::{GateError, GatePass, Host, ReplicaError, Role};
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::delete_records::{
    DeleteRecordsPartition, DeleteRecordsPartitionResult, DeleteRecordsRequest, DeleteRecordsResponse,
    DeleteRecordsTopic, DeleteRecordsTopicResult,
};
use chronik_wire::types::{NodeId, Offset, PartitionKey};
use tokio::sync::oneshot;

use super::{Answer, Context};
use crate::cluster_picture::is_internal;
use crate::connection::CloseReason;
use crate::hosts::HostReply;
use crate::leader_call::Asked;
use crate::limits;
use crate::parked::Parked;
use crate::topics::{Absent, Target, TopicName};
use crate::world::until;

/// Stands for the high watermark.
const HIGH_WATERMARK: i64 = -1;
/// The version in which nodes ask each other.
const VERSION: i16 = 2;

pub(crate) async fn handle(context: Context, request: DeleteRecordsRequest) -> Answer<DeleteRecordsResponse> {
    let count: usize = request.topics.iter().map(|topic| topic.partitions.len()).sum();
    if count > limits::REQUEST_PARTITIONS_MAX {
        return Err(CloseReason::Unanswerable("a request to delete records names too many partitions"));
    }
    let deadline_ms = context.deadline_ms(request.timeout_ms);
    let wanted: Vec<_> = request
        .topics
        .iter()
        .flat_map(|topic| {
            let name = |wanted: &DeleteRecordsPartition| {
                (TopicName::Name(topic.name.clone()), wanted.partition_index)
            };
            topic.partitions.iter().map(name)
        })
        .collect();
    let offsets: Vec<i64> =
        request.topics.iter().flat_map(|topic| topic.partitions.iter().map(|wanted| wanted.offset)).collect();
    // Every partition is under way before any is waited for.
    let begun = context.broker.look_up(context.gate_deadline_ms(), &wanted, |place, image, target| {
        let offset = offsets.get(place).copied().unwrap_or(HIGH_WATERMARK);
        begin(&context, image, &target, offset, deadline_ms)
    });
    let mut moving = Vec::with_capacity(count);
    for begun in begun.await {
        moving.push(match begun {
            Ok(step) => propose(&context, step).await,
            Err(Absent::Unknown(code)) => Err(code),
            Err(Absent::Unconfirmed) => Err(ErrorCode::NOT_LEADER_OR_FOLLOWER),
        });
    }
    let mut moving = moving.into_iter();
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for wanted in topic.partitions {
            let result = match moving.next().unwrap_or(Err(ErrorCode::UNKNOWN_SERVER_ERROR)) {
                Ok(moving) => finish(&context, moving, deadline_ms).await,
                Err(code) => Err(code),
            };
            partitions.push(DeleteRecordsPartitionResult {
                partition_index: wanted.partition_index,
                low_watermark: result.as_ref().map_or(Offset::UNKNOWN.0, |log_start| log_start.0),
                error_code: result.err().unwrap_or(ErrorCode::NONE),
            });
        }
        topics.push(DeleteRecordsTopicResult { name: topic.name, partitions });
    }
    Ok(Some(DeleteRecordsResponse { throttle_time_ms: 0, topics }))
}

type Gate = HostReply<oneshot::Receiver<Result<GatePass, GateError>>>;

/// A partition whose log start shall move.
enum Begun {
    /// Here, behind the gate.
    Here(PartitionKey, i64, Gate),
    /// At its leader, on behalf of a client of the pinned address.
    There(Asked),
    /// It may not.
    Refused(ErrorCode),
}

/// A log start that is on its way.
enum Moving {
    Here(PartitionKey, Offset),
    There(Asked),
}

fn begin(context: &Context, image: &Arc<MetaImage>, target: &Target, offset: i64, deadline_ms: u64) -> Begun {
    let (broker, key) = (&context.broker, target.key);
    if is_internal(&target.topic.name) {
        return Begun::Refused(ErrorCode::INVALID_TOPIC_EXCEPTION);
    }
    let cleanup = broker.topic_configs.get(image, &target.topic, &broker.node.config).cleanup;
    if cleanup.compact && !cleanup.delete {
        return Begun::Refused(ErrorCode::POLICY_VIOLATION);
    }
    if offset < HIGH_WATERMARK {
        return Begun::Refused(ErrorCode::OFFSET_OUT_OF_RANGE);
    }
    let elsewhere = |leader: &NodeId| context.connection.pinned && *leader != broker.node.config.node;
    if let Some(leader) =
        broker.node.view(|view| view.leader(key)).map(|(leader, _)| leader).filter(elsewhere)
    {
        let left_ms = deadline_ms.saturating_sub(broker.world.now_ms());
        let asked = broker.ask_node(leader, VERSION, &single(target, offset, left_ms));
        return asked.map_or(Begun::Refused(ErrorCode::NOT_LEADER_OR_FOLLOWER), Begun::There);
    }
    let gate_ms = deadline_ms.min(context.gate_deadline_ms());
    Begun::Here(key, offset, broker.hosts.with(key, move |host| host.enter_gate(key, gate_ms)))
}

/// The same request for one partition.
fn single(target: &Target, offset: i64, left_ms: u64) -> DeleteRecordsRequest {
    let partition = DeleteRecordsPartition { partition_index: target.key.partition.0, offset };
    DeleteRecordsRequest {
        topics: vec![DeleteRecordsTopic { name: target.topic.name.to_string(), partitions: vec![partition] }],
        timeout_ms: i32::try_from(left_ms).unwrap_or(i32::MAX),
    }
}

async fn propose(context: &Context, begun: Begun) -> Result<Moving, ErrorCode> {
    let gone = ErrorCode::NOT_LEADER_OR_FOLLOWER;
    match begun {
        Begun::Refused(code) => Err(code),
        Begun::There(asked) => Ok(Moving::There(asked)),
        Begun::Here(key, offset, gate) => {
            // Whoever lost the leadership, or cannot confirm it, must not judge the offset.
            gate.await.map_err(|_| gone)?.await.map_err(|_| gone)?.map_err(|_| gone)?;
            let moved = context.broker.hosts.with(key, move |host| move_log_start(host, key, offset)).await;
            moved.map_err(|_| gone)?.map(|to| Moving::Here(key, to)).map_err(|error| refusal(&error))
        }
    }
}

fn move_log_start(host: &mut Host, key: PartitionKey, offset: i64) -> Result<Offset, ReplicaError> {
    let to = if offset == HIGH_WATERMARK { host.view(key)?.high_watermark } else { Offset(offset) };
    host.move_log_start(key, to).map(|()| to)
}

fn refusal(error: &ReplicaError) -> ErrorCode {
    match error {
        ReplicaError::LogStartAboveEnd { .. } => ErrorCode::OFFSET_OUT_OF_RANGE,
        ReplicaError::Stopped { .. } => ErrorCode::KAFKA_STORAGE_ERROR,
        _ => ErrorCode::NOT_LEADER_OR_FOLLOWER,
    }
}

/// Waits until the log starts where it should, and returns where that is.
async fn finish(context: &Context, moving: Moving, deadline_ms: u64) -> Result<Offset, ErrorCode> {
    let broker = &context.broker;
    let (key, to) = match moving {
        Moving::Here(key, to) => (key, to),
        Moving::There(asked) => {
            let response = broker.answer_of_node::<DeleteRecordsRequest>(asked, VERSION, deadline_ms).await;
            return result(response);
        }
    };
    let parked = Parked::new(broker.hosts.clone(), vec![key]).await;
    loop {
        let view = broker.hosts.with(key, move |host| host.view(key)).await;
        let view = view.map_err(|_| ErrorCode::NOT_LEADER_OR_FOLLOWER)?.map_err(|error| refusal(&error))?;
        if view.log_start >= to {
            return Ok(view.log_start);
        }
        if view.role != Role::Leader {
            return Err(ErrorCode::NOT_LEADER_OR_FOLLOWER);
        }
        let woken = until(&*broker.world, deadline_ms, parked.waiter.wait()).await;
        woken.ok_or(ErrorCode::REQUEST_TIMED_OUT)?;
    }
}

fn result(response: Option<DeleteRecordsResponse>) -> Result<Offset, ErrorCode> {
    let response = response.ok_or(ErrorCode::REQUEST_TIMED_OUT)?;
    let mut partitions = response.topics.into_iter().flat_map(|topic| topic.partitions);
    let partition = partitions.next().ok_or(ErrorCode::UNKNOWN_SERVER_ERROR)?;
    if partition.error_code.is_error() {
        return Err(partition.error_code);
    }
    Ok(Offset(partition.low_watermark))
}
