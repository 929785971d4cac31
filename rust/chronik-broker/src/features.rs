//! The features of Kafka's protocol that this broker has. Each exists at one level: what a level stands for either works or
//! is not there, so that none can be raised or lowered.

use crate::dispatch::serves;
use chronik_wire::api::ApiKey;

/// A feature with its one level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Feature {
    /// Kafka's name.
    pub(crate) name: &'static str,
    /// The level it has.
    pub(crate) level: i16,
}

/// `metadata.version` of Kafka 4.3, whose version ranges are offered.
const METADATA: Feature = Feature { name: "metadata.version", level: 30 };
/// The newer group protocol (KIP-848).
const GROUP: Feature = Feature { name: "group.version", level: 1 };
/// The end of a transaction raises the producer's epoch (KIP-890).
const TRANSACTION: Feature = Feature { name: "transaction.version", level: 2 };

/// Groups that share partitions (KIP-932).
const SHARE: Feature = Feature { name: "share.version", level: 1 };

/// The features there are, by name.
pub(crate) fn features() -> impl Iterator<Item = Feature> {
    let of_an_api = [
        (GROUP, ApiKey::ConsumerGroupHeartbeat),
        (SHARE, ApiKey::ShareGroupHeartbeat),
        (TRANSACTION, ApiKey::EndTxn),
    ];
    let served = of_an_api.into_iter().filter(|(_, api)| serves(*api)).map(|(feature, _)| feature);
    let (before, after): (Vec<_>, Vec<_>) = served.partition(|feature| feature.name < METADATA.name);
    before.into_iter().chain([METADATA]).chain(after)
}
