//! Members as raft sees them, and ids that are never used twice.
//!
//! Raft reserves 0 for "nobody" while Kafka's first broker may be 0, so a raft id holds node id + 1. Above it stands the
//! generation of the member: a replica that left its group and comes back without its data is another member, whom
//! nobody takes for the one that voted and acknowledged before. This is the only place that knows.

use chronik_mutants::{Mutant, planted};
use chronik_wire::types::NodeId;

/// One member of a group: one stay on one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberId {
    /// Its node, which is also its address.
    pub node: NodeId,
    /// Tells it from other members that the group has or had on that node. Those the group began with have 0.
    pub generation: u32,
}

impl MemberId {
    /// A member that the group began with.
    pub fn founder(node: NodeId) -> MemberId {
        MemberId { node, generation: 0 }
    }
}

/// The raft id of a member. Negative nodes do not exist in a cluster; they map to raft's "nobody".
pub(crate) fn raft_id(member: MemberId) -> u64 {
    match u64::try_from(member.node.0) {
        Ok(node) => u64::from(member.generation) << 32 | (node + 1),
        Err(_) => raft::INVALID_ID,
    }
}

/// The member of a raft id; `None` for raft's "nobody" and for ids no member can have.
pub(crate) fn member_of(id: u64) -> Option<MemberId> {
    let node = (id & u64::from(u32::MAX)).checked_sub(1)?;
    let node = NodeId(i32::try_from(node).ok()?);
    Some(MemberId { node, generation: (id >> 32) as u32 })
}

/// The node of a raft id; `None` for raft's "nobody" and for ids no member can have.
pub(crate) fn node_of(id: u64) -> Option<NodeId> {
    member_of(id).map(|member| member.node)
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
    fn raft_ids_and_members_convert_both_ways() {
        for node in [0, 1, 7, i32::MAX].map(NodeId) {
            for generation in [0, 1, u32::MAX] {
                let member = MemberId { node, generation };
                assert_eq!(member_of(raft_id(member)), Some(member));
            }
            assert_eq!(raft_id(MemberId::founder(node)), node.0 as u64 + 1);
        }
        for nobody in [raft::INVALID_ID, 1 << 32, u64::MAX] {
            assert_eq!(node_of(nobody), None);
        }
        assert_eq!(raft_id(MemberId::founder(NodeId(-1))), raft::INVALID_ID);
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
