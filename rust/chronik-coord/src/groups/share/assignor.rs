//! The assignor of share groups, which Kafka calls "simple": who shall read which partitions. Several members may read
//! one.
//!
//! Behaviour: members divide the partitions evenly. With more members than partitions each partition is shared by as many as
//! it takes for everybody to have one. Who has a partition keeps it if that is no worse than anything else. If not all
//! members want the same topics, each topic is divided for itself among those who want it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chronik_wire::types::TopicId;

use crate::groups::partitions::Partitions;

/// Kafka's name of it.
pub(crate) const NAME: &str = "simple";

/// What one member wants, and what it had.
#[derive(Debug, Default)]
pub(crate) struct Wish {
    /// The topics it wants.
    pub(crate) topics: BTreeSet<TopicId>,
    /// Its former target.
    pub(crate) former: Partitions,
}

/// What each member shall have, out of the partitions there are.
pub(crate) fn assign(
    wishes: &BTreeMap<Arc<str>, Wish>,
    assignable: &Partitions,
) -> BTreeMap<Arc<str>, Partitions> {
    let mut targets: BTreeMap<Arc<str>, Partitions> =
        wishes.keys().map(|id| (id.clone(), Partitions::default())).collect();
    let subscriptions: BTreeSet<&BTreeSet<TopicId>> = wishes.values().map(|wish| &wish.topics).collect();
    let lots: Vec<Partitions> = if subscriptions.len() <= 1 {
        let wanted = |topic: TopicId| subscriptions.iter().all(|topics| topics.contains(&topic));
        vec![assignable.filtered(|topic, _| wanted(topic))]
    } else {
        let of_topic = |(topic, partitions): (TopicId, &BTreeSet<i32>)| {
            partitions.iter().map(|partition| (topic, *partition)).collect()
        };
        assignable.topics().map(of_topic).collect()
    };
    for lot in lots.iter().filter(|lot| !lot.is_empty()) {
        let wants = |wish: &Wish| lot.topics().all(|(topic, _)| wish.topics.contains(&topic));
        let members: Vec<_> =
            wishes.iter().filter(|(_, wish)| wants(wish)).map(|(id, wish)| (id, &wish.former)).collect();
        for (id, share) in divide(&members, lot) {
            let target = targets.entry(id).or_default();
            *target = target.union(&share);
        }
    }
    targets
}

