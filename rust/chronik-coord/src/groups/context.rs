//! What every step of a group may use: the configuration, the hard state, the timers, and where records and replies go.

use std::collections::BTreeMap;
use std::sync::Arc;

use chronik_wire::types::Offset;

use super::config::GroupsConfig;
use super::limits;
use super::record::GroupRecord;
use super::request::GroupReply;
use super::state::GroupsState;
use super::timers::{Timer, Timers};
use crate::coordinator::{CoordinatorBatch, CoordinatorRecord, Moment, OpenTransaction, Output, Ticket};

/// The things a step may use, for as long as it lasts.
pub(crate) struct Context<'a> {
    pub(crate) config: &'a GroupsConfig,
    pub(crate) state: &'a mut GroupsState,
    pub(crate) timers: &'a mut Timers,
    /// The version of the cluster's metadata at which each group of the newer protocol last looked at its topics.
    pub(crate) looked_at: &'a mut BTreeMap<Arc<str>, Offset>,
    /// When accounts of share-partitions were last ordered for each share group, on the broker clock, while they have not
    /// all been reported.
    pub(crate) accounts_asked: &'a mut BTreeMap<Arc<str>, i64>,
    /// Requests without a reply, with the group they wait in.
    pub(crate) waiting: &'a mut BTreeMap<Ticket, Arc<str>>,
    pub(crate) outcome: &'a mut Outcome,
    pub(crate) moment: Moment,
}

impl Context<'_> {
    /// Appends a record, and applies it to our own copy of the hard state.
    pub(crate) fn write(&mut self, record: GroupRecord) {
        self.outcome.append(record.encode(), None);
        self.state.apply_record(record, None).expect("a record outside of transactions always applies");
    }

    /// Appends an offset as part of a transaction, and applies it to our own copy of the hard state.
    pub(crate) fn write_in(&mut self, transaction: OpenTransaction, record: GroupRecord) {
        self.outcome.append(record.encode(), Some(transaction));
        self.state.apply_record(record, Some(transaction)).expect("only offsets come here");
    }

    /// Answers a request.
    pub(crate) fn reply(&mut self, ticket: Ticket, reply: GroupReply) {
        self.waiting.remove(&ticket);
        self.outcome.replies.push((ticket, reply));
    }

    /// Leaves a request without an answer for now.
    pub(crate) fn park(&mut self, ticket: Ticket, group: &Arc<str>) {
        self.waiting.insert(ticket, group.clone());
    }

    /// Sets a deadline so many milliseconds from now, at least one: a deadline that has come already would be due again
    /// and again within one input.
    pub(crate) fn set_timer(&mut self, group: &Arc<str>, timer: Timer, after_ms: i64) {
        self.timers.set(group, timer, self.moment.now_ms.saturating_add(after_ms.max(1)));
    }

    /// A new identity: this input's own random number as a UUID.
    pub(crate) fn new_uuid(&self) -> String {
        let bits = self.moment.random;
        let versioned = (bits & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
        let hex = format!("{versioned:032x}");
        let parts = [(0, 8), (8, 12), (12, 16), (16, 20), (20, 32)];
        parts.map(|(from, to)| hex.get(from..to).unwrap_or_default().to_owned()).join("-")
    }
}

/// What a step leads to, as it grows.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    batches: Vec<CoordinatorBatch>,
    open: CoordinatorBatch,
    open_bytes: usize,
    replies: Vec<(Ticket, GroupReply)>,
}

impl Outcome {
    /// Appends to the batch at hand, or to a new one if that is full or belongs to another transaction.
    fn append(&mut self, record: CoordinatorRecord, transaction: Option<OpenTransaction>) {
        let bytes = record.bytes();
        if self.open.transaction != transaction || self.open_bytes + bytes > limits::BATCH_BYTES {
            self.close_batch();
            self.open.transaction = transaction;
        }
        self.open.records.push(record);
        self.open_bytes += bytes;
    }

    fn close_batch(&mut self) {
        let batch = std::mem::take(&mut self.open);
        self.open_bytes = 0;
        if !batch.records.is_empty() {
            self.batches.push(batch);
        }
    }

    /// All of it.
    pub(crate) fn into_output(mut self) -> Output<GroupReply> {
        self.close_batch();
        Output { batches: self.batches, replies: self.replies }
    }
}
