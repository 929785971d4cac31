//! Which value of a configuration is in force: override, broker, cluster, file, default.
//!
//! Role: pure functions of an image and a node's own start configuration. [`TopicConfig`] and
//! [`BrokerSettings`] are the typed views for those who act on values; [`ResolvedConfig`] is the view
//! for those who show them.

use std::collections::BTreeMap;

use chronik_wire::batch::Compression;
use chronik_wire::types::NodeId;

use crate::config_catalogue::{self, ConfigKey, Conversion};
use crate::image::{MetaImage, Topic};

/// Where a value comes from, with Kafka's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i8)]
pub enum ConfigSource {
    /// An override of the topic.
    DynamicTopic = 1,
    /// An override of this broker.
    DynamicBroker = 2,
    /// An override of all brokers.
    DynamicDefaultBroker = 3,
    /// What the broker was started with.
    StaticBroker = 4,
    /// Nobody set it.
    Default = 5,
    /// An override of the group.
    DynamicGroup = 8,
}

/// One of the places a value could come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigSynonym {
    /// The name it has there.
    pub name: String,
    /// Its value there; `None` is Kafka's null.
    pub value: Option<String>,
    /// The place.
    pub source: ConfigSource,
}

/// A configuration with its value in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedConfig {
    /// The value in force; `None` is Kafka's null.
    pub value: Option<String>,
    /// Where it comes from.
    pub source: ConfigSource,
    /// Every place that has a value, the one in force first.
    pub synonyms: Vec<ConfigSynonym>,
}

impl ResolvedConfig {
    /// Whether somebody set the value.
    pub fn is_set(&self) -> bool {
        self.source != ConfigSource::Default
    }
}

/// What a broker was started with, by Kafka's names.
type Statics = BTreeMap<String, String>;

impl MetaImage {
    /// A topic key's value as `node` sees it; `None` for a name that is no topic key.
    pub fn topic_config(
        &self,
        topic: &Topic,
        name: &str,
        node: NodeId,
        statics: &Statics,
    ) -> Option<ResolvedConfig> {
        let key = config_catalogue::topic_key(name)?;
        Some(self.resolve_topic_key(topic, key, node, statics))
    }

    /// A broker key's value at `node`; `None` for a name that is no broker key.
    pub fn broker_config(&self, name: &str, node: NodeId, statics: &Statics) -> Option<ResolvedConfig> {
        let key = config_catalogue::broker_key(name)?;
        let mut synonyms: Vec<_> = self.broker_levels(key.name, node, statics).collect();
        if key.default.is_some() || synonyms.is_empty() {
            synonyms.push(default_of(key));
        }
        Some(in_force(synonyms, key))
    }

    /// A group key's value as `node` sees it, as it was set: bounds of the broker that came later are not applied. `None`
    /// for a name that is no group key.
    pub fn group_config(
        &self,
        group: &str,
        name: &str,
        node: NodeId,
        statics: &Statics,
    ) -> Option<ResolvedConfig> {
        let key = config_catalogue::group_key(name)?;
        let mut synonyms = Vec::new();
        if let Some(value) = self.group_overrides(group).get(key.name) {
            let source = ConfigSource::DynamicGroup;
            synonyms.push(ConfigSynonym { name: key.name.to_owned(), value: Some(value.clone()), source });
        }
        let stand_in = config_catalogue::group_bounds(key.name).map(|bounds| bounds.broker);
        match stand_in.and_then(|name| self.broker_config(name, node, statics)) {
            Some(of_broker) => synonyms.extend(of_broker.synonyms),
            None => synonyms.push(default_of(key)),
        }
        Some(in_force(synonyms, key))
    }

    fn resolve_topic_key(
        &self,
        topic: &Topic,
        key: &ConfigKey,
        node: NodeId,
        statics: &Statics,
    ) -> ResolvedConfig {
        let mut synonyms = Vec::new();
        if let Some(value) = topic.configs.get(key.name) {
            let source = ConfigSource::DynamicTopic;
            synonyms.push(ConfigSynonym { name: key.name.to_owned(), value: Some(value.clone()), source });
        }
        let stand_ins = config_catalogue::synonyms(key.name);
        for stand_in in stand_ins {
            synonyms.extend(self.broker_levels(stand_in.name, node, statics));
        }
        // Nobody set anything: the default is the topic key's own, under its broker name if it has one.
        let default_name = stand_ins.first().map_or(key.name, |stand_in| stand_in.name);
        synonyms.push(ConfigSynonym { name: default_name.to_owned(), ..default_of(key) });
        let mut resolved = in_force(synonyms, key);
        let winner = resolved.synonyms.first().filter(|winner| winner.source != ConfigSource::Default);
        let conversion = winner
            .and_then(|winner| stand_ins.iter().find(|stand_in| stand_in.name == winner.name))
            .map_or(Conversion::Same, |stand_in| stand_in.conversion);
        if conversion != Conversion::Same {
            resolved.value = resolved.value.map(|value| converted(&value, conversion));
        }
        resolved
    }

