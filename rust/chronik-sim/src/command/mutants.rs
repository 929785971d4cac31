//! `mutants`: every planted bug is found, and the broker without one is not accused.

use std::time::Instant;

use chronik_mutants::{Mutant, plant};
use chronik_sim::Campaign;

use super::report::{print_findings, print_totals};
use super::{cores, silence_panics};

/// Plant every bug of the list.
#[derive(Debug, clap::Args)]
pub(crate) struct Mutants {
    /// Schedules per bug at most.
    #[arg(long, default_value_t = 200)]
    seeds: u64,
    /// Schedules without a bug.
    #[arg(long, default_value_t = 500)]
    clean: u64,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// Length of the phase with faults, in simulated seconds.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Only the bugs whose name contains this.
    #[arg(long)]
    only: Option<String>,
}

/// The bug of that name.
pub(super) fn named(name: Option<&str>) -> Result<Option<Mutant>, String> {
    name.map(|name| {
        Mutant::by_name(name).ok_or_else(|| {
            let known: Vec<_> = Mutant::ALL.iter().map(|mutant| mutant.name()).collect();
            format!("there is no mutant {name:?}; known are {}", known.join(", "))
        })
    })
    .transpose()
}

impl Mutants {
    pub(crate) fn execute(&self) -> Result<bool, String> {
        silence_panics();
        let began = Instant::now();
        let chosen = |mutant: &&Mutant| match &self.only {
            Some(part) => mutant.name().contains(part),
            None => !mutant.is_for_scenarios(),
        };
        let mut survivors = Vec::new();
        for mutant in Mutant::ALL.iter().filter(chosen) {
            if !self.kill(*mutant) {
                survivors.push(mutant.name());
            }
        }
        let accused = self.control();
        println!(
            "{} of {} mutants killed, {accused} of {} clean schedules accused, {:.0} s",
            Mutant::ALL.iter().filter(chosen).count() - survivors.len(),
            Mutant::ALL.iter().filter(chosen).count(),
            self.clean,
            began.elapsed().as_secs_f64()
        );
        survivors.iter().for_each(|name| println!("SURVIVED: {name}"));
        Ok(survivors.is_empty() && accused == 0)
    }

    fn campaign(&self, seeds: u64, failures_max: usize) -> Campaign {
        Campaign {
            from: self.from,
            seeds,
            duration_ms: self.seconds * 1_000,
            limit: None,
            threads: cores(),
            failures_max,
        }
    }

    fn kill(&self, mutant: Mutant) -> bool {
        let began = Instant::now();
        let totals = self.campaign(self.seeds, 1).run(|| plant(mutant), |_, _| ());
        let killer = totals.failures.iter().next();
        let by = killer.and_then(|(seed, outcome)| Some((seed, outcome.findings.first()?)));
        let seconds = began.elapsed().as_secs_f64();
        match by {
            Some((seed, finding)) => println!(
                "{:<28} killed by {:<20} after {:>3} schedules, seed {seed}, {seconds:.0} s",
                mutant.name(),
                finding.rule,
                totals.schedules
            ),
            None => println!("{:<28} SURVIVED {} schedules, {seconds:.0} s", mutant.name(), totals.schedules),
        }
        killer.is_some()
    }

    fn control(&self) -> usize {
        let totals = self.campaign(self.clean, usize::MAX).run(
            || (),
            |outcome, _| {
                if !outcome.findings.is_empty() {
                    println!("clean seed {} ACCUSED:", outcome.plan.seed);
                    print_findings(outcome);
                }
            },
        );
        print_totals(&totals);
        totals.failures.len()
    }
}
