//! What the broker counts. Counters, not log lines, are how a test proves which path a request took.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use chronik_wire::error_code::ErrorCode;

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
    /// Batches whose transaction's coordinator was asked first.
    transactions_verified,
    /// Offsets of transactions that were not taken, because their transaction ended between the question and the append.
    verifications_lapsed,
    /// Times that damaged replicas of this node were replaced by new ones.
    replicas_replaced,
    /// Markers committed at the ends of transactions, repeated ones included.
    transaction_markers_written,
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
    /// Partition answers refused because the client's leader epoch is of the past (74).
    epochs_fenced,
    /// Partition answers refused because the client's leader epoch is not known here yet (75).
    epochs_unknown,
    /// Partition answers of a Fetch that tell a client where its log and this one part.
    epochs_diverging,
    /// Partition answers refused because the offset is out of range (1).
    offsets_out_of_range,
    /// Partition answers refused because there is no such topic, said behind the metadata gate (3, 100).
    topics_unknown,
    /// Partition answers refused because the storage of the replica here failed or is full (56).
    storage_refusals,
    /// Produces received on the pinned address and carried to the leader.
    produces_forwarded,
    /// Times a coordinator of groups or transactions took office at this node.
    coordinators_opened,
    /// Batches that coordinators at this node appended to their logs.
    coordinator_batches,
    /// Times that markers of a transaction could not be written everywhere and were ordered again.
    marker_retries,
    /// Requests to a coordinator that came to a node that is not theirs, or not yet.
    coordinator_refusals,
    /// Requests to a coordinator received on the pinned address and carried to it.
    coordinator_forwards,
    /// Share sessions opened.
    share_sessions_opened,
    /// Times this node took over a share-partition from what is written down.
    share_partitions_loaded,
    /// ShareFetch requests that waited for records.
    share_fetches_parked,
    /// What members said of the records of a partition, taken and written down.
    share_acknowledgements,
    /// What members said and was refused, or could not be written down.
    share_acknowledgements_refused,
    /// Times that records were taken back because a member held them for too long.
    share_locks_expired,
    /// Times that a member asked for more time.
    share_locks_renewed,
    /// Writes to the share coordinator.
    share_state_writes,
}

impl BrokerCounters {
    /// Counts a partition's answer by its error code, as far as there is a counter for it.
    pub(crate) fn count_code(&self, code: ErrorCode) {
        let counter = match code {
            ErrorCode::FENCED_LEADER_EPOCH => &self.epochs_fenced,
            ErrorCode::UNKNOWN_LEADER_EPOCH => &self.epochs_unknown,
            ErrorCode::OFFSET_OUT_OF_RANGE => &self.offsets_out_of_range,
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION | ErrorCode::UNKNOWN_TOPIC_ID => &self.topics_unknown,
            ErrorCode::KAFKA_STORAGE_ERROR => &self.storage_refusals,
            _ => return,
        };
        count(counter);
    }
}

/// Adds one.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
