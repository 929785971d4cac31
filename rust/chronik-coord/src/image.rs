//! The metadata image: what every node knows about the cluster at one offset of `__meta`.
//!
//! Role: an immutable picture, handed out behind an `Arc`, cheap to keep and cheap to succeed (maps
//! and topics are shared with the next picture unless they changed). Owns the lookups. It does not
//! know who leads a partition, who is in sync or who is alive: that is each Raft group's and each
//! node's own knowledge.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use chronik_wire::types::{NodeId, Offset, PartitionIndex, PartitionKey, TopicId};

use crate::codec::coded_struct;
use crate::command::BrokerRegistration;

/// A registered broker.
pub type Broker = BrokerRegistration;

/// Where one partition lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// The nodes that hold a replica; the voters of the partition's Raft group.
    pub replicas: Vec<NodeId>,
    /// The replica that campaigns at once when the partition is first created.
    pub designated: NodeId,
}
coded_struct!(Assignment { replicas: Vec<NodeId>, designated: NodeId });

/// A topic. Immutable: a change makes a new one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    /// Its name.
    pub name: Arc<str>,
    /// Its identity. A recreated topic has another one.
    pub id: TopicId,
    /// Its partitions, by index.
    pub partitions: Vec<Assignment>,
    /// Configuration overrides.
    pub configs: BTreeMap<String, String>,
}
coded_struct!(Topic {
    name: Arc<str>,
    id: TopicId,
    partitions: Vec<Assignment>,
    configs: BTreeMap<String, String>,
});

impl Topic {
    /// The assignment of one partition.
    pub fn partition(&self, index: PartitionIndex) -> Option<&Assignment> {
        self.partitions.get(usize::try_from(index.0).ok()?)
    }

    /// The keys of all partitions with their assignments, by index.
    pub fn keyed_partitions(&self) -> impl Iterator<Item = (PartitionKey, &Assignment)> {
        (0..)
            .zip(&self.partitions)
            .map(|(index, assignment)| (PartitionKey::new(self.id, PartitionIndex(index)), assignment))
    }
}

/// The state of the cluster's metadata at one offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetaImage {
    /// The offset of the last command applied; [`Offset::UNKNOWN`] before the first.
    pub offset: Offset,
    /// The cluster's id, once it has one.
    pub cluster_id: Option<String>,
    /// The first producer id not yet handed out in a block.
    pub next_producer_id: i64,
    /// Registered brokers by id, alive or not.
    pub brokers: Arc<BTreeMap<NodeId, Arc<Broker>>>,
    by_name: Arc<BTreeMap<Arc<str>, Arc<Topic>>>,
    by_id: Arc<BTreeMap<TopicId, Arc<Topic>>>,
    broker_configs: Arc<BTreeMap<Option<NodeId>, BTreeMap<String, String>>>,
    partition_count: usize,
}

impl Default for MetaImage {
    fn default() -> Self {
        MetaImage {
            offset: Offset::UNKNOWN,
            cluster_id: None,
            next_producer_id: 0,
            brokers: Arc::default(),
            by_name: Arc::default(),
            by_id: Arc::default(),
            broker_configs: Arc::default(),
            partition_count: 0,
        }
    }
}

/// No overrides; what a resource without an entry has.
static NO_OVERRIDES: BTreeMap<String, String> = BTreeMap::new();

impl MetaImage {
    /// The topic of that name.
    pub fn topic(&self, name: &str) -> Option<&Arc<Topic>> {
        self.by_name.get(name)
    }

    /// The topic of that id.
    pub fn topic_by_id(&self, id: TopicId) -> Option<&Arc<Topic>> {
        self.by_id.get(&id)
    }

    /// All topics, by name.
    pub fn topics(&self) -> impl Iterator<Item = &Arc<Topic>> {
        self.by_name.values()
    }

    /// The topics from `name` on, that name included, by name.
    pub fn topics_from(&self, name: &str) -> impl Iterator<Item = &Arc<Topic>> {
        self.by_name.range::<str, _>((Bound::Included(name), Bound::Unbounded)).map(|(_, topic)| topic)
    }

    /// Number of topics.
    pub fn topic_count(&self) -> usize {
        self.by_name.len()
    }

    /// Number of partitions over all topics.
    pub fn partition_count(&self) -> usize {
        self.partition_count
    }

    /// Where a partition lives.
    pub fn assignment(&self, key: PartitionKey) -> Option<&Assignment> {
        self.topic_by_id(key.topic)?.partition(key.partition)
    }

