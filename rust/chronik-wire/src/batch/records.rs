//! The records within a batch, walked without copying and without trusting a single length.

use std::ops::Range;

use bytes::Bytes;

use super::varint::Cursor;
use super::{BatchError, BatchHeader, BatchView, RecordParts};
use crate::types::Offset;

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The record's offset.
    pub offset: Offset,
    /// Its timestamp in milliseconds.
    pub timestamp: i64,
    /// Its key.
    pub key: Option<Bytes>,
    /// Its value; null deletes the key on a compacted topic.
    pub value: Option<Bytes>,
    /// Its headers.
    pub headers: Headers,
}

/// A record's headers, decoded when iterated: a list would let two bytes grow to sixty.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Headers {
    bytes: Bytes,
    count: i32,
}

/// One header of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordHeader {
    /// The key, which may occur more than once.
    pub key: Bytes,
    /// The value.
    pub value: Option<Bytes>,
}

impl Headers {
    /// Number of headers.
    pub const fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The headers in order.
    pub fn iter(&self) -> impl Iterator<Item = RecordHeader> {
        let mut position = 0;
        (0..self.count).map_while(move |_| {
            let mut cursor = Cursor::new(&self.bytes, position);
            let (key, value) = walk_header(&mut cursor).ok()?;
            position = cursor.position();
            Some(RecordHeader {
                key: self.bytes.slice(key),
                value: value.map(|value| self.bytes.slice(value)),
            })
        })
    }
}

/// The records of one batch in order. After an error it ends.
#[derive(Clone, Debug)]
pub struct RecordIter {
    header: BatchHeader,
    records: Bytes,
    position: usize,
    index: i32,
}

impl RecordIter {
    /// Walks `records`, the plain bytes behind the header of a batch.
    pub(super) fn new(header: &BatchHeader, records: Bytes) -> Result<RecordIter, BatchError> {
        if header.record_count < 0 {
            return Err(BatchError::Count {
                count: header.record_count,
                last_offset_delta: header.last_offset_delta,
            });
        }
        Ok(RecordIter { header: *header, records, position: 0, index: 0 })
    }

    fn record(&self, raw: RawRecord) -> Record {
        let header = &self.header;
        let timestamp = match header.attributes.is_log_append_time() {
            true => header.max_timestamp,
            false => header.base_timestamp.saturating_add(raw.timestamp_delta),
        };
        let slice = |range: Range<usize>| self.records.slice(range);
        Record {
            offset: Offset(header.base_offset.0.saturating_add(i64::from(raw.offset_delta))),
            timestamp,
            key: raw.key.map(slice),
            value: raw.value.map(slice),
            headers: Headers { bytes: slice(raw.headers), count: raw.header_count },
        }
    }
}

impl Iterator for RecordIter {
    type Item = Result<Record, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.index >= self.header.record_count {
            return None;
        }
        let index = self.index;
        match walk_record(&self.records, self.position) {
            Ok(raw) => {
                self.index += 1;
                self.position = raw.end;
                Some(Ok(self.record(raw)))
            }
            Err(reason) => {
                self.index = self.header.record_count;
                Some(Err(BatchError::Record { index, reason }))
            }
        }
    }
}

/// What [`validate_records`] learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordsSummary {
    /// Largest timestamp, in milliseconds.
    pub max_timestamp: i64,
    /// Offset of the first record that has it, counted from the base offset.
    pub max_timestamp_delta: i32,
    /// Records without a key, which a compacted topic refuses.
    pub keyless: i32,
}

/// Looks at every record of a producer's batch: each within its bounds, offsets counting from 0 without a gap, as many
/// as the header claims, and nothing behind the last. Allocates only what decompression takes.
pub fn validate_records(batch: &BatchView) -> Result<RecordsSummary, BatchError> {
    let header = batch.header();
    let records = batch.plain_records()?;
    let mut summary = RecordsSummary { max_timestamp: i64::MIN, max_timestamp_delta: 0, keyless: 0 };
    let mut position = 0;
    for index in 0..header.record_count {
        let raw = walk_record(&records, position).map_err(|reason| BatchError::Record { index, reason })?;
        if raw.offset_delta != index {
            return Err(BatchError::Record { index, reason: "its offset does not follow the one before" });
        }
        let timestamp = header.base_timestamp.saturating_add(raw.timestamp_delta);
        if timestamp > summary.max_timestamp {
            summary.max_timestamp = timestamp;
            summary.max_timestamp_delta = index;
        }
        summary.keyless += i32::from(raw.key.is_none());
        position = raw.end;
    }
    if position != records.len() {
        return Err(BatchError::Record {
            index: header.record_count,
            reason: "bytes follow the last record",
        });
    }
    Ok(summary)
}

/// Calls `visit` for every record in `plain`, the bytes behind `header`, with the place of its bytes.
pub(super) fn walk_records(
    header: &BatchHeader,
    plain: &[u8],
    mut visit: impl FnMut(RecordParts<'_>, Range<usize>),
) -> Result<(), BatchError> {
    let mut position = 0;
    for index in 0..header.record_count {
        let raw = walk_record(plain, position).map_err(|reason| BatchError::Record { index, reason })?;
        let timestamp = match header.attributes.is_log_append_time() {
            true => header.max_timestamp,
            false => header.base_timestamp.saturating_add(raw.timestamp_delta),
        };
        let parts = RecordParts {
            offset: Offset(header.base_offset.0.saturating_add(i64::from(raw.offset_delta))),
            timestamp,
            key: raw.key.and_then(|key| plain.get(key)),
            is_tombstone: raw.value.is_none(),
        };
        visit(parts, position..raw.end);
        position = raw.end;
    }
    Ok(())
}

/// Where the parts of a record are.
struct RawRecord {
    end: usize,
    timestamp_delta: i64,
    offset_delta: i32,
    key: Option<Range<usize>>,
    value: Option<Range<usize>>,
    headers: Range<usize>,
    header_count: i32,
}

fn walk_record(records: &[u8], at: usize) -> Result<RawRecord, &'static str> {
    let mut cursor = Cursor::new(records, at);
    let length = usize::try_from(cursor.varint()?).map_err(|_| "its length is negative")?;
    let end = cursor.range(length).map_err(|_| "it reaches beyond the batch")?.end;
    let body = records.get(..end).unwrap_or_default();
    let mut cursor = Cursor::new(body, end - length);
    let _attributes = cursor.byte()?;
    let timestamp_delta = cursor.varlong()?;
    let offset_delta = cursor.varint()?;
    let key = cursor.nullable_range()?;
    let value = cursor.nullable_range()?;
    let header_count = cursor.varint()?;
    if header_count < 0 {
        return Err("its header count is negative");
    }
    let headers_from = cursor.position();
    for _ in 0..header_count {
        walk_header(&mut cursor)?;
    }
    let headers = headers_from..cursor.position();
    if headers.end != end {
        return Err("its length does not match its fields");
    }
    Ok(RawRecord { end, timestamp_delta, offset_delta, key, value, headers, header_count })
}

type HeaderRanges = (Range<usize>, Option<Range<usize>>);

fn walk_header(cursor: &mut Cursor<'_>) -> Result<HeaderRanges, &'static str> {
    let key = cursor.nullable_range()?.ok_or("a header has no key")?;
    Ok((key, cursor.nullable_range()?))
}
