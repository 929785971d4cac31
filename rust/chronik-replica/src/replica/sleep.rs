//! Hibernation: a quiet group gets no ticks. And the quick election after a peer certainly went down.
//!
//! A leader puts its group to sleep when every live member holds everything and nothing is pending. Members that
//! are down do not keep a group awake. Any proposal, barrier or message wakes it, and so does the death of the
//! leader's node. A barrier never relies on sleep: it always asks the leader, and asking wakes the group.

use chronik_log::{Index, Term};
use chronik_wire::types::NodeId;

use super::Replica;
use crate::host::shared::Shared;
use crate::limits;
use crate::message::ReplicaMessage;

/// Whether the group sleeps here, and for how long it has been quiet.
#[derive(Debug, Default)]
pub(super) struct SleepState {
    pub(super) asleep: bool,
    quiet_ticks: usize,
    /// When the first of these ticks came.
    quiet_since_ms: u64,
    /// A client has wanted something of the group since it last slept, and may want more.
    in_use: bool,
    /// Quiet for long enough: sleeps at the end of the next turn.
    due: bool,
}

/// An election ahead of its timeout: the leader is certainly gone, so waiting proves nothing.
#[derive(Clone, Copy, Debug)]
pub(super) struct UrgentCampaign {
    ticks_left: usize,
    interval_ticks: usize,
    tries_left: u8,
}

impl Replica {
    /// One tick of an awake replica.
    pub(crate) fn tick(&mut self, shared: &mut Shared) {
        if self.stopped.is_some() {
            return;
        }
        self.thaw(shared);
        if self.stalled.is_some() {
            // Raft stands still until the disk takes the ready; only deadlines go on.
            self.mark_dirty(shared);
        } else {
            self.tick_raft(shared);
            self.tick_leader(shared);
            self.tick_commit(shared);
        }
        self.tick_transfer(shared);
        self.tick_gate(shared);
        self.tick_appends(shared);
        self.tick_sleep(shared);
    }

    fn tick_raft(&mut self, shared: &mut Shared) {
        if !self.leads() && !self.may_campaign(shared) {
            return self.tick_learner(shared);
        }
        let led = self.leads();
        if self.raw.tick() {
            self.mark_dirty(shared);
            if !led && !self.leads() {
                self.attempts += 1;
                shared.counters.campaigns.increment();
            }
        }
        self.fix_election_timeout(shared);
        let Some(mut urgent) = self.urgent.take().filter(|_| self.leader().is_none()) else { return };
        if urgent.ticks_left > 0 {
            urgent.ticks_left -= 1;
            self.urgent = Some(urgent);
            return;
        }
        urgent.ticks_left = urgent.interval_ticks;
        urgent.tries_left -= 1;
        self.urgent = (urgent.tries_left > 0).then_some(urgent);
        self.campaign(shared);
    }

    fn tick_sleep(&mut self, shared: &mut Shared) {
        if shared.config.hibernate_after_ticks == 0 || !self.leads() {
            return;
        }
        if !self.is_quiet(shared) {
            self.sleep.quiet_ticks = 0;
            return;
        }
        if self.sleep.quiet_ticks == 0 {
            self.sleep.quiet_since_ms = shared.now_ms;
        }
        self.sleep.quiet_ticks += 1;
        if self.sleep.quiet_ticks >= shared.config.hibernate_after_ticks
            || self.has_nothing_to_wait_for(shared)
        {
            self.sleep.due = true;
            self.mark_dirty(shared);
        }
    }

    /// Whether no client has wanted anything of a quiet group, which was only elected or moved, and a heartbeat has shown
    /// that everybody is there. Thousands may be elected at a time: a host that ticks them all has time for nothing else.
    fn has_nothing_to_wait_for(&self, shared: &Shared) -> bool {
        let quiet_ms = shared.now_ms.saturating_sub(self.sleep.quiet_since_ms);
        !self.sleep.in_use
            && self.sleep.quiet_ticks > shared.config.heartbeat_ticks
            && self
                .in_sync
                .iter(self.settings.replica_lag_max_ms, shared.now_ms)
                .all(|node| self.in_sync.heard_within(node, quiet_ms, shared.now_ms))
    }

    /// The end of a turn: the word to sleep follows the turn's own messages, else it would be taken back by them.
    pub(super) fn sleep_if_due(&mut self, shared: &mut Shared) {
        if !std::mem::take(&mut self.sleep.due) || !self.leads() || !self.is_quiet(shared) {
            return;
        }
        let message = ReplicaMessage::Sleep { term: self.term(), index: self.applied };
        let others: Vec<NodeId> = self.others().collect();
        for node in others {
            shared.send(node, self.key, message.clone());
        }
        self.in_sync.freeze(self.settings.replica_lag_max_ms, shared.now_ms);
        self.fall_asleep(shared);
    }

