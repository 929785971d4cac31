//! Transactions as one partition sees them: which are open, which were aborted, and the markers that end them.
//!
//! The state itself lives in [`crate::producers`]; here a leader appends markers and keeps the guards of
//! verifications, and every replica answers what readers of committed records must know.
//! Must not: know coordinators. Who may end a transaction is told by epochs alone.

use chronik_mutants::{Mutant, planted};
use chronik_wire::batch::{BatchBuilder, ControlMarker};
use chronik_wire::types::Offset;

use super::Replica;
use super::acks::{Acks, AppendReceiver, Terms};
use crate::error::ReadError;
use crate::host::shared::Shared;
use crate::limits;
use crate::producers::{ProducerBatch, VerificationGuard};

/// The end of one producer's transaction, to be written into a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndMarker {
    /// The producer id.
    pub producer: i64,
    /// The producer's epoch from here on; older ones are fenced.
    pub epoch: i16,
    /// Whether the transaction's records count.
    pub commit: bool,
    /// Epoch of the coordinator that decided it.
    pub coordinator_epoch: i32,
    /// The epoch is one above that of the transaction's records (KIP-890). Then a repetition is known by its epoch, also
    /// when the next transaction has begun.
    pub bumps_epoch: bool,
    /// Wall clock for the control record, in milliseconds.
    pub timestamp_ms: i64,
}

/// A transaction whose records do not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbortedTransaction {
    /// Whose it was.
    pub producer: i64,
    /// Offset of its first record.
    pub first_offset: Offset,
}

/// What a partition knows of a producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerState {
    /// The producer id.
    pub producer: i64,
    /// Its newest epoch.
    pub epoch: i16,
    /// Sequence number of its last record, if the epoch has any.
    pub last_sequence: Option<i32>,
    /// Largest timestamp of its newest batch or marker, in milliseconds.
    pub last_timestamp_ms: i64,
    /// Epoch of the coordinator that ended its newest transaction, if one has ended.
    pub coordinator_epoch: Option<i32>,
    /// Where its open transaction began.
    pub open_since: Option<Offset>,
}

impl Replica {
    /// Appends the marker that ends a transaction. A repetition takes no offset, but is answered only once an entry in
    /// its place is committed: a deposed leader does not know what the next one has opened.
    pub(crate) fn append_marker(
        &mut self,
        marker: &EndMarker,
        deadline_ms: u64,
        shared: &mut Shared,
    ) -> AppendReceiver {
        let kind = if marker.commit { ControlMarker::Commit } else { ControlMarker::Abort };
        let batch = BatchBuilder::new()
            .producer(marker.producer, marker.epoch, -1)
            .end_transaction(marker.timestamp_ms, kind, marker.coordinator_epoch)
            .build_mut()
            .expect("one small uncompressed record makes a batch");
        let terms = Terms::Marker { bumps_epoch: marker.bumps_epoch };
        self.append(batch, Acks::All, terms, deadline_ms, shared)
    }

    /// Whether a producer's transactional batch may be appended without asking its coordinator; else the guard of that
    /// question. Only a leader gives guards: whoever does not lead refuses the batch anyway.
    pub(crate) fn begin_verification(
        &mut self,
        producer: i64,
        epoch: i16,
        shared: &mut Shared,
    ) -> Option<VerificationGuard> {
        if !self.leads() {
            return None;
        }
        let stand = self.appends.producers.stand(&self.state.producers, producer);
        if self.is_confirmed() && stand.is_some_and(|stand| stand.has_open(epoch)) {
            return None;
        }
        let fresh = VerificationGuard(shared.ids.next());
        Some(self.lead.verifications.begin(producer, fresh))
    }

    /// Whether a transactional batch of a client may be placed: its transaction is open, or its guard is in force.
    pub(super) fn is_verified(&self, batch: &ProducerBatch, guard: Option<VerificationGuard>) -> bool {
        self.is_transaction_verified(batch.producer, batch.epoch, guard)
    }

    /// The same of whatever a producer adds to its transaction.
    pub(crate) fn is_transaction_verified(
        &self,
        producer: i64,
        epoch: i16,
        guard: Option<VerificationGuard>,
    ) -> bool {
        let stand = self.appends.producers.stand(&self.state.producers, producer);
        planted(Mutant::LateBatchOpens)
            || stand.is_some_and(|stand| stand.has_open(epoch))
            || guard.is_some_and(|guard| self.lead.verifications.is_in_force(producer, guard))
    }

    /// Whether a transactional batch belongs to an open transaction, or one more may be opened.
    pub(super) fn has_room_for(&self, batch: &ProducerBatch) -> bool {
        let stand = self.appends.producers.stand(&self.state.producers, batch.producer);
        if stand.is_some_and(|stand| stand.open_since.is_some()) {
            return true;
        }
        let open = self.appends.producers.open_count(&self.state.producers);
        open < limits::OPEN_TRANSACTIONS_MAX
            && open + self.state.aborted.len() < limits::ABORTED_TRANSACTIONS_MAX
    }

    /// End of what is decided: no record below it belongs to an open transaction. Like the high watermark a function
    /// of the applied entries; it moves only with the high watermark or the log start.
    pub fn last_stable_offset(&self) -> Offset {
        let end = self.visible_end();
        if planted(Mutant::OpenTransactionsVisible) {
            return end;
        }
        let undecided = self.state.producers.first_open().unwrap_or(end);
        // Records below the log start are gone, whatever became of their transaction.
        undecided.max(self.log().log_start()).min(end)
    }

    /// Aborted transactions remembered here, for inspection.
    pub fn aborted_count(&self) -> usize {
        self.state.aborted.len()
    }

    pub(crate) fn aborted_transactions(
        &self,
        from: Offset,
        up_to: Offset,
    ) -> Result<Vec<AbortedTransaction>, ReadError> {
        self.must_run()?;
        // Whoever is told of a transaction looks for its marker: one that is compacted away must not be told of.
        let gone_below = self.log().compacted().map_or(Offset::ZERO, |compacted| compacted.tombstones_below);
        let gone_below = if planted(Mutant::CompactedAbortsTold) { Offset::ZERO } else { gone_below };
        let aborted = self.state.aborted.in_range(from, up_to).filter(|aborted| aborted.last >= gone_below);
        let told = |aborted: &crate::producers::Aborted| AbortedTransaction {
            producer: aborted.producer,
            first_offset: aborted.first,
        };
        Ok(aborted.map(told).collect())
    }

    pub(crate) fn producers(&self) -> Result<Vec<ProducerState>, ReadError> {
        self.must_run()?;
        let producers = self.state.producers.iter();
        let told =
            |(producer, stand, last_sequence, last_timestamp_ms): (i64, crate::producers::Stand, _, _)| {
                ProducerState {
                    producer,
                    epoch: stand.epoch,
                    last_sequence,
                    last_timestamp_ms,
                    coordinator_epoch: Some(stand.coordinator_epoch).filter(|epoch| *epoch >= 0),
                    open_since: stand.open_since,
                }
            };
        Ok(producers.map(told).collect())
    }
}
