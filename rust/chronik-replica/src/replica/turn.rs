//! One turn of one replica, in the only order that keeps the promises.
//!
//! Changes of role, leader or term first, so that rounds and proposals of the past fail before anything of the
//! same ready is looked at; then new rounds, reads and proposals go into raft; then its readies: read states,
//! the leader's messages (which may leave before the sync), persist, the promises after the sync, apply.

use raft::Ready;
use raft::eraftpb::{Message, MessageType};

use super::Replica;
use super::persist::is_disk_full;
use crate::host::shared::Shared;
use crate::ids::node_of;
use crate::limits;
use crate::message::{in_portions, is_sendable};

impl Replica {
    /// Handles everything that came in since the last turn.
    pub(crate) fn turn(&mut self, shared: &mut Shared) {
        self.thaw(shared);
        self.drain_readies(shared);
        // What came last may have asked the log and left no ready.
        let readable = !self.stop_if_unreadable(shared);
        if readable && self.stopped.is_none() && self.stalled.is_none() {
            self.settle_appends(shared);
            self.sleep_if_due(shared);
        }
    }

    fn drain_readies(&mut self, shared: &mut Shared) {
        for _ in 0..limits::READIES_PER_TURN_MAX {
            if self.stopped.is_some() || self.stop_if_unreadable(shared) || !self.retry_stalled(shared) {
                return;
            }
            self.observe_role(shared);
            self.start_barriers(shared);
            self.propose_queued(shared);
            if !self.raw.has_ready() {
                return;
            }
            self.handle_ready(shared);
        }
        if self.stopped.is_none() && self.raw.has_ready() {
            self.mark_dirty(shared);
        }
    }

    fn handle_ready(&mut self, shared: &mut Shared) {
        let mut ready = self.raw.ready();
        if self.stop_if_unreadable(shared) {
            return;
        }
        for state in ready.take_read_states() {
            self.on_read_state(&state, shared);
        }
        let messages = ready.take_messages();
        self.send_all(messages, shared);
        self.take_ready(ready, shared);
    }

    /// Stops if raft asked the log for something that it could not read: what raft says now may rest on it.
    fn stop_if_unreadable(&mut self, shared: &mut Shared) -> bool {
        let Some(error) = self.raw.store().fault() else { return false };
        let reason = format!("log read failed: {error}");
        self.stop(reason, shared);
        true
    }

    /// Persists a ready and finishes it, or keeps it while the disk is full.
    pub(super) fn take_ready(&mut self, mut ready: Ready, shared: &mut Shared) {
        match self.write_ready(&mut ready, shared) {
            Ok(()) => {}
            Err(error) if is_disk_full(&error) => {
                self.note_disk_full(shared);
                self.stalled = Some(Box::new(ready));
                return;
            }
            Err(error) => return self.stop(format!("log write failed: {error}"), shared),
        }
        let committed = ready.take_committed_entries();
        self.finish_ready(ready, shared);
        if self.stopped.is_none() {
            self.apply_all(committed, shared);
        }
    }

    /// Sends raft messages to their nodes.
    pub(super) fn send_all(&mut self, messages: Vec<Message>, shared: &mut Shared) {
        for mut message in messages {
            let Some(to) = node_of(message.to) else { continue };
            if !is_sendable(message.get_msg_type()) || !self.rejoin_merged(&mut message) {
                continue;
            }
            if message.get_msg_type() == MessageType::MsgSnapshot {
                shared.counters.snapshots_sent.increment();
                self.lead.on_snapshot_sent(to, shared.now_ms);
            }
            for message in in_portions(message) {
                if let Some(message) = self.as_sent(message, shared) {
                    shared.send(to, self.key, message);
                }
            }
        }
    }

    /// With `batch_append`, raft merges entries into an append that still waits to be sent, and looks only at that
    /// append's entries: one without any, made before an acknowledgement moved the peer on, gets entries that do not
    /// follow its own position. Such an append is given the position its entries follow. `false` if the log no longer
    /// knows that position: then the message is lost, which raft tolerates.
    fn rejoin_merged(&self, message: &mut Message) -> bool {
        let Some(first) = message.get_entries().first().map(|entry| entry.index) else { return true };
        let before = first - 1;
        if message.get_msg_type() != MessageType::MsgAppend || message.index == before {
            return true;
        }
        // Raft's own view: what this ready brings is not written yet. Raft answers 0 for what it does not know.
        let term = self.raw.raft.raft_log.term(before).unwrap_or(0);
        if term == 0 && before > 0 {
            return false;
        }
        message.index = before;
        message.log_term = term;
        true
    }
}
