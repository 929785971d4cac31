//! `chronik-history`: the checker for people.
//!
//! `check FILE...` judges histories and exits with 1 if a promise was broken; `bench` measures the checker itself.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use chronik_history::{History, ReadError, check, model};
use clap::{Parser, Subcommand};

/// Judges what clients saw by the promises of the broker.
#[derive(Debug, Parser)]
#[command(name = "chronik-history", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Judge histories, JSON lines; exit status 1 if one of them breaks a promise, 2 if one cannot be read.
    Check {
        /// The files.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Generate the history of a correct broker, judge it, and print how long that took.
    Bench {
        /// Events to generate.
        #[arg(long, default_value_t = 1_000_000)]
        events: usize,
        /// Partitions they are spread over.
        #[arg(long, default_value_t = 8)]
        partitions: usize,
        /// Seed of the generator.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Check { files } => {
            let codes: Vec<u8> = files.iter().map(|file| check_file(file)).collect();
            ExitCode::from(codes.into_iter().max().unwrap_or(0))
        }
        Command::Bench { events, partitions, seed } => bench(events, partitions, seed),
    }
}

fn check_file(path: &Path) -> u8 {
    let started = Instant::now();
    let history = match read(path) {
        Ok(history) => history,
        Err(error) => {
            eprintln!("{}: {error}", path.display());
            return 2;
        }
    };
    let read_s = started.elapsed().as_secs_f64();
    let started = Instant::now();
    let verdict = check(&history);
    let check_s = started.elapsed().as_secs_f64();
    println!("{}: {verdict}", path.display());
    print_speed(history.events.len(), &format!("read in {read_s:.3} s, "), check_s);
    u8::from(!verdict.is_clean())
}

fn read(path: &Path) -> Result<History, ReadError> {
    let file = File::open(path).map_err(|source| ReadError::Io { line: 0, source })?;
    History::read(BufReader::new(file))
}

fn bench(events: usize, partitions: usize, seed: u64) -> ExitCode {
    let started = Instant::now();
    let history = model::generate(&model::Options { seed, events, partitions, ..model::Options::default() });
    println!("generated {} events in {:.3} s", history.events.len(), started.elapsed().as_secs_f64());
    let started = Instant::now();
    let verdict = check(&history);
    let check_s = started.elapsed().as_secs_f64();
    println!("{verdict}");
    print_speed(history.events.len(), "", check_s);
    ExitCode::from(u8::from(!verdict.is_clean()))
}

fn print_speed(events: usize, before: &str, check_s: f64) {
    let per_s = events as f64 / check_s.max(1e-9);
    println!("{before}checked in {check_s:.3} s, {per_s:.0} events/s");
}