    /// Every partition that `node` holds a replica of, by topic name and index.
    pub fn partitions_of(
        &self,
        node: NodeId,
    ) -> impl Iterator<Item = (PartitionKey, &Arc<Topic>, &Assignment)> {
        self.topics().flat_map(move |topic| {
            topic
                .keyed_partitions()
                .filter(move |(_, assignment)| assignment.replicas.contains(&node))
                .map(move |(key, assignment)| (key, topic, assignment))
        })
    }

    /// The configuration overrides of one broker, or with `None` the cluster-wide ones.
    pub fn broker_overrides(&self, node: Option<NodeId>) -> &BTreeMap<String, String> {
        self.broker_configs.get(&node).unwrap_or(&NO_OVERRIDES)
    }

    pub(crate) fn put_topic(&mut self, topic: Topic) {
        let topic = Arc::new(topic);
        self.partition_count += topic.partitions.len();
        let replaced = Arc::make_mut(&mut self.by_name).insert(topic.name.clone(), topic.clone());
        if let Some(old) = replaced {
            assert_eq!(old.id, topic.id, "a topic is replaced only by a newer state of itself");
            self.partition_count -= old.partitions.len();
        }
        Arc::make_mut(&mut self.by_id).insert(topic.id, topic);
        assert_eq!(self.by_name.len(), self.by_id.len(), "every topic has one name and one id");
    }

    pub(crate) fn remove_topic(&mut self, name: &str) -> Option<Arc<Topic>> {
        let topic = Arc::make_mut(&mut self.by_name).remove(name)?;
        Arc::make_mut(&mut self.by_id).remove(&topic.id);
        self.partition_count -= topic.partitions.len();
        assert_eq!(self.by_name.len(), self.by_id.len(), "every topic has one name and one id");
        Some(topic)
    }

    pub(crate) fn set_broker_overrides(&mut self, node: Option<NodeId>, configs: BTreeMap<String, String>) {
        let all = Arc::make_mut(&mut self.broker_configs);
        if configs.is_empty() {
            all.remove(&node);
        } else {
            all.insert(node, configs);
        }
    }

    pub(crate) fn broker_configs(&self) -> &BTreeMap<Option<NodeId>, BTreeMap<String, String>> {
        &self.broker_configs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(name: &str, id: u128, partitions: usize) -> Topic {
        let assignment = Assignment { replicas: vec![NodeId(1), NodeId(2)], designated: NodeId(1) };
        Topic {
            name: name.into(),
            id: TopicId(id),
            partitions: vec![assignment; partitions],
            configs: BTreeMap::new(),
        }
    }

    #[test]
    fn lookups_by_name_and_id_agree_and_counts_follow() {
        let mut image = MetaImage::default();
        image.put_topic(topic("b", 7, 3));
        image.put_topic(topic("a", 9, 1));
        assert_eq!(image.topic("b").map(|t| t.id), Some(TopicId(7)));
        assert_eq!(image.topic_by_id(TopicId(9)).map(|t| &*t.name), Some("a"));
        assert_eq!((image.topic_count(), image.partition_count()), (2, 4));
        assert_eq!(image.topics().map(|t| &*t.name).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(image.topics_from("aa").map(|t| &*t.name).collect::<Vec<_>>(), ["b"]);
        assert_eq!(image.partitions_of(NodeId(2)).count(), 4);
        assert_eq!(image.partitions_of(NodeId(3)).count(), 0);
        assert!(image.assignment(PartitionKey::new(TopicId(7), PartitionIndex(2))).is_some());
        assert!(image.assignment(PartitionKey::new(TopicId(7), PartitionIndex(3))).is_none());
        assert!(image.assignment(PartitionKey::new(TopicId(7), PartitionIndex(-1))).is_none());

        image.remove_topic("b");
        assert_eq!((image.topic_count(), image.partition_count()), (1, 1));
        assert!(image.topic_by_id(TopicId(7)).is_none());
    }

    #[test]
    fn a_kept_image_does_not_change_and_shares_what_stays() {
        let mut image = MetaImage::default();
        image.put_topic(topic("a", 1, 1));
        let kept = image.clone();
        image.put_topic(topic("b", 2, 1));
        assert_eq!(kept.topic_count(), 1);
        let (before, after) = (kept.topic("a").expect("a"), image.topic("a").expect("a"));
        assert!(Arc::ptr_eq(before, after), "an untouched topic is shared");
        assert!(Arc::ptr_eq(&kept.brokers, &image.brokers), "an untouched map is shared");
    }
}
