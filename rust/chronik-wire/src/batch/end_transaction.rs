//! The control batch that ends a transaction, as brokers and clients read it.

use super::{BatchView, ControlMarker};

/// Where the coordinator's epoch stands in a control record's value, behind its version.
const COORDINATOR_EPOCH_AT: usize = 2;

/// The end of one producer's transaction in one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndTransaction {
    /// The producer id.
    pub producer_id: i64,
    /// The producer epoch in force from here on.
    pub producer_epoch: i16,
    /// How the transaction ended.
    pub marker: ControlMarker,
    /// Epoch of the coordinator that decided it.
    pub coordinator_epoch: i32,
}

impl EndTransaction {
    /// What a batch says about the end of a transaction; `None` for every other batch, other control batches included.
    pub fn read(batch: &BatchView) -> Option<EndTransaction> {
        let header = batch.header();
        if !header.attributes.is_control() || !header.has_producer() {
            return None;
        }
        let record = batch.records().ok()?.next()?.ok()?;
        let marker = ControlMarker::from_key(&record.key?)?;
        let value = record.value?;
        let epoch = value.get(COORDINATOR_EPOCH_AT..)?.first_chunk::<4>()?;
        Some(EndTransaction {
            producer_id: header.producer_id,
            producer_epoch: header.producer_epoch,
            marker,
            coordinator_epoch: i32::from_be_bytes(*epoch),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::BatchBuilder;

    #[test]
    fn an_end_is_read_as_it_was_written_and_nothing_else_is_one() {
        for marker in [ControlMarker::Abort, ControlMarker::Commit] {
            let batch =
                BatchBuilder::new().producer(7, 3, -1).end_transaction(5, marker, 11).build().unwrap();
            let end = EndTransaction::read(&BatchView::parse(batch).unwrap());
            let expected =
                EndTransaction { producer_id: 7, producer_epoch: 3, marker, coordinator_epoch: 11 };
            assert_eq!(end, Some(expected));
        }
        let key = ControlMarker::Commit.key();
        let strangers = [
            BatchBuilder::new().producer(7, 3, 0).transactional().record(5, Some(&key), Some(&[0; 6])),
            BatchBuilder::new().producer(7, 3, -1).control().record(5, Some(&[0, 0, 0, 2]), Some(&[0; 6])),
            BatchBuilder::new().producer(7, 3, -1).control().record(5, Some(&key), Some(&[0; 5])),
            BatchBuilder::new().producer(7, 3, -1).control().record(5, Some(&key), None),
            BatchBuilder::new().control().record(5, Some(&key), Some(&[0; 6])),
        ];
        for stranger in strangers {
            let view = BatchView::parse(stranger.build().unwrap()).unwrap();
            assert_eq!(EndTransaction::read(&view), None);
        }
    }
}
