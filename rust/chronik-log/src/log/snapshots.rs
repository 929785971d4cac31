//! Snapshots of the replica's state at segment boundaries, and the one that replaces the whole log.

use bytes::Bytes;
use chronik_wire::types::Offset;

use super::PartitionLog;
use crate::Index;
use crate::error::LogError;
use crate::limits::SNAPSHOT_BYTES_MAX;
use crate::segment;
use crate::snapshot::{self, Snapshot, SnapshotMark};
use crate::state::LogState;

impl PartitionLog {
    /// The last index of the first closed segment, at or above `applied`, that has no snapshot yet.
    ///
    /// Ask after every append and stop applying there: the state as of that index exists only until the next
    /// entry is applied. Missing one costs disk space, since its segment is dropped only with a later one.
    pub fn wants_boundary_snapshot(&self, applied: Index) -> Option<Index> {
        let closed = self.segments.len() - usize::from(self.active);
        let from = self.segments.partition_point(|segment| segment.last_index() < applied);
        let boundaries = self.segments.get(from..closed)?.iter().map(|segment| segment.last_index());
        boundaries.into_iter().find(|index| !self.has_snapshot(*index))
    }

    /// Stores the replica's state as of an index of this log, durably. Older snapshots that are neither at a
    /// boundary nor needed go.
    ///
    /// # Panics
    /// If the snapshot contradicts the log.
    pub fn save_snapshot(&mut self, snapshot: &Snapshot) -> Result<(), LogError> {
        self.check_writable()?;
        if self.has_snapshot(snapshot.index) {
            return Ok(());
        }
        self.check_snapshot(snapshot)?;
        self.ensure_created()?;
        let stored = snapshot::store(&*self.disk, &self.dir, snapshot);
        self.poisoned |= stored.as_ref().is_err_and(|error| !matches!(error, LogError::DiskFull { .. }));
        stored?;
        // The directory was synced, and all names in it.
        self.dir_dirty = false;
        let at = self.snapshots.partition_point(|mark| mark.index < snapshot.index);
        self.snapshots.insert(at, SnapshotMark::from(snapshot));
        self.forget_superseded_snapshots()
    }

    fn check_snapshot(&self, snapshot: &Snapshot) -> Result<(), LogError> {
        let Snapshot { index, term, next_offset, .. } = snapshot;
        let (known_term, known_offset) = (self.term(*index)?, self.offset_after_index(*index)?);
        assert!(
            (known_term, known_offset) == (*term, *next_offset),
            "snapshot at {index} of {} says term {term} and offset {next_offset}, the log {known_term} and {known_offset}",
            self.dir
        );
        let bytes = snapshot.machine.len() + snapshot.conf_state.len();
        assert!((bytes as u64) < SNAPSHOT_BYTES_MAX, "snapshot at {index} of {} is too large", self.dir);
        Ok(())
    }

    /// What a follower that is too far behind must install: the state just before the first entry. `None`
    /// only if the log begins at index 1, and then nobody is too far behind.
    pub fn snapshot(&self) -> Result<Option<Snapshot>, LogError> {
        let before = self.first_index().prev();
        if before == Index::ZERO {
            return Ok(None);
        }
        let stored = self.load_snapshot(before)?;
        Ok(Some(Snapshot { prefix: self.prefix_manifest(), ..stored }))
    }

    /// What a restarted replica begins with, before it applies the entries that follow.
    pub fn newest_snapshot(&self) -> Result<Option<Snapshot>, LogError> {
        self.snapshots.last().map(|mark| self.load_snapshot(mark.index)).transpose()
    }

