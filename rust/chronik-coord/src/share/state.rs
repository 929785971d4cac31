//! What the log of one partition of `__share_group_state` says: the accounts of share-partitions.
//!
//! Every replica has one. Owns the snapshot of it. Must not know a request or a clock.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use chronik_wire::types::{LeaderEpoch, Offset, PartitionIndex, TopicId};

use super::delivery::{self, DeliveryState, StateBatch};
use super::limits;
use super::record::{ShareRecord, ShareUpdate};
use super::request::ShareKey;
use crate::codec::{self, CodecError, Coded, Reader, coded_struct};
use crate::coordinator::{CoordinatorRecord, CoordinatorState, OpenTransaction};

/// The version byte in front of every snapshot.
const SNAPSHOT_VERSION: u8 = 1;

/// The account of one share-partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ShareState {
    /// How many times it has been written whole.
    pub(crate) snapshot_epoch: i32,
    /// Grows when it is begun anew.
    pub(crate) state_epoch: i32,
    /// The highest epoch of a leader that has read it.
    pub(crate) leader_epoch: LeaderEpoch,
    /// The first record that is not done, or -1.
    pub(crate) start: Offset,
    /// When it was begun, by the wall clock.
    pub(crate) created_ms: i64,
    /// When it was last written whole, by the wall clock.
    pub(crate) written_ms: i64,
    /// How many updates came since.
    pub(crate) updates: u32,
    /// What has become of records from the start on: in order, disjoint.
    pub(crate) batches: Vec<StateBatch>,
}

impl ShareState {
    /// How many records from the start on are done; -1 without a start.
    pub(crate) fn complete_count(&self) -> i32 {
        if self.start.0 < 0 {
            return -1;
        }
        let done = delivery::complete_count(&self.batches, self.start);
        i32::try_from(done).unwrap_or(i32::MAX)
    }

    /// Whether the batches are as joining leaves them.
    fn is_in_order(&self) -> bool {
        self.batches.iter().all(StateBatch::is_sound)
            && delivery::join(&[], &self.batches, self.start) == self.batches
    }

    /// The account with what is new.
    pub(crate) fn updated(&self, update: &ShareUpdate) -> ShareState {
        let start = self.start.max(update.start);
        ShareState {
            leader_epoch: self.leader_epoch.max(update.leader_epoch),
            start,
            updates: self.updates.saturating_add(1),
            batches: delivery::join(&self.batches, &update.batches, start),
            ..*self
        }
    }
}

/// The accounts of one partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ShareStates {
    states: BTreeMap<ShareKey, Arc<ShareState>>,
}

impl ShareStates {
    /// How many accounts there are.
    pub fn len(&self) -> usize {
        self.states.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.states.is_empty()
    }

    pub(crate) fn get(&self, key: &ShareKey) -> Option<&Arc<ShareState>> {
        self.states.get(key)
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &ShareKey> {
        self.states.keys()
    }

    /// Applies what a record says.
    ///
    /// # Errors
    /// An update of an account that there is not. Nothing has changed.
    pub(crate) fn apply_record(&mut self, record: ShareRecord) -> Result<(), CodecError> {
        match record {
            ShareRecord::Snapshot(key, Some(mut state)) => {
                state.batches = delivery::join(&[], &state.batches, state.start);
                self.states.insert(key, Arc::new(state));
            }
            ShareRecord::Snapshot(key, None) => {
                self.states.remove(&key);
            }
            ShareRecord::Update(key, Some(update)) => match self.states.get_mut(&key) {
                Some(state) => *state = Arc::new(state.updated(&update)),
                None => {
                    return Err(CodecError::Inconsistent("an update of a share state that was never begun"));
                }
            },
            ShareRecord::Update(_, None) => {}
        }
        Ok(())
    }
}

impl CoordinatorState for ShareStates {
    fn apply(
        &mut self,
        record: &CoordinatorRecord,
        _at: Offset,
        _timestamp_ms: i64,
        transaction: Option<OpenTransaction>,
    ) -> Result<(), CodecError> {
        if transaction.is_some() {
            return Err(CodecError::Inconsistent("a record about share groups is part of a transaction"));
        }
        self.apply_record(ShareRecord::decode(record)?)
    }

    /// Nothing: no record of this log waits for a marker.
    fn apply_marker(&mut self, _transaction: OpenTransaction, _committed: bool) {}

    fn snapshot(&self) -> Bytes {
        let mut out = vec![SNAPSHOT_VERSION];
        self.states.put(&mut out);
        out.into()
    }

    fn restore(snapshot: &[u8]) -> Result<Self, CodecError> {
        let states: BTreeMap<ShareKey, Arc<ShareState>> =
            codec::decode_versioned(snapshot, SNAPSHOT_VERSION, "snapshot", limits::SNAPSHOT_BYTES_MAX)?;
        if !states.values().all(|state| state.is_in_order()) {
            return Err(CodecError::NotOrdered);
        }
        Ok(ShareStates { states })
    }
}

coded_struct!(ShareKey { group: Arc<str>, topic: TopicId, partition: PartitionIndex });
coded_struct!(StateBatch { first: Offset, last: Offset, state: DeliveryState, delivery_count: i16 });
coded_struct!(ShareState {
    snapshot_epoch: i32,
    state_epoch: i32,
    leader_epoch: LeaderEpoch,
    start: Offset,
    created_ms: i64,
    written_ms: i64,
    updates: u32,
    batches: Vec<StateBatch>,
});

impl Coded for Arc<ShareState> {
    const BYTES_MIN: usize = ShareState::BYTES_MIN;

    fn put(&self, out: &mut Vec<u8>) {
        ShareState::put(self, out);
    }

    fn get(from: &mut Reader<'_>) -> Result<Self, CodecError> {
        ShareState::get(from).map(Arc::new)
    }
}

impl Coded for DeliveryState {
    const BYTES_MIN: usize = 1;

    fn put(&self, out: &mut Vec<u8>) {
        out.push(self.number() as u8);
    }

    fn get(from: &mut Reader<'_>) -> Result<Self, CodecError> {
        let number = u8::get(from)?;
        DeliveryState::from_number(number as i8)
            .ok_or(CodecError::Unknown { what: "delivery state", value: number.into() })
    }
}
