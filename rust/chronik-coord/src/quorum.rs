//! Who belongs to the Raft group of the metadata itself.
//!
//! Role: plain data beside the image. The group begins with the nodes the cluster was founded with; a broker that
//! registers from anywhere else joins it, because every node keeps a copy of the metadata. Its member is tied to the
//! disk of that first registration: a broker on another disk follows without a vote until it is admitted again.

use std::collections::BTreeMap;

use chronik_wire::types::{DirectoryId, NodeId};

use crate::assignment::Member;
use crate::codec::coded_struct;
use crate::limits;

/// One broker's part in the metadata group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seat {
    /// The member it is.
    pub(crate) member: Member,
    /// Whether it is to leave the group, or has left it.
    pub(crate) leaves: bool,
}
coded_struct!(Seat { member: Member, leaves: bool });

/// The generation of the metadata group's member on a disk that the cluster was not founded with. A node must know it
/// before it has any metadata, so it follows from the disk; the metadata log of a disk is never deleted, so one disk is
/// one member for ever.
pub fn metadata_generation(directory: DirectoryId) -> u32 {
    let folded = (0..4).fold(0, |folded, part| folded ^ (directory.0 >> (32 * part)) as u32);
    // Generation 0 is that of the founders.
    folded.max(1)
}

/// The members of the metadata group that the cluster wants, and whether each has a vote.
/// Who leaves stays as long as it `holds` replicas: without the metadata it would not know what becomes of them.
pub(crate) fn wanted(
    seats: &BTreeMap<NodeId, Seat>,
    founders: &[NodeId],
    holds: impl Fn(NodeId) -> bool,
) -> Vec<(Member, bool)> {
    let stays = |seat: &&Seat| !seat.leaves || holds(seat.member.node);
    let registered = seats.values().filter(stays).map(|seat| seat.member);
    // A founder that has never registered is a member all the same.
    let unheard = founders.iter().filter(|node| !seats.contains_key(node));
    let unheard = unheard.map(|node| Member { node: *node, generation: 0, directory: DirectoryId(0) });
    let mut members: Vec<Member> = registered.chain(unheard).collect();
    members.sort_by_key(|member| (member.generation != 0, member.node));
    let votes = |(position, member)| (member, position < limits::METADATA_VOTERS_MAX);
    members.into_iter().enumerate().map(votes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seat(node: i32, generation: u32, leaves: bool) -> (NodeId, Seat) {
        let member = Member { node: NodeId(node), generation, directory: DirectoryId(7) };
        (member.node, Seat { member, leaves })
    }

    #[test]
    fn founders_come_first_and_nobody_is_removed_for_being_late() {
        let seats = BTreeMap::from([seat(0, 9, false), seat(1, 0, false), seat(2, 0, true)]);
        let founders = [1, 2, 3].map(NodeId);
        let nodes = |holds: bool| {
            let wanted = wanted(&seats, &founders, |_| holds);
            wanted.iter().map(|(member, votes)| (member.node.0, *votes)).collect::<Vec<_>>()
        };
        assert_eq!(nodes(false), [(1, true), (3, true), (0, true)]);
        assert_eq!(nodes(true), [(1, true), (2, true), (3, true), (0, true)], "it is not empty yet");
    }

    #[test]
    fn the_voters_are_bounded_and_the_rest_follows() {
        let seats = (1..20).map(|node| seat(node, 5, false)).collect();
        let voters = wanted(&seats, &[], |_| false).into_iter().filter(|(_, votes)| *votes).count();
        assert_eq!(voters, limits::METADATA_VOTERS_MAX);
        assert!(metadata_generation(DirectoryId(0)) > 0);
        assert_ne!(metadata_generation(DirectoryId(1)), metadata_generation(DirectoryId(1 << 64 | 2)));
    }
}
