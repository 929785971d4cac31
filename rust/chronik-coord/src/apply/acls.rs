//! Access control entries: kept and found again. Nothing here decides what anybody may do.

use std::sync::Arc;

use chronik_wire::error_code::ErrorCode;

use crate::command::acls::{LITERAL, PREFIXED};
use crate::command::{Acl, AclFilter};
use crate::controller::State;
use crate::limits;
use crate::reply::ItemError;

/// The resource types that entries can be about.
const RESOURCE_TYPES: std::ops::RangeInclusive<u8> = 2..=7;
/// The resource type of the cluster, and the only name it can have.
const CLUSTER: (u8, &str) = (4, "kafka-cluster");
/// The operations that entries can be about.
const OPERATIONS: std::ops::RangeInclusive<u8> = 2..=15;
/// To deny and to allow.
const PERMISSIONS: std::ops::RangeInclusive<u8> = 2..=3;

/// Adds each entry on its own; one that is there already stays as it is.
pub(crate) fn create(state: &mut State, acls: &[Acl]) -> Vec<Result<(), ItemError>> {
    acls.iter().map(|acl| create_one(state, acl)).collect()
}

fn create_one(state: &mut State, acl: &Acl) -> Result<(), ItemError> {
    check(acl)?;
    if !state.image.acls.contains(acl) && state.image.acls.len() >= limits::ACLS_MAX {
        let message = format!("there are {} access control entries; remove some first", limits::ACLS_MAX);
        return Err(ItemError::new(ErrorCode::POLICY_VIOLATION, message));
    }
    Arc::make_mut(&mut state.image.acls).insert(acl.clone());
    Ok(())
}

fn check(acl: &Acl) -> Result<(), ItemError> {
    let refuse = |message: String| Err(ItemError::new(ErrorCode::INVALID_REQUEST, message));
    if !RESOURCE_TYPES.contains(&acl.resource_type) {
        return refuse(format!("resource type {} cannot have entries; give 2 to 7", acl.resource_type));
    }
    if ![LITERAL, PREFIXED].contains(&acl.pattern_type) {
        return refuse(format!("an entry has no kind of name {}; give 3 or 4", acl.pattern_type));
    }
    if acl.resource_name.is_empty() {
        return refuse("the name of the resource is empty; use \"*\" for every one".to_owned());
    }
    if acl.resource_type == CLUSTER.0 && acl.resource_name != CLUSTER.1 {
        return refuse(format!("the cluster is named {:?}, not {:?}", CLUSTER.1, acl.resource_name));
    }
    if !OPERATIONS.contains(&acl.operation) {
        return refuse(format!("operation {} is unknown; give 2 to 15", acl.operation));
    }
    if !PERMISSIONS.contains(&acl.permission) {
        return refuse(format!("permission {} is unknown; give 2 (deny) or 3 (allow)", acl.permission));
    }
    if !acl.principal.contains(':') {
        return refuse(format!("principal {:?} has no type; write it as User:name", acl.principal));
    }
    Ok(())
}

/// Removes what matches each filter, one after the other, and tells what that was.
pub(crate) fn delete(state: &mut State, filters: &[AclFilter]) -> Vec<Vec<Acl>> {
    let one = |filter: &AclFilter| {
        let matching: Vec<Acl> = state.image.acls.iter().filter(|acl| filter.matches(acl)).cloned().collect();
        Arc::make_mut(&mut state.image.acls).retain(|acl| !filter.matches(acl));
        matching
    };
    filters.iter().map(one).collect()
}
