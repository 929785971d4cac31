//! Keeps this shard's replicas as the metadata says: creates, removes, passes on settings.
//!
//! Runs after every new image, on the shard that holds the replicas concerned. A replica exists before anybody can
//! learn from this node that its topic exists, except by asking faster than one turn; such early messages are
//! buffered by the host. A replica that could not be opened for want of descriptors or space is tried again; one
//! whose data is damaged is not.
//!
//! A node that starts sees the past first: its image may still hold topics that were deleted long ago. Until it is
//! certain that the image is of this start, only replicas whose data is on the disk are opened, and none is created: an
//! empty replica of a deleted topic would elect a leader with others of its kind.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use chronik_coord::{MetaImage, Topic, TopicConfig};
use chronik_log::LogConfig;
use chronik_replica::{Machine, ReplicaError, ReplicaSpec, TopicSettings};
use chronik_wire::types::{NodeId, Offset, PartitionIndex, PartitionKey, TopicId};

use crate::broker::Broker;
use crate::coordination::InternalTopic;
use crate::hosts::Hosts;
use crate::limits;
use crate::world::until;

/// What was done for each topic last time, to notice what has changed.
#[derive(Default)]
pub(crate) struct Reconciled {
    topics: BTreeMap<TopicId, Arc<Topic>>,
    /// What brokers were told at run time, for all and for this one: topics take their defaults from it.
    overrides: [BTreeMap<String, String>; 2],
    /// Topics with a replica here whose opening is worth another try.
    unopened: BTreeSet<TopicId>,
    /// Until the image is known to be of this start: the directories that the disk had at the start.
    found: Option<BTreeSet<String>>,
    /// Topics with a replica here that is not created before that.
    held_back: BTreeSet<TopicId>,
}

/// What became of a topic's replicas here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Placement {
    Complete,
    /// One could not be opened and is worth another try.
    TryAgain,
    /// One is not created yet, since the topic may be gone already.
    HeldBack,
}

impl Broker {
    /// Follows the image until the node stops.
    pub(crate) async fn reconcile_forever(self: Rc<Self>) {
        let mut images = self.node.seat.subscribe();
        let mut done = Reconciled { found: Some(self.found_directories()), ..Reconciled::default() };
        loop {
            let image = Arc::clone(&images.borrow_and_update());
            if self.node.registered_by(image.offset) {
                done.found = None;
            }
            self.reconcile(&image, &mut done);
            if done.held_back.is_empty() {
                self.node.set_placed(self.shard, image.offset);
            }
            let changed = async {
                if done.held_back.is_empty() || self.node.registered_by(Offset(i64::MAX)) {
                    return images.changed().await.is_ok();
                }
                tokio::select! {
                    biased;
                    changed = images.changed() => changed.is_ok(),
                    registered = self.node.registered_at() => registered.is_some(),
                }
            };
            let changed = if done.unopened.is_empty() {
                Some(changed.await)
            } else {
                until(&*self.world, self.world.now_ms() + limits::REOPEN_MS, changed).await
            };
            if changed == Some(false) {
                return;
            }
            let again = [std::mem::take(&mut done.unopened), std::mem::take(&mut done.held_back)];
            for id in again.into_iter().flatten() {
                done.topics.remove(&id);
            }
        }
    }

    fn found_directories(&self) -> BTreeSet<String> {
        let directories = self.hosts.own().borrow().directories().inspect_err(|error| {
            tracing::warn!(node = self.node.config.node.0, %error, "the disk's directories cannot be listed");
        });
        directories.unwrap_or_default().into_iter().collect()
    }

    fn reconcile(&self, image: &MetaImage, done: &mut Reconciled) {
        let gone: Vec<TopicId> =
            done.topics.keys().filter(|id| image.topic_by_id(**id).is_none()).copied().collect();
        for id in gone {
            if let Some(topic) = done.topics.remove(&id) {
                self.remove_topic(&topic);
            }
        }
        let node = self.node.config.node;
        let overrides = [None, Some(node)].map(|whose| image.broker_overrides(whose).clone());
        let same_defaults = done.overrides == overrides;
        done.overrides = overrides;
        for topic in image.topics() {
            let known = done.topics.get(&topic.id);
            if same_defaults && known.is_some_and(|known| Arc::ptr_eq(known, topic)) {
                continue;
            }
            match self.place_topic(image, topic, done.found.as_ref()) {
                Placement::Complete => {}
                Placement::TryAgain => {
                    done.unopened.insert(topic.id);
                }
                Placement::HeldBack => {
                    done.held_back.insert(topic.id);
                }
            }
            done.topics.insert(topic.id, Arc::clone(topic));
        }
    }

