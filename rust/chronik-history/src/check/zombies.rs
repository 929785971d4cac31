//! Producers that have been replaced and go on: `zombie`.
//!
//! Whoever calls InitProducerId with a transactional id replaces the producer that did so before: its answer says that the
//! other's open transaction is aborted, its epoch fenced. Nothing that the replaced one asks for after that answer may
//! succeed, and no two answers name one id and epoch. Which producer a transaction belongs to is told by who began it.

use std::collections::BTreeMap;

use super::findings::{Findings, Story};
use super::hash::QuickMap;
use super::subjects::{EventId, Subjects};
use super::values::{Fate, fate};
use crate::event::Event;
use crate::operation::{Call, Operation};
use crate::text::Text;
use crate::verdict::Rule;

/// A producer: an InitProducerId that succeeded.
#[derive(Debug, Clone, Copy)]
struct Producer {
    init: EventId,
    invoked_ns: u64,
    returned_ns: u64,
}

/// The producers of one transactional id.
#[derive(Debug, Default)]
struct Producers {
    /// Ascending in time of invocation.
    all: Vec<Producer>,
    /// For each, which of it and of those after it was answered first.
    first_answered: Vec<Producer>,
}

impl Producers {
    fn index(&mut self) {
        let mut first = None;
        self.first_answered = self
            .all
            .iter()
            .rev()
            .map(|producer| {
                let earliest = first.filter(|first: &Producer| first.returned_ns <= producer.returned_ns);
                *first.insert(earliest.unwrap_or(*producer))
            })
            .collect();
        self.first_answered.reverse();
    }

    /// The producer that was the first to replace this one for sure.
    fn replaced_by(&self, producer: &Producer) -> Option<&Producer> {
        let later = self.all.partition_point(|other| other.invoked_ns <= producer.returned_ns);
        self.first_answered.get(later)
    }
}

/// Judges the producers of all transactional ids.
pub(super) fn judge(findings: &mut Findings<'_, '_>, subjects: &Subjects<'_>) {
    judge_epochs(findings, subjects);
    let producers = producers(subjects);
    if producers.is_empty() {
        return;
    }
    let mut present: BTreeMap<(&str, &str, &str), Producer> = BTreeMap::new();
    let mut owners: QuickMap<&Text, (&str, Producer)> = QuickMap::default();
    for &id in &subjects.in_order {
        let event = subjects.event(id);
        match &event.operation {
            Operation::Init(call) => {
                let (Some(name), Some(producer)) = (&call.args.transactional_id, producer(event, id)) else {
                    continue;
                };
                present.insert((&event.process, &event.client, name), producer);
            }
            Operation::Begin(call) => {
                let name: &str = &call.args.transactional_id;
                let Some(own) = present.get(&(&*event.process, &*event.client, name)) else { continue };
                if own.returned_ns <= event.invoked_ns {
                    owners.insert(&call.args.transaction, (name, *own));
                }
            }
            _ => {
                let Some((name, own)) = succeeded_in(event).and_then(|name| owners.get(name)) else {
                    continue;
                };
                let Some(newer) = producers.get(name).and_then(|all| all.replaced_by(own)) else { continue };
                if newer.returned_ns < event.invoked_ns {
                    accuse(findings, event, &[own.init, newer.init, id], name);
                }
            }
        }
    }
}

fn producers<'a>(subjects: &Subjects<'a>) -> BTreeMap<&'a str, Producers> {
    let mut producers: BTreeMap<&str, Producers> = BTreeMap::new();
    for &id in &subjects.in_order {
        let event = subjects.event(id);
        let Operation::Init(call) = &event.operation else { continue };
        if let (Some(name), Some(producer)) = (&call.args.transactional_id, producer(event, id)) {
            producers.entry(name).or_default().all.push(producer);
        }
    }
    producers.values_mut().for_each(Producers::index);
    producers
}

fn producer(event: &Event, init: EventId) -> Option<Producer> {
    let returned_ns = event.returned_ns.filter(|_| event.is_ok())?;
    Some(Producer { init, invoked_ns: event.invoked_ns, returned_ns })
}

/// The transaction of an event that a fenced producer could not have brought about.
fn succeeded_in(event: &Event) -> Option<&Text> {
    match &event.operation {
        Operation::Send(Call { args, .. }) if fate(event, args) == Fate::Acknowledged => {
            args.transaction.as_ref()
        }
        Operation::End(Call { args, .. }) if event.is_ok() => Some(&args.transaction),
        Operation::TxnOffsetCommit(Call { args, .. }) if event.is_ok() => Some(&args.transaction),
        _ => None,
    }
}

fn accuse(findings: &mut Findings<'_, '_>, event: &Event, events: &[EventId], transactional_id: &str) {
    findings.accuse(Rule::Zombie, &event.key, events, || Story {
        what: format!(
            "A {} of a producer of {transactional_id:?} succeeded after another producer had replaced it",
            event.operation.name()
        ),
        expected: "error 90, or 47 for old requests: the epoch is fenced".to_owned(),
    });
}

/// Two producers that both were told that they are the present one.
fn judge_epochs(findings: &mut Findings<'_, '_>, subjects: &Subjects<'_>) {
    let mut given: BTreeMap<(i64, i16), EventId> = BTreeMap::new();
    for &id in &subjects.in_order {
        let event = subjects.event(id);
        let Operation::Init(Call { result: Some(result), .. }) = &event.operation else { continue };
        if !event.is_ok() {
            continue;
        }
        let Some(before) = given.insert((result.id, result.epoch), id) else { continue };
        findings.accuse(Rule::Zombie, &Text::default(), &[before, id], || Story {
            what: format!("Producer id {} with epoch {} was given to two producers", result.id, result.epoch),
            expected: "an epoch, or a producer id, of its own for each".to_owned(),
        });
    }
}
