//! Produce (key 0), versions 3-13 (0-2 are advertised for old librdkafka and refused).
//!
//! Behaviour: checks each batch (one per partition: length, magic, CRC, counts), appends all of them before the first
//! suspension so that produces of one connection may be pipelined, then waits for what `acks` asks for. If a topic is
//! not known here yet, the produces behind wait for this one to append. A partition fails alone. `acks=0` gets no
//! answer; its failure closes the connection.
//! The first batch of a transaction in a partition is appended once the transaction's coordinator has said that the
//! partition belongs to it (KIP-890).
//! Quotas: the bytes of the request count against `producer_byte_rate` when it comes; over it the answer says how long the
//! client should wait, and its connection waits as long.
//! Versions: 3 record batches v2 only, transactions · 7 zstd · 8 error message · 9 flexible · 10 leader hints · 11 error
//! 120 · 12 partitions are added to the transaction here · 13 topic ids.
//! On the pinned address a batch for another leader is carried there.
//! Tests: produce and transaction tests of this crate, tests/test_produce.py.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use chronik_coord::{MetaImage, TimestampType, TopicConfig};
use chronik_mutants::{Mutant, planted};
use chronik_replica::{Acks, AppendError};
use chronik_wire::api::ApiKey;
use chronik_wire::batch::{
    BatchHeader, BatchLimits, Compression, into_unique, stamp_append_time, validate_produced,
};
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::common::LeaderIdAndEpoch;
use chronik_wire::messages::produce::{
    PartitionProduceResponse, ProduceRequest, ProduceResponse, TopicProduceData, TopicProduceResponse,
};

use super::{Answer, Context};
use crate::connection::CloseReason;
use crate::coordination::may_be_produced_to;
use crate::counters::count;
use crate::errors;
use crate::forward::{Forwarded, ForwardedBatch};
use crate::hosts::HostReply;
use crate::interception::{Named, Refused};
use crate::leader_hint::{endpoints, hint};
use crate::limits;
use crate::quotas::Direction;
use crate::record_rules::suited;
use crate::topics::{Absent, Target, TopicName};
use crate::transactional_produce::{Begun, ProducedTransaction, begin_transactional};

const BY_ID_FROM: i16 = 13;
const LEADER_HINT_FROM: i16 = 10;
const ZSTD_FROM: i16 = 7;

/// Where one batch stands.
pub(crate) enum Pending {
    /// Carried to the leader for a client of the pinned address.
    Forwarded(Target, Forwarded),
    /// Waiting for the replica. The broker's timestamp is part of it where the topic wants one.
    Appending { target: Target, reply: HostReply<Begun>, append_time_ms: i64 },
    /// Decided without a replica.
    Refused(Refusal),
}

/// Why a batch was refused, in code and words.
pub(crate) struct Refusal {
    pub(crate) code: ErrorCode,
    pub(crate) message: Option<String>,
}

impl From<ErrorCode> for Refusal {
    fn from(code: ErrorCode) -> Self {
        Refusal { code, message: None }
    }
}

/// What the batches of one request have in common.
struct Common {
    acks: Acks,
    deadline_ms: u64,
    transaction: Option<ProducedTransaction>,
    /// What a test wants some of them refused with.
    intercepted: Option<Refused>,
}

