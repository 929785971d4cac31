//! DescribeGroups (key 15), versions 0-6.
//!
//! Behaviour: classic groups with their state and members; one that does not exist is Dead up to version 5 and 69 after it.
//! Each group is asked at its coordinator; another node answers 16.
//! Versions: 3 authorized operations · 4 static members · 5 flexible · 6 error 69 with a message.
//! Not done: authorization; the authorized operations are those of a cluster without.
//! Tests: tests/groups.rs, tests/test_groups.py.

use chronik_coord::groups::{GroupCall, GroupReply, Groups};
use chronik_wire::messages::describe_groups::{
    DescribeGroupsRequest, DescribeGroupsResponse, DescribedGroup,
};

use super::{Answer, Context};
use crate::authorized_operations;

pub(crate) async fn handle(
    context: Context,
    request: DescribeGroupsRequest,
) -> Answer<DescribeGroupsResponse> {
    context.check_group_count(request.groups.len())?;
    let with_operations = request.include_authorized_operations;
    let mut groups = Vec::with_capacity(request.groups.len());
    for group in request.groups {
        let alone = vec![group.clone()];
        let request = DescribeGroupsRequest { groups: alone, include_authorized_operations: false };
        let described = match context.carry::<Groups, _>(&group, &request).await {
            Some(response) => response.groups.into_iter().next(),
            None => describe(&context, group).await,
        };
        groups.extend(described);
    }
    if with_operations {
        groups.iter_mut().for_each(|group| group.authorized_operations = authorized_operations::GROUP);
    }
    Ok(Some(DescribeGroupsResponse { groups, ..DescribeGroupsResponse::default() }))
}

async fn describe(context: &Context, group_id: String) -> Option<DescribedGroup> {
    match context.ask_group(&group_id.clone(), GroupCall::Describe { group_id }).await {
        GroupReply::Describe(group) => Some(group),
        _ => None,
    }
}
