//! AlterClientQuotas (key 49), versions 0-1.
//!
//! Behaviour: any node takes it; the controller decides, each entity on its own, all or nothing within one. Answers when
//! every live node acts on the change. An entity, a name or a value that makes no sense is 42. `validate_only` changes
//! nothing.
//! Versions: 1 flexible.
//! Not done: `request_percentage`, `controller_mutation_rate` and the rates of addresses are kept and shown, and limit
//! nothing.
//! Tests: tests/administration/quotas.rs.

use chronik_coord::{Action, AlterQuotas, ItemError, QuotaChange, QuotaValue, ReplyBody};
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::alter_client_quotas::{
    AlterClientQuotasRequest, AlterClientQuotasResponse, EntityData, EntryData, EntryResult, OpData,
};

use super::{Answer, Context};
use crate::controller::ControllerError;
use crate::errors;

pub(crate) async fn handle(
    context: Context,
    request: AlterClientQuotasRequest,
) -> Answer<AlterClientQuotasResponse> {
    let entities: Vec<Vec<EntityData>> = request.entries.iter().map(|entry| entry.entity.clone()).collect();
    let asked = entities.len();
    let outcomes = alter(&context, request).await.unwrap_or_else(|error| vec![Err(error); asked]);
    let entries = entities.into_iter().zip(outcomes).map(|(entity, outcome)| {
        let error = outcome.err();
        EntryResult {
            error_code: error.as_ref().map_or(ErrorCode::NONE, |error| error.code),
            error_message: error.map(|error| error.message),
            entity,
        }
    });
    Ok(Some(AlterClientQuotasResponse { throttle_time_ms: 0, entries: entries.collect() }))
}

async fn alter(
    context: &Context,
    request: AlterClientQuotasRequest,
) -> Result<Vec<Result<(), ItemError>>, ItemError> {
    let entries = request.entries.into_iter().map(change).collect();
    let action = Action::AlterQuotas(AlterQuotas { entries });
    let (broker, deadline_ms) = (&context.broker, context.admin_deadline_ms());
    let reply = if request.validate_only {
        broker.controller_check(action, deadline_ms).await
    } else {
        broker.controller_call(action, deadline_ms).await
    };
    let reply = reply.map_err(|error| errors::refused(&error))?;
    let ReplyBody::QuotasAltered(mut outcomes) = reply.body else {
        return Err(errors::refused(&ControllerError::from_reply(&reply.body)));
    };
    if !request.validate_only && !broker.await_topics(reply.at, &[], deadline_ms).await {
        let message = "the quotas are changed, but not every node knew it in time".to_owned();
        let late = ItemError { code: ErrorCode::REQUEST_TIMED_OUT, message };
        outcomes
            .iter_mut()
            .filter(|outcome| outcome.is_ok())
            .for_each(|outcome| *outcome = Err(late.clone()));
    }
    Ok(outcomes)
}

fn change(entry: EntryData) -> QuotaChange {
    let op = |op: OpData| (op.key, (!op.remove).then(|| QuotaValue::new(op.value)));
    QuotaChange {
        entity: entry.entity.into_iter().map(|part| (part.entity_type, part.entity_name)).collect(),
        ops: entry.ops.into_iter().map(op).collect(),
    }
}
