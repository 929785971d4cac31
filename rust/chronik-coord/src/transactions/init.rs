//! InitProducerId: a producer takes a transactional id over, or goes on after an error (KIP-360).
//!
//! Whoever held the transactional id before is fenced by a higher epoch, or by a new producer id once the epochs are used
//! up. An open transaction is aborted first; the client is told 51 and comes again until that is done.

use std::sync::Arc;

use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};

use super::limits;
use super::machine::{TransactionOutput, Transactions, is_fresh};
use super::request::{TransactionReply, fenced, init_refused};
use super::transaction::{LAST_EPOCH, NO_EPOCH, NO_PRODUCER_ID, Transaction, TransactionStatus};
use crate::coordinator::{Moment, Output, Ticket};

/// The first version that knows [`ErrorCode::PRODUCER_FENCED`].
const FENCED_SINCE: i16 = 4;

/// The producer id and epoch a producer says it has.
type Claim = (i64, i16);

/// Why no record follows.
enum Refusal {
    Code(ErrorCode),
    ProducerIdNeeded,
}

impl From<Refusal> for TransactionReply {
    fn from(refusal: Refusal) -> TransactionReply {
        match refusal {
            Refusal::Code(code) => init_refused(code),
            Refusal::ProducerIdNeeded => TransactionReply::ProducerIdNeeded,
        }
    }
}

impl Transactions {
    pub(super) fn init_producer_id(
        &mut self,
        ticket: Ticket,
        request: InitProducerIdRequest,
        version: i16,
        fresh: Option<i64>,
        moment: Moment,
    ) -> TransactionOutput {
        let claim = match self.checked(&request) {
            Ok(claim) => claim,
            Err(code) => return Output::reply(ticket, init_refused(code)),
        };
        let name = request.transactional_id.unwrap_or_default();
        let fresh = fresh.filter(|id| is_fresh(*id)).ok_or(Refusal::ProducerIdNeeded);
        let timeout_ms = request.transaction_timeout_ms;
        let Some((id, present)) = self.state.entry(&name) else {
            return self.first_day(ticket, Arc::from(name), fresh, timeout_ms, moment);
        };
        let (id, present) = (id.clone(), present.clone());
        let next = match claim {
            _ if present.status.is_prepared() => Err(Refusal::Code(ErrorCode::CONCURRENT_TRANSACTIONS)),
            _ if present.status == TransactionStatus::Ongoing => {
                return self.abort_first(ticket, &id, &present, claim, version, moment);
            }
            None => taken_over(&present, fresh, timeout_ms, moment),
            Some(claim) => continued(&present, claim, fresh, timeout_ms, version, moment),
        };
        match next {
            Ok(next) => {
                let reply = initialised(&next);
                self.put(&id, next, moment).and(Output::reply(ticket, reply))
            }
            Err(refusal) => Output::reply(ticket, refusal.into()),
        }
    }

    /// What can be wrong with the request itself. Gives the producer's claim, if it makes one.
    fn checked(&self, request: &InitProducerIdRequest) -> Result<Option<Claim>, ErrorCode> {
        let name = request.transactional_id.as_deref().unwrap_or_default();
        if name.is_empty() || name.len() > limits::TRANSACTIONAL_ID_BYTES_MAX {
            return Err(ErrorCode::INVALID_REQUEST);
        }
        let claim = match (request.producer_id, request.producer_epoch) {
            (NO_PRODUCER_ID, NO_EPOCH) => None,
            (NO_PRODUCER_ID, _) | (_, NO_EPOCH) => return Err(ErrorCode::INVALID_REQUEST),
            claim => Some(claim),
        };
        if !(1..=self.config.timeout_ms_max).contains(&request.transaction_timeout_ms) {
            return Err(ErrorCode::INVALID_TRANSACTION_TIMEOUT);
        }
        Ok(claim)
    }

    /// A transactional id nobody knows, or one that has expired: whatever the producer claims, it gets a new producer id.
    fn first_day(
        &mut self,
        ticket: Ticket,
        id: Arc<str>,
        fresh: Result<i64, Refusal>,
        timeout_ms: i32,
        moment: Moment,
    ) -> TransactionOutput {
        if self.state.len() >= limits::TRANSACTIONAL_IDS_MAX {
            return Output::reply(ticket, init_refused(ErrorCode::POLICY_VIOLATION));
        }
        match fresh {
            Ok(producer_id) => {
                let next = Transaction::new(producer_id, timeout_ms, moment.wall_ms);
                let reply = initialised(&next);
                self.put(&id, next, moment).and(Output::reply(ticket, reply))
            }
            Err(refusal) => Output::reply(ticket, refusal.into()),
        }
    }

    /// Aborts the open transaction. A producer that claims to be an older one than the present is fenced instead: Kafka
    /// would let it abort the transaction of its successor before it told it so.
    fn abort_first(
        &mut self,
        ticket: Ticket,
        id: &Arc<str>,
        present: &Transaction,
        claim: Option<Claim>,
        version: i16,
        moment: Moment,
    ) -> TransactionOutput {
        if claim.is_some_and(|claim| claim != present.producer()) {
            return Output::reply(ticket, init_refused(fenced(version, FENCED_SINCE)));
        }
        let aborted = self.decide(id, present.fenced(moment.wall_ms), None, moment);
        aborted.and(Output::reply(ticket, init_refused(ErrorCode::CONCURRENT_TRANSACTIONS)))
    }
}

/// Another producer begins.
fn taken_over(
    present: &Transaction,
    fresh: Result<i64, Refusal>,
    timeout_ms: i32,
    moment: Moment,
) -> Result<Transaction, Refusal> {
    if present.is_exhausted() {
        return Ok(present.with_producer_id(fresh?, timeout_ms, false, moment.wall_ms));
    }
    Ok(present.with_raised_epoch(timeout_ms, false, moment.wall_ms))
}

/// The producer that makes this claim goes on, if it is the present one; or asks again for what it was given before.
fn continued(
    present: &Transaction,
    (producer_id, epoch): Claim,
    fresh: Result<i64, Refusal>,
    timeout_ms: i32,
    version: i16,
    moment: Moment,
) -> Result<Transaction, Refusal> {
    let is_present = (producer_id, epoch) == present.producer();
    let same_id = producer_id == present.producer_id;
    let exhausted_before = producer_id == present.previous_producer_id && epoch >= LAST_EPOCH;
    if is_present && present.is_exhausted() {
        return Ok(present.with_producer_id(fresh?, timeout_ms, true, moment.wall_ms));
    }
    if is_present {
        return Ok(present.with_raised_epoch(timeout_ms, true, moment.wall_ms));
    }
    if (same_id || exhausted_before) && epoch == present.last_producer_epoch {
        return Ok(present.initialised_again(timeout_ms, moment.wall_ms));
    }
    Err(Refusal::Code(fenced(version, FENCED_SINCE)))
}

fn initialised(transaction: &Transaction) -> TransactionReply {
    let (producer_id, producer_epoch) = transaction.producer();
    TransactionReply::InitProducerId(InitProducerIdResponse {
        producer_id,
        producer_epoch,
        ..Default::default()
    })
}
