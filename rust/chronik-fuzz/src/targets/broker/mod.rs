//! Requests to a whole broker, one node in memory: every one is answered in the layout of its version, or its connection
//! is closed, in bounded simulated time; no replica stops; and the node serves on.

mod node;

use bytes::Bytes;
use chronik_broker::CloseReason;
use chronik_wire::api::{ApiKey, Request};
use chronik_wire::batch::BatchBuilder;
use chronik_wire::codec::Reader;
use chronik_wire::error_code::ErrorCode;
use chronik_wire::for_each_api;
use chronik_wire::header::{RequestHeader, decode_request, decode_response, request_frame};
use chronik_wire::messages::create_topics::CreatableTopic;
use chronik_wire::messages::fetch::{FetchPartition, FetchTopic};
use chronik_wire::messages::list_offsets::{ListOffsetsPartition, ListOffsetsTopic};
use chronik_wire::messages::metadata::MetadataRequestTopic;
use chronik_wire::messages::produce::{PartitionProduceData, TopicProduceData};
use chronik_wire::messages::*;

use self::node::Node;
use crate::Verdict;
use crate::input::Input;
use crate::messages;

/// The topic that exists when the input begins.
const TOPIC: &str = "t";
/// Most requests of one input.
const REQUESTS_MAX: usize = 16;
/// Most partitions a request may create here: each is a raft group, and an input has a second.
const PARTITIONS_MAX: i32 = 32;

/// The input is a list of frames, each behind its length in 16 bits; the highest bit asks for a frame made from the
/// bytes instead, of the message that the first two choose.
pub fn run(data: &[u8]) -> Verdict {
    let mut input = Input::new(data);
    let mut node = Node::start();
    node.create(TOPIC);
    let mut accepted = false;
    for _ in 0..REQUESTS_MAX {
        if input.is_empty() {
            break;
        }
        let length = input.u16();
        let bytes = input.take(usize::from(length & 0x7fff));
        let frame = if length & 0x8000 == 0 { Some(bytes.to_vec()) } else { made_up(bytes) };
        if let Some(frame) = frame.filter(|frame| is_affordable(frame)) {
            accepted |= ask(&mut node, Bytes::from(frame));
        }
    }
    serves_on(&mut node);
    Verdict::accepted(accepted)
}

/// A request frame with fields of the input's choice.
fn made_up(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut input = Input::new(bytes);
    let (body, version) = messages::Body::choose(&mut input);
    let sample = (body.sample)(input.rest().to_vec(), version);
    let mut frame = None;
    macro_rules! of_api {
        ($request:ident, $response:ident) => {
            if body.name == $request::NAME {
                let mut header = Vec::new();
                header.extend(($request::KEY as i16).to_be_bytes());
                header.extend(version.to_be_bytes());
                header.extend([0, 0, 0, 7, 0xff, 0xff]);
                if $request::KEY.request_header_version(version) >= 2 {
                    header.push(0);
                }
                frame = Some([&header[..], &sample].concat());
            }
        };
    }
    use chronik_wire::codec::Message;
    for_each_api!(of_api);
    frame
}

/// Whether a request creates only as many partitions as an input has time for.
fn is_affordable(frame: &[u8]) -> bool {
    let mut reader = Reader::new(Bytes::copy_from_slice(frame));
    let Ok(header) = RequestHeader::read(&mut reader) else { return true };
    if header.api != ApiKey::CreateTopics {
        return true;
    }
    let Ok(request) = decode_request::<CreateTopicsRequest>(reader, header.version) else { return true };
    request.topics.iter().map(|topic| topic.num_partitions.max(0)).fold(0, i32::saturating_add)
        <= PARTITIONS_MAX
}

/// Sends one frame. True if it was answered.
fn ask(node: &mut Node, frame: Bytes) -> bool {
    let header = RequestHeader::read(&mut Reader::new(frame.clone()));
    match node.ask(frame) {
        Ok(Some(pieces)) => {
            let answer = Bytes::from(pieces.concat());
            match header {
                Ok(header) => is_readable(&header, answer),
                // ApiVersions of an unknown version.
                Err(_) => {
                    let answer = decode_response::<ApiVersionsRequest>(answer, 0);
                    assert_eq!(answer.map(|(_, body)| body.error_code), Ok(ErrorCode::UNSUPPORTED_VERSION));
                }
            }
            true
        }
        Ok(None) => {
            assert_eq!(header.map(|header| header.api), Ok(ApiKey::Produce), "only acks=0 has no answer");
            true
        }
        Err(CloseReason::Unanswerable(reason)) => {
            assert!(!reason.contains("encoded"), "an answer that cannot be encoded");
            false
        }
        Err(_) => false,
    }
}

