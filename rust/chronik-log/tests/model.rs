//! A log under random operations and crashes, against a model of a dozen fields.
//!
//! What must hold after any crash: the log opens; it is a prefix of what was written, no shorter than what
//! was synced; the hard state is the last synced one or a later one; a snapshot read back is one that was
//! saved.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use chronik_log::{
    Entry, EntryKind, HardState, Index, LogConfig, LogError, MemDisk, Offset, PartitionLog, Snapshot,
    SyncBatch, Term, UnsyncedPolicy,
};
use common::Backing;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Op {
    Append { sizes: Vec<(u8, u16)> },
    AppendToFullDisk { room: u64, back: u64, sizes: Vec<(u8, u16)> },
    Overwrite { back: u64, sizes: Vec<(u8, u16)> },
    Vote { vote: u64 },
    Commit { ahead: u64 },
    Sync,
    BeginSync,
    EndSync,
    MoveLogStart { percent: u8 },
    SaveBoundarySnapshot,
    SaveSnapshot { back: u64 },
    DropSegments,
    InstallSnapshot { ahead: u64 },
    Read { percent: u8, up_to_percent: u8, max_bytes: usize },
    Crash { policy: UnsyncedPolicy },
    Kill,
    SwitchFsync,
}

/// Kind selector and payload size of the entries of one append.
fn sizes() -> impl Strategy<Value = Vec<(u8, u16)>> {
    let size = prop_oneof![8 => 0..200_u16, 1 => 1000..2000_u16];
    prop::collection::vec((0..8_u8, size), 1..6)
}

fn policy() -> impl Strategy<Value = UnsyncedPolicy> {
    prop_oneof![
        2 => Just(UnsyncedPolicy::Drop),
        6 => any::<u64>().prop_map(|seed| UnsyncedPolicy::Torn { seed }),
        1 => Just(UnsyncedPolicy::Keep),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        12 => sizes().prop_map(|sizes| Op::Append { sizes }),
        2 => (0..3000_u64, 0..3_u64, sizes())
            .prop_map(|(room, back, sizes)| Op::AppendToFullDisk { room, back, sizes }),
        3 => (1..12_u64, sizes()).prop_map(|(back, sizes)| Op::Overwrite { back, sizes }),
        2 => (1..4_u64).prop_map(|vote| Op::Vote { vote }),
        5 => (0..8_u64).prop_map(|ahead| Op::Commit { ahead }),
        6 => Just(Op::Sync),
        3 => Just(Op::BeginSync),
        3 => Just(Op::EndSync),
        2 => (0..=100_u8).prop_map(|percent| Op::MoveLogStart { percent }),
        4 => Just(Op::SaveBoundarySnapshot),
        1 => (0..20_u64).prop_map(|back| Op::SaveSnapshot { back }),
        2 => Just(Op::DropSegments),
        1 => (1..50_u64).prop_map(|ahead| Op::InstallSnapshot { ahead }),
        6 => (0..=100_u8, 0..=100_u8, 0..5000_usize)
            .prop_map(|(percent, up_to_percent, max_bytes)| Op::Read { percent, up_to_percent, max_bytes }),
        3 => policy().prop_map(|policy| Op::Crash { policy }),
        1 => Just(Op::Kill),
        1 => Just(Op::SwitchFsync),
    ]
}

/// What the log should be.
struct Model {
    /// Entries from `first_index` on.
    entries: Vec<Entry>,
    first_index: Index,
    first_offset: Offset,
    before_term: Term,
    log_start: Offset,
    /// Entries up to here survive any crash.
    promised: Index,
    /// Hard states written, oldest first; those from `floor` on may be found after a crash.
    written: Vec<HardState>,
    floor: usize,
    state_dirty: bool,
    saved: BTreeMap<Index, Snapshot>,
}

