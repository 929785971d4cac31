//! TxnOffsetCommit (key 28), versions 0-5.
//!
//! Behaviour: offsets that count when the transaction is committed. The group's coordinator takes them once the
//! transaction's coordinator has said that the partition of `__consumer_offsets` is part of the transaction, or from
//! version 5 on has made it so (KIP-890). If the transaction ends before they are written they are not, with 16, and who
//! asks again is told why. Topics that do not exist get 3 and leave the others alone.
//! Versions: 2 leader epoch · 3 flexible, generation and member · 4 new errors · 5 adds the group to the transaction.
//! Not done: authorization.
//! Tests: tests/transactions.rs, tests/test_transactions.py.

use std::sync::Arc;

use chronik_coord::groups::{GroupCall, GroupReply, Groups};
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::txn_offset_commit::{
    TxnOffsetCommitRequest, TxnOffsetCommitRequestTopic, TxnOffsetCommitResponse,
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use chronik_wire::types::PartitionKey;

use super::{Answer, Context};
use crate::connection::CloseReason;
use crate::coordination::{InternalTopic, Verified};
use crate::limits;
use crate::topics::TopicName;
use crate::transaction_verification::TransactionCheck;

const ADDS_FROM: i16 = 5;

pub(crate) async fn handle(
    context: Context,
    mut request: TxnOffsetCommitRequest,
) -> Answer<TxnOffsetCommitResponse> {
    let count: usize = request.topics.iter().map(|topic| topic.partitions.len()).sum();
    if count > limits::REQUEST_PARTITIONS_MAX {
        return Err(CloseReason::Unanswerable("an offset commit names too many partitions"));
    }
    let group = request.group_id.clone();
    if let Some(response) = context.carry::<Groups, _>(&group, &request).await {
        return Ok(Some(response));
    }
    let topics = std::mem::take(&mut request.topics);
    let (known, mut response) = sort_out(&context, topics).await;
    request.topics = known;
    if request.topics.is_empty() {
        return Ok(Some(response));
    }
    let verified = verify(&context, &request).await;
    let code = verified.err().unwrap_or(ErrorCode::NONE);
    let mut taken = Vec::new();
    if let Ok(verified) = verified {
        let call = GroupCall::TxnOffsetCommit(request);
        match context.ask_group_verified(&group, call, verified).await {
            GroupReply::TxnOffsetCommit(answer) => {
                taken.extend(answer.topics.into_iter().flat_map(|topic| topic.partitions));
            }
            _ => return Err(CloseReason::Unanswerable("a coordinator answered another question")),
        }
    }
    let mut taken = taken.into_iter().map(|partition| partition.error_code);
    for partition in response.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
        if partition.error_code == ErrorCode::NONE {
            // The coordinator answers what it was given, in that order.
            partition.error_code =
                if code.is_error() { code } else { taken.next().unwrap_or(ErrorCode::UNKNOWN_SERVER_ERROR) };
        }
    }
    Ok(Some(response))
}

/// Finds out that the group's partition is part of the transaction; `None` where nobody wants to know.
///
/// # Errors
/// It is not, or nobody could tell.
async fn verify(context: &Context, request: &TxnOffsetCommitRequest) -> Result<Option<Verified>, ErrorCode> {
    let broker = &context.broker;
    let key = broker.coordinated_here::<Groups>(&request.group_id).map_err(|nobody| nobody.code())?;
    let adds = context.version >= ADDS_FROM;
    if !adds && !broker.verifies_transactions() {
        return Ok(None);
    }
    let (producer, epoch) = (request.producer_id, request.producer_epoch);
    let guard = broker.hosts.with(key, move |host| host.begin_verification(key, producer, epoch)).await;
    let guard = guard.map_err(|_| ErrorCode::NOT_COORDINATOR)?;
    let verified = Some(Verified { producer, epoch, guard });
    if guard.is_none() {
        return Ok(verified);
    }
    let check = TransactionCheck {
        transactional_id: request.transactional_id.clone(),
        producer_id: producer,
        producer_epoch: epoch,
        partitions: vec![offsets_partition(key)],
        adds,
    };
    let deadline_ms = context.gate_deadline_ms();
    let codes = broker.verify_transaction(&check, deadline_ms).await;
    match codes.first().copied().unwrap_or(ErrorCode::COORDINATOR_NOT_AVAILABLE) {
        ErrorCode::NONE => Ok(verified),
        code => Err(code),
    }
}

fn offsets_partition(key: PartitionKey) -> (PartitionKey, Arc<str>) {
    (key, InternalTopic::ConsumerOffsets.name().into())
}

/// What the coordinator gets; and the answer, in which it has still to be filled in what became of that.
async fn sort_out(
    context: &Context,
    topics: Vec<TxnOffsetCommitRequestTopic>,
) -> (Vec<TxnOffsetCommitRequestTopic>, TxnOffsetCommitResponse) {
    let wanted: Vec<_> = topics
        .iter()
        .flat_map(|topic| {
            let name = TopicName::Name(topic.name.clone());
            topic.partitions.iter().map(move |partition| (name.clone(), partition.partition_index))
        })
        .collect();
    let mut found = context.topics_of(&wanted).await.into_iter();
    let mut response = TxnOffsetCommitResponse::default();
    let mut known = Vec::with_capacity(topics.len());
    for mut topic in topics {
        let mut answered = TxnOffsetCommitResponseTopic { name: topic.name.clone(), partitions: Vec::new() };
        topic.partitions.retain(|partition| {
            let error_code = match found.next() {
                Some(Ok(_)) => ErrorCode::NONE,
                Some(Err(code)) => code,
                None => ErrorCode::UNKNOWN_SERVER_ERROR,
            };
            let partition_index = partition.partition_index;
            answered.partitions.push(TxnOffsetCommitResponsePartition { partition_index, error_code });
            error_code == ErrorCode::NONE
        });
        response.topics.push(answered);
        if !topic.partitions.is_empty() {
            known.push(topic);
        }
    }
    (known, response)
}
