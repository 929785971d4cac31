//! What Kafka reads: batches by offset, the two-way offset table, lookups by time and by epoch.
//!
//! Where the log has a compacted prefix, it answers for the offsets below its end, and the segments for the rest.

use std::ops::ControlFlow;

use bytes::Bytes;
use chronik_wire::types::Offset;

use super::PartitionLog;
use super::walk::Met;
use crate::entry::{EntryHeader, EntryKind, NO_TIMESTAMP};
use crate::error::LogError;
use crate::limits::{LOOKUP_WINDOW_BYTES, SCAN_WINDOW_BYTES};
use crate::reader::ReadFault;
use crate::segment::Segment;
use crate::terms::EpochEnd;
use crate::{Index, Term};

/// Batches that were read, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadResult {
    /// Whole record batches. The first may begin before the offset asked for.
    pub batches: Vec<Bytes>,
    /// Their total size.
    pub bytes: usize,
    /// Where to go on reading.
    pub next_offset: Offset,
}

/// A batch that a lookup found. The record within it is the caller's to find.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchAt {
    /// Offset of the batch's first record.
    pub base_offset: Offset,
    /// Largest timestamp in the batch, wall-clock milliseconds.
    pub max_timestamp: i64,
    /// Term of its entry.
    pub term: Term,
    /// The batch.
    pub batch: Bytes,
}

/// Collects batches up to a size; answers whether there is room for more.
struct Collector {
    found: ReadResult,
    max_bytes: usize,
    at_least_one: bool,
}

impl Collector {
    fn takes(&self, bytes: usize) -> bool {
        (self.found.batches.is_empty() && self.at_least_one)
            || self.found.bytes.saturating_add(bytes) <= self.max_bytes
    }

    fn push(&mut self, batch: Bytes, next_offset: Offset) {
        self.found.bytes += batch.len();
        self.found.batches.push(batch);
        self.found.next_offset = next_offset;
    }
}

impl PartitionLog {
    /// Reads whole batches from the one that holds `from`, as far as they end at or below `up_to` and fit into
    /// `max_bytes`; with `at_least_one` the first is returned whatever its size. Nothing is no error.
    ///
    /// [`LogError::OutOfRange`] if `from` is outside `log_start..=log_end`.
    pub fn read(
        &self,
        from: Offset,
        up_to: Offset,
        max_bytes: usize,
        at_least_one: bool,
    ) -> Result<ReadResult, LogError> {
        self.check_offset(from)?;
        let found = ReadResult { batches: Vec::new(), bytes: 0, next_offset: from };
        let mut collector = Collector { found, max_bytes, at_least_one };
        let up_to = up_to.min(self.end_offset);
        if from >= up_to {
            return Ok(collector.found);
        }
        let compacted_end = self.compacted_end();
        if from < compacted_end && !self.read_compacted(from, up_to, &mut collector)? {
            return Ok(collector.found);
        }
        let from = from.max(compacted_end);
        if from >= up_to {
            return Ok(collector.found);
        }
        let tail_start = self.tail.first_offset().unwrap_or(self.end_offset);
        if from < tail_start {
            let more = self.read_cold(from, up_to, tail_start, &mut collector)?;
            if !more {
                return Ok(collector.found);
            }
        }
        for entry in self.tail.iter_from_offset(from.max(tail_start)) {
            if entry.kind != EntryKind::Batch {
                continue;
            }
            let next_offset = entry.next_offset();
            if next_offset > up_to || !collector.takes(entry.data.len()) {
                break;
            }
            collector.push(entry.data.clone(), next_offset);
        }
        Ok(collector.found)
    }

