//! Compaction against a model, under crashes at every step, and on its way to another member.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use chronik_wire::batch::{BatchBuilder, BatchView, Compression, ControlMarker, Record};
use chronik_wire::types::Offset;
use proptest::prelude::*;

use super::{AbortedRecords, CompactionPlan, CompactionProgress, CompactionRules};
use crate::disk::{DiskFault, FaultPlan, FileScope};
use crate::{
    Entry, EntryKind, HardState, Index, LogConfig, LogError, MemDisk, PartitionLog, Snapshot, Term,
    UnsyncedPolicy,
};

/// One batch as a test describes it.
#[derive(Clone, Debug)]
enum Batch {
    Records {
        codec: Compression,
        records: Vec<(u8, bool)>,
    },
    /// A transaction of a producer of its own, and how it ends.
    Transaction {
        records: Vec<(u8, bool)>,
        commits: bool,
    },
}

fn any_records() -> impl Strategy<Value = Vec<(u8, bool)>> {
    proptest::collection::vec((0_u8..40, proptest::bool::weighted(0.25)), 1..6)
}

fn any_batch() -> impl Strategy<Value = Batch> {
    let codec = proptest::sample::select(&Compression::ALL[..]);
    prop_oneof![
        4 => (codec, any_records()).prop_map(|(codec, records)| Batch::Records { codec, records }),
        1 => (any_records(), any::<bool>())
            .prop_map(|(records, commits)| Batch::Transaction { records, commits }),
    ]
}

/// What was appended: the same at every replica.
#[derive(Default)]
struct History {
    entries: Vec<Entry>,
    end: Offset,
    aborted: Vec<AbortedRecords>,
    /// Offset, key, value and whether the record counts; markers have no key.
    records: Vec<(Offset, Option<u8>, Option<Bytes>, bool)>,
    /// Ends of batches.
    ends: Vec<Offset>,
}

impl History {
    fn of(batches: &[Batch]) -> History {
        let mut history = History::default();
        history.push(EntryKind::Noop, Bytes::new());
        for (number, batch) in (0_i64..).zip(batches) {
            let first = history.end;
            match batch {
                Batch::Records { codec, records } => {
                    history.batch(BatchBuilder::new().compression(*codec), records, true);
                }
                Batch::Transaction { records, commits } => {
                    let producer = 100 + number;
                    let builder = BatchBuilder::new().producer(producer, 0, 0).transactional();
                    history.batch(builder, records, *commits);
                    let marker = if *commits { ControlMarker::Commit } else { ControlMarker::Abort };
                    let last = history.end;
                    history.records.push((last, None, None, true));
                    let builder = BatchBuilder::new().producer(producer, 0, -1).base_offset(last);
                    history.push(EntryKind::Batch, builder.end_transaction(0, marker, 0).build().unwrap());
                    if !commits {
                        history.aborted.push(AbortedRecords { producer_id: producer, first, last });
                    }
                }
            }
            if number % 7 == 3 {
                history.push(EntryKind::Control, Bytes::from_static(b"anything"));
            }
        }
        history
    }

    fn batch(&mut self, builder: BatchBuilder, records: &[(u8, bool)], counts: bool) {
        let mut builder = builder.base_offset(self.end);
        for (at, (key, tombstone)) in (0_i64..).zip(records) {
            let offset = Offset(self.end.0 + at);
            let value = (!tombstone).then(|| Bytes::from(format!("value {key} {offset} {}", "x".repeat(40))));
            builder = builder.record(1_000 + offset.0, Some(&[*key]), value.as_deref());
            self.records.push((offset, Some(*key), value, counts));
        }
        self.push(EntryKind::Batch, builder.build().unwrap());
    }

    fn push(&mut self, kind: EntryKind, data: Bytes) {
        let index = Index(self.entries.len() as u64 + 1);
        let term = Term(1 + index.0 / 20);
        let mut entry = Entry::new(index, term, kind, data);
        entry.base_offset = self.end;
        self.end = entry.next_offset();
        if kind == EntryKind::Batch {
            self.ends.push(self.end);
        }
        self.entries.push(entry);
    }

