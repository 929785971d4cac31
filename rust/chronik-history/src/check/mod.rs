//! The checker: a history in, a verdict out.
//!
//! One pass sorts the events by time and parts them by partition; then each rule's module judges one partition after
//! the other in linear-log time. Only the real-time order counts, and what nobody knows may have happened or not: a
//! history is accused only of what no broker that keeps its promises can have done.

mod codes;
mod cycles;
mod describe;
mod ends;
mod findings;
mod floors;
mod gaps;
mod groups;
mod hash;
mod order;
mod polls;
mod registers;
mod replicas;
mod subjects;
mod topics;
mod transactions;
mod values;
mod zombies;

pub use describe::describe;

use crate::event::History;
use crate::operation::Operation;
use crate::verdict::{Statistics, Verdict};
use cycles::Dependencies;
use findings::Findings;
use floors::Floors;
use gaps::Gaps;
use subjects::{KeyEvents, Subjects};
use transactions::Transactions;
use values::{Fate, Values, fate};

/// Judges a history by all rules.
pub fn check(history: &History) -> Verdict {
    let subjects = Subjects::new(history);
    let mut findings = Findings::new(&subjects);
    let mut transactions = Transactions::new(&subjects);
    let mut dependencies = Dependencies::new(&subjects, &transactions);
    // What readers were shown of a transaction in one partition counts in the others: values of all partitions first.
    let mut values: Vec<Values<'_>> = Vec::new();
    for key in &subjects.keys {
        values.push(Values::new(&mut findings, &subjects, &mut transactions, key));
    }
    for (key, values) in subjects.keys.iter().zip(&mut values) {
        judge_key(&mut findings, &subjects, &transactions, &mut dependencies, key, values);
    }
    codes::judge_all(&mut findings, &subjects);
    topics::judge(&mut findings, &subjects);
    zombies::judge(&mut findings, &subjects);
    dependencies.judge(&mut findings, &subjects, &transactions);
    findings.into_verdict(statistics(history, &subjects))
}

fn judge_key(
    findings: &mut Findings<'_, '_>,
    subjects: &Subjects<'_>,
    transactions: &Transactions,
    dependencies: &mut Dependencies,
    key: &KeyEvents,
    values: &mut Values<'_>,
) {
    let floors = Floors::new(subjects, transactions, key, values);
    let gaps = Gaps::new(subjects, transactions, key, &floors);
    ends::judge(findings, subjects, key, values, &floors);
    gaps::judge(findings, subjects, &gaps, values);
    polls::judge(findings, subjects, &gaps, values);
    order::judge(findings, subjects, key, values, &floors);
    replicas::judge(findings, subjects, &gaps, values);
    codes::judge_refusals(findings, subjects, key, &floors);
    groups::judge(findings, subjects, transactions, key);
    for answer in subjects.answers(key) {
        dependencies.take(transactions, values, &answer);
    }
}

fn statistics(history: &History, subjects: &Subjects<'_>) -> Statistics {
    let mut statistics = Statistics {
        events: history.events.len() as u64,
        keys: subjects.keys.len() as u64,
        has_final_phase: subjects.final_phase_ns.is_some(),
        ..Statistics::default()
    };
    for event in &history.events {
        match &event.operation {
            Operation::Send(call) => match fate(event, &call.args) {
                Fate::Acknowledged => statistics.sends_acknowledged += 1,
                Fate::Failed => statistics.sends_failed += 1,
                Fate::Provisional | Fate::Unknown => statistics.sends_unknown += 1,
            },
            Operation::Fetch(call) if event.is_ok() => {
                statistics.fetches_answered += 1;
                statistics.records_read +=
                    call.result.as_ref().map_or(0, |result| result.records.len() as u64);
            }
            Operation::Fetch(_) => statistics.fetches_refused += 1,
            Operation::List(_) if event.is_ok() => statistics.ends_listed += 1,
            Operation::Fault(_) => statistics.faults += 1,
            _ => {}
        }
    }
    statistics
}
