//! Commands about brokers and the cluster as a whole: cluster id, registration, producer ids.

use std::sync::Arc;

use chronik_wire::types::NodeId;

use crate::command::{BrokerRegistration, Endpoint};
use crate::controller::State;
use crate::limits;
use crate::reply::{ItemError, ReplyBody};
use chronik_wire::error_code::ErrorCode;

/// Names the cluster, unless it has a name.
pub(crate) fn set_cluster_id(state: &mut State, cluster_id: &str) -> Result<ReplyBody, ItemError> {
    if let Some(in_force) = &state.image.cluster_id {
        return Ok(ReplyBody::ClusterId(in_force.clone()));
    }
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if cluster_id.len() != limits::CLUSTER_ID_BYTES || !cluster_id.bytes().all(legal) {
        return Err(ItemError::new(
            ErrorCode::INVALID_REQUEST,
            format!("cluster id {cluster_id:?} is not a uuid in base64; 22 of [a-zA-Z0-9_-] are needed"),
        ));
    }
    state.image.cluster_id = Some(cluster_id.to_owned());
    Ok(ReplyBody::ClusterId(cluster_id.to_owned()))
}

/// Adds a broker or replaces its registration. One that has left does not come back on the disk it had: a registration that
/// was under way while it left would bring back a node that nobody runs, and everybody would wait for it.
pub(crate) fn register(state: &mut State, registration: &BrokerRegistration) -> Result<ReplyBody, ItemError> {
    check_registration(registration)?;
    let known = state.image.brokers.contains_key(&registration.id);
    if state.image.has_left_with(registration.id, registration.directory) {
        return Err(ItemError::new(
            ErrorCode::INVALID_REQUEST,
            format!(
                "broker {} has left the cluster with this disk; start it on an empty one, as a node that joins",
                registration.id
            ),
        ));
    }
    if !known && state.image.brokers.len() >= limits::BROKERS_MAX {
        return Err(ItemError::new(
            ErrorCode::POLICY_VIOLATION,
            format!("the cluster holds its {} brokers already; unregister one first", limits::BROKERS_MAX),
        ));
    }
    Arc::make_mut(&mut state.image.brokers).insert(registration.id, Arc::new(registration.clone()));
    state.image.join_quorum(registration);
    Ok(ReplyBody::Done)
}

fn check_registration(registration: &BrokerRegistration) -> Result<(), ItemError> {
    let refuse = |message: String| Err(ItemError::new(ErrorCode::INVALID_REQUEST, message));
    if registration.id.0 < 0 {
        return refuse(format!("broker id {} is negative; use 0 or more", registration.id));
    }
    check_endpoint(&registration.endpoint)?;
    for other in [&registration.pinned, &registration.peer].into_iter().flatten() {
        check_endpoint(other)?;
    }
    match &registration.rack {
        Some(rack) if rack.is_empty() || rack.len() > limits::RACK_BYTES_MAX => {
            refuse(format!("rack {rack:?} is empty or longer than {} bytes", limits::RACK_BYTES_MAX))
        }
        _ => Ok(()),
    }
}

fn check_endpoint(endpoint: &Endpoint) -> Result<(), ItemError> {
    if endpoint.host.is_empty() || endpoint.host.len() > limits::HOST_BYTES_MAX || endpoint.port == 0 {
        return Err(ItemError::new(
            ErrorCode::INVALID_REQUEST,
            format!(
                "address {:?}:{} is not usable; give a host of 1 to {} bytes and a port above 0",
                endpoint.host,
                endpoint.port,
                limits::HOST_BYTES_MAX
            ),
        ));
    }
    Ok(())
}

/// Removes a broker that holds no replica, with its overrides.
pub(crate) fn unregister(state: &mut State, id: NodeId) -> Result<ReplyBody, ItemError> {
    let Some(broker) = state.image.brokers.get(&id).cloned() else { return Err(not_registered(id)) };
    let held = state.image.partitions_of(id).count();
    if held > 0 {
        return Err(ItemError::new(
            ErrorCode::INVALID_REQUEST,
            format!("broker {id} holds {held} replicas; move or delete them first"),
        ));
    }
    Arc::make_mut(&mut state.image.brokers).remove(&id);
    state.image.set_broker_overrides(Some(id), Default::default());
    state.image.remember_left(&broker);
    Ok(ReplyBody::Done)
}

/// The error of naming a broker that nobody registered.
pub(crate) fn not_registered(id: NodeId) -> ItemError {
    ItemError::new(ErrorCode::BROKER_ID_NOT_REGISTERED, format!("broker {id} is not registered"))
}

/// Reserves the next block of producer ids.
pub(crate) fn allocate_producer_ids(state: &mut State, broker: NodeId) -> Result<ReplyBody, ItemError> {
    if !state.image.brokers.contains_key(&broker) {
        return Err(not_registered(broker));
    }
    let (first, count) = (state.image.next_producer_id, limits::PRODUCER_ID_BLOCK);
    let next = first.checked_add(count.into()).ok_or_else(|| {
        ItemError::new(ErrorCode::UNKNOWN_SERVER_ERROR, "all producer ids are used up; start a new cluster")
    })?;
    state.image.next_producer_id = next;
    Ok(ReplyBody::ProducerIds { first, count })
}
