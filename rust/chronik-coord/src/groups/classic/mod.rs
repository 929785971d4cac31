//! Groups of the classic protocol: members join, the leading one assigns, all fetch their part, and whenever somebody
//! comes, goes or changes its mind it begins anew with the next generation.
//!
//! Owns the state of a group between its records: who waits for whom. Recorded is only what is settled: a generation
//! with its assignment, or that nobody is left. `join`, `sync` and `leave` are the requests, `rebalance` what they lead to.

mod join;
mod leave;
mod member;
mod rebalance;
mod sync;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chronik_mutants::{Mutant, planted};
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::group_records::{GroupMetadataMember, GroupMetadataValue};

pub(crate) use join::{JoinRequest, join_error};
pub(crate) use member::ClassicMember;
pub(crate) use sync::sync_error;

use super::consumer_protocol;
use super::context::Context;
use super::record::GroupRecord;
use super::timers::Timer;

/// Where a classic group stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClassicState {
    /// It has no members.
    Empty,
    /// Members are asked to join the next generation.
    PreparingRebalance,
    /// The next generation stands; its leader has yet to assign.
    CompletingRebalance,
    /// Every member can fetch its assignment.
    Stable,
}

impl ClassicState {
    /// Kafka's name of the state.
    pub(crate) fn name(self) -> &'static str {
        match self {
            ClassicState::Empty => "Empty",
            ClassicState::PreparingRebalance => "PreparingRebalance",
            ClassicState::CompletingRebalance => "CompletingRebalance",
            ClassicState::Stable => "Stable",
        }
    }
}

/// A group of the classic protocol.
#[derive(Debug)]
pub(crate) struct ClassicGroup {
    name: Arc<str>,
    state: ClassicState,
    /// Since when, on the wall clock: the retention of an empty group's offsets counts from here.
    state_since_ms: i64,
    generation: i32,
    /// What kind of clients these are, from the first member on.
    protocol_type: Option<String>,
    /// The protocol of this generation.
    protocol: Option<String>,
    leader: Option<Arc<str>>,
    members: BTreeMap<Arc<str>, ClassicMember>,
    /// Members by static id.
    instances: BTreeMap<String, Arc<str>>,
    /// Ids given out to clients that have yet to join with them.
    pending: BTreeSet<Arc<str>>,
    /// Members of this generation that have yet to fetch their assignment.
    unsynced: BTreeSet<Arc<str>>,
    /// In the first rebalance of an empty group: how much longer it may be put off for the sake of more members.
    initial_delay_left_ms: Option<i64>,
    /// Whether somebody joined since that rebalance was last put off.
    more_members: bool,
}

impl ClassicGroup {
    /// A group nobody has joined.
    pub(crate) fn new(name: Arc<str>, wall_ms: i64) -> ClassicGroup {
        ClassicGroup {
            name,
            state: ClassicState::Empty,
            state_since_ms: wall_ms,
            generation: 0,
            protocol_type: None,
            protocol: None,
            leader: None,
            members: BTreeMap::new(),
            instances: BTreeMap::new(),
            pending: BTreeSet::new(),
            unsynced: BTreeSet::new(),
            initial_delay_left_ms: None,
            more_members: false,
        }
    }

    /// The group behind a record. Its members have not been heard of yet: the caller starts their sessions.
    pub(crate) fn from_record(name: Arc<str>, value: &GroupMetadataValue) -> ClassicGroup {
        let mut group = ClassicGroup::new(name, value.current_state_timestamp);
        group.generation = value.generation;
        group.protocol_type = (!value.protocol_type.is_empty()).then(|| value.protocol_type.clone());
        group.protocol = value.protocol.clone();
        group.leader = value.leader.as_deref().map(Arc::from);
        for member in &value.members {
            let id: Arc<str> = Arc::from(member.member_id.as_str());
            if let Some(instance_id) = &member.group_instance_id {
                group.instances.insert(instance_id.clone(), id.clone());
            }
            let protocol = value.protocol.clone().unwrap_or_default();
            group.members.insert(id, ClassicMember::from_record(member, protocol));
        }
        if !group.members.is_empty() {
            group.state = ClassicState::Stable;
        }
        group
    }