    /// Replaces the whole log by a state: it has no entry after the snapshot's index, and everything at or below
    /// it is committed. Durable when the call returns.
    ///
    /// # Panics
    /// If the snapshot lies below the commit index, or its compacted prefix was not
    /// [received](Self::receive_prefix).
    pub fn install_snapshot(&mut self, snapshot: &Snapshot) -> Result<(), LogError> {
        self.check_writable()?;
        let (index, commit) = (snapshot.index, self.state.hard.commit);
        assert!(
            index >= commit && index > Index::ZERO,
            "snapshot at {index} of {} is below commit {commit}",
            self.dir
        );
        self.ensure_created()?;
        self.adopt_incoming(&snapshot.prefix)?;
        self.forget_incoming();
        let snapshot = &Snapshot { prefix: Bytes::new(), ..snapshot.clone() };
        if !self.has_snapshot(index) {
            let stored = snapshot::store(&*self.disk, &self.dir, snapshot);
            self.poisoned |= stored.as_ref().is_err_and(|error| !matches!(error, LogError::DiskFull { .. }));
            stored?;
            self.dir_dirty = false;
        }
        // From this write on the old segments are leftovers: their names carry another generation.
        let mut state = LogState {
            log_start: self.log_start_behind(snapshot),
            first_index: index.next(),
            synced_through: index,
            generation: self.state.generation + 1,
            ..self.state
        };
        state.hard.commit = index;
        let old_generation = self.state.generation;
        self.write_state_durably(state)?;
        self.truncations += 1;
        self.active = false;
        self.terms.reset(index, snapshot.term, snapshot.next_offset);
        if let Some(prefix) = &self.prefix {
            self.terms.precede(&prefix.manifest.terms, index);
        }
        self.tail.clear();
        self.next_index = index.next();
        self.first_offset = snapshot.next_offset;
        self.end_offset = snapshot.next_offset;
        let old_segments = std::mem::take(&mut self.segments);
        for segment in old_segments {
            let removed =
                self.disk.remove(&self.dir, &segment::file_name(old_generation, segment.first_index));
            self.poisoning(removed)?;
        }
        for mark in std::mem::replace(&mut self.snapshots, vec![SnapshotMark::from(snapshot)]) {
            if mark.index != index {
                self.remove_snapshot_file(mark.index)?;
            }
        }
        self.drop_segments_below_log_start()?;
        Ok(())
    }

    /// What is readable once `snapshot` is installed: nothing below its end but what is compacted.
    fn log_start_behind(&self, snapshot: &Snapshot) -> Offset {
        let oldest = match &self.prefix {
            Some(prefix) if prefix.manifest.up_to >= snapshot.next_offset => {
                prefix.manifest.starts_at.min(snapshot.next_offset)
            }
            _ => snapshot.next_offset,
        };
        self.state.log_start.max(snapshot.log_start).max(oldest)
    }

    pub(super) fn has_snapshot(&self, index: Index) -> bool {
        self.snapshots.binary_search_by_key(&index, |mark| mark.index).is_ok()
    }

    /// Forgets the snapshots before the one at `index`.
    pub(super) fn forget_snapshots_before(&mut self, index: Index) -> Result<(), LogError> {
        let count = self.snapshots.partition_point(|mark| mark.index < index);
        let gone: Vec<Index> = self.snapshots.drain(..count).map(|mark| mark.index).collect();
        gone.into_iter().try_for_each(|index| self.remove_snapshot_file(index))
    }

    /// Keeps the newest snapshot, the one before the first entry, and those at boundaries.
    fn forget_superseded_snapshots(&mut self) -> Result<(), LogError> {
        let newest = self.snapshots.last().map(|mark| mark.index);
        let before = self.first_index().prev();
        let superseded: Vec<Index> = self
            .snapshots
            .iter()
            .map(|mark| mark.index)
            .filter(|index| Some(*index) != newest && *index != before && !self.is_boundary(*index))
            .collect();
        self.snapshots.retain(|mark| !superseded.contains(&mark.index));
        superseded.into_iter().try_for_each(|index| self.remove_snapshot_file(index))
    }

    fn is_boundary(&self, index: Index) -> bool {
        self.segments.binary_search_by_key(&index, |segment| segment.last_index()).is_ok()
    }

    fn remove_snapshot_file(&mut self, index: Index) -> Result<(), LogError> {
        let removed = self.disk.remove(&self.dir, &snapshot::file_name(index));
        self.poisoning(removed)
    }

    fn load_snapshot(&self, index: Index) -> Result<Snapshot, LogError> {
        snapshot::load(&*self.disk, &self.dir, index)
    }
}
