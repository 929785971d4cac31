//! ShareGroupHeartbeat (key 76), version 1.
//!
//! Behaviour: joins, keeps alive and leaves a share group; the answer leaves when its records are committed. Partitions
//! that nobody has read yet get an account at their share coordinator before the member gets them, within the same
//! heartbeat.
//! Not done: authorization.
//! Tests: tests/share_groups.rs.

use chronik_coord::groups::{GroupCall, GroupReply, Groups};
use chronik_wire::messages::{ShareGroupHeartbeatRequest, ShareGroupHeartbeatResponse};

use super::{Answer, Context};
use crate::connection::CloseReason;

pub(crate) async fn handle(
    context: Context,
    request: ShareGroupHeartbeatRequest,
) -> Answer<ShareGroupHeartbeatResponse> {
    let group = request.group_id.clone();
    if let Some(response) = context.carry::<Groups, _>(&group, &request).await {
        return Ok(Some(response));
    }
    let member = request.member_id.clone();
    match context.ask_group(&group, GroupCall::ShareHeartbeat(request)).await {
        GroupReply::ShareHeartbeat { begin: Some(begin), .. } => {
            Ok(Some(context.begin_shares(&group, member, begin).await))
        }
        GroupReply::ShareHeartbeat { response, begin: None } => Ok(Some(response)),
        _ => Err(CloseReason::Unanswerable("a coordinator answered another question")),
    }
}
