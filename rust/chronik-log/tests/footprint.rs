//! What an idle partition costs in memory: a thousand of them, three times replicated, live in one process.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::sync::Arc;

use bytes::Bytes;
use chronik_log::{Entry, EntryKind, HardState, Index, LogConfig, MemDisk, PartitionLog, Term};

const LOGS: usize = 10_000;

fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split_whitespace().nth(1).unwrap().parse().unwrap();
    pages * 4096
}

#[test]
fn an_idle_partition_is_small() {
    let disk = MemDisk::new();
    let config = Arc::new(LogConfig::default());
    let start = resident_bytes();
    let mut logs: Vec<PartitionLog> = (0..LOGS)
        .map(|at| {
            PartitionLog::open(Arc::new(disk.clone()), &format!("{at:032x}-0"), Arc::clone(&config)).unwrap()
        })
        .collect();
    let empty = resident_bytes();
    for log in &mut logs {
        log.append(&[Entry::new(Index(1), Term(1), EntryKind::Noop, Bytes::new())]).unwrap();
        log.set_hard_state(HardState { term: Term(1), vote: 1, commit: Index(1) }, true).unwrap();
        log.sync_now().unwrap();
    }
    let elected = resident_bytes();
    let (empty, elected) = ((empty - start) / LOGS, (elected - start) / LOGS);
    println!("{empty} bytes per empty log, {elected} with a vote and a no-op, disk included");
    assert!(empty <= 1024, "an empty log takes {empty} bytes");
    assert!(elected <= 4096, "a log with a vote and a no-op takes {elected} bytes, disk included");
}