pub(crate) async fn handle(mut context: Context, request: ProduceRequest) -> Answer<ProduceResponse> {
    let version = context.version;
    let intercepted = context.intercepted(ApiKey::Produce, || Named::Topics(topics(&request, version))).await;
    let quota = context.quota(Direction::Produce);
    let throttle_time_ms = quota.map_or(0, |quota| context.charge(&quota, context.frame_bytes));
    let acks = match request.acks {
        -1 => Acks::All,
        0 => Acks::None,
        1 => Acks::Leader,
        _ => {
            let results = refuse_all(request, ErrorCode::INVALID_REQUIRED_ACKS);
            return Ok(Some(respond(&context, results, throttle_time_ms)));
        }
    };
    let common = Common {
        acks,
        deadline_ms: context.deadline_ms(request.timeout_ms),
        transaction: ProducedTransaction::of(&context, &request),
        intercepted,
    };
    let (wanted, mut records) = flatten(request, version);
    if wanted.len() > limits::REQUEST_PARTITIONS_MAX {
        return Err(CloseReason::Unanswerable("a produce request names too many partitions"));
    }
    let pending = start_all(&context, &wanted, &mut records, &common).await;

    let mut results = Vec::with_capacity(pending.len());
    for ((topic, partition), step) in wanted.into_iter().zip(pending) {
        results.push((topic, finish(&context, partition, step).await));
    }
    if acks == Acks::None {
        let failed =
            results.iter().map(|(_, result)| result.error_code).find(|code| *code != ErrorCode::NONE);
        return failed.map_or(Ok(None), |code| Err(CloseReason::UnacknowledgedProduceFailed(code.0)));
    }
    Ok(Some(respond(&context, results, throttle_time_ms)))
}

/// The topics of a request.
fn topics(request: &ProduceRequest, version: i16) -> Vec<TopicName> {
    let name = |topic: &TopicProduceData| TopicName::of(version >= BY_ID_FROM, &topic.name, topic.topic_id);
    request.topic_data.iter().map(name).collect()
}

/// The partitions of a request, and the batch for each.
fn flatten(request: ProduceRequest, version: i16) -> (Vec<(TopicName, i32)>, Vec<Option<Bytes>>) {
    let (mut wanted, mut records) = (Vec::new(), Vec::new());
    for topic in request.topic_data {
        let name = TopicName::of(version >= BY_ID_FROM, &topic.name, topic.topic_id);
        for partition in topic.partition_data {
            wanted.push((name.clone(), partition.index));
            records.push(partition.records);
        }
    }
    (wanted, records)
}

/// Hands every batch whose topic is known to its replica before the first suspension, the others once they are. Those
/// of one connection take turns: a produce that waits for its topic or for its transaction's coordinator is not
/// overtaken.
async fn start_all(
    context: &Context,
    wanted: &[(TopicName, i32)],
    records: &mut [Option<Bytes>],
    common: &Common,
) -> Vec<Pending> {
    let in_order =
        if planted(Mutant::ProducesOvertake) { None } else { Some(context.connection.produce_turn().await) };
    let started = context.broker.look_up(common.deadline_ms, wanted, |place, image, target| {
        let records = records.get_mut(place).and_then(Option::take);
        start(context, image, target, records, common)
    });
    let absent = |absent| match absent {
        Absent::Unknown(code) => Pending::Refused(code.into()),
        Absent::Unconfirmed => Pending::Refused(ErrorCode::NOT_LEADER_OR_FOLLOWER.into()),
    };
    let mut pending: Vec<Pending> =
        started.await.into_iter().map(|started| started.unwrap_or_else(absent)).collect();
    if let Some(transaction) = &common.transaction {
        transaction.verify(context, &mut pending, common.acks, common.deadline_ms).await;
    }
    drop(in_order);
    pending
}

