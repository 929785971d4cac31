//! The accounts as records of `__share_group_state`, in Kafka's layout.
//!
//! A key begins with a 16-bit record type, a value with its 16-bit version. A snapshot is a whole account, an update what
//! is new since. Deleting an account deletes both.

use std::sync::Arc;

use bytes::Bytes;
use chronik_wire::codec::{Message, Reader, Writer};
use chronik_wire::messages::read_share_group_state::StateBatch as WireBatch;
use chronik_wire::messages::share_state_records::{ShareSnapshotValue, ShareStateKey, ShareUpdateValue};
use chronik_wire::types::{LeaderEpoch, Offset, PartitionIndex};

use super::delivery::{DeliveryState, StateBatch};
use super::request::ShareKey;
use super::state::ShareState;
use crate::codec::CodecError;
use crate::coordinator::CoordinatorRecord;

const SNAPSHOT: i16 = 0;
const UPDATE: i16 = 1;
const VERSION: i16 = 0;

/// What a record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ShareRecord {
    /// The whole account; `None` deletes it.
    Snapshot(ShareKey, Option<ShareState>),
    /// What is new; `None` says nothing, and only lets the last update go.
    Update(ShareKey, Option<ShareUpdate>),
}

/// What is new in an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ShareUpdate {
    pub(crate) snapshot_epoch: i32,
    pub(crate) leader_epoch: LeaderEpoch,
    /// -1 if it stays.
    pub(crate) start: Offset,
    pub(crate) complete_count: i32,
    pub(crate) batches: Vec<StateBatch>,
}

impl ShareRecord {
    pub(crate) fn encode(&self) -> CoordinatorRecord {
        match self {
            ShareRecord::Snapshot(key, state) => CoordinatorRecord {
                key: encode_key(SNAPSHOT, key),
                value: state.as_ref().map(|state| versioned(VERSION, &snapshot_value(state))),
            },
            ShareRecord::Update(key, update) => CoordinatorRecord {
                key: encode_key(UPDATE, key),
                value: update.as_ref().map(|update| versioned(VERSION, &update_value(update))),
            },
        }
    }

    /// Reads a record.
    ///
    /// # Errors
    /// The record is of another type or version, or does not decode.
    pub(crate) fn decode(record: &CoordinatorRecord) -> Result<ShareRecord, CodecError> {
        let mut reader = Reader::new(record.key.clone());
        let kind = reader.read_i16().map_err(CodecError::Record)?;
        if ![SNAPSHOT, UPDATE].contains(&kind) {
            return Err(CodecError::Unknown { what: "share state record", value: u64::from(kind as u16) });
        }
        let key = ShareStateKey::decode(&mut reader, VERSION).map_err(CodecError::Record)?;
        reader.finish().map_err(CodecError::Record)?;
        let key = ShareKey {
            group: Arc::from(key.group_id),
            topic: key.topic_id,
            partition: PartitionIndex(key.partition),
        };
        Ok(match (kind, &record.value) {
            (SNAPSHOT, None) => ShareRecord::Snapshot(key, None),
            (SNAPSHOT, Some(value)) => ShareRecord::Snapshot(key, Some(read_snapshot(value)?)),
            (_, None) => ShareRecord::Update(key, None),
            (_, Some(value)) => ShareRecord::Update(key, Some(read_update(value)?)),
        })
    }
}

fn snapshot_value(state: &ShareState) -> ShareSnapshotValue {
    ShareSnapshotValue {
        snapshot_epoch: state.snapshot_epoch,
        state_epoch: state.state_epoch,
        leader_epoch: state.leader_epoch.0,
        start_offset: state.start.0,
        delivery_complete_count: state.complete_count(),
        create_timestamp: state.created_ms,
        write_timestamp: state.written_ms,
        state_batches: wire_batches(&state.batches),
    }
}

fn update_value(update: &ShareUpdate) -> ShareUpdateValue {
    ShareUpdateValue {
        snapshot_epoch: update.snapshot_epoch,
        leader_epoch: update.leader_epoch.0,
        start_offset: update.start.0,
        delivery_complete_count: update.complete_count,
        state_batches: wire_batches(&update.batches),
    }
}

fn read_snapshot(value: &Bytes) -> Result<ShareState, CodecError> {
    let value: ShareSnapshotValue = read(value)?;
    Ok(ShareState {
        snapshot_epoch: value.snapshot_epoch,
        state_epoch: value.state_epoch,
        leader_epoch: LeaderEpoch(value.leader_epoch),
        start: Offset(value.start_offset),
        created_ms: value.create_timestamp,
        written_ms: value.write_timestamp,
        updates: 0,
        batches: read_batches(&value.state_batches)?,
    })
}

fn read_update(value: &Bytes) -> Result<ShareUpdate, CodecError> {
    let value: ShareUpdateValue = read(value)?;
    Ok(ShareUpdate {
        snapshot_epoch: value.snapshot_epoch,
        leader_epoch: LeaderEpoch(value.leader_epoch),
        start: Offset(value.start_offset),
        complete_count: value.delivery_complete_count,
        batches: read_batches(&value.state_batches)?,
    })
}

