//! The read gate at work: rounds out, answers in, and the leader's desk connected to raft.

use chronik_log::{Index, Term};
use chronik_mutants::{Mutant, planted};
use chronik_wire::types::NodeId;
use raft::{ReadState, StateRole};
use tokio::sync::oneshot;

use super::{GateSender, Replica};
use crate::config::GateMode;
use crate::gate::{BarrierOrigin, BarrierRequest, GateError, GateErrorKind, GatePass, RoundTarget, Settled};
use crate::host::shared::Shared;
use crate::ids::{context_number, read_context};
use crate::limits;
use crate::message::{BarrierOutcome, ReplicaMessage};

impl Replica {
    /// Lets a request into the gate. It is answered in any case, by `deadline_ms` at the latest.
    pub(crate) fn enter_gate(
        &mut self,
        deadline_ms: u64,
        shared: &mut Shared,
    ) -> oneshot::Receiver<Result<GatePass, GateError>> {
        let (sender, receiver) = oneshot::channel();
        if self.stopped.is_some() {
            self.answer_gate(sender, Err(GateErrorKind::Stopped), shared);
        } else if self.has_left {
            self.answer_gate(sender, Err(GateErrorKind::Removed), shared);
        } else if shared.config.faults.gate == GateMode::Off || self.is_ungated() {
            shared.counters.read_gate_bypasses.increment();
            let pass = GatePass { waited: false, index: self.applied };
            self.answer_gate(sender, Ok(pass), shared);
        } else if let Some(index) = self.alone_at() {
            shared.counters.read_gate_rounds.increment();
            self.answer_gate(sender, Ok(GatePass { waited: false, index }), shared);
        } else {
            self.wake_for_client(shared);
            shared.counters.read_gate_waits.increment();
            match self.gate.enter(sender, deadline_ms) {
                Ok(()) => self.mark_dirty(shared),
                Err(sender) => self.answer_gate(sender, Err(GateErrorKind::Behind), shared),
            }
        }
        receiver
    }

    /// The planted bugs that let a reader pass as it comes.
    fn is_ungated(&self) -> bool {
        (planted(Mutant::FollowerUngated) && !self.leads())
            || (planted(Mutant::LeaderUngated) && self.leads())
            || (planted(Mutant::SleeperUngated) && self.sleep.asleep)
    }

    /// A group with one voter needs nobody's word: its commit index, once it committed in its own term and applied
    /// all of it.
    fn alone_at(&self) -> Option<Index> {
        let raft = &self.raw.raft;
        let committed = Index(raft.raft_log.committed);
        let alone = raft.prs().is_singleton() && raft.state == StateRole::Leader;
        (alone && raft.commit_to_current_term() && committed == self.applied).then_some(committed)
    }

    /// Starts a round if somebody waits for one, and opens a read context if the desk has requests.
    pub(super) fn start_barriers(&mut self, shared: &mut Shared) {
        let cap_ms = shared.config.gate_cap_ms.min(limits::BARRIER_WAIT_MS_MAX);
        self.gate.clamp_deadlines(shared.now_ms + cap_ms);
        self.desk.date(shared.now_ms);
        if self.gate.wants_round(shared.now_ms) {
            self.start_round(shared);
        }
        if self.desk.wants_context() && self.leads() && self.raw.raft.commit_to_current_term() {
            let context = self.open_context(shared);
            shared.counters.read_index_calls.increment();
            self.raw.read_index(context);
        }
        if planted(Mutant::OwnTermNotAwaited) && self.desk.wants_context() && self.leads() {
            let request_ctx = self.open_context(shared);
            let index = self.raw.raft.raft_log.committed;
            self.on_read_state(&ReadState { index, request_ctx }, shared);
        }
    }

    /// A fresh read context for everything on the desk that waits for one.
    fn open_context(&mut self, shared: &mut Shared) -> Vec<u8> {
        let mut number = shared.ids.next();
        if planted(Mutant::ContextReused) {
            number = self.term().0;
        }
        self.desk.open_context(number);
        read_context(self.node, shared.config.incarnation, number).to_vec()
    }

    fn start_round(&mut self, shared: &mut Shared) {
        let target = if self.leads() {
            RoundTarget::Local
        } else {
            match self.leader() {
                Some(leader) if leader != self.node => RoundTarget::Remote(leader),
                _ => return,
            }
        };
        let id = shared.ids.next();
        let expires_ms = self.gate.start_round(id, target, shared.now_ms);
        shared.counters.read_gate_rounds.increment();
        tracing::debug!(target: "chronik_raft::read_index", key = ?self.key, id, ?target, "round started");
        match target {
            RoundTarget::Remote(leader) => {
                let wait_ms = expires_ms.saturating_sub(shared.now_ms).min(limits::BARRIER_WAIT_MS_MAX);
                let request = ReplicaMessage::ReadBarrier { request_id: id, wait_ms: wait_ms as u32 };
                shared.send(leader, self.key, request);
            }
            RoundTarget::Local => {
                let wait_ms = expires_ms.saturating_sub(shared.now_ms);
                let request = BarrierRequest { origin: BarrierOrigin::Local, request_id: id, wait_ms };
                if self.desk.submit(request).is_err() {
                    self.gate.on_refusal(id, shared.now_ms);
                }
            }
        }
    }

    /// A follower asks.
    pub(crate) fn on_barrier_request(
        &mut self,
        from: NodeId,
        request_id: u64,
        wait_ms: u32,
        shared: &mut Shared,
    ) {
        let request = BarrierRequest {
            origin: BarrierOrigin::Remote(from),
            request_id,
            wait_ms: u64::from(wait_ms).min(limits::BARRIER_WAIT_MS_MAX),
        };
        if !self.leads() {
            let outcome = BarrierOutcome::NotLeader { hint: self.leader() };
            return self.refuse_barrier(request, outcome, shared);
        }
        if !self.raw.raft.commit_to_current_term() {
            shared.counters.barriers_parked.increment();
        }
        match self.desk.submit(request) {
            Ok(()) => self.mark_dirty(shared),
            Err(request) => self.refuse_barrier(request, BarrierOutcome::NotReady, shared),
        }
    }

