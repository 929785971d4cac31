//! The leader's level of producer state: its own proposals in flight.
//!
//! Only meaningful after the leader applied its own-term no-op: then every entry of older terms is applied, and
//! applied state plus this list is everything the log holds.

use std::collections::{BTreeMap, VecDeque};

use chronik_log::Index;
use chronik_mutants::{Mutant, planted};
use chronik_wire::types::Offset;

use super::judge::judge_batch;
use super::{Accepted, Marker, MarkerVerdict, ProducerBatch, Producers, Stand, Verdict, judge_marker};

/// A batch or a marker in flight, and where its producer stands once it is applied.
#[derive(Clone, Copy, Debug)]
struct Proposed {
    index: Index,
    after: Stand,
    accepted: Option<Accepted>,
    /// It is the first batch of its transaction.
    opens: bool,
}

/// Batches and markers of producers proposed in this term and not yet applied, per producer in log order. Bounded by
/// the number of proposals in flight.
#[derive(Debug, Default)]
pub(crate) struct PendingProducers {
    by_id: BTreeMap<i64, VecDeque<Proposed>>,
    /// Transactions that are opened by what is in flight.
    opening: usize,
}

/// Where a repeated batch's original is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Original {
    /// Applied.
    Applied(Offset),
    /// In flight; its fate is this repetition's fate.
    InFlight(Index),
}

/// Why a batch is not appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Objection {
    /// A repetition.
    Duplicate(Original),
    /// A gap; carries the last sequence number accepted, -1 for none.
    OutOfOrder(i32),
    /// A newer epoch is known.
    Fenced(i16),
    /// The producer's open transaction takes no other records.
    WrongState,
    /// The transaction of an older epoch is open, as far as this leader knows.
    EarlierOpen,
}

impl PendingProducers {
    /// Judges a batch against both levels. `Err` is a refusal or a repetition.
    pub(crate) fn judge(&self, applied: &Producers, batch: &ProducerBatch) -> Result<(), Objection> {
        let pending = self.known(batch.producer);
        let verdict = match pending.and_then(VecDeque::back) {
            None => applied.judge(batch),
            Some(newest) => {
                let of_epoch = |stand: Option<Stand>| stand.is_some_and(|it| it.epoch == newest.after.epoch);
                let in_flight = pending.into_iter().flatten().filter(|it| of_epoch(Some(it.after)));
                let known: Vec<&Accepted> = applied
                    .batches(batch.producer)
                    .filter(|_| of_epoch(applied.stand(batch.producer)))
                    .chain(in_flight.filter_map(|proposed| proposed.accepted.as_ref()))
                    .collect();
                judge_batch(batch, newest.after, known.into_iter())
            }
        };
        match verdict {
            Verdict::Append => Ok(()),
            Verdict::OutOfOrder(last) => Err(Objection::OutOfOrder(last)),
            Verdict::Fenced(epoch) => Err(Objection::Fenced(epoch)),
            Verdict::WrongState => Err(Objection::WrongState),
            Verdict::EarlierOpen => Err(Objection::EarlierOpen),
            Verdict::Duplicate(original) => Err(Objection::Duplicate(self.find(batch.producer, original))),
        }
    }

    /// Judges a marker against both levels.
    pub(crate) fn judge_marker(
        &self,
        applied: &Producers,
        marker: &Marker,
        bumps_epoch: bool,
    ) -> MarkerVerdict {
        judge_marker(marker, bumps_epoch, self.stand(applied, marker.producer))
    }

    /// Where a producer stands once everything in flight is applied.
    pub(crate) fn stand(&self, applied: &Producers, producer: i64) -> Option<Stand> {
        let newest = self.known(producer).and_then(VecDeque::back).map(|proposed| proposed.after);
        newest.or_else(|| applied.stand(producer))
    }

    /// Transactions that will be open at most once everything in flight is applied.
    pub(crate) fn open_count(&self, applied: &Producers) -> usize {
        applied.open_count() + self.opening
    }

    /// A batch was proposed.
    pub(crate) fn push_batch(
        &mut self,
        applied: &Producers,
        batch: &ProducerBatch,
        base_offset: Offset,
        index: Index,
    ) {
        let before = self.stand(applied, batch.producer).unwrap_or_else(|| Stand::new(batch.epoch));
        let after = before.after_batch(batch, base_offset);
        let accepted = batch.numbers.map(|numbers| Accepted { numbers, base_offset });
        let opens = before.open_since.is_none() && after.open_since.is_some();
        self.push(batch.producer, Proposed { index, after, accepted, opens });
    }

    /// A marker was proposed.
    pub(crate) fn push_marker(&mut self, applied: &Producers, marker: &Marker, index: Index) {
        let before = self.stand(applied, marker.producer).unwrap_or_else(|| Stand::new(marker.epoch));
        let after = before.after_marker(marker);
        self.push(marker.producer, Proposed { index, after, accepted: None, opens: false });
    }

    /// A batch or marker of `producer` was applied.
    pub(crate) fn on_applied(&mut self, producer: i64, index: Index) {
        if let Some(pending) = self.by_id.get_mut(&producer) {
            while let Some(applied) = pending.front().filter(|proposed| proposed.index <= index) {
                self.opening -= usize::from(applied.opens);
                pending.pop_front();
            }
            if pending.is_empty() {
                self.by_id.remove(&producer);
            }
        }
    }

