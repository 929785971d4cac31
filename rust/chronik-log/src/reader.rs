//! Walks the entries of one segment file, verifying whatever it hands out.
//!
//! Every cold read goes through here, so a flipped bit is found no matter which question was asked. Reads are
//! windowed: a file answers with as much as the window holds, memory with what it has in one piece.

use std::sync::Arc;

use bytes::Bytes;

use crate::disk::{DiskError, DiskFile};
use crate::entry::{ENTRY_HEADER_BYTES, EntryHeader};
use crate::segment::SegmentId;

/// Why an entry could not be read.
#[derive(Debug)]
pub(crate) enum ReadFault {
    /// The bytes are no valid entry.
    Damaged(&'static str),
    /// The disk failed.
    Disk(DiskError),
}

impl From<DiskError> for ReadFault {
    fn from(error: DiskError) -> Self {
        match error {
            DiskError::PastEnd { .. } => ReadFault::Damaged("file ends inside an entry"),
            other => ReadFault::Disk(other),
        }
    }
}

#[derive(Debug)]
pub(crate) struct SegmentReader {
    file: Arc<dyn DiskFile>,
    id: SegmentId,
    end: u64,
    window_bytes: usize,
    buffer: Bytes,
    buffer_start: u64,
}

impl SegmentReader {
    /// A reader of the first `end` bytes of the file of segment `id`.
    pub(crate) fn new(
        file: Arc<dyn DiskFile>,
        id: SegmentId,
        end: u64,
        window_bytes: usize,
    ) -> SegmentReader {
        SegmentReader { file, id, end, window_bytes, buffer: Bytes::new(), buffer_start: 0 }
    }

    /// The header at `position`; `None` at the end. The payload is not looked at.
    pub(crate) fn header(&mut self, position: u64) -> Result<Option<EntryHeader>, ReadFault> {
        if position >= self.end {
            return Ok(None);
        }
        let bytes = self.take(position, ENTRY_HEADER_BYTES)?;
        EntryHeader::decode(self.id.place(position), &bytes).map(Some).map_err(ReadFault::Damaged)
    }

    /// The verified payload of the entry at `position`.
    pub(crate) fn data(&mut self, position: u64, header: &EntryHeader) -> Result<Bytes, ReadFault> {
        let data = self.take(position + ENTRY_HEADER_BYTES as u64, header.data_length as usize)?;
        header.verify(&data).map_err(ReadFault::Damaged)?;
        Ok(data)
    }

    /// Bytes from `position` on, at least `length`.
    pub(crate) fn take(&mut self, position: u64, length: usize) -> Result<Bytes, ReadFault> {
        if length == 0 {
            return Ok(Bytes::new());
        }
        if position + length as u64 > self.end {
            return Err(ReadFault::Damaged("file ends inside an entry"));
        }
        let from = position.checked_sub(self.buffer_start).and_then(|from| usize::try_from(from).ok());
        if let Some(from) = from
            && let Some(to) = from.checked_add(length)
            && to <= self.buffer.len()
        {
            return Ok(self.buffer.slice(from..to));
        }
        let rest = usize::try_from(self.end - position).unwrap_or(usize::MAX);
        let read = self.file.read_at(position, length, self.window_bytes.clamp(length, rest.max(length)))?;
        self.buffer = read;
        self.buffer_start = position;
        Ok(self.buffer.slice(..length))
    }
}
