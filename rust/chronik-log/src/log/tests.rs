//! Directed tests of one log: each names a promise.

use std::sync::Arc;

use bytes::Bytes;
use chronik_wire::types::Offset;

use crate::testing::{batch, batch_entry, noop};
use crate::{
    Entry, EntryKind, HardState, Index, LogConfig, LogError, MemDisk, PartitionLog, Snapshot, Term,
    UnsyncedPolicy,
};

const DIR: &str = "partition";

fn config(segment_bytes: u64) -> Arc<LogConfig> {
    Arc::new(LogConfig { segment_bytes, index_interval_bytes: 256, tail_bytes: 400, ..LogConfig::default() })
}

fn open(disk: &MemDisk) -> Result<PartitionLog, LogError> {
    PartitionLog::open(Arc::new(disk.clone()), DIR, config(1 << 10))
}

/// A no-op, then batches of 3 records, each with a timestamp of ten times its index.
fn entries(range: std::ops::RangeInclusive<u64>, term: u64) -> Vec<Entry> {
    let entry = |index: u64| {
        if index == 1 { noop(1, term) } else { batch_entry(index, term, offset_of(index).0, 3, &[7; 30]) }
    };
    range.map(entry).collect()
}

fn offset_of(index: u64) -> Offset {
    Offset(i64::try_from(index.saturating_sub(2)).unwrap() * 3)
}

fn filled(disk: &MemDisk, last: u64) -> PartitionLog {
    let mut log = open(disk).unwrap();
    for index in 1..=last {
        log.append(&entries(index..=index, 1)).unwrap();
    }
    log.set_hard_state(HardState { term: Term(1), vote: 1, commit: Index(last) }, true).unwrap();
    log.sync_now().unwrap();
    log
}

fn state_at(log: &PartitionLog, index: u64) -> Snapshot {
    Snapshot {
        index: Index(index),
        term: log.term(Index(index)).unwrap(),
        next_offset: log.offset_after_index(Index(index)).unwrap(),
        log_start: log.log_start(),
        conf_state: Bytes::from_static(b"voters"),
        machine: Bytes::from(format!("state at {index}")),
        prefix: Bytes::new(),
    }
}

#[test]
fn what_was_appended_is_read_by_index_and_by_offset() {
    let disk = MemDisk::new();
    let log = filled(&disk, 60);
    assert!(log.segments().len() > 3, "the log must have rolled");
    assert!(log.tail_bytes() < 1000, "most reads must be cold");
    let expected: Vec<Entry> = log.entries(Index(1), Index(61), u64::MAX).unwrap();
    for (index, entry) in (1..).zip(&expected) {
        let original = &entries(index..=index, 1)[0];
        assert_eq!((entry.index, &entry.data), (Index(index), &original.data));
        assert_eq!(log.offset_after_index(Index(index)).unwrap(), offset_of(index + 1));
        assert_eq!(log.term(Index(index)).unwrap(), Term(1));
    }
    for offset in 0..offset_of(61).0 {
        let index = u64::try_from(offset / 3).unwrap() + 2;
        assert_eq!(log.index_of_offset(Offset(offset)).unwrap(), Index(index));
        let read = log.read(Offset(offset), log.log_end(), 1, true).unwrap();
        assert_eq!(read.batches, [entries(index..=index, 1)[0].data.clone()]);
        assert_eq!(read.next_offset, offset_of(index + 1));
    }
    assert!(matches!(log.entries(Index(1), Index(62), 0), Err(LogError::Unavailable { .. })));
    assert!(matches!(log.index_of_offset(log.log_end()), Err(LogError::OutOfRange { .. })));
    assert!(matches!(log.read(Offset(-1), Offset(5), 1, true), Err(LogError::OutOfRange { .. })));
}

#[test]
fn a_read_stops_at_its_bounds() {
    let disk = MemDisk::new();
    let log = filled(&disk, 60);
    let batch = entries(2..=2, 1)[0].data.len();
    for from in [0, 3, 90, 165] {
        let all = log.read(Offset(from), log.log_end(), usize::MAX, false).unwrap();
        assert_eq!(all.next_offset, log.log_end());
        assert_eq!(all.batches.len(), usize::try_from((177 - from) / 3).unwrap());
        assert_eq!(all.bytes, all.batches.len() * batch);
        let two = log.read(Offset(from), log.log_end(), 2 * batch + 1, false).unwrap();
        assert_eq!(two.batches.len(), 2);
        let none = log.read(Offset(from), log.log_end(), batch - 1, false).unwrap();
        assert_eq!((none.batches.len(), none.next_offset), (0, Offset(from)));
        let below = log.read(Offset(from), Offset(from + 5), usize::MAX, true).unwrap();
        assert_eq!(below.next_offset, Offset(from + 3), "a batch that crosses the bound must not be served");
        let nothing = log.read(Offset(from), Offset(from + 2), usize::MAX, true).unwrap();
        assert!(nothing.batches.is_empty());
    }
    assert!(log.read(log.log_end(), log.log_end(), 10, true).unwrap().batches.is_empty());
}

