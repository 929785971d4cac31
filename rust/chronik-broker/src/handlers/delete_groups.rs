//! DeleteGroups (key 42), versions 0-2.
//!
//! Behaviour: deletes groups without members, each at its coordinator; 68 for one with members, 69 for an unknown one. How
//! far a share group is goes first.
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
    // Groups of other kinds have nothing to forget: what is wrong with those the deletion itself says.
    match context.forget_shares(group, None).await {
        Ok(codes) => {
            if let Some(error_code) = codes.into_values().find(|code| code.is_error()) {
                return Some(DeletableGroupResult { group_id, error_code });
            }
        }
        Err(ErrorCode::GROUP_ID_NOT_FOUND) => {}
        Err(error_code) => return Some(DeletableGroupResult { group_id, error_code }),
    }
    match context.ask_group(group, GroupCall::DeleteGroup { group_id: group_id.clone() }).await {
        GroupReply::DeleteGroup(error_code) => Some(DeletableGroupResult { group_id, error_code }),
        _ => None,
    }
}
