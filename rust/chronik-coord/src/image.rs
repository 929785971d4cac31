//! The metadata image: what every node knows about the cluster at one offset of `__meta`.
//!
//! Role: an immutable picture, handed out behind an `Arc`, cheap to keep and cheap to succeed (maps
//! and topics are shared with the next picture unless they changed). Owns the lookups. It does not
//! know who leads a partition, who is in sync or who is alive: that is each Raft group's and each
//! node's own knowledge.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use chronik_wire::types::{DirectoryId, NodeId, Offset, PartitionIndex, PartitionKey, TopicId};

use crate::assignment::{Assignment, Member};
use crate::codec::coded_struct;
use crate::command::{Acl, BrokerRegistration, QuotaEntity, QuotaValue};
use crate::limits;
use crate::quorum::{self, Seat, metadata_generation};

/// A registered broker.
pub type Broker = BrokerRegistration;

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
    group_configs: Arc<BTreeMap<String, BTreeMap<String, String>>>,
    /// Who belongs to the metadata group, by broker.
    quorum: Arc<BTreeMap<NodeId, Seat>>,
    /// Brokers that are being emptied.
    draining: Arc<BTreeSet<NodeId>>,
    /// Quotas of clients, by whom they are for.
    pub quotas: Arc<BTreeMap<QuotaEntity, BTreeMap<String, QuotaValue>>>,
    /// Access control entries.
    pub acls: Arc<BTreeSet<Acl>>,
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
            group_configs: Arc::default(),
            quorum: Arc::default(),
            draining: Arc::default(),
            quotas: Arc::default(),
            acls: Arc::default(),
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

    /// Whether both images have the very same topics. May say no where nothing of meaning differs.
    pub(crate) fn shares_topics_with(&self, other: &MetaImage) -> bool {
        Arc::ptr_eq(&self.by_id, &other.by_id)
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

    /// The configuration overrides of one group.
    pub fn group_overrides(&self, group: &str) -> &BTreeMap<String, String> {
        self.group_configs.get(group).unwrap_or(&NO_OVERRIDES)
    }

    /// The groups that have configuration overrides, by name.
    pub fn configured_groups(&self) -> impl ExactSizeIterator<Item = &str> {
        self.group_configs.keys().map(String::as_str)
    }

    /// Whether a broker is being emptied: it gets no new replica.
    pub fn is_draining(&self, node: NodeId) -> bool {
        self.draining.contains(&node)
    }

    /// The members that the metadata group shall consist of, and whether each has a vote. `founders` are the nodes that
    /// the cluster was founded with; they count before they have registered.
    pub fn wanted_quorum(&self, founders: &[NodeId]) -> Vec<(Member, bool)> {
        quorum::wanted(&self.quorum, founders, |node| self.partitions_of(node).next().is_some())
    }

    /// The member of the metadata group that a broker was admitted as; `None` if it leaves or never registered.
    pub fn quorum_member(&self, node: NodeId) -> Option<Member> {
        self.quorum.get(&node).filter(|seat| !seat.leaves).map(|seat| seat.member)
    }

    /// Whether a node has left the cluster for good. A founder is missed by nobody then, while one that has not registered
    /// yet is.
    pub fn has_left(&self, node: NodeId) -> bool {
        self.quorum.get(&node).is_some_and(|seat| seat.leaves) && !self.brokers.contains_key(&node)
    }

    /// Whether a node has left the cluster, and this was its disk.
    pub(crate) fn has_left_with(&self, node: NodeId, directory: DirectoryId) -> bool {
        self.has_left(node) && self.quorum.get(&node).is_some_and(|seat| seat.member.directory == directory)
    }

    /// Whether a broker is registered with the disk that the cluster counts on: it was founded with it, took it in when
    /// the broker came, or has admitted it since.
    pub fn has_vote(&self, node: NodeId) -> bool {
        let admitted = self.quorum_member(node).map(|member| member.directory);
        self.brokers.get(&node).is_some_and(|broker| Some(broker.directory) == admitted)
    }

    /// A broker registered: the first time, or after it left, it gets its place in the metadata group.
    pub(crate) fn join_quorum(&mut self, broker: &Broker) {
        if self.quorum_member(broker.id).is_none() && !self.is_draining(broker.id) {
            self.seat(broker, broker.votes);
        }
    }

    /// The disk a broker is registered with takes the place of the one it was admitted with.
    pub(crate) fn readmit_to_quorum(&mut self, node: NodeId) {
        let Some(broker) = self.brokers.get(&node).cloned() else { return };
        let known = self.quorum_member(node).map(|member| member.directory);
        if known != Some(broker.directory) && !self.is_draining(node) {
            self.seat(&broker, broker.votes);
        }
    }

    fn seat(&mut self, broker: &Broker, founder: bool) {
        let generation = if founder { 0 } else { metadata_generation(broker.directory) };
        let member = Member { node: broker.id, generation, directory: broker.directory };
        Arc::make_mut(&mut self.quorum).insert(broker.id, Seat { member, leaves: false });
    }

    /// A broker is to leave the metadata group. It stays on record as having left: without a record a founder would count
    /// as one that has not registered yet, whatever disk it was on in the end.
    pub(crate) fn leave_quorum(&mut self, node: NodeId) {
        if let Some(seat) = Arc::make_mut(&mut self.quorum).get_mut(&node) {
            seat.leaves = true;
        }
    }

    pub(crate) fn set_draining(&mut self, node: NodeId) {
        self.leave_quorum(node);
        Arc::make_mut(&mut self.draining).insert(node);
    }

    /// A broker is gone. The disk it had in the end is the one it does not come back on.
    pub(crate) fn remember_left(&mut self, broker: &Broker) {
        Arc::make_mut(&mut self.draining).remove(&broker.id);
        if let Some(seat) = Arc::make_mut(&mut self.quorum).get_mut(&broker.id) {
            seat.leaves = true;
            seat.member.directory = broker.directory;
        }
        let left =
            || self.quorum.values().map(|seat| seat.member).filter(|member| self.has_left(member.node));
        if left().count() > limits::LEFT_BROKERS_MAX {
            // Founders that kept their disks are never forgotten, and they come first mostly.
            let forgotten = left().rfind(|member| member.generation != 0);
            forgotten.map(|member| Arc::make_mut(&mut self.quorum).remove(&member.node));
        }
    }

    pub(crate) fn seats(&self) -> &BTreeMap<NodeId, Seat> {
        &self.quorum
    }

    pub(crate) fn draining(&self) -> &BTreeSet<NodeId> {
        &self.draining
    }

    pub(crate) fn restore_seats(&mut self, seats: BTreeMap<NodeId, Seat>, draining: BTreeSet<NodeId>) {
        (self.quorum, self.draining) = (Arc::new(seats), Arc::new(draining));
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

    pub(crate) fn set_group_overrides(&mut self, group: String, configs: BTreeMap<String, String>) {
        let all = Arc::make_mut(&mut self.group_configs);
        if configs.is_empty() {
            all.remove(&group);
        } else {
            all.insert(group, configs);
        }
    }

    pub(crate) fn set_quotas(&mut self, entity: QuotaEntity, quotas: BTreeMap<String, QuotaValue>) {
        let all = Arc::make_mut(&mut self.quotas);
        if quotas.is_empty() {
            all.remove(&entity);
        } else {
            all.insert(entity, quotas);
        }
    }

    pub(crate) fn group_configs(&self) -> &BTreeMap<String, BTreeMap<String, String>> {
        &self.group_configs
    }

    pub(crate) fn broker_configs(&self) -> &BTreeMap<Option<NodeId>, BTreeMap<String, String>> {
        &self.broker_configs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(name: &str, id: u128, partitions: usize) -> Topic {
        let assignment = Assignment::founded(vec![NodeId(1), NodeId(2)], &BTreeMap::new());
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
