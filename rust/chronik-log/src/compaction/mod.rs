//! Compaction: the newest record of every key is kept, and what it superseded goes.
//!
//! # What a replica keeps
//! The log of a compacted partition has two parts. The *compacted prefix* is Kafka log and nothing else: files of
//! batches with gaps between them, named by a manifest. Behind it come the segments, which are Raft log as well. A
//! compaction rewrites a prefix of the log up to an offset, publishes it by renaming one manifest, and then lets go of
//! the segments below it, as far as the snapshot at their end is there: Raft's first index moves up. Where the
//! last segment reaches beyond the prefix, both hold the same offsets for a while; readers take the prefix's.
//!
//! # Why the decision is replicated, and the work is not
//! A [`CompactionPlan`] comes to every replica in one Raft entry. What it leaves is a function of the log below
//! [`up_to`](CompactionPlan::up_to) and the plan, and of nothing else:
//! - the record at the largest offset below `up_to` stays for each key, transactions that were aborted not counted;
//! - unless it is a tombstone below [`tombstones_below`](CompactionPlan::tombstones_below); so do markers of
//!   transactions at or above that offset;
//! - the batch that ends at `up_to` stays, without records if need be, so that readers move on to the end.
//!
//! This does not depend on the compactions that ran before. What an earlier plan removed has a smaller `up_to` and a
//! smaller `tombstones_below`: its records were superseded below the later plan's end, too, or were tombstones below the
//! later plan's bound, and a tombstone only goes together with all that it superseded. So a replica may run a plan late,
//! in pieces, or skip it for a later one, while it serves reads; once it has run a plan, whoever reads from the log start
//! gets what every other replica that ran it gives, byte for byte. (A batch wholly below the log start at
//! the time of the rewrite is left out; nobody reads it.) The sequence numbers of producers live in the replica's
//! snapshots and are never rebuilt from the prefix, so no batch is kept for their sake.
//!
//! # How it runs
//! A [`CompactionJob`] works beside the log, on any thread, a bounded step at a time, and remembers a bounded
//! number of keys: a longer log is compacted in several passes. Everything it reads is checked against its CRCs. What a
//! crash leaves of it is removed when the log is opened.
//!
//! Must not: decide when to compact, know the time, or touch the log's own state before the job is done.

mod decision;
mod filter;
mod give_way;
mod incoming;
mod job;
mod keys;
mod manifest;
mod prefix;
mod writer;

#[cfg(test)]
mod tests;

use chronik_wire::types::Offset;

pub use decision::CompactionRules;
pub use incoming::PrefixPlace;
pub use job::{CompactionDone, CompactionJob, CompactionProgress};

pub(crate) use filter::Aborted;
pub(crate) use incoming::Incoming;
pub(crate) use job::{JobInput, Source, temporary_manifest, write_manifest};
pub(crate) use manifest::{MANIFEST_FILE, Manifest, parse_file_name};
pub(crate) use prefix::Prefix;

/// A decision to compact, the same at every replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompactionPlan {
    /// The log is compacted below this offset, at which a batch ends. All transactions with records below it have ended.
    pub up_to: Offset,
    /// Tombstones and markers of transactions below this offset go as well. At most `up_to`.
    pub tombstones_below: Offset,
    /// Size at which a file of the compacted prefix is closed, bytes.
    pub file_bytes: u64,
}

/// The records of one producer between two offsets, inclusive, that belong to a transaction that was aborted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbortedRecords {
    /// The producer.
    pub producer_id: i64,
    /// Its first record in the transaction.
    pub first: Offset,
    /// The marker that ended it.
    pub last: Offset,
}

/// The compacted prefix of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompactedInfo {
    /// The plan that was carried out last reached up to here.
    pub up_to: Offset,
    /// No tombstone and no marker of a transaction is left below this offset.
    pub tombstones_below: Offset,
    /// The first tombstone or marker that is left.
    pub removable_from: Option<Offset>,
    /// Its size on disk, bytes.
    pub size_bytes: u64,
}
