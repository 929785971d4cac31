//! What only the operating system's files can show: real length limits, many pieces, and a second opening.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use bytes::Bytes;
use chronik_log::{
    Disk, DiskError, Entry, EntryKind, FileDisk, Index, LogConfig, LogError, Offset, PartitionLog, Term,
};

const LIMITED_ROOT: &str = "CHRONIK_TEST_LIMITED_ROOT";

#[test]
fn an_append_of_many_pieces_arrives_in_order() {
    let root = tempfile::tempdir().unwrap();
    let disk = FileDisk::open(root.path()).unwrap();
    disk.create_dir("p").unwrap();
    let file = disk.create("p", "f").unwrap();
    let pieces: Vec<Bytes> = (0..5000_u32).map(|n| Bytes::copy_from_slice(&n.to_be_bytes())).collect();
    assert_eq!(file.append(&pieces).unwrap(), 0);
    assert_eq!(file.append(&[Bytes::new(), Bytes::from_static(b"end")]).unwrap(), 20_000);
    file.sync().unwrap();
    let reopened = disk.open("p", "f").unwrap();
    let all = reopened.read_at(0, 20_003, 0).unwrap();
    assert!(all.chunks(4).zip(&pieces).all(|(read, piece)| read == piece.as_ref()));
    assert_eq!(reopened.read_at(19_999, 1, 100).unwrap().len(), 4);
    assert!(matches!(reopened.read_at(20_000, 4, 4), Err(DiskError::PastEnd { .. })));
    reopened.truncate(8).unwrap();
    assert_eq!((reopened.len(), reopened.append(&pieces[..1]).unwrap()), (8, 8));
}

#[test]
fn names_are_told_apart() {
    let root = tempfile::tempdir().unwrap();
    let disk = FileDisk::open(root.path()).unwrap();
    assert!(disk.list("p").unwrap().is_empty());
    disk.create_dir("p").unwrap();
    disk.create_dir("p").unwrap();
    disk.create("p", "a").unwrap();
    assert!(matches!(disk.create("p", "a"), Err(DiskError::AlreadyExists { .. })));
    assert!(matches!(disk.open("p", "b"), Err(DiskError::NotFound { .. })));
    disk.rename("p", "a", "b").unwrap();
    disk.sync_dir("p").unwrap();
    assert_eq!(disk.list("p").unwrap(), ["b"]);
    assert_eq!(disk.list_dirs().unwrap(), ["p"]);
    disk.remove("p", "b").unwrap();
    disk.remove_dir("p").unwrap();
    disk.remove_dir("p").unwrap();
    assert!(disk.list_dirs().unwrap().is_empty());
    assert!(disk.available_bytes().unwrap().is_some());
}

#[test]
fn a_log_in_files_is_read_back_cold() {
    let root = tempfile::tempdir().unwrap();
    let config = Arc::new(LogConfig { segment_bytes: 64 << 10, tail_bytes: 0, ..LogConfig::default() });
    let open = || {
        let disk = Arc::new(FileDisk::open(root.path()).unwrap());
        PartitionLog::open(disk, "topic-0", Arc::clone(&config)).unwrap()
    };
    let mut log = open();
    let payload = vec![9; 3000];
    for index in 1..=200 {
        let batch = common::batch(log.log_end(), 10, i64::try_from(index).unwrap(), &payload);
        log.append(&[Entry::new(Index(index), Term(1), EntryKind::Batch, batch)]).unwrap();
    }
    log.sync_now().unwrap();
    for log in [log, open()] {
        assert!(log.segments().len() > 5);
        let mut offset = Offset(0);
        let mut batches = 0;
        while offset < log.log_end() {
            let read = log.read(offset, log.log_end(), 20_000, true).unwrap();
            assert!(read.bytes <= 20_000 && read.next_offset > offset);
            batches += read.batches.len();
            offset = read.next_offset;
        }
        assert_eq!(batches, 200);
    }
}

/// Runs in a process whose files cannot grow beyond 64 KiB; see the test below.
fn fill_until_refused(root: &Path) {
    let disk = Arc::new(FileDisk::open(root).unwrap());
    let mut log = PartitionLog::open(disk.clone(), "topic-0", Arc::default()).unwrap();
    let refused = loop {
        let batch = common::batch(log.log_end(), 1, 1, &[1; 5000]);
        let entry = Entry::new(log.last_index().next(), Term(1), EntryKind::Batch, batch);
        if let Err(error) = log.append(&[entry]) {
            break error;
        }
    };
    assert!(matches!(refused, LogError::DiskFull { .. }), "{refused}");
    let (last, size) = (log.last_index(), log.size_bytes());
    assert!(last > Index(5));
    let segment = disk.list("topic-0").unwrap().remove(0);
    assert_eq!(
        disk.open("topic-0", &segment).unwrap().len(),
        size,
        "the refused write must leave nothing behind"
    );
    log.sync_now().unwrap();
    drop(log);
    let log = PartitionLog::open(disk, "topic-0", Arc::default()).unwrap();
    assert_eq!((log.last_index(), log.recovery().cut_bytes), (last, 0));
    println!("refused after {last}");
}

#[test]
fn a_file_that_may_not_grow_refuses_the_append_and_keeps_the_log_whole() {
    if let Some(root) = std::env::var_os(LIMITED_ROOT) {
        return fill_until_refused(Path::new(&root));
    }
    let root = tempfile::tempdir().unwrap();
    let program = std::env::current_exe().unwrap();
    let script = "trap '' XFSZ; ulimit -f 64; exec \"$0\" --exact --nocapture \
                  a_file_that_may_not_grow_refuses_the_append_and_keeps_the_log_whole";
    let output = Command::new("bash")
        .args(["-c", script])
        .arg(program)
        .env(LIMITED_ROOT, root.path())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    assert!(told.contains("refused after"), "the limit was never reached: {told}");
}
