//! Commands about access control entries, and what they look like.

use crate::codec::coded_struct;

/// Kafka's number for "any" in a filter: of a resource type, a kind of name, an operation or a permission.
pub const ANY: u8 = 1;
/// A kind of name: all entries that concern the name, be it literally, by a prefix or as `*`.
pub const MATCH: u8 = 2;
/// A kind of name: the name itself.
pub const LITERAL: u8 = 3;
/// A kind of name: every name that begins so.
pub const PREFIXED: u8 = 4;
/// The name that stands for every one.
pub const WILDCARD: &str = "*";

/// One access control entry. Types, operations and permissions are Kafka's numbers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Acl {
    /// 2 topic, 3 group, 4 cluster, 5 transactional id, 6 delegation token, 7 user.
    pub resource_type: u8,
    /// [`LITERAL`] or [`PREFIXED`].
    pub pattern_type: u8,
    /// The resource's name.
    pub resource_name: String,
    /// Whom it is about, as `User:name`.
    pub principal: String,
    /// From where, or [`WILDCARD`].
    pub host: String,
    /// Which operation, 2 for all.
    pub operation: u8,
    /// 2 denies, 3 allows.
    pub permission: u8,
}
coded_struct!(Acl {
    resource_type: u8,
    pattern_type: u8,
    resource_name: String,
    principal: String,
    host: String,
    operation: u8,
    permission: u8,
});

/// Which entries are meant. `None`, and [`ANY`], match everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AclFilter {
    /// The type of resource.
    pub resource_type: u8,
    /// The kind of name.
    pub pattern_type: u8,
    /// The resource's name.
    pub resource_name: Option<String>,
    /// Whom it is about.
    pub principal: Option<String>,
    /// From where.
    pub host: Option<String>,
    /// Which operation.
    pub operation: u8,
    /// Whether it denies or allows.
    pub permission: u8,
}
coded_struct!(AclFilter {
    resource_type: u8,
    pattern_type: u8,
    resource_name: Option<String>,
    principal: Option<String>,
    host: Option<String>,
    operation: u8,
    permission: u8,
});

impl AclFilter {
    /// Whether an entry is meant.
    pub fn matches(&self, acl: &Acl) -> bool {
        let number = |wanted: u8, actual: u8| wanted == ANY || wanted == actual;
        let text =
            |wanted: &Option<String>, actual: &str| wanted.as_deref().is_none_or(|wanted| wanted == actual);
        number(self.resource_type, acl.resource_type)
            && self.matches_name(acl)
            && text(&self.principal, &acl.principal)
            && text(&self.host, &acl.host)
            && number(self.operation, acl.operation)
            && number(self.permission, acl.permission)
    }

    fn matches_name(&self, acl: &Acl) -> bool {
        let Some(name) = self.resource_name.as_deref() else {
            return [ANY, MATCH, acl.pattern_type].contains(&self.pattern_type);
        };
        match self.pattern_type {
            ANY => acl.resource_name == name,
            MATCH if acl.pattern_type == PREFIXED => name.starts_with(&acl.resource_name),
            MATCH => acl.resource_name == name || acl.resource_name == WILDCARD,
            kind => acl.pattern_type == kind && acl.resource_name == name,
        }
    }
}
