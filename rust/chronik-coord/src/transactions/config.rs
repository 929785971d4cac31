//! What a coordinator of transactions is told by the broker's configuration.

use std::collections::BTreeMap;
use std::sync::Arc;

use chronik_wire::types::NodeId;

use super::limits;
use crate::image::MetaImage;

/// The configuration of a coordinator of transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransactionsConfig {
    /// The longest time a producer may ask for its transactions, in milliseconds: `transaction.max.timeout.ms`.
    pub timeout_ms_max: i32,
    /// How long an idle transactional id is remembered, in milliseconds: `transactional.id.expiration.ms`.
    pub id_expiration_ms: i64,
    /// How long an EndTxn waits for its markers before it is told to come again, in milliseconds.
    pub end_wait_ms_max: i64,
}

impl Default for TransactionsConfig {
    fn default() -> Self {
        TransactionsConfig {
            timeout_ms_max: 15 * 60 * 1_000,
            id_expiration_ms: 7 * 24 * 60 * 60 * 1_000,
            end_wait_ms_max: limits::END_WAIT_MS_MAX,
        }
    }
}

impl TransactionsConfig {
    /// What is in force at `node`, which was started with `statics`.
    pub fn from_image(
        image: &Arc<MetaImage>,
        node: NodeId,
        statics: &BTreeMap<String, String>,
    ) -> TransactionsConfig {
        // The catalogue has checked the values; what it cannot have let pass counts as the default.
        let number = |name: &str| -> Option<i32> {
            image.broker_config(name, node, statics)?.value?.trim().parse().ok()
        };
        let defaults = TransactionsConfig::default();
        TransactionsConfig {
            timeout_ms_max: number("transaction.max.timeout.ms").unwrap_or(defaults.timeout_ms_max),
            id_expiration_ms: number("transactional.id.expiration.ms")
                .map_or(defaults.id_expiration_ms, i64::from),
            ..defaults
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_kafkas_and_what_is_set_counts() {
        let image = Arc::new(MetaImage::default());
        let config = |statics| TransactionsConfig::from_image(&image, NodeId(1), &statics);
        assert_eq!(config(BTreeMap::new()), TransactionsConfig::default());
        let set = config(BTreeMap::from([
            ("transaction.max.timeout.ms".to_owned(), "5000".to_owned()),
            ("transactional.id.expiration.ms".to_owned(), "60000".to_owned()),
        ]));
        assert_eq!((set.timeout_ms_max, set.id_expiration_ms), (5_000, 60_000));
    }
}
