//! Appending: check, describe, write with one vectored append per segment, then note.
//!
//! Nothing of the log in memory changes before the bytes are in the file, so a failed append leaves it as it
//! was.

use bytes::{Bytes, BytesMut};
use chronik_mutants::{Mutant, planted};

use super::PartitionLog;
use crate::entry::{ENTRY_HEADER_BYTES, Entry, EntryHeader};
use crate::error::LogError;
use crate::segment::{self, SEGMENT_HEADER_BYTES, Segment, SegmentHeader, SegmentId};
use crate::{Index, Term};

impl PartitionLog {
    /// Appends contiguous entries. A suffix of the log that they replace is cut first, as Raft demands.
    ///
    /// Every batch must be one record batch whose base offset is the log end at its place. On
    /// [`LogError::DiskFull`] and [`LogError::InvalidEntry`] nothing was appended; any other error poisons
    /// the log.
    ///
    /// # Panics
    /// If the entries leave a gap, are not contiguous, go back in term, or replace committed entries.
    pub fn append(&mut self, entries: &[Entry]) -> Result<(), LogError> {
        let Some(first) = entries.first() else { return Ok(()) };
        self.check_writable()?;
        let last = self.last_index();
        assert!(
            first.index <= last.next(),
            "entry {} leaves a gap after {last} of {}",
            first.index,
            self.dir
        );
        let commit = self.state.hard.commit.max(self.first_index().prev());
        assert!(
            first.index > commit,
            "entry {} replaces committed ones of {}, up to {commit}",
            first.index,
            self.dir
        );

        let headers = self.describe(entries)?;
        if first.index <= last {
            self.truncate_from(first.index)?;
        }
        self.ensure_created()?;
        let end_before = self.last_index();
        let written = self.write(&headers, entries);
        if matches!(written, Err(LogError::DiskFull { .. })) && self.last_index() > end_before {
            self.truncate_from(end_before.next())?;
        }
        written
    }

    /// Headers for entries that will follow the one before the first.
    fn describe(&self, entries: &[Entry]) -> Result<Vec<EntryHeader>, LogError> {
        let Some(first) = entries.first() else { return Ok(Vec::new()) };
        let mut end = self.offset_after_index(first.index.prev())?;
        let mut term = self.term(first.index.prev())?;
        let mut index = first.index;
        let synced_through = self.state.synced_through.min(first.index.prev());
        let mut headers = Vec::with_capacity(entries.len());
        for entry in entries {
            assert!(
                entry.index == index,
                "entry {} stands where {index} belongs in {}",
                entry.index,
                self.dir
            );
            assert!(entry.term >= term, "entry {index} of term {} follows term {term}", entry.term);
            // Without fsync, written counts as persisted: so damage before a later entry is never a torn tail.
            let promised = if self.config.fsync { synced_through } else { index.prev() };
            let mut header = EntryHeader::describe(entry, end, promised)
                .map_err(|reason| LogError::InvalidEntry { index, term: entry.term, reason })?;
            header.by_sync = self.config.fsync;
            end = header.next_offset();
            term = entry.term;
            index = index.next();
            headers.push(header);
        }
        Ok(headers)
    }

    fn write(&mut self, mut headers: &[EntryHeader], mut entries: &[Entry]) -> Result<(), LogError> {
        while let Some(first) = headers.first() {
            let limit_bytes = self.config.segment_bytes_bounded();
            let limit_ms = self.config.segment_ms;
            if self.active
                && let Some(segment) = self.segments.last()
                && !segment.takes(first, segment.size_bytes, limit_bytes, limit_ms)
            {
                self.roll();
            }
            let fresh = Segment::new(first.index, first.base_offset);
            let segment = self.segments.last().filter(|_| self.active).unwrap_or(&fresh);
            let mut size_bytes = segment.size_bytes;
            let mut fitting = 0;
            for header in headers {
                if !segment.takes(header, size_bytes, limit_bytes, limit_ms) {
                    break;
                }
                size_bytes += header.stored_bytes();
                fitting += 1;
            }
            let (now, later) = headers.split_at(fitting);
            let (entries_now, entries_later) = entries.split_at(fitting);
            self.write_to_segment(now, entries_now)?;
            (headers, entries) = (later, entries_later);
        }
        Ok(())
    }

