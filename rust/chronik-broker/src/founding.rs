//! Which disks a cluster consists of: agreed on once, at its very first start, by all of its nodes.
//!
//! A raft member is its disk, not its node id: a wiped disk has forgotten promises that others count on. So the
//! cluster is founded with a list of disks. The designated node asks every configured node, and only when all of them
//! have answered in its present life that their disks are new does it write the list down and tell it. Whoever finds
//! its own disk in the list writes it down too and votes from then on, after restarts as well. Whoever finds another
//! disk under its id, or none, writes the list down as well and follows without a vote (see `chronik_replica::Standing`).
//! The list is true wherever it stands, so whoever has it tells it: the founders may all have left one day.
//!
//! Why all nodes and not a majority: of three nodes, one may be wiped and one start for the first time while the third,
//! which alone holds what was acknowledged, cannot be reached. Those two cannot be told from two nodes of a new
//! cluster. One node that has ever been a member forbids a second founding, and no minority of wiped disks removes them
//! all. Why only the designated node: two lists could be made at once. Why its present life: an answer to a life whose
//! disk was wiped may be older than the list that life made.
//!
//! Owns the node's identity and the stage of the agreement. Pure but for the disk, which it writes twice in its life.

use std::collections::BTreeSet;

use chronik_log::{LogError, Members, NodeIdentity};
use chronik_wire::types::{DirectoryId, NodeId};

/// How far this node has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Its disk is new, and no member has been heard.
    New,
    /// It made the list and waits until a majority has written it down, so that its first election succeeds.
    Founder,
    /// Its disk belongs to the cluster.
    Member,
    /// The cluster knows another disk under this node's id.
    Stranger,
}

/// A change that the broker has to act on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Everybody should hear the list.
    Tell,
    /// Everybody should hear the list, and this node may vote.
    Join,
    /// The sender should hear it again.
    TellAgain,
    /// This node may vote; the others know.
    Vote,
    /// This node's disk is not the one the cluster knows.
    Excluded(Option<DirectoryId>),
    /// Nothing to do.
    Wait,
}

/// One node's part in the founding.
#[derive(Debug)]
pub(crate) struct Founding {
    node: NodeId,
    voters: BTreeSet<NodeId>,
    designated: NodeId,
    life: u64,
    identity: Option<NodeIdentity>,
    stage: Stage,
    /// New disks that have answered this life of the designated node.
    answers: Members,
    /// Nodes that have written the list down, as far as its maker knows.
    confirmed: BTreeSet<NodeId>,
}

impl Founding {
    /// A node that has not looked at its disk yet.
    pub(crate) fn new(node: NodeId, voters: &[NodeId], designated: NodeId, life: u64) -> Founding {
        Founding {
            node,
            voters: voters.iter().copied().collect(),
            designated,
            life,
            identity: None,
            stage: Stage::New,
            answers: Members::new(),
            confirmed: BTreeSet::new(),
        }
    }

    /// Takes the identity found on the disk. A cluster of one founds itself.
    ///
    /// # Errors
    /// The disk fails.
    pub(crate) fn open(&mut self, identity: NodeIdentity) -> Result<(), LogError> {
        self.stage = match identity.members().get(&self.node) {
            _ if identity.members().is_empty() => Stage::New,
            Some(known) if *known == identity.directory() => Stage::Member,
            _ => Stage::Stranger,
        };
        self.answers.insert(self.node, identity.directory());
        self.identity = Some(identity);
        if self.stage == Stage::New && self.voters.len() == 1 && self.voters.contains(&self.node) {
            self.write(self.answers.clone())?;
            self.stage = Stage::Member;
        }
        Ok(())
    }

    /// Whether this node's disk belongs to the cluster: it votes, and its word counts.
    pub(crate) fn is_member(&self) -> bool {
        self.stage == Stage::Member
    }

    /// Whether it is known what this node's disk is, for the rest of its life.
    pub(crate) fn is_settled(&self) -> bool {
        matches!(self.stage, Stage::Member | Stage::Stranger)
    }

    /// The disk, once it was looked at.
    pub(crate) fn directory(&self) -> Option<DirectoryId> {
        self.identity.as_ref().map(NodeIdentity::directory)
    }

    /// The list, as far as it is written down here, whether this node is on it or not.
    pub(crate) fn founders(&self) -> Members {
        self.identity.as_ref().map(|identity| identity.members().clone()).unwrap_or_default()
    }

    /// Whom to ask now. While nothing is known these are also `others`, the nodes that have come since.
    pub(crate) fn to_ask(&self, others: BTreeSet<NodeId>) -> Vec<NodeId> {
        let mut asked = match self.stage {
            Stage::New => &self.voters | &others,
            Stage::Founder => &self.voters - &self.confirmed,
            Stage::Member | Stage::Stranger => BTreeSet::new(),
        };
        asked.remove(&self.node);
        asked.into_iter().collect()
    }