impl Model {
    fn new() -> Model {
        Model {
            entries: Vec::new(),
            first_index: Index(1),
            first_offset: Offset(0),
            before_term: Term(0),
            log_start: Offset(0),
            promised: Index(0),
            written: vec![HardState::default()],
            floor: 0,
            state_dirty: false,
            saved: BTreeMap::new(),
        }
    }

    fn hard(&self) -> HardState {
        *self.written.last().unwrap()
    }

    fn last_index(&self) -> Index {
        Index(self.first_index.0 + self.entries.len() as u64 - 1)
    }

    fn log_end(&self) -> Offset {
        self.entries.last().map_or(self.first_offset, Entry::next_offset)
    }

    fn entry(&self, index: Index) -> Option<&Entry> {
        self.entries.get(usize::try_from(index.0.checked_sub(self.first_index.0)?).unwrap())
    }

    fn term(&self, index: Index) -> Term {
        self.entry(index).map_or(self.before_term, |entry| entry.term)
    }

    fn offset_after(&self, index: Index) -> Offset {
        self.entry(index).map_or(self.first_offset, Entry::next_offset)
    }

    fn truncate_from(&mut self, index: Index) {
        self.entries.truncate(usize::try_from(index.0 - self.first_index.0).unwrap());
        self.promised = self.promised.min(index.prev());
    }

    fn drop_before(&mut self, first_index: Index) {
        assert!(first_index >= self.first_index && first_index <= self.last_index().next());
        self.before_term = self.term(first_index.prev());
        self.first_offset = self.offset_after(first_index.prev());
        self.entries.drain(..usize::try_from(first_index.0 - self.first_index.0).unwrap());
        self.first_index = first_index;
    }

    fn offset_at(&self, percent: u8) -> Offset {
        let span = self.log_end().0 - self.log_start.0;
        Offset(self.log_start.0 + span * i64::from(percent) / 100)
    }

    /// What a read of the log must answer.
    fn read(&self, from: Offset, up_to: Offset, max_bytes: usize) -> Vec<Bytes> {
        let mut bytes = 0;
        let batches = self.entries.iter().filter(|entry| entry.kind == EntryKind::Batch);
        batches
            .skip_while(|entry| entry.next_offset() <= from)
            .take_while(|entry| from < up_to && entry.next_offset() <= up_to)
            .take_while(|entry| {
                let first = bytes == 0;
                bytes += entry.data.len();
                first || bytes <= max_bytes
            })
            .map(|entry| entry.data.clone())
            .collect()
    }
}

struct World {
    backing: Backing,
    config: Arc<LogConfig>,
    log: Option<PartitionLog>,
    model: Model,
    /// Syncs under way: the batch, what it promises, and the hard state it covers.
    syncing: Vec<(SyncBatch, Index, Option<usize>)>,
    clock: i64,
}

impl World {
    fn new(backing: Backing, segment_bytes: u64) -> World {
        let config = Arc::new(LogConfig {
            segment_bytes,
            index_interval_bytes: 200,
            tail_bytes: 700,
            ..LogConfig::default()
        });
        let log = Some(PartitionLog::open(backing.disk(), "topic-0", Arc::clone(&config)).unwrap());
        World { backing, config, log, model: Model::new(), syncing: Vec::new(), clock: 0 }
    }

    fn log(&mut self) -> &mut PartitionLog {
        self.log.as_mut().unwrap()
    }

