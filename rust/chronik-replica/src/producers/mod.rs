//! Producer state: what makes a repeated batch harmless.
//!
//! Per partition and producer id the newest epoch and the last five batches. [`Producers`] is the replicated
//! level: a pure function of the applied entries, part of every snapshot. [`PendingProducers`] is the leader's
//! second level: its own proposals in flight. A pipelined retry is judged against both; with one level it would be
//! misjudged. Transactions are not part of it yet; their open ranges will live beside the producers.
//! Must not: read a clock. Age comes in by control entries.

mod pending;
mod snapshot;
mod table;

pub(crate) use pending::{Objection, Original, PendingProducers};
pub(crate) use table::Producers;

use chronik_wire::types::Offset;

/// A batch as its producer numbered it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ProducerBatch {
    /// The producer id; not negative.
    pub(crate) producer: i64,
    /// The producer's epoch.
    pub(crate) epoch: i16,
    /// Sequence number of the first record.
    pub(crate) first: i32,
    /// Sequence number of the last record; below `first` if the numbers wrapped.
    pub(crate) last: i32,
}

/// A batch that was accepted, and where it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Accepted {
    /// Sequence number of the first record.
    pub(crate) first: i32,
    /// Sequence number of the last record.
    pub(crate) last: i32,
    /// Offset of the first record.
    pub(crate) base_offset: Offset,
}

/// What to do with a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The next batch of this producer: append it.
    Append,
    /// A repetition: answer the original offset.
    Duplicate(Accepted),
    /// A gap, or a repetition too old to be remembered. Carries the last sequence number accepted, -1 for none.
    OutOfOrder(i32),
    /// A newer epoch is known.
    Fenced(i16),
}

/// The sequence number after `sequence`: after `i32::MAX` comes 0.
pub(crate) fn next_sequence(sequence: i32) -> i32 {
    sequence.checked_add(1).unwrap_or(0)
}

/// Judges a batch against one producer's newest epoch and remembered batches, oldest first.
pub(crate) fn judge<'a>(
    batch: &ProducerBatch,
    epoch: i16,
    batches: impl DoubleEndedIterator<Item = &'a Accepted>,
) -> Verdict {
    if batch.epoch < epoch {
        return Verdict::Fenced(epoch);
    }
    if batch.epoch > epoch {
        return if batch.first == 0 { Verdict::Append } else { Verdict::OutOfOrder(-1) };
    }
    let mut newest = None;
    for accepted in batches.rev() {
        if accepted.first == batch.first && accepted.last == batch.last {
            return Verdict::Duplicate(*accepted);
        }
        newest = newest.or(Some(accepted.last));
    }
    match newest {
        Some(last) if next_sequence(last) == batch.first => Verdict::Append,
        Some(last) => Verdict::OutOfOrder(last),
        None if batch.first == 0 => Verdict::Append,
        None => Verdict::OutOfOrder(-1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequence_numbers_wrap_to_zero() {
        assert_eq!(next_sequence(i32::MAX), 0);
        assert_eq!(next_sequence(7), 8);
    }

    #[test]
    fn a_batch_is_judged_by_epoch_then_repetition_then_order() {
        let known = [
            Accepted { first: 0, last: 4, base_offset: Offset(100) },
            Accepted { first: 5, last: 5, base_offset: Offset(110) },
        ];
        let batch = |epoch, first, last| ProducerBatch { producer: 1, epoch, first, last };
        let verdict = |batch| judge(&batch, 3, known.iter());
        assert_eq!(verdict(batch(3, 6, 9)), Verdict::Append);
        assert_eq!(verdict(batch(3, 0, 4)), Verdict::Duplicate(known[0]));
        assert_eq!(verdict(batch(3, 0, 3)), Verdict::OutOfOrder(5), "other boundaries are no repetition");
        assert_eq!(verdict(batch(3, 8, 9)), Verdict::OutOfOrder(5));
        assert_eq!(verdict(batch(2, 6, 6)), Verdict::Fenced(3));
        assert_eq!(verdict(batch(4, 0, 0)), Verdict::Append);
        assert_eq!(verdict(batch(4, 6, 6)), Verdict::OutOfOrder(-1), "a new epoch starts at 0");
        let wrapped = [Accepted { first: i32::MAX, last: i32::MAX, base_offset: Offset(1) }];
        assert_eq!(judge(&batch(0, 0, 0), 0, wrapped.iter()), Verdict::Append);
    }
}
