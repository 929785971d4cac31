//! UnregisterBroker (key 64), version 0.
//!
//! Behaviour: any node takes it; the controller forgets a broker that is gone for good. One that holds replicas is refused
//! with 42, one that nobody knows is 102. A broker that still runs is forgotten all the same. Unlike in Kafka it comes back
//! on an empty disk only.
//! Tests: tests/administration/quorum.rs.

use chronik_coord::{Action, ReplyBody};
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::unregister_broker::{UnregisterBrokerRequest, UnregisterBrokerResponse};
use chronik_wire::types::NodeId;

use super::{Answer, Context};
use crate::controller::ControllerError;
use crate::errors;

pub(crate) async fn handle(
    context: Context,
    request: UnregisterBrokerRequest,
) -> Answer<UnregisterBrokerResponse> {
    let action = Action::UnregisterBroker { id: NodeId(request.broker_id) };
    let reply = context.broker.controller_call(action, context.admin_deadline_ms()).await;
    let outcome = reply.and_then(|reply| match reply.body {
        ReplyBody::Done => Ok(()),
        other => Err(ControllerError::from_reply(&other)),
    });
    let refused = outcome.err().map(|error| errors::refused(&error));
    Ok(Some(UnregisterBrokerResponse {
        throttle_time_ms: 0,
        error_code: refused.as_ref().map_or(ErrorCode::NONE, |refused| refused.code),
        error_message: refused.map(|refused| refused.message),
    }))
}
