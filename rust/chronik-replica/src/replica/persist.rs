//! From a ready to durable bytes, and only then to the promises that rest on them.
//!
//! A follower's acknowledgements and votes wait here until the log says that their ready is synced, in the order
//! of the readies. A ready that needs no sync of its own still waits behind one that does: its messages may speak
//! of entries that are not synced yet.

use chronik_log::{HardState, Index, LogError, SyncDone, Term};
use chronik_mutants::{Mutant, planted};
use raft::Ready;
use raft::eraftpb::{Message, MessageType};

use super::{Replica, Unsynced};
use crate::config::SyncMode;
use crate::entry;
use crate::host::shared::Shared;
use crate::limits;

impl Replica {
    /// Writes a ready's snapshot, entries and hard state, in this order.
    pub(super) fn write_ready(&mut self, ready: &mut Ready, shared: &mut Shared) -> Result<(), LogError> {
        if !ready.snapshot().is_empty() {
            let snapshot = ready.snapshot().clone();
            self.install_snapshot(&snapshot, shared)?;
        }
        if !ready.entries().is_empty() {
            let entries: Vec<_> = ready.entries().iter().map(entry::to_log).collect();
            let replaces = entries.first().is_some_and(|first| first.index <= self.log().last_index());
            self.log_mut().append(&entries)?;
            shared.counters.log_truncations.add(u64::from(replaces));
            self.note_room(shared);
        }
        if let Some(state) = ready.hs() {
            let state = HardState { term: Term(state.term), vote: state.vote, commit: Index(state.commit) };
            self.write_hard_state(state)?;
        }
        if ready.entries().iter().any(entry::is_members) {
            self.promise_commit(Index(self.raw.raft.raft_log.committed))?;
        }
        Ok(())
    }

    /// Who holds a change of members knows durably that the one before it is committed. Else it could start again with
    /// members of long ago and win an election among them.
    pub(super) fn promise_commit(&mut self, commit: Index) -> Result<(), LogError> {
        let written = self.log().hard_state();
        if commit <= written.commit || planted(Mutant::MembersForgotten) {
            return Ok(());
        }
        self.log_mut().set_hard_state(HardState { commit, ..written }, true)
    }

    /// Term and vote are promises: written and synced. The commit index is only a help for the next start, which
    /// learns the rest from the leader, so it is written now and then and never synced for its own sake.
    fn write_hard_state(&mut self, mut state: HardState) -> Result<(), LogError> {
        if planted(Mutant::VoteForgotten) {
            state.vote = raft::INVALID_ID;
        }
        let written = self.log().hard_state();
        let promises = (state.term, state.vote) != (written.term, written.vote);
        if promises || state.commit.0.saturating_sub(written.commit.0) >= limits::COMMIT_WRITE_LAG {
            self.log_mut().set_hard_state(state, promises)?;
        }
        Ok(())
    }

    /// Every tick: writes down how far the group has come.
    pub(super) fn tick_commit(&mut self, shared: &mut Shared) {
        let written = self.log().hard_state();
        if self.applied <= written.commit {
            return;
        }
        let state = HardState { commit: self.applied, ..written };
        match self.log_mut().set_hard_state(state, false) {
            Err(error) if !is_disk_full(&error) => self.stop(format!("log write failed: {error}"), shared),
            _ => {}
        }
    }

    /// Syncs what was promised outside a ready, or leaves it to the next sync job.
    pub(super) fn sync_promise(&mut self, shared: &mut Shared) -> Result<(), LogError> {
        if !self.log().dirty() {
            return Ok(());
        }
        if shared.config.sync != SyncMode::Inline {
            shared.unsynced.insert(self.key);
            return Ok(());
        }
        self.log_mut().sync_now().inspect_err(|_| shared.counters.sync_failures.increment())
    }

