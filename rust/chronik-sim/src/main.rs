//! The simulator's command line.
//!
//! ```text
//! chronik-sim run --seeds 2000          schedules on all cores; the first failure is minimised and kept
//! chronik-sim replay --seed 17          one schedule, told as a story
//! chronik-sim replay --plan FILE        a kept schedule
//! chronik-sim meta --seeds 100          the same seed twice gives the same trace
//! chronik-sim mutants                   planted bugs are found (feature `mutants`)
//! ```

mod command;

use clap::{Parser, Subcommand};

/// Seeded simulation of whole chronik clusters.
#[derive(Debug, Parser)]
#[command(name = "chronik-sim", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run many schedules, sum up, and minimise the first failures.
    Run(command::Run),
    /// Run one schedule and tell what happens.
    Replay(command::Replay),
    /// Run schedules twice each and compare their traces.
    Meta(command::Meta),
    /// Plant every bug of the list and see each found; then see the broker itself not accused.
    #[cfg(feature = "mutants")]
    Mutants(command::Mutants),
}

fn main() -> std::process::ExitCode {
    let passed = match Arguments::parse().command {
        Command::Run(run) => run.execute(),
        Command::Replay(replay) => replay.execute(),
        Command::Meta(meta) => meta.execute(),
        #[cfg(feature = "mutants")]
        Command::Mutants(mutants) => mutants.execute(),
    };
    match passed {
        Ok(true) => std::process::ExitCode::SUCCESS,
        Ok(false) => std::process::ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            std::process::ExitCode::from(2)
        }
    }
}
