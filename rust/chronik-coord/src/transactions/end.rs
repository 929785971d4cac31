//! EndTxn: a producer commits or aborts.
//!
//! Up to version 4 the producer keeps its epoch, and a repeated request is told from the status alone. From version 5 on
//! (KIP-890) every end raises the epoch: the present epoch means "end the transaction I have now", the one before means
//! "I have not heard the answer to my last end". An abort is then accepted without an open transaction too, because the
//! producer cannot know whether anything of it has arrived.
//!
//! From version 5 on, with the present epoch or, "again", with the one before:
//!
//! | status | abort, again | abort | commit, again | commit |
//! |---|---|---|---|---|
//! | Empty | fenced | epoch raised | fenced | 48 |
//! | CompleteAbort | answered again | epoch raised | 48 | 48 |
//! | CompleteCommit | 48 | epoch raised | answered again | 48 |

use std::sync::Arc;

use chronik_mutants::{Mutant, planted};
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::end_txn::{EndTxnRequest, EndTxnResponse};

use super::machine::{TransactionOutput, Transactions, is_fresh};
use super::request::{TransactionReply, end_refused, fenced};
use super::transaction::{EPOCH_RAISING_VERSION, LAST_EPOCH, NO_PRODUCER_ID, Transaction, TransactionStatus};
use crate::coordinator::{Moment, Output, Ticket};

/// The first version that knows [`ErrorCode::PRODUCER_FENCED`].
const FENCED_SINCE: i16 = 2;
/// The first version after which the epoch is raised.
const EPOCH_RAISED_SINCE: i16 = 5;

/// What is to be done.
enum Verdict {
    /// The producer decides its transaction.
    Decide,
    /// The transaction ended as asked before; nothing is to be done.
    Ended,
}

impl Transactions {
    pub(super) fn end(
        &mut self,
        ticket: Ticket,
        request: &EndTxnRequest,
        version: i16,
        fresh: Option<i64>,
        moment: Moment,
    ) -> TransactionOutput {
        if request.transactional_id.is_empty() {
            return Output::reply(ticket, end_refused(ErrorCode::INVALID_REQUEST));
        }
        let Some((id, present)) = self.state.entry(&request.transactional_id) else {
            return Output::reply(ticket, end_refused(ErrorCode::INVALID_PRODUCER_ID_MAPPING));
        };
        let (id, present) = (id.clone(), present.clone());
        let raising = version >= EPOCH_RAISED_SINCE;
        let verdict =
            if raising { judge_raising(&present, request) } else { judge(&present, request, version) };
        let fresh = fresh.filter(|id| is_fresh(*id));
        match verdict {
            Err(code) => Output::reply(ticket, end_refused(code)),
            Ok(Verdict::Ended) if raising && present.producer_epoch > LAST_EPOCH => {
                self.ended_anew(ticket, &id, &present, fresh, moment)
            }
            Ok(Verdict::Ended) => Output::reply(ticket, ended(&present)),
            Ok(Verdict::Decide) => {
                let next_id = match fresh {
                    _ if !raising || !present.is_exhausted() => NO_PRODUCER_ID,
                    Some(fresh) => fresh,
                    None => return Output::reply(ticket, TransactionReply::ProducerIdNeeded),
                };
                let transaction_version = if raising { EPOCH_RAISING_VERSION } else { 0 };
                let decided =
                    present.decided(request.committed, transaction_version, next_id, moment.wall_ms);
                self.decide(&id, decided, Some(ticket), moment)
            }
        }
    }

    /// The coordinator itself has aborted, and has used the last epoch to do so. The producer goes on under a new id.
    fn ended_anew(
        &mut self,
        ticket: Ticket,
        id: &Arc<str>,
        present: &Transaction,
        fresh: Option<i64>,
        moment: Moment,
    ) -> TransactionOutput {
        let Some(fresh) = fresh else { return Output::reply(ticket, TransactionReply::ProducerIdNeeded) };
        let next = present.completed_under(fresh, moment.wall_ms);
        let reply = ended(&next);
        self.put(id, next, moment).and(Output::reply(ticket, reply))
    }
}

/// The answer to an EndTxn that has been carried out.
pub(super) fn ended(transaction: &Transaction) -> TransactionReply {
    let (producer_id, producer_epoch) = transaction.producer();
    TransactionReply::EndTxn(EndTxnResponse { producer_id, producer_epoch, ..Default::default() })
}

/// Up to version 4.
fn judge(present: &Transaction, request: &EndTxnRequest, version: i16) -> Result<Verdict, ErrorCode> {
    if present.producer_id != request.producer_id {
        return Err(ErrorCode::INVALID_PRODUCER_ID_MAPPING);
    }
    if present.producer_epoch != request.producer_epoch && !planted(Mutant::ZombieEndsTransaction) {
        return Err(fenced(version, FENCED_SINCE));
    }
    match (present.status, request.committed) {
        (TransactionStatus::Ongoing, _) => Ok(Verdict::Decide),
        (TransactionStatus::CompleteCommit, true) | (TransactionStatus::CompleteAbort, false) => {
            Ok(Verdict::Ended)
        }
        (TransactionStatus::PrepareCommit, true) | (TransactionStatus::PrepareAbort, false) => {
            Err(ErrorCode::CONCURRENT_TRANSACTIONS)
        }
        _ => Err(ErrorCode::INVALID_TXN_STATE),
    }
}

/// From version 5 on.
fn judge_raising(present: &Transaction, request: &EndTxnRequest) -> Result<Verdict, ErrorCode> {
    let claim = (request.producer_id, request.producer_epoch);
    let under_new_id = request.producer_id == present.previous_producer_id
        && request.producer_epoch == LAST_EPOCH
        && present.producer_epoch == 0;
    if present.producer_id != request.producer_id && !under_new_id {
        return Err(ErrorCode::INVALID_PRODUCER_ID_MAPPING);
    }
    let is_present = claim == present.producer();
    // The present epoch counts as the answer to this producer only if it was raised by an end. It may as well be that of
    // another producer, of the old kind, which has ended a transaction of its own: Kafka does not tell the two apart.
    let raised = present.version >= EPOCH_RAISING_VERSION;
    let next_epoch = request.producer_epoch.checked_add(1);
    let again = under_new_id || raised && next_epoch == Some(present.producer_epoch);
    let epoch_fits = match present.status {
        TransactionStatus::Ongoing | TransactionStatus::Empty => is_present,
        TransactionStatus::PrepareCommit | TransactionStatus::PrepareAbort => again,
        TransactionStatus::CompleteCommit | TransactionStatus::CompleteAbort => is_present || again,
    };
    if !epoch_fits && !planted(Mutant::ZombieEndsTransaction) {
        return Err(ErrorCode::PRODUCER_FENCED);
    }
    match (present.status, request.committed) {
        (TransactionStatus::Ongoing, _) => Ok(Verdict::Decide),
        (TransactionStatus::PrepareCommit, true) | (TransactionStatus::PrepareAbort, false) => {
            Err(ErrorCode::CONCURRENT_TRANSACTIONS)
        }
        (TransactionStatus::CompleteCommit, true) | (TransactionStatus::CompleteAbort, false) if again => {
            Ok(Verdict::Ended)
        }
        (
            TransactionStatus::Empty | TransactionStatus::CompleteCommit | TransactionStatus::CompleteAbort,
            false,
        ) if is_present => Ok(Verdict::Decide),
        _ => Err(ErrorCode::INVALID_TXN_STATE),
    }
}
