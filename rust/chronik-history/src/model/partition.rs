//! One partition of the model: a list of records that grows at one end and is cut off at the other.

use std::collections::BTreeSet;

use crate::operation::{Isolation, Record};
use crate::text::Text;

/// What occupies one offset.
#[derive(Debug, Clone)]
struct Entry {
    /// `None` for a transaction marker.
    value: Option<Text>,
    /// The transaction it belongs to.
    transaction: Option<usize>,
}

/// What readers see at one instant.
#[derive(Debug, Clone)]
pub(super) struct Snapshot {
    pub(super) hw: i64,
    pub(super) lso: i64,
    pub(super) log_start: i64,
    pub(super) records: Vec<Record>,
    pub(super) next: i64,
}

/// A log that is always right.
#[derive(Debug)]
pub(super) struct Partition {
    pub(super) key: Text,
    log: Vec<Entry>,
    log_start: usize,
    /// Open transactions and where each begins.
    open: Vec<(usize, i64)>,
    /// Transactions that were aborted, with markers in this partition.
    aborted: BTreeSet<usize>,
}

impl Partition {
    pub(super) fn new(key: Text) -> Self {
        Self { key, log: Vec::new(), log_start: 0, open: Vec::new(), aborted: BTreeSet::new() }
    }

    pub(super) fn hw(&self) -> i64 {
        self.log.len() as i64
    }

    pub(super) fn lso(&self) -> i64 {
        self.open.iter().map(|(_, first)| *first).min().unwrap_or(self.hw())
    }

    pub(super) fn log_start(&self) -> i64 {
        self.log_start as i64
    }

    /// Stores a batch and returns its offset.
    pub(super) fn append(&mut self, values: &[Text], transaction: Option<usize>) -> i64 {
        let offset = self.hw();
        if let Some(transaction) = transaction
            && !self.open.iter().any(|(open, _)| *open == transaction)
        {
            self.open.push((transaction, offset));
        }
        self.log.extend(values.iter().map(|value| Entry { value: Some(value.clone()), transaction }));
        offset
    }

    /// Ends a transaction by a marker, if it wrote here.
    pub(super) fn end(&mut self, transaction: usize, commit: bool) {
        let before = self.open.len();
        self.open.retain(|(open, _)| *open != transaction);
        if self.open.len() == before {
            return;
        }
        self.log.push(Entry { value: None, transaction: None });
        if !commit {
            self.aborted.insert(transaction);
        }
    }

    /// Deletes the older part of what is decided.
    pub(super) fn retain_from(&mut self, offset: i64) {
        self.log_start = self.log_start.max(offset.min(self.lso()).max(0) as usize);
    }

    /// What a fetch from this offset shows, or `None` if it is out of range.
    pub(super) fn read(&self, from: i64, isolation: Isolation, records_max: usize) -> Option<Snapshot> {
        if from < self.log_start() || from > self.hw() {
            return None;
        }
        let end = match isolation {
            Isolation::ReadUncommitted => self.hw(),
            Isolation::ReadCommitted => self.lso(),
        };
        let mut records = Vec::new();
        let mut next = from;
        while next < end && records.len() < records_max {
            let Some(entry) = self.log.get(next as usize) else { break };
            let is_aborted = isolation == Isolation::ReadCommitted
                && entry.transaction.is_some_and(|transaction| self.aborted.contains(&transaction));
            if let (Some(value), false) = (&entry.value, is_aborted) {
                records.push(Record { offset: next, value: value.clone() });
            }
            next += 1;
        }
        Some(Snapshot { hw: self.hw(), lso: self.lso(), log_start: self.log_start(), records, next })
    }
}
