//! One segment: a file of consecutive entries, what is known about it, and its sparse index.
//!
//! ```text
//! 0 magic · 8 crc of 12..48 · 12 version · 16 first index · 24 base offset · 32 previous term · 40 generation
//! 48 first entry ...                                                                      (big endian)
//! ```
//! The index is only ever built from the entries; nothing of it is stored.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use chronik_wire::types::Offset;

use crate::disk::DiskFile;
use crate::entry::{EntryHeader, EntryKind, NO_TIMESTAMP, Place};
use crate::{Index, Term};

/// Bytes before the first entry of a segment.
pub(crate) const SEGMENT_HEADER_BYTES: usize = 48;

const MAGIC: [u8; 8] = *b"CHRONIK\x01";
const VERSION: u32 = 2;
const SUFFIX: &str = ".log";

/// What DescribeLogDirs and operators see of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentInfo {
    /// Index of its first entry.
    pub first_index: Index,
    /// Index of its last entry.
    pub last_index: Index,
    /// Log end before its first entry.
    pub base_offset: Offset,
    /// Log end after its last entry.
    pub end_offset: Offset,
    /// Size of the file, bytes.
    pub size_bytes: u64,
    /// Largest batch timestamp, wall-clock milliseconds; `None` if no batch carries one.
    pub max_timestamp_ms: Option<i64>,
}

/// First bytes of a segment file: which part of which log it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) first_index: Index,
    pub(crate) base_offset: Offset,
    pub(crate) previous_term: Term,
    pub(crate) generation: u64,
}

impl SegmentHeader {
    pub(crate) fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(SEGMENT_HEADER_BYTES);
        out.put_slice(&MAGIC);
        out.put_u32(0);
        out.put_u32(VERSION);
        out.put_u64(self.first_index.0);
        out.put_i64(self.base_offset.0);
        out.put_u64(self.previous_term.0);
        out.put_u64(self.generation);
        let crc = crc_fast::crc32_iscsi(&out[12..]);
        out[8..12].copy_from_slice(&crc.to_be_bytes());
        out.freeze()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<SegmentHeader, &'static str> {
        let Some(raw) = bytes.first_chunk::<SEGMENT_HEADER_BYTES>() else {
            return Err("segment header is cut short");
        };
        if raw[..8] != MAGIC {
            return Err("segment magic is missing");
        }
        if raw[8..12] != crc_fast::crc32_iscsi(&raw[12..]).to_be_bytes() {
            return Err("segment header does not match its crc");
        }
        let field = |at: usize, length: usize| {
            raw[at..at + length].iter().fold(0_u64, |value, byte| value << 8 | u64::from(*byte))
        };
        if field(12, 4) != u64::from(VERSION) {
            return Err("segment version is unknown");
        }
        Ok(SegmentHeader {
            first_index: Index(field(16, 8)),
            base_offset: Offset(i64::try_from(field(24, 8)).map_err(|_| "segment base offset is negative")?),
            previous_term: Term(field(32, 8)),
            generation: field(40, 8),
        })
    }
}

/// Names a segment of a log for ever: no other one, of this or an earlier generation, has the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentId {
    pub(crate) generation: u64,
    pub(crate) first_index: Index,
}

impl SegmentId {
    /// Byte `position` of this segment.
    pub(crate) fn place(self, position: u64) -> Place {
        Place { generation: self.generation, first_index: self.first_index, position }
    }
}

/// Name of the segment file that begins at `first_index`.
pub(crate) fn file_name(generation: u64, first_index: Index) -> String {
    format!("{generation:08x}-{:020}{SUFFIX}", first_index.0)
}

/// Generation and first index of a segment file; `None` for any other file.
pub(crate) fn parse_file_name(name: &str) -> Option<(u64, Index)> {
    let (generation, first_index) = name.strip_suffix(SUFFIX)?.split_once('-')?;
    Some((u64::from_str_radix(generation, 16).ok()?, Index(first_index.parse().ok()?)))
}

/// A point of the sparse index: an entry, where it lies, and the largest timestamp *before* it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Point {
    index_delta: u32,
    offset_delta: u32,
    position: u32,
    pub(crate) max_timestamp_before: i64,
}

