//! A member says what it wants: the group's epoch rises if that changes anything, targets are computed for the new epoch,
//! and the member takes a step towards its own.

use std::collections::BTreeMap;
use std::sync::Arc;

use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::group_records::{
    ConsumerGroupMemberMetadataValue, ConsumerGroupMetadataValue, ConsumerGroupTargetAssignmentMemberValue,
    ConsumerGroupTargetAssignmentMetadataValue,
};

use super::assignor::{self, Wish, Wishes};
use super::{reconcile, revokes_by_timer, subscribe};
use crate::groups::context::Context;
use crate::groups::limits;
use crate::groups::partitions::Partitions;
use crate::groups::record::GroupRecord;
use crate::groups::state::{ConsumerGroup, Member, MemberState};
use crate::groups::timers::Timer;

/// Brings everything up to date with what a member wants and has. `owned` is what it reports to have, if it does.
///
/// # Errors
/// [`ErrorCode::INVALID_REQUEST`] if no record can hold what it wants, [`ErrorCode::FENCED_MEMBER_EPOCH`] if it has to
/// join anew. Nothing has been written.
pub(super) fn update(
    ctx: &mut Context<'_>,
    group: &Arc<str>,
    id: &Arc<str>,
    wanted: ConsumerGroupMemberMetadataValue,
    owned: Option<&Partitions>,
) -> Result<(), ErrorCode> {
    let known = ctx.state.consumer(group).and_then(|consumer| consumer.members.get(id));
    if let Some(member) = known
        && member.state == MemberState::Unknown
        && !owned.is_some_and(Partitions::is_empty)
    {
        return Err(ErrorCode::FENCED_MEMBER_EPOCH);
    }
    let known = known.map(|member| &member.metadata);
    let resubscribed = known.is_none_or(|known| {
        known.subscribed_topic_names != wanted.subscribed_topic_names
            || known.subscribed_topic_regex != wanted.subscribed_topic_regex
    });
    if known != Some(&wanted) {
        write_member(ctx, group, id, wanted)?;
    }
    raise_epoch_if_changed(ctx, group, resubscribed);
    assign_if_behind(ctx, group);
    take_step(ctx, group, id, owned)
}

fn write_member(
    ctx: &mut Context<'_>,
    group: &Arc<str>,
    id: &Arc<str>,
    wanted: ConsumerGroupMemberMetadataValue,
) -> Result<(), ErrorCode> {
    let record = GroupRecord::Member { group: group.clone(), member: id.clone(), value: Some(wanted) };
    let encoded = record.encode();
    if encoded.key.len() + encoded.value.map_or(0, |value| value.len()) > limits::RECORD_BYTES_MAX {
        return Err(ErrorCode::INVALID_REQUEST);
    }
    ctx.write(record);
    Ok(())
}

/// Raises the group's epoch if a member subscribes differently, or the topics subscribed to are others than before.
pub(super) fn raise_epoch_if_changed(ctx: &mut Context<'_>, group: &Arc<str>, resubscribed: bool) {
    let version = ctx.config.topics.offset;
    if !resubscribed && ctx.looked_at.get(group) == Some(&version) {
        return;
    }
    ctx.looked_at.insert(group.clone(), version);
    let matches_differ = subscribe::resolve_patterns(ctx, group);
    let Some(consumer) = ctx.state.consumer(group) else { return };
    let hash = subscribe::topics_hash(&ctx.config.topics, consumer.subscribed_topics());
    if resubscribed || matches_differ || hash != consumer.metadata_hash {
        let epoch = consumer.epoch.checked_add(1).unwrap_or(1);
        write_epoch(ctx, group, epoch, hash);
    }
}

/// Raises the group's epoch because members are gone.
pub(super) fn raise_epoch(ctx: &mut Context<'_>, group: &Arc<str>) {
    raise_epoch_if_changed(ctx, group, true);
}

fn write_epoch(ctx: &mut Context<'_>, group: &Arc<str>, epoch: i32, metadata_hash: i64) {
    let value = Some(ConsumerGroupMetadataValue { epoch, metadata_hash });
    ctx.write(GroupRecord::Epoch { group: group.clone(), value });
}

