//! Clusters with many partitions that nobody uses: the time to create them, their CPU, and their memory beyond an empty
//! process.

use std::time::{Duration, Instant};

use super::Settings;
use crate::client::Client;
use crate::error::BenchError;
use crate::machine::{CpuClock, resident_bytes};
use crate::report::{Row, Verdict};
use crate::topics;

/// Time for groups to fall asleep after their elections.
const SETTLE: Duration = Duration::from_secs(4);
/// Clock ticks of 10 ms: five seconds make 0.2 % visible.
const WATCH: Duration = Duration::from_secs(5);

/// A cluster of a certain size, and what is expected of it.
struct Size {
    partitions: i32,
    create_s_max: Option<f64>,
    cpu_share_max: f64,
    memory_mib_max: Option<f64>,
}

const THOUSAND: Size =
    Size { partitions: 1_000, create_s_max: None, cpu_share_max: 0.02, memory_mib_max: Some(60.0) };
const TEN_THOUSAND: Size =
    Size { partitions: 10_000, create_s_max: Some(10.0), cpu_share_max: 0.05, memory_mib_max: None };

/// The rows for a thousand partitions.
pub fn thousand(settings: &Settings) -> Result<Vec<Row>, BenchError> {
    run(settings, &THOUSAND)
}

/// The rows for ten thousand.
pub fn ten_thousand(settings: &Settings) -> Result<Vec<Row>, BenchError> {
    run(settings, &TEN_THOUSAND)
}

fn run(settings: &Settings, size: &Size) -> Result<Vec<Row>, BenchError> {
    let empty = settings.serve(&["idle"])?;
    let server = settings.serve(&["cluster"])?;
    let mut admin = Client::connect(server.address()?)?;
    let clock = CpuClock::read(Some(server.pid()));
    let begin = Instant::now();
    topics::create(&mut admin, "idle", size.partitions, 3, &[])?;
    let created_s = begin.elapsed().as_secs_f64();
    let creating = clock.used();
    drop(admin);
    std::thread::sleep(SETTLE);
    let clock = CpuClock::read(Some(server.pid()));
    std::thread::sleep(WATCH);
    let idle = clock.used();
    let above = resident_bytes(server.pid())?.saturating_sub(resident_bytes(empty.pid())?);
    let above_mib = above as f64 / f64::from(1 << 20);
    let partitions = size.partitions;
    let row = |what: &str, reached: String, target: Option<String>, reached_it: bool| Row {
        verdict: if target.is_some() { Verdict::of(reached_it) } else { Verdict::None },
        target: target.unwrap_or_default(),
        marks: idle.marks(),
        ..Row::plain(what, reached)
    };
    Ok(vec![
        Row {
            marks: creating.marks(),
            cpu: creating.shares(),
            ..row(
                &format!("create {partitions} partitions x 3, all leaders known"),
                format!("{:.0} ms", created_s * 1e3),
                size.create_s_max.map(|limit| format!("≤ {limit} s")),
                size.create_s_max.is_none_or(|limit| created_s <= limit),
            )
        },
        row(
            &format!("idle, 3 nodes, {partitions} partitions RF 3, CPU"),
            format!("{:.2} % of a core", idle.server_cores * 100.0),
            Some(format!("≤ {:.0} %", size.cpu_share_max * 100.0)),
            idle.server_cores <= size.cpu_share_max,
        ),
        row(
            &format!("idle, 3 nodes, {partitions} partitions RF 3, memory above an empty process"),
            format!(
                "{above_mib:.1} MiB, {:.1} KiB a replica",
                above_mib * 1024.0 / f64::from(partitions * 3)
            ),
            size.memory_mib_max.map(|limit| format!("≤ {limit} MiB")),
            size.memory_mib_max.is_none_or(|limit| above_mib <= limit),
        ),
    ])
}
