//! What the log of one partition of `__transaction_state` says: the transactional ids and where each stands.
//!
//! Every replica has one. Owns the snapshot of it. Must not know a request or a clock.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use chronik_wire::types::{Offset, PartitionIndex};

use super::transaction::{Partitions, Transaction, TransactionStatus};
use super::{limits, record};
use crate::codec::{self, CodecError, Coded, Reader, coded_struct};
use crate::coordinator::{CoordinatorRecord, CoordinatorState, OpenTransaction};

/// The version byte in front of every snapshot.
const SNAPSHOT_VERSION: u8 = 1;

/// The transactional ids of one partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TransactionsState {
    transactions: BTreeMap<Arc<str>, Arc<Transaction>>,
}

impl TransactionsState {
    /// What is so of a transactional id.
    pub fn get(&self, transactional_id: &str) -> Option<&Transaction> {
        self.transactions.get(transactional_id).map(|transaction| &**transaction)
    }

    /// The transactional id as it is kept, and what is so of it.
    pub(crate) fn entry(&self, transactional_id: &str) -> Option<(&Arc<str>, &Arc<Transaction>)> {
        self.transactions.get_key_value(transactional_id)
    }

    /// All transactional ids, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Transaction)> {
        self.transactions.iter().map(|(id, transaction)| (id, &**transaction))
    }

    /// How many transactional ids there are.
    pub fn len(&self) -> usize {
        self.transactions.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.transactions.is_empty()
    }

    pub(crate) fn put(&mut self, transactional_id: Arc<str>, transaction: Transaction) {
        self.transactions.insert(transactional_id, Arc::new(transaction));
    }

    pub(crate) fn remove(&mut self, transactional_id: &str) {
        self.transactions.remove(transactional_id);
    }
}

impl CoordinatorState for TransactionsState {
    fn apply(
        &mut self,
        record: &CoordinatorRecord,
        _at: Offset,
        _timestamp_ms: i64,
        transaction: Option<OpenTransaction>,
    ) -> Result<(), CodecError> {
        if transaction.is_some() {
            return Err(CodecError::Inconsistent("a record about transactions is itself part of one"));
        }
        match record::decode(record)? {
            (transactional_id, Some(transaction)) => self.put(transactional_id, transaction),
            (transactional_id, None) => self.remove(&transactional_id),
        }
        Ok(())
    }

    /// Nothing: no record of this log waits for a marker.
    fn apply_marker(&mut self, _transaction: OpenTransaction, _committed: bool) {}

    fn snapshot(&self) -> Bytes {
        let mut out = vec![SNAPSHOT_VERSION];
        self.transactions.put(&mut out);
        out.into()
    }

    fn restore(snapshot: &[u8]) -> Result<Self, CodecError> {
        let transactions =
            codec::decode_versioned(snapshot, SNAPSHOT_VERSION, "snapshot", limits::SNAPSHOT_BYTES_MAX)?;
        Ok(TransactionsState { transactions })
    }
}

coded_struct!(Transaction {
    producer_id: i64,
    previous_producer_id: i64,
    next_producer_id: i64,
    producer_epoch: i16,
    last_producer_epoch: i16,
    timeout_ms: i32,
    status: TransactionStatus,
    partitions: Partitions,
    started_ms: i64,
    updated_ms: i64,
    version: i16,
});

impl Coded for Arc<Transaction> {
    const BYTES_MIN: usize = Transaction::BYTES_MIN;

    fn put(&self, out: &mut Vec<u8>) {
        Transaction::put(self, out);
    }

    fn get(from: &mut Reader<'_>) -> Result<Self, CodecError> {
        Transaction::get(from).map(Arc::new)
    }
}

impl Coded for TransactionStatus {
    const BYTES_MIN: usize = 1;

    fn put(&self, out: &mut Vec<u8>) {
        out.push(self.number() as u8);
    }

    fn get(from: &mut Reader<'_>) -> Result<Self, CodecError> {
        let number = u8::get(from)?;
        TransactionStatus::from_number(number as i8)
            .ok_or(CodecError::Unknown { what: "transaction status", value: number.into() })
    }
}

impl Coded for Partitions {
    const BYTES_MIN: usize = 4;

    fn put(&self, out: &mut Vec<u8>) {
        let list: Vec<(Arc<str>, PartitionIndex)> = self.iter().cloned().collect();
        list.put(out);
    }

    fn get(from: &mut Reader<'_>) -> Result<Self, CodecError> {
        let list: Vec<(Arc<str>, PartitionIndex)> = Coded::get(from)?;
        if !list.is_sorted_by(|a, b| a < b) {
            return Err(CodecError::NotOrdered);
        }
        Ok(list.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> TransactionsState {
        let mut state = TransactionsState::default();
        let added = [("b", 2), ("a", 1)].map(|(topic, id)| (Arc::from(topic), PartitionIndex(id)));
        let open = Transaction::new(7, 60_000, 1_000).with_partitions(Partitions::from(added), 2, 1_500);
        state.put(Arc::from("pay"), open);
        state.put(Arc::from("idle"), Transaction::new(8, 1_000, 500));
        state
    }

    fn apply(state: &mut TransactionsState, record: &CoordinatorRecord) {
        state.apply(record, Offset(0), 0, None).expect("a record of ours");
    }

    #[test]
    fn a_log_gives_the_state_that_wrote_it() {
        let written = state();
        let mut read = TransactionsState::default();
        for (id, transaction) in written.iter() {
            apply(&mut read, &record::encode(id, transaction));
        }
        assert_eq!(read.snapshot(), written.snapshot());
        apply(&mut read, &record::encode_tombstone("pay"));
        assert_eq!((read.len(), read.get("pay")), (1, None));
    }

    #[test]
    fn a_snapshot_gives_the_state_back_and_damage_is_refused() {
        let snapshot = state().snapshot();
        assert_eq!(TransactionsState::restore(&snapshot), Ok(state()));
        for length in 0..snapshot.len() {
            assert!(TransactionsState::restore(&snapshot[..length]).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn a_record_within_a_transaction_is_skipped() {
        let mut state = TransactionsState::default();
        let record = record::encode("pay", &Transaction::new(7, 60_000, 1_000));
        let open = Some(OpenTransaction { producer: 1, epoch: 0 });
        assert!(state.apply(&record, Offset(0), 0, open).is_err());
        assert!(state.is_empty());
    }
}