    /// Offsets of the records that a plan leaves.
    fn left(&self, up_to: Offset, tombstones_below: Offset, log_start: Offset) -> Vec<Offset> {
        let mut newest: BTreeMap<u8, Offset> = BTreeMap::new();
        for (offset, key, _, counts) in &self.records {
            if let (Some(key), true, true) = (key, counts, *offset < up_to) {
                newest.insert(*key, *offset);
            }
        }
        let stays = |(offset, key, value, counts): &&(Offset, Option<u8>, Option<Bytes>, bool)| {
            let compacted = match key {
                Some(key) => {
                    let tombstone_goes = value.is_none() && *offset < tombstones_below;
                    *counts && newest.get(key) == Some(offset) && !tombstone_goes
                }
                None => *offset >= tombstones_below,
            };
            *offset >= log_start && (*offset >= up_to || compacted)
        };
        let mut left: Vec<Offset> = self.records.iter().filter(stays).map(|record| record.0).collect();
        left.dedup();
        left
    }
}

fn config(segment_bytes: u64, tail_bytes: usize) -> Arc<LogConfig> {
    Arc::new(LogConfig { segment_bytes, index_interval_bytes: 200, tail_bytes, ..LogConfig::default() })
}

fn open(disk: &MemDisk, config: &Arc<LogConfig>) -> PartitionLog {
    PartitionLog::open(Arc::new(disk.clone()), "p", Arc::clone(config)).unwrap()
}

/// A log that holds the history up to `until`, committed, with a snapshot at every segment's end.
fn fill(log: &mut PartitionLog, history: &History, until: usize) {
    for entry in &history.entries[..until] {
        if entry.index > log.last_index() {
            log.append(std::slice::from_ref(entry)).unwrap();
            let hard = HardState { term: entry.term, vote: 1, commit: entry.index };
            log.set_hard_state(hard, true).unwrap();
        }
        if let Some(boundary) = log.wants_boundary_snapshot(entry.index.prev()) {
            log.save_snapshot(&snapshot_at(log, boundary)).unwrap();
        }
    }
    log.sync_now().unwrap();
}

fn snapshot_at(log: &PartitionLog, index: Index) -> Snapshot {
    Snapshot {
        index,
        term: log.term(index).unwrap(),
        next_offset: log.offset_after_index(index).unwrap(),
        log_start: log.log_start(),
        conf_state: Bytes::new(),
        machine: Bytes::from_static(b"state"),
        prefix: Bytes::new(),
    }
}

fn compact(log: &mut PartitionLog, history: &History, plan: CompactionPlan) -> Result<bool, LogError> {
    let Some(mut job) = log.begin_compaction(plan, history.aborted.iter().copied())? else {
        return Ok(false);
    };
    loop {
        let before = job.moved_bytes();
        if let CompactionProgress::Done(done) = job.step(300)? {
            return log.finish_compaction(done);
        }
        // Whoever bounds its speed counts on this.
        assert!(job.moved_bytes() >= before + 300, "a step does what it is asked for");
    }
}

/// All batches from the log start, read in portions of `max_bytes`.
fn read_all(log: &PartitionLog, max_bytes: usize) -> Vec<Bytes> {
    let mut batches = Vec::new();
    let mut from = log.log_start();
    while from < log.log_end() {
        let read = log.read(from, log.log_end(), max_bytes, true).unwrap();
        assert!(read.next_offset > from, "a reader at {from} must move on");
        from = read.next_offset;
        batches.extend(read.batches);
    }
    batches
}

fn records(batches: &[Bytes]) -> Vec<Record> {
    let views = batches.iter().map(|batch| BatchView::parse(batch.clone()).unwrap());
    views
        .inspect(|view| view.verify_checksum().unwrap())
        .flat_map(|view| view.records().unwrap())
        .map(Result::unwrap)
        .collect()
}

