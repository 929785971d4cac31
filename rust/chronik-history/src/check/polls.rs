//! What one reader gets in a row: ascending offsets within an answer, and, after an assignment, no gap and no
//! repetition from answer to answer.

use std::collections::BTreeMap;

use super::findings::{Findings, Story};
use super::gaps::Gaps;
use super::subjects::{Answer, EventId, Subjects};
use super::values::Values;
use crate::operation::Operation;
use crate::verdict::Rule;

/// Judges the order in which one partition's records reach their readers.
pub(super) fn judge(
    findings: &mut Findings<'_, '_>,
    subjects: &Subjects<'_>,
    gaps: &Gaps<'_>,
    values: &Values<'_>,
) {
    for answer in subjects.answers(gaps.key) {
        judge_order(findings, gaps, &answer);
    }
    judge_assignments(findings, subjects, gaps, values);
}

fn judge_order(findings: &mut Findings<'_, '_>, gaps: &Gaps<'_>, answer: &Answer<'_>) {
    let mut least = answer.args.offset;
    for record in &answer.result.records {
        if record.offset < least {
            findings.accuse(Rule::NonmonotonicPoll, &gaps.key.key, &[answer.id], || Story {
                what: format!("An answer shows offset {}, where {least} or more comes next", record.offset),
                expected: "ascending offsets from the asked one on".to_owned(),
            });
            return;
        }
        least = record.offset.saturating_add(1);
    }
}

/// Where an assigned reader stands.
#[derive(Debug, Clone, Copy)]
struct Position {
    offset: i64,
    /// The assignment or answer that brought it there, and when that was over.
    by: EventId,
    since_ns: u64,
}

fn judge_assignments(
    findings: &mut Findings<'_, '_>,
    subjects: &Subjects<'_>,
    gaps: &Gaps<'_>,
    values: &Values<'_>,
) {
    if gaps.key.assigns.is_empty() {
        return;
    }
    let mut steps: Vec<EventId> = gaps.key.assigns.iter().chain(&gaps.key.fetches).copied().collect();
    steps.sort_by_key(|id| (subjects.event(*id).invoked_ns, subjects.event(*id).number));
    let mut positions: BTreeMap<(&str, &str), Position> = BTreeMap::new();
    for id in steps {
        let event = subjects.event(id);
        let reader = (event.process.as_str(), event.client.as_str());
        if let Operation::Assign(call) = &event.operation {
            let since_ns = event.returned_ns.unwrap_or(event.invoked_ns);
            match call.args.position {
                Some(offset) => drop(positions.insert(reader, Position { offset, by: id, since_ns })),
                None => drop(positions.remove(&reader)),
            }
            continue;
        }
        let (Some(answer), Some(position)) = (subjects.answer(id), positions.get_mut(&reader)) else {
            continue;
        };
        if answer.is_redirect() {
            continue;
        }
        if event.invoked_ns < position.since_ns {
            // Two fetches at once: nobody can say what comes after what.
            positions.remove(&reader);
            continue;
        }
        judge_step(findings, gaps, values, *position, &answer);
        *position = Position { offset: answer.next(), by: id, since_ns: answer.returned_ns };
    }
}

fn judge_step(
    findings: &mut Findings<'_, '_>,
    gaps: &Gaps<'_>,
    values: &Values<'_>,
    position: Position,
    answer: &Answer<'_>,
) {
    let (expected, asked) = (position.offset, answer.args.offset);
    if asked < expected {
        findings.accuse(Rule::NonmonotonicPoll, &gaps.key.key, &[position.by, answer.id], || Story {
            what: format!("A reader who stood at {expected} was sent back to {asked}"),
            expected: format!("a fetch from {expected}, or a new assignment"),
        });
    } else if let Some((offset, id)) =
        gaps.visible_from_start(values, answer.args.isolation, expected, asked).next()
    {
        let text = values.get(id).text;
        findings.accuse(Rule::PollSkip, &gaps.key.key, &[position.by, answer.id], || Story {
            what: format!(
                "A reader who stood at {expected} went on at {asked} and passed over {text:?} at offset {offset}"
            ),
            expected: format!("a fetch from {expected}, or a new assignment"),
        });
    }
}
