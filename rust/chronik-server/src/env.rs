//! Every environment variable that `chronik-server` knows, in one place.
//!
//! The names come from the original design and stay valid; new ones of ours follow its style. `--help` prints this
//! table, the resolver looks names up in it, and a `CHRONIK_` variable that is not in it gives a warning.

/// One environment variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// What it sets, for `--help`.
    pub help: &'static str,
    /// Whether it does anything here.
    pub effect: Effect,
}

/// Whether a variable does anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It does what its help says.
    Used,
    /// The original design had it; it is accepted and does nothing, for this reason.
    None(&'static str),
}

macro_rules! variables {
    ($($(#[$meta:meta])* $constant:ident = $name:literal, $help:literal $(, no effect: $reason:literal)?;)*) => {
        $($(#[$meta])* pub const $constant: Variable =
            Variable { name: $name, help: $help, effect: variables!(@effect $($reason)?) };)*
        /// All of them, in the order of `--help`.
        pub const ALL: &[Variable] = &[$($constant),*];
    };
    (@effect) => { Effect::Used };
    (@effect $reason:literal) => { Effect::None($reason) };
}

variables! {
    /// The configuration file.
    CLUSTER_CONFIG = "CHRONIK_CLUSTER_CONFIG", "path of the TOML file";
    /// This node's id.
    NODE_ID = "CHRONIK_NODE_ID", "this node's id, as in the list of peers";
    /// Cluster or single node.
    CLUSTER_ENABLED = "CHRONIK_CLUSTER_ENABLED", "false: ignore the peers and run as a single node";
    /// The members, in short form.
    CLUSTER_PEERS = "CHRONIK_CLUSTER_PEERS", "host:kafka:raft,... with ids by order from 1; enables the cluster";
    /// The own Raft listener.
    RAFT_ADDR = "CHRONIK_RAFT_ADDR", "own Raft listener, host:port (own peer entry, else 127.0.0.1:5001)";
    /// The others' Raft listeners.
    RAFT_PEERS = "CHRONIK_RAFT_PEERS", "Raft listeners of the others, 2@host:port,...";
    /// A cluster to join.
    JOIN = "CHRONIK_JOIN", "Raft listeners of nodes of a running cluster to join, host:port,...";
    /// Replicas of new topics.
    REPLICATION_FACTOR = "CHRONIK_REPLICATION_FACTOR", "replicas of a new topic (3, at most the number of nodes)";
    /// In-sync replicas of new topics.
    MIN_INSYNC_REPLICAS = "CHRONIK_MIN_INSYNC_REPLICAS", "in-sync replicas an acks=all produce needs (2)";
    /// The Kafka port.
    KAFKA_PORT = "CHRONIK_KAFKA_PORT", "port of the Kafka listener (own peer entry, else 9092)";
    /// The Kafka listener.
    BIND_ADDR = "CHRONIK_BIND_ADDR", "host or host:port of the Kafka listener (0.0.0.0; loopback if nothing is advertised)";
    /// The Kafka address clients are told.
    ADVERTISED_ADDR = "CHRONIK_ADVERTISED_ADDR", "host or host:port that clients are told (own peer entry)";
    /// The Kafka port clients are told.
    ADVERTISED_PORT = "CHRONIK_ADVERTISED_PORT", "port that clients are told (the bound one)";
    /// The pinned listener.
    PINNED_PORT = "CHRONIK_PINNED_PORT", "port of a second listener through which all reads are served by this node (off)";
    /// The rack.
    RACK = "CHRONIK_RACK", "this node's rack, for clients that read from the nearest replica (none)";
    /// Follower reads.
    FETCH_FROM_FOLLOWERS = "CHRONIK_FETCH_FROM_FOLLOWERS", "whether followers serve reads (true)";
    /// The cap of the read gate.
    FETCH_FOLLOWER_MAX_WAIT_MS = "CHRONIK_FETCH_FOLLOWER_MAX_WAIT_MS", "longest wait for a proof that a read is current (5000)";
    /// The data directory.
    DATA_DIR = "CHRONIK_DATA_DIR", "where the logs live; created if missing (./data, in a cluster ./data/node-ID)";
    /// When an acknowledged byte is on disk.
    DURABILITY = "CHRONIK_DURABILITY", "fsync: acknowledge after fdatasync on a quorum; os: after the write (fsync)";
    /// The segment size.
    WAL_ROTATION_SIZE = "CHRONIK_WAL_ROTATION_SIZE", "segment size in KB, MB or GB (250MB)";
    /// Threads.
    SHARDS = "CHRONIK_SHARDS", "threads that serve partitions (one per core, at most 64)";
    /// Log lines.
    RUST_LOG = "RUST_LOG", "log filter: info, or target=level,... (info)";
    /// A metrics listener.
    METRICS_PORT = "CHRONIK_METRICS_PORT", "port of the metrics listener (off)",
        no effect: "this version has no metrics listener";
    /// The WAL profile.
    WAL_PROFILE = "CHRONIK_WAL_PROFILE", "profile of the old write-ahead log",
        no effect: "the log has one profile; CHRONIK_DURABILITY decides when it syncs";
    /// The produce profile.
    PRODUCE_PROFILE = "CHRONIK_PRODUCE_PROFILE", "profile of the old produce path",
        no effect: "batches form by themselves";
    /// The admin port.
    ADMIN_PORT = "CHRONIK_ADMIN_PORT", "port of the old admin listener",
        no effect: "administration uses the Kafka protocol";
    /// The search port.
    SEARCH_PORT = "CHRONIK_SEARCH_PORT", "port of the old search listener", no effect: "there is no search";
    /// Switch of the old search.
    DISABLE_SEARCH = "CHRONIK_DISABLE_SEARCH", "switches the old search off", no effect: "there is no search";
    /// The old metadata store.
    FILE_METADATA = "CHRONIK_FILE_METADATA", "the old metadata store",
        no effect: "metadata is a replicated log";
}

/// Beginnings of further names of the original design that are accepted and do nothing.
pub const NO_EFFECT_PREFIXES: &[(&str, &str)] = &[
    ("CHRONIK_SNAPSHOT_", "snapshots are taken at segment boundaries"),
    ("CHRONIK_OBJECT_STORE", "there is no object store"),
    ("CHRONIK_S3_", "there is no object store"),
    ("CHRONIK_GCS_", "there is no object store"),
    ("CHRONIK_AZURE_", "there is no object store"),
];

/// The variable with this name.
pub fn find(name: &str) -> Option<&'static Variable> {
    ALL.iter().find(|variable| variable.name == name)
}

/// The table that `--help` ends with.
pub(crate) fn help() -> String {
    let mut text = String::from("Environment (a flag comes first, then these, then the file):\n");
    for variable in ALL {
        if variable.effect == Effect::Used {
            text.push_str(&format!("  {:<35} {}\n", variable.name, variable.help));
        }
    }
    text.push_str("Accepted for old configurations, without effect:\n");
    for variable in ALL {
        if let Effect::None(reason) = variable.effect {
            text.push_str(&format!("  {:<35} {reason}\n", variable.name));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_ours_begin_alike() {
        let mut names: Vec<&str> = ALL.iter().map(|variable| variable.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALL.len());
        assert!(names.iter().all(|name| name.starts_with("CHRONIK_") || *name == "RUST_LOG"));
    }

    #[test]
    fn help_lists_every_variable() {
        let help = help();
        assert!(ALL.iter().all(|variable| help.contains(variable.name)));
    }
}