#[test]
fn a_large_payload_is_shared_and_never_copied() {
    let disk = MemDisk::new();
    let mut log = PartitionLog::open(Arc::new(disk.clone()), DIR, Arc::default()).unwrap();
    let entry = batch_entry(1, 1, 0, 1, &vec![1; 1 << 20]);
    log.append(std::slice::from_ref(&entry)).unwrap();
    let from_tail = log.read(Offset(0), Offset(1), 1, true).unwrap();
    assert_eq!(from_tail.batches[0].as_ptr(), entry.data.as_ptr());
    log.sync_now().unwrap();
    // Opening writes anew what no later entry calls synced.
    let later = Entry { base_offset: Offset(1), ..noop(2, 1) };
    log.append(std::slice::from_ref(&later)).unwrap();
    drop(log);
    let log = PartitionLog::open(Arc::new(disk), DIR, Arc::default()).unwrap();
    let from_disk = log.read(Offset(0), Offset(1), 1, true).unwrap();
    assert_eq!(from_disk.batches[0].as_ptr(), entry.data.as_ptr());
}

#[test]
fn a_conflicting_suffix_is_replaced() {
    let disk = MemDisk::new();
    for cut in 2..=40 {
        let disk = disk.clone();
        let mut log =
            PartitionLog::open(Arc::new(disk.clone()), &format!("cut-{cut}"), config(1 << 10)).unwrap();
        log.append(&entries(1..=40, 1)).unwrap();
        log.sync_now().unwrap();
        let mut new = entries(cut..=cut + 1, 3);
        log.append(&new).unwrap();
        log.sync_now().unwrap();
        for log in [log, PartitionLog::open(Arc::new(disk), &format!("cut-{cut}"), config(1 << 10)).unwrap()]
        {
            assert_eq!(log.last_index(), Index(cut + 1));
            let mut all = entries(1..=cut - 1, 1);
            all.append(&mut new.clone());
            let read = log.entries(Index(1), Index(cut + 2), u64::MAX).unwrap();
            assert!(
                read.iter().zip(&all).all(|(a, b)| (a.term, &a.data) == (b.term, &b.data)),
                "cut at {cut}"
            );
            assert_eq!(log.log_end(), offset_of(cut + 2));
        }
        new.clear();
    }
}

#[test]
#[should_panic(expected = "replaces committed ones")]
fn committed_entries_are_never_replaced() {
    let mut log = filled(&MemDisk::new(), 10);
    let _ = log.append(&entries(10..=10, 2));
}

#[test]
#[should_panic(expected = "leaves a gap")]
fn a_gap_is_never_written() {
    let mut log = filled(&MemDisk::new(), 10);
    let _ = log.append(&entries(12..=12, 2));
}

#[test]
fn an_invalid_batch_is_refused_and_changes_nothing() {
    let mut log = filled(&MemDisk::new(), 10);
    let mut wrong = batch_entry(11, 1, 0, 1, b"wrong offset");
    for data in [wrong.data.clone(), Bytes::from_static(b"no batch")] {
        wrong = Entry::new(Index(11), Term(1), crate::EntryKind::Batch, data);
        assert!(matches!(log.append(&[wrong]), Err(LogError::InvalidEntry { .. })));
        assert_eq!(log.last_index(), Index(10));
    }
    log.append(&entries(11..=11, 1)).unwrap();
}

#[test]
fn synced_entries_and_votes_survive_a_power_cut_and_others_do_not() {
    let disk = MemDisk::new();
    let mut log = filled(&disk, 30);
    log.append(&entries(31..=40, 1)).unwrap();
    log.set_hard_state(HardState { term: Term(9), vote: 3, commit: Index(30) }, true).unwrap();
    assert!(log.dirty() && disk.unsynced_bytes() > 0);
    disk.crash(UnsyncedPolicy::Drop);
    let log = open(&disk).unwrap();
    assert_eq!(log.last_index(), Index(30));
    assert_eq!(log.hard_state(), HardState { term: Term(1), vote: 1, commit: Index(30) });
    assert!(!log.dirty());
}

