//! Opening a log whose files were damaged: a prefix of what was written and all that was synced, or "corrupt". Never
//! more than was written, never a panic, and what opens can be written to and opened again.

mod damage;

use std::sync::Arc;

use bytes::Bytes;
use chronik_log::{
    Entry, EntryKind, HardState, Index, LogConfig, LogError, MemDisk, Offset, PartitionLog, Snapshot, Term,
    UnsyncedPolicy,
};
use chronik_wire::batch::BatchBuilder;

use self::damage::Damaged;
use crate::Verdict;
use crate::input::Input;

const DIR: &str = "topic-0";
/// Most entries one input writes.
const ENTRIES_MAX: usize = 24;
/// Most times one input damages a file.
const DAMAGES_MAX: usize = 4;

/// What was written before the damage.
struct Written {
    entries: Vec<Entry>,
    /// The last entry that was synced: no power cut takes it.
    synced: Index,
    /// The last entry that the state file, itself synced, calls synced: no damage to a segment hides its loss.
    known: Index,
    log_start: Offset,
}

impl Written {
    fn last(&self) -> Index {
        Index(self.entries.len() as u64)
    }
}

/// The input writes a log, cuts the power, damages files and opens the log.
pub fn run(data: &[u8]) -> Verdict {
    let mut input = Input::new(data);
    let config = Arc::new(LogConfig {
        segment_bytes: 200 + 8 * u64::from(input.byte()),
        index_interval_bytes: 100,
        tail_bytes: 500,
        ..LogConfig::default()
    });
    let disk = MemDisk::new();
    let written = write(&mut input, &disk, &config);
    match input.below(4) {
        0 => disk.kill(),
        1 => disk.crash(UnsyncedPolicy::Drop),
        2 => disk.crash(UnsyncedPolicy::Keep),
        _ => disk.crash(UnsyncedPolicy::Torn { seed: input.u64() }),
    }
    let mut damaged = Damaged::default();
    for _ in 0..input.below(DAMAGES_MAX + 1) {
        damage::apply(&mut input, &disk, DIR, &mut damaged);
    }
    match PartitionLog::open(Arc::new(disk.clone()), DIR, Arc::clone(&config)) {
        Ok(log) => opened(log, &disk, &config, &written, &damaged),
        Err(error) => {
            let expected = matches!(error, LogError::Corrupt { .. });
            assert!(expected, "a damaged log says that it is corrupt, not: {error}");
            assert!(damaged.any(), "a power cut alone does not spoil a log: {error}");
            Verdict::Refused
        }
    }
}

/// Writes entries, syncs and drops old segments, as the input says.
fn write(input: &mut Input<'_>, disk: &MemDisk, config: &Arc<LogConfig>) -> Written {
    let mut log = open(disk, config);
    let mut written =
        Written { entries: Vec::new(), synced: Index::ZERO, known: Index::ZERO, log_start: Offset(0) };
    let mut noted = Index::ZERO;
    for position in 0..input.below(ENTRIES_MAX) as u64 {
        let index = Index(position + 1);
        let entry = entry(input, index, &log);
        log.append(std::slice::from_ref(&entry)).expect("there is room");
        written.entries.push(Entry { base_offset: entry_offset(&log, index), ..entry });
        let action = input.byte();
        if action & 0b1 != 0 {
            let commit = Index(index.0.min(1 + u64::from(action)));
            let hard = HardState { term: Term(2), vote: 1, commit };
            log.set_hard_state(hard, true).expect("there is room");
            noted = written.synced;
        }
        if action & 0b110 == 0b110 {
            log.sync_now().expect("the disk works");
            written.synced = index;
            written.known = noted;
        }
        if action & 0b111_1000 == 0b111_1000 {
            drop_old(&mut log, written.synced);
        }
    }
    written.log_start = log.log_start();
    written
}

fn open(disk: &MemDisk, config: &Arc<LogConfig>) -> PartitionLog {
    PartitionLog::open(Arc::new(disk.clone()), DIR, Arc::clone(config)).expect("an undamaged log opens")
}

