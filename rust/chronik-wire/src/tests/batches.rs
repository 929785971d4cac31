//! Record batches: round trips, the comparison with another implementation, damage and bombs.

use bytes::{Bytes, BytesMut};
use kafka_protocol::records as theirs;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::cases;
use crate::batch::*;
use crate::error_code::ErrorCode;
use crate::limits::{MAX_DECOMPRESSED_BYTES, RATIO_FLOOR_BYTES};
use crate::testing::allocation::peak_bytes;
use crate::types::{LeaderEpoch, Offset};

type PlainHeader = (String, Option<Vec<u8>>);
type PlainRecord = (i64, Option<Vec<u8>>, Option<Vec<u8>>, Vec<PlainHeader>);

fn plain_records() -> impl Strategy<Value = Vec<PlainRecord>> {
    let bytes = || option::of(vec(any::<u8>(), 0..40));
    let headers = vec(("[a-z]{0,6}", bytes()), 0..3);
    vec((0i64..1 << 45, bytes(), bytes(), headers), 1..20)
}

fn built(builder: BatchBuilder, records: &[PlainRecord]) -> Bytes {
    let mut builder = builder;
    for (timestamp, key, value, headers) in records {
        let headers: Vec<_> = headers.iter().map(|(key, value)| (key.as_str(), value.as_deref())).collect();
        builder.push(*timestamp, key.as_deref(), value.as_deref(), &headers);
    }
    builder.build().unwrap()
}

fn plain(record: Record) -> PlainRecord {
    let vec = |bytes: Bytes| bytes.to_vec();
    let headers = record.headers.iter();
    let headers = headers.map(|header| (String::from_utf8(vec(header.key)).unwrap(), header.value.map(vec)));
    (record.timestamp, record.key.map(vec), record.value.map(vec), headers.collect())
}

fn codecs() -> impl Strategy<Value = Compression> {
    proptest::sample::select(&Compression::ALL[..])
}

fn one_record(value: &[u8], codec: Compression) -> Bytes {
    BatchBuilder::new().compression(codec).record(1, Some(b"k"), Some(value)).build().unwrap()
}

fn validate(batch: &Bytes) -> Result<BatchView, BatchError> {
    validate_produced(batch, &BatchLimits::default())
}

