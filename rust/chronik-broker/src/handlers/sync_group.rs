//! SyncGroup (key 14), versions 0-5.
//!
//! Behaviour: the coordinator answers with the member's assignment once the leader's is committed.
//! Versions: 3 static members · 4 flexible · 5 protocol type and name, checked.
//! Not done: authorization.
//! Tests: tests/groups.rs, tests/test_groups.py.

use chronik_coord::groups::{GroupCall, GroupReply};
use chronik_wire::messages::sync_group::{SyncGroupRequest, SyncGroupResponse};

use super::{Answer, Context};

pub(crate) async fn handle(context: Context, request: SyncGroupRequest) -> Answer<SyncGroupResponse> {
    let group = request.group_id.clone();
    let pick = |reply| match reply {
        GroupReply::Sync(response) => Some(response),
        _ => None,
    };
    context.answer_for_group(group, request, GroupCall::Sync, pick).await
}
