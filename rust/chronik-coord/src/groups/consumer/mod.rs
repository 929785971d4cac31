//! Groups of the newer protocol (KIP-848): the coordinator assigns, and each member is led from what it has to what it
//! shall have, giving up before others get.
//!
//! Everything but the timers is hard: it lives in [`crate::groups::state::ConsumerGroup`] and changes only by records.
//! `heartbeat` and `leave` are the requests, `classic_member` the same for members that still speak the classic protocol.
//! All of them come to `update`: a member changes its mind, the group's epoch rises, targets are computed (`assignor`),
//! and the member moves a step (`reconcile`).

mod assignor;
mod classic_member;
mod describe;
mod group;
mod heartbeat;
mod leave;
mod reconcile;
mod subscribe;
mod update;

use std::sync::Arc;

pub(crate) use leave::remove_members;
pub(crate) use subscribe::topics_hash;
pub(crate) use update::target_record;

use super::context::Context;
use super::state::{Member, MemberState, Membership};
use super::timers::Timer;

/// Starts the deadlines of all members, when a leader takes office.
pub(crate) fn restart_timers(ctx: &mut Context<'_>) {
    let mut members = Vec::new();
    for (name, group) in ctx.state.groups() {
        if let Membership::Consumer(consumer) = &group.membership {
            members.extend(consumer.members.iter().map(|(id, member)| {
                let timeout_ms = i64::from(member.metadata.rebalance_timeout_ms);
                let revokes = revokes_by_timer(member).then_some(timeout_ms);
                (name.clone(), id.clone(), revokes)
            }));
        }
    }
    for (group, id, revokes) in members {
        restart_session(ctx, &group, &id);
        if let Some(timeout_ms) = revokes {
            ctx.set_timer(&group, Timer::Revocation(id), timeout_ms);
        }
    }
}

/// Gives a member a full session from now on.
pub(crate) fn restart_session(ctx: &mut Context<'_>, group: &Arc<str>, id: &Arc<str>) {
    let Some(member) = ctx.state.consumer(group).and_then(|consumer| consumer.members.get(id)) else {
        return;
    };
    let timeout_ms = match &member.metadata.classic_member_metadata {
        Some(classic) => i64::from(classic.session_timeout_ms),
        None => ctx.config.consumer_session_timeout_ms(group),
    };
    ctx.set_timer(group, Timer::Session(id.clone()), timeout_ms);
}

/// Takes all deadlines of a member away.
fn cancel_timers(ctx: &mut Context<'_>, group: &Arc<str>, id: &Arc<str>) {
    for timer in [Timer::Session, Timer::Revocation, Timer::ClassicJoin, Timer::ClassicSync] {
        ctx.timers.cancel(group, timer(id.clone()));
    }
}

/// Whether a member has a deadline for giving up partitions. A classic member has one for joining again instead.
fn revokes_by_timer(member: &Member) -> bool {
    member.state == MemberState::UnrevokedPartitions && !member.is_classic()
}
