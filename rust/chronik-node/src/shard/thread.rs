//! The thread of a shard: its runtime, its beginning, its end.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::{Builder, LocalOptions, LocalRuntime};
use tokio::sync::oneshot;

use super::{Shard, ShardConfig};

/// A running shard, as the thread that started it sees it.
pub(crate) struct ShardThread {
    stop: Option<oneshot::Sender<()>>,
    ended: Receiver<()>,
    thread: Option<JoinHandle<()>>,
}

impl ShardThread {
    /// Starts shard `index` of the process part called `name`.
    pub(crate) fn start(index: usize, name: &str, config: ShardConfig) -> io::Result<ShardThread> {
        let (stop, stopped) = oneshot::channel();
        let (built, outcome) = sync_channel(1);
        let (end, ended) = sync_channel(1);
        let work = move || run(index, config, stopped, &built, &end);
        let thread = std::thread::Builder::new().name(format!("chronik-{name}-{index}")).spawn(work)?;
        outcome.recv().unwrap_or_else(|_| Err(io::Error::other("the thread of the shard ended at once")))?;
        Ok(ShardThread { stop: Some(stop), ended, thread: Some(thread) })
    }

    /// Ends every node of the shard and the shard itself. False if that took longer than `limit`; the thread is then
    /// left to itself.
    pub(crate) fn stop(&mut self, limit: Duration) -> bool {
        self.begin_stop();
        let Some(thread) = self.thread.take() else { return true };
        // An error means that the sender is gone, and so the thread about to be.
        if let Err(std::sync::mpsc::RecvTimeoutError::Timeout) = self.ended.recv_timeout(limit) {
            return false;
        }
        // A panic of the shard has been reported by the panic hook.
        let _ = thread.join();
        true
    }

    /// Tells the shard to end, without waiting.
    pub(crate) fn begin_stop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // A shard that has ended already cannot be told.
            let _ = stop.send(());
        }
    }
}

fn run(
    index: usize,
    config: ShardConfig,
    stopped: oneshot::Receiver<()>,
    built: &SyncSender<io::Result<()>>,
    end: &SyncSender<()>,
) {
    let port = Arc::clone(&config.ports[index]);
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
    match runtime {
        Err(error) => {
            // The starter waits for exactly this.
            let _ = built.send(Err(error));
        }
        Ok(runtime) => {
            let _ = built.send(Ok(()));
            serve(&runtime, index, config, stopped);
        }
    }
    port.close();
    // Nobody listens when the owner gave up waiting.
    let _ = end.send(());
}

/// The turn is a task like any other and not the runtime's main future: so it queues behind the connections that were
/// ready before it, and waking it from this thread costs no system call.
fn serve(runtime: &LocalRuntime, index: usize, config: ShardConfig, stopped: oneshot::Receiver<()>) {
    runtime.block_on(async {
        let shard = Shard::new(index, config);
        let mut turn = tokio::task::spawn_local(std::rc::Rc::clone(&shard).run());
        tokio::select! {
            // A dropped sender means the same as a sent one: the owner is gone.
            _ = stopped => {}
            // A shard without its turn serves nobody: it ends, so that callers are told instead of left waiting.
            ended = &mut turn => tracing::error!(shard = index, ?ended, "the turn of a shard has ended; its nodes are gone"),
        }
        for seat in shard.seats() {
            shard.remove(seat.node).await;
        }
        turn.abort();
    });
}
