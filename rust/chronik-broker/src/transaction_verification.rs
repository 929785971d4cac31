//! Whether a partition belongs to a producer's open transaction: only the transaction's coordinator knows (KIP-890).
//!
//! Asked by the leader of a partition before it appends the first batch of a transaction. A batch that comes after its
//! transaction has ended would otherwise open one that nobody ends.

use std::sync::Arc;

use chronik_wire::error_code::ErrorCode;
use chronik_wire::types::PartitionKey;

use crate::broker::Broker;

const ENABLED: &str = "transaction.partition.verification.enable";

/// One question to one coordinator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TransactionCheck {
    /// Whose coordinator is asked.
    pub(crate) transactional_id: String,
    /// The producer id in the batches.
    pub(crate) producer_id: i64,
    /// The producer epoch in the batches.
    pub(crate) producer_epoch: i16,
    /// The partitions, with the names of their topics.
    pub(crate) partitions: Vec<(PartitionKey, Arc<str>)>,
    /// Partitions that do not belong to the transaction yet are added to it; else they are refused.
    pub(crate) adds: bool,
}

impl Broker {
    /// What the coordinator says of each partition, in order; the codes are those of AddPartitionsToTxn.
    pub(crate) async fn verify_transaction(
        &self,
        check: &TransactionCheck,
        _deadline_ms: u64,
    ) -> Vec<ErrorCode> {
        vec![ErrorCode::COORDINATOR_NOT_AVAILABLE; check.partitions.len()]
    }

    /// Whether transactions are verified where clients add the partitions themselves.
    pub(crate) fn verifies_transactions(&self) -> bool {
        let config = &self.node.config;
        let resolved = self.node.image().broker_config(ENABLED, config.node, &config.broker_config);
        resolved
            .and_then(|config| config.value)
            .is_none_or(|value| !value.trim().eq_ignore_ascii_case("false"))
    }
}
