//! Opening a log: what a crash left is read once, from the first byte to the last.
//!
//! Indexes and term table are rebuilt from the entries and never trusted from disk. The one question that
//! matters is what to do with bytes that are no valid entry. If anything proves that the entry that belongs
//! there was synced once, it was promised: [`LogError::Corrupt`]. The proof is a number that the state file and
//! every later entry carry: the index up to which the log was known to be synced when they were written.
//!
//! Nothing says so of the entries of the last sync, and they may be all that was acknowledged. But a power cut
//! leaves traces of its own: a file that ends too early, or a sector that reads as zeros. Only such bytes are a
//! torn tail, and the log is cut before them; any other damage is [`LogError::Corrupt`], too. What remains is
//! damage to the last sync that looks like a lost sector.

use std::sync::Arc;

use chronik_mutants::{Mutant, planted};
use chronik_wire::types::Offset;

use super::{PartitionLog, tear};
use crate::compaction::{self, MANIFEST_FILE, Manifest, Prefix};
use crate::config::LogConfig;
use crate::disk::{Disk, DiskError, DiskFile};
use crate::entry::{ENTRY_HEADER_BYTES, ENTRY_MAGIC, EntryHeader};
use crate::error::LogError;
use crate::limits::{MANIFEST_BYTES_MAX, SCAN_WINDOW_BYTES};
use crate::reader::{ReadFault, SegmentReader};
use crate::segment::{self, SEGMENT_HEADER_BYTES, Segment, SegmentHeader, SegmentId};
use crate::snapshot::{self, SnapshotMark, TEMPORARY_SUFFIX};
use crate::state::{LogState, STATE_FILE, StateFile};
use crate::terms::TermTable;
use crate::{Index, Term};

/// What opening a log had to repair.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecoveryReport {
    /// Bytes of a torn tail, never synced, that were cut.
    pub cut_bytes: u64,
    /// Files of earlier states, removals that a crash had prevented, that were removed.
    pub leftover_files: u32,
}

/// Where the entries end that can be used, and why.
struct Damage {
    segment_at: usize,
    position: u64,
    reason: &'static str,
    /// Whether a power cut before the sync may have left this.
    may_be_torn: bool,
}

/// The files of a partition's directory, by kind.
#[derive(Default)]
struct Names {
    has_state: bool,
    segments: Vec<(u64, Index)>,
    snapshots: Vec<Index>,
    has_manifest: bool,
    compacted: Vec<String>,
    temporary: Vec<String>,
}

impl Names {
    fn read(disk: &dyn Disk, dir: &str) -> Result<Names, LogError> {
        let mut names = Names::default();
        for name in disk.list(dir)? {
            if name == STATE_FILE {
                names.has_state = true;
            } else if let Some(segment) = segment::parse_file_name(&name) {
                names.segments.push(segment);
            } else if name == MANIFEST_FILE {
                names.has_manifest = true;
            } else if compaction::parse_file_name(&name).is_some() {
                names.compacted.push(name);
            } else if let Some(index) = snapshot::parse_file_name(&name) {
                names.snapshots.push(index);
            } else if name.ends_with(TEMPORARY_SUFFIX) {
                names.temporary.push(name);
            }
        }
        names.segments.sort_unstable();
        names.snapshots.sort_unstable();
        Ok(names)
    }
}

pub(super) fn open(disk: Arc<dyn Disk>, dir: &str, config: Arc<LogConfig>) -> Result<PartitionLog, LogError> {
    let names = Names::read(&*disk, dir)?;
    let (state_file, state) = StateFile::open(&*disk, dir, names.has_state)?;
    if !names.has_state && (!names.segments.is_empty() || names.has_manifest) {
        return Err(LogError::corrupt(format!("{dir}/{STATE_FILE}"), 0, "segments without a state file"));
    }
    let is_new = !names.has_state;
    let mut recovery = Recovery::begin(disk, dir, config, state)?;
    recovery.load_prefix(&names)?;
    recovery.remove_leftovers(&names)?;
    let damage = recovery.scan()?;
    if let Some(damage) = damage {
        recovery.judge(damage)?;
    }
    recovery.check_complete()?;
    let snapshots = recovery.adopt_snapshots(&names.snapshots)?;
    recovery.finish(state_file, snapshots, is_new)
}

struct Recovery {
    disk: Arc<dyn Disk>,
    dir: Box<str>,
    config: Arc<LogConfig>,
    state: LogState,
    first_offset: Offset,
    /// Segment files to scan, by first index; shrinks when damage is cut.
    files: Vec<Index>,
    segments: Vec<Segment>,
    prefix: Option<Box<Prefix>>,
    terms: TermTable,
    next_index: Index,
    end_offset: Offset,
    last_term: Term,
    /// Largest index that anything on disk says was synced.
    known_synced: Index,
    /// First entry that a sync which failed may have left in the page cache and not on the disk.
    doubtful_from: Index,
    report: RecoveryReport,
}

