//! Long polls: who is woken when a partition moves.
//!
//! A waiter belongs to one request and may be parked on many partitions. Waking is edge-like and never lost: the
//! set of moved partitions is kept until the request takes it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use chronik_wire::types::PartitionKey;
use indexmap::IndexMap;

/// One parked request. Shared with the partitions it waits for.
#[derive(Debug, Default)]
pub struct Waiter {
    notify: tokio::sync::Notify,
    changed: Mutex<BTreeSet<PartitionKey>>,
}

impl Waiter {
    /// A waiter that is parked nowhere yet.
    pub fn new() -> Arc<Waiter> {
        Arc::new(Waiter::default())
    }

    /// Waits until at least one partition moved and takes all that did.
    pub async fn wait(&self) -> Vec<PartitionKey> {
        loop {
            let changed = self.take();
            if !changed.is_empty() {
                return changed;
            }
            self.notify.notified().await;
        }
    }

    /// Takes the partitions that moved since the last call, without waiting.
    pub fn take(&self) -> Vec<PartitionKey> {
        let mut changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *changed).into_iter().collect()
    }

    /// Notes that `key` moved and wakes the request.
    pub(crate) fn wake(&self, key: PartitionKey) {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner).insert(key);
        self.notify.notify_one();
    }
}

/// The waiters parked on one partition, by their address. A waiter stays parked until it is unparked.
#[derive(Debug, Default)]
pub(crate) struct ParkedWaiters(IndexMap<usize, Arc<Waiter>>);

impl ParkedWaiters {
    /// Parks a waiter once; `false` if the bound is reached.
    pub(crate) fn park(&mut self, waiter: &Arc<Waiter>) -> bool {
        let address = Arc::as_ptr(waiter) as usize;
        if self.0.len() >= crate::limits::PARKED_WAITERS_MAX && !self.0.contains_key(&address) {
            return false;
        }
        self.0.insert(address, Arc::clone(waiter));
        true
    }

    /// Removes a waiter; unknown ones are ignored.
    pub(crate) fn unpark(&mut self, waiter: &Arc<Waiter>) {
        self.0.swap_remove(&(Arc::as_ptr(waiter) as usize));
        if self.0.is_empty() {
            self.0 = IndexMap::new();
        }
    }

    /// Wakes all, leaving them parked.
    pub(crate) fn wake_all(&self, key: PartitionKey) {
        for waiter in self.0.values() {
            waiter.wake(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chronik_wire::types::{PartitionIndex, TopicId};

    fn key(partition: i32) -> PartitionKey {
        PartitionKey::new(TopicId(1), PartitionIndex(partition))
    }

    #[test]
    fn a_wake_before_the_wait_is_not_lost() {
        let waiter = Waiter::new();
        let mut parked = ParkedWaiters::default();
        assert!(parked.park(&waiter));
        assert!(parked.park(&waiter), "parking twice is parking once");
        parked.wake_all(key(1));
        parked.wake_all(key(1));
        waiter.wake(key(0));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        assert_eq!(runtime.block_on(waiter.wait()), vec![key(0), key(1)]);
        assert!(waiter.take().is_empty());
        parked.unpark(&waiter);
        parked.wake_all(key(1));
        assert!(waiter.take().is_empty(), "an unparked waiter is left alone");
    }
}
