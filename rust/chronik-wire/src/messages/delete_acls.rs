//! DeleteAcls (key 31), versions 1-3: removes access control entries. Versions: 2 flexible · 3 user resources.

use crate::error_code::ErrorCode;

message! {
    /// Asks to remove entries that match.
    pub struct DeleteAclsRequest [1..=3, flexible 2..] {
        /// Which entries to remove.
        filters: Vec<DeleteAclsFilter> [1..],
    }

    /// Which entries to remove.
    pub struct DeleteAclsFilter {
        /// The kind of resource: 1 for any.
        resource_type_filter: i8 [1..],
        /// The resource's name; null for any.
        resource_name_filter: Option<String> [1..],
        /// The kind of name: 1 any, 2 all that match the name, 3 literal, 4 prefix.
        pattern_type_filter: i8 [1..] = 3,
        /// The principal; null for any.
        principal_filter: Option<String> [1..],
        /// The host; null for any.
        host_filter: Option<String> [1..],
        /// The operation: 1 for any.
        operation: i8 [1..],
        /// The kind of permission: 1 any, 2 deny, 3 allow.
        permission_type: i8 [1..],
    }

    /// What became of the entries.
    pub struct DeleteAclsResponse [1..=3, flexible 2..] {
        /// How long the client should wait before it sends again, in milliseconds.
        throttle_time_ms: i32 [1..],
        /// One result per filter.
        filter_results: Vec<DeleteAclsFilterResult> [1..],
    }

    /// What one filter removed.
    pub struct DeleteAclsFilterResult {
        /// An error of this filter.
        error_code: ErrorCode [1..],
        /// The error in words.
        error_message: Option<String> [1..],
        /// The entries that matched.
        matching_acls: Vec<DeleteAclsMatchingAcl> [1..],
    }

    /// An entry that matched.
    pub struct DeleteAclsMatchingAcl {
        /// An error of this entry.
        error_code: ErrorCode [1..],
        /// The error in words.
        error_message: Option<String> [1..],
        /// 2 topic, 3 group, 4 cluster, 5 transactional id, 6 delegation token, 7 user.
        resource_type: i8 [1..],
        /// The resource's name.
        resource_name: String [1..],
        /// The kind of name: 3 literal, 4 prefix.
        pattern_type: i8 [1..] = 3,
        /// The principal, as `User:name`.
        principal: String [1..],
        /// The host; `*` for any.
        host: String [1..],
        /// The operation.
        operation: i8 [1..],
        /// 2 denies, 3 allows.
        permission_type: i8 [1..],
    }
}
