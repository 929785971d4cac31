//! Who coordinates a group or a transactional id, asked of any broker.

use std::time::{Duration, Instant};

use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::FindCoordinatorRequest;
pub use chronik_wire::messages::find_coordinator::{GROUP, TRANSACTION};

use crate::client::Client;
use crate::error::BenchError;

/// The last version that asks for one key in the old encoding.
const VERSION_MAX: i16 = 2;
/// Longest wait for a coordinator: the first of a cluster has its topic created for it.
const FIND_TIMEOUT: Duration = Duration::from_secs(20);
/// Pause between two questions.
const FIND_PAUSE: Duration = Duration::from_millis(5);

/// The address of the coordinator of `key`, a group's name or a transactional id as `key_type` says.
pub fn find(client: &mut Client, key: &str, key_type: i8) -> Result<String, BenchError> {
    let version = client.version::<FindCoordinatorRequest>(VERSION_MAX)?;
    let deadline = Instant::now() + FIND_TIMEOUT;
    loop {
        let request =
            FindCoordinatorRequest { key: key.into(), key_type, ..FindCoordinatorRequest::default() };
        let answer = client.call(version, &request)?;
        match answer.error_code {
            ErrorCode::NONE => return Ok(format!("{}:{}", answer.host, answer.port)),
            ErrorCode::COORDINATOR_NOT_AVAILABLE if Instant::now() < deadline => {
                std::thread::sleep(FIND_PAUSE);
            }
            code => return Err(BenchError::Refused { what: format!("FindCoordinator of {key}"), code }),
        }
    }
}

/// Whether a coordinator's answer means that it is about to take office: to be asked again.
pub fn opens_soon(code: ErrorCode) -> bool {
    code == ErrorCode::COORDINATOR_LOAD_IN_PROGRESS || code == ErrorCode::NOT_COORDINATOR
}

/// An error for whatever a coordinator refused.
pub fn refused(what: &str, code: ErrorCode) -> BenchError {
    BenchError::Refused { what: what.into(), code }
}
