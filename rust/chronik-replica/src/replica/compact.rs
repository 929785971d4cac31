//! Compaction at one replica: a leader decides, everybody carries out, and members far behind get the result.
//!
//! The decision is an entry, the work a job that runs elsewhere (see `host/compaction`). A replica that has to install a
//! snapshot whose log begins compacted fetches those files first: raft sees the snapshot when they are there.

use bytes::Bytes;
use chronik_log::compaction::{AbortedRecords, CompactionDone, CompactionJob, PrefixPlace};
use chronik_log::{DiskError, LogError, Snapshot};
use chronik_mutants::{Mutant, planted};
use chronik_wire::types::{NodeId, Offset};
use raft::eraftpb::{Message, MessageType};

use super::Replica;
use super::persist::is_disk_full;
use crate::entry::Control;
use crate::host::shared::Shared;
use crate::limits;
use crate::message::ReplicaMessage;

/// A snapshot that waits for the compacted prefix it begins with.
#[derive(Debug)]
pub(super) struct Transfer {
    from: NodeId,
    message: Message,
    wanted: PrefixPlace,
    asked_ms: u64,
    /// Times the present piece was asked for again.
    repeats: u32,
}

impl Replica {
    /// Proposes to compact, if this replica leads and it is time; makes sure that what was decided is carried out.
    pub(super) fn run_compaction(&mut self, now_wall_ms: i64, shared: &mut Shared) {
        self.want_compaction(shared);
        let Some(rules) = self.settings.compaction.filter(|_| self.is_confirmed()) else { return };
        if self.lead.is_deciding() || !self.state.compaction.is_carried_out(self.log()) {
            return;
        }
        self.close_idle_segment(now_wall_ms, shared);
        let limit = self.last_stable_offset().min(self.held_by_all(shared));
        let plan = self.state.compaction.next_plan(self.log(), now_wall_ms, &rules, limit);
        if let Some(plan) = plan.filter(|_| self.stopped.is_none()) {
            self.lead.decide_compaction();
            self.propose_control(Control::Compact { plan, now_ms: now_wall_ms }, shared);
        }
    }

    /// A segment that nobody appends to any more is closed by age, so that what is in it can be compacted.
    fn close_idle_segment(&mut self, now_wall_ms: i64, shared: &mut Shared) {
        let Some(age_ms) = self.log().config().segment_ms else { return };
        if self.applied != self.log().last_index() {
            return;
        }
        self.log_mut().roll_older_than(now_wall_ms, age_ms);
        if let Err(error) = self.save_boundary(shared) {
            self.stop(format!("snapshot cannot be saved: {error}"), shared);
        }
    }

    /// The offset up to which every member in sync holds the log. Beyond it nothing is compacted: whoever is only a
    /// little behind goes on with entries.
    fn held_by_all(&self, shared: &Shared) -> Offset {
        let in_sync = self.in_sync.iter(self.settings.replica_lag_max_ms, shared.now_ms);
        let slowest = in_sync.map(|node| self.matched(node)).min().unwrap_or(self.applied).min(self.applied);
        self.log().offset_after_index(slowest).unwrap_or_else(|_| self.log().log_start())
    }

    /// Asks for a job if the plan in force is not carried out here.
    pub(super) fn want_compaction(&mut self, shared: &mut Shared) {
        if self.stopped.is_none() && !self.state.compaction.is_carried_out(self.log()) {
            shared.uncompacted.insert(self.key);
        }
    }

    /// The job that carries out the plan in force. Not while a member fetches the files that it would replace.
    pub(crate) fn take_compaction(&mut self, shared: &mut Shared) -> Option<CompactionJob> {
        if self.stopped.is_some() || self.lead.is_sending_snapshots() {
            return None;
        }
        let plan = self.state.compaction.decided()?;
        let aborted = self.state.aborted.in_range(Offset::ZERO, plan.up_to).map(|aborted| AbortedRecords {
            producer_id: aborted.producer,
            first: aborted.first,
            last: aborted.last,
        });
        match self.log().begin_compaction(plan, aborted) {
            Ok(job) => job,
            Err(error) => {
                self.stop(format!("compaction cannot begin: {error}"), shared);
                None
            }
        }
    }

    /// The job ended. What damage it met is told to whoever reads there; what it could not write is tried again.
    pub(crate) fn on_compacted(&mut self, result: Result<CompactionDone, LogError>, shared: &mut Shared) {
        if self.stopped.is_some() {
            return;
        }
        match result.and_then(|done| self.log_mut().finish_compaction(done)) {
            Ok(true) => {
                shared.counters.compactions.increment();
                self.forget_compacted_aborts();
                self.want_compaction(shared);
            }
            // The log went another way meanwhile, or files that the job was to read have gone since.
            Ok(false) | Err(LogError::Disk(DiskError::NotFound { .. })) => {}
            Err(error) if is_disk_full(&error) => self.note_disk_full(shared),
            Err(error @ LogError::Corrupt { .. }) => {
                shared.counters.damage_refusals.increment();
                self.stop(format!("compaction met damage: {error}"), shared);
            }
            Err(error) => self.stop(format!("compaction failed: {error}"), shared),
        }
    }

