//! Where one partition lives, and where it is on its way to.
//!
//! Role: plain data with the rules by which it changes. A member of a partition's Raft group is not its node: it is one
//! stay of the group on one disk. Every stay gets a generation of its own, so that a replica that was removed, deleted
//! and added again is never taken for its predecessor, whose votes and acknowledgements it has forgotten.
//!
//! Must not: know what the group itself has agreed on. The group follows what is wanted here, step by step, and its
//! leader reports when it has arrived.

use std::collections::BTreeMap;
use std::sync::Arc;

use chronik_wire::types::{DirectoryId, NodeId};

use crate::codec::coded_struct;
use crate::command::BrokerRegistration;

/// One member of a Raft group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Member {
    /// Its node.
    pub node: NodeId,
    /// Tells this stay of the group on that node from earlier ones; 0 for those the group began with.
    pub generation: u32,
    /// The disk it lives on. On any other disk a replica of this member has forgotten its promises and has no vote.
    pub directory: DirectoryId,
}
coded_struct!(Member { node: NodeId, generation: u32, directory: DirectoryId });

/// Where one partition lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// The nodes that hold a replica, in order of preference. During a reassignment first those that are wanted, then
    /// those that leave.
    pub replicas: Vec<NodeId>,
    /// The replica that campaigns at once when the partition is first created.
    pub designated: NodeId,
    /// The voters that the partition's Raft group began with, all of generation 0. Never changes: a replica that is
    /// added later replays the log from there.
    pub founders: Vec<NodeId>,
    /// Who the replicas are, in the order of `replicas`.
    pub members: Vec<Member>,
    /// The last generation given out.
    pub last_generation: u32,
    /// Replicas that a reassignment adds. One that an earlier target added and the present one does not want is in both
    /// lists: it may have its vote already, and must not go before the group has let it.
    pub adding: Vec<NodeId>,
    /// Replicas that a reassignment removes.
    pub removing: Vec<NodeId>,
}
coded_struct!(Assignment {
    replicas: Vec<NodeId>,
    designated: NodeId,
    founders: Vec<NodeId>,
    members: Vec<Member>,
    last_generation: u32,
    adding: Vec<NodeId>,
    removing: Vec<NodeId>,
});

impl Assignment {
    /// The assignment of a new partition, led by the first of `replicas`, each on the disk its broker is registered
    /// with. A broker that is not registered counts as one without a disk: it gets no vote.
    ///
    /// # Panics
    /// `replicas` is empty.
    pub fn founded(replicas: Vec<NodeId>, brokers: &BTreeMap<NodeId, Arc<BrokerRegistration>>) -> Assignment {
        let designated = *replicas.first().expect("the caller has checked that there is a replica");
        let members = replicas.iter().map(|node| member(*node, 0, brokers)).collect();
        Assignment {
            founders: replicas.clone(),
            replicas,
            designated,
            members,
            last_generation: 0,
            adding: Vec::new(),
            removing: Vec::new(),
        }
    }

    /// The member on a node.
    pub fn member(&self, node: NodeId) -> Option<&Member> {
        self.members.iter().find(|member| member.node == node)
    }

    /// The members the Raft group shall consist of, in order of preference.
    pub fn wanted(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| !self.removing.contains(&member.node))
    }

    /// Whether a reassignment is under way.
    pub fn is_moving(&self) -> bool {
        !self.adding.is_empty() || !self.removing.is_empty()
    }

    /// The replicas before the reassignment under way, or as they are.
    pub fn original(&self) -> Vec<NodeId> {
        self.replicas.iter().copied().filter(|node| !self.adding.contains(node)).collect()
    }

    /// Begins to move to `target`, which replaces the target of a reassignment under way. Replicas that were there
    /// before and are still there stay the members they are.
    pub(crate) fn retarget(
        &mut self,
        target: &[NodeId],
        brokers: &BTreeMap<NodeId, Arc<BrokerRegistration>>,
    ) {
        let original = self.original();
        let unwanted = |node: &NodeId| !target.contains(node);
        let added = target.iter().copied().filter(|node| !original.contains(node));
        let dropped = self.adding.iter().copied().filter(unwanted);
        let adding: Vec<NodeId> = added.chain(dropped).collect();
        let removing: Vec<NodeId> = self.replicas.iter().copied().filter(unwanted).collect();
        let replicas: Vec<NodeId> = target.iter().chain(&removing).copied().collect();
        let mut members = Vec::with_capacity(replicas.len());
        for node in &replicas {
            let known = self.member(*node).copied();
            members.push(known.unwrap_or_else(|| {
                self.last_generation += 1;
                member(*node, self.last_generation, brokers)
            }));
        }
        (self.replicas, self.members, self.adding, self.removing) = (replicas, members, adding, removing);
        self.designated = self.replicas.first().copied().unwrap_or(self.designated);
    }

    /// Goes back to the replicas before the reassignment under way. Over when those that it added have left again.
    pub(crate) fn cancel(&mut self, brokers: &BTreeMap<NodeId, Arc<BrokerRegistration>>) {
        let original = self.original();
        self.retarget(&original, brokers);
    }

    /// The Raft group has arrived: the leaving replicas are gone.
    pub(crate) fn complete(&mut self) {
        let removing = std::mem::take(&mut self.removing);
        self.replicas.retain(|node| !removing.contains(node));
        self.members.retain(|member| !removing.contains(&member.node));
        self.adding.clear();
    }

    /// Makes the replica on `node` a new member, on the disk its broker is registered with. False if it is on that
    /// disk already, or not here.
    pub(crate) fn readmit(
        &mut self,
        node: NodeId,
        brokers: &BTreeMap<NodeId, Arc<BrokerRegistration>>,
    ) -> bool {
        let registered = brokers.get(&node).map_or(DirectoryId(0), |broker| broker.directory);
        let known = self.member(node).filter(|known| known.directory != registered).copied();
        known.is_some_and(|known| self.replace(node, known.generation, brokers))
    }

    /// Makes the replica on `node` a new member, if it is the member of this generation.
    pub(crate) fn replace(
        &mut self,
        node: NodeId,
        generation: u32,
        brokers: &BTreeMap<NodeId, Arc<BrokerRegistration>>,
    ) -> bool {
        let next = member(node, self.last_generation + 1, brokers);
        let of = |known: &&mut Member| known.node == node && known.generation == generation;
        let Some(known) = self.members.iter_mut().find(of) else { return false };
        *known = next;
        self.last_generation = next.generation;
        true
    }

    /// Whether the parts agree with each other.
    pub(crate) fn is_consistent(&self) -> bool {
        let nodes = self.members.iter().map(|member| member.node);
        let newest = self.members.iter().map(|member| member.generation).max().unwrap_or(0);
        let here = |nodes: &[NodeId]| nodes.iter().all(|node| self.replicas.contains(node));
        nodes.eq(self.replicas.iter().copied())
            && newest <= self.last_generation
            && here(&[self.designated])
            && here(&self.adding)
            && here(&self.removing)
            && !self.founders.is_empty()
    }
}

