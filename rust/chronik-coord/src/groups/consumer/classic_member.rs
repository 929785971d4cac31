//! Members of a group of the newer protocol that speak the classic one: JoinGroup, SyncGroup, Heartbeat and LeaveGroup.
//!
//! Behaviour: joining says what a heartbeat of the newer protocol would, and is answered at once with the member's epoch as
//! generation; syncing fetches what the coordinator assigned; 27 asks it to join again whenever there is a step to take.
//! Such a member never leads.

use std::sync::Arc;

use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::consumer_protocol::ConsumerProtocolSubscription;
use chronik_wire::messages::group_records::ConsumerGroupMemberMetadataValue;
use chronik_wire::messages::leave_group::MemberIdentity;
use chronik_wire::messages::{
    HeartbeatRequest, HeartbeatResponse, JoinGroupResponse, SyncGroupRequest, SyncGroupResponse,
};

use super::{heartbeat, restart_session, subscribe, update};
use crate::coordinator::{Moment, Output, Ticket};
use crate::groups::classic::{JoinRequest, join_error, sync_error};
use crate::groups::consumer_protocol;
use crate::groups::context::Context;
use crate::groups::machine::{Classics, Groups};
use crate::groups::migrate;
use crate::groups::request::GroupReply;
use crate::groups::state::{ConsumerGroup, Member, MemberState};
use crate::groups::timers::Timer;

impl Groups {
    /// A classic client joins a group of the newer protocol.
    pub(crate) fn join_as_classic(
        &mut self,
        group: &Arc<str>,
        request: JoinRequest,
        moment: Moment,
    ) -> Output<GroupReply> {
        self.step(moment, |ctx, classics| {
            if becomes_classic(ctx, classics, group, &request) {
                migrate::join_classic(ctx, classics, group, request);
                return;
            }
            let ticket = request.ticket;
            let reply = match join(ctx, group, request) {
                Ok(response) => GroupReply::Join(response),
                Err((member_id, error)) => join_error(&member_id, error),
            };
            ctx.reply(ticket, reply);
        })
    }

    /// A classic member fetches its assignment.
    pub(crate) fn sync_as_classic(
        &mut self,
        group: &Arc<str>,
        ticket: Ticket,
        request: &SyncGroupRequest,
        moment: Moment,
    ) -> Output<GroupReply> {
        self.step(moment, |ctx, _| {
            let reply = match sync(ctx, group, request) {
                Ok(response) => GroupReply::Sync(response),
                Err(error) => sync_error(error),
            };
            ctx.reply(ticket, reply);
        })
    }

    /// A classic member says that it lives, and learns whether it has to join again.
    pub(crate) fn heartbeat_as_classic(
        &mut self,
        group: &Arc<str>,
        ticket: Ticket,
        request: &HeartbeatRequest,
        moment: Moment,
    ) -> Output<GroupReply> {
        self.step(moment, |ctx, _| {
            let error_code = live(ctx, group, request).err().unwrap_or(ErrorCode::NONE);
            let response = HeartbeatResponse { error_code, ..Default::default() };
            ctx.reply(ticket, GroupReply::Heartbeat(response));
        })
    }

    /// Classic members leave, or are put out by an administrator. One error each, in order.
    pub(crate) fn leave_as_classic(
        &mut self,
        group: &Arc<str>,
        leaving: &[MemberIdentity],
        moment: Moment,
    ) -> (Output<GroupReply>, Vec<ErrorCode>) {
        let mut results = Vec::new();
        let output = self.step(moment, |ctx, classics| {
            let Some(consumer) = ctx.state.consumer(group) else { return };
            let mut gone: Vec<Arc<str>> = Vec::new();
            for one in leaving {
                gone.extend(leaving_member(consumer, one).filter(|id| !gone.contains(id)));
            }
            results = leaving.iter().map(|one| leave_result(consumer, one)).collect();
            if !gone.is_empty() {
                super::remove_members(ctx, classics, group, &gone);
            }
        });
        (output, results)
    }
}

/// Whether the group is, or now becomes, a classic one before the client joins: it has no members, or the client is the
/// next process of the last static member that spoke the newer protocol.
fn becomes_classic(
    ctx: &mut Context<'_>,
    classics: &mut Classics,
    group: &Arc<str>,
    request: &JoinRequest,
) -> bool {
    let Some(consumer) = ctx.state.consumer(group) else { return true };
    if consumer.members.is_empty() {
        migrate::make_room_for_classic(ctx, group);
        return true;
    }
    let former = request.instance_id.as_deref().and_then(|instance_id| consumer.static_member(instance_id));
    let Some(former) = former.filter(|(_, member)| !member.is_classic()).map(|(id, _)| id.clone()) else {
        return false;
    };
    let leaving = [former];
    if migrate::downgrades_without(ctx, group, &leaving) {
        migrate::to_classic(ctx, classics, group, &leaving);
        return true;
    }
    false
}

