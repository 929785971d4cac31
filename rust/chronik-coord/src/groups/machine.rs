//! The leader's machine: hard state, members that wait, and deadlines, behind one door.
//!
//! Owns which protocol a call goes to, and the walk of a step: what it writes is applied to the hard state at once and
//! leaves in the output together with the replies.

use std::collections::BTreeMap;
use std::sync::Arc;

use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::leave_group::{MemberIdentity, MemberResponse};
use chronik_wire::messages::{
    HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, LeaveGroupRequest, LeaveGroupResponse,
    SyncGroupRequest,
};
use chronik_wire::types::Offset;

use super::classic::{ClassicGroup, JoinRequest, join_error, sync_error};
use super::config::GroupsConfig;
use super::context::{Context, Outcome};
use super::limits;
use super::offsets;
use super::request::{Caller, GroupCall, GroupReply, GroupRequest};
use super::state::{GroupsState, Membership};
use super::timers::{Timer, Timers};
use crate::coordinator::{Coordinator, CoordinatorState, Moment, OpenTransaction, Output, Ticket};
use crate::image::MetaImage;

/// Classic groups by name: all that have members or may get some.
pub(crate) type Classics = BTreeMap<Arc<str>, ClassicGroup>;

/// The machine of the leader of one partition of `__consumer_offsets`.
#[derive(Debug)]
pub struct Groups {
    config: GroupsConfig,
    state: GroupsState,
    classics: Classics,
    timers: Timers,
    looked_at: BTreeMap<Arc<str>, Offset>,
    accounts_asked: BTreeMap<Arc<str>, i64>,
    waiting: BTreeMap<Ticket, Arc<str>>,
    /// The broker clock at the last input.
    now_ms: i64,
    /// When to look for expired offsets next.
    expiry_due_ms: i64,
    /// The topics as they were when we last looked for deleted ones, and when to look again.
    topics_before: Option<(Arc<MetaImage>, i64)>,
}

impl Groups {
    /// The hard state, ahead of the log by what is not committed yet.
    pub fn state(&self) -> &GroupsState {
        &self.state
    }

