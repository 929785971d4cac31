//! The measurements, one file per question. Each interleaves what it compares and gives rows for the report.

pub mod compaction;
pub mod consumer_group;
pub mod fsync;
pub mod gate;
pub mod groups;
pub mod idle;
pub mod kfake;
pub mod latency;
pub mod limits;
pub mod peers;
pub mod startup;
pub mod throughput;
pub mod timestamps;
pub mod transactions;

use std::path::PathBuf;

use clap::Args;

use crate::child::Server;
use crate::error::BenchError;
use crate::latencies::Spread;

/// Where generator and server run. The kernel's own choice changes a latency by a factor of four from one run to the
/// next, so latencies are taken with both bound, and their floor in the same place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Placement {
    /// On a core each, where there are two
    Separate,
    /// Both on one core
    Shared,
    /// Where the kernel puts them
    Free,
}

impl Placement {
    /// Cores of generator and server, if they are bound.
    fn cores(self) -> Option<(usize, usize)> {
        match self {
            Placement::Separate if crate::machine::machine_cores() > 1 => Some((0, 1)),
            Placement::Shared => Some((0, 0)),
            Placement::Separate | Placement::Free => None,
        }
    }

    /// How a row says it.
    pub fn label(self) -> &'static str {
        match self {
            Placement::Separate => "a core each",
            Placement::Shared => "one core",
            Placement::Free => "not bound",
        }
    }
}

/// What all measurements share.
#[derive(Debug, Clone, Args)]
pub struct Settings {
    /// Rounds of each comparison
    #[arg(long, global = true, default_value_t = 5)]
    pub rounds: usize,
    /// Where generator and server run [default: by measurement; latencies on a core each, the rest free]
    #[arg(long, global = true)]
    pub placement: Option<Placement>,
    /// Directory for the files of clusters under test; a real disk, not a memory file system
    #[arg(long, global = true, default_value = "target/bench-data")]
    pub data_dir: PathBuf,
}

impl Settings {
    /// Starts a server under test.
    pub fn serve(&self, args: &[&str]) -> Result<Server, BenchError> {
        let core = self.placement().cores().map(|(_, server)| server.to_string());
        let mut args = args.to_vec();
        if let Some(core) = &core {
            args.extend(["--core", core]);
        }
        Server::start(&args)
    }

    /// The placement in force.
    pub fn placement(&self) -> Placement {
        self.placement.unwrap_or(Placement::Free)
    }

    /// Binds the generator, or lets it go where it likes.
    pub fn place_generator(&self) -> Result<(), BenchError> {
        match self.placement().cores() {
            Some((generator, _)) => crate::machine::pin(generator),
            None => crate::machine::unpin(),
        }
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
