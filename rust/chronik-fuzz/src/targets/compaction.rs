//! Compacting a log of any batches, sound or not, whose files may be damaged: the newest record of every key stays and a
//! reader gets to the end, or "corrupt". Never a panic, never a record that nobody wrote, and what was compacted opens.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use chronik_log::compaction::{AbortedRecords, CompactionPlan, CompactionProgress};
use chronik_log::{
    Disk, Entry, EntryKind, HardState, Index, LogConfig, LogError, MemDisk, Offset, PartitionLog, Snapshot,
    Term,
};
use chronik_wire::batch::{BatchBuilder, BatchView, Compression, Record};

use crate::Verdict;
use crate::input::Input;

const DIR: &str = "topic-0";
/// Most batches one input writes.
const BATCHES_MAX: usize = 24;
/// Most steps a compaction of so little takes.
const STEPS_MAX: usize = 10_000;

/// What was written.
#[derive(Default)]
struct Written {
    /// By offset; only batches whose records can be read.
    records: BTreeMap<i64, Record>,
    /// A batch whose records cannot be read: nothing is promised about keys then.
    unreadable: bool,
    /// Ends of batches.
    ends: Vec<Offset>,
    aborted: Vec<AbortedRecords>,
}

/// The input writes a log, compacts it twice, and damages a file in between.
pub fn run(data: &[u8]) -> Verdict {
    let mut input = Input::new(data);
    let config = Arc::new(LogConfig {
        segment_bytes: 150 + 8 * u64::from(input.byte()),
        index_interval_bytes: 100,
        tail_bytes: 0,
        ..LogConfig::default()
    });
    let (first, second) = (input.byte(), input.byte());
    let disk = MemDisk::new();
    let mut log =
        PartitionLog::open(Arc::new(disk.clone()), DIR, Arc::clone(&config)).expect("an empty disk opens");
    let written = write(&mut input, &mut log);
    if written.ends.is_empty() {
        return Verdict::Refused;
    }
    let end = |share: u8| written.ends[usize::from(share) % written.ends.len()];
    let early = CompactionPlan { up_to: end(first), tombstones_below: Offset(0), file_bytes: 400 };
    let late_end = end(second).max(early.up_to);
    let late = CompactionPlan { up_to: late_end, tombstones_below: early.up_to, file_bytes: 400 };
    compact(&mut log, early, &written).expect("an undamaged log can be compacted");
    check(&log, early, &written);
    let damaged = damage(&mut input, &disk);
    match compact(&mut log, late, &written) {
        Ok(()) if damaged => return Verdict::Accepted,
        Ok(()) => {}
        Err(error) => {
            assert!(damaged && matches!(error, LogError::Corrupt { .. }), "not: {error}");
            return Verdict::Refused;
        }
    }
    check(&log, late, &written);
    let read =
        log.read(log.log_start(), log.log_end(), usize::MAX, true).expect("a compacted log can be read");
    drop(log);
    disk.kill();
    let log = PartitionLog::open(Arc::new(disk.clone()), DIR, config).expect("a compacted log opens");
    let again = log.read(log.log_start(), log.log_end(), usize::MAX, true).expect("and can be read");
    assert_eq!(read, again);
    Verdict::Accepted
}

fn write(input: &mut Input<'_>, log: &mut PartitionLog) -> Written {
    let mut written = Written::default();
    for position in 0..input.below(BATCHES_MAX) as u64 {
        let index = Index(position + 1);
        let base = log.log_end();
        let batch = batch(input, base, &mut written);
        let entry = Entry::new(index, Term(1 + index.0 / 8), EntryKind::Batch, batch.clone());
        log.append(&[entry]).expect("there is room");
        let hard = HardState { term: Term(9), vote: 1, commit: index };
        log.set_hard_state(hard, true).expect("there is room");
        written.ends.push(log.log_end());
        match BatchView::parse(batch).and_then(|view| view.records()) {
            Ok(records) => {
                for record in records {
                    match record {
                        Ok(record) => drop(written.records.insert(record.offset.0, record)),
                        Err(_) => written.unreadable = true,
                    }
                }
            }
            Err(_) => written.unreadable = true,
        }
        if let Some(boundary) = log.wants_boundary_snapshot(index.prev()) {
            log.save_snapshot(&snapshot(log, boundary)).expect("there is room");
        }
    }
    log.sync_now().expect("the disk works");
    written
}

