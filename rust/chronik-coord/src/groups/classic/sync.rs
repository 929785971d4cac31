//! SyncGroup and Heartbeat in a classic group.
//!
//! Behaviour: the leader hands in what everybody gets, the others wait for it; the assignment counts once it is recorded,
//! and only then does anybody learn it. A member that is silent for its session time-out is out; one that waits for us
//! may be silent.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::{HeartbeatRequest, SyncGroupRequest, SyncGroupResponse};

use super::member::Parked;
use super::{ClassicGroup, ClassicState};
use crate::coordinator::Ticket;
use crate::groups::context::Context;
use crate::groups::limits;
use crate::groups::record::GroupRecord;
use crate::groups::request::GroupReply;
use crate::groups::timers::Timer;

/// The answer that only refuses.
pub(crate) fn sync_error(error_code: ErrorCode) -> GroupReply {
    GroupReply::Sync(SyncGroupResponse { error_code, ..Default::default() })
}

impl ClassicGroup {
    /// A member hands in the assignments, or asks for its own.
    pub(crate) fn sync(&mut self, ctx: &mut Context<'_>, ticket: Ticket, request: SyncGroupRequest) {
        if let Err(error) = self.check_sync(&request) {
            ctx.reply(ticket, sync_error(error));
            return;
        }
        let id: Arc<str> = Arc::from(request.member_id.as_str());
        if self.state == ClassicState::Stable {
            self.answer_sync(ctx, &id, ticket);
            return;
        }
        let Some(member) = self.members.get_mut(&id) else { return };
        let former = member.sync.replace(Parked(Some(ticket)));
        ctx.park(ticket, &self.name);
        if let Some(Parked(Some(former))) = former {
            ctx.reply(former, sync_error(ErrorCode::REBALANCE_IN_PROGRESS));
        }
        self.restart_session(ctx, &id);
        self.fetched(ctx, &id);
        if self.is_leader(&id) {
            self.assign(ctx, request);
        }
    }

    fn check_sync(&self, request: &SyncGroupRequest) -> Result<(), ErrorCode> {
        self.check_member(&request.member_id, request.group_instance_id.as_deref())?;
        if request.generation_id != self.generation {
            return Err(ErrorCode::ILLEGAL_GENERATION);
        }
        let differs = |said: &Option<String>, is: &Option<String>| said.is_some() && said != is;
        if differs(&request.protocol_type, &self.protocol_type)
            || differs(&request.protocol_name, &self.protocol)
        {
            return Err(ErrorCode::INCONSISTENT_GROUP_PROTOCOL);
        }
        match self.state {
            ClassicState::Empty => Err(ErrorCode::UNKNOWN_MEMBER_ID),
            ClassicState::PreparingRebalance => Err(ErrorCode::REBALANCE_IN_PROGRESS),
            ClassicState::CompletingRebalance | ClassicState::Stable => Ok(()),
        }
    }

    fn assign(&mut self, ctx: &mut Context<'_>, request: SyncGroupRequest) {
        let mut assignments: BTreeMap<String, Bytes> =
            request.assignments.into_iter().map(|one| (one.member_id, one.assignment)).collect();
        for (id, member) in &mut self.members {
            member.assignment = assignments.remove(&**id).unwrap_or_default();
        }
        let before = (self.state, self.state_since_ms);
        self.enter(ctx, ClassicState::Stable);
        let record = self.to_record();
        if too_large(&record) {
            // Kafka fails such an append, and the members try anew with the same result: so they learn why.
            (self.state, self.state_since_ms) = before;
            self.refuse_syncs(ctx, ErrorCode::UNKNOWN_SERVER_ERROR);
            self.prepare_rebalance(ctx);
            return;
        }
        ctx.write(record);
        let ids: Vec<Arc<str>> = self.members.keys().cloned().collect();
        for id in ids {
            let parked = self.members.get_mut(&id).and_then(|member| member.sync.take());
            let Some(Parked(ticket)) = parked else { continue };
            match ticket {
                Some(ticket) => self.answer_sync(ctx, &id, ticket),
                None => self.restart_session(ctx, &id),
            }
        }
    }

    fn answer_sync(&mut self, ctx: &mut Context<'_>, id: &Arc<str>, ticket: Ticket) {
        let Some(member) = self.members.get(id) else { return };
        let response = SyncGroupResponse {
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol.clone(),
            assignment: member.assignment.clone(),
            ..Default::default()
        };
        ctx.reply(ticket, GroupReply::Sync(response));
        self.restart_session(ctx, id);
        self.fetched(ctx, id);
    }

    fn fetched(&mut self, ctx: &mut Context<'_>, id: &Arc<str>) {
        self.unsynced.remove(id);
        if self.unsynced.is_empty() {
            ctx.timers.cancel(&self.name, Timer::Sync);
        }
    }

    /// A member says that it lives, and learns whether it has to join again.
    pub(crate) fn heartbeat(
        &self,
        ctx: &mut Context<'_>,
        request: &HeartbeatRequest,
    ) -> Result<(), ErrorCode> {
        self.check_member(&request.member_id, request.group_instance_id.as_deref())?;
        if request.generation_id != self.generation {
            return Err(ErrorCode::ILLEGAL_GENERATION);
        }
        if self.state == ClassicState::Empty {
            return Err(ErrorCode::UNKNOWN_MEMBER_ID);
        }
        self.restart_session(ctx, &Arc::from(request.member_id.as_str()));
        match self.state {
            ClassicState::PreparingRebalance => Err(ErrorCode::REBALANCE_IN_PROGRESS),
            _ => Ok(()),
        }
    }
}

fn too_large(record: &GroupRecord) -> bool {
    let encoded = record.encode();
    encoded.key.len() + encoded.value.map_or(0, |value| value.len()) > limits::RECORD_BYTES_MAX
}
