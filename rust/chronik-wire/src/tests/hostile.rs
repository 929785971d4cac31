//! Bytes of an attacker: no panic, and memory in proportion to what was received.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;

use super::{cases, encoded, sources};
use crate::codec::{DecodeErrorKind, Layout, Message, Reader};
use crate::for_each_message;
use crate::limits::{DECODE_BYTES_FLOOR, MAX_TAGGED_FIELDS};
use crate::messages::*;
use crate::testing::allocation::peak_bytes;
use crate::testing::sample::{Sample, Source};

/// Decodes and checks the memory taken on the way, successful or not.
fn decode_bounded<M: Message>(bytes: &Bytes, version: i16) -> bool {
    let frame = bytes.clone();
    let mut complete = false;
    let peak = peak_bytes(|| {
        let mut reader = Reader::new(frame);
        let message = M::decode(&mut reader, version);
        complete = message.is_ok() && reader.remaining() == 0;
    });
    let allowed = 16 * bytes.len() + DECODE_BYTES_FLOOR + 4096;
    assert!(peak <= allowed, "{} version {version}: {peak} bytes for a frame of {}", M::NAME, bytes.len());
    complete
}

fn each_version_bounded<M: Message>(bytes: &Bytes) {
    for version in M::VERSIONS {
        decode_bounded::<M>(bytes, version);
    }
}

fn each_version<M: Message + Sample>(source: &Source, check: impl Fn(&Bytes, i16)) {
    for version in M::VERSIONS {
        let message = M::sample(&mut source.clone(), Layout::new(version, M::FLEXIBLE_FROM));
        check(&encoded(&message, version), version);
    }
}

/// Overwrites every byte, and every four bytes, with numbers that make bad lengths.
fn mutate<M: Message + Sample>(source: &Source) {
    each_version::<M>(source, |bytes, version| {
        // Long samples take turns, so that the test stays fast.
        let step = 1 + bytes.len() / 100;
        for at in (0..bytes.len()).step_by(step) {
            for byte in [0x00, 0x01, 0x7f, 0x80, 0xff] {
                let mut hostile = bytes.to_vec();
                hostile[at] = byte;
                decode_bounded::<M>(&hostile.into(), version);
            }
            for number in [-1, -2, i32::MIN, i32::MAX, 0x00ff_ffff, -1 << 8] {
                let mut hostile = bytes.to_vec();
                let end = bytes.len().min(at + 4);
                hostile[at..end].copy_from_slice(&number.to_be_bytes()[..end - at]);
                decode_bounded::<M>(&hostile.into(), version);
            }
        }
    });
}

fn truncate<M: Message + Sample>(source: &Source) {
    each_version::<M>(source, |bytes, version| {
        for end in 0..bytes.len() {
            let complete = decode_bounded::<M>(&bytes.slice(..end), version);
            assert!(
                !complete,
                "{} version {version} is complete after {end} of {} bytes",
                M::NAME,
                bytes.len()
            );
        }
    });
}

proptest! {
    #![proptest_config(cases(12))]

    #[test]
    fn mutated_messages_are_bounded(source in sources()) {
        for_each_message!(mutate(&source));
    }

    #[test]
    fn no_prefix_of_a_message_is_a_message(source in sources()) {
        for_each_message!(truncate(&source));
    }
}

proptest! {
    #![proptest_config(cases(2_000))]

    #[test]
    fn random_bytes_are_bounded(bytes in vec(any::<u8>(), 0..300)) {
        let bytes = Bytes::from(bytes);
        for_each_message!(each_version_bounded(&bytes));
    }
}

/// Frames that only repeat one byte reach the worst ratio of memory to input: arrays of the smallest elements.
#[test]
fn large_frames_of_one_byte_are_bounded() {
    for byte in [0x00, 0x01, 0x02, 0x03, 0x10, 0x7f, 0xff] {
        let mut frame = vec![byte; 200_000];
        for claim in [&[][..], &[0xff, 0xff, 0x03], &[0x80, 0x80, 0x0c], &[0x00, 0x01, 0x00, 0x00]] {
            frame[..claim.len()].copy_from_slice(claim);
            let bytes = Bytes::from(frame.clone());
            for_each_message!(each_version_bounded(&bytes));
        }
    }
}

#[test]
fn seven_bytes_of_metadata_cannot_claim_two_billion_topics() {
    let bomb = Bytes::from_static(&[0x7f, 0xff, 0xff, 0xff, 0, 0, 0]);
    for version in 0..=8 {
        let error = MetadataRequest::decode(&mut Reader::new(bomb.clone()), version).unwrap_err();
        assert_eq!(error.at, "MetadataRequest.topics");
        assert_eq!(error.kind, DecodeErrorKind::ArrayTooLong { count: 0x7fff_ffff, remaining: 3 });
        assert!(!decode_bounded::<MetadataRequest>(&bomb, version));
    }
}

#[test]
fn negative_lengths_are_named() {
    let minus_two = Bytes::from_static(&[0xff, 0xff, 0xff, 0xfe]);
    let error = MetadataRequest::decode(&mut Reader::new(minus_two), 1).unwrap_err();
    assert_eq!(error.kind, DecodeErrorKind::NegativeLength { length: -2 });
    let null = Bytes::from_static(&[0xff, 0xff, 0xff, 0xff]);
    let error = MetadataRequest::decode(&mut Reader::new(null), 0).unwrap_err();
    assert_eq!(error.kind, DecodeErrorKind::UnexpectedNull);
}

#[test]
fn tagged_fields_are_counted() {
    let frame = |count: u32| {
        let mut writer = crate::codec::Writer::new();
        writer.put_slice(&[1, 1]);
        writer.put_unsigned_varint(count);
        for _ in 0..count {
            writer.put_slice(&[99, 0]);
        }
        super::joined(writer.finish())
    };
    let mut reader = Reader::new(frame(MAX_TAGGED_FIELDS));
    ApiVersionsRequest::decode(&mut reader, 3).unwrap();
    let error = ApiVersionsRequest::decode(&mut Reader::new(frame(MAX_TAGGED_FIELDS + 1)), 3).unwrap_err();
    assert_eq!(error.kind, DecodeErrorKind::TooManyTaggedFields { count: MAX_TAGGED_FIELDS + 1 });
}

#[test]
fn strings_must_be_utf8() {
    let bytes = Bytes::from_static(&[0x02, 0xff, 0x01, 0x00]);
    let error = ApiVersionsRequest::decode(&mut Reader::new(bytes), 3).unwrap_err();
    assert_eq!(error.kind, DecodeErrorKind::NotUtf8);
}

#[test]
fn memory_is_refused_before_it_is_taken() {
    // A million empty strings: one byte each on the wire, 24 in memory.
    let mut frame = vec![0x01; 1_000_000];
    frame[..3].copy_from_slice(&[0x81, 0x80, 0x3d]);
    let error = DeleteTopicsRequest::decode(&mut Reader::new(frame.into()), 4).unwrap_err();
    assert!(matches!(error.kind, DecodeErrorKind::TooMuchMemory { .. }), "{error}");
}
