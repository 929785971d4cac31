//! The thread that waits for a node's disk, so that its shard need not. One job at a time, in order.

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use chronik_replica::SyncJob;
use chronik_wire::types::NodeId;

use super::port::{Event, ShardPort};
use crate::limits;
use crate::stats::EdgeCounters;

/// A node's disk thread. Ends, and is waited for, on drop.
pub(crate) struct DiskThread {
    jobs: Option<SyncSender<SyncJob>>,
    thread: Option<JoinHandle<()>>,
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
        let work = move || {
            for job in queue {
                let report = job.run();
                counters.disk_syncs.add(1);
                port.send(Event::Synced { node, incarnation, report });
            }
        };
        let thread = std::thread::Builder::new().name(format!("chronik-disk-{node}")).spawn(work)?;
        Ok(DiskThread { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Hands over a job. The host has one under way at a time, so the queue never fills.
    pub(crate) fn submit(&self, job: SyncJob) {
        let refused = match &self.jobs {
            Some(jobs) => jobs.try_send(job).err(),
            None => None,
        };
        match refused {
            None => {}
            Some(TrySendError::Full(_)) => {
                tracing::error!("disk thread is overrun; replicas wait for a sync that is lost")
            }
            Some(TrySendError::Disconnected(_)) => {
                tracing::error!("disk thread has ended; replicas can sync no more")
            }
        }
    }
}

impl Drop for DiskThread {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // A job under way is finished first; a panic in it has been reported by the panic hook already.
            let _ = thread.join();
        }
    }
}