/// A batch of a few records over a few keys, or one whose records are any bytes.
fn batch(input: &mut Input<'_>, base: Offset, written: &mut Written) -> Bytes {
    let shape = input.byte();
    let codec = Compression::ALL[usize::from(shape) % Compression::ALL.len()];
    let count = 1 + usize::from(shape / 8 % 4);
    let mut builder = BatchBuilder::new().base_offset(base).compression(codec);
    if shape & 0x80 != 0 {
        let producer_id = i64::from(input.byte());
        builder = builder.producer(producer_id, 0, 0).transactional();
        let last = Offset(base.0 + count as i64 - 1);
        if input.byte() & 1 == 1 {
            written.aborted.push(AbortedRecords { producer_id, first: base, last });
        }
    }
    for _ in 0..count {
        let key = [input.byte() % 8];
        let value = input.byte();
        let value = (!value.is_multiple_of(4)).then(|| vec![value; usize::from(value)]);
        builder = builder.record(1_000 + base.0, Some(&key), value.as_deref());
    }
    let mut batch = builder.build_mut().expect("a small batch can be written");
    if shape & 0x40 != 0 {
        // Records of any bytes under a checksum that fits, as only a mad producer sends them.
        let from = batch.len().min(61);
        let spoilt = input.take(batch.len() - from).to_vec();
        batch[from..from + spoilt.len()].copy_from_slice(&spoilt);
        let crc = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, &batch[21..]) as u32;
        batch[17..21].copy_from_slice(&crc.to_be_bytes());
    }
    batch.freeze()
}

fn snapshot(log: &PartitionLog, index: Index) -> Snapshot {
    Snapshot {
        index,
        term: log.term(index).expect("the boundary is in the log"),
        next_offset: log.offset_after_index(index).expect("the boundary is in the log"),
        log_start: log.log_start(),
        conf_state: Bytes::new(),
        machine: Bytes::new(),
        prefix: Bytes::new(),
    }
}

fn damage(input: &mut Input<'_>, disk: &MemDisk) -> bool {
    if input.byte() & 1 == 0 {
        return false;
    }
    let names = disk.list(DIR).unwrap_or_default();
    let Some(name) = names.get(input.below(names.len())) else { return false };
    let length = disk.file_bytes(DIR, name).unwrap_or(0).max(1);
    disk.flip_bit(DIR, name, u64::from(input.u16()) % length, input.byte() % 8)
}

fn compact(log: &mut PartitionLog, plan: CompactionPlan, written: &Written) -> Result<(), LogError> {
    let Some(mut job) = log.begin_compaction(plan, written.aborted.iter().copied())? else { return Ok(()) };
    for _ in 0..STEPS_MAX {
        if let CompactionProgress::Done(done) = job.step(500)? {
            assert!(log.finish_compaction(done)?, "nothing else happened to the log");
            return Ok(());
        }
    }
    panic!("the compaction does not end");
}

/// A reader from the beginning gets to the end, meets nothing that was not written, and misses no key that lives.
fn check(log: &PartitionLog, plan: CompactionPlan, written: &Written) {
    let mut from = log.log_start();
    let mut left: BTreeMap<i64, Record> = BTreeMap::new();
    while from < log.log_end() {
        let read = log.read(from, log.log_end(), 300, true).expect("an undamaged log can be read");
        assert!(read.next_offset > from, "a reader at {from} moves on");
        from = read.next_offset;
        for batch in read.batches {
            let view = BatchView::parse(batch).expect("whole batches");
            view.verify_checksum().expect("with a checksum that fits");
            let records = view.records().into_iter().flatten().flatten();
            left.extend(records.map(|record| (record.offset.0, record)));
        }
    }
    if written.unreadable {
        return;
    }
    for (offset, record) in &left {
        assert_eq!(written.records.get(offset), Some(record), "nobody wrote that");
    }
    let aborted =
        |offset: i64| written.aborted.iter().any(|range| range.first.0 <= offset && offset <= range.last.0);
    let mut newest = BTreeMap::new();
    for (offset, record) in written.records.range(..plan.up_to.0).filter(|(offset, _)| !aborted(**offset)) {
        newest.insert(record.key.clone(), (*offset, record.value.is_some()));
    }
    for (offset, lives) in newest.values().copied() {
        let stays = lives || offset >= plan.tombstones_below.0;
        assert_eq!(left.contains_key(&offset), stays, "the newest record of a key, at {offset}");
    }
}

/// Logs of every codec and shape, sound, spoilt and damaged.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (shape, damage) in [(0_u8, 0_u8), (8, 0), (0x80, 0), (0x40, 0), (0x18, 1), (0x90, 1)] {
        let mut seed = vec![10, 9, 19, 23];
        for position in 0..23_u8 {
            seed.push(shape.wrapping_add(position % 5));
            seed.extend((0..12).map(|byte| position.wrapping_mul(31).wrapping_add(byte)));
        }
        seed.extend([damage, 1, 0, 100, 3]);
        seeds.push(seed);
    }
    seeds
}
