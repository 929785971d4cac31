//! Claims about the ends of a log: `stale-read`, `end-went-back`, `false-empty`, and the `phantom` that claims too much.
//!
//! Every successful answer is held against what had been proved strictly before its question. Weak modes are held to
//! what they promise: `tail` to no false empty, `local` to nothing; what they show is as true as any other proof.

use std::collections::BTreeMap;

use super::findings::{Findings, Story};
use super::floors::{Floors, listed};
use super::registers::{MinAfter, Proof};
use super::subjects::{Answer, EventId, KeyEvents, Subjects};
use super::values::Values;
use crate::operation::{Call, Consistency, EARLIEST, Isolation, LATEST, Operation};
use crate::verdict::Rule;

/// Judges all claims about one partition's ends.
pub(super) fn judge(
    findings: &mut Findings<'_, '_>,
    subjects: &Subjects<'_>,
    key: &KeyEvents,
    values: &Values<'_>,
    floors: &Floors,
) {
    let births = births(values);
    for answer in subjects.answers(key) {
        let judge = Judge { findings, key, floors, births: &births, id: answer.id };
        judge_answer(judge, &answer);
    }
    for &id in &key.lists {
        let judge = Judge { findings, key, floors, births: &births, id };
        judge_list(judge, subjects);
    }
    judge_epoch_ends(findings, subjects, key);
}

/// When the value at each offset was sent: no end above the offset can be claimed before. Offsets with two values prove
/// nothing.
fn births(values: &Values<'_>) -> MinAfter {
    let proofs = values.in_order.iter().filter(|(_, slot)| !slot.contested).map(|(offset, slot)| {
        let value = values.get(slot.value);
        Proof { at_ns: value.born_ns, number: *offset, event: value.send }
    });
    MinAfter::new(proofs.collect())
}

/// One claim under judgement.
struct Judge<'j, 's, 'a> {
    findings: &'j mut Findings<'s, 'a>,
    key: &'j KeyEvents,
    floors: &'j Floors,
    births: &'j MinAfter,
    id: EventId,
}

fn judge_answer(mut judge: Judge<'_, '_, '_>, answer: &Answer<'_>) {
    let result = answer.result;
    let given = |watermark: Option<i64>| watermark.filter(|offset| *offset >= 0);
    let (hw, lso, log_start) = (given(result.hw), given(result.lso), given(result.log_start));
    judge.not_beyond_itself(answer, hw, lso, log_start);
    if let Some(hw) = hw {
        judge.not_beyond_births(hw, answer.returned_ns);
    }
    let asked_ns = answer.event.invoked_ns;
    if answer.args.consistency == Consistency::Linearizable {
        if let Some(hw) = hw {
            judge.end(Isolation::ReadUncommitted, hw, asked_ns);
        }
        if let Some(lso) = lso {
            judge.end(Isolation::ReadCommitted, lso, asked_ns);
        }
        if let Some(log_start) = log_start {
            judge.log_start(log_start, asked_ns);
        }
    }
    if answer.args.consistency != Consistency::Local && answer.says_empty() {
        judge.empty(answer);
    }
}

fn judge_list(mut judge: Judge<'_, '_, '_>, subjects: &Subjects<'_>) {
    let Some((args, offset)) = listed(subjects, judge.id) else { return };
    judge.not_beyond_births(offset, subjects.returned_ns(judge.id));
    if args.consistency == Consistency::Local {
        return;
    }
    let asked_ns = subjects.event(judge.id).invoked_ns;
    match args.timestamp {
        LATEST => judge.end(args.isolation, offset, asked_ns),
        EARLIEST => judge.log_start(offset, asked_ns),
        _ => {}
    }
}

