//! EndTxn (key 26), versions 0-5.
//!
//! Behaviour: commits or aborts. Answered when every partition of the transaction has its marker, so that what was
//! committed is visible at every replica from then on; 51 if that takes too long, and the client asks again.
//! Versions: 3 flexible · 4 new errors · 5 the answer brings the epoch of the next transaction (KIP-890).
//! Not done: authorization.
//! Tests: tests/transactions.rs, tests/test_transactions.py.

use chronik_coord::transactions::{TransactionReply, TransactionRequest, Transactions};
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::end_txn::{EndTxnRequest, EndTxnResponse};

use super::{Answer, Context};
use crate::connection::CloseReason;

pub(crate) async fn handle(context: Context, request: EndTxnRequest) -> Answer<EndTxnResponse> {
    let id = request.transactional_id.clone();
    if let Some(response) = context.carry::<Transactions, _>(&id, &request).await {
        return Ok(Some(response));
    }
    let version = context.version;
    let ask = |fresh_producer_id| TransactionRequest::EndTxn {
        request: request.clone(),
        version,
        fresh_producer_id,
    };
    match context.ask_with_producer_id(&id, ask).await {
        Some(TransactionReply::EndTxn(response)) => Ok(Some(response)),
        Some(_) => Err(CloseReason::Unanswerable("a coordinator answered another question")),
        None => {
            let error_code = ErrorCode::COORDINATOR_LOAD_IN_PROGRESS;
            Ok(Some(EndTxnResponse { error_code, ..EndTxnResponse::default() }))
        }
    }
}