/// A segment in memory. Small: an idle partition has one.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) first_index: Index,
    pub(crate) next_index: Index,
    pub(crate) base_offset: Offset,
    pub(crate) end_offset: Offset,
    pub(crate) size_bytes: u64,
    /// Of all batches; [`NO_TIMESTAMP`] without one.
    pub(crate) max_timestamp: i64,
    /// Of all batches of the segments before it, when it was begun.
    earlier_max_timestamp: i64,
    /// Of the first batch that has one.
    first_timestamp: i64,
    points: Vec<Point>,
    /// Kept open while the segment is appended to or unsynced.
    pub(crate) file: Option<Arc<dyn DiskFile>>,
    /// Holds bytes that were not handed to a sync.
    pub(crate) dirty: bool,
}

impl Segment {
    /// A segment without entries.
    pub(crate) fn new(first_index: Index, base_offset: Offset) -> Segment {
        Segment {
            first_index,
            next_index: first_index,
            base_offset,
            end_offset: base_offset,
            size_bytes: SEGMENT_HEADER_BYTES as u64,
            max_timestamp: NO_TIMESTAMP,
            earlier_max_timestamp: NO_TIMESTAMP,
            first_timestamp: NO_TIMESTAMP,
            points: Vec::new(),
            file: None,
            dirty: false,
        }
    }

    /// Places it behind another one.
    pub(crate) fn behind(self, previous: Option<&Segment>) -> Segment {
        let earlier_max_timestamp = previous.map_or(NO_TIMESTAMP, Segment::max_timestamp_so_far);
        Segment { earlier_max_timestamp, ..self }
    }

    /// Largest timestamp here and in the segments before. Timestamps are the producers' and come in any order; this one
    /// never falls from one segment to the next, so that it can be searched.
    pub(crate) fn max_timestamp_so_far(&self) -> i64 {
        self.max_timestamp.max(self.earlier_max_timestamp)
    }

    pub(crate) fn last_index(&self) -> Index {
        self.next_index.prev()
    }

    /// Timestamp of the first batch that has one, else [`NO_TIMESTAMP`].
    pub(crate) fn first_timestamp(&self) -> i64 {
        self.first_timestamp
    }

    pub(crate) fn has_batches(&self) -> bool {
        self.end_offset > self.base_offset
    }

    /// Whether an entry fits behind `size_bytes` bytes of this segment, given the limits of the
    /// configuration. The first entry always fits.
    pub(crate) fn takes(
        &self,
        header: &EntryHeader,
        size_bytes: u64,
        limit_bytes: u64,
        limit_ms: Option<u64>,
    ) -> bool {
        if size_bytes == SEGMENT_HEADER_BYTES as u64 {
            return true;
        }
        let too_wide = u32::try_from(header.next_offset().0 - self.base_offset.0).is_err()
            || u32::try_from(header.index.0 - self.first_index.0).is_err();
        let too_old = limit_ms.is_some_and(|limit| {
            let stamped = self.first_timestamp != NO_TIMESTAMP && header.max_timestamp != NO_TIMESTAMP;
            stamped
                && header.max_timestamp.saturating_sub(self.first_timestamp)
                    > i64::try_from(limit).unwrap_or(i64::MAX)
        });
        size_bytes + header.stored_bytes() <= limit_bytes && !too_wide && !too_old
    }

    /// Notes an entry that lies at the end of the file.
    pub(crate) fn note(&mut self, header: &EntryHeader, index_interval_bytes: u32) {
        debug_assert_eq!((header.index, header.base_offset), (self.next_index, self.end_offset));
        self.note_compacted(header, index_interval_bytes);
    }

    /// Notes an entry at the end of a file of a compacted prefix, where indexes and offsets leave gaps.
    pub(crate) fn note_compacted(&mut self, header: &EntryHeader, index_interval_bytes: u32) {
        debug_assert!(header.index >= self.next_index && header.base_offset >= self.end_offset);
        let last_point = self.points.last().map(|point| u64::from(point.position));
        let due = last_point.is_none_or(|last| self.size_bytes - last >= u64::from(index_interval_bytes));
        // Past 32 bits there is no point; lookups walk from the last one. Rolling keeps that from happening.
        if due
            && let (Ok(position), Ok(index_delta), Ok(offset_delta)) = (
                u32::try_from(self.size_bytes),
                u32::try_from(header.index.0 - self.first_index.0),
                u32::try_from(header.base_offset.0 - self.base_offset.0),
            )
        {
            let max_timestamp_before = self.max_timestamp;
            if self.points.is_empty() {
                self.points.reserve_exact(1);
            }
            self.points.push(Point { index_delta, offset_delta, position, max_timestamp_before });
        }
        if header.kind == EntryKind::Batch && header.max_timestamp != NO_TIMESTAMP {
            self.max_timestamp = self.max_timestamp.max(header.max_timestamp);
            if self.first_timestamp == NO_TIMESTAMP {
                self.first_timestamp = header.max_timestamp;
            }
        }
        self.size_bytes += header.stored_bytes();
        self.next_index = header.index.next();
        self.end_offset = header.next_offset();
    }