    /// The values a broker key has been given, the strongest first.
    fn broker_levels<'a>(
        &'a self,
        name: &'a str,
        node: NodeId,
        statics: &'a Statics,
    ) -> impl Iterator<Item = ConfigSynonym> + 'a {
        [
            (self.broker_overrides(Some(node)), ConfigSource::DynamicBroker),
            (self.broker_overrides(None), ConfigSource::DynamicDefaultBroker),
            (statics, ConfigSource::StaticBroker),
        ]
        .into_iter()
        .filter_map(move |(level, source)| {
            let value = level.get(name)?.clone();
            Some(ConfigSynonym { name: name.to_owned(), value: Some(value), source })
        })
    }

    /// The typed configuration of a topic as `node` sees it.
    pub fn effective_topic_config(&self, topic: &Topic, node: NodeId, statics: &Statics) -> TopicConfig {
        let text =
            |name: &str| self.topic_config(topic, name, node, statics).and_then(|resolved| resolved.value);
        let number = |name: &str| text(name).and_then(|value| value.trim().parse::<i64>().ok());
        let size = |name: &str| number(name).and_then(|value| usize::try_from(value).ok());
        let limit = |name: &str| number(name).filter(|value| *value >= 0);
        let duration = |name: &str| limit(name).map_or(0, i64::unsigned_abs);
        let policy = text("cleanup.policy").unwrap_or_default();
        let has_policy = |word: &str| policy.split(',').any(|part| part.trim() == word);
        TopicConfig {
            min_insync_replicas: size("min.insync.replicas").unwrap_or(1),
            max_message_bytes: size("max.message.bytes").unwrap_or(0),
            retention_ms: limit("retention.ms"),
            retention_bytes: limit("retention.bytes"),
            segment_bytes: size("internal.segment.bytes")
                .or_else(|| size("segment.bytes"))
                .unwrap_or(usize::MAX),
            segment_ms: number("segment.ms").unwrap_or(i64::MAX),
            cleanup: CleanupPolicy { delete: has_policy("delete"), compact: has_policy("compact") },
            timestamp_type: match text("message.timestamp.type").as_deref() {
                Some("LogAppendTime") => TimestampType::LogAppendTime,
                _ => TimestampType::CreateTime,
            },
            timestamp_before_max_ms: number("message.timestamp.before.max.ms").unwrap_or(i64::MAX),
            timestamp_after_max_ms: number("message.timestamp.after.max.ms").unwrap_or(i64::MAX),
            read_consistency: ReadConsistency::from_name(text("chronik.read.consistency").as_deref()),
            index_interval_bytes: size("index.interval.bytes").unwrap_or(0),
            compression: compression_of(text("compression.type").as_deref()),
            delete_retention_ms: duration("delete.retention.ms"),
            min_compaction_lag_ms: duration("min.compaction.lag.ms"),
            max_compaction_lag_ms: duration("max.compaction.lag.ms"),
            min_cleanable_dirty_millionths: millionths(text("min.cleanable.dirty.ratio").as_deref()),
        }
    }

    /// The typed configuration of a broker.
    pub fn broker_settings(&self, node: NodeId, statics: &Statics) -> BrokerSettings {
        let text = |name: &str| self.broker_config(name, node, statics).and_then(|resolved| resolved.value);
        let number = |name: &str| text(name).and_then(|value| value.trim().parse::<i64>().ok());
        let size = |name: &str| number(name).and_then(|value| usize::try_from(value).ok()).unwrap_or(0);
        let duration = |name: &str| number(name).and_then(|value| u64::try_from(value).ok()).unwrap_or(0);
        let yes = |name: &str| text(name).is_some_and(|value| value.trim().eq_ignore_ascii_case("true"));
        BrokerSettings {
            auto_create_topics: yes("auto.create.topics.enable"),
            delete_topics: yes("delete.topic.enable"),
            num_partitions: number("num.partitions").and_then(|value| i32::try_from(value).ok()).unwrap_or(1),
            default_replication_factor: number("default.replication.factor")
                .and_then(|value| i16::try_from(value).ok())
                .unwrap_or(-1),
            fetch_max_bytes: size("fetch.max.bytes"),
            fetch_sessions_max: size("max.incremental.fetch.session.cache.slots"),
            request_partitions_max: size("max.request.partition.size.limit"),
            fetch_from_followers: yes("chronik.fetch.from.followers"),
            gate_cap_ms: duration("chronik.fetch.follower.max.wait.ms"),
            replica_lag_time_max_ms: duration("replica.lag.time.max.ms"),
            retention_check_interval_ms: duration("log.retention.check.interval.ms"),
            read_consistency: ReadConsistency::from_name(text("chronik.read.consistency").as_deref()),
        }
    }
}

