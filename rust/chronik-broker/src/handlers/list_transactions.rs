//! ListTransactions (key 66), versions 0-2.
//!
//! Behaviour: the transactional ids that this node coordinates and that pass the filters; a client asks every node. 14
//! while a coordinator here is not in office yet. On the pinned address those of all nodes.
//! Versions: 1 duration · 2 pattern.
//! Not done: authorization.
//! Tests: tests/transactions.rs, tests/test_transactions.py.

use chronik_coord::transactions::{TransactionReply, TransactionRequest, Transactions};
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::list_transactions::{ListTransactionsRequest, ListTransactionsResponse};

use super::{Answer, Context};

pub(crate) async fn handle(
    context: Context,
    request: ListTransactionsRequest,
) -> Answer<ListTransactionsResponse> {
    let mut parts = Vec::new();
    match context.ask_all_here::<Transactions>(|| TransactionRequest::List(request.clone())).await {
        Ok(replies) => parts.extend(replies.into_iter().filter_map(|reply| match reply {
            TransactionReply::List(listed) => Some(listed),
            _ => None,
        })),
        Err(error_code) => parts.push(ListTransactionsResponse { error_code, ..Default::default() }),
    }
    if context.connection.pinned {
        let unavailable = ErrorCode::COORDINATOR_NOT_AVAILABLE;
        let missing = || ListTransactionsResponse { error_code: unavailable, ..Default::default() };
        let others = context.carry_to_all::<Transactions, _>(&request).await;
        parts.extend(others.into_iter().map(|other| other.unwrap_or_else(missing)));
    }
    Ok(Some(join(parts)))
}

/// One answer out of several; an error of one is the answer.
fn join(parts: Vec<ListTransactionsResponse>) -> ListTransactionsResponse {
    let mut all = ListTransactionsResponse::default();
    for part in parts {
        if part.error_code != ErrorCode::NONE {
            return ListTransactionsResponse { error_code: part.error_code, ..Default::default() };
        }
        all.unknown_state_filters = part.unknown_state_filters;
        all.transaction_states.extend(part.transaction_states);
    }
    all.transaction_states.sort_unstable_by(|one, other| one.transactional_id.cmp(&other.transactional_id));
    all
}
