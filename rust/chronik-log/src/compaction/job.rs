//! The work of a compaction, detached from the log: reads files that do not change any more, writes new ones.
//!
//! A pass first notes the keys of the part that was not compacted yet, as many as fit, and then copies the log up
//! to there without what they supersede. What a pass has written is the compacted part of the next one.

use std::sync::Arc;

use bytes::Bytes;
use chronik_wire::batch::BatchView;
use chronik_wire::types::Offset;

use super::CompactionPlan;
use super::filter::{Aborted, Filter, note_keys};
use super::give_way::give_way;
use super::keys::NewestOffsets;
use super::manifest::{MANIFEST_FILE, Manifest, PrefixId, file_name, segment_id};
use super::prefix::PrefixFile;
use super::writer::PrefixWriter;
use crate::disk::{Disk, DiskError};
use crate::entry::{EntryHeader, EntryKind};
use crate::error::LogError;
use crate::limits::{COMPACTION_KEYS_MAX, SCAN_WINDOW_BYTES};
use crate::reader::{ReadFault, SegmentReader};
use crate::segment::{SEGMENT_HEADER_BYTES, SegmentId};
use crate::snapshot::TEMPORARY_SUFFIX;
use crate::terms::TermStart;

/// A file to read from.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) name: String,
    pub(crate) id: SegmentId,
    /// Bytes of it that count.
    pub(crate) size_bytes: u64,
    /// It is part of a compacted prefix.
    pub(crate) compacted: bool,
}

/// Everything a job starts from.
pub(crate) struct JobInput {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) dir: Box<str>,
    pub(crate) generation: u64,
    pub(crate) plan: CompactionPlan,
    pub(crate) log_start: Offset,
    /// The log is compacted up to here.
    pub(crate) compacted_to: Offset,
    pub(crate) aborted: Aborted,
    /// Compacted files first, in the order of their offsets.
    pub(crate) sources: Vec<Source>,
    pub(crate) terms: Vec<TermStart>,
    pub(crate) interval: u32,
}

/// How far a job is.
#[derive(Debug)]
pub enum CompactionProgress {
    /// There is more to do.
    Working,
    /// The files are written and durable; [`finish_compaction`](crate::PartitionLog::finish_compaction) makes them count.
    Done(CompactionDone),
}

/// A new compacted prefix, ready to take its place.
#[derive(Debug)]
pub struct CompactionDone {
    pub(crate) generation: u64,
    pub(crate) manifest: Manifest,
    pub(crate) files: Vec<PrefixFile>,
}

enum Stage {
    Keys,
    Copy { writer: Box<PrefixWriter>, pass_end: Offset },
    Ended,
}

/// A compaction under way. May be dropped at any time; what it wrote is then removed when the log is next opened.
pub struct CompactionJob {
    input: JobInput,
    stage: Stage,
    newest: NewestOffsets,
    reading: Reading,
    /// End of the last batch whose keys were noted.
    noted_to: Offset,
    /// Files that earlier passes of this job wrote.
    intermediate: Vec<String>,
    moved_bytes: u64,
}

impl std::fmt::Debug for CompactionJob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CompactionJob({}: up to {})", self.input.dir, self.input.plan.up_to)
    }
}

/// Where in the sources the job reads.
#[derive(Default)]
struct Reading {
    at: usize,
    position: u64,
    reader: Option<SegmentReader>,
}

impl CompactionJob {
    pub(crate) fn new(input: JobInput) -> CompactionJob {
        let noted_to = input.compacted_to;
        CompactionJob {
            reading: Reading::behind_compacted(&input.sources),
            input,
            stage: Stage::Keys,
            newest: NewestOffsets::default(),
            noted_to,
            intermediate: Vec::new(),
            moved_bytes: 0,
        }
    }

    /// The plan that it carries out.
    pub fn plan(&self) -> CompactionPlan {
        self.input.plan
    }

    /// Bytes that it has read, passed over and written so far.
    pub fn moved_bytes(&self) -> u64 {
        self.moved_bytes
    }

    /// Works until `bytes` were read and written, and to the end of the batch at hand; blocks on the disk, and lets other
    /// threads go first between its reads, writes and runs of records. After an error the job is over.
    ///
    /// [`LogError::Corrupt`] if the log is damaged, [`LogError::DiskFull`] if there is no room for the new files; what was
    /// written is removed then.
    pub fn step(&mut self, bytes: u64) -> Result<CompactionProgress, LogError> {
        let stepped = self.work(bytes);
        if stepped.is_err() {
            self.give_up();
        }
        stepped
    }

