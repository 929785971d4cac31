//! DescribeProducers (key 61), version 0.
//!
//! Behaviour: the leader tells what it knows of a partition's producers, after the read gate: whoever means to abort a
//! transaction that hangs must not be shown one that a newer leader knows to have ended. Every other node answers 6.
//! Tests: tests/transactions.rs of this crate.

use chronik_replica::{GateError, GatePass, Host, Role};
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::describe_producers::{
    DescribeProducersRequest, DescribeProducersResponse, PartitionResponse, ProducerState, TopicRequest,
    TopicResponse,
};
use chronik_wire::types::PartitionKey;
use tokio::sync::oneshot;

use super::{Answer, Context};
use crate::connection::CloseReason;
use crate::errors;
use crate::hosts::HostReply;
use crate::limits;
use crate::topics::{Absent, TopicName};

pub(crate) async fn handle(
    context: Context,
    request: DescribeProducersRequest,
) -> Answer<DescribeProducersResponse> {
    let count: usize = request.topics.iter().map(|topic| topic.partition_indexes.len()).sum();
    if count > limits::REQUEST_PARTITIONS_MAX {
        return Err(CloseReason::Unanswerable("a request about producers names too many partitions"));
    }
    let deadline_ms = context.gate_deadline_ms();
    let of_topic = |topic: &TopicRequest| {
        let name = TopicName::Name(topic.name.clone());
        topic.partition_indexes.iter().map(move |partition| (name.clone(), *partition)).collect::<Vec<_>>()
    };
    let wanted: Vec<_> = request.topics.iter().flat_map(of_topic).collect();
    // Every gate is entered before any is waited for.
    let questions = context.broker.look_up(deadline_ms, &wanted, |_, _, target| {
        let key = target.key;
        (key, context.broker.hosts.with(key, move |host| host.enter_gate(key, deadline_ms)))
    });
    let mut questions = questions.await.into_iter();
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let mut partitions = Vec::with_capacity(topic.partition_indexes.len());
        for partition in topic.partition_indexes {
            let found = match questions.next() {
                Some(Ok(gate)) => settle(&context, gate).await,
                Some(Err(Absent::Unknown(code))) => Err(code),
                Some(Err(Absent::Unconfirmed)) | None => Err(ErrorCode::NOT_LEADER_OR_FOLLOWER),
            };
            partitions.push(respond(&context, partition, found));
        }
        topics.push(TopicResponse { name: topic.name, partitions });
    }
    Ok(Some(DescribeProducersResponse { throttle_time_ms: 0, topics }))
}

type Gate = HostReply<oneshot::Receiver<Result<GatePass, GateError>>>;

async fn settle(
    context: &Context,
    (key, gate): (PartitionKey, Gate),
) -> Result<Vec<ProducerState>, ErrorCode> {
    let gone = ErrorCode::NOT_LEADER_OR_FOLLOWER;
    let gate = gate.await.map_err(|_| gone)?;
    gate.await.map_err(|_| gone)?.map_err(|error| errors::leader_gate(error.kind))?;
    context.broker.hosts.with(key, move |host| answer(host, key)).await.map_err(|_| gone)?
}

fn answer(host: &Host, key: PartitionKey) -> Result<Vec<ProducerState>, ErrorCode> {
    let view = host.view(key).map_err(|error| errors::replica(&error))?;
    if view.role != Role::Leader {
        return Err(ErrorCode::NOT_LEADER_OR_FOLLOWER);
    }
    let producers = host.producers(key).map_err(|error| errors::read(&error))?;
    let told = |known: chronik_replica::ProducerState| ProducerState {
        producer_id: known.producer,
        producer_epoch: i32::from(known.epoch),
        last_sequence: known.last_sequence.unwrap_or(-1),
        last_timestamp: known.last_timestamp_ms,
        coordinator_epoch: known.coordinator_epoch.unwrap_or(-1),
        current_txn_start_offset: known.open_since.map_or(-1, |offset| offset.0),
    };
    Ok(producers.into_iter().map(told).collect())
}

fn respond(
    context: &Context,
    partition: i32,
    found: Result<Vec<ProducerState>, ErrorCode>,
) -> PartitionResponse {
    let error_code = *found.as_ref().err().unwrap_or(&ErrorCode::NONE);
    if error_code != ErrorCode::NONE {
        context.broker.node.counters.count_code(error_code);
    }
    PartitionResponse {
        partition_index: partition,
        error_code,
        error_message: None,
        active_producers: found.unwrap_or_default(),
    }
}
