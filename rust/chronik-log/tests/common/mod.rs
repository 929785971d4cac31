//! What the integration tests share: a batch builder and the two disks behind one face.
#![allow(dead_code, unreachable_pub, missing_docs)]

use std::sync::Arc;

use bytes::Bytes;
use chronik_log::{Disk, Entry, EntryKind, FileDisk, Index, MemDisk, Offset, Term, UnsyncedPolicy};
use chronik_wire::batch::BatchBuilder;

/// A record batch of `count` records; the first one carries `payload`.
pub fn batch(base_offset: Offset, count: i32, timestamp: i64, payload: &[u8]) -> Bytes {
    let first = BatchBuilder::new().base_offset(base_offset).record(timestamp, None, Some(payload));
    (1..count).fold(first, |batch, _| batch.record(timestamp, None, None)).build().unwrap()
}

pub fn entry(index: Index, term: Term, kind: EntryKind, data: Bytes) -> Entry {
    Entry::new(index, term, kind, data)
}

/// A disk under test, and what may happen to it while the node is down.
pub enum Backing {
    Memory(MemDisk),
    Files(tempfile::TempDir),
}

impl Backing {
    pub fn files() -> Backing {
        Backing::Files(tempfile::tempdir().unwrap())
    }

    /// The disk as a process that starts now sees it.
    pub fn disk(&self) -> Arc<dyn Disk> {
        match self {
            Backing::Memory(disk) => Arc::new(disk.clone()),
            Backing::Files(root) => Arc::new(FileDisk::open(root.path()).unwrap()),
        }
    }

    /// Loses power, if the disk can; files only see their process die.
    pub fn crash(&self, policy: UnsyncedPolicy) {
        if let Backing::Memory(disk) = self {
            disk.crash(policy);
        }
    }

    pub fn loses_unsynced_bytes(&self) -> bool {
        matches!(self, Backing::Memory(_))
    }
}
