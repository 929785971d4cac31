//! The aborted transactions whose records are still in the log: a reader of committed records leaves those out.
//!
//! Part of the replicated state, so that every replica serves such readers alike, whoever led when the marker came.

use std::collections::VecDeque;

use chronik_wire::types::Offset;

/// A transaction that was aborted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Aborted {
    /// Whose it was.
    pub(crate) producer: i64,
    /// Offset of its first record.
    pub(crate) first: Offset,
    /// Offset of the marker that ended it.
    pub(crate) last: Offset,
    /// The last stable offset when it had ended: transactions that ended later begin there or behind it.
    pub(crate) stable: Offset,
}

/// Aborted transactions in the order of their markers. Not bounded by itself: a leader opens no transaction while it is
/// full.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct AbortedTransactions(pub(super) VecDeque<Aborted>);

impl AbortedTransactions {
    /// Adds the transaction whose marker has just been applied.
    pub(crate) fn push(&mut self, aborted: Aborted) {
        assert!(self.0.back().is_none_or(|newest| newest.last < aborted.last), "markers come in log order");
        self.0.push_back(aborted);
    }

    /// Those that may have records in `from..up_to`, in the order of their markers.
    pub(crate) fn in_range(&self, from: Offset, up_to: Offset) -> impl Iterator<Item = &Aborted> {
        let first = self.0.partition_point(|aborted| aborted.last < from);
        let mut is_complete = false;
        self.0
            .range(first..)
            .take_while(move |aborted| !std::mem::replace(&mut is_complete, aborted.stable >= up_to))
            .filter(move |aborted| aborted.first < up_to)
    }

    /// Forgets those whose last record lies below the log start.
    pub(crate) fn forget_below(&mut self, log_start: Offset) {
        let gone = self.0.partition_point(|aborted| aborted.last < log_start);
        self.0.drain(..gone);
        if self.0.is_empty() {
            self.0 = VecDeque::new();
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aborted(producer: i64, first: i64, last: i64, stable: i64) -> Aborted {
        Aborted { producer, first: Offset(first), last: Offset(last), stable: Offset(stable) }
    }

    /// Producer 1 from 0 to 9 while producer 2 is open from 5 to 20, then producer 3 from 15 to 30.
    fn three() -> AbortedTransactions {
        let mut list = AbortedTransactions::default();
        list.push(aborted(1, 0, 9, 5));
        list.push(aborted(2, 5, 20, 15));
        list.push(aborted(3, 15, 30, 31));
        list
    }

    #[test]
    fn a_range_finds_all_that_overlap_it() {
        let list = three();
        let producers = |from, up_to| {
            list.in_range(Offset(from), Offset(up_to)).map(|aborted| aborted.producer).collect::<Vec<_>>()
        };
        assert_eq!(producers(0, 31), [1, 2, 3]);
        assert_eq!(producers(0, 5), [1]);
        assert_eq!(producers(9, 10), [1, 2], "the marker itself belongs to the range");
        assert_eq!(producers(10, 15), [2]);
        assert_eq!(producers(10, 16), [2, 3]);
        assert_eq!(producers(21, 22), [3]);
        assert!(producers(31, 99).is_empty());
    }

    #[test]
    fn the_log_start_takes_those_below_it_along() {
        let mut list = three();
        list.forget_below(Offset(9));
        assert_eq!(list.len(), 3, "the marker at 9 can still be read");
        list.forget_below(Offset(10));
        assert_eq!(list.len(), 2);
        list.forget_below(Offset(99));
        assert_eq!(list, AbortedTransactions::default());
    }
}
