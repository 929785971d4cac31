//! Committed entries become visible state: producers, machine, log start, high watermark, in log order.
//!
//! Apply is pure: time and ids come in entries. An entry that cannot be applied stops the replica, because to skip
//! it would let replicas differ. At every segment boundary the state is saved, so that the segments before it may
//! be dropped one day and a follower can start there.

use bytes::Bytes;
use chronik_log::{EntryKind, Index, LogError, Snapshot, Term};
use chronik_wire::types::Offset;
use raft::eraftpb::{Entry, Snapshot as RaftSnapshot};

use super::Replica;
use super::persist::is_disk_full;
use crate::batch::{self, Deed};
use crate::entry::{self, Control};
use crate::error::ReplicaError;
use crate::host::shared::Shared;
use crate::members::{MemberChange, Members};
use crate::producers::{Aborted, Marker};

impl Replica {
    /// Applies committed entries and wakes whoever waited for them.
    pub(super) fn apply_all(&mut self, entries: Vec<Entry>, shared: &mut Shared) {
        let Some(last) = entries.last().map(|entry| entry.index) else { return };
        shared.counters.entries_applied.add(entries.len() as u64);
        let visible_before = (self.high_watermark, self.log().log_start());
        for entry in entries {
            assert_eq!(entry.index, self.applied.0 + 1, "entries are applied in order, each exactly once");
            // A segment is closed by the entry that does not fit any more, after its last entry was applied: so
            // the state at its end is taken here, before the next entry changes it.
            if let Err(error) = self.save_boundary(shared) {
                return self.stop(format!("snapshot cannot be saved: {error}"), shared);
            }
            if let Err(reason) = self.apply(&entry, shared) {
                return self.stop(format!("entry {} cannot be applied: {reason}", entry.index), shared);
            }
        }
        // The last move of the log start may have closed the active segment.
        if let Err(error) = self.save_boundary(shared) {
            return self.stop(format!("snapshot cannot be saved: {error}"), shared);
        }
        self.raw.advance_apply_to(last);
        self.after_apply(visible_before, shared);
    }

    fn apply(&mut self, raft_entry: &Entry, shared: &mut Shared) -> Result<(), String> {
        let (index, term) = (Index(raft_entry.index), Term(raft_entry.term));
        let stored = entry::to_log(raft_entry);
        match stored.kind {
            EntryKind::Noop => {}
            EntryKind::Batch => self.apply_batch(&stored.data, stored.base_offset, index),
            EntryKind::Control => self.apply_control(stored.data.clone(), shared)?,
            EntryKind::ConfigChange => {
                let change = MemberChange::decode(stored.data.clone()).map_err(|error| error.to_string())?;
                self.apply_members(change, index, shared)?;
            }
        }
        if stored.kind == EntryKind::Batch {
            assert_eq!(stored.base_offset, self.high_watermark, "offsets follow each other without a gap");
            self.high_watermark = stored.next_offset();
        }
        (self.applied, self.applied_term) = (index, term);
        self.on_entry_applied(index, term, shared);
        Ok(())
    }

    fn apply_batch(&mut self, data: &Bytes, base_offset: Offset, index: Index) {
        if let Some(fields) = batch::fields(data) {
            match fields.deed {
                Deed::Nothing => {}
                Deed::Records(batch) => {
                    self.state.producers.apply_batch(&batch, base_offset, fields.timestamp_ms, index);
                    self.appends.producers.on_applied(batch.producer, index);
                }
                Deed::End(marker) => self.apply_marker(&marker, base_offset, fields.timestamp_ms, index),
            }
        }
        if let Some(machine) = &mut self.state.machine {
            machine.apply(data, base_offset, index);
        }
    }

