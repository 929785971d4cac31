//! The thread that waits for a node's disk, so that its shard need not. One job at a time, in order.

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use chronik_replica::{SyncJob, SyncReport};
use chronik_wire::types::NodeId;

use super::port::{Event, ShardPort};
use crate::limits;
use crate::stats::EdgeCounters;

/// A node's disk thread. Ends, and is waited for, on drop.
pub(crate) struct DiskThread {
    jobs: Option<SyncSender<SyncJob>>,
    thread: Option<JoinHandle<()>>,
    desk: ReportDesk,
}

/// Where reports go.
#[derive(Clone)]
struct ReportDesk {
    node: NodeId,
    incarnation: u64,
    port: Arc<ShardPort>,
}

impl ReportDesk {
    fn hand_in(&self, report: SyncReport) {
        self.port.send(Event::Synced { node: self.node, incarnation: self.incarnation, report });
    }
}

impl DiskThread {
    /// Starts the thread. Finished jobs are reported to `port`.
    pub(crate) fn start(
        node: NodeId,
        incarnation: u64,
        port: Arc<ShardPort>,
        counters: Arc<EdgeCounters>,
    ) -> std::io::Result<DiskThread> {
        let (jobs, queue) = sync_channel::<SyncJob>(limits::SYNC_JOBS_MAX);
        let desk = ReportDesk { node, incarnation, port };
        let reports = desk.clone();
        let work = move || {
            for job in queue {
                let report = job.run();
                counters.disk_syncs.add(1);
                reports.hand_in(report);
            }
        };
        let thread = std::thread::Builder::new().name(format!("chronik-disk-{node}")).spawn(work)?;
        Ok(DiskThread { jobs: Some(jobs), thread: Some(thread), desk })
    }

    /// Hands over a job. The host has one under way at a time, so the queue never fills. A job that is not taken is
    /// reported as failed: its replicas stop, and leadership moves.
    pub(crate) fn submit(&self, job: SyncJob) {
        let Some(jobs) = &self.jobs else { return };
        let (job, reason) = match jobs.try_send(job) {
            Ok(()) => return,
            Err(TrySendError::Full(job)) => (job, "the disk thread is overrun"),
            Err(TrySendError::Disconnected(job)) => (job, "the disk thread has ended"),
        };
        self.desk.hand_in(job.abandon(reason));
    }
}

impl Drop for DiskThread {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // A job under way is finished first. No panic comes out of it.
            let _ = thread.join();
        }
    }
}
