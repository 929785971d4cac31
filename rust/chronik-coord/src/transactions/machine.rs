//! The leader's machine: the hard state ahead of the log, and what no log has.
//!
//! Owns the deadlines, the markers that are still under way, and the producers that wait for them. The requests are in
//! `init`, `add`, `end` and `query`; here are the office, the clock and the one place where a step becomes a record.
//!
//! The walk of a commit: EndTxn decides (a `Prepare` record) and orders the markers; the broker writes one into every
//! partition and reports; the last report completes (a `Complete` record) and answers the producer. The answer says that
//! every marker is committed, so that a commit acknowledged is a commit visible at every replica. Kafka answers after the
//! `Prepare` record. A coordinator that takes office orders the markers of every decided transaction again: a decision in
//! the log is carried out whoever leads.

use std::collections::BTreeMap;
use std::mem;
use std::sync::Arc;

use chronik_wire::error_code::ErrorCode;
use chronik_wire::types::PartitionIndex;

use super::agenda::Agenda;
use super::config::TransactionsConfig;
use super::request::{TransactionReply, TransactionRequest, end_refused};
use super::state::TransactionsState;
use super::transaction::{NO_PRODUCER_ID, Partitions, Transaction, TransactionStatus};
use super::{limits, record};
use crate::coordinator::{
    Coordinator, CoordinatorBatch, CoordinatorRecord, MarkerOrder, Moment, OpenTransaction, Output, Ticket,
};

/// The leader's machine for one partition of `__transaction_state`.
#[derive(Debug)]
pub struct Transactions {
    pub(super) state: TransactionsState,
    pub(super) config: TransactionsConfig,
    agenda: Agenda,
    /// The decided transactions.
    endings: BTreeMap<Arc<str>, Ending>,
    /// Who waits in `endings`.
    waiting: BTreeMap<Ticket, Arc<str>>,
    orders: Vec<MarkerOrder>,
}

/// A decided transaction whose markers are under way.
#[derive(Debug)]
struct Ending {
    /// Partitions whose marker was not reported yet.
    unwritten: Partitions,
    /// The EndTxn that decided, unless nobody waits.
    waiter: Option<Ticket>,
}

pub(super) type TransactionOutput = Output<TransactionReply>;

impl Transactions {
    /// The hard state, ahead of the log by what is not committed yet.
    pub fn state(&self) -> &TransactionsState {
        &self.state
    }

    /// Takes a step: applies it, and gives the record that makes it so.
    pub(super) fn put(&mut self, id: &Arc<str>, next: Transaction, moment: Moment) -> TransactionOutput {
        let was_open = self.state.get(id).is_some_and(|before| before.status == TransactionStatus::Ongoing);
        match next.status {
            TransactionStatus::Ongoing if was_open => {}
            TransactionStatus::Ongoing => {
                self.agenda.set(id, Some(moment.now_ms.saturating_add(next.timeout_ms.into())));
            }
            TransactionStatus::PrepareCommit | TransactionStatus::PrepareAbort => self.agenda.set(id, None),
            _ => self.agenda.set(id, Some(moment.now_ms.saturating_add(self.config.id_expiration_ms))),
        }
        let record = record::encode(id, &next);
        self.state.put(id.clone(), next);
        appended(vec![record])
    }

    /// Takes the step to a decided transaction and orders its markers; one without partitions is complete at once.
    pub(super) fn decide(
        &mut self,
        id: &Arc<str>,
        decided: Transaction,
        waiter: Option<Ticket>,
        moment: Moment,
    ) -> TransactionOutput {
        assert!(decided.status.is_prepared(), "only a decision has markers");
        if decided.partitions.is_empty() {
            let completed = decided.completed(moment.wall_ms);
            let reply = waiter.map(|ticket| (ticket, super::end::ended(&completed)));
            let mut output = self.put(id, completed, moment);
            output.replies.extend(reply);
            return output;
        }
        self.order(id, &decided);
        let unwritten = decided.partitions.clone();
        self.endings.insert(id.clone(), Ending { unwritten, waiter });
        let output = self.put(id, decided, moment);
        if let Some(ticket) = waiter {
            self.waiting.insert(ticket, id.clone());
            self.agenda.set(id, Some(moment.now_ms.saturating_add(self.config.end_wait_ms_max)));
        }
        output
    }

    fn order(&mut self, id: &Arc<str>, decided: &Transaction) {
        self.orders.push(MarkerOrder {
            transactional_id: id.clone(),
            producer_id: decided.producer_id,
            producer_epoch: decided.producer_epoch,
            commit: decided.status == TransactionStatus::PrepareCommit,
            transaction_version: i8::try_from(decided.version).unwrap_or(i8::MAX),
            partitions: decided.partitions.iter().cloned().collect(),
        });
    }

