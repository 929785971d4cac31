//! A slice of the gate: schedules that must pass, schedules that failed once, and schedules that must fail.

use chronik_sim::{Campaign, Outcome, Plan, Story, run};

/// Schedules of the slice.
const SEEDS: u64 = 24;
/// Length of the phase with faults, in simulated milliseconds.
const DURATION_MS: u64 = 8_000;

fn describe(outcome: &Outcome) -> String {
    let findings =
        outcome.findings.iter().take(3).map(|finding| format!("{}: {}", finding.rule, finding.text));
    format!("seed {}: {}", outcome.plan.seed, findings.collect::<Vec<_>>().join("\n"))
}

#[test]
fn a_slice_of_schedules_finds_nothing() {
    let campaign = Campaign {
        from: 1,
        seeds: SEEDS,
        duration_ms: DURATION_MS,
        limit: None,
        threads: 2,
        failures_max: usize::MAX,
    };
    let totals = campaign.run(|| (), |_, _| ());
    assert!(totals.failures.is_empty(), "{}", totals.failures.values().map(describe).collect::<String>());
    assert_eq!(totals.schedules, SEEDS);
    assert!(totals.acknowledged > SEEDS * 50, "clients were served: {}", totals.acknowledged);
    assert!(totals.faults.len() > 8, "faults took effect: {:?}", totals.faults);
    for path in [
        "elections_won",
        "read_gate_retries",
        "barriers_parked",
        "log_truncations",
        "reads_at_deposed_leader",
    ] {
        assert!(totals.counters.get(path).copied().unwrap_or(0) > 0, "{path} was never taken");
    }
}

#[test]
fn schedules_that_failed_once_pass() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions");
    let mut played = 0;
    for entry in std::fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let plan: Plan = toml::from_str(&std::fs::read_to_string(&path).expect("a text")).expect("a plan");
        let outcome = run(&plan, Story::Untold);
        assert!(outcome.findings.is_empty(), "{}: {}", path.display(), describe(&outcome));
        played += 1;
    }
    assert!(played > 0, "regressions are kept");
}

#[test]
fn with_the_read_gate_switched_off_the_checker_sees_stale_reads() {
    let rules: Vec<String> = (1..=12)
        .filter_map(|seed| {
            let mut plan = Plan::draw(seed, DURATION_MS);
            plan.cluster.gate_off = true;
            run(&plan, Story::Untold).findings.first().map(|finding| finding.rule.clone())
        })
        .collect();
    assert!(rules.len() >= 8, "most schedules notice: {rules:?}");
    // Error 1 for a position that another replica has is as much of a lie as an old end.
    let lies = ["stale-read", "false-empty", "end-went-back", "wrong-code"];
    assert!(rules.iter().all(|rule| lies.contains(&&**rule)), "and they see lies about the end: {rules:?}");
}