/// Changes a batch and makes its checksum fit again.
fn resealed(batch: &Bytes, change: impl FnOnce(&mut [u8])) -> Bytes {
    let mut batch = BytesMut::from(&batch[..]);
    change(&mut batch);
    let crc = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, &batch[21..]) as u32;
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
    batch.freeze()
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn every_codec_brings_the_records_back(records in plain_records(), codec in codecs()) {
        let builder = BatchBuilder::new().compression(codec).base_offset(Offset(500)).producer(9, 2, 77);
        let batch = validate(&built(builder, &records)).unwrap();
        let summary = validate_records(&batch).unwrap();
        let largest = records.iter().map(|record| record.0).max().unwrap();
        prop_assert_eq!(summary.max_timestamp, largest);
        prop_assert_eq!(records[summary.max_timestamp_delta as usize].0, largest);
        prop_assert_eq!(summary.keyless as usize, records.iter().filter(|record| record.1.is_none()).count());
        prop_assert_eq!(batch.header().max_timestamp, largest);
        prop_assert_eq!(batch.header().next_offset(), Offset(500 + records.len() as i64));
        prop_assert_eq!(batch.header().last_sequence(), 76 + records.len() as i32);
        let read: Vec<_> = batch.records().unwrap().map(Result::unwrap).collect();
        let offsets: Vec<_> = read.iter().map(|record| record.offset.0 - 500).collect();
        prop_assert_eq!(offsets, (0..records.len() as i64).collect::<Vec<_>>());
        prop_assert_eq!(read.into_iter().map(plain).collect::<Vec<_>>(), records);
    }

    /// The oracle is built without codecs, so that it reads and writes plain batches.
    #[test]
    fn the_other_implementation_reads_our_batches(records in plain_records(), transactional in any::<bool>()) {
        let mut builder = BatchBuilder::new().base_offset(Offset(3)).leader_epoch(LeaderEpoch(8)).producer(9, 2, 77);
        if transactional {
            builder = builder.transactional();
        }
        let batch = built(builder, &records);
        let set = theirs::RecordBatchDecoder::decode(&mut batch.clone()).unwrap();
        prop_assert_eq!(set.records.len(), records.len());
        for (index, (record, (timestamp, key, value, headers))) in set.records.iter().zip(&records).enumerate() {
            prop_assert_eq!(record.offset, 3 + index as i64);
            prop_assert_eq!((record.timestamp, record.producer_id, record.producer_epoch), (*timestamp, 9, 2));
            prop_assert_eq!((record.partition_leader_epoch, record.transactional), (8, transactional));
            prop_assert_eq!(record.key.as_deref(), key.as_deref());
            prop_assert_eq!(record.value.as_deref(), value.as_deref());
            // Their map keeps only the last of equal keys.
            for (key, value) in &record.headers {
                prop_assert!(headers.iter().any(|(k, v)| k.as_str() == &**key && v.as_deref() == value.as_deref()));
            }
        }
    }

    #[test]
    fn damage_never_panics_and_never_passes(
        records in plain_records(), codec in codecs(), at in any::<prop::sample::Index>(), flip in 1u8..,
    ) {
        let batch = built(BatchBuilder::new().compression(codec), &records);
        let mut damaged = batch.to_vec();
        let at = at.index(damaged.len());
        damaged[at] ^= flip;
        let damaged = Bytes::from(damaged);
        // Offset and leader epoch are outside the checksum: they are the broker's to write.
        let unchecked = at < 8 || (12..16).contains(&at);
        prop_assert_eq!(validate(&damaged).is_ok(), unchecked, "byte {}", at);
        // The same damage under a checksum that fits reaches the decoders.
        let sealed = resealed(&batch, |bytes| bytes[at] ^= flip);
        if let Ok(view) = BatchView::parse(sealed) {
            let _ = validate_records(&view);
            if let Ok(records) = view.records() {
                let _ = records.flatten().map(|record| record.headers.iter().count()).sum::<usize>();
            }
        }
    }

    #[test]
    fn random_bytes_are_no_records(bytes in vec(any::<u8>(), 0..400), codec in codecs(), count in any::<i32>()) {
        let batch = resealed(&one_record(&bytes, Compression::None), |header| {
            header[22] = codec.id() as u8;
            header[57..61].copy_from_slice(&count.to_be_bytes());
        });
        let mut batch = BytesMut::from(&batch[..HEADER_BYTES]);
        batch.extend_from_slice(&bytes);
        let length = (batch.len() - OVERHEAD_BYTES) as i32;
        batch[8..12].copy_from_slice(&length.to_be_bytes());
        let peak = peak_bytes(|| {
            let view = BatchView::parse(batch.freeze()).unwrap();
            let _ = validate_records(&view);
            let _ = view.records().map(|records| records.flatten().count());
        });
        // Codecs have windows and tables of a fixed size.
        prop_assert!(peak < 10 << 20, "{} took {} bytes", codec, peak);
    }

    #[test]
    fn several_batches_come_apart_again(counts in vec(1usize..5, 0..6), cut in 1usize..60) {
        let batches: Vec<_> = counts.iter().map(|count| {
            let records = vec![(5, None, Some(vec![1, 2, 3]), Vec::new()); *count];
            built(BatchBuilder::new(), &records)
        }).collect();
        let joined = super::joined(batches.clone());
        let split: Result<Vec<_>, _> = split_batches(joined.clone()).map(|view| view.map(BatchView::into_bytes)).collect();
        prop_assert_eq!(split.unwrap(), batches.clone());
        if !joined.is_empty() {
            let split: Vec<_> = split_batches(joined.slice(..joined.len() - cut)).collect();
            prop_assert_eq!(split.len(), batches.len());
            prop_assert!(split.iter().take(batches.len() - 1).all(Result::is_ok));
            let is_truncated = matches!(split.last(), Some(Err(BatchError::Truncated { .. })));
            prop_assert!(is_truncated);
        }
    }
}

