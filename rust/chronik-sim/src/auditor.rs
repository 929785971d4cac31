//! Looks inside after every turn and checks what Raft and the log promise each other, whatever clients see: one leader
//! per term, equal logs at equal indexes, leaders that hold everything committed, applied state that only moves forward
//! and is a function of the applied index, votes and acknowledgements that survive a restart.

mod promises;

use std::collections::{BTreeMap, BTreeSet};

use chronik_coord::MetaImage;
use chronik_replica::{Host, Index, MemberId, Membership, Replica, ReplicaMessage};
use chronik_wire::types::{NodeId, PartitionKey};

use crate::random::mix;
use promises::Promises;

/// Violations kept; the first one matters.
const VIOLATIONS_MAX: usize = 20;

/// What every replica that has applied an index must agree on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct AppliedState {
    term: u64,
    high_watermark: i64,
    /// Fingerprint of the members of the group.
    members: u64,
}

#[derive(Clone, Debug, Default)]
struct Group {
    /// Who led which term.
    leaders: BTreeMap<u64, NodeId>,
    /// What was seen at each applied index.
    applied: BTreeMap<Index, AppliedState>,
    /// Per node: its life, which member of the group it is, and the last index it applied.
    progress: BTreeMap<NodeId, (u64, MemberId, Index)>,
}

/// The watch over all groups.
#[derive(Clone, Debug, Default)]
pub(crate) struct Auditor {
    groups: BTreeMap<PartitionKey, Group>,
    promises: Promises,
    /// Groups of topics that some node has removed: other nodes leave them when they hear of it.
    deleted: BTreeSet<PartitionKey>,
    /// Replicas that a node has removed, and must not create again.
    removed: BTreeSet<(NodeId, PartitionKey)>,
    violations: Vec<String>,
    /// Terms in which somebody led.
    pub(crate) terms_led: u64,
    /// Replicas found stopped, by reason.
    pub(crate) stops: BTreeMap<String, u64>,
}

impl Auditor {
    /// A node is about to take a turn: replicas that are new in this life are held against what earlier lives promised.
    pub(crate) fn before_turn(&mut self, node: NodeId, life: u64, host: &Host) {
        for replica in running(host) {
            let is_empty = replica.log().last_index() == Index::ZERO;
            if is_empty && self.removed.remove(&(node, replica.key())) {
                self.violate(format!(
                    "{:?}: node {node} revives the replica of a deleted topic",
                    replica.key()
                ));
            }
            if !self.deleted.contains(&replica.key())
                && let Some(violation) = self.promises.before_turn(node, life, replica)
            {
                self.violate(violation);
            }
        }
    }

    /// A node goes down, or has ended a turn: what was removed from it is promised no longer. `image` is what the node knows
    /// of the metadata: a replica whose topic is still there has moved elsewhere.
    pub(crate) fn forget_removed(&mut self, node: NodeId, life: u64, host: &Host, image: &MetaImage) {
        let removed = self.promises.forget_removed(node, life, |key| host.replica(key).is_some());
        for key in removed.into_iter().filter(|key| image.topic_by_id(key.topic).is_none()) {
            self.deleted.insert(key);
            self.removed.insert((node, key));
        }
    }

    /// A replica of a node says something.
    pub(crate) fn on_said(
        &mut self,
        (node, to): (NodeId, NodeId),
        key: PartitionKey,
        host: &Host,
        message: &ReplicaMessage,
    ) {
        let Some(replica) = host.replica(key).filter(|_| !self.deleted.contains(&key)) else { return };
        if let Some(violation) = self.promises.on_said(node, to, replica, message) {
            self.violate(violation);
        }
    }

    /// The power of a node went in the middle of a turn.
    pub(crate) fn on_power_cut(&mut self, node: NodeId) {
        self.promises.on_power_cut(node);
    }

    /// The disk of a node was wiped: nobody expects it to remember.
    pub(crate) fn on_wiped(&mut self, node: NodeId) {
        self.promises.on_wiped(node);
    }

    /// Checks every replica of a node. Returns what changed about leadership, for the story.
    pub(crate) fn look(
        &mut self,
        node: NodeId,
        life: u64,
        host: &Host,
        image: &MetaImage,
    ) -> Vec<(PartitionKey, u64)> {
        self.forget_removed(node, life, host, image);
        let mut elected = Vec::new();
        for key in host.keys() {
            if let Some(replica) = host.replica(key)
                && let Some(term) = self.look_at(node, life, key, replica)
            {
                elected.push((key, term));
            }
        }
        elected
    }

