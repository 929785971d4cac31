//! What the broker asks of a host. Every call returns at once; what takes time comes back through a receiver.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use chronik_log::BatchAt;
use chronik_wire::types::{LeaderEpoch, NodeId, Offset, PartitionKey};
use tokio::sync::oneshot;

use super::Host;
use super::shared::Shared;
use crate::config::TopicSettings;
use crate::error::{AppendError, ReadError, ReplicaError};
use crate::gate::{GateError, GateErrorKind, GatePass};
use crate::members::WantedMember;
use crate::producers::VerificationGuard;
use crate::replica::{
    AbortedTransaction, Acks, AppendReceiver, EndMarker, EpochEnd, ProducerState, ReadView, Replica, Terms,
    TimestampedOffset,
};
use crate::waiter::Waiter;

impl Host {
    /// Appends one record batch that the caller has validated: magic 2, CRC, counts, size. Its base offset and
    /// leader epoch are set here. The answer comes by `deadline_ms` at the latest.
    pub fn append(
        &mut self,
        key: PartitionKey,
        batch: BytesMut,
        acks: Acks,
        deadline_ms: u64,
    ) -> AppendReceiver {
        self.appending(key, |replica, shared| replica.append(batch, acks, Terms::Plain, deadline_ms, shared))
    }

    /// Whether a client's batch of a transaction needs the word of its coordinator first: then the guard under which
    /// it is to be appended afterwards. `None`: append it at once.
    pub fn begin_verification(
        &mut self,
        key: PartitionKey,
        producer: i64,
        epoch: i16,
    ) -> Option<VerificationGuard> {
        self.with_replica(key, |replica, shared| replica.begin_verification(producer, epoch, shared))?
    }

    /// Whether a producer's transaction is open here, or the guard is in force still: what is appended before this host is
    /// let go of comes before any marker.
    pub fn is_transaction_verified(
        &self,
        key: PartitionKey,
        producer: i64,
        epoch: i16,
        guard: Option<VerificationGuard>,
    ) -> bool {
        self.replica(key).is_some_and(|replica| replica.is_transaction_verified(producer, epoch, guard))
    }

    /// As [`Host::append`], for a client's batch of a transaction. It is refused as unverified if its transaction is
    /// not open here and the guard, if there is one, is not in force any more.
    pub fn append_verified(
        &mut self,
        key: PartitionKey,
        batch: BytesMut,
        acks: Acks,
        deadline_ms: u64,
        guard: Option<VerificationGuard>,
    ) -> AppendReceiver {
        let terms = Terms::Verified(guard);
        self.appending(key, |replica, shared| replica.append(batch, acks, terms, deadline_ms, shared))
    }

    /// Writes the end of a producer's transaction into a partition; answered like an append with `acks=all`. A marker
    /// whose transaction has ended already succeeds as a duplicate, without an offset.
    pub fn append_marker(
        &mut self,
        key: PartitionKey,
        marker: EndMarker,
        deadline_ms: u64,
    ) -> AppendReceiver {
        self.appending(key, |replica, shared| replica.append_marker(&marker, deadline_ms, shared))
    }

    fn appending(
        &mut self,
        key: PartitionKey,
        append: impl FnOnce(&mut Replica, &mut Shared) -> AppendReceiver,
    ) -> AppendReceiver {
        let hosted = self.replicas.contains_key(&key) || self.unopened.contains(key);
        self.with_replica(key, append).unwrap_or_else(|| {
            let error = if hosted { AppendError::Storage } else { AppendError::NotHosted(key) };
            ready(Err(error))
        })
    }

    /// Enters the read gate. The pass means: everything acknowledged anywhere before this call is applied here.
    /// The answer comes by `deadline_ms`, or by the configured cap if that is sooner.
    pub fn enter_gate(
        &mut self,
        key: PartitionKey,
        deadline_ms: u64,
    ) -> oneshot::Receiver<Result<GatePass, GateError>> {
        let entered = self.with_replica(key, |replica, shared| replica.enter_gate(deadline_ms, shared));
        entered.unwrap_or_else(|| {
            let stopped = self.unopened.contains(key);
            let kind = if stopped { GateErrorKind::Stopped } else { GateErrorKind::Removed };
            ready(Err(GateError { kind, leader: self.hint(key) }))
        })
    }

