//! Quotas of clients: how many bytes a second a client may produce and fetch at this node, and how many partitions it may
//! create and delete.
//!
//! Each client that a quota applies to has a bucket that fills at the quota's rate on the broker's clock and holds
//! what Kafka's window lets through at once. A request may overdraw it; then the answer names the time until it is even,
//! and nothing else is read from that connection before. Clients that know the error are refused partitions until their
//! bucket is even (KIP-599). Who a quota is for, and which of several counts, is Kafka's
//! rule. Nobody is authenticated, so that every client is the user `ANONYMOUS`.

use std::collections::BTreeMap;

use chronik_coord::{EntityKind, ItemError, MetaImage, QuotaEntity};
use chronik_wire::error_code::ErrorCode;

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
    /// Partitions created and deleted.
    Mutation,
}

impl Direction {
    fn quota(self) -> &'static str {
        match self {
            Direction::Produce => "producer_byte_rate",
            Direction::Fetch => "consumer_byte_rate",
            Direction::Mutation => "controller_mutation_rate",
        }
    }

    /// The time whose worth is let through at once, in seconds. Kafka averages bytes over all its samples but the one that
    /// is being filled; partitions come out of a bucket that holds all samples.
    fn window_s(self, image: &MetaImage, config: &BrokerConfig) -> f64 {
        let number = |name, default| {
            let resolved = image.broker_config(name, config.node, &config.broker_config);
            resolved.and_then(|resolved| resolved.value?.parse::<f64>().ok()).unwrap_or(default)
        };
        match self {
            Direction::Produce | Direction::Fetch => {
                let samples = number("quota.window.num", 11.0) - 1.0;
                samples.max(1.0) * number("quota.window.size.seconds", 1.0).max(1.0)
            }
            Direction::Mutation => {
                let samples = number("controller.quota.window.num", 11.0);
                samples.max(1.0) * number("controller.quota.window.size.seconds", 1.0).max(1.0)
            }
        }
    }
}

/// Clients that share one bucket: those with the same user, client id or both, as far as the quota names them.
type BucketKey = (Direction, bool, Option<String>);

#[derive(Debug, Clone, Copy)]
struct Bucket {
    left: f64,
    filled_at_ms: i64,
}

/// The buckets of one node.
#[derive(Debug, Default)]
pub(crate) struct Buckets(BTreeMap<BucketKey, Bucket>);

/// A quota that applies to a request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Quota {
    key: BucketKey,
    per_s: f64,
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
            let window_s = direction.window_s(image, config);
            let key = (direction, user.is_some(), client.map(|_| client_id.to_owned()));
            Some(Quota { key, per_s: value.get(), capacity: value.get() * window_s })
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

impl Buckets {
    /// Takes bytes or partitions out and returns how long the client must wait until its bucket is even, in milliseconds.
    pub(crate) fn charge(&mut self, quota: &Quota, count: usize, now_ms: i64) -> u64 {
        if self.0.len() >= limits::QUOTA_BUCKETS_MAX && !self.0.contains_key(&quota.key) {
            self.make_room();
        }
        let full = Bucket { left: quota.capacity, filled_at_ms: now_ms };
        let bucket = self.0.entry(quota.key.clone()).or_insert(full);
        let passed_s = now_ms.saturating_sub(bucket.filled_at_ms).max(0) as f64 / 1_000.0;
        bucket.left = (bucket.left + passed_s * quota.per_s).min(quota.capacity) - count as f64;
        bucket.filled_at_ms = now_ms;
        let owed_ms = (-bucket.left).max(0.0) / quota.per_s * 1_000.0;
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

    /// Counts bytes or partitions against a quota. Returns the time to name in the answer, and has the connection wait as
    /// long.
    pub(crate) fn charge(&self, quota: &Quota, count: usize) -> i32 {
        let world = &self.broker.world;
        let wait_ms = self.broker.node.buckets(|buckets| buckets.charge(quota, count, world.wall_ms()));
        if wait_ms > 0 {
            self.connection.mute_until(world.now_ms() + wait_ms);
        }
        i32::try_from(wait_ms).unwrap_or(i32::MAX)
    }
}

/// The partitions that one request creates or deletes, against the quota of its client.
pub(crate) struct Mutations<'a> {
    context: &'a Context,
    quota: Option<Quota>,
    refuses: bool,
    throttle_time_ms: i32,
}

impl<'a> Mutations<'a> {
    /// For a request that knows the error from version `refused_from` on.
    pub(crate) fn of(context: &'a Context, refused_from: i16) -> Mutations<'a> {
        let quota = context.quota(Direction::Mutation);
        Mutations { context, quota, refuses: context.version >= refused_from, throttle_time_ms: 0 }
    }

    /// Counts the partitions of one topic.
    ///
    /// # Errors
    /// The client owes for what it did before, and its version knows to wait.
    pub(crate) fn admit(&mut self, partitions: usize) -> Result<(), ItemError> {
        let Some(quota) = &self.quota else { return Ok(()) };
        if self.refuses {
            let owed_ms = self.context.charge(quota, 0);
            if owed_ms > 0 {
                self.throttle_time_ms = owed_ms;
                let message =
                    format!("the quota for partitions created and deleted is used up for {owed_ms} ms");
                return Err(ItemError { code: ErrorCode::THROTTLING_QUOTA_EXCEEDED, message });
            }
            let world = &self.context.broker.world;
            self.context.broker.node.buckets(|buckets| buckets.charge(quota, partitions, world.wall_ms()));
        } else {
            self.throttle_time_ms = self.context.charge(quota, partitions);
        }
        Ok(())
    }

    /// What the answer tells the client to wait.
    pub(crate) fn throttle_time_ms(&self) -> i32 {
        self.throttle_time_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quota(client: &str, per_s: f64) -> Quota {
        let key = (Direction::Produce, false, Some(client.to_owned()));
        Quota { key, per_s, capacity: per_s * 10.0 }
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
