//! What becomes of the delivery of records, as it is written down: batches of neighbours with the same fate.
//!
//! Owns how two accounts of the same records become one. Joining never takes anything back: a record that is done stays
//! done and its delivery count never falls. So an account that is told twice, or late, does no harm.

use std::collections::BTreeMap;
use std::ops::Range;

use chronik_wire::types::Offset;

/// What has become of a record, as far as anybody writes it down. That somebody is busy with it is known to the leader of
/// its partition alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DeliveryState {
    /// To be delivered, for the first time or again.
    Available,
    /// A consumer is done with it.
    Acknowledged,
    /// Given up: rejected, delivered too often, or no record at all.
    Archived,
}

impl DeliveryState {
    /// Kafka's number.
    pub fn number(self) -> i8 {
        match self {
            DeliveryState::Available => 0,
            DeliveryState::Acknowledged => 2,
            DeliveryState::Archived => 4,
        }
    }

    /// The state of a number; `None` for one that is not written down.
    pub fn from_number(number: i8) -> Option<DeliveryState> {
        match number {
            0 => Some(DeliveryState::Available),
            2 => Some(DeliveryState::Acknowledged),
            4 => Some(DeliveryState::Archived),
            _ => None,
        }
    }

    /// Whether the record is never delivered again.
    pub fn is_final(self) -> bool {
        self != DeliveryState::Available
    }
}

/// Records of the same fate, side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateBatch {
    /// The first of them.
    pub first: Offset,
    /// The last of them.
    pub last: Offset,
    /// What has become of them.
    pub state: DeliveryState,
    /// How often each was delivered.
    pub delivery_count: i16,
}

impl StateBatch {
    /// Whether it is about records that a log can have, each delivered so often.
    pub fn is_sound(&self) -> bool {
        0 <= self.first.0 && self.first <= self.last && self.last.0 < i64::MAX && self.delivery_count >= 0
    }
}

/// The fate of one record.
type Fate = (DeliveryState, i16);

/// Joins `news` to what was known of the records from `start` on. Both are sound and may say anything about any record. The
/// result is in order, no record is in it twice, and neighbours of the same fate are one batch.
pub fn join(known: &[StateBatch], news: &[StateBatch], start: Offset) -> Vec<StateBatch> {
    let mut fates = Fates::default();
    for batch in known.iter().chain(news) {
        let offsets = batch.first.0.max(start.0)..batch.last.0.saturating_add(1);
        if !offsets.is_empty() {
            fates.tell(offsets, (batch.state, batch.delivery_count));
        }
    }
    fates.into_batches()
}

/// How many records of `batches` from `start` on are done.
pub fn complete_count(batches: &[StateBatch], start: Offset) -> i64 {
    let done = batches.iter().filter(|batch| batch.state.is_final());
    done.map(|batch| (batch.last.0 - batch.first.0.max(start.0) + 1).max(0)).sum()
}

/// Disjoint ranges by their first offset, each with its end.
#[derive(Default)]
struct Fates(BTreeMap<i64, (i64, Fate)>);

impl Fates {
    fn tell(&mut self, offsets: Range<i64>, fate: Fate) {
        let before = self.0.range(..offsets.start).next_back().filter(|(_, (end, _))| *end > offsets.start);
        let from = before.map_or(offsets.start, |(first, _)| *first);
        let touched: Vec<i64> = self.0.range(from..offsets.end).map(|(first, _)| *first).collect();
        let mut told_to = offsets.start;
        for first in touched {
            let Some((end, known)) = self.0.remove(&first) else { continue };
            let common = first.max(offsets.start)..end.min(offsets.end);
            self.put(first..common.start, known);
            self.put(told_to..common.start, fate);
            self.put(common.clone(), joined(known, fate));
            self.put(common.end..end, known);
            told_to = common.end;
        }
        self.put(told_to..offsets.end, fate);
    }

