//! From one generation of a classic group to the next.
//!
//! Behaviour: every member is asked to join again (27 in answers to heartbeats); once all have, or the most patient one's
//! time is up, who has not joined is out and the next generation stands; a group's first rebalance waits a while for more
//! members instead. Static members that did not join in time stay until their session ends.

use std::sync::Arc;

use chronik_wire::error_code::ErrorCode;

use super::member::Parked;
use super::{ClassicGroup, ClassicState, join_error, sync_error};
use crate::groups::context::Context;
use crate::groups::timers::Timer;

impl ClassicGroup {
    /// Members that have joined the next generation.
    pub(super) fn joined(&self) -> impl Iterator<Item = &Arc<str>> {
        self.members.iter().filter(|(_, member)| member.join.is_some()).map(|(id, _)| id)
    }

    /// Something about the members has changed.
    pub(super) fn rebalance_or_complete(&mut self, ctx: &mut Context<'_>) {
        if self.state == ClassicState::PreparingRebalance {
            self.complete_if_all_joined(ctx);
        } else {
            self.prepare_rebalance(ctx);
        }
    }

    /// Asks the members to join the next generation.
    pub(crate) fn prepare_rebalance(&mut self, ctx: &mut Context<'_>) {
        self.refuse_syncs(ctx, ErrorCode::REBALANCE_IN_PROGRESS);
        self.unsynced.clear();
        ctx.timers.cancel(&self.name, Timer::Sync);
        let first = self.state == ClassicState::Empty;
        self.enter(ctx, ClassicState::PreparingRebalance);
        if first {
            let delay_ms = ctx.config.classic.initial_rebalance_delay_ms;
            if delay_ms == 0 {
                self.complete_join(ctx);
                return;
            }
            self.more_members = false;
            self.initial_delay_left_ms = Some((self.rebalance_timeout_ms() - delay_ms).max(0));
            ctx.set_timer(&self.name, Timer::Rebalance, delay_ms);
            return;
        }
        self.initial_delay_left_ms = None;
        if self.all_joined() {
            self.complete_join(ctx);
        } else {
            ctx.set_timer(&self.name, Timer::Rebalance, self.rebalance_timeout_ms());
        }
    }

    /// Goes on if nobody else is waited for. A first rebalance takes its time.
    pub(super) fn complete_if_all_joined(&mut self, ctx: &mut Context<'_>) {
        let preparing = self.state == ClassicState::PreparingRebalance;
        if preparing && self.initial_delay_left_ms.is_none() && self.all_joined() {
            self.complete_join(ctx);
        }
    }

    /// The time to join is up.
    pub(super) fn on_rebalance_timer(&mut self, ctx: &mut Context<'_>) {
        if self.state != ClassicState::PreparingRebalance {
            return;
        }
        match self.initial_delay_left_ms {
            Some(left_ms) if left_ms > 0 && self.more_members => {
                let delay_ms = ctx.config.classic.initial_rebalance_delay_ms.min(left_ms);
                self.more_members = false;
                self.initial_delay_left_ms = Some(left_ms - delay_ms);
                ctx.set_timer(&self.name, Timer::Rebalance, delay_ms);
            }
            _ => self.complete_join(ctx),
        }
    }

    fn all_joined(&self) -> bool {
        self.pending.is_empty() && self.members.values().all(|member| member.join.is_some())
    }

    fn complete_join(&mut self, ctx: &mut Context<'_>) {
        ctx.timers.cancel(&self.name, Timer::Rebalance);
        self.initial_delay_left_ms = None;
        let absent: Vec<Arc<str>> = self
            .members
            .iter()
            .filter(|(_, member)| member.join.is_none() && member.instance_id.is_none())
            .map(|(id, _)| id.clone())
            .collect();
        for id in absent {
            self.remove_member(ctx, &id, ErrorCode::UNKNOWN_MEMBER_ID);
        }
        if !self.members.is_empty() && !self.elect_joined_leader() {
            // All are static and none has come: they still have their sessions.
            ctx.set_timer(&self.name, Timer::Rebalance, self.rebalance_timeout_ms());
            return;
        }
        self.generation = self.generation.checked_add(1).unwrap_or(1);
        self.protocol = self.select_protocol();
        if self.members.is_empty() {
            self.enter(ctx, ClassicState::Empty);
            ctx.write(self.to_record());
        } else {
            self.enter(ctx, ClassicState::CompletingRebalance);
            self.announce_generation(ctx);
        }
    }

    fn elect_joined_leader(&mut self) -> bool {
        let has_joined = |id: &Arc<str>| self.members.get(id).is_some_and(|member| member.join.is_some());
        if self.leader.as_ref().is_some_and(has_joined) {
            return true;
        }
        let Some(joined) = self.joined().next().cloned() else { return false };
        self.leader = Some(joined);
        true
    }

    fn announce_generation(&mut self, ctx: &mut Context<'_>) {
        self.unsynced = self.members.keys().cloned().collect();
        let ids: Vec<Arc<str>> = self.members.keys().cloned().collect();
        for id in ids {
            let Some(member) = self.members.get_mut(&id) else { continue };
            member.is_new = false;
            if let Some(Parked(Some(ticket))) = member.join.take() {
                self.answer_join(ctx, &id, ticket);
            }
            self.restart_session(ctx, &id);
        }
        ctx.set_timer(&self.name, Timer::Sync, self.rebalance_timeout_ms());
    }

    /// The time to fetch assignments is up.
    pub(super) fn on_sync_timer(&mut self, ctx: &mut Context<'_>) {
        let late: Vec<Arc<str>> = std::mem::take(&mut self.unsynced).into_iter().collect();
        if late.is_empty() {
            return;
        }
        for id in late {
            self.remove_member(ctx, &id, ErrorCode::UNKNOWN_MEMBER_ID);
        }
        self.rebalance_or_complete(ctx);
    }

    /// Refuses the requests of members that wait for their assignment.
    pub(super) fn refuse_syncs(&mut self, ctx: &mut Context<'_>, error: ErrorCode) {
        for member in self.members.values_mut() {
            if let Some(Parked(Some(ticket))) = member.sync.take() {
                ctx.reply(ticket, sync_error(error));
            }
        }
    }

    /// Refuses the requests of members that wait for the next generation.
    pub(crate) fn refuse_waiting(&mut self, ctx: &mut Context<'_>, error: ErrorCode) {
        for (id, member) in &mut self.members {
            if let Some(Parked(Some(ticket))) = member.join.take() {
                ctx.reply(ticket, join_error(id, error));
            }
        }
        self.refuse_syncs(ctx, error);
    }
}
