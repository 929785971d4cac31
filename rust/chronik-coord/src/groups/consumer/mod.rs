//! Groups of the newer protocol (KIP-848).
mod group;

use super::classic::JoinRequest;
use super::context::Context;
use super::machine::Groups;
use super::request::{Caller, GroupCall, GroupReply};
use super::timers::Timer;
use crate::coordinator::{Moment, Output, Ticket};
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::consumer_group_describe::DescribedGroup;
use chronik_wire::messages::leave_group::MemberIdentity;
use chronik_wire::messages::*;
use std::sync::Arc;

pub(crate) fn restart_timers(_: &mut Context<'_>) {}

impl Groups {
    pub(crate) fn consumer_heartbeat(
        &mut self,
        ticket: Ticket,
        request: ConsumerGroupHeartbeatRequest,
        _: Caller,
        _: Moment,
    ) -> Output<GroupReply> {
        Output::reply(ticket, GroupCall::ConsumerHeartbeat(request).refusal(ErrorCode::UNSUPPORTED_VERSION))
    }
    pub(crate) fn describe_consumer_group(&self, group_id: String) -> DescribedGroup {
        DescribedGroup { group_id, error_code: ErrorCode::GROUP_ID_NOT_FOUND, ..Default::default() }
    }
    pub(crate) fn join_as_classic(&mut self, _: &Arc<str>, _: JoinRequest, _: Moment) -> Output<GroupReply> {
        Output::default()
    }
    pub(crate) fn sync_as_classic(
        &mut self,
        _: &Arc<str>,
        _: Ticket,
        _: &SyncGroupRequest,
        _: Moment,
    ) -> Output<GroupReply> {
        Output::default()
    }
    pub(crate) fn heartbeat_as_classic(
        &mut self,
        _: &Arc<str>,
        _: Ticket,
        _: &HeartbeatRequest,
        _: Moment,
    ) -> Output<GroupReply> {
        Output::default()
    }
    pub(crate) fn leave_as_classic(
        &mut self,
        _: &Arc<str>,
        _: &[MemberIdentity],
        _: Moment,
    ) -> (Output<GroupReply>, Vec<ErrorCode>) {
        (Output::default(), vec![])
    }
    pub(crate) fn on_consumer_timer(&mut self, _: &Arc<str>, _: &Timer, _: Moment) -> Output<GroupReply> {
        Output::default()
    }
}
