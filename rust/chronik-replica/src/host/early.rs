//! Messages for groups that do not exist here yet: kept for a moment, within bounds.
//!
//! Nodes create the replicas of a new partition at slightly different times. The first election would otherwise
//! lose its messages and wait for a timeout. What is dropped here costs raft a retry, nothing else.

use std::collections::BTreeMap;

use chronik_wire::types::{NodeId, PartitionKey};

use crate::counters::ReplicaCounters;
use crate::limits;
use crate::message::ReplicaMessage;

#[derive(Debug)]
struct Early {
    from: NodeId,
    message: ReplicaMessage,
    bytes: usize,
    /// Time of the first tick after it came: a host that slept learns the time only then.
    kept_since_ms: Option<u64>,
}

/// Messages of each group in order of arrival.
#[derive(Debug, Default)]
pub(super) struct EarlyMessages {
    kept: BTreeMap<PartitionKey, Vec<Early>>,
    count: usize,
    bytes: usize,
}

impl EarlyMessages {
    /// Keeps a message, or drops it when the bounds are reached.
    pub(super) fn keep(
        &mut self,
        key: PartitionKey,
        from: NodeId,
        message: ReplicaMessage,
        counters: &ReplicaCounters,
    ) {
        let bytes = message.size_bytes();
        if self.count >= limits::EARLY_MESSAGES_MAX || self.bytes + bytes > limits::EARLY_BYTES_MAX {
            return counters.early_messages_dropped.increment();
        }
        counters.early_messages_kept.increment();
        self.count += 1;
        self.bytes += bytes;
        self.kept.entry(key).or_default().push(Early { from, message, bytes, kept_since_ms: None });
    }

    /// Takes the messages of a group that exists now.
    pub(super) fn take(&mut self, key: PartitionKey) -> Vec<(NodeId, ReplicaMessage)> {
        let mine = self.kept.remove(&key).unwrap_or_default();
        self.count -= mine.len();
        self.bytes -= mine.iter().map(|early| early.bytes).sum::<usize>();
        mine.into_iter().map(|early| (early.from, early.message)).collect()
    }

    /// Drops what is too old.
    pub(super) fn on_tick(&mut self, now_ms: u64, counters: &ReplicaCounters) {
        let (mut count, mut bytes) = (self.count, self.bytes);
        self.kept.retain(|_, messages| {
            messages.retain_mut(|early| {
                let since_ms = *early.kept_since_ms.get_or_insert(now_ms);
                let stays = now_ms.saturating_sub(since_ms) < limits::EARLY_AGE_MS_MAX;
                if !stays {
                    count -= 1;
                    bytes -= early.bytes;
                    counters.early_messages_dropped.increment();
                }
                stays
            });
            !messages.is_empty()
        });
        (self.count, self.bytes) = (count, bytes);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chronik_wire::types::{PartitionIndex, TopicId};

    fn key(partition: i32) -> PartitionKey {
        PartitionKey::new(TopicId(9), PartitionIndex(partition))
    }

    fn barrier(request_id: u64) -> ReplicaMessage {
        ReplicaMessage::ReadBarrier { request_id, wait_ms: 1 }
    }

    #[test]
    fn messages_wait_for_their_group_in_order_and_for_a_second() {
        let counters = ReplicaCounters::default();
        let mut early = EarlyMessages::default();
        early.keep(key(1), NodeId(1), barrier(1), &counters);
        early.keep(key(2), NodeId(1), barrier(2), &counters);
        early.keep(key(1), NodeId(2), barrier(3), &counters);
        assert_eq!(early.take(key(1)), vec![(NodeId(1), barrier(1)), (NodeId(2), barrier(3))]);
        early.on_tick(500, &counters);
        early.on_tick(1_499, &counters);
        assert!(!early.is_empty());
        early.on_tick(1_500, &counters);
        assert!(early.is_empty());
        assert_eq!((early.count, early.bytes), (0, 0));
    }

    #[test]
    fn the_buffer_is_bounded() {
        let counters = ReplicaCounters::default();
        let mut early = EarlyMessages::default();
        for id in 0..=limits::EARLY_MESSAGES_MAX as u64 {
            early.keep(key(1), NodeId(1), barrier(id), &counters);
        }
        assert_eq!(early.take(key(1)).len(), limits::EARLY_MESSAGES_MAX);
        assert_eq!(counters.early_messages_dropped.get(), 1);
    }
}
