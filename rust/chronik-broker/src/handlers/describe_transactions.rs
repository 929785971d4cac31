//! DescribeTransactions (key 65), version 0.
//!
//! Behaviour: each transactional id is described by its coordinator; another node answers 16, an unknown id 105.
//! Not done: authorization.
//! Tests: tests/transactions.rs, tests/test_transactions.py.

use chronik_coord::transactions::{TransactionReply, TransactionRequest, Transactions};
use chronik_wire::messages::describe_transactions::{
    DescribeTransactionsRequest, DescribeTransactionsResponse,
};

use super::{Answer, Context};

pub(crate) async fn handle(
    context: Context,
    request: DescribeTransactionsRequest,
) -> Answer<DescribeTransactionsResponse> {
    context.check_group_count(request.transactional_ids.len())?;
    let mut response = DescribeTransactionsResponse::default();
    for transactional_id in request.transactional_ids {
        let alone = DescribeTransactionsRequest { transactional_ids: vec![transactional_id.clone()] };
        if let Some(carried) = context.carry::<Transactions, _>(&transactional_id, &alone).await {
            response.transaction_states.extend(carried.transaction_states);
            continue;
        }
        let id = transactional_id.clone();
        let ask = TransactionRequest::Describe { transactional_id };
        if let TransactionReply::Describe(state) = context.ask_coordinator::<Transactions>(&id, ask).await {
            response.transaction_states.push(state);
        }
    }
    Ok(Some(response))
}
