//! The commands, and how they print.
#![allow(clippy::print_stdout, reason = "printing is what commands are for")]

mod meta;
#[cfg(feature = "mutants")]
mod mutants;
mod replay;
mod report;
mod run;

pub(crate) use meta::Meta;
#[cfg(feature = "mutants")]
pub(crate) use mutants::Mutants;
pub(crate) use replay::Replay;
pub(crate) use run::Run;

/// Schedules at a time, if nobody says: one per core.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// A panic is a finding and reported as one; the hook's own words would come in between.
fn silence_panics() {
    std::panic::set_hook(Box::new(|_| ()));
}