    /// The broker has written markers; the last one completes the transaction.
    fn on_markers_written(
        &mut self,
        transactional_id: &str,
        producer: (i64, i16),
        partitions: Vec<(String, PartitionIndex)>,
        moment: Moment,
    ) -> TransactionOutput {
        let Some((id, transaction)) = self.state.entry(transactional_id) else { return Output::default() };
        let (id, transaction) = (id.clone(), transaction.clone());
        let Some(ending) = self.endings.get_mut(&id) else { return Output::default() };
        if transaction.producer() != producer {
            return Output::default();
        }
        for (topic, partition) in partitions {
            ending.unwritten.remove(&(Arc::from(topic), partition));
        }
        if !ending.unwritten.is_empty() {
            return Output::default();
        }
        let waiter = ending.waiter;
        self.endings.remove(&id);
        let completed = transaction.completed(moment.wall_ms);
        let reply = waiter.map(|ticket| (ticket, super::end::ended(&completed)));
        let mut output = self.put(&id, completed, moment);
        if let Some((ticket, reply)) = reply {
            self.waiting.remove(&ticket);
            output.replies.push((ticket, reply));
        }
        output
    }

    /// The deadline of a transactional id is reached. Says whether the id has expired.
    fn on_deadline(&mut self, id: &Arc<str>, moment: Moment, output: &mut TransactionOutput) -> bool {
        let Some(transaction) = self.state.get(id) else { return false };
        match transaction.status {
            TransactionStatus::Ongoing => {
                let fenced = transaction.fenced(moment.wall_ms);
                let aborted = self.decide(id, fenced, None, moment);
                *output = mem::take(output).and(aborted);
                false
            }
            _ if transaction.status.is_prepared() && transaction.partitions.is_empty() => {
                let completed = transaction.completed(moment.wall_ms);
                let completion = self.put(id, completed, moment);
                *output = mem::take(output).and(completion);
                false
            }
            TransactionStatus::PrepareCommit | TransactionStatus::PrepareAbort => {
                if let Some(ticket) = self.endings.get_mut(id).and_then(|ending| ending.waiter.take()) {
                    self.waiting.remove(&ticket);
                    output.replies.push((ticket, end_refused(ErrorCode::CONCURRENT_TRANSACTIONS)));
                }
                false
            }
            _ => {
                self.state.remove(id);
                true
            }
        }
    }
}

impl Coordinator for Transactions {
    type State = TransactionsState;
    type Config = TransactionsConfig;
    type Request = TransactionRequest;
    type Reply = TransactionReply;

    /// Every open transaction has its whole time again: a wall clock decides about nobody who lives.
    fn lead(state: TransactionsState, config: TransactionsConfig, moment: Moment) -> Transactions {
        let mut machine = Transactions {
            state: TransactionsState::default(),
            config,
            agenda: Agenda::default(),
            endings: BTreeMap::new(),
            waiting: BTreeMap::new(),
            orders: Vec::new(),
        };
        for (id, transaction) in state.iter() {
            match transaction.status {
                TransactionStatus::Ongoing => {
                    let deadline_ms = moment.now_ms.saturating_add(transaction.timeout_ms.into());
                    machine.agenda.set(id, Some(deadline_ms));
                }
                // No coordinator writes such a decision; whose log has one gets it completed by the clock.
                _ if transaction.status.is_prepared() && transaction.partitions.is_empty() => {
                    machine.agenda.set(id, Some(moment.now_ms));
                }
                TransactionStatus::PrepareCommit | TransactionStatus::PrepareAbort => {
                    machine.order(id, transaction);
                    let unwritten = transaction.partitions.clone();
                    machine.endings.insert(id.clone(), Ending { unwritten, waiter: None });
                }
                _ => {
                    let idle_ms = moment.wall_ms.saturating_sub(transaction.updated_ms);
                    let left_ms =
                        config.id_expiration_ms.saturating_sub(idle_ms).clamp(0, config.id_expiration_ms);
                    machine.agenda.set(id, Some(moment.now_ms.saturating_add(left_ms)));
                }
            }
        }
        machine.state = state;
        machine
    }