fn check(log: &PartitionLog, history: &History, plan: Option<CompactionPlan>) {
    let (up_to, tombstones_below) =
        plan.map_or((Offset::ZERO, Offset::ZERO), |plan| (plan.up_to, plan.tombstones_below));
    let first = log.log_start();
    let read: Vec<Record> =
        records(&read_all(log, 700)).into_iter().filter(|record| record.offset >= first).collect();
    let offsets: Vec<Offset> = read.iter().map(|record| record.offset).collect();
    let expected: Vec<Offset> = history
        .left(up_to, tombstones_below, first)
        .into_iter()
        .filter(|offset| *offset < log.log_end())
        .collect();
    assert_eq!(offsets, expected, "up to {up_to}, tombstones below {tombstones_below}");
    for record in read {
        let at = history.records.partition_point(|(offset, ..)| *offset < record.offset);
        let (_, key, value, _) = &history.records[at];
        if let Some(key) = key {
            assert_eq!((record.key.as_deref(), &record.value), (Some(&[*key][..]), value));
            assert_eq!(record.timestamp, 1_000 + record.offset.0);
        }
    }
    check_lookups(log, history, &expected);
}

/// Lookups by time and by epoch know nothing of what is gone, and everything that is left.
fn check_lookups(log: &PartitionLog, history: &History, left: &[Offset]) {
    let data: Vec<Offset> = left
        .iter()
        .copied()
        .filter(|offset| history.records.iter().any(|(known, key, ..)| known == offset && key.is_some()))
        .collect();
    for probe in data.iter().step_by(3) {
        let found = log.offset_for_timestamp(1_000 + probe.0, log.log_end()).unwrap().unwrap();
        let view = BatchView::parse(found.batch).unwrap();
        assert!(found.base_offset <= *probe && view.header().next_offset() > *probe, "time of {probe}");
    }
    if let Some(last) = data.last() {
        let found = log.max_timestamp(log.log_end()).unwrap().unwrap();
        assert!(
            found.base_offset <= *last
                && BatchView::parse(found.batch).unwrap().header().next_offset() > *last
        );
    }
    let applied = log.last_index();
    for epoch in 1..=log.term(applied).unwrap().0 {
        let end = log.epoch_end_offset(Term(epoch), applied).unwrap().unwrap();
        let of_term = history.entries.iter().filter(|entry| entry.term.0 <= epoch && entry.index <= applied);
        let expected = of_term.map(Entry::next_offset).max().unwrap_or_default();
        if expected > log.log_start() {
            assert_eq!((end.epoch, end.end_offset), (Term(epoch), expected), "end of epoch {epoch}");
        }
    }
}

/// Ends of batches at which this log can be compacted, and plans that follow each other.
fn plans(history: &History, shares: &[(usize, usize)]) -> Vec<CompactionPlan> {
    let mut plans: Vec<CompactionPlan> = Vec::new();
    for (reach, expiry) in shares {
        let before = plans.last().copied();
        let (least, bound) =
            before.map_or((Offset::ZERO, Offset::ZERO), |plan| (plan.up_to, plan.tombstones_below));
        let open: Vec<Offset> =
            history.ends.iter().copied().filter(|end| *end >= least && stable(history, *end)).collect();
        let Some(up_to) = open.get(reach * open.len() / 100).copied() else { continue };
        let tombstones_below = if *expiry < 50 { bound } else { least };
        plans.push(CompactionPlan { up_to, tombstones_below, file_bytes: 900 });
    }
    plans
}

