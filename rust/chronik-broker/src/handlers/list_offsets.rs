//! ListOffsets (key 2), versions 1-11.
//!
//! Behaviour: any replica answers, every kind of question after the read gate, then from one snapshot. A question by
//! time is answered to the record, clamped to the log start.
//! Timestamps: -1 latest (LSO for `read_committed`) · -2 earliest · -3 the record with the largest timestamp · -4
//! earliest local (the same as earliest: nothing is tiered) · -5, -6 tiered (-1: there is none).
//! Versions: 2 isolation · 4 leader epoch · 5 error 78 · 6 flexible · 7 max timestamp · 8, 9, 11 tiered · 10 time-out.
//! Not done: tiered storage.
//! Tests: tests of this crate, tests/test_follower_reads.py.

use chronik_log::BatchAt;
use chronik_mutants::{Mutant, planted};
use chronik_replica::{Host, Index};
use chronik_wire::batch::BatchView;
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::list_offsets::{
    EARLIEST_LOCAL_TIMESTAMP, EARLIEST_PENDING_UPLOAD_TIMESTAMP, EARLIEST_TIMESTAMP, LATEST_TIERED_TIMESTAMP,
    LATEST_TIMESTAMP, ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsRequest,
    ListOffsetsResponse, ListOffsetsTopic, ListOffsetsTopicResponse, MAX_TIMESTAMP,
};
use chronik_wire::types::PartitionKey;

use super::{Answer, Context};
use crate::connection::CloseReason;
use crate::counters::count;
use crate::errors;
use crate::limits;
use crate::topics::{Absent, TopicName};

const READ_COMMITTED: i8 = 1;
const NONE: i64 = -1;

/// Offset, timestamp and epoch of an answer.
type Found = (i64, i64, i32);

pub(crate) async fn handle(context: Context, request: ListOffsetsRequest) -> Answer<ListOffsetsResponse> {
    let count: usize = request.topics.iter().map(|topic| topic.partitions.len()).sum();
    if count > limits::REQUEST_PARTITIONS_MAX {
        return Err(CloseReason::Unanswerable("a list offsets request names too many partitions"));
    }
    let committed_only = request.isolation_level == READ_COMMITTED;
    let deadline_ms = context.gate_deadline_ms();
    let name = |topic: &ListOffsetsTopic| TopicName::Name(topic.name.clone());
    let wanted: Vec<_> = request
        .topics
        .iter()
        .flat_map(|topic| topic.partitions.iter().map(move |wanted| (name(topic), wanted.partition_index)))
        .collect();
    // Every gate is entered before any is waited for.
    let questions = context.broker.look_up(deadline_ms, &wanted, |_, _, target| {
        let key = target.key;
        (key, context.broker.hosts.with(key, move |host| host.enter_gate(key, deadline_ms)))
    });
    let questions = questions.await;
    let mut questions = questions.into_iter();
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for wanted in topic.partitions {
            let found = match questions.next() {
                Some(Ok(gate)) => settle(&context, gate, &wanted, committed_only).await,
                Some(Err(Absent::Unknown(code))) => Err(code),
                Some(Err(Absent::Unconfirmed)) => Err(ErrorCode::LEADER_NOT_AVAILABLE),
                None => Err(ErrorCode::UNKNOWN_SERVER_ERROR),
            };
            partitions.push(respond(&context, wanted.partition_index, found));
        }
        topics.push(ListOffsetsTopicResponse { name: topic.name, partitions });
    }
    Ok(Some(ListOffsetsResponse { throttle_time_ms: 0, topics }))
}

type Gate = crate::hosts::HostReply<
    tokio::sync::oneshot::Receiver<Result<chronik_replica::GatePass, chronik_replica::GateError>>,
>;

