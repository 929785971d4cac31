//! Requests in the shape that clients here send: one partition at a time, topics by id.

use std::collections::BTreeSet;

use chronik_history::{Record, Text};
use chronik_wire::batch::{BatchBuilder, BatchView, EndTransaction, split_batches};
use chronik_wire::messages::fetch::{FetchPartition, FetchRequest, FetchTopic, PartitionData};
use chronik_wire::messages::list_offsets::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use chronik_wire::messages::metadata::{MetadataRequest, MetadataRequestTopic};
use chronik_wire::messages::offset_for_leader_epoch::{
    OffsetForLeaderEpochRequest, OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use chronik_wire::messages::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};

use super::Place;

/// Versions that know topic ids.
pub(super) const PRODUCE_VERSION: i16 = 13;
/// With names; the last whose producers add partitions to their transactions themselves.
pub(super) const PRODUCE_VERSION_BEFORE_IDS: i16 = 11;
/// Versions with names only and with ids; without sessions, with them, and with hints.
pub(super) const FETCH_VERSIONS: &[i16] = &[6, 10, 12, 16];
pub(super) const LIST_OFFSETS_VERSION: i16 = 7;
pub(super) const EPOCH_VERSION: i16 = 4;
pub(super) const METADATA_VERSION: i16 = 12;

/// Bytes a fetch asks for.
const FETCH_BYTES: i32 = 64 << 10;

pub(super) fn produce(place: &Place, batch: BatchBuilder, timeout_ms: i32) -> ProduceRequest {
    let records = Some(batch.build().expect("a batch of a few records builds"));
    ProduceRequest {
        acks: -1,
        timeout_ms,
        // By name and by id: the version takes what it knows.
        topic_data: vec![TopicProduceData {
            name: place.topic.to_string(),
            topic_id: place.id,
            partition_data: vec![PartitionProduceData { index: place.partition, records }],
        }],
        ..ProduceRequest::default()
    }
}

pub(super) fn fetch(place: &Place, offset: i64, max_wait_ms: i32, rack: &str) -> FetchRequest {
    FetchRequest {
        max_wait_ms,
        min_bytes: 1,
        max_bytes: FETCH_BYTES,
        topics: vec![fetch_topic(place, offset)],
        rack_id: rack.to_owned(),
        ..FetchRequest::default()
    }
}

/// One partition of a fetch, by name and by id: the version takes what it knows.
pub(super) fn fetch_topic(place: &Place, offset: i64) -> FetchTopic {
    let partition = FetchPartition {
        partition: place.partition,
        fetch_offset: offset,
        partition_max_bytes: FETCH_BYTES,
        ..FetchPartition::default()
    };
    FetchTopic { topic: place.topic.to_string(), topic_id: place.id, partitions: vec![partition] }
}

pub(super) fn list(place: &Place, timestamp: i64) -> ListOffsetsRequest {
    let partition = ListOffsetsPartition {
        partition_index: place.partition,
        timestamp,
        ..ListOffsetsPartition::default()
    };
    let topic = ListOffsetsTopic { name: place.topic.to_string(), partitions: vec![partition] };
    ListOffsetsRequest { topics: vec![topic], ..ListOffsetsRequest::default() }
}

pub(super) fn epoch_end(place: &Place, epoch: i32) -> OffsetForLeaderEpochRequest {
    let partition = OffsetForLeaderPartition {
        partition: place.partition,
        leader_epoch: epoch,
        ..OffsetForLeaderPartition::default()
    };
    let topic = OffsetForLeaderTopic { topic: place.topic.to_string(), partitions: vec![partition] };
    OffsetForLeaderEpochRequest { replica_id: -1, topics: vec![topic] }
}

pub(super) fn metadata_of(place: &Place) -> MetadataRequest {
    let topic = MetadataRequestTopic { topic_id: place.id, name: None };
    MetadataRequest {
        topics: Some(vec![topic]),
        allow_auto_topic_creation: false,
        ..MetadataRequest::default()
    }
}

/// The records of an answer that an application is shown, from `offset` on, and where the next fetch goes on. Markers are
/// hidden, and so is what the answer says was aborted.
pub(super) fn records_of(data: &PartitionData, offset: i64) -> (Vec<Record>, Option<i64>) {
    let mut records = Vec::new();
    let mut next = None;
    let mut aborted = Aborted::new(data);
    for batch in split_batches(data.records.to_bytes()) {
        let batch = batch.expect("an answer holds whole batches");
        batch.verify_checksum().expect("an answer holds the bytes that were sent");
        next = Some(batch.header().next_offset().0);
        if aborted.hides(&batch) {
            continue;
        }
        for record in batch.records().expect("batches here are not compressed") {
            let record = record.expect("records of our own decode");
            let value = record.value.as_deref().unwrap_or_default();
            let at = record.offset.0;
            if at >= offset {
                records
                    .push(Record { offset: at, value: Text::from(String::from_utf8_lossy(value).as_ref()) });
            }
        }
    }
    (records, next)
}

/// Which producers' transactions were aborted, at the present place of an answer.
struct Aborted {
    /// First offset and producer id, the earliest last.
    to_come: Vec<(i64, i64)>,
    producers: BTreeSet<i64>,
}

impl Aborted {
    fn new(data: &PartitionData) -> Aborted {
        let list = data.aborted_transactions.iter().flatten();
        let mut to_come: Vec<_> = list.map(|aborted| (aborted.first_offset, aborted.producer_id)).collect();
        to_come.sort_unstable_by(|one, other| other.cmp(one));
        Aborted { to_come, producers: BTreeSet::new() }
    }

    /// Whether an application does not see the batch that comes next.
    fn hides(&mut self, batch: &BatchView) -> bool {
        let header = batch.header();
        while let Some((first_offset, producer)) = self.to_come.last().copied() {
            if first_offset >= header.next_offset().0 {
                break;
            }
            self.to_come.pop();
            self.producers.insert(producer);
        }
        if let Some(end) = EndTransaction::read(batch) {
            self.producers.remove(&end.producer_id);
        }
        header.attributes.is_control()
            || header.attributes.is_transactional() && self.producers.contains(&header.producer_id)
    }
}
