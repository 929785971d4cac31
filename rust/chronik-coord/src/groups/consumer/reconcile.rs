//! One step of a member from what it has towards what it shall have.
//!
//! Behaviour: first it gives up what it shall not keep, and stays at its epoch until it no longer reports those partitions;
//! then it moves to the epoch of the target and gets what nobody else has; what others have yet to give up it waits for.
//! Thus no partition has two owners, at any epoch.

use std::collections::BTreeSet;
use std::sync::Arc;

use chronik_wire::error_code::ErrorCode;
use chronik_wire::types::TopicId;

use crate::groups::partitions::Partitions;
use crate::groups::state::{ConsumerGroup, Member, MemberState};

/// Whether a member has a step to take. `owned` is what it reports to have, if it does.
pub(super) fn has_step(group: &ConsumerGroup, member: &Member, owned: Option<&Partitions>) -> bool {
    match member.state {
        MemberState::Stable => member.epoch != group.target_epoch,
        MemberState::UnrevokedPartitions => !still_owns(owned, &member.revoking),
        MemberState::UnreleasedPartitions | MemberState::Unknown => true,
    }
}

/// The member after its step. `subscribed` are the topics it wants that exist.
///
/// # Errors
/// [`ErrorCode::FENCED_MEMBER_EPOCH`] if its state was written by something newer: it has to give up everything.
pub(super) fn step(
    group: &ConsumerGroup,
    id: &Arc<str>,
    member: &Member,
    subscribed: &BTreeSet<TopicId>,
    owned: Option<&Partitions>,
) -> Result<Member, ErrorCode> {
    let step = Step { group, id, member, subscribed, owned };
    match member.state {
        MemberState::Unknown if owned.is_some_and(Partitions::is_empty) => Ok(step.take(group.target_epoch)),
        MemberState::Unknown => Err(ErrorCode::FENCED_MEMBER_EPOCH),
        _ => Ok(step.take(member.epoch)),
    }
}

/// Whether a member has any of these, as far as it says. Who says nothing has them.
fn still_owns(owned: Option<&Partitions>, partitions: &Partitions) -> bool {
    owned.is_none_or(|owned| owned.intersects(partitions))
}

struct Step<'a> {
    group: &'a ConsumerGroup,
    id: &'a Arc<str>,
    member: &'a Member,
    subscribed: &'a BTreeSet<TopicId>,
    owned: Option<&'a Partitions>,
}

impl Step<'_> {
    fn take(&self, epoch: i32) -> Member {
        let nothing = Partitions::default();
        let target = self.group.targets.get(self.id).unwrap_or(&nothing);
        let target = target.filtered(|topic, _| self.subscribed.contains(&topic));
        let keeps = self.member.assigned.filtered(|topic, partition| target.contains(topic, partition));
        let revoking = self.member.assigned.filtered(|topic, partition| !target.contains(topic, partition));
        if !revoking.is_empty() && still_owns(self.owned, &revoking) {
            return self.moved(epoch, MemberState::UnrevokedPartitions, keeps, revoking);
        }
        let missing = target.filtered(|topic, partition| !keeps.contains(topic, partition));
        let free = missing.filtered(|topic, partition| self.is_free(topic, partition));
        let state =
            if free.len() == missing.len() { MemberState::Stable } else { MemberState::UnreleasedPartitions };
        self.moved(self.group.target_epoch, state, keeps.union(&free), nothing)
    }

    /// Whether nobody else has a partition. One that this member is about to give up is its own.
    fn is_free(&self, topic: TopicId, partition: i32) -> bool {
        self.group.owner(topic, partition).is_none_or(|owner| owner == self.id)
    }

    fn moved(&self, epoch: i32, state: MemberState, assigned: Partitions, revoking: Partitions) -> Member {
        let metadata = self.member.metadata.clone();
        Member { metadata, epoch, previous_epoch: self.member.epoch, state, assigned, revoking }
    }
}