fn join(
    ctx: &mut Context<'_>,
    group: &Arc<str>,
    request: JoinRequest,
) -> Result<JoinGroupResponse, (String, ErrorCode)> {
    let Some(consumer) = ctx.state.consumer(group) else { return Ok(JoinGroupResponse::default()) };
    let refused = |error: ErrorCode| (request.member_id.clone(), error);
    let known = consumer.members.contains_key(request.member_id.as_str());
    if !known && consumer.members.len() >= ctx.config.consumer.members_max {
        return Err((String::new(), ErrorCode::GROUP_MAX_SIZE_REACHED));
    }
    let subscription =
        subscription(consumer, &request).ok_or_else(|| refused(ErrorCode::INCONSISTENT_GROUP_PROTOCOL))?;
    let former = request.instance_id.as_deref().and_then(|instance_id| consumer.static_member(instance_id));
    let former = former.map(|(id, _)| id.clone());
    let new = request.member_id.is_empty();
    match &former {
        Some(present) if !new && **present != *request.member_id => {
            return Err(refused(ErrorCode::FENCED_INSTANCE_ID));
        }
        None if !new && request.instance_id.is_some() => {
            return Err(refused(ErrorCode::UNKNOWN_MEMBER_ID));
        }
        _ => {}
    }
    let id: Arc<str> = if new {
        let id = request.new_member_id(ctx);
        if request.must_return() {
            return Err((id, ErrorCode::MEMBER_ID_REQUIRED));
        }
        id.into()
    } else {
        request.member_id.as_str().into()
    };
    if let Some(former) = former.filter(|former| *former != id) {
        heartbeat::move_in(ctx, group, &former, &id);
    }
    let owned = migrate::ids_of(&ctx.config.topics, &subscription.owned_partitions);
    let protocol_name = request.protocols.first().map(|(name, _)| name.clone());
    let (session_timeout_ms, rebalance_timeout_ms) =
        (request.session_timeout_ms, request.rebalance_timeout_ms);
    let wanted = ConsumerGroupMemberMetadataValue {
        classic_member_metadata: Some(migrate::classic_metadata(session_timeout_ms, &request.protocols)),
        instance_id: request.instance_id,
        rack_id: subscription.rack_id,
        client_id: request.client_id,
        client_host: request.client_host,
        subscribed_topic_names: migrate::sorted(subscription.topics),
        subscribed_topic_regex: None,
        rebalance_timeout_ms,
        server_assignor: None,
    };
    update::update(ctx, group, &id, wanted, Some(&owned)).map_err(|error| (id.to_string(), error))?;
    restart_session(ctx, group, &id);
    ctx.timers.cancel(group, Timer::ClassicJoin(id.clone()));
    ctx.set_timer(group, Timer::ClassicSync(id.clone()), i64::from(rebalance_timeout_ms));
    let member = ctx.state.consumer(group).and_then(|consumer| consumer.members.get(&id));
    Ok(JoinGroupResponse {
        generation_id: member.map_or(-1, |member| member.epoch),
        protocol_type: Some(consumer_protocol::PROTOCOL_TYPE.to_owned()),
        protocol_name,
        member_id: id.to_string(),
        ..Default::default()
    })
}

/// What a classic client wants; `None` if it is no consumer, or shares no protocol with the other classic members.
fn subscription(consumer: &ConsumerGroup, request: &JoinRequest) -> Option<ConsumerProtocolSubscription> {
    if request.protocol_type != consumer_protocol::PROTOCOL_TYPE {
        return None;
    }
    let others = consumer.members.iter().filter(|(id, _)| ***id != *request.member_id);
    let offers: Vec<_> =
        others.filter_map(|(_, member)| member.metadata.classic_member_metadata.as_ref()).collect();
    let shared = |name: &str| {
        offers.iter().all(|offer| offer.supported_protocols.iter().any(|protocol| protocol.name == name))
    };
    if !request.protocols.iter().any(|(name, _)| shared(name)) {
        return None;
    }
    request.protocols.first().and_then(|(_, metadata)| consumer_protocol::subscription(metadata))
}

/// The classic member that a request names.
fn classic_member<'a>(
    consumer: &'a ConsumerGroup,
    member_id: &str,
    instance_id: Option<&str>,
) -> Result<(&'a Arc<str>, &'a Member), ErrorCode> {
    if let Some(instance_id) = instance_id {
        let (present, _) = consumer.static_member(instance_id).ok_or(ErrorCode::UNKNOWN_MEMBER_ID)?;
        if **present != *member_id {
            return Err(ErrorCode::FENCED_INSTANCE_ID);
        }
    }
    let member = consumer.members.get_key_value(member_id);
    member.filter(|(_, member)| member.is_classic()).ok_or(ErrorCode::UNKNOWN_MEMBER_ID)
}

