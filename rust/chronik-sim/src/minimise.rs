//! From a failing schedule to the shortest one that fails by the same rule: leaves out faults, then clients, then time.

use std::time::{Duration, Instant};

use crate::plan::{Fault, Plan};
use crate::schedule::{Outcome, Story, run};

/// Schedules tried at most.
const TRIES_MAX: usize = 150;
/// Time for it, whatever the number of tries.
const TIME_MAX: Duration = Duration::from_secs(90);

struct Minimiser {
    rule: String,
    best: Plan,
    tries: usize,
    began: Instant,
}

/// A shorter plan that breaks the same rule as `outcome`, if there is one; else its own.
pub fn minimise(outcome: &Outcome) -> Plan {
    let Some(finding) = outcome.findings.first() else { return outcome.plan.clone() };
    let mut minimiser =
        Minimiser { rule: finding.rule.clone(), best: outcome.plan.clone(), tries: 0, began: Instant::now() };
    minimiser.shorten();
    minimiser.drop_faults();
    minimiser.drop_clients();
    minimiser.drop_faults();
    minimiser.best
}

impl Minimiser {
    /// Takes a plan over if it fails by the same rule.
    fn attempt(&mut self, plan: Plan) -> bool {
        if self.tries >= TRIES_MAX || self.began.elapsed() >= TIME_MAX || plan == self.best {
            return false;
        }
        self.tries += 1;
        let fails = run(&plan, Story::Untold).findings.iter().any(|finding| finding.rule == self.rule);
        if fails {
            self.best = plan;
        }
        fails
    }

    fn shorten(&mut self) {
        loop {
            let mut plan = self.best.clone();
            plan.duration_ms = plan.duration_ms * 2 / 3;
            plan.faults.retain(|fault| fault.at_ms < plan.duration_ms);
            if plan.duration_ms < 500 || !self.attempt(plan) {
                return;
            }
        }
    }

    /// Leaves out halves, then quarters, down to single faults.
    fn drop_faults(&mut self) {
        let mut size = self.best.faults.len();
        while size > 0 {
            let mut start = 0;
            while start < self.best.faults.len() {
                let mut plan = self.best.clone();
                let kept = |(place, fault): (usize, &Fault)| {
                    (!(start..start + size).contains(&place)).then(|| fault.clone())
                };
                plan.faults = self.best.faults.iter().enumerate().filter_map(kept).collect();
                if !self.attempt(plan) {
                    start += size;
                }
            }
            size /= 2;
        }
    }

    fn drop_clients(&mut self) {
        let changes: [fn(&mut Plan); 10] = [
            |plan| plan.workload.topic_churn = false,
            |plan| plan.workload.consumers = 0,
            |plan| plan.workload.scanners = 0,
            |plan| plan.workload.session_readers = 0,
            |plan| plan.workload.idempotent_writers = 0,
            |plan| plan.workload.rivals = false,
            |plan| plan.workload.transactional_writers = 0,
            |plan| plan.workload.writers = plan.workload.writers.min(1),
            |plan| plan.workload.end_readers = 0,
            |plan| plan.cluster.topics.truncate(1),
        ];
        for change in changes {
            let mut plan = self.best.clone();
            change(&mut plan);
            self.attempt(plan);
        }
    }
}