#[test]
fn each_fault_has_its_code() {
    let good = one_record(b"value", Compression::None);
    let check = |batch: Bytes, code: ErrorCode| {
        let error = validate(&batch).unwrap_err();
        assert_eq!(error.error_code(), code, "{error}");
        error
    };
    let set = |at: usize, field: &[u8]| {
        let field = field.to_vec();
        resealed(&good, move |batch| batch[at..at + field.len()].copy_from_slice(&field))
    };
    let mut flipped = good.to_vec();
    flipped[70] ^= 1;
    let error = check(flipped.into(), ErrorCode::CORRUPT_MESSAGE);
    assert!(matches!(error, BatchError::Checksum { .. }));
    let invalid = ErrorCode::INVALID_RECORD;
    assert_eq!(check(Bytes::new(), invalid), BatchError::NotOneBatch { count: 0 });
    assert_eq!(
        check(super::joined(vec![good.clone(), good.clone()]), invalid),
        BatchError::NotOneBatch { count: 2 }
    );
    assert!(matches!(check(good.slice(..good.len() - 1), invalid), BatchError::Truncated { .. }));
    assert!(matches!(check(good.slice(..30), invalid), BatchError::Truncated { needed: 61, received: 30 }));
    assert_eq!(check(set(16, &[1]), invalid), BatchError::Magic { magic: 1 });
    assert_eq!(check(set(8, &[0xff; 4]), invalid), BatchError::BadLength { length: -1 });
    assert_eq!(check(set(8, &[0, 0, 0, 48]), invalid), BatchError::BadLength { length: 48 });
    assert_eq!(check(set(57, &[0; 4]), invalid), BatchError::Count { count: 0, last_offset_delta: 0 });
    assert_eq!(check(set(57, &[0, 0, 0, 2]), invalid), BatchError::Count { count: 2, last_offset_delta: 0 });
    assert_eq!(check(set(23, &[0xff; 4]), invalid), BatchError::Count { count: 1, last_offset_delta: -1 });
    let error = check(set(57, &[0x80, 0, 0, 0]), invalid);
    assert_eq!(error, BatchError::Count { count: i32::MIN, last_offset_delta: 0 });
    assert_eq!(check(set(22, &[0x20]), invalid), BatchError::ControlBatch);
    assert!(matches!(check(set(22, &[0x10]), invalid), BatchError::Producer { transactional: true, .. }));
    assert!(matches!(check(set(43, &[0; 8]), invalid), BatchError::Producer { producer_id: 0, .. }));
    let unsupported = ErrorCode::UNSUPPORTED_COMPRESSION_TYPE;
    assert_eq!(check(set(22, &[5]), unsupported), BatchError::UnknownCompression { id: 5 });
}

#[test]
fn a_legacy_lz4_frame_is_refused_before_it_takes_memory() {
    let magic = 0x184C_2102_u32.to_le_bytes();
    let legacy = Bytes::from([&magic[..], &24_u32.to_le_bytes(), &[0x0f; 24]].concat());
    let peak = peak_bytes(|| {
        let refused = Compression::Lz4.decompress(&legacy);
        assert!(matches!(refused, Err(BatchError::Decompress { .. })), "{refused:?}");
    });
    assert!(peak < 1_000, "{peak} bytes");
}

#[test]
fn the_size_limit_is_exact() {
    let batch = one_record(&[0; 1_000], Compression::None);
    let at = BatchLimits { max_batch_bytes: batch.len() };
    validate_produced(&batch, &at).unwrap();
    let below = BatchLimits { max_batch_bytes: batch.len() - 1 };
    let error = validate_produced(&batch, &below).unwrap_err();
    assert_eq!(error.error_code(), ErrorCode::MESSAGE_TOO_LARGE);
}

#[test]
fn stamping_keeps_the_checksum_and_every_other_byte() {
    let original = one_record(b"value", Compression::Zstd);
    let mut batch = into_unique(original.clone());
    stamp(&mut batch, Offset(1 << 40), LeaderEpoch(6));
    assert_eq!(batch[8..12], original[8..12]);
    assert_eq!(batch[16..], original[16..]);
    let view = validate(&batch.freeze()).unwrap();
    assert_eq!(
        (view.header().base_offset, view.header().partition_leader_epoch),
        (Offset(1 << 40), LeaderEpoch(6))
    );
    assert_eq!(view.records().unwrap().next().unwrap().unwrap().offset, Offset(1 << 40));
}

#[test]
fn append_time_replaces_every_timestamp_under_a_new_checksum() {
    let mut batch = BatchBuilder::new().record(1, None, None).record(9, None, None).build_mut().unwrap();
    stamp_append_time(&mut batch, 1_234);
    let view = validate(&batch.freeze()).unwrap();
    let timestamps: Vec<_> = view.records().unwrap().map(|record| record.unwrap().timestamp).collect();
    assert_eq!(timestamps, [1_234, 1_234]);
}

#[test]
fn shared_bytes_are_copied_and_sole_ones_are_not() {
    let sole = Bytes::from(vec![1; 100_000]);
    let address = sole.as_ptr();
    let other = sole.clone();
    let copy = into_unique(sole);
    assert_ne!(copy.as_ptr(), address);
    assert_eq!(into_unique(other).as_ptr(), address);
}