    /// A position at or before the entry at `index`.
    pub(crate) fn position_before_index(&self, index: Index) -> u64 {
        let delta = index.0.saturating_sub(self.first_index.0);
        self.position_of(self.points.partition_point(|point| u64::from(point.index_delta) <= delta))
    }

    /// A position at or before the entry that holds `offset`.
    ///
    /// Several points may share a base offset, since only batches take offsets; the batch is the last entry
    /// that has it, so the last such point still lies at or before the batch.
    pub(crate) fn position_before_offset(&self, offset: Offset) -> u64 {
        let delta = u64::try_from(offset.0.saturating_sub(self.base_offset.0)).unwrap_or(0);
        self.position_of(self.points.partition_point(|point| u64::from(point.offset_delta) <= delta))
    }

    /// A position before which no batch has a timestamp of `timestamp` or later.
    pub(crate) fn position_before_timestamp(&self, timestamp: i64) -> u64 {
        self.position_of(self.points.partition_point(|point| point.max_timestamp_before < timestamp))
    }

    /// Largest timestamp before `position`, and the position up to which it counts.
    pub(crate) fn max_timestamp_before(&self, position: u64) -> (i64, u64) {
        let after = self.points.partition_point(|point| u64::from(point.position) <= position);
        let point = after.checked_sub(1).and_then(|at| self.points.get(at));
        point.map_or((NO_TIMESTAMP, SEGMENT_HEADER_BYTES as u64), |point| {
            (point.max_timestamp_before, u64::from(point.position))
        })
    }

    /// Position of the last point before `after`.
    fn position_of(&self, after: usize) -> u64 {
        let point = after.checked_sub(1).and_then(|at| self.points.get(at));
        point.map_or(SEGMENT_HEADER_BYTES as u64, |point| u64::from(point.position))
    }

    /// What others may know.
    pub(crate) fn info(&self) -> SegmentInfo {
        SegmentInfo {
            first_index: self.first_index,
            last_index: self.last_index(),
            base_offset: self.base_offset,
            end_offset: self.end_offset,
            size_bytes: self.size_bytes,
            max_timestamp_ms: (self.max_timestamp != NO_TIMESTAMP).then_some(self.max_timestamp),
        }
    }

    /// Forgets the entries that were noted, for a rebuild by walking the file.
    pub(crate) fn forget_entries(&mut self) {
        *self = Segment {
            file: self.file.take(),
            dirty: self.dirty,
            earlier_max_timestamp: self.earlier_max_timestamp,
            ..Segment::new(self.first_index, self.base_offset)
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::batch_entry;

    #[test]
    fn names_and_headers_survive_the_round_trip() {
        assert_eq!(parse_file_name(&file_name(3, Index(77))), Some((3, Index(77))));
        assert_eq!(parse_file_name("state"), None);
        assert_eq!(parse_file_name("x-1.log"), None);
        let header = SegmentHeader {
            first_index: Index(5),
            base_offset: Offset(9),
            previous_term: Term(2),
            generation: 1,
        };
        let bytes = header.encode();
        assert_eq!(SegmentHeader::decode(&bytes).unwrap(), header);
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.to_vec();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(SegmentHeader::decode(&bad).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn lookups_land_at_or_before_the_entry() {
        let mut segment = Segment::new(Index(1), Offset(0));
        let mut positions = Vec::new();
        for index in 1..=50_u64 {
            let base = i64::try_from(index - 1).unwrap() * 3;
            let header =
                EntryHeader::describe(&batch_entry(index, 1, base, 3, &[0; 40]), Offset(base), Index::ZERO)
                    .unwrap();
            positions.push(segment.size_bytes);
            segment.note(&header, 500);
        }
        for (index, position) in (1..).zip(&positions) {
            let offset = Offset(i64::try_from(index - 1).unwrap() * 3 + 1);
            let timestamp = i64::try_from(index).unwrap() * 10;
            for found in [
                segment.position_before_index(Index(index)),
                segment.position_before_offset(offset),
                segment.position_before_timestamp(timestamp),
            ] {
                assert!(
                    found <= *position && position - found < 500 + 200,
                    "entry {index}: {found} for {position}"
                );
            }
        }
        assert_eq!(segment.max_timestamp_before(0), (NO_TIMESTAMP, 48));
        assert!(segment.max_timestamp_before(u64::MAX).0 < segment.max_timestamp);
    }
}
