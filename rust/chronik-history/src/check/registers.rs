//! Registers over time: the largest number proved before an instant, the smallest one proved after it.
//!
//! An end of a log is a max-register: a read returns at least the largest end that anyone had proved before the read
//! began. Both registers are staircases that are built by one sort and asked by binary search.

use super::subjects::EventId;

/// A number, when it was proved, and by which event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Proof {
    /// When it was proved.
    pub(super) at_ns: u64,
    /// What was proved.
    pub(super) number: i64,
    /// By whom.
    pub(super) event: EventId,
}

/// Largest number proved so far.
#[derive(Debug, Default)]
pub(super) struct MaxRegister {
    /// Ascending in time and number.
    steps: Vec<Proof>,
}

impl MaxRegister {
    pub(super) fn new(mut proofs: Vec<Proof>) -> Self {
        proofs.sort_unstable();
        let mut largest = i64::MIN;
        proofs.retain(|proof| {
            let rises = proof.number > largest;
            largest = largest.max(proof.number);
            rises
        });
        Self { steps: proofs }
    }

    /// The largest number proved strictly before this time.
    pub(super) fn before(&self, time_ns: u64) -> Option<Proof> {
        let count = self.steps.partition_point(|proof| proof.at_ns < time_ns);
        self.steps.get(count.checked_sub(1)?).copied()
    }

    /// The largest number ever proved.
    pub(super) fn last(&self) -> Option<Proof> {
        self.steps.last().copied()
    }

    /// The steps, ascending in time and number.
    pub(super) fn steps(&self) -> &[Proof] {
        &self.steps
    }
}

/// Smallest number that will still be proved.
#[derive(Debug, Default)]
pub(super) struct MinAfter {
    /// Ascending in time and number.
    steps: Vec<Proof>,
}

impl MinAfter {
    pub(super) fn new(mut proofs: Vec<Proof>) -> Self {
        proofs.sort_unstable_by(|left, right| {
            right.at_ns.cmp(&left.at_ns).then(left.number.cmp(&right.number))
        });
        let mut smallest = i64::MAX;
        proofs.retain(|proof| {
            let falls = proof.number < smallest;
            smallest = smallest.min(proof.number);
            falls
        });
        proofs.reverse();
        Self { steps: proofs }
    }

    /// The smallest number proved strictly after this time.
    pub(super) fn after(&self, time_ns: u64) -> Option<Proof> {
        self.steps.get(self.steps.partition_point(|proof| proof.at_ns <= time_ns)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proof(at_ns: u64, number: i64) -> Proof {
        Proof { at_ns, number, event: EventId(0) }
    }

    #[test]
    fn test_max_register_counts_only_what_was_proved_strictly_before() {
        let register = MaxRegister::new(vec![proof(30, 5), proof(10, 7), proof(20, 9), proof(20, 8)]);
        assert_eq!(register.before(10), None);
        assert_eq!(register.before(11).map(|proof| proof.number), Some(7));
        assert_eq!(register.before(20).map(|proof| proof.number), Some(7));
        assert_eq!(register.before(21).map(|proof| proof.number), Some(9));
        assert_eq!(register.before(99).map(|proof| proof.number), Some(9));
    }

    #[test]
    fn test_min_after_counts_only_what_is_proved_strictly_after() {
        let register = MinAfter::new(vec![proof(30, 5), proof(10, 1), proof(20, 9), proof(20, 3)]);
        assert_eq!(register.after(9).map(|proof| proof.number), Some(1));
        assert_eq!(register.after(10).map(|proof| proof.number), Some(3));
        assert_eq!(register.after(20).map(|proof| proof.number), Some(5));
        assert_eq!(register.after(30), None);
    }
}