impl Recovery {
    /// Sets out from the entry before the log.
    fn begin(
        disk: Arc<dyn Disk>,
        dir: &str,
        config: Arc<LogConfig>,
        state: LogState,
    ) -> Result<Recovery, LogError> {
        let before = state.first_index.prev();
        let mut terms = TermTable::default();
        let (mut first_offset, mut last_term) = (Offset::ZERO, Term::ZERO);
        if before > Index::ZERO {
            let base = snapshot::load(&*disk, dir, before).map_err(|error| match error {
                LogError::Disk(DiskError::NotFound { file }) => {
                    LogError::corrupt(file, 0, "the snapshot that the log begins after is missing")
                }
                other => other,
            })?;
            terms.reset(before, base.term, base.next_offset);
            (first_offset, last_term) = (base.next_offset, base.term);
        }
        Ok(Recovery {
            disk,
            dir: dir.into(),
            config,
            state,
            first_offset,
            files: Vec::new(),
            segments: Vec::new(),
            prefix: None,
            terms,
            next_index: state.first_index,
            end_offset: first_offset,
            last_term,
            known_synced: state.synced_through,
            doubtful_from: state.synced_through.next(),
            report: RecoveryReport::default(),
        })
    }

    /// Reads the compacted prefix back. Its manifest got its name when all of it was durable, so anything that is wrong
    /// with it is damage.
    fn load_prefix(&mut self, names: &Names) -> Result<(), LogError> {
        if !names.has_manifest {
            return Ok(());
        }
        let damaged = |reason| LogError::corrupt(format!("{}/{MANIFEST_FILE}", self.dir), 0, reason);
        let file = self.disk.open(&self.dir, MANIFEST_FILE)?;
        let length = usize::try_from(file.len()).ok().filter(|_| file.len() <= MANIFEST_BYTES_MAX);
        let length = length.ok_or_else(|| damaged("manifest is larger than a manifest may be"))?;
        let manifest = Manifest::decode(&file.read_at(0, length, length)?).map_err(damaged)?;
        let interval = self.config.index_interval_bytes;
        let prefix =
            Prefix::load(&*self.disk, &self.dir, manifest, interval).map_err(|error| match error {
                LogError::Disk(DiskError::NotFound { file }) => {
                    LogError::corrupt(file, 0, "a file of the compacted prefix is missing")
                }
                other => other,
            })?;
        self.terms.precede(&prefix.manifest.terms, self.state.first_index.prev());
        self.prefix = Some(Box::new(prefix));
        Ok(())
    }

    /// Repeats removals that a crash may have undone, and lists the segments that count.
    fn remove_leftovers(&mut self, names: &Names) -> Result<(), LogError> {
        for (generation, first_index) in &names.segments {
            if *generation == self.state.generation && *first_index >= self.state.first_index {
                self.files.push(*first_index);
            } else {
                self.disk.remove(&self.dir, &segment::file_name(*generation, *first_index))?;
                self.report.leftover_files += 1;
            }
        }
        let current = self.prefix.as_ref().map(|prefix| prefix.names()).unwrap_or_default();
        for name in names.compacted.iter().filter(|name| !current.contains(name)).chain(&names.temporary) {
            self.disk.remove(&self.dir, name)?;
            self.report.leftover_files += 1;
        }
        Ok(())
    }

    /// Reads all segments up to the first damage.
    fn scan(&mut self) -> Result<Option<Damage>, LogError> {
        for segment_at in 0..self.files.len() {
            if let Some(damage) = self.scan_segment(segment_at)? {
                return Ok(Some(damage));
            }
        }
        Ok(None)
    }