    /// Aborted transactions whose markers are compacted away are remembered for nobody: their records went with them, here
    /// and wherever a snapshot of this state is installed together with this log. Or else the list would only grow.
    fn forget_compacted_aborts(&mut self) {
        let gone_below = self.log().compacted().map(|compacted| compacted.tombstones_below);
        if let Some(gone_below) = gone_below.filter(|_| !planted(Mutant::CompactedAbortsTold)) {
            self.state.aborted.forget_below(gone_below);
        }
    }

    /// Whether a message has to wait: a snapshot whose log begins with compacted files that are not here. Asks for them.
    pub(super) fn awaits_prefix(&mut self, from: NodeId, message: &Message, shared: &mut Shared) -> bool {
        if message.get_msg_type() != MessageType::MsgSnapshot || message.term < self.raw.raft.term {
            return false;
        }
        let stored = Snapshot::decode(&message.get_snapshot().data).ok();
        let new = stored.filter(|stored| stored.index.0 > self.raw.raft.raft_log.committed);
        let Some(prefix) = new.map(|stored| stored.prefix).filter(|prefix| !prefix.is_empty()) else {
            return false;
        };
        let received = self.log_mut().receive_prefix(&prefix);
        if matches!(received, Ok(None)) {
            self.transfer = None;
            return false;
        }
        let Some(wanted) = self.settle_receiving(received, shared) else {
            self.transfer = None;
            return true;
        };
        let repeats = |transfer: &Transfer| transfer.wanted == wanted && transfer.from == from;
        match self.transfer.take().filter(|transfer| repeats(transfer)) {
            Some(mut transfer) => {
                transfer.message = message.clone();
                self.transfer = Some(transfer);
            }
            None => self.ask_for_piece(from, message.clone(), wanted, 0, shared),
        }
        true
    }

    fn ask_for_piece(
        &mut self,
        from: NodeId,
        message: Message,
        wanted: PrefixPlace,
        repeats: u32,
        shared: &mut Shared,
    ) {
        shared.send(from, self.key, ReplicaMessage::PrefixRequest { place: wanted });
        let transfer = Transfer { from, message, wanted, asked_ms: shared.now_ms, repeats };
        self.transfer = Some(Box::new(transfer));
    }

    /// Answers a member that fetches the compacted prefix; with nothing if it has changed since.
    pub(super) fn on_prefix_request(&mut self, from: NodeId, place: PrefixPlace, shared: &mut Shared) {
        match self.log().prefix_piece(place) {
            Ok(piece) => {
                let bytes = piece.unwrap_or_default();
                shared.counters.prefix_pieces_sent.increment();
                shared.send(from, self.key, ReplicaMessage::PrefixPiece { place, bytes });
            }
            Err(error) if error.is_passing() => {}
            Err(error) => self.stop(format!("compacted prefix cannot be read: {error}"), shared),
        }
    }

    /// A piece came. With the last one the snapshot that waited for it goes to raft.
    pub(super) fn on_prefix_piece(
        &mut self,
        from: NodeId,
        place: PrefixPlace,
        bytes: Bytes,
        shared: &mut Shared,
    ) {
        let expected = |transfer: &Transfer| transfer.from == from && transfer.wanted == place;
        if !self.transfer.as_deref().is_some_and(expected) {
            return;
        }
        let Some(transfer) = self.transfer.take() else { return };
        if bytes.is_empty() {
            // The prefix was replaced: the leader sends another snapshot when it hears that this one went nowhere.
            return;
        }
        let room = shared.has_room(bytes.len(), shared.config.disk_reserve_bytes / 2);
        if !room {
            return self.note_disk_full(shared);
        }
        let received = self.log_mut().take_prefix_piece(place, bytes);
        let whole = matches!(received, Ok(None));
        if let Some(wanted) = self.settle_receiving(received, shared) {
            self.ask_for_piece(from, transfer.message, wanted, 0, shared);
        } else if whole {
            self.on_message(from, ReplicaMessage::Raft(transfer.message), shared);
        }
    }

    fn settle_receiving(
        &mut self,
        received: Result<Option<PrefixPlace>, LogError>,
        shared: &mut Shared,
    ) -> Option<PrefixPlace> {
        match received {
            Ok(wanted) => {
                self.met_full_disk = false;
                wanted
            }
            Err(error) if is_disk_full(&error) => {
                self.note_disk_full(shared);
                None
            }
            // What is no manifest comes from a node of another version.
            Err(LogError::Corrupt { .. }) => None,
            Err(error) => {
                self.stop(format!("compacted prefix cannot be written: {error}"), shared);
                None
            }
        }
    }

    /// Asks again for a piece that did not come, a bounded number of times: the leader may be another by now.
    pub(super) fn tick_transfer(&mut self, shared: &mut Shared) {
        let due_ms = shared.config.round_timeout_ms();
        let due = |transfer: &Transfer| shared.now_ms.saturating_sub(transfer.asked_ms) >= due_ms;
        if !self.transfer.as_deref().is_some_and(due) {
            return;
        }
        if let Some(transfer) =
            self.transfer.take().filter(|known| known.repeats < limits::PREFIX_REQUESTS_REPEATED_MAX)
        {
            let Transfer { from, message, wanted, repeats, .. } = *transfer;
            self.ask_for_piece(from, message, wanted, repeats + 1, shared);
        }
    }
}