    fn put(&mut self, offsets: Range<i64>, fate: Fate) {
        if !offsets.is_empty() {
            self.0.insert(offsets.start, (offsets.end, fate));
        }
    }

    fn into_batches(self) -> Vec<StateBatch> {
        let mut batches: Vec<StateBatch> = Vec::with_capacity(self.0.len());
        for (first, (end, (state, delivery_count))) in self.0 {
            let last = Offset(end - 1);
            match batches.last_mut() {
                Some(before)
                    if before.last.0 + 1 == first
                        && (before.state, before.delivery_count) == (state, delivery_count) =>
                {
                    before.last = last;
                }
                _ => batches.push(StateBatch { first: Offset(first), last, state, delivery_count }),
            }
        }
        batches
    }
}

/// The first thing that was final stays; until then the record counts as delivered as often as anybody knows.
fn joined(known: Fate, news: Fate) -> Fate {
    match (known.0.is_final(), news.0.is_final()) {
        (true, _) => known,
        (false, true) => news,
        (false, false) => (DeliveryState::Available, known.1.max(news.1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn batch(first: i64, last: i64, state: DeliveryState, delivery_count: i16) -> StateBatch {
        StateBatch { first: Offset(first), last: Offset(last), state, delivery_count }
    }

    #[test]
    fn done_is_done_and_counts_do_not_fall() {
        use DeliveryState::{Acknowledged, Archived, Available};
        let known = [batch(0, 4, Available, 2), batch(5, 9, Acknowledged, 1)];
        let news = [batch(3, 6, Available, 1), batch(8, 12, Archived, 3)];
        let joined = join(&known, &news, Offset(2));
        let expected = [batch(2, 4, Available, 2), batch(5, 9, Acknowledged, 1), batch(10, 12, Archived, 3)];
        assert_eq!(joined, expected);
        assert_eq!(complete_count(&joined, Offset(2)), 8);
        assert_eq!(complete_count(&joined, Offset(8)), 5);
    }

    #[test]
    fn numbers_are_kafkas() {
        for number in -1..=5 {
            let state = DeliveryState::from_number(number);
            assert_eq!(state.map(DeliveryState::number).unwrap_or(number), number);
            assert_eq!(state.is_some(), [0, 2, 4].contains(&number));
        }
    }

    fn any_batch() -> impl Strategy<Value = StateBatch> {
        let states = vec![DeliveryState::Available, DeliveryState::Acknowledged, DeliveryState::Archived];
        (0_i64..20, 0_i64..6, proptest::sample::select(states), 0_i16..4)
            .prop_map(|(first, more, state, count)| batch(first, first + more, state, count))
    }

    proptest! {
        #[test]
        fn joining_is_what_a_table_of_records_says(
            known in proptest::collection::vec(any_batch(), 0..6),
            news in proptest::collection::vec(any_batch(), 0..6),
            start in 0_i64..10,
        ) {
            let mut table: BTreeMap<i64, Fate> = BTreeMap::new();
            for told in known.iter().chain(&news) {
                for offset in told.first.0.max(start)..=told.last.0 {
                    let fate = (told.state, told.delivery_count);
                    table.entry(offset).and_modify(|known| *known = joined(*known, fate)).or_insert(fate);
                }
            }
            let result = join(&known, &news, Offset(start));
            let flat: BTreeMap<i64, Fate> = result
                .iter()
                .flat_map(|one| (one.first.0..=one.last.0).map(|offset| (offset, (one.state, one.delivery_count))))
                .collect();
            prop_assert_eq!(&flat, &table);
            prop_assert_eq!(result.iter().map(|one| one.last.0 - one.first.0 + 1).sum::<i64>(), table.len() as i64);
            prop_assert!(result.windows(2).all(|pair| pair[0].last < pair[1].first));
            // Told again, nothing changes.
            prop_assert_eq!(join(&result, &news, Offset(start)), result);
        }
    }
}