/// Whether no transaction is open at an offset.
fn stable(history: &History, end: Offset) -> bool {
    let marker_at =
        |offset: Offset| history.records.iter().any(|(known, key, ..)| *known == offset && key.is_none());
    !marker_at(end)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn replicas_that_compact_differently_read_the_same(
        batches in proptest::collection::vec(any_batch(), 8..60),
        shares in proptest::collection::vec((0_usize..100, 0_usize..100), 1..5),
        log_start in 0_usize..60,
    ) {
        let history = History::of(&batches);
        let plans = plans(&history, &shares);
        let (disks, configs) = ([MemDisk::new(), MemDisk::new()], [config(600, 0), config(2_500, 1_000)]);
        let mut logs = [open(&disks[0], &configs[0]), open(&disks[1], &configs[1])];
        for log in &mut logs {
            fill(log, &history, history.entries.len());
            check(log, &history, None);
        }
        // One carries out every plan and is started again now and then, the other only the last.
        for (number, plan) in plans.iter().enumerate() {
            compact(&mut logs[0], &history, *plan).unwrap();
            if number % 2 == 1 {
                disks[0].crash(UnsyncedPolicy::Torn { seed: number as u64 });
                logs[0] = open(&disks[0], &configs[0]);
            }
            check(&logs[0], &history, Some(*plan));
        }
        if let Some(last) = plans.last() {
            compact(&mut logs[1], &history, *last).unwrap();
            prop_assert_eq!(read_all(&logs[0], 700), read_all(&logs[1], 5_000));
            if log_start < 30 {
                let to = history.ends[log_start * history.ends.len() / 60];
                for log in &mut logs {
                    log.set_log_start(to).unwrap();
                    log.drop_segments_below_log_start().unwrap();
                    check(log, &history, Some(*last));
                }
                prop_assert_eq!(read_all(&logs[0], 700), read_all(&logs[1], 5_000));
                for (log, (disk, config)) in logs.iter_mut().zip(disks.iter().zip(&configs)) {
                    log.sync_now().unwrap();
                    disk.kill();
                    *log = open(disk, config);
                    prop_assert_eq!(log.log_start(), to);
                    check(log, &history, Some(*last));
                }
            }
        }
    }
}

fn some_history() -> History {
    let batch = |number: u8| match number % 9 {
        4 => Batch::Transaction { records: vec![(number % 5, false)], commits: number.is_multiple_of(2) },
        _ => Batch::Records {
            codec: Compression::ALL[usize::from(number) % 5],
            records: vec![(number % 11, false), (number % 7, number.is_multiple_of(3))],
        },
    };
    History::of(&(0..60).map(batch).collect::<Vec<_>>())
}

fn two_plans(history: &History) -> [CompactionPlan; 2] {
    let end = |at: usize| *history.ends[..at].iter().rev().find(|end| stable(history, **end)).unwrap();
    let first = CompactionPlan { up_to: end(25), tombstones_below: Offset::ZERO, file_bytes: 900 };
    [first, CompactionPlan { up_to: end(50), tombstones_below: first.up_to, file_bytes: 900 }]
}

#[test]
fn a_power_cut_at_any_step_leaves_the_old_prefix_or_the_new_one() {
    let history = some_history();
    let [first, second] = two_plans(&history);
    let (mut old, mut new) = (0, 0);
    for cut in 0.. {
        let mut goes_on = false;
        // What was not synced is lost, or part of it, or nothing.
        for policy in [UnsyncedPolicy::Drop, UnsyncedPolicy::Torn { seed: cut }, UnsyncedPolicy::Keep] {
            let disk = MemDisk::new();
            let config = config(600, 0);
            let mut log = open(&disk, &config);
            fill(&mut log, &history, history.entries.len());
            compact(&mut log, &history, first).unwrap();
            disk.cut_power_after(cut);
            let done = compact(&mut log, &history, second);
            goes_on |= disk.power_is_cut();
            drop(log);
            disk.crash(policy);
            let mut log = open(&disk, &config);
            if log.compacted().unwrap().up_to == second.up_to {
                new += 1;
                check(&log, &history, Some(second));
            } else {
                old += 1;
                check(&log, &history, Some(first));
                assert!(done.is_err(), "cut {cut}: a compaction that was finished is gone");
                compact(&mut log, &history, second).unwrap();
            }
            check(&log, &history, Some(second));
            assert!(log.first_index() > Index(1), "the segments that are compacted go");
        }
        if !goes_on {
            break;
        }
    }
    assert!(old > 30 && new > 9, "{old} cuts before the rename, {new} behind it");
}

#[test]
fn a_full_disk_costs_the_compaction_and_nothing_else() {
    let history = some_history();
    let [first, _] = two_plans(&history);
    let disk = MemDisk::new();
    let mut log = open(&disk, &config(600, 0));
    fill(&mut log, &history, history.entries.len());
    for free_bytes in (0..2_000).step_by(100) {
        let used = disk.used_bytes();
        disk.set_quota(Some(used + free_bytes));
        match compact(&mut log, &history, first) {
            Err(LogError::DiskFull { .. }) => {
                assert_eq!(disk.used_bytes(), used, "what was written is removed")
            }
            Ok(true) => break,
            other => panic!("{other:?}"),
        }
        check(&log, &history, None);
    }
    disk.set_quota(None);
    compact(&mut log, &history, first).unwrap();
    check(&log, &history, Some(first));
}