    fn run(&mut self, op: &Op) {
        match op {
            Op::Append { sizes } => {
                self.append(self.model.last_index().next(), sizes).unwrap();
            }
            Op::AppendToFullDisk { room, back, sizes } => self.append_to_full_disk(*room, *back, sizes),
            Op::Overwrite { back, sizes } => {
                let first = self.raise_term_for(*back);
                self.append(first, sizes).unwrap();
            }
            Op::Vote { vote } => {
                let term = Term(self.model.hard().term.0 + 1);
                self.write_hard_state(HardState { term, vote: *vote, ..self.model.hard() }, true);
            }
            Op::Commit { ahead } => {
                let hard = self.model.hard();
                let commit = Index(hard.commit.0 + ahead).min(self.model.last_index());
                self.write_hard_state(HardState { commit, ..hard }, false);
            }
            Op::Sync => {
                self.begin_sync();
                while !self.syncing.is_empty() {
                    self.end_sync();
                }
            }
            Op::BeginSync => self.begin_sync(),
            Op::EndSync => self.end_sync(),
            Op::MoveLogStart { percent } => {
                let committed = self.model.offset_after(self.model.hard().commit);
                let offset = self.model.offset_at(*percent).min(committed).max(self.model.log_start);
                self.log().set_log_start(offset).unwrap();
                self.model.log_start = offset;
            }
            Op::SaveBoundarySnapshot => {
                // The replica applies only what is persisted.
                let from = self.model.first_index.prev();
                if let Some(index) = self.log().wants_boundary_snapshot(from) {
                    self.save_snapshot(index);
                }
            }
            Op::SaveSnapshot { back } => {
                self.save_snapshot(Index(self.model.last_index().0.saturating_sub(*back)));
            }
            Op::DropSegments => {
                self.log().drop_segments_below_log_start().unwrap();
                let first_index = self.log().first_index();
                self.model.drop_before(first_index);
                assert!(self.model.first_offset <= self.model.log_start, "readable records were dropped");
            }
            Op::InstallSnapshot { ahead } => self.install_snapshot(*ahead),
            Op::Read { percent, up_to_percent, max_bytes } => {
                let (from, up_to) = (self.model.offset_at(*percent), self.model.offset_at(*up_to_percent));
                let read = self.log().read(from, up_to, *max_bytes, true).unwrap();
                assert_eq!(read.batches, self.model.read(from, up_to, *max_bytes), "read {from}..{up_to}");
            }
            Op::Crash { policy } => self.restart(*policy),
            Op::Kill => self.restart(UnsyncedPolicy::Keep),
            Op::SwitchFsync => self.switch_fsync(),
        }
        self.check();
    }

    /// A new leader's entries may replace the last `back` uncommitted ones; where they begin.
    fn raise_term_for(&mut self, back: u64) -> Index {
        let lowest = self.model.hard().commit.max(self.model.first_index.prev()).next();
        let term = Term(self.model.hard().term.0 + 1);
        self.write_hard_state(HardState { term, vote: 0, ..self.model.hard() }, true);
        Index(self.model.last_index().next().0.saturating_sub(back)).max(lowest)
    }

    fn append(&mut self, first: Index, sizes: &[(u8, u16)]) -> Result<(), LogError> {
        let term = self.model.hard().term.max(Term(1));
        if self.model.hard().term < term {
            self.write_hard_state(HardState { term, ..self.model.hard() }, true);
        }
        self.model.truncate_from(first);
        // A sync under way proves nothing for what is replaced meanwhile.
        for (_, through, _) in &mut self.syncing {
            *through = (*through).min(first.prev());
        }
        let mut entries = Vec::new();
        let (mut index, mut end) = (first, self.model.log_end());
        for (kind, size) in sizes {
            self.clock += 7;
            let payload = vec![self.clock.to_le_bytes()[0]; usize::from(*size)];
            let (kind, data) = match kind {
                0 => (EntryKind::Noop, Bytes::new()),
                1 => (EntryKind::Control, Bytes::from(payload)),
                2 => (EntryKind::ConfigChange, Bytes::from(payload)),
                count => (EntryKind::Batch, common::batch(end, i32::from(*count), self.clock, &payload)),
            };
            let entry = Entry { base_offset: end, ..common::entry(index, term, kind, data) };
            (index, end) = (index.next(), entry.next_offset());
            entries.push(entry);
        }
        self.log().append(&entries)?;
        self.model.entries.extend(entries);
        Ok(())
    }

