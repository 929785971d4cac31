//! A group's committed offsets, and those that wait for the end of a transaction.

use std::collections::BTreeMap;
use std::sync::Arc;

use chronik_wire::messages::group_records::OffsetCommitValue;
use chronik_wire::types::TopicId;

use crate::coordinator::OpenTransaction;

/// A partition by its topic's name: commits outlive what topic ids know.
pub(crate) type TopicPartition = (Arc<str>, i32);

/// A committed offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CommittedOffset {
    pub(crate) offset: i64,
    pub(crate) leader_epoch: i32,
    pub(crate) metadata: Arc<str>,
    pub(crate) commit_timestamp_ms: i64,
    /// When it expires whatever the retention says; asked for by old clients only.
    pub(crate) expire_timestamp_ms: Option<i64>,
    /// [`TopicId::ZERO`] if the coordinator did not know it.
    pub(crate) topic_id: TopicId,
    /// Its place among all offset records of the partition.
    pub(crate) position: u64,
}

impl CommittedOffset {
    /// What a record says.
    pub(crate) fn from_record(value: OffsetCommitValue, position: u64) -> Self {
        CommittedOffset {
            offset: value.offset,
            leader_epoch: value.leader_epoch,
            metadata: value.metadata.into(),
            commit_timestamp_ms: value.commit_timestamp,
            expire_timestamp_ms: (value.expire_timestamp != -1).then_some(value.expire_timestamp),
            topic_id: value.topic_id,
            position,
        }
    }

    /// The record that says it.
    pub(crate) fn to_record(&self) -> OffsetCommitValue {
        OffsetCommitValue {
            offset: self.offset,
            leader_epoch: self.leader_epoch,
            metadata: self.metadata.to_string(),
            commit_timestamp: self.commit_timestamp_ms,
            expire_timestamp: self.expire_timestamp_ms.unwrap_or(-1),
            topic_id: self.topic_id,
        }
    }
}

/// What a group has committed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Offsets {
    committed: BTreeMap<TopicPartition, CommittedOffset>,
    /// Offsets of open transactions, by producer id and epoch.
    open: BTreeMap<(i64, i16), BTreeMap<TopicPartition, CommittedOffset>>,
}

impl Offsets {
    /// Whether there is nothing, not even in a transaction.
    pub(crate) fn is_empty(&self) -> bool {
        self.committed.is_empty() && self.open.is_empty()
    }

    /// How many there are, those of open transactions included.
    pub(crate) fn len(&self) -> usize {
        self.committed.len() + self.open.values().map(BTreeMap::len).sum::<usize>()
    }

    /// How many transactions with offsets of this group are open.
    pub(crate) fn open_transactions(&self) -> usize {
        self.open.len()
    }

    /// Whether this transaction has offsets of this group.
    pub(crate) fn is_open(&self, transaction: OpenTransaction) -> bool {
        self.open.contains_key(&(transaction.producer, transaction.epoch))
    }

    /// Whether a later epoch of its producer has.
    pub(crate) fn is_fenced(&self, transaction: OpenTransaction) -> bool {
        let OpenTransaction { producer, epoch } = transaction;
        let last = self.open.range((producer, epoch)..=(producer, i16::MAX)).next_back();
        last.is_some_and(|((_, newest), _)| *newest > epoch)
    }

    /// The offset committed for a partition.
    pub(crate) fn get(&self, at: &TopicPartition) -> Option<&CommittedOffset> {
        self.committed.get(at)
    }

    /// All committed offsets.
    pub(crate) fn committed(&self) -> impl Iterator<Item = (&TopicPartition, &CommittedOffset)> {
        self.committed.iter()
    }

    /// All offsets of open transactions.
    pub(crate) fn open(&self) -> impl Iterator<Item = (OpenTransaction, &TopicPartition, &CommittedOffset)> {
        self.open.iter().flat_map(|(&(producer, epoch), offsets)| {
            offsets.iter().map(move |(at, offset)| (OpenTransaction { producer, epoch }, at, offset))
        })
    }

    /// Whether an open transaction may yet change a partition's offset.
    pub(crate) fn is_unstable(&self, at: &TopicPartition) -> bool {
        self.open.values().any(|offsets| offsets.contains_key(at))
    }

    /// Applies a commit.
    pub(crate) fn commit(
        &mut self,
        at: TopicPartition,
        offset: CommittedOffset,
        transaction: Option<OpenTransaction>,
    ) {
        match transaction {
            None => self.committed.insert(at, offset),
            Some(OpenTransaction { producer, epoch }) => {
                self.open.entry((producer, epoch)).or_default().insert(at, offset)
            }
        };
    }

    /// Applies a deletion; says which producers have no transaction open here any more. What open transactions say of the
    /// partition goes too: the deletion is later.
    pub(crate) fn forget(&mut self, at: &TopicPartition) -> Vec<i64> {
        self.committed.remove(at);
        let mut emptied = Vec::new();
        self.open.retain(|(producer, _), offsets| {
            offsets.remove(at);
            if offsets.is_empty() {
                emptied.push(*producer);
            }
            !offsets.is_empty()
        });
        emptied.retain(|producer| !self.has_open(*producer));
        emptied
    }

    fn has_open(&self, producer: i64) -> bool {
        self.open.range((producer, i16::MIN)..=(producer, i16::MAX)).next().is_some()
    }

    /// Applies the end of a producer's transaction; says whether the producer has another one open here.
    ///
    /// The leader's machine sees a marker only once it is committed, and by then may have applied commits that follow it
    /// in the log. Therefore an offset of the transaction never replaces one whose record is later: in whatever order
    /// marker and later commits are applied, the last record wins.
    pub(crate) fn end_transaction(&mut self, ended: OpenTransaction, committed: bool) -> bool {
        let of_producer = (ended.producer, i16::MIN)..=(ended.producer, ended.epoch);
        let keys: Vec<_> = self.open.range(of_producer).map(|(key, _)| *key).collect();
        for key in keys {
            let offsets = self.open.remove(&key).unwrap_or_default();
            if !committed {
                continue;
            }
            for (at, offset) in offsets {
                let newer = self.committed.get(&at).is_some_and(|known| known.position > offset.position);
                if !newer {
                    self.committed.insert(at, offset);
                }
            }
        }
        self.has_open(ended.producer)
    }

    /// Puts an offset back where a snapshot found it.
    pub(super) fn restore(
        &mut self,
        at: TopicPartition,
        offset: CommittedOffset,
        transaction: Option<OpenTransaction>,
    ) {
        self.commit(at, offset, transaction);
    }
}
