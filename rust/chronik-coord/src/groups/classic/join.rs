//! JoinGroup in a classic group.
//!
//! Behaviour: a client without an id gets one, and from version 4 on has to come again with it (79), so that clients that
//! come and go leave no members behind; a static client's id follows it from process to process, and its restart causes
//! no rebalance while the protocol stays; who joins again unchanged while the group is settled learns the generation, and
//! the leader's joining again starts a rebalance.
//! Versions: 4 id required · 5 static members · 7 protocol in the answer · 9 a restarted static leader keeps the lead
//! without assigning.

use std::sync::Arc;

use bytes::Bytes;
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::JoinGroupResponse;
use chronik_wire::messages::join_group::JoinGroupResponseMember;

use super::member::Parked;
use super::{ClassicGroup, ClassicMember, ClassicState};
use crate::coordinator::Ticket;
use crate::groups::context::Context;
use crate::groups::limits;
use crate::groups::request::GroupReply;
use crate::groups::timers::Timer;

/// The first version whose clients are asked to come again with the id they are given.
const MEMBER_ID_REQUIRED_FROM: i16 = 4;
/// The first version whose static leader understands that it leads without having to assign.
const SKIP_ASSIGNMENT_FROM: i16 = 9;

/// Who wants to join, and with what.
#[derive(Debug, Clone)]
pub(crate) struct JoinRequest {
    pub(crate) ticket: Ticket,
    pub(crate) version: i16,
    pub(crate) member_id: String,
    pub(crate) instance_id: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) session_timeout_ms: i32,
    pub(crate) rebalance_timeout_ms: i32,
    pub(crate) protocol_type: String,
    pub(crate) protocols: Vec<(String, Bytes)>,
}

/// The answer that only refuses.
pub(crate) fn join_error(member_id: &str, error_code: ErrorCode) -> GroupReply {
    GroupReply::Join(JoinGroupResponse { error_code, member_id: member_id.to_owned(), ..Default::default() })
}

impl JoinRequest {
    /// Whether a client without an id has to come again with the one it is given.
    pub(crate) fn must_return(&self) -> bool {
        self.version >= MEMBER_ID_REQUIRED_FROM && self.instance_id.is_none()
    }

    /// A new id for the client: its own name for itself first, for those who read lists of members.
    pub(crate) fn new_member_id(&self, ctx: &Context<'_>) -> String {
        format!("{}-{}", self.instance_id.as_ref().unwrap_or(&self.client_id), ctx.new_uuid())
    }

    fn into_member(self) -> ClassicMember {
        ClassicMember {
            instance_id: self.instance_id,
            client_id: self.client_id,
            client_host: self.client_host,
            rebalance_timeout_ms: self.rebalance_timeout_ms,
            session_timeout_ms: self.session_timeout_ms,
            protocols: self.protocols,
            assignment: Bytes::new(),
            is_new: true,
            join: Some(Parked(Some(self.ticket))),
            sync: None,
        }
    }
}

impl ClassicGroup {
    /// Somebody joins, for the first time or again.
    pub(crate) fn join(&mut self, ctx: &mut Context<'_>, request: JoinRequest) {
        if !self.has_room_for(ctx, &request.member_id) || !self.has_room_for_metadata(&request) {
            ctx.reply(request.ticket, join_error("", ErrorCode::GROUP_MAX_SIZE_REACHED));
            return;
        }
        if !self.supports_protocols(&request) {
            let error = ErrorCode::INCONSISTENT_GROUP_PROTOCOL;
            ctx.reply(request.ticket, join_error(&request.member_id, error));
            return;
        }
        if request.member_id.is_empty() {
            self.join_new(ctx, request);
        } else {
            self.join_known(ctx, request);
        }
    }

    fn has_room_for(&self, ctx: &Context<'_>, member_id: &str) -> bool {
        let members_max = ctx.config.classic.members_max;
        let known = self.members.get(member_id);
        match self.state {
            ClassicState::Empty => members_max > 0 && self.pending_has_room(ctx, member_id),
            // Who is first to join the next generation is in; others may have to stay outside.
            ClassicState::PreparingRebalance => {
                known.is_some_and(|member| member.join.is_some())
                    || self.joined().count() < members_max && self.pending_has_room(ctx, member_id)
            }
            ClassicState::CompletingRebalance | ClassicState::Stable => {
                known.is_some() || self.members.len() < members_max && self.pending_has_room(ctx, member_id)
            }
        }
    }

