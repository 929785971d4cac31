//! LeaveGroup (key 13), versions 0-5: members leave a classic group. Versions: 3 several members at once, static ones
//! too · 4 flexible · 5 reason.

use crate::error_code::ErrorCode;

message! {
    /// Takes members out of a group.
    pub struct LeaveGroupRequest [0..=5, flexible 4..] {
        /// The group.
        group_id: String [0..],
        /// The member that leaves, up to version 2.
        member_id: String [0..=2],
        /// The members that leave, from version 3 on.
        members: Vec<MemberIdentity> [3..],
    }

    /// A member that leaves.
    pub struct MemberIdentity {
        /// The member's id, or empty beside an instance id.
        member_id: String [3..],
        /// The name of a static member; null for a dynamic one.
        group_instance_id: Option<String> [3..],
        /// Why the member leaves, for people to read.
        reason: Option<String> [5..],
    }

    /// What became of the members.
    pub struct LeaveGroupResponse [0..=5, flexible 4..] {
        /// How long the client should wait before it sends again, in milliseconds.
        throttle_time_ms: i32 [1..],
        /// An error, or 0.
        error_code: ErrorCode [0..],
        /// One result per member, from version 3 on.
        members: Vec<MemberResponse> [3..],
    }

    /// What became of one member.
    pub struct MemberResponse {
        /// The member's id.
        member_id: String [3..],
        /// The name of a static member; null for a dynamic one.
        group_instance_id: Option<String> [3..],
        /// An error of this member.
        error_code: ErrorCode [3..],
    }
}
