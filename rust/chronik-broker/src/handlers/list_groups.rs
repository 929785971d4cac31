//! ListGroups (key 16), versions 0-5.
//!
//! Behaviour: the groups that this node coordinates; a client asks every node. While a partition of `__consumer_offsets`
//! is led here and its coordinator is not in office yet: 14. On the pinned address the groups of all nodes: that client
//! sees no other.
//! Versions: 3 flexible · 4 states · 5 types.
//! Not done: authorization.
//! Tests: tests/groups.rs, tests/test_groups.py.

use chronik_coord::groups::{GroupCall, GroupReply, Groups};
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::list_groups::{ListGroupsRequest, ListGroupsResponse, ListedGroup};

use super::{Answer, Context};

pub(crate) async fn handle(context: Context, request: ListGroupsRequest) -> Answer<ListGroupsResponse> {
    let mut listed = ListGroupsResponse::default();
    match list(&context, &request).await {
        Ok(groups) => listed.groups = groups,
        Err(code) => listed.error_code = code,
    }
    if context.connection.pinned && listed.error_code == ErrorCode::NONE {
        for other in context.carry_to_all::<Groups, _>(&request).await {
            match other {
                Some(other) if other.error_code == ErrorCode::NONE => listed.groups.extend(other.groups),
                _ => listed.error_code = ErrorCode::COORDINATOR_NOT_AVAILABLE,
            }
        }
    }
    if listed.error_code != ErrorCode::NONE {
        listed.groups.clear();
    }
    listed.groups.sort_unstable_by(|one, other| one.group_id.cmp(&other.group_id));
    Ok(Some(listed))
}

async fn list(context: &Context, request: &ListGroupsRequest) -> Result<Vec<ListedGroup>, ErrorCode> {
    let replies = context.ask_all_groups_here(|| GroupCall::List {
        states_filter: request.states_filter.clone(),
        types_filter: request.types_filter.clone(),
    });
    let groups = replies.await?.into_iter().map(|reply| match reply {
        GroupReply::List(listed) => listed,
        _ => Vec::new(),
    });
    Ok(groups.flatten().collect())
}
