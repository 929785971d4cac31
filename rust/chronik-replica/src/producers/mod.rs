//! Producer state: what makes a repeated batch harmless, and which transactions are open or were aborted.
//!
//! Per partition and producer id the newest epoch, the last five batches, and where its open transaction began.
//! [`Producers`] and [`AbortedTransactions`] are the replicated level: a pure function of the applied entries, part of
//! every snapshot. [`PendingProducers`] is the leader's second level: its own proposals in flight. A pipelined retry
//! or a marker is judged against both; with one level it would be misjudged. [`Verifications`] are promises a leader
//! keeps between asking a transaction's coordinator and appending.
//! Must not: read a clock. Age comes in by control entries.

mod aborted;
mod judge;
mod pending;
mod snapshot;
mod table;
mod verifications;

pub(crate) use aborted::{Aborted, AbortedTransactions};
pub(crate) use judge::{MarkerVerdict, Verdict, judge_marker};
pub(crate) use pending::{Objection, Original, PendingProducers};
pub(crate) use table::Producers;
pub use verifications::VerificationGuard;
pub(crate) use verifications::Verifications;

use chronik_wire::types::Offset;

/// A batch of records as its producer labelled it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ProducerBatch {
    /// The producer id; not negative.
    pub(crate) producer: i64,
    /// The producer's epoch.
    pub(crate) epoch: i16,
    /// Its sequence numbers. A coordinator that writes records of a transaction into its own partition numbers nothing.
    pub(crate) numbers: Option<Numbers>,
    /// Whether the records count only once the transaction is committed.
    pub(crate) transactional: bool,
}

/// The sequence numbers of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Numbers {
    /// Sequence number of the first record.
    pub(crate) first: i32,
    /// Sequence number of the last record; below `first` if the numbers wrapped.
    pub(crate) last: i32,
}

/// The end of a producer's transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Marker {
    /// The producer id; not negative.
    pub(crate) producer: i64,
    /// The producer's epoch from here on.
    pub(crate) epoch: i16,
    /// Whether the records count.
    pub(crate) commit: bool,
    /// Epoch of the coordinator that decided it.
    pub(crate) coordinator_epoch: i32,
}

/// A batch that was accepted, and where it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Accepted {
    /// Sequence numbers.
    pub(crate) numbers: Numbers,
    /// Offset of the first record.
    pub(crate) base_offset: Offset,
}

/// Where one producer stands after its newest batch or marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stand {
    /// Its newest epoch.
    pub(crate) epoch: i16,
    /// Epoch of the coordinator that ended its newest transaction, -1 before the first end.
    pub(crate) coordinator_epoch: i32,
    /// Where its open transaction began.
    pub(crate) open_since: Option<Offset>,
}

impl Stand {
    /// Of a producer nothing is known of but its epoch.
    pub(crate) fn new(epoch: i16) -> Stand {
        Stand { epoch, coordinator_epoch: -1, open_since: None }
    }

    /// After a batch at `base_offset`.
    pub(crate) fn after_batch(self, batch: &ProducerBatch, base_offset: Offset) -> Stand {
        let opens = batch.transactional.then_some(base_offset);
        Stand { epoch: batch.epoch, open_since: self.open_since.or(opens), ..self }
    }

    /// After a marker.
    pub(crate) fn after_marker(self, marker: &Marker) -> Stand {
        Stand { epoch: marker.epoch, coordinator_epoch: marker.coordinator_epoch, open_since: None }
    }

    /// Whether a transaction of this epoch is open.
    pub(crate) fn has_open(&self, epoch: i16) -> bool {
        self.epoch == epoch && self.open_since.is_some()
    }
}

/// The sequence number after `sequence`: after `i32::MAX` comes 0.
pub(crate) fn next_sequence(sequence: i32) -> i32 {
    sequence.checked_add(1).unwrap_or(0)
}
