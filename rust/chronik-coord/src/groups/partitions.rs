//! Sets of partitions by topic id, as assignments need them.

use std::collections::{BTreeMap, BTreeSet};

use chronik_wire::messages::group_records::AssignedTopicPartitions;
use chronik_wire::types::TopicId;

/// Partitions by topic. No topic has an empty set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Partitions(BTreeMap<TopicId, BTreeSet<i32>>);

impl Partitions {
    /// The set that a record or a request lists.
    pub(crate) fn from_lists<'a>(lists: impl IntoIterator<Item = (TopicId, &'a [i32])>) -> Partitions {
        let mut partitions = Partitions::default();
        for (topic, list) in lists {
            for partition in list {
                partitions.insert(topic, *partition);
            }
        }
        partitions
    }

    /// The set that a record lists.
    pub(crate) fn from_record(lists: &[AssignedTopicPartitions]) -> Partitions {
        Partitions::from_lists(lists.iter().map(|list| (list.topic_id, list.partitions.as_slice())))
    }

    /// The set as a record lists it: in order, so that equal sets have equal bytes.
    pub(crate) fn to_record(&self) -> Vec<AssignedTopicPartitions> {
        let list = |(topic_id, partitions): (&TopicId, &BTreeSet<i32>)| AssignedTopicPartitions {
            topic_id: *topic_id,
            partitions: partitions.iter().copied().collect(),
        };
        self.0.iter().map(list).collect()
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.values().map(BTreeSet::len).sum()
    }

    /// Whether this one is among them.
    pub(crate) fn contains(&self, topic: TopicId, partition: i32) -> bool {
        self.0.get(&topic).is_some_and(|partitions| partitions.contains(&partition))
    }

    /// Adds one.
    pub(crate) fn insert(&mut self, topic: TopicId, partition: i32) {
        self.0.entry(topic).or_default().insert(partition);
    }

    /// All of them, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (TopicId, i32)> + '_ {
        self.0.iter().flat_map(|(topic, partitions)| partitions.iter().map(|partition| (*topic, *partition)))
    }

    /// By topic.
    pub(crate) fn topics(&self) -> impl Iterator<Item = (TopicId, &BTreeSet<i32>)> + '_ {
        self.0.iter().map(|(topic, partitions)| (*topic, partitions))
    }

    /// Those that satisfy a condition.
    pub(crate) fn filtered(&self, mut keep: impl FnMut(TopicId, i32) -> bool) -> Partitions {
        self.iter().filter(|(topic, partition)| keep(*topic, *partition)).collect()
    }

    /// Those of both sets.
    pub(crate) fn union(&self, other: &Partitions) -> Partitions {
        self.iter().chain(other.iter()).collect()
    }

    /// Whether some partition is in both sets.
    pub(crate) fn intersects(&self, other: &Partitions) -> bool {
        self.iter().any(|(topic, partition)| other.contains(topic, partition))
    }

    /// Whether every partition of this set is in the other.
    pub(crate) fn is_subset(&self, other: &Partitions) -> bool {
        self.iter().all(|(topic, partition)| other.contains(topic, partition))
    }
}

impl FromIterator<(TopicId, i32)> for Partitions {
    fn from_iter<I: IntoIterator<Item = (TopicId, i32)>>(partitions: I) -> Self {
        let mut set = Partitions::default();
        for (topic, partition) in partitions {
            set.insert(topic, partition);
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_compare_and_combine() {
        let (a, b) = (TopicId(1), TopicId(2));
        let left: Partitions = [(b, 1), (a, 0), (a, 2)].into_iter().collect();
        let right: Partitions = [(a, 2)].into_iter().collect();
        assert_eq!(left.len(), 3);
        assert!(right.is_subset(&left) && !left.is_subset(&right) && left.intersects(&right));
        let others = left.filtered(|topic, partition| !right.contains(topic, partition));
        assert!(!others.intersects(&right));
        assert_eq!(others.union(&right), left);
        assert_eq!(Partitions::from_record(&left.to_record()), left);
        assert!(Partitions::from_lists([(a, &[][..])]).is_empty(), "a topic without partitions is none");
    }
}