    /// The group of the given members at an epoch of the newer protocol. Nobody leads it yet: its first step must be a
    /// rebalance, and a leader that finds it in the log sees that too.
    pub(crate) fn from_members(
        name: Arc<str>,
        generation: i32,
        members: BTreeMap<Arc<str>, ClassicMember>,
        wall_ms: i64,
    ) -> ClassicGroup {
        let mut group = ClassicGroup::new(name, wall_ms);
        group.generation = generation;
        group.protocol_type = Some(consumer_protocol::PROTOCOL_TYPE.to_owned());
        for (id, member) in &members {
            if let Some(instance_id) = &member.instance_id {
                group.instances.insert(instance_id.clone(), id.clone());
            }
        }
        group.members = members;
        group.protocol = group.select_protocol();
        group.state = ClassicState::Stable;
        group
    }

    /// The record that says what is settled.
    pub(crate) fn to_record(&self) -> GroupRecord {
        let protocol = self.protocol.as_deref().unwrap_or_default();
        let member = |(id, member): (&Arc<str>, &ClassicMember)| GroupMetadataMember {
            member_id: id.to_string(),
            group_instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            rebalance_timeout: member.rebalance_timeout_ms,
            session_timeout: member.session_timeout_ms,
            subscription: member.metadata(protocol),
            assignment: member.assignment.clone(),
        };
        let value = GroupMetadataValue {
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            generation: self.generation,
            protocol: self.protocol.clone(),
            leader: self.leader.as_ref().map(|leader| leader.to_string()),
            current_state_timestamp: self.state_since_ms,
            members: self.members.iter().map(member).collect(),
        };
        GroupRecord::Classic { group: self.name.clone(), value: Some(value) }
    }

    /// Whether it has members of whom none leads: it has yet to rebalance.
    pub(crate) fn is_leaderless(&self) -> bool {
        self.leader.is_none() && !self.members.is_empty()
    }

    /// Where it stands.
    pub(crate) fn state(&self) -> ClassicState {
        self.state
    }

    /// Since when, on the wall clock.
    pub(crate) fn state_since_ms(&self) -> i64 {
        self.state_since_ms
    }

    /// Its generation.
    pub(crate) fn generation(&self) -> i32 {
        self.generation
    }

    /// What kind of clients its members are.
    pub(crate) fn protocol_type(&self) -> Option<&str> {
        self.protocol_type.as_deref()
    }

    /// The protocol of this generation.
    pub(crate) fn protocol(&self) -> Option<&str> {
        self.protocol.as_deref()
    }

    /// The members.
    pub(crate) fn members(&self) -> &BTreeMap<Arc<str>, ClassicMember> {
        &self.members
    }

    /// Whether its members are consumers.
    pub(crate) fn is_of_consumers(&self) -> bool {
        self.protocol_type.as_deref() == Some(consumer_protocol::PROTOCOL_TYPE)
    }

    /// Whether nothing would be lost if this object went: nobody is in it or about to join it.
    pub(crate) fn is_idle(&self) -> bool {
        self.state == ClassicState::Empty && self.pending.is_empty()
    }

    /// The topics its consumers are subscribed to; none if that cannot be known.
    pub(crate) fn subscribed_topics(&self) -> Option<BTreeSet<String>> {
        if !self.is_of_consumers() {
            return None;
        }
        if self.members.is_empty() {
            return Some(BTreeSet::new());
        }
        let protocol = self.protocol.as_deref()?;
        let mut topics = BTreeSet::new();
        for member in self.members.values() {
            let subscription = consumer_protocol::subscription(&member.metadata(protocol))?;
            topics.extend(subscription.topics);
        }
        Some(topics)
    }

    /// Whether its members read a topic, as far as anybody can know.
    pub(crate) fn is_subscribed_to(&self, topic: &str) -> bool {
        match self.subscribed_topics() {
            Some(topics) => topics.contains(topic),
            None => self.is_of_consumers(),
        }
    }

