//! ConsumerGroupDescribe (key 69), versions 0-1.
//!
//! Behaviour: KIP-848 groups with their epochs, members and assignments; 69 for others.
//! Each group is asked at its coordinator; another node answers 16.
//! Versions: 1 types of members.
//! Not done: authorization; the authorized operations are those of a cluster without.
//! Tests: tests/groups.rs, tests/test_groups.py.

use chronik_coord::groups::{GroupCall, GroupReply};
use chronik_wire::messages::consumer_group_describe::{
    ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse,
};

use super::{Answer, Context};
use crate::authorized_operations;

pub(crate) async fn handle(
    context: Context,
    request: ConsumerGroupDescribeRequest,
) -> Answer<ConsumerGroupDescribeResponse> {
    let with_operations = request.include_authorized_operations;
    let alone =
        |group| ConsumerGroupDescribeRequest { group_ids: vec![group], include_authorized_operations: false };
    let call = |group_id| GroupCall::ConsumerDescribe { group_id };
    let pick = |reply| match reply {
        GroupReply::ConsumerDescribe(group) => Some(group),
        _ => None,
    };
    let results = |response: ConsumerGroupDescribeResponse| response.groups;
    let mut groups = context.describe_groups(request.group_ids, alone, results, call, pick).await?;
    if with_operations {
        groups.iter_mut().for_each(|group| group.authorized_operations = authorized_operations::GROUP);
    }
    Ok(Some(ConsumerGroupDescribeResponse { groups, ..ConsumerGroupDescribeResponse::default() }))
}
