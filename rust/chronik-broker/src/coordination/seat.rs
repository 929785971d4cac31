//! The hard state of a coordinator partition: the replica applies committed records to it, an office starts from it.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use bytes::Bytes;
use chronik_coord::coordinator::{CoordinatorRecord, CoordinatorState, OpenTransaction};
use chronik_log::Index;
use chronik_replica::{Machine, MachineError};
use chronik_wire::batch::{BatchView, ControlMarker};
use chronik_wire::types::{LeaderEpoch, Offset, PartitionKey};
use tokio::sync::mpsc;

/// What a replica has applied that its office did not append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MarkerApplied {
    pub(super) transaction: OpenTransaction,
    pub(super) committed: bool,
}

/// The hard state of one partition at one node.
#[derive(Debug, Default)]
pub(crate) struct Seat<S> {
    state: RefCell<S>,
    /// Of the office, while there is one.
    observer: RefCell<Option<mpsc::UnboundedSender<MarkerApplied>>>,
    /// The epoch in which this node leads the partition.
    pub(super) reign: Cell<Option<LeaderEpoch>>,
    /// Somebody holds the office, or is about to.
    pub(super) occupied: Cell<bool>,
}

/// The seats of one shard, by partition.
#[derive(Debug)]
pub(crate) struct Seats<S>(RefCell<BTreeMap<PartitionKey, Rc<Seat<S>>>>);

impl<S> Default for Seats<S> {
    fn default() -> Self {
        Seats(RefCell::default())
    }
}

impl<S: CoordinatorState + 'static> Seats<S> {
    /// The machine for a replica that is about to be opened, with an empty state.
    pub(crate) fn seat(&self, key: PartitionKey) -> Box<dyn Machine> {
        let seat = Rc::new(Seat::default());
        self.0.borrow_mut().insert(key, Rc::clone(&seat));
        Box::new(SeatMachine { key, seat })
    }

    pub(super) fn get(&self, key: PartitionKey) -> Option<Rc<Seat<S>>> {
        self.0.borrow().get(&key).cloned()
    }

    /// The replica is gone.
    pub(crate) fn remove(&self, key: PartitionKey) {
        self.0.borrow_mut().remove(&key);
    }
}

impl<S: CoordinatorState> Seat<S> {
    /// A copy of the state as of now, and every marker that is applied from now on.
    pub(super) fn follow(&self) -> (S, mpsc::UnboundedReceiver<MarkerApplied>) {
        // Bounded by what one turn applies: the office takes all of it before it does anything else.
        let (observer, markers) = mpsc::unbounded_channel();
        self.observer.replace(Some(observer));
        (self.state.borrow().clone(), markers)
    }

    fn observe(&self, marker: MarkerApplied) {
        let gone = match &*self.observer.borrow() {
            Some(observer) => observer.send(marker).is_err(),
            None => false,
        };
        if gone {
            self.observer.replace(None);
        }
    }
}

/// What the replica of a coordinator partition drives.
struct SeatMachine<S> {
    key: PartitionKey,
    seat: Rc<Seat<S>>,
}

impl<S: CoordinatorState> SeatMachine<S> {
    fn apply_batch(&self, batch: &Bytes) -> Result<(), String> {
        let view = BatchView::parse(batch.clone()).map_err(|error| error.to_string())?;
        let header = *view.header();
        let attributes = header.attributes;
        let transaction = attributes
            .is_transactional()
            .then_some(OpenTransaction { producer: header.producer_id, epoch: header.producer_epoch });
        let mut unread = 0;
        let mut state = self.seat.state.borrow_mut();
        for record in view.records().map_err(|error| error.to_string())? {
            let record = record.map_err(|error| error.to_string())?;
            let key = record.key.unwrap_or_default();
            if attributes.is_control() {
                if let (Some(transaction), Some(marker)) = (transaction, ControlMarker::from_key(&key)) {
                    let committed = marker == ControlMarker::Commit;
                    state.apply_marker(transaction, committed);
                    self.seat.observe(MarkerApplied { transaction, committed });
                }
                continue;
            }
            let of = CoordinatorRecord { key, value: record.value };
            unread += u64::from(state.apply(&of, record.offset, record.timestamp, transaction).is_err());
        }
        if unread == 0 { Ok(()) } else { Err(format!("{unread} records do not decode")) }
    }
}

impl<S: CoordinatorState> Machine for SeatMachine<S> {
    fn apply(&mut self, batch: &Bytes, base_offset: Offset, _index: Index) {
        if let Err(error) = self.apply_batch(batch) {
            tracing::error!(topic = %self.key.topic, partition = self.key.partition.0, offset = base_offset.0, error,
                "a batch of a coordinator cannot be read; what cannot is skipped on every node alike");
        }
    }

    fn snapshot(&self) -> Bytes {
        self.seat.state.borrow().snapshot()
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<(), MachineError> {
        let restored = S::restore(snapshot).map_err(|error| MachineError(error.to_string()))?;
        self.seat.state.replace(restored);
        Ok(())
    }
}
