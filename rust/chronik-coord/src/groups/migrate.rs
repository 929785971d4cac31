//! The ways between the protocols: a classic group takes in a member of the newer protocol, and a group of the newer
//! protocol is left to its classic members. Share groups have no way to or from another kind.
//!
//! Behaviour: who was a member stays one, with what it had and its offsets; a classic member of a group of the newer
//! protocol is told to join again by the errors it knows. A group without members changes over whatever the policy.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::consumer_protocol::{ConsumerProtocolAssignment, TopicPartition};
use chronik_wire::messages::group_records::{
    ClassicMemberMetadata, ClassicProtocol, ConsumerGroupMemberMetadataValue, ConsumerGroupMetadataValue,
    ConsumerGroupTargetAssignmentMetadataValue,
};

use super::classic::{ClassicGroup, ClassicMember};
use super::consumer;
use super::consumer_protocol;
use super::context::Context;
use super::limits;
use super::machine::{Classics, in_classic};
use super::offsets;
use super::partitions::Partitions;
use super::record::GroupRecord;
use super::state::{Member, MemberState, Membership};
use crate::image::MetaImage;

/// Makes a group fit for a member of the newer protocol, which joins it if `joins`.
///
/// # Errors
/// [`ErrorCode::GROUP_ID_NOT_FOUND`]: there is no such group and the member does not join, or there is a classic one that
/// must or can not change over. [`ErrorCode::GROUP_MAX_SIZE_REACHED`]: there is no room for another group.
pub(crate) fn to_consumer(
    ctx: &mut Context<'_>,
    classics: &mut Classics,
    group: &Arc<str>,
    joins: bool,
) -> Result<(), (ErrorCode, String)> {
    if ctx.state.consumer(group).is_some() {
        return Ok(());
    }
    let not_found = |why: &str| Err((ErrorCode::GROUP_ID_NOT_FOUND, format!("group {group}: {why}")));
    if !joins {
        return not_found("there is no such group of the newer protocol; join it with epoch 0");
    }
    if ctx.state.share(group).is_some() {
        return not_found("it is a share group");
    }
    if ctx.state.group(group).is_none() && !classics.contains_key(group) {
        check_room(ctx, classics)?;
    }
    let members = match classics.get(group) {
        None => Vec::new(),
        Some(classic) if classic.members().is_empty() => Vec::new(),
        Some(_) if !ctx.config.consumer.migration.upgrades() => {
            return not_found("it is a classic group, and the policy lets it stay one");
        }
        Some(classic) if classic.members().len() > ctx.config.consumer.members_max => {
            return not_found("it is a classic group with more members than the newer protocol allows");
        }
        Some(classic) => match converted_members(&ctx.config.topics, classic) {
            Some(members) => members,
            None => return not_found("it is a classic group whose members are no consumers we understand"),
        },
    };
    let generation = classics.get(group).map_or(0, ClassicGroup::generation);
    if let Some(mut classic) = classics.remove(group) {
        classic.refuse_waiting(ctx, ErrorCode::REBALANCE_IN_PROGRESS);
        ctx.timers.cancel_group(group);
    }
    if ctx.state.group(group).is_some_and(|group| matches!(group.membership, Membership::Classic(_))) {
        ctx.write(GroupRecord::Classic { group: group.clone(), value: None });
    }
    if !members.is_empty() {
        write_members(ctx, group, generation, members);
    }
    Ok(())
}

/// Whether there is room for another group.
///
/// # Errors
/// [`ErrorCode::GROUP_MAX_SIZE_REACHED`].
pub(crate) fn check_room(ctx: &Context<'_>, classics: &Classics) -> Result<(), (ErrorCode, String)> {
    if ctx.state.group_count() + classics.len() < limits::GROUPS_MAX {
        return Ok(());
    }
    let message = "this coordinator has all the groups it may have; delete some".to_owned();
    Err((ErrorCode::GROUP_MAX_SIZE_REACHED, message))
}