    /// The transaction is decided here: readers of committed records may go on behind its first record.
    fn apply_marker(&mut self, marker: &Marker, at: Offset, timestamp_ms: i64, index: Index) {
        let began = self.state.producers.apply_marker(marker, timestamp_ms, index);
        self.appends.producers.on_applied(marker.producer, index);
        if let Some(first) = began.filter(|_| !marker.commit) {
            let stable = self.state.producers.first_open().unwrap_or(Offset(at.0 + 1));
            self.state.aborted.push(Aborted { producer: marker.producer, first, last: at, stable });
        }
    }

    pub(super) fn apply_control(&mut self, data: Bytes, shared: &mut Shared) -> Result<(), String> {
        match Control::decode(data).map_err(|error| error.to_string())? {
            Control::ProducerClock { now_ms, forget_before_ms } => {
                self.state.producers.apply_clock(now_ms, forget_before_ms);
            }
            Control::Compact { plan, now_ms } => {
                self.lead.compaction_settled();
                self.state.compaction.apply(plan, now_ms);
                self.want_compaction(shared);
            }
            Control::LogStart(offset) => {
                self.lead.log_start_settled();
                self.state.aborted.forget_below(offset);
                if offset > self.log().log_start() {
                    let log = self.log_mut();
                    let moved = log.set_log_start(offset).and_then(|()| log.drop_segments_below_log_start());
                    match moved {
                        Ok(_) => {}
                        // The space is not freed yet; the next move of the log start tries again.
                        Err(error) if is_disk_full(&error) => self.note_disk_full(shared),
                        Err(error) => return Err(error.to_string()),
                    }
                }
            }
        }
        Ok(())
    }

    /// Saves the state as of the applied index, if a segment ends there. A full disk costs the chance to drop
    /// segments, nothing else.
    pub(super) fn save_boundary(&mut self, shared: &mut Shared) -> Result<(), LogError> {
        if self.log().wants_boundary_snapshot(self.applied) != Some(self.applied) {
            return Ok(());
        }
        let snapshot = Snapshot {
            index: self.applied,
            term: self.applied_term,
            next_offset: self.high_watermark,
            log_start: self.log().log_start(),
            conf_state: self.raw.store().members.encode(),
            machine: self.state.encode(),
            prefix: Bytes::new(),
        };
        let log = self.log_mut();
        match log.save_snapshot(&snapshot).and_then(|()| log.drop_segments_below_log_start()) {
            Err(error) if !is_disk_full(&error) => Err(error),
            _ => {
                self.keep_to_size(shared);
                Ok(())
            }
        }
    }

    /// Takes over a leader's snapshot: the log has no entry behind it.
    pub(super) fn install_snapshot(
        &mut self,
        snapshot: &RaftSnapshot,
        shared: &mut Shared,
    ) -> Result<(), LogError> {
        let stored = Snapshot::decode(&snapshot.data).expect("snapshots are checked before raft sees them");
        let visible_before = (self.high_watermark, self.log().log_start());
        self.log_mut().install_snapshot(&stored)?;
        if let Err(error) = self.state.restore(stored.machine.clone()) {
            let error: ReplicaError = super::open::restore_error(self.key, error);
            self.stop(error.to_string(), shared);
            return Ok(());
        }
        self.raw.mut_store().members =
            Members::decode(stored.conf_state).expect("snapshots are checked before raft sees them");
        (self.applied, self.applied_term) = (stored.index, stored.term);
        self.high_watermark = stored.next_offset;
        shared.counters.snapshots_installed.increment();
        self.on_snapshot_applied(stored.index, shared);
        self.want_compaction(shared);
        self.after_apply(visible_before, shared);
        Ok(())
    }

    /// The applied index moved: opens the gate for whom it holds, wakes long polls, notices a confirmed leader.
    fn after_apply(&mut self, visible_before: (Offset, Offset), shared: &mut Shared) {
        let passed = self.gate.on_applied(self.applied);
        self.settle_gate(passed, shared);
        if visible_before != (self.high_watermark, self.log().log_start()) {
            self.wake_parked();
        }
        self.notice_confirmation(shared);
    }
}
