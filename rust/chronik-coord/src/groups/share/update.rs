//! The group's epoch rises, targets are computed for it, and a member moves to its target at once: nobody has to give up a
//! partition before another may read it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chronik_wire::messages::group_records::{
    ShareGroupMetadataValue, ShareGroupTargetAssignmentMemberValue, ShareGroupTargetAssignmentMetadataValue,
};
use chronik_wire::types::TopicId;

use super::assignor::{self, Wish};
use super::record::ShareGroupRecord;
use crate::groups::consumer::topics_hash;
use crate::groups::context::Context;
use crate::groups::partitions::Partitions;
use crate::groups::state::{ShareGroup, ShareMember};

/// Raises the group's epoch if the caller has a reason, if the topics subscribed to are others than before, or if there are
/// partitions with accounts that nobody shall read.
pub(super) fn raise_epoch_if_changed(ctx: &mut Context<'_>, group: &Arc<str>, has_reason: bool) {
    let Some(share) = ctx.state.share(group) else { return };
    let pending = share.epoch == share.target_epoch && has_idle_partitions(ctx, share);
    let version = ctx.config.topics.offset;
    if !has_reason && !pending && ctx.looked_at.get(group) == Some(&version) {
        return;
    }
    ctx.looked_at.insert(group.clone(), version);
    let metadata_hash = topics_hash(&ctx.config.topics, share.subscribed_topics());
    if has_reason || pending || metadata_hash != share.metadata_hash {
        let epoch = share.epoch.checked_add(1).unwrap_or(1);
        let value = Some(ShareGroupMetadataValue { epoch, metadata_hash });
        ctx.write(ShareGroupRecord::Epoch { group: group.clone(), value }.into());
    }
}

/// Whether somebody wants partitions that can be given and that no target has.
fn has_idle_partitions(ctx: &Context<'_>, share: &ShareGroup) -> bool {
    let image = &ctx.config.topics;
    let subscribed = share.subscribed_topics().into_iter().filter_map(|name| image.topic(name));
    let wanted: BTreeSet<TopicId> = subscribed.map(|topic| topic.id).collect();
    let read: Partitions = share.targets.values().flat_map(Partitions::iter).collect();
    !share.assignable(image).filtered(|topic, _| wanted.contains(&topic)).is_subset(&read)
}

/// Computes the targets if the group's epoch has risen since.
pub(super) fn assign_if_behind(ctx: &mut Context<'_>, group: &Arc<str>) {
    let Some(share) = ctx.state.share(group) else { return };
    if share.epoch == share.target_epoch {
        return;
    }
    let image = &ctx.config.topics;
    let wish = |(id, member): (&Arc<str>, &ShareMember)| {
        let former = share.targets.get(id).cloned().unwrap_or_default();
        (id.clone(), Wish { topics: member.subscribed_ids(image), former })
    };
    let wishes: BTreeMap<Arc<str>, Wish> = share.members.iter().map(wish).collect();
    let targets = assignor::assign(&wishes, &share.assignable(image));
    let assignment_epoch = share.epoch;
    let changed: Vec<(Arc<str>, Partitions)> =
        targets.into_iter().filter(|(id, target)| share.targets.get(id) != Some(target)).collect();
    for (member, target) in changed {
        let value = Some(ShareGroupTargetAssignmentMemberValue { topic_partitions: target.to_record() });
        ctx.write(ShareGroupRecord::Target { group: group.clone(), member, value }.into());
    }
    // The epoch comes last: a leader that finds only the targets computes them once more.
    let assignment_timestamp = ctx.moment.wall_ms;
    let value = Some(ShareGroupTargetAssignmentMetadataValue { assignment_epoch, assignment_timestamp });
    ctx.write(ShareGroupRecord::TargetEpoch { group: group.clone(), value }.into());
}

/// Moves a member to its target.
pub(super) fn reconcile(ctx: &mut Context<'_>, group: &Arc<str>, id: &Arc<str>) {
    let Some(share) = ctx.state.share(group) else { return };
    let Some(member) = share.members.get(id).filter(|member| member.epoch != share.target_epoch) else {
        return;
    };
    let next = ShareMember {
        metadata: member.metadata.clone(),
        epoch: share.target_epoch,
        previous_epoch: member.epoch,
        state: 0,
        assigned: share.targets.get(id).cloned().unwrap_or_default(),
    };
    let value = Some(next.to_record());
    ctx.write(ShareGroupRecord::Current { group: group.clone(), member: id.clone(), value }.into());
}
