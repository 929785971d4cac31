//! `run`: the gate.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chronik_sim::{Campaign, Story, minimise};

use super::report::{
    keep, keep_history, print_coverage, print_faults, print_findings, print_totals, read_plan,
};
use super::{cores, silence_panics};

/// Schedules between two lines about progress.
const PROGRESS_EVERY: u64 = 100;
/// Failures minimised at most.
const MINIMISED_MAX: usize = 3;

/// Run many schedules.
#[derive(Debug, clap::Args)]
pub(crate) struct Run {
    /// How many seeds.
    #[arg(long, default_value_t = 100)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// Begin no schedule after so many minutes.
    #[arg(long)]
    minutes: Option<f64>,
    /// Length of the phase with faults, in simulated seconds.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Schedules at a time; one per core unless given.
    #[arg(long)]
    threads: Option<usize>,
    /// Fail unless every rare path was taken so often.
    #[arg(long)]
    coverage: Option<u64>,
    /// Folder of kept schedules, which run first.
    #[arg(long)]
    regressions: Option<PathBuf>,
    /// Folder for the schedules that fail, minimised, and their histories.
    #[arg(long, default_value = "target/sim")]
    keep: PathBuf,
    /// Stop after so many failures.
    #[arg(long, default_value_t = 5)]
    failures: usize,
    /// Plant this bug.
    #[cfg(feature = "mutants")]
    #[arg(long)]
    mutant: Option<String>,
}

impl Run {
    pub(crate) fn execute(&self) -> Result<bool, String> {
        silence_panics();
        let mut passed = self.run_regressions()?;
        let campaign = Campaign {
            from: self.from,
            seeds: self.seeds,
            duration_ms: self.seconds * 1_000,
            limit: self.minutes.map(|minutes| Duration::from_secs_f64(minutes * 60.0)),
            threads: self.threads.unwrap_or_else(cores),
            failures_max: self.failures,
        };
        let ended = AtomicU64::new(0);
        #[cfg(feature = "mutants")]
        let mutant = super::mutants::named(self.mutant.as_deref())?;
        let before = || {
            #[cfg(feature = "mutants")]
            return mutant.map(chronik_mutants::plant);
        };
        let totals = campaign.run(before, |outcome, _| {
            let ended = ended.fetch_add(1, Ordering::Relaxed) + 1;
            if !outcome.findings.is_empty() {
                println!("seed {} FAILED:", outcome.plan.seed);
                print_findings(outcome);
            }
            if ended.is_multiple_of(PROGRESS_EVERY) {
                println!("{ended} schedules");
            }
        });
        print_totals(&totals);
        print_faults(&totals);
        let covered = print_coverage(&totals, self.coverage.unwrap_or(0));
        for outcome in totals.failures.values().take(MINIMISED_MAX) {
            self.keep_failure(outcome)?;
        }
        passed &= totals.failures.is_empty() && covered;
        Ok(passed)
    }

    fn keep_failure(&self, outcome: &chronik_sim::Outcome) -> Result<(), String> {
        let rule = outcome.findings.first().map_or("unknown", |finding| &finding.rule);
        let plan = minimise(outcome);
        let path = keep(&plan, &self.keep, rule)?;
        keep_history(outcome, &path.with_extension("jsonl"))?;
        println!(
            "seed {}: {rule} also with {} of {} faults and {} of {} ms; see it with\n  cargo run --release -p chronik-sim -- replay --plan {}",
            plan.seed,
            plan.faults.len(),
            outcome.plan.faults.len(),
            plan.duration_ms,
            outcome.plan.duration_ms,
            path.display()
        );
        Ok(())
    }

    /// Schedules that failed once must not fail again.
    fn run_regressions(&self) -> Result<bool, String> {
        let Some(folder) = &self.regressions else { return Ok(true) };
        let entries = std::fs::read_dir(folder)
            .map_err(|error| format!("cannot list {}: {error}", folder.display()))?;
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
        paths.sort();
        let mut passed = true;
        for path in &paths {
            let outcome = chronik_sim::run(&read_plan(path)?, Story::Untold);
            if !outcome.findings.is_empty() {
                println!("{} FAILED again:", path.display());
                print_findings(&outcome);
                passed = false;
            }
        }
        println!("{} kept schedules ran first", paths.len());
        Ok(passed)
    }
}