    /// Reads from the compacted prefix; false if nothing more may follow.
    fn read_compacted(
        &self,
        from: Offset,
        up_to: Offset,
        collector: &mut Collector,
    ) -> Result<bool, LogError> {
        let Some(prefix) = &self.prefix else { return Ok(true) };
        let at = prefix.file_of_offset(from);
        let Some(file) = prefix.files.get(at) else { return Ok(true) };
        let window = collector.max_bytes.clamp(LOOKUP_WINDOW_BYTES, SCAN_WINDOW_BYTES);
        let more = self.walk_compacted(at, file.segment.position_before_offset(from), window, |met| {
            if met.header.next_offset() <= from {
                return Ok(ControlFlow::Continue(()));
            }
            if met.header.next_offset() > up_to || !collector.takes(met.header.data_length as usize) {
                return Ok(ControlFlow::Break(false));
            }
            let batch = met.data()?;
            collector.push(batch, met.header.next_offset());
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(more.unwrap_or(true))
    }

    /// Reads from the segments, up to where the tail begins; false if nothing more may follow.
    fn read_cold(
        &self,
        from: Offset,
        up_to: Offset,
        tail_start: Offset,
        collector: &mut Collector,
    ) -> Result<bool, LogError> {
        let at = self.segment_of_offset(from);
        let Some(segment) = self.segments.get(at) else { return Ok(true) };
        let window = collector.max_bytes.clamp(LOOKUP_WINDOW_BYTES, SCAN_WINDOW_BYTES);
        let more = self.walk(at, segment.position_before_offset(from), window, |met| {
            if met.header.base_offset >= tail_start {
                return Ok(ControlFlow::Break(true));
            }
            if met.header.kind != EntryKind::Batch || met.header.next_offset() <= from {
                return Ok(ControlFlow::Continue(()));
            }
            if met.header.next_offset() > up_to || !collector.takes(met.header.data_length as usize) {
                return Ok(ControlFlow::Break(false));
            }
            let batch = met.data()?;
            collector.push(batch, met.header.next_offset());
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(more.unwrap_or(true))
    }

    /// The log end after the entry at `index`: with the applied index, the high watermark.
    pub fn offset_after_index(&self, index: Index) -> Result<Offset, LogError> {
        self.check_index(index, self.first_index().prev())?;
        if index == self.last_index() {
            return Ok(self.end_offset);
        }
        if index < self.first_index() {
            return Ok(self.first_offset);
        }
        if let Some(entry) = self.tail.get(index) {
            return Ok(entry.next_offset());
        }
        let at = self.segment_of_index(index);
        let position = self.segments.get(at).map_or(0, |segment| segment.position_before_index(index));
        let header = self.find(at, position, |header| header.index == index)?;
        Ok(header.map_or(self.end_offset, |header| header.next_offset()))
    }

    /// Index of the entry that holds the record at `offset`. [`LogError::OutOfRange`] for the log end, and for what is
    /// compacted and no entry any more.
    pub fn index_of_offset(&self, offset: Offset) -> Result<Index, LogError> {
        self.check_offset(offset)?;
        if offset < self.first_offset {
            return Err(self.out_of_range(offset));
        }
        if self.tail.first_offset().is_some_and(|first| offset >= first)
            && let Some(entry) = self.tail.iter_from_offset(offset).next()
        {
            return Ok(entry.index);
        }
        let at = self.segment_of_offset(offset);
        let position = self.segments.get(at).map_or(0, |segment| segment.position_before_offset(offset));
        let header = self.find(at, position, |header| header.next_offset() > offset)?;
        header.map(|header| header.index).ok_or_else(|| self.out_of_range(offset))
    }

    /// The first batch at or above the log start, ending at or below `up_to`, that has a timestamp of
    /// `timestamp_ms` or later.
    pub fn offset_for_timestamp(
        &self,
        timestamp_ms: i64,
        up_to: Offset,
    ) -> Result<Option<BatchAt>, LogError> {
        let log_start = self.log_start();
        for (at, file) in self.prefix.iter().flat_map(|prefix| prefix.files.iter().enumerate()) {
            let Some(position) = place_of_time(&file.segment, timestamp_ms, log_start, up_to) else {
                continue;
            };
            let look = lookup(timestamp_ms, file.segment.end_offset, log_start, up_to);
            if let Some(batch) = self.walk_compacted(at, position, LOOKUP_WINDOW_BYTES, look)?.flatten() {
                return Ok(Some(batch));
            }
        }
        let from = log_start.max(self.compacted_end());
        // No segment before this one has a batch of that time, whatever the order in which the times came.
        let first = self.segments.partition_point(|segment| segment.max_timestamp_so_far() < timestamp_ms);
        for at in first.max(self.segment_of_offset(from))..self.segments.len() {
            let segment = &self.segments[at];
            if segment.base_offset >= up_to {
                break;
            }
            let Some(position) = place_of_time(segment, timestamp_ms, from, up_to) else { continue };
            let look = lookup(timestamp_ms, segment.end_offset, from, up_to);
            if let Some(batch) = self.walk(at, position, LOOKUP_WINDOW_BYTES, look)?.flatten() {
                return Ok(Some(batch));
            }
        }
        Ok(None)
    }

    /// The first batch that has the largest timestamp of all at or above the log start and ending at or below
    /// `up_to`.
    pub fn max_timestamp(&self, up_to: Offset) -> Result<Option<BatchAt>, LogError> {
        let mut largest = NO_TIMESTAMP;
        let log_start = self.log_start();
        for (at, file) in self.prefix.iter().flat_map(|prefix| prefix.files.iter().enumerate()) {
            let segment = &file.segment;
            if segment.end_offset <= log_start || segment.base_offset >= up_to {
                continue;
            }
            let within = segment.base_offset >= log_start && segment.end_offset <= up_to;
            let in_file = if within {
                segment.max_timestamp
            } else {
                let (known, position) = known_before(segment, log_start, up_to);
                let mut found = known;
                self.walk_compacted(at, position, LOOKUP_WINDOW_BYTES, |met| {
                    Ok(gather(&met.header, &mut found, segment.end_offset, log_start, up_to))
                })?;
                found
            };
            largest = largest.max(in_file);
        }
        let from = log_start.max(self.compacted_end());
        for at in self.segment_of_offset(from)..self.segments.len() {
            let segment = &self.segments[at];
            if segment.base_offset >= up_to {
                break;
            }
            let within = segment.base_offset >= from && segment.end_offset <= up_to;
            let in_segment = if within {
                segment.max_timestamp
            } else {
                let (known, position) = known_before(segment, from, up_to);
                let mut found = known;
                self.walk(at, position, LOOKUP_WINDOW_BYTES, |met| {
                    Ok(gather(&met.header, &mut found, segment.end_offset, from, up_to))
                })?;
                found
            };
            largest = largest.max(in_segment);
        }
        if largest == NO_TIMESTAMP { Ok(None) } else { self.offset_for_timestamp(largest, up_to) }
    }

    /// End offset of the largest epoch not above `epoch`, among applied entries; `None` if nothing is applied.
    /// A function of the entries up to `applied` and the log start, hence the same at every replica.
    pub fn epoch_end_offset(&self, epoch: Term, applied: Index) -> Result<Option<EpochEnd>, LogError> {
        let applied_end = self.offset_after_index(applied)?;
        Ok(self.terms.epoch_end(epoch, applied, applied_end, self.log_start()))
    }

    /// Header of the first entry from `position` of segment `at` that fits.
    fn find(
        &self,
        at: usize,
        position: u64,
        fits: impl Fn(&EntryHeader) -> bool,
    ) -> Result<Option<EntryHeader>, LogError> {
        self.walk(at, position, LOOKUP_WINDOW_BYTES, |met| {
            Ok(if fits(&met.header) { ControlFlow::Break(met.header) } else { ControlFlow::Continue(()) })
        })
    }

    fn check_offset(&self, offset: Offset) -> Result<(), LogError> {
        if offset < self.log_start() || offset > self.end_offset {
            return Err(self.out_of_range(offset));
        }
        Ok(())
    }

    fn out_of_range(&self, offset: Offset) -> LogError {
        LogError::OutOfRange { offset, log_start: self.log_start(), log_end: self.end_offset }
    }
}

/// Whether an entry is a batch with a timestamp that readers may still see.
fn counts(header: &EntryHeader, log_start: Offset) -> bool {
    header.kind == EntryKind::Batch
        && header.max_timestamp != NO_TIMESTAMP
        && header.next_offset() > log_start
}

/// A position in a segment at or before the first batch of that time; `None` if its largest timestamp rules it out.
fn place_of_time(segment: &Segment, timestamp_ms: i64, from: Offset, up_to: Offset) -> Option<u64> {
    let holds = segment.end_offset > from
        && segment.base_offset < up_to
        && segment.max_timestamp != NO_TIMESTAMP
        && segment.max_timestamp >= timestamp_ms;
    holds.then(|| {
        let by_offset = segment.position_before_offset(from.max(segment.base_offset));
        segment.position_before_timestamp(timestamp_ms).max(by_offset)
    })
}

/// Finds the first batch behind `from` with a timestamp of `timestamp_ms` or later; breaks without one at `up_to` and at
/// `end`, where its segment ends.
fn lookup(
    timestamp_ms: i64,
    end: Offset,
    from: Offset,
    up_to: Offset,
) -> impl FnMut(&mut Met<'_>) -> Result<ControlFlow<Option<BatchAt>>, ReadFault> {
    move |met| {
        let header = met.header;
        if header.base_offset >= end || header.next_offset() > up_to {
            return Ok(ControlFlow::Break(None));
        }
        if !counts(&header, from) || header.max_timestamp < timestamp_ms {
            return Ok(ControlFlow::Continue(()));
        }
        Ok(ControlFlow::Break(Some(BatchAt {
            base_offset: header.base_offset,
            max_timestamp: header.max_timestamp,
            term: header.term,
            batch: met.data()?,
        })))
    }
}

/// Largest timestamp in the part of a segment that the index answers for, and where the rest begins.
fn known_before(segment: &Segment, from: Offset, up_to: Offset) -> (i64, u64) {
    if segment.base_offset >= from {
        segment.max_timestamp_before(segment.position_before_offset(up_to))
    } else {
        (NO_TIMESTAMP, segment.position_before_offset(from))
    }
}

/// Takes one entry of a segment that ends at `end` into account.
fn gather(
    header: &EntryHeader,
    largest: &mut i64,
    end: Offset,
    from: Offset,
    up_to: Offset,
) -> ControlFlow<()> {
    if header.base_offset >= end || header.next_offset() > up_to {
        return ControlFlow::Break(());
    }
    if counts(header, from) {
        *largest = header.max_timestamp.max(*largest);
    }
    ControlFlow::Continue(())
}