fn sync(
    ctx: &mut Context<'_>,
    group: &Arc<str>,
    request: &SyncGroupRequest,
) -> Result<SyncGroupResponse, ErrorCode> {
    let consumer = ctx.state.consumer(group).ok_or(ErrorCode::UNKNOWN_MEMBER_ID)?;
    let (id, member) = classic_member(consumer, &request.member_id, request.group_instance_id.as_deref())?;
    if request.generation_id != member.epoch {
        return Err(ErrorCode::ILLEGAL_GENERATION);
    }
    let classic = member.metadata.classic_member_metadata.as_ref();
    let protocol = classic.and_then(|classic| classic.supported_protocols.first());
    let protocol_name = protocol.map(|protocol| protocol.name.clone());
    let protocol_type = Some(consumer_protocol::PROTOCOL_TYPE.to_owned());
    let differs = |said: &Option<String>, is: &Option<String>| said.is_some() && said != is;
    if differs(&request.protocol_type, &protocol_type) || differs(&request.protocol_name, &protocol_name) {
        return Err(ErrorCode::INCONSISTENT_GROUP_PROTOCOL);
    }
    let id = id.clone();
    // Who has to give up partitions first learns which; everybody else joins the newer epoch at once.
    if consumer.epoch > member.epoch && member.state != MemberState::UnrevokedPartitions {
        expect_join(ctx, group, &id);
        return Err(ErrorCode::REBALANCE_IN_PROGRESS);
    }
    let assignment = migrate::assignment_bytes(&ctx.config.topics, member);
    ctx.timers.cancel(group, Timer::ClassicSync(id.clone()));
    restart_session(ctx, group, &id);
    Ok(SyncGroupResponse { protocol_type, protocol_name, assignment, ..Default::default() })
}

fn live(ctx: &mut Context<'_>, group: &Arc<str>, request: &HeartbeatRequest) -> Result<(), ErrorCode> {
    let consumer = ctx.state.consumer(group).ok_or(ErrorCode::UNKNOWN_MEMBER_ID)?;
    let (id, member) = classic_member(consumer, &request.member_id, request.group_instance_id.as_deref())?;
    if request.generation_id != member.epoch {
        return Err(ErrorCode::ILLEGAL_GENERATION);
    }
    let id = id.clone();
    restart_session(ctx, group, &id);
    // A classic member alone would never notice that its topics have grown.
    update::raise_epoch_if_changed(ctx, group, false);
    let Some(consumer) = ctx.state.consumer(group) else { return Ok(()) };
    let Some(member) = consumer.members.get(&id) else { return Ok(()) };
    let has_step = match member.state {
        MemberState::UnrevokedPartitions => true,
        MemberState::UnreleasedPartitions => !waits_for_others(ctx, consumer, &id, member),
        MemberState::Stable | MemberState::Unknown => false,
    };
    if has_step || consumer.epoch > member.epoch {
        expect_join(ctx, group, &id);
        return Err(ErrorCode::REBALANCE_IN_PROGRESS);
    }
    Ok(())
}

/// Whether everything a member is missing is still with others.
fn waits_for_others(ctx: &Context<'_>, consumer: &ConsumerGroup, id: &Arc<str>, member: &Member) -> bool {
    let subscribed = subscribe::subscribed_ids(&ctx.config.topics, consumer, member);
    let Some(target) = consumer.targets.get(id) else { return false };
    let missing = target.filtered(|topic, partition| {
        subscribed.contains(&topic) && !member.assigned.contains(topic, partition)
    });
    missing.iter().all(|(topic, partition)| consumer.owner(topic, partition).is_some_and(|owner| owner != id))
}

fn expect_join(ctx: &mut Context<'_>, group: &Arc<str>, id: &Arc<str>) {
    let timer = Timer::ClassicJoin(id.clone());
    if ctx.timers.is_set(group, timer.clone()) {
        return;
    }
    let member = ctx.state.consumer(group).and_then(|consumer| consumer.members.get(id));
    let timeout_ms = member.map_or(0, |member| i64::from(member.metadata.rebalance_timeout_ms));
    ctx.set_timer(group, timer, timeout_ms);
}

fn leave_result(consumer: &ConsumerGroup, leaving: &MemberIdentity) -> ErrorCode {
    match &leaving.group_instance_id {
        Some(instance_id) => match consumer.static_member(instance_id) {
            None => ErrorCode::UNKNOWN_MEMBER_ID,
            Some((present, _)) if !leaving.member_id.is_empty() && **present != *leaving.member_id => {
                ErrorCode::FENCED_INSTANCE_ID
            }
            Some(_) => ErrorCode::NONE,
        },
        None if consumer.members.contains_key(leaving.member_id.as_str()) => ErrorCode::NONE,
        None => ErrorCode::UNKNOWN_MEMBER_ID,
    }
}

fn leaving_member(consumer: &ConsumerGroup, leaving: &MemberIdentity) -> Option<Arc<str>> {
    if leave_result(consumer, leaving) != ErrorCode::NONE {
        return None;
    }
    let present = match &leaving.group_instance_id {
        Some(instance_id) => consumer.static_member(instance_id).map(|(id, _)| id),
        None => consumer.members.get_key_value(leaving.member_id.as_str()).map(|(id, _)| id),
    };
    present.cloned()
}
