//! An office: the machine of one coordinator partition at work, on the node that leads it.
//!
//! One task per office does everything in the order in which it comes, so the machine needs no lock and what it appends
//! keeps its order. A reply waits behind the newest append at its time, because it may rest on any before it. If there is
//! none it waits for the read gate, entered after the machine has spoken: the pass proves that this node still led then,
//! so that nothing a coordinator says is of the past.

use std::cell::RefMut;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use chronik_coord::MetaImage;
use chronik_coord::coordinator::{CoordinatorBatch, MarkerOrder, Moment, Output, Ticket};
use chronik_mutants::{Mutant, planted};
use chronik_replica::{
    Acks, AppendError, AppendReceiver, GateError, GateErrorKind, GatePass, Host, LeaderChange,
};
use chronik_wire::batch::{BatchBuilder, BuildError};
use chronik_wire::types::{LeaderEpoch, PartitionKey};
use tokio::sync::{mpsc, oneshot, watch};

use super::kinds::{Asked, Kind, Verified};
use super::seat::{MarkerApplied, Seat};
use crate::broker::Broker;
use crate::counters::count;
use crate::limits;
use crate::world::random_u128;

/// The sequence number of a batch that has none.
const NO_SEQUENCE: i32 = -1;

impl Broker {
    /// Leadership of a partition has changed, or what its leader says of itself.
    pub(crate) fn on_leadership<K: Kind>(self: &Rc<Self>, change: &LeaderChange) {
        let Some(seat) = K::seats(self).get(change.key) else { return };
        let epoch = (change.leader == Some(self.node.config.node)).then_some(change.epoch);
        if seat.reign.get() == epoch {
            return;
        }
        // Also from one reign to the next: another leader may have written in between.
        K::doors(&self.node).close(change.key);
        seat.reign.set(epoch);
        if epoch.is_some() && !seat.occupied.replace(true) {
            self.world.spawn(Box::pin(hold_office::<K>(Rc::clone(self), change.key, seat)));
        }
    }

    fn moment(&self) -> Moment {
        let (now_ms, wall_ms) = (self.world.clock_ms(), self.world.wall_ms());
        Moment { now_ms, wall_ms, random: random_u128(&*self.world) }
    }

    /// Completes when the broker clock shows `at_ms`; never without one.
    pub(crate) async fn clock_reaches(&self, at_ms: Option<i64>) {
        let Some(at_ms) = at_ms else { return std::future::pending().await };
        loop {
            let advanced = self.world.clock_advanced();
            let ahead_ms = at_ms.saturating_sub(self.world.clock_ms());
            let Ok(ahead_ms) = u64::try_from(ahead_ms) else { return };
            if ahead_ms == 0 {
                return;
            }
            tokio::select! {
                biased;
                () = self.world.sleep_until(self.world.now_ms().saturating_add(ahead_ms)) => {}
                () = advanced => {}
            }
        }
    }
}

/// Holds the office of a partition for as long as this node leads it, reign after reign.
async fn hold_office<K: Kind>(broker: Rc<Broker>, key: PartitionKey, seat: Rc<Seat<K::State>>) {
    while let Some(epoch) = seat.reign.get() {
        match Office::<K>::open(&broker, key, &seat, epoch).await {
            Some(office) => {
                count(&broker.node.counters.coordinators_opened);
                office.serve().await;
            }
            None => broker.world.sleep_until(broker.world.now_ms() + limits::OFFICE_RETRY_MS).await,
        }
        if K::seats(&broker).get(key).is_none() {
            break;
        }
    }
    seat.occupied.set(false);
}

/// What the machine has said, and what that waits for.
struct Pending<R> {
    proof: Proof,
    replies: Vec<(Ticket, R)>,
    orders: Vec<MarkerOrder>,
}

/// What shows that the machine's words count.
enum Proof {
    /// Everything it has appended so far is committed.
    Append(AppendReceiver),
    /// This node leads.
    Gate(GateReceiver),
}

type GateReceiver = oneshot::Receiver<Result<GatePass, GateError>>;

/// How a proof came out.
enum Outcome {
    Proved,
    /// This node may lead still, but could not show it in time.
    Unproved,
    /// Records of the machine are not in the log.
    NotAppended(AppendError),
}

/// How an office goes on.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    Serve,
    Close,
}