    fn append_to_full_disk(&mut self, room: u64, back: u64, sizes: &[(u8, u16)]) {
        let first = self.raise_term_for(back);
        let Backing::Memory(disk) = &self.backing else { return };
        let disk = disk.clone();
        disk.set_quota(Some(disk.used_bytes() + room));
        let last_index = self.log().last_index();
        if let Err(error) = self.append(first, sizes) {
            assert!(matches!(error, LogError::DiskFull { .. }), "{error}");
            assert_eq!(self.log().last_index(), last_index.min(first.prev()));
        }
        disk.set_quota(None);
    }

    fn write_hard_state(&mut self, hard: HardState, must_sync: bool) {
        self.log().set_hard_state(hard, must_sync).unwrap();
        self.model.written.push(hard);
        self.model.state_dirty |= must_sync && self.config.fsync;
    }

    fn begin_sync(&mut self) {
        let Some(batch) = self.log().take_sync() else {
            assert!(!self.log().dirty() && !self.model.state_dirty);
            return;
        };
        assert!(!self.log().dirty());
        let state = self.model.state_dirty.then(|| self.model.written.len() - 1);
        self.model.state_dirty = false;
        self.syncing.push((batch, self.model.last_index(), state));
    }

    fn end_sync(&mut self) {
        if self.syncing.is_empty() {
            return;
        }
        let (batch, through, state) = self.syncing.remove(0);
        let done = batch.sync().unwrap();
        self.log().on_synced(done);
        self.model.promised = self.model.promised.max(through);
        self.model.floor = self.model.floor.max(state.unwrap_or(0));
    }

    fn save_snapshot(&mut self, index: Index) {
        let persisted = if self.config.fsync { self.model.promised } else { self.model.last_index() };
        let committed = self.model.hard().commit.min(persisted);
        if index < self.model.first_index || index > committed {
            return;
        }
        let snapshot = self.snapshot_at(index, self.model.term(index), self.model.offset_after(index));
        let is_new = !self.model.saved.contains_key(&index);
        self.log().save_snapshot(&snapshot).unwrap();
        if is_new {
            self.model.saved.insert(index, snapshot);
        }
    }

    fn snapshot_at(&self, index: Index, term: Term, next_offset: Offset) -> Snapshot {
        let machine = Bytes::from(format!("{index}/{term}/{next_offset}"));
        Snapshot {
            index,
            term,
            next_offset,
            log_start: self.model.log_start,
            conf_state: Bytes::new(),
            machine,
            prefix: Bytes::new(),
        }
    }

    fn install_snapshot(&mut self, ahead: u64) {
        let index = Index(self.model.hard().commit.0.max(self.model.first_index.0) + ahead);
        let term = Term(self.model.hard().term.0.max(1) + 1);
        self.write_hard_state(HardState { term, vote: 0, ..self.model.hard() }, true);
        let next_offset = Offset(self.model.log_end().0 + i64::try_from(ahead).unwrap());
        let snapshot = self.snapshot_at(index, term, next_offset);
        self.log().install_snapshot(&snapshot).unwrap();
        let hard = HardState { commit: index, ..self.model.hard() };
        self.syncing.iter_mut().for_each(|(_, through, _)| *through = Index(0));
        self.model.entries.clear();
        self.model.first_index = index.next();
        self.model.first_offset = next_offset;
        self.model.before_term = term;
        self.model.log_start = next_offset;
        self.model.promised = index;
        self.model.written.push(hard);
        self.model.floor = self.model.written.len() - 1;
        self.model.saved.clear();
        self.model.saved.insert(index, snapshot);
    }

    fn switch_fsync(&mut self) {
        self.config = Arc::new(LogConfig { fsync: !self.config.fsync, ..(*self.config).clone() });
        let config = Arc::clone(&self.config);
        self.log().set_config(config).unwrap();
        self.model.state_dirty = false;
        self.syncing.clear();
        self.model.promised = if self.config.fsync { self.model.last_index() } else { Index(0) };
        self.model.floor = if self.config.fsync { self.model.written.len() - 1 } else { 0 };
    }