    /// Reads one segment, up to the first damage.
    fn scan_segment(&mut self, segment_at: usize) -> Result<Option<Damage>, LogError> {
        let first_index = self.files[segment_at];
        let damaged =
            |position, reason, may_be_torn| Ok(Some(Damage { segment_at, position, reason, may_be_torn }));
        if first_index != self.next_index {
            return damaged(0, "segment does not follow the one before", true);
        }
        let file = self.open_file(first_index)?;
        let mut reader =
            SegmentReader::new(Arc::clone(&file), self.id(first_index), file.len(), SCAN_WINDOW_BYTES);
        let header = match reader.take(0, SEGMENT_HEADER_BYTES) {
            Ok(bytes) => SegmentHeader::decode(&bytes),
            Err(fault) => Err(self.damage_of(fault)?),
        };
        let expected = SegmentHeader {
            first_index,
            base_offset: self.end_offset,
            previous_term: self.last_term,
            generation: self.state.generation,
        };
        match header {
            Err(reason) => {
                return damaged(0, reason, tear::explains(&*file, 0, SEGMENT_HEADER_BYTES as u64)?);
            }
            Ok(header) if header != expected => {
                return damaged(0, "segment header is another segment's", false);
            }
            Ok(_) => {}
        }
        let mut segment = Segment::new(first_index, self.end_offset).behind(self.segments.last());
        let mut damage = None;
        loop {
            let position = segment.size_bytes;
            match self.scan_entry(&mut reader, position) {
                Ok(None) => break,
                Ok(Some(header)) => {
                    segment.note(&header, self.config.index_interval_bytes);
                    self.terms.note(header.term, header.index, header.base_offset);
                    self.next_index = segment.next_index;
                    self.end_offset = segment.end_offset;
                    self.last_term = header.term;
                    self.known_synced = self.known_synced.max(header.synced_through);
                    // What was written without fsync was never taken for clean by a failed one.
                    let clear = if header.by_sync { header.synced_through } else { header.index };
                    self.doubtful_from = self.doubtful_from.max(clear.next());
                }
                Err(fault) => {
                    let reason = self.damage_of(fault)?;
                    let stored_bytes = match reader.header(position) {
                        Ok(Some(header)) => header.stored_bytes(),
                        _ => ENTRY_HEADER_BYTES as u64,
                    };
                    damage = damaged(position, reason, tear::explains(&*file, position, stored_bytes)?)?;
                    break;
                }
            }
        }
        if segment.next_index == first_index && damage.is_none() {
            damage = damaged(segment.size_bytes, "segment holds no entry", true)?;
        }
        self.segments.push(segment);
        Ok(damage)
    }

    /// The next entry, if it is whole and follows the one before.
    fn scan_entry(
        &self,
        reader: &mut SegmentReader,
        position: u64,
    ) -> Result<Option<EntryHeader>, ReadFault> {
        let Some(header) = reader.header(position)? else { return Ok(None) };
        let follows = header.index == self.next_index
            && header.base_offset == self.end_offset
            && header.term >= self.last_term
            && header.synced_through < header.index;
        if !follows {
            return Err(ReadFault::Damaged("entry does not follow the one before"));
        }
        reader.data(position, &header)?;
        Ok(Some(header))
    }

