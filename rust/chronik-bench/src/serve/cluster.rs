//! A chronik cluster in the child process, and what its parent may ask: `stats`, and `advance` (a second of its clock).

use super::{answer_lines, ready};
use crate::cluster::{ClusterArgs, failed};
use crate::error::BenchError;

/// How far `advance` moves the clock, in milliseconds.
const ADVANCED_MS: i64 = 1_000;

/// Serves until standard input ends.
pub(super) fn run(args: &ClusterArgs) -> Result<(), BenchError> {
    let cluster = args.start()?;
    let bootstrap = cluster.bootstrap_servers();
    let first = bootstrap.split(',').next().unwrap_or_default().to_owned();
    ready(&format!("address={first} bootstrap={bootstrap}"));
    answer_lines(|line| match line {
        "stats" => {
            let pairs = cluster.stats().into_iter().map(|(name, value)| format!("{name}={value}"));
            pairs.collect::<Vec<_>>().join(" ")
        }
        // Time enough for everything that the brokers do from time to time to be done at once.
        "advance" => match cluster.advance(ADVANCED_MS) {
            Ok(()) => "done=1".to_owned(),
            Err(error) => format!("done=0 {error}"),
        },
        _ => String::new(),
    });
    cluster.stop().map_err(failed("stopping the cluster"))
}
