//! The leader's level of producer state: its own proposals in flight.
//!
//! Only meaningful after the leader applied its own-term no-op: then every entry of older terms is applied, and
//! applied state plus this list is everything the log holds.

use std::collections::{BTreeMap, VecDeque};

use chronik_log::Index;
use chronik_mutants::{Mutant, planted};
use chronik_wire::types::Offset;

use super::{Accepted, ProducerBatch, Producers, Verdict, judge};

#[derive(Clone, Copy, Debug)]
struct Proposed {
    index: Index,
    epoch: i16,
    accepted: Accepted,
}

/// Idempotent batches proposed in this term and not yet applied, per producer in log order. Bounded by the number
/// of proposals in flight.
#[derive(Debug, Default)]
pub(crate) struct PendingProducers {
    by_id: BTreeMap<i64, VecDeque<Proposed>>,
}

/// Where a repeated batch's original is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Original {
    /// Applied.
    Applied(Offset),
    /// In flight; its fate is this repetition's fate.
    InFlight(Index),
}

impl PendingProducers {
    /// Judges a batch against both levels. `Err` is a refusal or a repetition.
    pub(crate) fn judge(&self, applied: &Producers, batch: &ProducerBatch) -> Result<(), Objection> {
        let Some(pending) = self.known(batch.producer) else {
            return match applied.judge(batch) {
                Verdict::Append => Ok(()),
                Verdict::Duplicate(original) => {
                    Err(Objection::Duplicate(Original::Applied(original.base_offset)))
                }
                Verdict::OutOfOrder(last) => Err(Objection::OutOfOrder(last)),
                Verdict::Fenced(epoch) => Err(Objection::Fenced(epoch)),
            };
        };
        let newest_epoch = pending.back().map_or(batch.epoch, |proposed| proposed.epoch);
        let of_epoch = |proposed: &&Proposed| proposed.epoch == newest_epoch;
        let (applied_epoch, applied_batches) = applied.get(batch.producer).unzip();
        let known = applied_batches
            .filter(|_| applied_epoch == Some(newest_epoch))
            .into_iter()
            .flatten()
            .chain(pending.iter().filter(of_epoch).map(|proposed| &proposed.accepted))
            .collect::<Vec<_>>();
        match judge(batch, newest_epoch, known.into_iter()) {
            Verdict::Append => Ok(()),
            Verdict::OutOfOrder(last) => Err(Objection::OutOfOrder(last)),
            Verdict::Fenced(epoch) => Err(Objection::Fenced(epoch)),
            Verdict::Duplicate(original) => {
                let in_flight =
                    pending.iter().filter(of_epoch).find(|proposed| proposed.accepted == original);
                Err(Objection::Duplicate(match in_flight {
                    Some(proposed) => Original::InFlight(proposed.index),
                    None => Original::Applied(original.base_offset),
                }))
            }
        }
    }

    /// A producer's proposals, if it has any.
    fn known(&self, producer: i64) -> Option<&VecDeque<Proposed>> {
        let pending = self.by_id.get(&producer).filter(|pending| !pending.is_empty());
        pending.filter(|_| !planted(Mutant::SequenceOneLevel))
    }

    /// A batch was proposed.
    pub(crate) fn push(&mut self, batch: &ProducerBatch, base_offset: Offset, index: Index) {
        let accepted = Accepted { first: batch.first, last: batch.last, base_offset };
        let proposed = Proposed { index, epoch: batch.epoch, accepted };
        self.by_id.entry(batch.producer).or_default().push_back(proposed);
    }

    /// A batch of `producer` was applied.
    pub(crate) fn on_applied(&mut self, producer: i64, index: Index) {
        if let Some(pending) = self.by_id.get_mut(&producer) {
            while pending.front().is_some_and(|proposed| proposed.index <= index) {
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
    }
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
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(epoch: i16, first: i32) -> ProducerBatch {
        ProducerBatch { producer: 7, epoch, first, last: first + 1 }
    }

    #[test]
    fn pipelined_batches_and_retries_are_judged_against_both_levels() {
        let mut applied = Producers::default();
        let mut pending = PendingProducers::default();
        applied.apply(&batch(0, 0), Offset(0), Index(2));
        for (first, index) in [(2, 3), (4, 4)] {
            assert_eq!(pending.judge(&applied, &batch(0, first)), Ok(()));
            pending.push(&batch(0, first), Offset(i64::from(first)), Index(index));
        }
        let again = |first| pending.judge(&applied, &batch(0, first));
        assert_eq!(again(0), Err(Objection::Duplicate(Original::Applied(Offset(0)))));
        assert_eq!(again(2), Err(Objection::Duplicate(Original::InFlight(Index(3)))));
        assert_eq!(again(8), Err(Objection::OutOfOrder(5)));
        assert_eq!(again(6), Ok(()));
        applied.apply(&batch(0, 2), Offset(2), Index(3));
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
        applied.apply(&batch(0, 0), Offset(0), Index(2));
        assert_eq!(pending.judge(&applied, &batch(1, 0)), Ok(()));
        pending.push(&batch(1, 0), Offset(2), Index(3));
        assert_eq!(pending.judge(&applied, &batch(0, 2)), Err(Objection::Fenced(1)));
        assert_eq!(pending.judge(&applied, &batch(1, 2)), Ok(()));
    }
}
