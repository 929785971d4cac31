//! One seed decides everything.

use chronik_sim::{Plan, Story, run};

/// Seeds that run twice.
const SEEDS: u64 = 100;
/// Length of the phase with faults, in simulated milliseconds.
const DURATION_MS: u64 = 2_000;

#[test]
fn the_same_seed_twice_leaves_the_same_trace() {
    let mut traces = std::collections::BTreeSet::new();
    for seed in 0..SEEDS {
        let plan = Plan::draw(seed, DURATION_MS);
        let (one, other) = (run(&plan, Story::Untold), run(&plan, Story::Untold));
        assert_eq!(
            (one.trace_hash, one.trace_events, &one.history),
            (other.trace_hash, other.trace_events, &other.history),
            "seed {seed}"
        );
        traces.insert(one.trace_hash);
    }
    assert_eq!(traces.len() as u64, SEEDS, "every seed does something else");
}
