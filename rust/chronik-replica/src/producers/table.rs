//! The replicated level of producer state: what the applied entries say.

use std::collections::{BTreeMap, VecDeque};

use chronik_log::Index;
use chronik_wire::types::Offset;

use super::judge::judge_batch;
use super::{Accepted, Marker, ProducerBatch, Stand, Verdict};
use crate::limits;

/// One producer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Producer {
    pub(super) stand: Stand,
    /// The newest batches of its epoch, oldest first.
    pub(super) batches: VecDeque<Accepted>,
    /// Largest timestamp of its newest batch or marker, in milliseconds.
    pub(super) timestamp_ms: i64,
    /// Index of its newest batch or marker: the smallest one makes room when there are too many producers.
    pub(super) used_at: Index,
    /// Wall clock at the first clock entry after its newest batch; `None` until that entry.
    pub(super) used_ms: Option<i64>,
}

/// All producers of one partition, as of the applied index.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Producers {
    pub(super) by_id: BTreeMap<i64, Producer>,
    /// Those that may be forgotten: a producer with an open transaction is not among them.
    pub(super) by_use: BTreeMap<Index, i64>,
    /// Where the open transactions begin, and whose they are.
    pub(super) open: BTreeMap<Offset, i64>,
    /// The newest clock entry.
    pub(super) clock_ms: i64,
    /// A producer was forgotten once. Until then an unknown producer must start at sequence 0: anything else is a
    /// batch whose predecessor got lost on its way here.
    pub(super) forgot_some: bool,
}

impl Producers {
    /// A table that has forgotten everybody: whatever comes first is accepted.
    pub(crate) fn forgetful() -> Producers {
        Producers { forgot_some: true, ..Producers::default() }
    }

    /// Judges a batch against the applied state alone.
    pub(crate) fn judge(&self, batch: &ProducerBatch) -> Verdict {
        if let Some(producer) = self.by_id.get(&batch.producer) {
            return judge_batch(batch, producer.stand, producer.batches.iter());
        }
        match batch.numbers {
            Some(numbers) if numbers.first != 0 && !self.forgot_some => Verdict::OutOfOrder(-1),
            _ => Verdict::Append,
        }
    }

    /// Where a producer stands.
    pub(crate) fn stand(&self, producer: i64) -> Option<Stand> {
        self.by_id.get(&producer).map(|producer| producer.stand)
    }

    /// The remembered batches of a producer's newest epoch, oldest first.
    pub(super) fn batches(&self, producer: i64) -> impl Iterator<Item = &Accepted> {
        self.by_id.get(&producer).into_iter().flat_map(|producer| &producer.batches)
    }

