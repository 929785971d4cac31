//! Records that were there and that a reader did not get: `lost-write`, `unseen`, `poll-skip`, `torn-txn`.
//!
//! An answer speaks for every offset from the asked one to where the reader goes on. A known record in that range that
//! it does not show is lost if nobody ever read it, and skipped if somebody did. Control records, aborted ones and those
//! of compacted topics may be missing. So may those below a log start that somebody saw, but only at the beginning of
//! an answer: a log is cut off at its start and nowhere else.

use super::findings::{Findings, Story};
use super::floors::Floors;
use super::subjects::{Answer, EventId, KeyEvents, Subjects};
use super::transactions::Transactions;
use super::values::{Value, ValueId, Values};
use crate::operation::Isolation;
use crate::verdict::Rule;

/// What is needed to say whether a record may be missing.
pub(super) struct Gaps<'g> {
    pub(super) key: &'g KeyEvents,
    pub(super) transactions: &'g Transactions,
    /// Largest log start anybody saw.
    log_start: i64,
    is_compacted: bool,
}

impl<'g> Gaps<'g> {
    pub(super) fn new(
        subjects: &Subjects<'_>,
        transactions: &'g Transactions,
        key: &'g KeyEvents,
        floors: &Floors,
    ) -> Self {
        Self {
            key,
            transactions,
            log_start: floors.log_start_max(),
            is_compacted: subjects.is_compacted(key),
        }
    }

    /// Known records from one offset up to and without another that a reader of this isolation must get who begins to
    /// read there.
    pub(super) fn visible_from_start<'v>(
        &'v self,
        values: &'v Values<'_>,
        isolation: Isolation,
        from: i64,
        to: i64,
    ) -> impl Iterator<Item = (i64, ValueId)> + 'v {
        self.visible(values, isolation, from.max(self.log_start), to)
    }

    /// Known records from one offset up to and without another that a reader of this isolation must get who has read up
    /// to there.
    fn visible<'v>(
        &'v self,
        values: &'v Values<'_>,
        isolation: Isolation,
        from: i64,
        to: i64,
    ) -> impl Iterator<Item = (i64, ValueId)> + 'v {
        let known = if from < to && !self.is_compacted { values.between(from, to) } else { &[] };
        known
            .iter()
            .filter(move |(_, slot)| self.is_visible(values.get(slot.value), isolation))
            .map(|(offset, slot)| (*offset, slot.value))
    }

    fn is_visible(&self, value: &Value<'_>, isolation: Isolation) -> bool {
        if value.of_several_transactions {
            return isolation == Isolation::ReadUncommitted;
        }
        match (value.transaction, isolation) {
            (None, _) | (Some(_), Isolation::ReadUncommitted) => true,
            (Some(transaction), Isolation::ReadCommitted) => self.transactions.get(transaction).is_visible(),
        }
    }
}

/// Judges what the answers of one partition leave out.
pub(super) fn judge(
    findings: &mut Findings<'_, '_>,
    subjects: &Subjects<'_>,
    gaps: &Gaps<'_>,
    values: &mut Values<'_>,
) {
    for answer in subjects.answers(gaps.key) {
        if !answer.is_redirect() {
            judge_answer(findings, gaps, values, &answer);
        }
    }
    judge_final_phase(findings, subjects, gaps, values);
}

fn judge_answer(
    findings: &mut Findings<'_, '_>,
    gaps: &Gaps<'_>,
    values: &mut Values<'_>,
    answer: &Answer<'_>,
) {
    let mut position = answer.args.offset;
    let mut shown: Vec<i64> = answer.result.records.iter().map(|record| record.offset).collect();
    // Disorder is another rule's matter.
    shown.sort_unstable();
    shown.push(answer.next());
    let mut skips = Vec::new();
    for stop in shown {
        if position == answer.args.offset {
            skips.extend(gaps.visible_from_start(values, answer.args.isolation, position, stop));
        } else {
            skips.extend(gaps.visible(values, answer.args.isolation, position, stop));
        }
        position = position.max(stop.saturating_add(1));
    }
    let mut is_accused = false;
    for (offset, id) in skips {
        let value = values.get_mut(id);
        if is_torn(gaps, value, answer.args.isolation) {
            accuse_torn(findings, gaps, value, offset, answer.id);
        } else if value.read.is_none() {
            if !std::mem::replace(&mut value.lost, true) {
                accuse_lost(findings, gaps, value, offset, answer.id);
            }
        } else if !std::mem::replace(&mut is_accused, true) {
            accuse_skip(findings, gaps, value, offset, answer.id);
        }
    }
}