/// Divides partitions among members who want all of them.
fn divide(members: &[(&Arc<str>, &Partitions)], wanted: &Partitions) -> BTreeMap<Arc<str>, Partitions> {
    let (member_count, partition_count) = (members.len(), wanted.len());
    if member_count == 0 || partition_count == 0 {
        return BTreeMap::new();
    }
    let sharing = member_count.div_ceil(partition_count);
    let places = sharing * partition_count;
    let quota = |at: usize| (places * (at + 1)).div_ceil(member_count) - (places * at).div_ceil(member_count);
    // How many have each partition, the least shared first.
    let mut readers: BTreeMap<(TopicId, i32), usize> = wanted.iter().map(|at| (at, 0)).collect();
    let mut kept: Vec<Partitions> = Vec::with_capacity(member_count);
    for (at, (_, former)) in members.iter().enumerate() {
        let mut keeps = Partitions::default();
        for place in former.iter() {
            if let Some(count) = readers.get_mut(&place).filter(|count| **count < sharing)
                && keeps.len() < quota(at)
            {
                *count += 1;
                keeps.insert(place.0, place.1);
            }
        }
        kept.push(keeps);
    }
    let mut least: BTreeSet<(usize, TopicId, i32)> = readers
        .into_iter()
        .map(|((topic, partition), count)| (count, topic, partition))
        .filter(|(count, _, _)| *count < sharing)
        .collect();
    let mut targets = BTreeMap::new();
    for (at, ((id, _), mut target)) in members.iter().zip(kept).enumerate() {
        while target.len() < quota(at) {
            let next = least.iter().find(|(_, topic, partition)| !target.contains(*topic, *partition));
            // What is left over it has already.
            let Some(next @ (count, topic, partition)) = next.copied() else { break };
            least.remove(&next);
            if count + 1 < sharing {
                least.insert((count + 1, topic, partition));
            }
            target.insert(topic, partition);
        }
        targets.insert((*id).clone(), target);
    }
    targets
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wish(topics: &[u128], former: &[(u128, i32)]) -> Wish {
        Wish {
            topics: topics.iter().map(|topic| TopicId(*topic)).collect(),
            former: former.iter().map(|&(topic, partition)| (TopicId(topic), partition)).collect(),
        }
    }

    fn partitions(list: &[(u128, i32)]) -> Partitions {
        list.iter().map(|&(topic, partition)| (TopicId(topic), partition)).collect()
    }

    fn lengths(wishes: &[(&str, Wish)], assignable: &Partitions) -> Vec<usize> {
        let wishes: BTreeMap<Arc<str>, Wish> = wishes
            .iter()
            .map(|(id, wish)| {
                let wish = Wish { topics: wish.topics.clone(), former: wish.former.clone() };
                (Arc::from(*id), wish)
            })
            .collect();
        assign(&wishes, assignable).values().map(Partitions::len).collect()
    }

    #[test]
    fn few_members_divide_and_many_share() {
        let three = partitions(&[(1, 0), (1, 1), (1, 2)]);
        assert_eq!(lengths(&[("a", wish(&[1], &[]))], &three), [3]);
        assert_eq!(lengths(&[("a", wish(&[1], &[])), ("b", wish(&[1], &[]))], &three), [2, 1]);
        let one = partitions(&[(1, 0)]);
        assert_eq!(lengths(&[("a", wish(&[1], &[])), ("b", wish(&[1], &[]))], &one), [1, 1]);
        assert_eq!(lengths(&[("a", wish(&[2], &[])), ("b", wish(&[1, 2], &[]))], &one), [0, 1]);
        let both = partitions(&[(1, 0), (1, 1), (2, 0), (2, 1)]);
        assert_eq!(lengths(&[("a", wish(&[1], &[])), ("b", wish(&[1, 2], &[]))], &both), [1, 3]);
    }

    proptest! {
        #[test]
        fn everybody_has_something_everything_has_somebody_and_nothing_moves_without_a_reason(
            members in proptest::collection::vec(
                (proptest::collection::btree_set(0_u128..4, 0..4),
                 proptest::collection::vec((0_u128..5, 0_i32..6), 0..12)),
                0..9,
            ),
            counts in proptest::collection::vec(0_i32..6, 4),
        ) {
            let assignable: Partitions = (0_u128..)
                .zip(&counts)
                .flat_map(|(topic, count)| (0..*count).map(move |partition| (TopicId(topic), partition)))
                .collect();
            let mut wishes: BTreeMap<Arc<str>, Wish> = BTreeMap::new();
            for (at, (topics, former)) in members.iter().enumerate() {
                let topics: Vec<u128> = topics.iter().copied().collect();
                wishes.insert(Arc::from(format!("m{at}")), wish(&topics, former));
            }
            let targets = assign(&wishes, &assignable);
            prop_assert_eq!(targets.len(), wishes.len());
            for (id, wish) in &wishes {
                let wanted = assignable.filtered(|topic, _| wish.topics.contains(&topic));
                prop_assert!(targets[id].is_subset(&wanted));
                prop_assert!(wanted.is_empty() || !targets[id].is_empty(), "{} has nothing", id);
                for (topic, partition) in wanted.iter() {
                    let read = targets.values().any(|target| target.contains(topic, partition));
                    prop_assert!(read, "nobody reads {:?}-{}", topic, partition);
                }
            }
            for (id, wish) in &mut wishes {
                wish.former = targets[id].clone();
            }
            prop_assert_eq!(assign(&wishes, &assignable), targets);
        }
    }
}
