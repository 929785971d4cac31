//! One partition's append-only log, which is its Raft log and its Kafka log at once.
//!
//! One produced record batch is one Raft entry, and the entry's payload is the batch, byte for byte. So a
//! replica writes once, and replication, fetch and disk share the same `Bytes`. The crate is synchronous: no
//! thread, no clock, no socket; files only behind [`Disk`], in `disk/file.rs`.
//!
//! # The doors
//! - [`PartitionLog::open`] recovers a log; nothing exists on disk before its first write.
//! - *Raft writes*: [`append`](PartitionLog::append), [`set_hard_state`](PartitionLog::set_hard_state),
//!   [`install_snapshot`](PartitionLog::install_snapshot); then [`take_sync`](PartitionLog::take_sync), a sync
//!   on any thread, [`on_synced`](PartitionLog::on_synced). Only then the turn's promises may leave.
//! - *Raft reads*: [`first_index`](PartitionLog::first_index), [`last_index`](PartitionLog::last_index),
//!   [`term`](PartitionLog::term), [`entries`](PartitionLog::entries), [`snapshot`](PartitionLog::snapshot).
//! - *Kafka reads*: [`read`](PartitionLog::read), [`log_start`](PartitionLog::log_start),
//!   [`log_end`](PartitionLog::log_end), lookups by time and by epoch.
//! - *Between the two*: [`offset_after_index`](PartitionLog::offset_after_index) and
//!   [`index_of_offset`](PartitionLog::index_of_offset). Nothing else turns an index into an offset.
//! - *Retention*: [`retention_candidate`](PartitionLog::retention_candidate) proposes,
//!   [`set_log_start`](PartitionLog::set_log_start) obeys the replicated decision,
//!   [`wants_boundary_snapshot`](PartitionLog::wants_boundary_snapshot) and
//!   [`save_snapshot`](PartitionLog::save_snapshot) keep the state at segment ends,
//!   [`drop_segments_below_log_start`](PartitionLog::drop_segments_below_log_start) frees the space.
//!
//! - *Compaction*: [`compaction_candidate`](PartitionLog::compaction_candidate) proposes,
//!   [`begin_compaction`](PartitionLog::begin_compaction) obeys the replicated decision, the job runs elsewhere, and
//!   [`finish_compaction`](PartitionLog::finish_compaction) puts its result in place; see [`compaction`].
//!
//! # On disk
//! A directory per partition: `state` (two slots of hard state, log start, first index), segments
//! `GENERATION-FIRSTINDEX.log`, snapshots `snapshot-INDEX.bin`, and of a compacted log the manifest `compacted` with the
//! files `compacted-*.log` that it names. Indexes are never stored. Beside the partitions the
//! directory `node` holds the disk's own identity ([`NodeIdentity`]), by which a wiped disk is told from one that
//! was not.
//!
//! # Invariants
//! - An entry that was synced is never cut by recovery: it is there, or the log refuses to open. (The one
//!   exception is told in `log/recovery.rs`: damage to the last sync that looks like a sector lost before it.)
//! - A state that was synced is never forgotten; damage to it refuses to open.
//! - The log begins right after a snapshot that is there, or at index 1. Only a compacted prefix reaches below.
//! - After a failed sync or write, a full disk apart, nothing is written any more.
//! - Every byte that leaves a segment file was checked against a CRC.

mod batch_header;
pub mod compaction;
mod config;
pub mod disk;
mod entry;
mod error;
mod identity;
pub mod limits;
mod log;
mod position;
mod reader;
mod segment;
mod snapshot;
mod state;
mod sync;
mod tail;
mod terms;
#[cfg(test)]
mod testing;

pub use chronik_wire::types::Offset;

pub use config::LogConfig;
pub use disk::{
    BitFlip, Disk, DiskError, DiskFault, DiskFile, DiskImage, FaultPlan, FileDisk, FileScope, MemDisk,
    UnsyncedPolicy,
};
pub use entry::{Entry, EntryKind};
pub use error::LogError;
pub use identity::{Members, NodeIdentity};
pub use log::{BatchAt, PartitionLog, ReadResult, RecoveryReport};
pub use position::{Index, Term};
pub use segment::SegmentInfo;
pub use snapshot::Snapshot;
pub use state::HardState;
pub use sync::{SyncBatch, SyncDone};
pub use terms::EpochEnd;
