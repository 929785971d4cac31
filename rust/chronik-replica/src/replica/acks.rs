//! From a proposed batch to its answer: what each `acks` level waits for, and what is known when it fails.
//!
//! Owns: batches that wait to be proposed, proposals whose fate is open, and committed batches that too few members
//! hold yet. A commit is matched to its proposal by (index, term), never by index alone.

use std::collections::VecDeque;

use bytes::BytesMut;
use chronik_log::{Index, Term};
use chronik_mutants::{Mutant, planted};
use chronik_wire::types::{NodeId, Offset};
use smallvec::SmallVec;
use tokio::sync::oneshot;

use super::Replica;
use crate::error::AppendError;
use crate::host::shared::Shared;
use crate::producers::{PendingProducers, VerificationGuard};

/// When an append is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acks {
    /// Committed, applied here, and persisted by `min.insync.replicas` members.
    All,
    /// Persisted by the leader. The offset is provisional.
    Leader,
    /// Once proposed.
    None,
}

/// Where a batch went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Offset of its first record.
    pub base_offset: Offset,
    /// First readable offset at the time of the answer.
    pub log_start: Offset,
    /// The batch repeats one that was accepted before; nothing was appended now.
    pub duplicate: bool,
}

/// The answer to an append. Dropped without an answer only if the host itself is dropped.
pub type AppendReceiver = oneshot::Receiver<Result<Appended, AppendError>>;

pub(super) type AppendSender = oneshot::Sender<Result<Appended, AppendError>>;

/// What must hold for a batch to be placed, beside what it says itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Terms {
    /// Nothing: it is no transaction's, or its writer knows that the transaction is open.
    Plain,
    /// A client wrote it: if it opens a transaction, that was verified under this guard.
    Verified(Option<VerificationGuard>),
    /// It ends a transaction.
    Marker {
        /// The marker's epoch is one above that of the transaction's records.
        bumps_epoch: bool,
    },
}

/// A batch that waits to be proposed.
pub(super) struct QueuedAppend {
    pub(super) batch: BytesMut,
    pub(super) terms: Terms,
    pub(super) waiting: AppendWaiter,
}

/// Who waits for a batch.
pub(super) struct AppendWaiter {
    pub(super) sender: AppendSender,
    pub(super) acks: Acks,
    pub(super) deadline_ms: u64,
    pub(super) duplicate: bool,
}

/// A batch in raft's hands.
pub(super) struct Proposal {
    pub(super) index: Index,
    pub(super) term: Term,
    pub(super) base_offset: Offset,
    pub(super) bytes: usize,
    pub(super) waiters: SmallVec<[AppendWaiter; 1]>,
}

/// All appends of one replica that are not answered.
pub(super) struct Appends {
    pub(super) queued: VecDeque<QueuedAppend>,
    pub(super) queued_bytes: usize,
    /// Proposed and not applied, in log order.
    pub(super) in_flight: VecDeque<Proposal>,
    pub(super) in_flight_bytes: usize,
    /// Applied, and held by too few members; in log order.
    pub(super) short: VecDeque<Proposal>,
    pub(super) producers: PendingProducers,
    /// The leader's log end, its uncommitted proposals included.
    pub(super) next_offset: Offset,
    pub(super) earliest_deadline_ms: u64,
}

impl Default for Appends {
    fn default() -> Self {
        Appends {
            queued: VecDeque::new(),
            queued_bytes: 0,
            in_flight: VecDeque::new(),
            in_flight_bytes: 0,
            short: VecDeque::new(),
            producers: PendingProducers::default(),
            next_offset: Offset::ZERO,
            earliest_deadline_ms: u64::MAX,
        }
    }
}

impl Appends {
    /// Whether nobody waits and nothing is open.
    pub(super) fn is_idle(&self) -> bool {
        self.queued.is_empty() && self.in_flight.is_empty() && self.short.is_empty()
    }

    fn pop_in_flight(&mut self) -> Option<Proposal> {
        let proposal = self.in_flight.pop_front()?;
        self.in_flight_bytes -= proposal.bytes;
        Some(proposal)
    }
}

impl Replica {
    /// An entry was applied. Proposals of older terms at or above it can never be committed any more; the one at
    /// its index and term was.
    pub(super) fn on_entry_applied(&mut self, index: Index, term: Term, shared: &mut Shared) {
        while let Some(first) = self.appends.in_flight.front() {
            if first.index > index && first.term >= term {
                return;
            }
            let Some(proposal) = self.appends.pop_in_flight() else { return };
            let same_term = proposal.term == term || planted(Mutant::FateByIndex);
            if proposal.index == index && same_term {
                self.on_committed(proposal, shared);
            } else {
                let hint = self.leader();
                shared.counters.appends_replaced.increment();
                self.fail_proposal(proposal, &AppendError::NotLeader { hint }, shared);
            }
        }
    }

