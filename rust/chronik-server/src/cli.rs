//! The command line. Values stay texts here: one set of parsers serves flags, environment and file alike.

use std::collections::BTreeMap;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::env;

/// A Kafka-protocol broker whose partitions are Raft groups and whose replicas all serve reads that never lie.
#[derive(Debug, Parser)]
#[command(name = "chronik-server", version, about, arg_required_else_help = false)]
struct CommandLine {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    options: Options,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Subcommand)]
enum Command {
    /// Start this node (the default).
    Start,
    /// Take this node out of its cluster for good: its replicas move to the other nodes, and its process ends.
    Remove,
    /// Start this node: the name of `start` in older scripts, which give the file in CHRONIK_CLUSTER_CONFIG.
    Standalone,
}

#[derive(Debug, Args)]
struct Options {
    /// Configuration file
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<String>,
    /// This node's id, as in the list of peers
    #[arg(long, global = true, value_name = "ID")]
    node_id: Option<String>,
    /// Host or host:port of the Kafka listener
    #[arg(long, global = true, value_name = "ADDRESS")]
    bind: Option<String>,
    /// Port of the Kafka listener
    #[arg(long, global = true, value_name = "PORT")]
    kafka_port: Option<String>,
    /// Host or host:port that clients are told
    #[arg(long, global = true, value_name = "ADDRESS")]
    advertise: Option<String>,
    /// Own Raft listener, host:port
    #[arg(long, global = true, value_name = "ADDRESS")]
    raft_addr: Option<String>,
    /// Raft listeners of a running cluster: to join it, or to remove a node from it, host:port,...
    #[arg(long, global = true, value_name = "ADDRESSES")]
    join: Option<String>,
    /// Port of a second listener through which all reads are served by this node
    #[arg(long, global = true, value_name = "PORT")]
    pinned_port: Option<String>,
    /// This node's rack
    #[arg(long, global = true, value_name = "NAME")]
    rack: Option<String>,
    /// Where the logs live
    #[arg(long, global = true, value_name = "DIRECTORY")]
    data_dir: Option<String>,
    /// When an acknowledged byte is on disk: fsync or os
    #[arg(long, global = true, value_name = "MODE")]
    durability: Option<String>,
    /// Threads that serve partitions
    #[arg(long, global = true, value_name = "NUMBER")]
    shards: Option<String>,
    /// Log filter: a level, or target=level with commas between
    #[arg(long, global = true, value_name = "FILTER")]
    log: Option<String>,
    /// Kafka broker configuration, name=value; may be repeated
    #[arg(long, global = true, value_name = "NAME=VALUE")]
    set: Vec<String>,
    /// Check the configuration, print it and exit
    #[arg(long, global = true)]
    check: bool,
}

/// What the command line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Invocation {
    /// The given flags by their names with dashes; repeated ones one per line.
    pub(crate) flags: BTreeMap<&'static str, String>,
    /// Remove the node instead of starting it.
    pub(crate) remove: bool,
    /// Only check and print the configuration.
    pub(crate) check: bool,
}

/// Parses the arguments, the program's name first. `Err` carries what to print, `--help` and `--version` included.
pub(crate) fn parse(args: impl IntoIterator<Item = std::ffi::OsString>) -> Result<Invocation, clap::Error> {
    let command = CommandLine::command().after_help(env::help());
    let parsed = CommandLine::from_arg_matches(&command.try_get_matches_from(args)?)?;
    let remove = match parsed.command {
        None | Some(Command::Start | Command::Standalone) => false,
        Some(Command::Remove) => true,
    };
    Ok(Invocation { remove, ..Invocation::from(parsed.options) })
}

impl From<Options> for Invocation {
    fn from(options: Options) -> Invocation {
        let mut flags = BTreeMap::new();
        let texts = [
            ("--config", options.config),
            ("--node-id", options.node_id),
            ("--bind", options.bind),
            ("--kafka-port", options.kafka_port),
            ("--advertise", options.advertise),
            ("--raft-addr", options.raft_addr),
            ("--join", options.join),
            ("--pinned-port", options.pinned_port),
            ("--rack", options.rack),
            ("--data-dir", options.data_dir),
            ("--durability", options.durability),
            ("--shards", options.shards),
            ("--log", options.log),
            ("--set", (!options.set.is_empty()).then(|| options.set.join("\n"))),
        ];
        for (name, text) in texts {
            if let Some(text) = text {
                flags.insert(name, text);
            }
        }
        Invocation { flags, remove: false, check: options.check }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Invocation, clap::Error> {
        parse(line.split_whitespace().map(Into::into))
    }

    #[test]
    fn the_command_is_optional_and_flags_stand_on_either_side() {
        let plain = parsed("chronik-server --config node1.toml --node-id 2").unwrap();
        assert_eq!(plain.flags["--config"], "node1.toml");
        assert_eq!(plain.flags["--node-id"], "2");
        assert_eq!(parsed("chronik-server start --config node1.toml --node-id 2").unwrap(), plain);
        assert_eq!(parsed("chronik-server --config node1.toml standalone --node-id 2").unwrap(), plain);
        assert!(parsed("chronik-server").unwrap().flags.is_empty());
        let remove = parsed("chronik-server remove --node-id 4 --join host:5001").unwrap();
        assert!(remove.remove && !plain.remove);
        assert_eq!(remove.flags["--join"], "host:5001");
    }

    #[test]
    fn repeated_settings_are_kept_and_unknown_flags_refused() {
        let set = parsed("chronik-server --set num.partitions=3 --set a=b --check").unwrap();
        assert_eq!(set.flags["--set"], "num.partitions=3\na=b");
        assert!(set.check);
        assert!(parsed("chronik-server --nodeid 2").is_err());
        assert!(parsed("chronik-server restart").is_err());
    }

    #[test]
    fn help_ends_with_the_environment() {
        let help = parsed("chronik-server --help").unwrap_err().to_string();
        assert!(help.contains("CHRONIK_CLUSTER_PEERS"), "{help}");
    }
}
