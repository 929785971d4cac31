//! Committed offsets of consumer groups: `offset-regress`, `fencing`.
//!
//! A committed offset is a register: OffsetFetch returns a commit that no other has replaced for sure. A commit has
//! replaced another if it was invoked after the other had returned, and was acknowledged, or seen, before the question.
//! A commit of an older generation is refused once the partition is known to belong to a newer one: a member was told so,
//! or has committed in it.

use std::collections::BTreeMap;

use super::findings::{Findings, Story};
use super::registers::{MaxRegister, Proof};
use super::subjects::{EventId, KeyEvents, Subjects};
use super::transactions::Transactions;
use crate::event::{Event, Status};
use crate::operation::{Call, Operation};
use crate::verdict::Rule;

/// Error codes after which an OffsetCommit may still take effect: a coordinator that loses its office while the commit is
/// under way says no more than that.
const OPEN_OUTCOME: [i16; 6] = [-1, 7, 13, 14, 15, 16];

/// A commit that may have taken effect, at some instant between two times.
#[derive(Debug, Clone, Copy)]
struct Commit {
    id: EventId,
    offset: i64,
    invoked_ns: u64,
    /// After this it is in place for sure; `u64::MAX` if nobody knows.
    settled_ns: u64,
}

/// The calls of one group that concern one partition.
#[derive(Debug, Default)]
struct Group {
    commits: Vec<Commit>,
    /// Successful OffsetFetches and what they returned.
    reads: Vec<(EventId, i64)>,
    /// What was answered in which generation: joins and accepted commits.
    generations: Vec<Proof>,
}

impl Group {
    /// A member was told that the partition belongs to this generation.
    fn prove_generation(&mut self, subjects: &Subjects<'_>, id: EventId, generation: i32) {
        if subjects.event(id).is_ok() && generation >= 0 {
            let (at_ns, number) = (subjects.returned_ns(id), i64::from(generation));
            self.generations.push(Proof { at_ns, number, event: id });
        }
    }
}

/// Judges all groups of one partition.
pub(super) fn judge(
    findings: &mut Findings<'_, '_>,
    subjects: &Subjects<'_>,
    transactions: &Transactions,
    key: &KeyEvents,
) {
    let mut groups: BTreeMap<&str, Group> = BTreeMap::new();
    for &id in &key.group_calls {
        let event = subjects.event(id);
        match &event.operation {
            Operation::Join(Call { args, result: Some(result) }) => {
                let group = groups.entry(&args.group).or_default();
                group.prove_generation(subjects, id, result.generation);
            }
            Operation::Commit(Call { args, .. }) => {
                let settled_ns = settled_ns(event);
                let Some(settled_ns) = settled_ns else { continue };
                let commit = Commit { id, offset: args.offset, invoked_ns: event.invoked_ns, settled_ns };
                let group = groups.entry(&args.group).or_default();
                group.commits.push(commit);
                group.prove_generation(subjects, id, args.generation);
            }
            Operation::TxnOffsetCommit(Call { args, .. }) => {
                groups.entry(&args.group).or_default().prove_generation(subjects, id, args.generation);
                let Some(transaction) = transactions.find(&args.transaction).map(|id| transactions.get(id))
                else {
                    continue;
                };
                // It takes effect with the transaction, at some instant while that is being committed.
                let (Some(_), Some(end), false) =
                    (settled_ns(event), transaction.commit, transaction.is_aborted())
                else {
                    continue;
                };
                let commit = Commit {
                    id,
                    offset: args.offset,
                    invoked_ns: subjects.event(end).invoked_ns.max(event.invoked_ns),
                    settled_ns: transaction.committed.map_or(u64::MAX, |end| subjects.returned_ns(end)),
                };
                groups.entry(&args.group).or_default().commits.push(commit);
            }
            Operation::OffsetFetch(Call { args, result: Some(result) }) if event.is_ok() => {
                groups.entry(&args.group).or_default().reads.push((id, result.offset));
            }
            _ => {}
        }
    }
    for (name, mut group) in groups {
        group.commits.sort_by_key(|commit| commit.invoked_ns);
        judge_generations(findings, subjects, key, name, &group.generations);
        judge_reads(findings, subjects, key, name, &group);
    }
}

