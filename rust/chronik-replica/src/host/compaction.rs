//! Compaction jobs: at most one per host at a time, run by the edge step by step, as fast as it pleases.
//!
//! A host whose edge never asks for one serves everything uncompacted, which is as right.

use std::panic::{AssertUnwindSafe, catch_unwind};

use chronik_log::compaction::{CompactionDone, CompactionJob, CompactionProgress};
use chronik_log::{DiskError, LogError};
use chronik_wire::types::PartitionKey;

use super::Host;

/// A compaction to be run. Goes to a thread with time, and its report comes back to [`Host::on_compacted`].
#[derive(Debug)]
pub struct CompactionTask {
    key: PartitionKey,
    ticket: u64,
    job: CompactionJob,
}

/// What became of a compaction.
#[derive(Debug)]
pub struct CompactionReport {
    key: PartitionKey,
    ticket: u64,
    result: Result<CompactionDone, LogError>,
}

impl CompactionTask {
    /// The partition.
    pub fn key(&self) -> PartitionKey {
        self.key
    }

    /// Bytes that it has read, passed over and written so far.
    pub fn moved_bytes(&self) -> u64 {
        self.job.moved_bytes()
    }

    /// Reads and writes `bytes`, and to the end of the batch at hand; blocks on the disk. The report, once it is over. A panic is a failure of the disk.
    pub fn step(&mut self, bytes: u64) -> Option<CompactionReport> {
        let stepped = catch_unwind(AssertUnwindSafe(|| self.job.step(bytes)));
        let result = match stepped {
            Ok(Ok(CompactionProgress::Working)) => return None,
            Ok(Ok(CompactionProgress::Done(done))) => Ok(done),
            Ok(Err(error)) => Err(error),
            Err(panic) => Err(LogError::Disk(DiskError::Io {
                file: format!("{:?}", self.key),
                action: "compact",
                source: std::io::Error::other(super::panic_text(panic.as_ref())),
            })),
        };
        Some(CompactionReport { key: self.key, ticket: self.ticket, result })
    }
}

/// The host's view of its compaction.
#[derive(Debug, Default)]
pub(super) struct CompactionState {
    /// Whose job is under way.
    under_way: Option<(PartitionKey, u64)>,
    started: u64,
}

impl CompactionState {
    /// A replica is gone: what its job brings is nobody's.
    pub(super) fn forget(&mut self, key: PartitionKey) {
        self.under_way = self.under_way.filter(|(running, _)| *running != key);
    }
}

impl Host {
    /// Whether [`take_compaction`](Self::take_compaction) may bring something.
    pub fn wants_compaction(&self) -> bool {
        self.compaction.under_way.is_none() && !self.shared.uncompacted.is_empty()
    }

    /// The next compaction to run; `None` if nothing is to be compacted or one is under way.
    pub fn take_compaction(&mut self) -> Option<CompactionTask> {
        if self.compaction.under_way.is_some() {
            return None;
        }
        while let Some(key) = self.shared.uncompacted.pop_first() {
            let job = self.with_replica(key, |replica, shared| replica.take_compaction(shared));
            if let Some(job) = job.flatten() {
                self.compaction.started += 1;
                let ticket = self.compaction.started;
                self.compaction.under_way = Some((key, ticket));
                return Some(CompactionTask { key, ticket, job });
            }
        }
        None
    }

    /// A compaction ended. Reports of those that are not under way any more are ignored.
    pub fn on_compacted(&mut self, report: CompactionReport) {
        let CompactionReport { key, ticket, result } = report;
        if self.compaction.under_way != Some((key, ticket)) {
            return;
        }
        self.compaction.under_way = None;
        self.with_replica(key, |replica, shared| replica.on_compacted(result, shared));
    }
}
