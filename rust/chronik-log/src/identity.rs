//! Who a disk is: an id drawn when a node first starts on it, and the list of disks its cluster was founded with.
//!
//! A raft member is its disk: votes and acknowledgements are promises about what lies there. A wiped disk under the
//! same node id would break the promises of its predecessor, so membership is not a matter of node ids. This file owns
//! the record and its durability; who may found a cluster, and what a disk outside the list may do, is decided
//! elsewhere. The id is an argument: there is no random source here.
//!
//! The record lies twice in one file, and either copy will do: an older one never says more than the newer one does,
//! and whoever finds itself without the list asks the other members for it. Both damaged: the disk refuses to serve,
//! because a new id would make it a stranger for ever.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use chronik_wire::types::{DirectoryId, NodeId};

use crate::disk::Disk;
use crate::error::LogError;
use crate::limits::IDENTITY_MEMBERS_MAX;

/// The disk of each node that a cluster was founded with.
pub type Members = BTreeMap<NodeId, DirectoryId>;

const DIR: &str = "node";
const FILE: &str = "identity";
const TEMPORARY_FILE: &str = "identity.tmp";

const MAGIC: [u8; 8] = *b"CHRIDEN1";
const MEMBER_BYTES: usize = 4 + 16;
/// Magic, CRC, directory, number of members.
const HEAD_BYTES: usize = 8 + 4 + 16 + 4;
/// Distance of the two copies: more than the largest record, and never in one sector.
const COPY_STRIDE_BYTES: usize = 4096;
const COPIES: usize = 2;

/// The identity of one node's disk.
#[derive(Debug)]
pub struct NodeIdentity {
    disk: Arc<dyn Disk>,
    directory: DirectoryId,
    members: Members,
}

impl NodeIdentity {
    /// Reads the identity of a disk. A disk without one gets `fresh`, durably, before this returns.
    ///
    /// # Errors
    /// The disk fails, or both copies of the record are damaged.
    pub fn open(disk: Arc<dyn Disk>, fresh: DirectoryId) -> Result<NodeIdentity, LogError> {
        if disk.list(DIR)?.iter().any(|name| name == FILE) {
            let (directory, members) = load(&*disk)?;
            return Ok(NodeIdentity { disk, directory, members });
        }
        store(&*disk, fresh, &Members::new())?;
        Ok(NodeIdentity { disk, directory: fresh, members: Members::new() })
    }

    /// The disk's id.
    pub fn directory(&self) -> DirectoryId {
        self.directory
    }

    /// The disks the cluster was founded with; empty until this disk has been told.
    pub fn members(&self) -> &Members {
        &self.members
    }

    /// Writes the list down, durably. It is written once in the life of a disk.
    ///
    /// # Errors
    /// The disk fails; the list counts as not known here then.
    pub fn set_members(&mut self, members: Members) -> Result<(), LogError> {
        assert!(self.members.is_empty(), "a disk is a member of one cluster, from one founding");
        assert!(members.len() <= IDENTITY_MEMBERS_MAX, "the caller keeps to the bound of members");
        store(&*self.disk, self.directory, &members)?;
        self.members = members;
        Ok(())
    }
}

/// Writes the record so that it is there whole, or the former one is.
fn store(disk: &dyn Disk, directory: DirectoryId, members: &Members) -> Result<(), LogError> {
    disk.create_dir(DIR)?;
    if disk.list(DIR)?.iter().any(|name| name == TEMPORARY_FILE) {
        disk.remove(DIR, TEMPORARY_FILE)?;
    }
    let file = disk.create(DIR, TEMPORARY_FILE)?;
    let record = encode(directory, members);
    let gap = Bytes::from(vec![0; COPY_STRIDE_BYTES - record.len()]);
    file.append(&[record.clone(), gap, record])?;
    file.sync()?;
    disk.rename(DIR, TEMPORARY_FILE, FILE)?;
    disk.sync_dir(DIR)?;
    Ok(())
}

fn load(disk: &dyn Disk) -> Result<(DirectoryId, Members), LogError> {
    let file = disk.open(DIR, FILE)?;
    let mut reason = "identity is cut off";
    for copy in 0..COPIES {
        let start = (copy * COPY_STRIDE_BYTES) as u64;
        let length = file.len().saturating_sub(start).min(COPY_STRIDE_BYTES as u64) as usize;
        match decode(file.read_at(start.min(file.len()), length, length)?) {
            Ok(record) => return Ok(record),
            Err(damage) => reason = damage,
        }
    }
    Err(LogError::corrupt(format!("{DIR}/{FILE}"), 0, reason))
}

fn encode(directory: DirectoryId, members: &Members) -> Bytes {
    let mut body = BytesMut::with_capacity(HEAD_BYTES + members.len() * MEMBER_BYTES);
    body.put_u128(directory.0);
    body.put_u32(members.len() as u32);
    for (node, directory) in members {
        body.put_i32(node.0);
        body.put_u128(directory.0);
    }
    let mut out = BytesMut::with_capacity(HEAD_BYTES + body.len());
    out.put_slice(&MAGIC);
    out.put_u32(crc_fast::crc32_iscsi(&body));
    out.put_slice(&body);
    out.freeze()
}

