//! Every message in every version comes back as it was.

use proptest::prelude::*;

use super::{cases, encoded, sources};
use crate::codec::{DecodeErrorKind, EncodeError, Layout, Message, Reader, Writer};
use crate::for_each_message;
use crate::messages::*;
use crate::testing::sample::{Sample, Source};

fn check<M: Message + Sample>(source: &Source) {
    for version in M::VERSIONS {
        let message = M::sample(&mut source.clone(), Layout::new(version, M::FLEXIBLE_FROM));
        let bytes = encoded(&message, version);
        let mut reader = Reader::new(bytes.clone());
        let back = M::decode(&mut reader, version).unwrap();
        assert_eq!(back, message, "version {version}");
        assert_eq!(reader.remaining(), 0, "{} version {version}", M::NAME);
        assert_eq!(encoded(&back, version), bytes, "{} version {version}", M::NAME);
    }
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn every_message_survives_a_round_trip(source in sources()) {
        for_each_message!(check(&source));
    }
}

#[test]
fn versions_outside_the_range_are_refused_both_ways() {
    fn refuse<M: Message>() {
        for version in [M::VERSIONS.start() - 1, M::VERSIONS.end() + 1, i16::MIN, i16::MAX] {
            let error = M::decode(&mut Reader::new(bytes::Bytes::new()), version).unwrap_err();
            assert_eq!(error.kind, DecodeErrorKind::UnsupportedVersion { version });
            let error = M::default().encode(&mut Writer::new(), version).unwrap_err();
            assert_eq!(error, EncodeError::UnsupportedVersion { message: M::NAME, version });
        }
    }
    for_each_message!(refuse());
}

#[test]
fn unknown_tagged_fields_are_skipped() {
    // ApiVersions request version 3: two compact strings, then one field with the unknown tag 77.
    let bytes = bytes::Bytes::from_static(b"\x02a\x02b\x01\x4d\x03xyz");
    let mut reader = Reader::new(bytes);
    let request = ApiVersionsRequest::decode(&mut reader, 3).unwrap();
    assert_eq!((request.client_software_name.as_str(), request.client_software_version.as_str()), ("a", "b"));
    assert_eq!(reader.remaining(), 0);
}

#[test]
fn fetch_without_records_is_empty_and_not_null() {
    use crate::messages::fetch::{FetchableTopicResponse, PartitionData};
    let partitions = vec![PartitionData { aborted_transactions: None, ..PartitionData::default() }];
    let responses = vec![FetchableTopicResponse { partitions, ..FetchableTopicResponse::default() }];
    let response = FetchResponse { responses, ..FetchResponse::default() };
    let old = encoded(&response, 11);
    assert_eq!(old[old.len() - 4..], [0, 0, 0, 0], "length 0, not -1");
    // Compact length 1, then the empty tags of partition, topic and response.
    let new = encoded(&response, 12);
    assert_eq!(new[new.len() - 4..], [1, 0, 0, 0]);
}

#[test]
fn null_and_empty_topics_of_metadata_differ() {
    let all = MetadataRequest::default();
    let none = MetadataRequest { topics: Some(Vec::new()), ..MetadataRequest::default() };
    for version in 1..=13 {
        for request in [&all, &none] {
            let back = MetadataRequest::decode(&mut Reader::new(encoded(request, version)), version).unwrap();
            assert_eq!(back.topics, request.topics, "version {version}");
        }
    }
    assert_eq!(encoded(&all, 0), encoded(&none, 0), "version 0 asks for all with the empty list");
}

#[test]
fn a_tagged_field_with_its_default_takes_no_bytes() {
    let quiet = encoded(&ProduceResponse::default(), 10);
    assert_eq!(quiet[..], [1, 0, 0, 0, 0, 0]);
}

#[test]
fn list_offsets_11_has_the_layout_of_10() {
    let request = ListOffsetsRequest {
        topics: vec![list_offsets::ListOffsetsTopic {
            name: "t".into(),
            partitions: vec![Default::default()],
        }],
        ..Default::default()
    };
    assert_eq!(encoded(&request, 11), encoded(&request, 10));
}
