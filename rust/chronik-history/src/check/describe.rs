//! One event in one line, for people.

use std::fmt::Write;

use crate::event::{Event, Role, Status};
use crate::limits::{RECORDS_DESCRIBED_MAX, VALUE_CHARACTERS_DESCRIBED_MAX};
use crate::operation::{
    Call, Consistency, EARLIEST, FetchArgs, FetchResult, Isolation, LATEST, ListArgs, Operation, Record,
    SendArgs,
};
use crate::text::Text;

/// Time in seconds, as explanations show it.
pub(super) fn seconds(time_ns: u64) -> String {
    format!("{}.{:06} s", time_ns / 1_000_000_000, time_ns % 1_000_000_000 / 1_000)
}

/// A value, cut to a readable length, in quotes.
pub(super) fn value(text: &Text) -> String {
    if text.chars().count() <= VALUE_CHARACTERS_DESCRIBED_MAX {
        return format!("{text:?}");
    }
    let head: String = text.chars().take(VALUE_CHARACTERS_DESCRIBED_MAX).collect();
    format!("{head:?}...")
}

/// The event in one line: number, time, client, node, what it asked, what it got.
pub fn describe(event: &Event) -> String {
    let mut line = format!("#{} {}", event.number, seconds(event.invoked_ns));
    match event.returned_ns {
        Some(returned_ns) => line.push_str(&format!(" to {}", seconds(returned_ns))),
        None => line.push_str(" and never back"),
    }
    if !event.client.is_empty() {
        line.push_str(&format!(", {}", event.client));
    }
    if let Some(node) = event.node {
        line.push_str(&format!(" at node {node}"));
    }
    match event.role {
        Some(Role::Leader) => line.push_str(" (leader)"),
        Some(Role::Follower) => line.push_str(" (follower)"),
        None => {}
    }
    line.push_str(&format!(": {}", asked(&event.operation)));
    if !event.key.is_empty() {
        line.push_str(&format!(" on {}", event.key));
    }
    let answer = answered(&event.operation);
    match event.status {
        Status::Ok if event.error == 0 && answer.is_empty() => line.push_str(" -> ok"),
        Status::Ok if event.error == 0 => line.push_str(&format!(" -> {answer}")),
        Status::Ok | Status::Fail if event.error != 0 => {
            line.push_str(&format!(" -> error {}", event.error));
            if !answer.is_empty() {
                line.push_str(&format!(" with {answer}"));
            }
        }
        Status::Ok | Status::Fail => line.push_str(" -> failed before it was sent"),
        Status::Info if event.error != 0 => {
            line.push_str(&format!(" -> error {}, outcome unknown", event.error))
        }
        Status::Info => line.push_str(" -> outcome unknown"),
    }
    line
}

fn asked(operation: &Operation) -> String {
    match operation {
        Operation::Send(call) => asked_send(&call.args),
        Operation::Fetch(call) => asked_fetch(&call.args),
        Operation::List(call) => asked_list(&call.args),
        Operation::EpochEnd(call) => format!("end of epoch {}", call.args.epoch),
        Operation::Create(call) => format!("create topic {:?}", call.args.name),
        Operation::Delete(call) => format!("delete topic {}", call.args.topic_id),
        Operation::Meta(call) => match &call.args.topics {
            None => "metadata of all topics".to_owned(),
            Some(topics) => format!("metadata of topics {}", list(topics, Text::to_string)),
        },
        Operation::Init(call) => match &call.args.transactional_id {
            None => "init producer".to_owned(),
            Some(id) => format!("init producer of transactional id {id:?}"),
        },
        Operation::Begin(call) => format!("begin transaction {:?}", call.args.transaction),
        Operation::End(call) => {
            format!(
                "{} transaction {:?}",
                if call.args.commit { "commit" } else { "abort" },
                call.args.transaction
            )
        }
        Operation::TxnOffsetCommit(call) => format!(
            "commit offset {} of group {:?} in transaction {:?}",
            call.args.offset, call.args.group, call.args.transaction
        ),
        Operation::Join(call) => format!("join group {:?}", call.args.group),
        Operation::Commit(call) => {
            let mut text = format!("commit offset {} of group {:?}", call.args.offset, call.args.group);
            if call.args.generation >= 0 {
                text.push_str(&format!(" in generation {}", call.args.generation));
            }
            text
        }
        Operation::OffsetFetch(call) => format!("committed offset of group {:?}", call.args.group),
        Operation::Assign(call) => match call.args.position {
            Some(position) => format!("reads on from {position}"),
            None => "stops reading".to_owned(),
        },
        Operation::Fault(call) => format!("fault: {}", call.args.text),
        Operation::Phase(call) => format!("phase {:?} begins", call.args.name),
        Operation::Dump(_) => "dump of the log".to_owned(),
        Operation::State(_) => "hash of the state".to_owned(),
    }
}

