//! The targets, one file each, and the table of all.

pub mod batches;
pub mod bodies;
pub mod broker;
pub mod codecs;
pub mod compaction;
pub mod configuration;
pub mod connections;
pub mod controller;
pub mod flexible;
pub mod groups;
pub mod history;
pub mod log_recovery;
pub mod partition;
pub mod peers;
pub mod requests;
pub mod samples;
pub mod shares;
pub mod snapshots;
pub mod transactions;

use crate::Target;

macro_rules! targets {
    ($($name:ident)*) => {
        /// All targets, by name.
        pub const TARGETS: &[Target] =
            &[$(Target { name: stringify!($name), run: $name::run, seeds: $name::seeds }),*];
    };
}

targets! {
    batches
    bodies
    broker
    codecs
    compaction
    configuration
    connections
    controller
    flexible
    groups
    history
    log_recovery
    partition
    peers
    requests
    samples
    shares
    snapshots
    transactions
}
