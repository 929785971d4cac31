//! A disk in memory that behaves like one: it loses what was not synced when the power goes, keeps it when
//! only the process goes, fills up, fails to sync and rots on request.
//!
//! The cluster keeps a clone of the handle while a node is down. Holds no payload twice: see [`content`].

mod content;
mod tree;

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use self::content::Content;
use self::tree::Tree;
use super::{Disk, DiskError, DiskFile};

/// What becomes of unsynced bytes and names when the machine loses power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnsyncedPolicy {
    /// All of it is lost.
    Drop,
    /// An arbitrary part survives: files are cut anywhere, single sectors are missing, and the names made
    /// since the last directory sync survive up to some point.
    Torn {
        /// Chooses the part; the same seed on the same disk gives the same outcome.
        seed: u64,
    },
    /// All of it survives.
    Keep,
}

/// A disk in memory. Cloning gives another handle to the same disk.
#[derive(Clone, Debug, Default)]
pub struct MemDisk {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    tree: Mutex<Tree>,
    device: Device,
}

/// What all files of the disk share: room, faults, and how often the node went down.
#[derive(Debug)]
struct Device {
    incarnation: AtomicU64,
    used_bytes: AtomicU64,
    quota_bytes: AtomicU64,
    syncs_to_fail: AtomicU32,
    syncs: AtomicU64,
}

impl Default for Device {
    fn default() -> Self {
        Device {
            incarnation: AtomicU64::new(0),
            used_bytes: AtomicU64::new(0),
            quota_bytes: AtomicU64::new(u64::MAX),
            syncs_to_fail: AtomicU32::new(0),
            syncs: AtomicU64::new(0),
        }
    }
}

impl MemDisk {
    /// An empty disk without a quota.
    pub fn new() -> MemDisk {
        MemDisk::default()
    }

    /// The machine loses power. Handles opened before fail from now on.
    pub fn crash(&self, policy: UnsyncedPolicy) {
        self.kill();
        let mut tree = lock(&self.shared.tree);
        match policy {
            UnsyncedPolicy::Keep => {}
            UnsyncedPolicy::Drop => tree.crash_drop(),
            UnsyncedPolicy::Torn { seed } => tree.crash_torn(&mut SplitMix::new(seed)),
        }
        self.shared.device.used_bytes.store(tree.used_bytes(), Ordering::Relaxed);
    }

    /// The process dies, the machine lives: nothing is lost. Handles opened before fail from now on.
    pub fn kill(&self) {
        self.shared.device.incarnation.fetch_add(1, Ordering::Relaxed);
    }

    /// Bounds the bytes in all files, or lifts the bound. Files already there stay.
    pub fn set_quota(&self, bytes: Option<u64>) {
        self.shared.device.quota_bytes.store(bytes.unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// The next `count` file syncs fail, and those files with them until the node restarts.
    pub fn fail_next_syncs(&self, count: u32) {
        self.shared.device.syncs_to_fail.store(count, Ordering::Relaxed);
    }

    /// The medium rots: one bit of a file flips. False if the file has no such byte.
    pub fn flip_bit(&self, dir: &str, name: &str, byte: u64, bit: u8) -> bool {
        let node = lock(&self.shared.tree).find(dir, name);
        node.is_some_and(|node| lock(&node.content).flip_bit(byte, bit))
    }

    /// Length of a file, bytes; `None` if there is none.
    pub fn file_bytes(&self, dir: &str, name: &str) -> Option<u64> {
        let node = lock(&self.shared.tree).find(dir, name)?;
        let length = lock(&node.content).length();
        Some(length)
    }

    /// Bytes in all files.
    pub fn used_bytes(&self) -> u64 {
        self.shared.device.used_bytes.load(Ordering::Relaxed)
    }

    /// Bytes that a power cut would lose.
    pub fn unsynced_bytes(&self) -> u64 {
        lock(&self.shared.tree).unsynced_bytes()
    }

    /// File syncs that succeeded since the disk was made.
    pub fn sync_count(&self) -> u64 {
        self.shared.device.syncs.load(Ordering::Relaxed)
    }

    fn handle(&self, node: Arc<Node>) -> Arc<dyn DiskFile> {
        let incarnation = self.shared.device.incarnation.load(Ordering::Relaxed);
        Arc::new(MemFile { shared: Arc::clone(&self.shared), node, incarnation })
    }
}

impl Disk for MemDisk {
    fn list_dirs(&self) -> Result<Vec<String>, DiskError> {
        Ok(lock(&self.shared.tree).dir_names())
    }

    fn list(&self, dir: &str) -> Result<Vec<String>, DiskError> {
        Ok(lock(&self.shared.tree).file_names(dir))
    }

    fn create_dir(&self, dir: &str) -> Result<(), DiskError> {
        lock(&self.shared.tree).create_dir(dir);
        Ok(())
    }

    fn remove_dir(&self, dir: &str) -> Result<(), DiskError> {
        let freed = lock(&self.shared.tree).remove_dir(dir);
        self.shared.device.used_bytes.fetch_sub(freed, Ordering::Relaxed);
        Ok(())
    }

    fn create(&self, dir: &str, name: &str) -> Result<Arc<dyn DiskFile>, DiskError> {
        let node = lock(&self.shared.tree).create(dir, name)?;
        Ok(self.handle(node))
    }

    fn open(&self, dir: &str, name: &str) -> Result<Arc<dyn DiskFile>, DiskError> {
        let node = lock(&self.shared.tree).find(dir, name);
        let node = node.ok_or_else(|| DiskError::NotFound { file: format!("{dir}/{name}") })?;
        Ok(self.handle(node))
    }

    fn remove(&self, dir: &str, name: &str) -> Result<(), DiskError> {
        let freed = lock(&self.shared.tree).remove(dir, name)?;
        self.shared.device.used_bytes.fetch_sub(freed, Ordering::Relaxed);
        Ok(())
    }

    fn rename(&self, dir: &str, from: &str, to: &str) -> Result<(), DiskError> {
        let freed = lock(&self.shared.tree).rename(dir, from, to)?;
        self.shared.device.used_bytes.fetch_sub(freed, Ordering::Relaxed);
        Ok(())
    }

    fn sync_dir(&self, dir: &str) -> Result<(), DiskError> {
        lock(&self.shared.tree).sync_dir(dir);
        Ok(())
    }

    fn available_bytes(&self) -> Result<Option<u64>, DiskError> {
        let quota = self.shared.device.quota_bytes.load(Ordering::Relaxed);
        Ok((quota != u64::MAX).then(|| quota.saturating_sub(self.used_bytes())))
    }
}

/// A file: its name when it was made, and its bytes.
#[derive(Debug)]
struct Node {
    path: Box<str>,
    content: Mutex<Content>,
}

/// An open file of one life of the node.
#[derive(Debug)]
struct MemFile {
    shared: Arc<Shared>,
    node: Arc<Node>,
    incarnation: u64,
}

impl MemFile {
    fn content(&self) -> Result<MutexGuard<'_, Content>, DiskError> {
        if self.shared.device.incarnation.load(Ordering::Relaxed) != self.incarnation {
            return Err(DiskError::Stale { file: self.node.path.to_string() });
        }
        Ok(lock(&self.node.content))
    }

    /// The content, if it may be written.
    fn writable(&self) -> Result<MutexGuard<'_, Content>, DiskError> {
        let content = self.content()?;
        if content.sync_failed {
            return Err(DiskError::SyncFailed { file: self.node.path.to_string() });
        }
        Ok(content)
    }

