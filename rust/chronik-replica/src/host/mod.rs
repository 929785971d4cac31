//! All replicas of one node on one shard, one turn at a time.
//!
//! Inputs come in between turns and only mark replicas dirty; [`Host::turn`] handles the dirty ones, each in the
//! order of a turn, and hands out the messages and the sync job of all of them together. A replica that panics is
//! stopped with its error and the others go on.
//! Must not: know requests, sockets or threads.

mod compaction;
mod early;
mod inputs;
mod requests;
pub(crate) mod shared;
mod sync;
mod unopened;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use chronik_log::{Disk, DiskError};
use chronik_wire::types::{NodeId, PartitionKey};

use crate::config::{HostConfig, ReplicaSpec};
use crate::counters::ReplicaCounters;
use crate::error::ReplicaError;
use crate::message::ReplicaMessage;
use crate::replica::{LeaderChange, Replica};
use early::EarlyMessages;
use shared::Shared;

pub use compaction::{CompactionReport, CompactionTask};
pub use sync::{SyncJob, SyncReport, SyncTicket};

/// What a turn sends out.
#[derive(Debug, Default)]
pub struct TurnOutput {
    /// Messages to other nodes, in the order each peer must see them.
    pub messages: Vec<(NodeId, PartitionKey, ReplicaMessage)>,
    /// Logs to sync, only with [`SyncMode::Deferred`](crate::SyncMode::Deferred). At most one job is under way per
    /// host: the next one leaves in a turn after `on_synced`, with everything that was written meanwhile.
    pub sync: Option<SyncJob>,
}

/// All replicas of one node on one shard.
pub struct Host {
    replicas: BTreeMap<PartitionKey, Box<Replica>>,
    shared: Shared,
    early: EarlyMessages,
    unopened: unopened::Unopened,
    sync: sync::SyncState,
    compaction: compaction::CompactionState,
}

impl Host {
    /// A host without replicas. `wake` is called once whenever the host gets work while no turn is due; the edge
    /// then calls [`Host::turn`] soon.
    pub fn new(
        config: HostConfig,
        disk: Arc<dyn Disk>,
        counters: Arc<ReplicaCounters>,
        wake: Arc<dyn Fn() + Send + Sync>,
    ) -> Host {
        Host {
            replicas: BTreeMap::new(),
            shared: Shared::new(config, disk, counters, wake),
            early: EarlyMessages::default(),
            unopened: unopened::Unopened::default(),
            sync: sync::SyncState::default(),
            compaction: compaction::CompactionState::default(),
        }
    }

    /// Opens or creates a replica and replays the messages that came for it too early.
    ///
    /// # Errors
    /// The specification cannot work, the log cannot be opened, or its snapshot does not decode. Then the partition
    /// is refused as one whose replica has stopped, until another call succeeds or the replica is removed; see
    /// [`ReplicaError::is_passing`].
    pub fn create_replica(&mut self, spec: ReplicaSpec) -> Result<(), ReplicaError> {
        let (key, dir) = (spec.key, spec.dir.clone());
        if self.replicas.contains_key(&key) {
            return Err(ReplicaError::AlreadyHosted(key));
        }
        let shared = &mut self.shared;
        let opened = catch_unwind(AssertUnwindSafe(|| Replica::open(spec, shared)));
        let replica = opened.unwrap_or_else(|panic| {
            Err(ReplicaError::Stopped {
                key,
                reason: format!("broken invariant: {}", panic_text(panic.as_ref())),
            })
        });
        let replica = replica.inspect_err(|error| {
            self.shared.forget(key);
            self.early.take(key);
            self.unopened.note(key, dir, error);
        })?;
        self.unopened.forget(key);
        self.replicas.insert(key, Box::new(replica));
        for (from, message) in self.early.take(key) {
            self.on_message(from, key, message);
        }
        Ok(())
    }

