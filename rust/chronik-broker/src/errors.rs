//! The one place where inner errors become Kafka error codes: one function per family of requests.

use crate::controller::ControllerError;
use chronik_coord::ItemError;
use chronik_mutants::{Mutant, planted};
use chronik_replica::{AppendError, GateErrorKind, Index, ReadError, ReadView, ReplicaError};
use chronik_wire::error_code::ErrorCode;
use chronik_wire::types::LeaderEpoch;

/// First Fetch version whose clients know 78.
const FETCH_KNOWS_OFFSET_NOT_AVAILABLE: i16 = 11;
/// First Produce version whose clients know 120.
const PRODUCE_KNOWS_TRANSACTION_ABORTABLE: i16 = 11;
/// First Produce version that adds partitions to its transaction by itself (KIP-890).
pub(crate) const PRODUCE_ADDS_PARTITIONS: i16 = 12;
/// First ListOffsets version whose clients know 78.
const LIST_OFFSETS_KNOWS_OFFSET_NOT_AVAILABLE: i16 = 5;

/// A gate that a Fetch could not pass. Up to version 10 every failure is 6: refresh the metadata.
pub(crate) fn fetch_gate(kind: GateErrorKind, version: i16) -> ErrorCode {
    match kind {
        GateErrorKind::Stopped => ErrorCode::KAFKA_STORAGE_ERROR,
        GateErrorKind::Behind if version >= FETCH_KNOWS_OFFSET_NOT_AVAILABLE => {
            ErrorCode::OFFSET_NOT_AVAILABLE
        }
        GateErrorKind::Behind | GateErrorKind::NoLeader | GateErrorKind::Removed => {
            ErrorCode::NOT_LEADER_OR_FOLLOWER
        }
    }
}

/// A gate that ListOffsets could not pass: 78 from version 5, 5 below, as Kafka does.
pub(crate) fn list_offsets_gate(kind: GateErrorKind, version: i16) -> ErrorCode {
    match kind {
        GateErrorKind::Stopped => ErrorCode::KAFKA_STORAGE_ERROR,
        GateErrorKind::Removed => ErrorCode::NOT_LEADER_OR_FOLLOWER,
        GateErrorKind::Behind | GateErrorKind::NoLeader
            if version >= LIST_OFFSETS_KNOWS_OFFSET_NOT_AVAILABLE =>
        {
            ErrorCode::OFFSET_NOT_AVAILABLE
        }
        GateErrorKind::Behind | GateErrorKind::NoLeader => ErrorCode::LEADER_NOT_AVAILABLE,
    }
}

/// What was true of the replica that passed a gate must be true of the one that answers: a node that leaves a group and
/// joins it again has another one in its place, which begins with nothing.
pub(crate) fn check_pass(pass: Index, view: &ReadView) -> Result<(), ErrorCode> {
    // These bugs let readers pass too early, which would be made good here.
    let planted_before = planted(Mutant::ApplyNotAwaited) || planted(Mutant::CommittedNotApplied);
    if view.applied < pass && !planted_before { Err(ErrorCode::NOT_LEADER_OR_FOLLOWER) } else { Ok(()) }
}

/// A gate that OffsetForLeaderEpoch could not pass.
pub(crate) fn epoch_gate(kind: GateErrorKind) -> ErrorCode {
    match kind {
        GateErrorKind::Stopped => ErrorCode::KAFKA_STORAGE_ERROR,
        GateErrorKind::Removed => ErrorCode::NOT_LEADER_OR_FOLLOWER,
        GateErrorKind::Behind | GateErrorKind::NoLeader => ErrorCode::OFFSET_NOT_AVAILABLE,
    }
}

/// A gate that a leader's own answer could not pass: it may lead no longer.
pub(crate) fn leader_gate(kind: GateErrorKind) -> ErrorCode {
    match kind {
        GateErrorKind::Stopped => ErrorCode::KAFKA_STORAGE_ERROR,
        GateErrorKind::Removed | GateErrorKind::Behind | GateErrorKind::NoLeader => {
            ErrorCode::NOT_LEADER_OR_FOLLOWER
        }
    }
}

