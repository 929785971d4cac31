//! Log lines of the server: to standard error, filtered by `RUST_LOG`.
//!
//! The filter takes a level (`info`) and `target=level` pairs, the part of the usual syntax that needs no regular
//! expressions. Targets kept from the original design: `chronik_server::fetch_handler` and `chronik_raft::read_index`.

use std::io::IsTerminal;

use thiserror::Error;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// What is logged when nobody says otherwise.
pub(crate) const DEFAULT_FILTER: &str = "info";

/// A filter text that cannot be read.
#[derive(Debug, Error)]
#[error(
    "\"{0}\" is no log filter; write a level (error, warn, info, debug, trace, off) or target=level, with commas between"
)]
pub(crate) struct FilterError(String);

/// Parses a filter.
pub(crate) fn parse_filter(text: &str) -> Result<Targets, FilterError> {
    // Spans in a filter need a heavier engine; as targets they would silently match nothing.
    if text.contains(['[', '{']) {
        return Err(FilterError(text.to_owned()));
    }
    text.parse().map_err(|_| FilterError(text.to_owned()))
}

/// Sends log lines to standard error. A subscriber that is already there stays: the caller is then part of a program
/// that has its own.
pub(crate) fn init(filter: &str) {
    // Whoever calls has had the text checked already; the default stands in for one that was not.
    let default = Targets::new().with_default(tracing_subscriber::filter::LevelFilter::INFO);
    let filter = parse_filter(filter).unwrap_or(default);
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_filter(filter);
    let _ = tracing_subscriber::registry().with(lines).try_init();
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing_subscriber::filter::LevelFilter;

    #[test]
    fn levels_and_targets_parse() {
        let filter = parse_filter("warn,chronik_server::fetch_handler=debug").unwrap();
        assert_eq!(filter.default_level(), Some(LevelFilter::WARN));
        assert!(parse_filter("info").is_ok());
        assert!(parse_filter("off").is_ok());
    }

    #[test]
    fn other_texts_are_refused() {
        assert!(parse_filter("chronik=loud").is_err());
        assert!(parse_filter("[span]=debug").is_err());
    }
}
