//! What one partition needs synced, detached from the log so that a disk thread can do it.
//!
//! The edge collects the batches of all dirty partitions of a turn, syncs them, and only then lets go of the
//! messages that promise persistence.

use std::fmt;
use std::sync::Arc;

use crate::Index;
use crate::disk::{Disk, DiskFile};
use crate::error::LogError;

/// Files, and perhaps the directory, of one partition that hold unsynced promises.
#[must_use = "nothing is persisted until the batch is synced"]
pub struct SyncBatch {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) dir: Box<str>,
    pub(crate) files: Vec<Arc<dyn DiskFile>>,
    pub(crate) with_dir: bool,
    /// The log refuses to promise anything: the batch fails.
    pub(crate) poisoned: bool,
    pub(crate) done: SyncDone,
}

/// Proof of a sync, for [`on_synced`](crate::PartitionLog::on_synced).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyncDone {
    pub(crate) through: Index,
    pub(crate) truncations: u64,
}

impl SyncDone {
    /// Last index that the sync covers.
    pub fn through(&self) -> Index {
        self.through
    }
}

impl SyncBatch {
    /// Syncs everything, each file once; blocks. On an error call
    /// [`poison`](crate::PartitionLog::poison) and stop the replica: a failed sync is never retried.
    pub fn sync(self) -> Result<SyncDone, LogError> {
        if self.poisoned {
            return Err(LogError::Poisoned { dir: self.dir.into() });
        }
        for file in &self.files {
            file.sync()?;
        }
        if self.with_dir {
            self.disk.sync_dir(&self.dir)?;
        }
        Ok(self.done)
    }

    /// Name of the partition's directory.
    pub fn dir(&self) -> &str {
        &self.dir
    }

    /// How many files it syncs, the directory apart.
    pub fn file_count(&self) -> usize {
        self.files.len()
    }
}

impl fmt::Debug for SyncBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SyncBatch { dir, files, with_dir, done, .. } = self;
        write!(f, "SyncBatch({dir}: {} files, directory {with_dir}, through {})", files.len(), done.through)
    }
}