/// Another record of the same transaction was shown to a `read_committed` reader.
fn is_torn(gaps: &Gaps<'_>, value: &Value<'_>, isolation: Isolation) -> bool {
    isolation == Isolation::ReadCommitted
        && !value.of_several_transactions
        && value.transaction.is_some_and(|id| gaps.transactions.get(id).shown.is_some())
}

fn accuse_torn(
    findings: &mut Findings<'_, '_>,
    gaps: &Gaps<'_>,
    value: &Value<'_>,
    offset: i64,
    by: EventId,
) {
    let Some(transaction) = value.transaction.map(|id| gaps.transactions.get(id)) else { return };
    let events: Vec<EventId> =
        [Some(value.send), transaction.shown, Some(by)].into_iter().flatten().collect();
    let (text, name) = (value.text, &transaction.name);
    findings.accuse(Rule::TornTxn, &gaps.key.key, &events, || Story {
        what: format!(
            "A read_committed reader passed over {text:?} at offset {offset}, though another record of transaction \
             {name:?} was shown"
        ),
        expected: "all records of a transaction, or none".to_owned(),
    });
}

fn accuse_lost(
    findings: &mut Findings<'_, '_>,
    gaps: &Gaps<'_>,
    value: &Value<'_>,
    offset: i64,
    by: EventId,
) {
    let text = value.text;
    findings.accuse(Rule::LostWrite, &gaps.key.key, &[value.offset_by, by], || Story {
        what: format!(
            "{text:?} was acknowledged at offset {offset}; a reader passed the offset and it was not there"
        ),
        expected: format!("{text:?} at offset {offset}: an acknowledged record survives every fault"),
    });
}

fn accuse_skip(
    findings: &mut Findings<'_, '_>,
    gaps: &Gaps<'_>,
    value: &Value<'_>,
    offset: i64,
    by: EventId,
) {
    let text = value.text;
    let events: Vec<EventId> = [Some(value.offset_by), value.read, Some(by)].into_iter().flatten().collect();
    findings.accuse(Rule::PollSkip, &gaps.key.key, &events, || Story {
        what: format!("A reader passed over {text:?} at offset {offset}, which others have read"),
        expected: format!("{text:?} among the records"),
    });
}

/// At the end everything acknowledged before the final phase has been read by somebody.
fn judge_final_phase(
    findings: &mut Findings<'_, '_>,
    subjects: &Subjects<'_>,
    gaps: &Gaps<'_>,
    values: &mut Values<'_>,
) {
    let Some(final_ns) = subjects.final_phase_ns else { return };
    if gaps.is_compacted || subjects.deleted.contains_key(gaps.key.topic_id()) {
        return;
    }
    for id in values.ids() {
        let value = values.get(id);
        let Some(acknowledged) = value.acknowledged else { continue };
        let is_expected = value.read.is_none()
            && !value.lost
            && !value.of_several_transactions
            && subjects.returned_ns(acknowledged) < final_ns
            && (value.offset < 0 || value.offset >= gaps.log_start);
        let transaction = value.transaction.map(|id| gaps.transactions.get(id));
        if !is_expected || transaction.is_some_and(|transaction| !transaction.is_visible()) {
            continue;
        }
        let (text, offset, largest) = (value.text, value.offset, values.largest_read);
        let (rule, what) = if transaction.is_some_and(|transaction| transaction.shown.is_some()) {
            (Rule::TornTxn, "was never read, though another record of its transaction was".to_owned())
        } else if offset >= 0 && offset < largest {
            (Rule::LostWrite, format!("was never read, though readers got as far as offset {largest}"))
        } else {
            (Rule::Unseen, "was not read by anyone by the end of the final phase".to_owned())
        };
        findings.accuse(rule, &gaps.key.key, &[acknowledged], || Story {
            what: format!("{text:?}, acknowledged at offset {offset}, {what}"),
            expected: "read by every reader who reads from the start to the end".to_owned(),
        });
    }
}
