//! A group of the newer protocol (KIP-848) as its records say it: all of it is hard but the timers.

use std::collections::BTreeMap;
use std::sync::Arc;

use chronik_wire::messages::group_records::{
    ConsumerGroupCurrentMemberAssignmentValue, ConsumerGroupMemberMetadataValue,
    ConsumerGroupRegularExpressionValue,
};
use chronik_wire::types::TopicId;

use super::Membership;
use crate::groups::partitions::Partitions;
use crate::groups::record::GroupRecord;

/// A group of the newer protocol.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct ConsumerGroup {
    /// Raised whenever the members, their subscriptions or the topics change.
    pub(crate) epoch: i32,
    /// A hash over the topics subscribed to when the epoch was last raised.
    pub(crate) metadata_hash: i64,
    /// The epoch at which the targets were computed.
    pub(crate) target_epoch: i32,
    /// The members, by id.
    pub(crate) members: BTreeMap<Arc<str>, Member>,
    /// What each member shall have.
    pub(crate) targets: BTreeMap<Arc<str>, Partitions>,
    /// What the members' patterns match.
    pub(crate) patterns: BTreeMap<Arc<str>, ResolvedPattern>,
    /// Who has a partition, or has yet to give it up. Follows from the members.
    owners: BTreeMap<(TopicId, i32), Arc<str>>,
}

/// A member.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Member {
    /// What it says of itself.
    pub(crate) metadata: ConsumerGroupMemberMetadataValue,
    /// The epoch it is expected to send.
    pub(crate) epoch: i32,
    /// The one before, which it sends if an answer was lost.
    pub(crate) previous_epoch: i32,
    /// How far it is on its way to its target.
    pub(crate) state: MemberState,
    /// What it has.
    pub(crate) assigned: Partitions,
    /// What it has yet to give up.
    pub(crate) revoking: Partitions,
}

/// How far a member is on its way to its target.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum MemberState {
    /// It has what it shall have at its epoch.
    #[default]
    Stable,
    /// It has yet to give up partitions.
    UnrevokedPartitions,
    /// It waits for partitions that others have yet to give up.
    UnreleasedPartitions,
    /// A state that a later Kafka may have written.
    Unknown,
}

impl MemberState {
    /// The number in records.
    fn number(self) -> i8 {
        match self {
            MemberState::Stable => 0,
            MemberState::UnrevokedPartitions => 1,
            MemberState::UnreleasedPartitions => 2,
            MemberState::Unknown => 127,
        }
    }

    fn from_number(number: i8) -> Self {
        match number {
            0 => MemberState::Stable,
            1 => MemberState::UnrevokedPartitions,
            2 => MemberState::UnreleasedPartitions,
            _ => MemberState::Unknown,
        }
    }
}

/// What a pattern matches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ResolvedPattern {
    /// Names of topics, in order.
    pub(crate) topics: Vec<String>,
    /// The version of the cluster's metadata they were found in.
    pub(crate) version: i64,
    /// When, in milliseconds since the Unix epoch.
    pub(crate) timestamp_ms: i64,
}

impl Member {
    /// Its present assignment as a record.
    pub(crate) fn to_record(&self) -> ConsumerGroupCurrentMemberAssignmentValue {
        ConsumerGroupCurrentMemberAssignmentValue {
            member_epoch: self.epoch,
            previous_member_epoch: self.previous_epoch,
            state: self.state.number(),
            assigned_partitions: self.assigned.to_record(),
            partitions_pending_revocation: self.revoking.to_record(),
        }
    }

    /// Takes over what a record says of the present assignment.
    fn assign(&mut self, value: &ConsumerGroupCurrentMemberAssignmentValue) {
        self.epoch = value.member_epoch;
        self.previous_epoch = value.previous_member_epoch;
        self.state = MemberState::from_number(value.state);
        self.assigned = Partitions::from_record(&value.assigned_partitions);
        self.revoking = Partitions::from_record(&value.partitions_pending_revocation);
    }

    /// Whether it speaks the classic protocol.
    pub(crate) fn is_classic(&self) -> bool {
        self.metadata.classic_member_metadata.is_some()
    }
}

