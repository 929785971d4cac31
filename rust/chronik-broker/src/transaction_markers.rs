//! The way from a decided transaction to the markers in its partitions.
//!
//! Requests of other brokers and of administrators come in as WriteTxnMarkers; a coordinator on this node uses the same
//! call. Who repeats a marker that failed is up to them: markers that come twice end a transaction once.

use chronik_replica::{AppendError, EndMarker};
use chronik_wire::error_code::ErrorCode;
use chronik_wire::types::PartitionKey;

use crate::broker::Broker;
use crate::counters::count;
use crate::errors;

/// Kafka's transaction version from which on the end of a transaction raises the producer's epoch (KIP-890).
const EPOCH_RAISED_FROM: i8 = 2;

/// Whether the markers of a transaction version have an epoch above that of the records before them.
pub(crate) fn bumps_epoch(transaction_version: i8) -> bool {
    transaction_version >= EPOCH_RAISED_FROM
}

impl Broker {
    /// Writes a marker into a partition that this node leads. No error: it is committed, so every later read at any
    /// replica knows how the transaction ended. It is under way when this returns.
    pub(crate) fn write_marker(
        &self,
        key: PartitionKey,
        marker: EndMarker,
        deadline_ms: u64,
    ) -> impl Future<Output = ErrorCode> + use<> {
        let reply = self.hosts.with(key, move |host| host.append_marker(key, marker, deadline_ms));
        let counters = std::sync::Arc::clone(&self.node.counters);
        async move {
            let outcome = match reply.await {
                Ok(answer) => answer.await.unwrap_or(Err(AppendError::TimedOut)),
                Err(_) => Err(AppendError::TimedOut),
            };
            let code = outcome.map_or_else(|error| errors::append(&error), |_| ErrorCode::NONE);
            if code == ErrorCode::NONE {
                count(&counters.transaction_markers_written);
            } else {
                counters.count_code(code);
            }
            code
        }
    }
}
