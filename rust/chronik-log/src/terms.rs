//! Where each term begins, in both coordinates.
//!
//! Terms change rarely, so the whole table stays in memory: it answers Raft's `term(index)` and Kafka's
//! "end offset of a leader epoch" without touching the disk.

use chronik_wire::types::Offset;

use crate::{Index, Term};

/// First entry of a term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TermStart {
    pub(crate) term: Term,
    pub(crate) first_index: Index,
    pub(crate) start_offset: Offset,
}

/// End of a leader epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEnd {
    /// The epoch that was found: the requested one, or the largest below it.
    pub epoch: Term,
    /// Offset that follows its last record.
    pub end_offset: Offset,
}

/// The terms of the log's entries, ascending. The first one also answers for the entry before the log.
#[derive(Clone, Debug, Default)]
pub(crate) struct TermTable {
    starts: Vec<TermStart>,
}

impl TermTable {
    /// The log now begins after the entry at `index`.
    pub(crate) fn reset(&mut self, index: Index, term: Term, next_offset: Offset) {
        self.starts = vec![TermStart { term, first_index: index, start_offset: next_offset }];
    }

    /// The log begins with a compacted prefix: these terms, up to the entry at `index`, are those before it.
    pub(crate) fn precede(&mut self, terms: &[TermStart], index: Index) {
        let known = terms.iter().filter(|start| start.first_index <= index).copied();
        let last = known.clone().last().map_or(Term::ZERO, |start| start.term);
        self.starts.retain(|start| start.term > last);
        self.starts.splice(0..0, known);
    }

    /// The terms that began below `offset`.
    pub(crate) fn begun_below(&self, offset: Offset) -> Vec<TermStart> {
        self.starts.iter().filter(|start| start.start_offset < offset).copied().collect()
    }

    /// Notes an appended entry.
    pub(crate) fn note(&mut self, term: Term, index: Index, offset: Offset) {
        let last = self.starts.last().map_or(Term::ZERO, |start| start.term);
        assert!(term >= last, "entry {index} of term {term} follows an entry of term {last}");
        if term > last || self.starts.is_empty() {
            self.starts.push(TermStart { term, first_index: index, start_offset: offset });
        }
    }

    /// Forgets the entries from `index` on.
    pub(crate) fn truncate_from(&mut self, index: Index) {
        self.starts.truncate(self.starts.partition_point(|start| start.first_index < index));
    }

    /// Forgets what only concerns entries before `index`, the entry before the log, and offsets below `log_start`.
    pub(crate) fn drop_before(&mut self, index: Index, log_start: Offset) {
        let before = |start: &TermStart| start.first_index <= index && start.start_offset <= log_start;
        let keep = self.starts.partition_point(before).saturating_sub(1);
        self.starts.drain(..keep);
    }

    /// Term of an entry that the caller knows to be covered.
    pub(crate) fn term_at(&self, index: Index) -> Term {
        let after = self.starts.partition_point(|start| start.first_index <= index);
        after.checked_sub(1).and_then(|at| self.starts.get(at)).map_or(Term::ZERO, |start| start.term)
    }

    /// End of the largest epoch not above `epoch`, among the entries up to `applied` that still hold records
    /// at or above `log_start`. `applied_end` is the log end at `applied`.
    pub(crate) fn epoch_end(
        &self,
        epoch: Term,
        applied: Index,
        applied_end: Offset,
        log_start: Offset,
    ) -> Option<EpochEnd> {
        let applied_terms = self.starts.partition_point(|start| start.first_index <= applied);
        let end_of = |at: usize| {
            let next = self.starts[..applied_terms].get(at + 1);
            next.map_or(applied_end, |start| start.start_offset)
        };
        let first = (0..applied_terms).find(|at| end_of(*at) > log_start || at + 1 == applied_terms)?;
        let visible = &self.starts[first..applied_terms];
        let known = visible.partition_point(|start| start.term <= epoch);
        if known == 0 {
            // Older than anything left: all that epoch wrote lies before the first epoch we know.
            let end_offset = visible.first()?.start_offset.max(log_start);
            return Some(EpochEnd { epoch, end_offset });
        }
        let at = first + known - 1;
        Some(EpochEnd { epoch: self.starts[at].term, end_offset: end_of(at) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Terms 1, 3 and 4 begin at indexes 1, 5, 9 and offsets 0, 40, 80.
    fn table() -> TermTable {
        let mut table = TermTable::default();
        for (index, term) in (1..).zip([1, 1, 1, 1, 3, 3, 3, 3, 4, 4]) {
            table.note(Term(term), Index(index), Offset(10 * (i64::try_from(index).unwrap() - 1)));
        }
        table
    }

    fn end(table: &TermTable, epoch: u64, applied: u64, log_start: i64) -> (u64, i64) {
        let applied_end = Offset(i64::try_from(applied).unwrap() * 10);
        let end = table.epoch_end(Term(epoch), Index(applied), applied_end, Offset(log_start)).unwrap();
        (end.epoch.0, end.end_offset.0)
    }

    #[test]
    fn the_largest_epoch_not_above_the_requested_one_answers() {
        let table = table();
        assert_eq!(end(&table, 1, 10, 0), (1, 40));
        assert_eq!(end(&table, 2, 10, 0), (1, 40));
        assert_eq!(end(&table, 3, 10, 0), (3, 80));
        assert_eq!(end(&table, 4, 10, 0), (4, 100));
        assert_eq!(end(&table, 9, 10, 0), (4, 100));
        assert_eq!(end(&table, 0, 10, 0), (0, 0));
    }

    #[test]
    fn only_applied_entries_count() {
        let table = table();
        assert_eq!(end(&table, 4, 8, 0), (3, 80));
        assert_eq!(end(&table, 4, 6, 0), (3, 60));
        assert!(table.epoch_end(Term(4), Index(0), Offset(0), Offset(0)).is_none());
    }

    #[test]
    fn epochs_below_the_log_start_are_forgotten_whether_dropped_or_not() {
        let mut dropped = table();
        dropped.drop_before(Index(4), Offset(45));
        for table in [table(), dropped] {
            assert_eq!(end(&table, 1, 10, 45), (1, 45));
            assert_eq!(end(&table, 3, 10, 45), (3, 80));
        }
    }

    #[test]
    fn epochs_of_a_compacted_prefix_are_known() {
        let whole = table();
        let mut restarted = TermTable::default();
        restarted.reset(Index(6), Term(3), Offset(60));
        for index in 7..=8 {
            restarted.note(Term(3), Index(index), Offset(0));
        }
        restarted.note(Term(4), Index(9), Offset(80));
        restarted.precede(&whole.begun_below(Offset(60)), Index(6));
        for epoch in 0..6 {
            assert_eq!(end(&restarted, epoch, 10, 0), end(&whole, epoch, 10, 0), "epoch {epoch}");
        }
        restarted.drop_before(Index(6), Offset(30));
        assert_eq!(end(&restarted, 1, 10, 30), (1, 40), "records of term 1 are left");
        restarted.drop_before(Index(6), Offset(40));
        assert_eq!(restarted.starts.len(), 2);
    }

    #[test]
    fn terms_follow_truncation_and_reset() {
        let mut table = table();
        assert_eq!(table.term_at(Index(4)), Term(1));
        assert_eq!(table.term_at(Index(5)), Term(3));
        table.truncate_from(Index(5));
        assert_eq!(table.term_at(Index(9)), Term(1));
        table.reset(Index(20), Term(7), Offset(200));
        assert_eq!((table.term_at(Index(19)), table.term_at(Index(20))), (Term::ZERO, Term(7)));
    }
}
