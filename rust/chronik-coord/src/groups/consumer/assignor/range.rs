//! `range`: each topic's partitions in as many runs as it has subscribers, of lengths that differ by one at most. Topics
//! with as many partitions and the same subscribers are cut alike, so that equal keys of both meet at one member.

use std::sync::Arc;

use super::{Targets, Wish, Wishes};
use crate::groups::partitions::Partitions;

/// Assigns by ranges.
pub(super) fn assign(wishes: &Wishes) -> Targets {
    let mut targets: Targets = wishes.members.keys().map(|id| (id.clone(), Partitions::default())).collect();
    // Static members come first, in the order of the names they keep over restarts.
    let mut ordered: Vec<(&Arc<str>, &Wish)> = wishes.members.iter().collect();
    ordered.sort_by_key(|(id, wish)| (wish.instance_id.is_none(), wish.instance_id.as_deref(), *id));
    for (&topic, &count) in &wishes.partition_counts {
        let subscribers: Vec<&Arc<str>> =
            ordered.iter().filter(|(_, wish)| wish.topics.contains(&topic)).map(|(id, _)| *id).collect();
        let Ok(runs) = i32::try_from(subscribers.len()) else { continue };
        let mut next = 0;
        for (run, id) in (0..runs).zip(subscribers) {
            let length = count / runs + i32::from(run < count % runs);
            let Some(target) = targets.get_mut(id) else { continue };
            (next..next + length).for_each(|partition| target.insert(topic, partition));
            next += length;
        }
    }
    targets
}

#[cfg(test)]
mod tests {
    use super::super::tests::wishes;
    use super::*;
    use chronik_wire::types::TopicId;

    #[test]
    fn runs_differ_by_one_and_static_members_come_first() {
        let mut wishes =
            wishes(&[("a", &[1, 2], &[]), ("b", &[1, 2], &[]), ("c", &[1], &[])], &[(1, 5), (2, 3)]);
        wishes.members.get_mut("c").expect("c").instance_id = Some("first".to_owned());
        let targets = assign(&wishes);
        let of = |id: &str| targets[id].iter().map(|(TopicId(topic), at)| (topic, at)).collect::<Vec<_>>();
        assert_eq!(of("c"), [(1, 0), (1, 1)]);
        assert_eq!(of("a"), [(1, 2), (1, 3), (2, 0), (2, 1)]);
        assert_eq!(of("b"), [(1, 4), (2, 2)]);
    }
}
