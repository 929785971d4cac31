//! The disks of a cluster's nodes: in memory, where a crash is a method call, or folders of files.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chronik_log::{Disk, DiskError, DiskImage, FileDisk, MemDisk, UnsyncedPolicy};

use parking_lot::Mutex;

use super::error::ClusterError;
use super::options::Unsynced;

/// A node's disk. It outlives the node's restarts.
pub(crate) enum NodeDisk {
    /// In memory.
    Memory(MemDisk),
    /// A folder, locked against a second process while the cluster lives.
    Files {
        /// The disk.
        disk: Arc<dyn Disk>,
        /// Held for its lock only, until the cluster stops.
        lock: Mutex<Option<File>>,
    },
}

impl NodeDisk {
    /// An empty disk in memory.
    pub(crate) fn memory() -> NodeDisk {
        NodeDisk::Memory(MemDisk::new())
    }

    /// The disk in `folder`, created if missing.
    pub(crate) fn files(folder: PathBuf) -> Result<NodeDisk, ClusterError> {
        let (disk, lock) = open_data_dir(&folder)?;
        Ok(NodeDisk::Files { disk, lock: Mutex::new(Some(lock)) })
    }

    /// What replicas use.
    pub(crate) fn handle(&self) -> Arc<dyn Disk> {
        match self {
            NodeDisk::Memory(disk) => Arc::new(disk.clone()),
            NodeDisk::Files { disk, .. } => Arc::clone(disk),
        }
    }

    /// The cluster has stopped: another one may have the folder.
    pub(crate) fn release(&self) {
        if let NodeDisk::Files { lock, .. } = self {
            *lock.lock() = None;
        }
    }

    /// The process died, the machine lives on: unsynced bytes survive.
    pub(crate) fn kill(&self) {
        if let NodeDisk::Memory(disk) = self {
            disk.kill();
        }
    }

    /// Everything on the disk is lost. The folder and its lock stay.
    pub(crate) fn wipe(&self) -> Result<(), DiskError> {
        let disk = self.handle();
        disk.list_dirs()?.iter().try_for_each(|dir| disk.remove_dir(dir))
    }

    /// What is on it now.
    ///
    /// # Errors
    /// It is a folder of files.
    pub(crate) fn image(&self) -> Result<DiskImage, ClusterError> {
        match self {
            NodeDisk::Memory(disk) => Ok(disk.image()),
            NodeDisk::Files { .. } => Err(ClusterError::NotInMemory),
        }
    }

    /// Holds what an image holds from now on.
    ///
    /// # Errors
    /// It is a folder of files.
    pub(crate) fn load(&self, image: &DiskImage) -> Result<(), ClusterError> {
        match self {
            NodeDisk::Memory(disk) => disk.load(image),
            NodeDisk::Files { .. } => return Err(ClusterError::NotInMemory),
        }
        Ok(())
    }

    /// The machine died. Files cannot lose what the operating system has taken: there it is the same as a kill.
    pub(crate) fn crash(&self, unsynced: Unsynced, seed: u64) {
        if let NodeDisk::Memory(disk) = self {
            disk.crash(match unsynced {
                Unsynced::Drop => UnsyncedPolicy::Drop,
                Unsynced::Torn => UnsyncedPolicy::Torn { seed },
                Unsynced::Keep => UnsyncedPolicy::Keep,
            });
        }
    }
}

/// Opens a data directory: creates it, locks it, and returns its disk and the lock, which ends with the file.
pub(crate) fn open_data_dir(folder: &Path) -> Result<(Arc<dyn Disk>, File), ClusterError> {
    let failed =
        |problem: String| ClusterError::DataDirectory { path: folder.display().to_string(), problem };
    fs::create_dir_all(folder)
        .map_err(|error| failed(format!("cannot be created: {error}; pass a directory you may write to")))?;
    let lock = File::create(folder.join("lock"))
        .map_err(|error| failed(format!("cannot be written: {error}; pass a directory you may write to")))?;
    #[cfg(unix)]
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive)
        .map_err(|_| failed("another node uses it; stop that one or pass another directory".to_owned()))?;
    let disk = FileDisk::open(folder).map_err(|error| failed(format!("cannot be opened: {error}")))?;
    Ok((Arc::new(disk), lock))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_directory_has_one_owner() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/node-1");
        let first = open_data_dir(&path).unwrap();
        let second = open_data_dir(&path).err().unwrap();
        assert!(second.to_string().contains("another node uses it"), "{second}");
        drop(first);
        assert!(open_data_dir(&path).is_ok());
    }
}
