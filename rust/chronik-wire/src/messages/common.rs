//! Structures that several messages share.

use crate::types::{LeaderEpoch, NodeId};

/// "Operations not asked for": what an authorized-operations field holds then.
pub const OPERATIONS_UNKNOWN: i32 = i32::MIN;

message! {
    /// The leader a client should turn to. Sent as a tagged field beside the errors 6 and 74.
    pub struct LeaderIdAndEpoch {
        /// The leader's node id, or -1 if unknown.
        leader_id: i32 [0..] = -1,
        /// The latest known leader epoch.
        leader_epoch: i32 [0..] = -1,
    }

    /// Where a leader named in a response can be reached.
    pub struct NodeEndpoint {
        /// The node's id.
        node_id: i32 [0..],
        /// Its advertised host.
        host: String [0..],
        /// Its advertised port.
        port: i32 [0..],
        /// Its rack, if it has one.
        rack: Option<String> [0..],
    }
}

impl LeaderIdAndEpoch {
    /// Names a leader and its epoch.
    pub fn new(leader: NodeId, epoch: LeaderEpoch) -> Self {
        LeaderIdAndEpoch { leader_id: leader.0, leader_epoch: epoch.0 }
    }
}
