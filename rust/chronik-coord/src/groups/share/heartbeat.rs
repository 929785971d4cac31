//! ShareGroupHeartbeat, version 1.
//!
//! Behaviour: with epoch 0 a member joins, and names the topics it wants; with its epoch it says what has changed; -1
//! leaves. The answer has an assignment when it changed, or the topics were named. A lost answer is healed: the epoch before
//! is accepted too. Partitions that nobody has read yet get an account first; what the share coordinators are to do for that
//! leaves with the answer.

use std::sync::Arc;

use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::group_records::ShareGroupMemberMetadataValue;
use chronik_wire::messages::share_group_heartbeat::{Assignment, TopicPartitions};
use chronik_wire::messages::{ShareGroupHeartbeatRequest, ShareGroupHeartbeatResponse};

use super::record::ShareGroupRecord;
use super::{accounts, restart_session, update};
use crate::coordinator::{Moment, Output, Ticket};
use crate::groups::context::Context;
use crate::groups::limits;
use crate::groups::machine::{Classics, Groups};
use crate::groups::migrate;
use crate::groups::record::GroupRecord;
use crate::groups::request::{Caller, GroupReply, ShareBeginning};
use crate::groups::state::{ShareGroup, ShareMember};
use crate::groups::timers::Timer;

/// Joins.
const JOIN: i32 = 0;
/// Leaves.
const LEAVE: i32 = -1;

/// A refusal with words for whoever reads the client's log.
type Refusal = (ErrorCode, String);

fn refused(error: ErrorCode, message: impl Into<String>) -> Refusal {
    (error, message.into())
}

impl Groups {
    /// A member of a share group speaks.
    pub(crate) fn share_heartbeat(
        &mut self,
        ticket: Ticket,
        request: &ShareGroupHeartbeatRequest,
        caller: &Caller,
        moment: Moment,
    ) -> Output<GroupReply> {
        self.step(moment, |ctx, classics| {
            let result = check(request).and_then(|()| match request.member_epoch {
                LEAVE => leave(ctx, request).map(|response| (response, None)),
                _ => heartbeat(ctx, classics, request, caller),
            });
            let (response, begin) = result.unwrap_or_else(|(error_code, message)| {
                let error_message = Some(message);
                (ShareGroupHeartbeatResponse { error_code, error_message, ..Default::default() }, None)
            });
            ctx.reply(ticket, GroupReply::ShareHeartbeat { response, begin });
        })
    }

    /// A member of a share group was silent for too long.
    pub(crate) fn on_share_timer(
        &mut self,
        group: &Arc<str>,
        timer: &Timer,
        moment: Moment,
    ) -> Output<GroupReply> {
        let Timer::Session(id) = timer else { return Output::default() };
        self.step(moment, |ctx, _| remove(ctx, group, id))
    }
}

fn check(request: &ShareGroupHeartbeatRequest) -> Result<(), Refusal> {
    let invalid = |message: &str| Err(refused(ErrorCode::INVALID_REQUEST, message));
    if request.member_id.is_empty() {
        return invalid("the member id is empty");
    }
    if request.group_id.is_empty() {
        return invalid("the group id is empty");
    }
    if request.rack_id.as_deref() == Some("") {
        return invalid("a rack that is given must not be empty");
    }
    let rack_bytes = request.rack_id.as_ref().map_or(0, String::len);
    if request.member_id.len() > limits::NAME_BYTES_MAX || rack_bytes > limits::CLIENT_BYTES_MAX {
        return invalid("the member id is longer than 4096 bytes, or the rack longer than 2048");
    }
    let names = request.subscribed_topic_names.as_deref().unwrap_or_default();
    if request.member_epoch < LEAVE {
        return invalid("the member epoch is below -1");
    }
    if request.member_epoch == JOIN && names.is_empty() {
        return invalid("who joins must subscribe to topics");
    }
    if names.iter().map(String::len).sum::<usize>() > limits::MEMBER_METADATA_BYTES_MAX {
        return invalid("the topic names take more than 1 MiB");
    }
    Ok(())
}

fn heartbeat(
    ctx: &mut Context<'_>,
    classics: &Classics,
    request: &ShareGroupHeartbeatRequest,
    caller: &Caller,
) -> Result<(ShareGroupHeartbeatResponse, Option<ShareBeginning>), Refusal> {
    let group: Arc<str> = Arc::from(request.group_id.as_str());
    let id: Arc<str> = Arc::from(request.member_id.as_str());
    let nobody = ShareGroup::default();
    let share = find_group(ctx, classics, &group, request.member_epoch == JOIN)?.unwrap_or(&nobody);
    let known = share.members.get(&id);
    if known.is_none() && share.members.len() >= ctx.config.share.members_max {
        let message = "the share group has all the members it may have";
        return Err(refused(ErrorCode::GROUP_MAX_SIZE_REACHED, message));
    }
    check_epoch(&id, known, request.member_epoch)?;
    let before = known.map(|member| member.assigned.clone());
    let wanted = wanted(known, request, caller);
    let known = known.map(|member| &member.metadata);
    let resubscribed =
        known.is_none_or(|known| known.subscribed_topic_names != wanted.subscribed_topic_names);
    if known != Some(&wanted) {
        write_member(ctx, &group, &id, wanted)?;
    }
    update::raise_epoch_if_changed(ctx, &group, resubscribed);
    update::assign_if_behind(ctx, &group);
    update::reconcile(ctx, &group, &id);
    let begin = accounts::begin(ctx, &group);
    restart_session(ctx, &group, &id);
    let mut response = response(ctx, &group, &id)?;
    let now = ctx.state.share(&group).and_then(|share| share.members.get(&id));
    let changed = before.as_ref() != now.map(|member| &member.assigned);
    if !(changed || request.member_epoch == JOIN || request.subscribed_topic_names.is_some()) {
        response.assignment = None;
    }
    Ok((response, begin))
}

