//! Where the leaders of share-partitions can be reached, and the sessions of their members: one node's, over all shards.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chronik_wire::types::{LeaderEpoch, PartitionIndex, PartitionKey, TopicId};
use tokio::sync::{mpsc, watch};

use super::leader::ShareAsk;
use super::sessions::ShareSessions;

/// The way to the leader of one share-partition.
#[derive(Clone)]
pub(crate) struct ShareDoor {
    /// The epoch in which it leads.
    pub(crate) epoch: LeaderEpoch,
    /// Tells it from those that were there before it.
    pub(super) number: u64,
    pub(crate) inbox: mpsc::Sender<ShareAsk>,
    /// Changes when there may be more to be had than before.
    pub(crate) changes: watch::Receiver<u64>,
}

/// A group and a partition.
type Place = (Arc<str>, PartitionKey);

/// What one node has of share groups.
#[derive(Default)]
pub(crate) struct ShareTable {
    sessions: Mutex<ShareSessions>,
    doors: Mutex<BTreeMap<Place, ShareDoor>>,
    last_number: AtomicU64,
}

impl ShareTable {
    /// Reads or changes the sessions.
    pub(super) fn sessions<R>(&self, change: impl FnOnce(&mut ShareSessions) -> R) -> R {
        change(&mut lock(&self.sessions))
    }

    /// The leader of a share-partition, if it has one here.
    pub(crate) fn door(&self, group: &Arc<str>, key: PartitionKey) -> Option<ShareDoor> {
        lock(&self.doors).get(&(group.clone(), key)).cloned()
    }

    /// The number for a leader that may come.
    pub(super) fn next_number(&self) -> u64 {
        self.last_number.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// The leader in an epoch: the one there is, or `new`, in place of one of another epoch. The second says that it is the
    /// new one.
    pub(super) fn door_or(
        &self,
        group: &Arc<str>,
        key: PartitionKey,
        new: impl FnOnce() -> ShareDoor,
        epoch: LeaderEpoch,
    ) -> (ShareDoor, bool) {
        let mut doors = lock(&self.doors);
        let place = (group.clone(), key);
        match doors.get(&place) {
            Some(door) if door.epoch >= epoch && !door.inbox.is_closed() => (door.clone(), false),
            _ => {
                let door = new();
                doors.insert(place, door.clone());
                (door, true)
            }
        }
    }

    /// The leader has gone, unless another has come in its place.
    pub(super) fn close(&self, group: &Arc<str>, key: PartitionKey, number: u64) {
        let mut doors = lock(&self.doors);
        let place = (group.clone(), key);
        if doors.get(&place).is_some_and(|door| door.number == number) {
            doors.remove(&place);
        }
    }

    /// A session has ended: the member leaves what it has. With the last session of a group its leaders go.
    pub(super) fn release(&self, group: &Arc<str>, member: &Arc<str>, was_last: bool) {
        let mut doors = lock(&self.doors);
        let first = (group.clone(), PartitionKey::new(TopicId::ZERO, FIRST_PARTITION));
        let of_group: Vec<Place> =
            doors.range(first..).map(|(place, _)| place).take_while(|(of, _)| of == group).cloned().collect();
        for place in of_group {
            if let Some(door) = doors.get(&place) {
                // One that is overrun takes the records back when their time is over.
                let _ = door.inbox.try_send(ShareAsk::Release { member: member.clone() });
            }
            if was_last {
                doors.remove(&place);
            }
        }
    }
}

/// Below every partition there is.
const FIRST_PARTITION: PartitionIndex = PartitionIndex(i32::MIN);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
