//! What a plan leaves of one batch.

use std::collections::BTreeMap;

use bytes::Bytes;
use chronik_mutants::{Mutant, planted};
use chronik_wire::batch::{BatchHeader, BatchView, RecordParts, Retained, emptied, retain, visit_records};
use chronik_wire::types::Offset;

use super::AbortedRecords;
use super::give_way::Turns;
use super::keys::NewestOffsets;

/// The records of aborted transactions, by producer.
#[derive(Debug, Default)]
pub(crate) struct Aborted {
    by_producer: BTreeMap<i64, Vec<(Offset, Offset)>>,
}

impl Aborted {
    pub(crate) fn new(records: impl IntoIterator<Item = AbortedRecords>) -> Aborted {
        let mut by_producer: BTreeMap<i64, Vec<(Offset, Offset)>> = BTreeMap::new();
        for AbortedRecords { producer_id, first, last } in records {
            by_producer.entry(producer_id).or_default().push((first, last));
        }
        by_producer.values_mut().for_each(|ranges| ranges.sort_unstable());
        Aborted { by_producer }
    }

    /// Whether a batch belongs to a transaction that was aborted. A producer has one transaction at a time, so its
    /// ranges do not overlap.
    fn holds(&self, header: &BatchHeader) -> bool {
        let Some(ranges) = self.by_producer.get(&header.producer_id) else { return false };
        if !header.attributes.is_transactional() || header.attributes.is_control() {
            return false;
        }
        let after = ranges.partition_point(|(first, _)| *first <= header.base_offset);
        let last = after.checked_sub(1).and_then(|at| ranges.get(at));
        last.is_some_and(|(_, last)| header.base_offset <= *last)
    }
}

/// What is left of a batch, and the first of it that a later plan may remove.
pub(super) struct Left {
    pub(super) batch: Bytes,
    pub(super) removable: Option<Offset>,
}

/// One pass over the log: the keys of the part that was not compacted yet, and the plan's bounds.
pub(super) struct Filter<'a> {
    pub(super) newest: &'a NewestOffsets,
    pub(super) aborted: &'a Aborted,
    /// This pass compacts below here.
    pub(super) up_to: Offset,
    pub(super) tombstones_below: Offset,
    pub(super) log_start: Offset,
}

impl Filter<'_> {
    /// What this pass leaves of a batch; `None` if nothing. A batch whose records cannot be read stays as it is: who reads
    /// it will be told.
    pub(super) fn pass(&self, batch: &BatchView) -> Option<Left> {
        let header = batch.header();
        let is_last = header.next_offset() == self.up_to;
        let left = if header.next_offset() <= self.log_start || self.aborted.holds(header) {
            None
        } else if header.attributes.is_control() {
            let stays = header.base_offset >= self.tombstones_below;
            stays.then(|| Left { batch: batch.bytes().clone(), removable: Some(header.base_offset) })
        } else {
            self.records(batch)
        };
        let empty = || emptied(batch).ok().map(|batch| Left { batch, removable: None });
        left.or_else(|| if is_last { empty() } else { None })
    }

    fn records(&self, batch: &BatchView) -> Option<Left> {
        let (mut removable, mut turns) = (None, Turns::default());
        let retained = retain(batch, |record| {
            turns.pass();
            let stays = self.keeps(&record);
            if stays && record.is_tombstone {
                removable = removable.or(Some(record.offset));
            }
            stays
        });
        match retained {
            Ok(Retained::Nothing) => None,
            Ok(Retained::Some(bytes)) => Some(Left { batch: bytes, removable }),
            Ok(Retained::All) => Some(Left { batch: batch.bytes().clone(), removable }),
            Err(_) => Some(Left { batch: batch.bytes().clone(), removable: None }),
        }
    }

    fn keeps(&self, record: &RecordParts<'_>) -> bool {
        let Some(key) = record.key else { return false };
        let expired = record.is_tombstone
            && (record.offset < self.tombstones_below || planted(Mutant::TombstoneDroppedEarly));
        let newer_than =
            if planted(Mutant::NewestValueDropped) { record.offset.0 - 1 } else { record.offset.0 };
        !expired && !self.newest.supersedes(key, Offset(newer_than))
    }
}

/// Notes the keys of a batch that counts.
pub(super) fn note_keys(newest: &mut NewestOffsets, aborted: &Aborted, batch: &BatchView) {
    let header = batch.header();
    if header.attributes.is_control() || aborted.holds(header) {
        return;
    }
    let mut turns = Turns::default();
    // A batch that cannot be read to its end stays as it is, and so do the records met before the fault.
    let _ = visit_records(batch, |record| {
        turns.pass();
        if let Some(key) = record.key {
            newest.note(key, record.offset);
        }
    });
}