/// Reads one copy, whatever follows it; the reason, if it is none.
fn decode(mut bytes: Bytes) -> Result<(DirectoryId, Members), &'static str> {
    if bytes.len() < HEAD_BYTES {
        return Err("identity is shorter than its head");
    }
    if bytes.split_to(MAGIC.len())[..] != MAGIC {
        return Err("identity has no magic");
    }
    let crc = bytes.get_u32();
    let mut rest = bytes.clone();
    let directory = DirectoryId(rest.get_u128());
    let count = rest.get_u32() as usize;
    let length = HEAD_BYTES - MAGIC.len() - 4 + count.min(IDENTITY_MEMBERS_MAX) * MEMBER_BYTES;
    if count > IDENTITY_MEMBERS_MAX || bytes.len() < length {
        return Err("identity names more members than it holds");
    }
    if crc != crc_fast::crc32_iscsi(&bytes[..length]) {
        return Err("identity does not match its crc");
    }
    let members = (0..count).map(|_| (NodeId(rest.get_i32()), DirectoryId(rest.get_u128()))).collect();
    Ok((directory, members))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{MemDisk, UnsyncedPolicy};

    const FRESH: DirectoryId = DirectoryId(7);

    fn open(disk: &MemDisk, fresh: u128) -> NodeIdentity {
        NodeIdentity::open(Arc::new(disk.clone()), DirectoryId(fresh)).unwrap()
    }

    fn members(count: usize) -> Members {
        (0..count).map(|node| (NodeId(node as i32), DirectoryId(u128::MAX - node as u128))).collect()
    }

    #[test]
    fn an_identity_is_drawn_once_and_survives_a_power_cut() {
        let disk = MemDisk::new();
        assert_eq!(open(&disk, 7).directory(), FRESH);
        disk.crash(UnsyncedPolicy::Drop);
        let mut identity = open(&disk, 8);
        assert_eq!((identity.directory(), identity.members().len()), (FRESH, 0));
        identity.set_members(members(IDENTITY_MEMBERS_MAX)).unwrap();
        disk.crash(UnsyncedPolicy::Drop);
        let identity = open(&disk, 9);
        assert_eq!((identity.directory(), identity.members()), (FRESH, &members(IDENTITY_MEMBERS_MAX)));
    }

    #[test]
    fn a_wiped_disk_is_another_one() {
        let disk = MemDisk::new();
        open(&disk, 7).set_members(members(3)).unwrap();
        for dir in disk.list_dirs().unwrap() {
            disk.remove_dir(&dir).unwrap();
        }
        let identity = open(&disk, 8);
        assert_eq!((identity.directory(), identity.members().len()), (DirectoryId(8), 0));
    }

    #[test]
    fn what_a_crash_left_half_done_is_taken_away() {
        let disk = MemDisk::new();
        let mut identity = open(&disk, 7);
        disk.create(DIR, TEMPORARY_FILE).unwrap();
        identity.set_members(members(2)).unwrap();
        assert_eq!(disk.list(DIR).unwrap(), [FILE]);
        assert_eq!(open(&disk, 8).members(), &members(2));
    }

    #[test]
    fn a_full_disk_leaves_the_former_record() {
        let disk = MemDisk::new();
        let mut identity = open(&disk, 7);
        disk.set_quota(Some(disk.used_bytes()));
        assert!(matches!(identity.set_members(members(3)), Err(LogError::DiskFull { .. })));
        assert!(identity.members().is_empty());
        disk.set_quota(None);
        assert_eq!(open(&disk, 8).directory(), FRESH);
        identity.set_members(members(3)).unwrap();
    }

    #[test]
    fn one_damaged_copy_does_no_harm_and_two_are_reported() {
        let disk = MemDisk::new();
        open(&disk, 7).set_members(members(3)).unwrap();
        let file = disk.open(DIR, FILE).unwrap();
        for (position, done) in [(20, true), (COPY_STRIDE_BYTES as u64 + 20, false)] {
            file.write_at(position, &[0xff]).unwrap();
            let opened = NodeIdentity::open(Arc::new(disk.clone()), DirectoryId(8));
            match opened {
                Ok(identity) => assert!(done && identity.members() == &members(3)),
                Err(error) => assert!(!done && matches!(error, LogError::Corrupt { .. }), "{error}"),
            }
        }
    }

    #[test]
    fn no_damaged_record_is_believed() {
        let record = encode(FRESH, &members(3));
        assert_eq!(decode(record.clone()), Ok((FRESH, members(3))));
        for cut in 0..record.len() {
            assert!(decode(record.slice(..cut)).is_err(), "cut at {cut}");
        }
        for bit in 0..record.len() * 8 {
            let mut bad = record.to_vec();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(Bytes::from(bad)).is_err(), "bit {bit}");
        }
    }
}
