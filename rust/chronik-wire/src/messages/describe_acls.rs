//! DescribeAcls (key 29), versions 1-3: access control entries. Versions: 2 flexible · 3 user resources.

use crate::error_code::ErrorCode;

message! {
    /// Asks for entries that match.
    pub struct DescribeAclsRequest [1..=3, flexible 2..] {
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

    /// The entries.
    pub struct DescribeAclsResponse [1..=3, flexible 2..] {
        /// How long the client should wait before it sends again, in milliseconds.
        throttle_time_ms: i32 [1..],
        /// An error, or 0.
        error_code: ErrorCode [1..],
        /// The error in words.
        error_message: Option<String> [1..],
        /// The resources that have entries.
        resources: Vec<DescribeAclsResource> [1..],
    }

    /// The entries of one resource.
    pub struct DescribeAclsResource {
        /// 2 topic, 3 group, 4 cluster, 5 transactional id, 6 delegation token, 7 user.
        resource_type: i8 [1..],
        /// The resource's name.
        resource_name: String [1..],
        /// The kind of name: 3 literal, 4 prefix.
        pattern_type: i8 [1..] = 3,
        /// The entries.
        acls: Vec<AclDescription> [1..],
    }

    /// One entry.
    pub struct AclDescription {
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