    fn has_room_for_metadata(&self, request: &JoinRequest) -> bool {
        let bytes = |protocols: &[(String, Bytes)]| -> usize {
            protocols.iter().map(|(name, metadata)| name.len() + metadata.len()).sum()
        };
        let others = self.members.iter().filter(|(id, _)| ***id != *request.member_id);
        let others: usize = others.map(|(_, member)| bytes(&member.protocols)).sum();
        others + bytes(&request.protocols) <= limits::GROUP_METADATA_BYTES_MAX
    }

    /// Ids that were given out are bounded like members, whether or not anybody comes back with them.
    fn pending_has_room(&self, ctx: &Context<'_>, member_id: &str) -> bool {
        !member_id.is_empty() || self.pending.len() < ctx.config.classic.members_max
    }

    fn supports_protocols(&self, request: &JoinRequest) -> bool {
        if self.state == ClassicState::Empty {
            return !request.protocol_type.is_empty() && !request.protocols.is_empty();
        }
        self.protocol_type.as_ref() == Some(&request.protocol_type)
            && request.protocols.iter().any(|(name, _)| self.all_support(name))
    }

    fn join_new(&mut self, ctx: &mut Context<'_>, request: JoinRequest) {
        let id = request.new_member_id(ctx);
        let present = request.instance_id.as_ref().and_then(|instance| self.instances.get(instance));
        if let Some(present) = present.cloned() {
            self.replace_static_member(ctx, &present, id.into(), request);
        } else if request.must_return() {
            let timeout_ms = i64::from(request.session_timeout_ms);
            ctx.reply(request.ticket, join_error(&id, ErrorCode::MEMBER_ID_REQUIRED));
            let id: Arc<str> = id.into();
            self.pending.insert(id.clone());
            ctx.set_timer(&self.name, Timer::PendingMember(id), timeout_ms);
        } else {
            self.add_member(ctx, id.into(), request);
        }
    }

    fn join_known(&mut self, ctx: &mut Context<'_>, request: JoinRequest) {
        if let Some(id) = self.pending.take(request.member_id.as_str()) {
            ctx.timers.cancel(&self.name, Timer::PendingMember(id.clone()));
            self.add_member(ctx, id, request);
            return;
        }
        if let Err(error) = self.check_member(&request.member_id, request.instance_id.as_deref()) {
            ctx.reply(request.ticket, join_error(&request.member_id, error));
            return;
        }
        let Some((id, member)) = self.members.get_key_value(request.member_id.as_str()) else { return };
        let id = id.clone();
        let unchanged = member.protocols == request.protocols;
        match self.state {
            ClassicState::PreparingRebalance => self.update_member(ctx, &id, request),
            // It missed the answer: here it is again.
            ClassicState::CompletingRebalance if unchanged => self.answer_join(ctx, &id, request.ticket),
            ClassicState::Stable if unchanged && !self.is_leader(&id) => {
                self.answer_join(ctx, &id, request.ticket);
            }
            ClassicState::CompletingRebalance | ClassicState::Stable => {
                self.update_member(ctx, &id, request);
            }
            ClassicState::Empty => {
                let error = ErrorCode::UNKNOWN_MEMBER_ID;
                ctx.reply(request.ticket, join_error(&request.member_id, error));
            }
        }
    }

    fn add_member(&mut self, ctx: &mut Context<'_>, id: Arc<str>, request: JoinRequest) {
        if self.members.is_empty() {
            self.protocol_type = Some(request.protocol_type.clone());
        }
        if self.leader.is_none() {
            self.leader = Some(id.clone());
        }
        if let Some(instance_id) = &request.instance_id {
            self.instances.insert(instance_id.clone(), id.clone());
        }
        ctx.park(request.ticket, &self.name);
        self.members.insert(id.clone(), request.into_member());
        self.more_members = true;
        ctx.set_timer(&self.name, Timer::Session(id), limits::NEW_MEMBER_JOIN_TIMEOUT_MS);
        self.rebalance_or_complete(ctx);
    }

    fn update_member(&mut self, ctx: &mut Context<'_>, id: &Arc<str>, request: JoinRequest) {
        self.take_over(ctx, id, request);
        self.rebalance_or_complete(ctx);
    }

