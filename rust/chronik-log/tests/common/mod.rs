//! What the integration tests share: a batch builder and the two disks behind one face.
#![allow(dead_code, unreachable_pub, missing_docs)]

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use chronik_log::{Disk, Entry, EntryKind, FileDisk, Index, MemDisk, Offset, Term, UnsyncedPolicy};

/// A record batch of `count` records with opaque content.
pub fn batch(base_offset: Offset, count: i32, max_timestamp: i64, payload: &[u8]) -> Bytes {
    let mut out = BytesMut::new();
    out.put_i64(base_offset.0);
    out.put_i32(i32::try_from(61 - 12 + payload.len()).unwrap());
    out.put_i32(0);
    out.put_u8(2);
    out.put_u32(0);
    out.put_i16(0);
    out.put_i32(count - 1);
    out.put_i64(max_timestamp);
    out.put_i64(max_timestamp);
    out.put_i64(-1);
    out.put_i16(-1);
    out.put_i32(-1);
    out.put_i32(count);
    out.put_slice(payload);
    let crc = crc_fast::crc32_iscsi(&out[21..]);
    out[17..21].copy_from_slice(&crc.to_be_bytes());
    out.freeze()
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
