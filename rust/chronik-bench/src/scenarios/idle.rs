//! A cluster with a thousand partitions that nobody uses: its CPU, and its memory beyond an empty process.

use std::time::Duration;

use super::Settings;
use crate::client::Client;
use crate::error::BenchError;
use crate::machine::{CpuClock, resident_bytes};
use crate::report::{Row, Verdict};
use crate::topics;

const PARTITIONS: i32 = 1_000;
/// Time for groups to fall asleep after their elections.
const SETTLE: Duration = Duration::from_secs(4);
/// Clock ticks of 10 ms: five seconds make 0.2 % visible.
const WATCH: Duration = Duration::from_secs(5);
const CPU_SHARE_MAX: f64 = 0.02;
const MEMORY_MIB_MAX: f64 = 60.0;

/// The rows.
pub fn run(settings: &Settings) -> Result<Vec<Row>, BenchError> {
    let empty = settings.serve(&["idle"])?;
    let server = settings.serve(&["cluster"])?;
    let mut admin = Client::connect(server.address()?)?;
    let begin = std::time::Instant::now();
    topics::create(&mut admin, "idle", PARTITIONS, 3, &[])?;
    let created_ms = begin.elapsed().as_secs_f64() * 1e3;
    drop(admin);
    std::thread::sleep(SETTLE);
    let clock = CpuClock::read(Some(server.pid()));
    std::thread::sleep(WATCH);
    let used = clock.used();
    let above = resident_bytes(server.pid())?.saturating_sub(resident_bytes(empty.pid())?);
    let above_mib = above as f64 / f64::from(1 << 20);
    let marks = used.marks();
    let row = |what: &str, reached: String, target: String, verdict: Verdict| Row {
        target,
        verdict,
        marks: marks.clone(),
        ..Row::plain(what, reached)
    };
    Ok(vec![
        row(
            "create 1,000 partitions x 3, all leaders known",
            format!("{created_ms:.0} ms"),
            String::new(),
            Verdict::None,
        ),
        row(
            "idle, 3 nodes, 1,000 partitions RF 3, CPU",
            format!("{:.2} % of a core", used.server_cores * 100.0),
            format!("≤ {:.0} %", CPU_SHARE_MAX * 100.0),
            Verdict::of(used.server_cores <= CPU_SHARE_MAX),
        ),
        row(
            "idle, 3 nodes, 1,000 partitions RF 3, memory above an empty process",
            format!("{above_mib:.1} MiB"),
            format!("≤ {MEMORY_MIB_MAX:.0} MiB"),
            Verdict::of(above_mib <= MEMORY_MIB_MAX),
        ),
    ])
}
