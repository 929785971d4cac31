//! What holds for one group: its own configuration where it has one, else that of its broker, within the broker's
//! bounds.

use std::collections::BTreeMap;

use chronik_wire::error_code::ErrorCode;
use chronik_wire::types::NodeId;

use super::config::Source;
use crate::apply::configs;
use crate::command::{ConfigChange, ConfigResource};
use crate::config_catalogue::{self, AutoOffsetReset};
use crate::image::MetaImage;
use crate::reply::ItemError;

type Overrides = BTreeMap<String, String>;
type Statics = BTreeMap<String, String>;

/// A broker's value of something that groups may have their own of, and the bounds that hold for both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounded {
    /// The group's key.
    key: &'static str,
    default: i64,
    min: i64,
    max: i64,
}

impl Bounded {
    /// What a broker says about a group key.
    pub(super) fn of(source: &Source<'_>, key: &'static str) -> Bounded {
        let bounds = config_catalogue::group_bounds(key);
        let number = |name: Option<&'static str>| name.map(|name| source.number(name));
        let default = number(bounds.map(|bounds| bounds.broker)).unwrap_or(0);
        let min = number(bounds.and_then(|bounds| bounds.min)).unwrap_or(i64::MIN);
        let max = number(bounds.and_then(|bounds| bounds.max)).unwrap_or(i64::MAX);
        Bounded { key, default, min, max }
    }

    /// What holds for a group with these overrides.
    pub fn for_group(&self, overrides: &Overrides) -> i64 {
        let own = overrides.get(self.key).and_then(|value| value.trim().parse().ok());
        own.unwrap_or(self.default).min(self.max).max(self.min)
    }

    /// What is wrong with a group's own value, if there is one.
    fn check(&self, overrides: &Overrides) -> Result<(), ItemError> {
        let Some(own) = overrides.get(self.key).and_then(|value| value.trim().parse::<i64>().ok()) else {
            return Ok(());
        };
        let bounds = config_catalogue::group_bounds(self.key);
        let named = |name: Option<&'static str>| name.unwrap_or_default();
        let broken = if own < self.min {
            let least = named(bounds.and_then(|bounds| bounds.min));
            format!("{} must be greater than or equal to {least}, which is {}", self.key, self.min)
        } else if own > self.max {
            let most = named(bounds.and_then(|bounds| bounds.max));
            format!("{} must be less than or equal to {most}, which is {}", self.key, self.max)
        } else {
            return Ok(());
        };
        Err(ItemError::new(ErrorCode::INVALID_CONFIG, broken))
    }
}

/// Which records of transactions a share group reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// All of them.
    ReadUncommitted,
    /// Those of committed transactions.
    ReadCommitted,
}

/// What holds for one share group now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShareSettings {
    /// How long a member may be silent, in milliseconds.
    pub session_timeout_ms: i64,
    /// How often members should speak, in milliseconds.
    pub heartbeat_interval_ms: i32,
    /// How long a record stays with the member that acquired it, in milliseconds.
    pub record_lock_duration_ms: i64,
    /// How often a record is delivered at most.
    pub delivery_count_limit: i16,
    /// How many records of one partition may be acquired at a time.
    pub partition_max_record_locks: usize,
    /// Where a partition is begun.
    pub auto_offset_reset: AutoOffsetReset,
    /// Which records of transactions are read.
    pub isolation: Isolation,
    /// Whether members may renew the locks of their records.
    pub renew_acknowledge: bool,
}

impl ShareSettings {
    /// What holds for `group` at `node`, which was started with `statics`.
    pub fn of(image: &MetaImage, node: NodeId, statics: &Statics, group: &str) -> ShareSettings {
        let source = Source { image, node, statics };
        let overrides = image.group_overrides(group);
        let number = |key| Bounded::of(&source, key).for_group(overrides);
        let own = |key: &str| overrides.get(key).map(|value| value.trim());
        let reset = own("share.auto.offset.reset").and_then(AutoOffsetReset::from_name);
        let isolation = match own("share.isolation.level") {
            Some("read_committed") => Isolation::ReadCommitted,
            _ => Isolation::ReadUncommitted,
        };
        let renew = own("share.renew.acknowledge.enable");
        ShareSettings {
            session_timeout_ms: number("share.session.timeout.ms"),
            heartbeat_interval_ms: i32::try_from(number("share.heartbeat.interval.ms")).unwrap_or(i32::MAX),
            record_lock_duration_ms: number("share.record.lock.duration.ms"),
            delivery_count_limit: i16::try_from(number("share.delivery.count.limit")).unwrap_or(i16::MAX),
            partition_max_record_locks: usize::try_from(number("share.partition.max.record.locks"))
                .unwrap_or(0),
            auto_offset_reset: reset.unwrap_or(AutoOffsetReset::Latest),
            isolation,
            renew_acknowledge: renew.is_none_or(|renew| renew.eq_ignore_ascii_case("true")),
        }
    }
}

