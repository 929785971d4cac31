//! What will happen when. Events of one instant happen in the order in which they were entered.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// Future events by simulated time, in microseconds.
pub(crate) struct Agenda<E> {
    entries: BinaryHeap<Entry<E>>,
    entered: u64,
}

struct Entry<E> {
    at_us: u64,
    number: u64,
    event: E,
}

impl<E> Ord for Entry<E> {
    /// The heap gives the greatest first, so the earliest is the greatest.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at_us, other.number).cmp(&(self.at_us, self.number))
    }
}

impl<E> PartialOrd for Entry<E> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> PartialEq for Entry<E> {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl<E> Eq for Entry<E> {}

impl<E> Default for Agenda<E> {
    fn default() -> Self {
        Agenda { entries: BinaryHeap::new(), entered: 0 }
    }
}

impl<E> Agenda<E> {
    /// Enters an event.
    pub(crate) fn enter(&mut self, at_us: u64, event: E) {
        self.entered += 1;
        self.entries.push(Entry { at_us, number: self.entered, event });
    }

    /// The next event and its time, if it happens no later than `until_us`.
    pub(crate) fn next(&mut self, until_us: u64) -> Option<(u64, E)> {
        if self.entries.peek()?.at_us > until_us {
            return None;
        }
        self.entries.pop().map(|entry| (entry.at_us, entry.event))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_in_order_of_time_and_then_of_entry() {
        let mut agenda = Agenda::default();
        agenda.enter(5, 'b');
        agenda.enter(1, 'a');
        agenda.enter(5, 'c');
        agenda.enter(9, 'd');
        let order: Vec<_> = std::iter::from_fn(|| agenda.next(5)).collect();
        assert_eq!(order, [(1, 'a'), (5, 'b'), (5, 'c')]);
    }
}
