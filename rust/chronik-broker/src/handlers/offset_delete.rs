//! OffsetDelete (key 47), versions 0.
//!
//! Behaviour: forgets offsets of topics that the group does not subscribe to; 86 for the others.
//! Versions: 0.
//! Not done: authorization.
//! Tests: tests/groups.rs, tests/test_groups.py.

use chronik_coord::groups::{GroupCall, GroupReply};
use chronik_wire::messages::offset_delete::{OffsetDeleteRequest, OffsetDeleteResponse};

use super::{Answer, Context};

pub(crate) async fn handle(context: Context, request: OffsetDeleteRequest) -> Answer<OffsetDeleteResponse> {
    let group = request.group_id.clone();
    let pick = |reply| match reply {
        GroupReply::OffsetDelete(response) => Some(response),
        _ => None,
    };
    context.answer_for_group(group, request, GroupCall::OffsetDelete, pick).await
}
