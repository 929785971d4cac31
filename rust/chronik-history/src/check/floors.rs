//! What had been proved about the ends of one partition, and when.
//!
//! Two sources prove an end: an acknowledgement with `acks=all`, and an answer that somebody saw. Both hold for
//! everyone who asks later. The end for `read_committed` is the same one, held back by transactions that may be open.

use std::collections::BTreeMap;

use super::registers::{MaxRegister, MinAfter, Proof};
use super::subjects::{EventId, KeyEvents, Subjects};
use super::transactions::{TransactionId, Transactions};
use super::values::{Fate, Values, fate};
use crate::operation::{ACKS_ALL, Call, Consistency, EARLIEST, Isolation, LATEST, ListArgs, Operation};

/// Registers of one partition.
#[derive(Debug, Default)]
pub(super) struct Floors {
    /// Ends of acknowledged batches, by the time of the acknowledgement.
    pub(super) acknowledged: MaxRegister,
    /// High watermarks that somebody saw.
    pub(super) seen_hw: MaxRegister,
    /// LSO that follows from acknowledgements and transactions.
    pub(super) acknowledged_lso: MaxRegister,
    /// LSOs that somebody saw, or that follow from the high watermarks that somebody saw.
    pub(super) seen_lso: MaxRegister,
    /// Log starts that somebody saw.
    pub(super) seen_log_start: MaxRegister,
    /// Offsets that were readable at an instant after the given one: the log start is not above them before.
    pub(super) readable: MinAfter,
}

impl Floors {
    pub(super) fn new(
        subjects: &Subjects<'_>,
        transactions: &Transactions,
        key: &KeyEvents,
        values: &Values<'_>,
    ) -> Self {
        let mut proofs = Proofs::default();
        for &id in &key.sends {
            proofs.take_send(subjects, id);
        }
        proofs.take_answers(subjects, key);
        for &id in &key.lists {
            proofs.take_list(subjects, id);
        }
        let mut floors = Self {
            acknowledged: MaxRegister::new(proofs.acknowledged),
            seen_hw: MaxRegister::new(proofs.seen_hw),
            acknowledged_lso: MaxRegister::default(),
            seen_lso: MaxRegister::new(proofs.seen_lso),
            seen_log_start: MaxRegister::new(proofs.seen_log_start),
            readable: MinAfter::new(proofs.readable),
        };
        let spans = floors.transaction_spans(subjects, transactions, key, values);
        floors.acknowledged_lso = MaxRegister::new(stable_ends(&floors.acknowledged, &spans));
        let mut seen_lso = floors.seen_lso.steps().to_vec();
        seen_lso.extend(stable_ends(&floors.seen_hw, &spans));
        floors.seen_lso = MaxRegister::new(seen_lso);
        floors
    }

    /// The largest high watermark proved before a time.
    pub(super) fn hw_before(&self, time_ns: u64) -> Option<Proof> {
        larger(self.acknowledged.before(time_ns), self.seen_hw.before(time_ns))
    }

    /// The largest end for this isolation that had been proved before a time.
    pub(super) fn end_before(&self, isolation: Isolation, time_ns: u64) -> Option<Proof> {
        match isolation {
            Isolation::ReadUncommitted => self.hw_before(time_ns),
            Isolation::ReadCommitted => {
                larger(self.acknowledged_lso.before(time_ns), self.seen_lso.before(time_ns))
            }
        }
    }

    /// The largest log start anybody ever saw.
    pub(super) fn log_start_max(&self) -> i64 {
        self.seen_log_start.last().map_or(0, |proof| proof.number)
    }

    /// When each transaction may have been open in this partition, and a lower bound of its first offset: the offset
    /// where it sits, or the end proved before it was sent.
    fn transaction_spans(
        &self,
        subjects: &Subjects<'_>,
        transactions: &Transactions,
        key: &KeyEvents,
        values: &Values<'_>,
    ) -> BTreeMap<TransactionId, Span> {
        let mut spans: BTreeMap<TransactionId, Span> = BTreeMap::new();
        for &id in &key.sends {
            let event = subjects.event(id);
            let Operation::Send(Call { args, .. }) = &event.operation else { continue };
            let Some(transaction) = args.transaction.as_ref().and_then(|name| transactions.find(name)) else {
                continue;
            };
            let known =
                args.values.first().and_then(|text| values.find(text)).map(|value| values.get(value).offset);
            let at_least = self.hw_before(event.invoked_ns).map_or(0, |proof| proof.number);
            let first_offset = known.filter(|offset| *offset >= 0).unwrap_or(at_least);
            let whole = transactions.get(transaction);
            let span = spans.entry(transaction).or_insert(Span {
                opened_ns: event.invoked_ns,
                opened_by: id,
                last_sent_ns: event.invoked_ns,
                first_offset,
                closed_ns: whole.closed_ns,
                closed_by: whole.closed_by,
            });
            span.first_offset = span.first_offset.min(first_offset);
            span.last_sent_ns = span.last_sent_ns.max(event.invoked_ns);
        }
        spans
    }
}

