//! What the coordinators of groups and of transactions have in common.
//!
//! A coordinator lives on one partition of an internal topic. Its *hard* state is what that partition's log says: every
//! replica applies the records in log order to a [`CoordinatorState`]. The leader alone has a [`Coordinator`]: a copy of
//! the hard state that runs ahead of the log by what it has appended and not yet seen committed, and the *soft* state
//! that no log has (timers, requests that wait for others). It takes requests and time, and gives back records to
//! append and replies to send.
//!
//! The walk: a handler gives a request and a [`Ticket`] to the leader's machine; the machine applies the records it makes
//! to itself at once and returns them in an [`Output`]; the broker appends them and sends the replies once everything
//! appended so far is committed. If an append fails or leadership is lost the machine is dropped with all its tickets,
//! and the next leader makes a new one from the hard state.
//!
//! What must not happen here: reading a clock, drawing randomness, iterating an unordered map, knowing a socket.

use std::sync::Arc;

use bytes::Bytes;
use chronik_wire::types::{Offset, PartitionIndex};

use crate::codec::CodecError;

/// A request that waits for its reply. Never used twice in the life of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// When an input comes, and the luck that comes with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The broker clock, in milliseconds: never goes back, and a test may put it forward. Decides every time-out.
    pub now_ms: i64,
    /// The wall clock in milliseconds since the Unix epoch. For time stamps that outlive a process; decides no time-out
    /// of the living.
    pub wall_ms: i64,
    /// A random number of this input's own, for new identities.
    pub random: u128,
}

/// One record of a coordinator's log. Without a value it deletes what its key names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoordinatorRecord {
    /// What it is about, as Kafka lays out the keys of this topic.
    pub key: Bytes,
    /// What is so from now on.
    pub value: Option<Bytes>,
}

impl CoordinatorRecord {
    /// The size of key and value, in bytes.
    pub fn bytes(&self) -> usize {
        self.key.len() + self.value.as_ref().map_or(0, |value| value.len())
    }
}

/// The transaction that records belong to: they count when its marker says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenTransaction {
    /// The producer id.
    pub producer: i64,
    /// Its epoch.
    pub epoch: i16,
}

/// Records that are appended together or not at all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CoordinatorBatch {
    /// The records, in order; at least one.
    pub records: Vec<CoordinatorRecord>,
    /// The transaction they are part of.
    pub transaction: Option<OpenTransaction>,
}

/// A decided transaction: the broker is to write its marker into each of these partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MarkerOrder {
    /// The transactional id, for the report.
    pub transactional_id: Arc<str>,
    /// The producer id the marker ends.
    pub producer_id: i64,
    /// The marker's epoch.
    pub producer_epoch: i16,
    /// Whether the transaction is committed; else it is aborted.
    pub commit: bool,
    /// Kafka's transaction version: from 2 on the marker's epoch is higher than that of the records before it.
    pub transaction_version: i8,
    /// Topics and partitions, in order; at least one.
    pub partitions: Vec<(Arc<str>, PartitionIndex)>,
}

/// What an input led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output<R> {
    /// To be appended in this order. The machine has applied them to itself already.
    pub batches: Vec<CoordinatorBatch>,
    /// To be sent once everything this machine has appended so far, these batches included, is committed.
    pub replies: Vec<(Ticket, R)>,
}

impl<R> Default for Output<R> {
    fn default() -> Self {
        Output { batches: Vec::new(), replies: Vec::new() }
    }
}

impl<R> Output<R> {
    /// Nothing but one reply.
    pub fn reply(ticket: Ticket, reply: R) -> Output<R> {
        Output { batches: Vec::new(), replies: vec![(ticket, reply)] }
    }

    /// What both outputs say, `later` after this one.
    pub fn and(mut self, later: Output<R>) -> Output<R> {
        self.batches.extend(later.batches);
        self.replies.extend(later.replies);
        self
    }
}

/// What the log of one coordinator partition says. Equal logs give equal states, byte for byte.
pub trait CoordinatorState: Clone + Default {
    /// Applies one committed record. A record that cannot be read is skipped, on every replica alike: an error says so.
    ///
    /// # Errors
    /// The key or the value does not decode. Nothing has changed.
    fn apply(
        &mut self,
        record: &CoordinatorRecord,
        at: Offset,
        timestamp_ms: i64,
        transaction: Option<OpenTransaction>,
    ) -> Result<(), CodecError>;

    /// Applies a transaction's end marker.
    fn apply_marker(&mut self, transaction: OpenTransaction, committed: bool);

    /// The whole state.
    fn snapshot(&self) -> Bytes;

    /// The state behind a snapshot.
    ///
    /// # Errors
    /// The bytes are not a snapshot of this state.
    fn restore(snapshot: &[u8]) -> Result<Self, CodecError>;
}

/// The leader's machine.
pub trait Coordinator {
    /// Its hard state.
    type State: CoordinatorState;
    /// What it is made with: bounds and defaults of the broker.
    type Config;
    /// What it is asked.
    type Request;
    /// What it answers.
    type Reply;

    /// Takes office with what the log says. Whoever was a member has a full session from now on.
    fn lead(state: Self::State, config: Self::Config, moment: Moment) -> Self;

    /// Takes a request. Its reply is in this output or in that of a later input.
    fn handle(&mut self, ticket: Ticket, request: Self::Request, moment: Moment) -> Output<Self::Reply>;

    /// Time has passed: [`Coordinator::next_deadline_ms`] is reached, or a test has put the clock forward.
    fn on_time(&mut self, moment: Moment) -> Output<Self::Reply>;

    /// The broker clock at which [`Coordinator::on_time`] has something to do next.
    fn next_deadline_ms(&self) -> Option<i64>;

    /// Whoever asked has gone: the ticket's reply is not wanted any more. An unknown ticket is ignored.
    fn cancel(&mut self, ticket: Ticket, moment: Moment) -> Output<Self::Reply>;

    /// The marker of a transaction was committed in this partition's log.
    fn on_marker(
        &mut self,
        transaction: OpenTransaction,
        committed: bool,
        moment: Moment,
    ) -> Output<Self::Reply>;

    /// The markers that inputs so far have led to, each once. To be asked after every input and after
    /// [`Coordinator::lead`]. An order counts like a reply: it is carried out once everything this machine has appended so
    /// far is committed, again and again until every partition has its marker, and is reported back as a request. Lost
    /// with the machine; the next one orders anew.
    fn take_markers(&mut self) -> Vec<MarkerOrder> {
        Vec::new()
    }

    /// The broker's configuration has changed.
    fn configure(&mut self, config: Self::Config);
}

/// The partition, out of `partitions`, whose coordinator looks after a group or a transactional id: Java's hash of the
/// name, as Kafka and its tools have it. 0 if there are no partitions.
pub fn partition_for(name: &str, partitions: i32) -> i32 {
    let hash =
        name.encode_utf16().fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
    // The absolute value, and 0 for the one number that has none.
    hash.checked_abs().unwrap_or(0).checked_rem(partitions).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_lives_where_java_says() {
        // Java: "test".hashCode() == 3556498, "my-group".hashCode() == -1906497762.
        assert_eq!(partition_for("test", 50), 48);
        assert_eq!(partition_for("my-group", 50), 12);
        assert_eq!(partition_for("kafka-txn-0", 50), 30);
        assert_eq!(partition_for("größe", 50), 7);
        assert_eq!(partition_for("", 50), 0);
        assert_eq!(partition_for("test", 0), 0);
        // Its hash is the smallest integer.
        assert_eq!(partition_for("polygenelubricants", 50), 0);
    }
}
