//! DescribeGroups (key 15), versions 0-6.
//!
//! Behaviour: classic groups with their state and members; one that does not exist is Dead up to version 5 and 69 after it.
//! Each group is asked at its coordinator; another node answers 16.
//! Versions: 3 authorized operations · 4 static members · 5 flexible · 6 error 69 with a message.
//! Not done: authorization; the authorized operations are those of a cluster without.
//! Tests: tests/groups.rs, tests/test_groups.py.

use chronik_coord::groups::{GroupCall, GroupReply};
use chronik_wire::messages::describe_groups::{DescribeGroupsRequest, DescribeGroupsResponse};

use super::{Answer, Context};
use crate::authorized_operations;

pub(crate) async fn handle(
    context: Context,
    request: DescribeGroupsRequest,
) -> Answer<DescribeGroupsResponse> {
    let with_operations = request.include_authorized_operations;
    let alone = |group| DescribeGroupsRequest { groups: vec![group], include_authorized_operations: false };
    let call = |group_id| GroupCall::Describe { group_id };
    let pick = |reply| match reply {
        GroupReply::Describe(group) => Some(group),
        _ => None,
    };
    let results = |response: DescribeGroupsResponse| response.groups;
    let mut groups = context.describe_groups(request.groups, alone, results, call, pick).await?;
    if with_operations {
        groups.iter_mut().for_each(|group| group.authorized_operations = authorized_operations::GROUP);
    }
    Ok(Some(DescribeGroupsResponse { groups, ..DescribeGroupsResponse::default() }))
}
