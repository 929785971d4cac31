//! The verdict: which rules were broken, by which events, and what should have been.

use std::fmt;

use crate::limits::ANOMALIES_KEPT_PER_RULE;
use crate::text::Text;

/// A promise, named by the anomaly that breaks it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// An acknowledged record is missing where somebody read past it.
    LostWrite,
    /// An acknowledged record was not read by the end of the final phase.
    Unseen,
    /// `read_committed` shows a record of an aborted transaction.
    G1a,
    /// `read_committed` shows a record of a transaction that nobody had committed yet.
    Precommitted,
    /// `read_committed` shows one part of a transaction and hides another.
    TornTxn,
    /// Two values at one offset.
    InconsistentOffset,
    /// Two replicas with different logs or states at one position.
    ReplicaDivergence,
    /// One value at two offsets.
    Duplicate,
    /// A value that nobody sent.
    Garbage,
    /// A reader passed over records that were there.
    PollSkip,
    /// A reader got records in disorder.
    NonmonotonicPoll,
    /// Offsets contradict the order of sending.
    NonmonotonicSend,
    /// An end below one that had been acknowledged before.
    StaleRead,
    /// An end, or log start, below one that somebody had seen before.
    EndWentBack,
    /// "Nothing there", though something had been proved to be there.
    FalseEmpty,
    /// An answer that shows or counts what was not there yet.
    Phantom,
    /// An answer after its bound.
    LateAnswer,
    /// An error code that the API or the facts do not allow.
    WrongCode,
    /// A committed consumer offset that was lost or overtaken by an older one.
    OffsetRegress,
    /// A member of a generation that had passed committed.
    Fencing,
    /// A topic that was lost, or came back.
    MetaRegress,
    /// Transactions that each must come before the other.
    G1c,
    /// A producer that had been replaced succeeded, or two were given one epoch.
    Zombie,
}

impl Rule {
    /// All rules, in the order in which a verdict shows them.
    pub const ALL: [Self; 23] = [
        Self::LostWrite,
        Self::Unseen,
        Self::G1a,
        Self::Precommitted,
        Self::TornTxn,
        Self::InconsistentOffset,
        Self::ReplicaDivergence,
        Self::Duplicate,
        Self::Garbage,
        Self::PollSkip,
        Self::NonmonotonicPoll,
        Self::NonmonotonicSend,
        Self::StaleRead,
        Self::EndWentBack,
        Self::FalseEmpty,
        Self::Phantom,
        Self::LateAnswer,
        Self::WrongCode,
        Self::OffsetRegress,
        Self::Fencing,
        Self::MetaRegress,
        Self::G1c,
        Self::Zombie,
    ];

    /// The name, as tests and corpus files write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::LostWrite => "lost-write",
            Self::Unseen => "unseen",
            Self::G1a => "g1a",
            Self::Precommitted => "precommitted",
            Self::TornTxn => "torn-txn",
            Self::InconsistentOffset => "inconsistent-offset",
            Self::ReplicaDivergence => "replica-divergence",
            Self::Duplicate => "duplicate",
            Self::Garbage => "garbage",
            Self::PollSkip => "poll-skip",
            Self::NonmonotonicPoll => "nonmonotonic-poll",
            Self::NonmonotonicSend => "nonmonotonic-send",
            Self::StaleRead => "stale-read",
            Self::EndWentBack => "end-went-back",
            Self::FalseEmpty => "false-empty",
            Self::Phantom => "phantom",
            Self::LateAnswer => "late-answer",
            Self::WrongCode => "wrong-code",
            Self::OffsetRegress => "offset-regress",
            Self::Fencing => "fencing",
            Self::MetaRegress => "meta-regress",
            Self::G1c => "g1c",
            Self::Zombie => "zombie",
        }
    }

    /// What it means that the rule is broken, in one sentence.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::LostWrite => {
                "an acknowledged record is gone: somebody read past its offset and it was not there"
            }
            Self::Unseen => "an acknowledged record was not read by anyone by the end of the final phase",
            Self::G1a => "a read_committed reader saw a record of an aborted transaction",
            Self::Precommitted => {
                "a read_committed reader saw a record before anybody had asked to commit it"
            }
            Self::TornTxn => "a read_committed reader saw one part of a transaction and not another",
            Self::InconsistentOffset => "one offset held two values",
            Self::ReplicaDivergence => "two replicas differ where they must be equal",
            Self::Duplicate => "one value was stored at two offsets",
            Self::Garbage => "a reader got a value that nobody had sent",
            Self::PollSkip => "a reader passed over records that were there",
            Self::NonmonotonicPoll => "a reader got records out of order, or again",
            Self::NonmonotonicSend => "offsets contradict the order in which the records were sent",
            Self::StaleRead => "an end was reported below one that had been acknowledged before the question",
            Self::EndWentBack => "an end or a log start was reported below one seen before the question",
            Self::FalseEmpty => {
                "\"nothing there\" was answered although something had been proved to be there"
            }
            Self::Phantom => "an answer showed or counted something that did not exist yet",
            Self::LateAnswer => "an answer came later than its bound allows",
            Self::WrongCode => "an error code that the API, or what really happened, does not allow",
            Self::OffsetRegress => "a committed consumer offset was lost, or an older one came back",
            Self::Fencing => "a member committed in a generation that had passed",
            Self::MetaRegress => "a topic disappeared without being deleted, or came back",
            Self::G1c => "transactions depend on each other in a circle",
            Self::Zombie => "a producer that another one had replaced succeeded, or two were given one epoch",
        }
    }

    /// The rule of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|rule| rule.name() == name)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

