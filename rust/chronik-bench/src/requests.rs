//! Requests encoded once and sent many times, and quick looks at their answers.
//!
//! Uses versions with the old, inflexible encoding: error codes then stand at a place that depends on the topic's name
//! alone, and an answer is checked by reading two bytes.

use bytes::Bytes;
use chronik_wire::batch::BatchBuilder;
use chronik_wire::messages::fetch::{FetchPartition, FetchTopic};
use chronik_wire::messages::produce::{PartitionProduceData, TopicProduceData};
use chronik_wire::messages::{FetchRequest, ProduceRequest};

use crate::client::{Client, encode};
use crate::error::BenchError;

/// Highest Produce version in the old encoding.
const PRODUCE_VERSION_MAX: i16 = 8;
/// Highest Fetch version in the old encoding.
const FETCH_VERSION_MAX: i16 = 11;
/// How long a broker may take to acknowledge, in milliseconds.
const PRODUCE_TIMEOUT_MS: i32 = 30_000;

/// A Produce request of one batch to one partition.
#[derive(Debug, Clone)]
pub struct ProduceFrame {
    /// The request, length first.
    pub bytes: Bytes,
    /// Bytes of the batch in it.
    pub batch_bytes: usize,
    /// Where the answer has its error code.
    error_at: usize,
}

impl ProduceFrame {
    /// Encodes a request for the versions that `client`'s peer has. `acks` as in Kafka: -1, 0 or 1.
    pub fn new(
        client: &Client,
        topic: &str,
        partition: i32,
        acks: i16,
        batch: &Bytes,
    ) -> Result<ProduceFrame, BenchError> {
        let version = client.version::<ProduceRequest>(PRODUCE_VERSION_MAX)?;
        let partition_data = vec![PartitionProduceData { index: partition, records: Some(batch.clone()) }];
        let topic_data =
            vec![TopicProduceData { name: topic.into(), partition_data, ..TopicProduceData::default() }];
        let request =
            ProduceRequest { transactional_id: None, acks, timeout_ms: PRODUCE_TIMEOUT_MS, topic_data };
        Ok(ProduceFrame {
            bytes: encode(version, 0, &request)?,
            batch_bytes: batch.len(),
            // Correlation id, topic count, name, partition count, partition number.
            error_at: 4 + 4 + 2 + topic.len() + 4 + 4,
        })
    }

    /// Whether the answer says that the batch was appended.
    pub fn succeeded(&self, answer: &[u8]) -> bool {
        answer.get(self.error_at..self.error_at + 2) == Some(&[0, 0])
    }

    /// The offset that the answer gives the batch's first record.
    pub fn base_offset(&self, answer: &[u8]) -> Option<i64> {
        let bytes = answer.get(self.error_at + 2..)?.first_chunk::<8>()?;
        Some(i64::from_be_bytes(*bytes))
    }
}

/// A Fetch request for one partition, without a session.
#[derive(Debug, Clone)]
pub struct FetchFrame {
    /// The version it is encoded in.
    pub version: i16,
    /// The request.
    pub request: FetchRequest,
}

impl FetchFrame {
    /// A request for the versions that `client`'s peer has.
    pub fn new(client: &Client, topic: &str, partition: i32, offset: i64) -> Result<FetchFrame, BenchError> {
        let version = client.version::<FetchRequest>(FETCH_VERSION_MAX)?;
        let partition = FetchPartition {
            partition,
            fetch_offset: offset,
            partition_max_bytes: 4 << 20,
            ..FetchPartition::default()
        };
        let topics =
            vec![FetchTopic { topic: topic.into(), partitions: vec![partition], ..FetchTopic::default() }];
        let request = FetchRequest { max_bytes: 4 << 20, min_bytes: 1, topics, ..FetchRequest::default() };
        Ok(FetchFrame { version, request })
    }

    /// Sets the first offset wanted.
    pub fn set_offset(&mut self, offset: i64) {
        if let Some(partition) =
            self.request.topics.first_mut().and_then(|topic| topic.partitions.first_mut())
        {
            partition.fetch_offset = offset;
        }
    }

    /// Encodes it, length first.
    pub fn encode(&self) -> Result<Bytes, BenchError> {
        encode(self.version, 0, &self.request)
    }

    /// Where an answer of this version has its partition's error code, and the high watermark behind it.
    pub fn error_at(&self) -> usize {
        let name = self.request.topics.first().map_or(0, |topic| topic.topic.len());
        // From version 7 on an error code and the session stand before the topics.
        let session = if self.version >= 7 { 6 } else { 0 };
        4 + 4 + session + 4 + 2 + name + 4 + 4
    }
}

/// A batch of `records` records of `value_bytes` each. Values are not all alike, so that nothing on the way can profit
/// from that.
pub fn batch(records: usize, value_bytes: usize) -> Result<Bytes, BenchError> {
    let mut builder = BatchBuilder::new();
    let mut noise: u32 = 0x9e37_79b9;
    for _ in 0..records {
        let value: Vec<u8> = (0..value_bytes)
            .map(|_| {
                // Xorshift: cheap, and the same in every run.
                noise ^= noise << 13;
                noise ^= noise >> 17;
                noise ^= noise << 5;
                noise as u8
            })
            .collect();
        builder.push(wall_clock_ms(), None, Some(&value), &[]);
    }
    Ok(builder.build()?)
}

/// A batch of 1 KiB records, as large as Kafka's default `max.message.bytes` allows: what "1 MiB" means here.
pub fn large_batch() -> Result<Bytes, BenchError> {
    batch(1_008, 1_024)
}

fn wall_clock_ms() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_large_batch_just_fits_the_default_limit() {
        let bytes = large_batch().unwrap().len();
        assert!((1_030_000..=1_048_588).contains(&bytes), "{bytes}");
    }

    #[test]
    fn batches_are_what_was_asked_for() {
        let small = batch(1, 100).unwrap();
        assert!((160..200).contains(&small.len()), "{}", small.len());
        chronik_wire::batch::BatchView::parse(small).unwrap().verify_checksum().unwrap();
    }
}