#[test]
fn transaction_markers_are_control_batches() {
    for marker in [ControlMarker::Abort, ControlMarker::Commit] {
        let batch = BatchBuilder::new().producer(5, 1, -1).end_transaction(7, marker, 3).build().unwrap();
        assert_eq!(validate(&batch), Err(BatchError::ControlBatch), "clients may not write them");
        let view = BatchView::parse(batch).unwrap();
        let attributes = view.header().attributes;
        assert!(attributes.is_control() && attributes.is_transactional());
        let record = view.records().unwrap().next().unwrap().unwrap();
        assert_eq!(ControlMarker::from_key(&record.key.unwrap()), Some(marker));
        assert_eq!(record.value.unwrap()[..], [0, 0, 0, 0, 0, 3]);
    }
    assert_eq!(ControlMarker::from_key(&[0, 0, 0, 2]), None);
    assert_eq!(ControlMarker::from_key(&[]), None);
}

#[test]
fn sequence_numbers_wrap_after_the_largest() {
    let batch =
        BatchBuilder::new().producer(1, 0, i32::MAX).record(0, None, None).record(0, None, None).build();
    let view = BatchView::parse(batch.unwrap()).unwrap();
    assert_eq!(view.header().last_sequence(), 0);
}

#[test]
fn an_empty_batch_is_not_built() {
    assert!(matches!(BatchBuilder::new().build(), Err(BuildError::Empty)));
}

/// A batch whose records are these bytes, as they are.
fn with_payload(codec: Compression, payload: &[u8]) -> BatchView {
    let mut batch = BytesMut::from(&one_record(b"", Compression::None)[..HEADER_BYTES]);
    batch.extend_from_slice(payload);
    let length = (batch.len() - OVERHEAD_BYTES) as i32;
    batch[8..12].copy_from_slice(&length.to_be_bytes());
    batch[22] = codec.id() as u8;
    BatchView::parse(batch.freeze()).unwrap()
}

/// Compressed zeros that fill the size bound and a little more, made by repeating one compressed piece.
fn bomb(codec: Compression) -> Vec<u8> {
    let piece_bytes = if codec == Compression::Snappy { 32_000 } else { 64_000 };
    let piece = one_record(&vec![0; piece_bytes], codec).slice(HEADER_BYTES..);
    let pieces = MAX_DECOMPRESSED_BYTES / piece_bytes + 1;
    match codec {
        Compression::None => vec![0; MAX_DECOMPRESSED_BYTES],
        // Members and frames may follow each other.
        Compression::Gzip | Compression::Zstd => piece.repeat(pieces),
        // Sixteen bytes of header, then blocks.
        Compression::Snappy => [&piece[..16], &piece[16..].repeat(pieces)].concat(),
        // Seven bytes of header, blocks, and four bytes of end mark.
        Compression::Lz4 => [&piece[..7], &piece[7..piece.len() - 4].repeat(pieces), &[0; 4]].concat(),
    }
}

#[test]
fn a_mebibyte_of_zeros_passes_whatever_its_ratio() {
    for codec in Compression::ALL {
        let batch = one_record(&vec![0; RATIO_FLOOR_BYTES - 100], codec);
        let view = validate(&batch).unwrap();
        validate_records(&view).unwrap_or_else(|error| panic!("{codec}: {error}"));
    }
}

#[test]
fn bombs_are_refused_within_bounded_memory() {
    for codec in [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd] {
        let view = with_payload(codec, &bomb(codec));
        let mut result = None;
        let peak = peak_bytes(|| result = Some(validate_records(&view)));
        let error = result.unwrap().unwrap_err();
        assert!(
            matches!(error, BatchError::Bomb { limit, .. } if limit <= MAX_DECOMPRESSED_BYTES),
            "{error}"
        );
        assert_eq!(error.error_code(), ErrorCode::INVALID_RECORD);
        // A vector that grows holds its old and its new self for a moment.
        assert!(peak <= 4 * MAX_DECOMPRESSED_BYTES, "{codec} took {peak} bytes");
    }
}

#[test]
fn the_ratio_is_bounded_below_the_size() {
    // Some 300 bytes become 4 MiB.
    let payload = one_record(&vec![0; 4 * RATIO_FLOOR_BYTES], Compression::Zstd).slice(HEADER_BYTES..);
    assert!(payload.len() * 1_000 < 4 * RATIO_FLOOR_BYTES, "{}", payload.len());
    let error = validate_records(&with_payload(Compression::Zstd, &payload)).unwrap_err();
    assert_eq!(error, BatchError::Bomb { codec: Compression::Zstd, limit: RATIO_FLOOR_BYTES });
}

