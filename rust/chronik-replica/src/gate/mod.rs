//! The read gate: one door for every claim about the end of the log.
//!
//! [`ReadGate`] is the waiting side, one per replica, leader or follower. [`BarrierDesk`] is the leader's side,
//! which turns barrier requests into raft read contexts. Both are pure: they know no raft, no clock and no
//! network, and the replica carries out what they ask for. The rules are B1-B9 of the design.

mod desk;
mod waiters;

use chronik_log::Index;
use chronik_wire::types::NodeId;

pub(crate) use desk::{BarrierDesk, BarrierOrigin, BarrierRequest};
pub(crate) use waiters::{ReadGate, RoundTarget, Settled};

/// The gate opened: every record acknowledged before the request arrived is applied here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GatePass {
    /// Whether the request had to wait for this replica to apply more.
    pub waited: bool,
    /// A commit index of the group at some instant after the request arrived; applied here.
    pub index: Index,
}

/// Why the gate did not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GateErrorKind {
    /// A leader is known but its answer or the applied index came too late: stay and try again (78).
    Behind,
    /// No leader is known or reachable: refresh the metadata (6).
    NoLeader,
    /// The replica is not hosted here or was removed while the request waited (6).
    Removed,
    /// The replica stopped after a storage fault (56).
    Stopped,
}

/// The gate did not open in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("read gate did not open: {kind:?}; leader known here: {leader:?}")]
pub struct GateError {
    /// What held it.
    pub kind: GateErrorKind,
    /// The leader as this replica knows it.
    pub leader: Option<NodeId>,
}