    /// Tells raft that a ready is written, and syncs it or leaves it to the next sync job.
    pub(super) fn finish_ready(&mut self, mut ready: Ready, shared: &mut Shared) {
        let number = ready.number();
        let installed = (!ready.snapshot().is_empty()).then(|| ready.snapshot().get_metadata().index);
        let mut messages = ready.take_persisted_messages();
        if chronik_mutants::AVAILABLE {
            let (early, kept) = messages.into_iter().partition(leaves_early);
            self.send_all(early, shared);
            messages = kept;
        }
        // A log that never syncs (durability `os`) is never dirty: written is persisted there.
        let mut needs_sync = ready.must_sync() && self.log().dirty();
        if planted(Mutant::WrittenCountsAsPersisted) {
            needs_sync = false;
        }
        self.raw.advance_append_async(ready);
        self.unsynced.push_back(Unsynced { number, needs_sync, messages });
        let inline = shared.config.sync == SyncMode::Inline || installed.is_some();
        if inline && self.log().dirty() {
            if let Err(error) = self.log_mut().sync_now() {
                shared.counters.sync_failures.increment();
                return self.stop(format!("log sync failed: {error}"), shared);
            }
            shared.counters.syncs.increment();
        }
        if inline || shared.config.sync == SyncMode::Never {
            self.on_persisted(number, shared);
        } else {
            if self.log().dirty() {
                shared.unsynced.insert(self.key);
            }
            self.release_persisted(shared);
        }
        if let Some(index) = installed {
            self.raw.advance_apply_to(index);
        }
    }

    /// Everything up to ready `number` is durable.
    fn on_persisted(&mut self, number: u64, shared: &mut Shared) {
        for unsynced in &mut self.unsynced {
            if unsynced.number <= number {
                unsynced.needs_sync = false;
            }
        }
        self.release_persisted(shared);
    }

    /// Lets go of the promises at the front that wait for nothing.
    fn release_persisted(&mut self, shared: &mut Shared) {
        let mut newest = None;
        while self.unsynced.front().is_some_and(|unsynced| !unsynced.needs_sync) {
            let Some(unsynced) = self.unsynced.pop_front() else { break };
            newest = Some(unsynced.number);
            self.send_all(unsynced.messages, shared);
        }
        if let Some(number) = newest {
            self.raw.on_persist_ready(number);
        }
    }

    /// The host builds a sync job: this replica's part, if it has one.
    pub(crate) fn take_sync(&mut self) -> Option<chronik_log::SyncBatch> {
        if self.stopped.is_some() {
            return None;
        }
        let batch = self.log_mut().take_sync()?;
        self.syncing = self.unsynced.back().map(|unsynced| unsynced.number);
        Some(batch)
    }

    /// The sync in flight ended.
    pub(crate) fn on_synced(&mut self, result: Result<SyncDone, LogError>, shared: &mut Shared) {
        if self.stopped.is_some() {
            return;
        }
        match result {
            Ok(done) => {
                self.log_mut().on_synced(done);
                shared.counters.syncs.increment();
                if let Some(number) = self.syncing.take() {
                    self.on_persisted(number, shared);
                }
                self.settle_appends(shared);
                self.mark_dirty(shared);
            }
            Err(error) => {
                shared.counters.sync_failures.increment();
                self.log_mut().poison();
                self.stop(format!("log sync failed: {error}"), shared);
            }
        }
    }

    /// The disk is full: what this replica wanted of it has to wait or is refused.
    pub(super) fn note_disk_full(&mut self, shared: &Shared) {
        shared.counters.disk_full_refusals.increment();
        self.met_full_disk = true;
    }

    /// Entries were written.
    fn note_room(&mut self, shared: &Shared) {
        if std::mem::take(&mut self.met_full_disk) {
            shared.counters.disk_full_recoveries.increment();
        }
    }

    /// Tries a ready again that the full disk did not take. `false` while raft stands still.
    pub(super) fn retry_stalled(&mut self, shared: &mut Shared) -> bool {
        let Some(ready) = self.stalled.take() else { return true };
        self.take_ready(*ready, shared);
        self.stalled.is_none() && self.stopped.is_none()
    }
}

/// The planted bugs that let a promise leave before its sync.
fn leaves_early(message: &Message) -> bool {
    match message.get_msg_type() {
        MessageType::MsgAppendResponse => planted(Mutant::AckBeforeSync),
        MessageType::MsgRequestPreVoteResponse | MessageType::MsgRequestVoteResponse => {
            planted(Mutant::VoteBeforeSync)
        }
        _ => false,
    }
}

/// A full disk is a condition, not a fault: the replica waits for space instead of stopping.
pub(super) fn is_disk_full(error: &LogError) -> bool {
    matches!(error, LogError::DiskFull { .. })
}
