//! A request frame as a broker reads it: header, version, body. The first thing any stranger's bytes meet.

use bytes::Bytes;
use chronik_wire::api::{ApiKey, Request};
use chronik_wire::codec::{DecodeErrorKind, Message, Reader};
use chronik_wire::for_each_api;
use chronik_wire::header::{
    HeaderError, RequestHeader, decode_request, decode_response, request_frame, unsupported_version_pieces,
};
use chronik_wire::messages::*;

use crate::Verdict;
use crate::memory::bounded;
use crate::messages::{self, encoded};

/// Reads `data` as a request frame without its length. A request that decodes must encode to bytes that mean the same.
pub fn run(data: &[u8]) -> Verdict {
    let frame = Bytes::copy_from_slice(data);
    let read = bounded("a request", data.len(), || {
        let mut reader = Reader::new(frame.clone());
        RequestHeader::read(&mut reader).map(|header| (header, reader))
    });
    match read {
        Ok((header, reader)) => {
            let accepted = body(&header, reader, data.len());
            assert!(
                header.api.layouts().contains(&header.version),
                "{} version {}",
                header.api,
                header.version
            );
            Verdict::accepted(accepted)
        }
        Err(error) => {
            refusal(error);
            Verdict::Refused
        }
    }
}

fn body(header: &RequestHeader, reader: Reader, frame_bytes: usize) -> bool {
    macro_rules! of_api {
        ($request:ident, $response:ident) => {
            if header.api == $request::KEY {
                return typed_body::<$request>(header, reader, frame_bytes);
            }
        };
    }
    for_each_api!(of_api);
    panic!("{} is in the table and has no message", header.api)
}

fn typed_body<R: Request>(header: &RequestHeader, reader: Reader, frame_bytes: usize) -> bool {
    let version = header.version;
    let decoded = bounded(R::NAME, frame_bytes, || decode_request::<R>(reader, version));
    let Ok(request) = decoded else { return false };
    let client_id = header.client_id.as_deref();
    let pieces = request_frame(version, header.correlation_id, client_id, &request).expect("it was decoded");
    // Behind the length.
    let mut again = Reader::new(Bytes::from(pieces.concat()).slice(4..));
    assert_eq!(RequestHeader::read(&mut again).as_ref(), Ok(header));
    let same = decode_request::<R>(again, version).expect("what we write we read");
    assert_eq!(encoded(&same, version), encoded(&request, version), "{} version {version}", R::NAME);
    true
}

/// An unknown version of ApiVersions has an answer that every client can read (KIP-511).
fn refusal(error: HeaderError) {
    match error {
        HeaderError::UnsupportedVersion { api: ApiKey::ApiVersions, version, correlation_id } => {
            assert!(!ApiKey::ApiVersions.layouts().contains(&version));
            let pieces =
                unsupported_version_pieces(correlation_id, Vec::new()).expect("an empty table encodes");
            let answer = decode_response::<ApiVersionsRequest>(Bytes::from(pieces.concat()), 0);
            let (echoed, answer) = answer.expect("version 0 reads it");
            assert_eq!((echoed, answer.error_code.0), (correlation_id, 35));
        }
        HeaderError::UnsupportedVersion { api, version, .. } => {
            assert!(!api.layouts().contains(&version), "{api} version {version}");
        }
        HeaderError::UnknownApi { key, .. } => assert_eq!(ApiKey::from_i16(key), None),
        HeaderError::Malformed(error) => {
            assert!(!matches!(error.kind, DecodeErrorKind::UnsupportedVersion { .. }), "{error}");
        }
    }
}

/// Every request in its newest and oldest version.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    macro_rules! each {
        ($request:ident, $response:ident) => {
            for version in [*$request::VERSIONS.start(), *$request::VERSIONS.end()] {
                seeds.push(frame::<$request>(version));
            }
        };
    }
    for_each_api!(each);
    // ApiVersions in a version of the future.
    seeds.push(vec![0, 18, 0, 99, 0, 0, 0, 7, 0xff, 0xff]);
    seeds
}

fn frame<R: Request>(version: i16) -> Vec<u8> {
    let at = messages::all().iter().position(|body| body.name == R::NAME);
    let sample = at.and_then(|at| messages::all().get(at)).map(|body| (body.sample)(vec![1; 64], version));
    let sample = sample.expect("every request is among the messages");
    let body = R::decode(&mut Reader::new(sample), version).expect("a sample decodes");
    request_frame(version, 7, Some("fuzz"), &body).expect("a sample encodes").concat().split_off(4)
}