    /// The leader answered, or refused. Answers to rounds that are not in flight are ignored.
    pub(crate) fn on_barrier_reply(
        &mut self,
        from: NodeId,
        request_id: u64,
        outcome: BarrierOutcome,
        shared: &mut Shared,
    ) {
        if self.gate.round_target() != Some(RoundTarget::Remote(from)) {
            return shared.counters.barrier_answers_ignored.increment();
        }
        match outcome {
            BarrierOutcome::Ok { index, term } => self.on_round_answered(request_id, index, term, shared),
            BarrierOutcome::NotLeader { .. } | BarrierOutcome::NotReady => {
                if self.gate.on_refusal(request_id, shared.now_ms) {
                    shared.counters.read_gate_retries.increment();
                    tracing::debug!(target: "chronik_raft::read_index", key = ?self.key, id = request_id, ?outcome, "round refused");
                } else {
                    shared.counters.barrier_answers_ignored.increment();
                }
            }
        }
    }

    fn on_round_answered(&mut self, id: u64, index: Index, term: Term, shared: &mut Shared) {
        let mut reached = self.applied;
        if planted(Mutant::CommittedNotApplied) {
            reached = Index(self.raw.raft.raft_log.committed);
        }
        match self.gate.on_answer(id, index, reached) {
            Some(passed) => {
                tracing::debug!(target: "chronik_raft::read_index", key = ?self.key, id, index = index.0, term = term.0, "round answered");
                self.settle_gate(passed, shared);
                // Later arrivals are waiting for their own round.
                self.mark_dirty(shared);
            }
            None => shared.counters.barrier_answers_ignored.increment(),
        }
    }

    /// Raft confirmed that this replica led when the context was opened.
    pub(super) fn on_read_state(&mut self, state: &ReadState, shared: &mut Shared) {
        let number = context_number(self.node, shared.config.incarnation, &state.request_ctx);
        let Some(requests) = number.and_then(|number| self.desk.on_read_state(number)) else {
            return shared.counters.barrier_answers_ignored.increment();
        };
        let (index, term) = (Index(state.index), self.term());
        for request in requests {
            match request.origin {
                BarrierOrigin::Local => self.on_round_answered(request.request_id, index, term, shared),
                BarrierOrigin::Remote(node) => {
                    shared.counters.barriers_served.increment();
                    let outcome = BarrierOutcome::Ok { index, term };
                    let reply = ReplicaMessage::ReadBarrierReply { request_id: request.request_id, outcome };
                    shared.send(node, self.key, reply);
                }
            }
        }
    }

    /// A stopped replica answers barriers with a refusal and nothing else.
    pub(crate) fn refuse_while_stopped(&self, from: NodeId, message: &ReplicaMessage, shared: &mut Shared) {
        if let ReplicaMessage::ReadBarrier { request_id, .. } = message {
            let request =
                BarrierRequest { origin: BarrierOrigin::Remote(from), request_id: *request_id, wait_ms: 0 };
            self.refuse_barrier(request, BarrierOutcome::NotLeader { hint: None }, shared);
        }
    }

    /// Leadership is not what it was: everything on the desk is refused.
    pub(super) fn refuse_all_barriers(&mut self, hint: Option<NodeId>, shared: &mut Shared) {
        for request in self.desk.drop_all() {
            self.refuse_barrier(request, BarrierOutcome::NotLeader { hint }, shared);
        }
    }

    fn refuse_barrier(&self, request: BarrierRequest, outcome: BarrierOutcome, shared: &mut Shared) {
        // The gate of this replica learns of a failed round by itself.
        if let BarrierOrigin::Remote(node) = request.origin {
            shared.counters.barriers_refused.increment();
            let reply = ReplicaMessage::ReadBarrierReply { request_id: request.request_id, outcome };
            shared.send(node, self.key, reply);
        }
    }

    /// Time passes in the gate and on the desk.
    pub(super) fn tick_gate(&mut self, shared: &mut Shared) {
        for request in self.desk.on_tick(shared.now_ms) {
            self.refuse_barrier(request, BarrierOutcome::NotReady, shared);
        }
        let (expired, lost) = self.gate.on_tick(shared.now_ms, self.leader().is_some());
        if lost {
            shared.counters.read_gate_retries.increment();
            tracing::debug!(target: "chronik_raft::read_index", key = ?self.key, "round lost");
        }
        self.settle_gate(expired, shared);
        if self.gate.wants_round(shared.now_ms) {
            self.mark_dirty(shared);
        }
    }

    /// Answers requests that leave the gate.
    pub(super) fn settle_gate(&mut self, settled: Settled<GateSender>, shared: &mut Shared) {
        for (sender, outcome) in settled {
            self.answer_gate(sender, outcome, shared);
        }
    }

    fn answer_gate(&self, sender: GateSender, outcome: Result<GatePass, GateErrorKind>, shared: &Shared) {
        match &outcome {
            Ok(_) => shared.counters.read_gate_passes.increment(),
            Err(GateErrorKind::Behind | GateErrorKind::NoLeader) => {
                shared.counters.read_gate_timeouts.increment();
            }
            Err(GateErrorKind::Removed | GateErrorKind::Stopped) => {}
        }
        // A request that went away does not want its answer.
        let _ = sender.send(outcome.map_err(|kind| GateError { kind, leader: self.leader() }));
    }
}
