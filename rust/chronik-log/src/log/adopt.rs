//! Makes durable what opening a log has found, since Raft counts all of it as persisted from then on.
//!
//! A killed process leaves bytes in the page cache that were never synced: they are synced here. If a sync had failed
//! before, that is not enough: the system then takes the bytes it could not write for clean, so a sync would succeed
//! and write nothing. They are written again first, entry by entry, each checked: what a read gets wrong must not
//! replace what is right on the disk.

use std::ops::ControlFlow;

use bytes::BytesMut;

use super::PartitionLog;
use crate::Index;
use crate::entry::ENTRY_HEADER_BYTES;
use crate::error::LogError;
use crate::limits::SCAN_WINDOW_BYTES;
use crate::segment::SegmentHeader;
use crate::state::LogState;

impl PartitionLog {
    /// Syncs what was found, and writes down that it is synced. The entries from `doubtful_from` on may belong to a
    /// sync that failed.
    ///
    /// What the state file says is believed here, but not what entries say: without fsync they call persisted
    /// what was only written.
    pub(super) fn adopt(&mut self, doubtful_from: Index) -> Result<(), LogError> {
        let last = self.last_index();
        for at in self.segment_of_index(self.state.synced_through.next())..self.segments.len() {
            if self.segments[at].next_index > doubtful_from {
                self.write_again(at, doubtful_from)?;
            }
            self.open_segment(at)?.sync()?;
        }
        self.disk.sync_dir(&self.dir)?;
        self.write_state_durably(LogState { synced_through: last, ..self.state })
    }

    /// Writes the entries of segment `at` from `from` on where they are, and its header with the first of them.
    fn write_again(&self, at: usize, from: Index) -> Result<(), LogError> {
        let file = self.open_segment(at)?;
        let id = self.segment_id(at);
        let segment = &self.segments[at];
        if segment.first_index >= from {
            let header = SegmentHeader {
                first_index: segment.first_index,
                base_offset: segment.base_offset,
                previous_term: self.terms.term_at(segment.first_index.prev()),
                generation: id.generation,
            };
            file.write_at(0, &header.encode())?;
        }
        let mut encoded = BytesMut::with_capacity(ENTRY_HEADER_BYTES);
        self.walk(at, segment.position_before_index(from), SCAN_WINDOW_BYTES, |met| {
            if met.header.index >= segment.next_index {
                return Ok(ControlFlow::Break(()));
            }
            let data = met.data()?;
            encoded.clear();
            met.header.encode(id.place(met.position), &mut encoded);
            file.write_at(met.position, &encoded)?;
            file.write_at(met.position + ENTRY_HEADER_BYTES as u64, &data)?;
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(())
    }
}
