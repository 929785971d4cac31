//! LeaveGroup (key 13), versions 0-5.
//!
//! Behaviour: members leave, and the others share what they had.
//! Versions: 3 several members at once, also by instance id · 4 flexible · 5 reason.
//! Not done: authorization.
//! Tests: tests/groups.rs, tests/test_groups.py.

use chronik_coord::groups::{GroupCall, GroupReply};
use chronik_wire::messages::leave_group::{LeaveGroupRequest, LeaveGroupResponse};

use super::{Answer, Context};

pub(crate) async fn handle(context: Context, request: LeaveGroupRequest) -> Answer<LeaveGroupResponse> {
    let group = request.group_id.clone();
    let pick = |reply| match reply {
        GroupReply::Leave(response) => Some(response),
        _ => None,
    };
    context.answer_for_group(group, request, GroupCall::Leave, pick).await
}
