//! What the coordinator of transactions is asked and what it answers.
//!
//! Requests and replies are Kafka's messages as far as there are any; the broker splits those that concern several
//! coordinators, and joins the replies.

use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::add_offsets_to_txn::{AddOffsetsToTxnRequest, AddOffsetsToTxnResponse};
use chronik_wire::messages::add_partitions_to_txn::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnResult, AddPartitionsToTxnTopicResult,
    AddPartitionsToTxnTransaction,
};
use chronik_wire::messages::describe_transactions::TransactionState as DescribedTransaction;
use chronik_wire::messages::end_txn::{EndTxnRequest, EndTxnResponse};
use chronik_wire::messages::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
use chronik_wire::messages::list_transactions::{ListTransactionsRequest, ListTransactionsResponse};
use chronik_wire::types::PartitionIndex;

use super::transaction::{NO_EPOCH, NO_PRODUCER_ID};

/// A request to the coordinator of one partition of `__transaction_state`.
#[derive(Debug, Clone, PartialEq)]
pub enum TransactionRequest {
    /// A producer begins to work under a transactional id.
    InitProducerId {
        /// The client's request; it names a transactional id.
        request: InitProducerIdRequest,
        /// Its version.
        version: i16,
        /// A producer id nobody has used. Asked for by [`TransactionReply::ProducerIdNeeded`].
        fresh_producer_id: Option<i64>,
    },
    /// A transaction reaches more partitions, or someone asks whether it does.
    AddPartitions {
        /// The transaction and the partitions, all of them existing ones.
        transaction: AddPartitionsToTxnTransaction,
        /// The request's version: up to 3 it comes from the producer, from 4 on from the leader of a partition.
        version: i16,
    },
    /// A transaction is about to commit offsets of a group.
    AddOffsets {
        /// The client's request.
        request: AddOffsetsToTxnRequest,
        /// Its version.
        version: i16,
        /// The partition of `__consumer_offsets` that keeps the group.
        offsets_partition: PartitionIndex,
    },
    /// A producer commits or aborts.
    EndTxn {
        /// The client's request.
        request: EndTxnRequest,
        /// Its version.
        version: i16,
        /// A producer id nobody has used. Asked for by [`TransactionReply::ProducerIdNeeded`].
        fresh_producer_id: Option<i64>,
    },
    /// What is so of one transactional id.
    Describe {
        /// The transactional id.
        transactional_id: String,
    },
    /// The transactional ids of this partition that pass the filters.
    List(ListTransactionsRequest),
    /// The broker's report about a [`MarkerOrder`](crate::coordinator::MarkerOrder): each of these partitions has the
    /// marker committed, or does not exist any more. A report that does not fit the present transaction is ignored.
    MarkersWritten {
        /// The order's transactional id.
        transactional_id: String,
        /// The order's producer id.
        producer_id: i64,
        /// The order's epoch.
        producer_epoch: i16,
        /// Topics and partitions.
        partitions: Vec<(String, PartitionIndex)>,
    },
}

/// The answer to a [`TransactionRequest`].
#[derive(Debug, Clone, PartialEq)]
pub enum TransactionReply {
    /// The request cannot be carried out without a fresh producer id. Nothing has changed: it is to be sent again with
    /// one.
    ProducerIdNeeded,
    /// To InitProducerId.
    InitProducerId(InitProducerIdResponse),
    /// To AddPartitionsToTxn, for one transaction.
    AddPartitions(AddPartitionsToTxnResult),
    /// To AddOffsetsToTxn.
    AddOffsets(AddOffsetsToTxnResponse),
    /// To EndTxn: every marker is committed.
    EndTxn(EndTxnResponse),
    /// To DescribeTransactions, for one transactional id.
    Describe(DescribedTransaction),
    /// To ListTransactions, for one partition.
    List(ListTransactionsResponse),
    /// The report was taken.
    MarkersNoted,
}

