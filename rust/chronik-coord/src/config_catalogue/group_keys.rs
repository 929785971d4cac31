//! Every configuration a group can have, the broker key that stands in for each, and the broker keys that bound it.

use super::key::{ConfigKey, boolean, int, string};
use super::words;

/// The group keys of Kafka 4.x, by name.
pub(super) static GROUP_KEYS: &[ConfigKey] = &[
    int("consumer.assignment.interval.ms", "1000").at_least(0),
    int("consumer.heartbeat.interval.ms", "5000").at_least(1).works(),
    int("consumer.session.timeout.ms", "45000").at_least(1).works(),
    int("share.assignment.interval.ms", "1000").at_least(0),
    string("share.auto.offset.reset", "latest").offset_reset().works(),
    int("share.delivery.count.limit", "5").at_least(2).works(),
    int("share.heartbeat.interval.ms", "5000").at_least(1).works(),
    string("share.isolation.level", "read_uncommitted").one_of(words::ISOLATION_LEVEL).works(),
    int("share.partition.max.record.locks", "2000").at_least(100).works(),
    int("share.record.lock.duration.ms", "30000").at_least(1_000).works(),
    boolean("share.renew.acknowledge.enable", "true").works(),
    int("share.session.timeout.ms", "45000").at_least(1).works(),
    int("streams.assignment.interval.ms", "1000").at_least(0),
    int("streams.heartbeat.interval.ms", "5000").at_least(1),
    int("streams.initial.rebalance.delay.ms", "3000").at_least(0),
    int("streams.num.standby.replicas", "0").at_least(0),
    int("streams.session.timeout.ms", "45000").at_least(1),
];

/// How brokers stand by a group key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GroupBounds {
    /// The group key.
    pub(crate) key: &'static str,
    /// The broker key that stands in for it.
    pub(crate) broker: &'static str,
    /// The broker key with its smallest value, if there is one.
    pub(crate) min: Option<&'static str>,
    /// The broker key with its largest value, if there is one.
    pub(crate) max: Option<&'static str>,
}

const fn within(
    key: &'static str,
    broker: &'static str,
    min: &'static str,
    max: &'static str,
) -> GroupBounds {
    GroupBounds { key, broker, min: Some(min), max: Some(max) }
}

/// The group keys that brokers have a key for, by name.
static BOUNDS: &[GroupBounds] = &[
    within(
        "consumer.assignment.interval.ms",
        "group.consumer.assignment.interval.ms",
        "group.consumer.min.assignment.interval.ms",
        "group.consumer.max.assignment.interval.ms",
    ),
    within(
        "consumer.heartbeat.interval.ms",
        "group.consumer.heartbeat.interval.ms",
        "group.consumer.min.heartbeat.interval.ms",
        "group.consumer.max.heartbeat.interval.ms",
    ),
    within(
        "consumer.session.timeout.ms",
        "group.consumer.session.timeout.ms",
        "group.consumer.min.session.timeout.ms",
        "group.consumer.max.session.timeout.ms",
    ),
    within(
        "share.assignment.interval.ms",
        "group.share.assignment.interval.ms",
        "group.share.min.assignment.interval.ms",
        "group.share.max.assignment.interval.ms",
    ),
    within(
        "share.delivery.count.limit",
        "group.share.delivery.count.limit",
        "group.share.min.delivery.count.limit",
        "group.share.max.delivery.count.limit",
    ),
    within(
        "share.heartbeat.interval.ms",
        "group.share.heartbeat.interval.ms",
        "group.share.min.heartbeat.interval.ms",
        "group.share.max.heartbeat.interval.ms",
    ),
    within(
        "share.partition.max.record.locks",
        "group.share.partition.max.record.locks",
        "group.share.min.partition.max.record.locks",
        "group.share.max.partition.max.record.locks",
    ),
    within(
        "share.record.lock.duration.ms",
        "group.share.record.lock.duration.ms",
        "group.share.min.record.lock.duration.ms",
        "group.share.max.record.lock.duration.ms",
    ),
    within(
        "share.session.timeout.ms",
        "group.share.session.timeout.ms",
        "group.share.min.session.timeout.ms",
        "group.share.max.session.timeout.ms",
    ),
    within(
        "streams.assignment.interval.ms",
        "group.streams.assignment.interval.ms",
        "group.streams.min.assignment.interval.ms",
        "group.streams.max.assignment.interval.ms",
    ),
    within(
        "streams.heartbeat.interval.ms",
        "group.streams.heartbeat.interval.ms",
        "group.streams.min.heartbeat.interval.ms",
        "group.streams.max.heartbeat.interval.ms",
    ),
    GroupBounds {
        key: "streams.initial.rebalance.delay.ms",
        broker: "group.streams.initial.rebalance.delay.ms",
        min: None,
        max: None,
    },
    GroupBounds {
        key: "streams.num.standby.replicas",
        broker: "group.streams.num.standby.replicas",
        min: None,
        max: Some("group.streams.max.standby.replicas"),
    },
    within(
        "streams.session.timeout.ms",
        "group.streams.session.timeout.ms",
        "group.streams.min.session.timeout.ms",
        "group.streams.max.session.timeout.ms",
    ),
];

/// A session must be longer than the time between two heartbeats: session and heartbeat keys.
pub(crate) static SESSIONS: &[(&str, &str)] = &[
    ("consumer.session.timeout.ms", "consumer.heartbeat.interval.ms"),
    ("share.session.timeout.ms", "share.heartbeat.interval.ms"),
    ("streams.session.timeout.ms", "streams.heartbeat.interval.ms"),
];

/// How brokers stand by a group key; `None` if they have no key for it.
pub(crate) fn bounds(group_key: &str) -> Option<&'static GroupBounds> {
    BOUNDS.get(BOUNDS.binary_search_by(|bounds| bounds.key.cmp(group_key)).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config_catalogue::{broker_key, group_key};

    #[test]
    fn every_bound_is_a_broker_key_and_the_defaults_agree() {
        assert!(BOUNDS.is_sorted_by(|a, b| a.key < b.key));
        for bounds in BOUNDS {
            let key = group_key(bounds.key).unwrap_or_else(|| panic!("{} is no group key", bounds.key));
            for name in [Some(bounds.broker), bounds.min, bounds.max].into_iter().flatten() {
                let broker = broker_key(name).unwrap_or_else(|| panic!("{name} is no broker key"));
                assert_eq!(key.effect, broker.effect, "{} and {name} differ in effect", key.name);
            }
            let broker = broker_key(bounds.broker).and_then(|key| key.default);
            assert_eq!(key.default, broker, "{} and {} differ in default", key.name, bounds.broker);
        }
        for (session, heartbeat) in SESSIONS {
            assert!(bounds(session).is_some() && bounds(heartbeat).is_some());
        }
    }
}
