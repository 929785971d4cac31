//! Every configuration a topic can have, and the broker keys that stand in for each.

use super::key::{ConfigKey, ConfigKind, boolean, double, int, list, long, string, unset};
use super::words;

/// The topic keys of Kafka 4.x and chronik's own, by name.
pub(super) static TOPIC_KEYS: &[ConfigKey] = &[
    string("chronik.read.consistency", "linearizable").one_of(words::READ_CONSISTENCY).works(),
    list("cleanup.policy", "delete").list_of(words::CLEANUP_POLICY).works(),
    int("compression.gzip.level", "-1").minus_one_or_at_least(1),
    int("compression.lz4.level", "9").between(1, 17),
    string("compression.type", "producer").one_of(words::COMPRESSION).works(),
    int("compression.zstd.level", "3").between(-131_072, 22),
    long("delete.retention.ms", "86400000").at_least(0).works(),
    boolean("errors.deadletterqueue.group.enable", "false"),
    long("file.delete.delay.ms", "60000").at_least(0),
    long("flush.messages", "9223372036854775807").at_least(1),
    long("flush.ms", "9223372036854775807").at_least(0),
    list("follower.replication.throttled.replicas", ""),
    int("index.interval.bytes", "4096").at_least(0).works(),
    unset("internal.segment.bytes", ConfigKind::Int).at_least(64).works(),
    list("leader.replication.throttled.replicas", ""),
    long("local.retention.bytes", "-2").at_least(-2),
    long("local.retention.ms", "-2").at_least(-2),
    long("max.compaction.lag.ms", "9223372036854775807").at_least(1).works(),
    int("max.message.bytes", "1048588").at_least(0).works(),
    long("message.timestamp.after.max.ms", "3600000").at_least(0).works(),
    long("message.timestamp.before.max.ms", "9223372036854775807").at_least(0).works(),
    string("message.timestamp.type", "CreateTime").one_of(words::TIMESTAMP_TYPE).works(),
    double("min.cleanable.dirty.ratio", "0.5").fraction().works(),
    long("min.compaction.lag.ms", "0").at_least(0).works(),
    int("min.insync.replicas", "1").at_least(1).works(),
    boolean("preallocate", "false"),
    long("remote.copy.lag.bytes", "0").at_least(-1),
    long("remote.copy.lag.ms", "0").at_least(-1),
    boolean("remote.log.copy.disable", "false"),
    boolean("remote.log.delete.on.disable", "false"),
    boolean("remote.storage.enable", "false").only_false(),
    long("retention.bytes", "-1").at_least(-1).works(),
    long("retention.ms", "604800000").at_least(-1).works(),
    int("segment.bytes", "1073741824").at_least(1_048_576).works(),
    int("segment.index.bytes", "10485760").at_least(4),
    long("segment.jitter.ms", "0").at_least(0),
    long("segment.ms", "604800000").at_least(1).works(),
    boolean("unclean.leader.election.enable", "false").only_false(),
];

/// How a broker key's value becomes a topic key's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Conversion {
    /// As it is.
    Same,
    /// Minutes to milliseconds; negative means "unlimited" in both.
    Minutes,
    /// Hours to milliseconds.
    Hours,
}

/// A broker key that stands in for a topic key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Synonym {
    pub(crate) name: &'static str,
    pub(crate) conversion: Conversion,
}

const fn same(name: &'static str) -> Synonym {
    Synonym { name, conversion: Conversion::Same }
}

const fn minutes(name: &'static str) -> Synonym {
    Synonym { name, conversion: Conversion::Minutes }
}

const fn hours(name: &'static str) -> Synonym {
    Synonym { name, conversion: Conversion::Hours }
}

/// Per topic key the broker keys that stand in for it, the strongest first. By topic key.
static SYNONYMS: &[(&str, &[Synonym])] = &[
    ("chronik.read.consistency", &[same("chronik.read.consistency")]),
    ("cleanup.policy", &[same("log.cleanup.policy")]),
    ("compression.gzip.level", &[same("compression.gzip.level")]),
    ("compression.lz4.level", &[same("compression.lz4.level")]),
    ("compression.type", &[same("compression.type")]),
    ("compression.zstd.level", &[same("compression.zstd.level")]),
    ("delete.retention.ms", &[same("log.cleaner.delete.retention.ms")]),
    ("file.delete.delay.ms", &[same("log.segment.delete.delay.ms")]),
    ("flush.messages", &[same("log.flush.interval.messages")]),
    ("flush.ms", &[same("log.flush.interval.ms"), same("log.flush.scheduler.interval.ms")]),
    ("index.interval.bytes", &[same("log.index.interval.bytes")]),
    ("local.retention.bytes", &[same("log.local.retention.bytes")]),
    ("local.retention.ms", &[same("log.local.retention.ms")]),
    ("max.compaction.lag.ms", &[same("log.cleaner.max.compaction.lag.ms")]),
    ("max.message.bytes", &[same("message.max.bytes")]),
    ("message.timestamp.after.max.ms", &[same("log.message.timestamp.after.max.ms")]),
    ("message.timestamp.before.max.ms", &[same("log.message.timestamp.before.max.ms")]),
    ("message.timestamp.type", &[same("log.message.timestamp.type")]),
    ("min.cleanable.dirty.ratio", &[same("log.cleaner.min.cleanable.ratio")]),
    ("min.compaction.lag.ms", &[same("log.cleaner.min.compaction.lag.ms")]),
    ("min.insync.replicas", &[same("min.insync.replicas")]),
    ("preallocate", &[same("log.preallocate")]),
    ("retention.bytes", &[same("log.retention.bytes")]),
    (
        "retention.ms",
        &[same("log.retention.ms"), minutes("log.retention.minutes"), hours("log.retention.hours")],
    ),
    ("segment.bytes", &[same("log.segment.bytes")]),
    ("segment.index.bytes", &[same("log.index.size.max.bytes")]),
    ("segment.jitter.ms", &[same("log.roll.jitter.ms"), hours("log.roll.jitter.hours")]),
    ("segment.ms", &[same("log.roll.ms"), hours("log.roll.hours")]),
    ("unclean.leader.election.enable", &[same("unclean.leader.election.enable")]),
];

/// The broker keys that stand in for a topic key, the strongest first.
pub(crate) fn synonyms(topic_key: &str) -> &'static [Synonym] {
    match SYNONYMS.binary_search_by(|(name, _)| (*name).cmp(topic_key)) {
        Ok(found) => SYNONYMS.get(found).map_or(&[], |(_, synonyms)| *synonyms),
        Err(_) => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config_catalogue::{broker_key, topic_key};

    #[test]
    fn tables_are_sorted_and_synonyms_exist_on_both_sides() {
        assert!(SYNONYMS.is_sorted_by(|a, b| a.0 < b.0));
        for (name, synonyms) in SYNONYMS {
            let topic = topic_key(name).unwrap_or_else(|| panic!("{name} is no topic key"));
            assert!(!synonyms.is_empty());
            for synonym in *synonyms {
                let broker =
                    broker_key(synonym.name).unwrap_or_else(|| panic!("{} is no broker key", synonym.name));
                assert_eq!(topic.effect, broker.effect, "{name} and {} differ in effect", synonym.name);
                if synonyms.len() == 1 {
                    assert_eq!(
                        topic.default, broker.default,
                        "{name} and {} differ in default",
                        synonym.name
                    );
                    assert_eq!(topic.rule, broker.rule, "{name} and {} differ in rule", synonym.name);
                }
            }
        }
    }
}
