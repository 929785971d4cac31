//! OffsetForLeaderEpoch (key 23), versions 2-4.
//!
//! Behaviour: any replica answers, after the read gate; the end offset of the largest epoch not above the one asked
//! for, with that epoch. The epochs are those of applied entries.
//! Versions: 2 leader epoch of the client · 3 replica id · 4 flexible.
//! Not done: requests of replicas (replication between brokers does not use this).
//! Tests: tests of this crate.

use chronik_replica::{GateError, GatePass, Host, Index};
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::offset_for_leader_epoch::{
    EpochEndOffset, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, OffsetForLeaderPartition,
    OffsetForLeaderTopic, OffsetForLeaderTopicResult,
};
use chronik_wire::types::{LeaderEpoch, PartitionKey};
use tokio::sync::oneshot;

use super::{Answer, Context};
use crate::connection::CloseReason;
use crate::errors;
use crate::hosts::HostReply;
use crate::limits;
use crate::topics::{Absent, TopicName};

pub(crate) async fn handle(
    context: Context,
    request: OffsetForLeaderEpochRequest,
) -> Answer<OffsetForLeaderEpochResponse> {
    let count: usize = request.topics.iter().map(|topic| topic.partitions.len()).sum();
    if count > limits::REQUEST_PARTITIONS_MAX {
        return Err(CloseReason::Unanswerable("an epoch request names too many partitions"));
    }
    let deadline_ms = context.gate_deadline_ms();
    let name = |topic: &OffsetForLeaderTopic| TopicName::Name(topic.topic.clone());
    let wanted: Vec<_> = request
        .topics
        .iter()
        .flat_map(|topic| topic.partitions.iter().map(move |wanted| (name(topic), wanted.partition)))
        .collect();
    // Every gate is entered before any is waited for.
    let questions = context.broker.look_up(deadline_ms, &wanted, |_, _, target| {
        let key = target.key;
        (key, context.broker.hosts.with(key, move |host| host.enter_gate(key, deadline_ms)))
    });
    let mut questions = questions.await.into_iter();
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for wanted in topic.partitions {
            let result = match questions.next() {
                Some(Ok(gate)) => settle(&context, gate, &wanted).await,
                Some(Err(Absent::Unknown(code))) => Err(code),
                Some(Err(Absent::Unconfirmed)) => Err(ErrorCode::OFFSET_NOT_AVAILABLE),
                None => Err(ErrorCode::UNKNOWN_SERVER_ERROR),
            };
            partitions.push(match result {
                Ok((epoch, end_offset)) => EpochEndOffset {
                    partition: wanted.partition,
                    error_code: ErrorCode::NONE,
                    leader_epoch: epoch,
                    end_offset,
                },
                Err(code) => {
                    context.broker.node.counters.count_code(code);
                    EpochEndOffset {
                        partition: wanted.partition,
                        error_code: code,
                        leader_epoch: -1,
                        end_offset: -1,
                    }
                }
            });
        }
        topics.push(OffsetForLeaderTopicResult { topic: topic.topic, partitions });
    }
    Ok(Some(OffsetForLeaderEpochResponse { throttle_time_ms: 0, topics }))
}

type Gate = HostReply<oneshot::Receiver<Result<GatePass, GateError>>>;

async fn settle(
    context: &Context,
    (key, gate): (PartitionKey, Gate),
    wanted: &OffsetForLeaderPartition,
) -> Result<(i32, i64), ErrorCode> {
    let hosts = &context.broker.hosts;
    let gone = ErrorCode::NOT_LEADER_OR_FOLLOWER;
    let gate = gate.await.map_err(|_| gone)?;
    let pass = gate.await.map_err(|_| gone)?.map_err(|error| errors::epoch_gate(error.kind))?.index;
    let wanted = wanted.clone();
    hosts
        .with(key, move |host| answer(host, (key, pass), wanted.current_leader_epoch, wanted.leader_epoch))
        .await
        .map_err(|_| gone)?
}

fn answer(
    host: &Host,
    (key, pass): (PartitionKey, Index),
    client_epoch: i32,
    epoch: i32,
) -> Result<(i32, i64), ErrorCode> {
    let view = host.view(key).map_err(|error| errors::replica(&error))?;
    errors::check_pass(pass, &view)?;
    errors::check_epoch(client_epoch, view.leader_epoch)?;
    let end = host.epoch_end_offset(key, LeaderEpoch(epoch)).map_err(|error| errors::read(&error))?;
    Ok(end.map_or((-1, -1), |end| (end.epoch.0, end.end_offset.0)))
}