    /// One consistent view of a replica.
    ///
    /// # Errors
    /// It is not hosted here, or could not be opened.
    pub fn view(&self, key: PartitionKey) -> Result<ReadView, ReplicaError> {
        let replica = self.replicas.get(&key).ok_or_else(|| self.unopened.error(key))?;
        Ok(replica.view(&self.shared))
    }

    /// Whole batches from the one that holds `from` up to `up_to`, of at most `max_bytes` in all; with
    /// `at_least_one` the first is given whatever its size. Never past what is applied here.
    ///
    /// # Errors
    /// Not hosted, stopped, outside the log, or damaged bytes.
    pub fn read(
        &mut self,
        key: PartitionKey,
        from: Offset,
        up_to: Offset,
        max_bytes: usize,
        at_least_one: bool,
    ) -> Result<Vec<Bytes>, ReadError> {
        let read = self.reading(key)?.read(from, up_to, max_bytes, at_least_one);
        if let Err(ReadError::Storage(chronik_log::LogError::Corrupt { .. })) = &read {
            self.shared.counters.damage_refusals.increment();
        }
        read
    }

    /// The aborted transactions that may have records in `from..up_to`, in the order of their markers.
    ///
    /// # Errors
    /// Not hosted, or stopped.
    pub fn aborted_transactions(
        &self,
        key: PartitionKey,
        from: Offset,
        up_to: Offset,
    ) -> Result<Vec<AbortedTransaction>, ReadError> {
        self.reading(key)?.aborted_transactions(from, up_to)
    }

    /// What is known of the partition's producers, by id.
    ///
    /// # Errors
    /// Not hosted, or stopped.
    pub fn producers(&self, key: PartitionKey) -> Result<Vec<ProducerState>, ReadError> {
        self.reading(key)?.producers()
    }

    /// The first batch below `up_to` whose largest timestamp is at least `timestamp_ms`.
    ///
    /// # Errors
    /// Not hosted, stopped, or damaged bytes.
    pub fn offset_for_timestamp(
        &mut self,
        key: PartitionKey,
        timestamp_ms: i64,
        up_to: Offset,
    ) -> Result<Option<TimestampedOffset>, ReadError> {
        Ok(self
            .batch_for_timestamp(key, timestamp_ms, up_to)?
            .map(|found| TimestampedOffset { offset: found.base_offset, timestamp_ms: found.max_timestamp }))
    }

    /// As [`Host::offset_for_timestamp`], with the batch itself, for a caller that looks for the exact record.
    ///
    /// # Errors
    /// Not hosted, stopped, or damaged bytes.
    pub fn batch_for_timestamp(
        &mut self,
        key: PartitionKey,
        timestamp_ms: i64,
        up_to: Offset,
    ) -> Result<Option<BatchAt>, ReadError> {
        self.reading(key)?.offset_for_timestamp(timestamp_ms, up_to)
    }

    /// The batch below `up_to` with the largest timestamp.
    ///
    /// # Errors
    /// Not hosted, stopped, or damaged bytes.
    pub fn max_timestamp(&mut self, key: PartitionKey, up_to: Offset) -> Result<Option<BatchAt>, ReadError> {
        self.reading(key)?.max_timestamp(up_to)
    }

    /// The end of the largest leader epoch not above `epoch`, among applied entries.
    ///
    /// # Errors
    /// Not hosted, stopped, or damaged bytes.
    pub fn epoch_end_offset(
        &self,
        key: PartitionKey,
        epoch: LeaderEpoch,
    ) -> Result<Option<EpochEnd>, ReadError> {
        self.reading(key)?.epoch_end_offset(epoch)
    }

    /// Parks a waiter: it is woken when the high watermark, the log start, role or leader change, and when the
    /// replica stops or goes. `false` if the replica is not here or too many wait.
    pub fn park(&mut self, key: PartitionKey, waiter: &Arc<Waiter>) -> bool {
        self.replicas.get_mut(&key).is_some_and(|replica| replica.park(waiter))
    }

    /// Removes a parked waiter.
    pub fn unpark(&mut self, key: PartitionKey, waiter: &Arc<Waiter>) {
        if let Some(replica) = self.replicas.get_mut(&key) {
            replica.unpark(waiter);
        }
    }

