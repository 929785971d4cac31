//! A sync that panics, or that no thread ever takes, is a failed one: nobody waits for its report for ever.
#![allow(clippy::unwrap_used, reason = "test code")]

mod harness;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use chronik_log::{Disk, DiskError, DiskFile, MemDisk};
use chronik_replica::*;
use chronik_wire::types::NodeId;
use harness::{KEY, World};

#[test]
fn a_sync_that_panics_or_never_runs_is_a_failed_sync() {
    let abandon: fn(SyncJob) -> SyncReport = |job| job.abandon("no thread");
    let panic: fn(SyncJob) -> SyncReport = SyncJob::run;
    for run in [abandon, panic] {
        let disk = Panicking::default();
        let config = HostConfig { sync: SyncMode::Deferred, ..HostConfig::for_test(NodeId(1)) };
        let counters = Arc::new(ReplicaCounters::default());
        let mut host = Host::new(config, Arc::new(disk.clone()), counters, Arc::new(|| {}));
        let world = World::new(1);
        host.create_replica(world.spec(KEY, TopicSettings::default())).unwrap();
        disk.panics.store(true, Ordering::Relaxed);
        let job = host.turn(1_000).sync.expect("the first term must be synced");
        host.on_synced(run(job));
        let view = host.view(KEY).unwrap();
        assert!(view.stopped, "its promises must not wait for ever");
    }
}

/// A disk whose file syncs panic when told.
#[derive(Clone, Debug, Default)]
struct Panicking {
    disk: MemDisk,
    panics: Arc<AtomicBool>,
}

#[derive(Debug)]
struct PanickingFile {
    file: Arc<dyn DiskFile>,
    panics: Arc<AtomicBool>,
}

impl Panicking {
    fn wrap(&self, file: Result<Arc<dyn DiskFile>, DiskError>) -> Result<Arc<dyn DiskFile>, DiskError> {
        Ok(Arc::new(PanickingFile { file: file?, panics: Arc::clone(&self.panics) }))
    }
}

impl Disk for Panicking {
    fn list_dirs(&self) -> Result<Vec<String>, DiskError> {
        self.disk.list_dirs()
    }
    fn list(&self, dir: &str) -> Result<Vec<String>, DiskError> {
        self.disk.list(dir)
    }
    fn create_dir(&self, dir: &str) -> Result<(), DiskError> {
        self.disk.create_dir(dir)
    }
    fn remove_dir(&self, dir: &str) -> Result<(), DiskError> {
        self.disk.remove_dir(dir)
    }
    fn create(&self, dir: &str, name: &str) -> Result<Arc<dyn DiskFile>, DiskError> {
        self.wrap(self.disk.create(dir, name))
    }
    fn open(&self, dir: &str, name: &str) -> Result<Arc<dyn DiskFile>, DiskError> {
        self.wrap(self.disk.open(dir, name))
    }
    fn remove(&self, dir: &str, name: &str) -> Result<(), DiskError> {
        self.disk.remove(dir, name)
    }
    fn rename(&self, dir: &str, from: &str, to: &str) -> Result<(), DiskError> {
        self.disk.rename(dir, from, to)
    }
    fn sync_dir(&self, dir: &str) -> Result<(), DiskError> {
        self.disk.sync_dir(dir)
    }
    fn available_bytes(&self) -> Result<Option<u64>, DiskError> {
        self.disk.available_bytes()
    }
}

impl DiskFile for PanickingFile {
    fn len(&self) -> u64 {
        self.file.len()
    }
    fn append(&self, pieces: &[Bytes]) -> Result<u64, DiskError> {
        self.file.append(pieces)
    }
    fn write_at(&self, position: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.file.write_at(position, bytes)
    }
    fn read_at(&self, position: u64, at_least: usize, at_most: usize) -> Result<Bytes, DiskError> {
        self.file.read_at(position, at_least, at_most)
    }
    fn truncate(&self, length: u64) -> Result<(), DiskError> {
        self.file.truncate(length)
    }
    fn sync(&self) -> Result<(), DiskError> {
        assert!(!self.panics.load(Ordering::Relaxed), "planted panic");
        self.file.sync()
    }
}
