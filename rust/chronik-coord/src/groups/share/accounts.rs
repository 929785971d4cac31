//! Which share-partitions have an account at a share coordinator: beginning accounts, moving them and forgetting them.
//!
//! The walk: a record says what is about to be done, the share coordinators are asked by the broker, and its report turns
//! the record into what is so. What was never reported is ordered again after a while, which does no harm: an account that
//! exists is not begun again.

use std::collections::BTreeMap;
use std::sync::Arc;

use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::ShareGroupHeartbeatResponse;
use chronik_wire::messages::group_records::{ShareGroupMetadataValue, ShareTopicPartitions};
use chronik_wire::types::TopicId;

use super::record::ShareGroupRecord;
use super::{heartbeat, update};
use crate::coordinator::{Moment, Output, Ticket};
use crate::groups::context::Context;
use crate::groups::limits;
use crate::groups::machine::{Classics, Groups};
use crate::groups::migrate;
use crate::groups::record::GroupRecord;
use crate::groups::request::{GroupReply, ShareBeginning, ShareReport};
use crate::groups::state::{NamedPartitions, ShareGroup, lists, named};

/// Orders accounts for the partitions that members want and that have none.
pub(super) fn begin(ctx: &mut Context<'_>, group: &Arc<str>) -> Option<ShareBeginning> {
    let share = ctx.state.share(group)?;
    let retry_ms = ctx.config.share.initialize_retry_ms;
    let is_fresh = |asked_ms: &i64| ctx.moment.now_ms.saturating_sub(*asked_ms) < retry_ms;
    let nothing = NamedPartitions::new();
    let under_way = match ctx.accounts_asked.get(group) {
        Some(asked_ms) if is_fresh(asked_ms) => &share.initializing,
        _ => &nothing,
    };
    let missing = share.without_account(&ctx.config.topics, under_way);
    if missing.is_empty() {
        return None;
    }
    let state_epoch = share.epoch;
    let mut next = share.clone();
    next.initializing = joined(next.initializing, missing.clone());
    next.deleting.retain(|topic, _| !missing.contains_key(topic));
    if !write_partitions(ctx, group, &next) {
        return None;
    }
    ctx.accounts_asked.insert(group.clone(), ctx.moment.now_ms);
    Some(ShareBeginning { state_epoch, topics: lists(&missing) })
}

/// Writes which partitions have accounts, if that is different. Says whether a record can hold it.
fn write_partitions(ctx: &mut Context<'_>, group: &Arc<str>, next: &ShareGroup) -> bool {
    let value = Some(next.partitions_record());
    let present = ctx.state.share(group).map(ShareGroup::partitions_record);
    if present == value {
        return true;
    }
    let record: GroupRecord = ShareGroupRecord::Partitions { group: group.clone(), value }.into();
    let fits = record.encode().bytes() <= limits::RECORD_BYTES_MAX;
    if fits {
        ctx.write(record);
    }
    fits
}

fn joined(mut all: NamedPartitions, more: NamedPartitions) -> NamedPartitions {
    for (topic, (name, partitions)) in more {
        all.entry(topic).or_insert_with(|| (name, Default::default())).1.extend(partitions);
    }
    all
}

fn without(mut all: NamedPartitions, less: &NamedPartitions) -> NamedPartitions {
    for (topic, (_, partitions)) in less {
        if let Some((_, present)) = all.get_mut(topic) {
            present.retain(|partition| !partitions.contains(partition));
        }
    }
    all.retain(|_, (_, partitions)| !partitions.is_empty());
    all
}

