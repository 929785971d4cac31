//! The faults of the disk in memory: each comes when it was planned, hits what it was planned for, and is over.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;

use bytes::Bytes;
use chronik_log::{Disk, DiskError, DiskFault, DiskFile, FaultPlan, FileScope, MemDisk, UnsyncedPolicy};

fn disk_with(names: &[(&str, &str)]) -> MemDisk {
    let disk = MemDisk::new();
    for (dir, name) in names {
        disk.create_dir(dir).unwrap();
        let file = disk.create(dir, name).unwrap();
        file.append(&[Bytes::from((0..=255).cycle().take(2000).collect::<Vec<u8>>())]).unwrap();
        file.sync().unwrap();
        disk.sync_dir(dir).unwrap();
    }
    disk
}

fn next(disk: &MemDisk, fault: DiskFault, scope: FileScope) {
    disk.inject(FaultPlan { fault, scope, skip: 0, times: 1 });
}

fn bytes_of(disk: &MemDisk, dir: &str, name: &str) -> Bytes {
    let file = disk.open(dir, name).unwrap();
    let length = usize::try_from(file.len()).unwrap();
    file.read_at(0, length, length).unwrap()
}

fn is_io<T: std::fmt::Debug>(result: Result<T, DiskError>) -> bool {
    matches!(result, Err(DiskError::Io { .. }))
}

#[test]
fn a_failed_sync_spoils_one_file_until_the_node_restarts() {
    let disk = disk_with(&[("a", "1.log"), ("a", "state"), ("b", "1.log")]);
    next(&disk, DiskFault::Sync, FileScope::everywhere().in_dir("a").ending(".log"));
    let open = |dir, name| disk.open(dir, name).unwrap();
    let (victim, state, other) = (open("a", "1.log"), open("a", "state"), open("b", "1.log"));
    for bystander in [&state, &other] {
        bystander.append(&[Bytes::from_static(b"x")]).unwrap();
        bystander.sync().unwrap();
    }
    victim.append(&[Bytes::from_static(b"x")]).unwrap();
    assert!(is_io(victim.sync()));
    assert!(matches!(victim.sync(), Err(DiskError::SyncFailed { .. })), "a second sync must not lie");
    assert!(matches!(victim.append(&[]), Err(DiskError::SyncFailed { .. })));
    assert_eq!(disk.faults_played(DiskFault::Sync), 1);
    disk.kill();
    disk.open("a", "1.log").unwrap().sync().unwrap();
}

#[test]
fn a_failing_open_read_or_directory_sync_fails_as_often_as_planned() {
    let disk = disk_with(&[("a", "1.log")]);
    next(&disk, DiskFault::Open, FileScope::everywhere());
    let error = disk.open("a", "1.log").unwrap_err();
    assert!(error.to_string().contains("Too many open files"), "{error}");
    next(&disk, DiskFault::Open, FileScope::everywhere());
    assert!(is_io(disk.create("a", "2.log")) && disk.list("a").unwrap() == ["1.log"]);
    let file = disk.open("a", "1.log").unwrap();
    disk.inject(FaultPlan { fault: DiskFault::Read, scope: FileScope::everywhere(), skip: 1, times: 2 });
    let failed: Vec<bool> = (0..4).map(|_| is_io(file.read_at(0, 1, 1))).collect();
    assert_eq!(failed, [false, true, true, false]);
    next(&disk, DiskFault::SyncDir, FileScope::everywhere());
    assert!(is_io(disk.sync_dir("a")));
    disk.sync_dir("a").unwrap();
    next(&disk, DiskFault::Read, FileScope::everywhere());
    disk.clear_faults();
    file.read_at(0, 1, 1).unwrap();
}

#[test]
fn a_failing_write_leaves_half_of_an_append_behind() {
    let disk = disk_with(&[("a", "1.log")]);
    let file = disk.open("a", "1.log").unwrap();
    next(&disk, DiskFault::Write, FileScope::everywhere());
    assert!(is_io(file.append(&[Bytes::from_static(b"abc"), Bytes::from_static(b"def")])));
    assert_eq!((file.len(), disk.used_bytes()), (2003, 2003));
    assert_eq!(bytes_of(&disk, "a", "1.log")[2000..], *b"abc");
    next(&disk, DiskFault::Write, FileScope::everywhere());
    assert!(is_io(file.write_at(0, b"zzz")) && bytes_of(&disk, "a", "1.log")[0] == 0);
}

