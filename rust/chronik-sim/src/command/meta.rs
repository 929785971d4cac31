//! `meta`: one seed decides everything.

use chronik_sim::{Plan, Story, run};

use super::silence_panics;

/// Run schedules twice each and compare their traces.
#[derive(Debug, clap::Args)]
pub(crate) struct Meta {
    /// How many seeds.
    #[arg(long, default_value_t = 100)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// Length of the phase with faults, in simulated seconds.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
}

impl Meta {
    pub(crate) fn execute(&self) -> Result<bool, String> {
        silence_panics();
        let mut different = 0;
        for seed in self.from..self.from + self.seeds {
            let plan = Plan::draw(seed, self.seconds * 1_000);
            let (one, other) = (run(&plan, Story::Untold), run(&plan, Story::Untold));
            if (one.trace_hash, one.trace_events) != (other.trace_hash, other.trace_events) {
                println!(
                    "seed {seed} DIFFERS: trace {:016x} over {} events, then {:016x} over {}",
                    one.trace_hash, one.trace_events, other.trace_hash, other.trace_events
                );
                different += 1;
            }
        }
        println!("{} seeds ran twice, {different} differ", self.seeds);
        Ok(different == 0)
    }
}