    fn look_at(&mut self, node: NodeId, life: u64, key: PartitionKey, replica: &Replica) -> Option<u64> {
        if let Some(reason) = replica.stop_reason() {
            self.on_stopped(node, life, key, reason);
            return None;
        }
        if self.deleted.contains(&key) {
            return None;
        }
        self.check_applied(node, life, key, replica);
        self.promises.after_turn(node, replica);
        if !replica.leads() {
            return None;
        }
        let term = replica.term().0;
        let group = self.groups.entry(key).or_default();
        match group.leaders.insert(term, node) {
            None => {
                self.terms_led += 1;
                self.check_completeness(node, key, replica);
                self.check_vote(node, key, replica);
                Some(term)
            }
            Some(known) if known == node => None,
            Some(known) => {
                self.violate(format!("{key:?}: term {term} is led by node {known} and by node {node}"));
                None
            }
        }
    }

    fn on_stopped(&mut self, node: NodeId, life: u64, key: PartitionKey, reason: &str) {
        let group = self.groups.entry(key).or_default();
        let stopped = (life, MemberId::founder(node), Index(u64::MAX));
        if group.progress.insert(node, stopped) == Some(stopped) {
            return;
        }
        *self.stops.entry(reason.to_owned()).or_default() += 1;
        if reason.contains("broken invariant") {
            self.violate(format!("{key:?}: the replica at node {node} stopped: {reason}"));
        }
    }

    fn check_applied(&mut self, node: NodeId, life: u64, key: PartitionKey, replica: &Replica) {
        let index = replica.applied();
        let group = self.groups.entry(key).or_default();
        let now = (life, replica.member(), index);
        let before = group.progress.insert(node, now);
        if before == Some(now) {
            return;
        }
        if let Some((known_life, member, known)) = before
            && known_life == life
            && member == replica.member()
            && known > index
        {
            self.violate(format!("{key:?}: node {node} went back from applied {known} to {index}"));
            return;
        }
        // A term below the log's first index is known from its snapshot only.
        let Ok(term) = replica.log().term(index) else { return };
        let state = AppliedState {
            term: term.0,
            high_watermark: replica.high_watermark().0,
            members: fingerprint(&replica.membership()),
        };
        let group = self.groups.entry(key).or_default();
        let known = *group.applied.entry(index).or_insert(state);
        if known != state {
            let text =
                format!("{key:?}: node {node} applied {index} as {state:?}, another node as {known:?}");
            self.violate(text);
        }
    }

    /// A leader holds everything that was ever applied anywhere, unless it learns of its election only after others were
    /// elected in later terms: it was a pause that made it lead, and it will not commit anything.
    fn check_completeness(&mut self, node: NodeId, key: PartitionKey, replica: &Replica) {
        let Some(group) = self.groups.get(&key) else { return };
        let Some((index, state)) = group.applied.last_key_value() else { return };
        if group.leaders.range(replica.term().0 + 1..).next().is_some() {
            return;
        }
        let held = replica.log().term(*index).ok().map(|term| term.0);
        // An index below the first was compacted away, which only applied entries are.
        if *index < replica.log().first_index() || held == Some(state.term) {
            return;
        }
        let text = format!(
            "{key:?}: node {node} was elected for term {} without the applied entry {index} of term {}; it holds {held:?}",
            replica.term().0,
            state.term
        );
        self.violate(text);
    }

    /// Whoever leads has a vote by the log it has applied.
    fn check_vote(&mut self, node: NodeId, key: PartitionKey, replica: &Replica) {
        let membership = replica.membership();
        if !membership.voters.contains(&replica.member()) {
            let text =
                format!("{key:?}: node {node} was elected without a vote; the members are {membership:?}");
            self.violate(text);
        }
    }

    fn violate(&mut self, text: String) {
        if self.violations.len() < VIOLATIONS_MAX {
            self.violations.push(text);
        }
    }

    /// What had been found before this state of the auditor was put back.
    pub(crate) fn keep(&mut self, violations: Vec<String>) {
        self.violations = violations;
    }

    /// What was found, oldest first.
    pub(crate) fn violations(&self) -> &[String] {
        &self.violations
    }
}

fn fingerprint(membership: &Membership) -> u64 {
    let members = |list: &[MemberId], salt: u64| {
        list.iter().fold(salt, |hash, member| {
            mix(hash ^ (u64::from(member.generation) << 32 | u64::from(member.node.0.unsigned_abs())))
        })
    };
    members(&membership.joining, members(&membership.voters, 1))
}

fn running(host: &Host) -> impl Iterator<Item = &Replica> {
    host.keys().filter_map(|key| host.replica(key)).filter(|replica| replica.stop_reason().is_none())
}
