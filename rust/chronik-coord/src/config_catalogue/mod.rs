//! Every configuration name of Kafka 4.x, and chronik's own: type, default, rule, effect.
//!
//! One table answers everything: which names exist, what DescribeConfigs shows, what a value must
//! satisfy, which broker key stands in for a topic key or a group key, and which keys nothing here reads.

mod broker_keys;
mod check;
mod group_keys;
mod key;
mod nearest;
mod offset_reset;
mod topic_keys;
mod words;

use std::sync::OnceLock;

pub(crate) use check::unknown_name;
pub use check::{
    Accepted, check_broker_config, check_dynamic_broker_config, check_group_config, check_topic_config,
};
pub(crate) use group_keys::{SESSIONS, bounds as group_bounds};
pub use key::{ConfigKey, ConfigKind, Effect, Rule, Scope};
pub use nearest::{nearest, nearest_among};
pub use offset_reset::AutoOffsetReset;
pub(crate) use topic_keys::{Conversion, synonyms};

/// All broker keys, by name.
pub fn broker_keys() -> &'static [ConfigKey] {
    static SORTED: OnceLock<Vec<ConfigKey>> = OnceLock::new();
    SORTED.get_or_init(|| {
        let mut keys: Vec<ConfigKey> = broker_keys::BROKER_KEYS.concat();
        keys.sort_by_key(|key| key.name);
        keys
    })
}

/// All topic keys, by name.
pub fn topic_keys() -> &'static [ConfigKey] {
    topic_keys::TOPIC_KEYS
}

/// All group keys, by name.
pub fn group_keys() -> &'static [ConfigKey] {
    group_keys::GROUP_KEYS
}

/// The broker key of that name.
pub fn broker_key(name: &str) -> Option<&'static ConfigKey> {
    find(broker_keys(), name)
}

/// The topic key of that name.
pub fn topic_key(name: &str) -> Option<&'static ConfigKey> {
    find(topic_keys(), name)
}

/// The group key of that name.
pub fn group_key(name: &str) -> Option<&'static ConfigKey> {
    find(group_keys(), name)
}

/// The broker keys that stand in for a topic key, the strongest first.
pub fn broker_synonyms(topic_key: &str) -> impl Iterator<Item = &'static str> {
    synonyms(topic_key).iter().map(|synonym| synonym.name)
}

fn find(keys: &'static [ConfigKey], name: &str) -> Option<&'static ConfigKey> {
    keys.get(keys.binary_search_by(|key| key.name.cmp(name)).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_sorted() {
        assert!(topic_keys().is_sorted_by(|a, b| a.name < b.name));
        assert!(group_keys().is_sorted_by(|a, b| a.name < b.name));
        for pair in broker_keys().windows(2) {
            assert!(pair[0].name < pair[1].name, "{} stands twice", pair[0].name);
        }
    }

    #[test]
    fn every_default_satisfies_its_own_rule() {
        for key in topic_keys() {
            if let Some(default) = key.default {
                assert_eq!(check_topic_config(key.name, default), Ok(()));
            }
        }
        for key in group_keys() {
            assert_eq!(check_group_config(key.name, key.default.expect("has one")), Ok(()));
        }
        let defaults = broker_keys()
            .iter()
            .filter_map(|key| Some((key.name.to_owned(), key.default?.to_owned())))
            .collect();
        check_broker_config(&defaults).expect("defaults are valid");
    }

    #[test]
    fn what_suites_ask_for_is_there() {
        for name in
            ["advertised.listeners", "broker.rack", "node.id", "log.dirs", "group.min.session.timeout.ms"]
        {
            assert!(broker_key(name).is_some(), "{name}");
        }
        let retention = topic_key("retention.bytes").expect("a key");
        assert_eq!((retention.kind, retention.default), (ConfigKind::Long, Some("-1")));
        assert_eq!(topic_key("max.message.bytes").and_then(|key| key.default), Some("1048588"));
    }
}
