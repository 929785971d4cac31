//! Error codes and times of answers: `wrong-code`, `late-answer`.

use std::collections::BTreeMap;

use super::findings::{Findings, Story};
use super::floors::Floors;
use super::subjects::{EventId, KeyEvents, Subjects};
use crate::event::{Event, Status};
use crate::operation::{Call, EARLIEST, FetchResult, LATEST, Operation};
use crate::text::Text;
use crate::verdict::Rule;

/// Time that machines and networks may add to an answer's bound.
const LATE_TOLERANCE_NS: u64 = 1_000_000_000;

/// `OFFSET_OUT_OF_RANGE`.
const OUT_OF_RANGE: i16 = 1;
/// `UNKNOWN_TOPIC_OR_PARTITION` and `UNKNOWN_TOPIC_ID`.
const UNKNOWN_TOPIC: [i16; 2] = [3, 100];

/// Codes a client of the API can be told. Not among them: 2 and 103 for faults of our own, and whatever the large
/// clients take for fatal.
fn allowed(operation: &Operation) -> &'static [i16] {
    match operation {
        Operation::Send(_) => &[
            2, 3, 6, 7, 10, 17, 18, 19, 20, 21, 29, 32, 45, 46, 47, 48, 49, 51, 53, 56, 59, 76, 87, 90, 100,
            120,
        ],
        Operation::Fetch(_) => &[1, 3, 6, 9, 29, 56, 70, 71, 74, 75, 78, 100, 106],
        Operation::List(_) | Operation::EpochEnd(_) => &[3, 5, 6, 9, 29, 56, 74, 75, 78, 100],
        Operation::Create(_) | Operation::Delete(_) => {
            &[3, 5, 7, 17, 29, 31, 36, 37, 38, 39, 40, 41, 42, 44, 73, 89, 100]
        }
        Operation::Meta(_) => &[3, 5, 17, 29, 31, 100],
        Operation::Init(_) => &[7, 14, 15, 16, 29, 31, 42, 47, 48, 49, 50, 51, 53, 89, 90],
        Operation::End(_) => &[7, 14, 15, 16, 29, 47, 48, 49, 51, 53, 59, 90, 120],
        Operation::Join(_) => &[7, 14, 15, 16, 22, 23, 24, 25, 26, 27, 29, 30, 69, 79, 81, 82, 84, 110, 113],
        Operation::TxnOffsetCommit(_) | Operation::Commit(_) => &[
            3, 7, 12, 14, 15, 16, 22, 24, 25, 27, 28, 29, 30, 42, 47, 48, 49, 51, 53, 69, 82, 90, 100, 110,
            113, 120,
        ],
        Operation::OffsetFetch(_) => &[3, 14, 15, 16, 24, 25, 29, 30, 69, 82, 88, 100, 110, 113],
        _ => &[],
    }
}

/// Judges every answer's code and time by itself.
pub(super) fn judge_all(findings: &mut Findings<'_, '_>, subjects: &Subjects<'_>) {
    let pauses = pauses(subjects);
    for &id in &subjects.in_order {
        let event = subjects.event(id);
        judge_code(findings, id, event);
        judge_time(findings, id, event, &pauses);
    }
}

fn judge_code(findings: &mut Findings<'_, '_>, id: EventId, event: &Event) {
    if event.error != 0 && !allowed(&event.operation).contains(&event.error) {
        findings.accuse(Rule::WrongCode, &event.key, &[id], || Story {
            what: format!("A {} was answered with error {}", event.operation.name(), event.error),
            expected: format!("one of {:?}, which clients know to handle", allowed(&event.operation)),
        });
        return;
    }
    match &event.operation {
        Operation::Fetch(Call { result: Some(result), .. }) => judge_watermarks(findings, id, event, result),
        Operation::List(Call { args, result: Some(result) })
            if event.is_ok() && [LATEST, EARLIEST].contains(&args.timestamp) && result.offset < 0 =>
        {
            findings.accuse(Rule::WrongCode, &event.key, &[id], || Story {
                what: format!(
                    "A question for the end or the start of a log succeeded with {}",
                    result.offset
                ),
                expected: "an offset, or an error".to_owned(),
            });
        }
        _ => {}
    }
}

fn judge_watermarks(findings: &mut Findings<'_, '_>, id: EventId, event: &Event, result: &FetchResult) {
    let given = [result.hw, result.lso, result.log_start].into_iter().flatten().any(|offset| offset != -1);
    if event.error != 0 && (given || !result.records.is_empty()) {
        findings.accuse(Rule::WrongCode, &event.key, &[id], || Story {
            what: format!("Error {} came with watermarks or records", event.error),
            expected: "HW, LSO and log start of -1 and no records: some clients take them for the truth"
                .to_owned(),
        });
    }
    let is_redirect = result.records.is_empty() && result.preferred.is_some_and(|node| node >= 0);
    if event.is_ok() && !is_redirect && result.hw.is_some_and(|hw| hw < 0) {
        findings.accuse(Rule::WrongCode, &event.key, &[id], || Story {
            what: "A fetch succeeded without a HW and without naming another replica".to_owned(),
            expected: "an error, or an answer from a snapshot with its HW".to_owned(),
        });
    }
}

