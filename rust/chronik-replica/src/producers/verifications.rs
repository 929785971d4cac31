//! What a leader remembers between asking a transaction's coordinator and appending the transaction's first batch.
//!
//! The coordinator says "this partition belongs to the producer's open transaction", and until the batch comes the
//! transaction may end: its marker is appended here first, the batch behind it would open a transaction that nobody
//! ends. So each question has a guard, and a marker makes the producer's guard worthless (KIP-890).
//! Soft state of one leadership: a lost guard costs the client a retry.

use std::collections::BTreeMap;

use crate::limits;

/// Proof that no marker of the producer was appended here since the question was asked. Never given out twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct VerificationGuard(pub(crate) u64);

/// The guards in force, at most one per producer.
#[derive(Debug, Default)]
pub(crate) struct Verifications {
    by_producer: BTreeMap<i64, VerificationGuard>,
    by_guard: BTreeMap<VerificationGuard, i64>,
}

impl Verifications {
    /// The producer's guard, or `fresh` if it has none. Guards are given out in ascending order, so the first one is
    /// the oldest and makes room.
    pub(crate) fn begin(&mut self, producer: i64, fresh: VerificationGuard) -> VerificationGuard {
        if let Some(guard) = self.by_producer.get(&producer) {
            return *guard;
        }
        if self.by_producer.len() >= limits::VERIFICATIONS_MAX
            && let Some((_, oldest)) = self.by_guard.pop_first()
        {
            self.by_producer.remove(&oldest);
        }
        self.by_producer.insert(producer, fresh);
        self.by_guard.insert(fresh, producer);
        fresh
    }

    /// Whether no marker came since.
    pub(crate) fn is_in_force(&self, producer: i64, guard: VerificationGuard) -> bool {
        self.by_producer.get(&producer) == Some(&guard)
    }

    /// A marker of the producer is appended, or its transaction is open now.
    pub(crate) fn end(&mut self, producer: i64) {
        if let Some(guard) = self.by_producer.remove(&producer) {
            self.by_guard.remove(&guard);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guard_is_shared_by_its_producers_questions_and_ends_with_a_marker() {
        let mut verifications = Verifications::default();
        let guard = verifications.begin(7, VerificationGuard(1));
        assert_eq!(verifications.begin(7, VerificationGuard(2)), guard);
        assert!(verifications.is_in_force(7, guard) && !verifications.is_in_force(8, guard));
        verifications.end(7);
        assert!(!verifications.is_in_force(7, guard));
        assert_ne!(verifications.begin(7, VerificationGuard(3)), guard);
    }

    #[test]
    fn the_oldest_guard_makes_room() {
        let mut verifications = Verifications::default();
        let count = limits::VERIFICATIONS_MAX as i64;
        for producer in 0..=count {
            verifications.begin(producer, VerificationGuard(producer as u64));
        }
        assert!(!verifications.is_in_force(0, VerificationGuard(0)));
        assert!(verifications.is_in_force(1, VerificationGuard(1)));
        assert!(verifications.is_in_force(count, VerificationGuard(count as u64)));
        assert_eq!(verifications.by_guard.len(), verifications.by_producer.len());
    }
}
