//! How other threads reach a shard: a queue of events and a bell.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};

use chronik_broker::{HostTask, LocalFuture, PeerMessage, ShardSender};
use chronik_replica::{CompactionReport, SyncReport};
use chronik_wire::types::NodeId;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::Shard;
use crate::limits;

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
    /// A node's compaction thread has finished a task.
    Compacted {
        /// The node.
        node: NodeId,
        /// Its start number.
        incarnation: u64,
        /// What became of the task.
        report: CompactionReport,
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

impl Event {
    /// Messages between nodes may get lost: who sends them expects it of a network.
    fn may_be_lost(&self) -> bool {
        matches!(self, Event::Deliver(..) | Event::Carry(..))
    }
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

    /// Hands over an event. One for a shard that has ended is dropped, and so is a message between nodes that finds
    /// [`limits::SHARD_EVENTS_MAX`] events waiting; then the answer is false.
    pub(crate) fn send(&self, event: Event) -> bool {
        match &mut *self.events.lock() {
            Some(events) if events.len() >= limits::SHARD_EVENTS_MAX && event.may_be_lost() => return false,
            Some(events) => events.push(event),
            None => return false,
        }
        self.has_events.store(true, Ordering::Release);
        self.wake();
        true
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

#[cfg(test)]
mod tests {
    use chronik_broker::NodeMessage;

    use super::*;

    #[test]
    fn messages_get_lost_at_a_shard_that_takes_none_and_errands_do_not() {
        let port = ShardPort::new();
        let message = || {
            let beat = NodeMessage::Beat { incarnation: 1, leadership_version: 1 };
            Event::Deliver(NodeId(1), NodeId(2), PeerMessage::Node(beat))
        };
        for _ in 0..limits::SHARD_EVENTS_MAX {
            assert!(port.send(message()));
        }
        assert!(!port.send(message()));
        assert!(port.send(Event::Run(Box::new(|_| {}))));
        assert_eq!(port.take().len(), limits::SHARD_EVENTS_MAX + 1);
        assert!(port.send(message()), "there is room again");
        port.close();
        assert!(!port.send(message()));
    }
}