    /// Puts what a request says in the place of what was known of its member, and lets it wait.
    fn take_over(&mut self, ctx: &mut Context<'_>, id: &Arc<str>, request: JoinRequest) {
        let Some(member) = self.members.get_mut(id) else { return };
        member.protocols = request.protocols;
        member.rebalance_timeout_ms = request.rebalance_timeout_ms;
        member.session_timeout_ms = request.session_timeout_ms;
        member.client_id = request.client_id;
        member.client_host = request.client_host;
        let former = member.join.replace(Parked(Some(request.ticket)));
        ctx.park(request.ticket, &self.name);
        if let Some(Parked(Some(ticket))) = former {
            // Its client has given up on that request, or it would not have sent another.
            ctx.reply(ticket, join_error(id, ErrorCode::REBALANCE_IN_PROGRESS));
        }
        if !member.is_new {
            ctx.timers.cancel(&self.name, Timer::Session(id.clone()));
        }
    }

    /// A static client came back as another process: it takes the place of its former self.
    fn replace_static_member(
        &mut self,
        ctx: &mut Context<'_>,
        present: &Arc<str>,
        id: Arc<str>,
        request: JoinRequest,
    ) {
        let Some(mut member) = self.members.remove(present) else { return };
        for parked in [
            member.join.take().map(|parked| (true, parked)),
            member.sync.take().map(|parked| (false, parked)),
        ] {
            if let Some((is_join, Parked(Some(ticket)))) = parked {
                let error = ErrorCode::FENCED_INSTANCE_ID;
                let reply = if is_join { join_error(present, error) } else { super::sync_error(error) };
                ctx.reply(ticket, reply);
            }
        }
        ctx.timers.cancel(&self.name, Timer::Session(present.clone()));
        if self.unsynced.remove(present) {
            self.unsynced.insert(id.clone());
        }
        let led = self.is_leader(present);
        if led {
            self.leader = Some(id.clone());
        }
        self.instances.insert(request.instance_id.clone().unwrap_or_default(), id.clone());
        member.is_new = false;
        self.members.insert(id.clone(), member);
        let (ticket, version) = (request.ticket, request.version);
        self.take_over(ctx, &id, request);
        match self.state {
            ClassicState::Stable if self.select_protocol() == self.protocol => {
                if let Some(member) = self.members.get_mut(&id) {
                    member.join = None;
                }
                ctx.write(self.to_record());
                self.restart_session(ctx, &id);
                self.answer_static_join(ctx, &id, present, led, ticket, version);
            }
            _ => self.rebalance_or_complete(ctx),
        }
    }

    /// Tells a static client that came back where its group stands. Before version 9 a leader that came back would take
    /// the list of members as an order to assign, so it is told that its former self still leads.
    fn answer_static_join(
        &self,
        ctx: &mut Context<'_>,
        id: &Arc<str>,
        former: &Arc<str>,
        led: bool,
        ticket: Ticket,
        version: i16,
    ) {
        let mut response = self.join_response(id);
        if version >= SKIP_ASSIGNMENT_FROM {
            response.skip_assignment = led;
        } else {
            response.members.clear();
            if led {
                response.leader = former.to_string();
            }
        }
        ctx.reply(ticket, GroupReply::Join(response));
    }

    /// Tells a member of this generation where it stands.
    pub(super) fn answer_join(&self, ctx: &mut Context<'_>, id: &Arc<str>, ticket: Ticket) {
        ctx.reply(ticket, GroupReply::Join(self.join_response(id)));
    }

    fn join_response(&self, id: &Arc<str>) -> JoinGroupResponse {
        let protocol = self.protocol.as_deref().unwrap_or_default();
        let member = |(id, member): (&Arc<str>, &ClassicMember)| JoinGroupResponseMember {
            member_id: id.to_string(),
            group_instance_id: member.instance_id.clone(),
            metadata: member.metadata(protocol),
        };
        let members = if self.is_leader(id) { self.members.iter().map(member).collect() } else { Vec::new() };
        JoinGroupResponse {
            generation_id: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol.clone(),
            leader: self.leader.as_deref().unwrap_or_default().to_owned(),
            member_id: id.to_string(),
            members,
            ..Default::default()
        }
    }
}
