//! What only a leader does: confirm its term, keep the in-sync set, move the log start, hand leadership over, and
//! notice snapshots that got lost.

use chronik_log::Index;
use chronik_mutants::{Mutant, planted};
use chronik_wire::types::{LeaderEpoch, NodeId, Offset, PartitionKey};
use raft::{ProgressState, SnapshotStatus};
use smallvec::SmallVec;

use super::Replica;
use super::learners::Learners;
use crate::entry::Control;
use crate::error::ReplicaError;
use crate::host::shared::Shared;
use crate::producers::{AbortedTransactions, Verifications};

/// News about who leads a partition, for the cluster's metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaderChange {
    /// The partition.
    pub key: PartitionKey,
    /// This node if it leads and its term is confirmed; else the leader known here, if any.
    pub leader: Option<NodeId>,
    /// The confirmed leader epoch.
    pub epoch: LeaderEpoch,
    /// Members in sync, sorted; empty unless this node leads.
    pub isr: Vec<NodeId>,
}

/// A leader's own bookkeeping.
#[derive(Debug, Default)]
pub(super) struct LeaderState {
    /// The in-sync set as last announced; `None` while the term is not confirmed.
    announced: Option<Vec<NodeId>>,
    /// A control entry that waits to be proposed.
    control: Option<Control>,
    /// A change of members was proposed and not applied.
    pub(super) changing_members: bool,
    /// That the group consists of who is wanted was told.
    pub(super) arrival_told: bool,
    /// A tick has passed since the last change of members: an heir has heard of it.
    pub(super) may_hand_over: bool,
    /// The members were found to be as wanted, and nothing has changed since.
    pub(super) members_settled: bool,
    /// A log start move was proposed and not applied.
    moving_log_start: bool,
    /// A compaction was proposed and not applied.
    deciding_compaction: bool,
    /// Snapshots sent and not known to have arrived.
    snapshots: SmallVec<[(NodeId, u64); 1]>,
    /// Transactions whose coordinators are being asked.
    pub(super) verifications: Verifications,
    /// Members whose answers count for nothing.
    pub(super) learners: Learners,
}

impl LeaderState {
    pub(super) fn take_control(&mut self) -> Option<Control> {
        self.control.take()
    }

    pub(super) fn has_control(&self) -> bool {
        self.control.is_some()
    }

    /// Lets a control entry wait. One waits at a time: of two moves of the log start the farther one, and a move
    /// before a clock, which is proposed again when it is next looked at.
    fn want_control(&mut self, control: Control) {
        self.control = Some(match (self.control.take(), control) {
            (Some(Control::LogStart(first)), Control::LogStart(second)) => {
                Control::LogStart(first.max(second))
            }
            (Some(first @ Control::LogStart(_)), Control::ProducerClock { .. } | Control::Compact { .. }) => {
                first
            }
            (_, control) => control,
        });
    }

    /// A compaction is proposed.
    pub(super) fn decide_compaction(&mut self) {
        self.deciding_compaction = true;
    }

    pub(super) fn compaction_settled(&mut self) {
        self.deciding_compaction = false;
    }

    /// Whether a compaction, or anything else that goes before it, waits to be applied.
    pub(super) fn is_deciding(&self) -> bool {
        self.control.is_some() || self.moving_log_start || self.deciding_compaction
    }

    /// Whether a member may be fetching what a snapshot begins with.
    pub(super) fn is_sending_snapshots(&self) -> bool {
        !self.snapshots.is_empty()
    }

    pub(super) fn log_start_settled(&mut self) {
        self.moving_log_start = false;
    }

    pub(super) fn on_snapshot_sent(&mut self, to: NodeId, now_ms: u64) {
        self.snapshots.retain(|(node, _)| *node != to);
        self.snapshots.push((to, now_ms));
    }

    pub(super) fn has_open_work(&self) -> bool {
        self.control.is_some() || self.changing_members || !self.snapshots.is_empty()
    }
}

impl Replica {
    pub(super) fn on_leadership_gained(&mut self, shared: &mut Shared) {
        self.appends.next_offset = self.leader_log_end();
        self.appends.producers.clear();
        if planted(Mutant::AbortedListLost) {
            self.state.aborted = AbortedTransactions::default();
        }
        self.lead = LeaderState::default();
        let others: Vec<NodeId> = self.other_voters().collect();
        let log_end = Index(self.raw.raft.raft_log.last_index());
        self.in_sync.reset(others.into_iter(), log_end, shared.now_ms);
    }

