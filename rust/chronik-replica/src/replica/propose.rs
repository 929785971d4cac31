//! From an append request to a raft proposal.
//!
//! Appends queue up and all that came in one turn are proposed together, so that they share a ready, a sync and a
//! message per follower. Only a leader that applied its own no-op proposes: then applied state plus its own
//! proposals in flight is all there is to judge a sequence number against. Raft forwards proposals of followers,
//! so nothing is ever handed to it without leadership.

use bytes::BytesMut;
use chronik_log::Index;
use chronik_mutants::{Mutant, planted};
use chronik_wire::batch::stamp;
use chronik_wire::types::Offset;
use raft::eraftpb::{Entry, Message, MessageType};
use smallvec::smallvec;
use tokio::sync::oneshot;

use super::acks::{Acks, AppendReceiver, AppendWaiter, Appended, Proposal, QueuedAppend, Terms, answer};
use super::judge::Judgement;
use super::{Replica, epoch_of};
use crate::batch;
use crate::entry::{self, Control};
use crate::error::AppendError;
use crate::host::shared::Shared;
use crate::ids::node_of;
use crate::limits;
use crate::producers::Original;

impl Replica {
    /// Takes a batch in, to be placed on the given terms. It is answered in any case, by its deadline at the latest.
    pub(crate) fn append(
        &mut self,
        batch: BytesMut,
        acks: Acks,
        terms: Terms,
        deadline_ms: u64,
        shared: &mut Shared,
    ) -> AppendReceiver {
        let (sender, receiver) = oneshot::channel();
        let waiting = AppendWaiter { sender, acks, deadline_ms, duplicate: false };
        match self.admit(&batch) {
            Ok(()) => {
                self.wake_for_client(shared);
                self.appends.earliest_deadline_ms = self.appends.earliest_deadline_ms.min(deadline_ms);
                self.appends.queued_bytes += batch.len();
                self.appends.queued.push_back(QueuedAppend { batch, terms, waiting });
                self.mark_dirty(shared);
            }
            Err(error) => refuse(waiting, error, shared),
        }
        receiver
    }

    fn admit(&self, batch: &BytesMut) -> Result<(), AppendError> {
        if self.stopped.is_some() || self.stalled.is_some() {
            return Err(AppendError::Storage);
        }
        if !self.leads() {
            return Err(AppendError::NotLeader { hint: self.leader() });
        }
        if let Some(target) = self.raw.raft.lead_transferee {
            return Err(AppendError::NotLeader { hint: node_of(target) });
        }
        if batch::fields(batch).is_none() {
            return Err(AppendError::InvalidBatch);
        }
        let full = !self.appends.queued.is_empty()
            && (self.appends.queued.len() >= limits::APPENDS_QUEUED_MAX
                || self.appends.queued_bytes + batch.len() > limits::APPEND_BYTES_QUEUED_MAX);
        if full { Err(AppendError::Overloaded(self.key)) } else { Ok(()) }
    }

    /// Proposes what waits, within the bounds of a ready.
    pub(super) fn propose_queued(&mut self, shared: &mut Shared) {
        let change = self.step_members(shared);
        if (self.appends.queued.is_empty() && !self.lead.has_control() && change.is_none())
            || !self.is_confirmed()
        {
            return;
        }
        if let Some(target) = self.raw.raft.lead_transferee {
            return self.fail_queued(&AppendError::NotLeader { hint: node_of(target) }, shared);
        }
        if !self.appends.queued.is_empty()
            && !shared.has_room(self.appends.queued_bytes, shared.config.disk_reserve_bytes)
        {
            self.note_disk_full(shared);
            self.fail_queued(&AppendError::Storage, shared);
        }
        let (mut entries, mut proposals) = (Vec::new(), Vec::new());
        let first = self.raw.raft.raft_log.last_index() + 1;
        let mut bytes = 0;
        while let Some(queued) = self.next_within_bounds(entries.len(), bytes) {
            bytes += queued.batch.len();
            let index = Index(first + entries.len() as u64);
            if let Some((entry, proposal)) = self.place(queued, index, shared) {
                entries.push(entry);
                proposals.push(proposal);
            }
        }
        // Even on a full disk: the reserve is for entries like this one, and a move of the log start frees space.
        if let Some(control) = self.lead.take_control() {
            entries.push(control_entry(control));
        }
        entries.extend(change);
        self.hand_to_raft(entries, proposals, Index(first), shared);
        if !self.appends.queued.is_empty() && self.has_flight_room(0) {
            self.mark_dirty(shared);
        }
    }

    fn next_within_bounds(&mut self, taken: usize, taken_bytes: usize) -> Option<QueuedAppend> {
        let len = self.appends.queued.front()?.batch.len();
        let ready_full = taken >= limits::PROPOSALS_PER_READY_MAX
            || (taken > 0 && taken_bytes + len > limits::PROPOSAL_BYTES_PER_READY_MAX);
        if ready_full || !self.has_flight_room(taken_bytes + len) {
            return None;
        }
        let queued = self.appends.queued.pop_front()?;
        self.appends.queued_bytes -= queued.batch.len();
        Some(queued)
    }

