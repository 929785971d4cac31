//! The compacted prefix of a log: a job for it, its replacement, and its way to another member.
//!
//! A prefix is replaced by one rename. The files of the old one go after that, and so do the segments that the new one
//! stands for; whatever of it a crash prevents, opening the log repeats.

use bytes::Bytes;
use chronik_mutants::{Mutant, planted};
use chronik_wire::types::Offset;

use super::PartitionLog;
use crate::Index;
use crate::compaction::{
    Aborted, AbortedRecords, CompactedInfo, CompactionDone, CompactionJob, CompactionPlan, Incoming,
    JobInput, MANIFEST_FILE, Manifest, Prefix, PrefixPlace, Source, temporary_manifest, write_manifest,
};
use crate::error::LogError;
use crate::limits::PREFIX_PIECE_BYTES_MAX;
use crate::segment::Segment;
use crate::snapshot::TEMPORARY_SUFFIX;

impl PartitionLog {
    /// The compacted prefix, if there is one.
    pub fn compacted(&self) -> Option<CompactedInfo> {
        self.prefix.as_deref().map(Prefix::info)
    }

    /// The job that carries out `plan`; `None` if that is done already. `aborted` are the transactions with records below
    /// the plan's end that were aborted. The log goes on meanwhile.
    ///
    /// # Panics
    /// If no batch of this log ends at the plan's `up_to`, or it is not committed.
    pub fn begin_compaction(
        &self,
        plan: CompactionPlan,
        aborted: impl IntoIterator<Item = AbortedRecords>,
    ) -> Result<Option<CompactionJob>, LogError> {
        self.check_writable()?;
        let wanted = (plan.up_to, plan.tombstones_below);
        let prefix = self.prefix.as_deref();
        let covers = |prefix: &Prefix| {
            prefix.manifest.up_to >= wanted.0 && prefix.manifest.tombstones_below >= wanted.1
        };
        if prefix.is_some_and(covers) || plan.up_to <= self.log_start() {
            return Ok(None);
        }
        let compacted_to = prefix.map_or(Offset::ZERO, |prefix| prefix.manifest.up_to);
        assert!(
            plan.up_to >= compacted_to && plan.up_to <= self.end_offset,
            "{} cannot be compacted up to {}: it is up to {compacted_to} and ends at {}",
            self.dir,
            plan.up_to,
            self.end_offset
        );
        let files = prefix.into_iter().flat_map(|prefix| {
            prefix.files.iter().enumerate().map(|(at, file)| Source {
                name: prefix.name_of(at),
                id: prefix.id_of(at),
                size_bytes: file.mark.size_bytes,
                compacted: true,
            })
        });
        let needed = |(_, segment): &(usize, &Segment)| {
            segment.end_offset > compacted_to && segment.base_offset < plan.up_to
        };
        let segments = self.segments.iter().enumerate().filter(needed).map(|(at, segment)| Source {
            name: self.segment_name(at),
            id: self.segment_id(at),
            size_bytes: segment.size_bytes,
            compacted: false,
        });
        Ok(Some(CompactionJob::new(JobInput {
            disk: std::sync::Arc::clone(&self.disk),
            dir: self.dir.clone(),
            generation: self.state.generation,
            plan,
            log_start: self.log_start(),
            compacted_to,
            aborted: Aborted::new(aborted),
            sources: files.chain(segments).collect(),
            terms: self.terms.begun_below(plan.up_to),
            interval: self.config.index_interval_bytes,
        })))
    }

    /// Puts the result of a job in its place, durably; false if the log went another way meanwhile and the result was
    /// thrown away.
    pub fn finish_compaction(&mut self, done: CompactionDone) -> Result<bool, LogError> {
        self.check_writable()?;
        let current = self.prefix.as_ref().map(|prefix| prefix.manifest.id());
        let outdated = current.is_some_and(|(up_to, tombstones_below)| {
            done.manifest.up_to < up_to || done.manifest.tombstones_below < tombstones_below
        });
        let CompactionDone { generation, manifest, files } = done;
        let prefix = Prefix { manifest, files };
        if generation != self.state.generation || outdated || current == Some(prefix.manifest.id()) {
            self.throw_away(&prefix);
            return Ok(false);
        }
        if let Err(error) = self.write_manifest(&prefix.manifest) {
            self.throw_away(&prefix);
            return Err(error);
        }
        self.switch_prefix(prefix)?;
        self.drop_segments_below_log_start()?;
        Ok(true)
    }

    /// Removes the files of a prefix that does not count, but none of the one that does.
    fn throw_away(&self, prefix: &Prefix) {
        let current = self.prefix.as_deref().map(Prefix::names).unwrap_or_default();
        for name in prefix.names().into_iter().filter(|name| !current.contains(name)) {
            // What cannot be removed now is removed when the log is opened.
            let _ = self.disk.remove(&self.dir, &name);
        }
    }

