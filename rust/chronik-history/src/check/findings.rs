//! Collects broken promises: counts all, keeps the first few of each rule with their explanation.

use std::collections::BTreeMap;

use super::describe::describe;
use super::subjects::{EventId, Subjects};
use crate::limits::{ANOMALIES_KEPT_PER_RULE, EVENTS_PER_ANOMALY_MAX};
use crate::text::Text;
use crate::verdict::{Anomaly, Rule, Statistics, Verdict};

/// What happened and what should have been, in sentences without a full stop at the end.
#[derive(Debug)]
pub(super) struct Story {
    pub(super) what: String,
    pub(super) expected: String,
}

/// Broken promises found so far.
#[derive(Debug)]
pub(super) struct Findings<'s, 'a> {
    subjects: &'s Subjects<'a>,
    kept: BTreeMap<Rule, Vec<Anomaly>>,
    counts: BTreeMap<Rule, u64>,
}

impl<'s, 'a> Findings<'s, 'a> {
    pub(super) fn new(subjects: &'s Subjects<'a>) -> Self {
        Self { subjects, kept: BTreeMap::new(), counts: BTreeMap::new() }
    }

    /// Notes a broken promise. The story is asked for only if there is room to keep it.
    pub(super) fn accuse(
        &mut self,
        rule: Rule,
        key: &Text,
        events: &[EventId],
        story: impl FnOnce() -> Story,
    ) {
        *self.counts.entry(rule).or_insert(0) += 1;
        let kept = self.kept.entry(rule).or_default();
        if kept.len() >= ANOMALIES_KEPT_PER_RULE {
            return;
        }
        let mut events = events.to_vec();
        events.dedup();
        events.truncate(EVENTS_PER_ANOMALY_MAX);
        let Story { what, expected } = story();
        let mut explanation = what;
        explanation.push('.');
        for id in &events {
            explanation.push_str("\n  ");
            explanation.push_str(&describe(self.subjects.event(*id)));
        }
        explanation.push_str("\nShould have been: ");
        explanation.push_str(&expected);
        explanation.push('.');
        let numbers = events.iter().map(|id| self.subjects.event(*id).number).collect();
        kept.push(Anomaly { rule, key: key.clone(), events: numbers, explanation });
    }

    pub(super) fn into_verdict(self, statistics: Statistics) -> Verdict {
        Verdict {
            anomalies: self.kept.into_values().flatten().collect(),
            counts: self.counts.into_iter().collect(),
            statistics,
        }
    }
}
