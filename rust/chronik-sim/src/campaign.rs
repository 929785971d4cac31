//! Many schedules on all cores: hands out seeds, sums up what was seen, and stops at a time or at the last seed.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::plan::Plan;
use crate::schedule::{Outcome, Story, run};

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct Campaign {
    /// The first seed.
    pub from: u64,
    /// How many seeds.
    pub seeds: u64,
    /// Length of the phase with faults, in simulated milliseconds.
    pub duration_ms: u64,
    /// No schedule begins after this time.
    pub limit: Option<Duration>,
    /// Schedules at a time.
    pub threads: usize,
    /// No schedule begins after so many have failed.
    pub failures_max: usize,
}

/// What all schedules of a campaign saw together.
#[derive(Debug, Default)]
pub struct Totals {
    /// Schedules that ended.
    pub schedules: u64,
    /// Simulated time, in microseconds.
    pub simulated_us: u64,
    /// Operations of clients.
    pub operations: u64,
    /// Acknowledged sends.
    pub acknowledged: u64,
    /// Events of all traces.
    pub events: u64,
    /// What nodes counted.
    pub counters: BTreeMap<String, u64>,
    /// Faults that took effect.
    pub faults: BTreeMap<&'static str, u64>,
    /// Schedules that failed, by seed.
    pub failures: BTreeMap<u64, Outcome>,
    /// Real time.
    pub took: Duration,
}

impl Totals {
    fn add(&mut self, outcome: Outcome) {
        self.schedules += 1;
        self.simulated_us += outcome.simulated_us;
        self.operations += outcome.operations;
        self.acknowledged += outcome.acknowledged;
        self.events += outcome.trace_events;
        for (name, count) in &outcome.counters {
            *self.counters.entry(name.clone()).or_default() += count;
        }
        for (name, count) in &outcome.faults {
            *self.faults.entry(name).or_default() += count;
        }
        if !outcome.findings.is_empty() {
            self.failures.insert(outcome.plan.seed, outcome);
        }
    }
}

impl Campaign {
    /// Runs the schedules. `before` runs on each thread first, `after` with each outcome, one at a time.
    pub fn run<G>(&self, before: impl Fn() -> G + Sync, after: impl Fn(&Outcome, &Totals) + Sync) -> Totals {
        let began = Instant::now();
        let next = AtomicU64::new(self.from);
        let ended = AtomicBool::new(false);
        let totals = Mutex::new(Totals::default());
        std::thread::scope(|scope| {
            for _ in 0..self.threads.max(1) {
                scope.spawn(|| {
                    let _guard = before();
                    while !ended.load(Ordering::Relaxed) {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        if seed >= self.from + self.seeds
                            || self.limit.is_some_and(|limit| began.elapsed() >= limit)
                        {
                            return;
                        }
                        let outcome = run(&Plan::draw(seed, self.duration_ms), Story::Untold);
                        let mut totals = totals.lock().unwrap_or_else(PoisonError::into_inner);
                        after(&outcome, &totals);
                        totals.add(outcome);
                        if totals.failures.len() >= self.failures_max {
                            ended.store(true, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        let mut totals = totals.into_inner().unwrap_or_else(PoisonError::into_inner);
        totals.took = began.elapsed();
        totals
    }
}
