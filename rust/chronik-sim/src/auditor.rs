//! Looks inside after every turn and checks what Raft and the log promise each other, whatever clients see: one leader
//! per term, equal logs at equal indexes, leaders that hold everything committed, applied state that only moves forward
//! and is a function of the applied index.

use std::collections::BTreeMap;

use chronik_replica::{Host, Index, Replica};
use chronik_wire::types::{NodeId, PartitionKey};

/// Violations kept; the first one matters.
const VIOLATIONS_MAX: usize = 20;

/// What every replica that has applied an index must agree on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct AppliedState {
    term: u64,
    high_watermark: i64,
}

#[derive(Debug, Default)]
struct Group {
    /// Who led which term.
    leaders: BTreeMap<u64, NodeId>,
    /// What was seen at each applied index.
    applied: BTreeMap<Index, AppliedState>,
    /// Per node and life: the last applied index.
    progress: BTreeMap<NodeId, (u64, Index)>,
}

/// The watch over all groups.
#[derive(Debug, Default)]
pub(crate) struct Auditor {
    groups: BTreeMap<PartitionKey, Group>,
    violations: Vec<String>,
    /// Terms in which somebody led.
    pub(crate) terms_led: u64,
    /// Replicas found stopped, by reason.
    pub(crate) stops: BTreeMap<String, u64>,
}

impl Auditor {
    /// Checks every replica of a node. Returns what changed about leadership, for the story.
    pub(crate) fn look(&mut self, node: NodeId, life: u64, host: &Host) -> Vec<(PartitionKey, u64)> {
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
        self.check_applied(node, life, key, replica);
        if !replica.leads() {
            return None;
        }
        let term = replica.term().0;
        let group = self.groups.entry(key).or_default();
        match group.leaders.insert(term, node) {
            None => {
                self.terms_led += 1;
                self.check_completeness(node, key, replica);
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
        if group.progress.insert(node, (life, Index(u64::MAX))) == Some((life, Index(u64::MAX))) {
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
        let before = group.progress.insert(node, (life, index));
        if before == Some((life, index)) {
            return;
        }
        if let Some((known_life, known)) = before
            && known_life == life
            && known > index
        {
            self.violate(format!("{key:?}: node {node} went back from applied {known} to {index}"));
            return;
        }
        // A term below the log's first index is known from its snapshot only.
        let Ok(term) = replica.log().term(index) else { return };
        let state = AppliedState { term: term.0, high_watermark: replica.high_watermark().0 };
        let group = self.groups.entry(key).or_default();
        let known = *group.applied.entry(index).or_insert(state);
        if known != state {
            let text =
                format!("{key:?}: node {node} applied {index} as {state:?}, another node as {known:?}");
            self.violate(text);
        }
    }

    /// A leader holds everything that was ever applied anywhere.
    fn check_completeness(&mut self, node: NodeId, key: PartitionKey, replica: &Replica) {
        let Some(group) = self.groups.get(&key) else { return };
        let Some((index, state)) = group.applied.last_key_value() else { return };
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

    fn violate(&mut self, text: String) {
        if self.violations.len() < VIOLATIONS_MAX {
            self.violations.push(text);
        }
    }

    /// What was found, oldest first.
    pub(crate) fn violations(&self) -> &[String] {
        &self.violations
    }
}