    /// A power cut without fsync may take anything. The log must open with something that fits together, or
    /// refuse; the model believes what it finds.
    fn lose_power_without_fsync(&mut self, policy: UnsyncedPolicy) {
        self.syncing.clear();
        self.log = None;
        self.backing.crash(policy);
        let log = match PartitionLog::open(self.backing.disk(), "topic-0", Arc::clone(&self.config)) {
            Ok(log) => log,
            Err(LogError::Corrupt { .. }) => {
                self.backing.disk().remove_dir("topic-0").unwrap();
                PartitionLog::open(self.backing.disk(), "topic-0", Arc::clone(&self.config)).unwrap()
            }
            Err(error) => panic!("opening after {policy:?} without fsync: {error}"),
        };
        let first_index = log.first_index();
        let saved = &self.model.saved;
        let newest = log.newest_snapshot().unwrap().map_or(Index(0), |snapshot| snapshot.index);
        self.model = Model {
            entries: log.entries(first_index, log.last_index().next(), u64::MAX).unwrap(),
            first_index,
            first_offset: log.offset_after_index(first_index.prev()).unwrap(),
            before_term: log.term(first_index.prev()).unwrap(),
            log_start: log.log_start(),
            written: vec![log.hard_state()],
            saved: saved.range(..=newest).map(|(index, snapshot)| (*index, snapshot.clone())).collect(),
            ..Model::new()
        };
        self.log = Some(log);
        self.check_everything();
    }

    /// The node goes down and comes back; the model follows what it may have lost.
    fn restart(&mut self, policy: UnsyncedPolicy) {
        if !self.config.fsync && policy != UnsyncedPolicy::Keep && self.backing.loses_unsynced_bytes() {
            return self.lose_power_without_fsync(policy);
        }
        self.syncing.clear();
        self.log = None;
        self.backing.crash(policy);
        let opened = PartitionLog::open(self.backing.disk(), "topic-0", Arc::clone(&self.config));
        let log = opened.unwrap_or_else(|error| panic!("the log does not open after {policy:?}: {error}"));
        let model = &mut self.model;

        assert_eq!(log.first_index(), model.first_index, "first index after {policy:?}");
        assert!(log.last_index() >= model.promised, "{} of {} promised", log.last_index(), model.promised);
        assert!(log.last_index() <= model.last_index());
        if policy == UnsyncedPolicy::Keep || !self.backing.loses_unsynced_bytes() {
            assert_eq!(log.last_index(), model.last_index(), "a killed process loses nothing");
        }
        model.truncate_from(log.last_index().next());

        let hard = log.hard_state();
        let possible = &model.written[model.floor..];
        let term_of_entries = (model.term(log.last_index()), 0);
        let known = possible.iter().any(|written| (written.term, written.vote) == (hard.term, hard.vote));
        assert!(known || (hard.term, hard.vote) == term_of_entries, "{hard:?} is none of {possible:?}");
        assert!(hard.term >= possible[0].term && hard.commit <= log.last_index());
        assert!(hard.commit >= possible[0].commit.min(log.last_index()));

        assert!(log.log_start() <= model.log_start && log.log_start() >= model.first_offset);
        model.log_start = log.log_start();
        model.written = vec![hard];
        model.floor = 0;
        model.state_dirty = false;
        // Opening syncs what it read.
        model.promised = if self.config.fsync { log.last_index() } else { Index(0) };
        let newest = log.newest_snapshot().unwrap();
        let newest_index = newest.as_ref().map_or(Index(0), |snapshot| snapshot.index);
        assert!(newest_index <= hard.commit);
        assert!(newest.is_none_or(|snapshot| model.saved.get(&snapshot.index) == Some(&snapshot)));
        assert_eq!(model.saved.keys().next_back().copied().unwrap_or_default(), newest_index);
        self.log = Some(log);
        self.check_everything();
    }

