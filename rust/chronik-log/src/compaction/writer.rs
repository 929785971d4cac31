//! Writes the files of a new compacted prefix, beside the ones that are read meanwhile.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use chronik_wire::types::Offset;
use crc_fast::{CrcAlgorithm, Digest};

use super::manifest::{FileMark, PrefixId, file_name, segment_id};
use super::prefix::{PrefixFile, file_header};
use crate::Index;
use crate::disk::{Disk, DiskFile};
use crate::entry::{ENTRY_HEADER_BYTES, EntryHeader};
use crate::error::LogError;
use crate::limits::{COMPACTED_FILES_MAX, COMPACTION_WRITE_BYTES};
use crate::segment::{SEGMENT_HEADER_BYTES, Segment};

/// The file that is being written.
struct Open {
    file: Arc<dyn DiskFile>,
    segment: Segment,
    digest: Digest,
    pieces: Vec<Bytes>,
    pending_bytes: usize,
}

impl Open {
    fn push(&mut self, piece: Bytes) {
        self.digest.update(&piece);
        self.pending_bytes += piece.len();
        self.pieces.push(piece);
    }

    fn flush(&mut self) -> Result<(), LogError> {
        if !self.pieces.is_empty() {
            self.file.append(&self.pieces)?;
            self.pieces.clear();
            self.pending_bytes = 0;
        }
        Ok(())
    }
}

/// A prefix in the making.
pub(super) struct PrefixWriter {
    disk: Arc<dyn Disk>,
    dir: Box<str>,
    id: PrefixId,
    file_bytes: u64,
    interval: u32,
    open: Option<Open>,
    files: Vec<PrefixFile>,
    removable_from: Option<Offset>,
}

impl PrefixWriter {
    pub(super) fn new(
        disk: Arc<dyn Disk>,
        dir: &str,
        id: PrefixId,
        file_bytes: u64,
        interval: u32,
    ) -> PrefixWriter {
        PrefixWriter {
            disk,
            dir: dir.into(),
            id,
            file_bytes,
            interval,
            open: None,
            files: Vec::new(),
            removable_from: None,
        }
    }

    /// Appends what is left of the batch that `original` heads; returns how many bytes that took.
    pub(super) fn write(
        &mut self,
        original: &EntryHeader,
        batch: Bytes,
        removable: Option<Offset>,
    ) -> Result<u64, LogError> {
        let header = EntryHeader::compacted(original, &batch).map_err(|reason| LogError::InvalidEntry {
            index: original.index,
            term: original.term,
            reason,
        })?;
        let full = |open: &Open| open.segment.size_bytes + header.stored_bytes() > self.file_bytes;
        if self.open.as_ref().is_some_and(full) && self.files.len() + 1 < COMPACTED_FILES_MAX {
            self.close()?;
        }
        let number = self.files.len() as u32;
        let id = segment_id(self.id, number);
        if self.open.is_none() {
            self.open = Some(self.create(number, header.index, header.base_offset)?);
        }
        let open = self.open.as_mut().expect("a file was just created");
        let mut encoded = BytesMut::with_capacity(ENTRY_HEADER_BYTES);
        header.encode(id.place(open.segment.size_bytes), &mut encoded);
        open.push(encoded.freeze());
        open.push(batch);
        open.segment.note_compacted(&header, self.interval);
        if open.pending_bytes >= COMPACTION_WRITE_BYTES {
            open.flush()?;
        }
        self.removable_from = self.removable_from.or(removable);
        Ok(header.stored_bytes())
    }

    fn create(&self, number: u32, first_index: Index, base_offset: Offset) -> Result<Open, LogError> {
        let name = file_name(self.id, number);
        let file = match self.disk.create(&self.dir, &name) {
            // A job that was given up left it.
            Err(crate::disk::DiskError::AlreadyExists { .. }) => {
                self.disk.remove(&self.dir, &name)?;
                self.disk.create(&self.dir, &name)?
            }
            created => created?,
        };
        let mut open = Open {
            file,
            segment: Segment::new(first_index, base_offset),
            digest: Digest::new(CrcAlgorithm::Crc32Iscsi),
            pieces: Vec::new(),
            pending_bytes: 0,
        };
        open.push(file_header(segment_id(self.id, number), base_offset).encode());
        Ok(open)
    }

    /// Makes the open file durable.
    pub(super) fn close(&mut self) -> Result<(), LogError> {
        if let Some(open) = &mut self.open {
            open.flush()?;
            open.file.sync()?;
        }
        let Some(open) = self.open.take() else { return Ok(()) };
        let segment = open.segment;
        debug_assert!(segment.size_bytes > SEGMENT_HEADER_BYTES as u64, "a file is created for a batch");
        let mark = FileMark {
            number: self.files.len() as u32,
            first_index: segment.first_index,
            base_offset: segment.base_offset,
            size_bytes: segment.size_bytes,
            crc: open.digest.finalize() as u32,
        };
        self.files.push(PrefixFile { mark, segment });
        Ok(())
    }

    /// All files that were closed, and the first tombstone or marker in them.
    pub(super) fn into_files(self) -> (Vec<PrefixFile>, Option<Offset>) {
        (self.files, self.removable_from)
    }

    /// Removes what was written.
    pub(super) fn abandon(self) {
        let written = self.files.len() + usize::from(self.open.is_some());
        for number in 0..written {
            // What cannot be removed now is removed when the log is opened.
            let _ = self.disk.remove(&self.dir, &file_name(self.id, number as u32));
        }
    }
}
