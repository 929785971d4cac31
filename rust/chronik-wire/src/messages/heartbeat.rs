//! Heartbeat (key 12), versions 0-4: a member of a classic group says that it is alive. Versions: 3 static members · 4
//! flexible.

use crate::error_code::ErrorCode;

message! {
    /// Says that a member is alive.
    pub struct HeartbeatRequest [0..=4, flexible 4..] {
        /// The group.
        group_id: String [0..],
        /// The generation of the group.
        generation_id: i32 [0..],
        /// The member's id.
        member_id: String [0..],
        /// The name of a static member; null for a dynamic one.
        group_instance_id: Option<String> [3..],
    }

    /// Says how the group is.
    pub struct HeartbeatResponse [0..=4, flexible 4..] {
        /// How long the client should wait before it sends again, in milliseconds.
        throttle_time_ms: i32 [1..],
        /// An error, or 0; 27 asks the member to join again.
        error_code: ErrorCode [0..],
    }
}
