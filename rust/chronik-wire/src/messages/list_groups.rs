//! ListGroups (key 16), versions 0-5: the groups this broker coordinates. Versions: 3 flexible · 4 states · 5 types.

use crate::error_code::ErrorCode;

message! {
    /// Asks for groups.
    pub struct ListGroupsRequest [0..=5, flexible 3..] {
        /// The states wanted; none for all.
        states_filter: Vec<String> [4..],
        /// The types wanted; none for all.
        types_filter: Vec<String> [5..],
    }

    /// The groups.
    pub struct ListGroupsResponse [0..=5, flexible 3..] {
        /// How long the client should wait before it sends again, in milliseconds.
        throttle_time_ms: i32 [1..],
        /// An error, or 0.
        error_code: ErrorCode [0..],
        /// The groups.
        groups: Vec<ListedGroup> [0..],
    }

    /// One group.
    pub struct ListedGroup {
        /// The group.
        group_id: String [0..],
        /// The kind of protocol, `consumer` for consumers.
        protocol_type: String [0..],
        /// Kafka's name of the group's state.
        group_state: String [4..],
        /// Kafka's name of the group's type.
        group_type: String [5..],
    }
}