    /// Takes room on the disk, or refuses.
    fn reserve(&self, bytes: u64) -> Result<(), DiskError> {
        let device = &self.shared.device;
        let quota = device.quota_bytes.load(Ordering::Relaxed);
        let used = device.used_bytes.fetch_add(bytes, Ordering::Relaxed);
        if bytes > 0 && used.saturating_add(bytes) > quota {
            device.used_bytes.fetch_sub(bytes, Ordering::Relaxed);
            return Err(DiskError::Full { file: self.node.path.to_string() });
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
        let total = pieces.iter().map(Bytes::len).sum::<usize>();
        self.reserve(total as u64)?;
        let position = content.length();
        content.append(pieces, total);
        Ok(position)
    }

    fn write_at(&self, position: u64, bytes: &[u8]) -> Result<(), DiskError> {
        let mut content = self.writable()?;
        // Files written in place are tiny and hold votes: their room counts as reserved, so that elections go
        // on when the disk is full.
        let growth = (position + bytes.len() as u64).saturating_sub(content.length());
        self.shared.device.used_bytes.fetch_add(growth, Ordering::Relaxed);
        content.write_at(position, bytes);
        Ok(())
    }

    fn read_at(&self, position: u64, at_least: usize, at_most: usize) -> Result<Bytes, DiskError> {
        let content = self.content()?;
        content.read(position, at_least, at_most).ok_or_else(|| DiskError::PastEnd {
            file: self.node.path.to_string(),
            length: content.length(),
            position,
            wanted: at_least,
        })
    }

    fn truncate(&self, length: u64) -> Result<(), DiskError> {
        let mut content = self.writable()?;
        let freed = content.length().saturating_sub(length);
        content.truncate(length);
        self.shared.device.used_bytes.fetch_sub(freed, Ordering::Relaxed);
        Ok(())
    }

    fn sync(&self) -> Result<(), DiskError> {
        let mut content = self.writable()?;
        let device = &self.shared.device;
        let fail =
            device.syncs_to_fail.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1));
        if fail.is_ok() {
            content.sync_failed = true;
            return Err(DiskError::SyncFailed { file: self.node.path.to_string() });
        }
        device.syncs.fetch_add(1, Ordering::Relaxed);
        content.sync();
        Ok(())
    }
}

/// A small seeded generator; the core may draw from no other source.
#[derive(Debug)]
struct SplitMix(u64);

impl SplitMix {
    fn new(seed: u64) -> SplitMix {
        SplitMix(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which must not be zero.
    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }
}

/// Every critical section here leaves its data whole, so a panic elsewhere does not spoil it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
