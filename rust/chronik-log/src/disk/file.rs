//! The operating system's files: positioned vectored writes, `fdatasync`, directory syncs.
//!
//! The one module of the core rooms that touches `std::fs`. It decides nothing: when to sync, and what an
//! error means for the replica, is the log's and the edge's business.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, IoSlice};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use super::{Disk, DiskError, DiskFile};
use crate::limits::VECTORED_PIECES_MAX;

/// A directory of the file system that holds one directory per partition.
#[derive(Debug)]
pub struct FileDisk {
    root: PathBuf,
    /// Directories whose own name in the root is not durable yet.
    unsynced_dirs: Mutex<BTreeSet<String>>,
}

impl FileDisk {
    /// Uses `root`, which is created if it does not exist.
    pub fn open(root: &Path) -> Result<FileDisk, DiskError> {
        fs::create_dir_all(root).map_err(|source| failed("create directory", root, source))?;
        // A process that was killed may have left directories whose names are not durable, and does not remember
        // which.
        sync_directory(root)?;
        // The root's own name is nobody else's to make durable, but its parent may be one that refuses.
        if let Some(parent) = root.parent() {
            let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
            let _ = sync_directory(parent);
        }
        Ok(FileDisk { root: root.to_path_buf(), unsynced_dirs: Mutex::default() })
    }

    fn open_path(&self, options: &OpenOptions, path: PathBuf) -> Result<Arc<dyn DiskFile>, DiskError> {
        let file = options.open(&path).map_err(|source| failed("open", &path, source))?;
        let length = file.metadata().map_err(|source| failed("inspect", &path, source))?.len();
        Ok(Arc::new(OsFile {
            file,
            path,
            length: AtomicU64::new(length),
            sync_failed: AtomicBool::new(false),
        }))
    }

    fn names(&self, path: &Path) -> Result<Vec<String>, DiskError> {
        let entries = match fs::read_dir(path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(failed("list", path, source)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|source| failed("list", path, source))?;
            // Names that are not UTF-8 are none of ours.
            names.extend(entry.file_name().into_string());
        }
        names.sort();
        Ok(names)
    }
}

impl Disk for FileDisk {
    fn list_dirs(&self) -> Result<Vec<String>, DiskError> {
        let mut names = self.names(&self.root)?;
        names.retain(|name| self.root.join(name).is_dir());
        Ok(names)
    }

    fn list(&self, dir: &str) -> Result<Vec<String>, DiskError> {
        self.names(&self.root.join(dir))
    }

    fn create_dir(&self, dir: &str) -> Result<(), DiskError> {
        let path = self.root.join(dir);
        match fs::create_dir(&path) {
            Ok(()) => {
                let mut unsynced = self.unsynced_dirs.lock().unwrap_or_else(PoisonError::into_inner);
                unsynced.insert(dir.to_string());
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            Err(source) => Err(failed("create directory", &path, source)),
        }
    }

    fn remove_dir(&self, dir: &str) -> Result<(), DiskError> {
        let path = self.root.join(dir);
        match fs::remove_dir_all(&path) {
            Ok(()) => sync_directory(&self.root),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(source) => Err(failed("remove directory", &path, source)),
        }
    }

    fn create(&self, dir: &str, name: &str) -> Result<Arc<dyn DiskFile>, DiskError> {
        self.open_path(
            OpenOptions::new().read(true).write(true).create_new(true),
            self.root.join(dir).join(name),
        )
    }

    fn open(&self, dir: &str, name: &str) -> Result<Arc<dyn DiskFile>, DiskError> {
        self.open_path(OpenOptions::new().read(true).write(true), self.root.join(dir).join(name))
    }

    fn remove(&self, dir: &str, name: &str) -> Result<(), DiskError> {
        let path = self.root.join(dir).join(name);
        fs::remove_file(&path).map_err(|source| failed("remove", &path, source))
    }

    fn rename(&self, dir: &str, from: &str, to: &str) -> Result<(), DiskError> {
        let path = self.root.join(dir).join(from);
        fs::rename(&path, self.root.join(dir).join(to)).map_err(|source| failed("rename", &path, source))
    }

    fn sync_dir(&self, dir: &str) -> Result<(), DiskError> {
        sync_directory(&self.root.join(dir))?;
        let is_new = {
            let unsynced = self.unsynced_dirs.lock().unwrap_or_else(PoisonError::into_inner);
            unsynced.contains(dir)
        };
        if is_new {
            sync_directory(&self.root)?;
            self.unsynced_dirs.lock().unwrap_or_else(PoisonError::into_inner).remove(dir);
        }
        Ok(())
    }

    fn available_bytes(&self) -> Result<Option<u64>, DiskError> {
        let stat = rustix::fs::statvfs(&self.root)
            .map_err(|error| failed("inspect the file system of", &self.root, error.into()))?;
        Ok(Some(stat.f_bavail.saturating_mul(stat.f_frsize)))
    }
}

/// An open file. Only the shard that owns the log writes; the disk thread syncs beside it.
#[derive(Debug)]
struct OsFile {
    file: File,
    path: PathBuf,
    length: AtomicU64,
    sync_failed: AtomicBool,
}

impl OsFile {
    fn check_writable(&self) -> Result<(), DiskError> {
        if self.sync_failed.load(Ordering::Acquire) {
            return Err(DiskError::SyncFailed { file: self.path.display().to_string() });
        }
        Ok(())
    }

