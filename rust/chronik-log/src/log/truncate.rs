//! Cutting a suffix of the log, in an order that a crash may interrupt anywhere.
//!
//! Truncation happens at leader changes only, so it waits for the disk at each step instead of tracking what
//! is half done: first the state file stops claiming the suffix as synced, then whole segments go, newest
//! first, then the last one is cut. Whatever a crash leaves is a valid log: shorter, or as it was.

use chronik_mutants::{Mutant, planted};

use super::PartitionLog;
use crate::Index;
use crate::error::LogError;
use crate::limits::SCAN_WINDOW_BYTES;
use crate::reader::SegmentReader;
use crate::segment;
use crate::state::LogState;

impl PartitionLog {
    /// Removes the entries from `index` on. An error other than a full disk poisons the log.
    pub(super) fn truncate_from(&mut self, index: Index) -> Result<(), LogError> {
        let last = index.prev();
        assert!(
            index >= self.first_index() && last <= self.last_index(),
            "no entry {index} to cut in {}",
            self.dir
        );
        let end_offset = self.offset_after_index(last)?;
        let fsync = self.config.fsync;
        if self.state.synced_through > last || self.state.hard.commit > last {
            let mut state = LogState { synced_through: self.state.synced_through.min(last), ..self.state };
            state.hard.commit = state.hard.commit.min(last);
            if fsync { self.write_state_durably(state)? } else { self.write_state(state)? }
        }
        self.truncations += 1;
        self.remove_segments_from(index)?;
        if let Some(at) = self.segments.len().checked_sub(1)
            && self.segments.get(at).is_some_and(|segment| segment.next_index > index)
        {
            self.cut_last_segment(at, index)?;
        }
        if !planted(Mutant::CacheNotTruncated) {
            self.tail.truncate_from(index);
        }
        if !planted(Mutant::TermsNotTruncated) {
            self.terms.truncate_from(index);
        }
        self.next_index = index;
        self.end_offset = end_offset;
        Ok(())
    }

    fn remove_segments_from(&mut self, index: Index) -> Result<(), LogError> {
        let mut removed_any = false;
        while let Some(segment) = self.segments.last().filter(|segment| segment.first_index >= index) {
            let name = segment::file_name(self.state.generation, segment.first_index);
            let removed = self.disk.remove(&self.dir, &name);
            self.poisoning(removed)?;
            self.segments.pop();
            self.active = false;
            removed_any = true;
        }
        if removed_any && self.config.fsync {
            let synced = self.disk.sync_dir(&self.dir);
            self.poisoning(synced)?;
        }
        Ok(())
    }

    /// Cuts the last segment before `index` and builds its index anew from what is left.
    fn cut_last_segment(&mut self, at: usize, index: Index) -> Result<(), LogError> {
        let file = self.open_segment(at)?;
        let (mut position, size_bytes) = {
            let segment = &self.segments[at];
            (segment::SEGMENT_HEADER_BYTES as u64, segment.size_bytes)
        };
        let mut reader = SegmentReader::new(file.clone(), self.segment_id(at), size_bytes, SCAN_WINDOW_BYTES);
        self.segments[at].forget_entries();
        let interval = self.config.index_interval_bytes;
        loop {
            let header = reader.header(position).map_err(|fault| self.read_error(at, position, fault))?;
            let Some(header) = header.filter(|header| header.index < index) else { break };
            self.segments[at].note(&header, interval);
            position += header.stored_bytes();
        }
        let cut = file.truncate(position).and_then(|()| if self.config.fsync { file.sync() } else { Ok(()) });
        self.poisoning(cut)?;
        self.segments[at].file = Some(file);
        self.active = true;
        Ok(())
    }
}
