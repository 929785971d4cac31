//! Offsets against the order of sending: `nonmonotonic-send`.
//!
//! What is sent after an acknowledgement sits above the acknowledged records, whoever sends. An idempotent producer's
//! records sit in the order of their sequences. The records of one batch sit side by side.

use std::collections::BTreeMap;

use super::findings::{Findings, Story};
use super::floors::Floors;
use super::subjects::{EventId, KeyEvents, Subjects};
use super::values::{Value, Values};
use crate::operation::{Call, Operation};
use crate::verdict::Rule;

/// Sequences further apart than this have wrapped around; then the time of sending gives the order.
const SEQUENCE_SPAN_MAX: i32 = 1 << 30;

/// Judges the order of one partition's records.
pub(super) fn judge(
    findings: &mut Findings<'_, '_>,
    subjects: &Subjects<'_>,
    key: &KeyEvents,
    values: &Values<'_>,
    floors: &Floors,
) {
    judge_real_time(findings, key, values, floors);
    judge_batches(findings, subjects, key, values);
    judge_producers(findings, subjects, key, values);
}

fn judge_real_time(findings: &mut Findings<'_, '_>, key: &KeyEvents, values: &Values<'_>, floors: &Floors) {
    for (offset, slot) in values.in_order.iter().filter(|(_, slot)| !slot.contested) {
        let value = values.get(slot.value);
        let Some(proof) = floors.acknowledged.before(value.born_ns).filter(|proof| proof.number > *offset)
        else {
            continue;
        };
        let (text, number) = (value.text, proof.number);
        findings.accuse(Rule::NonmonotonicSend, &key.key, &[proof.event, value.send, slot.by], || Story {
            what: format!(
                "{text:?} sits at offset {offset}, though everything below {number} had been acknowledged before it \
                 was sent"
            ),
            expected: format!("an offset of {number} or more"),
        });
    }
}

/// The value, if one place is known for it and it is to have one only.
fn settled<'v, 'a>(values: &'v Values<'a>, text: &str) -> Option<&'v Value<'a>> {
    let value = values.get(values.find(text)?);
    let is_contested = values.at(value.offset).is_none_or(|slot| slot.contested);
    (value.offset >= 0 && !value.repeatable && !value.duplicated && !is_contested).then_some(value)
}

fn judge_batches(
    findings: &mut Findings<'_, '_>,
    subjects: &Subjects<'_>,
    key: &KeyEvents,
    values: &Values<'_>,
) {
    for &id in &key.sends {
        let Operation::Send(Call { args, .. }) = &subjects.event(id).operation else { continue };
        let base = |text: &str| {
            settled(values, text).map(|value| (value, value.offset - i64::from(value.place_in_batch)))
        };
        let mut known = args.values.iter().filter_map(|text| base(text));
        let Some((first, first_base)) = known.next() else { continue };
        let Some((other, _)) = known.find(|(_, base)| *base != first_base) else { continue };
        if other.send != id {
            // A later attempt: told once, with the first.
            continue;
        }
        findings.accuse(Rule::NonmonotonicSend, &key.key, &[id, first.offset_by, other.offset_by], || {
            Story {
                what: format!(
                    "{:?} and {:?} were sent in one batch and sit at offsets {} and {}",
                    first.text, other.text, first.offset, other.offset
                ),
                expected: "the records of a batch side by side, in their order".to_owned(),
            }
        });
    }
}

/// One placed value of a producer: its order of sending, its offset.
struct Sent<'v, 'a> {
    sequence: Option<i32>,
    sent: (u64, u64),
    value: &'v Value<'a>,
}

fn judge_producers(
    findings: &mut Findings<'_, '_>,
    subjects: &Subjects<'_>,
    key: &KeyEvents,
    values: &Values<'_>,
) {
    let mut producers: BTreeMap<(i64, i16), Vec<Sent<'_, '_>>> = BTreeMap::new();
    for &id in &key.sends {
        let event = subjects.event(id);
        let Operation::Send(Call { args, .. }) = &event.operation else { continue };
        let Some(producer) = args.producer else { continue };
        for text in &args.values {
            let Some(value) = settled(values, text).filter(|value| value.send == id) else { continue };
            let place = value.place_in_batch as i32;
            let sequence = producer.sequence.map(|sequence| sequence.wrapping_add(place));
            let sent = Sent { sequence, sent: (event.invoked_ns, event.number), value };
            producers.entry((producer.id, producer.epoch)).or_default().push(sent);
        }
    }
    for ((producer, _), mut sent) in producers {
        sort_by_sending(&mut sent);
        for pair in sent.windows(2) {
            let [earlier, later] = pair else { continue };
            if earlier.value.offset > later.value.offset {
                accuse_order(findings, key, producer, earlier.value, later.value);
            }
        }
    }
}

fn sort_by_sending(sent: &mut [Sent<'_, '_>]) {
    let sequences: Option<Vec<i32>> = sent.iter().map(|sent| sent.sequence).collect();
    let span = sequences.and_then(|all| Some(all.iter().max()?.wrapping_sub(*all.iter().min()?)));
    if span.is_some_and(|span| (0..SEQUENCE_SPAN_MAX).contains(&span)) {
        sent.sort_by_key(|sent| sent.sequence);
    } else {
        sent.sort_by_key(|sent| (sent.sent, sent.value.place_in_batch));
    }
}

fn accuse_order(
    findings: &mut Findings<'_, '_>,
    key: &KeyEvents,
    producer: i64,
    earlier: &Value<'_>,
    later: &Value<'_>,
) {
    let mut events: Vec<EventId> = vec![earlier.send, later.send, earlier.offset_by, later.offset_by];
    events.sort_unstable();
    events.dedup();
    findings.accuse(Rule::NonmonotonicSend, &key.key, &events, || Story {
        what: format!(
            "Producer {producer} sent {:?} before {:?}; they sit at offsets {} and {}",
            earlier.text, later.text, earlier.offset, later.offset
        ),
        expected: "the records of an idempotent producer in the order of their sequences".to_owned(),
    });
}
