//! The few fields of a record batch (v2) header that the log needs, read in place.
//!
//! The log never looks at records. `chronik_wire::batch` owns the full view; this one serves recovery, which
//! must judge bytes that may be damaged, field by field.

use bytes::Bytes;
use chronik_wire::types::Offset;

/// Length of a record batch header, bytes.
pub(crate) const BATCH_HEADER_BYTES: usize = 61;

/// Where the part covered by the batch's own CRC begins (attributes).
pub(crate) const BATCH_CRC_START: usize = 21;

/// Bytes before `batch_length` counts: base offset and the length field itself.
const LENGTH_PREFIX_BYTES: usize = 12;

const MAGIC: u8 = 2;

/// What the log needs to know of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchHeader {
    /// Offset of the first record.
    pub(crate) base_offset: Offset,
    /// CRC32C of everything from the attributes on.
    pub(crate) crc: u32,
    /// Last offset minus base offset.
    pub(crate) last_offset_delta: i32,
    /// Largest record timestamp, wall-clock milliseconds, or -1.
    pub(crate) max_timestamp: i64,
}

impl BatchHeader {
    /// Reads the header of a buffer that must be exactly one batch; the reason, if it is not.
    pub(crate) fn parse(data: &[u8]) -> Result<BatchHeader, &'static str> {
        let Some(header) = data.first_chunk::<BATCH_HEADER_BYTES>() else {
            return Err("shorter than a record batch header");
        };
        let batch_length = i32::from_be_bytes(array(header, 8));
        if usize::try_from(batch_length).ok().and_then(|n| n.checked_add(LENGTH_PREFIX_BYTES))
            != Some(data.len())
        {
            return Err("batch_length does not match the payload");
        }
        if header[16] != MAGIC {
            return Err("magic is not 2");
        }
        let last_offset_delta = i32::from_be_bytes(array(header, 23));
        if last_offset_delta < 0 {
            return Err("last_offset_delta is negative");
        }
        let base_offset = Offset(i64::from_be_bytes(array(header, 0)));
        if base_offset.0 < 0 || base_offset.0.checked_add(i64::from(last_offset_delta) + 1).is_none() {
            return Err("offsets are out of range");
        }
        Ok(BatchHeader {
            base_offset,
            crc: u32::from_be_bytes(array(header, 17)),
            last_offset_delta,
            max_timestamp: i64::from_be_bytes(array(header, 35)),
        })
    }

    /// The offset that follows the last record.
    pub(crate) fn next_offset(&self) -> Offset {
        Offset(self.base_offset.0 + i64::from(self.last_offset_delta) + 1)
    }
}

/// Base offset of what may be a batch, without judging it.
pub(crate) fn peek_base_offset(data: &Bytes) -> Option<Offset> {
    data.first_chunk::<8>().map(|bytes| Offset(i64::from_be_bytes(*bytes)))
}

/// Number of offsets that a batch takes, without judging it.
pub(crate) fn peek_offset_count(data: &Bytes) -> Option<i64> {
    let delta = data.get(23..27)?.first_chunk::<4>()?;
    Some(i64::from(i32::from_be_bytes(*delta)) + 1)
}

/// `N` bytes of a fixed header; callers pass constant positions inside it.
fn array<const N: usize>(header: &[u8; BATCH_HEADER_BYTES], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&header[at..at + N]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::batch;

    #[test]
    fn reads_the_fields_of_a_batch() {
        let bytes = batch(7, 3, 1_000, b"payload");
        let header = BatchHeader::parse(&bytes).unwrap();
        assert_eq!((header.base_offset, header.next_offset()), (Offset(7), Offset(10)));
        assert_eq!(header.max_timestamp, 1_000);
        assert_eq!(header.crc, crc_fast::crc32_iscsi(&bytes[BATCH_CRC_START..]));
    }

    #[test]
    fn refuses_what_is_not_exactly_one_batch() {
        let good = batch(0, 1, 0, b"x");
        for cut in 0..good.len() {
            assert!(
                BatchHeader::parse(&good[..cut]).is_err(),
                "a prefix of {cut} bytes was taken for a batch"
            );
        }
        for (at, value) in [(16, 1), (8, 0x7f), (23, 0x80), (0, 0x80)] {
            let mut bad = good.to_vec();
            bad[at] = value;
            assert!(BatchHeader::parse(&bad).is_err(), "byte {at} set to {value} was accepted");
        }
    }
}
