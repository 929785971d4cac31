//! Bridge from raft's slog lines to `tracing`, target `chronik_raft`.
//!
//! Raft calls an ordinary election INFO and a lost quorum WARN. To an operator both are everyday life, so
//! nothing above DEBUG leaves here except a broken invariant, which raft logs as CRITICAL before it panics.

use slog::{Drain, Level, Logger, Never, OwnedKVList, Record};

const TARGET: &str = "chronik_raft";

/// The logger every raft node of this process gets.
pub(crate) fn raft_logger() -> Logger {
    Logger::root(Bridge, slog::o!())
}

struct Bridge;

impl Drain for Bridge {
    type Ok = ();
    type Err = Never;

    fn log(&self, record: &Record<'_>, values: &OwnedKVList) -> Result<(), Never> {
        match record.level() {
            Level::Critical => {
                tracing::error!(target: TARGET, values = %Values(record, values), "{}", record.msg());
            }
            Level::Error | Level::Warning | Level::Info => {
                tracing::debug!(target: TARGET, values = %Values(record, values), "{}", record.msg());
            }
            Level::Debug | Level::Trace => {
                tracing::trace!(target: TARGET, values = %Values(record, values), "{}", record.msg());
            }
        }
        Ok(())
    }
}

/// Formats a record's values only if somebody listens: `tracing` drops the event before it formats its fields.
struct Values<'a>(&'a Record<'a>, &'a OwnedKVList);

impl std::fmt::Display for Values<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut line = Line { out: f, first: true };
        slog::KV::serialize(&self.0.kv(), self.0, &mut line).map_err(|_| std::fmt::Error)?;
        slog::KV::serialize(self.1, self.0, &mut line).map_err(|_| std::fmt::Error)
    }
}

struct Line<'a, 'b> {
    out: &'a mut std::fmt::Formatter<'b>,
    first: bool,
}

impl slog::Serializer for Line<'_, '_> {
    fn emit_arguments(&mut self, key: slog::Key, value: &std::fmt::Arguments<'_>) -> slog::Result {
        let space = if self.first { "" } else { " " };
        self.first = false;
        write!(self.out, "{space}{key}={value}").map_err(|_| slog::Error::Fmt(std::fmt::Error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raft_lines_pass_without_a_subscriber() {
        let logger = raft_logger();
        slog::info!(logger, "became leader at term {}", 3; "raft_id" => 1);
        slog::crit!(logger, "broken");
    }
}
