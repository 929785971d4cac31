//! `uniform`: members get equally many partitions, as far as their subscriptions allow, and keep what they had as far as
//! that allows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chronik_wire::types::TopicId;

use super::{Targets, Wishes};
use crate::groups::partitions::Partitions;

/// Rounds over all topics in search of something to move. Each move evens two members out, so that a handful will do;
/// what is left after so many is balanced well enough.
const ROUNDS_MAX: usize = 64;

/// Assigns evenly.
pub(super) fn assign(wishes: &Wishes) -> Targets {
    let mut targets = kept(wishes);
    if wishes.is_homogeneous() {
        cut_to_quota(wishes, &mut targets);
    }
    hand_out(wishes, &mut targets);
    if !wishes.is_homogeneous() {
        even_out(wishes, &mut targets);
    }
    targets
}

/// What each member may keep of its former target. A partition that two had is the first one's.
fn kept(wishes: &Wishes) -> Targets {
    let mut taken = BTreeSet::new();
    let mut targets = Targets::new();
    for (id, wish) in &wishes.members {
        let keep = wish.former.filtered(|topic, partition| {
            wishes.may_keep(wish, topic, partition) && taken.insert((topic, partition))
        });
        targets.insert(id.clone(), keep);
    }
    targets
}

/// Takes from members what they have above their fair share. As many as the division leaves over may keep one more.
fn cut_to_quota(wishes: &Wishes, targets: &mut Targets) {
    let wanted = wishes.members.values().next().is_some_and(|wish| !wish.topics.is_empty());
    if !wanted {
        return;
    }
    let topics = wishes.members.values().next().map(|wish| &wish.topics);
    let total =
        wishes.partitions().filter(|(topic, _)| topics.is_some_and(|topics| topics.contains(topic))).count();
    let quota = total / wishes.members.len();
    let mut extra = total % wishes.members.len();
    for target in targets.values_mut() {
        let mut room = quota;
        if target.len() > quota && extra > 0 {
            extra -= 1;
            room += 1;
        }
        *target = target.iter().take(room).collect();
    }
}

/// Gives every partition that nobody has to the subscriber with the fewest, rare topics first.
fn hand_out(wishes: &Wishes, targets: &mut Targets) {
    let mut taken: BTreeSet<(TopicId, i32)> = BTreeSet::new();
    for target in targets.values() {
        taken.extend(target.iter());
    }
    let mut topics: Vec<(usize, TopicId)> = wishes
        .partition_counts
        .keys()
        .map(|topic| (wishes.subscribers(*topic).count(), *topic))
        .filter(|(subscribers, _)| *subscribers > 0)
        .collect();
    topics.sort();
    for (_, topic) in topics {
        let mut by_load = loads(wishes, targets, topic);
        let count = wishes.partition_counts.get(&topic).copied().unwrap_or(0);
        for partition in (0..count).filter(|partition| !taken.contains(&(topic, *partition))) {
            let Some((load, id)) = by_load.pop_first() else { break };
            if let Some(target) = targets.get_mut(&id) {
                target.insert(topic, partition);
            }
            by_load.insert((load + 1, id));
        }
    }
}

/// Moves partitions from members with many to subscribers with few, until nothing can be gained.
fn even_out(wishes: &Wishes, targets: &mut Targets) {
    for _ in 0..ROUNDS_MAX {
        let mut moved = false;
        for topic in wishes.partition_counts.keys() {
            while move_one(wishes, targets, *topic) {
                moved = true;
            }
        }
        if !moved {
            return;
        }
    }
}

fn move_one(wishes: &Wishes, targets: &mut Targets, topic: TopicId) -> bool {
    let by_load = loads(wishes, targets, topic);
    let Some((fewest, receiver)) = by_load.first().cloned() else { return false };
    let of_topic = |target: &Partitions| target.iter().filter(|(of, _)| *of == topic).last();
    let giver = by_load
        .iter()
        .rev()
        .take_while(|(load, _)| *load >= fewest + 2)
        .find_map(|(_, id)| targets.get(id).and_then(of_topic).map(|at| (id.clone(), at)));
    let Some((giver, at)) = giver else { return false };
    let mut update: BTreeMap<Arc<str>, Partitions> = BTreeMap::new();
    if let (Some(from), Some(to)) = (targets.get(&giver), targets.get(&receiver)) {
        update.insert(giver, from.filtered(|topic, partition| (topic, partition) != at));
        update.insert(receiver, to.iter().chain([at]).collect());
    }
    targets.extend(update);
    true
}

/// The subscribers of a topic by how many partitions they have.
fn loads(wishes: &Wishes, targets: &Targets, topic: TopicId) -> BTreeSet<(usize, Arc<str>)> {
    let load = |id: &Arc<str>| targets.get(id).map_or(0, Partitions::len);
    wishes.subscribers(topic).map(|id| (load(id), id.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::wishes;
    use super::*;

    #[test]
    fn a_new_member_takes_only_its_share() {
        let former: Vec<(u128, i32)> = (0..6).map(|partition| (1, partition)).collect();
        let wishes =
            wishes(&[("a", &[1], &former[..3]), ("b", &[1], &former[3..]), ("c", &[1], &[])], &[(1, 6)]);
        let targets = assign(&wishes);
        assert_eq!(targets.values().map(Partitions::len).collect::<Vec<_>>(), [2, 2, 2]);
        for id in ["a", "b"] {
            assert!(targets[id].is_subset(&wishes.members[id].former), "{id} got nothing new");
        }
    }

    #[test]
    fn members_with_different_wishes_even_out() {
        let wishes = wishes(&[("a", &[1, 2], &[]), ("b", &[1], &[]), ("c", &[2], &[])], &[(1, 4), (2, 2)]);
        let targets = assign(&wishes);
        assert_eq!(targets.values().map(Partitions::len).collect::<Vec<_>>(), [2, 2, 2]);
    }
}
