//! Batches of transactions on their way into partitions: appended where their transaction is open, else verified first.
//!
//! Works on the batches of one Produce while its connection's turn lasts, so that nothing of the same producer overtakes
//! a batch that waits for its coordinator's word.

use std::sync::Arc;

use bytes::BytesMut;
use chronik_replica::{Acks, AppendReceiver, Host, VerificationGuard};
use chronik_wire::batch::BatchHeader;
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::produce::ProduceRequest;
use chronik_wire::types::PartitionKey;

use crate::counters::count;
use crate::errors;
use crate::handlers::Context;
use crate::handlers::produce::{Pending, Refusal};
use crate::hosts::HostReply;
use crate::transaction_verification::TransactionCheck;

/// The transaction that a Produce names.
#[derive(Debug, Clone)]
pub(crate) struct ProducedTransaction {
    /// The transactional id.
    pub(crate) id: String,
    /// The request itself adds its partitions to the transaction; else the client has done so before.
    pub(crate) adds: bool,
}

/// How a replica took a batch.
pub(crate) enum Begun {
    /// It is on its way.
    Appending(AppendReceiver),
    /// It would open a transaction, so the coordinator has to be asked; the batch comes back.
    Unverified(BytesMut, Unverified),
}

/// A batch that would open a transaction.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Unverified {
    /// The producer id.
    pub(crate) producer: i64,
    epoch: i16,
    guard: VerificationGuard,
}

/// Appends a batch whose transaction is open, or tells under which guard it is to be verified.
pub(crate) fn begin_transactional(
    host: &mut Host,
    key: PartitionKey,
    batch: BytesMut,
    header: &BatchHeader,
    acks: Acks,
    deadline_ms: u64,
) -> Begun {
    let (producer, epoch) = (header.producer_id, header.producer_epoch);
    match host.begin_verification(key, producer, epoch) {
        Some(guard) => Begun::Unverified(batch, Unverified { producer, epoch, guard }),
        None => Begun::Appending(host.append_verified(key, batch, acks, deadline_ms, None)),
    }
}

/// A batch that waits for the coordinator's word.
struct Waiting {
    place: usize,
    key: PartitionKey,
    topic: Arc<str>,
    batch: BytesMut,
    unverified: Unverified,
}

impl ProducedTransaction {
    /// The transaction of a request, if it names one.
    pub(crate) fn of(context: &Context, request: &ProduceRequest) -> Option<ProducedTransaction> {
        let id = request.transactional_id.clone()?;
        Some(ProducedTransaction { id, adds: context.version >= errors::PRODUCE_ADDS_PARTITIONS })
    }

    /// Whether the coordinator is to be asked at all.
    pub(crate) fn is_verified(&self, context: &Context) -> bool {
        self.adds || context.broker.verifies_transactions()
    }

    /// Has the coordinator asked about every batch that would open a transaction, with one question, and appends those
    /// that it does not object to.
    pub(crate) async fn verify(
        &self,
        context: &Context,
        pending: &mut [Pending],
        acks: Acks,
        deadline_ms: u64,
    ) {
        let waiting = take_unverified(pending).await;
        let Some(first) = waiting.first().map(|waiting| waiting.unverified) else { return };
        let of_one = |waiting: &Waiting| {
            (waiting.unverified.producer, waiting.unverified.epoch) == (first.producer, first.epoch)
        };
        let (asked, strangers): (Vec<_>, Vec<_>) = waiting.into_iter().partition(of_one);
        for stranger in strangers {
            // A transaction has one producer.
            refuse(pending, stranger.place, ErrorCode::INVALID_PRODUCER_ID_MAPPING, None);
        }
        let check = TransactionCheck {
            transactional_id: self.id.clone(),
            producer_id: first.producer,
            producer_epoch: first.epoch,
            partitions: asked.iter().map(|waiting| (waiting.key, Arc::clone(&waiting.topic))).collect(),
            adds: self.adds,
        };
        count(&context.broker.node.counters.transactions_verified);
        let mut codes = context.broker.verify_transaction(&check, deadline_ms).await.into_iter();
        for Waiting { place, key, batch, unverified, .. } in asked {
            match codes.next().unwrap_or(ErrorCode::COORDINATOR_NOT_AVAILABLE) {
                ErrorCode::NONE => {
                    let guard = Some(unverified.guard);
                    let begun = context.broker.hosts.with(key, move |host| {
                        Begun::Appending(host.append_verified(key, batch, acks, deadline_ms, guard))
                    });
                    if let Some(Pending::Appending { reply, .. }) = pending.get_mut(place) {
                        *reply = begun;
                    }
                }
                code => refuse(pending, place, errors::verification(code, context.version), Some(code)),
            }
        }
    }
}

/// The batches that came back from their replicas; the answers of the others stay where they are.
async fn take_unverified(pending: &mut [Pending]) -> Vec<Waiting> {
    let mut waiting = Vec::new();
    for (place, step) in pending.iter_mut().enumerate() {
        let Pending::Appending { target, reply, .. } = step else { continue };
        let begun = std::mem::replace(reply, HostReply::Here(None)).await;
        match begun {
            Ok(Begun::Unverified(batch, unverified)) => {
                let (key, topic) = (target.key, Arc::clone(&target.topic.name));
                waiting.push(Waiting { place, key, topic, batch, unverified });
            }
            begun => *reply = HostReply::Here(begun.ok()),
        }
    }
    waiting
}

fn refuse(pending: &mut [Pending], place: usize, code: ErrorCode, cause: Option<ErrorCode>) {
    let message = cause.map(|cause| format!("the transaction's coordinator does not agree: {cause}"));
    if let Some(step) = pending.get_mut(place) {
        *step = Pending::Refused(Refusal { code, message });
    }
}
