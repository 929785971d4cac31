//! What Raft reads: entries and terms by index.

use std::ops::ControlFlow;

use super::PartitionLog;
use crate::entry::Entry;
use crate::error::LogError;
use crate::limits::{LOOKUP_WINDOW_BYTES, SCAN_WINDOW_BYTES};
use crate::{Index, Term};

impl PartitionLog {
    /// Term of the entry at `index`. Answers for the entry before the log too.
    pub fn term(&self, index: Index) -> Result<Term, LogError> {
        self.check_index(index, self.first_index().prev())?;
        Ok(self.terms.term_at(index))
    }

    /// The entries `low..high`, as many as fit into `max_bytes` of payload, at least one.
    pub fn entries(&self, low: Index, high: Index, max_bytes: u64) -> Result<Vec<Entry>, LogError> {
        if low >= high {
            return Ok(Vec::new());
        }
        self.check_index(low, self.first_index())?;
        self.check_index(high.prev(), self.first_index())?;
        let mut found = Vec::new();
        let mut budget = Budget::new(max_bytes);
        let tail_first = self.tail.first_index().unwrap_or(self.next_index);
        if low < tail_first {
            let cold_end = high.min(tail_first);
            if !self.cold_entries(low, cold_end, &mut budget, &mut found)? || cold_end == high {
                return Ok(found);
            }
        }
        for entry in self.tail.iter_from(low.max(tail_first)) {
            if entry.index >= high || !budget.takes(entry.data.len()) {
                break;
            }
            found.push(entry.clone());
        }
        Ok(found)
    }

    /// Reads entries from the segments; false if the budget ended the read.
    fn cold_entries(
        &self,
        low: Index,
        high: Index,
        budget: &mut Budget,
        found: &mut Vec<Entry>,
    ) -> Result<bool, LogError> {
        let at = self.segment_of_index(low);
        let Some(segment) = self.segments.get(at) else { return Ok(true) };
        let window = usize::try_from(budget.left).unwrap_or(usize::MAX);
        let window = window.clamp(LOOKUP_WINDOW_BYTES, SCAN_WINDOW_BYTES);
        let full = self.walk(at, segment.position_before_index(low), window, |met| {
            if met.header.index >= high {
                return Ok(ControlFlow::Break(false));
            }
            if met.header.index >= low {
                if !budget.takes(met.header.data_length as usize) {
                    return Ok(ControlFlow::Break(true));
                }
                found.push(met.header.into_entry(met.data()?));
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(full != Some(true))
    }

    /// Whether an index lies in `lowest..=last_index`.
    pub(super) fn check_index(&self, index: Index, lowest: Index) -> Result<(), LogError> {
        if index < lowest {
            return Err(LogError::Compacted { index, first_index: self.first_index() });
        }
        if index > self.last_index() {
            return Err(LogError::Unavailable { index, last_index: self.last_index() });
        }
        Ok(())
    }
}

/// Bytes that an answer may still take. The first item always fits.
struct Budget {
    left: u64,
    empty: bool,
}

impl Budget {
    fn new(left: u64) -> Budget {
        Budget { left, empty: true }
    }

    fn takes(&mut self, bytes: usize) -> bool {
        let bytes = bytes as u64;
        let fits = self.empty || bytes <= self.left;
        self.empty = false;
        self.left = self.left.saturating_sub(bytes);
        fits
    }
}