/// When a commit was in place; `None` if it certainly never was.
fn settled_ns(event: &Event) -> Option<u64> {
    match event.status {
        Status::Ok => Some(event.returned_ns.unwrap_or(u64::MAX)),
        Status::Fail if !OPEN_OUTCOME.contains(&event.error) => None,
        Status::Fail | Status::Info => Some(u64::MAX),
    }
}

fn judge_generations(
    findings: &mut Findings<'_, '_>,
    subjects: &Subjects<'_>,
    key: &KeyEvents,
    name: &str,
    generations: &[Proof],
) {
    let newest = MaxRegister::new(generations.to_vec());
    for Proof { number: generation, event: id, .. } in generations {
        let event = subjects.event(*id);
        // An answer about the assignment may be late and of the past; what is accepted is of the present.
        if matches!(event.operation, Operation::Join(_)) {
            continue;
        }
        let Some(newer) = newest.before(event.invoked_ns).filter(|newer| newer.number > *generation) else {
            continue;
        };
        findings.accuse(Rule::Fencing, &key.key, &[newer.event, *id], || Story {
            what: format!(
                "Group {name:?} accepted a commit of generation {generation}, though the partition belonged to generation \
                 {} before",
                newer.number
            ),
            expected: "error 22, or 113 for a member epoch, or 25: an old generation is fenced".to_owned(),
        });
    }
}

/// The commits of one offset by time of invocation, each with the latest time that one of them or of those before it
/// was settled.
type ByOffset = BTreeMap<i64, Vec<(Commit, u64)>>;

fn judge_reads(
    findings: &mut Findings<'_, '_>,
    subjects: &Subjects<'_>,
    key: &KeyEvents,
    name: &str,
    group: &Group,
) {
    let mut by_offset = ByOffset::new();
    for commit in &group.commits {
        let same = by_offset.entry(commit.offset).or_default();
        let latest = same.last().map_or(0, |(_, settled_ns)| *settled_ns).max(commit.settled_ns);
        same.push((*commit, latest));
    }
    // Which commits are known to have taken effect, and since when: the number is their time of invocation.
    let acknowledged = group
        .commits
        .iter()
        .filter(|commit| commit.settled_ns < u64::MAX)
        .map(|commit| Proof { at_ns: commit.settled_ns, number: commit.invoked_ns as i64, event: commit.id });
    let seen = group.reads.iter().filter_map(|(id, offset)| {
        let (first, _) = by_offset.get(offset)?.first()?;
        Some(Proof { at_ns: subjects.returned_ns(*id), number: first.invoked_ns as i64, event: *id })
    });
    let effective = MaxRegister::new(acknowledged.chain(seen).collect());
    let deleted_ns =
        subjects.deleted.get(key.topic_id()).map_or(u64::MAX, |delete| subjects.event(*delete).invoked_ns);
    for &(id, offset) in &group.reads {
        let (asked_ns, returned_ns) = (subjects.event(id).invoked_ns, subjects.returned_ns(id));
        if returned_ns >= deleted_ns {
            continue;
        }
        let replaced_by = effective.before(asked_ns);
        let same = by_offset.get(&offset).map_or(&[][..], Vec::as_slice);
        let count = same.partition_point(|(commit, _)| commit.invoked_ns <= returned_ns);
        let latest = count.checked_sub(1).and_then(|place| same.get(place));
        let what = match (latest, replaced_by) {
            (None, None) if offset < 0 => continue,
            (None, None) => {
                format!("Group {name:?} is said to have committed {offset}, which nobody had done")
            }
            (None, Some(_)) if offset < 0 => format!("Group {name:?} is said to have committed nothing"),
            (None, Some(_)) => {
                format!("Group {name:?} is said to have committed {offset}, which nobody had done")
            }
            (Some(_), None) => continue,
            (Some((_, settled_ns)), Some(newer)) if *settled_ns >= newer.number as u64 => continue,
            (Some(_), Some(_)) => {
                format!(
                    "Group {name:?} is said to have committed {offset}, which a later commit had replaced"
                )
            }
        };
        let events: Vec<EventId> =
            [latest.map(|(commit, _)| commit.id), replaced_by.map(|newer| newer.event), Some(id)]
                .into_iter()
                .flatten()
                .collect();
        findings.accuse(Rule::OffsetRegress, &key.key, &events, || Story {
            what,
            expected:
                "the last commit that was acknowledged before the question, or one that is not settled yet"
                    .to_owned(),
        });
    }
}
