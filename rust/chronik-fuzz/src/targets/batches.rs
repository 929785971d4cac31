//! Record batches: what a producer sends, and what a consumer gets back.

use bytes::{Bytes, BytesMut};
use chronik_wire::batch::{
    BatchBuilder, BatchLimits, BatchView, Compression, HEADER_BYTES, MAGIC, OVERHEAD_BYTES, into_unique,
    split_batches, stamp, validate_produced, validate_records,
};
use chronik_wire::types::{LeaderEpoch, Offset};
use kafka_protocol::records::RecordBatchDecoder;

use super::codecs::memory_allowed;
use crate::Verdict;
use crate::input::Input;
use crate::memory::within;

/// Where the format says what the magic number is.
const MAGIC_AT: usize = 16;
const CHECKSUM_AT: usize = 17;
const CHECKED_FROM: usize = 21;

/// The first byte says whether length and checksum are made to fit, so that damage reaches what lies behind them; the
/// rest is the batch.
pub fn run(data: &[u8]) -> Verdict {
    let mut input = Input::new(data);
    let sealed = input.byte() & 1 == 1;
    let bytes = if sealed { seal(input.rest()) } else { Bytes::copy_from_slice(input.rest()) };
    let allowed = memory_allowed(bytes.len());
    within("a records field", allowed, || {
        let batches = split_batches(bytes.clone()).filter_map(Result::ok);
        let split: usize = batches.map(|batch| batch.bytes().len()).sum();
        assert!(split <= bytes.len(), "more came out than there is");
    });
    let Ok(batch) = within("a batch", allowed, || validate_produced(&bytes, &BatchLimits::default())) else {
        return Verdict::Refused;
    };
    assert_eq!(bytes.get(MAGIC_AT).copied(), Some(MAGIC as u8), "formats 0 and 1 are refused");
    assert_eq!(batch.bytes(), &bytes);
    stamped(&batch);
    within("records", allowed, || records(&batch))
}

/// Broker fields are written in place and leave the checksum alone.
fn stamped(batch: &BatchView) {
    let mut bytes = into_unique(batch.bytes().clone());
    stamp(&mut bytes, Offset(1 << 40), LeaderEpoch(9));
    let stamped = BatchView::parse(bytes.freeze()).expect("a stamped batch is a batch");
    stamped.verify_checksum().expect("the checksum does not cover what brokers write");
    assert_eq!(stamped.header().base_offset, Offset(1 << 40));
    assert_eq!(stamped.header().record_count, batch.header().record_count);
}

/// Records that pass the check can be walked, and are as many as the header says.
fn records(batch: &BatchView) -> Verdict {
    let walked = batch.records().map(|records| records.collect::<Vec<_>>());
    let Ok(summary) = validate_records(batch) else { return Verdict::Refused };
    let walked = walked.expect("records that pass the check decompress");
    assert_eq!(walked.len(), batch.header().record_count as usize);
    let mut keyless = 0;
    for (delta, record) in walked.iter().enumerate() {
        let record = record.as_ref().expect("records that pass the check can be read");
        assert_eq!(record.offset.0, batch.header().base_offset.0.saturating_add(delta as i64));
        assert_eq!(record.headers.iter().count(), record.headers.len());
        keyless += i32::from(record.key.is_none());
    }
    assert_eq!(summary.keyless, keyless);
    assert!((0..batch.header().record_count).contains(&summary.max_timestamp_delta));
    if batch.header().attributes.compression() == Ok(Compression::None) {
        // The other implementation wants header keys in UTF-8 and may refuse. If it reads, it reads as many.
        if let Ok(set) = RecordBatchDecoder::decode(&mut batch.bytes().clone()) {
            assert_eq!(set.records.len(), walked.len());
        }
    }
    Verdict::Accepted
}

/// Makes the length field and the checksum those of the bytes.
pub(super) fn seal(bytes: &[u8]) -> Bytes {
    let mut bytes = BytesMut::from(bytes);
    if bytes.len() >= HEADER_BYTES {
        let length = (bytes.len() - OVERHEAD_BYTES) as i32;
        bytes[OVERHEAD_BYTES - 4..OVERHEAD_BYTES].copy_from_slice(&length.to_be_bytes());
        let checksum = crc_fast::crc32_iscsi(&bytes[CHECKED_FROM..]);
        bytes[CHECKSUM_AT..CHECKED_FROM].copy_from_slice(&checksum.to_be_bytes());
    }
    bytes.freeze()
}

/// One batch per codec, one of a producer, and one that claims to be of format 1.
pub fn seeds() -> Vec<Vec<u8>> {
    let plain =
        || BatchBuilder::new().record(1_000, Some(b"key"), Some(b"value")).record(1_001, None, Some(b"next"));
    let mut builders: Vec<BatchBuilder> =
        Compression::ALL.iter().map(|codec| plain().compression(*codec)).collect();
    builders.push(plain().producer(9, 1, 5).transactional());
    let mut with_headers = plain();
    with_headers.push(1_002, None, None, &[("a", Some(b"b")), ("c", None)]);
    builders.push(with_headers);
    let build = |builder: BatchBuilder| builder.build().expect("a small batch can be written");
    let mut seeds: Vec<Vec<u8>> =
        builders.into_iter().map(build).map(|batch| [&[1][..], &batch].concat()).collect();
    let mut old = seeds.first().cloned().unwrap_or_default();
    old[1 + MAGIC_AT] = 1;
    seeds.push(old);
    seeds
}