impl ResolvedPattern {
    /// The record that says it.
    pub(crate) fn to_record(&self) -> ConsumerGroupRegularExpressionValue {
        ConsumerGroupRegularExpressionValue {
            topics: self.topics.clone(),
            version: self.version,
            timestamp: self.timestamp_ms,
        }
    }
}

impl ConsumerGroup {
    /// Who has a partition, or has yet to give it up.
    pub(crate) fn owner(&self, topic: TopicId, partition: i32) -> Option<&Arc<str>> {
        self.owners.get(&(topic, partition))
    }

    /// The member with a static id.
    pub(crate) fn static_member(&self, instance_id: &str) -> Option<(&Arc<str>, &Member)> {
        self.members.iter().find(|(_, member)| member.metadata.instance_id.as_deref() == Some(instance_id))
    }

    fn assign(&mut self, id: Arc<str>, value: &ConsumerGroupCurrentMemberAssignmentValue) {
        self.release(&id);
        let member = self.members.entry(id.clone()).or_default();
        member.assign(value);
        for at in member.assigned.iter().chain(member.revoking.iter()) {
            self.owners.insert(at, id.clone());
        }
    }

    /// Makes a member owner of nothing.
    fn release(&mut self, id: &Arc<str>) {
        let Some(member) = self.members.get(id) else { return };
        for at in member.assigned.iter().chain(member.revoking.iter()) {
            if self.owners.get(&at) == Some(id) {
                self.owners.remove(&at);
            }
        }
    }

    fn apply(&mut self, record: GroupRecord) {
        match record {
            GroupRecord::Epoch { value: Some(value), .. } => {
                self.epoch = value.epoch;
                self.metadata_hash = value.metadata_hash;
            }
            GroupRecord::Member { member, value: Some(value), .. } => {
                self.members.entry(member).or_default().metadata = value;
            }
            GroupRecord::Member { member, value: None, .. } => {
                self.release(&member);
                self.members.remove(&member);
            }
            GroupRecord::TargetEpoch { value, .. } => {
                self.target_epoch = value.map_or(0, |value| value.assignment_epoch);
            }
            GroupRecord::Target { member, value: Some(value), .. } => {
                let target = Partitions::from_lists(
                    value.topic_partitions.iter().map(|list| (list.topic_id, list.partitions.as_slice())),
                );
                self.targets.insert(member, target);
            }
            GroupRecord::Target { member, value: None, .. } => {
                self.targets.remove(&member);
            }
            GroupRecord::Current { member, value: Some(value), .. } => self.assign(member, &value),
            GroupRecord::Current { member, value: None, .. } => {
                // What is left of the member goes with its own record.
                if self.members.contains_key(&member) {
                    self.assign(member, &ConsumerGroupCurrentMemberAssignmentValue::default());
                }
            }
            GroupRecord::Pattern { pattern, value: Some(value), .. } => {
                let ConsumerGroupRegularExpressionValue { topics, version, timestamp } = value;
                self.patterns.insert(pattern, ResolvedPattern { topics, version, timestamp_ms: timestamp });
            }
            GroupRecord::Pattern { pattern, value: None, .. } => {
                self.patterns.remove(&pattern);
            }
            // Handled by the membership and by the state.
            GroupRecord::Epoch { value: None, .. }
            | GroupRecord::Offset { .. }
            | GroupRecord::Classic { .. }
            | GroupRecord::Share(_) => {}
        }
    }
}

impl Membership {
    /// Applies a record of a group of the newer protocol. Compaction may leave the others before the one with the epoch,
    /// so that any of them makes the group.
    pub(super) fn apply(&mut self, record: GroupRecord) {
        if let GroupRecord::Epoch { value: None, .. } = record {
            if matches!(self, Membership::Consumer(_)) {
                *self = Membership::None;
            }
            return;
        }
        let deletes = matches!(
            record,
            GroupRecord::Member { value: None, .. }
                | GroupRecord::TargetEpoch { value: None, .. }
                | GroupRecord::Target { value: None, .. }
                | GroupRecord::Current { value: None, .. }
                | GroupRecord::Pattern { value: None, .. }
        );
        if !matches!(self, Membership::Consumer(_)) {
            if deletes {
                return;
            }
            *self = Membership::Consumer(ConsumerGroup::default());
        }
        if let Membership::Consumer(group) = self {
            group.apply(record);
        }
    }
}