    /// The cheap views, after every operation.
    fn check(&mut self) {
        let (log, model) = (self.log.as_ref().unwrap(), &self.model);
        assert_eq!((log.first_index(), log.last_index()), (model.first_index, model.last_index()));
        assert_eq!((log.log_start(), log.log_end()), (model.log_start, model.log_end()));
        assert_eq!(log.hard_state(), model.hard());
        assert_eq!(log.term(model.first_index.prev()).unwrap(), model.before_term);
        assert_eq!(log.offset_after_index(model.first_index.prev()).unwrap(), model.first_offset);
        let sizes: u64 = log.segments().iter().map(|segment| segment.size_bytes).sum();
        assert_eq!(log.size_bytes(), sizes);
    }

    /// Every entry, every offset, every timestamp.
    fn check_everything(&mut self) {
        let (log, model) = (self.log.as_ref().unwrap(), &self.model);
        let (first, last) = (model.first_index, model.last_index());
        assert_eq!(log.entries(first, last.next(), u64::MAX).unwrap(), model.entries);
        for entry in &model.entries {
            assert_eq!(log.term(entry.index).unwrap(), entry.term);
            assert_eq!(log.offset_after_index(entry.index).unwrap(), entry.next_offset());
            if entry.kind == EntryKind::Batch && entry.base_offset >= model.log_start {
                assert_eq!(log.index_of_offset(entry.base_offset).unwrap(), entry.index);
                let timestamp = i64::from_be_bytes(*entry.data[35..].first_chunk().unwrap());
                let found = log.offset_for_timestamp(timestamp, log.log_end()).unwrap().unwrap();
                assert_eq!((found.base_offset, &found.batch), (entry.base_offset, &entry.data));
            }
        }
        let all = log.read(model.log_start, model.log_end(), usize::MAX, true).unwrap();
        assert_eq!(all.batches, model.read(model.log_start, model.log_end(), usize::MAX));
        let before = log.snapshot().unwrap();
        assert_eq!(before.is_none(), first == Index(1));
        assert!(before.is_none_or(|snapshot| snapshot.index == first.prev()));
        assert!(matches!(log.term(last.next()), Err(LogError::Unavailable { .. })));
    }
}

fn run(backing: Backing, segment_bytes: u64, ops: &[Op]) -> World {
    let mut world = World::new(backing, segment_bytes);
    for op in ops {
        world.run(op);
    }
    world.check_everything();
    world.restart(UnsyncedPolicy::Keep);
    world
}

/// How many schedules to run; `PROPTEST_CASES` asks for more.
fn cases(short: u32) -> ProptestConfig {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    ProptestConfig { cases: asked.unwrap_or(short), failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn a_log_in_memory_behaves_like_the_model(
        segment_bytes in prop_oneof![Just(200_u64), 500..3000_u64, Just(1 << 20)],
        ops in prop::collection::vec(op(), 1..80),
    ) {
        run(Backing::Memory(MemDisk::new()), segment_bytes, &ops);
    }
}

proptest! {
    #![proptest_config(cases(25))]

    #[test]
    fn a_log_in_files_behaves_like_the_model(
        segment_bytes in prop_oneof![Just(200_u64), 500..3000_u64, Just(1 << 20)],
        ops in prop::collection::vec(op(), 1..60),
    ) {
        run(Backing::files(), segment_bytes, &ops);
    }
}

#[test]
fn a_log_start_beyond_what_a_power_cut_left_does_not_come_back() {
    let append = |sizes: &[(u8, u16)]| Op::Append { sizes: sizes.to_vec() };
    let ops = [
        append(&[(0, 0)]),
        append(&[(0, 0)]),
        append(&[(3, 0)]),
        Op::Commit { ahead: 3 },
        Op::SwitchFsync,
        Op::MoveLogStart { percent: 34 },
        Op::Kill,
        Op::AppendToFullDisk { room: 0, back: 0, sizes: vec![(0, 0)] },
        Op::Crash { policy: UnsyncedPolicy::Torn { seed: 4_020_439_020_387_101_451 } },
        append(&[(3, 0)]),
    ];
    run(Backing::Memory(MemDisk::new()), 1 << 20, &ops);
}