    /// Whether nothing is pending here and every live member holds everything.
    fn is_quiet(&self, shared: &Shared) -> bool {
        let raft = &self.raw.raft;
        let last = Index(raft.raft_log.last_index());
        let lag_max_ms = self.settings.replica_lag_max_ms;
        let silence_ms = shared.silence_ms();
        self.is_settled(last)
            && self.is_confirmed()
            && raft.lead_transferee.is_none()
            && !self.lead.has_open_work()
            && !self.moves_members()
            && self.others().all(|node| {
                if let Some(heard) = self.lead.learners.heard_within(node, silence_ms, shared.now_ms) {
                    return !heard || self.lead.learners.holds(node) == Some(last);
                }
                if !self.is_voter(node) {
                    // Heartbeats keep feeding a follower that is there and behind.
                    let progress = self.raw.raft.prs().get(self.id_of(node));
                    return progress
                        .is_none_or(|progress| !progress.recent_active || progress.matched == last.0);
                }
                if shared.down.contains(&node) || !self.in_sync.heard_within(node, silence_ms, shared.now_ms)
                {
                    // Stay awake until the in-sync set has noticed.
                    !self.in_sync.contains(node, lag_max_ms, shared.now_ms)
                } else {
                    self.matched(node) == last
                }
            })
    }

    /// Whether this replica has applied exactly up to `last`, its last entry, and nobody waits for anything.
    fn is_settled(&self, last: Index) -> bool {
        let log = &self.raw.raft.raft_log;
        log.last_index() == last.0
            && log.committed == last.0
            && self.applied == last
            && self.unsynced.is_empty()
            && self.stalled.is_none()
            && self.gate.is_idle()
            && self.desk.is_idle()
            && self.appends.is_idle()
    }

    /// The leader says that all is quiet. Believed only if it is true here.
    pub(crate) fn on_sleep(&mut self, from: NodeId, term: Term, index: Index, shared: &mut Shared) {
        let agrees = self.leader() == Some(from) && !self.leads() && self.term() == term;
        // Long polls do not keep a group awake: whatever would answer them arrives as a message.
        if agrees && self.is_settled(index) {
            self.fall_asleep(shared);
        }
    }

    fn fall_asleep(&mut self, shared: &mut Shared) {
        if !self.sleep.asleep {
            self.sleep = SleepState { asleep: true, ..SleepState::default() };
            self.free_buffers();
            shared.want_no_ticks(self.key);
            shared.counters.group_sleeps.increment();
        }
    }

    /// Sleeping groups are many and each keeps nothing it does not need.
    fn free_buffers(&mut self) {
        self.raw.raft.maybe_free_inflight_buffers();
        self.raw.raft.raft_log.unstable.entries.shrink_to_fit();
        self.unsynced.shrink_to_fit();
        self.appends.in_flight.shrink_to_fit();
        self.appends.queued.shrink_to_fit();
    }

    /// A client wants something of the group: it stays awake for its full quiet time.
    pub(crate) fn wake_for_client(&mut self, shared: &mut Shared) {
        self.sleep.in_use = true;
        self.wake_up(shared);
    }

    /// There is something to do for the group: its quiet time begins anew.
    pub(crate) fn wake_up(&mut self, shared: &mut Shared) {
        self.sleep.quiet_ticks = 0;
        self.stir(shared);
    }

    /// A message came: ticks again. Heartbeats and their answers are messages too, so this does not count against
    /// the quiet time of a group that is awake.
    pub(crate) fn stir(&mut self, shared: &mut Shared) {
        if self.stopped.is_none() {
            shared.awake.insert(self.key);
        }
        if std::mem::take(&mut self.sleep.asleep) {
            shared.counters.group_wakes.increment();
        }
    }

    /// The in-sync set learns the time again, once it is known to be fresh: a sleeping host is not told the time.
    pub(super) fn thaw(&mut self, shared: &Shared) {
        if !self.sleep.asleep {
            self.in_sync.thaw(shared.now_ms);
        }
    }

    /// A node went down. If it is certain and the node led, the first live voter campaigns at once and the others
    /// soon after, because a voter that has not heard the news yet refuses.
    pub(crate) fn on_peer_down(&mut self, node: NodeId, certain: bool, shared: &mut Shared) {
        if self.stopped.is_some() || !self.is_voter(node) {
            return;
        }
        if self.leads() {
            if certain {
                self.in_sync.expel(node);
            }
            return self.wake_up(shared);
        }
        if self.leader() != Some(node) {
            return;
        }
        self.wake_up(shared);
        if !certain || self.stalled.is_some() {
            return;
        }
        let term = self.raw.raft.term;
        self.raw.raft.become_follower(term, raft::INVALID_ID);
        self.fix_election_timeout(shared);
        self.mark_dirty(shared);
        if !self.may_campaign(shared) {
            return;
        }
        let mut live: Vec<NodeId> =
            self.other_voters().filter(|other| !shared.down.contains(other)).collect();
        live.push(self.node);
        live.sort_unstable();
        let turn = self.key.partition.0.unsigned_abs() as usize % live.len();
        live.rotate_left(turn);
        let rank = live.iter().position(|other| *other == self.node).unwrap_or(0);
        let interval_ticks = 2 * live.len();
        let tries_left = limits::CAMPAIGN_TRIES_MAX;
        self.urgent = Some(UrgentCampaign { ticks_left: 2 * rank, interval_ticks, tries_left });
        if rank == 0 {
            self.urgent = Some(UrgentCampaign { ticks_left: 1, interval_ticks, tries_left });
            self.campaign(shared);
        }
    }

    /// A node came back: its leader looks after it.
    pub(crate) fn on_peer_up(&mut self, node: NodeId, shared: &mut Shared) {
        if self.stopped.is_none() && self.is_voter(node) && self.leads() {
            self.wake_up(shared);
        }
    }
}
