//! Node ids as raft sees them, and ids that are never used twice.
//!
//! Raft reserves 0 for "nobody" while Kafka's first broker may be 0, so raft id = node id + 1. This is the only
//! place that knows.

use chronik_mutants::{Mutant, planted};
use chronik_wire::types::NodeId;

/// The raft id of a node. Negative ids do not exist in a cluster; they map to raft's "nobody".
pub(crate) fn raft_id(node: NodeId) -> u64 {
    u64::try_from(i64::from(node.0) + 1).unwrap_or(raft::INVALID_ID)
}

/// The node of a raft id; `None` for raft's "nobody" and for ids no node can have.
pub(crate) fn node_of(id: u64) -> Option<NodeId> {
    let number = i64::try_from(id).ok()?.checked_sub(1)?;
    i32::try_from(number).ok().filter(|number| *number >= 0).map(NodeId)
}

/// Numbers for barrier requests and read contexts. One source per host: a replica that is removed and created
/// again must not repeat the numbers of its former life. Nor may a restarted process: an answer to its former life
/// that is still under way would open a gate of this one with an index from before the request.
#[derive(Debug)]
pub(crate) struct RoundIds(u64);

impl RoundIds {
    /// Numbers of the life that drew `incarnation`: two lives begin at random places of a circle of 2^64.
    pub(crate) fn of_life(incarnation: u64) -> RoundIds {
        if planted(Mutant::RoundIdsRepeat) {
            return RoundIds(0);
        }
        RoundIds(incarnation)
    }

    /// A number this source has never given out.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(1);
        if planted(Mutant::RoundIdsRepeat) {
            self.0 %= 4;
        }
        self.0
    }
}

/// Length of a read context in bytes.
pub(crate) const CONTEXT_BYTES: usize = 24;

/// A read context: node, process start, counter. Raft releases a stale read if a context is ever used twice, in
/// this or in an earlier life of the process, on this or on another node.
pub(crate) fn read_context(node: NodeId, incarnation: u64, number: u64) -> [u8; CONTEXT_BYTES] {
    let mut context = [0; CONTEXT_BYTES];
    context[16..].copy_from_slice(&number.to_be_bytes());
    if planted(Mutant::RoundIdsRepeat) {
        return context;
    }
    context[..8].copy_from_slice(&i64::from(node.0).to_be_bytes());
    context[8..16].copy_from_slice(&incarnation.to_be_bytes());
    context
}

/// The counter of a context that this node made in this life of its process; `None` for any other bytes.
pub(crate) fn context_number(node: NodeId, incarnation: u64, context: &[u8]) -> Option<u64> {
    let context: &[u8; CONTEXT_BYTES] = context.try_into().ok()?;
    let (owner, number) = context.split_at(16);
    let number = u64::from_be_bytes(number.try_into().ok()?);
    (read_context(node, incarnation, number)[..16] == *owner).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raft_ids_and_nodes_convert_both_ways() {
        for node in [0, 1, 7, i32::MAX] {
            assert_eq!(node_of(raft_id(NodeId(node))), Some(NodeId(node)));
        }
        assert_eq!(node_of(raft::INVALID_ID), None);
        assert_eq!(node_of(u64::MAX), None);
        assert_eq!(raft_id(NodeId(-1)), raft::INVALID_ID);
    }

    #[test]
    fn a_context_belongs_to_one_node_and_one_life() {
        let context = read_context(NodeId(2), 99, 5);
        assert_eq!(context_number(NodeId(2), 99, &context), Some(5));
        assert_eq!(context_number(NodeId(1), 99, &context), None);
        assert_eq!(context_number(NodeId(2), 98, &context), None);
        assert_eq!(context_number(NodeId(2), 99, &context[1..]), None);
        let mut ids = RoundIds::of_life(u64::MAX);
        assert_ne!(ids.next(), ids.next());
        assert_ne!(RoundIds::of_life(1 << 40).next(), RoundIds::of_life(2 << 40).next());
    }
}