    /// A snapshot replaced the log up to `index`: the fate of the proposals below it is not known here.
    pub(super) fn on_snapshot_applied(&mut self, index: Index, shared: &mut Shared) {
        while self.appends.in_flight.front().is_some_and(|first| first.index <= index) {
            if let Some(proposal) = self.appends.pop_in_flight() {
                self.fail_proposal(proposal, &AppendError::TimedOut, shared);
            }
        }
    }

    fn on_committed(&mut self, mut proposal: Proposal, shared: &Shared) {
        let led = self.leads() && proposal.term == self.term();
        // A deposed leader does not see who holds the entry, but a majority of the voters does.
        let majority = self.raw.store().members.voters().len() / 2 + 1;
        let holders = if led { self.holders(proposal.index) } else { majority };
        let enough = holders >= self.settings.min_insync_replicas;
        let appended = self.appended(proposal.base_offset);
        let mut short = SmallVec::new();
        for waiter in proposal.waiters.drain(..) {
            if waiter.acks != Acks::All || enough {
                answer(waiter, Ok(appended));
            } else if led {
                short.push(waiter);
            } else {
                let error = AppendError::NotEnoughReplicasAfterAppend;
                count_failure(&error, shared);
                answer(waiter, Err(error));
            }
        }
        if !short.is_empty() {
            proposal.waiters = short;
            self.appends.short.push_back(proposal);
        }
    }

    /// Answers what became true since the last look: persisted by this leader, held by enough members.
    pub(super) fn settle_appends(&mut self, _shared: &mut Shared) {
        if !self.leads() {
            return;
        }
        let term = self.term();
        let persisted = Index(self.raw.raft.raft_log.persisted);
        let log_start = self.log().log_start();
        let is_due = |waiter: &AppendWaiter| waiter.acks == Acks::Leader || planted(Mutant::AckBeforeQuorum);
        for proposal in self.appends.in_flight.iter_mut().take_while(|first| first.index <= persisted) {
            if proposal.term == term && proposal.waiters.iter().any(is_due) {
                let appended = Appended { base_offset: proposal.base_offset, log_start, duplicate: false };
                let (done, open) =
                    std::mem::take(&mut proposal.waiters)
                        .into_iter()
                        .partition::<SmallVec<[AppendWaiter; 1]>, _>(is_due);
                proposal.waiters = open;
                done.into_iter().for_each(|waiter| answer(waiter, Ok(appended)));
            }
        }
        while let Some(first) = self.appends.short.front() {
            if self.holders(first.index) < self.settings.min_insync_replicas {
                return;
            }
            let Some(proposal) = self.appends.short.pop_front() else { return };
            let appended = self.appended(proposal.base_offset);
            proposal.waiters.into_iter().for_each(|waiter| answer(waiter, Ok(appended)));
        }
    }

    /// Answers the repetition of an applied batch. The original may still be held by too few members: then its
    /// repetition waits for them too.
    pub(super) fn join_applied(&mut self, base_offset: Offset, waiting: AppendWaiter) {
        let index = self.log().index_of_offset(base_offset).ok();
        let missing = |index: &Index| self.holders(*index) < self.settings.min_insync_replicas;
        match index.filter(missing).filter(|_| waiting.acks == Acks::All) {
            Some(index) => {
                let waiters = SmallVec::from_iter([waiting]);
                let proposal = Proposal { index, term: self.term(), base_offset, bytes: 0, waiters };
                let at = self.appends.short.partition_point(|other| other.index <= index);
                self.appends.short.insert(at, proposal);
            }
            // Records below the log start were held by enough members when there was a log to hold them.
            None => answer(waiting, Ok(self.appended(base_offset))),
        }
    }

    /// Members that have persisted the entry, this leader counted once it has.
    fn holders(&self, index: Index) -> usize {
        let tracker = self.raw.raft.prs();
        let voters = self.raw.store().members.voters().iter();
        voters.filter(|id| tracker.get(**id).is_some_and(|progress| progress.matched >= index.0)).count()
    }

    /// What is known to be held by a member of this leader's group.
    pub(super) fn matched(&self, node: NodeId) -> Index {
        Index(self.raw.raft.prs().get(self.id_of(node)).map_or(0, |progress| progress.matched))
    }

    pub(super) fn appended(&self, base_offset: Offset) -> Appended {
        Appended { base_offset, log_start: self.log().log_start(), duplicate: false }
    }

