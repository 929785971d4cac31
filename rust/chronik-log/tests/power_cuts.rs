//! The power goes between any two operations on the disk: whatever was promised before is there afterwards.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::sync::Arc;

use bytes::Bytes;
use chronik_log::{
    Entry, EntryKind, HardState, Index, LogConfig, LogError, MemDisk, Offset, PartitionLog, Snapshot, Term,
    UnsyncedPolicy,
};

const DIR: &str = "topic-0";
/// Different outcomes of each power cut.
const SEEDS: u64 = 12;

fn open(disk: &MemDisk) -> Result<PartitionLog, LogError> {
    let config = LogConfig { segment_bytes: 700, tail_bytes: 300, ..LogConfig::default() };
    PartitionLog::open(Arc::new(disk.clone()), DIR, Arc::new(config))
}

/// What the log has promised so far, in the order of the promises.
#[derive(Clone, Debug, Default)]
struct Promised {
    hard: HardState,
    first_index: Index,
    /// Entries from `first_index` on that were synced; a truncation takes its part out before it begins.
    entries: Vec<Entry>,
    /// Last entry that may be there without a promise.
    written: Index,
}

/// A log whose life is written down beside it.
struct Life {
    log: PartitionLog,
    promised: Promised,
}

impl Life {
    fn append(&mut self, from: u64, count: u64, term: u64) -> Result<(), LogError> {
        let last = Index(from - 1);
        self.promised.entries.retain(|entry| entry.index <= last);
        let mut end = self.log.offset_after_index(last)?;
        let mut entries = Vec::new();
        for index in from..from + count {
            let data = common::batch(end, 2, 5, &vec![7; 30 + usize::try_from(index).unwrap() * 3]);
            entries.push(Entry::new(Index(index), Term(term), EntryKind::Batch, data));
            end = Offset(end.0 + 2);
        }
        self.promised.written = self.promised.written.max(Index(from + count - 1));
        self.log.append(&entries)
    }

    fn hard_state(&mut self, term: u64, vote: u64, commit: u64) -> Result<(), LogError> {
        let hard = HardState { term: Term(term), vote, commit: Index(commit) };
        self.log.set_hard_state(hard, true)
    }

    fn sync(&mut self) -> Result<(), LogError> {
        self.log.sync_now()?;
        let first = self.log.first_index();
        self.promised.entries = self.log.entries(first, self.log.last_index().next(), u64::MAX)?;
        self.promised.first_index = first;
        self.promised.hard = self.log.hard_state();
        Ok(())
    }

    fn snapshot_at(&self, index: u64) -> Result<Snapshot, LogError> {
        let index = Index(index);
        Ok(Snapshot {
            index,
            term: self.log.term(index)?,
            next_offset: self.log.offset_after_index(index)?,
            log_start: self.log.log_start(),
            conf_state: Bytes::from_static(b"voters"),
            machine: Bytes::from(vec![1; 900]),
            prefix: Bytes::new(),
        })
    }

    /// Everything a log does: rolling, truncation over segments, snapshots, retention, replacement by a snapshot.
    fn run(&mut self) -> Result<(), LogError> {
        self.hard_state(1, 1, 0)?;
        self.append(1, 4, 1)?;
        self.sync()?;
        self.append(5, 8, 1)?;
        self.sync()?;
        self.append(13, 2, 1)?;
        // A sync is under way while its entries are replaced: it says nothing about the new ones.
        let under_way = self.log.take_sync();
        self.append(8, 3, 2)?;
        if let Some(batch) = under_way {
            let done = batch.sync()?;
            self.log.on_synced(done);
        }
        self.hard_state(2, 3, 6)?;
        self.sync()?;
        self.append(11, 6, 2)?;
        self.hard_state(2, 3, 12)?;
        self.sync()?;
        for segment in self.log.segments() {
            if segment.last_index < Index(12) {
                let snapshot = self.snapshot_at(segment.last_index.0)?;
                self.log.save_snapshot(&snapshot)?;
            }
        }
        self.log.set_log_start(Offset(16))?;
        // Dropped entries are promised no more, from before the first of them goes.
        let kept =
            self.log.segments().iter().find(|segment| segment.end_offset > Offset(16)).unwrap().first_index;
        self.promised.entries.retain(|entry| entry.index >= kept);
        self.promised.first_index = kept;
        self.log.drop_segments_below_log_start()?;
        self.append(17, 3, 2)?;
        self.sync()?;
        let ahead = Snapshot {
            index: Index(30),
            term: Term(4),
            next_offset: Offset(100),
            log_start: Offset(100),
            conf_state: Bytes::new(),
            machine: Bytes::from(vec![2; 900]),
            prefix: Bytes::new(),
        };
        self.hard_state(4, 0, 12)?;
        self.sync()?;
        self.promised.entries.clear();
        self.promised.written = Index(30);
        self.log.install_snapshot(&ahead)?;
        self.append(31, 5, 4)?;
        self.sync()
    }
}

