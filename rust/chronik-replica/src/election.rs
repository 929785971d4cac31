//! Election timeouts without a random source.
//!
//! Raft draws its timeout from the thread's random generator, its only randomness. The replica overwrites the
//! draw after every input with a pure function of seed, group, node, term and attempt, so that a seeded run
//! repeats exactly and two nodes still differ.

use chronik_wire::types::{NodeId, PartitionKey};

/// What the timeout depends on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TimeoutInput {
    /// The run's seed.
    pub(crate) seed: u64,
    /// The raft group.
    pub(crate) key: PartitionKey,
    /// This node.
    pub(crate) node: NodeId,
    /// The present term.
    pub(crate) term: u64,
    /// Elections started here since a leader was last known: two candidates that tied once part ways.
    pub(crate) attempt: u64,
}

/// Ticks without a leader after which this replica campaigns: in `[election_ticks, 2 * election_ticks)`.
pub(crate) fn timeout_ticks(input: TimeoutInput, election_ticks: usize) -> usize {
    let topic = input.key.topic.0;
    let words = [
        input.seed,
        topic as u64,
        (topic >> 64) as u64,
        input.key.partition.0 as u64,
        input.node.0 as u64,
        input.term,
        input.attempt,
    ];
    let hash = words.iter().fold(0x9e37_79b9_7f4a_7c15, |state, word| mix(state ^ word));
    let span = election_ticks.max(1) as u64;
    election_ticks + (hash % span) as usize
}

/// The finaliser of splitmix64: every input bit reaches every output bit.
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chronik_wire::types::{PartitionIndex, TopicId};
    use std::collections::BTreeSet;

    fn input(node: i32, term: u64, attempt: u64) -> TimeoutInput {
        let key = PartitionKey::new(TopicId(7), PartitionIndex(1));
        TimeoutInput { seed: 42, key, node: NodeId(node), term, attempt }
    }

    #[test]
    fn the_timeout_is_pure_in_range_and_varies() {
        let mut seen = BTreeSet::new();
        for node in 0..5 {
            for term in 0..20 {
                for attempt in 0..5 {
                    let ticks = timeout_ticks(input(node, term, attempt), 15);
                    assert_eq!(ticks, timeout_ticks(input(node, term, attempt), 15));
                    assert!((15..30).contains(&ticks));
                    seen.insert(ticks);
                }
            }
        }
        assert_eq!(seen.len(), 15, "500 draws should meet every value");
    }
}