#[test]
fn a_misdirected_read_answers_with_another_place_and_the_same_one_each_time() {
    let read = || {
        let disk = disk_with(&[("a", "1.log")]);
        let file = disk.open("a", "1.log").unwrap();
        next(&disk, DiskFault::MisdirectedRead, FileScope::everywhere());
        let misdirected = file.read_at(0, 16, 16).unwrap();
        assert_eq!(file.read_at(0, 16, 16).unwrap()[..4], [0, 1, 2, 3]);
        misdirected
    };
    assert_ne!(read()[..4], [0, 1, 2, 3]);
    assert_eq!(read(), read());
}

#[test]
fn power_goes_in_the_middle_of_a_turn() {
    let disk = disk_with(&[("a", "1.log")]);
    let file = disk.open("a", "1.log").unwrap();
    disk.cut_power_after(2);
    file.append(&[Bytes::from_static(b"one")]).unwrap();
    assert!(!disk.power_is_cut());
    disk.create("a", "2.log").unwrap();
    assert!(disk.power_is_cut());
    let stale = |result: Result<(), DiskError>| matches!(result, Err(DiskError::Stale { .. }));
    assert!(stale(file.sync()) && stale(disk.sync_dir("a")) && stale(file.read_at(0, 1, 1).map(|_| ())));
    assert!(stale(disk.open("a", "1.log").map(|_| ())) && stale(disk.list("a").map(|_| ())));
    disk.crash(UnsyncedPolicy::Drop);
    assert!(!disk.power_is_cut());
    assert_eq!(disk.list("a").unwrap(), ["1.log"]);
    assert_eq!(bytes_of(&disk, "a", "1.log").len(), 2000);
}

#[test]
fn a_rename_without_a_directory_sync_is_lost_or_not_but_never_half() {
    let mut outcomes = std::collections::BTreeSet::new();
    for seed in 0..50 {
        let disk = disk_with(&[("a", "old"), ("a", "new")]);
        disk.create("a", "first").unwrap();
        disk.rename("a", "new", "old").unwrap();
        disk.crash(UnsyncedPolicy::Torn { seed });
        outcomes.insert(disk.list("a").unwrap());
    }
    let outcomes: Vec<Vec<String>> = outcomes.into_iter().collect();
    assert_eq!(outcomes, [vec!["first", "new", "old"], vec!["first", "old"], vec!["new", "old"]]);
}

#[test]
fn a_random_bit_flips_among_synced_bytes_and_flips_back() {
    let disk = disk_with(&[("a", "1.log"), ("a", "state"), ("b", "2.log")]);
    disk.open("a", "1.log").unwrap().append(&[Bytes::from(vec![0; 5000])]).unwrap();
    let segments = FileScope::everywhere().ending(".log");
    let mut files = std::collections::BTreeSet::new();
    for seed in 0..200 {
        let flip = disk.flip_random_bit(seed, &segments).unwrap();
        let at = usize::try_from(flip.byte).unwrap();
        assert!(at < 2000 && flip.name.ends_with(".log"), "{flip:?}");
        let flipped = bytes_of(&disk, &flip.dir, &flip.name)[at];
        assert_eq!(u32::from(flipped ^ u8::try_from(at % 256).unwrap()).count_ones(), 1);
        assert!(disk.flip_bit(&flip.dir, &flip.name, flip.byte, flip.bit));
        assert_eq!(disk.flip_random_bit(seed, &segments), Some(flip.clone()));
        assert!(disk.flip_bit(&flip.dir, &flip.name, flip.byte, flip.bit));
        files.insert((flip.dir, flip.name));
    }
    assert_eq!(files.len(), 2);
    assert_eq!(disk.flip_random_bit(0, &FileScope::everywhere().in_dir("c")), None);
}

#[test]
fn a_wiped_disk_is_empty_and_takes_new_files() {
    let disk = disk_with(&[("a", "1.log")]);
    let file: Arc<dyn DiskFile> = disk.open("a", "1.log").unwrap();
    disk.wipe();
    assert!(matches!(file.sync(), Err(DiskError::Stale { .. })));
    assert!(disk.list_dirs().unwrap().is_empty());
    assert_eq!(disk.used_bytes(), 0);
    disk.create_dir("a").unwrap();
    disk.create("a", "1.log").unwrap();
}