    fn handle(&mut self, ticket: Ticket, request: TransactionRequest, moment: Moment) -> TransactionOutput {
        match request {
            TransactionRequest::InitProducerId { request, version, fresh_producer_id } => {
                self.init_producer_id(ticket, request, version, fresh_producer_id, moment)
            }
            TransactionRequest::AddPartitions { transaction, version } if transaction.verify_only => {
                Output::reply(ticket, self.verify_partitions(&transaction, version))
            }
            TransactionRequest::AddPartitions { transaction, version } => {
                self.add_partitions(ticket, &transaction, version, moment)
            }
            TransactionRequest::AddOffsets { request, version, offsets_partition } => {
                self.add_offsets(ticket, &request, version, offsets_partition, moment)
            }
            TransactionRequest::EndTxn { request, version, fresh_producer_id } => {
                self.end(ticket, &request, version, fresh_producer_id, moment)
            }
            TransactionRequest::Describe { transactional_id } => {
                Output::reply(ticket, self.describe(transactional_id))
            }
            TransactionRequest::List(request) => Output::reply(ticket, self.list(&request, moment)),
            TransactionRequest::MarkersWritten {
                transactional_id,
                producer_id,
                producer_epoch,
                partitions,
            } => {
                let producer = (producer_id, producer_epoch);
                let mut output = self.on_markers_written(&transactional_id, producer, partitions, moment);
                output.replies.push((ticket, TransactionReply::MarkersNoted));
                output
            }
        }
    }

    fn on_time(&mut self, moment: Moment) -> TransactionOutput {
        let mut output = Output::default();
        let mut expired = Vec::new();
        for _ in 0..limits::DEADLINES_PER_CALL_MAX {
            let Some(id) = self.agenda.take_due(moment.now_ms) else { break };
            if self.on_deadline(&id, moment, &mut output) {
                expired.push(id);
            }
        }
        output.batches.extend(tombstones(&expired));
        output
    }

    fn next_deadline_ms(&self) -> Option<i64> {
        self.agenda.next_ms()
    }

    fn cancel(&mut self, ticket: Ticket, _moment: Moment) -> TransactionOutput {
        if let Some(id) = self.waiting.remove(&ticket) {
            self.agenda.set(&id, None);
            if let Some(ending) = self.endings.get_mut(&id) {
                ending.waiter = None;
            }
        }
        Output::default()
    }

    /// Nothing: no record of this log waits for a marker.
    fn on_marker(
        &mut self,
        _transaction: OpenTransaction,
        _committed: bool,
        _moment: Moment,
    ) -> TransactionOutput {
        Output::default()
    }

    fn take_markers(&mut self) -> Vec<MarkerOrder> {
        mem::take(&mut self.orders)
    }

    /// Time-outs already granted stand; the expiry of idle transactional ids moves with the new setting.
    fn configure(&mut self, config: TransactionsConfig) {
        let moved_ms = config.id_expiration_ms.saturating_sub(self.config.id_expiration_ms);
        self.config = config;
        if moved_ms == 0 {
            return;
        }
        for (id, transaction) in self.state.iter() {
            let idle = transaction.status != TransactionStatus::Ongoing && !transaction.status.is_prepared();
            if let Some(deadline_ms) = self.agenda.get(id).filter(|_| idle) {
                self.agenda.set(id, Some(deadline_ms.saturating_add(moved_ms)));
            }
        }
    }
}

/// An output of one batch of these records.
fn appended(records: Vec<CoordinatorRecord>) -> TransactionOutput {
    Output { batches: vec![CoordinatorBatch { records, transaction: None }], replies: Vec::new() }
}

/// The records that forget these transactional ids, in batches of bounded size.
fn tombstones(expired: &[Arc<str>]) -> Vec<CoordinatorBatch> {
    let mut batches: Vec<CoordinatorBatch> = Vec::new();
    let mut bytes_left = 0;
    for id in expired {
        let record = record::encode_tombstone(id);
        match batches.last_mut() {
            Some(batch) if record.key.len() <= bytes_left => {
                bytes_left -= record.key.len();
                batch.records.push(record);
            }
            _ => {
                bytes_left = limits::EXPIRY_BATCH_BYTES_MAX.saturating_sub(record.key.len());
                batches.push(CoordinatorBatch { records: vec![record], transaction: None });
            }
        }
    }
    batches
}

/// Whether this is a producer id at all: the one that stands for "none" is never handed out.
pub(super) fn is_fresh(producer_id: i64) -> bool {
    producer_id > NO_PRODUCER_ID
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_without_partitions_is_completed_by_the_clock() {
        for commit in [true, false] {
            let moment = Moment { now_ms: 5, wall_ms: 2_000, random: 1 };
            let mut state = TransactionsState::default();
            let decided = Transaction::new(7, 60_000, 1_000).decided(commit, 0, NO_PRODUCER_ID, 1_500);
            assert!(decided.status.is_prepared() && decided.partitions.is_empty());
            state.put(Arc::from("pay"), decided);
            let mut machine = Transactions::lead(state, TransactionsConfig::default(), moment);
            assert_eq!(machine.next_deadline_ms(), Some(5));
            assert_eq!(machine.on_time(moment).batches.len(), 1);
            assert!(machine.take_markers().is_empty(), "there is nothing to mark");
            let completed = machine.state().get("pay").expect("it is kept").status;
            let expected =
                if commit { TransactionStatus::CompleteCommit } else { TransactionStatus::CompleteAbort };
            assert_eq!(completed, expected);
        }
    }
}
