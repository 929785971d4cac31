//! The newest entries, in memory: what Raft sends and what tailing consumers read.
//!
//! A cache with a byte budget, contiguous up to the log's last entry; the segments hold everything.

use std::collections::VecDeque;

use chronik_wire::types::Offset;

use crate::{Entry, Index};

/// What an entry costs beside its payload.
const ENTRY_OVERHEAD_BYTES: usize = 128;

#[derive(Debug, Default)]
pub(crate) struct Tail {
    entries: VecDeque<Entry>,
    bytes: usize,
}

impl Tail {
    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds the entry that follows the last one, and lets go of the oldest beyond the budget.
    pub(crate) fn push(&mut self, entry: Entry, budget_bytes: usize) {
        debug_assert!(self.entries.back().is_none_or(|last| last.index.next() == entry.index));
        self.bytes += cost(&entry);
        self.entries.push_back(entry);
        self.shrink(budget_bytes);
    }

    /// Lets go of the oldest entries beyond the budget, but never of the last one.
    pub(crate) fn shrink(&mut self, budget_bytes: usize) {
        while self.bytes > budget_bytes && self.entries.len() > 1 {
            if let Some(entry) = self.entries.pop_front() {
                self.bytes -= cost(&entry);
            }
        }
    }

    /// Lets go of everything.
    pub(crate) fn clear(&mut self) {
        *self = Tail::default();
    }

    /// Forgets the entries from `index` on.
    pub(crate) fn truncate_from(&mut self, index: Index) {
        while let Some(last) = self.entries.back().filter(|last| last.index >= index) {
            self.bytes -= cost(last);
            self.entries.pop_back();
        }
    }

    /// Forgets the entries before `index`.
    pub(crate) fn drop_before(&mut self, index: Index) {
        while let Some(first) = self.entries.front().filter(|first| first.index < index) {
            self.bytes -= cost(first);
            self.entries.pop_front();
        }
    }

    /// Index of the oldest entry held.
    pub(crate) fn first_index(&self) -> Option<Index> {
        self.entries.front().map(|entry| entry.index)
    }

    /// Log end before the oldest entry held.
    pub(crate) fn first_offset(&self) -> Option<Offset> {
        self.entries.front().map(|entry| entry.base_offset)
    }

    /// The entry at `index`.
    pub(crate) fn get(&self, index: Index) -> Option<&Entry> {
        let first = self.first_index()?;
        self.entries.get(usize::try_from(index.0.checked_sub(first.0)?).ok()?)
    }

    /// The entries from `index` on; nothing if that one is not held.
    pub(crate) fn iter_from(&self, index: Index) -> impl Iterator<Item = &Entry> {
        let skip = self.first_index().and_then(|first| index.0.checked_sub(first.0));
        let skip = skip.and_then(|skip| usize::try_from(skip).ok()).unwrap_or(usize::MAX);
        self.entries.range(skip.min(self.entries.len())..)
    }

    /// The entries from the one that holds `offset` on. The caller made sure that it is held.
    pub(crate) fn iter_from_offset(&self, offset: Offset) -> impl Iterator<Item = &Entry> {
        let skip = self.entries.partition_point(|entry| entry.next_offset() <= offset);
        self.entries.range(skip..)
    }
}

fn cost(entry: &Entry) -> usize {
    entry.data.len() + ENTRY_OVERHEAD_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::batch_entry;

    /// What each entry of the test costs.
    fn each() -> usize {
        cost(&batch_entry(1, 1, 0, 2, &[0; 39]))
    }

    fn tail(budget_bytes: usize) -> Tail {
        let mut tail = Tail::default();
        for index in 1..=10_u64 {
            let base = i64::try_from(index - 1).unwrap() * 2;
            tail.push(batch_entry(index, 1, base, 2, &[0; 39]), budget_bytes);
        }
        tail
    }

    #[test]
    fn the_budget_holds_and_the_last_entry_stays() {
        let each = each();
        assert_eq!(tail(4 * each).first_index(), Some(Index(7)));
        assert_eq!(tail(4 * each).bytes(), 4 * each);
        assert_eq!(tail(0).first_index(), Some(Index(10)));
    }

    #[test]
    fn entries_are_found_by_index_and_by_offset() {
        let mut tail = tail(usize::MAX);
        tail.shrink(6 * each());
        assert!(tail.get(Index(4)).is_none());
        assert_eq!(tail.get(Index(5)).unwrap().base_offset, Offset(8));
        assert_eq!(tail.iter_from(Index(9)).count(), 2);
        assert_eq!(tail.iter_from(Index(4)).count(), 0);
        assert_eq!(tail.iter_from_offset(Offset(9)).next().unwrap().index, Index(5));
        tail.truncate_from(Index(6));
        assert_eq!(tail.bytes(), each());
        tail.truncate_from(Index(5));
        assert_eq!((tail.bytes(), tail.first_index()), (0, None));
    }
}
