//! Builders shared by this crate's unit tests.

use bytes::Bytes;
use chronik_wire::batch::BatchBuilder;
use chronik_wire::types::Offset;

use crate::{Entry, EntryKind, Index, Term};

/// A record batch of `count` records; the first one carries `payload`.
pub(crate) fn batch(base_offset: i64, count: i32, timestamp: i64, payload: &[u8]) -> Bytes {
    let first = BatchBuilder::new().base_offset(Offset(base_offset)).record(timestamp, None, Some(payload));
    (1..count).fold(first, |batch, _| batch.record(timestamp, None, None)).build().unwrap()
}

/// A batch entry.
pub(crate) fn batch_entry(index: u64, term: u64, base_offset: i64, count: i32, payload: &[u8]) -> Entry {
    let timestamp = i64::try_from(index).unwrap() * 10;
    Entry::new(Index(index), Term(term), EntryKind::Batch, batch(base_offset, count, timestamp, payload))
}

/// An entry that takes no offsets.
pub(crate) fn noop(index: u64, term: u64) -> Entry {
    Entry::new(Index(index), Term(term), EntryKind::Noop, Bytes::new())
}
