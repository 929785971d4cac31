//! Quotas of clients: how many bytes a second a client may produce and fetch at this node.
//!
//! Each client that a quota applies to has a bucket of bytes that fills at the quota's rate on the broker's clock and holds
//! what Kafka's window lets through at once. A request may overdraw it; then the answer names the time until it is even,
//! and nothing else is read from that connection before. Who a quota is for, and which of several counts, is Kafka's
//! rule. Nobody is authenticated, so that every client is the user `ANONYMOUS`.

use std::collections::BTreeMap;

use chronik_coord::{EntityKind, MetaImage, QuotaEntity};

use crate::config::BrokerConfig;
use crate::handlers::Context;
use crate::limits;

/// Who everybody is who has not been authenticated.
const ANONYMOUS: &str = "ANONYMOUS";

/// What is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Direction {
    /// Bytes of produce requests.
    Produce,
    /// Bytes of fetched records.
    Fetch,
}

impl Direction {
    fn quota(self) -> &'static str {
        match self {
            Direction::Produce => "producer_byte_rate",
            Direction::Fetch => "consumer_byte_rate",
        }
    }
}

/// Clients that share one bucket: those with the same user, client id or both, as far as the quota names them.
type BucketKey = (Direction, bool, Option<String>);

#[derive(Debug, Clone, Copy)]
struct Bucket {
    bytes: f64,
    filled_at_ms: i64,
}

/// The buckets of one node.
#[derive(Debug, Default)]
pub(crate) struct Buckets(BTreeMap<BucketKey, Bucket>);

/// A quota that applies to a request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Quota {
    key: BucketKey,
    bytes_per_s: f64,
    capacity: f64,
}

impl Quota {
    /// The quota of a client, if it has one. Kafka's order: the narrowest entity first, names before defaults.
    pub(crate) fn find(
        image: &MetaImage,
        config: &BrokerConfig,
        direction: Direction,
        client_id: &str,
    ) -> Option<Quota> {
        if image.quotas.is_empty() {
            return None;
        }
        let (users, clients) = ([Some(ANONYMOUS), None], [Some(client_id), None]);
        let by_user = users.iter().flat_map(|user| {
            let with_client = clients.iter().map(move |client| (Some(*user), Some(*client)));
            with_client.chain([(Some(*user), None)])
        });
        let by_client = clients.iter().map(|client| (None, Some(*client)));
        by_user.chain(by_client).find_map(|(user, client)| {
            let value = image.quotas.get(&entity(user, client))?.get(direction.quota())?;
            let window_s = window_s(image, config);
            let key = (direction, user.is_some(), client.map(|_| client_id.to_owned()));
            Some(Quota { key, bytes_per_s: value.get(), capacity: value.get() * window_s })
        })
    }

    /// The most that may be sent at once.
    pub(crate) fn room_bytes(&self) -> usize {
        self.capacity as usize
    }
}

fn entity(user: Option<Option<&str>>, client: Option<Option<&str>>) -> QuotaEntity {
    let parts = [(EntityKind::User, user), (EntityKind::ClientId, client)];
    parts.into_iter().filter_map(|(kind, name)| Some((kind, name?.map(str::to_owned)))).collect()
}

/// The time over which Kafka averages, in seconds: all its samples but the one that is being filled.
fn window_s(image: &MetaImage, config: &BrokerConfig) -> f64 {
    let number = |name| {
        let resolved = image.broker_config(name, config.node, &config.broker_config);
        resolved.and_then(|resolved| resolved.value?.parse::<f64>().ok()).unwrap_or(1.0)
    };
    (number("quota.window.num") - 1.0).max(1.0) * number("quota.window.size.seconds").max(1.0)
}

impl Buckets {
    /// Takes bytes out and returns how long the client must wait until its bucket is even, in milliseconds.
    pub(crate) fn charge(&mut self, quota: &Quota, bytes: usize, now_ms: i64) -> u64 {
        if self.0.len() >= limits::QUOTA_BUCKETS_MAX && !self.0.contains_key(&quota.key) {
            self.make_room();
        }
        let full = Bucket { bytes: quota.capacity, filled_at_ms: now_ms };
        let bucket = self.0.entry(quota.key.clone()).or_insert(full);
        let passed_s = now_ms.saturating_sub(bucket.filled_at_ms).max(0) as f64 / 1_000.0;
        bucket.bytes = (bucket.bytes + passed_s * quota.bytes_per_s).min(quota.capacity) - bytes as f64;
        bucket.filled_at_ms = now_ms;
        let owed_ms = (-bucket.bytes).max(0.0) / quota.bytes_per_s * 1_000.0;
        (owed_ms.ceil() as u64).min(limits::QUOTA_THROTTLE_MS_MAX)
    }

    /// Forgets the bucket that was used longest ago: it is the likeliest to be full again, as a new one is.
    fn make_room(&mut self) {
        let oldest = self.0.iter().min_by_key(|(_, bucket)| bucket.filled_at_ms).map(|(key, _)| key.clone());
        if let Some(oldest) = oldest {
            self.0.remove(&oldest);
        }
    }
}

impl Context {
    /// The quota that applies to this request. What another node passes on was counted there.
    pub(crate) fn quota(&self, direction: Direction) -> Option<Quota> {
        if self.connection.between_nodes {
            return None;
        }
        let client_id = self.client_id.as_deref().unwrap_or_default();
        Quota::find(&self.broker.node.image(), &self.broker.node.config, direction, client_id)
    }

    /// Counts bytes against a quota. Returns the time to name in the answer, and has the connection wait as long.
    pub(crate) fn charge(&self, quota: &Quota, bytes: usize) -> i32 {
        let world = &self.broker.world;
        let wait_ms = self.broker.node.buckets(|buckets| buckets.charge(quota, bytes, world.wall_ms()));
        if wait_ms > 0 {
            self.connection.mute_until(world.now_ms() + wait_ms);
        }
        i32::try_from(wait_ms).unwrap_or(i32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quota(client: &str, bytes_per_s: f64) -> Quota {
        let key = (Direction::Produce, false, Some(client.to_owned()));
        Quota { key, bytes_per_s, capacity: bytes_per_s * 10.0 }
    }

    #[test]
    fn a_bucket_lets_a_window_through_and_then_the_rate() {
        let mut buckets = Buckets::default();
        let quota = quota("a", 100.0);
        assert_eq!(buckets.charge(&quota, 1_000, 0), 0);
        assert_eq!(buckets.charge(&quota, 50, 0), 500, "half a second's worth is owed");
        assert_eq!(buckets.charge(&quota, 0, 300), 200);
        assert_eq!(buckets.charge(&quota, 100, 1_500), 0, "a second's worth came in");
        assert_eq!(buckets.charge(&quota, 1_000, 1_000_000), 0, "it never holds more than a window");
        assert_eq!(buckets.charge(&quota, 1, 1_000_000), 10);
        assert_eq!(buckets.charge(&quota, 0, 0), 10, "a clock that goes back gives nothing");
        assert_eq!(buckets.charge(&quota, usize::MAX, 0), limits::QUOTA_THROTTLE_MS_MAX);
    }

    #[test]
    fn buckets_are_bounded_and_the_longest_unused_goes() {
        let mut buckets = Buckets::default();
        for client in 0..=limits::QUOTA_BUCKETS_MAX {
            buckets.charge(&quota(&client.to_string(), 1.0), 20, client as i64);
        }
        assert_eq!(buckets.0.len(), limits::QUOTA_BUCKETS_MAX);
        assert!(!buckets.0.contains_key(&quota("0", 1.0).key));
    }
}