/// The members of a classic group as those of the other protocol; `None` if some are no consumers.
fn converted_members(image: &MetaImage, classic: &ClassicGroup) -> Option<Vec<(Arc<str>, Member)>> {
    if !classic.is_of_consumers() {
        return None;
    }
    let epoch = classic.generation();
    let mut members = Vec::new();
    for (id, member) in classic.members() {
        let (_, first) = member.protocols.first()?;
        let subscription = consumer_protocol::subscription(first)?;
        let assigned = consumer_protocol::assignment(&member.assignment)?;
        let metadata = ConsumerGroupMemberMetadataValue {
            instance_id: member.instance_id.clone(),
            rack_id: subscription.rack_id,
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            subscribed_topic_names: sorted(subscription.topics),
            subscribed_topic_regex: None,
            rebalance_timeout_ms: member.rebalance_timeout_ms,
            server_assignor: None,
            classic_member_metadata: Some(classic_metadata(member.session_timeout_ms, &member.protocols)),
        };
        let assigned = ids_of(image, &assigned.assigned_partitions);
        let converted = Member {
            metadata,
            epoch,
            previous_epoch: epoch,
            state: MemberState::Stable,
            assigned,
            revoking: Partitions::default(),
        };
        members.push((id.clone(), converted));
    }
    Some(members)
}

/// What is recorded of a member that speaks the classic protocol.
pub(crate) fn classic_metadata(
    session_timeout_ms: i32,
    protocols: &[(String, Bytes)],
) -> ClassicMemberMetadata {
    let protocol = |(name, metadata): &(String, Bytes)| ClassicProtocol {
        name: name.clone(),
        metadata: metadata.clone(),
    };
    ClassicMemberMetadata {
        session_timeout_ms,
        supported_protocols: protocols.iter().map(protocol).collect(),
    }
}

/// Topic names as they are recorded: in order, each once.
pub(crate) fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names.dedup();
    names
}

/// Partitions that consumers know by their topics' names, as far as the topics exist.
pub(crate) fn ids_of(image: &MetaImage, partitions: &[TopicPartition]) -> Partitions {
    let lists = partitions
        .iter()
        .filter_map(|list| image.topic(&list.topic).map(|topic| (topic.id, list.partitions.as_slice())));
    Partitions::from_lists(lists)
}

/// The bytes that tell a classic member what it has, in the version it speaks.
pub(crate) fn assignment_bytes(image: &MetaImage, member: &Member) -> Bytes {
    let list = |(topic, partitions): (_, &std::collections::BTreeSet<i32>)| {
        image.topic_by_id(topic).map(|topic| TopicPartition {
            topic: topic.name.to_string(),
            partitions: partitions.iter().copied().collect(),
        })
    };
    let assignment = ConsumerProtocolAssignment {
        assigned_partitions: member.assigned.topics().filter_map(list).collect(),
        user_data: None,
    };
    let classic = member.metadata.classic_member_metadata.as_ref();
    let spoken = classic.and_then(|classic| classic.supported_protocols.first());
    let version = spoken.map_or(0, |protocol| consumer_protocol::version(&protocol.metadata));
    consumer_protocol::assignment_bytes(&assignment, version)
}

fn write_members(ctx: &mut Context<'_>, group: &Arc<str>, epoch: i32, members: Vec<(Arc<str>, Member)>) {
    let ids: Vec<Arc<str>> = members.iter().map(|(id, _)| id.clone()).collect();
    for (id, member) in members {
        let group = || group.clone();
        let (target, current) = (consumer::target_record(&member.assigned), member.to_record());
        let value = Some(member.metadata);
        ctx.write(GroupRecord::Member { group: group(), member: id.clone(), value });
        ctx.write(GroupRecord::Target { group: group(), member: id.clone(), value: Some(target) });
        ctx.write(GroupRecord::Current { group: group(), member: id, value: Some(current) });
    }
    // Without the hash of its topics the group's epoch rises at the first look at them: a leading member may have left
    // partitions to nobody, the coordinator does not.
    let value = Some(ConsumerGroupMetadataValue { epoch, metadata_hash: 0 });
    ctx.write(GroupRecord::Epoch { group: group.clone(), value });
    let value = Some(ConsumerGroupTargetAssignmentMetadataValue { assignment_epoch: epoch });
    ctx.write(GroupRecord::TargetEpoch { group: group.clone(), value });
    for id in ids {
        consumer::restart_session(ctx, group, &id);
    }
}

