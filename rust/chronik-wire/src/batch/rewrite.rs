//! Batches written anew by a broker: without some of their records, or with another codec.
//!
//! Only compaction and a topic's own `compression.type` come here; whatever else a producer sent stays as it is. The
//! records that are kept keep their bytes: their offsets and timestamps count from the batch's own, which do not change.

use bytes::{BufMut, Bytes, BytesMut};

use super::records::walk_records;
use super::stamp::put;
use super::view::checksum;
use super::{BatchError, BatchHeader, BatchView, Compression, HEADER_BYTES, OVERHEAD_BYTES};
use crate::types::Offset;

/// Largest timestamp of a batch that has none.
const NO_TIMESTAMP: i64 = -1;

/// The parts of a record that decide whether it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordParts<'a> {
    /// The record's offset.
    pub offset: Offset,
    /// Its timestamp in milliseconds.
    pub timestamp: i64,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Whether its value is null, which deletes the key on a compacted topic.
    pub is_tombstone: bool,
}

/// What is left of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Retained {
    /// Every record: the batch is what it was.
    All,
    /// Some: the batch with these alone. It covers the same offsets and names the same producer and sequence numbers.
    Some(Bytes),
    /// None.
    Nothing,
}

/// Calls `visit` for every record of a batch, decompressing them first where needed.
pub fn visit_records(batch: &BatchView, mut visit: impl FnMut(RecordParts<'_>)) -> Result<(), BatchError> {
    let plain = batch.plain_records()?;
    walk_records(batch.header(), &plain, |parts, _| visit(parts))
}

/// The batch with the records that `keep` wants. Same codec, and a checksum of its own.
pub fn retain(
    batch: &BatchView,
    mut keep: impl FnMut(RecordParts<'_>) -> bool,
) -> Result<Retained, BatchError> {
    let header = batch.header();
    let plain = batch.plain_records()?;
    let mut ranges: Vec<std::ops::Range<usize>> = Vec::new();
    let (mut kept, mut seen, mut max_timestamp) = (0, 0, i64::MIN);
    walk_records(header, &plain, |parts, range| {
        seen += 1;
        if !keep(parts) {
            return;
        }
        kept += 1;
        max_timestamp = max_timestamp.max(parts.timestamp);
        match ranges.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => ranges.push(range),
        }
    })?;
    if kept == 0 {
        return Ok(Retained::Nothing);
    }
    if kept == seen {
        return Ok(Retained::All);
    }
    let mut records = Vec::with_capacity(ranges.iter().map(ExactSizeIterator::len).sum());
    for range in ranges {
        records.extend_from_slice(plain.get(range).unwrap_or_default());
    }
    let codec = header.attributes.compression()?;
    let max_timestamp =
        if header.attributes.is_log_append_time() { header.max_timestamp } else { max_timestamp };
    encode(batch, codec, &records, kept, max_timestamp).map(Retained::Some)
}

/// The batch without any record, and so without a timestamp. It still says which offsets it covers, so that whoever reads
/// it moves on behind it.
pub fn emptied(batch: &BatchView) -> Result<Bytes, BatchError> {
    encode(batch, Compression::None, &[], 0, NO_TIMESTAMP)
}

/// The batch with its records compressed by `codec`.
pub fn recompress(batch: &BatchView, codec: Compression) -> Result<Bytes, BatchError> {
    let header = batch.header();
    if header.attributes.compression()? == codec {
        return Ok(batch.bytes().clone());
    }
    encode(batch, codec, &batch.plain_records()?, header.record_count, header.max_timestamp)
}

/// Writes `batch` with other records.
fn encode(
    batch: &BatchView,
    codec: Compression,
    records: &[u8],
    count: i32,
    max_timestamp: i64,
) -> Result<Bytes, BatchError> {
    let failed = |reason: String| BatchError::Compress { codec, reason };
    let packed;
    let payload = if codec == Compression::None || records.is_empty() {
        records
    } else {
        packed = codec.compress(records).map_err(|error| failed(error.to_string()))?;
        &packed
    };
    let bytes = HEADER_BYTES + payload.len();
    let length = i32::try_from(bytes - OVERHEAD_BYTES)
        .map_err(|_| failed(format!("{bytes} bytes are more than a batch may have")))?;
    let header: &BatchHeader = batch.header();
    let mut out = BytesMut::with_capacity(bytes);
    out.put_slice(batch.bytes().get(..HEADER_BYTES).unwrap_or_default());
    out.put_slice(payload);
    put(&mut out, 8, length.to_be_bytes());
    put(&mut out, 21, header.attributes.with_compression(codec).0.to_be_bytes());
    put(&mut out, 35, max_timestamp.to_be_bytes());
    put(&mut out, 57, count.to_be_bytes());
    let crc = checksum(&out);
    put(&mut out, 17, crc.to_be_bytes());
    Ok(out.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::BatchBuilder;

    fn batch(codec: Compression) -> BatchView {
        let mut builder = BatchBuilder::new().compression(codec).base_offset(Offset(100)).producer(7, 1, 40);
        for (at, key) in (0_i64..).zip(["a", "b", "a", "c"]) {
            let value = (at != 3).then_some(&b"some value that repeats, some value that repeats"[..]);
            builder.push(1_000 + at * 10, Some(key.as_bytes()), value, &[("h", Some(b"x"))]);
        }
        BatchView::parse(builder.build().unwrap()).unwrap()
    }

    #[test]
    fn records_that_are_kept_keep_offset_time_and_bytes_under_every_codec() {
        for codec in Compression::ALL {
            let batch = batch(codec);
            let all: Vec<_> = batch.records().unwrap().map(Result::unwrap).collect();
            let Retained::Some(bytes) = retain(&batch, |record| record.key == Some(b"a")).unwrap() else {
                panic!("two of four records are kept")
            };
            let left = BatchView::parse(bytes).unwrap();
            left.verify_checksum().unwrap();
            let records: Vec<_> = left.records().unwrap().map(Result::unwrap).collect();
            assert_eq!(records, [all[0].clone(), all[2].clone()], "{codec}");
            let (old, new) = (batch.header(), left.header());
            assert_eq!((new.base_offset, new.last_offset()), (old.base_offset, old.last_offset()));
            assert_eq!((new.producer_id, new.base_sequence, new.last_sequence()), (7, 40, 43));
            assert_eq!((new.max_timestamp, new.record_count), (1_020, 2));
            assert_eq!(new.attributes, old.attributes);
        }
    }

    #[test]
    fn all_and_nothing_are_told_apart_from_some() {
        let batch = batch(Compression::Zstd);
        assert_eq!(retain(&batch, |_| true).unwrap(), Retained::All);
        assert_eq!(retain(&batch, |_| false).unwrap(), Retained::Nothing);
        let mut tombstones = Vec::new();
        visit_records(&batch, |record| tombstones.push((record.offset, record.is_tombstone))).unwrap();
        assert_eq!(tombstones[2..], [(Offset(102), false), (Offset(103), true)]);
    }

    #[test]
    fn step_by_step_is_the_same_as_at_once() {
        for codec in Compression::ALL {
            let batch = batch(codec);
            let Retained::Some(first) = retain(&batch, |record| record.key != Some(b"a")).unwrap() else {
                panic!("b and c are kept")
            };
            let first = BatchView::parse(first).unwrap();
            let stepwise = retain(&first, |record| record.key == Some(b"b")).unwrap();
            assert_eq!(stepwise, retain(&batch, |record| record.key == Some(b"b")).unwrap(), "{codec}");
        }
    }

    #[test]
    fn an_emptied_batch_covers_its_offsets() {
        let batch = batch(Compression::Gzip);
        let empty = BatchView::parse(emptied(&batch).unwrap()).unwrap();
        empty.verify_checksum().unwrap();
        assert_eq!(empty.header().next_offset(), Offset(104));
        assert_eq!(empty.records().unwrap().count(), 0);
        assert_eq!(retain(&empty, |_| true).unwrap(), Retained::Nothing);
        assert_eq!(emptied(&empty).unwrap(), *empty.bytes());
    }

    #[test]
    fn another_codec_changes_no_record() {
        let plain = batch(Compression::None);
        let records: Vec<_> = plain.records().unwrap().map(Result::unwrap).collect();
        for from in Compression::ALL {
            for to in Compression::ALL {
                let view = BatchView::parse(recompress(&batch(from), to).unwrap()).unwrap();
                view.verify_checksum().unwrap();
                assert_eq!(view.header().attributes.compression().unwrap(), to);
                assert_eq!(view.records().unwrap().map(Result::unwrap).collect::<Vec<_>>(), records);
            }
        }
    }
}