/// The share group of a name; `None` if there is none and this member makes it.
fn find_group<'a>(
    ctx: &'a Context<'_>,
    classics: &Classics,
    group: &Arc<str>,
    joins: bool,
) -> Result<Option<&'a ShareGroup>, Refusal> {
    if let Some(share) = ctx.state.share(group) {
        return Ok(Some(share));
    }
    let not_found = |why: &str| Err(refused(ErrorCode::GROUP_ID_NOT_FOUND, format!("group {group}: {why}")));
    if ctx.state.group(group).is_some() || classics.contains_key(group) {
        return not_found("it is no share group");
    }
    if !joins {
        return not_found("there is no such share group; join it with epoch 0");
    }
    migrate::check_room(ctx, classics)?;
    Ok(None)
}

fn check_epoch(id: &Arc<str>, known: Option<&ShareMember>, epoch: i32) -> Result<(), Refusal> {
    if epoch == JOIN {
        return Ok(());
    }
    let Some(known) = known else {
        let message = format!("the group has no member {id}; join again");
        return Err(refused(ErrorCode::UNKNOWN_MEMBER_ID, message));
    };
    // An answer with the newer epoch may have been lost.
    if epoch == known.epoch || epoch == known.previous_epoch {
        return Ok(());
    }
    let message =
        format!("the member's epoch is {}; give up all partitions and join with epoch 0", known.epoch);
    Err(refused(ErrorCode::FENCED_MEMBER_EPOCH, message))
}

/// What the member is from now on: what it does not say stays.
fn wanted(
    known: Option<&ShareMember>,
    request: &ShareGroupHeartbeatRequest,
    caller: &Caller,
) -> ShareGroupMemberMetadataValue {
    let known = known.map(|member| member.metadata.clone()).unwrap_or_default();
    let names = request.subscribed_topic_names.clone().map(migrate::sorted);
    ShareGroupMemberMetadataValue {
        rack_id: request.rack_id.clone().or(known.rack_id),
        client_id: caller.client_id.clone(),
        client_host: caller.client_host.clone(),
        subscribed_topic_names: names.unwrap_or(known.subscribed_topic_names),
    }
}

fn write_member(
    ctx: &mut Context<'_>,
    group: &Arc<str>,
    id: &Arc<str>,
    wanted: ShareGroupMemberMetadataValue,
) -> Result<(), Refusal> {
    let value = Some(wanted);
    let record: GroupRecord =
        ShareGroupRecord::Member { group: group.clone(), member: id.clone(), value }.into();
    if record.encode().bytes() > limits::RECORD_BYTES_MAX {
        return Err(refused(ErrorCode::INVALID_REQUEST, "no record can hold what the member wants"));
    }
    ctx.write(record);
    Ok(())
}

/// What a member is told, assignment included.
pub(super) fn response(
    ctx: &Context<'_>,
    group: &Arc<str>,
    id: &Arc<str>,
) -> Result<ShareGroupHeartbeatResponse, Refusal> {
    let member = ctx.state.share(group).and_then(|share| share.members.get(id));
    let Some(member) = member else {
        return Err(refused(ErrorCode::UNKNOWN_MEMBER_ID, "the member is gone; join again"));
    };
    let topics = member.assigned.topics().map(|(topic_id, partitions)| TopicPartitions {
        topic_id,
        partitions: partitions.iter().copied().collect(),
    });
    Ok(ShareGroupHeartbeatResponse {
        member_id: Some(id.to_string()),
        member_epoch: member.epoch,
        heartbeat_interval_ms: ctx.config.share_heartbeat_interval_ms(group),
        assignment: Some(Assignment { topic_partitions: topics.collect() }),
        ..Default::default()
    })
}

fn leave(
    ctx: &mut Context<'_>,
    request: &ShareGroupHeartbeatRequest,
) -> Result<ShareGroupHeartbeatResponse, Refusal> {
    let group: Arc<str> = Arc::from(request.group_id.as_str());
    let id: Arc<str> = Arc::from(request.member_id.as_str());
    let Some(share) = ctx.state.share(&group) else {
        return Err(refused(ErrorCode::GROUP_ID_NOT_FOUND, format!("there is no share group {group}")));
    };
    if !share.members.contains_key(&id) {
        return Err(refused(ErrorCode::UNKNOWN_MEMBER_ID, format!("the group has no member {id}")));
    }
    remove(ctx, &group, &id);
    Ok(ShareGroupHeartbeatResponse {
        member_id: Some(request.member_id.clone()),
        member_epoch: request.member_epoch,
        ..Default::default()
    })
}

/// Takes a member out of its group.
fn remove(ctx: &mut Context<'_>, group: &Arc<str>, id: &Arc<str>) {
    let Some(share) = ctx.state.share(group).filter(|share| share.members.contains_key(id)) else { return };
    let has_target = share.targets.contains_key(id);
    let (name, member) = (|| group.clone(), || id.clone());
    ctx.write(ShareGroupRecord::Current { group: name(), member: member(), value: None }.into());
    if has_target {
        ctx.write(ShareGroupRecord::Target { group: name(), member: member(), value: None }.into());
    }
    ctx.write(ShareGroupRecord::Member { group: name(), member: member(), value: None }.into());
    ctx.timers.cancel(group, Timer::Session(id.clone()));
    update::raise_epoch_if_changed(ctx, group, true);
}
