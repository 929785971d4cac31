//! Transactional producers as their coordinator knows them: an epoch for each transaction, and one decision.

use std::collections::BTreeMap;

use super::model::Outcome;

/// The end of a transaction, to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End {
    /// The producer.
    pub(super) producer: usize,
    /// Epoch of the transaction; that of its marker is one above.
    pub(super) epoch: i16,
    /// What was decided.
    pub(super) commit: bool,
}

#[derive(Debug, Default)]
struct Producer {
    epoch: i16,
    next_sequence: i32,
    /// What was decided of its newest transaction, while no marker is known to be written.
    ending: Option<bool>,
    /// The newest end that was written or tried.
    newest: Option<End>,
}

/// All transactional producers.
#[derive(Debug, Default)]
pub(super) struct Transactions {
    producers: BTreeMap<usize, Producer>,
    decided: BTreeMap<(usize, i16), bool>,
}

impl Transactions {
    /// Epoch and first sequence number of a producer's next batch; none while its transaction is being ended.
    pub(super) fn write(&mut self, producer: usize, count: usize) -> Option<(i16, i32)> {
        let producer = self.producers.entry(producer).or_default();
        if producer.ending.is_some() {
            return None;
        }
        let first = producer.next_sequence;
        producer.next_sequence += count as i32;
        Some((producer.epoch, first))
    }

    /// Decides how a producer's transaction ends, unless that is decided.
    pub(super) fn end(&mut self, producer: usize, commit: bool) -> End {
        let known = self.producers.entry(producer).or_default();
        let commit = *known.ending.get_or_insert(commit);
        let end = End { producer, epoch: known.epoch, commit };
        known.newest = Some(end);
        self.decided.insert((producer, known.epoch), commit);
        end
    }

    /// The newest end of a producer's transactions once more, whether or not it is known to be written.
    pub(super) fn repeat(&self, producer: usize) -> Option<End> {
        self.producers.get(&producer)?.newest
    }

    /// An attempt to write a marker was answered.
    pub(super) fn learn(&mut self, end: End, outcome: Outcome) {
        let Some(producer) = self.producers.get_mut(&end.producer) else { return };
        if matches!(outcome, Outcome::At(_)) && producer.epoch == end.epoch {
            *producer = Producer { epoch: end.epoch + 1, newest: producer.newest, ..Producer::default() };
        }
    }

    /// Whether a marker of this end is known to be written.
    pub(super) fn has_ended(&self, end: End) -> bool {
        self.producers.get(&end.producer).is_some_and(|producer| producer.epoch > end.epoch)
    }

    /// What was decided of a transaction.
    pub(super) fn decision(&self, producer: usize, epoch: i16) -> Option<bool> {
        self.decided.get(&(producer, epoch)).copied()
    }
}
