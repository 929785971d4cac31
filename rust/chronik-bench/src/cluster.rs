//! The chronik cluster under test: how it is asked for on the command line, and how it is started in a process.

use std::collections::BTreeMap;
use std::path::PathBuf;

use chronik_node::{Cluster, ClusterError, ClusterOptions, Durability, Transport};
use clap::{Args, ValueEnum};

use crate::error::BenchError;

/// Where the data of a cluster under test is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Storage {
    /// In memory.
    Memory,
    /// In files, acknowledged after a sync.
    Fsync,
    /// In files, acknowledged after the write.
    Os,
}

/// How its nodes talk to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Peers {
    /// Through queues of the process.
    Inproc,
    /// Over loopback TCP.
    Tcp,
}

/// A cluster under test.
#[derive(Debug, Clone, Args)]
pub struct ClusterArgs {
    /// Number of nodes
    #[arg(long, default_value_t = 3)]
    pub nodes: usize,
    /// Where its data is
    #[arg(long, value_enum, default_value_t = Storage::Memory)]
    pub storage: Storage,
    /// Directory of its files
    #[arg(long)]
    pub data_dir: Option<PathBuf>,
    /// How its nodes talk to each other
    #[arg(long, value_enum, default_value_t = Peers::Inproc)]
    pub transport: Peers,
    /// Threads that serve partitions
    #[arg(long, default_value_t = 1)]
    pub shards: usize,
}

impl ClusterArgs {
    /// Starts the cluster in this process.
    pub fn start(&self) -> Result<Cluster, BenchError> {
        let (durability, needs_directory) = match self.storage {
            Storage::Memory => (Durability::Fsync, false),
            Storage::Fsync => (Durability::Fsync, true),
            Storage::Os => (Durability::Os, true),
        };
        if needs_directory && self.data_dir.is_none() {
            return Err(BenchError::Unexpected("a cluster on files needs --data-dir".into()));
        }
        let options = ClusterOptions {
            nodes: self.nodes,
            data_dir: self.data_dir.clone().filter(|_| needs_directory),
            durability,
            transport: match self.transport {
                Peers::Inproc => Transport::InProcess,
                Peers::Tcp => Transport::Tcp,
            },
            shards: self.shards,
            ..ClusterOptions::default()
        };
        Cluster::start(options).map_err(failed("starting a cluster"))
    }
}

/// Turns a cluster's error into one that says what was being done.
pub fn failed(what: &'static str) -> impl Fn(ClusterError) -> BenchError {
    move |error| BenchError::Unexpected(format!("{what}: {error}"))
}

/// The sum of a counter over all nodes.
pub fn counter(stats: &BTreeMap<String, u64>, name: &str) -> u64 {
    stats.get(name).copied().unwrap_or(0)
}
