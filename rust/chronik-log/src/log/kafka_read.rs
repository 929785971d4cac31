//! What Kafka reads: batches by offset, the two-way offset table, lookups by time and by epoch.

use std::ops::ControlFlow;

use bytes::Bytes;
use chronik_wire::types::Offset;

use super::PartitionLog;
use crate::entry::{EntryHeader, EntryKind, NO_TIMESTAMP};
use crate::error::LogError;
use crate::limits::{LOOKUP_WINDOW_BYTES, SCAN_WINDOW_BYTES};
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

    /// Index of the entry that holds the record at `offset`. [`LogError::OutOfRange`] for the log end.
    pub fn index_of_offset(&self, offset: Offset) -> Result<Index, LogError> {
        self.check_offset(offset)?;
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
        for at in self.segment_of_offset(log_start)..self.segments.len() {
            let segment = &self.segments[at];
            if segment.base_offset >= up_to {
                break;
            }
            if segment.max_timestamp < timestamp_ms || segment.max_timestamp == NO_TIMESTAMP {
                continue;
            }
            let position = segment
                .position_before_timestamp(timestamp_ms)
                .max(segment.position_before_offset(log_start.max(segment.base_offset)));
            let end = segment.next_index;
            let found = self.walk(at, position, LOOKUP_WINDOW_BYTES, |met| {
                let header = met.header;
                if header.index >= end || header.next_offset() > up_to {
                    return Ok(ControlFlow::Break(None));
                }
                if !counts(&header, log_start) || header.max_timestamp < timestamp_ms {
                    return Ok(ControlFlow::Continue(()));
                }
                Ok(ControlFlow::Break(Some(BatchAt {
                    base_offset: header.base_offset,
                    max_timestamp: header.max_timestamp,
                    term: header.term,
                    batch: met.data()?,
                })))
            })?;
            if let Some(batch) = found.flatten() {
                return Ok(Some(batch));
            }
        }
        Ok(None)
    }

    /// The first batch that has the largest timestamp of all at or above the log start and ending at or below
    /// `up_to`.
    pub fn max_timestamp(&self, up_to: Offset) -> Result<Option<BatchAt>, LogError> {
        let mut largest = NO_TIMESTAMP;
        for at in self.segment_of_offset(self.log_start())..self.segments.len() {
            let segment = &self.segments[at];
            if segment.base_offset >= up_to {
                break;
            }
            let within = segment.base_offset >= self.log_start() && segment.end_offset <= up_to;
            let in_segment = if within { segment.max_timestamp } else { self.max_timestamp_in(at, up_to)? };
            largest = largest.max(in_segment);
        }
        if largest == NO_TIMESTAMP { Ok(None) } else { self.offset_for_timestamp(largest, up_to) }
    }

    /// Largest timestamp in a segment that only partly lies between log start and `up_to`.
    fn max_timestamp_in(&self, at: usize, up_to: Offset) -> Result<i64, LogError> {
        let segment = &self.segments[at];
        let log_start = self.log_start();
        let (mut largest, position) = if segment.base_offset >= log_start {
            segment.max_timestamp_before(segment.position_before_offset(up_to))
        } else {
            (NO_TIMESTAMP, segment.position_before_offset(log_start))
        };
        let end = segment.next_index;
        self.walk(at, position, LOOKUP_WINDOW_BYTES, |met| {
            if met.header.index >= end || met.header.next_offset() > up_to {
                return Ok(ControlFlow::Break(()));
            }
            if counts(&met.header, log_start) {
                largest = largest.max(met.header.max_timestamp);
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(largest)
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
