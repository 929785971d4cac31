//! Snapshots: the replica's state as of one index, opaque to the log, and their files.
//!
//! The log wants one per segment boundary, so that the segments before it can be dropped. What a follower
//! that is too far behind installs is therefore small: the state at the truncation point; the retained
//! segments reach it as ordinary entries, and a compacted prefix, which is no entries any more, file by file.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use chronik_wire::types::Offset;

use crate::disk::Disk;
use crate::error::LogError;
use crate::limits::SNAPSHOT_BYTES_MAX;
use crate::{Index, Term};

const MAGIC: [u8; 8] = *b"CHRONSNP";
const HEADER_BYTES: usize = 68;
const PREFIX: &str = "snapshot-";
const SUFFIX: &str = ".bin";

/// Ending of a file that was being written when the node went down.
pub(crate) const TEMPORARY_SUFFIX: &str = ".tmp";

/// A replica's state after it applied the entry at `index`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Last entry that the state covers.
    pub index: Index,
    /// Term of that entry.
    pub term: Term,
    /// Log end after that entry.
    pub next_offset: Offset,
    /// Log start as of that entry.
    pub log_start: Offset,
    /// The group's members; opaque to the log.
    pub conf_state: Bytes,
    /// The state machine: producers, transactions and the like; opaque to the log.
    pub machine: Bytes,
    /// Manifest of the compacted prefix that the log begins with, for a member that has to fetch it. Empty without one,
    /// and in snapshots on disk.
    pub prefix: Bytes,
}

impl Snapshot {
    /// One blob with a CRC, for the disk and for the wire.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(
            HEADER_BYTES + self.conf_state.len() + self.machine.len() + self.prefix.len(),
        );
        out.put_slice(&MAGIC);
        out.put_u32(0);
        out.put_u64(self.index.0);
        out.put_u64(self.term.0);
        out.put_i64(self.next_offset.0);
        out.put_i64(self.log_start.0);
        out.put_u64(self.conf_state.len() as u64);
        out.put_u64(self.machine.len() as u64);
        out.put_u64(self.prefix.len() as u64);
        debug_assert_eq!(out.len(), HEADER_BYTES);
        out.put_slice(&self.conf_state);
        out.put_slice(&self.machine);
        out.put_slice(&self.prefix);
        let crc = crc_fast::crc32_iscsi(&out[12..]);
        out[8..12].copy_from_slice(&crc.to_be_bytes());
        out.freeze()
    }

    /// Reads a blob, sharing its bytes; the reason, if it is none.
    pub fn decode(bytes: &Bytes) -> Result<Snapshot, &'static str> {
        if bytes.len() < HEADER_BYTES {
            return Err("snapshot is shorter than its header");
        }
        if bytes[..8] != MAGIC {
            return Err("snapshot magic is missing");
        }
        if bytes[8..12] != crc_fast::crc32_iscsi(&bytes[12..]).to_be_bytes() {
            return Err("snapshot does not match its crc");
        }
        let mut rest = bytes.slice(12..);
        let index = Index(rest.get_u64());
        let term = Term(rest.get_u64());
        let next_offset = Offset(rest.get_i64());
        let log_start = Offset(rest.get_i64());
        let conf_length = rest.get_u64();
        let machine_length = rest.get_u64();
        let prefix_length = rest.get_u64();
        let lengths = conf_length.checked_add(machine_length).and_then(|sum| sum.checked_add(prefix_length));
        if lengths != Some(rest.len() as u64) {
            return Err("snapshot lengths do not add up");
        }
        let conf_state = rest.split_to(usize::try_from(conf_length).map_err(|_| "snapshot is too large")?);
        let machine = rest.split_to(usize::try_from(machine_length).map_err(|_| "snapshot is too large")?);
        Ok(Snapshot { index, term, next_offset, log_start, conf_state, machine, prefix: rest })
    }
}

/// What stays in memory of a snapshot on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SnapshotMark {
    pub(crate) index: Index,
    pub(crate) term: Term,
    pub(crate) next_offset: Offset,
    pub(crate) log_start: Offset,
}

impl From<&Snapshot> for SnapshotMark {
    fn from(snapshot: &Snapshot) -> Self {
        SnapshotMark {
            index: snapshot.index,
            term: snapshot.term,
            next_offset: snapshot.next_offset,
            log_start: snapshot.log_start,
        }
    }
}

pub(crate) fn file_name(index: Index) -> String {
    format!("{PREFIX}{:020}{SUFFIX}", index.0)
}

pub(crate) fn parse_file_name(name: &str) -> Option<Index> {
    name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?.parse().ok().map(Index)
}

/// Writes a snapshot so that it is there whole, or not at all.
pub(crate) fn store(disk: &dyn Disk, dir: &str, snapshot: &Snapshot) -> Result<(), LogError> {
    let name = file_name(snapshot.index);
    let temporary = format!("{name}{TEMPORARY_SUFFIX}");
    if disk.list(dir)?.contains(&temporary) {
        disk.remove(dir, &temporary)?;
    }
    let file = disk.create(dir, &temporary)?;
    let written = file.append(&[snapshot.encode()]).and_then(|_| file.sync());
    if let Err(error) = written {
        disk.remove(dir, &temporary)?;
        return Err(error.into());
    }
    disk.rename(dir, &temporary, &name)?;
    disk.sync_dir(dir)?;
    Ok(())
}

/// Reads a snapshot back.
pub(crate) fn load(disk: &dyn Disk, dir: &str, index: Index) -> Result<Snapshot, LogError> {
    let name = file_name(index);
    let file = disk.open(dir, &name)?;
    let damaged = |reason: &str| LogError::corrupt(format!("{dir}/{name}"), 0, reason);
    if file.len() > SNAPSHOT_BYTES_MAX {
        return Err(damaged("snapshot is larger than a snapshot may be"));
    }
    let length = usize::try_from(file.len()).map_err(|_| damaged("snapshot is too large"))?;
    let snapshot = Snapshot::decode(&file.read_at(0, length, length)?).map_err(damaged)?;
    if snapshot.index != index {
        return Err(damaged("snapshot of another index"));
    }
    Ok(snapshot)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::MemDisk;

    fn snapshot() -> Snapshot {
        Snapshot {
            index: Index(40),
            term: Term(3),
            next_offset: Offset(120),
            log_start: Offset(7),
            conf_state: Bytes::from_static(b"voters"),
            machine: Bytes::from_static(b"producers"),
            prefix: Bytes::from_static(b"files"),
        }
    }

    #[test]
    fn a_snapshot_survives_the_round_trip_and_no_damage_does() {
        let bytes = snapshot().encode();
        assert_eq!(Snapshot::decode(&bytes).unwrap(), snapshot());
        for cut in 0..bytes.len() {
            assert!(Snapshot::decode(&bytes.slice(..cut)).is_err());
        }
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.to_vec();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(Snapshot::decode(&Bytes::from(bad)).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_full_disk_leaves_nothing_behind() {
        let disk = MemDisk::new();
        disk.create_dir("p").unwrap();
        disk.set_quota(Some(10));
        assert!(matches!(store(&disk, "p", &snapshot()), Err(LogError::DiskFull { .. })));
        assert!(disk.list("p").unwrap().is_empty());
        disk.set_quota(None);
        store(&disk, "p", &snapshot()).unwrap();
        assert_eq!(load(&disk, "p", Index(40)).unwrap(), snapshot());
        assert_eq!(disk.list("p").unwrap(), [file_name(Index(40))]);
    }
}
