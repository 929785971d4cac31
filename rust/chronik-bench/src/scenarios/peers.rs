//! Peers, where their tools are installed: librdkafka's mock for start-up, and the size of our wheel.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Settings;
use crate::error::BenchError;
use crate::report::{Row, Verdict};

const STARTUP_SCRIPT: &str = include_str!("../../peers/startup.py");
const STARTS_PER_ROUND: usize = 6;
const WHEEL_MB_MAX: f64 = 8.0;

/// Cluster start in Python beside the mock's, each as its own user sees it.
pub fn startup(settings: &Settings) -> Result<Vec<Row>, BenchError> {
    let what = "Cluster(3).start() in Python beside confluent-kafka's mock, p50";
    let target = "≤ 1";
    let Some(python) = python() else {
        return Ok(vec![Row::skipped(what, target, "no .venv/bin/python and no python3")]);
    };
    let rounds = (STARTS_PER_ROUND * settings.rounds).to_string();
    let output = Command::new(&python)
        .args(["-c", STARTUP_SCRIPT, &rounds])
        .output()
        .map_err(BenchError::io(format!("running {}", python.display())))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let median = |name: &str| -> Result<f64, String> {
        let line = text.lines().find(|line| line.split_whitespace().next() == Some(name)).unwrap_or_default();
        let number = line.split_whitespace().nth(2).and_then(|number| number.parse().ok());
        number.ok_or_else(|| format!("{name}: {}", line.trim_start_matches(name).trim()))
    };
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
