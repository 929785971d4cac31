//! What the log has for a share-partition from an offset on: whole batches, and what is in them for consumers.

use std::collections::BTreeSet;

use bytes::Bytes;
use chronik_coord::share::{AcquiredRange, ReadRange};
use chronik_replica::{Host, Role};
use chronik_wire::batch::{BatchHeader, BatchView, ControlMarker, EndTransaction};
use chronik_wire::error_code::ErrorCode;
use chronik_wire::types::{LeaderEpoch, Offset, PartitionKey};

use crate::errors;

/// What is to be read.
#[derive(Debug, Clone, Copy)]
pub(super) struct LogRead {
    pub(super) key: PartitionKey,
    /// The epoch in which the asker leads.
    pub(super) epoch: LeaderEpoch,
    pub(super) from: Offset,
    /// Only what no transaction can take back, and nothing that one has.
    pub(super) committed_only: bool,
    pub(super) bytes_max: usize,
    /// Whether a batch above that is read if it is the first.
    pub(super) at_least_one: bool,
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Where the log begins.
    pub(super) log_start: Offset,
    /// The batches, in order.
    pub(super) batches: Vec<Bytes>,
    /// What each of them is.
    pub(super) ranges: Vec<ReadRange>,
}

/// Reads, on the shard of the partition.
///
/// # Errors
/// 6: it is not led here in that epoch. Otherwise what a fetch would say.
pub(super) fn read_log(host: &mut Host, read: LogRead) -> Result<Found, ErrorCode> {
    let view = host.view(read.key).map_err(|error| errors::replica(&error))?;
    if view.stopped {
        return Err(ErrorCode::KAFKA_STORAGE_ERROR);
    }
    if view.role != Role::Leader || !view.confirmed || view.leader_epoch != read.epoch {
        return Err(ErrorCode::NOT_LEADER_OR_FOLLOWER);
    }
    let mut found = Found { log_start: view.log_start, ..Found::default() };
    let end = if read.committed_only { view.last_stable_offset } else { view.high_watermark };
    if read.from < view.log_start || read.from >= end {
        return Ok(found);
    }
    let batches = host.read(read.key, read.from, end, read.bytes_max, read.at_least_one);
    found.batches = batches.map_err(|error| errors::read(&error))?;
    let headers: Vec<BatchHeader> =
        found.batches.iter().map_while(|batch| BatchHeader::parse(batch).ok()).collect();
    found.batches.truncate(headers.len());
    let mut aborted = Aborted::default();
    if let Some(last) = headers.last().filter(|_| read.committed_only) {
        let transactions = host.aborted_transactions(read.key, read.from, last.next_offset());
        let transactions = transactions.map_err(|error| errors::read(&error))?;
        aborted.to_come = transactions.iter().map(|one| (one.first_offset, one.producer)).collect();
    }
    for (batch, header) in found.batches.iter().zip(&headers) {
        let is_aborted = aborted.has(batch, header);
        found.ranges.push(ReadRange {
            first: header.base_offset,
            last: Offset(header.next_offset().0 - 1),
            deliverable: !is_aborted && !header.attributes.is_control(),
        });
    }
    Ok(found)
}

/// The aborted transactions along the log.
#[derive(Default)]
struct Aborted {
    /// By first offset.
    to_come: BTreeSet<(Offset, i64)>,
    open: BTreeSet<i64>,
}

impl Aborted {
    /// Whether the next batch of the log is part of one.
    fn has(&mut self, batch: &Bytes, header: &BatchHeader) -> bool {
        while let Some(next) =
            self.to_come.first().copied().filter(|(first, _)| *first < header.next_offset())
        {
            self.to_come.remove(&next);
            self.open.insert(next.1);
        }
        if !header.attributes.is_transactional() || !self.open.contains(&header.producer_id) {
            return false;
        }
        if header.attributes.is_control() {
            let end = BatchView::parse(batch.clone()).ok().and_then(|view| EndTransaction::read(&view));
            if end.is_some_and(|end| end.marker == ControlMarker::Abort) {
                self.open.remove(&header.producer_id);
            }
        }
        true
    }
}

/// Those of the batches that have something of what was acquired.
pub(super) fn batches_with(found: Found, acquired: &[AcquiredRange]) -> Vec<Bytes> {
    let (Some(first), Some(last)) = (acquired.first(), acquired.last()) else { return Vec::new() };
    let wanted = |range: &ReadRange| range.last >= first.first && range.first <= last.last;
    let batches = found.batches.into_iter().zip(&found.ranges);
    batches.filter(|(_, range)| wanted(range)).map(|(batch, _)| batch).collect()
}