    /// Opens the topic's replicas of this shard, or tells them their settings. With `found` none is created whose
    /// directory is not in it.
    fn place_topic(&self, image: &MetaImage, topic: &Topic, found: Option<&BTreeSet<String>>) -> Placement {
        let mut placement = Placement::Complete;
        let own = &self.node.config;
        let config = image.effective_topic_config(topic, own.node, &own.broker_config);
        let lag_max_ms = image.broker_settings(own.node, &own.broker_config).replica_lag_time_max_ms;
        let settings = topic_settings(&config, lag_max_ms);
        let log = Arc::new(log_config(&config));
        let mut host = self.hosts.own().borrow_mut();
        for (key, replicas, designated) in self.own_partitions(topic) {
            if host.replica(key).is_some() {
                host.set_settings(key, settings.clone());
                host.set_log_config(key, Arc::clone(&log));
                continue;
            }
            let dir = directory_of(key);
            if found.is_some_and(|found| !found.contains(&dir)) {
                placement = Placement::HeldBack;
                continue;
            }
            let spec = ReplicaSpec {
                key,
                voters: replicas.to_vec(),
                generation: 0,
                successor: None,
                standing: None,
                designated,
                dir,
                log: Arc::clone(&log),
                settings: settings.clone(),
                machine: self.machine_for(topic, key),
            };
            if let Err(error) = host.create_replica(spec) {
                tracing::error!(node = self.node.config.node.0, topic = %topic.name, partition = key.partition.0, %error,
                    "replica cannot be opened; this node does not serve the partition");
                if error.is_passing() && placement == Placement::Complete {
                    placement = Placement::TryAgain;
                }
            }
        }
        placement
    }

    /// What sits on a partition of an internal topic.
    fn machine_for(&self, topic: &Topic, key: PartitionKey) -> Option<Box<dyn Machine>> {
        Some(match InternalTopic::by_name(&topic.name)? {
            InternalTopic::ConsumerOffsets => self.group_seats.seat(key),
            InternalTopic::TransactionState => self.transaction_seats.seat(key),
        })
    }

    fn remove_topic(&self, topic: &Topic) {
        let mut host = self.hosts.own().borrow_mut();
        for (key, ..) in self.own_partitions(topic) {
            self.group_seats.remove(key);
            self.transaction_seats.remove(key);
            let removed = host.remove_replica(key, true);
            // One that was never created leaves nothing behind.
            if let Err(error) = removed.or_else(|error| match error {
                ReplicaError::NotHosted(_) => Ok(()),
                error => Err(error),
            }) {
                tracing::warn!(node = self.node.config.node.0, topic = %topic.name, partition = key.partition.0, %error,
                    "data of a deleted partition is left behind");
            }
        }
        drop(host);
        self.node.view(|view| {
            for partition in 0..topic.partitions.len() {
                view.forget(PartitionKey::new(topic.id, PartitionIndex(partition as i32)));
            }
        });
    }

    /// The partitions of a topic that this shard of this node holds.
    fn own_partitions<'a>(
        &'a self,
        topic: &'a Topic,
    ) -> impl Iterator<Item = (PartitionKey, &'a [NodeId], NodeId)> {
        let config = &self.node.config;
        topic.partitions.iter().enumerate().filter_map(move |(partition, assignment)| {
            let key = PartitionKey::new(topic.id, PartitionIndex(partition as i32));
            let here = assignment.replicas.contains(&config.node)
                && Hosts::shard_of(key, config.shards) == self.shard;
            here.then_some((key, assignment.replicas.as_slice(), assignment.designated))
        })
    }
}

/// Directories are named by topic id: a recreated topic never meets its predecessor's files.
pub(crate) fn directory_of(key: PartitionKey) -> String {
    format!("{}-{}", key.topic, key.partition)
}

/// The partition whose directory has this name; `None` for any other name.
pub(crate) fn partition_of(directory: &str) -> Option<PartitionKey> {
    let (topic, partition) = directory.split_once('-')?;
    let topic = TopicId(u128::from_str_radix(topic, 16).ok()?);
    let key = PartitionKey::new(topic, PartitionIndex(partition.parse().ok()?));
    (directory_of(key) == directory).then_some(key)
}

fn topic_settings(config: &TopicConfig, replica_lag_max_ms: u64) -> TopicSettings {
    // Without the delete policy nothing is dropped for its age or size.
    let bound = |limit: Option<i64>| {
        limit.filter(|_| config.cleanup.delete).and_then(|limit| u64::try_from(limit).ok())
    };
    TopicSettings {
        min_insync_replicas: config.min_insync_replicas,
        replica_lag_max_ms,
        retention_ms: bound(config.retention_ms),
        retention_bytes: bound(config.retention_bytes),
        ..TopicSettings::default()
    }
}

fn log_config(config: &TopicConfig) -> LogConfig {
    LogConfig {
        segment_bytes: config.segment_bytes as u64,
        segment_ms: u64::try_from(config.segment_ms).ok(),
        index_interval_bytes: u32::try_from(config.index_interval_bytes).unwrap_or(u32::MAX),
        ..LogConfig::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_name_their_partitions_and_no_other_name_is_taken_for_one() {
        for key in [PartitionKey::META, PartitionKey::new(TopicId(u128::MAX), PartitionIndex(12))] {
            assert_eq!(partition_of(&directory_of(key)), Some(key));
        }
        let other = directory_of(PartitionKey::META).to_uppercase() + "-0";
        for name in
            ["", "-", "lost+found", "0-0", "01-0", other.as_str(), "+0000000000000000000000000000001-0"]
        {
            assert_eq!(partition_of(name), None, "{name:?}");
        }
    }
}
