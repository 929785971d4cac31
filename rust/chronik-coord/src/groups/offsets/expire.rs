//! How offsets go by themselves: by age, or with their topic.
//!
//! Behaviour: an empty group's offsets are kept for the retention from when it became empty; those of a group that nobody
//! ever joined, and those of topics its consumers no longer read, from when they were committed. Nothing goes that an
//! open transaction may yet change. A group of which nothing is left goes as well.

use std::sync::Arc;

use chronik_wire::types::TopicId;

use crate::groups::classic::{ClassicGroup, ClassicState};
use crate::groups::config::GroupsConfig;
use crate::groups::record::GroupRecord;
use crate::groups::state::{CommittedOffset, Group, GroupsState, Membership, TopicPartition};
use crate::image::MetaImage;

/// From when on the retention of an offset counts.
enum Since {
    /// It does not: somebody reads the topic.
    Never,
    /// From the commit.
    Commit,
    /// From when the group became empty, on the wall clock.
    Empty(i64),
}

/// The records that delete what has expired by `wall_ms` of one group. `classic` is what the leader knows of its members.
pub(crate) fn forget_expired(
    config: &GroupsConfig,
    name: &Arc<str>,
    group: &Group,
    classic: Option<&ClassicGroup>,
    wall_ms: i64,
) -> Vec<GroupRecord> {
    let is_expired = |at: &TopicPartition, offset: &CommittedOffset| {
        let since_ms = match since(group, classic, &at.0) {
            Since::Never => return false,
            Since::Commit => offset.commit_timestamp_ms,
            Since::Empty(empty_ms) => empty_ms.max(offset.commit_timestamp_ms),
        };
        let until_ms = match offset.expire_timestamp_ms {
            Some(expire_ms) => expire_ms,
            None => since_ms.saturating_add(config.offsets_retention_ms),
        };
        until_ms <= wall_ms && !group.offsets.is_unstable(at)
    };
    let mut records: Vec<GroupRecord> = group
        .offsets
        .committed()
        .filter(|(at, offset)| is_expired(at, offset))
        .map(|(at, _)| tombstone(name, at))
        .collect();
    if records.len() == group.offsets.len() && !has_members(group, classic) {
        records.extend(group_tombstones(name, group));
    }
    records
}

fn since(group: &Group, classic: Option<&ClassicGroup>, topic: &str) -> Since {
    if let Membership::Consumer(consumer) = &group.membership {
        return if consumer.is_subscribed_to(topic) { Since::Never } else { Since::Commit };
    }
    let Some(classic) = classic.filter(|classic| classic.protocol_type().is_some()) else {
        return Since::Commit;
    };
    match classic.state() {
        ClassicState::Empty => Since::Empty(classic.state_since_ms()),
        ClassicState::Stable if classic.is_of_consumers() && !classic.is_subscribed_to(topic) => {
            Since::Commit
        }
        _ => Since::Never,
    }
}

fn has_members(group: &Group, classic: Option<&ClassicGroup>) -> bool {
    match &group.membership {
        Membership::Consumer(consumer) => !consumer.members.is_empty(),
        Membership::None | Membership::Classic(_) => classic.is_some_and(|classic| !classic.is_idle()),
    }
}

/// The records that delete a group without members, but for its offsets.
pub(crate) fn group_tombstones(name: &Arc<str>, group: &Group) -> Vec<GroupRecord> {
    match &group.membership {
        Membership::None => Vec::new(),
        Membership::Classic(_) => vec![GroupRecord::Classic { group: name.clone(), value: None }],
        Membership::Consumer(consumer) => consumer.tombstones(name),
    }
}

/// The record that deletes an offset.
pub(crate) fn tombstone(group: &Arc<str>, at: &TopicPartition) -> GroupRecord {
    let (topic, partition) = at;
    GroupRecord::Offset { group: group.clone(), topic: topic.clone(), partition: *partition, value: None }
}

/// The records that delete the offsets of topics that `before` had and `now` has not. A topic that is in neither says
/// nothing: this node may know less of the cluster than whoever committed.
pub(crate) fn forget_deleted_topics(
    state: &GroupsState,
    before: &MetaImage,
    now: &MetaImage,
) -> Vec<GroupRecord> {
    let is_deleted = |topic: TopicId| {
        topic != TopicId::ZERO && before.topic_by_id(topic).is_some() && now.topic_by_id(topic).is_none()
    };
    let mut records = Vec::new();
    for (name, group) in state.groups() {
        for (at, offset) in group.offsets.committed() {
            if is_deleted(offset.topic_id) {
                records.push(tombstone(name, at));
            }
        }
    }
    records
}