/// When each node stood still.
type Pauses = BTreeMap<i32, Vec<(u64, u64)>>;

fn pauses(subjects: &Subjects<'_>) -> Pauses {
    let mut pauses = Pauses::new();
    for &id in &subjects.in_order {
        let event = subjects.event(id);
        let Operation::Fault(call) = &event.operation else { continue };
        for node in &call.args.paused {
            pauses.entry(*node).or_default().push((event.invoked_ns, event.returned_ns.unwrap_or(u64::MAX)));
        }
    }
    pauses
}

fn judge_time(findings: &mut Findings<'_, '_>, id: EventId, event: &Event, pauses: &Pauses) {
    let (Some(bound_ms), Some(returned_ns)) = (event.operation.bound_ms(), event.returned_ns) else { return };
    let took_ns = returned_ns.saturating_sub(event.invoked_ns);
    let bound_ns = bound_ms.saturating_mul(1_000_000).saturating_add(LATE_TOLERANCE_NS);
    if event.status == Status::Info || took_ns <= bound_ns {
        return;
    }
    let stood_still_ns: u64 = event
        .node
        .and_then(|node| pauses.get(&node))
        .into_iter()
        .flatten()
        .map(|(from, to)| to.min(&returned_ns).saturating_sub(*from.max(&event.invoked_ns)))
        .fold(0, u64::saturating_add);
    if took_ns <= bound_ns.saturating_add(stood_still_ns) {
        return;
    }
    findings.accuse(Rule::LateAnswer, &event.key, &[id], || Story {
        what: format!("A {} was answered after {} ms", event.operation.name(), took_ns / 1_000_000),
        expected: format!("an answer, if need be an error, within {bound_ms} ms and 1000 ms of grace"),
    });
}

/// Judges refusals of one partition by what was true at the time.
pub(super) fn judge_refusals(
    findings: &mut Findings<'_, '_>,
    subjects: &Subjects<'_>,
    key: &KeyEvents,
    floors: &Floors,
) {
    for &id in &key.fetches {
        let event = subjects.event(id);
        if let (OUT_OF_RANGE, Operation::Fetch(call)) = (event.error, &event.operation) {
            judge_out_of_range(findings, key, floors, id, event, call.args.offset);
        }
    }
    let Some((served_ns, served_by)) = first_served(subjects, key) else { return };
    let deleted_ns =
        subjects.deleted.get(key.topic_id()).map_or(u64::MAX, |delete| subjects.event(*delete).invoked_ns);
    for &id in key.sends.iter().chain(&key.fetches).chain(&key.lists).chain(&key.epoch_ends) {
        let event = subjects.event(id);
        let is_certain = served_ns < event.invoked_ns && subjects.returned_ns(id) < deleted_ns;
        if UNKNOWN_TOPIC.contains(&event.error) && is_certain {
            findings.accuse(Rule::WrongCode, &key.key, &[served_by, id], || Story {
                what: format!(
                    "Error {} says that the partition does not exist; it had been served",
                    event.error
                ),
                expected: "error 6, or for ListOffsets 5, until the metadata are known to be current"
                    .to_owned(),
            });
        }
    }
}

/// Error 1 makes consumers jump; it is the truth or it is not said.
fn judge_out_of_range(
    findings: &mut Findings<'_, '_>,
    key: &KeyEvents,
    floors: &Floors,
    id: EventId,
    event: &Event,
    offset: i64,
) {
    let Some(returned_ns) = event.returned_ns else { return };
    let Some(end) = floors.hw_before(event.invoked_ns).filter(|end| end.number >= offset) else { return };
    let Some(start) = floors.readable.after(returned_ns).filter(|start| start.number <= offset) else {
        return;
    };
    findings.accuse(Rule::WrongCode, &key.key, &[end.event, id, start.event], || Story {
        what: format!(
            "Offset {offset} was called out of range; the end {} had been proved before, and the log started at {} \
             or below even later",
            end.number, start.number
        ),
        expected: "the records, or error 78 or 6 if the replica is behind".to_owned(),
    });
}

/// The first answer that shows that the partition exists.
fn first_served(subjects: &Subjects<'_>, key: &KeyEvents) -> Option<(u64, EventId)> {
    key.sends
        .iter()
        .chain(&key.fetches)
        .chain(&key.lists)
        .filter(|id| subjects.event(**id).is_ok())
        .map(|id| (subjects.returned_ns(*id), *id))
        .min()
}

/// An empty key, for what concerns no partition.
pub(super) fn no_key() -> Text {
    Text::default()
}
