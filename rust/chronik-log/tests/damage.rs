//! Arbitrary damage to the files of a log: opening it gives what was synced, or refuses, and never panics.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::sync::Arc;

use bytes::Bytes;
use chronik_log::{
    Disk, Entry, EntryKind, HardState, Index, LogConfig, LogError, MemDisk, PartitionLog, Term,
    UnsyncedPolicy,
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