#[test]
fn a_killed_process_loses_nothing_and_what_it_wrote_is_synced_on_opening() {
    let disk = MemDisk::new();
    let mut log = filled(&disk, 30);
    log.append(&entries(31..=40, 1)).unwrap();
    disk.kill();
    assert!(
        matches!(log.append(&entries(41..=41, 1)), Err(LogError::Disk(_))),
        "an old handle must not write"
    );
    assert_eq!(open(&disk).unwrap().last_index(), Index(40));
    disk.crash(UnsyncedPolicy::Drop);
    assert_eq!(open(&disk).unwrap().last_index(), Index(40));
}

#[test]
fn names_are_lost_without_a_directory_sync() {
    let disk = MemDisk::new();
    let mut log = open(&disk).unwrap();
    log.append(&entries(1..=3, 1)).unwrap();
    disk.crash(UnsyncedPolicy::Drop);
    assert!(crate::Disk::list_dirs(&disk).unwrap().is_empty());
    assert_eq!(open(&disk).unwrap().last_index(), Index(0));
}

#[test]
fn an_empty_log_writes_nothing() {
    let disk = MemDisk::new();
    let log = open(&disk).unwrap();
    assert_eq!((log.first_index(), log.last_index()), (Index(1), Index(0)));
    assert_eq!((log.log_start(), log.log_end()), (Offset(0), Offset(0)));
    assert_eq!(log.term(Index(0)).unwrap(), Term(0));
    assert!(log.snapshot().unwrap().is_none());
    assert!(log.read(Offset(0), Offset(0), 1, true).unwrap().batches.is_empty());
    assert!(crate::Disk::list_dirs(&disk).unwrap().is_empty());
}

#[test]
fn a_full_disk_refuses_the_append_and_recovers_by_itself() {
    for room in (0..4000).step_by(37) {
        let disk = MemDisk::new();
        let mut log = filled(&disk, 10);
        disk.set_quota(Some(disk.used_bytes() + room));
        let used = disk.used_bytes();
        match log.append(&entries(11..=40, 1)) {
            Ok(()) => panic!("thirty entries fitted into {room} bytes"),
            Err(error) => assert!(matches!(error, LogError::DiskFull { .. }), "{error}"),
        }
        assert_eq!((log.last_index(), disk.used_bytes()), (Index(10), used), "room {room}");
        log.set_hard_state(HardState { term: Term(5), vote: 2, commit: Index(10) }, true).unwrap();
        log.sync_now().unwrap();
        disk.set_quota(None);
        log.append(&entries(11..=40, 5)).unwrap();
        log.sync_now().unwrap();
        drop(log);
        assert_eq!(open(&disk).unwrap().last_index(), Index(40));
    }
}

#[test]
fn a_failed_sync_poisons_the_log_until_it_is_opened_anew() {
    let disk = MemDisk::new();
    let mut log = filled(&disk, 10);
    disk.fail_next_syncs(1);
    log.append(&entries(11..=11, 1)).unwrap();
    assert!(log.sync_now().is_err());
    assert!(matches!(log.append(&entries(12..=12, 1)), Err(LogError::Poisoned { .. })));
    let vote = HardState { term: Term(7), vote: 1, commit: Index(10) };
    assert!(matches!(log.set_hard_state(vote, true), Err(LogError::Poisoned { .. })));
    assert_eq!(log.read(Offset(0), Offset(3), 1, true).unwrap().batches.len(), 1, "reads go on");
    disk.crash(UnsyncedPolicy::Drop);
    assert_eq!(open(&disk).unwrap().last_index(), Index(10));
}

#[test]
fn a_batch_synced_on_another_thread_covers_what_was_written_before_it() {
    let disk = MemDisk::new();
    let mut log = filled(&disk, 10);
    log.append(&entries(11..=30, 1)).unwrap();
    let batch = log.take_sync().unwrap();
    assert!(batch.file_count() > 1, "the append must have crossed segments");
    assert!(!log.dirty());
    log.append(&entries(31..=31, 1)).unwrap();
    assert!(log.dirty());
    let done = std::thread::spawn(move || batch.sync()).join().unwrap().unwrap();
    log.on_synced(done);
    disk.crash(UnsyncedPolicy::Drop);
    assert!(open(&disk).unwrap().last_index() >= Index(30));
}

