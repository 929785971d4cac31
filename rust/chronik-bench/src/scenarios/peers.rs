//! What Python sees, where its packages are installed: start-up beside librdkafka's mock, a new group's first message with
//! two clients, and the size of our wheel.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Settings;
use crate::error::BenchError;
use crate::machine::CpuClock;
use crate::report::{Row, Verdict};

const STARTUP_SCRIPT: &str = include_str!("../../peers/startup.py");
const FIRST_MESSAGE_SCRIPT: &str = include_str!("../../peers/first_message.py");
const STARTS_PER_ROUND: usize = 6;
const GROUPS_PER_ROUND: usize = 4;
const FIRST_MESSAGE_MS_MAX: f64 = 50.0;
const WHEEL_MB_MAX: f64 = 8.0;

/// Cluster start in Python beside the mock's, each as its own user sees it.
pub fn startup(settings: &Settings) -> Result<Vec<Row>, BenchError> {
    let what = "Cluster(3).start() in Python beside confluent-kafka's mock, p50";
    let target = "≤ 1";
    let Some(python) = python() else {
        return Ok(vec![Row::skipped(what, target, "no .venv/bin/python and no python3")]);
    };
    let text = run_script(&python, STARTUP_SCRIPT, STARTS_PER_ROUND * settings.rounds)?;
    let median = |name: &str| numbers_of::<1>(&text, name).map(|[median]| median);
    Ok(vec![match (median("chronik"), median("mock")) {
        (Ok(chronik), Ok(mock)) => Row {
            what: what.into(),
            reached: format!("{chronik:.2} ms"),
            limit: format!("mock {mock:.2} ms"),
            ratio: format!("{:.2}", chronik / mock),
            target: target.into(),
            verdict: Verdict::of(chronik <= mock),
            cpu: String::new(),
            marks: Vec::new(),
        },
        (Err(why), _) | (_, Err(why)) => Row::skipped(what, target, &why),
    }])
}

/// From `subscribe` to the first message of a new group, with the clients that Python has.
pub fn first_message(settings: &Settings) -> Result<Vec<Row>, BenchError> {
    let target = format!("≤ {FIRST_MESSAGE_MS_MAX} ms");
    let what = |client: &str, case: &str| format!("subscribe to first message, {client}, {case}");
    let clients = ["confluent-kafka", "kafka-python"];
    let Some(python) = python() else {
        let why = "no .venv/bin/python and no python3";
        return Ok(clients.map(|client| Row::skipped(&what(client, "new group"), &target, why)).into());
    };
    let clock = CpuClock::read(None);
    let text = run_script(&python, FIRST_MESSAGE_SCRIPT, GROUPS_PER_ROUND * settings.rounds)?;
    // The clients' own work is not foreign here, but cannot be told apart once they have ended: they use one core at most.
    let marks = if clock.used().foreign_cores > 1.1 { vec!["busy"] } else { Vec::new() };
    let mut rows = Vec::new();
    for client in clients {
        match numbers_of::<5>(&text, client) {
            Err(why) => rows.push(Row::skipped(&what(client, "new group"), &target, &why)),
            Ok([whole_ms, pauses_ms, rest_ms, worst_ms, first_ms]) => {
                let row = |case: &str, rest_ms: f64, reached: String, limit: String| Row {
                    limit,
                    target: target.clone(),
                    verdict: Verdict::of(rest_ms <= FIRST_MESSAGE_MS_MAX),
                    marks: marks.clone(),
                    ..Row::plain(&what(client, case), reached)
                };
                let limit = format!("of {whole_ms:.1} ms; the client pauses {pauses_ms:.1} ms");
                let reached = format!("{rest_ms:.1} ms (worst {worst_ms:.1})");
                rows.push(row("new group", rest_ms, reached, limit));
                rows.push(row(
                    "a cluster's first group",
                    first_ms,
                    format!("{first_ms:.1} ms"),
                    String::new(),
                ));
            }
        }
    }
    Ok(rows)
}

/// Runs a Python program that takes a number, and returns what it says.
fn run_script(python: &Path, script: &str, number: usize) -> Result<String, BenchError> {
    let output = Command::new(python)
        .args(["-c", script, &number.to_string()])
        .output()
        .map_err(BenchError::io(format!("running {}", python.display())))?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        let last = text.trim_end().lines().last().unwrap_or_default();
        return Err(BenchError::Unexpected(format!("{} ended with: {last}", python.display())));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The numbers of the line that begins with `name` and a count; or what the line says instead.
fn numbers_of<const N: usize>(text: &str, name: &str) -> Result<[f64; N], String> {
    let line = text.lines().find(|line| line.split_whitespace().next() == Some(name)).unwrap_or_default();
    let numbers = line.split_whitespace().skip(2).map_while(|number| number.parse().ok());
    let numbers: Vec<f64> = numbers.take(N).collect();
    numbers.try_into().map_err(|_| format!("{name}: {}", line.trim_start_matches(name).trim()))
}

/// The size of the newest wheel that was built here.
pub fn wheel() -> Row {
    let (what, target) = ("wheel", format!("≤ {WHEEL_MB_MAX} MB"));
    let newest =
        ["target/wheels", "dist"].iter().filter_map(|directory| newest_wheel(Path::new(directory))).max();
    let Some((_, bytes, path)) = newest else {
        return Row::skipped(what, &target, "no wheel in target/wheels or dist");
    };
    let megabytes = bytes as f64 / 1e6;
    Row {
        target,
        verdict: Verdict::of(megabytes <= WHEEL_MB_MAX),
        ..Row::plain(
            &format!("{what} {}", path.file_name().unwrap_or_default().to_string_lossy()),
            format!("{megabytes:.1} MB"),
        )
    }
}

fn newest_wheel(directory: &Path) -> Option<(std::time::SystemTime, u64, PathBuf)> {
    let files = fs::read_dir(directory).ok()?.filter_map(Result::ok);
    let wheels = files.filter(|file| file.path().extension().is_some_and(|extension| extension == "whl"));
    let dated = wheels.filter_map(|file| {
        let metadata = file.metadata().ok()?;
        Some((metadata.modified().ok()?, metadata.len(), file.path()))
    });
    dated.max()
}

fn python() -> Option<PathBuf> {
    let own = PathBuf::from(".venv/bin/python");
    if own.exists() {
        return Some(own);
    }
    let found = Command::new("python3").arg("--version").output().is_ok_and(|output| output.status.success());
    found.then(|| PathBuf::from("python3"))
}