async fn settle(
    context: &Context,
    (key, gate): (PartitionKey, Gate),
    wanted: &ListOffsetsPartition,
    committed_only: bool,
) -> Result<Found, ErrorCode> {
    let gone = ErrorCode::NOT_LEADER_OR_FOLLOWER;
    let version = context.version;
    let gate = gate.await.map_err(|_| gone)?;
    let pass = if planted(Mutant::ListOffsetsUngated) {
        Index::ZERO
    } else {
        let pass = gate.await.map_err(|_| gone)?;
        pass.map_err(|error| errors::list_offsets_gate(error.kind, version))?.index
    };
    let wanted = wanted.clone();
    context
        .broker
        .hosts
        .with(key, move |host| answer(host, (key, pass), &wanted, committed_only))
        .await
        .map_err(|_| gone)?
}

/// One snapshot, one answer.
fn answer(
    host: &mut Host,
    (key, pass): (PartitionKey, Index),
    wanted: &ListOffsetsPartition,
    committed_only: bool,
) -> Result<Found, ErrorCode> {
    let view = host.view(key).map_err(|error| errors::replica(&error))?;
    if view.stopped {
        return Err(ErrorCode::KAFKA_STORAGE_ERROR);
    }
    errors::check_pass(pass, &view)?;
    errors::check_epoch(wanted.current_leader_epoch, view.leader_epoch)?;
    let epoch = view.leader_epoch.0;
    let end = if committed_only { view.last_stable_offset } else { view.high_watermark };
    match wanted.timestamp {
        LATEST_TIMESTAMP => Ok((end.0, NONE, epoch)),
        EARLIEST_TIMESTAMP | EARLIEST_LOCAL_TIMESTAMP => Ok((view.log_start.0, NONE, epoch)),
        LATEST_TIERED_TIMESTAMP | EARLIEST_PENDING_UPLOAD_TIMESTAMP => Ok((NONE, NONE, -1)),
        MAX_TIMESTAMP => {
            let batch = host.max_timestamp(key, end).map_err(|error| errors::read(&error))?;
            let time = batch.as_ref().map_or(0, |batch| batch.max_timestamp);
            Ok(first_at(batch, time).unwrap_or((NONE, NONE, -1)))
        }
        time if time >= 0 => {
            let batch = host.batch_for_timestamp(key, time, end).map_err(|error| errors::read(&error))?;
            let found = first_at(batch, time).unwrap_or((NONE, NONE, -1));
            // Retention may have passed the record: what is left begins at the log start.
            let offset = if found.0 == NONE { NONE } else { found.0.max(view.log_start.0) };
            Ok((offset, found.1, found.2))
        }
        _ => Err(ErrorCode::INVALID_REQUEST),
    }
}

/// The first record of a batch that is not older than `time`: its offset and timestamp, and the batch's epoch. A batch
/// whose records cannot be read answers for all of them with its base offset.
fn first_at(batch: Option<BatchAt>, time: i64) -> Option<Found> {
    let batch = batch?;
    let epoch = i32::try_from(batch.term.0).unwrap_or(i32::MAX);
    let whole = (batch.base_offset.0, batch.max_timestamp, epoch);
    let Ok(records) = BatchView::parse(batch.batch).and_then(|view| view.records()) else {
        return Some(whole);
    };
    let first = records.flatten().find(|record| record.timestamp >= time);
    Some(first.map_or(whole, |record| (record.offset.0, record.timestamp, epoch)))
}

fn respond(
    context: &Context,
    partition: i32,
    found: Result<Found, ErrorCode>,
) -> ListOffsetsPartitionResponse {
    match found {
        Ok((offset, timestamp, leader_epoch)) => {
            count(&context.broker.node.counters.offset_lists_served);
            ListOffsetsPartitionResponse {
                partition_index: partition,
                error_code: ErrorCode::NONE,
                timestamp,
                offset,
                leader_epoch,
            }
        }
        Err(code) => {
            context.broker.node.counters.count_code(code);
            ListOffsetsPartitionResponse {
                partition_index: partition,
                error_code: code,
                timestamp: NONE,
                offset: NONE,
                leader_epoch: -1,
            }
        }
    }
}