/// One broken promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anomaly {
    /// The rule that is broken.
    pub rule: Rule,
    /// `topic_id/partition`, or empty.
    pub key: Text,
    /// Numbers of the events that prove it, in the order of the story.
    pub events: Vec<u64>,
    /// What happened, which events prove it, one a line, and what should have been.
    pub explanation: String,
}

/// How much was judged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Events of any kind.
    pub events: u64,
    /// Sends with `acks=all` that were acknowledged.
    pub sends_acknowledged: u64,
    /// Sends that failed for sure.
    pub sends_failed: u64,
    /// Sends whose outcome nobody knows.
    pub sends_unknown: u64,
    /// Fetches that were answered without an error.
    pub fetches_answered: u64,
    /// Fetches that were refused.
    pub fetches_refused: u64,
    /// Records read.
    pub records_read: u64,
    /// Answered questions for the end or the start of a log.
    pub ends_listed: u64,
    /// Partitions.
    pub keys: u64,
    /// Faults that were injected.
    pub faults: u64,
    /// True if there was a final phase; without one `unseen` is not judged.
    pub has_final_phase: bool,
}

/// What the checker found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Broken promises, by rule and then in the order found; at most [`ANOMALIES_KEPT_PER_RULE`] of each rule.
    pub anomalies: Vec<Anomaly>,
    /// How often each broken rule was broken, kept or not.
    pub counts: Vec<(Rule, u64)>,
    /// How much was judged.
    pub statistics: Statistics,
}

impl Verdict {
    /// True if no promise was broken.
    pub fn is_clean(&self) -> bool {
        self.counts.is_empty()
    }

    /// How often a rule was broken.
    pub fn count(&self, rule: Rule) -> u64 {
        self.counts.iter().find(|(counted, _)| *counted == rule).map_or(0, |(_, count)| *count)
    }

    /// Broken promises of all rules together.
    pub fn total(&self) -> u64 {
        self.counts.iter().map(|(_, count)| count).sum()
    }
}

impl fmt::Display for Statistics {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "{} events on {} partitions: {} sends acknowledged, {} failed, {} unknown; {} fetches answered, {} refused, \
             {} records read; {} ends listed; {} faults{}",
            self.events,
            self.keys,
            self.sends_acknowledged,
            self.sends_failed,
            self.sends_unknown,
            self.fetches_answered,
            self.fetches_refused,
            self.records_read,
            self.ends_listed,
            self.faults,
            if self.has_final_phase { "" } else { "; no final phase, so unread records were not judged" },
        )
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_clean() {
            return write!(out, "no anomaly in {}", self.statistics);
        }
        let total = self.total();
        writeln!(out, "{total} {} in {}", if total == 1 { "anomaly" } else { "anomalies" }, self.statistics)?;
        for (rule, count) in &self.counts {
            let times = if *count == 1 { "time" } else { "times" };
            write!(out, "\n{rule}, {count} {times}: {}", rule.meaning())?;
            if *count > ANOMALIES_KEPT_PER_RULE as u64 {
                write!(out, " (the first {ANOMALIES_KEPT_PER_RULE} are shown)")?;
            }
            writeln!(out)?;
            let kept = self.anomalies.iter().filter(|anomaly| anomaly.rule == *rule);
            for (place, anomaly) in kept.enumerate() {
                writeln!(out, "  {}. {}", place + 1, anomaly.explanation.replace('\n', "\n     "))?;
            }
        }
        Ok(())
    }
}
