//! `chronik-server`: one node per process, configured by TOML, environment and flags.
//!
//! The walk: `cli` parses the arguments, `settings` resolves flags, environment (`env`) and file (`file`) into valid
//! settings or a list of mistakes, `table` prints what came from where, `serve` runs the node until a signal. The
//! program is a function, `run`, so that the Python package can offer the same command. Holds no broker logic.

pub mod address;
mod cli;
pub mod env;
mod file;
pub mod findings;
mod layers;
mod logging;
mod nearest;
mod serve;
pub mod settings;
pub mod size;
pub mod table;

use std::collections::BTreeMap;
use std::ffi::OsString;

use chronik_node::config_catalogue;
use findings::Findings;
pub use layers::{Source, Sourced};
use settings::{Inputs, Settings};

/// The process ended in order.
const EXIT_OK: i32 = 0;
/// The node could not start, or not stop in order.
const EXIT_FAILED: i32 = 1;
/// The command line or the configuration is wrong; nothing was bound.
const EXIT_USAGE: i32 = 2;

/// Runs the program with these arguments, its name first, and returns its exit code: 0 after an orderly stop, 1 if the
/// node failed, 2 if the command line or the configuration is wrong.
pub fn run(args: impl IntoIterator<Item = OsString>) -> i32 {
    let invocation = match cli::parse(args) {
        Ok(invocation) => invocation,
        Err(error) => {
            // Printing fails if the reader is gone, and then there is nobody left to tell.
            let _ = error.print();
            return if error.use_stderr() { EXIT_USAGE } else { EXIT_OK };
        }
    };
    let (settings, findings) = match resolve(&invocation.flags) {
        Ok(resolved) => resolved,
        Err(line) => {
            eprintln!("chronik-server: {line}");
            return EXIT_USAGE;
        }
    };
    let Some(settings) = settings else {
        eprint!("{}", settings::mistake_lines(&findings.mistakes));
        return EXIT_USAGE;
    };
    print!("{}", table::table(&settings));
    if invocation.check {
        for finding in findings.warnings.iter().chain(&findings.notes) {
            eprintln!("{finding}");
        }
        return EXIT_OK;
    }
    logging::init(&settings.log_filter.value);
    for warning in &findings.warnings {
        tracing::warn!("{warning}");
    }
    for note in &findings.notes {
        tracing::info!("{note}");
    }
    let ended = if invocation.remove { serve::remove(&settings) } else { serve::run(&settings) };
    match ended {
        Ok(()) => EXIT_OK,
        Err(error) => {
            tracing::error!("{error}");
            EXIT_FAILED
        }
    }
}

/// Reads what the process was given and resolves it. `Err` is a file that cannot be read.
fn resolve(flags: &BTreeMap<&'static str, String>) -> Result<(Option<Settings>, Findings), String> {
    // A variable that is not Unicode is not one of ours, and none of ours needs such a value.
    let environment: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let path = settings::config_path(flags, &environment);
    let text = match &path {
        None => None,
        Some(path) => match std::fs::read_to_string(&path.value) {
            Ok(text) => Some((path.value.display().to_string(), text)),
            Err(error) => {
                return Err(format!("cannot read {} (from {}): {error}", path.value.display(), path.source));
            }
        },
    };
    let inputs = Inputs {
        flags,
        environment: &environment,
        file: text.as_ref().map(|(name, text)| (name.as_str(), text.as_str())),
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        check_kafka_key: &check_kafka_key,
    };
    Ok(Settings::resolve(&inputs))
}

/// Asks the catalogue about one key, so that its answer can be given the key's place.
fn check_kafka_key(name: &str, value: &str) -> Result<Vec<String>, Vec<String>> {
    let config = BTreeMap::from([(name.to_owned(), value.to_owned())]);
    config_catalogue::check_broker_config(&config).map(|(_, warnings)| warnings)
}
