//! One open file of a [`MemDisk`](super::MemDisk): the bytes, the room they take, and the faults that meet them.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;

use super::content::Content;
use super::faults::DiskFault;
use super::{DiskError, DiskFile, Shared, lock};

/// A file's bytes, whatever its name.
#[derive(Debug, Default)]
pub(super) struct Node {
    pub(super) content: Mutex<Content>,
}

/// An open file of one life of the node.
#[derive(Debug)]
pub(super) struct MemFile {
    pub(super) shared: Arc<Shared>,
    /// Directory and name under which it was opened.
    pub(super) path: Box<str>,
    pub(super) node: Arc<Node>,
    pub(super) incarnation: u64,
}

impl MemFile {
    fn content(&self) -> Result<MutexGuard<'_, Content>, DiskError> {
        if self.shared.device.incarnation.load(Ordering::Relaxed) != self.incarnation {
            return Err(DiskError::Stale { file: self.path.to_string() });
        }
        Ok(lock(&self.node.content))
    }

    /// The content, if it may be changed.
    fn writable(&self) -> Result<MutexGuard<'_, Content>, DiskError> {
        let content = self.content()?;
        self.shared.device.faults.admit_change(&self.path)?;
        if content.sync_failed_in == Some(self.incarnation) {
            return Err(DiskError::SyncFailed { file: self.path.to_string() });
        }
        Ok(content)
    }

    fn check(&self, fault: DiskFault, action: &'static str) -> Result<(), DiskError> {
        self.shared.device.faults.check(fault, action, &self.path)
    }

    /// Takes room on the disk, or refuses.
    fn reserve(&self, bytes: u64) -> Result<(), DiskError> {
        let device = &self.shared.device;
        let quota = device.quota_bytes.load(Ordering::Relaxed);
        let used = device.used_bytes.fetch_add(bytes, Ordering::Relaxed);
        if bytes > 0 && used.saturating_add(bytes) > quota {
            device.used_bytes.fetch_sub(bytes, Ordering::Relaxed);
            return Err(DiskError::Full { file: self.path.to_string() });
        }
        Ok(())
    }
}

impl DiskFile for MemFile {
    fn len(&self) -> u64 {
        lock(&self.node.content).length()
    }

    fn append(&self, pieces: &[Bytes]) -> Result<u64, DiskError> {
        let mut content = self.writable()?;
        let position = content.length();
        if let Err(error) = self.check(DiskFault::Write, "append to") {
            let arrived = first_half(pieces);
            self.reserve(arrived.len() as u64)?;
            content.append(std::slice::from_ref(&arrived), arrived.len());
            return Err(error);
        }
        let total = pieces.iter().map(Bytes::len).sum::<usize>();
        self.reserve(total as u64)?;
        content.append(pieces, total);
        Ok(position)
    }

    fn write_at(&self, position: u64, bytes: &[u8]) -> Result<(), DiskError> {
        let mut content = self.writable()?;
        self.check(DiskFault::Write, "write")?;
        // Files written in place are tiny and hold votes: their room counts as reserved, so that elections go
        // on when the disk is full.
        let growth = (position + bytes.len() as u64).saturating_sub(content.length());
        self.shared.device.used_bytes.fetch_add(growth, Ordering::Relaxed);
        content.write_at(position, bytes);
        Ok(())
    }

    fn read_at(&self, position: u64, at_least: usize, at_most: usize) -> Result<Bytes, DiskError> {
        let content = self.content()?;
        let device = &self.shared.device;
        device.faults.admit_look(&self.path)?;
        self.check(DiskFault::Read, "read")?;
        let past_end = || DiskError::PastEnd {
            file: self.path.to_string(),
            length: content.length(),
            position,
            wanted: at_least,
        };
        // A read of this length may begin at any of so many places.
        let places = (content.length() + 1).checked_sub(at_least as u64).ok_or_else(past_end)?;
        let misdirected = (places > 1 && position < places)
            .then(|| device.faults.draw(DiskFault::MisdirectedRead, &self.path))
            .flatten();
        let from =
            misdirected.map_or(position, |mut random| (position + 1 + random.below(places - 1)) % places);
        content.read(from, at_least, at_most).ok_or_else(past_end)
    }

    fn truncate(&self, length: u64) -> Result<(), DiskError> {
        let mut content = self.writable()?;
        self.check(DiskFault::Write, "truncate")?;
        let freed = content.length().saturating_sub(length);
        content.truncate(length);
        self.shared.device.used_bytes.fetch_sub(freed, Ordering::Relaxed);
        Ok(())
    }

    fn sync(&self) -> Result<(), DiskError> {
        let mut content = self.writable()?;
        let device = &self.shared.device;
        if let Err(error) = self.check(DiskFault::Sync, "sync") {
            content.sync_failed_in = Some(self.incarnation);
            content.fail_sync();
            return Err(error);
        }
        device.syncs.fetch_add(1, Ordering::Relaxed);
        content.sync();
        Ok(())
    }
}

/// What a write that breaks off leaves behind.
fn first_half(pieces: &[Bytes]) -> Bytes {
    let mut whole = pieces.concat();
    whole.truncate(whole.len() / 2);
    Bytes::from(whole)
}