/// Checks one batch and hands it to its replica.
fn start(
    context: &Context,
    image: &Arc<MetaImage>,
    target: Target,
    records: Option<Bytes>,
    common: &Common,
) -> Pending {
    let intercepted = common.intercepted.as_ref();
    if let Some(refused) = intercepted.filter(|refused| refused.concerns(Some(&target.topic.name))) {
        return Pending::Refused(refused.code.into());
    }
    if !may_be_produced_to(&target.topic.name) {
        return Pending::Refused(Refusal {
            code: ErrorCode::INVALID_TOPIC_EXCEPTION,
            message: Some(format!(
                "topic {:?} is the brokers' own; nobody else may write to it",
                target.topic.name
            )),
        });
    }
    let config = &context.broker.node.config;
    let settings = context.broker.topic_configs.get(image, &target.topic, config);
    let wall_ms = context.broker.world.wall_ms();
    let (batch, header) = match checked(records, &settings, context.version, wall_ms) {
        Ok(checked) => checked,
        Err(refusal) => return Pending::Refused(refusal),
    };
    let transactional = header.attributes.is_transactional();
    if transactional && common.transaction.is_none() {
        // Nobody may write into a transaction without its name.
        return Pending::Refused(ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED.into());
    }
    let key = target.key;
    let leader = context.broker.node.view(|view| view.leader(key)).map(|(leader, _)| leader);
    if let (true, Some(leader)) = (context.connection.pinned, leader.filter(|leader| *leader != config.node))
    {
        let forwarded = ForwardedBatch {
            key,
            topic: Arc::clone(&target.topic.name),
            transaction: common.transaction.clone(),
            batch: batch.freeze(),
            acks: common.acks,
        };
        return match context.broker.forward_batch(leader, forwarded, common.deadline_ms) {
            Some(forwarded) => Pending::Forwarded(target, forwarded),
            None => Pending::Refused(ErrorCode::NOT_LEADER_OR_FOLLOWER.into()),
        };
    }
    let (acks, deadline_ms) = (common.acks, common.deadline_ms);
    let verified = common.transaction.as_ref().is_some_and(|transaction| transaction.is_verified(context));
    let reply = context.broker.hosts.with(key, move |host| {
        if transactional && verified {
            begin_transactional(host, key, batch, &header, acks, deadline_ms)
        } else {
            Begun::Appending(host.append(key, batch, acks, deadline_ms))
        }
    });
    let by_broker = settings.timestamp_type == TimestampType::LogAppendTime;
    Pending::Appending { target, reply, append_time_ms: if by_broker { wall_ms } else { -1 } }
}

/// One valid batch, in a buffer that nobody else refers to, and its header.
fn checked(
    records: Option<Bytes>,
    settings: &TopicConfig,
    version: i16,
    wall_ms: i64,
) -> Result<(BytesMut, BatchHeader), Refusal> {
    let records = records.ok_or(ErrorCode::INVALID_RECORD)?;
    let limits = BatchLimits { max_batch_bytes: settings.max_message_bytes };
    let view = validate_produced(&records, &limits)
        .map_err(|error| Refusal { code: error.error_code(), message: Some(error.to_string()) })?;
    let header = *view.header();
    if settings.timestamp_type == TimestampType::CreateTime {
        check_timestamps(settings, header.base_timestamp, header.max_timestamp, wall_ms)?;
    }
    if header.attributes.compression() == Ok(Compression::Zstd) && version < ZSTD_FROM {
        return Err(ErrorCode::UNSUPPORTED_COMPRESSION_TYPE.into());
    }
    drop(records);
    let suited = suited(view, settings);
    let suited = suited.map_err(|(code, message)| Refusal { code, message: Some(message) })?;
    // A large batch has its frame's buffer to itself by now; a small one shares it and is cheap to copy.
    let mut batch = into_unique(suited);
    if settings.timestamp_type == TimestampType::LogAppendTime {
        stamp_append_time(&mut batch, wall_ms);
    }
    Ok((batch, header))
}

fn check_timestamps(settings: &TopicConfig, base_ms: i64, max_ms: i64, wall_ms: i64) -> Result<(), Refusal> {
    let oldest = wall_ms.saturating_sub(settings.timestamp_before_max_ms);
    let newest = wall_ms.saturating_add(settings.timestamp_after_max_ms);
    if base_ms.min(max_ms) >= oldest && max_ms <= newest {
        return Ok(());
    }
    Err(Refusal {
        code: ErrorCode::INVALID_TIMESTAMP,
        message: Some(format!(
            "timestamps {base_ms} to {max_ms} are outside the allowed {oldest} to {newest}"
        )),
    })
}

