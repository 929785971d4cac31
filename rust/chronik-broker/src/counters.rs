//! What the broker counts. Counters, not log lines, are how a test proves which path a request took.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$meta:meta])* $name:ident,)*) => {
        /// One node's counters; shared with whoever reads them from outside.
        #[derive(Debug, Default)]
        pub struct BrokerCounters {
            $($(#[$meta])* pub $name: AtomicU64,)*
        }

        impl BrokerCounters {
            /// Adds every counter, by name, to `into`.
            pub fn snapshot(&self, into: &mut BTreeMap<String, u64>) {
                $(into.insert(stringify!($name).to_owned(), self.$name.load(Ordering::Relaxed));)*
            }
        }
    };
}

counters! {
    /// Partition answers of a Fetch served with error 0 by this node as leader, hint-only answers excluded.
    fetches_served_as_leader,
    /// Partition answers of a Fetch served with error 0 by this node as follower.
    fetches_served_as_follower,
    /// Partition answers of a Fetch that only named a preferred read replica.
    preferred_replica_hints,
    /// Partition answers of a Fetch refused because the read gate could not be passed.
    fetches_refused_by_gate,
    /// Fetches that were parked as long polls.
    fetches_parked,
    /// Fetch sessions created.
    fetch_sessions_created,
    /// Fetch sessions evicted to make room.
    fetch_sessions_evicted,
    /// Batches appended by produce requests at this node.
    batches_appended,
    /// Repeated idempotent batches answered with their original offset.
    batches_deduplicated,
    /// Produced batches refused.
    batches_refused,
    /// Requests answered or closed.
    requests,
    /// Requests that could not be decoded.
    requests_malformed,
    /// Commands carried to the controller.
    controller_calls,
    /// ListOffsets partition answers served.
    offset_lists_served,
    /// Produces received on the pinned address and carried to the leader.
    produces_forwarded,
}

/// Adds one.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
