//! Share groups (KIP-932): members that read the same partitions side by side. Which records each gets is not decided
//! here but by the leaders of the partitions; this machine says who reads which partition.
//!
//! Everything but the timers is hard: it lives in [`crate::groups::state::ShareGroup`] and changes only by records. A
//! member says what it wants (`heartbeat`); the group's epoch rises, accounts are begun for partitions that have none, and
//! targets are computed over those that have (`update`, `assignor`). The accounts belong to the share coordinators: what
//! they are to do leaves with the answer, and the broker reports back when it is done (`accounts`). `admin` describes and
//! moves.

mod accounts;
mod admin;
mod assignor;
mod group;
mod heartbeat;
mod record;
mod update;

use std::sync::Arc;

pub(crate) use record::ShareGroupRecord;

use super::context::Context;
use super::state::Membership;
use super::timers::Timer;

/// Kafka's name of the protocol.
pub(crate) const PROTOCOL_TYPE: &str = "share";

/// Starts the sessions of all members, when a leader takes office.
pub(crate) fn restart_timers(ctx: &mut Context<'_>) {
    let mut members = Vec::new();
    for (name, group) in ctx.state.groups() {
        if let Membership::Share(share) = &group.membership {
            members.extend(share.members.keys().map(|id| (name.clone(), id.clone())));
        }
    }
    for (group, id) in members {
        restart_session(ctx, &group, &id);
    }
}

/// Gives a member a full session from now on.
fn restart_session(ctx: &mut Context<'_>, group: &Arc<str>, id: &Arc<str>) {
    let timeout_ms = ctx.config.share_session_timeout_ms(group);
    ctx.set_timer(group, Timer::Session(id.clone()), timeout_ms);
}
