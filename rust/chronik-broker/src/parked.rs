//! Waiting until a partition moves: its visible end, its log start or its leader.

use std::sync::Arc;

use chronik_replica::Waiter;
use chronik_wire::types::PartitionKey;

use crate::hosts::Hosts;

/// Keeps a waiter parked at partitions, also when the client goes away in the middle.
pub(crate) struct Parked {
    hosts: Hosts,
    keys: Vec<PartitionKey>,
    /// Wakes when one of the partitions moved.
    pub(crate) waiter: Arc<Waiter>,
}

impl Parked {
    /// Parks a waiter at every one of `keys`.
    pub(crate) async fn new(hosts: Hosts, keys: Vec<PartitionKey>) -> Parked {
        let parked = Parked { hosts, keys, waiter: Waiter::new() };
        for key in &parked.keys {
            let (key, waiter) = (*key, Arc::clone(&parked.waiter));
            // A replica that is gone by now shows at the next look.
            let _ = parked.hosts.with(key, move |host| host.park(key, &waiter)).await;
        }
        parked
    }
}

impl Drop for Parked {
    fn drop(&mut self) {
        for key in &self.keys {
            let (key, waiter) = (*key, Arc::clone(&self.waiter));
            drop(self.hosts.with(key, move |host| host.unpark(key, &waiter)));
        }
    }
}