    /// The nodes that a first start still waits for, as far as this node knows.
    pub(crate) fn missing(&self) -> Vec<NodeId> {
        let waits = self.stage == Stage::New;
        self.voters.iter().filter(|node| waits && !self.answers.contains_key(node)).copied().collect()
    }

    /// What this node says of itself: its disk, and the list if it has it. `None` before it looked at its disk.
    pub(crate) fn statement(&self) -> Option<(DirectoryId, Members)> {
        let identity = self.identity.as_ref()?;
        Some((identity.directory(), identity.members().clone()))
    }

    /// Another node said what it is, in answer to a question of life `life` or unasked.
    ///
    /// # Errors
    /// The disk did not take the list; the next answer tries again.
    pub(crate) fn on_statement(
        &mut self,
        from: NodeId,
        life: u64,
        directory: DirectoryId,
        members: &Members,
    ) -> Result<Progress, LogError> {
        match self.stage {
            Stage::New if !members.is_empty() => self.hear_list(members),
            Stage::New => self.hear_new(from, life, directory),
            Stage::Founder if members.is_empty() => Ok(Progress::TellAgain),
            Stage::Founder => {
                // A disk that is not on the list votes for nobody.
                if members.get(&from) == Some(&directory) {
                    self.confirmed.insert(from);
                }
                if self.confirmed.len() < self.voters.len() / 2 {
                    return Ok(Progress::Wait);
                }
                self.stage = Stage::Member;
                Ok(Progress::Vote)
            }
            Stage::Member | Stage::Stranger => Ok(Progress::Wait),
        }
    }

    fn hear_list(&mut self, members: &Members) -> Result<Progress, LogError> {
        let Some(own) = self.directory() else { return Ok(Progress::Wait) };
        self.write(members.clone())?;
        let known = members.get(&self.node).copied();
        if known != Some(own) {
            self.stage = Stage::Stranger;
            return Ok(Progress::Excluded(known));
        }
        self.stage = Stage::Member;
        Ok(Progress::Join)
    }

    fn hear_new(&mut self, from: NodeId, life: u64, directory: DirectoryId) -> Result<Progress, LogError> {
        if self.node != self.designated || life != self.life || !self.voters.contains(&from) {
            return Ok(Progress::Wait);
        }
        self.answers.insert(from, directory);
        if self.answers.len() < self.voters.len() {
            return Ok(Progress::Wait);
        }
        self.write(self.answers.clone())?;
        self.stage = Stage::Founder;
        Ok(Progress::Tell)
    }