impl Groups {
    /// Accounts have begun, or could not be begun. Answers the member in whose name that was, if there is one: with what
    /// it now has.
    pub(crate) fn share_accounts_begun(
        &mut self,
        ticket: Ticket,
        report: ShareReport,
        moment: Moment,
    ) -> Output<GroupReply> {
        let group: Arc<str> = Arc::from(report.group_id.as_str());
        self.step(moment, |ctx, _| {
            let member: Option<Arc<str>> = report.member_id.map(Arc::from);
            if let Some(share) = ctx.state.share(&group) {
                let (begun, failed) = (named(report.begun), named(report.failed));
                let mut next = share.clone();
                next.initializing = without(without(next.initializing, &begun), &failed);
                next.initialized = joined(next.initialized, begun);
                write_partitions(ctx, &group, &next);
                if next.initializing.is_empty() {
                    ctx.accounts_asked.remove(&group);
                }
            }
            if let Some(id) = &member {
                update::raise_epoch_if_changed(ctx, &group, false);
                update::assign_if_behind(ctx, &group);
                update::reconcile(ctx, &group, id);
            }
            let response = match &member {
                None => ShareGroupHeartbeatResponse::default(),
                Some(id) => heartbeat::response(ctx, &group, id).unwrap_or_else(|(error_code, message)| {
                    let error_message = Some(message);
                    ShareGroupHeartbeatResponse { error_code, error_message, ..Default::default() }
                }),
            };
            ctx.reply(ticket, GroupReply::ShareHeartbeat { response, begin: None });
        })
    }

    /// Orders accounts that begin at given places, whatever they were before. The group must be empty; one that does not
    /// exist is made.
    pub(crate) fn share_accounts_move(
        &mut self,
        ticket: Ticket,
        group_id: &str,
        topics: Vec<ShareTopicPartitions>,
        moment: Moment,
    ) -> Output<GroupReply> {
        let group: Arc<str> = Arc::from(group_id);
        self.step(moment, |ctx, classics| {
            let result = move_accounts(ctx, classics, &group, topics);
            ctx.reply(ticket, GroupReply::ShareMove(result));
        })
    }

    /// Orders that accounts be forgotten: those of some topics, or all. The group must be empty. Answers with the
    /// partitions.
    pub(crate) fn share_accounts_forget(
        &mut self,
        ticket: Ticket,
        group_id: &str,
        topics: Option<&[TopicId]>,
        moment: Moment,
    ) -> Output<GroupReply> {
        let group: Arc<str> = Arc::from(group_id);
        self.step(moment, |ctx, classics| {
            let result = forget_accounts(ctx, classics, &group, topics);
            ctx.reply(ticket, GroupReply::ShareForget(result));
        })
    }

    /// Accounts are forgotten.
    pub(crate) fn share_accounts_forgotten(
        &mut self,
        ticket: Ticket,
        group_id: &str,
        topics: &[TopicId],
        moment: Moment,
    ) -> Output<GroupReply> {
        let group: Arc<str> = Arc::from(group_id);
        self.step(moment, |ctx, _| {
            if let Some(share) = ctx.state.share(&group) {
                let mut next = share.clone();
                next.deleting.retain(|topic, _| !topics.contains(topic));
                write_partitions(ctx, &group, &next);
            }
            ctx.reply(ticket, GroupReply::ShareForget(Ok(Vec::new())));
        })
    }

    /// The partitions that have accounts.
    pub(crate) fn share_accounts(&self, group_id: &str) -> Result<Vec<ShareTopicPartitions>, ErrorCode> {
        match self.state().share(group_id) {
            Some(share) => Ok(lists(&share.initialized)),
            None if self.exists(group_id) => Err(ErrorCode::GROUP_ID_NOT_FOUND),
            None => Ok(Vec::new()),
        }
    }

    /// The records that strike deleted topics from what share groups have.
    pub(crate) fn share_records_without(&self, is_deleted: impl Fn(TopicId) -> bool) -> Vec<GroupRecord> {
        let mut records = Vec::new();
        for (name, group) in self.state().groups() {
            let crate::groups::state::Membership::Share(share) = &group.membership else { continue };
            let mut next = share.clone();
            next.initializing.retain(|topic, _| !is_deleted(*topic));
            next.initialized.retain(|topic, _| !is_deleted(*topic));
            next.deleting.retain(|topic, _| !is_deleted(*topic));
            let value = next.partitions_record();
            if value != share.partitions_record() {
                let record = ShareGroupRecord::Partitions { group: name.clone(), value: Some(value) };
                records.push(record.into());
            }
        }
        records
    }
}