/// Whether a group becomes classic when these members are gone.
pub(crate) fn downgrades_without(ctx: &Context<'_>, group: &Arc<str>, leaving: &[Arc<str>]) -> bool {
    let Some(consumer) = ctx.state.consumer(group) else { return false };
    let mut left = consumer.members.iter().filter(|(id, _)| !leaving.contains(id)).peekable();
    let count = consumer.members.keys().filter(|id| !leaving.contains(id)).count();
    left.peek().is_some()
        && left.all(|(_, member)| member.is_classic())
        && ctx.config.consumer.migration.downgrades()
        && count <= ctx.config.classic.members_max
}

/// Makes a group of the newer protocol a classic one of its members but for `leaving`, who are all classic.
pub(crate) fn to_classic(
    ctx: &mut Context<'_>,
    classics: &mut Classics,
    group: &Arc<str>,
    leaving: &[Arc<str>],
) {
    let Some(consumer) = ctx.state.consumer(group) else { return };
    let generation = consumer.epoch;
    let members: BTreeMap<Arc<str>, ClassicMember> = consumer
        .members
        .iter()
        .filter(|(id, _)| !leaving.contains(id))
        .map(|(id, member)| (id.clone(), classic_member(&ctx.config.topics, member)))
        .collect();
    let records = consumer.tombstones(group);
    records.into_iter().for_each(|record| ctx.write(record));
    ctx.timers.cancel_group(group);
    ctx.looked_at.remove(group);
    let wall_ms = ctx.moment.wall_ms;
    let mut classic = ClassicGroup::from_members(group.clone(), generation, members, wall_ms);
    ctx.write(classic.to_record());
    classic.restart_sessions(ctx);
    classic.prepare_rebalance(ctx);
    classics.insert(group.clone(), classic);
}

fn classic_member(image: &MetaImage, member: &Member) -> ClassicMember {
    let classic = member.metadata.classic_member_metadata.clone().unwrap_or_default();
    let protocols = classic.supported_protocols.into_iter().map(|one| (one.name, one.metadata)).collect();
    ClassicMember {
        instance_id: member.metadata.instance_id.clone(),
        client_id: member.metadata.client_id.clone(),
        client_host: member.metadata.client_host.clone(),
        rebalance_timeout_ms: member.metadata.rebalance_timeout_ms,
        session_timeout_ms: classic.session_timeout_ms,
        protocols,
        assignment: assignment_bytes(image, member),
        is_new: false,
        join: None,
        sync: None,
    }
}

/// Makes room for a classic group where one of the newer protocol has no members left. Its offsets stay.
pub(crate) fn make_room_for_classic(ctx: &mut Context<'_>, group: &Arc<str>) {
    let Some(present) = ctx.state.group(group) else { return };
    let records = offsets::group_tombstones(group, present);
    records.into_iter().for_each(|record| ctx.write(record));
    ctx.timers.cancel_group(group);
    ctx.looked_at.remove(group);
}

/// Lets a client join as a classic one, now that its group is classic.
pub(crate) fn join_classic(
    ctx: &mut Context<'_>,
    classics: &mut Classics,
    group: &Arc<str>,
    request: super::classic::JoinRequest,
) {
    in_classic(ctx, classics, group, |classic, ctx| classic.join(ctx, request));
}
