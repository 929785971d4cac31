//! What a leader does about members whose acknowledgements count for nothing, and about members that hold less than
//! they once acknowledged.
//!
//! Raft's progress of such a member serves as the picture of what to send next, while its `matched`, from which
//! commits, in-sync members and promises to clients are counted, stays at nothing. So a commit, a confirmed read and a
//! leader's belief that it still leads rest on voters alone.

use chronik_log::Index;
use chronik_wire::types::NodeId;
use raft::ProgressState;
use raft::eraftpb::{Message, MessageType};
use smallvec::SmallVec;

use super::Replica;
use crate::host::shared::Shared;

/// A member without a vote, as its leader sees it.
#[derive(Clone, Copy, Debug)]
struct Learner {
    node: NodeId,
    /// The last entry it said it holds.
    holds: Index,
    heard_ms: u64,
}

/// The members without a vote that a leader has heard of.
#[derive(Debug, Default)]
pub(super) struct Learners(SmallVec<[Learner; 1]>);

impl Learners {
    /// What such a member holds; `None` for a voter.
    pub(super) fn holds(&self, node: NodeId) -> Option<Index> {
        self.0.iter().find(|learner| learner.node == node).map(|learner| learner.holds)
    }

    /// Whether such a member was heard within `within_ms`; `None` for a voter.
    pub(super) fn heard_within(&self, node: NodeId, within_ms: u64, now_ms: u64) -> Option<bool> {
        let learner = self.0.iter().find(|learner| learner.node == node)?;
        Some(now_ms.saturating_sub(learner.heard_ms) <= within_ms)
    }

    fn note(&mut self, node: NodeId, holds: Option<Index>, now_ms: u64) {
        let known = self.0.iter().position(|learner| learner.node == node);
        let at = known.unwrap_or_else(|| {
            self.0.push(Learner { node, holds: Index::ZERO, heard_ms: now_ms });
            self.0.len() - 1
        });
        if let Some(learner) = self.0.get_mut(at) {
            learner.heard_ms = now_ms;
            learner.holds = holds.unwrap_or(learner.holds);
        }
    }

    /// The member answers as a voter: it has been told that it is one.
    pub(super) fn forget(&mut self, node: NodeId) {
        self.0.retain(|learner| learner.node != node);
    }
}

impl Replica {
    /// A member without a vote answered.
    pub(super) fn on_learner_answer(&mut self, from: NodeId, mut message: Message, shared: &mut Shared) {
        if !self.leads() || message.term != self.raw.raft.term {
            // Answers of the past are nobody's; a higher term ends this leadership, whoever brings it.
            if message.term > self.raw.raft.term {
                self.step(message, shared);
            }
            return;
        }
        shared.counters.learner_answers.increment();
        let accepted = message.get_msg_type() == MessageType::MsgAppendResponse && !message.reject;
        let last = self.raw.raft.raft_log.last_index();
        let holds = accepted.then(|| Index(message.index.min(last)));
        self.lead.learners.note(from, holds, shared.now_ms);
        self.in_sync.expel(from);
        self.forget_matched(from, shared);
        self.set_active(from, true);
        match (message.get_msg_type(), holds) {
            (MessageType::MsgAppendResponse, Some(holds)) => self.send_after(from, holds.0, last, shared),
            (MessageType::MsgAppendResponse, None) => {
                self.probe_again(from, message.index);
                self.step(message, shared);
            }
            // Without its context it confirms no read. Whoever is level gets nothing, or the group would never sleep.
            (MessageType::MsgHeartbeatResponse, _) if !self.is_level(from, &message) => {
                message.context.clear();
                self.step(message, shared);
            }
            _ => {}
        }
        // Raft sends snapshots to active members only, and counts the active ones to see whether it still leads.
        self.set_active(from, false);
    }

    /// A voter rejected an append below what it had acknowledged: with durability `os` a power cut takes entries back.
    /// Raft would take the rejection for an old one and never send what is missing.
    pub(super) fn notice_lost_entries(&mut self, from: NodeId, message: &Message, shared: &mut Shared) {
        let rejects = message.get_msg_type() == MessageType::MsgAppendResponse && message.reject;
        let present = self.leads() && message.term == self.raw.raft.term && message.request_snapshot == 0;
        if rejects && present && message.reject_hint < self.matched(from).0 {
            self.forget_matched(from, shared);
            self.probe_again(from, message.index);
        }
    }

    /// Nothing is known to be held by the member any more. Commits that counted on it stand.
    fn forget_matched(&mut self, node: NodeId, shared: &Shared) {
        let id = self.id_of(node);
        if let Some(progress) = self.raw.raft.mut_prs().get_mut(id)
            && progress.matched > 0
        {
            progress.matched = 0;
            shared.counters.progress_lowered.increment();
        }
    }

    /// Lets raft take the rejection of an append at `rejected` for what it is. One is enough: those of the appends
    /// that followed it say the same.
    fn probe_again(&mut self, node: NodeId, rejected: u64) {
        let id = self.id_of(node);
        if let Some(progress) = self.raw.raft.mut_prs().get_mut(id)
            && progress.state == ProgressState::Replicate
        {
            progress.become_probe();
            progress.next_idx = rejected + 1;
        }
    }

    /// The member holds the log up to `holds`: sends what follows, as raft does after an acknowledgement.
    fn send_after(&mut self, node: NodeId, holds: u64, last: u64, shared: &mut Shared) {
        let id = self.id_of(node);
        let Some(progress) = self.raw.raft.mut_prs().get_mut(id) else { return };
        match progress.state {
            ProgressState::Probe => {
                progress.become_replicate();
                progress.next_idx = holds + 1;
            }
            ProgressState::Replicate => {
                progress.ins.free_to(holds);
                progress.next_idx = progress.next_idx.max(holds + 1);
            }
            ProgressState::Snapshot if holds >= progress.pending_snapshot => {
                progress.become_probe();
                progress.next_idx = holds + 1;
            }
            ProgressState::Snapshot => {}
        }
        if progress.next_idx <= last {
            self.raw.raft.send_append(id);
            self.mark_dirty(shared);
        }
    }

    /// Whether a learner holds everything and knows that it is committed.
    fn is_level(&self, node: NodeId, answer: &Message) -> bool {
        let log = &self.raw.raft.raft_log;
        self.lead.learners.holds(node) == Some(Index(log.last_index())) && answer.commit == log.committed
    }

    fn set_active(&mut self, node: NodeId, active: bool) {
        let id = self.id_of(node);
        if let Some(progress) = self.raw.raft.mut_prs().get_mut(id) {
            progress.recent_active = active;
        }
    }
}
