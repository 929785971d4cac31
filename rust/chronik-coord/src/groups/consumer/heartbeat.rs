//! ConsumerGroupHeartbeat, versions 0-1.
//!
//! Behaviour: with epoch 0 a member joins, and names all it wants; with its epoch it says what has changed; -1 leaves for
//! good, -2 leaves a static member's place open for its next process. The answer has an assignment when it changed or was
//! asked for. A lost answer is healed: the epoch before is accepted from who has no more than it was given.
//! Versions: 1 patterns, and ids made by the client.

use std::collections::BTreeSet;
use std::sync::Arc;

use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::consumer_group_heartbeat::{Assignment, TopicPartitions};
use chronik_wire::messages::group_records::ConsumerGroupMemberMetadataValue;
use chronik_wire::messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse};

use super::{restart_session, update};
use crate::coordinator::{Moment, Output, Ticket};
use crate::groups::context::Context;
use crate::groups::limits;
use crate::groups::machine::{Classics, Groups};
use crate::groups::migrate;
use crate::groups::partitions::Partitions;
use crate::groups::record::GroupRecord;
use crate::groups::request::{Caller, GroupReply};
use crate::groups::state::{Member, MemberState};
use crate::pattern::Pattern;

/// Joins.
const JOIN: i32 = 0;
/// Leaves for good.
const LEAVE: i32 = -1;
/// Leaves, and will be back under the same static id.
pub(super) const LEAVE_STATIC: i32 = -2;
/// The first version whose clients make their ids themselves.
const MEMBER_ID_FROM: i16 = 1;

/// A refusal with words for whoever reads the client's log.
pub(super) type Refusal = (ErrorCode, String);

pub(super) fn refused(error: ErrorCode, message: impl Into<String>) -> Refusal {
    (error, message.into())
}

impl Groups {
    /// A member of the newer protocol speaks.
    pub(crate) fn consumer_heartbeat(
        &mut self,
        ticket: Ticket,
        mut request: ConsumerGroupHeartbeatRequest,
        caller: Caller,
        moment: Moment,
    ) -> Output<GroupReply> {
        self.step(moment, |ctx, classics| {
            if request.member_id.is_empty() && request.member_epoch == JOIN && caller.version < MEMBER_ID_FROM
            {
                request.member_id = ctx.new_uuid();
            }
            let result = check(ctx, &request).and_then(|()| match request.member_epoch {
                LEAVE | LEAVE_STATIC => super::leave::leave(ctx, classics, &request),
                _ => heartbeat(ctx, classics, &request, &caller),
            });
            let response = result.unwrap_or_else(|(error_code, message)| ConsumerGroupHeartbeatResponse {
                error_code,
                error_message: Some(message),
                ..Default::default()
            });
            ctx.reply(ticket, GroupReply::ConsumerHeartbeat(response));
        })
    }
}

fn check(ctx: &Context<'_>, request: &ConsumerGroupHeartbeatRequest) -> Result<(), Refusal> {
    let invalid = |message: &str| Err(refused(ErrorCode::INVALID_REQUEST, message));
    if !ctx.config.consumer.enabled {
        let message = "this broker speaks only the classic protocol of groups";
        return Err(refused(ErrorCode::UNSUPPORTED_VERSION, message));
    }
    if request.group_id.is_empty() {
        return invalid("the group id is empty");
    }
    if request.member_id.is_empty() {
        return invalid("the member id is empty");
    }
    let optional = [&request.instance_id, &request.rack_id];
    if optional.iter().any(|one| one.as_deref() == Some("")) {
        return invalid("an instance id or rack that is given must not be empty");
    }
    let too_long =
        |one: &Option<String>| one.as_ref().is_some_and(|one| one.len() > limits::CLIENT_BYTES_MAX);
    if optional.into_iter().any(too_long) || request.member_id.len() > limits::NAME_BYTES_MAX {
        return invalid(
            "the member id is longer than 4096 bytes, or the instance id or rack longer than 2048",
        );
    }
    match request.member_epoch {
        ..LEAVE_STATIC => return invalid("the member epoch is below -2"),
        LEAVE_STATIC if request.instance_id.is_none() => {
            return invalid("epoch -2 is for static members, and the instance id is missing");
        }
        JOIN => check_join(request)?,
        _ => {}
    }
    if let Some(name) = &request.server_assignor
        && !ctx.config.consumer.assignors.contains(name)
    {
        let known = ctx.config.consumer.assignors.join(", ");
        let message = format!("there is no assignor {name}; the broker has {known}");
        return Err(refused(ErrorCode::UNSUPPORTED_ASSIGNOR, message));
    }
    let names_bytes: usize = request.subscribed_topic_names.iter().flatten().map(String::len).sum();
    if names_bytes > limits::MEMBER_METADATA_BYTES_MAX {
        return invalid("the topic names take more than 1 MiB");
    }
    Ok(())
}

