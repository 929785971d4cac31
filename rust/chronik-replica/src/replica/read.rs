//! Answers about one replica: a consistent view, record bytes, offsets by time and by epoch.
//!
//! Nothing here passes the read gate. The caller enters it first and then takes one view.

use bytes::Bytes;
use chronik_log::{BatchAt, Index, LogError, Term};
use chronik_mutants::{Mutant, planted};
use chronik_wire::types::{LeaderEpoch, NodeId, Offset};

use super::{Replica, epoch_of};
use crate::config::TopicSettings;
use crate::error::ReadError;
use crate::host::shared::Shared;

/// What a replica is to its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Raft says that it leads. Only a barrier proves that it still does.
    Leader,
    /// Anything else.
    Follower,
}

/// One replica at one instant. Everything in it belongs together.
#[derive(Clone, Debug)]
pub struct ReadView {
    /// Role.
    pub role: Role,
    /// The leader known here.
    pub leader: Option<NodeId>,
    /// Term of the last applied entry.
    pub leader_epoch: LeaderEpoch,
    /// A leader that applied an entry of its own term.
    pub confirmed: bool,
    /// Last entry applied.
    pub applied: Index,
    /// Next offset after the last applied record.
    pub high_watermark: Offset,
    /// End of what `read_committed` may see.
    pub last_stable_offset: Offset,
    /// First readable offset.
    pub log_start: Offset,
    /// The replica stopped after a storage fault or a broken invariant.
    pub stopped: bool,
    /// Topic settings in force.
    pub settings: TopicSettings,
    /// Members in sync, sorted, this node included; empty unless this node leads.
    pub in_sync: Vec<NodeId>,
    /// The other members; empty unless this node leads.
    pub followers: Vec<FollowerProgress>,
}

/// A member as its leader sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FollowerProgress {
    /// The member's node.
    pub node: NodeId,
    /// The last entry it is known to hold.
    pub matched: Index,
    /// Entries of the leader's log it is not known to hold.
    pub lag_entries: u64,
    /// Heard within an election timeout and its node is not known to be down.
    pub active: bool,
    /// Counts for `min.insync.replicas`.
    pub in_sync: bool,
    /// How long ago it was heard and how long ago it certainly held everything, in milliseconds, where the leader
    /// keeps account of it.
    pub silence_and_lag_ms: Option<(u64, u64)>,
}

/// The first batch at or after a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimestampedOffset {
    /// Offset of the batch's first record.
    pub offset: Offset,
    /// The batch's largest timestamp, in milliseconds.
    pub timestamp_ms: i64,
}

/// Where an epoch ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEnd {
    /// The largest epoch not above the requested one.
    pub epoch: LeaderEpoch,
    /// Next offset after its last record.
    pub end_offset: Offset,
}

impl Replica {
    pub(crate) fn view(&self, shared: &Shared) -> ReadView {
        let leads = self.leads();
        let lag_max_ms = self.settings.replica_lag_max_ms;
        let followers: Vec<FollowerProgress> = if leads { self.followers(shared) } else { Vec::new() };
        let mut in_sync: Vec<NodeId> = self.in_sync.iter(lag_max_ms, shared.now_ms).collect();
        if leads {
            in_sync.push(self.node);
            in_sync.sort_unstable();
        } else {
            in_sync.clear();
        }
        ReadView {
            role: if leads { Role::Leader } else { Role::Follower },
            leader: self.leader(),
            leader_epoch: self.leader_epoch(),
            confirmed: leads && self.is_confirmed(),
            applied: self.applied,
            high_watermark: self.visible_end(),
            last_stable_offset: self.last_stable_offset(),
            log_start: self.log().log_start(),
            stopped: self.stopped.is_some(),
            settings: self.settings.clone(),
            in_sync,
            followers,
        }
    }

    /// End of what anybody may see.
    pub(super) fn visible_end(&self) -> Offset {
        let mut end = self.high_watermark;
        if planted(Mutant::UncommittedVisible) {
            end = self.log().log_end();
        }
        end
    }

    fn followers(&self, shared: &Shared) -> Vec<FollowerProgress> {
        let last = self.raw.raft.raft_log.last_index();
        let active_ms = shared.config.election_timeout_ms();
        let lag_max_ms = self.settings.replica_lag_max_ms;
        self.others()
            .map(|node| {
                let learner = self.lead.learners.heard_within(node, active_ms, shared.now_ms);
                let matched = self.lead.learners.holds(node).unwrap_or_else(|| self.matched(node));
                FollowerProgress {
                    node,
                    matched,
                    lag_entries: last.saturating_sub(matched.0),
                    active: !shared.down.contains(&node)
                        && learner
                            .unwrap_or_else(|| self.in_sync.heard_within(node, active_ms, shared.now_ms)),
                    in_sync: self.in_sync.contains(node, lag_max_ms, shared.now_ms),
                    silence_and_lag_ms: self.in_sync.silence_and_lag_ms(node, shared.now_ms),
                }
            })
            .collect()
    }

    /// Whole batches from the one that holds `from`, up to `up_to` and never past what is applied.
    pub(crate) fn read(
        &self,
        from: Offset,
        up_to: Offset,
        max_bytes: usize,
        at_least_one: bool,
    ) -> Result<Vec<Bytes>, ReadError> {
        self.must_run()?;
        let up_to = up_to.min(self.visible_end());
        if from < self.log().log_start() || from > self.visible_end() {
            return Err(self.out_of_range(from));
        }
        match self.log().read(from, up_to, max_bytes, at_least_one) {
            Ok(result) => Ok(result.batches),
            Err(LogError::OutOfRange { .. }) => Err(self.out_of_range(from)),
            Err(error) => Err(ReadError::Storage(error)),
        }
    }

    fn out_of_range(&self, offset: Offset) -> ReadError {
        ReadError::OutOfRange {
            offset,
            log_start: self.log().log_start(),
            high_watermark: self.high_watermark,
        }
    }

    pub(crate) fn offset_for_timestamp(
        &self,
        timestamp_ms: i64,
        up_to: Offset,
    ) -> Result<Option<BatchAt>, ReadError> {
        self.must_run()?;
        let up_to = up_to.min(self.high_watermark);
        self.log().offset_for_timestamp(timestamp_ms, up_to).map_err(ReadError::Storage)
    }

    pub(crate) fn max_timestamp(&self, up_to: Offset) -> Result<Option<BatchAt>, ReadError> {
        self.must_run()?;
        self.log().max_timestamp(up_to.min(self.high_watermark)).map_err(ReadError::Storage)
    }

    pub(crate) fn epoch_end_offset(&self, epoch: LeaderEpoch) -> Result<Option<EpochEnd>, ReadError> {
        self.must_run()?;
        let Ok(term) = u64::try_from(epoch.0) else { return Ok(None) };
        let end = self.log().epoch_end_offset(Term(term), self.applied).map_err(ReadError::Storage)?;
        Ok(end.map(|end| EpochEnd { epoch: epoch_of(end.epoch), end_offset: end.end_offset }))
    }

    pub(super) fn must_run(&self) -> Result<(), ReadError> {
        if self.stopped.is_some() { Err(ReadError::Stopped(self.key)) } else { Ok(()) }
    }
}
