//! Noticing changes of role, leader or term, and the deterministic election timeout.
//!
//! A change makes every barrier round and every claim of the past void *before* anything of the next ready is
//! looked at: a read state that was made under the old leadership must find nobody waiting for it.

use chronik_log::Term;

use super::{Leadership, Replica};
use crate::election::{TimeoutInput, timeout_ticks};
use crate::host::shared::Shared;

impl Replica {
    /// Compares role, leader and term with the last turn's, and ends what belonged to the past.
    pub(super) fn observe_role(&mut self, shared: &mut Shared) {
        let now = Leadership { leads: self.leads(), leader: self.leader(), term: self.term() };
        let before = self.seen;
        if now == before {
            return;
        }
        self.seen = now;
        if self.gate.on_leader_change() {
            shared.counters.read_gate_retries.increment();
            tracing::debug!(target: "chronik_raft::read_index", key = ?self.key, term = now.term.0, leader = ?now.leader, "round failed: role, leader or term changed");
        }
        self.refuse_all_barriers(now.leader, shared);
        let lost = before.leads && (!now.leads || now.term != before.term);
        let gained = now.leads && (!before.leads || now.term != before.term);
        if lost {
            shared.counters.leaderships_lost.increment();
            shared.counters.reads_at_deposed_leader.add(self.gate.waiting() as u64);
            self.on_leadership_lost(now.leader, shared);
        }
        if gained {
            shared.counters.elections_won.increment();
            self.on_leadership_gained(shared);
        }
        if now.leader.is_some() {
            self.attempts = 0;
            self.urgent = None;
        }
        self.wake_up(shared);
        self.wake_parked();
    }

    /// Starts an election now, if this replica may and does not lead.
    pub(crate) fn campaign(&mut self, shared: &mut Shared) {
        if self.leads() || !self.may_campaign(shared) {
            return;
        }
        self.attempts += 1;
        shared.counters.campaigns.increment();
        // The result is an election won or not; the error type has no case that can occur here.
        let _ = self.raw.campaign();
        self.fix_election_timeout(shared);
        self.mark_dirty(shared);
    }

    /// Replaces raft's random election timeout by ours. Must follow every input to raft.
    pub(super) fn fix_election_timeout(&mut self, shared: &Shared) {
        let term = Term(self.raw.raft.term);
        if (self.timeout.1, self.timeout.2) != (term, self.attempts) || self.timeout.0 == 0 {
            let input = TimeoutInput {
                seed: shared.config.seed,
                key: self.key,
                node: self.node,
                term: term.0,
                attempt: self.attempts,
            };
            self.timeout = (timeout_ticks(input, shared.config.election_ticks), term, self.attempts);
        }
        if self.raw.raft.randomized_election_timeout() != self.timeout.0 {
            self.raw.raft.set_randomized_election_timeout(self.timeout.0);
        }
    }
}
