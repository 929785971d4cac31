//! One raft member per partition, and the host that drives all members of one shard.
//!
//! The raft log is the Kafka log: one record batch is one raft entry, stored once by `chronik-log`. A [`Replica`]
//! owns raft's `RawNode` and drains its readies in the documented order; a [`Host`] owns the replicas of one node
//! on one shard and runs them one turn at a time. Inputs (time, messages, sync results, requests) go in, a
//! [`TurnOutput`] (messages, a sync job) comes out. Claims about the end of the log pass the read gate.
//!
//! Pure: no sockets, threads, clocks or random source. The same code runs in production, inside a test process and
//! in a seeded simulation.

mod batch;
mod codec;
mod compaction;
mod config;
mod counters;
mod election;
mod entry;
mod error;
mod gate;
mod host;
mod ids;
mod insync;
pub mod limits;
mod logging;
mod members;
mod message;
mod producers;
mod replica;
mod snapshot;
mod storage;
mod waiter;

pub use chronik_log::compaction::{CompactionRules, PrefixPlace};
pub use chronik_log::{BatchAt, Index, Term};
pub use codec::CodecError;
pub use config::{
    Faults, GateMode, HostConfig, Machine, MachineError, ReplicaSpec, Standing, SyncMode, TopicSettings,
};
pub use counters::{Counter, ReplicaCounters};
pub use error::{AppendError, ReadError, ReplicaError};
pub use gate::{GateError, GateErrorKind, GatePass};
pub use host::{CompactionReport, CompactionTask, Host, SyncJob, SyncReport, SyncTicket, TurnOutput};
pub use ids::MemberId;
pub use members::{Membership, WantedMember};
pub use message::{BarrierOutcome, Promise, ReplicaMessage};
pub use producers::VerificationGuard;
pub use replica::{
    AbortedTransaction, Acks, AppendReceiver, Appended, EndMarker, EpochEnd, FollowerProgress, LeaderChange,
    ProducerState, ReadView, Replica, Role, TimestampedOffset,
};
pub use waiter::Waiter;
