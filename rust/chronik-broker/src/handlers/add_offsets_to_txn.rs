//! AddOffsetsToTxn (key 25), versions 0-4.
//!
//! Behaviour: the partition of `__consumer_offsets` that keeps the group becomes part of the transaction.
//! Versions: 3 flexible · 4 new errors.
//! Not done: authorization.
//! Tests: tests/transactions.rs, tests/test_transactions.py.

use chronik_coord::transactions::{TransactionReply, TransactionRequest, Transactions};
use chronik_wire::messages::add_offsets_to_txn::{AddOffsetsToTxnRequest, AddOffsetsToTxnResponse};

use super::{Answer, Context};
use crate::connection::CloseReason;
use crate::coordination::InternalTopic;
use crate::limits;

pub(crate) async fn handle(
    context: Context,
    request: AddOffsetsToTxnRequest,
) -> Answer<AddOffsetsToTxnResponse> {
    let id = request.transactional_id.clone();
    if let Some(response) = context.carry::<Transactions, _>(&id, &request).await {
        return Ok(Some(response));
    }
    let deadline_ms = context.arrived_ms + limits::COORDINATOR_SEARCH_MS;
    let topic = InternalTopic::ConsumerOffsets;
    let kept_in = context.broker.coordinator_partition(topic, &request.group_id, deadline_ms).await;
    let offsets_partition = match kept_in {
        Ok(key) => key.partition,
        Err(error_code) => {
            return Ok(Some(AddOffsetsToTxnResponse { error_code, ..AddOffsetsToTxnResponse::default() }));
        }
    };
    let version = context.version;
    let ask = TransactionRequest::AddOffsets { request, version, offsets_partition };
    match context.ask_coordinator::<Transactions>(&id, ask).await {
        TransactionReply::AddOffsets(response) => Ok(Some(response)),
        _ => Err(CloseReason::Unanswerable("a coordinator answered another question")),
    }
}
