//! Arbitrary damage to the files of a log: opening it gives what was synced, or refuses, and never panics.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::sync::Arc;

use bytes::Bytes;
use chronik_log::{
    Disk, DiskFault, Entry, EntryKind, FaultPlan, FileScope, HardState, Index, LogConfig, LogError, MemDisk,
    PartitionLog, Term, UnsyncedPolicy,
};
use proptest::prelude::*;

const SYNCED: u64 = 12;
const WRITTEN: u64 = 18;

#[derive(Clone, Debug)]
enum Damage {
    FlipBits { at: Vec<(u16, u8)> },
    Cut { at: u16 },
    Zero { at: u16, length: u16 },
    Insert { at: u16, garbage: Vec<u8> },
    Remove,
    SwapWithNext,
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        prop::collection::vec((any::<u16>(), 0..8_u8), 1..4).prop_map(|at| Damage::FlipBits { at }),
        any::<u16>().prop_map(|at| Damage::Cut { at }),
        (any::<u16>(), 1..600_u16).prop_map(|(at, length)| Damage::Zero { at, length }),
        (any::<u16>(), prop::collection::vec(any::<u8>(), 1..80))
            .prop_map(|(at, garbage)| Damage::Insert { at, garbage }),
        Just(Damage::Remove),
        Just(Damage::SwapWithNext),
    ]
}

fn config() -> Arc<LogConfig> {
    Arc::new(LogConfig { segment_bytes: 900, ..LogConfig::default() })
}

/// A log of which the first `SYNCED` entries are synced, and known to be by the later ones.
fn written(disk: &MemDisk) -> Vec<Entry> {
    let mut log = PartitionLog::open(Arc::new(disk.clone()), "topic-0", config()).unwrap();
    for index in 1..=WRITTEN {
        let data = common::batch(log.log_end(), 2, 5, &vec![3; 40 + 5 * usize::try_from(index).unwrap()]);
        log.append(&[Entry::new(Index(index), Term(1), EntryKind::Batch, data)]).unwrap();
        log.set_hard_state(HardState { term: Term(1), vote: 1, commit: Index(index) }, true).unwrap();
        if index <= SYNCED {
            log.sync_now().unwrap();
        }
    }
    log.entries(Index(1), Index(WRITTEN + 1), u64::MAX).unwrap()
}

fn content(disk: &MemDisk, name: &str) -> Vec<u8> {
    let file = disk.open("topic-0", name).unwrap();
    let length = usize::try_from(file.len()).unwrap();
    file.read_at(0, length, length).unwrap().to_vec()
}

fn replace(disk: &MemDisk, name: &str, bytes: Vec<u8>) {
    let file = disk.open("topic-0", name).unwrap();
    file.truncate(0).unwrap();
    file.append(&[Bytes::from(bytes)]).unwrap();
}