#[test]
fn segments_begun_after_the_first_sync_survive_a_power_cut() {
    let disk = MemDisk::new();
    let mut log = filled(&disk, 10);
    log.append(&entries(11..=60, 1)).unwrap();
    log.sync_now().unwrap();
    disk.crash(UnsyncedPolicy::Drop);
    assert_eq!(open(&disk).unwrap().last_index(), Index(60));
}

#[test]
fn terms_follow_a_suffix_that_is_replaced_twice() {
    let mut log = filled(&MemDisk::new(), 1);
    log.append(&entries(2..=40, 1)).unwrap();
    log.append(&entries(20..=21, 3)).unwrap();
    log.append(&entries(19..=22, 5)).unwrap();
    let term = |index| log.term(Index(index)).unwrap();
    assert_eq!((term(18), term(19), term(20), term(22)), (Term(1), Term(5), Term(5), Term(5)));
}

#[test]
fn a_sync_proves_nothing_that_was_written_after_a_truncation() {
    for seed in 0..200 {
        let disk = MemDisk::new();
        let mut log = filled(&disk, 10);
        log.append(&entries(11..=40, 1)).unwrap();
        let batch = log.take_sync().unwrap();
        log.append(&entries(30..=45, 3)).unwrap();
        log.on_synced(batch.sync().unwrap());
        log.set_hard_state(HardState { term: Term(3), vote: 1, commit: Index(10) }, false).unwrap();
        drop(log);
        disk.crash(UnsyncedPolicy::Torn { seed });
        let opened = open(&disk);
        assert!(opened.is_ok(), "seed {seed}: {opened:?}");
    }
}

#[test]
fn a_flipped_bit_in_a_synced_entry_is_never_cut_away() {
    let disk = MemDisk::new();
    drop(filled(&disk, 30));
    drop(open(&disk).unwrap());
    for name in crate::Disk::list(&disk, DIR).unwrap() {
        for byte in 0..disk.file_bytes(DIR, &name).unwrap() {
            if name == "state" && (72..512).contains(&byte) {
                continue;
            }
            assert!(disk.flip_bit(DIR, &name, byte, 2));
            let opened = open(&disk);
            assert!(matches!(opened, Err(LogError::Corrupt { .. })), "{name} byte {byte}: {opened:?}");
            assert!(disk.flip_bit(DIR, &name, byte, 2));
        }
    }
    assert_eq!(open(&disk).unwrap().last_index(), Index(30));
}

#[test]
fn a_bit_that_flips_under_an_open_log_is_found_by_the_read() {
    let disk = MemDisk::new();
    let log = filled(&disk, 30);
    let name = &crate::Disk::list(&disk, DIR).unwrap()[0];
    let whole = log.read(Offset(0), Offset(3), 1, true).unwrap();
    // Past the segment header, the no-op's header and the batch entry's header.
    disk.flip_bit(DIR, name, 48 + 64 + 64 + 70, 0);
    let damaged = log.read(Offset(0), Offset(3), 1, true);
    assert!(matches!(damaged, Err(LogError::Corrupt { .. })), "{whole:?} became {damaged:?}");
    assert!(matches!(log.entries(Index(2), Index(3), 9), Err(LogError::Corrupt { .. })));
}

#[test]
fn every_cut_of_an_unsynced_tail_recovers_to_a_prefix() {
    let disk = MemDisk::new();
    let mut log = PartitionLog::open(Arc::new(disk.clone()), DIR, Arc::default()).unwrap();
    log.append(&entries(1..=5, 1)).unwrap();
    log.sync_now().unwrap();
    let name = &crate::Disk::list(&disk, DIR).unwrap()[0];
    let synced = disk.file_bytes(DIR, name).unwrap();
    log.append(&entries(6..=8, 1)).unwrap();
    let whole = disk.file_bytes(DIR, name).unwrap();
    let file = crate::Disk::open(&disk, DIR, name).unwrap();
    let bytes = file.read_at(0, usize::try_from(whole).unwrap(), 0).unwrap();
    let each = (whole - synced) / 3;
    let reopen = |content: Bytes| {
        file.truncate(0).unwrap();
        file.append(&[content]).unwrap();
        let opened = PartitionLog::open(Arc::new(disk.clone()), DIR, Arc::default());
        // The next round must not find this opening's proof of what was synced.
        crate::Disk::open(&disk, DIR, "state").unwrap().truncate(0).unwrap();
        opened.map(|log| log.last_index())
    };
    for cut in synced..=whole {
        let last = Index(5 + (cut - synced) / each);
        let prefix = bytes.slice(..usize::try_from(cut).unwrap());
        assert_eq!(reopen(prefix.clone()).unwrap(), last, "cut at {cut}");
        let lost = usize::try_from(whole - cut).unwrap();
        if cut % crate::limits::SECTOR_BYTES == 0 || cut == synced {
            let zeros = Bytes::from([&prefix[..], &vec![0; lost]].concat());
            assert_eq!(reopen(zeros).unwrap(), last, "zeros from {cut} on");
        }
        if lost > 0 {
            let garbage = Bytes::from([&prefix[..], &vec![0xA5; lost]].concat());
            assert!(matches!(reopen(garbage), Err(LogError::Corrupt { .. })), "garbage from {cut} on");
        }
    }
}