fn check_join(request: &ConsumerGroupHeartbeatRequest) -> Result<(), Refusal> {
    let invalid = |message: &str| Err(refused(ErrorCode::INVALID_REQUEST, message));
    if request.rebalance_timeout_ms == -1 {
        return invalid("the first heartbeat must name the rebalance time-out");
    }
    if !request.topic_partitions.as_ref().is_some_and(Vec::is_empty) {
        return invalid("who joins has no partitions and must say so");
    }
    let names = request.subscribed_topic_names.as_ref().is_some_and(|names| !names.is_empty());
    let pattern = request.subscribed_topic_regex.as_ref().is_some_and(|pattern| !pattern.is_empty());
    if !names && !pattern {
        return invalid("who joins must subscribe to topics, by name or by pattern");
    }
    Ok(())
}

fn heartbeat(
    ctx: &mut Context<'_>,
    classics: &mut Classics,
    request: &ConsumerGroupHeartbeatRequest,
    caller: &Caller,
) -> Result<ConsumerGroupHeartbeatResponse, Refusal> {
    let group: Arc<str> = Arc::from(request.group_id.as_str());
    let id: Arc<str> = Arc::from(request.member_id.as_str());
    let owned = request.topic_partitions.as_ref().map(|lists| {
        Partitions::from_lists(lists.iter().map(|list| (list.topic_id, list.partitions.as_slice())))
    });
    if let Some(pattern) = request.subscribed_topic_regex.as_deref().filter(|pattern| !pattern.is_empty())
        && Pattern::new(pattern).is_none()
    {
        let message = "the pattern is no regular expression, or larger than allowed";
        return Err(refused(ErrorCode::INVALID_REGULAR_EXPRESSION, message));
    }
    let joins = request.member_epoch == JOIN;
    migrate::to_consumer(ctx, classics, &group, joins)?;
    let place = find_place(ctx, &group, &id, request, owned.as_ref())?;
    if let Place::Of(former) = &place {
        move_in(ctx, &group, former, &id);
    }
    let before = ctx.state.consumer(&group).and_then(|consumer| consumer.members.get(&id));
    let before_assigned = before.map(|member| member.assigned.clone());
    let wanted = wanted(before, request, caller);
    update::update(ctx, &group, &id, wanted, owned.as_ref())
        .map_err(|error| refused(error, "the member has to give up its partitions and join again"))?;
    restart_session(ctx, &group, &id);
    let member = ctx.state.consumer(&group).and_then(|consumer| consumer.members.get(&id));
    let Some(member) = member else {
        return Err(refused(ErrorCode::UNKNOWN_MEMBER_ID, "the member is gone; join again"));
    };
    let is_full = request.rebalance_timeout_ms != -1
        && (request.subscribed_topic_names.is_some() || request.subscribed_topic_regex.is_some())
        && request.topic_partitions.is_some();
    let tells = joins || is_full || before_assigned.as_ref() != Some(&member.assigned);
    Ok(ConsumerGroupHeartbeatResponse {
        member_id: Some(id.to_string()),
        member_epoch: member.epoch,
        heartbeat_interval_ms: ctx.config.consumer_heartbeat_interval_ms(&group),
        assignment: tells.then(|| assignment(member)),
        ..Default::default()
    })
}

/// Where a member stands in its group when it speaks.
enum Place {
    /// It is there.
    Own,
    /// There is room for it.
    New,
    /// It takes the place of its static former self.
    Of(Arc<str>),
}

