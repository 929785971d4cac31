//! Heartbeat (key 12), versions 0-4.
//!
//! Behaviour: 27 tells the member to join again, 25 and 22 that it is none any more, 82 that a newer one has its instance id.
//! Versions: 3 static members · 4 flexible.
//! Not done: authorization.
//! Tests: tests/groups.rs, tests/test_groups.py.

use chronik_coord::groups::{GroupCall, GroupReply};
use chronik_wire::messages::heartbeat::{HeartbeatRequest, HeartbeatResponse};

use super::{Answer, Context};

pub(crate) async fn handle(context: Context, request: HeartbeatRequest) -> Answer<HeartbeatResponse> {
    let group = request.group_id.clone();
    let pick = |reply| match reply {
        GroupReply::Heartbeat(response) => Some(response),
        _ => None,
    };
    context.answer_for_group(group, request, GroupCall::Heartbeat, pick).await
}
