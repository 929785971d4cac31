//! A seeded simulation of whole clusters: the production broker under faults of network, disk and clock.
//!
//! A [`Plan`] follows from a seed and says everything that happens from outside; [`run`] plays it on one thread and one
//! agenda: nodes are `chronik-broker` with its replicas and logs on [`chronik_log::MemDisk`], clients speak the protocol,
//! the network, the clocks and the disks' syncs are simulated. What clients saw is judged by `chronik-history`; an
//! auditor looks inside after every turn. The same plan gives the same trace, bit for bit.
//!
//! Must not: read a clock, use a random source of the system, or let a thread take part.

mod auditor;
mod campaign;
mod client;
mod coverage;
mod engine;
mod minimise;
mod network;
mod node;
mod plan;
mod random;
mod schedule;
mod simulation;
mod switchboard;

pub use campaign::{Campaign, Totals};
pub use coverage::{RARE_PATHS, RARE_SIGHTS, RarePath, missing};
pub use minimise::minimise;
pub use plan::{
    ClusterPlan, CutShape, DiskOperation, Durability, Fault, FaultKind, NetworkPlan, Noise, Plan, Target,
    Unsynced, WorkloadPlan,
};
pub use random::Random;
pub use schedule::{Finding, Outcome, Story, run};
