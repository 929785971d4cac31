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

use chronik_coord::{Assignment, MetaImage, Topic, TopicConfig};
use chronik_log::LogConfig;
use chronik_replica::{
    CompactionRules, Host, Machine, MemberId, ReplicaError, ReplicaSpec, Standing, TopicSettings,
    WantedMember,
};
use chronik_wire::types::{PartitionIndex, PartitionKey, TopicId};

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
            if self.node.registered_by(image.offset) && done.found.take().is_some() {
                // From now on the image decides, also about what was opened by an older one.
                done.topics.clear();
                self.remove_unplaced(&image);
            }
            self.reconcile(&image, &mut done);
            self.repair_damage();
            if done.held_back.is_empty() {
                self.node.set_placed(self.shard, image.offset);
            }
            let changed = async {
                tokio::select! {
                    biased;
                    changed = images.changed() => changed.is_ok(),
                    // Another thread may have registered the node since it was asked above.
                    registered = self.node.registers_by(image.offset), if done.found.is_some() => registered,
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
        if self.shard == 0 && done.found.is_none() {
            self.want_quorum(image);
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
            if let Some(known) = known.filter(|_| done.found.is_none()) {
                self.leave_partitions(known, topic);
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

    /// Removes the replicas that were opened by an image of the past and are not here any more.
    fn remove_unplaced(&self, image: &MetaImage) {
        let own = self.node.config.node;
        let mut host = self.hosts.own().borrow_mut();
        for key in host.keys().filter(|key| *key != PartitionKey::META).collect::<Vec<_>>() {
            let member = image.assignment(key).and_then(|assignment| assignment.member(own));
            let generation = host.replica(key).map(|replica| replica.member().generation);
            if member.map(|member| member.generation) != generation {
                let topic = image.topic_by_id(key.topic).map_or("", |topic| &topic.name);
                self.remove_replica(&mut host, key, topic);
            }
        }
    }

    /// Says who shall belong to the metadata group.
    fn want_quorum(&self, image: &MetaImage) {
        let wanted = image.wanted_quorum(&self.node.config.voters);
        let named =
            |(member, votes): (chronik_coord::Member, bool)| WantedMember { id: id_of(&member), votes };
        let wanted = wanted.into_iter().map(named).collect();
        self.hosts.own().borrow_mut().want_members(PartitionKey::META, wanted);
    }

    /// Removes the replicas that have moved away from this node, or that are members no more.
    fn leave_partitions(&self, before: &Topic, now: &Topic) {
        let own = self.node.config.node;
        for (key, assignment) in self.own_partitions(before) {
            let stays = now.partition(key.partition).and_then(|now| now.member(own));
            if stays.map(id_of) != assignment.member(own).map(id_of) {
                self.remove_replica(&mut self.hosts.own().borrow_mut(), key, &now.name);
            }
        }
    }

    fn remove_replica(&self, host: &mut Host, key: PartitionKey, topic: &str) {
        self.group_seats.remove(key);
        self.transaction_seats.remove(key);
        self.share_seats.remove(key);
        match host.remove_replica(key, true) {
            // One that was never created leaves nothing behind.
            Ok(()) | Err(ReplicaError::NotHosted(_)) => {}
            Err(error) => {
                tracing::warn!(node = self.node.config.node.0, topic, partition = key.partition.0, %error,
                    "data of a partition that is not here any more is left behind");
            }
        }
    }

    /// Opens the topic's replicas of this shard, or tells them their settings and members. With `found` none is created
    /// whose directory is not in it, and none removed.
    fn place_topic(&self, image: &MetaImage, topic: &Topic, found: Option<&BTreeSet<String>>) -> Placement {
        let mut placement = Placement::Complete;
        let own = &self.node.config;
        let config = image.effective_topic_config(topic, own.node, &own.broker_config);
        let lag_max_ms = image.broker_settings(own.node, &own.broker_config).replica_lag_time_max_ms;
        let settings = topic_settings(&config, lag_max_ms);
        let log = Arc::new(log_config(&config));
        let directory = self.node.founding(|founding| founding.directory());
        let mut host = self.hosts.own().borrow_mut();
        for (key, assignment) in self.own_partitions(topic) {
            let Some(member) = assignment.member(own.node) else { continue };
            let known = host.replica(key).map(|replica| replica.member().generation);
            if known == Some(member.generation) {
                host.set_settings(key, settings.clone());
                host.set_log_config(key, Arc::clone(&log));
                if found.is_none() {
                    host.want_members(key, wanted(assignment));
                    if assignment.is_moving() {
                        host.expect_arrival(key);
                    }
                }
                continue;
            }
            let dir = directory_of(key, member.generation);
            if found.is_some_and(|found| known.is_some() || !found.contains(&dir)) {
                placement = Placement::HeldBack;
                continue;
            }
            if known.is_some() {
                self.remove_replica(&mut host, key, &topic.name);
            }
            let spec = ReplicaSpec {
                key,
                voters: assignment.founders.clone(),
                generation: member.generation,
                successor: None,
                // On another disk than the one it was placed on it has forgotten what it promised there.
                standing: Some(if directory == Some(member.directory) {
                    Standing::Voter
                } else {
                    Standing::Learner
                }),
                designated: assignment.designated,
                dir,
                log: Arc::clone(&log),
                settings: settings.clone(),
                machine: self.machine_for(topic, key),
            };
            if let Err(error) = host.create_replica(spec) {
                tracing::error!(node = self.node.config.node.0, topic = %topic.name, partition = key.partition.0, %error,
                    "replica cannot be opened; this node does not serve the partition");
                if error.is_damage() {
                    self.note_damage(key, member.generation);
                }
                if error.is_passing() && placement == Placement::Complete {
                    placement = Placement::TryAgain;
                }
            }
            if found.is_none() {
                host.want_members(key, wanted(assignment));
            }
        }
        placement
    }

    /// What sits on a partition of an internal topic.
    fn machine_for(&self, topic: &Topic, key: PartitionKey) -> Option<Box<dyn Machine>> {
        Some(match InternalTopic::by_name(&topic.name)? {
            InternalTopic::ConsumerOffsets => self.group_seats.seat(key),
            InternalTopic::TransactionState => self.transaction_seats.seat(key),
            InternalTopic::ShareGroupState => self.share_seats.seat(key),
        })
    }

    fn remove_topic(&self, topic: &Topic) {
        let mut host = self.hosts.own().borrow_mut();
        for (key, _) in self.own_partitions(topic) {
            self.remove_replica(&mut host, key, &topic.name);
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
    ) -> impl Iterator<Item = (PartitionKey, &'a Assignment)> {
        let config = &self.node.config;
        topic.keyed_partitions().filter(move |(key, assignment)| {
            assignment.replicas.contains(&config.node) && Hosts::shard_of(*key, config.shards) == self.shard
        })
    }
}

fn id_of(member: &chronik_coord::Member) -> MemberId {
    MemberId { node: member.node, generation: member.generation }
}

/// The members that a partition's group shall have. All of them vote.
fn wanted(assignment: &Assignment) -> Vec<WantedMember> {
    assignment.wanted().map(|member| WantedMember { id: id_of(member), votes: true }).collect()
}

/// Directories are named by topic id: a recreated topic never meets its predecessor's files. A replica that was added
/// later is named by its generation as well: it never meets the files of the one that was here before.
pub(crate) fn directory_of(key: PartitionKey, generation: u32) -> String {
    match generation {
        0 => format!("{}-{}", key.topic, key.partition),
        generation => format!("{}-{}-{generation}", key.topic, key.partition),
    }
}

/// The partition and the generation whose directory has this name; `None` for any other name.
pub(crate) fn partition_of(directory: &str) -> Option<(PartitionKey, u32)> {
    let (topic, rest) = directory.split_once('-')?;
    let (partition, generation) = rest.split_once('-').unwrap_or((rest, "0"));
    let topic = TopicId(u128::from_str_radix(topic, 16).ok()?);
    let key = PartitionKey::new(topic, PartitionIndex(partition.parse().ok()?));
    let generation = generation.parse().ok()?;
    (directory_of(key, generation) == directory).then_some((key, generation))
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
        compaction: config.cleanup.compact.then(|| CompactionRules {
            min_lag_ms: config.min_compaction_lag_ms,
            max_lag_ms: max_compaction_lag_ms(config),
            min_dirty_millionths: config.min_cleanable_dirty_millionths,
            delete_retention_ms: config.delete_retention_ms,
        }),
        ..TopicSettings::default()
    }
}

/// Kafka's largest number stands for "no such bound".
fn max_compaction_lag_ms(config: &TopicConfig) -> Option<u64> {
    Some(config.max_compaction_lag_ms).filter(|lag_ms| *lag_ms < i64::MAX as u64)
}

fn log_config(config: &TopicConfig) -> LogConfig {
    // Only closed segments are compacted: they close as early as the largest lag demands.
    let lag_ms = max_compaction_lag_ms(config).filter(|_| config.cleanup.compact);
    let segment_ms = u64::try_from(config.segment_ms).ok();
    LogConfig {
        segment_bytes: config.segment_bytes as u64,
        segment_ms: segment_ms.into_iter().chain(lag_ms).min(),
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
            for generation in [0, 1, u32::MAX] {
                assert_eq!(partition_of(&directory_of(key, generation)), Some((key, generation)));
            }
        }
        let other = directory_of(PartitionKey::META, 0).to_uppercase() + "-0";
        let zero = directory_of(PartitionKey::META, 0) + "-0";
        for name in [
            "",
            "-",
            zero.as_str(),
            "lost+found",
            "0-0",
            "01-0",
            other.as_str(),
            "+0000000000000000000000000000001-0",
        ] {
            assert_eq!(partition_of(name), None, "{name:?}");
        }
    }
}
