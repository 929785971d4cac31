//! ConsumerGroupHeartbeat (key 68), versions 0-1.
//!
//! Behaviour: joins, leaves and reconciles a member of a KIP-848 group; the answer leaves when its records are committed.
//! Versions: 1 regular expressions, member ids made by the client.
//! Not done: authorization.
//! Tests: tests/groups.rs, tests/test_groups.py.

use chronik_coord::groups::{GroupCall, GroupReply};
use chronik_wire::messages::consumer_group_heartbeat::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse,
};

use super::{Answer, Context};

pub(crate) async fn handle(
    context: Context,
    request: ConsumerGroupHeartbeatRequest,
) -> Answer<ConsumerGroupHeartbeatResponse> {
    let group = request.group_id.clone();
    let pick = |reply| match reply {
        GroupReply::ConsumerHeartbeat(response) => Some(response),
        _ => None,
    };
    context.answer_for_group(group, request, GroupCall::ConsumerHeartbeat, pick).await
}