impl TransactionRequest {
    /// Whether the request changes nothing, so that only a read gate tells whether this coordinator still is one.
    pub fn is_read(&self) -> bool {
        match self {
            TransactionRequest::Describe { .. } | TransactionRequest::List(_) => true,
            TransactionRequest::AddPartitions { transaction, .. } => transaction.verify_only,
            _ => false,
        }
    }

    /// The transactional id that decides which coordinator is asked; none if all of them are.
    pub fn transactional_id(&self) -> Option<&str> {
        match self {
            TransactionRequest::InitProducerId { request, .. } => request.transactional_id.as_deref(),
            TransactionRequest::AddPartitions { transaction, .. } => Some(&transaction.transactional_id),
            TransactionRequest::AddOffsets { request, .. } => Some(&request.transactional_id),
            TransactionRequest::EndTxn { request, .. } => Some(&request.transactional_id),
            TransactionRequest::Describe { transactional_id }
            | TransactionRequest::MarkersWritten { transactional_id, .. } => Some(transactional_id),
            TransactionRequest::List(_) => None,
        }
    }

    /// The reply that says nothing but this error.
    pub fn refusal(&self, error_code: ErrorCode) -> TransactionReply {
        match self {
            TransactionRequest::InitProducerId { .. } => init_refused(error_code),
            TransactionRequest::AddPartitions { transaction, .. } => {
                TransactionReply::AddPartitions(partitions_answered(transaction, |_, _| error_code))
            }
            TransactionRequest::AddOffsets { .. } => offsets_answered(error_code),
            TransactionRequest::EndTxn { .. } => end_refused(error_code),
            TransactionRequest::Describe { transactional_id } => {
                TransactionReply::Describe(DescribedTransaction {
                    error_code,
                    transactional_id: transactional_id.clone(),
                    ..Default::default()
                })
            }
            TransactionRequest::List(_) => list_refused(error_code),
            TransactionRequest::MarkersWritten { .. } => TransactionReply::MarkersNoted,
        }
    }
}

pub(crate) fn init_refused(error_code: ErrorCode) -> TransactionReply {
    TransactionReply::InitProducerId(InitProducerIdResponse {
        error_code,
        producer_id: NO_PRODUCER_ID,
        producer_epoch: NO_EPOCH,
        ..Default::default()
    })
}

pub(crate) fn end_refused(error_code: ErrorCode) -> TransactionReply {
    TransactionReply::EndTxn(EndTxnResponse { error_code, ..Default::default() })
}

pub(crate) fn list_refused(error_code: ErrorCode) -> TransactionReply {
    TransactionReply::List(ListTransactionsResponse { error_code, ..Default::default() })
}

pub(crate) fn offsets_answered(error_code: ErrorCode) -> TransactionReply {
    TransactionReply::AddOffsets(AddOffsetsToTxnResponse { error_code, ..Default::default() })
}

/// A result for every partition of the request, in the request's order.
pub(crate) fn partitions_answered(
    transaction: &AddPartitionsToTxnTransaction,
    code: impl Fn(&str, PartitionIndex) -> ErrorCode,
) -> AddPartitionsToTxnResult {
    let topic_results = transaction
        .topics
        .iter()
        .map(|topic| AddPartitionsToTxnTopicResult {
            name: topic.name.clone(),
            results_by_partition: topic
                .partitions
                .iter()
                .map(|partition| AddPartitionsToTxnPartitionResult {
                    partition_index: *partition,
                    partition_error_code: code(&topic.name, PartitionIndex(*partition)),
                })
                .collect(),
        })
        .collect();
    AddPartitionsToTxnResult { transactional_id: transaction.transactional_id.clone(), topic_results }
}

/// The code for a producer whose epoch is not the present one. Requests older than `since` do not know
/// [`ErrorCode::PRODUCER_FENCED`].
pub(crate) fn fenced(version: i16, since: i16) -> ErrorCode {
    if version < since { ErrorCode::INVALID_PRODUCER_EPOCH } else { ErrorCode::PRODUCER_FENCED }
}
