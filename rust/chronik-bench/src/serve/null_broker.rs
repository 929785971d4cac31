//! The null broker: reads requests, answers them, keeps nothing. What it reaches is the ceiling of any broker that uses
//! one thread and the kernel's sockets.
//!
//! A produced batch is thrown away out of one reused buffer, never gathered: fresh memory per frame would make the
//! ceiling lower than it is. Every topic exists, with one replica, here. Speaks inflexible versions only.

use bytes::{Buf, Bytes, BytesMut};
use chronik_wire::api::ApiKey;
use chronik_wire::batch::{into_unique, stamp};
use chronik_wire::codec::{Message, Reader, Records};
use chronik_wire::error_code::ErrorCode;
use chronik_wire::header::{RequestHeader, decode_request, response_frame};
use chronik_wire::messages::api_versions::ApiVersion;
use chronik_wire::messages::create_topics::CreatableTopicResult;
use chronik_wire::messages::fetch::{FetchableTopicResponse, PartitionData};
use chronik_wire::messages::metadata::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use chronik_wire::messages::produce::{PartitionProduceResponse, TopicProduceResponse};
use chronik_wire::messages::*;
use chronik_wire::types::{LeaderEpoch, Offset};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{answer_lines, ready};
use crate::error::BenchError;
use crate::requests;

const READ_BYTES: usize = 1 << 20;
/// Enough of a Produce request to know topic and partition.
const HEAD_BYTES: usize = 1 << 10;
const NODE: i32 = 1;
const PARTITIONS: i32 = 64;

const VERSIONS: &[(ApiKey, i16, i16)] = &[
    (ApiKey::Produce, 3, 8),
    (ApiKey::Fetch, 4, 11),
    (ApiKey::Metadata, 0, 8),
    (ApiKey::ApiVersions, 0, 2),
    (ApiKey::CreateTopics, 2, 4),
    (ApiKey::DeleteTopics, 1, 3),
];

/// Serves until standard input ends.
pub(super) fn run() -> Result<(), BenchError> {
    let (tell, told) = std::sync::mpsc::channel();
    // The broker has a thread to itself; the main thread watches standard input.
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            let address = listener.local_addr()?;
            let _ = tell.send(address);
            let batch = requests::large_batch().unwrap_or_default();
            loop {
                let (stream, _) = listener.accept().await?;
                tokio::spawn(connection(stream, address.port(), batch.clone()));
            }
            #[allow(unreachable_code)]
            Ok::<(), std::io::Error>(())
        })
    });
    let address =
        told.recv().map_err(|_| BenchError::Unexpected("the null broker could not bind a port".into()))?;
    ready(&format!("address={address}"));
    answer_lines(|_| String::new());
    Ok(())
}

async fn connection(mut stream: TcpStream, port: u16, batch: Bytes) -> Result<(), BenchError> {
    stream.set_nodelay(true).map_err(BenchError::io("setting no delay"))?;
    let mut input = BytesMut::with_capacity(READ_BYTES);
    let mut discard = 0;
    loop {
        let gone = discard.min(input.len());
        input.advance(gone);
        discard -= gone;
        if discard == 0
            && let Some((answer, rest)) = next(&mut input, port, &batch)?
        {
            discard = rest;
            for piece in answer {
                stream.write_all(&piece).await.map_err(BenchError::io("answering"))?;
            }
            continue;
        }
        // Reclaims the buffer's front: nothing that was read is held on to.
        input.reserve(READ_BYTES);
        if stream.read_buf(&mut input).await.map_err(BenchError::io("reading"))? == 0 {
            return Ok(());
        }
    }
}

/// The next answer, and how many bytes of its request are still to be thrown away.
fn next(input: &mut BytesMut, port: u16, batch: &Bytes) -> Result<Option<(Vec<Bytes>, usize)>, BenchError> {
    let Some(length) = input.first_chunk::<4>() else { return Ok(None) };
    let length = u32::from_be_bytes(*length) as usize;
    if input.len() < 4 + length.min(HEAD_BYTES) {
        return Ok(None);
    }
    let head = Bytes::copy_from_slice(input.get(4..4 + length.min(HEAD_BYTES)).unwrap_or_default());
    let mut reader = Reader::new(head.clone());
    let header = RequestHeader::read(&mut reader)
        .map_err(|error| BenchError::Unexpected(format!("null broker: {error}")))?;
    if header.api == ApiKey::Produce {
        let answer = produce(&header, &mut reader)?;
        input.advance(4);
        let there = length.min(input.len());
        input.advance(there);
        return Ok(Some((answer, length - there)));
    }
    if input.len() < 4 + length {
        return Ok(None);
    }
    input.advance(4);
    let frame = input.split_to(length).freeze();
    let mut reader = Reader::new(frame);
    let header = RequestHeader::read(&mut reader)
        .map_err(|error| BenchError::Unexpected(format!("null broker: {error}")))?;
    Ok(Some((answer(&header, reader, port, batch)?, 0)))
}

