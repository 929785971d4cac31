//! What the replicas of a host share: configuration, time, ids, the way out, and who has work.
//!
//! Replicas borrow it for the length of one call. It decides nothing.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use chronik_log::Disk;
use chronik_wire::types::{NodeId, PartitionKey};

use crate::LeaderChange;
use crate::config::{HostConfig, Standing};
use crate::counters::ReplicaCounters;
use crate::ids::RoundIds;
use crate::limits;
use crate::message::ReplicaMessage;

/// State of a host that is not a replica.
pub(crate) struct Shared {
    pub(crate) config: HostConfig,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) counters: Arc<ReplicaCounters>,
    pub(crate) logger: slog::Logger,
    pub(crate) now_ms: u64,
    /// What this node's promises are worth.
    pub(crate) standing: Standing,
    pub(crate) ids: RoundIds,
    /// Nodes known to be down.
    pub(crate) down: BTreeSet<NodeId>,
    /// Replicas with something to do in the next turn.
    pub(crate) dirty: BTreeSet<PartitionKey>,
    /// Replicas that want ticks.
    pub(crate) awake: BTreeSet<PartitionKey>,
    /// When the last ticks came, as many as make an election timeout; none while everybody sleeps.
    ticked_ms: VecDeque<u64>,
    /// Groups led here that consist of who is wanted since a short while.
    pub(crate) arrivals: BTreeSet<PartitionKey>,
    /// Groups led here with a new member that catches up.
    pub(crate) catching_up: BTreeSet<PartitionKey>,
    /// Replicas whose logs hold bytes that were not handed to a sync yet.
    pub(crate) unsynced: BTreeSet<PartitionKey>,
    /// Replicas whose plan to compact is not carried out.
    pub(crate) uncompacted: BTreeSet<PartitionKey>,
    messages: Vec<(NodeId, PartitionKey, ReplicaMessage)>,
    leader_changes: BTreeMap<PartitionKey, LeaderChange>,
    wake: Arc<dyn Fn() + Send + Sync>,
    woken: bool,
}

impl Shared {
    pub(crate) fn new(
        config: HostConfig,
        disk: Arc<dyn Disk>,
        counters: Arc<ReplicaCounters>,
        wake: Arc<dyn Fn() + Send + Sync>,
    ) -> Shared {
        let ids = RoundIds::of_life(config.incarnation);
        Shared {
            config,
            disk,
            counters,
            logger: crate::logging::raft_logger(),
            now_ms: 0,
            standing: Standing::default(),
            ids,
            down: BTreeSet::new(),
            dirty: BTreeSet::new(),
            awake: BTreeSet::new(),
            ticked_ms: VecDeque::new(),
            arrivals: BTreeSet::new(),
            catching_up: BTreeSet::new(),
            unsynced: BTreeSet::new(),
            uncompacted: BTreeSet::new(),
            messages: Vec::new(),
            leader_changes: BTreeMap::new(),
            wake,
            woken: false,
        }
    }

    /// Time never runs backwards here, whatever the edge says.
    pub(crate) fn see_time(&mut self, now_ms: u64) {
        self.now_ms = self.now_ms.max(now_ms);
    }

    /// A tick came.
    pub(crate) fn see_tick(&mut self) {
        if self.ticked_ms.len() >= self.config.election_ticks {
            self.ticked_ms.pop_front();
        }
        self.ticked_ms.push_back(self.now_ms);
    }

    /// A replica wants no ticks any more. The last one takes the memory of them along: the next will come after a pause.
    pub(crate) fn want_no_ticks(&mut self, key: PartitionKey) {
        self.awake.remove(&key);
        if self.awake.is_empty() {
            self.ticked_ms.clear();
        }
    }

    /// Silence of a member after which its leader doubts that it is there: an election timeout, as long as its ticks take
    /// at present. On a host with more to do than a tick has time for, heartbeats come late, and nobody is to blame.
    pub(crate) fn silence_ms(&self) -> u64 {
        let promised_ms = self.config.election_timeout_ms();
        let first_ms = self.ticked_ms.front().copied().unwrap_or(self.now_ms);
        let taken_ms = self.now_ms.saturating_sub(first_ms);
        taken_ms.clamp(promised_ms, limits::TICKS_STRETCHED_MAX * promised_ms)
    }

    /// The replica gets a place in the next turn.
    pub(crate) fn mark_dirty(&mut self, key: PartitionKey) {
        self.dirty.insert(key);
        self.want_turn();
    }

    /// A message leaves with the next turn's output.
    pub(crate) fn send(&mut self, to: NodeId, key: PartitionKey, message: ReplicaMessage) {
        self.messages.push((to, key, message));
        self.want_turn();
    }

    /// Whether a turn has something to do.
    pub(crate) fn wants_turn(&self) -> bool {
        !self.dirty.is_empty() || !self.messages.is_empty()
    }

    /// The edge calls `turn`: from now on the next piece of work fires `wake` again.
    pub(crate) fn begin_turn(&mut self) -> BTreeSet<PartitionKey> {
        self.woken = true;
        std::mem::take(&mut self.dirty)
    }

    /// The turn is over: takes its messages and wakes the edge again if work is left.
    pub(crate) fn end_turn(&mut self) -> Vec<(NodeId, PartitionKey, ReplicaMessage)> {
        let messages = std::mem::take(&mut self.messages);
        self.woken = false;
        if !self.dirty.is_empty() {
            self.want_turn();
        }
        messages
    }

    /// Whether a group may take in a new member now. Each may hold many megabytes of appends in memory, so only so many
    /// do at a time; the metadata group always may.
    pub(crate) fn may_catch_up(&mut self, key: PartitionKey) -> bool {
        let room = self.catching_up.len() < limits::CATCHING_UP_MAX || key == PartitionKey::META;
        if room {
            self.catching_up.insert(key);
        }
        room || self.catching_up.contains(&key)
    }

    /// Notes the newest leadership of a partition, replacing an older note.
    pub(crate) fn note_leader(&mut self, change: LeaderChange) {
        self.leader_changes.insert(change.key, change);
    }

    /// Takes the notes.
    pub(crate) fn take_leader_changes(&mut self) -> Vec<LeaderChange> {
        std::mem::take(&mut self.leader_changes).into_values().collect()
    }

    /// A replica is gone.
    pub(crate) fn forget(&mut self, key: PartitionKey) {
        self.dirty.remove(&key);
        self.want_no_ticks(key);
        self.unsynced.remove(&key);
        self.catching_up.remove(&key);
        self.arrivals.remove(&key);
        self.uncompacted.remove(&key);
        self.leader_changes.remove(&key);
    }

    /// Whether the disk has room for `bytes` beside a reserve kept for raft's own records.
    pub(crate) fn has_room(&self, bytes: usize, reserve_bytes: u64) -> bool {
        // A disk that cannot be asked is left to the write, which names the real error.
        let free = self.disk.available_bytes().ok().flatten();
        free.is_none_or(|free| free >= reserve_bytes.saturating_add(bytes as u64))
    }

    fn want_turn(&mut self) {
        if !self.woken {
            self.woken = true;
            (self.wake)();
        }
    }
}
