//! Framing, at each limit and one past it.

use bytes::{BufMut, Bytes, BytesMut};
use proptest::collection::vec;
use proptest::prelude::*;

use super::cases;
use crate::frame::{FrameError, FrameLimits, bytes_to_reserve, length_prefix, next_frame};
use crate::testing::allocation::peak_bytes;

const LIMITS: FrameLimits = FrameLimits { max_frame_bytes: 1_000_000 };

fn stream(frames: &[Vec<u8>]) -> BytesMut {
    let mut stream = BytesMut::new();
    for frame in frames {
        stream.put_i32(frame.len() as i32);
        stream.put_slice(frame);
    }
    stream
}

proptest! {
    #![proptest_config(cases(200))]

    /// However the stream is cut into reads, the same frames come out.
    #[test]
    fn frames_do_not_depend_on_how_bytes_arrive(
        frames in vec(vec(any::<u8>(), 0..200), 0..8),
        cuts in vec(1usize..50, 1..20),
    ) {
        let stream = stream(&frames);
        let (mut buffer, mut seen, mut rest) = (BytesMut::new(), Vec::new(), &stream[..]);
        for cut in cuts.iter().cycle() {
            let (arrived, later) = rest.split_at((*cut).min(rest.len()));
            buffer.extend_from_slice(arrived);
            while let Some(frame) = next_frame(&mut buffer, &LIMITS).unwrap() {
                seen.push(frame.to_vec());
            }
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(seen, frames);
        prop_assert!(buffer.is_empty());
    }
}

#[test]
fn lengths_are_checked_before_anything_is_reserved() {
    let at_limit = (LIMITS.max_frame_bytes as i32).to_be_bytes();
    assert_eq!(next_frame(&mut BytesMut::from(&at_limit[..]), &LIMITS), Ok(None));
    let cases = [
        (LIMITS.max_frame_bytes as i32 + 1, FrameError::TooLarge { length: 1_000_001, max: 1_000_000 }),
        (-1, FrameError::Negative { length: -1 }),
        (i32::MIN, FrameError::Negative { length: i32::MIN }),
    ];
    for (length, error) in cases {
        let mut buffer = BytesMut::from(&length.to_be_bytes()[..]);
        let peak = peak_bytes(|| assert_eq!(next_frame(&mut buffer, &LIMITS), Err(error)));
        assert_eq!(peak, 0);
    }
}

#[test]
fn the_buffer_grows_with_bytes_received() {
    let claim = (LIMITS.max_frame_bytes as i32).to_be_bytes();
    assert_eq!(bytes_to_reserve(&claim, &LIMITS), 4096, "four bytes earn no megabyte");
    let mut received = BytesMut::from(&claim[..]);
    received.put_bytes(0, 300_000);
    assert_eq!(bytes_to_reserve(&received, &LIMITS), 300_004);
    received.put_bytes(0, 690_000);
    assert_eq!(bytes_to_reserve(&received, &LIMITS), 10_000);
}

#[test]
fn other_protocols_are_recognised() {
    for start in ["GET / HTTP/1.1\r\n", "POST /", "HTTP/1.1 200", "PRI * HTTP/2.0", "OPTIONS *"] {
        assert_eq!(next_frame(&mut BytesMut::from(start), &LIMITS), Err(FrameError::Http), "{start}");
    }
    let hello = [0x16, 0x03, 0x01, 0x02, 0x00, 0x01];
    assert_eq!(next_frame(&mut BytesMut::from(&hello[..]), &LIMITS), Err(FrameError::Tls));
    // Both are recognised although their lengths exceed no limit a user could set.
    let unlimited = FrameLimits { max_frame_bytes: i32::MAX as usize };
    assert_eq!(next_frame(&mut BytesMut::from("GET /"), &unlimited), Err(FrameError::Http));
}

#[test]
fn a_large_frame_alone_in_its_buffer_becomes_writable_without_a_copy() {
    let mut buffer = stream(&[vec![7; 100_000]]);
    let frame = next_frame(&mut buffer, &LIMITS).unwrap().unwrap();
    let records = frame.slice(10..);
    drop(frame);
    let peak = peak_bytes(|| {
        let writable = crate::batch::into_unique(records);
        assert_eq!(writable.len(), 99_990);
    });
    assert!(peak < 1_000, "copied {peak} bytes");
}

#[test]
fn the_length_prefix_counts_all_pieces() {
    let pieces = [Bytes::from_static(b"abc"), Bytes::new(), Bytes::from_static(b"de")];
    assert_eq!(length_prefix(&pieces), Ok([0, 0, 0, 5]));
}
