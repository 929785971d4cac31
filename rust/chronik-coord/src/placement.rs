//! Where the replicas of a new partition go: a pure function of brokers, racks and a cursor.
//!
//! Leaders go round robin over the brokers that are alive, starting at a cursor that the controller
//! advances by every partition placed, so that many topics of one partition spread as well as one
//! topic of many. Followers follow the leader in the same circle, shifted by one on every lap, so
//! that the loss of a broker spreads over all others; racks not yet used come first.

use std::collections::{BTreeMap, BTreeSet};

use chronik_wire::types::NodeId;

/// The circle of brokers that replicas are placed on.
#[derive(Debug)]
pub(crate) struct Placement<'a> {
    /// Alive brokers, racks interleaved: leaders come from here.
    live: Vec<Candidate<'a>>,
    /// The others: followers of last resort.
    idle: Vec<Candidate<'a>>,
}

#[derive(Debug, Clone, Copy)]
struct Candidate<'a> {
    node: NodeId,
    rack: Option<&'a str>,
}

impl<'a> Placement<'a> {
    /// A circle over `brokers` (id and rack, ascending by id). With nobody in `live`, all count as alive.
    pub(crate) fn new(brokers: impl Iterator<Item = (NodeId, Option<&'a str>)>, live: &[NodeId]) -> Self {
        let (alive, idle): (Vec<_>, Vec<_>) = brokers
            .map(|(node, rack)| Candidate { node, rack })
            .partition(|candidate| live.contains(&candidate.node));
        let (alive, idle) = if alive.is_empty() { (idle, alive) } else { (alive, idle) };
        Placement { live: interleave_racks(alive), idle: interleave_racks(idle) }
    }

    /// Brokers in the circle, alive or not.
    pub(crate) fn broker_count(&self) -> usize {
        self.live.len() + self.idle.len()
    }

    /// The replicas of the partition at `cursor`; `replica_count` is between 1 and the number of brokers.
    /// The first one is to lead.
    pub(crate) fn place(&self, cursor: u64, replica_count: usize) -> Vec<NodeId> {
        assert!(
            (1..=self.broker_count()).contains(&replica_count),
            "the caller has checked the replication factor"
        );
        let count = self.live.len();
        let (lap, position) = (cursor / count as u64, (cursor % count as u64) as usize);
        let others = count - 1;
        let shift = if others == 0 { 0 } else { (lap % others as u64) as usize };
        let after_leader = (0..others)
            .map(|step| (position + 1 + (shift + step) % others) % count)
            .chain(count..self.broker_count());

        let leader = self.candidate(position);
        let mut replicas = vec![leader.node];
        let mut racks = BTreeSet::from([leader.rack]);
        let mut passed_over = Vec::new();
        for candidate in after_leader.map(|index| self.candidate(index)) {
            if replicas.len() == replica_count {
                break;
            }
            if racks.insert(candidate.rack) || candidate.rack.is_none() {
                replicas.push(candidate.node);
            } else {
                passed_over.push(candidate.node);
            }
        }
        let missing = replica_count - replicas.len();
        replicas.extend(passed_over.into_iter().take(missing));
        assert_eq!(replicas.len(), replica_count, "every broker is a candidate once");
        replicas
    }

    fn candidate(&self, index: usize) -> Candidate<'a> {
        *self.live.iter().chain(&self.idle).nth(index).expect("an index below broker_count")
    }
}

/// Orders brokers so that neighbours are in different racks as far as possible: the first of each
/// rack, then the second of each, and so on.
fn interleave_racks(brokers: Vec<Candidate<'_>>) -> Vec<Candidate<'_>> {
    let mut rank_in_rack: BTreeMap<Option<&str>, usize> = BTreeMap::new();
    let mut ranked: Vec<(usize, Candidate<'_>)> = brokers
        .into_iter()
        .map(|broker| {
            let rank = rank_in_rack.entry(broker.rack).or_default();
            *rank += 1;
            (*rank, broker)
        })
        .collect();
    // Stable: within one rank the ids stay ascending. Brokers without a rack form one circle by id.
    ranked.sort_by_key(|(rank, broker)| if broker.rack.is_none() { 0 } else { *rank });
    ranked.into_iter().map(|(_, broker)| broker).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(count: i32) -> Vec<(NodeId, Option<&'static str>)> {
        (1..=count).map(|id| (NodeId(id), None)).collect()
    }

    fn spread(
        placement: &Placement<'_>,
        partitions: u64,
        replicas: usize,
    ) -> (BTreeMap<NodeId, u64>, BTreeMap<NodeId, u64>) {
        let (mut leaders, mut all) = (BTreeMap::new(), BTreeMap::new());
        for cursor in 0..partitions {
            let placed = placement.place(cursor, replicas);
            assert_eq!(placed.iter().collect::<BTreeSet<_>>().len(), replicas, "no broker twice");
            *leaders.entry(placed[0]).or_default() += 1;
            for node in placed {
                *all.entry(node).or_default() += 1;
            }
        }
        (leaders, all)
    }

    #[test]
    fn leaders_and_replicas_are_balanced() {
        for brokers in 1..=7 {
            let placement = Placement::new(plain(brokers).into_iter(), &[]);
            for replicas in 1..=brokers as usize {
                let laps = (brokers as u64 - 1).max(1);
                let partitions = brokers as u64 * laps;
                let (leaders, all) = spread(&placement, partitions, replicas);
                assert!(leaders.values().all(|&n| n == laps), "{brokers} brokers: {leaders:?}");
                assert!(
                    all.values().all(|&n| n == laps * replicas as u64),
                    "{brokers} brokers, {replicas}: {all:?}"
                );
            }
        }
    }

    #[test]
    fn the_followers_of_one_leader_vary() {
        let placement = Placement::new(plain(6).into_iter(), &[]);
        let followers: BTreeSet<NodeId> =
            (0..5).map(|lap| placement.place(lap * 6, 2)).map(|placed| placed[1]).collect();
        assert_eq!(followers.len(), 5);
    }

    #[test]
    fn replicas_use_every_rack_before_one_twice() {
        let brokers = [(1, "a"), (2, "a"), (3, "b"), (4, "b"), (5, "c"), (6, "c")];
        let racks: BTreeMap<NodeId, &str> = brokers.iter().map(|&(id, rack)| (NodeId(id), rack)).collect();
        let placement = Placement::new(brokers.iter().map(|&(id, rack)| (NodeId(id), Some(rack))), &[]);
        for cursor in 0..60 {
            let placed = placement.place(cursor, 3);
            let used: BTreeSet<_> = placed.iter().map(|node| racks[node]).collect();
            assert_eq!(used.len(), 3, "{placed:?}");
            assert_eq!(placement.place(cursor, 6).len(), 6);
        }
    }

    #[test]
    fn dead_brokers_lead_nothing_and_follow_last() {
        let placement = Placement::new(plain(4).into_iter(), &[NodeId(2), NodeId(3), NodeId(9)]);
        for cursor in 0..12 {
            let placed = placement.place(cursor, 3);
            assert!([NodeId(2), NodeId(3)].contains(&placed[0]));
            assert!([NodeId(2), NodeId(3)].contains(&placed[1]));
            assert!([NodeId(1), NodeId(4)].contains(&placed[2]));
        }
    }
}
