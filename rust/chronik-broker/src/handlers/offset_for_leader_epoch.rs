//! OffsetForLeaderEpoch (key 23), versions 2-4.
//!
//! Behaviour: any replica answers, after the read gate; the end offset of the largest epoch not above the one asked
//! for, with that epoch. The epochs are those of applied entries.
//! Versions: 2 leader epoch of the client · 3 replica id · 4 flexible.
//! Not done: requests of replicas (replication between brokers does not use this).
//! Tests: tests of this crate.

use chronik_replica::Host;
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::offset_for_leader_epoch::{
    EpochEndOffset, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, OffsetForLeaderPartition,
    OffsetForLeaderTopicResult,
};
use chronik_wire::types::{LeaderEpoch, PartitionKey};

use super::{Answer, Context};
use crate::connection::CloseReason;
use crate::errors;
use crate::limits;
use crate::topics::{TopicName, find_partition};

pub(crate) async fn handle(
    context: Context,
    request: OffsetForLeaderEpochRequest,
) -> Answer<OffsetForLeaderEpochResponse> {
    let count: usize = request.topics.iter().map(|topic| topic.partitions.len()).sum();
    if count > limits::REQUEST_PARTITIONS_MAX {
        return Err(CloseReason::Unanswerable("an epoch request names too many partitions"));
    }
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let name = TopicName::Name(topic.topic.clone());
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for wanted in topic.partitions {
            let result = match find(&context, &name, wanted.partition).await {
                Ok(key) => lookup(&context, key, &wanted).await,
                Err(code) => Err(code),
            };
            partitions.push(match result {
                Ok((epoch, end_offset)) => EpochEndOffset {
                    partition: wanted.partition,
                    error_code: ErrorCode::NONE,
                    leader_epoch: epoch,
                    end_offset,
                },
                Err(code) => EpochEndOffset {
                    partition: wanted.partition,
                    error_code: code,
                    leader_epoch: -1,
                    end_offset: -1,
                },
            });
        }
        topics.push(OffsetForLeaderTopicResult { topic: topic.topic, partitions });
    }
    Ok(Some(OffsetForLeaderEpochResponse { throttle_time_ms: 0, topics }))
}

async fn find(context: &Context, name: &TopicName, partition: i32) -> Result<PartitionKey, ErrorCode> {
    let image = context
        .broker
        .image_with(context.gate_deadline_ms(), |image| find_partition(image, name, partition).is_none())
        .await
        .map_err(|_| ErrorCode::OFFSET_NOT_AVAILABLE)?;
    find_partition(&image, name, partition).map(|target| target.key).ok_or_else(|| name.unknown())
}

async fn lookup(
    context: &Context,
    key: PartitionKey,
    wanted: &OffsetForLeaderPartition,
) -> Result<(i32, i64), ErrorCode> {
    let deadline_ms = context.gate_deadline_ms();
    let hosts = &context.broker.hosts;
    let gone = ErrorCode::NOT_LEADER_OR_FOLLOWER;
    let gate = hosts.with(key, move |host| host.enter_gate(key, deadline_ms)).await.map_err(|_| gone)?;
    gate.await.map_err(|_| gone)?.map_err(|error| errors::epoch_gate(error.kind))?;
    let wanted = wanted.clone();
    hosts
        .with(key, move |host| answer(host, key, wanted.current_leader_epoch, wanted.leader_epoch))
        .await
        .map_err(|_| gone)?
}

fn answer(host: &Host, key: PartitionKey, client_epoch: i32, epoch: i32) -> Result<(i32, i64), ErrorCode> {
    let view = host.view(key).map_err(|error| errors::replica(&error))?;
    errors::check_epoch(client_epoch, view.leader_epoch)?;
    let end = host.epoch_end_offset(key, LeaderEpoch(epoch)).map_err(|error| errors::read(&error))?;
    Ok(end.map_or((-1, -1), |end| (end.epoch.0, end.end_offset.0)))
}
