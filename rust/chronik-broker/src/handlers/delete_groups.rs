//! DeleteGroups (key 42), versions 0-2.
//!
//! Behaviour: deletes groups without members, each at its coordinator; 68 for one with members, 69 for an unknown one.
//! Versions: 2 flexible.
//! Not done: authorization.
//! Tests: tests/groups.rs, tests/test_groups.py.

use chronik_coord::groups::{GroupCall, GroupReply, Groups};
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::delete_groups::{
    DeletableGroupResult, DeleteGroupsRequest, DeleteGroupsResponse,
};

use super::{Answer, Context};

pub(crate) async fn handle(context: Context, request: DeleteGroupsRequest) -> Answer<DeleteGroupsResponse> {
    context.check_group_count(request.groups_names.len())?;
    let mut results = Vec::with_capacity(request.groups_names.len());
    for group_id in request.groups_names {
        let request = DeleteGroupsRequest { groups_names: vec![group_id.clone()] };
        let result = match context.carry::<Groups, _>(&group_id, &request).await {
            Some(response) => response.results.into_iter().next(),
            None => delete(&context, &group_id).await,
        };
        let unknown = || DeletableGroupResult { group_id, error_code: ErrorCode::UNKNOWN_SERVER_ERROR };
        results.push(result.unwrap_or_else(unknown));
    }
    Ok(Some(DeleteGroupsResponse { results, ..DeleteGroupsResponse::default() }))
}

async fn delete(context: &Context, group: &str) -> Option<DeletableGroupResult> {
    let group_id = group.to_owned();
    match context.ask_group(group, GroupCall::DeleteGroup { group_id: group_id.clone() }).await {
        GroupReply::DeleteGroup(error_code) => Some(DeletableGroupResult { group_id, error_code }),
        _ => None,
    }
}
