//! Whether a batch or a marker may follow what is known of its producer. Pure rules, one level at a time.

use chronik_mutants::{Mutant, planted};

use super::{Accepted, Marker, ProducerBatch, Stand, next_sequence};

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
    /// The producer's open transaction takes no other records.
    WrongState,
    /// The transaction of an older epoch is open: its coordinator has ended it elsewhere or is about to. Not final: the
    /// batch that opened it may be in flight at a leader that is deposed.
    EarlierOpen,
}

/// What to do with a marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MarkerVerdict {
    /// Append it.
    Append,
    /// What it ends has ended already.
    Ended,
    /// A newer epoch of the producer is known.
    Fenced(i16),
    /// A newer epoch of the coordinator is known.
    CoordinatorFenced(i32),
}

/// Judges a batch against where its producer stands and the batches remembered of that epoch, oldest first.
pub(super) fn judge_batch<'a>(
    batch: &ProducerBatch,
    stand: Stand,
    batches: impl DoubleEndedIterator<Item = &'a Accepted>,
) -> Verdict {
    if batch.epoch < stand.epoch {
        return Verdict::Fenced(stand.epoch);
    }
    let sequence = match (batch.numbers, batch.epoch > stand.epoch) {
        (None, _) => Verdict::Append,
        (Some(numbers), true) if numbers.first == 0 => Verdict::Append,
        (Some(_), true) => Verdict::OutOfOrder(-1),
        (Some(numbers), false) => judge_sequence(numbers, batches),
    };
    if matches!(sequence, Verdict::Duplicate(_)) || stand.open_since.is_none() {
        return sequence;
    }
    if batch.epoch > stand.epoch {
        return Verdict::EarlierOpen;
    }
    if !batch.transactional {
        return Verdict::WrongState;
    }
    sequence
}

fn judge_sequence<'a>(
    numbers: super::Numbers,
    batches: impl DoubleEndedIterator<Item = &'a Accepted>,
) -> Verdict {
    let mut newest = None;
    for accepted in batches.rev() {
        if accepted.numbers == numbers {
            return Verdict::Duplicate(*accepted);
        }
        newest = newest.or(Some(accepted.numbers.last));
    }
    match newest {
        Some(last) if next_sequence(last) == numbers.first => Verdict::Append,
        Some(last) => Verdict::OutOfOrder(last),
        None if numbers.first == 0 => Verdict::Append,
        None => Verdict::OutOfOrder(-1),
    }
}

