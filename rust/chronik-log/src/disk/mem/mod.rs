//! A disk in memory that behaves like one: it loses what was not synced when the power goes, keeps it when
//! only the process goes, fills up, fails to sync and rots on request.
//!
//! The cluster keeps a clone of the handle while a node is down. Holds no payload twice: see [`content`].

mod content;
mod faults;
mod file;
mod random;
mod tree;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use self::faults::Faults;
use self::file::{MemFile, Node};
use self::random::SplitMix;
use self::tree::Tree;
use super::{Disk, DiskError, DiskFile};

pub use self::faults::{DiskFault, FaultPlan, FileScope};

/// What becomes of unsynced bytes and names when the machine loses power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnsyncedPolicy {
    /// All of it is lost.
    Drop,
    /// An arbitrary part survives: any of the unsynced 512-byte sectors, the others read as what was there
    /// before; any length that the file had since its last sync, or on the way there; and the names made since
    /// the last directory sync up to some point.
    Torn {
        /// Chooses the part; the same seed on the same disk gives the same outcome.
        seed: u64,
    },
    /// All of it survives.
    Keep,
}

/// A bit that rotted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BitFlip {
    /// Directory of the file.
    pub dir: String,
    /// Its name.
    pub name: String,
    /// Position in it, bytes.
    pub byte: u64,
    /// Which bit of that byte.
    pub bit: u8,
}

/// Everything that was on a disk at one instant. Shares its bytes with the disk.
#[derive(Debug)]
pub struct DiskImage(Tree);

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
    faults: Faults,
    syncs: AtomicU64,
}

