//! Messages of other members: who may say what, and what raft must not be given.
//!
//! Raft panics on messages that break its invariants and cannot refuse what it has stepped, so everything that
//! could not be persisted or installed is dropped before: raft takes loss, and its sender tries again.

use chronik_log::Snapshot;
use chronik_wire::types::NodeId;
use raft::eraftpb::{Message, MessageType};

use super::Replica;
use super::standing::Admission;
use crate::host::shared::Shared;
use crate::ids::node_of;
use crate::members::Members;
use crate::message::{ReplicaMessage, is_sendable};
use crate::snapshot;

impl Replica {
    /// Takes one message of another member in.
    pub(crate) fn on_message(&mut self, from: NodeId, message: ReplicaMessage, shared: &mut Shared) {
        if self.stopped.is_some() {
            return self.refuse_while_stopped(from, &message, shared);
        }
        match message {
            ReplicaMessage::Sleep { term, index } => self.on_sleep(from, term, index, shared),
            ReplicaMessage::Raft(message) => {
                // The answer to the last heartbeat before sleep says nothing new.
                if message.get_msg_type() != MessageType::MsgHeartbeatResponse {
                    self.stir(shared);
                }
                self.on_raft_message(from, message, shared);
            }
            ReplicaMessage::Learner(message) => {
                if message.get_msg_type() != MessageType::MsgHeartbeatResponse {
                    self.stir(shared);
                }
                if self.is_for_this(from, &message, shared) && message.from == self.id_of(from) {
                    self.on_learner_answer(from, message, shared);
                }
            }
            ReplicaMessage::ReadBarrier { request_id, wait_ms } => {
                self.wake_for_client(shared);
                self.on_barrier_request(from, request_id, wait_ms, shared);
            }
            ReplicaMessage::PrefixRequest { place } => self.on_prefix_request(from, place, shared),
            ReplicaMessage::PrefixPiece { place, bytes } => self.on_prefix_piece(from, place, bytes, shared),
            ReplicaMessage::ReadBarrierReply { request_id, outcome } => {
                self.on_barrier_reply(from, request_id, outcome, shared);
            }
        }
    }

    fn on_raft_message(&mut self, from: NodeId, mut message: Message, shared: &mut Shared) {
        if !self.is_for_this(from, &message, shared) {
            return;
        }
        if self.awaits_prefix(from, &message, shared) {
            return;
        }
        let lost = match self.judge(&mut message, shared) {
            Admission::Step => None,
            Admission::Refuse => return shared.counters.votes_refused_unknown_directory.increment(),
            Admission::Left => return shared.counters.votes_refused_left.increment(),
            Admission::Lost(acknowledged) => Some(acknowledged),
        };
        self.find_own_place(&mut message);
        if self.leads() {
            self.lead.learners.forget(from);
            self.notice_lost_entries(from, &message, shared);
        }
        self.step(message, shared);
        self.note_progress(from, shared);
        if let Some(acknowledged) = lost {
            self.on_lost_entries(from, acknowledged, shared);
        }
    }

    /// A snapshot may be older than this member. Raft installs none that does not name it.
    fn find_own_place(&self, message: &mut Message) {
        if message.get_msg_type() == MessageType::MsgSnapshot
            && let Ok(stored) = Snapshot::decode(&message.get_snapshot().data)
            && let Ok(members) = Members::decode(stored.conf_state)
        {
            let state = members.conf_state(Some(self.raw.raft.id));
            message.mut_snapshot().mut_metadata().set_conf_state(state);
        }
    }

    fn is_for_this(&mut self, from: NodeId, message: &Message, shared: &Shared) -> bool {
        node_of(message.from) == Some(from)
            && is_sendable(message.get_msg_type())
            && self.is_addressed(message, shared)
            && self.accepts(message, shared)
    }

    /// Whether raft may see this message. What it steps it must be able to persist and install.
    fn accepts(&mut self, message: &Message, shared: &Shared) -> bool {
        if self.stalled.is_some() {
            return false;
        }
        match message.get_msg_type() {
            MessageType::MsgAppend => {
                let bytes: usize = message.get_entries().iter().map(|entry| entry.data.len()).sum();
                let reserve_bytes = shared.config.disk_reserve_bytes / 2;
                let room = bytes == 0 || shared.has_room(bytes, reserve_bytes);
                if !room {
                    self.note_disk_full(shared);
                }
                room
            }
            MessageType::MsgSnapshot => {
                let stored = Snapshot::decode(&message.get_snapshot().data);
                let metadata = message.get_snapshot().get_metadata();
                stored.is_ok_and(|stored| {
                    stored.index.0 == metadata.index
                        && stored.term.0 == metadata.term
                        && Members::decode(stored.conf_state)
                            .is_ok_and(|members| members.conf_state(None) == *metadata.get_conf_state())
                        && snapshot::is_valid(stored.machine)
                })
            }
            _ => true,
        }
    }

    /// Gives raft one message from another member.
    pub(super) fn step(&mut self, message: Message, shared: &mut Shared) {
        // Raft's errors here are messages of strangers and of the past; it has already ignored them.
        let _ = self.raw.step(message);
        self.fix_election_timeout(shared);
        self.mark_dirty(shared);
    }
}