    fn write(&mut self, members: Members) -> Result<(), LogError> {
        self.identity.as_mut().map_or(Ok(()), |identity| identity.set_members(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use chronik_log::MemDisk;

    fn node(id: i32) -> NodeId {
        NodeId(id)
    }

    fn start(id: i32, life: u64, disk: &MemDisk, fresh: u128) -> Founding {
        let voters = [1, 2, 3].map(NodeId);
        let mut founding = Founding::new(node(id), &voters, node(1), life);
        founding.open(NodeIdentity::open(Arc::new(disk.clone()), DirectoryId(fresh)).unwrap()).unwrap();
        founding
    }

    /// `to` hears what `from` says, in answer to a question of `life`.
    fn tell(to: &mut Founding, from: &Founding, life: u64) -> Progress {
        let (directory, members) = from.statement().unwrap();
        to.on_statement(from.node, life, directory, &members).unwrap()
    }

    fn three() -> ([MemDisk; 3], [Founding; 3]) {
        let disks = [MemDisk::new(), MemDisk::new(), MemDisk::new()];
        let nodes = [1, 2, 3].map(|id: i32| start(id, 10, &disks[id as usize - 1], 100 + id as u128));
        (disks, nodes)
    }

    #[test]
    fn all_nodes_found_a_cluster_and_remember_it() {
        let (disks, [mut one, mut two, mut three]) = three();
        assert_eq!(one.to_ask(BTreeSet::new()), [node(2), node(3)]);
        assert_eq!(tell(&mut one, &two, 10), Progress::Wait);
        assert_eq!(one.missing(), [node(3)]);
        assert_eq!(tell(&mut one, &three, 10), Progress::Tell);
        assert_eq!(one.statement().unwrap().1.len(), 3);
        assert!(!one.is_member(), "its first election would fail");
        assert_eq!(tell(&mut two, &one, 0), Progress::Join);
        assert_eq!(tell(&mut one, &two, 0), Progress::Vote);
        assert!(one.is_member() && two.is_member() && !three.is_member());
        // The third missed it and hears it from any member, even after all have been restarted.
        let again = start(2, 11, &disks[1], 999);
        assert!(again.is_member() && start(1, 11, &disks[0], 999).is_member());
        assert_eq!(tell(&mut three, &again, 0), Progress::Join);
    }

    #[test]
    fn a_majority_of_new_disks_founds_nothing() {
        let (_, [mut one, two, _]) = three();
        assert_eq!(tell(&mut one, &two, 10), Progress::Wait);
        assert_eq!(tell(&mut one, &two, 10), Progress::Wait);
        assert!(!one.is_member() && one.to_ask(BTreeSet::new()).len() == 2);
    }

    #[test]
    fn only_the_designated_node_founds_and_only_in_its_present_life() {
        let (_, [mut one, mut two, three]) = three();
        for other in [&one, &three] {
            assert_eq!(tell(&mut two, other, 10), Progress::Wait);
        }
        assert!(two.missing().len() == 2, "nobody counts answers but the designated node");
        for other in [&two, &three] {
            assert_eq!(tell(&mut one, other, 9), Progress::Wait, "an answer to an earlier life");
        }
        assert_eq!(one.missing().len(), 2);
    }

    #[test]
    fn a_wiped_node_is_a_stranger_whoever_it_is() {
        for wiped in 1..=3 {
            let (disks, [mut one, mut two, mut three]) = three();
            tell(&mut one, &two, 10);
            tell(&mut one, &three, 10);
            tell(&mut two, &one, 0);
            tell(&mut three, &one, 0);
            let empty = MemDisk::new();
            let mut wiped = start(wiped, 20, &empty, 500);
            let member =
                if wiped.node == node(2) { start(3, 20, &disks[2], 0) } else { start(2, 20, &disks[1], 0) };
            let known = DirectoryId(100 + wiped.node.0 as u128);
            assert_eq!(tell(&mut wiped, &member, 20), Progress::Excluded(Some(known)));
            assert!(!wiped.is_member() && wiped.to_ask([node(4)].into()).is_empty());
            // It remembers that, and its word is as good as a member's.
            let id = wiped.node;
            let again = start(id.0, 21, &empty, 999);
            assert!(again.is_settled() && !again.is_member());
            let mut wiped_too = start(if id == node(1) { 2 } else { 1 }, 30, &MemDisk::new(), 600);
            assert!(matches!(tell(&mut wiped_too, &again, 30), Progress::Excluded(Some(_))));
        }
    }

    #[test]
    fn a_node_that_came_later_knows_the_cluster_when_the_founders_have_left() {
        let (_, [mut one, two, three]) = three();
        tell(&mut one, &two, 10);
        tell(&mut one, &three, 10);
        let disk = MemDisk::new();
        let mut four = start(4, 20, &disk, 400);
        assert_eq!(tell(&mut four, &one, 20), Progress::Excluded(None));
        let four = start(4, 21, &disk, 999);
        assert!(four.is_settled() && !four.is_member());
        let mut five = start(5, 20, &MemDisk::new(), 500);
        assert_eq!(five.to_ask([node(4), node(5)].into()), [1, 2, 3, 4].map(NodeId));
        assert_eq!(tell(&mut five, &four, 20), Progress::Excluded(None));
    }

    #[test]
    fn a_founder_that_died_before_it_told_anybody_tells_later() {
        let (disks, [mut one, mut two, three]) = three();
        tell(&mut one, &two, 10);
        assert_eq!(tell(&mut one, &three, 10), Progress::Tell);
        let one = start(1, 11, &disks[0], 0);
        assert!(one.is_member());
        assert_eq!(tell(&mut two, &one, 10), Progress::Join);
    }

    #[test]
    fn a_full_disk_delays_the_founding() {
        let (disks, [mut one, mut two, three]) = three();
        disks[0].set_quota(Some(0));
        tell(&mut one, &two, 10);
        let (directory, members) = three.statement().unwrap();
        assert!(one.on_statement(node(3), 10, directory, &members).is_err());
        assert!(one.statement().unwrap().1.is_empty());
        disks[0].set_quota(None);
        assert_eq!(tell(&mut one, &three, 10), Progress::Tell);
        // The founder keeps asking until it knows that a majority has the list.
        assert_eq!(one.to_ask(BTreeSet::new()), [node(2), node(3)]);
        assert_eq!(tell(&mut one, &two, 10), Progress::TellAgain);
        tell(&mut two, &one, 0);
        assert_eq!(tell(&mut one, &two, 10), Progress::Vote);
    }

    #[test]
    fn a_cluster_of_one_founds_itself() {
        let disk = MemDisk::new();
        let mut alone = Founding::new(node(7), &[node(7)], node(7), 1);
        alone.open(NodeIdentity::open(Arc::new(disk), DirectoryId(1)).unwrap()).unwrap();
        assert!(alone.is_member());
    }
}