fn entry(input: &mut Input<'_>, index: Index, log: &PartitionLog) -> Entry {
    let (kind, size) = (input.byte(), usize::from(input.byte()));
    let payload = vec![index.0 as u8; size];
    let (kind, data) = match kind % 8 {
        0 => (EntryKind::Noop, Bytes::new()),
        1 => (EntryKind::Control, Bytes::from(payload)),
        2 => (EntryKind::ConfigChange, Bytes::from(payload)),
        count => {
            let first = BatchBuilder::new().base_offset(log.log_end()).record(7, None, Some(&payload));
            let batch = (3..count).fold(first, |batch, _| batch.record(7, None, None));
            (EntryKind::Batch, batch.build().expect("a small batch can be written"))
        }
    };
    Entry::new(index, Term(1 + index.0 / 8), kind, data)
}

fn entry_offset(log: &PartitionLog, index: Index) -> Offset {
    log.offset_after_index(index.prev()).expect("the entry before is there")
}

/// What a replica does about old records: log start to the middle, a snapshot at a boundary, old segments away.
fn drop_old(log: &mut PartitionLog, synced: Index) {
    let middle = Offset((log.log_start().0 + log.log_end().0) / 2);
    log.set_log_start(middle).expect("there is room");
    if let Some(index) =
        log.wants_boundary_snapshot(log.first_index().prev()).filter(|index| *index <= synced)
    {
        let snapshot = Snapshot {
            index,
            term: log.term(index).expect("the boundary is in the log"),
            next_offset: log.offset_after_index(index).expect("the boundary is in the log"),
            log_start: log.log_start(),
            conf_state: Bytes::from_static(b"voters"),
            machine: Bytes::from_static(b"state"),
            prefix: Bytes::new(),
        };
        log.save_snapshot(&snapshot).expect("there is room");
    }
    log.drop_segments_below_log_start().expect("the disk works");
}

/// The log has opened: what it says must be what was written.
fn opened(
    mut log: PartitionLog,
    disk: &MemDisk,
    config: &Arc<LogConfig>,
    written: &Written,
    damaged: &Damaged,
) -> Verdict {
    let (first, last) = (log.first_index(), log.last_index());
    let entries = log.entries(first, last.next(), u64::MAX);
    let records = log.read(log.log_start(), log.log_end(), usize::MAX, true);
    if damaged.forged {
        // Headers with a checksum of their own may say anything; they only must not hurt.
        return Verdict::Accepted;
    }
    let entries = entries.expect("what was recovered can be read");
    records.expect("what was recovered can be read");
    assert!(last <= written.last(), "{last} is more than was written");
    for entry in &entries {
        assert_eq!(Some(entry), written.entries.get(entry.index.0 as usize - 1));
    }
    if !damaged.state {
        assert!(last >= written.known, "entries up to {} were synced, {last} are left", written.known);
    }
    if !damaged.any() {
        assert!(last >= written.synced, "entries up to {} were synced, {last} are left", written.synced);
        assert!(log.log_start() <= written.log_start);
    }
    drop(log.newest_snapshot());
    let next = Entry::new(last.next(), Term(99), EntryKind::Noop, Bytes::new());
    log.append(&[next]).expect("what was recovered can be written to");
    log.sync_now().expect("the disk works");
    drop(log);
    disk.crash(UnsyncedPolicy::Drop);
    let again = open(disk, config);
    assert_eq!((again.first_index(), again.last_index()), (first, last.next()));
    Verdict::Accepted
}

/// A log of many kinds of entries, then each kind of damage to each of its first files.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut log = vec![10, 23];
    for position in 0..23_u8 {
        log.extend([position, 20 + position, if position % 3 == 0 { 0x7f } else { 7 }]);
    }
    let mut seeds =
        vec![log.clone(), [&log[..], &[1, 0]].concat(), [&log[..], &[3, 0, 0, 0, 0, 0, 0, 0, 9, 0]].concat()];
    for kind in 0..damage::KINDS as u8 {
        for file in 0..4 {
            seeds.push([&log[..], &[2, 1, kind, file, 0, 100, 3, 3, 3]].concat());
        }
    }
    seeds
}
