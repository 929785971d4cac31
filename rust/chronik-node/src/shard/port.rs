//! How other threads reach a shard: a queue of events and a bell.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};

use chronik_broker::{HostTask, LocalFuture, PeerMessage, ShardSender};
use chronik_replica::SyncReport;
use chronik_wire::types::NodeId;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::Shard;

/// Anything that shall happen on a shard.
pub(crate) type Errand = Box<dyn FnOnce(&Rc<Shard>) + Send>;

/// Work that arrives from another thread.
pub(crate) enum Event {
    /// A node's disk thread has finished a job.
    Synced {
        /// The node.
        node: NodeId,
        /// Its start number: a job of an earlier life concerns nobody.
        incarnation: u64,
        /// What became of the job.
        report: SyncReport,
    },
    /// Another shard of the node wants something done with this shard's host.
    HostTask(NodeId, HostTask),
    /// A message for a replica of this shard, received elsewhere.
    Deliver(NodeId, NodeId, PeerMessage),
    /// A message to another process, whose connection another shard holds.
    Carry(NodeId, NodeId, PeerMessage),
    /// Anything else, from outside.
    Run(Errand),
}

/// The door of one shard.
pub(crate) struct ShardPort {
    bell: Notify,
    /// `None` once the shard has ended.
    events: Mutex<Option<Vec<Event>>>,
    has_events: AtomicBool,
}

impl ShardPort {
    /// A shard that may not have started yet; events wait for it.
    pub(crate) fn new() -> Arc<ShardPort> {
        Arc::new(ShardPort {
            bell: Notify::new(),
            events: Mutex::new(Some(Vec::new())),
            has_events: AtomicBool::new(false),
        })
    }

    /// Something of the shard wants a turn.
    pub(crate) fn wake(&self) {
        self.bell.notify_one();
    }

    /// Completes when somebody has called `wake` since the last time.
    pub(crate) async fn woken(&self) {
        self.bell.notified().await;
    }

    /// Hands over an event. One for a shard that has ended is dropped.
    pub(crate) fn send(&self, event: Event) {
        match &mut *self.events.lock() {
            Some(events) => events.push(event),
            None => return,
        }
        self.has_events.store(true, Ordering::Release);
        self.wake();
    }

    /// Everything handed over since the last call.
    pub(crate) fn take(&self) -> Vec<Event> {
        if !self.has_events.swap(false, Ordering::AcqRel) {
            return Vec::new();
        }
        self.events.lock().as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// The shard has ended: what waits is dropped, and so is what still comes.
    pub(crate) fn close(&self) {
        *self.events.lock() = None;
    }

    /// Runs `work` on the shard. The answer arrives at the receiver, which fails if the shard ends first.
    pub(crate) fn call<R: Send + 'static>(
        &self,
        work: impl FnOnce(Rc<Shard>) -> LocalFuture<R> + Send + 'static,
    ) -> Receiver<R> {
        let (sender, receiver) = sync_channel(1);
        self.send(Event::Run(Box::new(move |shard| {
            let future = work(Rc::clone(shard));
            tokio::task::spawn_local(async move {
                // The caller may have given up; then nobody wants the answer.
                let _ = sender.send(future.await);
            });
        })));
        receiver
    }
}

/// The way from a node's broker to the host that its `shard` holds.
pub(crate) struct HostDoor {
    /// The node.
    pub(crate) node: NodeId,
    /// The shard.
    pub(crate) port: Arc<ShardPort>,
}

impl ShardSender for HostDoor {
    fn send(&self, task: HostTask) {
        self.port.send(Event::HostTask(self.node, task));
    }
}
