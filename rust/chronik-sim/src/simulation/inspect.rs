//! Questions about the cluster from outside: who leads, what has been counted, whether the replicas are equal.

use std::collections::BTreeMap;

use chronik_log::Index;
use chronik_wire::types::{NodeId, PartitionKey};

use super::Simulation;

/// Bytes of entries compared at a time.
const COMPARE_BYTES: u64 = 1 << 20;

impl Simulation {
    /// The partitions of all topics that some node knows, without the metadata's.
    pub(crate) fn partitions(&self) -> Vec<PartitionKey> {
        let mut keys: Vec<PartitionKey> = self.hosted().map(|(_, key)| key).collect();
        keys.sort_unstable();
        keys.dedup();
        keys.retain(|key| *key != PartitionKey::META);
        keys
    }

    fn hosted(&self) -> impl Iterator<Item = (NodeId, PartitionKey)> + '_ {
        self.seats.iter().flat_map(|(id, seat)| {
            let keys = seat.running.iter().flat_map(|node| node.host.borrow().keys().collect::<Vec<_>>());
            keys.map(|key| (*id, key))
        })
    }

    /// Whoever believes to lead a partition in the highest term.
    pub(crate) fn leader(&self, key: PartitionKey) -> Option<NodeId> {
        let candidates = self.seats.iter().filter_map(|(id, seat)| {
            let host = seat.running.as_ref()?.host.borrow();
            let replica = host.replica(key)?;
            replica.leads().then(|| (replica.term(), *id))
        });
        candidates.max().map(|(_, id)| id)
    }

    /// Nodes that run, and whose disk was never damaged.
    pub(crate) fn healthy(&self) -> Vec<NodeId> {
        let healthy = self.seats.iter().filter(|(_, seat)| seat.running.is_some() && !seat.damaged);
        healthy.map(|(id, _)| *id).collect()
    }

    /// Nodes that run, whose disk was never damaged, and that hold a partition.
    pub(crate) fn holders(&self, key: PartitionKey) -> Vec<NodeId> {
        self.healthy().into_iter().filter(|id| self.is_held_by(key, *id)).collect()
    }

    /// Why nodes could not start.
    pub(crate) fn dead(&self) -> Vec<(NodeId, bool, String)> {
        let dead = self.seats.iter().filter(|(_, seat)| seat.running.is_none() && !seat.left);
        dead.map(|(id, seat)| (*id, seat.damaged, seat.dead.clone().unwrap_or_default())).collect()
    }

    /// Something rare came about.
    pub(super) fn saw(&mut self, path: &'static str) {
        *self.sights.entry(path).or_default() += 1;
    }

    /// Everything the nodes have counted, over all lives, and what came about around them.
    pub(crate) fn counters(&self) -> BTreeMap<String, u64> {
        let mut sum: BTreeMap<String, u64> = BTreeMap::new();
        for seat in self.seats.values() {
            let mut own = seat.replica_counters.to_map();
            seat.broker_counters.snapshot(&mut own);
            own.into_iter().for_each(|(name, count)| *sum.entry(name).or_default() += count);
        }
        sum.extend(self.sights.iter().map(|(name, count)| ((*name).to_owned(), *count)));
        sum
    }

    /// Why the replicas of healthy nodes are not equal yet; `None` when they are, byte for byte.
    pub(crate) fn difference(&self) -> Option<String> {
        let healthy = self.healthy();
        self.partitions().into_iter().chain([PartitionKey::META]).find_map(|key| {
            let mut ends = Vec::new();
            for id in healthy.iter().filter(|id| self.is_held_by(key, **id)) {
                match self.end_of(*id, key) {
                    Ok(end) => ends.push((*id, end)),
                    Err(reason) => return Some(format!("{reason}; {}", self.what_is_known_at(*id, key))),
                }
            }
            let (first, rest) = ends.split_first()?;
            rest.iter().find_map(|other| {
                if other.1 != first.1 {
                    return Some(format!(
                        "{key:?}: node {} is at {:?}, node {} at {:?}; {}",
                        first.0,
                        first.1,
                        other.0,
                        other.1,
                        self.everybody_at(key)
                    ));
                }
                self.compare(key, first.0, other.0)
            })
        })
    }

    /// Partitions that nobody leads, nodes that lack metadata and changes of members that have not come about, as a part of
    /// a sentence.
    pub(crate) fn unrest(&self) -> String {
        let keys = self.partitions().into_iter().chain([PartitionKey::META]);
        let leaderless = keys.filter(|key| self.leader(*key).is_none());
        let mut told: Vec<String> =
            leaderless.map(|key| format!("; nobody leads {key:?}: {}", self.everybody_at(key))).collect();
        let newest = self.newest_image().map(|image| image.offset);
        for (id, seat) in &self.seats {
            let image = seat.running.as_ref().map(|node| node.broker.node().image());
            if image.is_some_and(|image| Some(image.offset) < newest) {
                told.push(format!("; behind: {}", self.what_is_known_at(*id, PartitionKey::META)));
            }
        }
        told.extend(self.unsettled_change().map(|change| format!("; not done: {change}")));
        told.concat()
    }

    /// What every node that runs has of a partition: its term, whether it leads, whether its disk counts, whom it takes for
    /// members.
    fn everybody_at(&self, key: PartitionKey) -> String {
        let running =
            self.seats.iter().filter_map(|(id, seat)| Some((id, seat.damaged, seat.running.as_ref()?)));
        let told = running.map(|(id, damaged, node)| {
            let host = node.host.borrow();
            let Some(replica) = host.replica(key) else { return format!("node {id} has none") };
            format!(
                "node {id} ({:?}, leads: {}, asleep: {}, damaged: {damaged}) knows {:?}",
                replica.term(),
                replica.leads(),
                replica.is_asleep(),
                replica.membership()
            )
        });
        told.collect::<Vec<_>>().join("; ")
    }

    /// How far a node is with the metadata, and what that says of a partition.
    fn what_is_known_at(&self, id: NodeId, key: PartitionKey) -> String {
        let Some(running) = self.seats.get(&id).and_then(|seat| seat.running.as_ref()) else {
            return format!("node {id} does not run");
        };
        let node = running.broker.node();
        let image = node.image();
        format!(
            "node {id} is registered: {}, has the metadata up to {}, which says {:?}; {}",
            node.is_registered(),
            image.offset,
            image.assignment(key),
            self.everybody_at(key)
        )
    }

    /// Whether every group has a majority of sound disks without this node: as its members know it, and as the metadata
    /// wants it. Groups shrink when a node leaves and no other one is there to take its replicas.
    pub(super) fn can_be_missed(&self, id: NodeId) -> bool {
        let is_sound = |node: &NodeId| {
            *node != id && self.seats.get(node).is_some_and(|seat| !seat.damaged && !seat.left)
        };
        let min_insync = if self.plan.cluster.has_strict_writes() { self.plan.cluster.min_insync } else { 1 };
        let is_enough = |members: Vec<NodeId>| {
            let sound = members.iter().filter(|node| is_sound(node)).count();
            2 * sound > members.len() && sound >= min_insync as usize
        };
        let sound = self.seats.iter().filter(|(node, _)| is_sound(node));
        let known = sound.filter_map(|(_, seat)| seat.running.as_ref()).all(|node| {
            let host = node.host.borrow();
            host.keys().filter_map(|key| host.replica(key)).all(|replica| {
                let voters = replica.membership().voters;
                is_enough(voters.iter().map(|member| member.node).collect())
            })
        });
        let image = self.newest_image();
        let assignments = image.iter().flat_map(|image| image.topics()).flat_map(|topic| &topic.partitions);
        let mut wanted =
            assignments.map(|assignment| assignment.wanted().map(|member| member.node).collect());
        known && wanted.all(is_enough)
    }

    /// Whether a node is to have a replica, by its own metadata. Topics of the run are everywhere, internal ones on some nodes.
    fn is_held_by(&self, key: PartitionKey, id: NodeId) -> bool {
        let node = self.seats.get(&id).and_then(|seat| seat.running.as_ref());
        let image = node.map(|node| node.broker.node().image());
        let topic = image.as_ref().and_then(|image| image.topic_by_id(key.topic));
        let assignment = topic.and_then(|topic| topic.partitions.get(key.partition.0 as usize));
        assignment.is_none_or(|assignment| assignment.replicas.contains(&id))
    }

    fn end_of(&self, id: NodeId, key: PartitionKey) -> Result<(Index, Index, i64), String> {
        let node = self.seats.get(&id).and_then(|seat| seat.running.as_ref());
        let host = node.map(|node| node.host.borrow());
        let replica = host.as_ref().and_then(|host| host.replica(key));
        let replica = replica.ok_or_else(|| format!("{key:?}: node {id} has no replica"))?;
        if let Some(reason) = replica.stop_reason() {
            return Err(format!("{key:?}: the replica at node {id} has stopped: {reason}"));
        }
        Ok((replica.applied(), replica.log().last_index(), replica.log().log_start().0))
    }

    fn compare(&self, key: PartitionKey, one: NodeId, other: NodeId) -> Option<String> {
        let entries = |id: NodeId, low: Index| {
            let host = self.seats.get(&id)?.running.as_ref()?.host.borrow();
            let log = host.replica(key)?.log();
            let high = Index(log.last_index().0 + 1);
            let entries = log.entries(low.max(log.first_index()), high, COMPARE_BYTES);
            Some(entries.unwrap_or_default())
        };
        let first = |id: NodeId| {
            let host = self.seats.get(&id)?.running.as_ref()?.host.borrow();
            Some(host.replica(key)?.log().first_index())
        };
        let mut low = first(one)?.max(first(other)?);
        loop {
            let (left, right) = (entries(one, low)?, entries(other, low)?);
            let same = left.len().min(right.len());
            if left.iter().zip(&right).any(|(left, right)| left != right) {
                return Some(format!("{key:?}: entries from {low} differ at node {one} and node {other}"));
            }
            match left.get(same.wrapping_sub(1)) {
                Some(last) => low = Index(last.index.0 + 1),
                None => return None,
            }
        }
    }
}