    fn damage_of(&self, fault: ReadFault) -> Result<&'static str, LogError> {
        match fault {
            ReadFault::Damaged(reason) => Ok(reason),
            ReadFault::Disk(error) => Err(error.into()),
        }
    }

    /// Cuts the log before the damage, unless the entry that belongs there may have been synced once.
    fn judge(&mut self, damage: Damage) -> Result<(), LogError> {
        let Damage { segment_at, position, reason, may_be_torn } = damage;
        for at in segment_at..self.files.len() {
            let from = if at == segment_at { position } else { 0 };
            let proof = self.proof_in(self.files[at], from)?;
            self.known_synced = self.known_synced.max(proof);
        }
        let lost = self.next_index;
        if planted(Mutant::DamageTruncated) {
            self.known_synced = lost.prev();
            return self.cut(segment_at, position);
        }
        let reason = if self.known_synced >= lost {
            format!("{reason}, though entry {lost} was synced once (through {})", self.known_synced)
        } else if !may_be_torn {
            format!("{reason}, and no power cut leaves that of entry {lost}")
        } else {
            return self.cut(segment_at, position);
        };
        Err(LogError::corrupt(self.path(self.files[segment_at]), position, reason))
    }

    /// The largest synced index that any entry header says, in the rest of a file that may hold anything.
    fn proof_in(&self, first_index: Index, from: u64) -> Result<Index, LogError> {
        let file = self.open_file(first_index)?;
        let mut proof = Index::ZERO;
        let mut position = from;
        while position + ENTRY_HEADER_BYTES as u64 <= file.len() {
            let rest = usize::try_from(file.len() - position).unwrap_or(usize::MAX);
            let window = file.read_at(position, rest.min(SCAN_WINDOW_BYTES), rest.min(SCAN_WINDOW_BYTES))?;
            for start in magic_positions(&window) {
                let place = self.id(first_index).place(position + start as u64);
                let Ok(header) = EntryHeader::decode(place, &window[start..]) else { continue };
                if header.index >= self.next_index {
                    proof = proof.max(header.synced_through.min(header.index.prev()));
                }
            }
            if window.len() < ENTRY_HEADER_BYTES || window.len() == rest {
                break;
            }
            // The windows overlap, so that a header across the border is seen.
            position += (window.len() - ENTRY_HEADER_BYTES + 1) as u64;
        }
        Ok(proof)
    }

    /// Removes the segments behind the damage, newest first, then cuts the damaged one.
    fn cut(&mut self, segment_at: usize, position: u64) -> Result<(), LogError> {
        let keeps_entries = self.segments.get(segment_at).is_some_and(|s| s.next_index > s.first_index);
        let kept = segment_at + usize::from(keeps_entries);
        for first_index in self.files.drain(kept..).rev() {
            let name = segment::file_name(self.state.generation, first_index);
            self.report.cut_bytes += self.disk.open(&self.dir, &name)?.len();
            self.disk.remove(&self.dir, &name)?;
        }
        self.segments.truncate(kept);
        self.disk.sync_dir(&self.dir)?;
        if keeps_entries {
            let file = self.open_file(self.files[segment_at])?;
            self.report.cut_bytes += file.len() - position;
            file.truncate(position)?;
            file.sync()?;
        }
        Ok(())
    }

    /// A log that ends cleanly may still have lost its end.
    fn check_complete(&self) -> Result<(), LogError> {
        let last = self.next_index.prev();
        if self.known_synced > last {
            let reason =
                format!("log ends at entry {last}, though it was synced through {}", self.known_synced);
            return Err(LogError::corrupt(self.dir.as_ref(), 0, reason));
        }
        Ok(())
    }

    /// The snapshots that agree with the log; the others are removed.
    fn adopt_snapshots(&mut self, indexes: &[Index]) -> Result<Vec<SnapshotMark>, LogError> {
        let mut marks = Vec::new();
        let before = self.state.first_index.prev();
        for index in indexes {
            let known = *index >= before && *index < self.next_index;
            let loaded = if known { Some(snapshot::load(&*self.disk, &self.dir, *index)) } else { None };
            match loaded {
                Some(Ok(snapshot)) if self.terms.term_at(*index) == snapshot.term => {
                    marks.push(SnapshotMark::from(&snapshot));
                }
                Some(Err(error)) if !matches!(error, LogError::Corrupt { .. }) => return Err(error),
                _ => {
                    self.disk.remove(&self.dir, &snapshot::file_name(*index))?;
                    self.report.leftover_files += 1;
                }
            }
        }
        Ok(marks)
    }

    /// Makes durable what was read, since Raft counts everything in the log as persisted from now on.
    fn finish(
        mut self,
        state_file: StateFile,
        snapshots: Vec<SnapshotMark>,
        is_new: bool,
    ) -> Result<PartitionLog, LogError> {
        let last = self.next_index.prev();
        let newest = snapshots.last().map_or(Index::ZERO, |mark| mark.index);
        let hard = &mut self.state.hard;
        hard.commit = hard.commit.min(last).max(self.state.first_index.prev()).max(newest);
        if planted(Mutant::TailTakenForCommitted) {
            hard.commit = last;
        }
        if self.last_term > hard.term {
            // Entries of that term survived and the term itself did not, so neither was synced, nor was a vote.
            hard.term = self.last_term;
            hard.vote = 0;
        }
        let written_log_start = self.state.log_start;
        let oldest = match &self.prefix {
            Some(prefix) if prefix.manifest.up_to >= self.first_offset => {
                prefix.manifest.starts_at.min(self.first_offset)
            }
            _ => self.first_offset,
        };
        self.state.log_start = written_log_start.max(oldest).min(self.end_offset);
        let mut log = PartitionLog {
            disk: self.disk,
            dir: self.dir,
            config: self.config,
            state: self.state,
            state_file,
            state_dirty: false,
            dir_dirty: false,
            active: !self.segments.is_empty(),
            segments: self.segments,
            terms: self.terms,
            tail: Default::default(),
            prefix: self.prefix,
            incoming: None,
            snapshots,
            next_index: self.next_index,
            first_offset: self.first_offset,
            end_offset: self.end_offset,
            truncations: 0,
            recovery: self.report,
            poisoned: false,
        };
        if let Some(at) = log.segments.len().checked_sub(1) {
            log.segments[at].file = Some(log.open_segment(at)?);
        }
        if log.state.log_start < written_log_start {
            // The records up to there were lost without fsync. New ones will take their offsets, and the next opening
            // must not take those for deleted.
            log.write_state(log.state)?;
        }
        if log.config.fsync && !is_new {
            log.adopt(self.doubtful_from)?;
        }
        Ok(log)
    }

    fn id(&self, first_index: Index) -> SegmentId {
        SegmentId { generation: self.state.generation, first_index }
    }

    fn open_file(&self, first_index: Index) -> Result<Arc<dyn DiskFile>, LogError> {
        Ok(self.disk.open(&self.dir, &segment::file_name(self.state.generation, first_index))?)
    }

    fn path(&self, first_index: Index) -> String {
        format!("{}/{}", self.dir, segment::file_name(self.state.generation, first_index))
    }
}

/// Where in a window an entry header may begin.
fn magic_positions(window: &[u8]) -> impl Iterator<Item = usize> {
    window
        .windows(ENTRY_MAGIC.len())
        .enumerate()
        .filter(|(_, bytes)| *bytes == ENTRY_MAGIC)
        .map(|(position, _)| position)
}
