//! `replay`: the story of one schedule.

use std::path::PathBuf;

use chronik_sim::{Plan, Story, run};

use super::report::{keep_history, read_plan};

/// Run one schedule and tell what happens.
#[derive(Debug, clap::Args)]
pub(crate) struct Replay {
    /// The seed.
    #[arg(long, required_unless_present = "plan")]
    seed: Option<u64>,
    /// A kept schedule instead of a seed.
    #[arg(long, conflicts_with = "seed")]
    plan: Option<PathBuf>,
    /// Length of the phase with faults, in simulated seconds.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Tell every operation of every client.
    #[arg(long)]
    operations: bool,
    /// Print the plan itself first.
    #[arg(long)]
    show_plan: bool,
    /// Write what clients saw to this file, as JSON lines.
    #[arg(long)]
    history: Option<PathBuf>,
    /// Plant this bug.
    #[cfg(feature = "mutants")]
    #[arg(long)]
    mutant: Option<String>,
}

impl Replay {
    pub(crate) fn execute(&self) -> Result<bool, String> {
        let plan = match &self.plan {
            Some(path) => read_plan(path)?,
            None => Plan::draw(self.seed.unwrap_or_default(), self.seconds * 1_000),
        };
        if self.show_plan {
            println!("{}", toml::to_string(&plan).map_err(|error| error.to_string())?);
        }
        #[cfg(feature = "mutants")]
        let _planted = super::mutants::named(self.mutant.as_deref())?.map(chronik_mutants::plant);
        let story = if self.operations { Story::WithOperations } else { Story::Told };
        let outcome = run(&plan, story);
        if let Some(path) = &self.history {
            keep_history(&outcome, path)?;
        }
        println!(
            "seed {}: {} operations, {} acknowledged sends, trace {:016x} over {} events; stopped replicas {:?}; {}",
            plan.seed,
            outcome.operations,
            outcome.acknowledged,
            outcome.trace_hash,
            outcome.trace_events,
            outcome.stops,
            if outcome.findings.is_empty() {
                "nothing found".to_owned()
            } else {
                format!("{} findings", outcome.findings.len())
            },
        );
        Ok(outcome.findings.is_empty())
    }
}