async fn finish(context: &Context, partition: i32, step: Pending) -> PartitionProduceResponse {
    let counters = &context.broker.node.counters;
    let (target, reply, append_time_ms) = match step {
        Pending::Refused(refusal) => {
            count(&counters.batches_refused);
            counters.count_code(refusal.code);
            return failed(partition, refusal);
        }
        Pending::Forwarded(target, forwarded) => {
            count(&counters.produces_forwarded);
            let key = target.key;
            return context.broker.forwarded_result(key, forwarded).await;
        }
        Pending::Appending { target, reply, append_time_ms } => (target, reply, append_time_ms),
    };
    // A replica or shard that is gone answers nobody any more; whether the batch commits is open.
    let outcome = match reply.await {
        Ok(Begun::Appending(outcome)) => outcome.await.unwrap_or(Err(AppendError::TimedOut)),
        Ok(Begun::Unverified(_, unverified)) => {
            Err(AppendError::Unverified { producer: unverified.producer })
        }
        Err(_) => Err(AppendError::TimedOut),
    };
    match outcome {
        Ok(appended) => {
            count(if appended.duplicate {
                &counters.batches_deduplicated
            } else {
                &counters.batches_appended
            });
            PartitionProduceResponse {
                index: partition,
                base_offset: appended.base_offset.0,
                log_append_time_ms: append_time_ms,
                log_start_offset: appended.log_start.0,
                ..PartitionProduceResponse::default()
            }
        }
        Err(error) => {
            count(&counters.batches_refused);
            let mut response = failed(partition, errors::append(&error).into());
            counters.count_code(response.error_code);
            if response.error_code == ErrorCode::NOT_LEADER_OR_FOLLOWER {
                response.current_leader = hint(&context.broker, target.key);
            }
            response.error_message = Some(error.to_string());
            response
        }
    }
}

fn failed(partition: i32, refusal: Refusal) -> PartitionProduceResponse {
    PartitionProduceResponse {
        index: partition,
        error_code: refusal.code,
        base_offset: -1,
        error_message: refusal.message,
        ..PartitionProduceResponse::default()
    }
}

fn refuse_all(request: ProduceRequest, code: ErrorCode) -> Vec<(TopicName, PartitionProduceResponse)> {
    // The version does not matter here: whichever of name and id was sent is answered.
    let mut results = Vec::new();
    for topic in request.topic_data {
        let by_id = topic.name.is_empty();
        let name = TopicName::of(by_id, &topic.name, topic.topic_id);
        for partition in topic.partition_data {
            results.push((name.clone(), failed(partition.index, code.into())));
        }
    }
    results
}

fn respond(
    context: &Context,
    results: Vec<(TopicName, PartitionProduceResponse)>,
    throttle_time_ms: i32,
) -> ProduceResponse {
    let mut responses: Vec<TopicProduceResponse> = Vec::new();
    let mut leaders: Vec<LeaderIdAndEpoch> = Vec::new();
    let mut last: Option<TopicName> = None;
    for (topic, mut result) in results {
        if context.connection.pinned {
            // This node is all that exists behind that address.
            result.current_leader = LeaderIdAndEpoch::default();
        }
        if context.version >= LEADER_HINT_FROM {
            leaders.push(result.current_leader.clone());
        }
        if last.as_ref() != Some(&topic) {
            responses.push(TopicProduceResponse {
                name: topic.name(),
                topic_id: topic.id(),
                partition_responses: Vec::new(),
            });
            last = Some(topic);
        }
        if let Some(response) = responses.last_mut() {
            response.partition_responses.push(result);
        }
    }
    let image: Arc<MetaImage> = context.broker.node.image();
    ProduceResponse { responses, throttle_time_ms, node_endpoints: endpoints(&image, &leaders) }
}
