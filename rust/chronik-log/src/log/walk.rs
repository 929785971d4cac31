//! Walking entries on disk: the one way all cold reads take.

use std::ops::ControlFlow;
use std::sync::Arc;

use chronik_mutants::{Mutant, planted};
use chronik_wire::types::Offset;

use super::PartitionLog;
use crate::Index;
use crate::disk::DiskFile;
use crate::entry::{ENTRY_HEADER_BYTES, EntryHeader};
use crate::error::LogError;
use crate::reader::{ReadFault, SegmentReader};
use crate::segment::{self, SegmentId};

/// An entry met on a walk; its payload is read only on demand.
pub(super) struct Met<'a> {
    pub(super) header: EntryHeader,
    /// Where in its segment it lies.
    pub(super) position: u64,
    reader: &'a mut SegmentReader,
}

impl Met<'_> {
    /// The verified payload.
    pub(super) fn data(&mut self) -> Result<bytes::Bytes, ReadFault> {
        if planted(Mutant::PayloadsUnverified) {
            let position = self.position + ENTRY_HEADER_BYTES as u64;
            return self.reader.take(position, self.header.data_length as usize);
        }
        self.reader.data(self.position, &self.header)
    }
}

impl PartitionLog {
    /// Segment that holds the entry at `index`.
    pub(super) fn segment_of_index(&self, index: Index) -> usize {
        self.segments.partition_point(|segment| segment.next_index <= index)
    }

    /// Segment that holds `offset`.
    pub(super) fn segment_of_offset(&self, offset: Offset) -> usize {
        self.segments.partition_point(|segment| segment.end_offset <= offset)
    }

    /// File of a segment; closed segments are opened for the occasion, so that they cost no descriptor.
    pub(super) fn open_segment(&self, at: usize) -> Result<Arc<dyn DiskFile>, LogError> {
        match &self.segments[at].file {
            Some(file) => Ok(Arc::clone(file)),
            None => Ok(self.disk.open(&self.dir, &self.segment_name(at))?),
        }
    }

    /// Calls `visit` for the entries of segment `at` from `position` on, which must be an entry's, and for
    /// those of the segments that follow, until it breaks.
    pub(super) fn walk<B>(
        &self,
        at: usize,
        position: u64,
        window_bytes: usize,
        mut visit: impl FnMut(&mut Met<'_>) -> Result<ControlFlow<B>, ReadFault>,
    ) -> Result<Option<B>, LogError> {
        let mut position = position;
        for at in at..self.segments.len() {
            let end = self.segments[at].size_bytes;
            let mut reader =
                SegmentReader::new(self.open_segment(at)?, self.segment_id(at), end, window_bytes);
            let walked = walk_file(&mut reader, position, end, &mut visit);
            if let Some(value) = walked.map_err(|(position, fault)| self.read_error(at, position, fault))? {
                return Ok(Some(value));
            }
            position = segment::SEGMENT_HEADER_BYTES as u64;
        }
        Ok(None)
    }

    /// As [`walk`](Self::walk), over the files of the compacted prefix.
    pub(super) fn walk_compacted<B>(
        &self,
        at: usize,
        position: u64,
        window_bytes: usize,
        mut visit: impl FnMut(&mut Met<'_>) -> Result<ControlFlow<B>, ReadFault>,
    ) -> Result<Option<B>, LogError> {
        let Some(prefix) = &self.prefix else { return Ok(None) };
        let mut position = position;
        for (at, file) in prefix.files.iter().enumerate().skip(at) {
            let (name, end) = (prefix.name_of(at), file.mark.size_bytes);
            let opened = self.disk.open(&self.dir, &name)?;
            let mut reader = SegmentReader::new(opened, prefix.id_of(at), end, window_bytes);
            let walked =
                walk_file(&mut reader, position, end, &mut visit).map_err(|(position, fault)| match fault {
                    ReadFault::Disk(error) => error.into(),
                    ReadFault::Damaged(reason) => {
                        LogError::corrupt(format!("{}/{name}", self.dir), position, reason)
                    }
                });
            if let Some(value) = walked? {
                return Ok(Some(value));
            }
            position = segment::SEGMENT_HEADER_BYTES as u64;
        }
        Ok(None)
    }

    pub(super) fn read_error(&self, at: usize, position: u64, fault: ReadFault) -> LogError {
        match fault {
            ReadFault::Disk(error) => error.into(),
            ReadFault::Damaged(reason) => {
                LogError::corrupt(format!("{}/{}", self.dir, self.segment_name(at)), position, reason)
            }
        }
    }

    pub(super) fn segment_id(&self, at: usize) -> SegmentId {
        SegmentId { generation: self.state.generation, first_index: self.segments[at].first_index }
    }

    pub(super) fn segment_name(&self, at: usize) -> String {
        segment::file_name(self.state.generation, self.segments[at].first_index)
    }
}

/// Calls `visit` for the entries of one file until it breaks; where the walk failed, if it did.
fn walk_file<B>(
    reader: &mut SegmentReader,
    mut position: u64,
    end: u64,
    visit: &mut impl FnMut(&mut Met<'_>) -> Result<ControlFlow<B>, ReadFault>,
) -> Result<Option<B>, (u64, ReadFault)> {
    while position < end {
        let fault = |fault| (position, fault);
        let Some(header) = reader.header(position).map_err(fault)? else { break };
        let mut met = Met { header, position, reader };
        if let ControlFlow::Break(value) = visit(&mut met).map_err(fault)? {
            return Ok(Some(value));
        }
        position += header.stored_bytes();
    }
    Ok(None)
}
