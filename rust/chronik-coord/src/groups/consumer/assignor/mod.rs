//! Server-side assignors: who shall have which partitions. Pure functions of subscriptions, topics and former targets,
//! blind to racks, as Kafka's are by default.

mod range;
mod uniform;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chronik_wire::types::TopicId;

use crate::groups::partitions::Partitions;

/// What an assignor goes by.
#[derive(Debug, Default)]
pub(crate) struct Wishes {
    /// The members, by id.
    pub(crate) members: BTreeMap<Arc<str>, Wish>,
    /// How many partitions each topic has that anybody wants.
    pub(crate) partition_counts: BTreeMap<TopicId, i32>,
}

/// What one member wants, and what it had.
#[derive(Debug, Default)]
pub(crate) struct Wish {
    /// Its static id.
    pub(crate) instance_id: Option<String>,
    /// The topics it wants.
    pub(crate) topics: BTreeSet<TopicId>,
    /// Its former target.
    pub(crate) former: Partitions,
}

/// What each member shall have. Every partition that somebody wants has exactly one owner.
pub(crate) type Targets = BTreeMap<Arc<str>, Partitions>;

/// The assignor of that name; `None` if there is no such assignor.
pub(crate) fn by_name(name: &str) -> Option<fn(&Wishes) -> Targets> {
    match name {
        "range" => Some(range::assign),
        "uniform" => Some(uniform::assign),
        _ => None,
    }
}

impl Wishes {
    /// The members that want a topic, by id.
    fn subscribers(&self, topic: TopicId) -> impl Iterator<Item = &Arc<str>> {
        self.members.iter().filter(move |(_, wish)| wish.topics.contains(&topic)).map(|(id, _)| id)
    }

    /// Whether all members want the same topics.
    fn is_homogeneous(&self) -> bool {
        let mut members = self.members.values();
        let first = members.next();
        members.all(|wish| Some(&wish.topics) == first.map(|first| &first.topics))
    }

    /// All partitions of all topics, in order.
    fn partitions(&self) -> impl Iterator<Item = (TopicId, i32)> + '_ {
        self.partition_counts
            .iter()
            .flat_map(|(topic, count)| (0..*count).map(move |partition| (*topic, partition)))
    }

    /// A former partition that the member may keep: it wants the topic and the topic has the partition.
    fn may_keep(&self, wish: &Wish, topic: TopicId, partition: i32) -> bool {
        let count = self.partition_counts.get(&topic).copied().unwrap_or(0);
        wish.topics.contains(&topic) && (0..count).contains(&partition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A member's id, the topics it wants and the partitions it had.
    type Row<'a> = (&'a str, &'a [u128], &'a [(u128, i32)]);

    pub(super) fn wishes(members: &[Row<'_>], counts: &[(u128, i32)]) -> Wishes {
        Wishes {
            members: members
                .iter()
                .map(|&(id, topics, former)| {
                    let wish = Wish {
                        instance_id: None,
                        topics: topics.iter().map(|topic| TopicId(*topic)).collect(),
                        former: former
                            .iter()
                            .map(|&(topic, partition)| (TopicId(topic), partition))
                            .collect(),
                    };
                    (Arc::from(id), wish)
                })
                .collect(),
            partition_counts: counts.iter().map(|&(topic, count)| (TopicId(topic), count)).collect(),
        }
    }

    fn any_wishes() -> impl Strategy<Value = Wishes> {
        let member = (
            proptest::collection::btree_set(0_u128..5, 0..5),
            proptest::collection::vec((0_u128..6, 0_i32..12), 0..12),
        );
        (proptest::collection::vec(member, 0..8), proptest::collection::vec(0_i32..10, 5)).prop_map(
            |(members, counts)| {
                let mut taken = BTreeSet::new();
                let members = members.into_iter().enumerate().map(|(index, (topics, former))| {
                    let former = former.into_iter().filter(|one| taken.insert(*one));
                    let wish = Wish {
                        instance_id: None,
                        topics: topics.into_iter().map(TopicId).collect(),
                        former: former.map(|(topic, partition)| (TopicId(topic), partition)).collect(),
                    };
                    (Arc::from(format!("m{index}")), wish)
                });
                Wishes {
                    members: members.collect(),
                    partition_counts: (0_u128..).map(TopicId).zip(counts).collect(),
                }
            },
        )
    }

    /// Every partition somebody wants has one owner, who wants it.
    fn check(wishes: &Wishes, targets: &Targets) {
        let mut owners: BTreeMap<(TopicId, i32), usize> = BTreeMap::new();
        assert_eq!(targets.keys().collect::<Vec<_>>(), wishes.members.keys().collect::<Vec<_>>());
        for (id, target) in targets {
            for (topic, partition) in target.iter() {
                assert!(wishes.may_keep(&wishes.members[id], topic, partition));
                *owners.entry((topic, partition)).or_default() += 1;
            }
        }
        for at in wishes.partitions() {
            let wanted = wishes.subscribers(at.0).next().is_some();
            assert_eq!(owners.get(&at).copied().unwrap_or(0), usize::from(wanted), "{at:?}");
        }
    }

    proptest! {
        #[test]
        fn every_partition_that_is_wanted_has_one_owner_who_wants_it(wishes in any_wishes()) {
            for name in ["range", "uniform"] {
                check(&wishes, &by_name(name).expect("known")(&wishes));
            }
        }

        #[test]
        fn uniform_cannot_be_improved_by_moving_one_partition_and_then_stays(mut wishes in any_wishes()) {
            let targets = uniform::assign(&wishes);
            for (id, target) in &targets {
                for (topic, _) in target.iter() {
                    for other in wishes.subscribers(topic) {
                        prop_assert!(target.len() <= targets[other].len() + 1, "{id} to {other}");
                    }
                }
            }
            for (id, wish) in &mut wishes.members {
                wish.former = targets[id].clone();
            }
            prop_assert_eq!(uniform::assign(&wishes), targets, "nothing moves without a reason");
        }
    }
}
