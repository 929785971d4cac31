//! One transactional id: who may write under it, and where its transaction stands.
//!
//! Owns the facts that a record of `__transaction_state` holds, and the steps from one record to the next. A step is a
//! pure function of the present facts; whether it may be taken is decided by the requests (`init`, `add`, `end`).
//!
//! The two ways of ending. Up to transaction version 1 a producer keeps its epoch from one transaction to the next. From
//! version 2 on (KIP-890) every end raises the epoch, and the marker carries the raised one: whatever the producer sent
//! before is fenced by the end itself, so that nothing late can slip into the next transaction.

use std::collections::BTreeSet;
use std::sync::Arc;

use chronik_wire::types::PartitionIndex;

/// In place of a producer id where there is none.
pub(crate) const NO_PRODUCER_ID: i64 = -1;
/// In place of an epoch where there is none.
pub(crate) const NO_EPOCH: i16 = -1;
/// In place of a time where there is none.
pub(crate) const NO_TIMESTAMP: i64 = -1;
/// The highest epoch a producer is ever given. One is kept back, so that it can still be fenced.
pub(crate) const LAST_EPOCH: i16 = i16::MAX - 1;
/// The transaction version from which on every end raises the epoch.
pub(crate) const EPOCH_RAISING_VERSION: i16 = 2;

/// Partitions by topic name, in order.
pub(crate) type Partitions = BTreeSet<(Arc<str>, PartitionIndex)>;

/// Where a transaction stands. A transactional id whose time has run out is gone at once, so that Kafka's `Dead` and
/// `PrepareEpochFence`, which never reach its log either, do not occur.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TransactionStatus {
    /// No transaction yet under this producer epoch.
    Empty,
    /// Open: partitions are being written.
    Ongoing,
    /// To be committed; the markers are under way.
    PrepareCommit,
    /// To be aborted; the markers are under way.
    PrepareAbort,
    /// Committed everywhere.
    CompleteCommit,
    /// Aborted everywhere.
    CompleteAbort,
}

impl TransactionStatus {
    /// All of them, in the order of their numbers.
    pub const ALL: [TransactionStatus; 6] = [
        TransactionStatus::Empty,
        TransactionStatus::Ongoing,
        TransactionStatus::PrepareCommit,
        TransactionStatus::PrepareAbort,
        TransactionStatus::CompleteCommit,
        TransactionStatus::CompleteAbort,
    ];

    /// Kafka's name of it.
    pub fn name(self) -> &'static str {
        match self {
            TransactionStatus::Empty => "Empty",
            TransactionStatus::Ongoing => "Ongoing",
            TransactionStatus::PrepareCommit => "PrepareCommit",
            TransactionStatus::PrepareAbort => "PrepareAbort",
            TransactionStatus::CompleteCommit => "CompleteCommit",
            TransactionStatus::CompleteAbort => "CompleteAbort",
        }
    }

    /// Kafka's number of it.
    pub fn number(self) -> i8 {
        match self {
            TransactionStatus::Empty => 0,
            TransactionStatus::Ongoing => 1,
            TransactionStatus::PrepareCommit => 2,
            TransactionStatus::PrepareAbort => 3,
            TransactionStatus::CompleteCommit => 4,
            TransactionStatus::CompleteAbort => 5,
        }
    }

    /// The status of this number.
    pub fn from_number(number: i8) -> Option<TransactionStatus> {
        TransactionStatus::ALL.into_iter().find(|status| status.number() == number)
    }

    /// Whether the outcome is decided and the markers are under way.
    pub fn is_prepared(self) -> bool {
        matches!(self, TransactionStatus::PrepareCommit | TransactionStatus::PrepareAbort)
    }
}

/// What is so of one transactional id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// The producer id in use.
    pub(crate) producer_id: i64,
    /// The producer id before the last step, or -1.
    pub(crate) previous_producer_id: i64,
    /// The producer id that takes over when the transaction is complete, or -1.
    pub(crate) next_producer_id: i64,
    /// The epoch of the producer id.
    pub(crate) producer_epoch: i16,
    /// The epoch before the last one that was given to the same producer, or -1 if another producer had it.
    pub(crate) last_producer_epoch: i16,
    /// How long a transaction may stay open, in milliseconds.
    pub(crate) timeout_ms: i32,
    /// Where it stands.
    pub(crate) status: TransactionStatus,
    /// Where markers must go.
    pub(crate) partitions: Partitions,
    /// When the transaction began, in milliseconds since the Unix epoch, or -1.
    pub(crate) started_ms: i64,
    /// When the last step was taken, in milliseconds since the Unix epoch.
    pub(crate) updated_ms: i64,
    /// The transaction version of the last step.
    pub(crate) version: i16,
}

impl Transaction {
    /// A transactional id on its first day.
    pub(crate) fn new(producer_id: i64, timeout_ms: i32, wall_ms: i64) -> Transaction {
        Transaction {
            producer_id,
            previous_producer_id: NO_PRODUCER_ID,
            next_producer_id: NO_PRODUCER_ID,
            producer_epoch: 0,
            last_producer_epoch: NO_EPOCH,
            timeout_ms,
            status: TransactionStatus::Empty,
            partitions: Partitions::new(),
            started_ms: NO_TIMESTAMP,
            updated_ms: wall_ms,
            version: 0,
        }
    }

    /// Where it stands.
    pub fn status(&self) -> TransactionStatus {
        self.status
    }

    /// The producer id in use and its epoch.
    pub fn producer(&self) -> (i64, i16) {
        (self.producer_id, self.producer_epoch)
    }

    /// The partitions that get, or lack, a marker.
    pub fn partitions(&self) -> impl Iterator<Item = &(Arc<str>, PartitionIndex)> {
        self.partitions.iter()
    }

