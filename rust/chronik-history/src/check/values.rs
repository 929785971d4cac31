//! The values of one partition: who sent each, what became of it, where it sits.
//!
//! One pass over the acknowledged sends and over all records read fills the tables that the other rules ask, and finds
//! what can be found record by record: two values at one offset, one value at two, values nobody sent or whose send
//! had failed, records read before they were sent, and what `read_committed` must hide.

use super::findings::{Findings, Story};
use super::hash::QuickMap;
use super::subjects::{Answer, EventId, KeyEvents, Subjects};
use super::transactions::{TransactionId, Transactions};
use crate::event::{Event, Status};
use crate::operation::{ACKS_ALL, Call, Isolation, Operation, Producer, Record, SendArgs};
use crate::text::Text;
use crate::verdict::Rule;

/// Place of a value in [`Values`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ValueId(u32);

/// Error codes after which a Produce certainly stored nothing.
const NOTHING_APPENDED: [i16; 31] = [
    2, 3, 5, 6, 10, 17, 18, 19, 21, 29, 32, 35, 42, 43, 45, 47, 48, 49, 51, 53, 56, 59, 67, 74, 75, 76, 87,
    90, 100, 103, 120,
];

/// What a send promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Acknowledged with `acks=all`.
    Acknowledged,
    /// Acknowledged by the leader alone: another record may take the offset.
    Provisional,
    /// Certainly not stored.
    Failed,
    /// Stored, or not, or later.
    Unknown,
}

/// What became of a send. A failure counts only with a code that leaves nothing open.
pub(super) fn fate(event: &Event, args: &SendArgs) -> Fate {
    match event.status {
        Status::Ok if event.error != 0 => Fate::Unknown,
        Status::Ok if args.acks == ACKS_ALL => Fate::Acknowledged,
        Status::Ok => Fate::Provisional,
        Status::Fail if event.error == 0 || NOTHING_APPENDED.contains(&event.error) => Fate::Failed,
        Status::Fail | Status::Info => Fate::Unknown,
    }
}

/// One value of a partition.
#[derive(Debug)]
pub(super) struct Value<'a> {
    pub(super) text: &'a Text,
    /// First attempt to send it.
    pub(super) send: EventId,
    /// When that attempt was invoked: nobody can have seen the value before.
    pub(super) born_ns: u64,
    /// Its place in its batch.
    pub(super) place_in_batch: u32,
    /// The first attempt that was acknowledged with `acks=all`.
    pub(super) acknowledged: Option<EventId>,
    /// Every attempt failed for sure.
    failed: bool,
    /// It may rightly sit at several offsets.
    pub(super) repeatable: bool,
    producer: Option<Producer>,
    pub(super) transaction: Option<TransactionId>,
    /// Attempts belong to different transactions: nobody can say which of them a reader sees.
    pub(super) of_several_transactions: bool,
    /// Where it sits, as the first one said who knew; -1 if nobody did.
    pub(super) offset: i64,
    /// Who said so.
    pub(super) offset_by: EventId,
    /// The first fetch that showed it.
    pub(super) read: Option<EventId>,
    /// It was seen at two offsets.
    pub(super) duplicated: bool,
    /// It was accused of being lost already.
    pub(super) lost: bool,
}

/// What sits at one offset.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slot {
    pub(super) value: ValueId,
    /// Who said so first.
    pub(super) by: EventId,
    /// Somebody else said something else.
    pub(super) contested: bool,
}

/// All values of one partition.
#[derive(Debug, Default)]
pub(super) struct Values<'a> {
    by_text: QuickMap<&'a str, ValueId>,
    all: Vec<Value<'a>>,
    slots: QuickMap<i64, Slot>,
    /// The slots in order of their offsets.
    pub(super) in_order: Vec<(i64, Slot)>,
    /// Largest offset that a fetch showed, -1 if none.
    pub(super) largest_read: i64,
}