struct Office<K: Kind> {
    broker: Rc<Broker>,
    key: PartitionKey,
    /// The epoch of this reign.
    epoch: LeaderEpoch,
    machine: K,
    inbox: mpsc::Receiver<Asked<K>>,
    markers: mpsc::UnboundedReceiver<MarkerApplied>,
    images: watch::Receiver<Arc<MetaImage>>,
    waiting: BTreeMap<Ticket, oneshot::Sender<K::Reply>>,
    last_ticket: u64,
    pending: VecDeque<Pending<K::Reply>>,
}

impl<K: Kind> Office<K> {
    /// Passes the read gate and takes office with what is applied then.
    async fn open(
        broker: &Rc<Broker>,
        key: PartitionKey,
        seat: &Seat<K::State>,
        epoch: LeaderEpoch,
    ) -> Option<Office<K>> {
        let deadline_ms = broker.world.now_ms() + broker.node.config.gate_cap_ms;
        let gate = broker.hosts.own().borrow_mut().enter_gate(key, deadline_ms);
        if let Err(error) = gate.await.ok()? {
            if matches!(error.kind, GateErrorKind::Stopped | GateErrorKind::Removed) {
                seat.reign.set(None);
            }
            return None;
        }
        let view = broker.hosts.own().borrow().view(key).ok()?;
        if !view.confirmed || view.leader_epoch != epoch || seat.reign.get() != Some(epoch) {
            return None;
        }
        let mut images = broker.node.seat.subscribe();
        images.mark_unchanged();
        let (state, markers) = seat.follow();
        let machine = K::lead(state, K::config(broker), broker.moment());
        let (door, inbox) = mpsc::channel(limits::OFFICE_REQUESTS_QUEUED_MAX);
        K::doors(&broker.node).open(key, door);
        Some(Office {
            broker: Rc::clone(broker),
            key,
            epoch,
            machine,
            inbox,
            markers,
            images,
            waiting: BTreeMap::new(),
            last_ticket: 0,
            pending: VecDeque::new(),
        })
    }

    async fn serve(mut self) {
        let mut next = self.carry_out(Output::default());
        while next == Next::Serve {
            next = self.step().await;
        }
        K::doors(&self.broker.node).close(self.key);
        // Nobody is told anything that may not be so: whoever waits asks the next office.
        self.waiting.clear();
        self.inbox.close();
        // What was appended may still be committed. The next office must not begin with a state that lacks it.
        for pending in self.pending {
            if let Proof::Append(outcome) = pending.proof {
                let _ = outcome.await;
            }
        }
    }

    /// Takes whatever comes next.
    async fn step(&mut self) -> Next {
        let broker = Rc::clone(&self.broker);
        let deadline_ms = self.machine.next_deadline_ms();
        tokio::select! {
            biased;
            marker = self.markers.recv() => match marker {
                Some(MarkerApplied { transaction, committed }) => {
                    let output = self.machine.on_marker(transaction, committed, broker.moment());
                    self.carry_out(output)
                }
                None => Next::Close,
            },
            outcome = next_outcome(&mut self.pending) => self.on_outcome(outcome),
            asked = self.inbox.recv() => match asked {
                Some(asked) => self.take(asked),
                None => Next::Close,
            },
            changed = self.images.changed() => {
                if changed.is_ok() {
                    self.machine.configure(K::config(&broker));
                }
                Next::Serve
            }
            () = broker.clock_reaches(deadline_ms) => {
                let output = self.machine.on_time(broker.moment());
                self.carry_out(output)
            }
        }
    }

    fn take(&mut self, Asked { request, verified, reply }: Asked<K>) -> Next {
        if let Some(Verified { producer, epoch, guard }) = verified
            && !self.host().is_transaction_verified(self.key, producer, epoch, guard)
        {
            // What the machine would append now would open a transaction that has ended. Dropped: whoever asks again
            // has it verified again.
            count(&self.broker.node.counters.verifications_lapsed);
            return Next::Serve;
        }
        if self.waiting.len() >= limits::OFFICE_REQUESTS_WAITING_MAX {
            self.waiting.retain(|_, waiting| !waiting.is_closed());
        }
        if self.waiting.len() >= limits::OFFICE_REQUESTS_WAITING_MAX {
            // Dropped: the client is told to look for its coordinator again, which takes a while.
            return Next::Serve;
        }
        self.last_ticket += 1;
        let ticket = Ticket(self.last_ticket);
        self.waiting.insert(ticket, reply);
        let output = self.machine.handle(ticket, request, self.broker.moment());
        self.carry_out(output)
    }

