//! ShareGroupDescribe (key 77), version 1.
//!
//! Behaviour: share groups with their epochs, members and assignments; 69 for others.
//! Each group is asked at its coordinator; another node answers 16.
//! Not done: authorization; the authorized operations are those of a cluster without.
//! Tests: tests/share_groups.rs.

use chronik_coord::groups::{GroupCall, GroupReply};
use chronik_wire::messages::share_group_describe::{ShareGroupDescribeRequest, ShareGroupDescribeResponse};

use super::{Answer, Context};
use crate::authorized_operations;

pub(crate) async fn handle(
    context: Context,
    request: ShareGroupDescribeRequest,
) -> Answer<ShareGroupDescribeResponse> {
    let with_operations = request.include_authorized_operations;
    let alone =
        |group| ShareGroupDescribeRequest { group_ids: vec![group], include_authorized_operations: false };
    let call = |group_id| GroupCall::ShareDescribe { group_id };
    let pick = |reply| match reply {
        GroupReply::ShareDescribe(group) => Some(group),
        _ => None,
    };
    let results = |response: ShareGroupDescribeResponse| response.groups;
    let mut groups = context.describe_groups(request.group_ids, alone, results, call, pick).await?;
    if with_operations {
        groups.iter_mut().for_each(|group| group.authorized_operations = authorized_operations::GROUP);
    }
    Ok(Some(ShareGroupDescribeResponse { groups, ..ShareGroupDescribeResponse::default() }))
}