    /// Writes the manifest of a prefix under a name that does not count yet.
    fn write_manifest(&mut self, manifest: &Manifest) -> Result<(), LogError> {
        let written = write_manifest(&*self.disk, &self.dir, manifest);
        self.poisoned |= written.as_ref().is_err_and(|error| !matches!(error, LogError::DiskFull { .. }));
        written
    }

    /// Makes the manifest that was written count, with the prefix it names, and lets go of the old files.
    fn switch_prefix(&mut self, prefix: Prefix) -> Result<(), LogError> {
        let before = self.prefix.as_deref().map(Prefix::names).unwrap_or_default();
        let kept = prefix.names();
        let old: Vec<String> = before.into_iter().filter(|name| !kept.contains(name)).collect();
        if planted(Mutant::OldFilesGoFirst) {
            self.remove_files(&old)?;
        }
        self.publish_manifest()?;
        self.prefix = Some(Box::new(prefix));
        if planted(Mutant::OldFilesGoFirst) { Ok(()) } else { self.remove_files(&old) }
    }

    /// From this rename on, the manifest that was written counts.
    fn publish_manifest(&mut self) -> Result<(), LogError> {
        let renamed = self.disk.rename(&self.dir, &temporary_manifest(), MANIFEST_FILE);
        self.poisoning(renamed)?;
        let synced = self.disk.sync_dir(&self.dir);
        self.poisoning(synced)?;
        self.dir_dirty = false;
        Ok(())
    }

    fn remove_files(&mut self, names: &[String]) -> Result<(), LogError> {
        for name in names {
            let removed = self.disk.remove(&self.dir, name);
            self.poisoning(removed)?;
        }
        Ok(())
    }

    /// Whether a file of the compacted prefix lies wholly below the log start.
    pub(super) fn has_compacted_below_log_start(&self) -> bool {
        let first = self.prefix.as_ref().and_then(|prefix| prefix.files.first());
        first.is_some_and(|file| file.segment.end_offset <= self.log_start())
    }

    /// Lets go of the files that lie wholly below the log start. The log start must be durable.
    pub(super) fn drop_compacted_below_log_start(&mut self) -> Result<(), LogError> {
        let log_start = self.log_start();
        let Some(prefix) = &self.prefix else { return Ok(()) };
        let below = prefix.files.partition_point(|file| file.segment.end_offset <= log_start);
        if below == 0 {
            return Ok(());
        }
        if below == prefix.files.len() {
            // Without its manifest it is gone; the files go when they can.
            let names = prefix.names();
            let removed = self.disk.remove(&self.dir, MANIFEST_FILE);
            self.poisoning(removed)?;
            self.prefix = None;
            return self.remove_files(&names);
        }
        let mut manifest = prefix.manifest.clone();
        manifest.files.drain(..below);
        manifest.starts_at = log_start;
        let gone: Vec<String> = (0..below).map(|at| prefix.name_of(at)).collect();
        self.write_manifest(&manifest)?;
        self.publish_manifest()?;
        if let Some(prefix) = &mut self.prefix {
            prefix.files.drain(..below);
            prefix.manifest = manifest;
        }
        self.remove_files(&gone)
    }

    /// The manifest of the compacted prefix, for a member that has to fetch it; empty without one.
    pub fn prefix_manifest(&self) -> Bytes {
        self.prefix.as_ref().map_or_else(Bytes::new, |prefix| prefix.manifest.encode())
    }

    /// Bytes of the compacted prefix from `place` on, at most as many as one piece has; `None` if that prefix is not the
    /// present one any more.
    pub fn prefix_piece(&self, place: PrefixPlace) -> Result<Option<Bytes>, LogError> {
        let Some(prefix) = &self.prefix else { return Ok(None) };
        if prefix.manifest.id() != (place.up_to, place.tombstones_below) {
            return Ok(None);
        }
        let Some(at) = prefix.files.iter().position(|file| file.mark.number == place.file) else {
            return Ok(None);
        };
        let rest = prefix.files[at].mark.size_bytes.saturating_sub(place.position);
        let bytes = usize::try_from(rest).unwrap_or(usize::MAX).min(PREFIX_PIECE_BYTES_MAX);
        if bytes == 0 {
            return Ok(None);
        }
        let file = self.disk.open(&self.dir, &prefix.name_of(at))?;
        Ok(Some(file.read_at(place.position, bytes, bytes)?))
    }

