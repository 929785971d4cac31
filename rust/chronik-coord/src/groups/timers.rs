//! What happens when nothing happens: deadlines on the broker clock, in an order that does not depend on who set them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What is due for a group.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// The join phase of a classic rebalance ends.
    Rebalance,
    /// Members of a classic generation must have fetched their assignment.
    Sync,
    /// A member was silent for too long.
    Session(Arc<str>),
    /// A member id was given out and nobody joined with it.
    PendingMember(Arc<str>),
    /// A member of a consumer group must have given up its partitions.
    Revocation(Arc<str>),
    /// A classic member of a consumer group must have joined again.
    ClassicJoin(Arc<str>),
    /// A classic member of a consumer group must have fetched its assignment.
    ClassicSync(Arc<str>),
}

/// The deadlines of all groups: at most one of each kind per group or member.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    by_time: BTreeSet<(i64, Arc<str>, Timer)>,
    by_group: BTreeMap<(Arc<str>, Timer), i64>,
}

impl Timers {
    /// Sets a deadline, in place of the same group's earlier one of this kind.
    pub(crate) fn set(&mut self, group: &Arc<str>, timer: Timer, at_ms: i64) {
        self.cancel(group, timer.clone());
        self.by_time.insert((at_ms, group.clone(), timer.clone()));
        self.by_group.insert((group.clone(), timer), at_ms);
    }

    /// Whether the deadline is set.
    pub(crate) fn is_set(&self, group: &Arc<str>, timer: Timer) -> bool {
        self.by_group.contains_key(&(group.clone(), timer))
    }

    /// Takes a deadline away.
    pub(crate) fn cancel(&mut self, group: &Arc<str>, timer: Timer) {
        if let Some((key, at_ms)) = self.by_group.remove_entry(&(group.clone(), timer)) {
            let (group, timer) = key;
            self.by_time.remove(&(at_ms, group, timer));
        }
    }

    /// Takes all deadlines of a group away.
    pub(crate) fn cancel_group(&mut self, group: &Arc<str>) {
        // `Rebalance` is the least of all timers.
        let of_group = self.by_group.range((group.clone(), Timer::Rebalance)..);
        let timers: Vec<Timer> =
            of_group.take_while(|((of, _), _)| of == group).map(|((_, timer), _)| timer.clone()).collect();
        for timer in timers {
            self.cancel(group, timer);
        }
    }

    /// The earliest deadline.
    pub(crate) fn next_ms(&self) -> Option<i64> {
        self.by_time.first().map(|(at_ms, _, _)| *at_ms)
    }

    /// Takes out a deadline that has come.
    pub(crate) fn take_due(&mut self, now_ms: i64) -> Option<(Arc<str>, Timer)> {
        let (at_ms, group, timer) = self.by_time.first()?.clone();
        if at_ms > now_ms {
            return None;
        }
        self.cancel(&group, timer.clone());
        Some((group, timer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_come_in_order_once_and_a_later_one_replaces_an_earlier() {
        let (a, b): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
        let mut timers = Timers::default();
        timers.set(&a, Timer::Sync, 5);
        timers.set(&b, Timer::Session("m".into()), 3);
        timers.set(&a, Timer::Sync, 1);
        timers.set(&b, Timer::Rebalance, 3);
        assert_eq!(timers.next_ms(), Some(1));
        assert_eq!(timers.take_due(0), None);
        assert_eq!(timers.take_due(1), Some((a.clone(), Timer::Sync)));
        timers.set(&a, Timer::PendingMember("p".into()), 9);
        timers.cancel_group(&b);
        assert_eq!(timers.take_due(9), Some((a.clone(), Timer::PendingMember("p".into()))));
        assert_eq!((timers.take_due(9), timers.next_ms()), (None, None));
    }
}