fn member(node: NodeId, generation: u32, brokers: &BTreeMap<NodeId, Arc<BrokerRegistration>>) -> Member {
    let directory = brokers.get(&node).map_or(DirectoryId(0), |broker| broker.directory);
    Member { node, generation, directory }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(ids: &[i32]) -> Vec<NodeId> {
        ids.iter().copied().map(NodeId).collect()
    }

    fn wanted(assignment: &Assignment) -> Vec<(i32, u32)> {
        assignment.wanted().map(|member| (member.node.0, member.generation)).collect()
    }

    #[test]
    fn a_reassignment_shows_who_comes_and_who_goes_and_ends() {
        let brokers = BTreeMap::new();
        let mut assignment = Assignment::founded(nodes(&[1, 2, 3]), &brokers);
        assignment.retarget(&nodes(&[4, 2, 1]), &brokers);
        assert_eq!(assignment.replicas, nodes(&[4, 2, 1, 3]));
        assert_eq!((&assignment.adding, &assignment.removing), (&nodes(&[4]), &nodes(&[3])));
        assert_eq!(wanted(&assignment), [(4, 1), (2, 0), (1, 0)]);
        assert!(assignment.is_moving() && assignment.is_consistent());
        assignment.complete();
        assert_eq!(assignment.replicas, nodes(&[4, 2, 1]));
        assert_eq!(assignment.founders, nodes(&[1, 2, 3]), "a new replica replays from there");
        assert!(!assignment.is_moving() && assignment.is_consistent());
    }

    #[test]
    fn a_new_target_and_a_cancellation_count_from_the_original_replicas() {
        let brokers = BTreeMap::new();
        let mut assignment = Assignment::founded(nodes(&[1, 2, 3]), &brokers);
        assignment.retarget(&nodes(&[1, 2, 4]), &brokers);
        assignment.retarget(&nodes(&[1, 2, 5]), &brokers);
        assert_eq!(assignment.replicas, nodes(&[1, 2, 5, 4, 3]), "4 may have a vote and goes like 3");
        assert_eq!((&assignment.adding, &assignment.removing), (&nodes(&[5, 4]), &nodes(&[4, 3])));
        assert_eq!(assignment.original(), nodes(&[1, 2, 3]));
        assert!(assignment.is_consistent());
        assignment.cancel(&brokers);
        assert_eq!(wanted(&assignment), [(1, 0), (2, 0), (3, 0)], "3 stays the member it was");
        assert_eq!(assignment.member(NodeId(4)).map(|member| member.generation), Some(1));
        assert!(assignment.is_moving() && assignment.is_consistent(), "until 4 and 5 have left the group");
        assignment.complete();
        assert_eq!(assignment.replicas, nodes(&[1, 2, 3]));
        assert!(!assignment.is_moving());
        // Whoever comes back after it was gone is somebody else.
        assignment.retarget(&nodes(&[1, 2]), &brokers);
        assignment.complete();
        assignment.retarget(&nodes(&[1, 2, 3]), &brokers);
        assert_eq!(wanted(&assignment), [(1, 0), (2, 0), (3, 3)]);
        assert!(assignment.is_consistent());
    }
}