    /// Leadership is lost: nothing here is ours any more.
    pub(crate) fn clear(&mut self) {
        self.by_id.clear();
        self.opening = 0;
    }

    fn push(&mut self, producer: i64, proposed: Proposed) {
        self.opening += usize::from(proposed.opens);
        self.by_id.entry(producer).or_default().push_back(proposed);
    }

    fn find(&self, producer: i64, original: Accepted) -> Original {
        let mut pending = self.known(producer).into_iter().flatten();
        match pending.find(|proposed| proposed.accepted == Some(original)) {
            Some(proposed) => Original::InFlight(proposed.index),
            None => Original::Applied(original.base_offset),
        }
    }

    /// A producer's proposals, if it has any.
    fn known(&self, producer: i64) -> Option<&VecDeque<Proposed>> {
        let pending = self.by_id.get(&producer).filter(|pending| !pending.is_empty());
        pending.filter(|_| !planted(Mutant::SequenceOneLevel))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::producers::Numbers;

    fn batch(epoch: i16, first: i32) -> ProducerBatch {
        let numbers = Some(Numbers { first, last: first + 1 });
        ProducerBatch { producer: 7, epoch, numbers, transactional: false }
    }

    fn within(epoch: i16, first: i32) -> ProducerBatch {
        ProducerBatch { transactional: true, ..batch(epoch, first) }
    }

    fn apply(applied: &mut Producers, batch: &ProducerBatch, base_offset: i64, index: u64) {
        applied.apply_batch(batch, Offset(base_offset), 0, Index(index));
    }

    #[test]
    fn pipelined_batches_and_retries_are_judged_against_both_levels() {
        let mut applied = Producers::default();
        let mut pending = PendingProducers::default();
        apply(&mut applied, &batch(0, 0), 0, 2);
        for (first, index) in [(2, 3), (4, 4)] {
            assert_eq!(pending.judge(&applied, &batch(0, first)), Ok(()));
            pending.push_batch(&applied, &batch(0, first), Offset(i64::from(first)), Index(index));
        }
        let again = |first| pending.judge(&applied, &batch(0, first));
        assert_eq!(again(0), Err(Objection::Duplicate(Original::Applied(Offset(0)))));
        assert_eq!(again(2), Err(Objection::Duplicate(Original::InFlight(Index(3)))));
        assert_eq!(again(8), Err(Objection::OutOfOrder(5)));
        assert_eq!(again(6), Ok(()));
        apply(&mut applied, &batch(0, 2), 2, 3);
        pending.on_applied(7, Index(3));
        assert_eq!(
            pending.judge(&applied, &batch(0, 2)),
            Err(Objection::Duplicate(Original::Applied(Offset(2))))
        );
        pending.clear();
        assert_eq!(pending.judge(&applied, &batch(0, 4)), Ok(()));
    }

    #[test]
    fn a_new_epoch_in_flight_fences_the_old_one() {
        let mut applied = Producers::default();
        let mut pending = PendingProducers::default();
        apply(&mut applied, &batch(0, 0), 0, 2);
        assert_eq!(pending.judge(&applied, &batch(1, 0)), Ok(()));
        pending.push_batch(&applied, &batch(1, 0), Offset(2), Index(3));
        assert_eq!(pending.judge(&applied, &batch(0, 2)), Err(Objection::Fenced(1)));
        assert_eq!(pending.judge(&applied, &batch(1, 2)), Ok(()));
    }

    #[test]
    fn a_marker_in_flight_ends_the_transaction_in_flight() {
        let mut applied = Producers::default();
        let mut pending = PendingProducers::default();
        let marker = |epoch| Marker { producer: 7, epoch, commit: true, coordinator_epoch: 1 };
        pending.push_batch(&applied, &within(0, 0), Offset(0), Index(2));
        assert_eq!(pending.open_count(&applied), 1);
        assert!(pending.stand(&applied, 7).is_some_and(|stand| stand.has_open(0)));
        assert_eq!(pending.judge(&applied, &batch(0, 2)), Err(Objection::WrongState));
        assert_eq!(pending.judge_marker(&applied, &marker(0), false), MarkerVerdict::Append);
        pending.push_marker(&applied, &marker(0), Index(3));
        assert_eq!(pending.judge_marker(&applied, &marker(0), false), MarkerVerdict::Ended);
        assert_eq!(pending.judge(&applied, &within(0, 2)), Ok(()), "the next transaction goes on counting");
        pending.push_marker(&applied, &marker(1), Index(4));
        assert_eq!(pending.judge(&applied, &within(0, 2)), Err(Objection::Fenced(1)));
        assert_eq!(pending.judge(&applied, &within(1, 0)), Ok(()));
        apply(&mut applied, &within(0, 0), 0, 2);
        pending.on_applied(7, Index(2));
        assert_eq!(pending.open_count(&applied), 1, "it is counted once on its way");
        applied.apply_marker(&marker(0), 0, Index(3));
        pending.on_applied(7, Index(3));
        assert_eq!(pending.open_count(&applied), 0);
    }
}
