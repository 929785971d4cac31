//! Every request and response body behind one face, so that a byte of the input can choose among them.

use std::ops::RangeInclusive;
use std::sync::OnceLock;

use bytes::{Bytes, BytesMut};
use chronik_wire::codec::{Layout, Message, Reader, Writer};
use chronik_wire::for_each_api;
use chronik_wire::messages::*;
use chronik_wire::testing::sample::{Sample, Source};
use kafka_protocol::messages as theirs;
use kafka_protocol::protocol::{Decodable, Encodable, Message as TheirMessage};

use crate::input::Input;

/// One message.
pub(crate) struct Body {
    /// Its name.
    pub(crate) name: &'static str,
    /// Its versions.
    pub(crate) versions: RangeInclusive<i16>,
    /// Decodes a body and encodes it again; `None` if it does not decode, or not to its end.
    pub(crate) canonical: fn(Bytes, i16) -> Option<Bytes>,
    /// The bytes of a value made from these bytes.
    pub(crate) sample: fn(Vec<u8>, i16) -> Bytes,
    /// What the `kafka-protocol` crate, generated from Kafka's own schema, reads and writes again; `None` if it has no
    /// such version. Only for valid bytes: it believes lengths.
    pub(crate) through_theirs: fn(&Bytes, i16) -> Option<Bytes>,
}

impl Body {
    /// The message and version that the next two bytes choose.
    pub(crate) fn choose(input: &mut Input<'_>) -> (&'static Body, i16) {
        let bodies = all();
        let body = &bodies[input.below(bodies.len())];
        let count = usize::from(body.versions.end().abs_diff(*body.versions.start())) + 1;
        let version = body.versions.clone().nth(input.below(count));
        (body, version.expect("the number is below the count of versions"))
    }

    /// The two bytes by which [`Body::choose`] comes to this message and version.
    pub(crate) fn choice(index: usize, version: i16) -> [u8; 2] {
        let first = all().get(index).map_or(0, |body| *body.versions.start());
        [index as u8, version.abs_diff(first) as u8]
    }
}

/// All messages, requests and responses in turn.
pub(crate) fn all() -> &'static [Body] {
    static BODIES: OnceLock<Vec<Body>> = OnceLock::new();
    BODIES.get_or_init(|| {
        let mut bodies = Vec::new();
        macro_rules! both {
            ($request:ident, $response:ident) => {
                bodies.push(body::<$request, theirs::$request>());
                bodies.push(body::<$response, theirs::$response>());
            };
        }
        for_each_api!(both);
        bodies
    })
}

fn body<Ours, Theirs>() -> Body
where
    Ours: Message + Sample,
    Theirs: TheirMessage + Encodable + Decodable,
{
    Body {
        name: Ours::NAME,
        versions: Ours::VERSIONS,
        canonical: |bytes, version| {
            let mut reader = Reader::new(bytes);
            let message = Ours::decode(&mut reader, version).ok()?;
            reader.finish().ok()?;
            Some(encoded(&message, version))
        },
        sample: |bytes, version| {
            let message = Ours::sample(&mut Source::new(bytes), Layout::new(version, Ours::FLEXIBLE_FROM));
            encoded(&message, version)
        },
        through_theirs: |bytes, version| {
            if version < Theirs::VERSIONS.min || version > Theirs::VERSIONS.max {
                return None;
            }
            let mut rest = bytes.clone();
            let message = Theirs::decode(&mut rest, version)
                .unwrap_or_else(|error| panic!("{} version {version}: {error:#}", Ours::NAME));
            assert!(rest.is_empty(), "{} version {version}: {} bytes left", Ours::NAME, rest.len());
            let mut again = BytesMut::new();
            message
                .encode(&mut again, version)
                .unwrap_or_else(|error| panic!("{} version {version}: {error:#}", Ours::NAME));
            Some(again.freeze())
        },
    }
}

/// The bytes of a body in one piece.
pub(crate) fn encoded<M: Message>(message: &M, version: i16) -> Bytes {
    let mut writer = Writer::new();
    message
        .encode(&mut writer, version)
        .unwrap_or_else(|error| panic!("{} version {version} does not encode: {error}", M::NAME));
    Bytes::from(writer.finish().concat())
}