fn default_of(key: &ConfigKey) -> ConfigSynonym {
    let value = key.default.map(str::to_owned);
    ConfigSynonym { name: key.name.to_owned(), value, source: ConfigSource::Default }
}

fn in_force(synonyms: Vec<ConfigSynonym>, key: &ConfigKey) -> ResolvedConfig {
    let winner = synonyms.first().cloned().unwrap_or_else(|| default_of(key));
    ResolvedConfig { value: winner.value, source: winner.source, synonyms }
}

fn converted(value: &str, conversion: Conversion) -> String {
    let unit_ms = match conversion {
        Conversion::Same => return value.to_owned(),
        Conversion::Minutes => 60_000,
        Conversion::Hours => 3_600_000,
    };
    match value.trim().parse::<i64>() {
        Ok(count) if count < 0 => "-1".to_owned(),
        Ok(count) => count.saturating_mul(unit_ms).to_string(),
        Err(_) => value.to_owned(),
    }
}

/// The configuration that replicas of a topic act on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicConfig {
    /// Members in sync that `acks=all` needs.
    pub min_insync_replicas: usize,
    /// Largest record batch, in bytes.
    pub max_message_bytes: usize,
    /// Age at which segments go; `None` for never.
    pub retention_ms: Option<i64>,
    /// Size above which the oldest segments go; `None` for no bound.
    pub retention_bytes: Option<i64>,
    /// Size at which a segment is closed.
    pub segment_bytes: usize,
    /// Age at which a segment is closed.
    pub segment_ms: i64,
    /// How old records go.
    pub cleanup: CleanupPolicy,
    /// Whose clock stamps records.
    pub timestamp_type: TimestampType,
    /// How far a record's own timestamp may lie in the past.
    pub timestamp_before_max_ms: i64,
    /// How far a record's own timestamp may lie in the future.
    pub timestamp_after_max_ms: i64,
    /// What a read promises.
    pub read_consistency: ReadConsistency,
    /// Distance between entries of the offset index.
    pub index_interval_bytes: usize,
    /// The codec of every batch; `None` leaves each what its producer chose.
    pub compression: Option<Compression>,
    /// How long tombstones can be read after they were compacted, in milliseconds.
    pub delete_retention_ms: u64,
    /// Age below which records are not compacted, in milliseconds.
    pub min_compaction_lag_ms: u64,
    /// Age above which records are compacted whatever the ratio, in milliseconds; `i64::MAX`: never for that.
    pub max_compaction_lag_ms: u64,
    /// Share of the log that must be new for it to be compacted, in millionths.
    pub min_cleanable_dirty_millionths: u32,
}

/// The codec that `compression.type` asks for.
fn compression_of(name: Option<&str>) -> Option<Compression> {
    let name = name?.trim();
    if name == "uncompressed" {
        return Some(Compression::None);
    }
    Compression::ALL.into_iter().find(|codec| *codec != Compression::None && codec.name() == name)
}

/// A share between 0 and 1, in millionths.
fn millionths(share: Option<&str>) -> u32 {
    let share = share.and_then(|share| share.trim().parse::<f64>().ok()).unwrap_or(0.5);
    (share.clamp(0.0, 1.0) * 1e6).round() as u32
}

/// How old records go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CleanupPolicy {
    /// By age and size.
    pub delete: bool,
    /// By key.
    pub compact: bool,
}

/// Whose clock stamps records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimestampType {
    /// The producer's.
    CreateTime,
    /// The leader's, at the append.
    LogAppendTime,
}

/// What a read promises about the end of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReadConsistency {
    /// Every read passes the gate.
    #[default]
    Linearizable,
    /// Reads at the local end pass the gate.
    Tail,
    /// No read does.
    Local,
}

impl ReadConsistency {
    fn from_name(name: Option<&str>) -> Self {
        match name {
            Some("tail") => ReadConsistency::Tail,
            Some("local") => ReadConsistency::Local,
            // Anything else never passes the catalogue's check; the strongest promise is the safe reading.
            _ => ReadConsistency::Linearizable,
        }
    }
}

