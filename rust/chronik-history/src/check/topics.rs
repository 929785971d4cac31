//! The set of topics that Metadata shows: `meta-regress`.
//!
//! The life of a topic id has one beginning and one end. Once a creation was acknowledged, or somebody saw the topic,
//! every later answer shows it, until somebody asks to delete it; once it is gone, no later answer shows it.

use std::collections::{BTreeMap, BTreeSet};

use super::codes::no_key;
use super::findings::{Findings, Story};
use super::subjects::{EventId, Subjects};
use crate::operation::{Call, Operation};
use crate::text::Text;
use crate::verdict::Rule;

/// What is known of one topic id.
#[derive(Debug, Clone, Copy)]
struct Life {
    /// First proof that it exists.
    alive_ns: u64,
    alive_by: EventId,
    /// First proof that it is gone.
    gone: Option<(u64, EventId)>,
}

/// A successful answer to a Metadata request.
struct Shown<'a> {
    id: EventId,
    /// `None`: all topics.
    asked: Option<BTreeSet<&'a str>>,
    shown: BTreeSet<&'a str>,
    asked_ns: u64,
    returned_ns: u64,
}

impl Shown<'_> {
    fn covers(&self, topic: &str) -> bool {
        self.asked.as_ref().is_none_or(|asked| asked.contains(topic))
    }

    fn shows(&self, topic: &str) -> bool {
        self.shown.contains(topic)
    }
}

/// Judges all Metadata answers.
pub(super) fn judge(findings: &mut Findings<'_, '_>, subjects: &Subjects<'_>) {
    let answers = answers(subjects);
    if answers.is_empty() {
        return;
    }
    let lives = lives(subjects, &answers);
    for answer in &answers {
        for (topic, life) in &lives {
            judge_topic(findings, subjects, answer, topic, life);
        }
    }
}

fn answers<'a>(subjects: &Subjects<'a>) -> Vec<Shown<'a>> {
    let answer = |id: &EventId| {
        let event = subjects.event(*id);
        match &event.operation {
            Operation::Meta(Call { args, result: Some(result) }) if event.is_ok() => {
                let (asked_ns, returned_ns) = (event.invoked_ns, event.returned_ns?);
                let set = |topics: &'a [Text]| topics.iter().map(Text::as_str).collect();
                let asked = args.topics.as_deref().map(set);
                Some(Shown { id: *id, asked, shown: set(&result.topics), asked_ns, returned_ns })
            }
            _ => None,
        }
    };
    subjects.in_order.iter().filter_map(answer).collect()
}

fn lives<'a>(subjects: &Subjects<'a>, answers: &[Shown<'a>]) -> BTreeMap<&'a str, Life> {
    let mut lives: BTreeMap<&str, Life> = BTreeMap::new();
    let mut alive = |topic: &'a str, at_ns: u64, by: EventId| {
        let life = lives.entry(topic).or_insert(Life { alive_ns: at_ns, alive_by: by, gone: None });
        if at_ns < life.alive_ns {
            (life.alive_ns, life.alive_by) = (at_ns, by);
        }
    };
    for &id in &subjects.in_order {
        let event = subjects.event(id);
        if let (Operation::Create(Call { result: Some(result), .. }), true) =
            (&event.operation, event.is_ok())
        {
            alive(&result.topic_id, subjects.returned_ns(id), id);
        }
    }
    for answer in answers {
        answer.shown.iter().for_each(|topic| alive(topic, answer.returned_ns, answer.id));
    }
    for (topic, delete) in &subjects.deleted {
        let Some(life) = lives.get_mut(topic) else { continue };
        let event = subjects.event(*delete);
        let acknowledged = event.is_ok().then(|| (subjects.returned_ns(*delete), *delete));
        let missed = answers
            .iter()
            .filter(|answer| answer.asked_ns > life.alive_ns && answer.covers(topic) && !answer.shows(topic));
        // Missing although nobody had asked to delete it yet is an anomaly of its own and proves nothing.
        let missed = missed
            .map(|answer| (answer.returned_ns, answer.id))
            .filter(|(at_ns, _)| *at_ns >= event.invoked_ns);
        life.gone = missed.chain(acknowledged).min();
    }
    lives
}

fn judge_topic(
    findings: &mut Findings<'_, '_>,
    subjects: &Subjects<'_>,
    answer: &Shown<'_>,
    topic: &str,
    life: &Life,
) {
    let is_shown = answer.shows(topic);
    if let (true, Some((gone_ns, by))) = (is_shown, life.gone) {
        if gone_ns < answer.asked_ns {
            findings.accuse(Rule::MetaRegress, &no_key(), &[by, answer.id], || Story {
                what: format!("Topic {topic} is shown, though it was gone before the question"),
                expected: "a deleted topic stays deleted; one created anew has another id".to_owned(),
            });
        }
        return;
    }
    let deleted_ns =
        subjects.deleted.get(topic).map_or(u64::MAX, |delete| subjects.event(*delete).invoked_ns);
    let must_be_shown =
        life.alive_ns < answer.asked_ns && answer.returned_ns < deleted_ns && answer.covers(topic);
    if must_be_shown && !is_shown {
        findings.accuse(Rule::MetaRegress, &no_key(), &[life.alive_by, answer.id], || Story {
            what: format!(
                "Topic {topic} is not shown, though it existed before the question and nobody deleted it"
            ),
            expected: "the topic, or error 5 if the metadata cannot be confirmed".to_owned(),
        });
    }
}
