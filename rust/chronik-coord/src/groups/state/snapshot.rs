//! The hard state as bytes: the records that lead to it, each offset with its place in the order of all.
//!
//! Equal states give equal bytes, because the records are written in the order of the maps and restored by applying them.

use std::sync::Arc;

use bytes::Bytes;

use super::{CommittedOffset, ConsumerGroup, Group, GroupsState, Membership};
use crate::codec::{self, CodecError, Coded, coded_struct};
use crate::coordinator::{CoordinatorRecord, OpenTransaction};
use crate::groups::limits;
use crate::groups::record::GroupRecord;
use chronik_mutants::{Mutant, planted};
use chronik_wire::messages::group_records::{
    ConsumerGroupMetadataValue, ConsumerGroupTargetAssignmentMemberValue,
    ConsumerGroupTargetAssignmentMetadataValue,
};

const VERSION: u8 = 1;

struct Stored {
    position: u64,
    records: Vec<StoredRecord>,
}
coded_struct!(Stored { position: u64, records: Vec<StoredRecord> });

struct StoredRecord {
    /// The position of an offset, else 0.
    position: u64,
    /// Producer id and epoch of the open transaction an offset belongs to.
    transaction: Option<(i64, i16)>,
    key: Vec<u8>,
    value: Vec<u8>,
}
coded_struct!(StoredRecord {
    position: u64,
    transaction: Option<(i64, i16)>,
    key: Vec<u8>,
    value: Vec<u8>,
});

/// Writes the whole state.
pub(super) fn write(state: &GroupsState) -> Bytes {
    let mut records = Vec::new();
    for (name, group) in &state.groups {
        write_group(name, group, &mut records);
    }
    let stored = Stored { position: state.position, records };
    let mut out = vec![VERSION];
    stored.put(&mut out);
    out.into()
}

fn write_group(name: &Arc<str>, group: &Group, out: &mut Vec<StoredRecord>) {
    match &group.membership {
        Membership::None => {}
        Membership::Classic(value) => {
            out.push(plain(&GroupRecord::Classic { group: name.clone(), value: Some(value.clone()) }));
        }
        Membership::Consumer(consumer) => {
            out.extend(consumer_records(name, consumer).iter().map(plain));
        }
        Membership::Share(share) => {
            out.extend(share.to_records(name).into_iter().map(|record| plain(&record.into())));
        }
    }
    let forgets = planted(Mutant::GroupSnapshotsForgetOffsets);
    for ((topic, partition), offset) in group.offsets.committed().filter(|_| !forgets) {
        out.push(of_offset(name, topic, *partition, offset, None));
    }
    for (transaction, (topic, partition), offset) in group.offsets.open() {
        out.push(of_offset(name, topic, *partition, offset, Some(transaction)));
    }
}

fn consumer_records(name: &Arc<str>, consumer: &ConsumerGroup) -> Vec<GroupRecord> {
    let group = || name.clone();
    let epoch = ConsumerGroupMetadataValue { epoch: consumer.epoch, metadata_hash: consumer.metadata_hash };
    let target_epoch = ConsumerGroupTargetAssignmentMetadataValue { assignment_epoch: consumer.target_epoch };
    let mut records = vec![
        GroupRecord::Epoch { group: group(), value: Some(epoch) },
        GroupRecord::TargetEpoch { group: group(), value: Some(target_epoch) },
    ];
    for (id, member) in &consumer.members {
        let value = Some(member.metadata.clone());
        records.push(GroupRecord::Member { group: group(), member: id.clone(), value });
        let value = Some(member.to_record());
        records.push(GroupRecord::Current { group: group(), member: id.clone(), value });
    }
    for (id, target) in &consumer.targets {
        let value = ConsumerGroupTargetAssignmentMemberValue { topic_partitions: target.to_record() };
        records.push(GroupRecord::Target { group: group(), member: id.clone(), value: Some(value) });
    }
    for (pattern, resolved) in &consumer.patterns {
        let value = Some(resolved.to_record());
        records.push(GroupRecord::Pattern { group: group(), pattern: pattern.clone(), value });
    }
    records
}

fn plain(record: &GroupRecord) -> StoredRecord {
    stored(record, 0, None)
}

fn of_offset(
    group: &Arc<str>,
    topic: &Arc<str>,
    partition: i32,
    offset: &CommittedOffset,
    transaction: Option<OpenTransaction>,
) -> StoredRecord {
    let value = Some(offset.to_record());
    let record = GroupRecord::Offset { group: group.clone(), topic: topic.clone(), partition, value };
    stored(&record, offset.position, transaction)
}

fn stored(record: &GroupRecord, position: u64, transaction: Option<OpenTransaction>) -> StoredRecord {
    let CoordinatorRecord { key, value } = record.encode();
    StoredRecord {
        position,
        transaction: transaction.map(|open| (open.producer, open.epoch)),
        key: key.into(),
        value: value.unwrap_or_default().into(),
    }
}

/// Reads a whole state.
pub(super) fn read(bytes: &[u8]) -> Result<GroupsState, CodecError> {
    let stored: Stored =
        codec::decode_versioned(bytes, VERSION, "snapshot of groups", limits::SNAPSHOT_BYTES_MAX)?;
    let mut state = GroupsState { position: stored.position, ..GroupsState::default() };
    for StoredRecord { position, transaction, key, value } in stored.records {
        let record = CoordinatorRecord { key: key.into(), value: Some(value.into()) };
        let record = GroupRecord::decode(&record)?
            .ok_or(CodecError::Inconsistent("a snapshot of groups holds a record about something else"))?;
        let transaction = transaction.map(|(producer, epoch)| OpenTransaction { producer, epoch });
        match record {
            GroupRecord::Offset { group, topic, partition, value: Some(value) } => {
                if position > stored.position {
                    return Err(CodecError::Inconsistent("an offset is later than the last one"));
                }
                let offset = CommittedOffset::from_record(value, position);
                if let Some(open) = transaction {
                    state.producers.entry(open.producer).or_default().insert(group.clone());
                }
                let group = Arc::make_mut(state.groups.entry(group).or_default());
                group.offsets.restore((topic, partition), offset, transaction);
            }
            other => state.apply_record(other, transaction)?,
        }
    }
    // Snapshots are compared byte by byte, so that a state must have one form only.
    if write(&state) != bytes {
        return Err(CodecError::Inconsistent(
            "a snapshot of groups is not in the form in which it is written",
        ));
    }
    Ok(state)
}
