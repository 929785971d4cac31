//! The rules of a share group, as they are configured now.

use chronik_coord::config_catalogue::AutoOffsetReset;
use chronik_coord::groups::{Isolation, ShareSettings};
use chronik_coord::share::DeliveryRules;

use crate::broker::Broker;

/// What a group's configuration says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ShareRules {
    /// How records are handed out.
    pub(crate) delivery: DeliveryRules,
    /// Whether only committed records are.
    pub(crate) committed_only: bool,
    /// Where the group begins in a partition that it has never read.
    pub(crate) beginning: AutoOffsetReset,
    /// Whether members may renew their locks.
    pub(crate) may_renew: bool,
}

impl Broker {
    /// The rules of a group.
    pub(crate) fn share_rules(&self, group: &str) -> ShareRules {
        let config = &self.node.config;
        let settings = ShareSettings::of(&self.node.image(), config.node, &config.broker_config, group);
        ShareRules {
            delivery: DeliveryRules {
                lock_duration_ms: settings.record_lock_duration_ms,
                delivery_count_max: settings.delivery_count_limit,
                records_under_way_max: i64::try_from(settings.partition_max_record_locks).unwrap_or(i64::MAX),
            },
            committed_only: settings.isolation == Isolation::ReadCommitted,
            beginning: settings.auto_offset_reset,
            may_renew: settings.renew_acknowledge,
        }
    }
}