    /// Leadership is lost: what was not proposed failed for sure. What was waits for one election timeout, in which
    /// a new leader usually tells its fate; a node that is cut off would never learn it, and its clients should ask
    /// elsewhere soon.
    pub(super) fn orphan_appends(&mut self, hint: Option<NodeId>, shared: &mut Shared) {
        let orphans = self.appends.queued.len() + self.appends.in_flight.len();
        shared.counters.appends_at_deposed_leader.add(orphans as u64);
        self.fail_queued(&AppendError::NotLeader { hint }, shared);
        self.appends.producers.clear();
        while planted(Mutant::OpenFateCalledFailed) && !self.appends.in_flight.is_empty() {
            let Some(proposal) = self.appends.pop_in_flight() else { break };
            self.fail_proposal(proposal, &AppendError::NotLeader { hint }, shared);
        }
        let latest_ms = shared.now_ms + shared.config.election_timeout_ms();
        for waiter in self.appends.in_flight.iter_mut().flat_map(|proposal| &mut proposal.waiters) {
            waiter.deadline_ms = waiter.deadline_ms.min(latest_ms);
            self.appends.earliest_deadline_ms = self.appends.earliest_deadline_ms.min(waiter.deadline_ms);
        }
        for proposal in std::mem::take(&mut self.appends.short) {
            // Committed, and nobody tells this node any more who else holds it.
            self.fail_proposal(proposal, &AppendError::NotEnoughReplicasAfterAppend, shared);
        }
    }

    /// Fails what was not proposed.
    pub(super) fn fail_queued(&mut self, error: &AppendError, shared: &mut Shared) {
        self.appends.queued_bytes = 0;
        for queued in std::mem::take(&mut self.appends.queued) {
            count_failure(error, shared);
            answer(queued.waiting, Err(error.clone()));
        }
    }

    /// The replica ends: nothing that was not proposed is appended, the rest stays unknown.
    pub(super) fn fail_all_appends(&mut self, queued: &AppendError, shared: &mut Shared) {
        self.fail_queued(queued, shared);
        while let Some(proposal) = self.appends.pop_in_flight() {
            self.fail_proposal(proposal, &AppendError::TimedOut, shared);
        }
        for proposal in std::mem::take(&mut self.appends.short) {
            self.fail_proposal(proposal, &AppendError::NotEnoughReplicasAfterAppend, shared);
        }
    }

    fn fail_proposal(&self, proposal: Proposal, error: &AppendError, shared: &Shared) {
        for waiter in proposal.waiters {
            count_failure(error, shared);
            answer(waiter, Err(error.clone()));
        }
    }

    /// Answers appends whose deadline passed, each by what is known of it.
    pub(super) fn tick_appends(&mut self, shared: &mut Shared) {
        let now_ms = shared.now_ms;
        if now_ms < self.appends.earliest_deadline_ms {
            return;
        }
        let hint = self.leader().filter(|leader| *leader != self.node);
        let mut earliest = u64::MAX;
        let appends = &mut self.appends;
        let expire = |waiter: AppendWaiter, error: AppendError| {
            count_failure(&error, shared);
            answer(waiter, Err(error));
        };
        for queued in std::mem::take(&mut appends.queued) {
            if queued.waiting.deadline_ms <= now_ms {
                appends.queued_bytes -= queued.batch.len();
                expire(queued.waiting, AppendError::NotLeader { hint });
            } else {
                earliest = earliest.min(queued.waiting.deadline_ms);
                appends.queued.push_back(queued);
            }
        }
        let in_flight = appends.in_flight.iter_mut().map(|proposal| (proposal, AppendError::TimedOut));
        let short =
            appends.short.iter_mut().map(|proposal| (proposal, AppendError::NotEnoughReplicasAfterAppend));
        for (proposal, error) in in_flight.chain(short) {
            for waiter in std::mem::take(&mut proposal.waiters) {
                if waiter.deadline_ms <= now_ms {
                    expire(waiter, error.clone());
                } else {
                    earliest = earliest.min(waiter.deadline_ms);
                    proposal.waiters.push(waiter);
                }
            }
        }
        appends.short.retain(|proposal| !proposal.waiters.is_empty());
        appends.earliest_deadline_ms = earliest;
    }
}

/// Counts an append that got no offset.
fn count_failure(error: &AppendError, shared: &Shared) {
    shared.counters.appends_failed.increment();
    match error {
        AppendError::TimedOut => shared.counters.appends_timed_out.increment(),
        AppendError::NotEnoughReplicasAfterAppend => shared.counters.appends_short.increment(),
        _ => {}
    }
}

/// Answers one append; a client that went away does not want it.
pub(super) fn answer(waiter: AppendWaiter, outcome: Result<Appended, AppendError>) {
    let outcome = outcome.map(|appended| Appended { duplicate: waiter.duplicate, ..appended });
    let _ = waiter.sender.send(outcome);
}