/// The batches as messages and records carry them.
pub fn wire_batches(batches: &[StateBatch]) -> Vec<WireBatch> {
    let batch = |batch: &StateBatch| WireBatch {
        first_offset: batch.first.0,
        last_offset: batch.last.0,
        delivery_state: batch.state.number(),
        delivery_count: batch.delivery_count,
    };
    batches.iter().map(batch).collect()
}

/// The batches of a message or a record.
///
/// # Errors
/// A state that is not written down, or records that no log has.
pub fn read_batches(batches: &[WireBatch]) -> Result<Vec<StateBatch>, CodecError> {
    let batch = |batch: &WireBatch| {
        let state = DeliveryState::from_number(batch.delivery_state).ok_or(CodecError::Unknown {
            what: "delivery state",
            value: u64::from(batch.delivery_state as u8),
        })?;
        let (first, last) = (Offset(batch.first_offset), Offset(batch.last_offset));
        let batch = StateBatch { first, last, state, delivery_count: batch.delivery_count };
        batch
            .is_sound()
            .then_some(batch)
            .ok_or(CodecError::Inconsistent("a batch of records that no log has"))
    };
    batches.iter().map(batch).collect()
}

fn encode_key(kind: i16, key: &ShareKey) -> Bytes {
    let group_id = key.group.to_string();
    versioned(kind, &ShareStateKey { group_id, topic_id: key.topic, partition: key.partition.0 })
}

fn versioned<M: Message>(kind_or_version: i16, message: &M) -> Bytes {
    let mut writer = Writer::new();
    writer.put_i16(kind_or_version);
    message.encode(&mut writer, VERSION).expect("groups and batches are bounded when they are accepted");
    writer.finish().concat().into()
}

fn read<M: Message>(bytes: &Bytes) -> Result<M, CodecError> {
    let mut reader = Reader::new(bytes.clone());
    let version = reader.read_i16().map_err(CodecError::Record)?;
    if version != VERSION {
        return Err(CodecError::Unknown { what: "share state version", value: u64::from(version as u16) });
    }
    let message = M::decode(&mut reader, version).map_err(CodecError::Record)?;
    reader.finish().map_err(CodecError::Record)?;
    Ok(message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chronik_wire::types::TopicId;

    fn key() -> ShareKey {
        ShareKey { group: Arc::from("readers"), topic: TopicId(5), partition: PartitionIndex(1) }
    }

    fn batches() -> Vec<StateBatch> {
        let state = DeliveryState::Acknowledged;
        vec![StateBatch { first: Offset(12), last: Offset(14), state, delivery_count: 2 }]
    }

    fn records() -> Vec<ShareRecord> {
        let state = ShareState {
            snapshot_epoch: 3,
            state_epoch: 1,
            leader_epoch: LeaderEpoch(7),
            start: Offset(10),
            created_ms: 1_000,
            written_ms: 2_000,
            updates: 0,
            batches: batches(),
        };
        let update = ShareUpdate {
            snapshot_epoch: 3,
            leader_epoch: LeaderEpoch(7),
            start: Offset(-1),
            complete_count: 3,
            batches: batches(),
        };
        vec![
            ShareRecord::Snapshot(key(), Some(state)),
            ShareRecord::Snapshot(key(), None),
            ShareRecord::Update(key(), Some(update)),
            ShareRecord::Update(key(), None),
        ]
    }

    #[test]
    fn a_record_says_everything() {
        for record in records() {
            assert_eq!(ShareRecord::decode(&record.encode()), Ok(record));
        }
    }

    #[test]
    fn the_layout_is_kafkas() {
        let update = records()[2].encode();
        let mut expected_key = b"\0\x01\0\x07readers".to_vec();
        expected_key.extend(5_u128.to_be_bytes());
        expected_key.extend(1_i32.to_be_bytes());
        assert_eq!(update.key[..], expected_key);
        let mut expected = b"\0\0".to_vec();
        expected.extend(3_i32.to_be_bytes());
        expected.extend(7_i32.to_be_bytes());
        expected.extend((-1_i64).to_be_bytes());
        // One batch, without tagged fields.
        expected.push(2);
        expected.extend(12_i64.to_be_bytes());
        expected.extend(14_i64.to_be_bytes());
        expected.extend(*b"\x02\0\x02\0");
        // The count of records that are done is tagged field 0, of four bytes.
        expected.extend(*b"\x01\0\x04\0\0\0\x03");
        assert_eq!(update.value.as_deref(), Some(&expected[..]));
    }

    #[test]
    fn other_records_and_cut_bytes_are_refused() {
        let good = records()[0].encode();
        let other = CoordinatorRecord { key: Bytes::from_static(b"\0\x02\0\x01x"), value: None };
        assert!(matches!(ShareRecord::decode(&other), Err(CodecError::Unknown { .. })));
        let value = good.value.clone().expect("a value");
        for length in 0..value.len() {
            let cut = CoordinatorRecord { value: Some(value.slice(..length)), ..good.clone() };
            assert!(ShareRecord::decode(&cut).is_err(), "{length} bytes");
        }
    }
}
