//! Replicas against each other: `replica-divergence`.
//!
//! Dumps of one partition agree wherever their ranges overlap, and states agree at equal applied index. What a dump
//! holds is also held against what clients were told.

use std::collections::BTreeMap;

use super::findings::{Findings, Story};
use super::gaps::Gaps;
use super::subjects::{EventId, KeyEvents, Subjects};
use super::values::{Values, accuse_garbage};
use crate::operation::{Call, DumpResult, Isolation, Operation, Record};
use crate::verdict::Rule;

/// Judges dumps and states of one partition.
pub(super) fn judge(
    findings: &mut Findings<'_, '_>,
    subjects: &Subjects<'_>,
    gaps: &Gaps<'_>,
    values: &mut Values<'_>,
) {
    let mut dumps: Vec<(EventId, &DumpResult)> = gaps
        .key
        .dumps
        .iter()
        .filter_map(|id| match &subjects.event(*id).operation {
            Operation::Dump(Call { result: Some(result), .. }) => Some((*id, result)),
            _ => None,
        })
        .collect();
    dumps.sort_by_key(|(_, dump)| dump.log_start);
    if !subjects.is_compacted(gaps.key) {
        judge_dumps(findings, gaps.key, &dumps);
    }
    for (id, dump) in &dumps {
        judge_against_clients(findings, gaps, values, *id, dump);
    }
    judge_states(findings, subjects, gaps.key);
}

/// The union of the dumps so far, as long as they overlap.
#[derive(Default)]
struct Agreed<'d> {
    records: Vec<(&'d Record, EventId)>,
    end: i64,
    by: Option<EventId>,
}

fn judge_dumps(findings: &mut Findings<'_, '_>, key: &KeyEvents, dumps: &[(EventId, &DumpResult)]) {
    let mut agreed = Agreed::default();
    for (id, dump) in dumps {
        if dump.log_start > agreed.end {
            agreed = Agreed { records: Vec::new(), end: dump.log_start, by: None };
        }
        let common_end = agreed.end.min(dump.hw);
        let begin = agreed.records.partition_point(|(record, _)| record.offset < dump.log_start);
        let known = agreed.records.get(begin..).unwrap_or(&[]);
        let known =
            known.get(..known.partition_point(|(record, _)| record.offset < common_end)).unwrap_or(&[]);
        let count = dump.records.partition_point(|record| record.offset < common_end);
        let (common, rest) = dump.records.split_at(count);
        if let Some((known, found)) = first_difference(known, common) {
            let by = known.map(|(_, by)| by).or(agreed.by).unwrap_or(*id);
            findings.accuse(Rule::ReplicaDivergence, &key.key, &[by, *id], || Story {
                what: format!(
                    "One replica holds {}, another {}",
                    show(known.map(|(record, _)| record)),
                    show(found)
                ),
                expected: format!("the same records below offset {common_end} on both"),
            });
        }
        if dump.hw > agreed.end {
            agreed.end = dump.hw;
            agreed.records.extend(rest.iter().map(|record| (record, *id)));
            agreed.by = Some(*id);
        }
    }
}

type Difference<'d> = (Option<(&'d Record, EventId)>, Option<&'d Record>);

fn first_difference<'d>(known: &[(&'d Record, EventId)], found: &'d [Record]) -> Option<Difference<'d>> {
    let equal = known.iter().zip(found).take_while(|((known, _), found)| *known == *found).count();
    let (known, found) = (known.get(equal).copied(), found.get(equal));
    (known.is_some() || found.is_some()).then_some((known, found))
}

fn show(record: Option<&Record>) -> String {
    record.map_or("no further record".to_owned(), |record| {
        format!("{:?} at offset {}", record.value, record.offset)
    })
}

/// A replica holds what clients were told that the partition holds.
fn judge_against_clients(
    findings: &mut Findings<'_, '_>,
    gaps: &Gaps<'_>,
    values: &mut Values<'_>,
    id: EventId,
    dump: &DumpResult,
) {
    let mut position = dump.log_start;
    let mut missing = Vec::new();
    for record in &dump.records {
        missing.extend(gaps.visible_from_start(values, Isolation::ReadUncommitted, position, record.offset));
        position = record.offset.saturating_add(1);
        if values.find(&record.value).is_none() {
            accuse_garbage(findings, gaps.key, id, record);
        }
        let Some(slot) = values.at(record.offset).filter(|slot| !slot.contested) else { continue };
        let told = values.get(slot.value).text;
        if *told != record.value {
            findings.accuse(Rule::InconsistentOffset, &gaps.key.key, &[slot.by, id], || Story {
                what: format!(
                    "A replica holds {:?} at offset {}; clients were told {told:?}",
                    record.value, record.offset
                ),
                expected: "one value for ever, at every replica".to_owned(),
            });
        }
    }
    missing.extend(gaps.visible_from_start(values, Isolation::ReadUncommitted, position, dump.hw));
    for (offset, value) in missing {
        let value = values.get_mut(value);
        let text = value.text;
        if value.read.is_some() {
            findings.accuse(Rule::ReplicaDivergence, &gaps.key.key, &[value.offset_by, id], || Story {
                what: format!("A replica holds nothing at offset {offset}; clients were told {text:?}"),
                expected: format!("{text:?} at offset {offset} on every replica"),
            });
        } else if !std::mem::replace(&mut value.lost, true) {
            findings.accuse(Rule::LostWrite, &gaps.key.key, &[value.offset_by, id], || Story {
                what: format!(
                    "{text:?} was acknowledged at offset {offset}; a replica past it does not hold it"
                ),
                expected: format!("{text:?} at offset {offset} on every replica"),
            });
        }
    }
}

fn judge_states(findings: &mut Findings<'_, '_>, subjects: &Subjects<'_>, key: &KeyEvents) {
    let mut hashes: BTreeMap<u64, (u64, EventId)> = BTreeMap::new();
    for &id in &key.states {
        let Operation::State(Call { result: Some(result), .. }) = &subjects.event(id).operation else {
            continue;
        };
        let (hash, by) = *hashes.entry(result.applied).or_insert((result.hash, id));
        if hash != result.hash {
            findings.accuse(Rule::ReplicaDivergence, &key.key, &[by, id], || Story {
                what: format!("Two replicas that applied index {} have different states", result.applied),
                expected: "equal states at equal applied index: applying is a function of the log".to_owned(),
            });
        }
    }
}
