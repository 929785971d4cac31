//! The share coordinator in office: who may write an account, and when one is written whole.
//!
//! The walk: a leader of a partition reads the account, which raises its leader epoch and so fences whoever led before;
//! it writes what is new under that epoch. Beginning an account anew raises the state epoch, which fences every leader
//! that has not read since.

use std::collections::BTreeMap;
use std::sync::Arc;

use chronik_wire::error_code::ErrorCode;
use chronik_wire::types::{LeaderEpoch, NodeId, Offset};

use super::delivery::{self, StateBatch};
use super::limits;
use super::record::{ShareRecord, ShareUpdate};
use super::request::{
    ShareAccount, ShareAnswer, ShareCall, ShareKey, ShareReply, ShareRequest, ShareSummary,
};
use super::state::{ShareState, ShareStates};
use crate::coordinator::{Coordinator, CoordinatorBatch, Moment, OpenTransaction, Output, Ticket};
use crate::image::MetaImage;

/// "Not said" where an epoch or an offset might be.
const NOT_SAID: i32 = -1;

/// What a share coordinator is told by the broker.
#[derive(Debug, Clone)]
pub struct ShareConfig {
    /// The cluster's topics: accounts of deleted ones are deleted.
    pub topics: Arc<MetaImage>,
    /// `share.coordinator.snapshot.update.records.per.snapshot`.
    pub updates_per_snapshot: u32,
}

impl ShareConfig {
    /// What is in force at `node`, which was started with `statics`.
    pub fn from_image(
        image: &Arc<MetaImage>,
        node: NodeId,
        statics: &BTreeMap<String, String>,
    ) -> ShareConfig {
        let name = "share.coordinator.snapshot.update.records.per.snapshot";
        let value = image.broker_config(name, node, statics).and_then(|resolved| resolved.value);
        let updates_per_snapshot = value.and_then(|value| value.trim().parse().ok()).unwrap_or(0);
        ShareConfig { topics: image.clone(), updates_per_snapshot }
    }
}

/// The leader's machine for one partition of `__share_group_state`.
#[derive(Debug)]
pub struct ShareCoordinator {
    state: ShareStates,
    config: ShareConfig,
    /// The broker clock at the last input.
    now_ms: i64,
    /// The topics as they were when we last looked for deleted ones, and when to look again.
    topics_before: Option<(Arc<MetaImage>, i64)>,
}

type ShareOutput = Output<ShareReply>;

impl ShareCoordinator {
    /// The hard state, ahead of the log by what is not committed yet.
    pub fn state(&self) -> &ShareStates {
        &self.state
    }

    /// Applies records and gives them to be appended, each for itself: no two say anything that must not be parted.
    fn put(&mut self, records: Vec<ShareRecord>) -> ShareOutput {
        let mut output = Output::default();
        for record in records {
            let encoded = record.encode();
            self.state.apply_record(record).expect("an update is made of an account that there is");
            output.batches.push(CoordinatorBatch { records: vec![encoded], transaction: None });
        }
        output
    }

    fn answer(
        &mut self,
        key: ShareKey,
        call: ShareCall,
        moment: Moment,
    ) -> Result<(ShareOutput, ShareAnswer), ErrorCode> {
        match call {
            ShareCall::Initialize { state_epoch, start } => {
                let output = self.initialize(key, state_epoch, start, moment)?;
                Ok((output, ShareAnswer::Done))
            }
            ShareCall::Read { leader_epoch } => {
                let state = self.open_to(&key, leader_epoch)?;
                let account = ShareAccount {
                    state_epoch: state.state_epoch,
                    start: state.start,
                    batches: state.batches.clone(),
                };
                let raised = leader_epoch.0 != NOT_SAID && leader_epoch != state.leader_epoch;
                let output = if raised {
                    self.advance(key, &state, leader_epoch, state.start, Vec::new(), moment)
                } else {
                    Output::default()
                };
                Ok((output, ShareAnswer::Account(account)))
            }
            ShareCall::Write { state_epoch, leader_epoch, start, batches } => {
                let state = self.open_to(&key, leader_epoch)?;
                if state_epoch != NOT_SAID && state.state_epoch > state_epoch {
                    return Err(ErrorCode::FENCED_STATE_EPOCH);
                }
                if start.0 < -1 || !batches.iter().all(StateBatch::is_sound) {
                    return Err(ErrorCode::INVALID_REQUEST);
                }
                let joined = delivery::join(&state.batches, &batches, state.start.max(start));
                if joined.len() > limits::RUNS_MAX {
                    return Err(ErrorCode::INVALID_REQUEST);
                }
                let nothing_new = start <= state.start && joined == state.batches;
                let output = if nothing_new {
                    Output::default()
                } else {
                    self.advance(key, &state, state.leader_epoch, start, batches, moment)
                };
                Ok((output, ShareAnswer::Done))
            }
            ShareCall::Summarize => Ok((Output::default(), ShareAnswer::Summary(self.summarize(&key)))),
            ShareCall::Delete => {
                let deleted = if self.state.get(&key).is_some() { deleted(&key) } else { Vec::new() };
                Ok((self.put(deleted), ShareAnswer::Done))
            }
        }
    }

