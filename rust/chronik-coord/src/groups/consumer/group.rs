//! What can be read off a group of the newer protocol.

use std::collections::BTreeSet;
use std::sync::Arc;

use chronik_mutants::{Mutant, planted};
use chronik_wire::error_code::ErrorCode;

use crate::groups::record::GroupRecord;
use crate::groups::state::{ConsumerGroup, Member, MemberState};

/// The first OffsetCommit whose clients know of member epochs.
const MEMBER_EPOCH_FROM: i16 = 9;

impl ConsumerGroup {
    /// Kafka's name of the state.
    pub(crate) fn state_name(&self) -> &'static str {
        let reconciled =
            |member: &Member| member.state == MemberState::Stable && member.epoch == self.target_epoch;
        if self.members.is_empty() {
            "Empty"
        } else if self.epoch > self.target_epoch {
            "Assigning"
        } else if self.members.values().all(reconciled) {
            "Stable"
        } else {
            "Reconciling"
        }
    }

    /// The names of the topics a member is subscribed to, by name or by pattern.
    pub(crate) fn subscription<'a>(&'a self, member: &'a Member) -> BTreeSet<&'a str> {
        let metadata = &member.metadata;
        let named = metadata.subscribed_topic_names.iter().map(String::as_str);
        let pattern = metadata.subscribed_topic_regex.as_deref().and_then(|one| self.patterns.get(one));
        let matched = pattern.into_iter().flat_map(|resolved| resolved.topics.iter().map(String::as_str));
        named.chain(matched).collect()
    }

    /// The names of the topics any member is subscribed to.
    pub(crate) fn subscribed_topics(&self) -> BTreeSet<&str> {
        self.members.values().flat_map(|member| self.subscription(member)).collect()
    }

    /// Whether any member is subscribed to a topic.
    pub(crate) fn is_subscribed_to(&self, topic: &str) -> bool {
        self.members.values().any(|member| self.subscription(member).contains(topic))
    }

    /// Whether somebody who commits offsets may do so.
    pub(crate) fn check_commit(
        &self,
        member_id: &str,
        instance_id: Option<&str>,
        epoch: i32,
        version: i16,
        transactional: bool,
    ) -> Result<(), ErrorCode> {
        if epoch < 0 && self.members.is_empty() {
            return Ok(());
        }
        // Transactional producers of old clients say nothing of themselves and are let pass.
        if transactional && epoch < 0 && member_id.is_empty() && instance_id.is_none() {
            return Ok(());
        }
        let member = self.members.get(member_id).ok_or(ErrorCode::UNKNOWN_MEMBER_ID)?;
        if !transactional && !member.is_classic() && version < MEMBER_EPOCH_FROM {
            return Err(ErrorCode::UNSUPPORTED_VERSION);
        }
        match member.epoch == epoch || planted(Mutant::OldGenerationCommits) {
            true => Ok(()),
            false if member.is_classic() => Err(ErrorCode::ILLEGAL_GENERATION),
            false => Err(ErrorCode::STALE_MEMBER_EPOCH),
        }
    }

    /// Whether somebody who reads offsets may do so: who names itself must be what it says.
    pub(crate) fn check_fetch(&self, member_id: Option<&str>, epoch: i32) -> Result<(), ErrorCode> {
        if member_id.is_none() && epoch < 0 {
            return Ok(());
        }
        let member = self.members.get(member_id.unwrap_or_default());
        let member = member.ok_or(ErrorCode::UNKNOWN_MEMBER_ID)?;
        if member.epoch == epoch { Ok(()) } else { Err(ErrorCode::STALE_MEMBER_EPOCH) }
    }

    /// The records that delete all of it, members included.
    pub(crate) fn tombstones(&self, group: &Arc<str>) -> Vec<GroupRecord> {
        let mut records = Vec::new();
        for member in self.members.keys() {
            records.push(GroupRecord::Current { group: group.clone(), member: member.clone(), value: None });
        }
        for member in self.targets.keys() {
            records.push(GroupRecord::Target { group: group.clone(), member: member.clone(), value: None });
        }
        records.push(GroupRecord::TargetEpoch { group: group.clone(), value: None });
        for member in self.members.keys() {
            records.push(GroupRecord::Member { group: group.clone(), member: member.clone(), value: None });
        }
        for pattern in self.patterns.keys() {
            records.push(GroupRecord::Pattern {
                group: group.clone(),
                pattern: pattern.clone(),
                value: None,
            });
        }
        records.push(GroupRecord::Epoch { group: group.clone(), value: None });
        records
    }
}
