//! DeleteGroups (key 42), versions 0-2: deletes empty groups. Versions: 2 flexible.

use crate::error_code::ErrorCode;

message! {
    /// Names the groups to delete.
    pub struct DeleteGroupsRequest [0..=2, flexible 2..] {
        /// The groups to delete.
        groups_names: Vec<String> [0..],
    }

    /// What became of the groups.
    pub struct DeleteGroupsResponse [0..=2, flexible 2..] {
        /// How long the client should wait before it sends again, in milliseconds.
        throttle_time_ms: i32 [0..],
        /// One result per group.
        results: Vec<DeletableGroupResult> [0..],
    }

    /// What became of one group.
    pub struct DeletableGroupResult {
        /// The group.
        group_id: String [0..],
        /// An error of this group.
        error_code: ErrorCode [0..],
    }
}
