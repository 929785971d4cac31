//! Flexible headers and bodies: tagged fields that nobody knows yet, in numbers and sizes of the sender's choice, and
//! bytes behind the end.

use bytes::Bytes;
use chronik_wire::api::{ApiKey, Request};
use chronik_wire::codec::{DecodeErrorKind, Reader, Writer};
use chronik_wire::for_each_api;
use chronik_wire::header::{HeaderError, RequestHeader, decode_request};
use chronik_wire::limits::MAX_TAGGED_FIELDS;
use chronik_wire::messages::*;

use crate::Verdict;
use crate::input::Input;
use crate::memory::bounded;
use crate::messages::encoded;

/// Tags from here on are in no schema.
const UNKNOWN_TAG_FIRST: u32 = 10_000;

/// What the input adds to a request.
struct Additions<'a> {
    header_tags: Vec<&'a [u8]>,
    /// Claims one tagged field more than there may be, and brings them.
    too_many: bool,
    body_tags: Vec<&'a [u8]>,
    surplus: &'a [u8],
}

/// The first byte chooses an API, the second a flexible version of it; the rest says what its sender adds.
pub fn run(data: &[u8]) -> Verdict {
    let mut input = Input::new(data);
    let Some(api) = input.one_of(ApiKey::ALL) else { return Verdict::Refused };
    let flexible: Vec<i16> = api.layouts().filter(|version| *version >= api.flexible_from()).collect();
    let Some(version) = input.one_of(&flexible) else { return Verdict::Refused };
    let too_many = input.byte() == 0xff;
    let additions = Additions {
        header_tags: tags(&mut input),
        too_many,
        body_tags: tags(&mut input),
        surplus: input.rest(),
    };
    macro_rules! of_api {
        ($request:ident, $response:ident) => {
            if api == $request::KEY {
                return check::<$request>(version, &additions);
            }
        };
    }
    for_each_api!(of_api);
    panic!("{api} is in the table and has no message")
}

fn tags<'a>(input: &mut Input<'a>) -> Vec<&'a [u8]> {
    let count = input.below(8);
    let mut tag = || {
        let length = usize::from(input.byte());
        input.take(length)
    };
    (0..count).map(|_| tag()).collect()
}

fn check<R: Request>(version: i16, additions: &Additions<'_>) -> Verdict {
    let plain = encoded(&R::default(), version);
    // A body of defaults ends with the number of its tagged fields, which is 0.
    let (count, fields) = plain.split_last().expect("a flexible body has tagged fields");
    assert_eq!(*count, 0, "{} version {version}", R::NAME);
    let mut writer = Writer::new();
    writer.put_i16(R::KEY as i16);
    writer.put_i16(version);
    writer.put_i32(77);
    writer.put_i16(-1);
    if additions.too_many {
        put_too_many(&mut writer);
    } else {
        put_tags(&mut writer, &additions.header_tags);
    }
    writer.put_bytes(&Bytes::copy_from_slice(fields));
    put_tags(&mut writer, &additions.body_tags);
    writer.put_bytes(&Bytes::copy_from_slice(additions.surplus));
    let frame = Bytes::from(writer.finish().concat());

    bounded(R::NAME, frame.len(), || {
        let mut reader = Reader::new(frame.clone());
        let header = match RequestHeader::read(&mut reader) {
            Err(HeaderError::Malformed(error)) if additions.too_many => {
                assert!(matches!(error.kind, DecodeErrorKind::TooManyTaggedFields { .. }), "{error}");
                return Verdict::Refused;
            }
            header => header.expect("tagged fields that nobody knows are skipped"),
        };
        assert!(!additions.too_many, "the header has more tagged fields than it may");
        assert_eq!((header.api, header.version, header.correlation_id), (R::KEY, version, 77));
        let request = decode_request::<R>(reader, version).expect("what follows the body is not looked at");
        assert_eq!(encoded(&request, version), plain, "{} version {version}", R::NAME);
        Verdict::Accepted
    })
}

fn put_tags(writer: &mut Writer, tags: &[&[u8]]) {
    writer.put_unsigned_varint(tags.len() as u32);
    for (position, tag) in tags.iter().enumerate() {
        writer.put_unsigned_varint(UNKNOWN_TAG_FIRST + position as u32);
        writer.put_unsigned_varint(tag.len() as u32);
        writer.put_bytes(&Bytes::copy_from_slice(tag));
    }
}

fn put_too_many(writer: &mut Writer) {
    writer.put_unsigned_varint(MAX_TAGGED_FIELDS + 1);
    for position in 0..=MAX_TAGGED_FIELDS {
        writer.put_unsigned_varint(UNKNOWN_TAG_FIRST + position);
        writer.put_unsigned_varint(0);
    }
}

/// One per API, and one of each kind of addition.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = (0..ApiKey::ALL.len() as u8).map(|api| vec![api, 1, 0, 0, 0]).collect();
    for api in [0, 5] {
        seeds.push(vec![api, 1, 0xff]);
        seeds.push(vec![api, 1, 0, 2, 3, 1, 2, 3, 0, 1, 4, 9, 9, 9, 9]);
        seeds.push(vec![api, 1, 0, 0, 0, 5, 5, 5]);
    }
    seeds
}
