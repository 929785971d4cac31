//! How members of a classic group go: by LeaveGroup, by silence, or because their client has gone away.

use std::sync::Arc;

use chronik_mutants::{Mutant, planted};
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::leave_group::MemberIdentity;

use super::member::Parked;
use super::{ClassicGroup, ClassicState, join_error, sync_error};
use crate::coordinator::Ticket;
use crate::groups::context::Context;
use crate::groups::timers::Timer;

impl ClassicGroup {
    /// Members leave, or are put out by an administrator. One error each, in order.
    pub(crate) fn leave(&mut self, ctx: &mut Context<'_>, leaving: &[MemberIdentity]) -> Vec<ErrorCode> {
        let before = self.members.len();
        let results = leaving.iter().map(|one| self.leave_one(ctx, one)).collect();
        if self.members.len() < before {
            self.after_removal(ctx);
        } else {
            self.complete_if_all_joined(ctx);
        }
        results
    }

    fn leave_one(&mut self, ctx: &mut Context<'_>, leaving: &MemberIdentity) -> ErrorCode {
        let id = leaving.member_id.as_str();
        if leaving.group_instance_id.is_none() && self.pending.remove(id) {
            ctx.timers.cancel(&self.name, Timer::PendingMember(Arc::from(id)));
            return ErrorCode::NONE;
        }
        let present = match &leaving.group_instance_id {
            // An administrator names the static id alone.
            Some(instance_id) if id.is_empty() => match self.instances.get(instance_id) {
                Some(present) => present.clone(),
                None => return ErrorCode::UNKNOWN_MEMBER_ID,
            },
            instance_id => match self.check_member(id, instance_id.as_deref()) {
                Ok(()) => Arc::from(id),
                Err(error) => return error,
            },
        };
        self.remove_member(ctx, &present, ErrorCode::UNKNOWN_MEMBER_ID);
        ErrorCode::NONE
    }

    /// Takes a member out, with an error for whatever it waits for. What follows from that is the caller's.
    pub(super) fn remove_member(&mut self, ctx: &mut Context<'_>, id: &Arc<str>, error: ErrorCode) {
        let Some(member) = self.members.remove(id) else { return };
        if let Some(Parked(Some(ticket))) = member.join {
            ctx.reply(ticket, join_error(id, error));
        }
        if let Some(Parked(Some(ticket))) = member.sync {
            ctx.reply(ticket, sync_error(error));
        }
        if let Some(instance_id) = &member.instance_id
            && self.instances.get(instance_id) == Some(id)
        {
            self.instances.remove(instance_id);
        }
        ctx.timers.cancel(&self.name, Timer::Session(id.clone()));
        self.unsynced.remove(id);
        if self.is_leader(id) {
            self.leader = self.members.keys().next().cloned();
        }
    }

    /// Those who are left go on without the others.
    fn after_removal(&mut self, ctx: &mut Context<'_>) {
        match self.state {
            ClassicState::Empty => {}
            ClassicState::PreparingRebalance => self.complete_if_all_joined(ctx),
            ClassicState::CompletingRebalance | ClassicState::Stable => self.prepare_rebalance(ctx),
        }
    }

    /// A deadline of this group has come.
    pub(crate) fn on_timer(&mut self, ctx: &mut Context<'_>, timer: &Timer) {
        match timer {
            Timer::Rebalance => self.on_rebalance_timer(ctx),
            Timer::Sync => self.on_sync_timer(ctx),
            Timer::Session(_) if planted(Mutant::SessionsNeverEnd) => {}
            Timer::Session(id) => {
                self.remove_member(ctx, id, ErrorCode::UNKNOWN_MEMBER_ID);
                self.after_removal(ctx);
            }
            Timer::PendingMember(id) => {
                self.pending.remove(id);
                self.complete_if_all_joined(ctx);
            }
            Timer::Revocation(_) | Timer::ClassicJoin(_) | Timer::ClassicSync(_) => {}
        }
    }

    /// The client behind a request has gone. Its member stays until its session ends, as Kafka has it.
    pub(crate) fn cancel(&mut self, ticket: Ticket) {
        let gone = Some(Parked(Some(ticket)));
        for member in self.members.values_mut() {
            if member.join == gone {
                member.join = Some(Parked(None));
            }
            if member.sync == gone {
                member.sync = Some(Parked(None));
            }
        }
    }
}
