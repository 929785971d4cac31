//! JoinGroup (key 11), versions 0-9.
//!
//! Behaviour: the group's coordinator answers once the generation is complete, whichever member that waits for.
//! Versions: 1 rebalance time-out · 4 a first join is told its member id (79) · 5 static members · 6 flexible · 7 protocol type · 8
//! reason · 9 the leader may be told to skip the assignment.
//! Not done: authorization.
//! Tests: tests/groups.rs, tests/test_groups.py.

use chronik_coord::groups::{GroupCall, GroupReply};
use chronik_wire::messages::join_group::{JoinGroupRequest, JoinGroupResponse};

use super::{Answer, Context};

pub(crate) async fn handle(context: Context, request: JoinGroupRequest) -> Answer<JoinGroupResponse> {
    let group = request.group_id.clone();
    let pick = |reply| match reply {
        GroupReply::Join(response) => Some(response),
        _ => None,
    };
    context.answer_for_group(group, request, GroupCall::Join, pick).await
}