#[test]
fn a_synced_log_that_lost_its_end_is_refused() {
    let disk = MemDisk::new();
    drop(filled(&disk, 30));
    drop(open(&disk).unwrap());
    let names = crate::Disk::list(&disk, DIR).unwrap();
    let last = names.iter().rfind(|name| name.ends_with(".log")).unwrap();
    let file = crate::Disk::open(&disk, DIR, last).unwrap();
    file.truncate(file.len() - 1).unwrap();
    assert!(matches!(open(&disk), Err(LogError::Corrupt { .. })));
    crate::Disk::remove(&disk, DIR, last).unwrap();
    assert!(matches!(open(&disk), Err(LogError::Corrupt { .. })));
}

#[test]
fn a_log_without_its_state_file_is_refused() {
    let disk = MemDisk::new();
    drop(filled(&disk, 3));
    crate::Disk::remove(&disk, DIR, "state").unwrap();
    assert!(matches!(open(&disk), Err(LogError::Corrupt { .. })));
}

#[test]
fn retention_drops_whole_segments_once_their_boundary_has_a_snapshot() {
    let disk = MemDisk::new();
    let mut log = filled(&disk, 40);
    let segments = log.segments();
    let target = segments[2].end_offset;
    let now_ms = segments[2].max_timestamp_ms.unwrap() + 101;
    assert_eq!(log.retention_candidate(now_ms, Some(100), None, log.log_end()), Some(target));
    assert_eq!(
        log.retention_candidate(now_ms, Some(100), None, Offset(target.0 - 1)),
        Some(segments[1].end_offset)
    );
    assert_eq!(log.retention_candidate(now_ms, None, None, log.log_end()), None);
    let keep: u64 = segments[3..].iter().map(|segment| segment.size_bytes).sum();
    assert_eq!(log.retention_candidate(0, None, Some(keep), log.log_end()), Some(target));

    log.set_log_start(target).unwrap();
    assert!(matches!(log.read(Offset(0), Offset(3), 1, true), Err(LogError::OutOfRange { .. })));
    assert_eq!(log.drop_segments_below_log_start().unwrap(), 0, "no snapshot, no drop");
    let boundary = log.wants_boundary_snapshot(segments[1].last_index).unwrap();
    assert_eq!(boundary, segments[1].last_index);
    log.save_snapshot(&state_at(&log, boundary.0)).unwrap();
    assert_eq!(log.wants_boundary_snapshot(boundary), Some(segments[2].last_index));
    assert_eq!(log.drop_segments_below_log_start().unwrap(), 2);
    let term = log.term(boundary).unwrap();
    disk.crash(UnsyncedPolicy::Drop);
    for log in [log, open(&disk).unwrap()] {
        assert_eq!(
            (log.first_index(), log.log_start()),
            (boundary.next(), segments[1].end_offset.max(log.log_start()))
        );
        assert_eq!(log.term(boundary).unwrap(), term);
        assert!(matches!(log.term(boundary.prev()), Err(LogError::Compacted { .. })));
        assert!(matches!(log.entries(boundary, boundary.next(), 1), Err(LogError::Compacted { .. })));
    }
    let log = open(&disk).unwrap();
    assert_eq!(log.snapshot().unwrap().unwrap().machine, format!("state at {boundary}"));
    assert_eq!(log.newest_snapshot().unwrap(), log.snapshot().unwrap());
}

