//! FindCoordinator (key 10), versions 0-6.
//!
//! Behaviour: 15 for every key, which is the truth: neither groups nor transactions have a coordinator yet.
//! Versions: 1 kinds of keys, error message · 3 flexible · 4 several keys · 6 share groups.
//! Not done: consumer groups, transactions, share groups.
//! Tests: tests/producer_ids.rs.

use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::find_coordinator::{
    Coordinator, FindCoordinatorRequest, FindCoordinatorResponse, GROUP, SHARE, TRANSACTION,
};

use super::{Answer, Context};
use crate::connection::CloseReason;
use crate::limits;

const SEVERAL_KEYS_FROM: i16 = 4;
const NOBODY: i32 = -1;

pub(crate) async fn handle(
    context: Context,
    request: FindCoordinatorRequest,
) -> Answer<FindCoordinatorResponse> {
    if request.coordinator_keys.len() > limits::REQUEST_PARTITIONS_MAX {
        return Err(CloseReason::Unanswerable("a find coordinator request names too many keys"));
    }
    let (error_code, message) = match request.key_type {
        GROUP => {
            (ErrorCode::COORDINATOR_NOT_AVAILABLE, "consumer groups are not supported yet; assign partitions")
        }
        TRANSACTION => (ErrorCode::COORDINATOR_NOT_AVAILABLE, "transactions are not supported yet"),
        SHARE => (ErrorCode::COORDINATOR_NOT_AVAILABLE, "share groups are not supported yet"),
        _ => (
            ErrorCode::INVALID_REQUEST,
            "key types are 0 for groups, 1 for transactions and 2 for share groups",
        ),
    };
    let error_message = Some(message.to_owned());
    if context.version < SEVERAL_KEYS_FROM {
        let (node_id, port) = (NOBODY, NOBODY);
        return Ok(Some(FindCoordinatorResponse {
            error_code,
            error_message,
            node_id,
            port,
            ..Default::default()
        }));
    }
    let nobody = |key| Coordinator {
        key,
        node_id: NOBODY,
        host: String::new(),
        port: NOBODY,
        error_code,
        error_message: error_message.clone(),
    };
    let coordinators = request.coordinator_keys.into_iter().map(nobody).collect();
    Ok(Some(FindCoordinatorResponse { coordinators, ..Default::default() }))
}
