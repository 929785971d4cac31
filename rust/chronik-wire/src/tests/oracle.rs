//! The comparison with the `kafka-protocol` crate, which is generated from Kafka's own schema.
//!
//! Our bytes must decode there and come back identical; and what both sides print must agree field by field, by name
//! and value, or two fields of one type could be swapped unnoticed. Its decoder aborts on absurd lengths, so that it
//! only gets valid bytes.

use kafka_protocol::messages as theirs;
use kafka_protocol::protocol::{Decodable, Encodable, Message as TheirMessage};
use proptest::prelude::*;

use super::{cases, encoded, sources};
use crate::codec::{Layout, Message, Reader};
use crate::for_each_api;
use crate::messages::*;
use crate::testing::sample::{Sample, Source};

fn check<Ours, Theirs>(source: &Source)
where
    Ours: Message + Sample,
    Theirs: TheirMessage + Encodable + Decodable + std::fmt::Debug,
{
    for version in Ours::VERSIONS {
        if version > Theirs::VERSIONS.max || version < Theirs::VERSIONS.min {
            let known =
                THEIRS_LACK.iter().any(|(api, lacks)| Ours::NAME.starts_with(api) && *lacks == version);
            assert!(known, "{} version {version} is unknown to the other implementation", Ours::NAME);
            continue;
        }
        let ours = Ours::sample(&mut source.clone(), Layout::new(version, Ours::FLEXIBLE_FROM));
        let bytes = encoded(&ours, version);
        let mut rest = bytes.clone();
        let theirs = Theirs::decode(&mut rest, version)
            .unwrap_or_else(|error| panic!("{} version {version}: {error:#}", Ours::NAME));
        assert!(rest.is_empty(), "{} version {version}: {} bytes left", Ours::NAME, rest.len());
        let mut again = bytes::BytesMut::new();
        theirs.encode(&mut again, version).unwrap();
        assert_eq!(again, bytes, "{} version {version}", Ours::NAME);
        let of = |debug: String| facts(Ours::NAME, &debug);
        assert_eq!(of(format!("{ours:?}")), of(format!("{theirs:?}")), "version {version}");
        let back = Ours::decode(&mut Reader::new(again.freeze()), version).unwrap();
        assert_eq!(back, ours, "version {version}");
    }
}

/// Versions that Kafka has and their crate does not yet: `newer` compares those with fixed bytes.
const THEIRS_LACK: [(&str, i16); 10] = [
    ("ListOffsets", 11),
    ("OffsetCommit", 10),
    ("OffsetFetch", 10),
    ("WriteTxnMarkers", 2),
    ("DescribeLogDirs", 5),
    ("ShareFetch", 2),
    ("ShareAcknowledge", 2),
    ("WriteShareGroupState", 1),
    ("ReadShareGroupStateSummary", 1),
    ("DescribeShareGroupOffsets", 1),
];

/// What only one side's structures have, by the beginning of the message's name: the bin for unknown tags, fields of
/// versions that are not offered, and fields of versions that the other side lacks.
const ONE_SIDE_ALONE: [(&str, &str); 13] = [
    ("", "unknown_tagged_fields"),
    ("InitProducerId", "enable_2_pc"),
    ("InitProducerId", "keep_prepared_txn"),
    ("InitProducerId", "ongoing_txn_producer_id"),
    ("InitProducerId", "ongoing_txn_producer_epoch"),
    ("WriteTxnMarkers", "transaction_version"),
    ("DescribeLogDirs", "is_cordoned"),
    ("ShareFetchRequest", "partition_max_bytes"),
    ("ShareFetchRequest", "share_acquire_mode"),
    ("Share", "is_renew_ack"),
    ("ShareAcknowledgeResponse", "acquisition_lock_timeout_ms"),
    ("", "delivery_complete_count"),
    ("DescribeShareGroupOffsetsResponse", "lag"),
];

/// Field names and scalars of a debug text, in order, without the wrappers that differ between the two. Null and empty
/// are left out: the bytes tell them apart, and the two disagree about some defaults of fields a version lacks.
fn facts(message: &str, debug: &str) -> Vec<String> {
    let alone = |name| ONE_SIDE_ALONE.iter().any(|(of, field)| message.starts_with(of) && *field == name);
    let mut facts = Vec::new();
    let mut skipping = false;
    for word in without_byte_strings(debug).split([' ', ',', '(', ')', '[', ']', '{', '}']) {
        let name = word.strip_suffix(':');
        if let Some(name) = name {
            skipping = alone(name) || name == "records";
            if !alone(name) {
                // `match` is a word of the language, and the two sides got around it differently.
                facts.push(if name == "_match" { "match_name" } else { name }.to_owned());
            }
        } else if !skipping && is_scalar(word) {
            facts.push(if word.len() == 36 { word.replace('-', "") } else { word.to_owned() });
        }
    }
    facts
}

/// Cuts out `b"..."`: such fields print differently on the two sides, and their bytes were compared already.
fn without_byte_strings(debug: &str) -> String {
    let mut kept = String::new();
    let mut rest = debug;
    while let Some((before, bytes)) = rest.split_once("(b\"") {
        kept.push_str(before);
        let mut escaped = false;
        let end = bytes.find(|c| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        rest = end.map_or("", |end| &bytes[end + 1..]);
    }
    kept + rest
}

fn is_scalar(word: &str) -> bool {
    let is_number = |word: &str| word.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
    match word {
        "" | "\"\"" => false,
        "true" | "false" => true,
        word => word.starts_with('"') || is_number(word),
    }
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn every_message_is_what_the_other_implementation_reads_and_writes(source in sources()) {
        macro_rules! each {
            ($request:ident, $response:ident) => {
                check::<$request, theirs::$request>(&source);
                check::<$response, theirs::$response>(&source);
            };
        }
        for_each_api!(each);
    }
}

#[test]
fn swapped_fields_would_be_noticed() {
    let (a, b) = ("P { leader_id: BrokerId(5), rack: None }", "P { rack: None, leader_id: 5 }");
    assert_ne!(facts("P", a), facts("P", b));
    assert_eq!(facts("P", a), facts("P", "P { leader_id: 5, rack: None, unknown_tagged_fields: {} }"));
    assert_ne!(facts("P", a), facts("P", "P { leader_id: 6, rack: None }"));
}