#[test]
fn damage_is_told_and_never_copied() {
    let history = some_history();
    let [first, second] = two_plans(&history);
    for seed in 0..60 {
        let disk = MemDisk::new();
        let config = config(600, 0);
        let mut log = open(&disk, &config);
        fill(&mut log, &history, history.entries.len());
        compact(&mut log, &history, first).unwrap();
        let flipped = disk.flip_random_bit(seed, &FileScope::everywhere()).unwrap();
        match compact(&mut log, &history, second) {
            Ok(_) => {
                disk.flip_bit("p", &flipped.name, flipped.byte, flipped.bit);
                check(&log, &history, Some(second));
            }
            Err(error) => assert!(matches!(error, LogError::Corrupt { .. }), "{error}"),
        }
    }
}

#[test]
fn a_failed_sync_poisons_nothing_but_the_job() {
    let history = some_history();
    let [first, _] = two_plans(&history);
    let disk = MemDisk::new();
    let mut log = open(&disk, &config(600, 0));
    fill(&mut log, &history, history.entries.len());
    disk.inject(FaultPlan { fault: DiskFault::Sync, scope: FileScope::everywhere(), skip: 0, times: 1 });
    assert!(compact(&mut log, &history, first).is_err(), "the caller decides what becomes of the replica");
    check(&log, &history, None);
}

/// Sends the prefix of one log to another, and installs the snapshot it comes with.
fn transfer(from: &PartitionLog, to: &mut PartitionLog, spoil: Option<usize>) -> Result<(), LogError> {
    let snapshot = from.snapshot()?.unwrap();
    assert!(!snapshot.prefix.is_empty());
    let mut wanted = to.receive_prefix(&snapshot.prefix)?;
    let mut pieces = 0;
    while let Some(place) = wanted {
        let mut piece = from.prefix_piece(place)?.unwrap();
        if spoil == Some(pieces) {
            let mut bad = piece.to_vec();
            bad[60] ^= 1;
            piece = Bytes::from(bad);
        }
        wanted = to.take_prefix_piece(place, piece)?;
        pieces += 1;
    }
    to.install_snapshot(&Snapshot::decode(&snapshot.encode()).unwrap())
}

#[test]
fn a_member_far_behind_gets_the_prefix_and_reads_the_same() {
    let history = some_history();
    let [first, second] = two_plans(&history);
    let (sender_disk, receiver_disk) = (MemDisk::new(), MemDisk::new());
    let config = config(600, 0);
    let mut sender = open(&sender_disk, &config);
    fill(&mut sender, &history, history.entries.len());
    let mut receiver = open(&receiver_disk, &config);
    fill(&mut receiver, &history, 5);
    for (plan, spoil) in [(first, Some(1)), (second, None)] {
        compact(&mut sender, &history, plan).unwrap();
        transfer(&sender, &mut receiver, spoil).unwrap();
        assert_eq!(receiver.first_index(), sender.first_index());
        assert_eq!(receiver.compacted().map(|info| info.up_to), Some(plan.up_to));
        fill(&mut receiver, &history, history.entries.len());
        check(&receiver, &history, Some(plan));
        assert_eq!(read_all(&receiver, 700), read_all(&sender, 700));
        receiver_disk.kill();
        receiver = open(&receiver_disk, &config);
        check(&receiver, &history, Some(plan));
        // It is as far behind again, as a follower that never heard of anything.
        receiver.destroy().unwrap();
        receiver = open(&receiver_disk, &config);
    }
}