    /// Begins an account. One that exists stays as it is, unless it is to begin elsewhere: several may want it begun, and
    /// the leader does as well.
    fn initialize(
        &mut self,
        key: ShareKey,
        state_epoch: i32,
        start: Offset,
        moment: Moment,
    ) -> Result<ShareOutput, ErrorCode> {
        let known = self.state.get(&key).cloned();
        if start.0 == -1 && known.is_some() {
            return Ok(Output::default());
        }
        if known.is_none()
            && (key.group.is_empty()
                || key.group.len() > limits::GROUP_BYTES_MAX
                || self.state.len() >= limits::SHARE_PARTITIONS_MAX)
        {
            return Err(ErrorCode::INVALID_REQUEST);
        }
        let in_force = known.as_ref().map_or(0, |known| known.state_epoch);
        let state_epoch = if state_epoch == NOT_SAID { in_force } else { state_epoch };
        if start.0 < -1 || state_epoch < 0 {
            return Err(ErrorCode::INVALID_REQUEST);
        }
        if state_epoch < in_force {
            return Err(ErrorCode::FENCED_STATE_EPOCH);
        }
        let stays = |known: &Arc<ShareState>| known.state_epoch == state_epoch && start == known.start;
        if known.as_ref().is_some_and(stays) {
            return Ok(Output::default());
        }
        let begun = ShareState {
            snapshot_epoch: known.as_ref().map_or(0, |known| known.snapshot_epoch.wrapping_add(1)),
            state_epoch,
            leader_epoch: known.map_or(LeaderEpoch(0), |known| known.leader_epoch),
            start,
            created_ms: moment.wall_ms,
            written_ms: moment.wall_ms,
            updates: 0,
            batches: Vec::new(),
        };
        Ok(self.put(vec![ShareRecord::Snapshot(key, Some(begun))]))
    }

    /// The account, if a leader of that epoch may have it.
    fn open_to(&self, key: &ShareKey, leader_epoch: LeaderEpoch) -> Result<Arc<ShareState>, ErrorCode> {
        let state = self.state.get(key).ok_or(ErrorCode::INVALID_REQUEST)?;
        if leader_epoch.0 != NOT_SAID && state.leader_epoch > leader_epoch {
            return Err(ErrorCode::FENCED_LEADER_EPOCH);
        }
        Ok(state.clone())
    }

    /// Writes what is new, or the whole account if that was due.
    fn advance(
        &mut self,
        key: ShareKey,
        state: &ShareState,
        leader_epoch: LeaderEpoch,
        start: Offset,
        batches: Vec<StateBatch>,
        moment: Moment,
    ) -> ShareOutput {
        let snapshot_epoch = state.snapshot_epoch;
        let mut update = ShareUpdate { snapshot_epoch, leader_epoch, start, complete_count: 0, batches };
        let mut next = state.updated(&update);
        let record = if state.updates < self.config.updates_per_snapshot {
            update.complete_count = next.complete_count();
            ShareRecord::Update(key, Some(update))
        } else {
            next.snapshot_epoch = next.snapshot_epoch.wrapping_add(1);
            (next.updates, next.written_ms) = (0, moment.wall_ms);
            ShareRecord::Snapshot(key, Some(next))
        };
        self.put(vec![record])
    }

    fn summarize(&self, key: &ShareKey) -> ShareSummary {
        match self.state.get(key) {
            Some(state) => ShareSummary {
                state_epoch: state.state_epoch,
                leader_epoch: state.leader_epoch,
                start: state.start,
                complete_count: state.complete_count(),
            },
            None => ShareSummary {
                state_epoch: 0,
                leader_epoch: LeaderEpoch(0),
                start: Offset::UNKNOWN,
                complete_count: NOT_SAID,
            },
        }
    }

    fn forget_deleted_topics(&mut self) -> ShareOutput {
        let Some((before, _)) = self.topics_before.take() else { return Output::default() };
        let now = &self.config.topics;
        let is_deleted =
            |key: &&ShareKey| before.topic_by_id(key.topic).is_some() && now.topic_by_id(key.topic).is_none();
        let records = self.state.keys().filter(is_deleted).flat_map(deleted).collect();
        self.put(records)
    }
}

/// The records that delete an account.
fn deleted(key: &ShareKey) -> Vec<ShareRecord> {
    vec![ShareRecord::Update(key.clone(), None), ShareRecord::Snapshot(key.clone(), None)]
}

impl Coordinator for ShareCoordinator {
    type State = ShareStates;
    type Config = ShareConfig;
    type Request = ShareRequest;
    type Reply = ShareReply;

    fn lead(state: ShareStates, config: ShareConfig, moment: Moment) -> ShareCoordinator {
        ShareCoordinator { state, config, now_ms: moment.now_ms, topics_before: None }
    }

    fn handle(&mut self, ticket: Ticket, request: ShareRequest, moment: Moment) -> ShareOutput {
        self.now_ms = moment.now_ms;
        match self.answer(request.key, request.call, moment) {
            Ok((output, answer)) => output.and(Output::reply(ticket, Ok(answer))),
            Err(error) => Output::reply(ticket, Err(error)),
        }
    }

    fn on_time(&mut self, moment: Moment) -> ShareOutput {
        self.now_ms = moment.now_ms;
        match &self.topics_before {
            Some((_, due_ms)) if *due_ms <= moment.now_ms => self.forget_deleted_topics(),
            _ => Output::default(),
        }
    }

    fn next_deadline_ms(&self) -> Option<i64> {
        self.topics_before.as_ref().map(|(_, due_ms)| *due_ms)
    }

    /// Nothing: every question is answered at once.
    fn cancel(&mut self, _ticket: Ticket, _moment: Moment) -> ShareOutput {
        Output::default()
    }

    fn on_marker(&mut self, _: OpenTransaction, _: bool, _: Moment) -> ShareOutput {
        Output::default()
    }

    fn configure(&mut self, config: ShareConfig) {
        let before = std::mem::replace(&mut self.config, config).topics;
        if self.topics_before.is_none() && !before.shares_topics_with(&self.config.topics) {
            let due_ms = self.now_ms.saturating_add(limits::DELETED_TOPICS_DELAY_MS);
            self.topics_before = Some((before, due_ms));
        }
    }
}