/// The configuration that a broker acts on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerSettings {
    /// Whether Metadata creates unknown topics.
    pub auto_create_topics: bool,
    /// Whether DeleteTopics is allowed.
    pub delete_topics: bool,
    /// Partitions of a topic whose creator names no number.
    pub num_partitions: i32,
    /// Replicas per partition of a topic whose creator names no number; -1 for min(3, brokers).
    pub default_replication_factor: i16,
    /// Most bytes in one Fetch response.
    pub fetch_max_bytes: usize,
    /// Fetch sessions kept at a time.
    pub fetch_sessions_max: usize,
    /// Partitions in one DescribeTopicPartitions response.
    pub request_partitions_max: usize,
    /// Whether followers serve reads.
    pub fetch_from_followers: bool,
    /// Longest wait at the read gate.
    pub gate_cap_ms: u64,
    /// Silence after which a member is out of sync.
    pub replica_lag_time_max_ms: u64,
    /// Pause between two looks at retention.
    pub retention_check_interval_ms: u64,
    /// The cluster's read consistency, for topics that set none.
    pub read_consistency: ReadConsistency,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assignment::Assignment;
    use chronik_wire::types::TopicId;

    const NODE: NodeId = NodeId(1);

    fn topic(configs: &[(&str, &str)]) -> Topic {
        Topic {
            name: "t".into(),
            id: TopicId(9),
            partitions: vec![Assignment::founded(vec![NODE], &BTreeMap::new())],
            configs: map(configs),
        }
    }

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn the_nearest_level_wins() {
        let mut image = MetaImage::default();
        let value = |image: &MetaImage, topic: &Topic, statics: &Statics| {
            let resolved = image.topic_config(topic, "retention.ms", NODE, statics).expect("a key");
            (resolved.value.expect("never null"), resolved.source, resolved.synonyms.len())
        };
        let none = Statics::new();
        assert_eq!(value(&image, &topic(&[]), &none), ("604800000".into(), ConfigSource::Default, 1));
        let hours = map(&[("log.retention.hours", "2")]);
        assert_eq!(value(&image, &topic(&[]), &hours), ("7200000".into(), ConfigSource::StaticBroker, 2));
        let both = map(&[("log.retention.hours", "2"), ("log.retention.ms", "5")]);
        assert_eq!(value(&image, &topic(&[]), &both), ("5".into(), ConfigSource::StaticBroker, 3));
        image.set_broker_overrides(None, map(&[("log.retention.ms", "6")]));
        assert_eq!(value(&image, &topic(&[]), &both), ("6".into(), ConfigSource::DynamicDefaultBroker, 4));
        image.set_broker_overrides(Some(NODE), map(&[("log.retention.ms", "7")]));
        assert_eq!(value(&image, &topic(&[]), &both), ("7".into(), ConfigSource::DynamicBroker, 5));
        let overridden = topic(&[("retention.ms", "-1")]);
        assert_eq!(value(&image, &overridden, &both), ("-1".into(), ConfigSource::DynamicTopic, 6));
        assert_eq!(image.effective_topic_config(&overridden, NODE, &both).retention_ms, None);
    }

    #[test]
    fn typed_views_follow_the_texts() {
        let image = MetaImage::default();
        let plain = image.effective_topic_config(&topic(&[]), NODE, &Statics::new());
        assert_eq!((plain.max_message_bytes, plain.segment_bytes), (1_048_588, 1_073_741_824));
        assert_eq!(plain.cleanup, CleanupPolicy { delete: true, compact: false });
        assert_eq!(plain.read_consistency, ReadConsistency::Linearizable);

        let statics = map(&[("chronik.read.consistency", "tail"), ("message.max.bytes", "77")]);
        let set = topic(&[("cleanup.policy", "compact,delete"), ("internal.segment.bytes", "4096")]);
        let typed = image.effective_topic_config(&set, NODE, &statics);
        assert_eq!((typed.max_message_bytes, typed.segment_bytes), (77, 4_096));
        assert_eq!(typed.cleanup, CleanupPolicy { delete: true, compact: true });
        assert_eq!(typed.read_consistency, ReadConsistency::Tail);

        let broker = image.broker_settings(NODE, &map(&[("auto.create.topics.enable", "FALSE")]));
        assert!(!broker.auto_create_topics && broker.delete_topics && broker.fetch_from_followers);
        assert_eq!(
            (broker.num_partitions, broker.default_replication_factor, broker.gate_cap_ms),
            (1, -1, 5_000)
        );
    }

    #[test]
    fn a_null_default_is_shown_once_and_only_alone() {
        let image = MetaImage::default();
        let unset = image.broker_config("broker.rack", NODE, &Statics::new()).expect("a key");
        assert_eq!((unset.value, unset.source), (None, ConfigSource::Default));
        let set = image.broker_config("broker.rack", NODE, &map(&[("broker.rack", "r1")])).expect("a key");
        assert_eq!((set.value.as_deref(), set.synonyms.len()), (Some("r1"), 1));
        assert!(image.broker_config("no.such.key", NODE, &Statics::new()).is_none());
    }
}
