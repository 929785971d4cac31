//! One partition's log: what it is made of, its small state, and when it must be synced.
//!
//! The parent of a family: [`append`](self) and truncation, reads, retention and recovery live in a file each
//! and share the fields below. Owns the partition's directory; must not look into records, decide what is
//! committed, or know the time.

mod adopt;
mod append;
mod compacted;
mod kafka_read;
mod raft_read;
mod recovery;
mod retention;
mod snapshots;
mod tear;
mod truncate;
mod walk;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use chronik_wire::types::Offset;

use crate::compaction::{Incoming, Prefix};
use crate::config::LogConfig;
use crate::disk::{Disk, DiskError};
use crate::error::LogError;
use crate::segment::{Segment, SegmentInfo};
use crate::snapshot::SnapshotMark;
use crate::state::{HardState, LogState, StateFile};
use crate::sync::{SyncBatch, SyncDone};
use crate::tail::Tail;
use crate::terms::TermTable;
use crate::{Index, Term};

pub use kafka_read::{BatchAt, ReadResult};
pub use recovery::RecoveryReport;

/// The log of one partition, which is its Raft log and its Kafka log at once.
#[derive(Debug)]
pub struct PartitionLog {
    disk: Arc<dyn Disk>,
    dir: Box<str>,
    config: Arc<LogConfig>,
    state: LogState,
    state_file: StateFile,
    /// The state file holds promises that were not handed to a sync.
    state_dirty: bool,
    /// Names were made or removed since the directory was handed to a sync.
    dir_dirty: bool,
    /// Oldest first, contiguous.
    segments: Vec<Segment>,
    /// Whether the last segment takes more entries.
    active: bool,
    terms: TermTable,
    tail: Tail,
    /// What comes before the segments, if the log was compacted.
    prefix: Option<Box<Prefix>>,
    /// A compacted prefix that another member sends.
    incoming: Option<Box<Incoming>>,
    /// Ascending.
    snapshots: Vec<SnapshotMark>,
    next_index: Index,
    /// Log end before the first entry.
    first_offset: Offset,
    end_offset: Offset,
    /// Counts truncations, so that a sync begun before one proves nothing after it.
    truncations: u64,
    recovery: RecoveryReport,
    poisoned: bool,
}

impl PartitionLog {
    /// Opens the log in directory `dir`, recovering what is there. Nothing is created before the first write.
    ///
    /// A torn tail that was never synced is cut. [`LogError::Corrupt`] if bytes that were synced are damaged
    /// or missing: then the log must be fetched from the peers.
    pub fn open(disk: Arc<dyn Disk>, dir: &str, config: Arc<LogConfig>) -> Result<PartitionLog, LogError> {
        recovery::open(disk, dir, config)
    }

    /// Removes the log and its directory, durably.
    pub fn destroy(self) -> Result<(), LogError> {
        Ok(self.disk.remove_dir(&self.dir)?)
    }

    /// The options in force.
    pub fn config(&self) -> &LogConfig {
        &self.config
    }

    /// Replaces the options. Turning `fsync` on syncs what was written without it.
    pub fn set_config(&mut self, config: Arc<LogConfig>) -> Result<(), LogError> {
        let turns_on = config.fsync && !self.config.fsync;
        self.config = config;
        self.tail.shrink(self.config.tail_bytes);
        if turns_on && self.state_file.exists() {
            for at in 0..self.segments.len() {
                let file = self.open_segment(at)?;
                self.poisoning(file.sync())?;
            }
            self.state_dirty = true;
            self.dir_dirty = true;
            self.sync_now()?;
        }
        Ok(())
    }

    /// Raft's hard state. After [`open`](Self::open) the commit index lies within the log.
    pub fn hard_state(&self) -> HardState {
        self.state.hard
    }

    /// Writes the hard state. With `must_sync` the log is dirty afterwards; a mere advance of the commit
    /// index needs no sync.
    ///
    /// # Panics
    /// If the commit index lies outside the log.
    pub fn set_hard_state(&mut self, hard: HardState, must_sync: bool) -> Result<(), LogError> {
        let last = self.last_index();
        assert!(hard.commit <= last, "commit {} is past the last index {last} of {}", hard.commit, self.dir);
        if hard == self.state.hard && !must_sync {
            return Ok(());
        }
        self.write_state(LogState { hard, ..self.state })?;
        self.state_dirty |= must_sync && self.config.fsync;
        Ok(())
    }

    /// Whether something must be synced before this turn's promises may leave.
    pub fn dirty(&self) -> bool {
        // Dirty segments are always the newest ones, so the last one answers for all.
        let segment_dirty = self.segments.last().is_some_and(|segment| segment.dirty);
        self.config.fsync && (self.state_dirty || self.dir_dirty || segment_dirty)
    }