#[test]
fn an_expired_active_segment_is_closed_and_dropped() {
    let disk = MemDisk::new();
    let mut log = PartitionLog::open(Arc::new(disk.clone()), DIR, Arc::default()).unwrap();
    log.append(&entries(1..=9, 1)).unwrap();
    log.append(&[noop(10, 1)]).unwrap();
    log.set_hard_state(HardState { term: Term(1), vote: 1, commit: Index(10) }, true).unwrap();
    let candidate = log.retention_candidate(1_000, Some(10), None, log.log_end());
    assert_eq!(candidate, Some(log.log_end()));
    log.set_log_start(log.log_end()).unwrap();
    assert_eq!(log.wants_boundary_snapshot(Index(10)), None);
    assert_eq!(log.drop_segments_below_log_start().unwrap(), 0);
    assert_eq!(log.wants_boundary_snapshot(Index(10)), Some(Index(10)));
    log.save_snapshot(&state_at(&log, 10)).unwrap();
    assert_eq!(log.drop_segments_below_log_start().unwrap(), 1);
    assert_eq!((log.size_bytes(), log.first_index(), log.last_index()), (0, Index(11), Index(10)));
    assert_eq!(log.retention_candidate(i64::MAX, Some(0), Some(0), log.log_end()), None);
    log.append(&[batch_entry(11, 1, log.log_end().0, 2, b"on")]).unwrap();
    log.sync_now().unwrap();
    disk.crash(UnsyncedPolicy::Drop);
    let log = PartitionLog::open(Arc::new(disk), DIR, Arc::default()).unwrap();
    assert_eq!((log.first_index(), log.last_index(), log.log_start()), (Index(11), Index(11), Offset(24)));
}

#[test]
fn an_installed_snapshot_replaces_the_log_and_survives_a_power_cut() {
    let disk = MemDisk::new();
    let mut log = filled(&disk, 20);
    let snapshot = Snapshot {
        index: Index(500),
        term: Term(4),
        next_offset: Offset(900),
        log_start: Offset(100),
        conf_state: Bytes::new(),
        machine: Bytes::from_static(b"machine"),
        prefix: Bytes::new(),
    };
    log.install_snapshot(&snapshot).unwrap();
    disk.crash(UnsyncedPolicy::Drop);
    assert_eq!(log.log_start(), Offset(900), "what the log does not hold is not readable");
    let mut log = open(&disk).unwrap();
    assert_eq!((log.first_index(), log.last_index()), (Index(501), Index(500)));
    assert_eq!((log.log_start(), log.log_end()), (Offset(900), Offset(900)));
    assert_eq!(log.term(Index(500)).unwrap(), Term(4));
    assert_eq!(log.hard_state().commit, Index(500));
    assert_eq!(log.snapshot().unwrap(), Some(snapshot.clone()));
    assert_eq!(log.newest_snapshot().unwrap(), Some(snapshot));
    log.append(&[batch_entry(501, 4, 900, 1, b"next")]).unwrap();
    log.sync_now().unwrap();
    drop(log);
    assert_eq!(open(&disk).unwrap().log_end(), Offset(901));
}

#[test]
fn timestamps_and_epochs_are_looked_up_among_visible_batches() {
    let disk = MemDisk::new();
    let mut log = filled(&disk, 30);
    log.append(&[noop(31, 5)]).unwrap();
    log.append(&[batch_entry(32, 5, log.log_end().0, 1, b"x")]).unwrap();
    let end = log.log_end();
    for (timestamp, index) in [(0, 2), (20, 2), (21, 3), (155, 16), (300, 30), (301, 32)] {
        let found = log.offset_for_timestamp(timestamp, end).unwrap().unwrap();
        let expected = if index == 32 { offset_of(31) } else { offset_of(index) };
        assert_eq!((found.base_offset, found.max_timestamp), (expected, i64::try_from(index).unwrap() * 10));
    }
    assert!(log.offset_for_timestamp(321, end).unwrap().is_none());
    assert!(
        log.offset_for_timestamp(301, offset_of(31)).unwrap().is_none(),
        "uncommitted batches are invisible"
    );
    assert_eq!(log.max_timestamp(end).unwrap().unwrap().max_timestamp, 320);
    for index in 2..30 {
        let visible = offset_of(index + 1);
        let newest = log.max_timestamp(visible).unwrap().unwrap();
        assert_eq!(newest.base_offset, offset_of(index));
    }
    assert!(log.max_timestamp(Offset(0)).unwrap().is_none());
    let epoch = log.epoch_end_offset(Term(3), Index(32)).unwrap().unwrap();
    assert_eq!((epoch.epoch, epoch.end_offset), (Term(1), offset_of(31)));
    let epoch = log.epoch_end_offset(Term(5), Index(31)).unwrap().unwrap();
    assert_eq!((epoch.epoch, epoch.end_offset), (Term(5), offset_of(31)));

    log.set_hard_state(HardState { term: Term(5), vote: 0, commit: Index(32) }, true).unwrap();
    log.set_log_start(Offset(40)).unwrap();
    let first = log.offset_for_timestamp(0, end).unwrap().unwrap();
    assert_eq!(first.base_offset, Offset(39), "the batch that holds the log start counts");
}

