//! DescribeGroups (key 15), versions 0-6: classic groups with their members. Versions: 3 authorized operations · 4
//! static members · 5 flexible · 6 an unknown group is error 69, with a message.

use bytes::Bytes;

use super::common::OPERATIONS_UNKNOWN;
use crate::error_code::ErrorCode;

message! {
    /// Asks about groups.
    pub struct DescribeGroupsRequest [0..=6, flexible 5..] {
        /// The groups asked about.
        groups: Vec<String> [0..],
        /// Whether to say what the client may do.
        include_authorized_operations: bool [3..],
    }

    /// The groups.
    pub struct DescribeGroupsResponse [0..=6, flexible 5..] {
        /// How long the client should wait before it sends again, in milliseconds.
        throttle_time_ms: i32 [1..],
        /// One result per group.
        groups: Vec<DescribedGroup> [0..],
    }

    /// One group.
    pub struct DescribedGroup {
        /// An error of this group.
        error_code: ErrorCode [0..],
        /// The error in words.
        error_message: Option<String> [6..],
        /// The group.
        group_id: String [0..],
        /// Kafka's name of the group's state.
        group_state: String [0..],
        /// The kind of protocol, `consumer` for consumers.
        protocol_type: String [0..],
        /// The chosen protocol, or empty.
        protocol_data: String [0..],
        /// The members.
        members: Vec<DescribedGroupMember> [0..],
        /// The operations the client may do on the group, as a bit field.
        authorized_operations: i32 [3..] = OPERATIONS_UNKNOWN,
    }

    /// One member.
    pub struct DescribedGroupMember {
        /// The member's id.
        member_id: String [0..],
        /// The name of a static member; null for a dynamic one.
        group_instance_id: Option<String> [4..],
        /// The client's id.
        client_id: String [0..],
        /// The client's address.
        client_host: String [0..],
        /// What the member sent with the chosen protocol.
        member_metadata: Bytes [0..],
        /// What the member was given.
        member_assignment: Bytes [0..],
    }
}
