//! InitProducerId (key 22), versions 0-5.
//!
//! Behaviour: without a transactional id any node answers, from a block of ids that the controller reserves for it; an
//! id and epoch sent along are ignored and a new id is given, as Kafka does. With a transactional id its coordinator
//! answers: the same id under a new epoch, which fences whoever had it before and aborts what that left open. Without a
//! controller: 14 within 2 s, which every client repeats.
//! Versions: 2 flexible · 3 a known producer's epoch (KIP-360) · 5 KIP-890.
//! Not done: authorization.
//! Tests: tests/producer_ids.rs, tests/transactions.rs.

use chronik_coord::transactions::{TransactionReply, TransactionRequest, Transactions};
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};

use super::{Answer, Context};
use crate::connection::CloseReason;
use crate::limits;

pub(crate) async fn handle(
    context: Context,
    request: InitProducerIdRequest,
) -> Answer<InitProducerIdResponse> {
    match request.transactional_id.clone() {
        None => Ok(Some(idempotent(&context).await)),
        Some(id) if id.is_empty() => Ok(Some(failed(ErrorCode::INVALID_REQUEST))),
        Some(id) => transactional(&context, &id, request).await,
    }
}

async fn idempotent(context: &Context) -> InitProducerIdResponse {
    match context.fresh_producer_id().await {
        Some(producer_id) => InitProducerIdResponse { producer_id, producer_epoch: 0, ..Default::default() },
        None => failed(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS),
    }
}

async fn transactional(
    context: &Context,
    id: &str,
    request: InitProducerIdRequest,
) -> Answer<InitProducerIdResponse> {
    if let Some(response) = context.carry::<Transactions, _>(id, &request).await {
        return Ok(Some(response));
    }
    let version = context.version;
    let ask = |fresh_producer_id| TransactionRequest::InitProducerId {
        request: request.clone(),
        version,
        fresh_producer_id,
    };
    match context.ask_with_producer_id(id, ask).await {
        Some(TransactionReply::InitProducerId(response)) => Ok(Some(response)),
        Some(_) => Err(CloseReason::Unanswerable("a coordinator answered another question")),
        None => Ok(Some(failed(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS))),
    }
}

impl Context {
    /// A producer id that nobody has; `None` if the controller gives none in time.
    async fn fresh_producer_id(&self) -> Option<i64> {
        let deadline_ms = self.arrived_ms + limits::PRODUCER_ID_TIMEOUT_MS;
        let id = self.broker.next_producer_id(deadline_ms).await;
        id.inspect_err(|error| {
            tracing::warn!(node = self.broker.node.config.node.0, %error, "no producer id for a client");
        })
        .ok()
    }

    /// Asks the coordinator of a transactional id, and again with a fresh producer id if it needs one. `None` if there is
    /// none.
    pub(super) async fn ask_with_producer_id(
        &self,
        id: &str,
        request: impl Fn(Option<i64>) -> TransactionRequest,
    ) -> Option<TransactionReply> {
        match self.ask_coordinator::<Transactions>(id, request(None)).await {
            TransactionReply::ProducerIdNeeded => {
                let fresh = self.fresh_producer_id().await?;
                Some(self.ask_coordinator::<Transactions>(id, request(Some(fresh))).await)
            }
            reply => Some(reply),
        }
    }
}

fn failed(error_code: ErrorCode) -> InitProducerIdResponse {
    InitProducerIdResponse { error_code, producer_id: -1, producer_epoch: -1, ..Default::default() }
}
