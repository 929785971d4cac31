//! The hard state: what the records of one partition of `__consumer_offsets` add up to.
//!
//! Every replica has one and applies each committed record to it; the leader's machine has another that runs ahead. Both
//! go through the same functions. Groups are shared between clones until one of them changes.

mod consumer;
mod offsets;
mod share;
mod snapshot;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use chronik_mutants::{Mutant, planted};
use chronik_wire::messages::group_records::GroupMetadataValue;
use chronik_wire::types::Offset;

pub(crate) use consumer::{ConsumerGroup, Member, MemberState, ResolvedPattern};
pub(crate) use offsets::{CommittedOffset, Offsets, TopicPartition};

pub(crate) use share::{NamedPartitions, ShareGroup, ShareMember, lists, named};

use super::record::GroupRecord;
use crate::codec::CodecError;
use crate::coordinator::{CoordinatorRecord, CoordinatorState, OpenTransaction};

/// What the log of one partition of `__consumer_offsets` says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GroupsState {
    groups: BTreeMap<Arc<str>, Arc<Group>>,
    /// Groups with offsets of open transactions, by producer id.
    producers: BTreeMap<i64, BTreeSet<Arc<str>>>,
    /// Offset records applied so far. It orders a transaction's offsets and later commits of the same partition, and does
    /// not depend on when a marker is seen: see [`Offsets::end_transaction`].
    position: u64,
}

/// One group.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Group {
    /// Who is in it, and by which protocol.
    pub(crate) membership: Membership,
    /// What it has committed.
    pub(crate) offsets: Offsets,
}

/// Who is in a group.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) enum Membership {
    /// Nobody ever joined: only offsets.
    #[default]
    None,
    /// A classic group at its last recorded generation.
    Classic(GroupMetadataValue),
    /// A group of the newer protocol.
    Consumer(ConsumerGroup),
    /// A share group.
    Share(ShareGroup),
}

impl GroupsState {
    /// A group.
    pub(crate) fn group(&self, name: &str) -> Option<&Group> {
        self.groups.get(name).map(Arc::as_ref)
    }

    /// A group of the newer protocol.
    pub(crate) fn consumer(&self, name: &str) -> Option<&ConsumerGroup> {
        match &self.group(name)?.membership {
            Membership::Consumer(group) => Some(group),
            _ => None,
        }
    }

    /// A share group.
    pub(crate) fn share(&self, name: &str) -> Option<&ShareGroup> {
        match &self.group(name)?.membership {
            Membership::Share(group) => Some(group),
            _ => None,
        }
    }

    /// All groups, by name.
    pub(crate) fn groups(&self) -> impl Iterator<Item = (&Arc<str>, &Group)> {
        self.groups.iter().map(|(name, group)| (name, group.as_ref()))
    }

    /// How many groups there are.
    pub(crate) fn group_count(&self) -> usize {
        self.groups.len()
    }

    /// Applies a record that has been read already.
    ///
    /// # Errors
    /// A record about membership, or a deletion, that claims to be part of a transaction. Nothing has changed.
    pub(crate) fn apply_record(
        &mut self,
        record: GroupRecord,
        transaction: Option<OpenTransaction>,
    ) -> Result<(), CodecError> {
        if transaction.is_some() && !matches!(record, GroupRecord::Offset { value: Some(_), .. }) {
            return Err(CodecError::Inconsistent("only committed offsets can be part of a transaction"));
        }
        let name = record.group().clone();
        let group = Arc::make_mut(self.groups.entry(name.clone()).or_default());
        match record {
            GroupRecord::Offset { topic, partition, value: Some(value), .. } => {
                self.position += 1;
                let committed = CommittedOffset::from_record(value, self.position);
                if let Some(transaction) = transaction {
                    self.producers.entry(transaction.producer).or_default().insert(name.clone());
                }
                group.offsets.commit((topic, partition), committed, transaction);
            }
            GroupRecord::Offset { topic, partition, value: None, .. } => {
                for producer in group.offsets.forget(&(topic, partition)) {
                    forget_producer(&mut self.producers, producer, &name);
                }
            }
            GroupRecord::Classic { value: Some(value), .. } => {
                group.membership = Membership::Classic(value);
            }
            GroupRecord::Classic { value: None, .. } => {
                if matches!(group.membership, Membership::Classic(_)) {
                    group.membership = Membership::None;
                }
            }
            GroupRecord::Share(record) => group.membership.apply_share(record),
            of_consumers => group.membership.apply(of_consumers),
        }
        self.tidy(&name);
        Ok(())
    }

    /// Drops a group of which nothing is left.
    fn tidy(&mut self, name: &Arc<str>) {
        let Some(group) = self.groups.get(name) else { return };
        if group.membership == Membership::None && group.offsets.is_empty() {
            self.groups.remove(name);
        }
    }
}

/// A producer has no transaction open in a group any more.
fn forget_producer(producers: &mut BTreeMap<i64, BTreeSet<Arc<str>>>, producer: i64, group: &Arc<str>) {
    if let Some(groups) = producers.get_mut(&producer) {
        groups.remove(group);
        if groups.is_empty() {
            producers.remove(&producer);
        }
    }
}

impl CoordinatorState for GroupsState {
    fn apply(
        &mut self,
        record: &CoordinatorRecord,
        _at: Offset,
        _timestamp_ms: i64,
        transaction: Option<OpenTransaction>,
    ) -> Result<(), CodecError> {
        match GroupRecord::decode(record)? {
            Some(record) => self.apply_record(record, transaction),
            None => Ok(()),
        }
    }

    fn apply_marker(&mut self, transaction: OpenTransaction, committed: bool) {
        let committed = committed || planted(Mutant::AbortedOffsetsKept);
        let Some(names) = self.producers.remove(&transaction.producer) else { return };
        let mut still_open = BTreeSet::new();
        for name in names {
            let Some(group) = self.groups.get_mut(&name) else { continue };
            let group = Arc::make_mut(group);
            if group.offsets.end_transaction(transaction, committed) {
                still_open.insert(name.clone());
            }
            self.tidy(&name);
        }
        if !still_open.is_empty() {
            self.producers.insert(transaction.producer, still_open);
        }
    }

    fn snapshot(&self) -> Bytes {
        snapshot::write(self)
    }

    fn restore(snapshot: &[u8]) -> Result<Self, CodecError> {
        snapshot::read(snapshot)
    }
}
