//! AddPartitionsToTxn (key 24), versions 0-5.
//!
//! Behaviour: partitions become part of a transaction, all or none: if one does not exist it gets 3 and the others 55.
//! From version 4 on it is what leaders of partitions ask: several transactions, also "is it part already" (KIP-890).
//! Versions: 3 flexible · 4 several transactions · 5 new errors.
//! Not done: authorization.
//! Tests: tests/transactions.rs, tests/test_transactions.py.

use chronik_coord::transactions::{TransactionReply, TransactionRequest, Transactions};
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::add_partitions_to_txn::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnRequest, AddPartitionsToTxnResponse,
    AddPartitionsToTxnResult, AddPartitionsToTxnTopicResult, AddPartitionsToTxnTransaction,
};

use super::{Answer, Context};
use crate::connection::CloseReason;
use crate::limits;
use crate::topics::{Absent, TopicName};

const SEVERAL_FROM: i16 = 4;

pub(crate) async fn handle(
    context: Context,
    mut request: AddPartitionsToTxnRequest,
) -> Answer<AddPartitionsToTxnResponse> {
    if context.version >= SEVERAL_FROM {
        let mut response = AddPartitionsToTxnResponse::default();
        for transaction in request.transactions {
            response.results_by_transaction.push(add(&context, transaction).await?);
        }
        return Ok(Some(response));
    }
    let id = request.v3_and_below_transactional_id.clone();
    if let Some(response) = context.carry::<Transactions, _>(&id, &request).await {
        return Ok(Some(response));
    }
    let transaction = AddPartitionsToTxnTransaction {
        transactional_id: id,
        producer_id: request.v3_and_below_producer_id,
        producer_epoch: request.v3_and_below_producer_epoch,
        verify_only: false,
        topics: std::mem::take(&mut request.v3_and_below_topics),
    };
    let result = add(&context, transaction).await?;
    Ok(Some(AddPartitionsToTxnResponse {
        results_by_topic_v3_and_below: result.topic_results,
        ..AddPartitionsToTxnResponse::default()
    }))
}

async fn add(
    context: &Context,
    transaction: AddPartitionsToTxnTransaction,
) -> Result<AddPartitionsToTxnResult, CloseReason> {
    let wanted: Vec<_> = transaction
        .topics
        .iter()
        .flat_map(|topic| {
            topic.partitions.iter().map(|partition| (TopicName::Name(topic.name.clone()), *partition))
        })
        .collect();
    if wanted.len() > limits::REQUEST_PARTITIONS_MAX {
        return Err(CloseReason::Unanswerable("a transaction names too many partitions"));
    }
    let found = context.broker.look_up(context.gate_deadline_ms(), &wanted, |_, _, _| ()).await;
    if found.iter().any(Result::is_err) {
        return Ok(not_attempted(transaction, found));
    }
    let id = transaction.transactional_id.clone();
    let ask = TransactionRequest::AddPartitions { transaction, version: context.version };
    match context.ask_coordinator::<Transactions>(&id, ask).await {
        TransactionReply::AddPartitions(result) => Ok(result),
        _ => Err(CloseReason::Unanswerable("a coordinator answered another question")),
    }
}

/// One partition does not exist, or nobody knows whether it does: none is added.
fn not_attempted(
    transaction: AddPartitionsToTxnTransaction,
    found: Vec<Result<(), Absent>>,
) -> AddPartitionsToTxnResult {
    let mut found = found.into_iter();
    let topics = transaction.topics.into_iter().map(|topic| {
        let results = topic.partitions.iter().map(|partition| AddPartitionsToTxnPartitionResult {
            partition_index: *partition,
            partition_error_code: match found.next() {
                Some(Err(Absent::Unknown(code))) => code,
                Some(Err(Absent::Unconfirmed)) => ErrorCode::COORDINATOR_LOAD_IN_PROGRESS,
                Some(Ok(())) | None => ErrorCode::OPERATION_NOT_ATTEMPTED,
            },
        });
        AddPartitionsToTxnTopicResult { name: topic.name, results_by_partition: results.collect() }
    });
    let topic_results = topics.collect();
    AddPartitionsToTxnResult { transactional_id: transaction.transactional_id, topic_results }
}
