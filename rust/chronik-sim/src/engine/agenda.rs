//! What will happen when. Events of one instant happen in the order in which they were entered.

use std::collections::BTreeMap;

/// Future events by simulated time, in microseconds.
#[derive(Debug)]
pub(crate) struct Agenda<E> {
    entries: BTreeMap<(u64, u64), E>,
    entered: u64,
}

impl<E> Default for Agenda<E> {
    fn default() -> Self {
        Agenda { entries: BTreeMap::new(), entered: 0 }
    }
}

impl<E> Agenda<E> {
    /// Enters an event.
    pub(crate) fn enter(&mut self, at_us: u64, event: E) {
        self.entered += 1;
        self.entries.insert((at_us, self.entered), event);
    }

    /// The next event and its time, if it happens no later than `until_us`.
    pub(crate) fn next(&mut self, until_us: u64) -> Option<(u64, E)> {
        let first = self.entries.first_entry()?;
        if first.key().0 > until_us {
            return None;
        }
        let ((at_us, _), event) = first.remove_entry();
        Some((at_us, event))
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
