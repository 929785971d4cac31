//! What the log asks of a record batch before it stores one, and of bytes on disk before it believes them.
//!
//! The log never looks at records. `chronik_wire` reads the header; the conditions here are the log's own: a
//! payload is exactly one batch, and its offsets are ones that a log can hold.

use chronik_wire::batch::BatchHeader;

/// Where the part covered by the batch's own CRC begins (attributes).
pub(crate) const BATCH_CRC_START: usize = 21;

/// The header of a buffer that must be exactly one batch; the reason, if it is not.
pub(crate) fn parse_whole(data: &[u8]) -> Result<BatchHeader, &'static str> {
    let header = BatchHeader::parse(data).map_err(|_| "no record batch of format 2")?;
    if header.size_bytes() != data.len() {
        return Err("batch_length does not match the payload");
    }
    if header.last_offset_delta < 0 {
        return Err("last_offset_delta is negative");
    }
    let last_offset = header.base_offset.0.checked_add(i64::from(header.last_offset_delta));
    if header.base_offset.0 < 0 || last_offset.is_none_or(|last| last == i64::MAX) {
        return Err("offsets are out of range");
    }
    Ok(header)
}

#[cfg(test)]
mod tests {
    use chronik_wire::types::Offset;

    use super::*;
    use crate::testing::batch;

    #[test]
    fn reads_the_header_of_a_batch() {
        let bytes = batch(7, 3, 1_000, b"payload");
        let header = parse_whole(&bytes).unwrap();
        assert_eq!((header.base_offset, header.next_offset()), (Offset(7), Offset(10)));
        assert_eq!(header.max_timestamp, 1_000);
        assert_eq!(header.crc, crc_fast::crc32_iscsi(&bytes[BATCH_CRC_START..]));
    }

    #[test]
    fn refuses_what_is_not_exactly_one_batch() {
        let good = batch(0, 1, 0, b"x");
        for cut in 0..good.len() {
            assert!(parse_whole(&good[..cut]).is_err(), "a prefix of {cut} bytes was taken for a batch");
        }
        assert!(parse_whole(&[&good[..], &good[..]].concat()).is_err(), "two batches are not one");
        for (at, value) in [(16, 1), (8, 0x7f), (23, 0x80), (0, 0x80), (0, 0x7f)] {
            let mut bad = good.to_vec();
            bad[at] = value;
            if value == 0x7f && at == 0 {
                bad[..8].copy_from_slice(&i64::MAX.to_be_bytes());
            }
            assert!(parse_whole(&bad).is_err(), "byte {at} set to {value} was accepted");
        }
    }
}
