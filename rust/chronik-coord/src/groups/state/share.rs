//! A share group (KIP-932) as its records say it: all of it is hard but the timers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chronik_wire::messages::group_records::{
    ShareGroupCurrentMemberAssignmentValue, ShareGroupMemberMetadataValue, ShareGroupMetadataValue,
    ShareGroupStatePartitionMetadataValue, ShareGroupTargetAssignmentMemberValue,
    ShareGroupTargetAssignmentMetadataValue, ShareTopic, ShareTopicPartitions,
};
use chronik_wire::types::TopicId;

use super::Membership;
use crate::groups::partitions::Partitions;
use crate::groups::share::ShareGroupRecord;

/// A share group.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct ShareGroup {
    /// Raised whenever the members, their subscriptions, the topics or the partitions with accounts change.
    pub(crate) epoch: i32,
    /// A hash over the topics subscribed to when the epoch was last raised.
    pub(crate) metadata_hash: i64,
    /// The epoch at which the targets were computed.
    pub(crate) target_epoch: i32,
    /// When they were computed, in milliseconds since the Unix epoch.
    pub(crate) target_timestamp_ms: i64,
    /// The members, by id.
    pub(crate) members: BTreeMap<Arc<str>, ShareMember>,
    /// What each member shall have.
    pub(crate) targets: BTreeMap<Arc<str>, Partitions>,
    /// Partitions whose accounts are about to begin.
    pub(crate) initializing: NamedPartitions,
    /// Partitions whose accounts have begun: only these are given to members.
    pub(crate) initialized: NamedPartitions,
    /// Topics whose accounts are about to be forgotten, with their names.
    pub(crate) deleting: BTreeMap<TopicId, String>,
}

/// Partitions by topic, with the topics' names. No topic has an empty set.
pub(crate) type NamedPartitions = BTreeMap<TopicId, (String, BTreeSet<i32>)>;

/// A member.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct ShareMember {
    /// What it says of itself.
    pub(crate) metadata: ShareGroupMemberMetadataValue,
    /// The epoch it is expected to send.
    pub(crate) epoch: i32,
    /// The one before, which it sends if an answer was lost.
    pub(crate) previous_epoch: i32,
    /// Kafka's number of its state: members of share groups are always stable (0).
    pub(crate) state: i8,
    /// What it has.
    pub(crate) assigned: Partitions,
}

impl ShareMember {
    /// Its present assignment as a record.
    pub(crate) fn to_record(&self) -> ShareGroupCurrentMemberAssignmentValue {
        ShareGroupCurrentMemberAssignmentValue {
            member_epoch: self.epoch,
            previous_member_epoch: self.previous_epoch,
            state: self.state,
            assigned_partitions: self.assigned.to_record(),
        }
    }

    fn assign(&mut self, value: &ShareGroupCurrentMemberAssignmentValue) {
        self.epoch = value.member_epoch;
        self.previous_epoch = value.previous_member_epoch;
        self.state = value.state;
        self.assigned = Partitions::from_record(&value.assigned_partitions);
    }
}

/// The partitions that a record lists.
pub(crate) fn named(lists: Vec<ShareTopicPartitions>) -> NamedPartitions {
    let mut named = NamedPartitions::new();
    for ShareTopicPartitions { topic_id, topic_name, partitions } in lists {
        if !partitions.is_empty() {
            let entry = named.entry(topic_id).or_insert_with(|| (topic_name, BTreeSet::new()));
            entry.1.extend(partitions);
        }
    }
    named
}

/// Partitions as a record lists them.
pub(crate) fn lists(named: &NamedPartitions) -> Vec<ShareTopicPartitions> {
    let list = |(topic, (name, partitions)): (&TopicId, &(String, BTreeSet<i32>))| ShareTopicPartitions {
        topic_id: *topic,
        topic_name: name.clone(),
        partitions: partitions.iter().copied().collect(),
    };
    named.iter().map(list).collect()
}

impl ShareGroup {
    /// Which partitions have accounts, as a record.
    pub(crate) fn partitions_record(&self) -> ShareGroupStatePartitionMetadataValue {
        let topic = |(topic_id, name): (&TopicId, &String)| ShareTopic {
            topic_id: *topic_id,
            topic_name: name.clone(),
        };
        ShareGroupStatePartitionMetadataValue {
            initializing_topics: lists(&self.initializing),
            initialized_topics: lists(&self.initialized),
            deleting_topics: self.deleting.iter().map(topic).collect(),
        }
    }

