//! JoinGroup (key 11), versions 0-9: a member asks to take part in the next generation of a classic group. Versions: 1
//! rebalance timeout · 4 a first join is told its member id with error 79 · 5 static members · 6 flexible · 7 protocol
//! type in the answer · 8 reason · 9 a leader may be told to skip the assignment.

use bytes::Bytes;

use crate::error_code::ErrorCode;

message! {
    /// Asks to join.
    pub struct JoinGroupRequest [0..=9, flexible 6..] {
        /// The group.
        group_id: String [0..],
        /// How long the coordinator waits for a heartbeat before it drops the member, in milliseconds.
        session_timeout_ms: i32 [0..],
        /// How long the coordinator waits for the member to join again, in milliseconds; -1 is the session timeout.
        rebalance_timeout_ms: i32 [1..] = -1,
        /// The member, or empty when it joins for the first time.
        member_id: String [0..],
        /// The name of a static member; null for a dynamic one.
        group_instance_id: Option<String> [5..],
        /// The kind of protocol, `consumer` for consumers.
        protocol_type: String [0..],
        /// The protocols the member can do, the preferred one first.
        protocols: Vec<JoinGroupRequestProtocol> [0..],
        /// Why the member joins, for people to read.
        reason: Option<String> [8..],
    }

    /// A protocol the member can do.
    pub struct JoinGroupRequestProtocol {
        /// The protocol's name.
        name: String [0..],
        /// What the leader needs to know about the member; consumers send their subscription.
        metadata: Bytes [0..],
    }

    /// The generation the member belongs to.
    pub struct JoinGroupResponse [0..=9, flexible 6..] {
        /// How long the client should wait before it sends again, in milliseconds.
        throttle_time_ms: i32 [2..],
        /// An error, or 0.
        error_code: ErrorCode [0..],
        /// The generation of the group.
        generation_id: i32 [0..] = -1,
        /// The kind of protocol, `consumer` for consumers.
        protocol_type: Option<String> [7..],
        /// The chosen protocol.
        protocol_name: Option<String> [0.., nullable 7..],
        /// The member that assigns the partitions.
        leader: String [0..],
        /// Whether the leader must leave the assignment as it is.
        skip_assignment: bool [9..],
        /// The member's id.
        member_id: String [0..],
        /// All members for the leader; none for the others.
        members: Vec<JoinGroupResponseMember> [0..],
    }

    /// A member, as the leader needs to know it.
    pub struct JoinGroupResponseMember {
        /// The member's id.
        member_id: String [0..],
        /// The name of a static member; null for a dynamic one.
        group_instance_id: Option<String> [5..],
        /// What the member sent with the chosen protocol.
        metadata: Bytes [0..],
    }
}
