//! What the requests about access control entries have in common.
//!
//! Entries exist where `authorizer.class.name` names an authorizer, as in Kafka; without one every request is refused
//! with 54. Nobody is authenticated, so that every client is `User:ANONYMOUS`, who counts as a super user: entries are
//! kept, shown and removed, and take nothing from anybody.

use chronik_coord::{Acl, AclFilter, Action, CommandReply, ItemError};
use chronik_wire::error_code::ErrorCode;

use crate::config_admin::refusal;
use crate::errors;
use crate::handlers::Context;

/// A filter as the requests state it: numbers are Kafka's.
pub(crate) struct StatedFilter {
    pub(crate) resource_type: i8,
    pub(crate) pattern_type: i8,
    pub(crate) resource_name: Option<String>,
    pub(crate) principal: Option<String>,
    pub(crate) host: Option<String>,
    pub(crate) operation: i8,
    pub(crate) permission: i8,
}

impl StatedFilter {
    /// The filter to look with. "Unknown" and what Kafka has no number for match nothing and are refused.
    pub(crate) fn read(self) -> Result<AclFilter, ItemError> {
        Ok(AclFilter {
            resource_type: known("resource type", self.resource_type, 7)?,
            pattern_type: known("kind of name", self.pattern_type, 4)?,
            resource_name: self.resource_name,
            principal: self.principal,
            host: self.host,
            operation: known("operation", self.operation, 15)?,
            permission: known("permission", self.permission, 3)?,
        })
    }
}

fn known(what: &str, number: i8, most: u8) -> Result<u8, ItemError> {
    let known = u8::try_from(number).ok().filter(|number| (1..=most).contains(number));
    known.ok_or_else(|| refusal(format!("{what} {number} is unknown; give 1 (any) to {most}")))
}

/// A number of an entry; one that is no byte becomes 0, which the controller refuses.
pub(crate) fn entry_number(number: i8) -> u8 {
    u8::try_from(number).unwrap_or(0)
}

/// The numbers of an entry as answers carry them: resource type, kind of name, operation and permission.
pub(crate) fn shown_numbers(acl: &Acl) -> [i8; 4] {
    [acl.resource_type, acl.pattern_type, acl.operation, acl.permission]
        .map(|number| i8::try_from(number).unwrap_or(0))
}

impl Context {
    /// Demands an authorizer.
    pub(crate) fn authorizer(&self) -> Result<(), ItemError> {
        let config = &self.broker.node.config;
        let image = self.broker.node.image();
        let resolved = image.broker_config("authorizer.class.name", config.node, &config.broker_config);
        if resolved.and_then(|resolved| resolved.value).is_some_and(|name| !name.is_empty()) {
            return Ok(());
        }
        let message = "no authorizer is configured; set authorizer.class.name to keep entries".to_owned();
        Err(ItemError { code: ErrorCode::SECURITY_DISABLED, message })
    }

    /// Has the controller change the entries, and waits until every live node knows it.
    pub(crate) async fn change_acls(&self, action: Action) -> Result<CommandReply, ItemError> {
        let deadline_ms = self.admin_deadline_ms();
        let reply = self.broker.controller_call(action, deadline_ms).await;
        let reply = reply.map_err(|error| errors::refused(&error))?;
        if !self.broker.await_topics(reply.at, &[], deadline_ms).await {
            let message = "the entries are changed, but not every node knew it in time".to_owned();
            return Err(ItemError { code: ErrorCode::REQUEST_TIMED_OUT, message });
        }
        Ok(reply)
    }
}