    /// Removes a replica. Whoever waits for it is answered now.
    ///
    /// # Errors
    /// It is not hosted here, or its directory could not be removed; it is gone from the host in any case.
    pub fn remove_replica(&mut self, key: PartitionKey, delete_data: bool) -> Result<(), ReplicaError> {
        let unopened = self.unopened.forget(key);
        let dir = match self.replicas.remove(&key) {
            Some(mut replica) => {
                replica.on_removed(&mut self.shared);
                self.shared.counters.replicas_removed.increment();
                self.shared.forget(key);
                self.sync.forget(key);
                self.compaction.forget(key);
                replica.into_dir()
            }
            None => unopened.ok_or(ReplicaError::NotHosted(key))?,
        };
        if !delete_data {
            return Ok(());
        }
        let removed = self.shared.disk.remove_dir(&dir);
        removed.map_err(|error| ReplicaError::Log { key, source: chronik_log::LogError::Disk(error) })
    }

    /// The disk of this node.
    pub fn disk(&self) -> &Arc<dyn Disk> {
        &self.shared.disk
    }

    /// Names of all directories on this node's disk, whichever shard's replica they belong to, and those of none.
    ///
    /// # Errors
    /// The disk cannot be read.
    pub fn directories(&self) -> Result<Vec<String>, DiskError> {
        self.shared.disk.list_dirs()
    }

    /// Removes a directory that is left over from an earlier life. One that a replica of this host uses stays, also
    /// if the replica could not be opened.
    ///
    /// # Errors
    /// The disk cannot remove it.
    pub fn remove_directory(&mut self, dir: &str) -> Result<(), DiskError> {
        if self.unopened.uses(dir) || self.replicas.values().any(|replica| replica.dir() == dir) {
            return Ok(());
        }
        self.shared.disk.remove_dir(dir)
    }

    /// A replica, for inspection.
    pub fn replica(&self, key: PartitionKey) -> Option<&Replica> {
        self.replicas.get(&key).map(Box::as_ref)
    }

    /// The partitions hosted here, in order.
    pub fn keys(&self) -> impl Iterator<Item = PartitionKey> + '_ {
        self.replicas.keys().copied()
    }

    /// This host's configuration.
    pub fn config(&self) -> &HostConfig {
        &self.shared.config
    }

    /// What its replicas have done so far.
    pub fn counters(&self) -> &Arc<ReplicaCounters> {
        &self.shared.counters
    }

    /// Whether a turn has something to do.
    pub fn is_dirty(&self) -> bool {
        self.shared.wants_turn() || self.sync.wants_turn(&self.shared)
    }

    /// Whether anything here depends on `on_tick`. Without it, only an input can make a difference.
    pub fn needs_ticks(&self) -> bool {
        !self.shared.awake.is_empty() || !self.early.is_empty()
    }

    /// Handles everything that came in: one pass over the dirty replicas.
    pub fn turn(&mut self, now_ms: u64) -> TurnOutput {
        self.shared.see_time(now_ms);
        for key in self.shared.begin_turn() {
            self.with_replica(key, |replica, shared| replica.turn(shared));
        }
        let sync = self.start_sync();
        TurnOutput { messages: self.shared.end_turn(), sync }
    }

    /// News about leadership of partitions hosted here, the newest per partition.
    pub fn take_leader_changes(&mut self) -> Vec<LeaderChange> {
        self.shared.take_leader_changes()
    }

    /// Groups led here that have come to consist of the members wanted of them, each named once per change and leader.
    pub fn take_arrivals(&mut self) -> Vec<PartitionKey> {
        std::mem::take(&mut self.shared.arrivals).into_iter().collect()
    }

    /// Runs `f` on a replica and contains its panics: raft asserts its invariants, and one broken group must not
    /// take the others down.
    fn with_replica<R>(
        &mut self,
        key: PartitionKey,
        f: impl FnOnce(&mut Replica, &mut Shared) -> R,
    ) -> Option<R> {
        let replica = self.replicas.get_mut(&key)?;
        let shared = &mut self.shared;
        match catch_unwind(AssertUnwindSafe(|| f(replica, shared))) {
            Ok(result) => Some(result),
            Err(panic) => {
                let reason = format!("broken invariant: {}", panic_text(panic.as_ref()));
                let stopped = catch_unwind(AssertUnwindSafe(|| replica.stop(reason, shared)));
                if stopped.is_err() {
                    // Not even its waiters can be answered in order; dropping it answers them.
                    self.replicas.remove(&key);
                    self.shared.forget(key);
                    self.sync.forget(key);
                }
                None
            }
        }
    }

    fn hint(&self, key: PartitionKey) -> Option<NodeId> {
        self.replicas.get(&key).and_then(|replica| replica.leader())
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("panic without a text").to_owned()
}
