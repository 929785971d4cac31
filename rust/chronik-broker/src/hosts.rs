//! The way from a request to the replica it concerns, whichever shard of this node holds it.
//!
//! A partition lives on one shard for ever (by its key), so `with` either runs at once or crosses threads exactly once
//! each way.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use chronik_replica::Host;
use chronik_wire::types::PartitionKey;
use tokio::sync::oneshot;

/// Work for another shard's host.
pub type HostTask = Box<dyn FnOnce(&mut Host) + Send>;

/// Carries work to another shard. Never blocks; a shard that is gone drops the task.
pub trait ShardSender: Send + Sync {
    /// Hands over the task.
    fn send(&self, task: HostTask);
}

/// The hosts of one node, seen from one shard.
#[derive(Clone)]
pub struct Hosts {
    own: Rc<RefCell<Host>>,
    own_shard: usize,
    senders: Rc<Vec<Arc<dyn ShardSender>>>,
}

/// The result of a task given to a host.
#[derive(Debug)]
pub enum HostReply<R> {
    /// The task ran on this shard.
    Here(Option<R>),
    /// The task runs on another shard.
    There(oneshot::Receiver<R>),
}

impl<R> Unpin for HostReply<R> {}

impl<R> Future for HostReply<R> {
    type Output = Result<R, ShardGone>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            HostReply::Here(result) => Poll::Ready(result.take().ok_or(ShardGone)),
            HostReply::There(result) => Pin::new(result).poll(context).map_err(|_| ShardGone),
        }
    }
}

/// The shard that was asked is gone: the node is stopping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the shard of this partition has stopped")]
pub struct ShardGone;

impl Hosts {
    /// A node with one shard.
    pub fn single(host: Rc<RefCell<Host>>) -> Hosts {
        Hosts { own: host, own_shard: 0, senders: Rc::new(Vec::new()) }
    }

    /// A node with several shards; `senders[own_shard]` is never used.
    pub fn sharded(host: Rc<RefCell<Host>>, own_shard: usize, senders: Vec<Arc<dyn ShardSender>>) -> Hosts {
        Hosts { own: host, own_shard, senders: Rc::new(senders) }
    }

    /// The shard that holds a partition, out of `shards`. The metadata partition is on shard 0.
    pub fn shard_of(key: PartitionKey, shards: usize) -> usize {
        if shards <= 1 || key == PartitionKey::META {
            return 0;
        }
        let topic = (key.topic.0 ^ (key.topic.0 >> 64)) as u64;
        let mixed = (topic ^ key.partition.0 as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        ((mixed >> 32) as usize) % shards
    }

    /// Runs `task` against the host of `key`. The task is under way when this returns (and already done when the
    /// shard is this one), so tasks keep the order in which they were given; awaiting only fetches the result.
    pub fn with<R, F>(&self, key: PartitionKey, task: F) -> HostReply<R>
    where
        R: Send + 'static,
        F: FnOnce(&mut Host) -> R + Send + 'static,
    {
        self.ask(Self::shard_of(key, self.senders.len()), task)
    }

    fn ask<R, F>(&self, shard: usize, task: F) -> HostReply<R>
    where
        R: Send + 'static,
        F: FnOnce(&mut Host) -> R + Send + 'static,
    {
        if shard == self.own_shard {
            return HostReply::Here(Some(task(&mut self.own.borrow_mut())));
        }
        let (answer, result) = oneshot::channel();
        if let Some(sender) = self.senders.get(shard) {
            sender.send(Box::new(move |host| {
                // The asker may have gone away; then nobody wants the answer.
                let _ = answer.send(task(host));
            }));
        }
        HostReply::There(result)
    }

    /// Runs `task` against the host of every shard of this node; does not wait for the others.
    pub fn each<F>(&self, task: F)
    where
        F: FnOnce(&mut Host) + Clone + Send + 'static,
    {
        for (shard, sender) in self.senders.iter().enumerate() {
            if shard != self.own_shard {
                sender.send(Box::new(task.clone()));
            }
        }
        task(&mut self.own.borrow_mut());
    }

    /// Asks the host of every shard of this node, in order of the shards. The tasks are under way when this returns.
    pub fn ask_each<R, F>(&self, task: F) -> Vec<HostReply<R>>
    where
        R: Send + 'static,
        F: FnOnce(&mut Host) -> R + Clone + Send + 'static,
    {
        (0..self.senders.len().max(1)).map(|shard| self.ask(shard, task.clone())).collect()
    }

    /// This shard's own host, for the edge and for start-up.
    pub fn own(&self) -> &Rc<RefCell<Host>> {
        &self.own
    }
}