    fn work(&mut self, bytes: u64) -> Result<CompactionProgress, LogError> {
        let enough = self.moved_bytes + bytes;
        while self.moved_bytes < enough {
            let done = match &self.stage {
                Stage::Keys => self.note_next()?,
                Stage::Copy { .. } => self.copy_next()?,
                Stage::Ended => return Ok(CompactionProgress::Working),
            };
            match done {
                Moved::Bytes(moved) => self.moved_bytes += moved,
                Moved::AllKeys => self.begin_copy(),
                Moved::AllBatches => {
                    if let Some(done) = self.end_pass()? {
                        return Ok(CompactionProgress::Done(done));
                    }
                }
            }
        }
        Ok(CompactionProgress::Working)
    }

    /// Notes the keys of one batch.
    fn note_next(&mut self) -> Result<Moved, LogError> {
        if self.newest.len() >= COMPACTION_KEYS_MAX {
            return Ok(Moved::AllKeys);
        }
        let up_to = self.input.plan.up_to;
        let (header, batch) = match self.reading.next(&self.input, self.noted_to, up_to)? {
            Next::Batch(header, batch) => (header, batch),
            Next::Skipped(bytes) => return Ok(Moved::Bytes(bytes)),
            Next::End => return Ok(Moved::AllKeys),
        };
        note_keys(&mut self.newest, &self.input.aborted, &batch);
        self.noted_to = header.next_offset();
        Ok(Moved::Bytes(header.stored_bytes()))
    }

    fn begin_copy(&mut self) {
        let input = &self.input;
        let pass_end = self.noted_to;
        let id = self.id_at(pass_end);
        let (disk, file_bytes) = (Arc::clone(&input.disk), input.plan.file_bytes);
        let writer = Box::new(PrefixWriter::new(disk, &input.dir, id, file_bytes, input.interval));
        self.reading = Reading::default();
        self.stage = Stage::Copy { writer, pass_end };
    }

    /// The prefix that a pass up to `pass_end` writes.
    fn id_at(&self, pass_end: Offset) -> PrefixId {
        (pass_end, self.input.plan.tombstones_below.min(pass_end))
    }

    /// Copies what is left of one batch.
    fn copy_next(&mut self) -> Result<Moved, LogError> {
        let Stage::Copy { writer, pass_end } = &mut self.stage else { return Ok(Moved::AllBatches) };
        let (header, batch) = match self.reading.next(&self.input, Offset::ZERO, *pass_end)? {
            Next::Batch(header, batch) => (header, batch),
            Next::Skipped(bytes) => return Ok(Moved::Bytes(bytes)),
            Next::End => return Ok(Moved::AllBatches),
        };
        let filter = Filter {
            newest: &self.newest,
            aborted: &self.input.aborted,
            up_to: *pass_end,
            tombstones_below: self.input.plan.tombstones_below,
            log_start: self.input.log_start,
        };
        let written = match filter.pass(&batch) {
            Some(left) => {
                give_way();
                writer.write(&header, left.batch, left.removable)?
            }
            None => 0,
        };
        Ok(Moved::Bytes(header.stored_bytes() + written))
    }

    /// The log is copied up to the end of this pass: either all is done, or the next pass goes on from there.
    fn end_pass(&mut self) -> Result<Option<CompactionDone>, LogError> {
        if let Stage::Copy { writer, .. } = &mut self.stage {
            writer.close()?;
        }
        let Stage::Copy { writer, pass_end } = std::mem::replace(&mut self.stage, Stage::Ended) else {
            return Ok(None);
        };
        let (files, removable_from) = writer.into_files();
        let id = self.id_at(pass_end);
        let names: Vec<String> = files.iter().map(|file| file_name(id, file.mark.number)).collect();
        let superseded = std::mem::replace(&mut self.intermediate, names);
        superseded.iter().try_for_each(|name| self.input.disk.remove(&self.input.dir, name))?;
        let end = files.last().map(|file| file.segment.end_offset);
        if end != Some(pass_end) {
            let dir = self.input.dir.as_ref();
            return Err(LogError::corrupt(
                dir,
                0,
                format!("no batch ends at offset {pass_end}, up to which it is compacted"),
            ));
        }
        if pass_end == self.input.plan.up_to {
            self.intermediate.clear();
            return Ok(Some(self.result(files, removable_from)));
        }
        let source = |file: &PrefixFile| Source {
            name: file_name(id, file.mark.number),
            id: segment_id(id, file.mark.number),
            size_bytes: file.mark.size_bytes,
            compacted: true,
        };
        let segments = self.input.sources.drain(..).filter(|source| !source.compacted);
        self.input.sources = files.iter().map(source).chain(segments).collect();
        self.input.compacted_to = pass_end;
        self.newest.clear();
        self.reading = Reading::behind_compacted(&self.input.sources);
        self.stage = Stage::Keys;
        Ok(None)
    }

