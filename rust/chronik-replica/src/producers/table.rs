//! The replicated level of producer state: what the applied entries say.

use std::collections::{BTreeMap, VecDeque};

use chronik_log::Index;
use chronik_wire::types::Offset;

use super::{Accepted, ProducerBatch, Verdict, judge};
use crate::limits;

/// One producer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Producer {
    pub(super) epoch: i16,
    pub(super) batches: VecDeque<Accepted>,
    /// Index of its newest batch: the smallest one makes room when there are too many producers.
    pub(super) used_at: Index,
    /// Wall clock at the first clock entry after its newest batch; `None` until that entry.
    pub(super) used_ms: Option<i64>,
}

/// All producers of one partition, as of the applied index.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Producers {
    pub(super) by_id: BTreeMap<i64, Producer>,
    pub(super) by_use: BTreeMap<Index, i64>,
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
        match self.by_id.get(&batch.producer) {
            Some(producer) => judge(batch, producer.epoch, producer.batches.iter()),
            None if batch.first == 0 || self.forgot_some => Verdict::Append,
            None => Verdict::OutOfOrder(-1),
        }
    }

    /// A producer's newest epoch and batches, oldest first.
    pub(super) fn get(&self, producer: i64) -> Option<(i16, &VecDeque<Accepted>)> {
        self.by_id.get(&producer).map(|producer| (producer.epoch, &producer.batches))
    }

    /// Records an applied batch. Judging happened before it was proposed; what is in the log counts.
    pub(crate) fn apply(&mut self, batch: &ProducerBatch, base_offset: Offset, index: Index) {
        let producer = self.by_id.entry(batch.producer).or_insert_with(|| Producer {
            epoch: batch.epoch,
            batches: VecDeque::new(),
            used_at: Index::ZERO,
            used_ms: None,
        });
        if producer.epoch != batch.epoch {
            producer.epoch = batch.epoch;
            producer.batches.clear();
        }
        if producer.batches.len() >= limits::PRODUCER_BATCHES_MAX {
            producer.batches.pop_front();
        }
        producer.batches.push_back(Accepted { first: batch.first, last: batch.last, base_offset });
        self.by_use.remove(&producer.used_at);
        producer.used_at = index;
        producer.used_ms = None;
        self.by_use.insert(index, batch.producer);
        self.make_room();
    }

    /// Applies a clock entry: producers used since the last one get its time, old ones are forgotten.
    pub(crate) fn apply_clock(&mut self, now_ms: i64, forget_before_ms: i64) {
        self.clock_ms = self.clock_ms.max(now_ms);
        let before = self.by_id.len();
        let by_use = &mut self.by_use;
        self.by_id.retain(|_, producer| {
            let used_ms = *producer.used_ms.get_or_insert(now_ms);
            let keep = used_ms >= forget_before_ms;
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

    fn batch(producer: i64, first: i32) -> ProducerBatch {
        ProducerBatch { producer, epoch: 0, first, last: first }
    }

    #[test]
    fn five_batches_are_remembered() {
        let mut producers = Producers::default();
        for sequence in 0..6 {
            assert_eq!(producers.judge(&batch(1, sequence)), Verdict::Append);
            producers.apply(
                &batch(1, sequence),
                Offset(i64::from(sequence) * 10),
                Index(sequence as u64 + 1),
            );
        }
        let original = Accepted { first: 1, last: 1, base_offset: Offset(10) };
        assert_eq!(producers.judge(&batch(1, 1)), Verdict::Duplicate(original));
        assert_eq!(producers.judge(&batch(1, 0)), Verdict::OutOfOrder(5), "the sixth oldest is forgotten");
    }

    #[test]
    fn an_unknown_producer_starts_at_zero_until_one_was_forgotten() {
        let mut producers = Producers::default();
        assert_eq!(producers.judge(&batch(1, 3)), Verdict::OutOfOrder(-1));
        producers.apply(&batch(1, 0), Offset(0), Index(1));
        producers.apply_clock(1_000, 0);
        producers.apply(&batch(2, 0), Offset(1), Index(3));
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
            producers.apply(&batch(id, 0), Offset(id), Index(id as u64 + 1));
        }
        producers.apply(&batch(0, 1), Offset(count), Index(count as u64 + 1));
        assert_eq!(producers.len(), limits::PRODUCERS_MAX);
        producers.apply(&batch(count, 0), Offset(count + 1), Index(count as u64 + 2));
        assert_eq!(producers.len(), limits::PRODUCERS_MAX);
        assert!(producers.get(1).is_none(), "producer 0 was used again, so producer 1 goes");
        assert!(producers.get(0).is_some());
        assert_eq!(producers.by_use.len(), producers.by_id.len());
    }
}
