//! What commands print about outcomes and totals, and the files a failure leaves behind.

use std::fs;
use std::path::{Path, PathBuf};

use chronik_sim::{Outcome, Plan, Totals};

/// Findings shown of one schedule.
const FINDINGS_SHOWN: usize = 3;

/// Prints the first findings of a schedule.
pub(super) fn print_findings(outcome: &Outcome) {
    for finding in outcome.findings.iter().take(FINDINGS_SHOWN) {
        println!("  {}: {}", finding.rule, finding.text.replace('\n', "\n    "));
    }
    if outcome.findings.len() > FINDINGS_SHOWN {
        println!("  and {} more", outcome.findings.len() - FINDINGS_SHOWN);
    }
}

/// Prints what a campaign did.
pub(super) fn print_totals(totals: &Totals) {
    let seconds = totals.took.as_secs_f64();
    let simulated = totals.simulated_us as f64 / 1e6;
    println!(
        "{} schedules of {simulated:.0} simulated seconds in {seconds:.0} s ({:.0} times real time): {} operations, {} \
         acknowledged sends, {} events, {} schedules failed",
        totals.schedules,
        simulated / seconds.max(0.001),
        totals.operations,
        totals.acknowledged,
        totals.events,
        totals.failures.len(),
    );
}

/// Prints how often each fault took effect.
pub(super) fn print_faults(totals: &Totals) {
    println!("faults:");
    for (name, count) in &totals.faults {
        println!("  {count:>9}  {name}");
    }
}

/// Prints how often each rare path was taken. Returns whether each was, `least` times.
pub(super) fn print_coverage(totals: &Totals, least: u64) -> bool {
    println!("rare paths:");
    for path in chronik_sim::RARE_PATHS.iter().chain(chronik_sim::RARE_SIGHTS) {
        let count = totals.counters.get(path.counter).copied().unwrap_or(0);
        println!("  {count:>9}  {} ({})", path.meaning, path.counter);
    }
    let missing = chronik_sim::missing(&totals.counters, least);
    for (path, count) in &missing {
        println!("NOT COVERED: {} was taken {count} times, at least {least} are wanted", path.meaning);
    }
    missing.is_empty()
}

/// Keeps a plan as a file that `replay --plan` reads.
pub(super) fn keep(plan: &Plan, folder: &Path, rule: &str) -> Result<PathBuf, String> {
    let path = folder.join(format!("{rule}-{}.toml", plan.seed));
    let text = toml::to_string(plan)
        .map_err(|error| format!("cannot write the plan of seed {}: {error}", plan.seed))?;
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(&path, text))
        .map_err(|error| format!("cannot keep the plan as {}: {error}", path.display()))?;
    Ok(path)
}

/// Keeps a history as JSON lines.
pub(super) fn keep_history(outcome: &Outcome, path: &Path) -> Result<(), String> {
    let write = || -> std::io::Result<()> {
        let mut file = std::io::BufWriter::new(fs::File::create(path)?);
        outcome.history.write(&mut file)?;
        std::io::Write::flush(&mut file)
    };
    write().map_err(|error| format!("cannot keep the history as {}: {error}", path.display()))
}

/// Reads a plan that was kept.
pub(super) fn read_plan(path: &Path) -> Result<Plan, String> {
    let text =
        fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    toml::from_str(&text).map_err(|error| format!("{} is no plan: {error}", path.display()))
}