fn apply(disk: &MemDisk, names: &[String], victim: usize, damage: &Damage) {
    let name = &names[victim];
    let mut bytes = content(disk, name);
    let place = |at: u16| usize::from(at) % bytes.len();
    match damage {
        Damage::FlipBits { at } => {
            for (at, bit) in at {
                let place = usize::from(*at) % bytes.len();
                bytes[place] ^= 1 << bit;
            }
        }
        Damage::Cut { at } => bytes.truncate(place(*at)),
        Damage::Zero { at, length } => {
            let start = place(*at);
            let end = (start + usize::from(*length)).min(bytes.len());
            bytes[start..end].fill(0);
        }
        Damage::Insert { at, garbage } => {
            let start = place(*at);
            bytes.splice(start..start, garbage.iter().copied());
        }
        Damage::Remove => return disk.remove("topic-0", name).unwrap(),
        Damage::SwapWithNext => {
            let other = &names[(victim + 1) % names.len()];
            let other_bytes = content(disk, other);
            replace(disk, other, bytes);
            bytes = other_bytes;
        }
    }
    replace(disk, name, bytes);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_damaged_log_opens_with_all_that_was_synced_or_refuses(
        victim in any::<prop::sample::Index>(),
        damages in prop::collection::vec(damage(), 1..3),
    ) {
        let disk = MemDisk::new();
        let entries = written(&disk);
        let mut names = disk.list("topic-0").unwrap();
        names.retain(|name| name.ends_with(".log"));
        prop_assert!(names.len() > 3);
        let victim = victim.index(names.len());
        for damage in &damages {
            if disk.list("topic-0").unwrap().contains(&names[victim]) && !content(&disk, &names[victim]).is_empty() {
                apply(&disk, &names, victim, damage);
            }
        }
        match PartitionLog::open(Arc::new(disk.clone()), "topic-0", config()) {
            Ok(log) => {
                let last = log.last_index();
                prop_assert!(last >= Index(SYNCED), "synced entries were cut: {last}");
                let read = log.entries(Index(1), last.next(), u64::MAX).unwrap();
                prop_assert_eq!(&read[..], &entries[..read.len()]);
            }
            Err(error) => prop_assert!(matches!(error, LogError::Corrupt { .. }), "{}", error),
        }
    }
}

#[test]
fn a_torn_turn_whose_later_sector_survived_is_cut_and_not_taken_for_damage() {
    let mut holes = 0;
    for seed in 0..400 {
        let disk = MemDisk::new();
        written(&disk);
        disk.crash(UnsyncedPolicy::Torn { seed });
        let log = PartitionLog::open(Arc::new(disk.clone()), "topic-0", config()).unwrap();
        assert!(log.last_index() >= Index(SYNCED), "seed {seed}");
        holes += u32::from(log.recovery().cut_bytes > 0);
    }
    assert!(holes > 20, "only {holes} of the crashes left something to cut");
}

/// A record whose value is a copy of the log's own files, as a backup that somebody produces.
fn copy_of_the_log(disk: &MemDisk) -> Vec<u8> {
    let mut copy = Vec::new();
    for name in disk.list("topic-0").unwrap() {
        copy.extend(content(disk, &name));
    }
    copy
}

#[test]
fn a_payload_that_holds_segments_does_not_turn_a_torn_tail_into_damage() {
    let config = Arc::new(LogConfig::default());
    let mut cut = 0;
    for seed in 0..100 {
        let disk = MemDisk::new();
        let mut log = PartitionLog::open(Arc::new(disk.clone()), "topic-0", Arc::clone(&config)).unwrap();
        let append = |log: &mut PartitionLog, index: u64, term: u64, payload: &[u8]| {
            let end = log.offset_after_index(Index(index - 1)).unwrap();
            let data = common::batch(end, 1, 5, payload);
            log.append(&[Entry::new(Index(index), Term(term), EntryKind::Batch, data)]).unwrap();
        };
        // Every entry calls those before it synced.
        for index in 1..=40 {
            append(&mut log, index, 1, b"short");
            log.sync_now().unwrap();
        }
        let copy = copy_of_the_log(&disk);
        // A new leader replaces them by one that holds a copy of them all.
        append(&mut log, 11, 2, &copy);
        disk.crash(UnsyncedPolicy::Torn { seed });
        let log = PartitionLog::open(Arc::new(disk.clone()), "topic-0", Arc::clone(&config));
        let log = log.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert!(log.last_index() >= Index(10));
        cut += u32::from(log.recovery().cut_bytes > 0);
    }
    assert!(cut > 20, "only {cut} of the crashes tore the copy");
}

fn misdirect_next_read(disk: &MemDisk) {
    let scope = FileScope::everywhere();
    disk.inject(FaultPlan { fault: DiskFault::MisdirectedRead, scope, skip: 0, times: 1 });
}

