//! Group sync: one job per host covers everything written since the last one.
//!
//! While a job is under way on the disk thread, turns go on and logs collect; the next job takes them all. Each
//! replica's promises leave when its part came back.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use chronik_log::{DiskError, LogError, SyncBatch, SyncDone};
use chronik_wire::types::PartitionKey;

use super::Host;
use super::shared::Shared;
use crate::config::SyncMode;

/// Names one sync job of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SyncTicket(u64);

/// Logs to sync. Goes to a disk thread, runs there, and its report comes back to `Host::on_synced`.
#[derive(Debug)]
pub struct SyncJob {
    ticket: SyncTicket,
    logs: Vec<(PartitionKey, SyncBatch)>,
}

/// What became of a sync job.
#[derive(Debug)]
pub struct SyncReport {
    ticket: SyncTicket,
    logs: Vec<(PartitionKey, Result<SyncDone, LogError>)>,
}

impl SyncJob {
    /// Names the job.
    pub fn ticket(&self) -> SyncTicket {
        self.ticket
    }

    /// Syncs every log of the job, each file once. Blocks on the disk. A panic in the disk is that log's failed sync:
    /// without a report its promises would wait for ever.
    pub fn run(self) -> SyncReport {
        self.report(|batch| {
            let dir = batch.dir().to_owned();
            let synced = catch_unwind(AssertUnwindSafe(|| batch.sync()));
            synced.unwrap_or_else(|panic| Err(not_synced(dir, super::panic_text(panic.as_ref()))))
        })
    }

    /// The report of a job that can never run: no log of it is synced, and its replicas must stop.
    pub fn abandon(self, reason: &str) -> SyncReport {
        self.report(|batch| Err(not_synced(batch.dir().to_owned(), reason.to_owned())))
    }

    fn report(self, mut sync: impl FnMut(SyncBatch) -> Result<SyncDone, LogError>) -> SyncReport {
        let logs = self.logs.into_iter().map(|(key, batch)| (key, sync(batch))).collect();
        SyncReport { ticket: self.ticket, logs }
    }
}

fn not_synced(dir: String, reason: String) -> LogError {
    LogError::Disk(DiskError::Io { file: dir, action: "sync", source: std::io::Error::other(reason) })
}

impl SyncReport {
    /// Names the job this reports on.
    pub fn ticket(&self) -> SyncTicket {
        self.ticket
    }

    /// Whether a log could not be synced: its replica stops when it learns of it.
    pub fn has_failed(&self) -> bool {
        self.logs.iter().any(|(_, result)| result.is_err())
    }
}

/// The host's view of its sync job.
#[derive(Debug, Default)]
pub(super) struct SyncState {
    under_way: Option<SyncTicket>,
    started: u64,
    /// Replicas removed since the job started: its report says nothing about a successor of the same name.
    removed: BTreeSet<PartitionKey>,
}

impl SyncState {
    pub(super) fn wants_turn(&self, shared: &Shared) -> bool {
        self.under_way.is_none() && !shared.unsynced.is_empty()
    }

    /// A replica is gone.
    pub(super) fn forget(&mut self, key: PartitionKey) {
        if self.under_way.is_some() {
            self.removed.insert(key);
        }
    }
}

impl Host {
    /// Takes what was written since the last job, unless one is under way.
    pub(super) fn start_sync(&mut self) -> Option<SyncJob> {
        if self.shared.config.sync != SyncMode::Deferred || self.sync.under_way.is_some() {
            return None;
        }
        let keys = std::mem::take(&mut self.shared.unsynced);
        let mut logs = Vec::with_capacity(keys.len());
        for key in keys {
            if let Some(batch) = self.with_replica(key, |replica, _| replica.take_sync()).flatten() {
                logs.push((key, batch));
            }
        }
        if logs.is_empty() {
            return None;
        }
        self.sync.started += 1;
        let ticket = SyncTicket(self.sync.started);
        self.sync.under_way = Some(ticket);
        Some(SyncJob { ticket, logs })
    }

    /// A sync job ended. Reports of jobs that are not under way are ignored.
    pub fn on_synced(&mut self, report: SyncReport) {
        if self.sync.under_way != Some(report.ticket) {
            return;
        }
        self.sync.under_way = None;
        let removed = std::mem::take(&mut self.sync.removed);
        for (key, result) in report.logs.into_iter().filter(|(key, _)| !removed.contains(key)) {
            self.with_replica(key, |replica, shared| replica.on_synced(result, shared));
        }
        if let Some(key) = self.shared.unsynced.first().copied() {
            // The next job leaves with the next turn.
            self.shared.mark_dirty(key);
        }
    }
}