/// What a transaction's coordinator objected to, as a Produce of this version says it. Where the coordinator could not
/// answer, the batch is to be repeated as it is: clients do so on 19, and ask for no metadata in vain.
pub(crate) fn verification(code: ErrorCode, version: i16) -> ErrorCode {
    match code {
        ErrorCode::COORDINATOR_LOAD_IN_PROGRESS
        | ErrorCode::COORDINATOR_NOT_AVAILABLE
        | ErrorCode::NOT_COORDINATOR
        | ErrorCode::NETWORK_EXCEPTION
        | ErrorCode::REQUEST_TIMED_OUT => ErrorCode::NOT_ENOUGH_REPLICAS,
        ErrorCode::CONCURRENT_TRANSACTIONS if version < PRODUCE_ADDS_PARTITIONS => {
            ErrorCode::NOT_ENOUGH_REPLICAS
        }
        ErrorCode::TRANSACTION_ABORTABLE if version < PRODUCE_KNOWS_TRANSACTION_ABORTABLE => {
            ErrorCode::INVALID_TXN_STATE
        }
        ErrorCode::PRODUCER_FENCED => ErrorCode::INVALID_PRODUCER_EPOCH,
        other => other,
    }
}

/// A replica that cannot be asked.
pub(crate) fn replica(error: &ReplicaError) -> ErrorCode {
    match error {
        ReplicaError::Stopped { .. } => ErrorCode::KAFKA_STORAGE_ERROR,
        _ => ErrorCode::NOT_LEADER_OR_FOLLOWER,
    }
}

/// Records that cannot be read although the range was checked: the bytes are damaged or the disk fails.
pub(crate) fn read(error: &ReadError) -> ErrorCode {
    match error {
        ReadError::OutOfRange { .. } => ErrorCode::OFFSET_OUT_OF_RANGE,
        ReadError::NotHosted { .. } => ErrorCode::NOT_LEADER_OR_FOLLOWER,
        _ => ErrorCode::KAFKA_STORAGE_ERROR,
    }
}

/// A batch that was not appended, or whose fate is open. 6 only when nothing of it can ever commit.
pub(crate) fn append(error: &AppendError) -> ErrorCode {
    match error {
        AppendError::NotLeader { .. } | AppendError::NotHosted(_) | AppendError::Overloaded(_) => {
            ErrorCode::NOT_LEADER_OR_FOLLOWER
        }
        AppendError::NotEnoughReplicas { .. } => ErrorCode::NOT_ENOUGH_REPLICAS,
        AppendError::NotEnoughReplicasAfterAppend => ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND,
        AppendError::TimedOut => ErrorCode::REQUEST_TIMED_OUT,
        AppendError::Storage => ErrorCode::KAFKA_STORAGE_ERROR,
        AppendError::OutOfOrderSequence { .. } => ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER,
        AppendError::InvalidProducerEpoch { .. } => ErrorCode::INVALID_PRODUCER_EPOCH,
        AppendError::CoordinatorFenced { .. } => ErrorCode::TRANSACTION_COORDINATOR_FENCED,
        AppendError::InvalidTransactionState { .. } => ErrorCode::INVALID_TXN_STATE,
        // Clients repeat the batch on this code without asking for metadata: then it is verified anew.
        AppendError::Unverified { .. } => ErrorCode::NOT_ENOUGH_REPLICAS,
        AppendError::InvalidBatch => ErrorCode::INVALID_RECORD,
    }
}

/// A command that the controller did not carry out, or whose fate is open.
pub(crate) fn controller(error: &ControllerError) -> ErrorCode {
    match error {
        ControllerError::TimedOut { .. } => ErrorCode::REQUEST_TIMED_OUT,
        ControllerError::TooLarge(_) => ErrorCode::POLICY_VIOLATION,
        ControllerError::Overloaded(_) => ErrorCode::THROTTLING_QUOTA_EXCEEDED,
        ControllerError::Refused(error) => error.code,
    }
}

/// The same with its text, for answers that have one.
pub(crate) fn refused(error: &ControllerError) -> ItemError {
    ItemError { code: controller(error), message: error.to_string() }
}

/// A client that names the leader's epoch is told when it lags (74) or is ahead of this replica (75).
pub(crate) fn check_epoch(client_epoch: i32, own: LeaderEpoch) -> Result<(), ErrorCode> {
    if client_epoch == LeaderEpoch::NONE.0 || client_epoch == own.0 {
        Ok(())
    } else if client_epoch < own.0 {
        Err(ErrorCode::FENCED_LEADER_EPOCH)
    } else {
        Err(ErrorCode::UNKNOWN_LEADER_EPOCH)
    }
}
