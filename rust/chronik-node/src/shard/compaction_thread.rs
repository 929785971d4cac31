//! The thread that compacts a node's logs while its shard serves. One task at a time, a piece at a time, no faster than
//! it may.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use chronik_replica::CompactionTask;
use chronik_wire::types::NodeId;

use super::port::{Event, ShardPort};
use crate::limits;

/// A node's compaction thread. Ends, and is waited for, on drop; a task under way is given up after its present piece.
pub(crate) struct CompactionThread {
    tasks: Option<SyncSender<CompactionTask>>,
    /// Dropped to end a task under way.
    going_on: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread works with.
struct Worker {
    node: NodeId,
    incarnation: u64,
    port: Arc<ShardPort>,
    /// Nothing ever comes here: it tells when the owner has gone.
    going_on: Receiver<()>,
}

impl CompactionThread {
    /// Starts the thread. Finished tasks are reported to `port`.
    pub(crate) fn start(
        node: NodeId,
        incarnation: u64,
        port: Arc<ShardPort>,
    ) -> std::io::Result<CompactionThread> {
        let (tasks, queue) = sync_channel::<CompactionTask>(1);
        let (going_on, ended) = sync_channel::<()>(1);
        let worker = Worker { node, incarnation, port, going_on: ended };
        let work = move || {
            for task in queue {
                if !worker.run(task) {
                    break;
                }
            }
        };
        let thread = std::thread::Builder::new().name(format!("chronik-compact-{node}")).spawn(work)?;
        Ok(CompactionThread { tasks: Some(tasks), going_on: Some(going_on), thread: Some(thread) })
    }

    /// Hands over a task. The host has one under way at a time, so there is always room.
    pub(crate) fn submit(&self, task: CompactionTask) {
        if let Some(tasks) = &self.tasks {
            // A thread that is gone takes nothing; the log stays as it is, which is as right.
            let _ = tasks.try_send(task);
        }
    }
}

impl Worker {
    /// Runs a task to its end. False if the owner has gone meanwhile.
    fn run(&self, mut task: CompactionTask) -> bool {
        loop {
            let (began, moved_bytes) = (Instant::now(), task.moved_bytes());
            if let Some(report) = task.step(limits::COMPACTION_STEP_BYTES) {
                let Worker { node, incarnation, .. } = *self;
                self.port.send(Event::Compacted { node, incarnation, report });
                return true;
            }
            let pause = time_for(task.moved_bytes() - moved_bytes).saturating_sub(began.elapsed());
            if self.going_on.recv_timeout(pause) == Err(RecvTimeoutError::Disconnected) {
                return false;
            }
        }
    }
}

/// How long reading and writing this much takes at least.
fn time_for(bytes: u64) -> Duration {
    Duration::from_secs_f64(bytes as f64 / limits::COMPACTION_BYTES_PER_SECOND_MAX as f64)
}

impl Drop for CompactionThread {
    fn drop(&mut self) {
        self.tasks = None;
        self.going_on = None;
        if let Some(thread) = self.thread.take() {
            // No panic comes out of a task.
            let _ = thread.join();
        }
    }
}
