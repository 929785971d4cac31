//! Whether a partition belongs to a producer's open transaction: only the transaction's coordinator knows (KIP-890).
//!
//! Asked by the leader of a partition before it appends the first batch of a transaction. A batch that comes after its
//! transaction has ended would otherwise open one that nobody ends.

use std::rc::Rc;
use std::sync::Arc;

use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::add_partitions_to_txn::{
    AddPartitionsToTxnRequest, AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction,
};
use chronik_wire::types::PartitionKey;

use crate::broker::Broker;
use crate::limits;

/// The version in which leaders of partitions ask: the first that can only ask, with all errors.
const VERSION: i16 = 5;
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
        self: &Rc<Self>,
        check: &TransactionCheck,
        deadline_ms: u64,
    ) -> Vec<ErrorCode> {
        let refused = |code| vec![code; check.partitions.len()];
        let Some(node) = self.transaction_coordinator(&check.transactional_id) else {
            return refused(ErrorCode::COORDINATOR_NOT_AVAILABLE);
        };
        let request = AddPartitionsToTxnRequest {
            transactions: vec![question(check)],
            ..AddPartitionsToTxnRequest::default()
        };
        let until_ms = deadline_ms.min(self.world.now_ms() + limits::INTERNAL_CALL_TIMEOUT_MS);
        let answer = self.served_by(node, VERSION, &request, until_ms).await;
        let Some(result) = answer.and_then(|answer| answer.results_by_transaction.into_iter().next()) else {
            return refused(ErrorCode::COORDINATOR_NOT_AVAILABLE);
        };
        let code_of = |(key, topic): &(PartitionKey, Arc<str>)| {
            let of_topic = result.topic_results.iter().find(|of| *of.name == **topic)?;
            let of = of_topic.results_by_partition.iter().find(|of| of.partition_index == key.partition.0)?;
            Some(of.partition_error_code)
        };
        let codes = check.partitions.iter().map(code_of);
        codes.map(|code| code.unwrap_or(ErrorCode::COORDINATOR_NOT_AVAILABLE)).collect()
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

/// The question as AddPartitionsToTxn asks it: each topic once, in the order of the check.
fn question(check: &TransactionCheck) -> AddPartitionsToTxnTransaction {
    let mut topics: Vec<AddPartitionsToTxnTopic> = Vec::new();
    for (key, name) in &check.partitions {
        match topics.iter_mut().find(|topic| *topic.name == **name) {
            Some(topic) => topic.partitions.push(key.partition.0),
            None => topics
                .push(AddPartitionsToTxnTopic { name: name.to_string(), partitions: vec![key.partition.0] }),
        }
    }
    AddPartitionsToTxnTransaction {
        transactional_id: check.transactional_id.clone(),
        producer_id: check.producer_id,
        producer_epoch: check.producer_epoch,
        verify_only: !check.adds,
        topics,
    }
}
