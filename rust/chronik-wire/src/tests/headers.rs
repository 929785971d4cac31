//! Headers and whole frames, from both sides.

use bytes::{Buf, Bytes};
use kafka_protocol::messages::{RequestHeader as TheirHeader, ResponseHeader as TheirResponseHeader};
use kafka_protocol::protocol::{Decodable, StrBytes};

use super::joined;
use crate::api::{ApiKey, Request};
use crate::codec::{DecodeErrorKind, Reader};
use crate::error_code::ErrorCode;
use crate::for_each_api;
use crate::header::*;
use crate::messages::api_versions::ApiVersion;
use crate::messages::*;

/// A frame without its length, which is checked.
fn body(pieces: Vec<Bytes>) -> Bytes {
    let mut frame = joined(pieces);
    assert_eq!(frame.get_i32() as usize, frame.len());
    frame
}

fn exchange<R: Request>() {
    for version in R::VERSIONS {
        for client_id in [None, Some(""), Some("tester")] {
            let frame = body(request_frame(version, 77, client_id, &R::default()).unwrap());
            let header_version = R::KEY.request_header_version(version);
            let theirs = TheirHeader::decode(&mut frame.clone(), header_version).unwrap();
            assert_eq!((theirs.request_api_key, theirs.request_api_version), (R::KEY as i16, version));
            assert_eq!(theirs.client_id, client_id.map(StrBytes::from_static_str));

            let mut reader = Reader::new(frame);
            let header = RequestHeader::read(&mut reader).unwrap();
            assert_eq!((header.api, header.version, header.correlation_id), (R::KEY, version, 77));
            assert_eq!(header.client_id.as_deref(), client_id);
            decode_request::<R>(reader, version).unwrap();
        }
        let response = R::Response::default();
        let frame = body(response_frame(R::KEY, version, 78, &response).unwrap());
        assert_eq!(joined(response_pieces(R::KEY, version, 78, &response).unwrap()), frame);
        let theirs = TheirResponseHeader::decode(&mut frame.clone(), R::KEY.response_header_version(version));
        assert_eq!(theirs.unwrap().correlation_id, 78);
        decode_response::<R>(frame.clone(), version).unwrap();
        let mut surplus = frame.to_vec();
        surplus.push(0);
        let error = decode_response::<R>(surplus.into(), version).unwrap_err();
        assert_eq!(error.kind, DecodeErrorKind::SurplusBytes { surplus: 1 });
    }
}

#[test]
fn every_request_and_response_makes_a_frame() {
    macro_rules! each {
        ($request:ident, $response:ident) => {
            exchange::<$request>()
        };
    }
    for_each_api!(each);
}

#[test]
fn the_client_id_is_never_compact() {
    let frame = body(request_frame(9, 1, Some("ab"), &MetadataRequest::default()).unwrap());
    assert_eq!(frame[..13], [0, 3, 0, 9, 0, 0, 0, 1, 0, 2, b'a', b'b', 0]);
}

#[test]
fn unknown_apis_and_versions_keep_the_correlation_id() {
    let mut reader = Reader::new(Bytes::from_static(&[0x7f, 0xff, 0, 1, 0, 0, 0, 9]));
    let error = RequestHeader::read(&mut reader).unwrap_err();
    assert_eq!(error, HeaderError::UnknownApi { key: 0x7fff, version: 1, correlation_id: 9 });
    // A version from the future may have any header behind the correlation id.
    let mut reader = Reader::new(Bytes::from_static(&[0, 18, 0, 99, 0, 0, 0, 9, 0xff]));
    let error = RequestHeader::read(&mut reader).unwrap_err();
    let api = ApiKey::ApiVersions;
    assert_eq!(error, HeaderError::UnsupportedVersion { api, version: 99, correlation_id: 9 });
    let mut reader = Reader::new(Bytes::from_static(&[0, 0, 0, 2, 0, 0, 0, 9, 0xff, 0xff]));
    let error = RequestHeader::read(&mut reader).unwrap_err();
    let api = ApiKey::Produce;
    assert_eq!(error, HeaderError::UnsupportedVersion { api, version: 2, correlation_id: 9 });
}

#[test]
fn an_unknown_version_of_api_versions_is_answered_in_version_0() {
    let entry = ApiVersion { api_key: 18, min_version: 0, max_version: 4 };
    let frame = joined(unsupported_version_pieces(5, vec![entry.clone()]).unwrap());
    assert_eq!(frame[..], [0, 0, 0, 5, 0, 35, 0, 0, 0, 1, 0, 18, 0, 0, 0, 4]);
    let (correlation_id, body) = decode_response::<ApiVersionsRequest>(frame, 0).unwrap();
    assert_eq!((correlation_id, body.error_code), (5, ErrorCode::UNSUPPORTED_VERSION));
    assert_eq!(body.api_keys, vec![entry]);
}

#[test]
fn what_follows_a_request_is_not_looked_at() {
    let surplus = Bytes::from_static(&[1, 1, 0, 0xde, 0xad]);
    decode_request::<ApiVersionsRequest>(Reader::new(surplus), 3).unwrap();
    // All topics, as librdkafka 2.15 asks for them: a count of four bytes where a compact one has a single byte.
    let all_topics = Bytes::from_static(&[0, 0, 0, 0, 1, 0, 0]);
    let request = decode_request::<MetadataRequest>(Reader::new(all_topics), 13).unwrap();
    assert_eq!(request.topics, None);
}

#[test]
fn records_travel_as_slices_and_leave_as_slices() {
    use crate::messages::fetch::{FetchableTopicResponse, PartitionData};
    let batch = Bytes::from(vec![7u8; 5_000]);
    let partition = PartitionData { records: batch.clone().into(), ..Default::default() };
    let topic = FetchableTopicResponse { partitions: vec![partition], ..Default::default() };
    let response = FetchResponse { responses: vec![topic], ..Default::default() };
    let pieces = response_frame(ApiKey::Fetch, 13, 1, &response).unwrap();
    assert!(pieces.iter().any(|piece| piece.as_ptr() == batch.as_ptr()), "the batch left without a copy");

    use crate::messages::produce::{PartitionProduceData, TopicProduceData};
    let partition = PartitionProduceData { index: 0, records: Some(batch) };
    let topic = TopicProduceData { partition_data: vec![partition], ..Default::default() };
    let request = ProduceRequest { topic_data: vec![topic], ..Default::default() };
    let frame = body(request_frame(9, 1, None, &request).unwrap());
    let mut reader = Reader::new(frame.clone());
    RequestHeader::read(&mut reader).unwrap();
    let request = decode_request::<ProduceRequest>(reader, 9).unwrap();
    let records = request.topic_data[0].partition_data[0].records.clone().unwrap();
    let within = frame.as_ptr_range();
    assert!(within.contains(&records.as_ptr()), "the records are a slice of the frame");
}
