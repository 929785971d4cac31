//! InitProducerId (key 22), versions 0-5.
//!
//! Behaviour: without a transactional id any node answers, from a block of ids that the controller reserves for it; an
//! id and epoch sent along are ignored and a new id is given, as Kafka does. With a transactional id: 15, there is no
//! transaction coordinator yet. Without a controller: 14 within 2 s, which every client repeats.
//! Versions: 2 flexible · 3 a known producer's epoch (KIP-360) · 5 KIP-890.
//! Not done: transactions.
//! Tests: tests/producer_ids.rs.

use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};

use super::{Answer, Context};
use crate::limits;

pub(crate) async fn handle(
    context: Context,
    request: InitProducerIdRequest,
) -> Answer<InitProducerIdResponse> {
    let refused = match request.transactional_id.as_deref() {
        None => None,
        Some("") => Some(ErrorCode::INVALID_REQUEST),
        Some(_) => Some(ErrorCode::COORDINATOR_NOT_AVAILABLE),
    };
    if let Some(error_code) = refused {
        return Ok(Some(failed(error_code)));
    }
    let deadline_ms = context.arrived_ms + limits::PRODUCER_ID_TIMEOUT_MS;
    Ok(Some(match context.broker.next_producer_id(deadline_ms).await {
        Ok(producer_id) => InitProducerIdResponse { producer_id, producer_epoch: 0, ..Default::default() },
        Err(error) => {
            tracing::warn!(node = context.broker.node.config.node.0, %error, "no producer id for a client");
            failed(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS)
        }
    }))
}

fn failed(error_code: ErrorCode) -> InitProducerIdResponse {
    InitProducerIdResponse { error_code, producer_id: -1, producer_epoch: -1, ..Default::default() }
}