#[test]
fn a_misdirected_read_answers_the_truth_or_says_that_it_is_damaged() {
    let disk = MemDisk::new();
    let entries = written(&disk);
    let mut log = PartitionLog::open(Arc::new(disk.clone()), "topic-0", config()).unwrap();
    log.trim_tail(0);
    let (mut damaged, mut served) = (0, 0);
    for round in 0..50 {
        for entry in &entries[..WRITTEN as usize - 1] {
            misdirect_next_read(&disk);
            let by_index = log.entries(entry.index, entry.index.next(), u64::MAX);
            misdirect_next_read(&disk);
            let by_offset = log.read(entry.base_offset, entry.next_offset(), 1, true);
            disk.clear_faults();
            match by_index {
                Ok(found) => assert_eq!(found, std::slice::from_ref(entry), "round {round}"),
                Err(error) => assert!(matches!(error, LogError::Corrupt { .. }), "{error}"),
            }
            match by_offset {
                Ok(found) => {
                    served += 1;
                    assert_eq!(found.batches, std::slice::from_ref(&entry.data), "round {round}");
                }
                Err(error) => {
                    damaged += 1;
                    assert!(matches!(error, LogError::Corrupt { .. }), "{error}");
                }
            }
        }
    }
    assert!(damaged > 100, "only {damaged} reads met the fault, {served} did not");
    assert_eq!(log.entries(Index(1), Index(WRITTEN + 1), u64::MAX).unwrap(), entries);
}

#[test]
fn a_misdirected_read_while_opening_loses_nothing_that_was_synced() {
    let mut refused = 0;
    for skip in 0..12 {
        for misdirected in 0..20 {
            let disk = MemDisk::new();
            let entries = written(&disk);
            // The generator of the fault counts how often it was played.
            let file = disk.open("topic-0", "state").unwrap();
            for _ in 0..misdirected {
                misdirect_next_read(&disk);
                file.read_at(0, 1, 1).unwrap();
            }
            let scope = FileScope::everywhere();
            disk.inject(FaultPlan { fault: DiskFault::MisdirectedRead, scope, skip, times: 1 });
            let opened = PartitionLog::open(Arc::new(disk.clone()), "topic-0", config());
            disk.clear_faults();
            match opened {
                Ok(log) => {
                    assert!(log.last_index() >= Index(SYNCED));
                    assert_eq!(log.hard_state().term, Term(1));
                    let read = log.entries(Index(1), log.last_index().next(), u64::MAX).unwrap();
                    assert_eq!(&read[..], &entries[..read.len()]);
                }
                Err(LogError::Corrupt { .. }) => refused += 1,
                Err(error) => panic!("{error}"),
            }
        }
    }
    assert!(refused > 50, "only {refused} openings met the fault");
}

#[test]
fn a_bit_that_flips_in_the_last_sync_is_never_taken_for_a_torn_tail() {
    let disk = MemDisk::new();
    let mut log = PartitionLog::open(Arc::new(disk.clone()), "topic-0", config()).unwrap();
    for index in 1..=3 {
        let data = common::batch(log.log_end(), 2, 5, &[3; 700]);
        log.append(&[Entry::new(Index(index), Term(1), EntryKind::Batch, data)]).unwrap();
        log.sync_now().unwrap();
    }
    disk.crash(UnsyncedPolicy::Drop);
    let last = disk.list("topic-0").unwrap().into_iter().rfind(|name| name.ends_with(".log")).unwrap();
    for byte in 0..disk.file_bytes("topic-0", &last).unwrap() {
        assert!(disk.flip_bit("topic-0", &last, byte, 3));
        let opened = PartitionLog::open(Arc::new(disk.clone()), "topic-0", config());
        assert!(
            matches!(opened, Err(LogError::Corrupt { .. })),
            "byte {byte}: an acknowledged entry was cut"
        );
        assert!(disk.flip_bit("topic-0", &last, byte, 3));
    }
    let log = PartitionLog::open(Arc::new(disk.clone()), "topic-0", config()).unwrap();
    assert_eq!(log.last_index(), Index(3));
}