    /// The offset after the last entry, the uncommitted tail included. A new leader's log is written to the end:
    /// raft lets nobody lead whose entries are not persisted.
    fn leader_log_end(&self) -> Offset {
        if planted(Mutant::OffsetsFromApplied) {
            return self.high_watermark;
        }
        self.log().log_end()
    }

    pub(super) fn on_leadership_lost(&mut self, hint: Option<NodeId>, shared: &mut Shared) {
        self.orphan_appends(hint, shared);
        self.in_sync.clear();
        self.lead = LeaderState::default();
        shared.catching_up.remove(&self.key);
        self.announce(hint.filter(|leader| *leader != self.node), Vec::new(), shared);
    }

    /// The first entry of the leader's own term is applied: it may be announced, and queued appends proposed.
    pub(super) fn notice_confirmation(&mut self, shared: &mut Shared) {
        if self.is_confirmed() && self.lead.announced.is_none() {
            self.announce_in_sync(shared);
            self.mark_dirty(shared);
        }
    }

    /// Announces the in-sync set if it changed.
    pub(super) fn announce_in_sync(&mut self, shared: &mut Shared) {
        if !self.is_confirmed() {
            return;
        }
        let mut isr: Vec<NodeId> =
            self.in_sync.iter(self.settings.replica_lag_max_ms, shared.now_ms).collect();
        isr.push(self.node);
        isr.sort_unstable();
        if self.lead.announced.as_ref() != Some(&isr) {
            self.lead.announced = Some(isr.clone());
            self.announce(Some(self.node), isr, shared);
        }
    }

    fn announce(&self, leader: Option<NodeId>, isr: Vec<NodeId>, shared: &mut Shared) {
        shared.note_leader(LeaderChange { key: self.key, leader, epoch: self.leader_epoch(), isr });
    }

    /// A member of this leader's group answered.
    pub(super) fn note_progress(&mut self, from: NodeId, shared: &Shared) {
        if self.leads() {
            let log_end = Index(self.raw.raft.raft_log.last_index());
            self.in_sync.on_progress(from, self.matched(from), log_end, shared.now_ms);
        }
    }

    /// A leader's part of a tick.
    pub(super) fn tick_leader(&mut self, shared: &mut Shared) {
        if self.leads() {
            self.announce_in_sync(shared);
            self.report_lost_snapshots(shared);
            self.tell_arrival(shared);
            if self.moves_members() {
                self.lead.may_hand_over = true;
                self.mark_dirty(shared);
            }
        }
    }

    /// Raft sends nothing to a member it believes to be installing a snapshot. A snapshot that is not acknowledged
    /// in time is reported lost, or the member would be stuck for ever.
    fn report_lost_snapshots(&mut self, shared: &Shared) {
        let patience_ms = 4 * shared.config.election_ticks as u64 * shared.config.tick_ms;
        let mut open = std::mem::take(&mut self.lead.snapshots);
        open.retain(|(node, sent_ms)| {
            let progress = self.raw.raft.prs().get(self.id_of(*node));
            let pending = progress.is_some_and(|progress| progress.state == ProgressState::Snapshot);
            let lost = pending && shared.now_ms.saturating_sub(*sent_ms) >= patience_ms;
            if lost {
                self.raw.report_snapshot(self.id_of(*node), SnapshotStatus::Failure);
            }
            pending && !lost
        });
        self.lead.snapshots = open;
    }

    /// Hands leadership to another voter. Returns at once; appends are refused until it is decided.
    pub(crate) fn transfer_leader(&mut self, to: NodeId, shared: &mut Shared) -> Result<(), ReplicaError> {
        let key = self.key;
        self.must_lead()?;
        if !self.is_voter(to) || self.lead.learners.holds(to).is_some() {
            return Err(ReplicaError::NotVoter { key, node: to });
        }
        if to != self.node {
            self.wake_up(shared);
            shared.counters.leader_transfers.increment();
            self.raw.transfer_leader(self.id_of(to));
            self.fix_election_timeout(shared);
            self.mark_dirty(shared);
        }
        Ok(())
    }