    /// Begins to receive the prefix that a manifest names, or goes on with it; says what is needed next, `None` if the
    /// log has everything: then a snapshot with this manifest may be installed.
    ///
    /// [`LogError::Corrupt`] if the bytes are no manifest.
    pub fn receive_prefix(&mut self, manifest: &Bytes) -> Result<Option<PrefixPlace>, LogError> {
        self.check_writable()?;
        let manifest = self.decode_manifest(manifest)?;
        if self.covers(&manifest) {
            return Ok(None);
        }
        let same = |incoming: &Incoming| incoming.manifest == manifest;
        if !self.incoming.as_deref().is_some_and(same) {
            self.forget_incoming();
            self.ensure_created()?;
            self.incoming = Some(Box::new(Incoming::new(manifest)));
        }
        Ok(self.incoming.as_ref().and_then(|incoming| incoming.wants()))
    }

    /// Takes bytes of the prefix that is being received; says what is needed next, `None` if that is everything. Bytes of
    /// any other place are ignored. On [`LogError::DiskFull`] the piece may be asked for again.
    pub fn take_prefix_piece(
        &mut self,
        place: PrefixPlace,
        bytes: Bytes,
    ) -> Result<Option<PrefixPlace>, LogError> {
        self.check_writable()?;
        let Some(mut incoming) = self.incoming.take() else { return Ok(None) };
        if incoming.wants() == Some(place) {
            let taken = incoming.take(&*self.disk, &self.dir, bytes, self.config.index_interval_bytes);
            if let Err(error) = taken {
                incoming.abandon(&*self.disk, &self.dir);
                self.poisoned |= !matches!(error, LogError::DiskFull { .. });
                return Err(error);
            }
        }
        let wants = incoming.wants();
        self.incoming = Some(incoming);
        Ok(wants)
    }

    /// Stops receiving.
    pub(super) fn forget_incoming(&mut self) {
        if let Some(incoming) = self.incoming.take() {
            incoming.abandon(&*self.disk, &self.dir);
        }
    }

    /// A snapshot is installed: the prefix it rests on becomes this log's. First that, then the log begins behind the
    /// snapshot: a crash between the two leaves a log whose beginning is compacted, and nothing else.
    ///
    /// # Panics
    /// If the prefix was not received.
    pub(super) fn adopt_incoming(&mut self, manifest: &Bytes) -> Result<(), LogError> {
        if manifest.is_empty() {
            return Ok(());
        }
        let manifest = self.decode_manifest(manifest)?;
        if self.covers(&manifest) {
            return Ok(());
        }
        let whole = |incoming: &Incoming| incoming.manifest == manifest && incoming.wants().is_none();
        assert!(
            self.incoming.as_deref().is_some_and(whole),
            "a snapshot is installed when its prefix is there"
        );
        // A full disk is met here, and what has come stays for another attempt.
        self.write_manifest(&manifest)?;
        let Some(prefix) = self.incoming.take().and_then(|incoming| incoming.into_prefix()) else {
            return Ok(());
        };
        for name in prefix.names() {
            let renamed = self.disk.rename(&self.dir, &format!("{name}{TEMPORARY_SUFFIX}"), &name);
            self.poisoning(renamed)?;
        }
        self.switch_prefix(prefix)
    }

    /// Whether the present prefix holds what the manifest names, or is that compacted farther.
    fn covers(&self, manifest: &Manifest) -> bool {
        self.prefix.as_ref().is_some_and(|prefix| {
            prefix.manifest.up_to >= manifest.up_to
                && prefix.manifest.tombstones_below >= manifest.tombstones_below
        })
    }

    fn decode_manifest(&self, manifest: &Bytes) -> Result<Manifest, LogError> {
        Manifest::decode(manifest)
            .map_err(|reason| LogError::corrupt(format!("{}/{MANIFEST_FILE}", self.dir), 0, reason))
    }

    /// Where the compacted prefix ends; zero without one.
    pub(super) fn compacted_end(&self) -> Offset {
        self.prefix.as_ref().map_or(Offset::ZERO, |prefix| prefix.manifest.up_to)
    }

    /// The segments that take no more entries.
    pub(crate) fn closed_segments(&self) -> &[Segment] {
        let closed = self.segments.len() - usize::from(self.active);
        self.segments.get(..closed).unwrap_or_default()
    }

    /// The segment that takes more entries.
    pub(crate) fn active_segment(&self) -> Option<&Segment> {
        self.segments.last().filter(|_| self.active)
    }

    /// Closes the active segment.
    pub(crate) fn close_active(&mut self) {
        self.roll();
    }

    /// Whether the state as of `index` is saved.
    pub(crate) fn has_boundary(&self, index: Index) -> bool {
        self.has_snapshot(index)
    }
}
