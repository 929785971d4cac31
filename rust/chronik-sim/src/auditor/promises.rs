//! What nodes promised, over all of their lives: a vote is given once per term, and what was acknowledged is there after
//! a restart. A broken promise seldom shows to clients, because it takes a second misfortune to lose something by it.
//!
//! Three kinds of forgetting are no breach: entries that a new leader replaced, topics that were deleted, and everything
//! on a disk that was wiped.

use std::collections::{BTreeMap, BTreeSet};

use chronik_replica::{Index, MemberId, Promise, Replica, ReplicaMessage, Term};
use chronik_wire::types::{NodeId, PartitionKey};

/// What one replica must hold when its node starts again.
#[derive(Clone, Debug, Default)]
struct Held {
    /// The life in which it was last looked at.
    life: u64,
    /// Which member it was then.
    member: Option<MemberId>,
    /// The last entry it acknowledged and was not seen to replace.
    acknowledged: Option<(Index, Term)>,
    /// Its newest vote: the term, and who got it.
    vote: Option<(Term, NodeId)>,
    /// The last index it applied: what is applied was synced before. The commit index would not do: beside a vote it is
    /// written down, and synced, while entries below it still wait for their own sync.
    applied: Index,
}

/// The promises of all nodes.
#[derive(Clone, Debug, Default)]
pub(super) struct Promises {
    /// Per member and term: who got its vote. Not even a wiped disk excuses a second one; a disk that was admitted again is
    /// another member.
    votes: BTreeMap<(PartitionKey, MemberId, Term), NodeId>,
    held: BTreeMap<(PartitionKey, NodeId), Held>,
    /// Replicas whose disk was wiped: they may not vote any more. In groups that began later their nodes may, since they
    /// have promised nothing there.
    wiped: BTreeSet<(PartitionKey, MemberId)>,
}

impl Promises {
    /// A replica before its next turn. The first one of a life must show what earlier lives promised.
    pub(super) fn before_turn(&mut self, node: NodeId, life: u64, replica: &Replica) -> Option<String> {
        let key = replica.key();
        let held = self.held.entry((key, node)).or_default();
        if std::mem::replace(&mut held.life, life) == life {
            return None;
        }
        if held.member.is_some_and(|before| before != replica.member()) {
            // Its data was damaged, and the group took another member on the same disk in its place.
            *held = Held { life, ..Held::default() };
            return None;
        }
        let last = replica.log().last_index();
        let written = replica.log().hard_state();
        if let Some((term, candidate)) = held.vote
            && (written.term < term || (written.term == term && node_of(written.vote) != candidate))
        {
            return Some(format!(
                "{key:?}: node {node} voted for node {candidate} in term {term} and remembers {written:?} after a restart"
            ));
        }
        if last < held.applied {
            let applied = held.applied;
            return Some(format!(
                "{key:?}: node {node} had applied {applied} and holds {last} after a restart"
            ));
        }
        let (index, term) = held.acknowledged?;
        if index > last {
            return Some(format!(
                "{key:?}: node {node} acknowledged {index} and holds {last} after a restart"
            ));
        }
        let now = replica.log().term(index).ok().filter(|now| *now != term)?;
        Some(format!(
            "{key:?}: node {node} acknowledged {index} of term {term} and holds term {now} after a restart"
        ))
    }

    /// A replica after a turn: what a new leader replaced is promised no longer.
    pub(super) fn after_turn(&mut self, node: NodeId, replica: &Replica) {
        let log = replica.log();
        let held = self.held.entry((replica.key(), node)).or_default();
        let member = replica.member();
        if held.member.is_some_and(|before| before != member) {
            // Another member of the group on the same disk: it has made no promise yet.
            *held = Held { life: held.life, ..Held::default() };
        }
        held.member = Some(member);
        held.applied = held.applied.max(replica.applied());
        held.acknowledged = held.acknowledged.filter(|(index, term)| {
            *index <= log.last_index() && log.term(*index).is_ok_and(|now| now == *term)
        });
    }

    /// A replica says something to another node.
    pub(super) fn on_said(
        &mut self,
        node: NodeId,
        to: NodeId,
        replica: &Replica,
        message: &ReplicaMessage,
    ) -> Option<String> {
        let key = replica.key();
        match message.promise()? {
            // Two nodes that both lost everything may take each other for a cluster that begins; they are a minority.
            Promise::Vote { term }
                if self.is_wiped(key, replica.member()) && !self.is_wiped_node(key, to) =>
            {
                Some(format!(
                    "{key:?}: node {node}, whose disk was wiped, voted for node {to} in term {term}"
                ))
            }
            Promise::Vote { term } => {
                let held = self.held.entry((key, node)).or_default();
                held.vote = held.vote.filter(|(known, _)| *known >= term).or(Some((term, to)));
                let before = *self.votes.entry((key, replica.member(), term)).or_insert(to);
                (before != to).then(|| {
                    format!("{key:?}: node {node} voted for node {before} and for node {to} in term {term}")
                })
            }
            Promise::Holds { term, index } => {
                // An answer to a former leader may speak of entries that are replaced by now.
                let now = replica.log().term(index).ok().filter(|now| *now <= term)?;
                let held = self.held.entry((key, node)).or_default();
                let newest = held.acknowledged.is_none_or(|(known, _)| known < index);
                if newest && index <= replica.log().last_index() {
                    held.acknowledged = Some((index, now));
                }
                None
            }
        }
    }

    /// Forgets the replicas of a node that were there in this life and are no more, and names them: their topics are
    /// deleted.
    pub(super) fn forget_removed(
        &mut self,
        node: NodeId,
        life: u64,
        is_there: impl Fn(PartitionKey) -> bool,
    ) -> Vec<PartitionKey> {
        let is_gone =
            |key: PartitionKey, of: NodeId, held: &Held| of == node && held.life == life && !is_there(key);
        let removed = self.held.iter().filter(|((key, of), held)| is_gone(*key, *of, held));
        let removed: Vec<PartitionKey> = removed.map(|((key, _), _)| *key).collect();
        self.held.retain(|(key, of), _| *of != node || !removed.contains(key));
        removed
    }

    /// The power of a node went in the middle of a turn, which may have begun to replace entries.
    pub(super) fn on_power_cut(&mut self, node: NodeId) {
        self.held
            .iter_mut()
            .filter(|((_, of), _)| *of == node)
            .for_each(|(_, held)| held.acknowledged = None);
    }

    /// The disk of a node was wiped.
    pub(super) fn on_wiped(&mut self, node: NodeId) {
        let lost = self.held.iter().filter(|((_, of), _)| *of == node);
        self.wiped.extend(lost.filter_map(|((key, _), held)| Some((*key, held.member?))));
        self.held.retain(|(_, of), _| *of != node);
    }

    fn is_wiped(&self, key: PartitionKey, member: MemberId) -> bool {
        self.wiped.contains(&(key, member))
    }

    fn is_wiped_node(&self, key: PartitionKey, node: NodeId) -> bool {
        self.wiped.iter().any(|(of, member)| *of == key && member.node == node)
    }
}

/// The node of a member as the log's hard state names it: the lower half of the number, counted from 1; above it is the
/// member's generation.
fn node_of(vote: u64) -> NodeId {
    NodeId(i32::try_from(vote & u64::from(u32::MAX)).unwrap_or_default() - 1)
}
