//! The end of a replica: by a storage fault, a broken invariant, or removal. Everybody who waits is answered.

use super::Replica;
use crate::error::AppendError;
use crate::gate::GateErrorKind;
use crate::host::shared::Shared;

impl Replica {
    /// Stops for good. Raft is not touched any more, so this node answers nobody and leadership moves.
    pub(crate) fn stop(&mut self, reason: String, shared: &mut Shared) {
        if self.stopped.is_some() {
            return;
        }
        tracing::error!(key = ?self.key, node = %self.node, reason, "replica stopped");
        shared.counters.replicas_stopped.increment();
        // Read before the mark: afterwards nothing asks raft.
        let leader = self.leader().filter(|leader| *leader != self.node);
        self.stopped = Some(reason);
        self.end(GateErrorKind::Stopped, &AppendError::Storage, leader, shared);
        if std::mem::take(&mut self.seen.leads) {
            shared.counters.leaderships_lost.increment();
            shared.note_leader(super::LeaderChange {
                key: self.key,
                leader,
                epoch: self.leader_epoch(),
                isr: Vec::new(),
            });
        }
        self.in_sync.clear();
        self.unsynced.clear();
        self.stalled = None;
        self.transfer = None;
        shared.uncompacted.remove(&self.key);
        shared.want_no_ticks(self.key);
        shared.catching_up.remove(&self.key);
        shared.unsynced.remove(&self.key);
        self.log_mut().poison();
    }

    /// Leaves this node.
    pub(crate) fn on_removed(&mut self, shared: &mut Shared) {
        let hint = self.leader().filter(|leader| *leader != self.node);
        self.end(GateErrorKind::Removed, &AppendError::NotLeader { hint }, hint, shared);
    }

    fn end(
        &mut self,
        gate: GateErrorKind,
        queued: &AppendError,
        hint: Option<chronik_wire::types::NodeId>,
        shared: &mut Shared,
    ) {
        let waiting = self.gate.fail_all(gate);
        self.settle_gate(waiting, shared);
        self.refuse_all_barriers(hint, shared);
        self.fail_all_appends(queued, shared);
        self.wake_parked();
    }

    /// Gives the log back, to be closed or destroyed.
    pub(crate) fn into_dir(self) -> String {
        self.dir
    }
}
