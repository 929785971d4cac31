//! A compacted prefix in memory: its manifest and what is known about each of its files.

use std::sync::Arc;

use chronik_wire::types::Offset;

use super::CompactedInfo;
use super::manifest::{FileMark, Manifest, file_name, segment_id};
use crate::disk::{Disk, DiskFile};
use crate::entry::{EntryHeader, EntryKind};
use crate::error::LogError;
use crate::limits::SCAN_WINDOW_BYTES;
use crate::reader::{ReadFault, SegmentReader};
use crate::segment::{SEGMENT_HEADER_BYTES, Segment, SegmentHeader, SegmentId};
use crate::{Index, Term};

/// One file, with its sparse index.
#[derive(Debug)]
pub(crate) struct PrefixFile {
    pub(crate) mark: FileMark,
    pub(crate) segment: Segment,
}

/// The compacted part of a log.
#[derive(Debug)]
pub(crate) struct Prefix {
    pub(crate) manifest: Manifest,
    /// In the order of the manifest.
    pub(crate) files: Vec<PrefixFile>,
}

impl Prefix {
    pub(crate) fn info(&self) -> CompactedInfo {
        CompactedInfo {
            up_to: self.manifest.up_to,
            tombstones_below: self.manifest.tombstones_below,
            removable_from: self.manifest.removable_from,
            size_bytes: self.manifest.size_bytes(),
        }
    }

    pub(crate) fn id_of(&self, at: usize) -> SegmentId {
        segment_id(self.manifest.id(), self.files[at].mark.number)
    }

    pub(crate) fn name_of(&self, at: usize) -> String {
        file_name(self.manifest.id(), self.files[at].mark.number)
    }

    /// Names of all its files.
    pub(crate) fn names(&self) -> Vec<String> {
        (0..self.files.len()).map(|at| self.name_of(at)).collect()
    }

    /// File that holds `offset`, or else the first batch behind it.
    pub(crate) fn file_of_offset(&self, offset: Offset) -> usize {
        self.files.partition_point(|file| file.segment.end_offset <= offset)
    }

    /// Reads a prefix back and checks every byte of it. Only damage can keep it from being what its manifest says: the
    /// manifest got its name when all of it was durable.
    pub(crate) fn load(
        disk: &dyn Disk,
        dir: &str,
        manifest: Manifest,
        interval: u32,
    ) -> Result<Prefix, LogError> {
        let id = manifest.id();
        let mut files = Vec::with_capacity(manifest.files.len());
        let mut end_offset = Offset::ZERO;
        for mark in &manifest.files {
            let name = file_name(id, mark.number);
            let path = || format!("{dir}/{name}");
            let file = disk.open(dir, &name)?;
            if file.len() != mark.size_bytes {
                return Err(LogError::corrupt(
                    path(),
                    file.len(),
                    "file of the compacted prefix has another length",
                ));
            }
            let scanned = scan(file, segment_id(id, mark.number), mark, end_offset, interval);
            let segment = scanned.map_err(|(position, fault)| match fault {
                ReadFault::Disk(error) => error.into(),
                ReadFault::Damaged(reason) => LogError::corrupt(path(), position, reason),
            })?;
            end_offset = segment.end_offset;
            files.push(PrefixFile { mark: *mark, segment });
        }
        if end_offset != manifest.up_to {
            return Err(LogError::corrupt(dir, 0, "compacted prefix does not reach to its end"));
        }
        Ok(Prefix { manifest, files })
    }
}

/// The bytes that a file of a prefix begins with.
pub(super) fn file_header(id: SegmentId, base_offset: Offset) -> SegmentHeader {
    SegmentHeader {
        first_index: id.first_index,
        base_offset,
        previous_term: Term::ZERO,
        generation: id.generation,
    }
}

/// Reads one file from end to end.
pub(super) fn scan(
    file: Arc<dyn DiskFile>,
    id: SegmentId,
    mark: &FileMark,
    begins_after: Offset,
    interval: u32,
) -> Result<Segment, (u64, ReadFault)> {
    let mut reader = SegmentReader::new(file, id, mark.size_bytes, SCAN_WINDOW_BYTES);
    let damaged = |position, reason| (position, ReadFault::Damaged(reason));
    let header = reader.take(0, SEGMENT_HEADER_BYTES).map_err(|fault| (0, fault))?;
    let header = SegmentHeader::decode(&header).map_err(|reason| damaged(0, reason))?;
    if header != file_header(id, mark.base_offset) || mark.base_offset < begins_after {
        return Err(damaged(0, "header is another file's"));
    }
    let mut segment = Segment::new(mark.first_index, mark.base_offset);
    loop {
        let position = segment.size_bytes;
        let fault = |fault| (position, fault);
        let Some(header) = reader.header(position).map_err(fault)? else { break };
        if !follows(&segment, &header) {
            return Err(damaged(position, "batch does not follow the one before"));
        }
        reader.data(position, &header).map_err(fault)?;
        segment.note_compacted(&header, interval);
    }
    Ok(segment)
}

fn follows(segment: &Segment, header: &EntryHeader) -> bool {
    let first = segment.size_bytes == SEGMENT_HEADER_BYTES as u64;
    let begins = !first || (header.index, header.base_offset) == (segment.first_index, segment.base_offset);
    let ascends = header.index >= segment.next_index && header.base_offset >= segment.end_offset;
    header.kind == EntryKind::Batch && header.index > Index::ZERO && begins && ascends
}
