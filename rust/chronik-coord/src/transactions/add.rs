//! AddPartitionsToTxn and AddOffsetsToTxn: where a transaction reaches. The first partition opens it.
//!
//! Every partition is on record before the producer writes to it, so that none can be left without a marker.

use std::sync::Arc;

use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::add_offsets_to_txn::AddOffsetsToTxnRequest;
use chronik_wire::messages::add_partitions_to_txn::AddPartitionsToTxnTransaction;
use chronik_wire::types::PartitionIndex;

use super::limits;
use super::machine::{TransactionOutput, Transactions};
use super::request::{TransactionReply, fenced, offsets_answered, partitions_answered};
use super::transaction::{EPOCH_RAISING_VERSION, Partitions, Transaction, TransactionStatus};
use crate::coordinator::{Moment, Output, Ticket};

/// The topic that keeps the offsets of groups.
const OFFSETS_TOPIC: &str = "__consumer_offsets";
/// The first version of either request that knows [`ErrorCode::PRODUCER_FENCED`].
const FENCED_SINCE: i16 = 2;
/// The first version of AddPartitionsToTxn that leaders of partitions send, for producers of transaction version 2.
const BROKERS_SINCE: i16 = 4;

impl Transactions {
    pub(super) fn add_partitions(
        &mut self,
        ticket: Ticket,
        request: &AddPartitionsToTxnTransaction,
        version: i16,
        moment: Moment,
    ) -> TransactionOutput {
        let transaction_version = if version >= BROKERS_SINCE { EPOCH_RAISING_VERSION } else { 0 };
        let producer = (request.producer_id, request.producer_epoch);
        let added = self.add(
            &request.transactional_id,
            producer,
            requested(request),
            version,
            transaction_version,
            moment,
        );
        let (code, output) = match added {
            Ok(output) => (ErrorCode::NONE, output),
            Err(code) => (code, Output::default()),
        };
        let reply = TransactionReply::AddPartitions(partitions_answered(request, |_, _| code));
        output.and(Output::reply(ticket, reply))
    }

    /// Says of each partition whether the open transaction reaches it.
    pub(super) fn verify_partitions(
        &self,
        request: &AddPartitionsToTxnTransaction,
        version: i16,
    ) -> TransactionReply {
        let producer = (request.producer_id, request.producer_epoch);
        let present = self.open_to(&request.transactional_id, producer, version);
        TransactionReply::AddPartitions(partitions_answered(request, |topic, partition| match present {
            Err(code) => code,
            Ok((_, present)) if present.partitions.contains(&(Arc::from(topic), partition)) => {
                ErrorCode::NONE
            }
            Ok(_) => ErrorCode::TRANSACTION_ABORTABLE,
        }))
    }

    pub(super) fn add_offsets(
        &mut self,
        ticket: Ticket,
        request: &AddOffsetsToTxnRequest,
        version: i16,
        offsets_partition: PartitionIndex,
        moment: Moment,
    ) -> TransactionOutput {
        let producer = (request.producer_id, request.producer_epoch);
        let partitions = Partitions::from([(Arc::from(OFFSETS_TOPIC), offsets_partition)]);
        match self.add(&request.transactional_id, producer, partitions, version, 0, moment) {
            Ok(output) => output.and(Output::reply(ticket, offsets_answered(ErrorCode::NONE))),
            Err(code) => Output::reply(ticket, offsets_answered(code)),
        }
    }

    fn add(
        &mut self,
        transactional_id: &str,
        producer: (i64, i16),
        partitions: Partitions,
        version: i16,
        transaction_version: i16,
        moment: Moment,
    ) -> Result<TransactionOutput, ErrorCode> {
        let (id, present) = self.open_to(transactional_id, producer, version)?;
        let open = present.status == TransactionStatus::Ongoing;
        if open && partitions.is_subset(&present.partitions) {
            return Ok(Output::default());
        }
        let next = present.with_partitions(partitions, transaction_version, moment.wall_ms);
        if !fits(&next.partitions) {
            return Err(ErrorCode::POLICY_VIOLATION);
        }
        let id = id.clone();
        Ok(self.put(&id, next, moment))
    }

    /// The transactional id, if this producer may write under it now.
    fn open_to(
        &self,
        transactional_id: &str,
        producer: (i64, i16),
        version: i16,
    ) -> Result<(&Arc<str>, &Transaction), ErrorCode> {
        if transactional_id.is_empty() {
            return Err(ErrorCode::INVALID_REQUEST);
        }
        let (id, present) =
            self.state.entry(transactional_id).ok_or(ErrorCode::INVALID_PRODUCER_ID_MAPPING)?;
        if present.producer_id != producer.0 {
            return Err(ErrorCode::INVALID_PRODUCER_ID_MAPPING);
        }
        if present.producer_epoch != producer.1 {
            return Err(fenced(version, FENCED_SINCE));
        }
        if present.status.is_prepared() {
            return Err(ErrorCode::CONCURRENT_TRANSACTIONS);
        }
        Ok((id, present))
    }
}

fn requested(request: &AddPartitionsToTxnTransaction) -> Partitions {
    let mut partitions = Partitions::new();
    for topic in &request.topics {
        let name: Arc<str> = Arc::from(topic.name.as_str());
        partitions.extend(topic.partitions.iter().map(|id| (name.clone(), PartitionIndex(*id))));
    }
    partitions
}

/// Whether the partitions keep to the bounds of one record.
fn fits(partitions: &Partitions) -> bool {
    // A partition takes four bytes, a topic its name and a few bytes of lengths; one topic each is the worst case.
    let bytes: usize = partitions.iter().map(|(topic, _)| topic.len() + 16).sum();
    partitions.len() <= limits::PARTITIONS_PER_TRANSACTION_MAX && bytes <= limits::PARTITIONS_BYTES_MAX
}