impl<'a> Values<'a> {
    /// Takes in all sends and fetches of a partition.
    pub(super) fn new(
        findings: &mut Findings<'_, 'a>,
        subjects: &Subjects<'a>,
        transactions: &mut Transactions,
        key: &KeyEvents,
    ) -> Self {
        let mut values = Self { largest_read: -1, ..Self::default() };
        for &id in &key.sends {
            values.take_send(subjects, transactions, id);
        }
        for &id in &key.sends {
            values.take_acknowledgement(findings, subjects, key, id);
        }
        for answer in subjects.answers(key) {
            for record in &answer.result.records {
                values.take_record(findings, subjects, transactions, key, &answer, record);
            }
        }
        values.in_order = values.slots.iter().map(|(offset, slot)| (*offset, *slot)).collect();
        values.in_order.sort_unstable_by_key(|(offset, _)| *offset);
        values
    }

    /// The value of this id.
    pub(super) fn get(&self, id: ValueId) -> &Value<'a> {
        // Ids come from `take_send` and from nowhere else.
        &self.all[id.0 as usize]
    }

    /// The value of this id, to be marked.
    pub(super) fn get_mut(&mut self, id: ValueId) -> &mut Value<'a> {
        &mut self.all[id.0 as usize]
    }

    /// The value of this text.
    pub(super) fn find(&self, text: &str) -> Option<ValueId> {
        self.by_text.get(text).copied()
    }

    /// All values in the order of their first sending.
    pub(super) fn ids(&self) -> impl Iterator<Item = ValueId> + use<> {
        (0..self.all.len() as u32).map(ValueId)
    }

    /// What sits at this offset.
    pub(super) fn at(&self, offset: i64) -> Option<Slot> {
        self.slots.get(&offset).copied()
    }

    /// The known slots from one offset up to and without another.
    pub(super) fn between(&self, from: i64, to: i64) -> &[(i64, Slot)] {
        let begin = self.in_order.partition_point(|(offset, _)| *offset < from);
        let count =
            self.in_order.get(begin..).map_or(0, |rest| rest.partition_point(|(offset, _)| *offset < to));
        self.in_order.get(begin..begin + count).unwrap_or(&[])
    }

    fn take_send(&mut self, subjects: &Subjects<'a>, transactions: &Transactions, id: EventId) {
        let event = subjects.event(id);
        let Operation::Send(Call { args, .. }) = &event.operation else { return };
        let fate = fate(event, args);
        let transaction = args.transaction.as_ref().and_then(|name| transactions.find(name));
        for (place, text) in args.values.iter().enumerate() {
            let new = ValueId(self.all.len() as u32);
            let known = *self.by_text.entry(text).or_insert(new);
            if known == new {
                self.all.push(Value {
                    text,
                    send: id,
                    born_ns: event.invoked_ns,
                    place_in_batch: place as u32,
                    acknowledged: None,
                    failed: fate == Fate::Failed,
                    repeatable: args.may_repeat,
                    producer: args.producer,
                    transaction,
                    of_several_transactions: false,
                    offset: -1,
                    offset_by: id,
                    read: None,
                    duplicated: false,
                    lost: false,
                });
            }
            let value = self.get_mut(known);
            if known != new {
                // Another attempt. Only the same numbers of the same producer keep it from being stored again.
                let same_batch = args.producer.is_some() && args.producer == value.producer;
                value.repeatable |= args.may_repeat || !same_batch;
                value.of_several_transactions |= value.transaction != transaction;
                value.failed &= fate == Fate::Failed;
            }
            if fate == Fate::Acknowledged {
                value.acknowledged.get_or_insert(id);
            }
        }
    }

    fn take_acknowledgement(
        &mut self,
        findings: &mut Findings<'_, 'a>,
        subjects: &Subjects<'a>,
        key: &KeyEvents,
        id: EventId,
    ) {
        let event = subjects.event(id);
        let Operation::Send(Call { args, result: Some(result) }) = &event.operation else { return };
        let Some(base) = result.offset.filter(|offset| *offset >= 0) else { return };
        if fate(event, args) != Fate::Acknowledged {
            return;
        }
        for (place, text) in args.values.iter().enumerate() {
            if let Some(value) = self.find(text) {
                self.take_place(findings, key, value, base.saturating_add(place as i64), id);
            }
        }
    }

    /// Somebody says that the value sits at the offset.
    fn take_place(
        &mut self,
        findings: &mut Findings<'_, 'a>,
        key: &KeyEvents,
        id: ValueId,
        offset: i64,
        by: EventId,
    ) {
        let slot = self.slots.entry(offset).or_insert(Slot { value: id, by, contested: false });
        if slot.value != id && !slot.contested {
            slot.contested = true;
            let slot = *slot;
            let (first, second) = (self.get(slot.value).text, self.get(id).text);
            findings.accuse(Rule::InconsistentOffset, &key.key, &[slot.by, by], || Story {
                what: format!("Offset {offset} held {first:?} for one and {second:?} for another"),
                expected: "one value for ever, at every replica".to_owned(),
            });
        }
        let value = self.get_mut(id);
        if value.offset == -1 {
            value.offset = offset;
            value.offset_by = by;
        } else if value.offset != offset && !value.repeatable && !value.duplicated {
            value.duplicated = true;
            let (text, first, send, first_by) = (value.text, value.offset, value.send, value.offset_by);
            findings.accuse(Rule::Duplicate, &key.key, &[send, first_by, by], || Story {
                what: format!("{text:?} was sent once and sits at offset {first} and at offset {offset}"),
                expected: "stored once, however often it was retried".to_owned(),
            });
        }
    }

    fn take_record(
        &mut self,
        findings: &mut Findings<'_, 'a>,
        subjects: &Subjects<'a>,
        transactions: &mut Transactions,
        key: &KeyEvents,
        answer: &Answer<'a>,
        record: &Record,
    ) {
        self.largest_read = self.largest_read.max(record.offset);
        let Some(id) = self.find(&record.value) else {
            accuse_garbage(findings, key, answer.id, record);
            return;
        };
        self.take_place(findings, key, id, record.offset, answer.id);
        let value = self.get_mut(id);
        let is_first_reading = value.read.is_none();
        value.read.get_or_insert(answer.id);
        if value.born_ns > answer.returned_ns {
            let send = value.send;
            findings.accuse(Rule::Phantom, &key.key, &[answer.id, send], || Story {
                what: format!("{:?} was read at offset {} before it was sent", record.value, record.offset),
                expected: "only records that somebody had sent".to_owned(),
            });
        } else if value.failed && is_first_reading {
            accuse_wrong_failure(findings, subjects, key, value, answer, record);
        }
        let is_decided = value.transaction.is_some() && !value.of_several_transactions;
        if is_decided && answer.args.isolation == Isolation::ReadCommitted {
            transactions.on_shown(findings, subjects, key, answer, record, self.get(id));
        }
    }
}

/// A value that nobody sent.
pub(super) fn accuse_garbage(findings: &mut Findings<'_, '_>, key: &KeyEvents, by: EventId, record: &Record) {
    findings.accuse(Rule::Garbage, &key.key, &[by], || Story {
        what: format!(
            "Offset {} holds {:?}, which nobody sent to this partition",
            record.offset, record.value
        ),
        expected: "a value that some client sent to this partition".to_owned(),
    });
}

/// A send that had failed for sure, and its record is there.
fn accuse_wrong_failure(
    findings: &mut Findings<'_, '_>,
    subjects: &Subjects<'_>,
    key: &KeyEvents,
    value: &Value<'_>,
    answer: &Answer<'_>,
    record: &Record,
) {
    let error = subjects.event(value.send).error;
    if error == 0 {
        accuse_garbage(findings, key, answer.id, record);
        return;
    }
    findings.accuse(Rule::WrongCode, &key.key, &[value.send, answer.id], || Story {
        what: format!(
            "The send of {:?} was answered with error {error}, which says that nothing was stored, and it was stored \
             at offset {}",
            record.value, record.offset
        ),
        expected: "error 7 or 20, which leave the outcome open: a client that retries now stores it twice".to_owned(),
    });
}