    /// Hands out everything that must be synced; `None` if nothing must. What is written from now on belongs
    /// to the next batch. Several may be under way.
    pub fn take_sync(&mut self) -> Option<SyncBatch> {
        if !self.dirty() {
            return None;
        }
        let mut files = Vec::with_capacity(2);
        let closed = self.segments.len() - usize::from(self.active);
        for (at, segment) in
            self.segments.iter_mut().enumerate().rev().take_while(|(_, segment)| segment.dirty)
        {
            segment.dirty = false;
            files.extend(if at < closed { segment.file.take() } else { segment.file.clone() });
        }
        if self.state_dirty {
            files.extend(self.state_file.hand_out());
        }
        let with_dir = self.dir_dirty;
        self.state_dirty = false;
        self.dir_dirty = false;
        Some(SyncBatch {
            disk: Arc::clone(&self.disk),
            dir: self.dir.clone(),
            files,
            with_dir,
            poisoned: self.poisoned,
            done: SyncDone { through: self.last_index(), truncations: self.truncations },
        })
    }

    /// A batch of this log was synced. Later writes record it, so that recovery knows what was promised.
    pub fn on_synced(&mut self, done: SyncDone) {
        if done.truncations == self.truncations {
            self.state.synced_through = self.state.synced_through.max(done.through);
        }
    }

    /// A sync failed: every later write is refused. Only opening the log anew clears this.
    pub fn poison(&mut self) {
        self.poisoned = true;
    }

    /// Syncs at once. An error poisons the log.
    pub fn sync_now(&mut self) -> Result<(), LogError> {
        if let Some(batch) = self.take_sync() {
            let synced = batch.sync();
            self.poisoned |= synced.is_err();
            self.on_synced(synced?);
        }
        Ok(())
    }

    /// First index of the log. An empty log ends before it.
    pub fn first_index(&self) -> Index {
        self.state.first_index
    }

    /// Last index of the log; `first_index - 1` if it is empty.
    pub fn last_index(&self) -> Index {
        self.next_index.prev()
    }

    /// First readable offset.
    pub fn log_start(&self) -> Offset {
        self.state.log_start
    }

    /// Offset that follows the last entry, committed or not.
    pub fn log_end(&self) -> Offset {
        self.end_offset
    }

    /// Size of all segments and of the compacted prefix, bytes.
    pub fn size_bytes(&self) -> u64 {
        let compacted = self.prefix.as_ref().map_or(0, |prefix| prefix.manifest.size_bytes());
        compacted + self.segments.iter().map(|segment| segment.size_bytes).sum::<u64>()
    }

    /// The segments, oldest first; the compacted prefix is not among them.
    pub fn segments(&self) -> Vec<SegmentInfo> {
        self.segments.iter().map(Segment::info).collect()
    }

    /// Bytes of recent entries held in memory.
    pub fn tail_bytes(&self) -> usize {
        self.tail.bytes()
    }

    /// Lets go of recent entries beyond `keep_bytes`, for a node that is short of memory. The last one stays.
    pub fn trim_tail(&mut self, keep_bytes: usize) {
        self.tail.shrink(keep_bytes);
    }

    /// What opening the log had to repair.
    pub fn recovery(&self) -> RecoveryReport {
        self.recovery
    }

    /// Name of the partition's directory.
    pub fn dir(&self) -> &str {
        &self.dir
    }

    fn check_writable(&self) -> Result<(), LogError> {
        if self.poisoned {
            return Err(LogError::Poisoned { dir: self.dir.to_string() });
        }
        Ok(())
    }

    /// Passes a result on; any error but a full disk poisons the log.
    fn poisoning<T>(&mut self, result: Result<T, DiskError>) -> Result<T, LogError> {
        result.map_err(|error| {
            let error = LogError::from(error);
            self.poisoned |= !matches!(error, LogError::DiskFull { .. });
            error
        })
    }

    /// Writes the small state without syncing it, creating directory and file on the first write.
    fn write_state(&mut self, state: LogState) -> Result<(), LogError> {
        self.check_writable()?;
        self.ensure_created()?;
        let written = self.state_file.write(&state);
        self.poisoning(written)?;
        self.state = state;
        Ok(())
    }

    /// Writes the small state and waits until it is durable.
    fn write_state_durably(&mut self, state: LogState) -> Result<(), LogError> {
        self.write_state(state)?;
        if let Some(file) = self.state_file.hand_out() {
            let synced = file.sync();
            self.poisoning(synced)?;
        }
        Ok(())
    }

    /// The state file comes first: a segment without one would mean that votes were lost.
    fn ensure_created(&mut self) -> Result<(), LogError> {
        if !self.state_file.exists() {
            let created = self.disk.create_dir(&self.dir);
            self.poisoning(created)?;
            let created = self.state_file.create(&*self.disk, &self.dir);
            self.poisoning(created)?;
            self.dir_dirty = self.config.fsync;
        }
        Ok(())
    }

    fn last_term(&self) -> Term {
        self.terms.term_at(self.last_index())
    }
}