#[test]
fn times_in_no_order_are_found_in_many_segments() {
    let disk = MemDisk::new();
    let mut log = open(&disk).unwrap();
    // Later batches are mostly newer, and now and then far older or newer than their neighbours.
    let time_of = |index: u64| (index * 10 + (index * 37 % 100) * 3) as i64;
    let timed = |index: u64| {
        let bytes = batch(offset_of(index + 1).0, 3, time_of(index), &[7; 30]);
        Entry::new(Index(index), Term(1), EntryKind::Batch, bytes)
    };
    (1..=120).for_each(|index| log.append(&[timed(index)]).unwrap());
    log.set_hard_state(HardState { term: Term(1), vote: 1, commit: Index(80) }, true).unwrap();
    log.sync_now().unwrap();
    let check = |log: &PartitionLog, last: u64| {
        assert!(log.segments().len() > 10);
        for time in 0..time_of(last) + 400 {
            let expected = (1..=last).find(|index| time_of(*index) >= time).map(|index| offset_of(index + 1));
            let found = log.offset_for_timestamp(time, log.log_end()).unwrap();
            assert_eq!(found.map(|found| found.base_offset), expected, "time {time}");
        }
    };
    check(&log, 120);
    log.truncate_from(Index(101)).unwrap();
    check(&log, 100);
    (101..=120).for_each(|index| log.append(&[timed(index)]).unwrap());
    log.sync_now().unwrap();
    check(&log, 120);
    drop(log);
    check(&open(&disk).unwrap(), 120);
}

#[test]
fn without_fsync_nothing_is_dirty_and_damage_in_the_middle_is_still_found() {
    let disk = MemDisk::new();
    let config = Arc::new(LogConfig { fsync: false, ..LogConfig::default() });
    let mut log = PartitionLog::open(Arc::new(disk.clone()), DIR, Arc::clone(&config)).unwrap();
    log.append(&entries(1..=5, 1)).unwrap();
    log.set_hard_state(HardState { term: Term(1), vote: 1, commit: Index(5) }, true).unwrap();
    assert!(!log.dirty() && log.take_sync().is_none());
    assert_eq!(disk.sync_count(), 0);
    let name = &crate::Disk::list(&disk, DIR).unwrap()[0];
    let position = 48 + 64 + 64 + 30;
    disk.flip_bit(DIR, name, position, 0);
    let opened = PartitionLog::open(Arc::new(disk.clone()), DIR, Arc::clone(&config));
    assert!(matches!(opened, Err(LogError::Corrupt { .. })));
    disk.flip_bit(DIR, name, position, 0);
    let mut log = PartitionLog::open(Arc::new(disk.clone()), DIR, config).unwrap();
    log.set_config(Arc::default()).unwrap();
    disk.crash(UnsyncedPolicy::Drop);
    assert_eq!(open(&disk).unwrap().last_index(), Index(5), "turning fsync on syncs what was there");
}

#[test]
fn what_a_failed_sync_forgot_is_written_again_when_the_process_restarts() {
    let disk = MemDisk::new();
    let mut log = filled(&disk, 10);
    log.append(&entries(11..=24, 1)).unwrap();
    disk.fail_next_syncs(3);
    assert!(log.sync_now().is_err());
    disk.kill();
    disk.clear_faults();
    // The next life finds the entries and counts them as persisted.
    assert_eq!(open(&disk).unwrap().last_index(), Index(24));
    disk.crash(UnsyncedPolicy::Drop);
    let log = open(&disk).unwrap();
    assert_eq!(log.last_index(), Index(24), "promised, and lost with the power");
    assert_eq!(log.entries(Index(11), Index(25), u64::MAX).unwrap().len(), 14);
}

#[test]
fn a_log_is_destroyed_with_its_directory() {
    let disk = MemDisk::new();
    filled(&disk, 5).destroy().unwrap();
    disk.crash(UnsyncedPolicy::Drop);
    assert!(crate::Disk::list_dirs(&disk).unwrap().is_empty());
    assert_eq!(disk.used_bytes(), 0);
}

