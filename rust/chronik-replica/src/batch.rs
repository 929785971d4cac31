//! What replication needs of a record batch. The layout itself is `chronik-wire`'s.
//!
//! Base offset and leader epoch lie outside the batch's CRC, so the leader sets them in place. Everything else
//! belongs to the producer and is never touched.

use bytes::Bytes;
use chronik_wire::batch::{BatchHeader, BatchView, ControlMarker, EndTransaction};

use crate::producers::{Marker, Numbers, ProducerBatch};

/// What a batch says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchFields {
    /// Offset of the last record, counted from the first.
    pub(crate) last_offset_delta: i32,
    /// Largest timestamp, in milliseconds.
    pub(crate) timestamp_ms: i64,
    /// What it says about its producer.
    pub(crate) deed: Deed,
}

/// What a batch changes in what is known of its producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    /// Nothing: it has no producer that counts.
    Nothing,
    /// Records of an idempotent or transactional producer.
    Records(ProducerBatch),
    /// The end of a transaction.
    End(Marker),
}

/// Reads bytes that must be exactly one batch; `None` if they are not.
pub(crate) fn fields(batch: &[u8]) -> Option<BatchFields> {
    let header = BatchHeader::parse(batch).ok()?;
    if header.size_bytes() != batch.len() || header.last_offset_delta < 0 {
        return None;
    }
    let deed = if header.attributes.is_control() { end_of(batch) } else { records_of(&header) };
    let timestamp_ms = header.max_timestamp;
    Some(BatchFields { last_offset_delta: header.last_offset_delta, timestamp_ms, deed })
}

fn records_of(header: &BatchHeader) -> Deed {
    let numbers = (header.base_sequence >= 0)
        .then(|| Numbers { first: header.base_sequence, last: header.last_sequence() });
    let transactional = header.attributes.is_transactional();
    if !header.has_producer() || (numbers.is_none() && !transactional) {
        return Deed::Nothing;
    }
    let (producer, epoch) = (header.producer_id, header.producer_epoch);
    Deed::Records(ProducerBatch { producer, epoch, numbers, transactional })
}

/// A control batch of any other kind ends nothing. It is small: a copy costs nothing.
fn end_of(batch: &[u8]) -> Deed {
    let view = BatchView::parse(Bytes::copy_from_slice(batch)).ok();
    match view.and_then(|view| EndTransaction::read(&view)) {
        Some(end) => Deed::End(Marker {
            producer: end.producer_id,
            epoch: end.producer_epoch,
            commit: end.marker == ControlMarker::Commit,
            coordinator_epoch: end.coordinator_epoch,
        }),
        None => Deed::Nothing,
    }
}
