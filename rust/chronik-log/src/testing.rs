//! Builders shared by this crate's unit tests.

use bytes::{BufMut, Bytes, BytesMut};

use crate::batch_header::BATCH_CRC_START;
use crate::{Entry, EntryKind, Index, Term};

/// A record batch with a right length and CRC whose records are `payload`, opaque.
pub(crate) fn batch(base_offset: i64, count: i32, max_timestamp: i64, payload: &[u8]) -> Bytes {
    let mut out = BytesMut::new();
    out.put_i64(base_offset);
    out.put_i32(i32::try_from(61 - 12 + payload.len()).unwrap());
    out.put_i32(0);
    out.put_u8(2);
    out.put_u32(0);
    out.put_i16(0);
    out.put_i32(count - 1);
    out.put_i64(max_timestamp);
    out.put_i64(max_timestamp);
    out.put_i64(-1);
    out.put_i16(-1);
    out.put_i32(-1);
    out.put_i32(count);
    out.put_slice(payload);
    let crc = crc_fast::crc32_iscsi(&out[BATCH_CRC_START..]);
    out[17..21].copy_from_slice(&crc.to_be_bytes());
    out.freeze()
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