    /// Appends what the machine wants, and lets its replies wait for that.
    fn carry_out(&mut self, output: Output<K::Reply>) -> Next {
        let appends = !output.batches.is_empty();
        for batch in output.batches {
            let Ok(bytes) = encode(&batch, self.broker.world.wall_ms()) else {
                tracing::error!(
                    topic = K::TOPIC.name(),
                    partition = self.key.partition.0,
                    records = batch.records.len(),
                    "the records of a coordinator make no batch; it begins anew"
                );
                return Next::Close;
            };
            count(&self.broker.node.counters.coordinator_batches);
            // Without a deadline: an append whose fate is open would leave a machine that does not know its own log.
            let outcome = self.host().append(self.key, bytes, Acks::All, u64::MAX);
            let proof = Proof::Append(outcome);
            self.pending.push_back(Pending { proof, replies: Vec::new(), orders: Vec::new() });
        }
        let (mut replies, mut orders) = (output.replies, self.machine.take_markers());
        let early = if appends { Mutant::CommitAnsweredEarly } else { Mutant::CoordinatorUngated };
        if planted(early) {
            self.answer(std::mem::take(&mut replies));
        }
        if planted(Mutant::MarkersBeforeDecision) {
            self.order(std::mem::take(&mut orders));
        }
        if replies.is_empty() && orders.is_empty() {
            return Next::Serve;
        }
        match self.pending.back_mut() {
            Some(newest) if matches!(newest.proof, Proof::Append(_)) => {
                newest.replies.extend(replies);
                newest.orders.extend(orders);
            }
            _ => {
                let deadline_ms = self.broker.world.now_ms() + self.broker.node.config.gate_cap_ms;
                let proof = Proof::Gate(self.host().enter_gate(self.key, deadline_ms));
                self.pending.push_back(Pending { proof, replies, orders });
            }
        }
        Next::Serve
    }

    fn host(&self) -> RefMut<'_, Host> {
        self.broker.hosts.own().borrow_mut()
    }

    fn answer(&mut self, replies: Vec<(Ticket, K::Reply)>) {
        for (ticket, reply) in replies {
            if let Some(waiting) = self.waiting.remove(&ticket) {
                // Whoever asked may have gone.
                let _ = waiting.send(reply);
            }
        }
    }

    fn order(&self, orders: Vec<MarkerOrder>) {
        for order in orders {
            self.broker.carry_out::<K>(self.key, self.epoch, order);
        }
    }

    fn on_outcome(&mut self, outcome: Outcome) -> Next {
        let Some(Pending { replies, orders, .. }) = self.pending.pop_front() else { return Next::Serve };
        match outcome {
            Outcome::Proved => {
                self.order(orders);
                self.answer(replies);
                Next::Serve
            }
            // Whoever leads orders its markers once more, when it takes office.
            Outcome::Unproved if !orders.is_empty() => Next::Close,
            Outcome::Unproved => {
                for (ticket, _) in replies {
                    self.waiting.remove(&ticket);
                }
                Next::Serve
            }
            Outcome::NotAppended(error) => {
                tracing::info!(node = self.broker.node.config.node.0, topic = K::TOPIC.name(),
                    partition = self.key.partition.0, %error, "coordinator steps back: its records were not taken");
                Next::Close
            }
        }
    }
}

/// How the oldest proof comes out; never without one.
async fn next_outcome<R>(pending: &mut VecDeque<Pending<R>>) -> Outcome {
    match pending.front_mut().map(|pending| &mut pending.proof) {
        Some(Proof::Append(outcome)) => match outcome.await {
            Ok(Ok(_)) => Outcome::Proved,
            Ok(Err(error)) => Outcome::NotAppended(error),
            // A replica that is gone answers nobody any more.
            Err(_) => Outcome::NotAppended(AppendError::TimedOut),
        },
        Some(Proof::Gate(gate)) => match gate.await {
            Ok(Ok(_)) => Outcome::Proved,
            Ok(Err(_)) | Err(_) => Outcome::Unproved,
        },
        None => std::future::pending().await,
    }
}

fn encode(batch: &CoordinatorBatch, wall_ms: i64) -> Result<bytes::BytesMut, BuildError> {
    let mut builder = BatchBuilder::new();
    if let Some(transaction) = batch.transaction {
        builder = builder.producer(transaction.producer, transaction.epoch, NO_SEQUENCE).transactional();
    }
    let records = batch.records.iter();
    records
        .fold(builder, |builder, record| builder.record(wall_ms, Some(&record.key), record.value.as_deref()))
        .build_mut()
}