impl Judge<'_, '_, '_> {
    /// The end for this isolation is at least what had been proved.
    fn end(&mut self, isolation: Isolation, end: i64, asked_ns: u64) {
        let (name, acknowledged, seen) = match isolation {
            Isolation::ReadUncommitted => ("HW", &self.floors.acknowledged, &self.floors.seen_hw),
            Isolation::ReadCommitted => ("LSO", &self.floors.acknowledged_lso, &self.floors.seen_lso),
        };
        if let Some(proof) = acknowledged.before(asked_ns).filter(|proof| proof.number > end) {
            let number = proof.number;
            self.findings.accuse(Rule::StaleRead, &self.key.key, &[proof.event, self.id], || Story {
                what: format!("The {name} is said to be {end}; {number} had been proved before the question"),
                expected: format!("{name} {number} or more, or an error that lets the client ask again"),
            });
        } else if let Some(proof) = seen.before(asked_ns).filter(|proof| proof.number > end) {
            self.went_back(name, end, proof);
        }
    }

    /// The log start is at least what had been seen.
    fn log_start(&mut self, log_start: i64, asked_ns: u64) {
        let seen = self.floors.seen_log_start.before(asked_ns);
        if let Some(proof) = seen.filter(|proof| proof.number > log_start) {
            self.went_back("log start", log_start, proof);
        }
    }

    fn went_back(&mut self, name: &str, end: i64, proof: Proof) {
        let number = proof.number;
        self.findings.accuse(Rule::EndWentBack, &self.key.key, &[proof.event, self.id], || Story {
            what: format!("The {name} is said to be {end}; somebody had seen {number} before the question"),
            expected: format!("{name} {number} or more, or an error that lets the client ask again"),
        });
    }

    /// "Nothing there" is true only if nothing had been proved to be there.
    fn empty(&mut self, answer: &Answer<'_>) {
        let (from, isolation) = (answer.args.offset, answer.args.isolation);
        let Some(proof) = self.floors.end_before(isolation, answer.event.invoked_ns) else { return };
        // With everything deleted up to the end there is indeed nothing to see.
        let all_deleted = answer.result.log_start.is_some_and(|log_start| log_start >= proof.number);
        if proof.number <= from || all_deleted {
            return;
        }
        self.findings.accuse(Rule::FalseEmpty, &self.key.key, &[proof.event, self.id], || Story {
            what: format!(
                "A fetch from {from} got an empty success; an end of {} had been proved before it was sent",
                proof.number
            ),
            expected: format!("the records from {from} on, or an error that lets the client ask again"),
        });
    }

    /// No end above an offset whose record was sent only later.
    fn not_beyond_births(&mut self, end: i64, returned_ns: u64) {
        let Some(birth) = self.births.after(returned_ns).filter(|birth| birth.number < end) else { return };
        self.findings.accuse(Rule::Phantom, &self.key.key, &[self.id, birth.event], || Story {
            what: format!(
                "The end is said to be {end}, but the record at offset {} was sent only later",
                birth.number
            ),
            expected: format!("an end of {} or less: only committed records count", birth.number),
        });
    }

    /// An answer does not show more than its own watermarks allow.
    fn not_beyond_itself(
        &mut self,
        answer: &Answer<'_>,
        hw: Option<i64>,
        lso: Option<i64>,
        log_start: Option<i64>,
    ) {
        let last = answer.result.records.last().map_or(-1, |record| record.offset);
        let is_committed = answer.args.isolation == Isolation::ReadCommitted;
        let (hw_or_more, lso_or_more) = (hw.unwrap_or(i64::MAX), lso.unwrap_or(i64::MAX));
        let (what, expected) = if last >= hw_or_more {
            (format!("Record {last} is shown beside a HW of {hw_or_more}"), "only records below the HW")
        } else if is_committed && last >= lso_or_more {
            (
                format!("A read_committed fetch shows record {last} beside an LSO of {lso_or_more}"),
                "only records below the LSO",
            )
        } else if lso.is_some_and(|lso| lso > hw_or_more) {
            (format!("The LSO, {lso_or_more}, is above the HW, {hw_or_more}"), "an LSO up to the HW")
        } else if log_start.is_some_and(|log_start| log_start > hw_or_more) {
            ("The log starts above its HW".to_owned(), "a log start up to the HW")
        } else {
            return;
        };
        let expected = expected.to_owned();
        self.findings.accuse(Rule::Phantom, &self.key.key, &[self.id], || Story { what, expected });
    }
}

/// Ends of epochs grow while the epoch lasts and stand still afterwards; no epoch ends above a later one.
fn judge_epoch_ends(findings: &mut Findings<'_, '_>, subjects: &Subjects<'_>, key: &KeyEvents) {
    let answered = |id: &EventId| match &subjects.event(*id).operation {
        Operation::EpochEnd(Call { args, result: Some(result) }) if subjects.event(*id).is_ok() => (result
            .epoch
            >= 0
            && result.offset >= 0)
            .then_some((*id, args.consistency, result.epoch, result.offset)),
        _ => None,
    };
    let asked: Vec<_> = key.epoch_ends.iter().filter_map(answered).collect();
    let mut returned = asked.clone();
    returned.sort_by_key(|(id, ..)| subjects.returned_ns(*id));
    let mut returned = returned.into_iter().peekable();
    // By epoch, the largest end seen; ascending in both.
    let mut seen: BTreeMap<i32, (i64, EventId)> = BTreeMap::new();
    for (id, consistency, epoch, offset) in asked {
        let asked_ns = subjects.event(id).invoked_ns;
        while let Some((earlier, _, epoch, offset)) =
            returned.next_if(|(id, ..)| subjects.returned_ns(*id) < asked_ns)
        {
            let known = seen.range(..=epoch).next_back().map_or(-1, |(_, (known, _))| *known);
            if known < offset {
                // Larger epochs that were not seen to reach as far say no more than this one.
                seen.retain(|larger, (known, _)| *larger < epoch || *known > offset);
                seen.insert(epoch, (offset, earlier));
            }
        }
        if consistency == Consistency::Local {
            continue;
        }
        let Some((known_epoch, (known, by))) = seen.range(..=epoch).next_back() else { continue };
        if *known > offset {
            findings.accuse(Rule::EndWentBack, &key.key, &[*by, id], || Story {
                what: format!(
                    "Epoch {epoch} is said to end at {offset}; epoch {known_epoch} had been seen to reach {known}"
                ),
                expected: format!("an end of {known} or more: later epochs begin where earlier ones end"),
            });
        }
    }
}