/// Reads topic and partition by hand: the frame's records are not here yet, so it cannot be decoded.
fn produce(header: &RequestHeader, reader: &mut Reader) -> Result<Vec<Bytes>, BenchError> {
    let _transactional_id = read_string(reader)?;
    let _acks = reader.read_i16()?;
    let _timeout_ms = reader.read_i32()?;
    let _topics = reader.read_i32()?;
    let name = read_string(reader)?;
    let _partitions = reader.read_i32()?;
    let index = reader.read_i32()?;
    let partition_responses = vec![PartitionProduceResponse { index, ..PartitionProduceResponse::default() }];
    let responses =
        vec![TopicProduceResponse { name, partition_responses, ..TopicProduceResponse::default() }];
    respond(header, &ProduceResponse { responses, ..ProduceResponse::default() })
}

fn read_string(reader: &mut Reader) -> Result<String, BenchError> {
    let length = usize::try_from(reader.read_i16()?).unwrap_or(0);
    let bytes = reader.take(length)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn respond<M: Message>(header: &RequestHeader, body: &M) -> Result<Vec<Bytes>, BenchError> {
    Ok(response_frame(header.api, header.version, header.correlation_id, body)?)
}

fn answer(
    header: &RequestHeader,
    reader: Reader,
    port: u16,
    batch: &Bytes,
) -> Result<Vec<Bytes>, BenchError> {
    let version = header.version;
    match header.api {
        ApiKey::ApiVersions => {
            let api_keys = VERSIONS.iter().map(|(key, from, to)| ApiVersion {
                api_key: *key as i16,
                min_version: *from,
                max_version: *to,
            });
            respond(header, &ApiVersionsResponse { api_keys: api_keys.collect(), ..Default::default() })
        }
        ApiKey::Metadata => respond(header, &metadata(&decode_request(reader, version)?, port)),
        ApiKey::CreateTopics => {
            let request: CreateTopicsRequest = decode_request(reader, version)?;
            let topics = request
                .topics
                .into_iter()
                .map(|topic| CreatableTopicResult { name: topic.name, ..CreatableTopicResult::default() });
            respond(header, &CreateTopicsResponse { topics: topics.collect(), ..Default::default() })
        }
        ApiKey::DeleteTopics => {
            let request: DeleteTopicsRequest = decode_request(reader, version)?;
            let responses = request.topic_names.into_iter().map(|name| delete_topics::DeletableTopicResult {
                name: Some(name),
                ..delete_topics::DeletableTopicResult::default()
            });
            respond(header, &DeleteTopicsResponse { responses: responses.collect(), ..Default::default() })
        }
        ApiKey::Fetch => respond(header, &fetch(decode_request(reader, version)?, batch)),
        other => Err(BenchError::Unexpected(format!("null broker: no {other} here"))),
    }
}

fn metadata(request: &MetadataRequest, port: u16) -> MetadataResponse {
    let partitions: Vec<_> = (0..PARTITIONS)
        .map(|partition_index| MetadataResponsePartition {
            partition_index,
            leader_id: NODE,
            replica_nodes: vec![NODE],
            isr_nodes: vec![NODE],
            ..MetadataResponsePartition::default()
        })
        .collect();
    let topics = request.topics.iter().flatten().map(|topic| MetadataResponseTopic {
        name: topic.name.clone(),
        partitions: partitions.clone(),
        ..MetadataResponseTopic::default()
    });
    let broker = MetadataResponseBroker {
        node_id: NODE,
        host: "127.0.0.1".into(),
        port: port.into(),
        ..MetadataResponseBroker::default()
    };
    MetadataResponse {
        brokers: vec![broker],
        controller_id: NODE,
        topics: topics.collect(),
        ..MetadataResponse::default()
    }
}

/// One large batch per partition, whatever the offset.
fn fetch(request: FetchRequest, batch: &Bytes) -> FetchResponse {
    let responses = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            let mut stamped = into_unique(batch.clone());
            stamp(&mut stamped, Offset(partition.fetch_offset), LeaderEpoch(1));
            PartitionData {
                partition_index: partition.partition,
                error_code: ErrorCode::NONE,
                high_watermark: i64::MAX,
                last_stable_offset: i64::MAX,
                records: Records::from(stamped.freeze()),
                ..PartitionData::default()
            }
        });
        FetchableTopicResponse {
            topic: topic.topic,
            partitions: partitions.collect(),
            ..FetchableTopicResponse::default()
        }
    });
    FetchResponse { responses: responses.collect(), ..FetchResponse::default() }
}
