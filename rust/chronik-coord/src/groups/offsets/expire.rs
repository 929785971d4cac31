//! How offsets go by themselves: by age, or with their topic.
//!
//! Behaviour: an empty group's offsets are kept for the retention from when it became empty; those of a group that nobody
//! ever joined, and those of topics its consumers no longer read, from when they were committed. Nothing goes that an
//! open transaction may yet change. A group of which nothing is left goes as well.

use std::collections::BTreeSet;
use std::sync::Arc;

use chronik_wire::types::TopicId;

use crate::groups::classic::{ClassicGroup, ClassicState};
use crate::groups::config::GroupsConfig;
use crate::groups::record::GroupRecord;
use crate::groups::state::{CommittedOffset, Group, GroupsState, Membership, TopicPartition};
use crate::image::MetaImage;

/// What the retention of a group's offsets depends on.
enum Readers {
    /// Nobody is in it or ever was: every offset counts from its commit.
    None,
    /// Nobody is in it any more since then, on the wall clock: every offset counts from there.
    Gone(i64),
    /// Its members read these topics; offsets of others count from the commit.
    Of(BTreeSet<String>),
    /// Its members may read any topic.
    Any,
}

impl Readers {
    fn of(group: &Group, classic: Option<&ClassicGroup>) -> Readers {
        if let Membership::Consumer(consumer) = &group.membership {
            return Readers::Of(consumer.subscribed_topics().into_iter().map(str::to_owned).collect());
        }
        if let Membership::Share(_) = &group.membership {
            return Readers::Any;
        }
        match classic.filter(|classic| classic.protocol_type().is_some()) {
            None => Readers::None,
            Some(classic) if classic.state() == ClassicState::Empty => {
                Readers::Gone(classic.state_since_ms())
            }
            Some(classic) if classic.state() == ClassicState::Stable => {
                classic.subscribed_topics().map_or(Readers::Any, Readers::Of)
            }
            Some(_) => Readers::Any,
        }
    }

    /// From when on the retention of an offset counts, if it does.
    fn since_ms(&self, topic: &str, offset: &CommittedOffset) -> Option<i64> {
        match self {
            Readers::None => Some(offset.commit_timestamp_ms),
            Readers::Gone(gone_ms) => Some(offset.commit_timestamp_ms.max(*gone_ms)),
            Readers::Of(topics) if topics.contains(topic) => None,
            Readers::Of(_) => Some(offset.commit_timestamp_ms),
            Readers::Any => None,
        }
    }
}

/// The records that delete what has expired by `wall_ms` of one group. `classic` is what the leader knows of its members.
pub(crate) fn forget_expired(
    config: &GroupsConfig,
    name: &Arc<str>,
    group: &Group,
    classic: Option<&ClassicGroup>,
    wall_ms: i64,
) -> Vec<GroupRecord> {
    let readers = Readers::of(group, classic);
    let is_expired = |at: &TopicPartition, offset: &CommittedOffset| {
        let Some(since_ms) = readers.since_ms(&at.0, offset) else { return false };
        let retained_ms = since_ms.saturating_add(config.offsets_retention_ms);
        let until_ms = offset.expire_timestamp_ms.unwrap_or(retained_ms);
        until_ms <= wall_ms && !group.offsets.is_unstable(at)
    };
    let mut records: Vec<GroupRecord> = group
        .offsets
        .committed()
        .filter(|(at, offset)| is_expired(at, offset))
        .map(|(at, _)| tombstone(name, at))
        .collect();
    // A share group stays until somebody deletes it.
    let is_share = matches!(group.membership, Membership::Share(_));
    if records.len() == group.offsets.len() && !is_share && !has_members(group, classic) {
        records.extend(group_tombstones(name, group));
    }
    records
}

fn has_members(group: &Group, classic: Option<&ClassicGroup>) -> bool {
    match &group.membership {
        Membership::Consumer(consumer) => !consumer.members.is_empty(),
        Membership::Share(share) => !share.members.is_empty(),
        Membership::None | Membership::Classic(_) => classic.is_some_and(|classic| !classic.is_idle()),
    }
}

/// The records that delete a group without members, but for its offsets.
pub(crate) fn group_tombstones(name: &Arc<str>, group: &Group) -> Vec<GroupRecord> {
    match &group.membership {
        Membership::None => Vec::new(),
        Membership::Classic(_) => vec![GroupRecord::Classic { group: name.clone(), value: None }],
        Membership::Consumer(consumer) => consumer.tombstones(name),
        Membership::Share(share) => share.tombstones(name).into_iter().map(GroupRecord::Share).collect(),
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
