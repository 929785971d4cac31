//! What can go wrong in a log, one variant per cause a caller treats differently.

use chronik_wire::types::Offset;

use crate::disk::DiskError;
use crate::{Index, Term};

/// A failure of a [`PartitionLog`](crate::PartitionLog). Unless a variant says otherwise the log is as it was
/// before the call.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The index lies before the log's first entry: install [`snapshot`](crate::PartitionLog::snapshot).
    #[error("index {index} is compacted, the log begins at {first_index}; install the snapshot instead")]
    Compacted {
        /// The index asked for.
        index: Index,
        /// The first index the log still has.
        first_index: Index,
    },
    /// The index lies past the log's last entry.
    #[error("index {index} is past the last index {last_index}; wait for it to be appended")]
    Unavailable {
        /// The index asked for.
        index: Index,
        /// The last index the log has.
        last_index: Index,
    },
    /// The offset lies outside `[log start, log end]`.
    #[error("offset {offset} is outside the log's range {log_start}..={log_end}")]
    OutOfRange {
        /// The offset asked for.
        offset: Offset,
        /// First readable offset.
        log_start: Offset,
        /// Next offset after the last entry.
        log_end: Offset,
    },
    /// The disk has no room. Nothing was appended; a conflicting suffix may already be cut.
    #[error("disk is full while writing {file}; free space and try again")]
    DiskFull {
        /// The file that could not grow.
        file: String,
    },
    /// Bytes that were persisted are damaged or missing. The log refuses to open, or the read to answer.
    #[error("{file} is damaged at byte {position}: {reason}; fetch the partition from its peers")]
    Corrupt {
        /// The damaged file.
        file: String,
        /// Where in the file.
        position: u64,
        /// What is wrong there.
        reason: String,
    },
    /// An entry that must not be written.
    #[error("entry {index} of term {term} is invalid: {reason}; drop the request that carries it")]
    InvalidEntry {
        /// Index of the entry.
        index: Index,
        /// Term of the entry.
        term: Term,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// An earlier write or sync failed. The replica must stop; only reopening the log may clear this.
    #[error("log {dir} refuses writes after a storage error; stop the replica")]
    Poisoned {
        /// The partition's directory.
        dir: String,
    },
    /// Any other failure of the disk. After a write it leaves the log poisoned.
    #[error(transparent)]
    Disk(DiskError),
}

impl LogError {
    /// Whether the replica must stop serving from this log. A full disk is no such fault: it recovers.
    pub fn is_storage_fault(&self) -> bool {
        matches!(self, LogError::Corrupt { .. } | LogError::Poisoned { .. } | LogError::Disk(_))
    }

    /// Whether the same call may succeed later although nobody repaired anything: the disk was full, or the process
    /// had no descriptor left. A failed sync is never such a thing.
    pub fn is_passing(&self) -> bool {
        match self {
            LogError::DiskFull { .. } => true,
            LogError::Disk(DiskError::Io { source, .. }) => {
                let code = source.raw_os_error().map(rustix::io::Errno::from_raw_os_error);
                matches!(code, Some(rustix::io::Errno::MFILE | rustix::io::Errno::NFILE))
            }
            _ => false,
        }
    }

    /// A damage report.
    pub(crate) fn corrupt(file: impl Into<String>, position: u64, reason: impl Into<String>) -> LogError {
        LogError::Corrupt { file: file.into(), position, reason: reason.into() }
    }
}

impl From<DiskError> for LogError {
    fn from(error: DiskError) -> LogError {
        match error {
            DiskError::Full { file } => LogError::DiskFull { file },
            other => LogError::Disk(other),
        }
    }
}