/// An empty share group; `None` if there is no group of that name.
fn empty_group<'a>(
    ctx: &'a Context<'_>,
    classics: &Classics,
    group: &Arc<str>,
) -> Result<Option<&'a ShareGroup>, ErrorCode> {
    match ctx.state.share(group) {
        Some(share) if share.members.is_empty() => Ok(Some(share)),
        Some(_) => Err(ErrorCode::NON_EMPTY_GROUP),
        None if ctx.state.group(group).is_some() || classics.contains_key(group) => {
            Err(ErrorCode::GROUP_ID_NOT_FOUND)
        }
        None => Ok(None),
    }
}

fn move_accounts(
    ctx: &mut Context<'_>,
    classics: &Classics,
    group: &Arc<str>,
    topics: Vec<ShareTopicPartitions>,
) -> Result<i32, ErrorCode> {
    let share = match empty_group(ctx, classics, group)? {
        Some(share) => share.clone(),
        None => {
            migrate::check_room(ctx, classics).map_err(|(error, _)| error)?;
            ShareGroup::default()
        }
    };
    let moved = named(topics);
    if moved.is_empty() {
        return Ok(share.epoch);
    }
    // A higher epoch fences whoever goes on with the account as it was.
    let epoch = share.epoch.checked_add(1).unwrap_or(1);
    let value = Some(ShareGroupMetadataValue { epoch, metadata_hash: share.metadata_hash });
    let mut next = share;
    next.initialized = without(next.initialized, &moved);
    next.deleting.retain(|topic, _| !moved.contains_key(topic));
    next.initializing = joined(next.initializing, moved);
    ctx.write(ShareGroupRecord::Epoch { group: group.clone(), value }.into());
    if !write_partitions(ctx, group, &next) {
        return Err(ErrorCode::INVALID_REQUEST);
    }
    ctx.accounts_asked.insert(group.clone(), ctx.moment.now_ms);
    Ok(epoch)
}

fn forget_accounts(
    ctx: &mut Context<'_>,
    classics: &Classics,
    group: &Arc<str>,
    topics: Option<&[TopicId]>,
) -> Result<Vec<ShareTopicPartitions>, ErrorCode> {
    let share = empty_group(ctx, classics, group)?.ok_or(ErrorCode::GROUP_ID_NOT_FOUND)?;
    let is_meant = |topic: &TopicId| topics.is_none_or(|topics| topics.contains(topic));
    let mut going = joined(share.initialized.clone(), share.initializing.clone());
    going.retain(|topic, _| is_meant(topic));
    // Those that were to go before and were not reported: which partitions they had is what the topic has.
    let before: BTreeMap<TopicId, String> = share
        .deleting
        .iter()
        .filter(|(topic, _)| is_meant(topic))
        .map(|(id, name)| (*id, name.clone()))
        .collect();
    for (topic, name) in before {
        let count = ctx.config.topics.topic_by_id(topic).map_or(0, |topic| topic.partitions.len());
        let partitions = 0..i32::try_from(count).unwrap_or(i32::MAX);
        going.entry(topic).or_insert_with(|| (name, Default::default())).1.extend(partitions);
    }
    let mut next = share.clone();
    next.initializing = without(next.initializing, &going);
    next.initialized = without(next.initialized, &going);
    next.deleting.extend(going.iter().map(|(topic, (name, _))| (*topic, name.clone())));
    if !write_partitions(ctx, group, &next) {
        return Err(ErrorCode::INVALID_REQUEST);
    }
    Ok(lists(&going))
}
