//! A compacted prefix on its way from another member, piece by piece.
//!
//! Its files carry names that do not count until all of them are whole and a snapshot is installed that needs them.

use std::sync::Arc;

use bytes::Bytes;
use chronik_wire::types::Offset;
use crc_fast::{CrcAlgorithm, Digest};

use super::manifest::{FileMark, Manifest, file_name, segment_id};
use super::prefix::{Prefix, PrefixFile, scan};
use crate::disk::{Disk, DiskError, DiskFile};
use crate::error::LogError;
use crate::reader::ReadFault;
use crate::segment::Segment;
use crate::snapshot::TEMPORARY_SUFFIX;

/// A byte of a compacted prefix: which prefix, which of its files, where in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrefixPlace {
    /// Where the prefix ends.
    pub up_to: Offset,
    /// Below this offset it holds no tombstone.
    pub tombstones_below: Offset,
    /// Number of the file.
    pub file: u32,
    /// Position in the file, bytes.
    pub position: u64,
}

/// What has come of a prefix so far.
pub(crate) struct Incoming {
    pub(crate) manifest: Manifest,
    /// The file that is being received, by its place in the manifest.
    at: usize,
    position: u64,
    open: Option<(Arc<dyn DiskFile>, Digest)>,
    /// The files that are whole, in the order of the manifest.
    files: Vec<PrefixFile>,
}

impl std::fmt::Debug for Incoming {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Incoming(up to {}: file {} at {})", self.manifest.up_to, self.at, self.position)
    }
}

impl Incoming {
    pub(crate) fn new(manifest: Manifest) -> Incoming {
        Incoming { manifest, at: 0, position: 0, open: None, files: Vec::new() }
    }

    /// What is needed next; `None` if everything is there.
    pub(crate) fn wants(&self) -> Option<PrefixPlace> {
        let file = self.manifest.files.get(self.at)?;
        let (up_to, tombstones_below) = self.manifest.id();
        Some(PrefixPlace { up_to, tombstones_below, file: file.number, position: self.position })
    }

    /// Name under which the file at `at` is received.
    pub(crate) fn temporary_name(&self, at: usize) -> Option<String> {
        let file = self.manifest.files.get(at)?;
        Some(format!("{}{TEMPORARY_SUFFIX}", file_name(self.manifest.id(), file.number)))
    }

    /// The whole prefix; `None` if something is missing.
    pub(crate) fn into_prefix(self) -> Option<Prefix> {
        let whole = self.wants().is_none() && self.files.len() == self.manifest.files.len();
        whole.then_some(Prefix { manifest: self.manifest, files: self.files })
    }

    /// Takes the bytes at the place that was wanted. False if they are not what the manifest says: the file is fetched
    /// again from its beginning.
    pub(crate) fn take(
        &mut self,
        disk: &dyn Disk,
        dir: &str,
        bytes: Bytes,
        interval: u32,
    ) -> Result<bool, LogError> {
        let (Some(mark), Some(name)) =
            (self.manifest.files.get(self.at).copied(), self.temporary_name(self.at))
        else {
            return Ok(true);
        };
        let rest = mark.size_bytes.saturating_sub(self.position);
        if bytes.is_empty() || bytes.len() as u64 > rest {
            return Ok(self.begin_file_again(disk, dir, &name));
        }
        let (file, digest) = match &mut self.open {
            Some(open) => open,
            none => none.insert((create(disk, dir, &name)?, Digest::new(CrcAlgorithm::Crc32Iscsi))),
        };
        digest.update(&bytes);
        self.position += bytes.len() as u64;
        file.append(&[bytes])?;
        if self.position < mark.size_bytes {
            return Ok(true);
        }
        let intact = digest.finalize() as u32 == mark.crc;
        let file = Arc::clone(file);
        file.sync()?;
        match self.index(file, &mark, interval)? {
            Some(segment) if intact => {
                self.files.push(PrefixFile { mark, segment });
                (self.at, self.position, self.open) = (self.at + 1, 0, None);
                Ok(true)
            }
            _ => Ok(self.begin_file_again(disk, dir, &name)),
        }
    }

    /// Checks a file that has come whole and builds its index; `None` if it is not what belongs there.
    fn index(
        &self,
        file: Arc<dyn DiskFile>,
        mark: &FileMark,
        interval: u32,
    ) -> Result<Option<Segment>, LogError> {
        let begins_after = self.files.last().map_or(Offset::ZERO, |file| file.segment.end_offset);
        match scan(file, segment_id(self.manifest.id(), mark.number), mark, begins_after, interval) {
            Ok(segment) => {
                let is_last = self.at + 1 == self.manifest.files.len();
                Ok(Some(segment).filter(|segment| !is_last || segment.end_offset == self.manifest.up_to))
            }
            Err((_, ReadFault::Damaged(_))) => Ok(None),
            Err((_, ReadFault::Disk(error))) => Err(error.into()),
        }
    }

    fn begin_file_again(&mut self, disk: &dyn Disk, dir: &str, name: &str) -> bool {
        if self.open.take().is_some() {
            // If it cannot be removed, creating it again says so.
            let _ = disk.remove(dir, name);
        }
        self.position = 0;
        false
    }

    /// Removes what has come.
    pub(crate) fn abandon(self, disk: &dyn Disk, dir: &str) {
        let received = self.at + usize::from(self.open.is_some());
        for name in (0..received).filter_map(|at| self.temporary_name(at)) {
            // What cannot be removed now is removed when the log is opened.
            let _ = disk.remove(dir, &name);
        }
    }
}

fn create(disk: &dyn Disk, dir: &str, name: &str) -> Result<Arc<dyn DiskFile>, LogError> {
    match disk.create(dir, name) {
        Err(DiskError::AlreadyExists { .. }) => {
            disk.remove(dir, name)?;
            Ok(disk.create(dir, name)?)
        }
        created => Ok(created?),
    }
}
