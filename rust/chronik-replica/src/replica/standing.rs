//! What a replica may do on a disk that is none of the cluster's members: follow.
//!
//! A wiped disk has forgotten its votes and acknowledgements, and others may still count on them. Its replicas take
//! appends and snapshots and serve gated reads, so that the node is useful and close behind when it is added again.
//! They never vote or campaign, and their answers are marked, so that no leader counts them (see `learners`).

use chronik_wire::types::NodeId;
use raft::INVALID_ID;
use raft::eraftpb::{Message, MessageType};

use super::Replica;
use crate::config::{Standing, SyncMode};
use crate::host::shared::Shared;
use crate::message::ReplicaMessage;

/// What becomes of a message from another member.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// Raft may see it.
    Step,
    /// It asks for a promise this node must not make.
    Refuse,
    /// Its sender left the group, or never belonged to it.
    Left,
    /// It proves that this log lost entries up to this index, which it had acknowledged.
    Lost(u64),
}

impl Replica {
    /// The node's standing changed. A group that has never had a leader waits for its designated one.
    pub(crate) fn on_standing(&mut self, shared: &mut Shared) {
        let untouched = self.term().0 == 0 && self.log().last_index() == chronik_log::Index::ZERO;
        if self.stopped.is_none() && self.designated && untouched {
            self.campaign(shared);
        }
        self.wake_up(shared);
    }

    /// Decides about a message before raft sees it, and takes out of it what must not be believed here.
    pub(super) fn judge(&self, message: &mut Message, shared: &Shared) -> Admission {
        let learner = self.standing(shared) == Standing::Learner;
        match message.get_msg_type() {
            MessageType::MsgRequestVote | MessageType::MsgRequestPreVote | MessageType::MsgTimeoutNow
                if learner =>
            {
                Admission::Refuse
            }
            MessageType::MsgTimeoutNow if !self.may_campaign(shared) => Admission::Refuse,
            MessageType::MsgRequestVote | MessageType::MsgRequestPreVote if self.has_left_group(message) => {
                Admission::Left
            }
            MessageType::MsgHeartbeat if learner => {
                // The leader derives it from what it believes this node to hold, perhaps on an earlier disk. Appends
                // carry the commit index too, and prove the log up to where they begin.
                message.commit = 0;
                Admission::Step
            }
            // Of a leader of the past nothing is believed anyway.
            MessageType::MsgHeartbeat if message.term < self.raw.raft.term => Admission::Step,
            MessageType::MsgHeartbeat if message.commit > self.raw.raft.raft_log.last_index() => {
                Admission::Lost(std::mem::take(&mut message.commit))
            }
            _ => Admission::Step,
        }
    }

    /// This log ends before an index that its leader knows it acknowledged. With durability `os` a power cut does that:
    /// the leader is told, which an idle one would not notice by itself. With synced entries it is a broken promise of
    /// the disk, and the replica stops.
    pub(super) fn on_lost_entries(&mut self, from: NodeId, acknowledged: u64, shared: &mut Shared) {
        let log = &self.raw.raft.raft_log;
        let last = log.last_index();
        if shared.config.sync != SyncMode::Never {
            let reason = format!(
                "leader {from} knows that this log acknowledged entries up to index {acknowledged}, and it ends at \
                 {last}: the disk lost synced entries; replace it and start the node with an empty one"
            );
            return self.stop(reason, shared);
        }
        let mut rejection = Message::default();
        rejection.set_msg_type(MessageType::MsgAppendResponse);
        (rejection.from, rejection.to) = (self.raw.raft.id, self.raw.raft.leader_id);
        (rejection.term, rejection.index, rejection.reject) = (self.raw.raft.term, acknowledged, true);
        // Raft answers 0 for what it does not know, which the leader takes for an empty log.
        (rejection.reject_hint, rejection.log_term) = (last, log.term(last).unwrap_or(0));
        rejection.commit = log.committed;
        shared.send(from, self.key, ReplicaMessage::Raft(rejection));
    }

    /// How a raft message leaves this node: as it is, or marked as worth nothing. `None`: it must not leave.
    pub(super) fn as_sent(&self, message: Message, shared: &Shared) -> Option<ReplicaMessage> {
        match (self.standing(shared), message.get_msg_type()) {
            (Standing::Voter, _) => Some(ReplicaMessage::Raft(message)),
            (Standing::Learner, MessageType::MsgAppendResponse | MessageType::MsgHeartbeatResponse) => {
                Some(ReplicaMessage::Learner(message))
            }
            (Standing::Learner, _) => None,
        }
    }

    /// A tick of a replica that never campaigns: all it does is to stop believing in a leader it does not hear.
    pub(super) fn tick_learner(&mut self, shared: &mut Shared) {
        let raft = &mut self.raw.raft;
        raft.election_elapsed += 1;
        if raft.leader_id != INVALID_ID && raft.election_elapsed >= raft.randomized_election_timeout() {
            raft.become_follower(raft.term, INVALID_ID);
            self.fix_election_timeout(shared);
            self.mark_dirty(shared);
        }
    }
}
