//! The fields a broker writes into a producer's batch, in place.

use bytes::{Bytes, BytesMut};

use super::view::checksum;
use super::{Attributes, HEADER_BYTES};
use crate::types::{LeaderEpoch, Offset};

/// Makes bytes writable: for nothing if nobody else holds them, else by copying.
pub fn into_unique(bytes: Bytes) -> BytesMut {
    bytes.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]))
}

/// Writes base offset and leader epoch. The checksum covers neither, so that it stays the producer's own.
///
/// # Panics
/// If `batch` is shorter than a batch header: stamp what was validated.
pub fn stamp(batch: &mut BytesMut, base_offset: Offset, epoch: LeaderEpoch) {
    assert!(batch.len() >= HEADER_BYTES, "only a whole batch can be stamped");
    put(batch, 0, base_offset.0.to_be_bytes());
    put(batch, 12, epoch.0.to_be_bytes());
}

/// Makes the broker's time the timestamp of all records, for topics with `message.timestamp.type=LogAppendTime`. This
/// is under the checksum, which is computed anew: call it on a validated batch only.
///
/// # Panics
/// If `batch` is shorter than a batch header: stamp what was validated.
pub fn stamp_append_time(batch: &mut BytesMut, now_ms: i64) {
    assert!(batch.len() >= HEADER_BYTES, "only a whole batch can be stamped");
    let attributes = i16::from_be_bytes([batch[21], batch[22]]) | Attributes::LOG_APPEND_TIME;
    put(batch, 21, attributes.to_be_bytes());
    put(batch, 35, now_ms.to_be_bytes());
    let crc = checksum(batch);
    put(batch, 17, crc.to_be_bytes());
}

/// Overwrites bytes of the header, whose presence the caller has checked.
pub(super) fn put<const N: usize>(batch: &mut [u8], at: usize, field: [u8; N]) {
    if let Some(place) = batch.get_mut(at..at + N) {
        place.copy_from_slice(&field);
    }
}
