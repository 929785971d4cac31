//! ShareGroupDescribe (key 77), version 1.
//!
//! Behaviour: share groups with their epochs, members and assignments; 69 for others.
//! Each group is asked at its coordinator; another node answers 16.
//! Not done: authorization; the authorized operations are those of a cluster without.
//! Tests: tests/share_groups.rs.

use chronik_coord::groups::{GroupCall, GroupReply, Groups};
use chronik_wire::messages::share_group_describe::{
    DescribedGroup, ShareGroupDescribeRequest, ShareGroupDescribeResponse,
};

use super::{Answer, Context};
use crate::authorized_operations;

pub(crate) async fn handle(
    context: Context,
    request: ShareGroupDescribeRequest,
) -> Answer<ShareGroupDescribeResponse> {
    context.check_group_count(request.group_ids.len())?;
    let with_operations = request.include_authorized_operations;
    let mut groups = Vec::with_capacity(request.group_ids.len());
    for group in request.group_ids {
        let alone = vec![group.clone()];
        let request = ShareGroupDescribeRequest { group_ids: alone, include_authorized_operations: false };
        let described = match context.carry::<Groups, _>(&group, &request).await {
            Some(response) => response.groups.into_iter().next(),
            None => describe(&context, group).await,
        };
        groups.extend(described);
    }
    if with_operations {
        groups.iter_mut().for_each(|group| group.authorized_operations = authorized_operations::GROUP);
    }
    Ok(Some(ShareGroupDescribeResponse { groups, ..ShareGroupDescribeResponse::default() }))
}

async fn describe(context: &Context, group_id: String) -> Option<DescribedGroup> {
    match context.ask_group(&group_id.clone(), GroupCall::ShareDescribe { group_id }).await {
        GroupReply::ShareDescribe(group) => Some(group),
        _ => None,
    }
}