    fn has_flight_room(&self, more_bytes: usize) -> bool {
        self.appends.in_flight.is_empty()
            || (self.appends.in_flight.len() < limits::PROPOSALS_IN_FLIGHT_MAX
                && self.appends.in_flight_bytes + more_bytes <= limits::PROPOSAL_BYTES_IN_FLIGHT_MAX)
    }

    /// Judges a batch and gives it its offset and epoch; `None` if it was answered instead.
    fn place(&mut self, queued: QueuedAppend, index: Index, shared: &Shared) -> Option<(Entry, Proposal)> {
        let QueuedAppend { mut batch, terms, waiting } = queued;
        let fields = batch::fields(&batch)?;
        if waiting.acks == Acks::All {
            let in_sync = 1 + self.in_sync.iter(self.settings.replica_lag_max_ms, shared.now_ms).count();
            let required = self.settings.min_insync_replicas;
            if in_sync < required {
                refuse(waiting, AppendError::NotEnoughReplicas { in_sync, required }, shared);
                return None;
            }
        }
        let base_offset = self.appends.next_offset;
        match self.judge_deed(&fields.deed, terms, base_offset, index) {
            Judgement::Place => {}
            Judgement::Repeats(original) => {
                self.join_original(original, waiting, shared);
                return None;
            }
            Judgement::Ended => return Some(self.confirm_end(waiting, index, shared)),
            Judgement::Refused(error) => {
                refuse(waiting, error, shared);
                return None;
            }
        }
        let term = self.term();
        stamp(&mut batch, base_offset, epoch_of(term));
        self.appends.next_offset = Offset(base_offset.0 + i64::from(fields.last_offset_delta) + 1);
        let entry = Entry { data: batch.freeze(), ..Entry::default() };
        let bytes = entry.data.len();
        let waiters = if waiting.acks == Acks::None {
            answer(waiting, Ok(self.appended(base_offset)));
            smallvec![]
        } else {
            smallvec![waiting]
        };
        Some((entry, Proposal { index, term, base_offset, bytes, waiters }))
    }

    /// In the place of a marker that has nothing to end comes an entry without a record: it takes no offset, and its
    /// commit proves that nobody else has led since, under whom the next transaction may have begun.
    fn confirm_end(&mut self, mut waiting: AppendWaiter, index: Index, shared: &Shared) -> (Entry, Proposal) {
        shared.counters.duplicate_markers.increment();
        waiting.duplicate = true;
        let (term, base_offset) = (self.term(), Offset::UNKNOWN);
        (Entry::default(), Proposal { index, term, base_offset, bytes: 0, waiters: smallvec![waiting] })
    }

    /// A repetition shares the original's fate.
    fn join_original(&mut self, original: Original, mut waiting: AppendWaiter, shared: &Shared) {
        shared.counters.duplicate_batches.increment();
        waiting.duplicate = true;
        match original {
            Original::Applied(base_offset) => self.join_applied(base_offset, waiting),
            Original::InFlight(index) => self.join(index, waiting),
        }
    }

    fn join(&mut self, index: Index, waiting: AppendWaiter) {
        let found = self.appends.in_flight.iter_mut().find(|proposal| proposal.index == index);
        match found {
            Some(proposal) if waiting.acks != Acks::None && !planted(Mutant::RepetitionAckedEarly) => {
                proposal.waiters.push(waiting);
            }
            Some(proposal) => {
                let base_offset = proposal.base_offset;
                let appended = Appended { base_offset, log_start: self.log().log_start(), duplicate: true };
                answer(waiting, Ok(appended));
            }
            None => answer(waiting, Err(AppendError::TimedOut)),
        }
    }

    fn hand_to_raft(
        &mut self,
        entries: Vec<Entry>,
        proposals: Vec<Proposal>,
        first: Index,
        shared: &mut Shared,
    ) {
        if entries.is_empty() {
            return;
        }
        let count = entries.len() as u64;
        let mut message = Message::default();
        message.set_msg_type(MessageType::MsgPropose);
        message.from = self.raw.raft.id;
        message.set_entries(entries.into());
        self.raw.raft.step(message).expect("a leader without a transfer takes proposals");
        let last = self.raw.raft.raft_log.last_index();
        assert_eq!(last, first.0 + count - 1, "raft gave the proposals other indexes than expected");
        shared.counters.appends_proposed.add(proposals.len() as u64);
        for proposal in proposals {
            self.appends.in_flight_bytes += proposal.bytes;
            self.appends.in_flight.push_back(proposal);
        }
    }
}

/// Answers a batch that is not appended.
fn refuse(waiting: AppendWaiter, error: AppendError, shared: &Shared) {
    shared.counters.appends_failed.increment();
    answer(waiting, Err(error));
}

fn control_entry(control: Control) -> Entry {
    let mut out = Entry { data: control.encode(), ..Entry::default() };
    entry::mark_control(&mut out);
    out
}