    /// Closes the active segment; the next append begins another.
    pub(super) fn roll(&mut self) {
        self.active = false;
        if let Some(segment) = self.segments.last_mut().filter(|segment| !segment.dirty) {
            segment.file = None;
        }
    }

    /// One vectored append. Begins a segment if none is active.
    fn write_to_segment(&mut self, headers: &[EntryHeader], entries: &[Entry]) -> Result<(), LogError> {
        let Some(first) = headers.first() else { return Ok(()) };
        let mut pieces = Vec::with_capacity(entries.len() * 2 + 1);
        let begun = if self.active { None } else { Some(self.begin_segment(first.index)?) };
        if let Some((_, header)) = &begun {
            pieces.push(header.clone());
        }
        let segment = match &begun {
            Some((segment, _)) => Some(segment),
            None => self.segments.last(),
        };
        let segment = segment.expect("an active log has a segment");
        let file = segment.file.clone().expect("an active segment keeps its file open");
        let id = SegmentId { generation: self.state.generation, first_index: segment.first_index };
        let mut position = segment.size_bytes;
        let mut encoded = BytesMut::with_capacity(headers.len() * ENTRY_HEADER_BYTES);
        for (header, entry) in headers.iter().zip(entries) {
            header.encode(id.place(position), &mut encoded);
            position += header.stored_bytes();
            pieces.push(encoded.split().freeze());
            if !entry.data.is_empty() {
                pieces.push(entry.data.clone());
            }
        }

        let appended = file.append(&pieces);
        if appended.is_err() && begun.is_some() {
            // Best effort: if even this fails, recovery removes the empty file.
            let name = segment::file_name(self.state.generation, first.index);
            let removed = self.disk.remove(&self.dir, &name);
            self.poisoning(removed)?;
        }
        let position = self.poisoning(appended)?;

        if let Some((segment, _)) = begun {
            self.segments.push(segment);
            self.active = true;
            self.dir_dirty |= self.config.fsync && !planted(Mutant::SegmentNamesNotSynced);
        }
        self.note_written(position, headers, entries);
        Ok(())
    }

    /// A new segment with its open, empty file, and the bytes that go first into it.
    fn begin_segment(&mut self, first_index: Index) -> Result<(Segment, Bytes), LogError> {
        let name = segment::file_name(self.state.generation, first_index);
        let created = self.disk.create(&self.dir, &name);
        let file = self.poisoning(created)?;
        let previous_term = if self.next_index == Index(1) { Term::ZERO } else { self.last_term() };
        let header = SegmentHeader {
            first_index,
            base_offset: self.end_offset,
            previous_term,
            generation: self.state.generation,
        };
        let mut segment = Segment::new(first_index, self.end_offset).behind(self.segments.last());
        segment.file = Some(file);
        Ok((segment, header.encode()))
    }

    /// The bytes are in the file: now the log has the entries.
    fn note_written(&mut self, position: u64, headers: &[EntryHeader], entries: &[Entry]) {
        let segment = self.segments.last_mut().expect("entries were written to the last segment");
        let in_memory = if position == 0 { SEGMENT_HEADER_BYTES as u64 } else { position };
        assert!(segment.size_bytes == in_memory, "segment and file disagree about where {} ends", self.dir);
        for (header, entry) in headers.iter().zip(entries) {
            segment.note(header, self.config.index_interval_bytes);
            self.terms.note(header.term, header.index, header.base_offset);
            let entry = Entry { base_offset: header.base_offset, ..entry.clone() };
            self.tail.push(entry, self.config.tail_bytes);
        }
        segment.dirty = self.config.fsync;
        self.next_index = segment.next_index;
        self.end_offset = segment.end_offset;
    }
}
