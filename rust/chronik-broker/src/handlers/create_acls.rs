//! CreateAcls (key 30), versions 1-3.
//!
//! Behaviour: any node takes it; the controller keeps each entry on its own, and one that is there already is no error.
//! Answers when every live node knows them. Without an authorizer 54; an entry that makes no sense is 42.
//! Versions: 2 flexible · 3 user resources.
//! Tests: tests/administration/acls.rs.

use chronik_coord::{Acl, Action, ItemError, ReplyBody};
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::create_acls::{
    AclCreation, AclCreationResult, CreateAclsRequest, CreateAclsResponse,
};

use super::{Answer, Context};
use crate::acl_admin::entry_number;
use crate::controller::ControllerError;
use crate::errors;

pub(crate) async fn handle(context: Context, request: CreateAclsRequest) -> Answer<CreateAclsResponse> {
    let asked = request.creations.len();
    let outcomes = create(&context, request).await.unwrap_or_else(|error| vec![Err(error); asked]);
    let result = |outcome: Result<(), ItemError>| {
        let error = outcome.err();
        AclCreationResult {
            error_code: error.as_ref().map_or(ErrorCode::NONE, |error| error.code),
            error_message: error.map(|error| error.message),
        }
    };
    let results = outcomes.into_iter().map(result).collect();
    Ok(Some(CreateAclsResponse { throttle_time_ms: 0, results }))
}

async fn create(
    context: &Context,
    request: CreateAclsRequest,
) -> Result<Vec<Result<(), ItemError>>, ItemError> {
    context.authorizer()?;
    let acls = request.creations.into_iter().map(entry).collect();
    let reply = context.change_acls(Action::CreateAcls { acls }).await?;
    match reply.body {
        ReplyBody::AclsCreated(outcomes) => Ok(outcomes),
        other => Err(errors::refused(&ControllerError::from_reply(&other))),
    }
}

fn entry(creation: AclCreation) -> Acl {
    Acl {
        resource_type: entry_number(creation.resource_type),
        pattern_type: entry_number(creation.resource_pattern_type),
        resource_name: creation.resource_name,
        principal: creation.principal,
        host: creation.host,
        operation: entry_number(creation.operation),
        permission: entry_number(creation.permission_type),
    }
}