impl MetaImage {
    /// Whether a group's configuration after a change keeps within the bounds of `node`, which the controller does not
    /// know. A change of anything else passes.
    ///
    /// # Errors
    /// 40 for a value out of bounds, or a session no longer than the time between two heartbeats; what the controller would
    /// say to a change that makes no sense.
    pub fn check_group_change(
        &self,
        change: &ConfigChange,
        node: NodeId,
        statics: &Statics,
    ) -> Result<(), ItemError> {
        let ConfigResource::Group(group) = &change.resource else { return Ok(()) };
        let overrides = configs::changed(self.group_overrides(group), &change.change, &change.resource)?;
        let source = Source { image: self, node, statics };
        for key in config_catalogue::group_keys() {
            if config_catalogue::group_bounds(key.name).is_some() {
                Bounded::of(&source, key.name).check(&overrides)?;
            }
        }
        for (session, heartbeat) in config_catalogue::SESSIONS {
            let touched = [session, heartbeat].iter().any(|key| overrides.contains_key(**key));
            let value = |key| Bounded::of(&source, key).for_group(&overrides);
            if touched && value(session) <= value(heartbeat) {
                let message = format!("{session} must be greater than {heartbeat}");
                return Err(ItemError::new(ErrorCode::INVALID_CONFIG, message));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Change;

    fn image(overrides: &[(&str, &str)]) -> MetaImage {
        let mut image = MetaImage::default();
        let overrides = overrides.iter().map(|&(name, value)| (name.to_owned(), value.to_owned()));
        image.set_group_overrides("g".to_owned(), overrides.collect());
        image
    }

    fn settings(image: &MetaImage, group: &str) -> ShareSettings {
        ShareSettings::of(image, NodeId(1), &Statics::new(), group)
    }

    #[test]
    fn a_group_has_its_own_settings_and_others_have_kafkas_defaults() {
        let image = image(&[
            ("share.record.lock.duration.ms", "20000"),
            ("share.delivery.count.limit", "3"),
            ("share.auto.offset.reset", "by_duration:PT1S"),
            ("share.isolation.level", "read_committed"),
            ("share.renew.acknowledge.enable", "false"),
        ]);
        let defaults = ShareSettings {
            session_timeout_ms: 45_000,
            heartbeat_interval_ms: 5_000,
            record_lock_duration_ms: 30_000,
            delivery_count_limit: 5,
            partition_max_record_locks: 2_000,
            auto_offset_reset: AutoOffsetReset::Latest,
            isolation: Isolation::ReadUncommitted,
            renew_acknowledge: true,
        };
        assert_eq!(settings(&image, "other"), defaults);
        let own = ShareSettings {
            record_lock_duration_ms: 20_000,
            delivery_count_limit: 3,
            auto_offset_reset: AutoOffsetReset::ByDuration { duration_ms: 1_000 },
            isolation: Isolation::ReadCommitted,
            renew_acknowledge: false,
            ..defaults
        };
        assert_eq!(settings(&image, "g"), own);
    }

    #[test]
    fn a_value_outside_bounds_that_came_later_is_held_within_them() {
        let image = image(&[("share.session.timeout.ms", "1"), ("share.heartbeat.interval.ms", "900000")]);
        let settings = settings(&image, "g");
        assert_eq!((settings.session_timeout_ms, settings.heartbeat_interval_ms), (45_000, 15_000));
    }

    #[test]
    fn a_change_must_keep_within_the_brokers_bounds() {
        let check = |name: &str, value: &str, statics: &[(&str, &str)]| {
            let statics = statics.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
            let change = Change::Replace(vec![(name.to_owned(), Some(value.to_owned()))]);
            let change = ConfigChange { resource: ConfigResource::Group("g".to_owned()), change };
            image(&[]).check_group_change(&change, NodeId(1), &statics).map_err(|error| error.code)
        };
        let refused = Err(ErrorCode::INVALID_CONFIG);
        assert_eq!(check("share.session.timeout.ms", "50000", &[]), Ok(()));
        assert_eq!(check("share.session.timeout.ms", "44999", &[]), refused);
        assert_eq!(check("share.session.timeout.ms", "60001", &[]), refused);
        assert_eq!(check("consumer.heartbeat.interval.ms", "4999", &[]), refused);
        assert_eq!(check("share.delivery.count.limit", "11", &[]), refused);
        assert_eq!(check("share.auto.offset.reset", "earliest", &[]), Ok(()));
        assert_eq!(check("share.auto.offset.reset", "none", &[]), refused);
        assert_eq!(check("retention.ms", "1", &[]), refused);
        let short = [("group.share.min.session.timeout.ms", "1")];
        assert_eq!(check("share.session.timeout.ms", "5000", &short), refused, "no longer than a heartbeat");
        assert_eq!(check("share.session.timeout.ms", "5001", &short), Ok(()));
    }
}
