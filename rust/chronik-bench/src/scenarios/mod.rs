//! The measurements, one file per question. Each interleaves what it compares and gives rows for the report.

pub mod fsync;
pub mod gate;
pub mod idle;
pub mod kfake;
pub mod latency;
pub mod limits;
pub mod peers;
pub mod startup;
pub mod throughput;

use std::path::PathBuf;

use clap::Args;

use crate::child::Server;
use crate::error::BenchError;
use crate::latencies::Spread;

/// Core of the generator and of the server when they are pinned.
const PINNED_CORES: (usize, &str) = (0, "1");

/// What all measurements share.
#[derive(Debug, Clone, Args)]
pub struct Settings {
    /// Rounds of each comparison
    #[arg(long, global = true, default_value_t = 5)]
    pub rounds: usize,
    /// Pin generator and server to different cores
    #[arg(long, global = true)]
    pub pin: bool,
    /// Directory for the files of clusters under test; a real disk, not a memory file system
    #[arg(long, global = true, default_value = "target/bench-data")]
    pub data_dir: PathBuf,
}

impl Settings {
    /// Starts a server under test.
    pub fn serve(&self, args: &[&str]) -> Result<Server, BenchError> {
        let mut args = args.to_vec();
        if self.pin {
            args.extend(["--core", PINNED_CORES.1]);
        }
        Server::start(&args)
    }

    /// Pins the generator, if asked.
    pub fn pin_generator(&self) -> Result<(), BenchError> {
        if self.pin { crate::machine::pin(PINNED_CORES.0) } else { Ok(()) }
    }
}

/// Ratios of paired rounds: of the numerators to the denominators.
pub(crate) fn ratios(pairs: impl IntoIterator<Item = (f64, f64)>) -> Result<Spread, BenchError> {
    let spread = Spread::of(pairs.into_iter().map(|(over, under)| over / under));
    spread.ok_or_else(|| BenchError::Unexpected("no round was measured; pass --rounds 1 or more".into()))
}

/// The median of what each round gives.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> Result<f64, BenchError> {
    ratios(values.into_iter().map(|value| (value, 1.0))).map(|spread| spread.median)
}

/// A ratio as the table shows it.
pub(crate) fn show_ratio(spread: Spread) -> String {
    format!("{:.2} ({:.2}-{:.2})", spread.median, spread.low, spread.high)
}
