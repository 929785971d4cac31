//! Tests over all messages at once: round trips, the comparison with another implementation, hostile bytes.

mod allocation;
mod api;
mod batches;
mod frames;
mod headers;
mod hostile;
mod newer;
mod newer_share;
mod oracle;
mod roundtrip;
use bytes::{Bytes, BytesMut};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::Config;

use crate::codec::{Message, Writer};
use crate::testing::sample::Source;

/// Random bytes for a few structures.
pub(crate) fn sources() -> impl Strategy<Value = Source> {
    vec(any::<u8>(), 0..600).prop_map(Source::new)
}

/// The bytes of a body in one piece.
pub(crate) fn encoded<M: Message>(message: &M, version: i16) -> Bytes {
    let mut writer = Writer::new();
    message.encode(&mut writer, version).unwrap();
    joined(writer.finish())
}

/// Pieces as one.
pub(crate) fn joined(pieces: Vec<Bytes>) -> Bytes {
    pieces
        .iter()
        .fold(BytesMut::new(), |mut all, piece| {
            all.extend_from_slice(piece);
            all
        })
        .freeze()
}

/// A number of cases that keeps each test within a few seconds, and leaves no files behind.
pub(crate) fn cases(cases: u32) -> Config {
    Config { cases, failure_persistence: None, ..Config::default() }
}
