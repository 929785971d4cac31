//! Log start and the dropping of old segments.
//!
//! The log proposes a new log start, Raft replicates it, and only then segments below it are dropped, each
//! replica at its own pace: what is readable is the same everywhere.

use chronik_wire::types::Offset;

use super::PartitionLog;
use crate::Index;
use crate::entry::NO_TIMESTAMP;
use crate::error::LogError;
use crate::segment::{self, Segment};
use crate::state::LogState;

impl PartitionLog {
    /// Moves the log start, which never goes back. Call it when the replicated entry that says so is applied.
    pub fn set_log_start(&mut self, offset: Offset) -> Result<(), LogError> {
        let offset = offset.min(self.end_offset);
        if offset <= self.log_start() {
            return Ok(());
        }
        // Not synced: a replay after a crash applies the entry again.
        self.write_state(LogState { log_start: offset, ..self.state })
    }

    /// A new log start to propose: the end of the newest segment, up to `up_to`, whose batches are all older
    /// than `retention_ms`, or without which the log still holds `retention_bytes`. `None` for "keep all".
    ///
    /// The active segment counts by age, too, so that an idle partition empties in time.
    pub fn retention_candidate(
        &self,
        now_ms: i64,
        retention_ms: Option<u64>,
        retention_bytes: Option<u64>,
        up_to: Offset,
    ) -> Option<Offset> {
        let log_start = self.log_start();
        let mut size_bytes: u64 = self.readable(log_start).map(|segment| segment.size_bytes).sum();
        let mut candidate = log_start;
        for segment in self.readable(log_start) {
            if segment.end_offset > up_to {
                break;
            }
            let expired = retention_ms.is_some_and(|limit| is_older(segment, now_ms, limit));
            let superfluous =
                retention_bytes.is_some_and(|limit| size_bytes >= limit.saturating_add(segment.size_bytes));
            if segment.has_batches() && !expired && !superfluous {
                break;
            }
            size_bytes -= segment.size_bytes;
            candidate = segment.end_offset;
        }
        (candidate > log_start).then_some(candidate)
    }

    /// What holds the records behind `offset`, oldest first: files of the compacted prefix, then segments.
    fn readable(&self, offset: Offset) -> impl Iterator<Item = &Segment> {
        let files = self.prefix.iter().flat_map(|prefix| prefix.files.iter().map(|file| &file.segment));
        let compacted_end = self.compacted_end();
        let segments = self.segments.iter().filter(move |segment| segment.end_offset > compacted_end);
        files.chain(segments).filter(move |segment| segment.end_offset > offset)
    }

    /// Drops the segments whose offsets all lie below the log start or are compacted, as far as the snapshot at their
    /// end is there; returns how many went. Files of the compacted prefix below the log start go as well.
    ///
    /// If the active segment is such a one it is closed, so that
    /// [`wants_boundary_snapshot`](Self::wants_boundary_snapshot) asks for the snapshot that lets it go.
    pub fn drop_segments_below_log_start(&mut self) -> Result<usize, LogError> {
        self.check_writable()?;
        let not_needed_below = self.log_start().max(self.compacted_end());
        let expired = |segment: &Segment| segment.end_offset <= not_needed_below;
        if self.active
            && self.segments.last().is_some_and(|segment| segment.has_batches() && expired(segment))
        {
            self.roll();
        }
        let closed = self.segments.len() - usize::from(self.active);
        let below = self.segments[..closed].partition_point(expired);
        let droppable = (0..below).rev().find(|at| self.has_snapshot(self.segments[*at].last_index()));
        let Some(count) = droppable.map(|at| at + 1) else {
            self.drop_compacted_files()?;
            return Ok(0);
        };

        let (last_dropped, first_offset) = {
            let last = &self.segments[count - 1];
            (last.last_index(), last.end_offset)
        };
        // First the promise to need them no more, durably; whatever removal a crash prevents, recovery repeats.
        self.write_state_durably(LogState { first_index: last_dropped.next(), ..self.state })?;
        self.terms.drop_before(last_dropped, self.log_start());
        self.first_offset = first_offset;
        let dropped: Vec<Index> = self.segments.drain(..count).map(|segment| segment.first_index).collect();
        for first_index in dropped {
            let name = segment::file_name(self.state.generation, first_index);
            let removed = self.disk.remove(&self.dir, &name);
            self.poisoning(removed)?;
        }
        self.forget_snapshots_before(last_dropped)?;
        self.drop_tail_before_first();
        self.drop_compacted_files()?;
        Ok(count)
    }

    /// The log start is made durable before what lies below it goes.
    fn drop_compacted_files(&mut self) -> Result<(), LogError> {
        if self.has_compacted_below_log_start() {
            self.write_state_durably(self.state)?;
            self.drop_compacted_below_log_start()?;
        }
        Ok(())
    }

    /// Entries of dropped segments must not be answered from memory.
    fn drop_tail_before_first(&mut self) {
        if self.tail.first_index().is_some_and(|first| first < self.first_index()) {
            self.tail.drop_before(self.first_index());
        }
    }
}

fn is_older(segment: &Segment, now_ms: i64, limit_ms: u64) -> bool {
    let limit_ms = i64::try_from(limit_ms).unwrap_or(i64::MAX);
    segment.max_timestamp != NO_TIMESTAMP && now_ms.saturating_sub(segment.max_timestamp) > limit_ms
}
