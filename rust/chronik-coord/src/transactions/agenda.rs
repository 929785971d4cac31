//! What is due when: at most one deadline for each transactional id.
//!
//! An open transaction is due for its abort, an idle transactional id for its expiry, a producer that waits for its
//! markers for an answer. Never two of them at a time, because each belongs to another status.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Deadlines on the broker clock, in milliseconds.
#[derive(Debug, Default)]
pub(crate) struct Agenda {
    by_time: BTreeSet<(i64, Arc<str>)>,
    by_id: BTreeMap<Arc<str>, i64>,
}

impl Agenda {
    /// Sets or, with `None`, clears the deadline of a transactional id.
    pub(crate) fn set(&mut self, id: &Arc<str>, deadline_ms: Option<i64>) {
        if let Some(before) = self.by_id.remove(id) {
            self.by_time.remove(&(before, id.clone()));
        }
        if let Some(deadline_ms) = deadline_ms {
            self.by_id.insert(id.clone(), deadline_ms);
            self.by_time.insert((deadline_ms, id.clone()));
        }
        assert_eq!(self.by_id.len(), self.by_time.len(), "both indexes hold the same deadlines");
    }

    /// The deadline of a transactional id.
    pub(crate) fn get(&self, id: &str) -> Option<i64> {
        self.by_id.get(id).copied()
    }

    /// The earliest deadline.
    pub(crate) fn next_ms(&self) -> Option<i64> {
        self.by_time.first().map(|(deadline_ms, _)| *deadline_ms)
    }

    /// Takes the earliest deadline off if it is reached.
    pub(crate) fn take_due(&mut self, now_ms: i64) -> Option<Arc<str>> {
        if self.next_ms()? > now_ms {
            return None;
        }
        let (_, id) = self.by_time.pop_first()?;
        self.by_id.remove(&id);
        Some(id)
    }
}