/// The answer decodes as the client that asked decodes it.
fn is_readable(header: &RequestHeader, answer: Bytes) {
    macro_rules! of_api {
        ($request:ident, $response:ident) => {
            if header.api == $request::KEY {
                let answer = decode_response::<$request>(answer, header.version);
                let (correlation_id, _) = answer.unwrap_or_else(|error| panic!("{}: {error}", header.api));
                assert_eq!(correlation_id, header.correlation_id);
                return;
            }
        };
    }
    for_each_api!(of_api);
    panic!("{} is in the table and has no message", header.api)
}

/// Whatever came before, a new topic can be written to and read from, and no replica has stopped.
fn serves_on(node: &mut Node) {
    node.create("afterwards");
    let produced = node.call(9, &produce("afterwards"));
    let error = &produced.responses[0].partition_responses[0];
    assert_eq!(error.error_code, ErrorCode::NONE, "{error:?}");
    let fetched = node.call(12, &fetch("afterwards", 0));
    let data = &fetched.responses[0].partitions[0];
    assert_eq!((data.error_code, data.high_watermark), (ErrorCode::NONE, 1), "{data:?}");
    assert!(!data.records.is_empty());
    node.check_replicas();
}

fn produce(topic: &str) -> ProduceRequest {
    let batch = BatchBuilder::new().record(1_000, None, Some(b"value")).build();
    let records = Some(batch.expect("a small batch can be written"));
    ProduceRequest {
        acks: -1,
        timeout_ms: 1_000,
        topic_data: vec![TopicProduceData {
            name: topic.to_owned(),
            partition_data: vec![PartitionProduceData { index: 0, records }],
            ..TopicProduceData::default()
        }],
        ..ProduceRequest::default()
    }
}

fn fetch(topic: &str, fetch_offset: i64) -> FetchRequest {
    let partition =
        FetchPartition { fetch_offset, partition_max_bytes: 1 << 20, ..FetchPartition::default() };
    FetchRequest {
        max_wait_ms: 100,
        min_bytes: 1,
        max_bytes: 1 << 20,
        topics: vec![FetchTopic {
            topic: topic.to_owned(),
            partitions: vec![partition],
            ..FetchTopic::default()
        }],
        ..FetchRequest::default()
    }
}

/// What an ordinary client asks, one by one and in a row.
pub fn seeds() -> Vec<Vec<u8>> {
    let list = ListOffsetsRequest {
        topics: vec![ListOffsetsTopic {
            name: TOPIC.to_owned(),
            partitions: vec![ListOffsetsPartition { timestamp: -1, ..ListOffsetsPartition::default() }],
        }],
        ..ListOffsetsRequest::default()
    };
    let topic = MetadataRequestTopic { name: Some(TOPIC.to_owned()), ..MetadataRequestTopic::default() };
    let metadata = MetadataRequest { topics: Some(vec![topic]), ..MetadataRequest::default() };
    let created = CreatableTopic {
        name: "new".to_owned(),
        num_partitions: 2,
        replication_factor: 1,
        ..CreatableTopic::default()
    };
    let create =
        CreateTopicsRequest { topics: vec![created], timeout_ms: 1_000, ..CreateTopicsRequest::default() };
    let delete = DeleteTopicsRequest {
        topic_names: vec![TOPIC.to_owned()],
        timeout_ms: 1_000,
        ..DeleteTopicsRequest::default()
    };
    let all = [
        framed(4, &ApiVersionsRequest::default()),
        framed(9, &metadata),
        framed(9, &produce(TOPIC)),
        framed(12, &fetch(TOPIC, 0)),
        framed(12, &fetch(TOPIC, 1)),
        framed(7, &list),
        framed(
            4,
            &InitProducerIdRequest { transaction_timeout_ms: 1_000, ..InitProducerIdRequest::default() },
        ),
        framed(5, &create),
        framed(2, &DescribeClusterRequest::default()),
        framed(5, &delete),
    ];
    let made_up = (0..messages::all().len()).map(|index| {
        let fill = (0..60_u8).map(|byte| byte.wrapping_mul(29));
        [0x80, 62].into_iter().chain(messages::Body::choice(index, 99)).chain(fill).collect()
    });
    all.iter().cloned().chain([all.concat()]).chain(made_up).collect()
}

fn framed<R: Request>(version: i16, request: &R) -> Vec<u8> {
    let frame = request_frame(version, 7, Some("fuzz"), request).expect("a small request encodes").concat();
    [&((frame.len() - 4) as u16).to_be_bytes()[..], &frame[4..]].concat()
}