    /// Hands leadership of a partition to another voter. Appends are refused until it is decided.
    ///
    /// # Errors
    /// Not hosted, stopped, not led here, or `to` is no voter.
    pub fn transfer_leader(&mut self, key: PartitionKey, to: NodeId) -> Result<(), ReplicaError> {
        self.commanding(key, |replica, shared| replica.transfer_leader(to, shared))
    }

    /// Hands leadership to the live member closest to the log end.
    ///
    /// # Errors
    /// Not hosted, stopped, or not led here.
    pub fn step_down(&mut self, key: PartitionKey) -> Result<(), ReplicaError> {
        self.commanding(key, |replica, shared| replica.step_down(shared))
    }

    /// Hands every leadership of this host over, before a graceful stop.
    pub fn step_down_all(&mut self) {
        for key in self.keys().collect::<Vec<_>>() {
            // Groups that are not led here have nothing to hand over.
            let _ = self.step_down(key);
        }
    }

    /// Proposes that records below `to` are dropped. Visible in the view once applied.
    ///
    /// # Errors
    /// Not hosted, stopped, not led here, or `to` lies above the high watermark.
    pub fn move_log_start(&mut self, key: PartitionKey, to: Offset) -> Result<(), ReplicaError> {
        self.commanding(key, |replica, shared| replica.move_log_start(to, shared))
    }

    /// Lets every leader of this host propose what retention and the age of producers ask for at this wall-clock
    /// time.
    pub fn run_retention(&mut self, now_wall_ms: i64) {
        for key in self.keys().collect::<Vec<_>>() {
            self.with_replica(key, |replica, shared| replica.run_retention(now_wall_ms, shared));
        }
    }

    /// Says who shall belong to the group of a replica; unknown partitions are ignored. Its leader sees to it, one step
    /// after another, and [`Replica::is_settled_as_wanted`] tells when it has arrived.
    pub fn want_members(&mut self, key: PartitionKey, wanted: Vec<WantedMember>) {
        self.with_replica(key, |replica, shared| replica.want_members(wanted, shared));
    }

    /// Has a leader tell again once its group consists of the wanted members ([`Host::take_arrivals`]): also where they were
    /// wanted before, and somebody else in between whom it never heard of.
    pub fn expect_arrival(&mut self, key: PartitionKey) {
        self.with_replica(key, |replica, shared| replica.expect_arrival(shared));
    }

    /// Replaces the topic settings of a replica; unknown partitions are ignored.
    pub fn set_settings(&mut self, key: PartitionKey, settings: TopicSettings) {
        self.with_replica(key, |replica, shared| replica.set_settings(settings, shared));
    }

    /// Replaces the log settings of a replica; unknown partitions are ignored. Whether the log syncs stays what the
    /// host's [`SyncMode`](crate::SyncMode) says.
    pub fn set_log_config(&mut self, key: PartitionKey, config: Arc<chronik_log::LogConfig>) {
        self.with_replica(key, |replica, shared| replica.set_log_config(config, shared));
    }

    fn reading(&self, key: PartitionKey) -> Result<&Replica, ReadError> {
        let missing = || {
            if self.unopened.contains(key) { ReadError::Stopped(key) } else { ReadError::NotHosted(key) }
        };
        self.replicas.get(&key).map(Box::as_ref).ok_or_else(missing)
    }

    fn commanding(
        &mut self,
        key: PartitionKey,
        f: impl FnOnce(&mut Replica, &mut Shared) -> Result<(), ReplicaError>,
    ) -> Result<(), ReplicaError> {
        if !self.replicas.contains_key(&key) {
            return Err(self.unopened.error(key));
        }
        let done = self.with_replica(key, f);
        done.unwrap_or_else(|| {
            let reason = self.replicas.get(&key).and_then(|replica| replica.stop_reason());
            Err(ReplicaError::Stopped { key, reason: reason.unwrap_or("broken invariant").to_owned() })
        })
    }
}

fn ready<T>(value: T) -> oneshot::Receiver<T> {
    let (sender, receiver) = oneshot::channel();
    // The receiver is right here.
    let _ = sender.send(value);
    receiver
}