    /// What the log needs to put the new files in their place.
    fn result(&self, files: Vec<PrefixFile>, removable_from: Option<Offset>) -> CompactionDone {
        let input = &self.input;
        let manifest = Manifest {
            up_to: input.plan.up_to,
            tombstones_below: input.plan.tombstones_below,
            starts_at: input.log_start,
            removable_from,
            terms: input.terms.clone(),
            files: files.iter().map(|file| file.mark).collect(),
        };
        CompactionDone { generation: input.generation, manifest, files }
    }

    /// Removes what was written so far, as far as the disk lets it.
    fn give_up(&mut self) {
        if let Stage::Copy { writer, .. } = std::mem::replace(&mut self.stage, Stage::Ended) {
            writer.abandon();
        }
        for name in self.intermediate.drain(..) {
            let _ = self.input.disk.remove(&self.input.dir, &name);
        }
    }
}

/// Writes a manifest durably under its temporary name.
pub(crate) fn write_manifest(disk: &dyn Disk, dir: &str, manifest: &Manifest) -> Result<(), LogError> {
    let name = temporary_manifest();
    let file = match disk.create(dir, &name) {
        Err(DiskError::AlreadyExists { .. }) => {
            disk.remove(dir, &name)?;
            disk.create(dir, &name)?
        }
        created => created?,
    };
    let written = file.append(&[manifest.encode()]).and_then(|_| file.sync());
    if let Err(error) = written {
        // What cannot be removed now is removed when the log is opened.
        let _ = disk.remove(dir, &name);
        return Err(error.into());
    }
    Ok(())
}

/// The name of a manifest that does not count yet. Opening a log removes it.
pub(crate) fn temporary_manifest() -> String {
    format!("{MANIFEST_FILE}{TEMPORARY_SUFFIX}")
}

/// What one step of a stage did.
enum Moved {
    Bytes(u64),
    AllKeys,
    AllBatches,
}

enum Next {
    Batch(EntryHeader, BatchView),
    /// This many bytes were passed over.
    Skipped(u64),
    End,
}

impl Reading {
    /// At the first segment: its keys are the first that are not known to be distinct.
    fn behind_compacted(sources: &[Source]) -> Reading {
        Reading { at: sources.iter().take_while(|source| source.compacted).count(), ..Reading::default() }
    }

    /// The next entry: a batch between `from` and `up_to`, or something to be passed over.
    fn next(&mut self, input: &JobInput, from: Offset, up_to: Offset) -> Result<Next, LogError> {
        let Some(source) = input.sources.get(self.at) else { return Ok(Next::End) };
        let path = || format!("{}/{}", input.dir, source.name);
        let position = self.position.max(SEGMENT_HEADER_BYTES as u64);
        let fault = |fault| match fault {
            ReadFault::Disk(error) => error.into(),
            ReadFault::Damaged(reason) => LogError::corrupt(path(), position, reason),
        };
        let reader = match &mut self.reader {
            Some(reader) => reader,
            none => {
                let file = input.disk.open(&input.dir, &source.name)?;
                none.insert(SegmentReader::new(file, source.id, source.size_bytes, SCAN_WINDOW_BYTES))
            }
        };
        let Some(header) = reader.header(position).map_err(fault)? else {
            *self = Reading { at: self.at + 1, ..Reading::default() };
            return Ok(Next::Skipped(0));
        };
        let from = if source.compacted { from } else { from.max(input.compacted_to) };
        if header.kind != EntryKind::Batch || header.base_offset < from {
            self.position = position + header.stored_bytes();
            return Ok(Next::Skipped(header.stored_bytes()));
        }
        if header.next_offset() > up_to {
            return Ok(Next::End);
        }
        give_way();
        let data: Bytes = reader.data(position, &header).map_err(fault)?;
        give_way();
        self.position = position + header.stored_bytes();
        let batch =
            BatchView::parse(data).map_err(|error| LogError::corrupt(path(), position, error.to_string()))?;
        Ok(Next::Batch(header, batch))
    }
}