#[test]
fn later_entries_prove_what_was_synced_when_the_state_file_does_not() {
    for (damaged, synced_before) in [(3, true), (5, true), (6, false)] {
        let disk = MemDisk::new();
        let mut log = PartitionLog::open(Arc::new(disk.clone()), DIR, Arc::default()).unwrap();
        let mut position_of_damaged = 0;
        for index in 1..=8 {
            if index == damaged {
                position_of_damaged = log.size_bytes();
            }
            log.append(&entries(index..=index, 1)).unwrap();
            if index == 5 {
                log.sync_now().unwrap();
            }
        }
        disk.kill();
        // The sector in which the entry begins is lost from there on, as a power cut before its sync leaves it.
        let name = &crate::Disk::list(&disk, DIR).unwrap()[0];
        let lost = crate::limits::SECTOR_BYTES - position_of_damaged % crate::limits::SECTOR_BYTES;
        let file = crate::Disk::open(&disk, DIR, name).unwrap();
        file.write_at(position_of_damaged, &vec![0; usize::try_from(lost).unwrap()]).unwrap();
        match PartitionLog::open(Arc::new(disk), DIR, Arc::default()) {
            Err(LogError::Corrupt { .. }) if synced_before => {}
            Ok(log) if !synced_before => assert_eq!(log.last_index(), Index(5)),
            other => panic!("damage to entry {damaged} gave {other:?}"),
        }
    }
}

#[test]
fn what_was_written_without_fsync_never_counts_as_synced() {
    let disk = MemDisk::new();
    let lax = Arc::new(LogConfig { segment_bytes: 1 << 10, fsync: false, ..LogConfig::default() });
    let open_lax = || PartitionLog::open(Arc::new(disk.clone()), DIR, Arc::clone(&lax)).unwrap();
    let mut log = open_lax();
    let mut sizes = vec![0];
    for index in 1..=30 {
        log.append(&entries(index..=index, 1)).unwrap();
        sizes.push(log.segments().last().unwrap().size_bytes);
    }
    let mut log = open_lax();
    log.set_hard_state(HardState { term: Term(2), vote: 2, commit: Index(30) }, true).unwrap();

    // The page cache lost the last two entries, and the state file it did not lose claims nothing about them.
    let names = crate::Disk::list(&disk, DIR).unwrap();
    let last = names.iter().rfind(|name| name.ends_with(".log")).unwrap();
    assert!(sizes[28] < sizes[30], "the last entries must share a segment");
    crate::Disk::open(&disk, DIR, last).unwrap().truncate(sizes[28]).unwrap();
    assert_eq!(open_lax().last_index(), Index(28));

    // Opened with fsync, everything there becomes a promise.
    assert_eq!(open(&disk).unwrap().last_index(), Index(28));
    disk.crash(UnsyncedPolicy::Drop);
    assert_eq!(open(&disk).unwrap().last_index(), Index(28));
}

#[test]
fn a_log_whose_first_snapshot_is_gone_is_refused() {
    let disk = MemDisk::new();
    let mut log = filled(&disk, 40);
    let boundary = log.segments()[1].last_index;
    log.save_snapshot(&state_at(&log, boundary.0)).unwrap();
    log.set_log_start(log.segments()[2].end_offset).unwrap();
    assert_eq!(log.drop_segments_below_log_start().unwrap(), 2);
    let names = crate::Disk::list(&disk, DIR).unwrap();
    let snapshot = names.iter().find(|name| name.starts_with("snapshot")).unwrap();
    crate::Disk::remove(&disk, DIR, snapshot).unwrap();
    assert!(matches!(open(&disk), Err(LogError::Corrupt { .. })));
}

/// With its bug planted each of these scenarios fails.
#[cfg(feature = "mutants")]
#[test]
fn the_scenarios_above_kill_their_bugs() {
    use chronik_mutants::Mutant;
    let scenarios: [(Mutant, fn()); 5] = [
        (Mutant::SegmentNamesNotSynced, segments_begun_after_the_first_sync_survive_a_power_cut),
        (Mutant::TermsNotTruncated, terms_follow_a_suffix_that_is_replaced_twice),
        (Mutant::CacheNotTruncated, a_conflicting_suffix_is_replaced),
        (Mutant::DamageTruncated, a_flipped_bit_in_a_synced_entry_is_never_cut_away),
        (Mutant::PayloadsUnverified, a_bit_that_flips_under_an_open_log_is_found_by_the_read),
    ];
    for (mutant, scenario) in scenarios {
        let planted = chronik_mutants::plant(mutant);
        let outcome = std::panic::catch_unwind(scenario);
        drop(planted);
        assert!(outcome.is_err(), "{} survives", mutant.name());
    }
}
