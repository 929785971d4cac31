//! What administrators ask of groups: list, describe, delete.
//!
//! Behaviour: a group is listed once it has members or offsets. Describing a group that does not exist says that it is
//! dead, from version 6 on with an error (69); a group of another kind does not exist for any description.

use std::sync::Arc;

use bytes::Bytes;
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::describe_groups::{DescribedGroup, DescribedGroupMember};
use chronik_wire::messages::list_groups::ListedGroup;

use super::classic::{ClassicGroup, ClassicMember, ClassicState};
use super::consumer_protocol;
use super::machine::Groups;
use super::offsets;
use super::record::GroupRecord;
use super::request::GroupReply;
use super::share;
use super::state::Membership;
use crate::coordinator::{Moment, Output, Ticket};

/// The first version of DescribeGroups that has an error for groups that do not exist.
const DESCRIBE_NOT_FOUND_FROM: i16 = 6;
const CLASSIC: &str = "classic";
const CONSUMER: &str = "consumer";
const SHARE: &str = "share";

impl Groups {
    /// The groups of this partition in the given states and of the given types; no filter lets all pass.
    pub(crate) fn list_groups(&self, states: &[String], types: &[String]) -> Vec<ListedGroup> {
        let passes = |filter: &[String], value: &str| {
            filter.is_empty() || filter.iter().any(|one| one.eq_ignore_ascii_case(value))
        };
        // A group in its first rebalance has nothing in the log yet.
        let unrecorded = self.classics().keys().filter(|name| self.state().group(name).is_none());
        let names = self.state().groups().map(|(name, _)| name).chain(unrecorded);
        let mut listed: Vec<ListedGroup> = names
            .map(|name| self.listed(name))
            .filter(|group| passes(states, &group.group_state) && passes(types, &group.group_type))
            .collect();
        listed.sort_by(|a, b| a.group_id.cmp(&b.group_id));
        listed
    }

    fn listed(&self, name: &Arc<str>) -> ListedGroup {
        let membership = self.state().group(name).map(|group| &group.membership);
        let (protocol_type, group_state, group_type) = match membership {
            Some(Membership::Consumer(consumer)) => {
                (consumer_protocol::PROTOCOL_TYPE, consumer.state_name(), CONSUMER)
            }
            Some(Membership::Share(group)) => (share::PROTOCOL_TYPE, group.state_name(), SHARE),
            _ => match self.classic(name) {
                Some(group) => (group.protocol_type().unwrap_or_default(), group.state().name(), CLASSIC),
                None => ("", ClassicState::Empty.name(), CLASSIC),
            },
        };
        ListedGroup {
            group_id: name.to_string(),
            protocol_type: protocol_type.to_owned(),
            group_state: group_state.to_owned(),
            group_type: group_type.to_owned(),
        }
    }

    /// Describes a classic group.
    pub(crate) fn describe_group(&self, group_id: String, version: i16) -> DescribedGroup {
        let is_other = self.state().consumer(&group_id).is_some() || self.state().share(&group_id).is_some();
        match self.classic(&group_id) {
            Some(group) if !is_other => described(group_id, group),
            None if !is_other && self.state().group(&group_id).is_some() => DescribedGroup {
                group_id,
                group_state: ClassicState::Empty.name().to_owned(),
                ..Default::default()
            },
            _ => {
                let not_found = version >= DESCRIBE_NOT_FOUND_FROM;
                let message = || format!("group {group_id} not found; list the groups to see which exist");
                DescribedGroup {
                    error_code: if not_found { ErrorCode::GROUP_ID_NOT_FOUND } else { ErrorCode::NONE },
                    error_message: not_found.then(message),
                    group_state: "Dead".to_owned(),
                    group_id,
                    ..Default::default()
                }
            }
        }
    }

    /// Forgets a group without members, with its offsets and the ids it gave out.
    pub(crate) fn delete_group(
        &mut self,
        ticket: Ticket,
        group_id: &str,
        moment: Moment,
    ) -> Output<GroupReply> {
        let name: Arc<str> = Arc::from(group_id);
        let records = match self.check_delete(&name) {
            Ok(records) => records,
            Err(error) => return Output::reply(ticket, GroupReply::DeleteGroup(error)),
        };
        let output = self.step(moment, |ctx, classics| {
            records.into_iter().for_each(|record| ctx.write(record));
            classics.remove(&name);
            ctx.timers.cancel_group(&name);
            ctx.reply(ticket, GroupReply::DeleteGroup(ErrorCode::NONE));
        });
        self.forget_deleted_groups();
        output
    }

    fn check_delete(&self, name: &Arc<str>) -> Result<Vec<GroupRecord>, ErrorCode> {
        let classic = self.classic(name);
        if classic.is_some_and(|group| group.state() != ClassicState::Empty) {
            return Err(ErrorCode::NON_EMPTY_GROUP);
        }
        let Some(group) = self.state().group(name) else {
            // Somebody may have been given an id for it, and nothing more.
            return classic.map(|_| Vec::new()).ok_or(ErrorCode::GROUP_ID_NOT_FOUND);
        };
        let has_members = match &group.membership {
            Membership::Consumer(consumer) => !consumer.members.is_empty(),
            Membership::Share(share) => !share.members.is_empty(),
            Membership::None | Membership::Classic(_) => false,
        };
        if has_members {
            return Err(ErrorCode::NON_EMPTY_GROUP);
        }
        let committed = group.offsets.committed().map(|(at, _)| at);
        let open = group.offsets.open().map(|(_, at, _)| at);
        let mut records: Vec<GroupRecord> =
            committed.chain(open).map(|at| offsets::tombstone(name, at)).collect();
        records.extend(offsets::group_tombstones(name, group));
        Ok(records)
    }
}

fn described(group_id: String, group: &ClassicGroup) -> DescribedGroup {
    let settled = group.state() == ClassicState::Stable;
    let protocol = group.protocol().filter(|_| settled).unwrap_or_default();
    let member = |(id, member): (&Arc<str>, &ClassicMember)| DescribedGroupMember {
        member_id: id.to_string(),
        group_instance_id: member.instance_id.clone(),
        client_id: member.client_id.clone(),
        client_host: member.client_host.clone(),
        member_metadata: member.metadata(protocol),
        member_assignment: if settled { member.assignment.clone() } else { Bytes::new() },
    };
    DescribedGroup {
        group_id,
        group_state: group.state().name().to_owned(),
        protocol_type: group.protocol_type().unwrap_or_default().to_owned(),
        protocol_data: protocol.to_owned(),
        members: group.members().iter().map(member).collect(),
        ..Default::default()
    }
}