#[test]
fn a_snappy_block_is_not_believed() {
    // The varint claims 2 GiB; nothing follows.
    let view = with_payload(Compression::Snappy, &[0xff, 0xff, 0xff, 0xff, 0x07]);
    let peak = peak_bytes(|| assert!(matches!(validate_records(&view), Err(BatchError::Bomb { .. }))));
    assert!(peak < 10_000, "{peak}");
}

#[test]
fn raw_snappy_is_read_as_well_as_the_java_framing() {
    let plain = one_record(b"some value", Compression::None).slice(HEADER_BYTES..);
    let raw = snap::raw::Encoder::new().compress_vec(&plain).unwrap();
    let view = with_payload(Compression::Snappy, &raw);
    assert_eq!(view.records().unwrap().next().unwrap().unwrap().value.unwrap()[..], b"some value"[..]);
    assert!(one_record(b"some value", Compression::Snappy)[HEADER_BYTES..].starts_with(b"\x82SNAPPY\0"));
}

#[test]
fn a_zstd_window_beyond_the_bound_is_refused() {
    use std::io::Write;
    let compress = |window_log: u32| {
        let mut encoder = zstd::stream::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(window_log).unwrap();
        encoder.write_all(&[7; 100]).unwrap();
        encoder.flush().unwrap();
        encoder.finish().unwrap()
    };
    let error = validate_records(&with_payload(Compression::Zstd, &compress(24))).unwrap_err();
    assert!(matches!(error, BatchError::Decompress { codec: Compression::Zstd, .. }), "{error}");
    // At the bound the frame opens; that its content is no record is another matter.
    let error = validate_records(&with_payload(Compression::Zstd, &compress(23))).unwrap_err();
    assert!(matches!(error, BatchError::Record { .. }), "{error}");
}

#[test]
fn records_are_held_to_their_batch() {
    let check = |payload: &[u8], reason: &str| {
        let error = validate_records(&with_payload(Compression::None, payload)).unwrap_err();
        assert!(error.to_string().contains(reason), "{error}");
    };
    // length 6: attributes, timestamp delta, offset delta, null key, null value, no headers
    let good = [12, 0, 0, 0, 1, 1, 0];
    validate_records(&with_payload(Compression::None, &good)).unwrap();
    check(&[], "bytes end inside it");
    check(&[13, 0, 0, 0, 1, 1, 0], "length is negative");
    check(&[14, 0, 0, 0, 1, 1, 0], "reaches beyond the batch");
    check(&[12, 0, 0, 2, 1, 1, 0], "offset does not follow");
    check(&[12, 0, 0, 0, 3, 1, 0], "length is negative");
    check(&[12, 0, 0, 0, 1, 8, 0], "reaches beyond its end");
    check(&[12, 0, 0, 0, 1, 1, 1], "header count is negative");
    check(&[12, 0, 0, 0, 1, 1, 2], "bytes end inside it");
    check(&[14, 0, 0, 0, 1, 1, 0, 0], "length does not match");
    check(&[16, 0, 0, 0, 1, 1, 2, 1, 1], "header has no key");
    check(&[0xff, 0xff, 0xff, 0xff, 0xff, 0], "varint is too long");
    check(&[12, 0, 0, 0, 1, 1, 0, 0], "bytes follow");
}

#[test]
fn a_null_key_and_an_empty_one_differ() {
    let batch = BatchBuilder::new().record(0, None, Some(b"")).record(0, Some(b""), None).build().unwrap();
    let view = validate(&batch).unwrap();
    let records: Vec<_> = view.records().unwrap().map(Result::unwrap).collect();
    assert_eq!((records[0].key.clone(), records[0].value.clone()), (None, Some(Bytes::new())));
    assert_eq!((records[1].key.clone(), records[1].value.clone()), (Some(Bytes::new()), None));
    assert_eq!(validate_records(&view).unwrap().keyless, 1);
}

#[test]
fn the_builder_measures_itself() {
    let mut builder = BatchBuilder::new();
    assert!(builder.is_empty());
    builder.push(i64::MAX, Some(b"key"), Some(&[0; 300]), &[("h", None), ("", Some(b"x"))]);
    builder.push(0, None, None, &[]);
    assert_eq!(builder.len(), 2);
    let expected = builder.plain_bytes();
    assert_eq!(builder.build().unwrap().len(), expected);
}