fn find_place(
    ctx: &Context<'_>,
    group: &Arc<str>,
    id: &Arc<str>,
    request: &ConsumerGroupHeartbeatRequest,
    owned: Option<&Partitions>,
) -> Result<Place, Refusal> {
    let joins = request.member_epoch == JOIN;
    let consumer = ctx.state.consumer(group);
    let unknown =
        || refused(ErrorCode::UNKNOWN_MEMBER_ID, format!("the group has no member {id}; join again"));
    let known = consumer.and_then(|consumer| consumer.members.get(id));
    let holder = request
        .instance_id
        .as_deref()
        .and_then(|instance_id| consumer.and_then(|consumer| consumer.static_member(instance_id)));
    let place = match (&request.instance_id, holder, known) {
        (Some(instance_id), Some((present, holder)), _) if joins => {
            if holder.epoch != LEAVE_STATIC && !holder.is_classic() {
                let message = format!("another member still uses the instance id {instance_id}");
                return Err(refused(ErrorCode::UNRELEASED_INSTANCE_ID, message));
            }
            if present == id { Place::Own } else { Place::Of(present.clone()) }
        }
        (Some(instance_id), Some((present, _)), _) if present != id => {
            let message = format!("another member has taken over the instance id {instance_id}");
            return Err(refused(ErrorCode::FENCED_INSTANCE_ID, message));
        }
        (Some(_), None, _) if !joins => return Err(unknown()),
        (_, _, Some(_)) => Place::Own,
        (_, _, None) if joins => Place::New,
        (_, _, None) => return Err(unknown()),
    };
    if let (false, Some(member)) = (joins, known) {
        check_epoch(member, request.member_epoch, owned)?;
    }
    let members = consumer.map_or(0, |consumer| consumer.members.len());
    if matches!(place, Place::New) && members >= ctx.config.consumer.members_max {
        let message = format!("the group has all the {members} members it may have");
        return Err(refused(ErrorCode::GROUP_MAX_SIZE_REACHED, message));
    }
    Ok(place)
}

/// Who may speak with which epoch. The one before is accepted from who has no more than it was given: an answer was lost.
fn check_epoch(member: &Member, epoch: i32, owned: Option<&Partitions>) -> Result<(), Refusal> {
    if epoch == member.epoch {
        return Ok(());
    }
    let retries = epoch == member.previous_epoch
        && epoch < member.epoch
        && owned.is_some_and(|owned| owned.is_subset(&member.assigned));
    if retries {
        return Ok(());
    }
    let message = format!("epoch {epoch} is not the member's, which is {}; join again", member.epoch);
    Err(refused(ErrorCode::FENCED_MEMBER_EPOCH, message))
}

/// A static member's next process gets what the former one had, under its new id.
pub(super) fn move_in(ctx: &mut Context<'_>, group: &Arc<str>, former: &Arc<str>, id: &Arc<str>) {
    let Some(consumer) = ctx.state.consumer(group) else { return };
    let Some(member) = consumer.members.get(former) else { return };
    let mut moved = Member { epoch: JOIN, previous_epoch: JOIN, ..member.clone() };
    // Whoever had to give partitions up is gone, and so has given them up.
    moved.revoking = Partitions::default();
    moved.state = MemberState::Stable;
    let target = consumer.targets.get(former).cloned();
    super::leave::write_tombstones(ctx, group, former);
    super::cancel_timers(ctx, group, former);
    let (group, member) = (group.clone(), id.clone());
    let value = Some(moved.metadata.clone());
    ctx.write(GroupRecord::Member { group: group.clone(), member: member.clone(), value });
    if let Some(target) = target {
        let value = Some(super::update::target_record(&target));
        ctx.write(GroupRecord::Target { group: group.clone(), member: member.clone(), value });
    }
    ctx.write(GroupRecord::Current { group, member, value: Some(moved.to_record()) });
}

/// What a member wants from now on: what it did, but for what it says.
fn wanted(
    known: Option<&Member>,
    request: &ConsumerGroupHeartbeatRequest,
    caller: &Caller,
) -> ConsumerGroupMemberMetadataValue {
    let mut wanted = known.map(|member| member.metadata.clone()).unwrap_or_default();
    wanted.client_id.clone_from(&caller.client_id);
    wanted.client_host.clone_from(&caller.client_host);
    wanted.classic_member_metadata = None;
    if request.instance_id.is_some() {
        wanted.instance_id.clone_from(&request.instance_id);
    }
    if request.rack_id.is_some() {
        wanted.rack_id.clone_from(&request.rack_id);
    }
    if request.rebalance_timeout_ms != -1 {
        wanted.rebalance_timeout_ms = request.rebalance_timeout_ms;
    }
    if request.server_assignor.is_some() {
        wanted.server_assignor.clone_from(&request.server_assignor);
    }
    if let Some(names) = &request.subscribed_topic_names {
        wanted.subscribed_topic_names.clone_from(names);
        wanted.subscribed_topic_names.sort();
        wanted.subscribed_topic_names.dedup();
    }
    if let Some(pattern) = &request.subscribed_topic_regex {
        wanted.subscribed_topic_regex = (!pattern.is_empty()).then(|| pattern.clone());
    }
    wanted
}

fn assignment(member: &Member) -> Assignment {
    let list = |(topic_id, partitions): (_, &BTreeSet<i32>)| TopicPartitions {
        topic_id,
        partitions: partitions.iter().copied().collect(),
    };
    Assignment { topic_partitions: member.assigned.topics().map(list).collect() }
}