impl Default for Device {
    fn default() -> Self {
        Device {
            incarnation: AtomicU64::new(0),
            used_bytes: AtomicU64::new(0),
            quota_bytes: AtomicU64::new(u64::MAX),
            faults: Faults::default(),
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

    /// The process dies, the machine lives: nothing is lost. Handles opened before fail from now on, and a file
    /// whose sync failed may be written again.
    pub fn kill(&self) {
        self.shared.device.incarnation.fetch_add(1, Ordering::Relaxed);
        self.shared.device.faults.restore_power();
    }

    /// The power goes in the middle of what the node does: `changes` more operations that change the disk succeed,
    /// then every operation fails until [`crash`](Self::crash) says what survived, or [`kill`](Self::kill) that
    /// all did.
    pub fn cut_power_after(&self, changes: u64) {
        self.shared.device.faults.cut_power_after(changes);
    }

    /// Whether a power cut that was announced has come.
    pub fn power_is_cut(&self) -> bool {
        self.shared.device.faults.power_is_cut()
    }

    /// The disk is replaced by an empty one. Handles opened before fail from now on.
    pub fn wipe(&self) {
        self.kill();
        *lock(&self.shared.tree) = Tree::default();
        self.shared.device.used_bytes.store(0, Ordering::Relaxed);
    }

    /// Everything on the disk as of now, synced or not.
    pub fn image(&self) -> DiskImage {
        DiskImage(lock(&self.shared.tree).copy())
    }

    /// The disk holds what an image holds, all of it synced, and nothing else. Handles opened before fail from now on.
    pub fn load(&self, image: &DiskImage) {
        self.kill();
        let mut tree = lock(&self.shared.tree);
        *tree = image.0.copy();
        self.shared.device.used_bytes.store(tree.used_bytes(), Ordering::Relaxed);
    }

    /// Lets an operation fail some time.
    ///
    /// # Panics
    /// If more plans wait than a disk takes.
    pub fn inject(&self, plan: FaultPlan) {
        self.shared.device.faults.inject(plan);
    }

    /// Forgets the plans that were injected, and a power cut that was announced and has not come.
    pub fn clear_faults(&self) {
        self.shared.device.faults.clear();
    }

    /// How often a fault was played since the disk was made.
    pub fn faults_played(&self, fault: DiskFault) -> u64 {
        self.shared.device.faults.played(fault)
    }

    /// Bounds the bytes in all files, or lifts the bound. Files already there stay.
    pub fn set_quota(&self, bytes: Option<u64>) {
        self.shared.device.quota_bytes.store(bytes.unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// The next `count` file syncs fail, and those files with them until the node restarts.
    pub fn fail_next_syncs(&self, count: u32) {
        self.inject(FaultPlan {
            fault: DiskFault::Sync,
            scope: FileScope::everywhere(),
            skip: 0,
            times: count,
        });
    }

    /// The medium rots: one bit of a file flips. False if the file has no such byte.
    pub fn flip_bit(&self, dir: &str, name: &str, byte: u64, bit: u8) -> bool {
        let node = lock(&self.shared.tree).find(dir, name);
        node.is_some_and(|node| lock(&node.content).flip_bit(byte, bit))
    }

    /// The medium rots at a place that `seed` chooses among the synced bytes of the files in `scope`; says where,
    /// or `None` if there is no such byte. [`flip_bit`](Self::flip_bit) with the same place takes it back.
    pub fn flip_random_bit(&self, seed: u64, scope: &FileScope) -> Option<BitFlip> {
        let tree = lock(&self.shared.tree);
        let files: Vec<(String, String, u64)> = tree.synced_bytes(|path| scope.covers(path));
        drop(tree);
        let total: u64 = files.iter().map(|(.., bytes)| bytes).sum();
        let mut random = SplitMix::new(seed);
        let mut byte = (total > 0).then(|| random.below(total))?;
        let bit = (random.below(8) & 7) as u8;
        for (dir, name, bytes) in files {
            if byte < bytes {
                return self.flip_bit(&dir, &name, byte, bit).then_some(BitFlip { dir, name, byte, bit });
            }
            byte -= bytes;
        }
        None
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

    fn faults(&self) -> &Faults {
        &self.shared.device.faults
    }

    fn handle(&self, path: String, node: Arc<Node>) -> Arc<dyn DiskFile> {
        let incarnation = self.shared.device.incarnation.load(Ordering::Relaxed);
        Arc::new(MemFile { shared: Arc::clone(&self.shared), path: path.into(), node, incarnation })
    }
}

impl Disk for MemDisk {
    fn list_dirs(&self) -> Result<Vec<String>, DiskError> {
        self.faults().admit_look("")?;
        Ok(lock(&self.shared.tree).dir_names())
    }

    fn list(&self, dir: &str) -> Result<Vec<String>, DiskError> {
        self.faults().admit_look(dir)?;
        Ok(lock(&self.shared.tree).file_names(dir))
    }

    fn create_dir(&self, dir: &str) -> Result<(), DiskError> {
        self.faults().admit_change(dir)?;
        lock(&self.shared.tree).create_dir(dir);
        Ok(())
    }

    fn remove_dir(&self, dir: &str) -> Result<(), DiskError> {
        self.faults().admit_change(dir)?;
        let freed = lock(&self.shared.tree).remove_dir(dir);
        self.shared.device.used_bytes.fetch_sub(freed, Ordering::Relaxed);
        Ok(())
    }

    fn create(&self, dir: &str, name: &str) -> Result<Arc<dyn DiskFile>, DiskError> {
        let path = format!("{dir}/{name}");
        self.faults().admit_change(&path)?;
        self.faults().check(DiskFault::Open, "open", &path)?;
        let node = lock(&self.shared.tree).create(dir, name)?;
        Ok(self.handle(path, node))
    }

    fn open(&self, dir: &str, name: &str) -> Result<Arc<dyn DiskFile>, DiskError> {
        let path = format!("{dir}/{name}");
        self.faults().admit_look(&path)?;
        self.faults().check(DiskFault::Open, "open", &path)?;
        match lock(&self.shared.tree).find(dir, name) {
            Some(node) => Ok(self.handle(path, node)),
            None => Err(DiskError::NotFound { file: path }),
        }
    }

    fn remove(&self, dir: &str, name: &str) -> Result<(), DiskError> {
        self.faults().admit_change(dir)?;
        let freed = lock(&self.shared.tree).remove(dir, name)?;
        self.shared.device.used_bytes.fetch_sub(freed, Ordering::Relaxed);
        Ok(())
    }

    fn rename(&self, dir: &str, from: &str, to: &str) -> Result<(), DiskError> {
        self.faults().admit_change(dir)?;
        let freed = lock(&self.shared.tree).rename(dir, from, to)?;
        self.shared.device.used_bytes.fetch_sub(freed, Ordering::Relaxed);
        Ok(())
    }

    fn sync_dir(&self, dir: &str) -> Result<(), DiskError> {
        self.faults().admit_change(dir)?;
        self.faults().check(DiskFault::SyncDir, "sync directory", dir)?;
        lock(&self.shared.tree).sync_dir(dir);
        Ok(())
    }

    fn available_bytes(&self) -> Result<Option<u64>, DiskError> {
        let quota = self.shared.device.quota_bytes.load(Ordering::Relaxed);
        Ok((quota != u64::MAX).then(|| quota.saturating_sub(self.used_bytes())))
    }
}

/// Every critical section here leaves its data whole, so a panic elsewhere does not spoil it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