    /// Whether it has, or is to get, accounts of partitions.
    pub(crate) fn has_partitions(&self) -> bool {
        !self.initializing.is_empty() || !self.initialized.is_empty() || !self.deleting.is_empty()
    }

    /// The records that lead to it.
    pub(crate) fn to_records(&self, group: &Arc<str>) -> Vec<ShareGroupRecord> {
        let name = || group.clone();
        let epoch = ShareGroupMetadataValue { epoch: self.epoch, metadata_hash: self.metadata_hash };
        let target_epoch = ShareGroupTargetAssignmentMetadataValue {
            assignment_epoch: self.target_epoch,
            assignment_timestamp: self.target_timestamp_ms,
        };
        let mut records = vec![
            ShareGroupRecord::Epoch { group: name(), value: Some(epoch) },
            ShareGroupRecord::TargetEpoch { group: name(), value: Some(target_epoch) },
        ];
        for (id, member) in &self.members {
            let value = Some(member.metadata.clone());
            records.push(ShareGroupRecord::Member { group: name(), member: id.clone(), value });
            let value = Some(member.to_record());
            records.push(ShareGroupRecord::Current { group: name(), member: id.clone(), value });
        }
        for (id, target) in &self.targets {
            let value = ShareGroupTargetAssignmentMemberValue { topic_partitions: target.to_record() };
            records.push(ShareGroupRecord::Target { group: name(), member: id.clone(), value: Some(value) });
        }
        if self.has_partitions() {
            let value = Some(self.partitions_record());
            records.push(ShareGroupRecord::Partitions { group: name(), value });
        }
        records
    }

    fn apply(&mut self, record: ShareGroupRecord) {
        match record {
            ShareGroupRecord::Epoch { value: Some(value), .. } => {
                self.epoch = value.epoch;
                self.metadata_hash = value.metadata_hash;
            }
            // Handled by the membership.
            ShareGroupRecord::Epoch { value: None, .. } => {}
            ShareGroupRecord::Member { member, value: Some(value), .. } => {
                self.members.entry(member).or_default().metadata = value;
            }
            ShareGroupRecord::Member { member, value: None, .. } => {
                self.members.remove(&member);
            }
            ShareGroupRecord::TargetEpoch { value, .. } => {
                let value = value.unwrap_or_default();
                self.target_epoch = value.assignment_epoch;
                self.target_timestamp_ms = value.assignment_timestamp;
            }
            ShareGroupRecord::Target { member, value: Some(value), .. } => {
                self.targets.insert(member, Partitions::from_record(&value.topic_partitions));
            }
            ShareGroupRecord::Target { member, value: None, .. } => {
                self.targets.remove(&member);
            }
            ShareGroupRecord::Current { member, value: Some(value), .. } => {
                self.members.entry(member).or_default().assign(&value);
            }
            ShareGroupRecord::Current { member, value: None, .. } => {
                // What is left of the member goes with its own record.
                if let Some(member) = self.members.get_mut(&member) {
                    member.assign(&ShareGroupCurrentMemberAssignmentValue::default());
                }
            }
            ShareGroupRecord::Partitions { value, .. } => {
                let value = value.unwrap_or_default();
                self.initializing = named(value.initializing_topics);
                self.initialized = named(value.initialized_topics);
                let deleting = value.deleting_topics.into_iter();
                self.deleting = deleting.map(|topic| (topic.topic_id, topic.topic_name)).collect();
            }
        }
    }
}

impl Membership {
    /// Applies a record of a share group. Compaction may leave the others before the one with the epoch, so that any of
    /// them makes the group.
    pub(super) fn apply_share(&mut self, record: ShareGroupRecord) {
        if let ShareGroupRecord::Epoch { value: None, .. } = record {
            if matches!(self, Membership::Share(_)) {
                *self = Membership::None;
            }
            return;
        }
        if !matches!(self, Membership::Share(_)) {
            if record.deletes() {
                return;
            }
            *self = Membership::Share(ShareGroup::default());
        }
        if let Membership::Share(group) = self {
            group.apply(record);
        }
    }
}
