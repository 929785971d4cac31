//! SyncGroup (key 14), versions 0-5: the leader of a classic group hands in the assignment, the others fetch theirs.
//! Versions: 3 static members · 4 flexible · 5 protocol in both directions.

use bytes::Bytes;

use crate::error_code::ErrorCode;

message! {
    /// Hands in the assignment, or asks for it.
    pub struct SyncGroupRequest [0..=5, flexible 4..] {
        /// The group.
        group_id: String [0..],
        /// The generation of the group.
        generation_id: i32 [0..],
        /// The member's id.
        member_id: String [0..],
        /// The name of a static member; null for a dynamic one.
        group_instance_id: Option<String> [3..],
        /// The kind of protocol, `consumer` for consumers.
        protocol_type: Option<String> [5..],
        /// The protocol all members agreed on.
        protocol_name: Option<String> [5..],
        /// The assignment by member from the leader; none from the others.
        assignments: Vec<SyncGroupRequestAssignment> [0..],
    }

    /// What one member is given.
    pub struct SyncGroupRequestAssignment {
        /// The member it is for.
        member_id: String [0..],
        /// The assignment, in the encoding of the protocol.
        assignment: Bytes [0..],
    }

    /// The member's assignment.
    pub struct SyncGroupResponse [0..=5, flexible 4..] {
        /// How long the client should wait before it sends again, in milliseconds.
        throttle_time_ms: i32 [1..],
        /// An error, or 0.
        error_code: ErrorCode [0..],
        /// The kind of protocol, `consumer` for consumers.
        protocol_type: Option<String> [5..],
        /// The protocol all members agreed on.
        protocol_name: Option<String> [5..],
        /// The assignment, in the encoding of the protocol.
        assignment: Bytes [0..],
    }
}
