//! What a host and a replica are told at birth: timing, durability, voters, topic settings, test faults.

use std::sync::Arc;

use bytes::Bytes;
use chronik_log::compaction::CompactionRules;
use chronik_log::{Index, LogConfig};
use chronik_wire::types::{NodeId, Offset, PartitionKey};

use crate::limits;

/// When entries count as persisted. The order of a turn is the same in all modes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncMode {
    /// Synced inside the turn: for disks whose sync is instant.
    Inline,
    /// A [`SyncJob`](crate::SyncJob) leaves the turn and comes back by `on_synced`: for files with fsync.
    Deferred,
    /// Persisted once written: durability `os`.
    Never,
}

impl SyncMode {
    /// The log settings that fit this mode: it alone says whether a log syncs, now and when settings change. A log
    /// that waits for a sync that never comes keeps every file it closes open; one that stops syncing strands the
    /// promises that wait for the next sync.
    pub(crate) fn log_config(self, log: Arc<LogConfig>) -> Arc<LogConfig> {
        let fsync = self != SyncMode::Never;
        if log.fsync == fsync { log } else { Arc::new(LogConfig { fsync, ..LogConfig::clone(&log) }) }
    }
}

/// Whether the read gate is in force.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GateMode {
    /// Every claim about the end of the log passes a barrier.
    #[default]
    On,
    /// Requests pass at once. Exists so that tests can show that they fail without the gate.
    Off,
}

/// Faults a test can plant. The default plants none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// The read gate.
    pub gate: GateMode,
}

/// What the promises of a node's disk are worth to the groups it has replicas of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// The disk holds everything this node ever promised: its votes and acknowledgements count.
    #[default]
    Voter,
    /// The disk may be younger than promises made under this node's id. It follows and serves reads; it never votes
    /// or campaigns, and nothing it says counts towards a quorum: a vote of its former life may still be under way,
    /// and an acknowledgement of this one would let a leader commit what the candidate of that vote does not hold.
    Learner,
}

/// Settings of all replicas of one node on one shard.
#[derive(Clone, Debug)]
pub struct HostConfig {
    /// This node.
    pub node: NodeId,
    /// A random number drawn when the process started; makes read contexts unique over restarts.
    pub incarnation: u64,
    /// Seed of the election timeouts.
    pub seed: u64,
    /// Interval of `on_tick` in milliseconds.
    pub tick_ms: u64,
    /// Ticks without a leader before an election; the actual wait is up to twice as long.
    pub election_ticks: usize,
    /// Ticks between a leader's heartbeats; less than `election_ticks`.
    pub heartbeat_ticks: usize,
    /// Longest time a request waits in the read gate, in milliseconds.
    pub gate_cap_ms: u64,
    /// Quiet ticks after which a group stops ticking; 0 keeps groups awake for ever.
    pub hibernate_after_ticks: usize,
    /// When entries count as persisted.
    pub sync: SyncMode,
    /// Free space below which appends are refused, in bytes: what is left is for raft's own records.
    pub disk_reserve_bytes: u64,
    /// Planted faults.
    pub faults: Faults,
}

impl HostConfig {
    /// Fast timing for tests: tick 10 ms, election after 150-300 ms, heartbeat 30 ms, synced inside the turn.
    pub fn for_test(node: NodeId) -> HostConfig {
        HostConfig {
            node,
            incarnation: 1,
            seed: 1,
            tick_ms: 10,
            election_ticks: 15,
            heartbeat_ticks: 3,
            gate_cap_ms: 5_000,
            hibernate_after_ticks: 45,
            sync: SyncMode::Inline,
            disk_reserve_bytes: limits::DISK_RESERVE_BYTES,
            faults: Faults::default(),
        }
    }

    /// Shortest time without a leader before an election, in milliseconds.
    pub(crate) fn election_timeout_ms(&self) -> u64 {
        self.election_ticks as u64 * self.tick_ms
    }

    /// How long a round may stay unanswered before it is sent again, and how long a refused one rests.
    pub(crate) fn round_timeout_ms(&self) -> u64 {
        let heartbeats_ms = 2 * self.tick_ms * self.heartbeat_ticks as u64;
        heartbeats_ms.clamp(limits::ROUND_TIMEOUT_MS_MIN, limits::ROUND_TIMEOUT_MS_MAX)
    }
}

/// Topic settings a replica acts on; replaceable while it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicSettings {
    /// Members that must have persisted an `acks=all` batch, and must be in sync before it is appended.
    pub min_insync_replicas: usize,
    /// How long a member may lag before it leaves the in-sync set, in milliseconds.
    pub replica_lag_max_ms: u64,
    /// Age at which records may be dropped, in milliseconds; `None` keeps them.
    pub retention_ms: Option<u64>,
    /// Size above which old records may be dropped, in bytes; `None` keeps them.
    pub retention_bytes: Option<u64>,
    /// The log is compacted by these rules; `None` leaves it as it is.
    pub compaction: Option<CompactionRules>,
    /// How long an unused producer id is remembered, in milliseconds.
    pub producer_expiry_ms: u64,
}

impl Default for TopicSettings {
    /// Kafka's defaults.
    fn default() -> Self {
        TopicSettings {
            min_insync_replicas: 1,
            replica_lag_max_ms: 30_000,
            retention_ms: Some(7 * 24 * 3_600_000),
            retention_bytes: None,
            compaction: None,
            producer_expiry_ms: 24 * 3_600_000,
        }
    }
}

/// A replicated brain seated on a partition. Applied batches reach it in order, exactly once per life; it must be
/// deterministic. Producer (idempotence) state is built in and not a machine.
pub trait Machine {
    /// Applies one committed batch, whose first record has `base_offset`: records, and also the control batches that end
    /// transactions.
    fn apply(&mut self, batch: &Bytes, base_offset: Offset, index: Index);
    /// The whole state, so that `restore` on another replica continues identically.
    fn snapshot(&self) -> Bytes;
    /// Replaces the whole state.
    ///
    /// # Errors
    /// The bytes are not a snapshot of this machine; the replica then stops.
    fn restore(&mut self, snapshot: &[u8]) -> Result<(), MachineError>;
}

/// Why a machine could not take a snapshot over.
#[derive(Clone, Debug, thiserror::Error)]
#[error("machine snapshot refused: {0}")]
pub struct MachineError(pub String);

/// Everything a replica is created from.
pub struct ReplicaSpec {
    /// The partition, which names the raft group.
    pub key: PartitionKey,
    /// The voters that the group began with; the same on every node, for ever. Who belongs to it now is in the log.
    pub voters: Vec<NodeId>,
    /// Which member on this node the replica is: 0 for one that the group began with.
    pub generation: u32,
    /// The member that this node's disk would be if its group took it in place of a lost one. Only for a group whose
    /// members follow from their disks; there the replica becomes that member once the group calls it so.
    pub successor: Option<u32>,
    /// What the promises of this replica are worth; `None` for what those of the node are.
    pub standing: Option<Standing>,
    /// The voter that campaigns at once when its log is empty.
    pub designated: NodeId,
    /// Directory on the disk.
    pub dir: String,
    /// Log settings.
    pub log: Arc<LogConfig>,
    /// Topic settings.
    pub settings: TopicSettings,
    /// A replicated brain, where there is one.
    pub machine: Option<Box<dyn Machine>>,
}
