//! Many small produces on files with fsync, beside what one fdatasync after the other would allow.

use std::fs;

use super::limits::{is_memory_file_system, syncs_per_s};
use super::{Settings, median, ratios, show_ratio};
use crate::client::Client;
use crate::error::BenchError;
use crate::machine::{CpuClock, CpuUse};
use crate::pump::{Lane, closed_loop};
use crate::report::{Row, Verdict};
use crate::requests::{ProduceFrame, batch};
use crate::topics;

const CONNECTIONS: usize = 64;
const REQUESTS_PER_ROUND: u64 = 20_000;
const TARGET: f64 = 10.0;

/// The row.
pub fn run(settings: &Settings) -> Result<Vec<Row>, BenchError> {
    let directory = settings.data_dir.join(format!("fsync-{}", std::process::id()));
    fs::create_dir_all(&directory).map_err(BenchError::io(format!("creating {}", directory.display())))?;
    let row = measure(settings, &directory);
    // Leaves nothing behind, also after a failure.
    let _ = fs::remove_dir_all(&directory);
    Ok(vec![row?])
}

fn measure(settings: &Settings, directory: &std::path::Path) -> Result<Row, BenchError> {
    let path = directory.join("cluster").display().to_string();
    let server = settings.serve(&["cluster", "--storage", "fsync", "--data-dir", &path])?;
    let mut admin = Client::connect(server.address()?)?;
    let placement = topics::create(&mut admin, "fsync", 1, 3, &[])?;
    let leader = placement.leader(0)?;
    let frame = ProduceFrame::new(&Client::connect(leader)?, "fsync", 0, -1, &batch(1, 100)?)?;
    let lanes = vec![Lane { address: leader.to_owned(), frame }; CONNECTIONS];
    closed_loop(lanes.clone(), 1, REQUESTS_PER_ROUND / 4)?;
    let (mut rounds, mut cpu) = (Vec::new(), Vec::new());
    for _ in 0..settings.rounds {
        let syncs = syncs_per_s(directory)?;
        let clock = CpuClock::read(Some(server.pid()));
        let outcome = closed_loop(lanes.clone(), 1, REQUESTS_PER_ROUND)?;
        cpu.push(clock.used());
        rounds.push((outcome.acks_per_s(), syncs));
    }
    let (ratio, cpu) = (ratios(rounds.iter().copied())?, CpuUse::mean(&cpu));
    let mut row = Row {
        what: format!("files, fsync, RF 3, {CONNECTIONS} connections of 100 B"),
        reached: format!("{:.0} acks/s", median(rounds.iter().map(|(acks, _)| *acks))?),
        limit: format!("fdatasync {:.0}/s", median(rounds.iter().map(|(_, syncs)| *syncs))?),
        ratio: show_ratio(ratio),
        target: format!("≥ {TARGET}"),
        verdict: Verdict::of(ratio.median >= TARGET),
        cpu: cpu.shares(),
        marks: cpu.marks(),
    };
    if is_memory_file_system(directory) {
        row.marks.push("no disk");
    }
    Ok(row)
}
