//! What replication needs of a record batch. The layout itself is `chronik-wire`'s.
//!
//! Base offset and leader epoch lie outside the batch's CRC, so the leader sets them in place. Everything else
//! belongs to the producer and is never touched.

use chronik_wire::batch::BatchHeader;

use crate::producers::ProducerBatch;

/// What a batch header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchFields {
    /// Offset of the last record, counted from the first.
    pub(crate) last_offset_delta: i32,
    /// The producer's numbering, if the batch is idempotent.
    pub(crate) producer: Option<ProducerBatch>,
}

/// Reads the header of bytes that must be exactly one batch; `None` if they are not.
pub(crate) fn fields(batch: &[u8]) -> Option<BatchFields> {
    let header = BatchHeader::parse(batch).ok()?;
    if header.size_bytes() != batch.len() || header.last_offset_delta < 0 {
        return None;
    }
    // A transaction marker carries its producer's id but no sequence number.
    let numbered = header.has_producer() && header.base_sequence >= 0 && !header.attributes.is_control();
    let producer = numbered.then(|| ProducerBatch {
        producer: header.producer_id,
        epoch: header.producer_epoch,
        first: header.base_sequence,
        last: header.last_sequence(),
    });
    Some(BatchFields { last_offset_delta: header.last_offset_delta, producer })
}