#[test]
fn a_crash_during_the_transfer_leaves_a_log_that_can_be_sent_it_again() {
    let history = some_history();
    let [first, _] = two_plans(&history);
    let config = config(600, 0);
    let sender_disk = MemDisk::new();
    let mut sender = open(&sender_disk, &config);
    fill(&mut sender, &history, history.entries.len());
    compact(&mut sender, &history, first).unwrap();
    for cut in 0.. {
        let disk = MemDisk::new();
        let mut receiver = open(&disk, &config);
        fill(&mut receiver, &history, 8);
        disk.cut_power_after(cut);
        let installed = transfer(&sender, &mut receiver, None);
        let came = disk.power_is_cut();
        drop(receiver);
        disk.crash(if cut % 2 == 0 { UnsyncedPolicy::Drop } else { UnsyncedPolicy::Torn { seed: cut } });
        let mut receiver = open(&disk, &config);
        if receiver.first_index() != sender.first_index() {
            assert!(installed.is_err(), "cut {cut}");
            assert_eq!(receiver.last_index(), Index(8), "the old log is there");
            receiver.read(Offset::ZERO, receiver.log_end(), 10_000, true).unwrap();
            transfer(&sender, &mut receiver, None).unwrap();
        }
        fill(&mut receiver, &history, history.entries.len());
        check(&receiver, &history, Some(first));
        if !came {
            break;
        }
    }
}

#[test]
fn a_result_that_comes_too_late_is_thrown_away() {
    let history = some_history();
    let [first, second] = two_plans(&history);
    let disk = MemDisk::new();
    let mut log = open(&disk, &config(600, 0));
    fill(&mut log, &history, history.entries.len());
    let mut late = log.begin_compaction(first, history.aborted.iter().copied()).unwrap().unwrap();
    let done = loop {
        if let CompactionProgress::Done(done) = late.step(1_000).unwrap() {
            break done;
        }
    };
    compact(&mut log, &history, second).unwrap();
    assert!(!log.finish_compaction(done).unwrap());
    check(&log, &history, Some(second));
    assert!(log.begin_compaction(first, []).unwrap().is_none(), "it is covered by the later one");
    disk.kill();
    check(&open(&disk, &config(600, 0)), &history, Some(second));
}

#[test]
fn the_candidate_obeys_ratio_lags_and_limit() {
    let history = some_history();
    let disk = MemDisk::new();
    let mut log = open(&disk, &config(600, 0));
    fill(&mut log, &history, history.entries.len());
    let rules = CompactionRules::default();
    let now_ms = 1_000 + history.end.0;
    let whole = log.compaction_candidate(now_ms, &rules, history.end).unwrap();
    let active = log.segments().last().unwrap().base_offset;
    assert_eq!(whole, active, "all but the active segment");
    let half = Offset(whole.0 / 2);
    assert!(log.compaction_candidate(now_ms, &rules, half).unwrap() <= half, "not beyond the limit");
    let lag = CompactionRules { min_lag_ms: 40, ..rules };
    let old = log.compaction_candidate(now_ms, &lag, history.end).unwrap();
    assert!(old < whole && old.0 > now_ms - 1_000 - 40 - 40, "only what is old enough: {old} of {whole}");
    let never = CompactionRules { min_lag_ms: u64::MAX, ..rules };
    assert_eq!(log.compaction_candidate(now_ms, &never, history.end), None);

    compact(
        &mut log,
        &history,
        CompactionPlan { up_to: old, tombstones_below: Offset::ZERO, file_bytes: 900 },
    )
    .unwrap();
    let strict = CompactionRules { min_dirty_millionths: 900_000, ..rules };
    assert_eq!(log.compaction_candidate(now_ms, &strict, history.end), None, "too little is new");
    let overdue = CompactionRules { max_lag_ms: Some(1), ..strict };
    assert_eq!(log.compaction_candidate(now_ms, &overdue, history.end), Some(whole));
    log.roll_older_than(now_ms, 1);
    assert_eq!(
        log.wants_boundary_snapshot(log.last_index()),
        Some(log.last_index()),
        "the active segment is closed"
    );
}

/// With its bug planted the scenario fails.
#[cfg(feature = "mutants")]
#[test]
fn the_scenarios_above_kill_their_bugs() {
    use chronik_mutants::Mutant;
    let mutant = Mutant::OldFilesGoFirst;
    let planted = chronik_mutants::plant(mutant);
    let outcome = std::panic::catch_unwind(a_power_cut_at_any_step_leaves_the_old_prefix_or_the_new_one);
    drop(planted);
    assert!(outcome.is_err(), "{} survives", mutant.name());
}