/// Runs the life until the power goes after so many changes. What was promised, and whether the life ended before.
fn live(disk: &MemDisk, changes: u64) -> (Promised, bool) {
    let mut life = Life { log: open(disk).unwrap(), promised: Promised::default() };
    disk.cut_power_after(changes);
    let ended = match life.run() {
        Ok(()) => true,
        Err(error) => {
            assert!(disk.power_is_cut(), "after {changes} changes: {error}");
            false
        }
    };
    (life.promised, ended)
}

fn check(log: &PartitionLog, promised: &Promised, context: &str) {
    let hard = log.hard_state();
    assert!(hard.term >= promised.hard.term, "{context}: {hard:?}, promised {promised:?}");
    if hard.term == promised.hard.term {
        assert_eq!(hard.vote, promised.hard.vote, "{context}");
    }
    let (first, last) = (log.first_index(), log.last_index());
    let found = log.entries(first, last.next(), u64::MAX).unwrap();
    for entry in promised.entries.iter().filter(|entry| entry.index >= first) {
        assert!(found.contains(entry), "{context}: entry {} of {first}..={last} is gone", entry.index);
    }
    if let Some(entry) = promised.entries.first().filter(|_| first > promised.first_index) {
        assert!(log.newest_snapshot().unwrap().is_some(), "{context}: {entry:?} went without a snapshot");
    }
    assert!(last <= promised.written.max(Index(35)), "{context}");
    assert!(log.read(log.log_start(), log.log_end(), usize::MAX, true).is_ok(), "{context}");
}

#[test]
fn no_moment_of_a_power_cut_costs_a_promise() {
    let (mut changes, mut cut_tails) = (0, 0);
    loop {
        let (_, ended) = live(&MemDisk::new(), changes);
        for seed in 0..SEEDS {
            let disk = MemDisk::new();
            let (promised, _) = live(&disk, changes);
            let policy = match seed {
                0 => UnsyncedPolicy::Drop,
                1 => UnsyncedPolicy::Keep,
                _ => UnsyncedPolicy::Torn { seed },
            };
            disk.crash(policy);
            let context = format!("power cut after {changes} changes, {policy:?}");
            let mut log = open(&disk).unwrap_or_else(|error| panic!("{context}: {error}"));
            check(&log, &promised, &context);
            cut_tails += u32::from(log.recovery().cut_bytes > 0);
            // The log goes on from there, and a second cut while it opens again loses nothing either.
            let term = Term(log.hard_state().term.0 + 1);
            log.set_hard_state(HardState { term, vote: 2, ..log.hard_state() }, true).unwrap();
            let data = common::batch(log.log_end(), 1, 9, b"after the cut");
            log.append(&[Entry::new(log.last_index().next(), term, EntryKind::Batch, data)]).unwrap();
            log.sync_now().unwrap();
            let last = log.last_index();
            drop(log);
            disk.cut_power_after(seed % 4);
            let _ = open(&disk);
            disk.crash(UnsyncedPolicy::Torn { seed: seed + 100 });
            let log = open(&disk).unwrap_or_else(|error| panic!("{context}, again: {error}"));
            assert_eq!((log.last_index(), log.hard_state().term), (last, term), "{context}, again");
        }
        if ended {
            break;
        }
        changes += 1;
    }
    assert!(changes > 60, "the life took only {changes} changes");
    assert!(cut_tails > 100, "only {cut_tails} openings found a torn tail");
}

/// With its bug planted the scenario fails.
#[cfg(feature = "mutants")]
#[test]
fn power_cuts_kill_their_bugs() {
    use chronik_mutants::Mutant;

    for mutant in [Mutant::SegmentNamesNotSynced, Mutant::CacheNotTruncated] {
        let planted = chronik_mutants::plant(mutant);
        let outcome = std::panic::catch_unwind(no_moment_of_a_power_cut_costs_a_promise);
        drop(planted);
        assert!(outcome.is_err(), "{} survives", mutant.name());
    }
}
