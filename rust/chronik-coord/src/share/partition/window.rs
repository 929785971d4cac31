//! The records under way, as runs of neighbours to which the same has happened.
//!
//! Owns that the runs cover the window without gap or overlap and that equal neighbours are one run, so that memory goes
//! with what differs and not with how many records there are. Knows no rule of delivery.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use crate::share::delivery::DeliveryState;

/// A member's hold on records, until it is done with them or the time is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lock {
    pub(super) member: Arc<str>,
    /// On the broker clock.
    pub(super) until_ms: i64,
}

/// What is so of a record now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Hold {
    /// Nobody has it.
    Free,
    /// A member has it.
    Held(Lock),
    /// Its member has said what is to become of it, which counts once write number `write` is done.
    Settling { lock: Lock, to: DeliveryState, write: u64 },
    /// Never to be delivered again.
    Done(DeliveryState),
}

/// Whether the coordinator knows. Means nothing while a member has the record: that is not written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Saved {
    No,
    /// Write number so and so says it.
    Writing(u64),
    Yes,
}

/// Neighbours to which the same has happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) hold: Hold,
    pub(super) delivery_count: i16,
    pub(super) saved: Saved,
}

impl Run {
    /// Records that were never delivered, of which there is nothing to tell.
    pub(super) const NEW: Run = Run { hold: Hold::Free, delivery_count: 0, saved: Saved::Yes };

    /// Records that are no more, or never were; the coordinator is to know.
    pub(super) const NOTHING: Run =
        Run { hold: Hold::Done(DeliveryState::Archived), delivery_count: 0, saved: Saved::No };

    /// Whether the records are done, or will be with write number `write`.
    pub(super) fn is_done_with(&self, write: u64) -> bool {
        match &self.hold {
            Hold::Done(_) => true,
            Hold::Settling { to, write: settling, .. } => to.is_final() && *settling <= write,
            Hold::Free | Hold::Held(_) => false,
        }
    }
}

/// The runs from `start` to `end`, which is exclusive.
#[derive(Debug, Clone)]
pub(super) struct Window {
    start: i64,
    end: i64,
    /// By first offset, with the exclusive end.
    runs: BTreeMap<i64, (i64, Run)>,
}

impl Window {
    /// An empty window.
    pub(super) fn new(start: i64) -> Window {
        Window { start, end: start, runs: BTreeMap::new() }
    }

    pub(super) fn start(&self) -> i64 {
        self.start
    }

    pub(super) fn end(&self) -> i64 {
        self.end
    }

    /// How many runs there are.
    pub(super) fn run_count(&self) -> usize {
        self.runs.len()
    }

    /// All runs in order.
    pub(super) fn runs(&self) -> impl Iterator<Item = (Range<i64>, &Run)> {
        self.runs.iter().map(|(first, (end, run))| (*first..*end, run))
    }

    /// The runs that have something in `range`, cut to it.
    pub(super) fn runs_in(&self, range: Range<i64>) -> impl Iterator<Item = (Range<i64>, &Run)> {
        let before = self.runs.range(..range.start).next_back().filter(|(_, (end, _))| *end > range.start);
        let from = before.map_or(range.start, |(first, _)| *first);
        let touched = self.runs.range(from..range.end.max(from));
        touched.map(move |(first, (end, run))| ((*first).max(range.start)..(*end).min(range.end), run))
    }

    /// Changes the runs in `range`, or leaves those alone for which there is nothing new.
    pub(super) fn change(&mut self, range: Range<i64>, mut change: impl FnMut(&Run) -> Option<Run>) {
        let range = range.start.max(self.start)..range.end.min(self.end);
        if range.is_empty() {
            return;
        }
        self.split_at(range.start);
        self.split_at(range.end);
        for (_, (_, run)) in self.runs.range_mut(range.clone()) {
            if let Some(changed) = change(run) {
                *run = changed;
            }
        }
        self.merge_around(range);
    }

    /// Adds a run at the end.
    pub(super) fn extend(&mut self, end: i64, run: Run) {
        if end > self.end {
            let first = std::mem::replace(&mut self.end, end);
            self.runs.insert(first, (end, run));
            self.merge_around(first..end);
        }
    }

    /// Forgets everything below `start`. A window that lies below it altogether begins there anew.
    pub(super) fn cut_below(&mut self, start: i64) {
        if start <= self.start {
            return;
        }
        self.split_at(start);
        self.runs = self.runs.split_off(&start);
        self.start = start;
        self.end = self.end.max(start);
    }

    fn split_at(&mut self, at: i64) {
        let Some((_, (end, run))) = self.runs.range_mut(..at).next_back() else { return };
        if *end > at {
            let rest = (std::mem::replace(end, at), run.clone());
            self.runs.insert(at, rest);
        }
    }

    fn merge_around(&mut self, range: Range<i64>) {
        let before = self.runs.range(..range.start).next_back().map(|(first, _)| *first);
        let mut keys = self.runs.range(before.unwrap_or(range.start)..=range.end).map(|(first, _)| *first);
        let Some(mut kept) = keys.next() else { return };
        let later: Vec<i64> = keys.collect();
        for first in later {
            let same = match (self.runs.get(&kept), self.runs.get(&first)) {
                (Some((_, one)), Some((_, other))) => one == other,
                _ => false,
            };
            if !same {
                kept = first;
            } else if let Some((end, _)) = self.runs.remove(&first)
                && let Some(run) = self.runs.get_mut(&kept)
            {
                run.0 = end;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done() -> Run {
        Run { hold: Hold::Done(DeliveryState::Acknowledged), delivery_count: 1, saved: Saved::Yes }
    }

    fn ranges(window: &Window) -> Vec<(Range<i64>, bool)> {
        window.runs().map(|(range, run)| (range, run.is_done_with(0))).collect()
    }

    #[test]
    fn runs_split_where_they_differ_and_merge_where_they_do_not() {
        let mut window = Window::new(5);
        window.extend(15, Run::NEW);
        window.extend(20, Run::NEW);
        assert_eq!(ranges(&window), [(5..20, false)]);
        window.change(8..12, |_| Some(done()));
        window.change(12..14, |_| Some(done()));
        window.change(0..100, |_| None);
        assert_eq!(ranges(&window), [(5..8, false), (8..14, true), (14..20, false)]);
        let cut: Vec<_> = window.runs_in(7..9).map(|(range, _)| range).collect();
        assert_eq!(cut, [7..8, 8..9]);
        window.cut_below(10);
        assert_eq!(ranges(&window), [(10..14, true), (14..20, false)]);
        window.change(10..14, |_| Some(Run::NEW));
        assert_eq!((ranges(&window), window.run_count()), (vec![(10..20, false)], 1));
        window.cut_below(30);
        assert_eq!((window.start(), window.end(), window.run_count()), (30, 30, 0));
    }
}