fn asked_send(args: &SendArgs) -> String {
    let mut text = format!("send {}", list(&args.values, value));
    if args.acks != -1 {
        let _ = write!(text, " acks={}", args.acks);
    }
    if let Some(producer) = args.producer {
        let _ = write!(text, " by producer {} epoch {}", producer.id, producer.epoch);
        if let Some(sequence) = producer.sequence {
            let _ = write!(text, " sequence {sequence}");
        }
    }
    if let Some(transaction) = &args.transaction {
        let _ = write!(text, " in transaction {transaction:?}");
    }
    text
}

fn asked_fetch(args: &FetchArgs) -> String {
    let mut text = format!("fetch from {}", args.offset);
    if args.isolation == Isolation::ReadCommitted {
        text.push_str(" read_committed");
    }
    match args.consistency {
        Consistency::Linearizable => {}
        Consistency::Tail => text.push_str(" (tail)"),
        Consistency::Local => text.push_str(" (local)"),
    }
    if let Some(transaction) = &args.transaction {
        let _ = write!(text, " in transaction {transaction:?}");
    }
    text
}

fn asked_list(args: &ListArgs) -> String {
    let what = match args.timestamp {
        LATEST => "latest offset".to_owned(),
        EARLIEST => "earliest offset".to_owned(),
        timestamp => format!("offset of time {timestamp}"),
    };
    if args.isolation == Isolation::ReadCommitted { format!("{what} read_committed") } else { what }
}

fn answered(operation: &Operation) -> String {
    match operation {
        Operation::Send(Call { result: Some(result), .. }) => match result.offset {
            Some(offset) => format!("offset {offset}"),
            None => String::new(),
        },
        Operation::Fetch(Call { result: Some(result), .. }) => answered_fetch(result),
        Operation::List(Call { result: Some(result), .. }) => format!("offset {}", result.offset),
        Operation::EpochEnd(Call { result: Some(result), .. }) => {
            format!("epoch {} ends at {}", result.epoch, result.offset)
        }
        Operation::Create(Call { result: Some(result), .. }) => format!("topic id {}", result.topic_id),
        Operation::Meta(Call { result: Some(result), .. }) => {
            format!("topics {}", list(&result.topics, Text::to_string))
        }
        Operation::Init(Call { result: Some(result), .. }) => {
            format!("producer {} epoch {}", result.id, result.epoch)
        }
        Operation::Join(Call { result: Some(result), .. }) => format!("generation {}", result.generation),
        Operation::OffsetFetch(Call { result: Some(result), .. }) => format!("offset {}", result.offset),
        Operation::Dump(Call { result: Some(result), .. }) => {
            format!("log start {}, HW {}, {}", result.log_start, result.hw, records(&result.records))
        }
        Operation::State(Call { result: Some(result), .. }) => {
            format!("hash {:016x} at index {}", result.hash, result.applied)
        }
        _ => String::new(),
    }
}

fn answered_fetch(result: &FetchResult) -> String {
    let mut text = records(&result.records);
    for (name, watermark) in [("HW", result.hw), ("LSO", result.lso), ("log start", result.log_start)] {
        if let Some(watermark) = watermark {
            let _ = write!(text, ", {name} {watermark}");
        }
    }
    if let Some(next) = result.next {
        let _ = write!(text, ", next {next}");
    }
    if let Some(node) = result.preferred {
        let _ = write!(text, ", prefer node {node}");
    }
    text
}

fn records(records: &[Record]) -> String {
    if records.is_empty() {
        return "no records".to_owned();
    }
    list(records, |record| format!("{}={}", record.offset, value(&record.value)))
}

/// The first items and the last one.
fn list<T>(items: &[T], show: impl Fn(&T) -> String) -> String {
    if items.len() <= RECORDS_DESCRIBED_MAX {
        return format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(", "));
    }
    let head = items.iter().take(RECORDS_DESCRIBED_MAX - 1).map(&show).collect::<Vec<_>>().join(", ");
    let last = items.last().map(show).unwrap_or_default();
    format!("[{head}, ... {last}; {} in all]", items.len())
}