    /// Hands leadership to the live member closest to the log end. A group of one keeps its leader.
    pub(crate) fn step_down(&mut self, shared: &mut Shared) -> Result<(), ReplicaError> {
        self.must_lead()?;
        let may_lead =
            |node: &NodeId| !shared.down.contains(node) && self.lead.learners.holds(*node).is_none();
        let live = self.other_voters().filter(may_lead);
        match live.max_by_key(|node| (self.matched(*node), std::cmp::Reverse(*node))) {
            Some(heir) => self.transfer_leader(heir, shared),
            None => Ok(()),
        }
    }

    /// Proposes a new log start. Readable once the entry is applied.
    pub(crate) fn move_log_start(&mut self, to: Offset, shared: &mut Shared) -> Result<(), ReplicaError> {
        self.must_lead()?;
        if to > self.high_watermark {
            let high_watermark = self.high_watermark;
            return Err(ReplicaError::LogStartAboveEnd { key: self.key, to, high_watermark });
        }
        if to > self.log().log_start() {
            self.propose_control(Control::LogStart(to), shared);
        }
        Ok(())
    }

    /// Retention, compaction and the producers' clock: what a leader proposes because time passed.
    pub(crate) fn run_retention(&mut self, now_wall_ms: i64, shared: &mut Shared) {
        self.drop_expired(now_wall_ms, shared);
        self.run_compaction(now_wall_ms, shared);
    }

    fn drop_expired(&mut self, now_wall_ms: i64, shared: &mut Shared) {
        if !self.is_confirmed() || self.lead.control.is_some() || self.lead.moving_log_start {
            return;
        }
        let TopicRetention { retention_ms, retention_bytes, expiry_ms } = self.retention();
        let up_to = self.high_watermark;
        let candidate = self.log().retention_candidate(now_wall_ms, retention_ms, retention_bytes, up_to);
        if self.propose_log_start(candidate, shared) {
            return;
        }
        let interval_ms = (expiry_ms / 24).max(1);
        let clock_is_due = now_wall_ms.saturating_sub(self.state.producers.clock_ms()) >= interval_ms;
        if self.state.producers.len() > 0 && clock_is_due {
            let forget_before_ms = now_wall_ms.saturating_sub(expiry_ms);
            self.propose_control(Control::ProducerClock { now_ms: now_wall_ms, forget_before_ms }, shared);
        }
    }

    /// Retention by size where a segment ends: a producer in a hurry fills a disk, or memory, long before the next
    /// regular check.
    pub(super) fn keep_to_size(&mut self, shared: &mut Shared) {
        let limit_bytes = self.settings.retention_bytes;
        if limit_bytes.is_none() || !self.is_confirmed() || self.lead.moving_log_start {
            return;
        }
        let candidate = self.log().retention_candidate(0, None, limit_bytes, self.high_watermark);
        self.propose_log_start(candidate, shared);
    }

    fn propose_log_start(&mut self, candidate: Option<Offset>, shared: &mut Shared) -> bool {
        let Some(to) = candidate.filter(|to| *to > self.log().log_start()) else { return false };
        self.lead.moving_log_start = true;
        self.propose_control(Control::LogStart(to), shared);
        true
    }

    fn retention(&self) -> TopicRetention {
        let signed = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
        TopicRetention {
            retention_ms: self.settings.retention_ms,
            retention_bytes: self.settings.retention_bytes,
            expiry_ms: signed(self.settings.producer_expiry_ms),
        }
    }

    pub(super) fn propose_control(&mut self, control: Control, shared: &mut Shared) {
        if planted(Mutant::LogStartMovedAlone) && matches!(control, Control::LogStart(_)) {
            let _ = self.apply_control(control.encode(), shared);
            return;
        }
        self.wake_up(shared);
        self.lead.want_control(control);
        self.mark_dirty(shared);
    }

    fn must_lead(&self) -> Result<(), ReplicaError> {
        let key = self.key;
        match &self.stopped {
            Some(reason) => Err(ReplicaError::Stopped { key, reason: reason.clone() }),
            None if self.leads() => Ok(()),
            None => Err(ReplicaError::NotLeader { key, leader: self.leader() }),
        }
    }
}

struct TopicRetention {
    retention_ms: Option<u64>,
    retention_bytes: Option<u64>,
    expiry_ms: i64,
}
