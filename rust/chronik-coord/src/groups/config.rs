//! What the broker's configuration says about groups, in types.

use std::collections::BTreeMap;
use std::sync::Arc;

use chronik_wire::types::NodeId;

use super::settings::Bounded;
use crate::image::MetaImage;

/// Members of a group for which nobody set `group.max.size` or `group.consumer.max.size`: Kafka sets no bound, we do.
const MEMBERS_DEFAULT_MAX: usize = 1_000;

/// Bounds and defaults of groups, with the topics they may be about.
#[derive(Debug, Clone)]
pub struct GroupsConfig {
    /// The cluster's topics: names, ids and partition counts.
    pub topics: Arc<MetaImage>,
    /// `offset.metadata.max.bytes`: longest metadata of a committed offset.
    pub offset_metadata_bytes_max: usize,
    /// `offsets.retention.minutes`, in milliseconds.
    pub offsets_retention_ms: i64,
    /// `offsets.retention.check.interval.ms`.
    pub offsets_retention_check_interval_ms: i64,
    /// What holds for members of the classic protocol.
    pub classic: ClassicConfig,
    /// What holds for members of the newer protocol (KIP-848).
    pub consumer: ConsumerConfig,
    /// What holds for members of share groups.
    pub share: ShareConfig,
}

/// Bounds and defaults of the classic protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassicConfig {
    /// `group.min.session.timeout.ms`.
    pub session_timeout_ms_min: i32,
    /// `group.max.session.timeout.ms`.
    pub session_timeout_ms_max: i32,
    /// `group.initial.rebalance.delay.ms`: how long an empty group waits for more members.
    pub initial_rebalance_delay_ms: i64,
    /// `group.max.size`.
    pub members_max: usize,
}

/// Bounds and defaults of the newer protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerConfig {
    /// Whether `group.coordinator.rebalance.protocols` names it.
    pub enabled: bool,
    /// `group.consumer.session.timeout.ms`, or a group's own.
    pub session_timeout_ms: Bounded,
    /// `group.consumer.heartbeat.interval.ms`, or a group's own.
    pub heartbeat_interval_ms: Bounded,
    /// `group.consumer.max.size`.
    pub members_max: usize,
    /// `group.consumer.assignors`: those we have, the default first.
    pub assignors: Vec<String>,
    /// `group.consumer.migration.policy`.
    pub migration: MigrationPolicy,
}

/// Bounds and defaults of share groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShareConfig {
    /// `group.share.session.timeout.ms`, or a group's own.
    pub session_timeout_ms: Bounded,
    /// `group.share.heartbeat.interval.ms`, or a group's own.
    pub heartbeat_interval_ms: Bounded,
    /// `group.share.max.size`.
    pub members_max: usize,
    /// `group.share.initialize.retry.interval.ms`: when an account that was ordered is ordered again.
    pub initialize_retry_ms: i64,
}

/// Between which protocols a group with members may move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MigrationPolicy {
    /// It stays with its own.
    Disabled,
    /// Only from classic to the newer one.
    Upgrade,
    /// Only back to classic.
    Downgrade,
    /// Both ways.
    Bidirectional,
}

impl MigrationPolicy {
    /// Whether a classic group becomes one of the newer protocol when a member of that protocol joins.
    pub fn upgrades(self) -> bool {
        matches!(self, MigrationPolicy::Upgrade | MigrationPolicy::Bidirectional)
    }

    /// Whether a group becomes classic when only classic members are left.
    pub fn downgrades(self) -> bool {
        matches!(self, MigrationPolicy::Downgrade | MigrationPolicy::Bidirectional)
    }

    fn from_name(name: &str) -> Self {
        match name.trim().to_ascii_lowercase().as_str() {
            "disabled" => MigrationPolicy::Disabled,
            "upgrade" => MigrationPolicy::Upgrade,
            "downgrade" => MigrationPolicy::Downgrade,
            // The catalogue lets nothing else pass.
            _ => MigrationPolicy::Bidirectional,
        }
    }
}

impl GroupsConfig {
    /// What is in force at `node`, which was started with `statics`.
    pub fn from_image(
        image: &Arc<MetaImage>,
        node: NodeId,
        statics: &BTreeMap<String, String>,
    ) -> GroupsConfig {
        let source = Source { image, node, statics };
        let minute_ms = 60_000;
        GroupsConfig {
            topics: image.clone(),
            offset_metadata_bytes_max: usize::try_from(source.number("offset.metadata.max.bytes"))
                .unwrap_or(0),
            offsets_retention_ms: source.number("offsets.retention.minutes").saturating_mul(minute_ms),
            offsets_retention_check_interval_ms: source.number("offsets.retention.check.interval.ms").max(1),
            classic: ClassicConfig {
                session_timeout_ms_min: source.int("group.min.session.timeout.ms"),
                session_timeout_ms_max: source.int("group.max.session.timeout.ms"),
                initial_rebalance_delay_ms: source.number("group.initial.rebalance.delay.ms").max(0),
                members_max: source.members("group.max.size"),
            },
            consumer: source.consumer(),
            share: ShareConfig {
                session_timeout_ms: Bounded::of(&source, "share.session.timeout.ms"),
                heartbeat_interval_ms: Bounded::of(&source, "share.heartbeat.interval.ms"),
                members_max: usize::try_from(source.number("group.share.max.size")).unwrap_or(0),
                initialize_retry_ms: source.number("group.share.initialize.retry.interval.ms"),
            },
        }
    }

    /// What a group has set for itself.
    pub(super) fn overrides(&self, group: &str) -> &BTreeMap<String, String> {
        self.topics.group_overrides(group)
    }

