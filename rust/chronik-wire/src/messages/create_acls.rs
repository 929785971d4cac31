//! CreateAcls (key 30), versions 1-3: adds access control entries. Versions: 2 flexible · 3 user resources.

use crate::error_code::ErrorCode;

message! {
    /// Asks for new entries.
    pub struct CreateAclsRequest [1..=3, flexible 2..] {
        /// The entries to add.
        creations: Vec<AclCreation> [1..],
    }

    /// An entry to add.
    pub struct AclCreation {
        /// 2 topic, 3 group, 4 cluster, 5 transactional id, 6 delegation token, 7 user.
        resource_type: i8 [1..],
        /// The resource's name.
        resource_name: String [1..],
        /// The kind of name: 3 literal, 4 prefix.
        resource_pattern_type: i8 [1..] = 3,
        /// The principal, as `User:name`.
        principal: String [1..],
        /// The host; `*` for any.
        host: String [1..],
        /// The operation.
        operation: i8 [1..],
        /// 2 denies, 3 allows.
        permission_type: i8 [1..],
    }

    /// What became of the entries.
    pub struct CreateAclsResponse [1..=3, flexible 2..] {
        /// How long the client should wait before it sends again, in milliseconds.
        throttle_time_ms: i32 [1..],
        /// One result per entry.
        results: Vec<AclCreationResult> [1..],
    }

    /// What became of one entry.
    pub struct AclCreationResult {
        /// An error of this entry.
        error_code: ErrorCode [1..],
        /// The error in words.
        error_message: Option<String> [1..],
    }
}
