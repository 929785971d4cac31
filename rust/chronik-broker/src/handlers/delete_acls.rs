//! DeleteAcls (key 31), versions 1-3.
//!
//! Behaviour: any node takes it; the controller removes what matches each filter and tells what that was. Answers when
//! every live node knows it. Without an authorizer 54; a filter with numbers that Kafka does not have is 42 and spares
//! its neighbours.
//! Versions: 2 flexible · 3 user resources.
//! Tests: tests/administration/acls.rs.

use chronik_coord::{Acl, AclFilter, Action, ItemError, ReplyBody};
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::delete_acls::{
    DeleteAclsFilter, DeleteAclsFilterResult, DeleteAclsMatchingAcl, DeleteAclsRequest, DeleteAclsResponse,
};

use super::{Answer, Context};
use crate::acl_admin::{StatedFilter, shown_numbers};
use crate::controller::ControllerError;
use crate::errors;

pub(crate) async fn handle(context: Context, request: DeleteAclsRequest) -> Answer<DeleteAclsResponse> {
    let filters: Vec<Result<AclFilter, ItemError>> = request.filters.into_iter().map(read).collect();
    let valid: Vec<AclFilter> = filters.iter().flatten().cloned().collect();
    let asked = valid.len();
    let removed = delete(&context, valid).await;
    let mut removed: Vec<Result<Vec<Acl>, ItemError>> = match removed {
        Ok(removed) => removed.into_iter().map(Ok).collect(),
        Err(error) => vec![Err(error); asked],
    };
    removed.reverse();
    let outcome = |filter: Result<AclFilter, ItemError>| {
        filter.and_then(|_| removed.pop().unwrap_or_else(|| Ok(Vec::new())))
    };
    let filter_results = filters.into_iter().map(outcome).map(result).collect();
    Ok(Some(DeleteAclsResponse { throttle_time_ms: 0, filter_results }))
}

fn read(filter: DeleteAclsFilter) -> Result<AclFilter, ItemError> {
    StatedFilter {
        resource_type: filter.resource_type_filter,
        pattern_type: filter.pattern_type_filter,
        resource_name: filter.resource_name_filter,
        principal: filter.principal_filter,
        host: filter.host_filter,
        operation: filter.operation,
        permission: filter.permission_type,
    }
    .read()
}

async fn delete(context: &Context, filters: Vec<AclFilter>) -> Result<Vec<Vec<Acl>>, ItemError> {
    context.authorizer()?;
    if filters.is_empty() {
        return Ok(Vec::new());
    }
    let reply = context.change_acls(Action::DeleteAcls { filters }).await?;
    match reply.body {
        ReplyBody::AclsDeleted(removed) => Ok(removed),
        other => Err(errors::refused(&ControllerError::from_reply(&other))),
    }
}

fn result(outcome: Result<Vec<Acl>, ItemError>) -> DeleteAclsFilterResult {
    match outcome {
        Ok(removed) => DeleteAclsFilterResult {
            matching_acls: removed.into_iter().map(matching).collect(),
            ..DeleteAclsFilterResult::default()
        },
        Err(error) => DeleteAclsFilterResult {
            error_code: error.code,
            error_message: Some(error.message),
            ..DeleteAclsFilterResult::default()
        },
    }
}

fn matching(acl: Acl) -> DeleteAclsMatchingAcl {
    let [resource_type, pattern_type, operation, permission_type] = shown_numbers(&acl);
    DeleteAclsMatchingAcl {
        error_code: ErrorCode::NONE,
        error_message: None,
        resource_type,
        resource_name: acl.resource_name,
        pattern_type,
        principal: acl.principal,
        host: acl.host,
        operation,
        permission_type,
    }
}
