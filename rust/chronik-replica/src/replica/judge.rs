//! Whether a batch may take its place in the log: its producer's sequence and epoch, its transaction, the room for it.
//!
//! A leader judges against applied state plus its own proposals in flight, in the order in which it proposes; what
//! passes is known to the second level at once.

use chronik_log::Index;
use chronik_wire::types::Offset;

use super::Replica;
use super::acks::Terms;
use crate::batch::Deed;
use crate::error::AppendError;
use crate::producers::{Marker, MarkerVerdict, Objection, Original, ProducerBatch};

/// What becomes of a batch.
pub(super) enum Judgement {
    /// It takes its place, and both levels together know it.
    Place,
    /// It repeats a batch that has its place.
    Repeats(Original),
    /// It ends a transaction that has ended.
    Ended,
    /// It is not appended.
    Refused(AppendError),
}

impl Replica {
    /// Judges what a batch does; it would get `base_offset` and `index`.
    pub(super) fn judge_deed(
        &mut self,
        deed: &Deed,
        terms: Terms,
        base_offset: Offset,
        index: Index,
    ) -> Judgement {
        match (deed, terms) {
            (Deed::Nothing, _) => Judgement::Place,
            (Deed::Records(batch), _) => self.judge_records(batch, terms, base_offset, index),
            (Deed::End(marker), Terms::Marker { bumps_epoch }) => {
                self.judge_marker(marker, bumps_epoch, index)
            }
            // Markers are made here, from what a coordinator says, and come from nowhere else.
            (Deed::End(_), _) => Judgement::Refused(AppendError::InvalidBatch),
        }
    }

    fn judge_records(
        &mut self,
        batch: &ProducerBatch,
        terms: Terms,
        base_offset: Offset,
        index: Index,
    ) -> Judgement {
        let applied = &self.state.producers;
        if let Err(objection) = self.appends.producers.judge(applied, batch) {
            return object(objection, batch);
        }
        if batch.transactional {
            if let Terms::Verified(guard) = terms
                && !self.is_verified(batch, guard)
            {
                return Judgement::Refused(AppendError::Unverified { producer: batch.producer });
            }
            if !self.has_room_for(batch) {
                return Judgement::Refused(AppendError::Overloaded(self.key));
            }
            self.lead.verifications.end(batch.producer);
        }
        self.appends.producers.push_batch(&self.state.producers, batch, base_offset, index);
        Judgement::Place
    }

    fn judge_marker(&mut self, marker: &Marker, bumps_epoch: bool, index: Index) -> Judgement {
        // Whatever is being verified for this producer belongs to a transaction that ends here.
        self.lead.verifications.end(marker.producer);
        let producer = marker.producer;
        let applied = &self.state.producers;
        match self.appends.producers.judge_marker(applied, marker, bumps_epoch) {
            MarkerVerdict::Append => {
                self.appends.producers.push_marker(applied, marker, index);
                Judgement::Place
            }
            MarkerVerdict::Ended => Judgement::Ended,
            MarkerVerdict::Fenced(current) => {
                let epoch = marker.epoch;
                Judgement::Refused(AppendError::InvalidProducerEpoch { producer, epoch, current })
            }
            MarkerVerdict::CoordinatorFenced(current) => {
                let epoch = marker.coordinator_epoch;
                Judgement::Refused(AppendError::CoordinatorFenced { producer, epoch, current })
            }
        }
    }
}

fn object(objection: Objection, batch: &ProducerBatch) -> Judgement {
    let (producer, epoch) = (batch.producer, batch.epoch);
    Judgement::Refused(match objection {
        Objection::Duplicate(original) => return Judgement::Repeats(original),
        Objection::OutOfOrder(last) => {
            let first = batch.numbers.map_or(-1, |numbers| numbers.first);
            AppendError::OutOfOrderSequence { producer, first, last }
        }
        Objection::Fenced(current) => AppendError::InvalidProducerEpoch { producer, epoch, current },
        Objection::WrongState => AppendError::InvalidTransactionState { producer },
        Objection::EarlierOpen => AppendError::Unverified { producer },
    })
}