/// Lower bounds of the LSO over time: the proved ends, held back by the oldest transaction that may have been open. The
/// LSO never decreases, so that a bound once reached holds for ever.
fn stable_ends(ends: &MaxRegister, spans: &BTreeMap<TransactionId, Span>) -> Vec<Proof> {
    let mut changes: Vec<(u64, Change, i64, EventId)> = Vec::new();
    for proof in ends.steps() {
        changes.push((proof.at_ns, Change::HighWatermark, proof.number, proof.event));
    }
    for span in spans.values() {
        changes.push((span.opened_ns, Change::Opened, span.first_offset, span.opened_by));
        // One that was sent to after its end may be open again, for all we know.
        if let Some(closed_by) = span.closed_by.filter(|_| span.closed_ns >= span.last_sent_ns) {
            changes.push((span.closed_ns, Change::Closed, span.first_offset, closed_by));
        }
    }
    changes.sort_unstable();
    // First offsets of the transactions that may be open, with how many begin there.
    let mut open: BTreeMap<i64, u32> = BTreeMap::new();
    let mut hw = 0;
    let mut proofs = Vec::new();
    for (at_ns, change, number, event) in changes {
        match change {
            Change::Opened => *open.entry(number).or_insert(0) += 1,
            Change::HighWatermark => hw = hw.max(number),
            Change::Closed => {
                if let Some(count) = open.get_mut(&number) {
                    *count -= 1;
                    if *count == 0 {
                        open.remove(&number);
                    }
                }
            }
        }
        let oldest = open.first_key_value().map_or(i64::MAX, |(offset, _)| *offset);
        proofs.push(Proof { at_ns, number: hw.min(oldest), event });
    }
    proofs
}

fn larger(left: Option<Proof>, right: Option<Proof>) -> Option<Proof> {
    match (left, right) {
        (Some(left), Some(right)) => Some(if right.number > left.number { right } else { left }),
        (left, right) => left.or(right),
    }
}

/// In this order at equal times: what may hold the LSO back counts first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Change {
    Opened,
    HighWatermark,
    Closed,
}

#[derive(Debug)]
struct Span {
    opened_ns: u64,
    opened_by: EventId,
    last_sent_ns: u64,
    first_offset: i64,
    closed_ns: u64,
    closed_by: Option<EventId>,
}

/// What the answers of a partition prove, not yet in order.
#[derive(Debug, Default)]
struct Proofs {
    acknowledged: Vec<Proof>,
    seen_hw: Vec<Proof>,
    seen_lso: Vec<Proof>,
    seen_log_start: Vec<Proof>,
    readable: Vec<Proof>,
}

impl Proofs {
    fn take_send(&mut self, subjects: &Subjects<'_>, id: EventId) {
        let event = subjects.event(id);
        let Operation::Send(Call { args, result: Some(result) }) = &event.operation else { return };
        let Some(base) = result.offset.filter(|offset| *offset >= 0) else { return };
        if args.acks == ACKS_ALL && fate(event, args) == Fate::Acknowledged {
            let number = base.saturating_add(args.values.len() as i64);
            self.acknowledged.push(Proof { at_ns: subjects.returned_ns(id), number, event: id });
        }
    }

    fn take_answers(&mut self, subjects: &Subjects<'_>, key: &KeyEvents) {
        for answer in subjects.answers(key) {
            let at = |number| Proof { at_ns: answer.returned_ns, number, event: answer.id };
            let result = answer.result;
            let after_last = result.records.last().map_or(-1, |record| record.offset.saturating_add(1));
            let is_committed = answer.args.isolation == Isolation::ReadCommitted;
            let lso = result.lso.unwrap_or(-1).max(if is_committed { after_last } else { -1 });
            let hw = result.hw.unwrap_or(-1).max(after_last);
            if hw >= 0 {
                self.seen_hw.push(at(hw));
            }
            if lso >= 0 {
                self.seen_lso.push(at(lso));
            }
            if let Some(log_start) = result.log_start.filter(|log_start| *log_start >= 0) {
                self.seen_log_start.push(at(log_start));
            }
            // Only a gated answer knows the log start; a replica that lags may serve what is deleted elsewhere.
            if !answer.is_redirect() && answer.args.consistency == Consistency::Linearizable {
                let number =
                    result.log_start.filter(|start| *start >= 0).unwrap_or(i64::MAX).min(answer.args.offset);
                self.readable.push(Proof { at_ns: answer.event.invoked_ns, number, event: answer.id });
            }
        }
    }

    fn take_list(&mut self, subjects: &Subjects<'_>, id: EventId) {
        let Some((args, offset)) = listed(subjects, id) else { return };
        let proof = Proof { at_ns: subjects.returned_ns(id), number: offset, event: id };
        match (args.timestamp, args.isolation) {
            (LATEST, Isolation::ReadUncommitted) => self.seen_hw.push(proof),
            (LATEST, Isolation::ReadCommitted) => self.seen_lso.push(proof),
            (EARLIEST, _) if args.consistency == Consistency::Local => self.seen_log_start.push(proof),
            (EARLIEST, _) => {
                self.seen_log_start.push(proof);
                self.readable.push(Proof { at_ns: subjects.event(id).invoked_ns, ..proof });
            }
            _ => {}
        }
    }
}

/// What a successful ListOffsets answered, if it named an offset.
pub(super) fn listed<'a>(subjects: &Subjects<'a>, id: EventId) -> Option<(&'a ListArgs, i64)> {
    let event = subjects.event(id);
    match &event.operation {
        Operation::List(Call { args, result: Some(result) }) if event.is_ok() && result.offset >= 0 => {
            Some((args, result.offset))
        }
        _ => None,
    }
}
