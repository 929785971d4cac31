//! The disk as the log sees it: directories of files that grow at the end, a few of them written in place.
//!
//! Two implementations: [`MemDisk`], which knows synced from unsynced bytes and takes faults, and
//! [`FileDisk`] over the operating system's files. The log holds `Arc<dyn Disk>` and knows neither.
//!
//! What the log relies on, and both implementations give: an append is all or nothing when the disk is full;
//! `sync` makes a file's bytes durable, `sync_dir` its name; the operations on one directory become durable in
//! the order they were made (journaling file systems do so); a write inside one 512-byte sector is not torn, and
//! bytes that never arrived read as zeros, never as those of another file.

mod file;
mod mem;

use std::fmt;
use std::io;
use std::sync::Arc;

use bytes::Bytes;

pub use file::FileDisk;
pub use mem::{BitFlip, DiskFault, DiskImage, FaultPlan, FileScope, MemDisk, UnsyncedPolicy};

/// An open file. Shared with the disk thread, which only calls [`sync`](DiskFile::sync).
pub trait DiskFile: Send + Sync + fmt::Debug {
    /// Current length, bytes.
    fn len(&self) -> u64;

    /// Whether the file holds nothing.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends the pieces as one write and returns the position of the first. All or nothing: after
    /// [`DiskError::Full`] the file is as it was.
    fn append(&self, pieces: &[Bytes]) -> Result<u64, DiskError>;

    /// Overwrites bytes in place, or extends the file; a gap reads as zeros.
    fn write_at(&self, position: u64, bytes: &[u8]) -> Result<(), DiskError>;

    /// Reads at least `at_least` bytes, and up to `at_most` if they are at hand without a copy or a second
    /// request. Fails when the file ends before `at_least`.
    fn read_at(&self, position: u64, at_least: usize, at_most: usize) -> Result<Bytes, DiskError>;

    /// Cuts the file to `length` bytes.
    fn truncate(&self, length: u64) -> Result<(), DiskError>;

    /// Makes the bytes durable. The first failure sticks: every later write and sync fails too, since the
    /// operating system may have forgotten which bytes it could not write.
    fn sync(&self) -> Result<(), DiskError>;
}

/// A place with directories, one per partition, of named files.
pub trait Disk: Send + Sync + fmt::Debug {
    /// Names of all directories, sorted.
    fn list_dirs(&self) -> Result<Vec<String>, DiskError>;

    /// Names of the files of a directory, sorted; none if it does not exist.
    fn list(&self, dir: &str) -> Result<Vec<String>, DiskError>;

    /// Creates a directory unless it exists.
    fn create_dir(&self, dir: &str) -> Result<(), DiskError>;

    /// Removes a directory and its files, durably. No error if there is none.
    fn remove_dir(&self, dir: &str) -> Result<(), DiskError>;

    /// Creates an empty file. Fails if it exists.
    fn create(&self, dir: &str, name: &str) -> Result<Arc<dyn DiskFile>, DiskError>;

    /// Opens a file that exists.
    fn open(&self, dir: &str, name: &str) -> Result<Arc<dyn DiskFile>, DiskError>;

    /// Removes a file.
    fn remove(&self, dir: &str, name: &str) -> Result<(), DiskError>;

    /// Renames a file over another one, or to a new name.
    fn rename(&self, dir: &str, from: &str, to: &str) -> Result<(), DiskError>;

    /// Makes the directory durable: itself, and the names created, renamed and removed in it.
    fn sync_dir(&self, dir: &str) -> Result<(), DiskError>;

    /// Bytes that can still be written; `None` if there is no bound.
    fn available_bytes(&self) -> Result<Option<u64>, DiskError>;
}

/// A failed disk operation; names the file.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// No room left. Nothing was written.
    #[error("disk is full while writing {file}; free space and try again")]
    Full {
        /// The file that could not grow.
        file: String,
    },
    /// No such file.
    #[error("file {file} does not exist")]
    NotFound {
        /// The missing file.
        file: String,
    },
    /// A file of that name is there already.
    #[error("file {file} already exists; remove it first")]
    AlreadyExists {
        /// The file in the way.
        file: String,
    },
    /// A read past the end of a file.
    #[error("file {file} has {length} bytes, a read wants {wanted} at {position}")]
    PastEnd {
        /// The file.
        file: String,
        /// Its length, bytes.
        length: u64,
        /// Where the read begins.
        position: u64,
        /// How many bytes it wants at least.
        wanted: usize,
    },
    /// A sync of this file failed before. Never retried.
    #[error("an earlier sync of {file} failed; stop the replica")]
    SyncFailed {
        /// The file.
        file: String,
    },
    /// The handle belongs to a node that was killed or crashed since.
    #[error("file {file} was opened before the node went down; open the log again")]
    Stale {
        /// The file.
        file: String,
    },
    /// Any other error of the operating system.
    #[error("cannot {action} {file}: {source}")]
    Io {
        /// The file or directory.
        file: String,
        /// What was tried.
        action: &'static str,
        /// The operating system's answer.
        source: io::Error,
    },
}