    /// Whether somebody who commits offsets may do so.
    pub(crate) fn check_commit(
        &self,
        member_id: &str,
        instance_id: Option<&str>,
        generation: i32,
        transactional: bool,
    ) -> Result<(), ErrorCode> {
        let is_empty = self.state == ClassicState::Empty;
        if generation < 0 && is_empty {
            return Ok(());
        }
        if generation >= 0 || !member_id.is_empty() || instance_id.is_some() {
            self.check_member(member_id, instance_id)?;
            if generation != self.generation && !planted(Mutant::OldGenerationCommits) {
                return Err(ErrorCode::ILLEGAL_GENERATION);
            }
        } else if !transactional && !is_empty {
            // Only members commit to a group that has some. Transactional producers of old clients say nothing of
            // themselves and are let pass.
            return Err(ErrorCode::UNKNOWN_MEMBER_ID);
        }
        if !transactional && self.state == ClassicState::CompletingRebalance {
            return Err(ErrorCode::REBALANCE_IN_PROGRESS);
        }
        Ok(())
    }

    /// A commit shows that its member lives.
    pub(crate) fn on_commit(&self, ctx: &mut Context<'_>, member_id: &str) {
        let settled = matches!(self.state, ClassicState::Stable | ClassicState::PreparingRebalance);
        if settled && let Some((id, _)) = self.members.get_key_value(member_id) {
            self.restart_session(ctx, id);
        }
    }

    /// Whether a member is who it says it is.
    fn check_member(&self, member_id: &str, instance_id: Option<&str>) -> Result<(), ErrorCode> {
        match instance_id {
            None if self.members.contains_key(member_id) => Ok(()),
            None => Err(ErrorCode::UNKNOWN_MEMBER_ID),
            Some(instance_id) => match self.instances.get(instance_id) {
                None => Err(ErrorCode::UNKNOWN_MEMBER_ID),
                Some(present) if **present != *member_id => Err(ErrorCode::FENCED_INSTANCE_ID),
                Some(_) => Ok(()),
            },
        }
    }

    /// Gives a member a full session from now on, unless it waits for us: then it may be silent.
    fn restart_session(&self, ctx: &mut Context<'_>, id: &Arc<str>) {
        let Some(member) = self.members.get(id) else { return };
        if member.waits() {
            ctx.timers.cancel(&self.name, Timer::Session(id.clone()));
        } else {
            let timeout_ms = i64::from(member.session_timeout_ms);
            ctx.set_timer(&self.name, Timer::Session(id.clone()), timeout_ms);
        }
    }

    /// Gives every member a full session from now on.
    pub(crate) fn restart_sessions(&self, ctx: &mut Context<'_>) {
        for id in self.members.keys() {
            self.restart_session(ctx, id);
        }
    }

    fn is_leader(&self, id: &str) -> bool {
        self.leader.as_deref() == Some(id)
    }

    fn enter(&mut self, ctx: &Context<'_>, state: ClassicState) {
        self.state = state;
        self.state_since_ms = ctx.moment.wall_ms;
    }

    /// How long members may take to join again: as long as the most patient of them allows.
    fn rebalance_timeout_ms(&self) -> i64 {
        self.members.values().map(|member| i64::from(member.rebalance_timeout_ms)).max().unwrap_or(0)
    }

    /// The protocol most members like best among those that all of them support. A tie goes to the one that the first
    /// member prefers, so that every coordinator chooses alike.
    fn select_protocol(&self) -> Option<String> {
        let first = self.members.values().next()?;
        let candidates: Vec<&str> = first.protocol_names().filter(|name| self.all_support(name)).collect();
        let votes = |candidate: &str| {
            let votes_for = |member: &&ClassicMember| {
                member.protocol_names().find(|name| candidates.contains(name)) == Some(candidate)
            };
            self.members.values().filter(votes_for).count()
        };
        let mut best: Option<(usize, &str)> = None;
        for candidate in &candidates {
            let count = votes(candidate);
            if best.is_none_or(|(most, _)| count > most) {
                best = Some((count, candidate));
            }
        }
        best.map(|(_, name)| name.to_owned())
    }

    fn all_support(&self, protocol: &str) -> bool {
        self.members.values().all(|member| member.supports(protocol))
    }
}