    /// How long a member of a group of the newer protocol may be silent, in milliseconds.
    pub fn consumer_session_timeout_ms(&self, group: &str) -> i64 {
        self.consumer.session_timeout_ms.for_group(self.overrides(group))
    }

    /// How often members of a group of the newer protocol should speak, in milliseconds.
    pub fn consumer_heartbeat_interval_ms(&self, group: &str) -> i32 {
        let interval_ms = self.consumer.heartbeat_interval_ms.for_group(self.overrides(group));
        i32::try_from(interval_ms).unwrap_or(i32::MAX)
    }

    /// How long a member of a share group may be silent, in milliseconds.
    pub fn share_session_timeout_ms(&self, group: &str) -> i64 {
        self.share.session_timeout_ms.for_group(self.overrides(group))
    }

    /// How often members of a share group should speak, in milliseconds.
    pub fn share_heartbeat_interval_ms(&self, group: &str) -> i32 {
        let interval_ms = self.share.heartbeat_interval_ms.for_group(self.overrides(group));
        i32::try_from(interval_ms).unwrap_or(i32::MAX)
    }
}

/// Where the values come from.
pub(super) struct Source<'a> {
    pub(super) image: &'a MetaImage,
    pub(super) node: NodeId,
    pub(super) statics: &'a BTreeMap<String, String>,
}

impl Source<'_> {
    fn text(&self, name: &str) -> String {
        let resolved = self.image.broker_config(name, self.node, self.statics);
        resolved.and_then(|resolved| resolved.value).unwrap_or_default()
    }

    /// The catalogue has checked the value; what it cannot have let pass counts as 0.
    pub(super) fn number(&self, name: &str) -> i64 {
        self.text(name).trim().parse().unwrap_or(0)
    }

    fn int(&self, name: &str) -> i32 {
        let bounded = self.number(name).clamp(i64::from(i32::MIN), i64::from(i32::MAX));
        i32::try_from(bounded).unwrap_or(0)
    }

    fn members(&self, name: &str) -> usize {
        match self.image.broker_config(name, self.node, self.statics) {
            Some(resolved) if resolved.is_set() => usize::try_from(self.number(name)).unwrap_or(0),
            _ => MEMBERS_DEFAULT_MAX,
        }
    }

    fn consumer(&self) -> ConsumerConfig {
        let mut assignors = Vec::new();
        for name in self.text("group.consumer.assignors").split(',') {
            assignors.extend(assignor_name(name.trim()).map(str::to_owned));
        }
        if assignors.is_empty() {
            assignors.push("uniform".to_owned());
        }
        let protocols = self.text("group.coordinator.rebalance.protocols");
        ConsumerConfig {
            enabled: protocols.split(',').any(|name| name.trim().eq_ignore_ascii_case("consumer")),
            session_timeout_ms: Bounded::of(self, "consumer.session.timeout.ms"),
            heartbeat_interval_ms: Bounded::of(self, "consumer.heartbeat.interval.ms"),
            members_max: self.members("group.consumer.max.size"),
            assignors,
            migration: MigrationPolicy::from_name(&self.text("group.consumer.migration.policy")),
        }
    }
}

/// Kafka takes class names of its own assignors as well as their short names.
fn assignor_name(name: &str) -> Option<&'static str> {
    match name {
        "uniform" | "org.apache.kafka.coordinator.group.assignor.UniformAssignor" => Some("uniform"),
        "range" | "org.apache.kafka.coordinator.group.assignor.RangeAssignor" => Some("range"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(statics: &[(&str, &str)]) -> GroupsConfig {
        let statics = statics.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        GroupsConfig::from_image(&Arc::new(MetaImage::default()), NodeId(1), &statics)
    }

    #[test]
    fn defaults_are_kafkas_but_for_the_size_of_a_group() {
        let config = config(&[]);
        assert_eq!(config.offset_metadata_bytes_max, 4_096);
        assert_eq!(config.offsets_retention_ms, 7 * 24 * 3_600_000);
        assert_eq!(config.offsets_retention_check_interval_ms, 600_000);
        let classic = ClassicConfig {
            session_timeout_ms_min: 6_000,
            session_timeout_ms_max: 1_800_000,
            initial_rebalance_delay_ms: 3_000,
            members_max: 1_000,
        };
        assert_eq!(config.classic, classic);
        let consumer = &config.consumer;
        assert!(consumer.enabled);
        assert_eq!(consumer.members_max, 1_000);
        assert_eq!(consumer.assignors, ["uniform", "range"]);
        assert_eq!(consumer.migration, MigrationPolicy::Bidirectional);
        assert_eq!(config.consumer_session_timeout_ms("g"), 45_000);
        assert_eq!(config.consumer_heartbeat_interval_ms("g"), 5_000);
        assert_eq!(config.share.members_max, 200);
        assert_eq!(config.share_session_timeout_ms("g"), 45_000);
        assert_eq!(config.share_heartbeat_interval_ms("g"), 5_000);
    }

    #[test]
    fn what_is_set_counts_within_its_bounds() {
        let config = config(&[
            ("group.max.size", "2"),
            ("group.consumer.heartbeat.interval.ms", "100"),
            ("group.consumer.session.timeout.ms", "100000"),
            ("group.consumer.assignors", "org.apache.kafka.coordinator.group.assignor.RangeAssignor"),
            ("group.consumer.migration.policy", "upgrade"),
        ]);
        assert_eq!(config.classic.members_max, 2);
        assert_eq!(config.consumer_heartbeat_interval_ms("g"), 5_000, "the lower bound still holds");
        assert_eq!(config.consumer_session_timeout_ms("g"), 60_000, "so does the upper one");
        assert_eq!(config.consumer.assignors, ["range"]);
        assert!(config.consumer.migration.upgrades() && !config.consumer.migration.downgrades());
    }
}
