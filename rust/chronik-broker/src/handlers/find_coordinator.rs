//! FindCoordinator (key 10), versions 0-6.
//!
//! Behaviour: names the leader of the partition that is responsible for a key, and creates the internal topic when
//! somebody asks for the first time. 15 while nobody leads it. On the pinned address: this node for every key, which
//! carries requests to whoever it is.
//! Versions: 1 kinds of keys, error message · 3 flexible · 4 several keys · 6 share groups.
//! Tests: tests/groups.rs, tests/test_groups.py.

use chronik_coord::Endpoint;
use chronik_coord::share::ShareKey;
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::find_coordinator::{
    Coordinator, FindCoordinatorRequest, FindCoordinatorResponse, GROUP, SHARE, TRANSACTION,
};

use super::{Answer, Context};
use crate::connection::CloseReason;
use crate::coordination::InternalTopic;
use crate::limits;

const SEVERAL_KEYS_FROM: i16 = 4;
const NOBODY: i32 = -1;

pub(crate) async fn handle(
    context: Context,
    mut request: FindCoordinatorRequest,
) -> Answer<FindCoordinatorResponse> {
    if request.coordinator_keys.len() > limits::REQUEST_PARTITIONS_MAX {
        return Err(CloseReason::Unanswerable("a find coordinator request names too many keys"));
    }
    if context.version < SEVERAL_KEYS_FROM {
        let found = find(&context, request.key_type, std::mem::take(&mut request.key)).await;
        return Ok(Some(FindCoordinatorResponse {
            error_code: found.error_code,
            error_message: found.error_message,
            node_id: found.node_id,
            host: found.host,
            port: found.port,
            ..Default::default()
        }));
    }
    let mut coordinators = Vec::with_capacity(request.coordinator_keys.len());
    for key in request.coordinator_keys {
        coordinators.push(find(&context, request.key_type, key).await);
    }
    Ok(Some(FindCoordinatorResponse { coordinators, ..Default::default() }))
}

async fn find(context: &Context, key_type: i8, key: String) -> Coordinator {
    let topic = match key_type {
        GROUP => InternalTopic::ConsumerOffsets,
        TRANSACTION => InternalTopic::TransactionState,
        SHARE if ShareKey::from_name(&key).is_none() => {
            return nobody(
                key,
                ErrorCode::INVALID_REQUEST,
                "a share-partition is named group:topicId:partition",
            );
        }
        SHARE => InternalTopic::ShareGroupState,
        _ => {
            let message = "key types are 0 for groups, 1 for transactions and 2 for share groups";
            return nobody(key, ErrorCode::INVALID_REQUEST, message);
        }
    };
    let deadline_ms = context.arrived_ms + limits::COORDINATOR_SEARCH_MS;
    let node = match context.broker.coordinator_of(topic, &key, deadline_ms).await {
        Ok(_) if context.connection.pinned => context.broker.node.config.node,
        Ok(node) => node,
        Err(code) => return nobody(key, code, "the coordinator's partition has no leader; ask again"),
    };
    let Some(Endpoint { host, port }) = context.address_of(node) else {
        return nobody(key, ErrorCode::COORDINATOR_NOT_AVAILABLE, "the coordinator's address is not known");
    };
    Coordinator {
        key,
        node_id: node.0,
        host,
        port: i32::from(port),
        error_code: ErrorCode::NONE,
        error_message: None,
    }
}

fn nobody(key: String, error_code: ErrorCode, message: &str) -> Coordinator {
    Coordinator {
        key,
        node_id: NOBODY,
        host: String::new(),
        port: NOBODY,
        error_code,
        error_message: Some(message.to_owned()),
    }
}
