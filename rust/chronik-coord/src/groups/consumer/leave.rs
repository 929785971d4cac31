//! How members of a group of the newer protocol go: by leaving, by silence, or by not giving up their partitions in time.
//!
//! Behaviour: what a member had is free at once, and the group's epoch rises; a static member that says it will be back
//! (-2) keeps everything until its session ends. When only classic members are left the group becomes a classic one.

use std::sync::Arc;

use chronik_mutants::{Mutant, planted};
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse};

use super::heartbeat::{LEAVE_STATIC, Refusal, refused};
use super::{cancel_timers, update};
use crate::coordinator::{Moment, Output};
use crate::groups::context::Context;
use crate::groups::machine::{Classics, Groups};
use crate::groups::migrate;
use crate::groups::partitions::Partitions;
use crate::groups::record::GroupRecord;
use crate::groups::request::GroupReply;
use crate::groups::state::{Member, MemberState};
use crate::groups::timers::Timer;

/// A member leaves.
pub(super) fn leave(
    ctx: &mut Context<'_>,
    classics: &mut Classics,
    request: &ConsumerGroupHeartbeatRequest,
) -> Result<ConsumerGroupHeartbeatResponse, Refusal> {
    let group: Arc<str> = Arc::from(request.group_id.as_str());
    let id: Arc<str> = Arc::from(request.member_id.as_str());
    let Some(consumer) = ctx.state.consumer(&group) else {
        let message = format!("there is no group {group} of the newer protocol");
        return Err(refused(ErrorCode::GROUP_ID_NOT_FOUND, message));
    };
    let holder = request.instance_id.as_deref().map(|instance_id| consumer.static_member(instance_id));
    let known = match holder {
        Some(Some((present, _))) if *present != id => {
            let message = "another member has taken over the instance id";
            return Err(refused(ErrorCode::FENCED_INSTANCE_ID, message));
        }
        Some(None) => None,
        _ => consumer.members.get(&id),
    };
    let Some(member) = known else {
        return Err(refused(ErrorCode::UNKNOWN_MEMBER_ID, format!("the group has no member {id}")));
    };
    if request.member_epoch == LEAVE_STATIC {
        let away = Member {
            epoch: LEAVE_STATIC,
            state: MemberState::Stable,
            revoking: Partitions::default(),
            ..member.clone()
        };
        let value = Some(away.to_record());
        ctx.timers.cancel(&group, Timer::Revocation(id.clone()));
        ctx.write(GroupRecord::Current { group, member: id, value });
    } else {
        remove_members(ctx, classics, &group, &[id]);
    }
    Ok(ConsumerGroupHeartbeatResponse {
        member_id: Some(request.member_id.clone()),
        member_epoch: request.member_epoch,
        ..Default::default()
    })
}

/// Takes members out of their group.
pub(crate) fn remove_members(
    ctx: &mut Context<'_>,
    classics: &mut Classics,
    group: &Arc<str>,
    ids: &[Arc<str>],
) {
    if migrate::downgrades_without(ctx, group, ids) {
        migrate::to_classic(ctx, classics, group, ids);
        return;
    }
    for id in ids {
        write_tombstones(ctx, group, id);
        cancel_timers(ctx, group, id);
    }
    update::raise_epoch(ctx, group);
}

/// Writes that a member is no more.
pub(super) fn write_tombstones(ctx: &mut Context<'_>, group: &Arc<str>, id: &Arc<str>) {
    let (group, member) = (group.clone(), id.clone());
    ctx.write(GroupRecord::Current { group: group.clone(), member: member.clone(), value: None });
    ctx.write(GroupRecord::Target { group: group.clone(), member: member.clone(), value: None });
    ctx.write(GroupRecord::Member { group, member, value: None });
}

impl Groups {
    /// A deadline of a member has come: it is out.
    pub(crate) fn on_consumer_timer(
        &mut self,
        group: &Arc<str>,
        timer: &Timer,
        moment: Moment,
    ) -> Output<GroupReply> {
        let id = match timer {
            Timer::Session(_) if planted(Mutant::SessionsNeverEnd) => return Output::default(),
            Timer::Session(id) | Timer::Revocation(id) | Timer::ClassicJoin(id) | Timer::ClassicSync(id) => {
                id
            }
            Timer::Rebalance | Timer::Sync | Timer::PendingMember(_) => return Output::default(),
        };
        let is_member = self.state().consumer(group).is_some_and(|group| group.members.contains_key(id));
        if !is_member {
            return Output::default();
        }
        self.step(moment, |ctx, classics| {
            remove_members(ctx, classics, group, std::slice::from_ref(id));
        })
    }
}