/// Judges a marker against where its producer stands; `None` if nothing is known of the producer. `bumps_epoch`: the
/// marker's epoch is one above that of the transaction it ends (KIP-890), so whoever stands there has seen the marker.
///
/// A newer coordinator's repetition is written although nothing is open: from then on it fences the older one, whose
/// delayed markers would end the next transaction of the same epoch.
pub(crate) fn judge_marker(marker: &Marker, bumps_epoch: bool, stand: Option<Stand>) -> MarkerVerdict {
    let Some(stand) = stand else { return MarkerVerdict::Append };
    if marker.epoch < stand.epoch {
        return MarkerVerdict::Fenced(stand.epoch);
    }
    if marker.coordinator_epoch < stand.coordinator_epoch {
        return MarkerVerdict::CoordinatorFenced(stand.coordinator_epoch);
    }
    let nothing_new = stand.open_since.is_none() && marker.coordinator_epoch == stand.coordinator_epoch;
    let ended = marker.epoch == stand.epoch && (bumps_epoch || nothing_new);
    if ended && !planted(Mutant::MarkerRepeated) { MarkerVerdict::Ended } else { MarkerVerdict::Append }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::producers::Numbers;
    use chronik_wire::types::Offset;

    fn accepted(first: i32, last: i32, base_offset: i64) -> Accepted {
        Accepted { numbers: Numbers { first, last }, base_offset: Offset(base_offset) }
    }

    fn batch(epoch: i16, first: i32, last: i32) -> ProducerBatch {
        ProducerBatch { producer: 1, epoch, numbers: Some(Numbers { first, last }), transactional: false }
    }

    fn open(epoch: i16) -> Stand {
        Stand { open_since: Some(Offset(7)), ..Stand::new(epoch) }
    }

    #[test]
    fn sequence_numbers_wrap_to_zero() {
        assert_eq!(next_sequence(i32::MAX), 0);
        assert_eq!(next_sequence(7), 8);
    }

    #[test]
    fn a_batch_is_judged_by_epoch_then_repetition_then_order() {
        let known = [accepted(0, 4, 100), accepted(5, 5, 110)];
        let verdict = |batch| judge_batch(&batch, Stand::new(3), known.iter());
        assert_eq!(verdict(batch(3, 6, 9)), Verdict::Append);
        assert_eq!(verdict(batch(3, 0, 4)), Verdict::Duplicate(known[0]));
        assert_eq!(verdict(batch(3, 0, 3)), Verdict::OutOfOrder(5), "other boundaries are no repetition");
        assert_eq!(verdict(batch(3, 8, 9)), Verdict::OutOfOrder(5));
        assert_eq!(verdict(batch(2, 6, 6)), Verdict::Fenced(3));
        assert_eq!(verdict(batch(4, 0, 0)), Verdict::Append);
        assert_eq!(verdict(batch(4, 6, 6)), Verdict::OutOfOrder(-1), "a new epoch starts at 0");
        let wrapped = [accepted(i32::MAX, i32::MAX, 1)];
        assert_eq!(judge_batch(&batch(0, 0, 0), Stand::new(0), wrapped.iter()), Verdict::Append);
    }

    #[test]
    fn an_open_transaction_takes_its_own_records_only() {
        let known = [accepted(0, 4, 100)];
        let verdict = |batch| judge_batch(&batch, open(3), known.iter());
        let within = |batch| ProducerBatch { transactional: true, ..batch };
        assert_eq!(verdict(within(batch(3, 5, 5))), Verdict::Append);
        assert_eq!(verdict(batch(3, 5, 5)), Verdict::WrongState, "plain records wait for its end");
        assert_eq!(verdict(within(batch(4, 0, 0))), Verdict::EarlierOpen, "so does the next epoch");
        assert_eq!(verdict(batch(3, 0, 4)), Verdict::Duplicate(known[0]), "a repetition adds nothing");
        let unnumbered = ProducerBatch { numbers: None, ..within(batch(3, 0, 0)) };
        assert_eq!(verdict(unnumbered), Verdict::Append);
        assert_eq!(verdict(ProducerBatch { epoch: 2, ..unnumbered }), Verdict::Fenced(3));
    }

    #[test]
    fn a_marker_is_judged_by_both_epochs_and_ends_a_transaction_once() {
        let marker =
            |epoch, coordinator_epoch| Marker { producer: 1, epoch, commit: true, coordinator_epoch };
        let closed = Stand { coordinator_epoch: 5, ..Stand::new(3) };
        let open = Stand { coordinator_epoch: 5, ..open(3) };
        let judge = |marker, stand| judge_marker(&marker, false, Some(stand));
        assert_eq!(judge_marker(&marker(0, 0), false, None), MarkerVerdict::Append);
        assert_eq!(judge(marker(2, 9), open), MarkerVerdict::Fenced(3));
        assert_eq!(judge(marker(3, 4), open), MarkerVerdict::CoordinatorFenced(5));
        assert_eq!(judge(marker(3, 5), open), MarkerVerdict::Append);
        assert_eq!(judge(marker(4, 5), open), MarkerVerdict::Append, "a fence ends it too");
        assert_eq!(judge(marker(3, 5), closed), MarkerVerdict::Ended);
        assert_eq!(judge(marker(3, 6), closed), MarkerVerdict::Append, "the new coordinator fences the old");
        assert_eq!(judge(marker(4, 5), closed), MarkerVerdict::Append, "the new epoch fences the old");
    }

    #[test]
    fn a_marker_that_bumped_the_epoch_never_ends_the_next_transaction() {
        let marker = Marker { producer: 1, epoch: 3, commit: true, coordinator_epoch: 5 };
        let next = Stand { coordinator_epoch: 5, ..open(3) };
        assert_eq!(judge_marker(&marker, true, Some(next)), MarkerVerdict::Ended);
        let its_own = Stand { coordinator_epoch: 5, ..open(2) };
        assert_eq!(judge_marker(&marker, true, Some(its_own)), MarkerVerdict::Append);
    }
}