    /// Every producer, by id: where it stands, its last sequence number, its last timestamp.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (i64, Stand, Option<i32>, i64)> + '_ {
        self.by_id.iter().map(|(id, producer)| {
            let last = producer.batches.back().map(|batch| batch.numbers.last);
            (*id, producer.stand, last, producer.timestamp_ms)
        })
    }

    /// Records an applied batch. Judging happened before it was proposed; what is in the log counts.
    pub(crate) fn apply_batch(
        &mut self,
        batch: &ProducerBatch,
        base_offset: Offset,
        timestamp_ms: i64,
        index: Index,
    ) {
        let before = self.stand(batch.producer).unwrap_or_else(|| Stand::new(batch.epoch));
        let after = before.after_batch(batch, base_offset);
        let producer = self.set_stand(batch.producer, after, timestamp_ms, index);
        if let Some(numbers) = batch.numbers {
            if producer.batches.len() >= limits::PRODUCER_BATCHES_MAX {
                producer.batches.pop_front();
            }
            producer.batches.push_back(Accepted { numbers, base_offset });
        }
        self.make_room();
    }

    /// Records an applied marker. Returns where the transaction began that it ended, if one was open.
    pub(crate) fn apply_marker(
        &mut self,
        marker: &Marker,
        timestamp_ms: i64,
        index: Index,
    ) -> Option<Offset> {
        let before = self.stand(marker.producer).unwrap_or_else(|| Stand::new(marker.epoch));
        self.set_stand(marker.producer, before.after_marker(marker), timestamp_ms, index);
        self.make_room();
        before.open_since
    }

    /// Where the oldest open transaction begins.
    pub(crate) fn first_open(&self) -> Option<Offset> {
        self.open.first_key_value().map(|(offset, _)| *offset)
    }

    /// Open transactions.
    pub(crate) fn open_count(&self) -> usize {
        self.open.len()
    }

    /// Applies a clock entry: producers used since the last one get its time, old ones are forgotten, those with an open
    /// transaction excepted.
    pub(crate) fn apply_clock(&mut self, now_ms: i64, forget_before_ms: i64) {
        self.clock_ms = self.clock_ms.max(now_ms);
        let before = self.by_id.len();
        let by_use = &mut self.by_use;
        self.by_id.retain(|_, producer| {
            let used_ms = *producer.used_ms.get_or_insert(now_ms);
            let keep = used_ms >= forget_before_ms || producer.stand.open_since.is_some();
            if !keep {
                by_use.remove(&producer.used_at);
            }
            keep
        });
        self.forgot_some |= self.by_id.len() < before;
    }

    /// The time of the newest clock entry.
    pub(crate) fn clock_ms(&self) -> i64 {
        self.clock_ms
    }

    /// Producers remembered.
    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Puts a producer where it stands after the entry at `index`, and keeps the two other tables in step.
    fn set_stand(&mut self, id: i64, after: Stand, timestamp_ms: i64, index: Index) -> &mut Producer {
        let producer = self.by_id.entry(id).or_insert_with(|| Producer {
            stand: Stand::new(after.epoch),
            batches: VecDeque::new(),
            timestamp_ms,
            used_at: Index::ZERO,
            used_ms: None,
        });
        if producer.stand.epoch != after.epoch {
            producer.batches.clear();
        }
        self.by_use.remove(&producer.used_at);
        if let Some(began) = producer.stand.open_since {
            self.open.remove(&began);
        }
        match after.open_since {
            Some(began) => drop(self.open.insert(began, id)),
            None => drop(self.by_use.insert(index, id)),
        }
        (producer.stand, producer.timestamp_ms) = (after, timestamp_ms);
        (producer.used_at, producer.used_ms) = (index, None);
        producer
    }

    fn make_room(&mut self) {
        while self.by_id.len() > limits::PRODUCERS_MAX {
            let Some((_, oldest)) = self.by_use.pop_first() else { return };
            self.by_id.remove(&oldest);
            self.forgot_some = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::producers::Numbers;

    fn batch(producer: i64, first: i32) -> ProducerBatch {
        let numbers = Some(Numbers { first, last: first });
        ProducerBatch { producer, epoch: 0, numbers, transactional: false }
    }

    fn within(producer: i64, first: i32) -> ProducerBatch {
        ProducerBatch { transactional: true, ..batch(producer, first) }
    }

    fn end(producer: i64) -> Marker {
        Marker { producer, epoch: 0, commit: true, coordinator_epoch: 1 }
    }

    fn apply(producers: &mut Producers, batch: &ProducerBatch, base_offset: i64, index: u64) {
        producers.apply_batch(batch, Offset(base_offset), 1_000, Index(index));
    }

    #[test]
    fn five_batches_are_remembered() {
        let mut producers = Producers::default();
        for sequence in 0..6 {
            assert_eq!(producers.judge(&batch(1, sequence)), Verdict::Append);
            apply(&mut producers, &batch(1, sequence), i64::from(sequence) * 10, sequence as u64 + 1);
        }
        let original = Accepted { numbers: Numbers { first: 1, last: 1 }, base_offset: Offset(10) };
        assert_eq!(producers.judge(&batch(1, 1)), Verdict::Duplicate(original));
        assert_eq!(producers.judge(&batch(1, 0)), Verdict::OutOfOrder(5), "the sixth oldest is forgotten");
    }

    #[test]
    fn an_unknown_producer_starts_at_zero_until_one_was_forgotten() {
        let mut producers = Producers::default();
        assert_eq!(producers.judge(&batch(1, 3)), Verdict::OutOfOrder(-1));
        apply(&mut producers, &batch(1, 0), 0, 1);
        producers.apply_clock(1_000, 0);
        apply(&mut producers, &batch(2, 0), 1, 3);
        producers.apply_clock(5_000, 2_000);
        assert_eq!(producers.len(), 1, "producer 1 was last used at 1000, producer 2 at 5000");
        assert_eq!(producers.judge(&batch(1, 3)), Verdict::Append);
        assert_eq!(producers.clock_ms(), 5_000);
    }

    #[test]
    fn the_table_is_bounded_and_the_longest_unused_producer_goes() {
        let mut producers = Producers::default();
        let count = limits::PRODUCERS_MAX as i64;
        for id in 0..count {
            apply(&mut producers, &batch(id, 0), id, id as u64 + 1);
        }
        apply(&mut producers, &batch(0, 1), count, count as u64 + 1);
        assert_eq!(producers.len(), limits::PRODUCERS_MAX);
        apply(&mut producers, &batch(count, 0), count + 1, count as u64 + 2);
        assert_eq!(producers.len(), limits::PRODUCERS_MAX);
        assert!(producers.stand(1).is_none(), "producer 0 was used again, so producer 1 goes");
        assert!(producers.stand(0).is_some());
        assert_eq!(producers.by_use.len(), producers.by_id.len());
    }

    #[test]
    fn a_transaction_is_open_from_its_first_batch_to_its_marker() {
        let mut producers = Producers::default();
        apply(&mut producers, &within(1, 0), 10, 1);
        apply(&mut producers, &within(2, 0), 20, 2);
        apply(&mut producers, &within(1, 1), 30, 3);
        assert_eq!((producers.first_open(), producers.open_count()), (Some(Offset(10)), 2));
        assert_eq!(producers.apply_marker(&end(1), 1_000, Index(4)), Some(Offset(10)));
        assert_eq!(producers.first_open(), Some(Offset(20)));
        assert_eq!(producers.apply_marker(&end(1), 1_000, Index(5)), None, "nothing is open any more");
        assert_eq!(producers.judge(&within(1, 2)), Verdict::Append, "sequence numbers go on over the marker");
        let bumped = Marker { epoch: 1, ..end(2) };
        assert_eq!(producers.apply_marker(&bumped, 1_000, Index(6)), Some(Offset(20)));
        assert_eq!(producers.judge(&within(2, 1)), Verdict::Fenced(1));
        let next = ProducerBatch { epoch: 1, ..within(2, 0) };
        assert_eq!(producers.judge(&next), Verdict::Append, "and begin anew with a new epoch");
        assert_eq!((producers.first_open(), producers.open_count()), (None, 0));
    }

    #[test]
    fn a_producer_with_an_open_transaction_is_not_forgotten() {
        let mut producers = Producers::default();
        apply(&mut producers, &within(0, 0), 0, 1);
        for id in 1..=limits::PRODUCERS_MAX as i64 {
            apply(&mut producers, &batch(id, 0), id, id as u64 + 1);
        }
        assert!(producers.stand(0).is_some() && producers.stand(1).is_none());
        producers.apply_clock(1_000, 0);
        producers.apply_clock(9_000, 5_000);
        assert_eq!((producers.len(), producers.open_count()), (1, 1));
        assert!(producers.by_use.is_empty());
        producers.apply_marker(&end(0), 1_000, Index(1 << 20));
        producers.apply_clock(9_001, 5_000);
        producers.apply_clock(99_000, 50_000);
        assert_eq!(producers.len(), 0, "once it is closed it ages like the others");
    }
}