    /// Whether the next epoch could not be given to a producer any more.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.producer_epoch >= LAST_EPOCH
    }

    /// A producer begins: the epoch rises, which fences the one before. `continues`: it is the same producer, which may
    /// ask again if the answer is lost.
    pub(crate) fn with_raised_epoch(&self, timeout_ms: i32, continues: bool, wall_ms: i64) -> Transaction {
        let last = if continues { self.producer_epoch } else { NO_EPOCH };
        self.initialised(self.producer_id, self.producer_epoch + 1, last, timeout_ms, wall_ms)
    }

    /// A producer begins under another producer id, because the epochs of the old one are used up.
    pub(crate) fn with_producer_id(
        &self,
        producer_id: i64,
        timeout_ms: i32,
        continues: bool,
        wall_ms: i64,
    ) -> Transaction {
        let last = if continues { self.producer_epoch } else { NO_EPOCH };
        self.initialised(producer_id, 0, last, timeout_ms, wall_ms)
    }

    /// A producer repeats the request that gave it its epoch.
    pub(crate) fn initialised_again(&self, timeout_ms: i32, wall_ms: i64) -> Transaction {
        let previous = self.previous_producer_id;
        let again = self.initialised(
            self.producer_id,
            self.producer_epoch,
            self.last_producer_epoch,
            timeout_ms,
            wall_ms,
        );
        // The third repetition must find what the second found.
        Transaction { previous_producer_id: previous, ..again }
    }

    fn initialised(
        &self,
        producer_id: i64,
        producer_epoch: i16,
        last_producer_epoch: i16,
        timeout_ms: i32,
        wall_ms: i64,
    ) -> Transaction {
        Transaction {
            producer_id,
            previous_producer_id: self.producer_id,
            next_producer_id: NO_PRODUCER_ID,
            producer_epoch,
            last_producer_epoch,
            timeout_ms,
            status: TransactionStatus::Empty,
            partitions: Partitions::new(),
            started_ms: NO_TIMESTAMP,
            updated_ms: self.not_before(wall_ms),
            version: self.version,
        }
    }

    /// The transaction reaches these partitions too; the first ones open it.
    pub(crate) fn with_partitions(&self, added: Partitions, version: i16, wall_ms: i64) -> Transaction {
        let (mut partitions, started_ms) = match self.status {
            TransactionStatus::Ongoing => (self.partitions.clone(), self.started_ms),
            _ => (Partitions::new(), self.not_before(wall_ms)),
        };
        partitions.extend(added);
        Transaction {
            previous_producer_id: self.producer_id,
            status: TransactionStatus::Ongoing,
            partitions,
            started_ms,
            updated_ms: self.not_before(wall_ms),
            version,
            ..self.clone()
        }
    }

    /// The producer has decided. From transaction version 2 on the epoch rises, and `next_producer_id` takes over if it
    /// was the last one.
    pub(crate) fn decided(
        &self,
        commit: bool,
        version: i16,
        next_producer_id: i64,
        wall_ms: i64,
    ) -> Transaction {
        let raise = version >= EPOCH_RAISING_VERSION;
        let open = self.status == TransactionStatus::Ongoing;
        Transaction {
            previous_producer_id: self.producer_id,
            next_producer_id,
            producer_epoch: if raise { self.producer_epoch.saturating_add(1) } else { self.producer_epoch },
            last_producer_epoch: if raise { self.producer_epoch } else { self.last_producer_epoch },
            status: if commit { TransactionStatus::PrepareCommit } else { TransactionStatus::PrepareAbort },
            partitions: if open { self.partitions.clone() } else { Partitions::new() },
            started_ms: if open { self.started_ms } else { self.not_before(wall_ms) },
            updated_ms: self.not_before(wall_ms),
            version,
            ..self.clone()
        }
    }

    /// The coordinator aborts on its own: the time is up, or another producer begins. The epoch rises once, whatever the
    /// producer's version, so that it finds itself fenced.
    pub(crate) fn fenced(&self, wall_ms: i64) -> Transaction {
        Transaction {
            last_producer_epoch: NO_EPOCH,
            ..self.decided(false, EPOCH_RAISING_VERSION, NO_PRODUCER_ID, wall_ms)
        }
    }

    /// Every marker is written.
    pub(crate) fn completed(&self, wall_ms: i64) -> Transaction {
        let (producer_id, producer_epoch) = match self.next_producer_id {
            NO_PRODUCER_ID => (self.producer_id, self.producer_epoch),
            next => (next, 0),
        };
        Transaction {
            producer_id,
            previous_producer_id: self.producer_id,
            next_producer_id: NO_PRODUCER_ID,
            producer_epoch,
            status: match self.status {
                TransactionStatus::PrepareCommit => TransactionStatus::CompleteCommit,
                _ => TransactionStatus::CompleteAbort,
            },
            partitions: Partitions::new(),
            updated_ms: self.not_before(wall_ms),
            ..self.clone()
        }
    }

    /// The same outcome under another producer id, for a producer that would otherwise be given the epoch kept back for
    /// fencing.
    pub(crate) fn completed_under(&self, producer_id: i64, wall_ms: i64) -> Transaction {
        Transaction {
            producer_id,
            previous_producer_id: self.producer_id,
            producer_epoch: 0,
            last_producer_epoch: LAST_EPOCH,
            updated_ms: self.not_before(wall_ms),
            ..self.clone()
        }
    }

    /// A wall clock that was set back must not make a record older than the one before.
    fn not_before(&self, wall_ms: i64) -> i64 {
        wall_ms.max(self.updated_ms)
    }
}