/// Computes the targets if the group's epoch has risen since.
fn assign_if_behind(ctx: &mut Context<'_>, group: &Arc<str>) {
    let Some(consumer) = ctx.state.consumer(group) else { return };
    if consumer.epoch == consumer.target_epoch {
        return;
    }
    let assign = assignor::by_name(&preferred_assignor(consumer, &ctx.config.consumer.assignors))
        .or_else(|| assignor::by_name("uniform"));
    let Some(assign) = assign else { return };
    let targets = assign(&wishes(ctx, consumer));
    let assignment_epoch = consumer.epoch;
    let changed: Vec<_> =
        targets.into_iter().filter(|(id, target)| consumer.targets.get(id) != Some(target)).collect();
    for (member, target) in changed {
        let value = Some(target_record(&target));
        ctx.write(GroupRecord::Target { group: group.clone(), member, value });
    }
    // The epoch comes last: a leader that finds only the targets computes them once more.
    let value = Some(ConsumerGroupTargetAssignmentMetadataValue { assignment_epoch });
    ctx.write(GroupRecord::TargetEpoch { group: group.clone(), value });
}

/// What a record says of a member's target.
pub(crate) fn target_record(target: &Partitions) -> ConsumerGroupTargetAssignmentMemberValue {
    ConsumerGroupTargetAssignmentMemberValue { topic_partitions: target.to_record() }
}

/// The assignor that most members prefer, or the first there is.
pub(super) fn preferred_assignor(consumer: &ConsumerGroup, assignors: &[String]) -> String {
    let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
    for member in consumer.members.values() {
        if let Some(name) = &member.metadata.server_assignor {
            *votes.entry(name).or_default() += 1;
        }
    }
    let most = votes.values().max();
    let preferred = votes.iter().find(|(_, count)| Some(*count) == most).map(|(name, _)| (*name).to_owned());
    preferred.or_else(|| assignors.first().cloned()).unwrap_or_default()
}

fn wishes(ctx: &Context<'_>, consumer: &ConsumerGroup) -> Wishes {
    let image = &ctx.config.topics;
    let mut wishes = Wishes::default();
    for (id, member) in &consumer.members {
        let topics = subscribe::subscribed_ids(image, consumer, member);
        for topic in topics.iter().filter_map(|topic| image.topic_by_id(*topic)) {
            let count = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
            wishes.partition_counts.insert(topic.id, count);
        }
        let instance_id = member.metadata.instance_id.clone();
        let former = consumer.targets.get(id).cloned().unwrap_or_default();
        wishes.members.insert(id.clone(), Wish { instance_id, topics, former });
    }
    wishes
}

fn take_step(
    ctx: &mut Context<'_>,
    group: &Arc<str>,
    id: &Arc<str>,
    owned: Option<&Partitions>,
) -> Result<(), ErrorCode> {
    let Some(consumer) = ctx.state.consumer(group) else { return Ok(()) };
    let Some(member) = consumer.members.get(id) else { return Ok(()) };
    if !reconcile::has_step(consumer, member, owned) {
        return Ok(());
    }
    let subscribed = subscribe::subscribed_ids(&ctx.config.topics, consumer, member);
    let next = reconcile::step(consumer, id, member, &subscribed, owned)?;
    if same_place(&next, member) {
        return Ok(());
    }
    let timeout_ms = revokes_by_timer(&next).then_some(i64::from(next.metadata.rebalance_timeout_ms));
    let value = Some(next.to_record());
    ctx.write(GroupRecord::Current { group: group.clone(), member: id.clone(), value });
    match timeout_ms {
        Some(timeout_ms) => ctx.set_timer(group, Timer::Revocation(id.clone()), timeout_ms),
        None => ctx.timers.cancel(group, Timer::Revocation(id.clone())),
    }
    Ok(())
}

/// Whether a member has not moved. The epoch before is no matter: while it waits, it must stay what it was.
fn same_place(next: &Member, member: &Member) -> bool {
    next.epoch == member.epoch
        && next.state == member.state
        && next.assigned == member.assigned
        && next.revoking == member.revoking
}