    fn write_pieces(&self, start: u64, pieces: &[Bytes]) -> Result<u64, DiskError> {
        let mut position = start;
        for group in pieces.chunks(VECTORED_PIECES_MAX) {
            let mut slices: Vec<IoSlice<'_>> = group.iter().map(|piece| IoSlice::new(piece)).collect();
            let mut rest = slices.as_mut_slice();
            IoSlice::advance_slices(&mut rest, 0);
            while !rest.is_empty() {
                let written = match rustix::io::pwritev(&self.file, rest, position) {
                    Ok(0) => return Err(failed("append to", &self.path, ErrorKind::WriteZero.into())),
                    Ok(written) => written,
                    Err(rustix::io::Errno::INTR) => continue,
                    Err(error) => return Err(failed("append to", &self.path, error.into())),
                };
                position += written as u64;
                IoSlice::advance_slices(&mut rest, written);
            }
        }
        Ok(position)
    }
}

impl DiskFile for OsFile {
    fn len(&self) -> u64 {
        self.length.load(Ordering::Acquire)
    }

    fn append(&self, pieces: &[Bytes]) -> Result<u64, DiskError> {
        self.check_writable()?;
        let start = self.len();
        match self.write_pieces(start, pieces) {
            Ok(end) => {
                self.length.store(end, Ordering::Release);
                Ok(start)
            }
            Err(error) => {
                // A full disk takes the first part of a write: give it back, so that the append did not happen.
                self.file.set_len(start).map_err(|source| failed("truncate", &self.path, source))?;
                Err(error)
            }
        }
    }

    fn write_at(&self, position: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.check_writable()?;
        self.file.write_all_at(bytes, position).map_err(|source| failed("write", &self.path, source))?;
        self.length.fetch_max(position + bytes.len() as u64, Ordering::AcqRel);
        Ok(())
    }

    fn read_at(&self, position: u64, at_least: usize, at_most: usize) -> Result<Bytes, DiskError> {
        let length = self.len();
        let past_end = || DiskError::PastEnd {
            file: self.path.display().to_string(),
            length,
            position,
            wanted: at_least,
        };
        let available = usize::try_from(length.saturating_sub(position)).unwrap_or(usize::MAX);
        if at_least > available {
            return Err(past_end());
        }
        let mut buffer = vec![0; at_most.max(at_least).min(available)];
        match self.file.read_exact_at(&mut buffer, position) {
            Ok(()) => Ok(Bytes::from(buffer)),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Err(past_end()),
            Err(source) => Err(failed("read", &self.path, source)),
        }
    }

    fn truncate(&self, length: u64) -> Result<(), DiskError> {
        self.check_writable()?;
        self.file.set_len(length).map_err(|source| failed("truncate", &self.path, source))?;
        self.length.store(length, Ordering::Release);
        Ok(())
    }

    fn sync(&self) -> Result<(), DiskError> {
        self.check_writable()?;
        self.file.sync_data().map_err(|source| {
            // The kernel may have dropped the dirty pages: a second fsync would succeed and lie.
            self.sync_failed.store(true, Ordering::Release);
            failed("sync", &self.path, source)
        })
    }
}

fn sync_directory(path: &Path) -> Result<(), DiskError> {
    let directory = File::open(path).map_err(|source| failed("open directory", path, source))?;
    directory.sync_all().map_err(|source| failed("sync directory", path, source))
}

fn failed(action: &'static str, path: &Path, source: io::Error) -> DiskError {
    let file = path.display().to_string();
    match source.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            DiskError::Full { file }
        }
        ErrorKind::NotFound => DiskError::NotFound { file },
        ErrorKind::AlreadyExists => DiskError::AlreadyExists { file },
        _ => DiskError::Io { file, action, source },
    }
}