    /// How many requests wait for an answer.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    pub(crate) fn config(&self) -> &GroupsConfig {
        &self.config
    }

    pub(crate) fn classics(&self) -> &Classics {
        &self.classics
    }

    pub(crate) fn classic(&self, name: &str) -> Option<&ClassicGroup> {
        self.classics.get(name)
    }

    /// Does one step, and says what it led to.
    pub(crate) fn step(
        &mut self,
        moment: Moment,
        step: impl FnOnce(&mut Context<'_>, &mut Classics),
    ) -> Output<GroupReply> {
        self.now_ms = moment.now_ms;
        let mut outcome = Outcome::default();
        let mut ctx = Context {
            config: &self.config,
            state: &mut self.state,
            timers: &mut self.timers,
            looked_at: &mut self.looked_at,
            accounts_asked: &mut self.accounts_asked,
            waiting: &mut self.waiting,
            outcome: &mut outcome,
            moment,
        };
        step(&mut ctx, &mut self.classics);
        outcome.into_output()
    }

    /// Does one step of a classic group, which is made if it is not there and dropped if nothing holds it.
    fn step_of_classic(
        &mut self,
        name: &Arc<str>,
        moment: Moment,
        step: impl FnOnce(&mut ClassicGroup, &mut Context<'_>),
    ) -> Output<GroupReply> {
        self.step(moment, |ctx, classics| in_classic(ctx, classics, name, |group, ctx| step(group, ctx)))
    }

    /// Whether there is a group of that name, of whatever kind.
    pub(crate) fn exists(&self, name: &str) -> bool {
        self.classics.contains_key(name) || self.state.group(name).is_some()
    }

    /// Whether a group reads a topic, as far as anybody can know.
    pub(crate) fn is_subscribed(&self, group: &str, topic: &str) -> bool {
        match (self.state.consumer(group), self.classic(group)) {
            (Some(consumer), _) => consumer.is_subscribed_to(topic),
            (None, Some(classic)) => classic.is_subscribed_to(topic),
            (None, None) => false,
        }
    }

    fn join(
        &mut self,
        ticket: Ticket,
        request: JoinGroupRequest,
        caller: Caller,
        moment: Moment,
    ) -> Output<GroupReply> {
        let name: Arc<str> = Arc::from(request.group_id.as_str());
        if let Err(error) = self.check_join(&name, &request) {
            return Output::reply(ticket, join_error(&request.member_id, error));
        }
        let request = joiner(ticket, request, caller);
        if self.state.consumer(&name).is_some() {
            return self.join_as_classic(&name, request, moment);
        }
        self.step_of_classic(&name, moment, |group, ctx| group.join(ctx, request))
    }

    fn check_join(&self, name: &Arc<str>, request: &JoinGroupRequest) -> Result<(), ErrorCode> {
        let classic = &self.config.classic;
        if !(classic.session_timeout_ms_min..=classic.session_timeout_ms_max)
            .contains(&request.session_timeout_ms)
        {
            return Err(ErrorCode::INVALID_SESSION_TIMEOUT);
        }
        let metadata_bytes: usize =
            request.protocols.iter().map(|one| one.name.len() + one.metadata.len()).sum();
        if request.protocols.len() > limits::PROTOCOLS_PER_MEMBER_MAX
            || metadata_bytes > limits::MEMBER_METADATA_BYTES_MAX
        {
            return Err(ErrorCode::INVALID_REQUEST);
        }
        if self.state.share(name).is_some() {
            return Err(ErrorCode::INCONSISTENT_GROUP_PROTOCOL);
        }
        let exists = self.exists(name);
        if !exists && !request.member_id.is_empty() {
            return Err(ErrorCode::UNKNOWN_MEMBER_ID);
        }
        if !exists && self.state.group_count() + self.classics.len() >= limits::GROUPS_MAX {
            return Err(ErrorCode::GROUP_MAX_SIZE_REACHED);
        }
        Ok(())
    }

    fn sync(&mut self, ticket: Ticket, request: SyncGroupRequest, moment: Moment) -> Output<GroupReply> {
        let name: Arc<str> = Arc::from(request.group_id.as_str());
        if self.state.consumer(&name).is_some() {
            return self.sync_as_classic(&name, ticket, &request, moment);
        }
        if !self.classics.contains_key(&name) {
            return Output::reply(ticket, sync_error(ErrorCode::UNKNOWN_MEMBER_ID));
        }
        self.step_of_classic(&name, moment, |group, ctx| group.sync(ctx, ticket, request))
    }

    fn heartbeat(
        &mut self,
        ticket: Ticket,
        request: &HeartbeatRequest,
        moment: Moment,
    ) -> Output<GroupReply> {
        let name: Arc<str> = Arc::from(request.group_id.as_str());
        let mut result = Err(ErrorCode::UNKNOWN_MEMBER_ID);
        if self.state.consumer(&name).is_some() {
            return self.heartbeat_as_classic(&name, ticket, request, moment);
        }
        self.step(moment, |ctx, classics| {
            if let Some(group) = classics.get(&name) {
                result = group.heartbeat(ctx, request);
            }
            let error_code = result.err().unwrap_or(ErrorCode::NONE);
            let response = HeartbeatResponse { error_code, ..Default::default() };
            ctx.reply(ticket, GroupReply::Heartbeat(response));
        })
    }

    fn leave(
        &mut self,
        ticket: Ticket,
        request: LeaveGroupRequest,
        caller: &Caller,
        moment: Moment,
    ) -> Output<GroupReply> {
        let name: Arc<str> = Arc::from(request.group_id.as_str());
        let batched = caller.version >= LEAVE_IN_BATCHES_FROM;
        let leaving = if batched {
            request.members
        } else {
            vec![MemberIdentity { member_id: request.member_id, ..Default::default() }]
        };
        let (output, results) = if self.state.consumer(&name).is_some() {
            self.leave_as_classic(&name, &leaving, moment)
        } else if self.classics.contains_key(&name) {
            let mut results = Vec::new();
            let output =
                self.step_of_classic(&name, moment, |group, ctx| results = group.leave(ctx, &leaving));
            (output, results)
        } else {
            (Output::default(), vec![ErrorCode::UNKNOWN_MEMBER_ID; leaving.len()])
        };
        let response = leave_response(leaving, &results, batched);
        output.and(Output::reply(ticket, GroupReply::Leave(response)))
    }

    fn refusal(&self, request: &GroupRequest) -> Option<ErrorCode> {
        let group_id = request.call.group_id().unwrap_or_default();
        if group_id.len() > limits::NAME_BYTES_MAX {
            return Some(ErrorCode::INVALID_GROUP_ID);
        }
        let names_a_group = !matches!(
            request.call,
            GroupCall::Join(_)
                | GroupCall::Sync(_)
                | GroupCall::Heartbeat(_)
                | GroupCall::Leave(_)
                | GroupCall::TxnOffsetCommit(_)
        );
        // Old clients commit to and fetch from the group without a name.
        if group_id.is_empty() && !names_a_group {
            return Some(ErrorCode::INVALID_GROUP_ID);
        }
        let Caller { client_id, client_host, .. } = &request.caller;
        let mut names: Vec<&str> = Vec::new();
        let mut clients: Vec<&str> = vec![client_id, client_host];
        if let GroupCall::Join(join) = &request.call {
            names.extend([join.member_id.as_str(), &join.protocol_type]);
            clients.extend(join.group_instance_id.as_deref());
        }
        let too_long = names.iter().any(|name| name.len() > limits::NAME_BYTES_MAX)
            || clients.iter().any(|client| client.len() > limits::CLIENT_BYTES_MAX);
        too_long.then_some(ErrorCode::INVALID_REQUEST)
    }

    fn on_timer(&mut self, name: &Arc<str>, timer: &Timer, moment: Moment) -> Output<GroupReply> {
        if self.state.consumer(name).is_some() {
            return self.on_consumer_timer(name, timer, moment);
        }
        if self.state.share(name).is_some() {
            return self.on_share_timer(name, timer, moment);
        }
        if !self.classics.contains_key(name) {
            return Output::default();
        }
        self.step_of_classic(name, moment, |group, ctx| group.on_timer(ctx, timer))
    }

    fn expire_offsets(&mut self, moment: Moment) -> Output<GroupReply> {
        self.expiry_due_ms = moment.now_ms.saturating_add(self.config.offsets_retention_check_interval_ms);
        let mut records = Vec::new();
        for (name, group) in self.state.groups() {
            let classic = self.classics.get(name);
            records.extend(offsets::forget_expired(&self.config, name, group, classic, moment.wall_ms));
        }
        let output = self.step(moment, |ctx, _| records.into_iter().for_each(|record| ctx.write(record)));
        self.forget_deleted_groups();
        output
    }

    fn forget_deleted_topics(&mut self, moment: Moment) -> Output<GroupReply> {
        let Some((before, _)) = self.topics_before.take() else { return Output::default() };
        let now = &self.config.topics;
        let mut records = offsets::forget_deleted_topics(&self.state, &before, now);
        records.extend(self.share_records_without(|topic| {
            before.topic_by_id(topic).is_some() && now.topic_by_id(topic).is_none()
        }));
        self.step(moment, |ctx, _| records.into_iter().for_each(|record| ctx.write(record)))
    }

    /// Drops what is left in memory of groups that were deleted.
    pub(crate) fn forget_deleted_groups(&mut self) {
        let state = &self.state;
        self.classics.retain(|name, group| !group.is_idle() || is_classic(state, name));
        self.looked_at.retain(|name, _| state.consumer(name).is_some() || state.share(name).is_some());
        self.accounts_asked.retain(|name, _| state.share(name).is_some());
    }
}

/// The first version that names several leaving members at once.
const LEAVE_IN_BATCHES_FROM: i16 = 3;

/// Does one step of a classic group, which is made if it is not there and dropped if nothing holds it.
pub(crate) fn in_classic(
    ctx: &mut Context<'_>,
    classics: &mut Classics,
    name: &Arc<str>,
    step: impl FnOnce(&mut ClassicGroup, &mut Context<'_>),
) {
    let group = classics.remove(name);
    let mut group = group.unwrap_or_else(|| ClassicGroup::new(name.clone(), ctx.moment.wall_ms));
    step(&mut group, ctx);
    if !group.is_idle() || is_classic(ctx.state, name) {
        classics.insert(name.clone(), group);
    }
}

fn is_classic(state: &GroupsState, name: &str) -> bool {
    state.group(name).is_some_and(|group| matches!(group.membership, Membership::Classic(_)))
}

fn joiner(ticket: Ticket, request: JoinGroupRequest, caller: Caller) -> JoinRequest {
    let rebalance_timeout_ms = match request.rebalance_timeout_ms {
        // Version 0 knows one time-out only.
        ..0 => request.session_timeout_ms,
        timeout_ms => timeout_ms,
    };
    JoinRequest {
        ticket,
        version: caller.version,
        member_id: request.member_id,
        instance_id: request.group_instance_id,
        client_id: caller.client_id,
        client_host: caller.client_host,
        session_timeout_ms: request.session_timeout_ms,
        rebalance_timeout_ms,
        protocol_type: request.protocol_type,
        protocols: request.protocols.into_iter().map(|one| (one.name, one.metadata)).collect(),
    }
}

fn leave_response(leaving: Vec<MemberIdentity>, results: &[ErrorCode], batched: bool) -> LeaveGroupResponse {
    if !batched {
        let error_code = results.first().copied().unwrap_or(ErrorCode::NONE);
        return LeaveGroupResponse { error_code, ..Default::default() };
    }
    let result = |(one, error_code): (MemberIdentity, &ErrorCode)| MemberResponse {
        member_id: one.member_id,
        group_instance_id: one.group_instance_id,
        error_code: *error_code,
    };
    let members = leaving.into_iter().zip(results).map(result).collect();
    LeaveGroupResponse { members, ..Default::default() }
}

impl Coordinator for Groups {
    type State = GroupsState;
    type Config = GroupsConfig;
    type Request = GroupRequest;
    type Reply = GroupReply;

    fn lead(state: GroupsState, config: GroupsConfig, moment: Moment) -> Groups {
        let mut classics = Classics::new();
        for (name, group) in state.groups() {
            if let Membership::Classic(value) = &group.membership {
                classics.insert(name.clone(), ClassicGroup::from_record(name.clone(), value));
            }
        }
        let expiry_due_ms = moment.now_ms.saturating_add(config.offsets_retention_check_interval_ms);
        let mut groups = Groups {
            config,
            state,
            classics,
            timers: Timers::default(),
            looked_at: BTreeMap::new(),
            accounts_asked: BTreeMap::new(),
            waiting: BTreeMap::new(),
            now_ms: moment.now_ms,
            expiry_due_ms,
            topics_before: None,
        };
        let started = groups.step(moment, |ctx, classics| {
            for group in classics.values_mut() {
                group.restart_sessions(ctx);
                if group.is_leaderless() {
                    group.prepare_rebalance(ctx);
                }
            }
            super::consumer::restart_timers(ctx);
            super::share::restart_timers(ctx);
        });
        assert!(started.batches.is_empty() && started.replies.is_empty(), "taking office writes nothing");
        groups
    }

    fn handle(&mut self, ticket: Ticket, request: GroupRequest, moment: Moment) -> Output<GroupReply> {
        self.now_ms = moment.now_ms;
        if let Some(error) = self.refusal(&request) {
            return Output::reply(ticket, request.call.refusal(error));
        }
        let GroupRequest { call, caller } = request;
        match call {
            GroupCall::Join(request) => self.join(ticket, request, caller, moment),
            GroupCall::Sync(request) => self.sync(ticket, request, moment),
            GroupCall::Heartbeat(request) => self.heartbeat(ticket, &request, moment),
            GroupCall::Leave(request) => self.leave(ticket, request, &caller, moment),
            GroupCall::OffsetCommit(request) => self.offset_commit(ticket, request, &caller, moment),
            GroupCall::TxnOffsetCommit(request) => {
                self.transactional_commit(ticket, request, &caller, moment)
            }
            GroupCall::OffsetFetch { group, require_stable } => {
                let fetched = self.offset_fetch(group, require_stable);
                Output::reply(ticket, GroupReply::OffsetFetch(fetched))
            }
            GroupCall::OffsetDelete(request) => self.offset_delete(ticket, request, moment),
            GroupCall::DeleteGroup { group_id } => self.delete_group(ticket, &group_id, moment),
            GroupCall::Describe { group_id } => {
                let described = self.describe_group(group_id, caller.version);
                Output::reply(ticket, GroupReply::Describe(described))
            }
            GroupCall::List { states_filter, types_filter } => {
                let listed = self.list_groups(&states_filter, &types_filter);
                Output::reply(ticket, GroupReply::List(listed))
            }
            GroupCall::ConsumerHeartbeat(request) => self.consumer_heartbeat(ticket, request, caller, moment),
            GroupCall::ConsumerDescribe { group_id } => {
                let described = self.describe_consumer_group(group_id);
                Output::reply(ticket, GroupReply::ConsumerDescribe(described))
            }
            GroupCall::ShareHeartbeat(request) => self.share_heartbeat(ticket, &request, &caller, moment),
            GroupCall::ShareDescribe { group_id } => {
                let described = self.describe_share_group(group_id);
                Output::reply(ticket, GroupReply::ShareDescribe(described))
            }
            GroupCall::ShareBegun(report) => self.share_accounts_begun(ticket, report, moment),
            GroupCall::ShareAccounts { group_id } => {
                Output::reply(ticket, GroupReply::ShareAccounts(self.share_accounts(&group_id)))
            }
            GroupCall::ShareMove { group_id, topics } => {
                self.share_accounts_move(ticket, &group_id, topics, moment)
            }
            GroupCall::ShareForget { group_id, topics } => {
                self.share_accounts_forget(ticket, &group_id, topics.as_deref(), moment)
            }
            GroupCall::ShareForgotten { group_id, topics } => {
                self.share_accounts_forgotten(ticket, &group_id, &topics, moment)
            }
        }
    }

    fn on_time(&mut self, moment: Moment) -> Output<GroupReply> {
        self.now_ms = moment.now_ms;
        let mut output = Output::default();
        while let Some((name, timer)) = self.timers.take_due(moment.now_ms) {
            output = output.and(self.on_timer(&name, &timer, moment));
        }
        if self.topics_before.as_ref().is_some_and(|(_, due_ms)| *due_ms <= moment.now_ms) {
            output = output.and(self.forget_deleted_topics(moment));
        }
        if self.expiry_due_ms <= moment.now_ms {
            output = output.and(self.expire_offsets(moment));
        }
        output
    }

    fn next_deadline_ms(&self) -> Option<i64> {
        let topics_ms = self.topics_before.as_ref().map(|(_, due_ms)| *due_ms);
        [self.timers.next_ms(), topics_ms, Some(self.expiry_due_ms)].into_iter().flatten().min()
    }

    fn cancel(&mut self, ticket: Ticket, moment: Moment) -> Output<GroupReply> {
        self.now_ms = moment.now_ms;
        if let Some(name) = self.waiting.remove(&ticket)
            && let Some(group) = self.classics.get_mut(&name)
        {
            group.cancel(ticket);
        }
        Output::default()
    }

    fn on_marker(
        &mut self,
        transaction: OpenTransaction,
        committed: bool,
        moment: Moment,
    ) -> Output<GroupReply> {
        self.now_ms = moment.now_ms;
        self.state.apply_marker(transaction, committed);
        Output::default()
    }

    fn configure(&mut self, config: GroupsConfig) {
        let before = std::mem::replace(&mut self.config, config).topics;
        if self.topics_before.is_none() && !before.shares_topics_with(&self.config.topics) {
            let due_ms = self.now_ms.saturating_add(limits::DELETED_TOPICS_DELAY_MS);
            self.topics_before = Some((before, due_ms));
        }
    }
}
