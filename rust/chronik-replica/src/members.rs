//! Who belongs to a group, how that changes, and the next step from what is to what is wanted. Pure.
//!
//! A group changes one member at a time: a new one first follows without a vote until it holds the log, then it gets its
//! vote, and only then those that are not wanted any more go. So any two successive majorities have a member in common,
//! and no promise rests on somebody who does not hold it. One node is at most one member at any time.

use bytes::{BufMut, Bytes, BytesMut};
use chronik_mutants::{Mutant, planted};
use raft::eraftpb::{ConfChangeSingle, ConfChangeType, ConfChangeV2, ConfState};

use crate::codec::{CodecError, Reader, put_varint};
use crate::ids::{MemberId, member_of, raft_id};
use crate::limits;

const ADD: u8 = 1;
const PROMOTE: u8 = 2;
const REMOVE: u8 = 3;

/// The members of a group, by raft id, in order. A function of the applied entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Members {
    voters: Vec<u64>,
    /// Members that follow and have no vote.
    joining: Vec<u64>,
}

/// A member that a group shall have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WantedMember {
    /// The member.
    pub id: MemberId,
    /// Whether it shall have a vote. Nobody loses a vote but by leaving.
    pub votes: bool,
}

/// Members of a group as its replica has applied them, by node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// Members with a vote.
    pub voters: Vec<MemberId>,
    /// Members that follow without one.
    pub joining: Vec<MemberId>,
}

/// One change, as an entry carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MemberChange {
    /// The member follows from now on.
    Add(MemberId),
    /// It gets its vote.
    Promote(MemberId),
    /// It is gone.
    Remove(MemberId),
}

/// What a leader does next about the members of its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Everything is as wanted.
    Settled,
    /// A member has to catch up first.
    Wait,
    /// Propose this.
    Propose(MemberChange),
    /// The leader is not wanted any more: somebody else has to lead.
    HandOver,
}

impl Members {
    /// A group of these voters.
    pub(crate) fn of(voters: impl IntoIterator<Item = MemberId>) -> Members {
        let mut voters: Vec<u64> = voters.into_iter().map(raft_id).collect();
        voters.sort_unstable();
        Members { voters, joining: Vec::new() }
    }

    pub(crate) fn voters(&self) -> &[u64] {
        &self.voters
    }

    pub(crate) fn is_voter(&self, id: u64) -> bool {
        self.voters.contains(&id)
    }

    pub(crate) fn contains(&self, id: u64) -> bool {
        self.is_voter(id) || self.joining.contains(&id)
    }

    /// All members, those with a vote first.
    pub(crate) fn ids(&self) -> impl Iterator<Item = u64> + '_ {
        self.voters.iter().chain(&self.joining).copied()
    }

    /// Carries a change out. False if there is nothing to change, or the group would be left without a voter or with
    /// too many members.
    pub(crate) fn apply(&mut self, change: MemberChange) -> bool {
        match change {
            MemberChange::Add(member) => {
                let id = raft_id(member);
                let full = self.voters.len() + self.joining.len() >= limits::VOTERS_MAX;
                let node_is_member = self.ids().any(|known| crate::ids::node_of(known) == Some(member.node));
                if full || node_is_member {
                    return false;
                }
                self.joining.push(id);
                self.joining.sort_unstable();
            }
            MemberChange::Promote(member) => {
                let id = raft_id(member);
                if !self.joining.contains(&id) {
                    return false;
                }
                self.joining.retain(|known| *known != id);
                self.voters.push(id);
                self.voters.sort_unstable();
            }
            MemberChange::Remove(member) => {
                let id = raft_id(member);
                if !self.contains(id) || self.voters == [id] {
                    return false;
                }
                self.voters.retain(|known| *known != id);
                self.joining.retain(|known| *known != id);
            }
        }
        true
    }

    /// The members as raft knows them at a replica. Raft takes no snapshot for somebody who is not in it, and an older
    /// snapshot of the group may know nothing of `own` yet: it counts as following.
    pub(crate) fn conf_state(&self, own: Option<u64>) -> ConfState {
        let mut state = ConfState::default();
        let mut joining = self.joining.clone();
        joining.extend(own.filter(|own| !self.contains(*own)));
        state.set_voters(self.voters.clone());
        state.set_learners(joining);
        state
    }

    /// The members as a snapshot keeps them.
    pub(crate) fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        for ids in [&self.voters, &self.joining] {
            put_varint(&mut out, ids.len() as u64);
            ids.iter().for_each(|id| put_varint(&mut out, *id));
        }
        out.freeze()
    }

    /// Reads what [`Members::encode`] wrote. Members are distinct nodes, and somebody votes.
    pub(crate) fn decode(bytes: Bytes) -> Result<Members, CodecError> {
        let mut reader = Reader::new(bytes);
        let [voters, joining] = [read_ids(&mut reader)?, read_ids(&mut reader)?];
        reader.finish("members")?;
        let members = Members { voters, joining };
        let mut nodes: Vec<_> = members.ids().map(crate::ids::node_of).collect();
        nodes.sort_unstable();
        let before = nodes.len();
        nodes.dedup();
        if members.voters.is_empty() || nodes.len() != before || nodes.contains(&None) {
            return Err(CodecError::Unknown("set of members of size", before as u64));
        }
        Ok(members)
    }

    /// The members by node.
    pub(crate) fn named(&self) -> Membership {
        let named = |ids: &[u64]| {
            let mut named: Vec<MemberId> = ids.iter().copied().filter_map(member_of).collect();
            named.sort_unstable();
            named
        };
        Membership { voters: named(&self.voters), joining: named(&self.joining) }
    }

    /// The leader `own`'s next step towards `wanted`. `has_caught_up` says whether a member holds the log but for what
    /// is on its way.
    pub(crate) fn next_step(
        &self,
        wanted: &[WantedMember],
        own: u64,
        has_caught_up: impl Fn(u64) -> bool,
    ) -> Step {
        let mut waits = false;
        for member in wanted {
            let id = raft_id(member.id);
            let other =
                self.ids().find(|known| *known != id && crate::ids::node_of(*known) == Some(member.id.node));
            match other {
                // The leader itself has been given a new place: somebody else has to see to it.
                Some(other) if other == own => return Step::HandOver,
                // Its node was a member on a disk that is lost, or in an earlier stay: that one goes first.
                Some(other) => return remove(other),
                None if !self.contains(id) => return Step::Propose(MemberChange::Add(member.id)),
                None if !member.votes || self.is_voter(id) => {}
                None if has_caught_up(id) => return Step::Propose(MemberChange::Promote(member.id)),
                None => waits = true,
            }
        }
        if waits {
            return Step::Wait;
        }
        let is_wanted = |id: &u64| wanted.iter().any(|member| raft_id(member.id) == *id);
        match self.ids().find(|id| *id != own && !is_wanted(id)) {
            Some(unwanted) => remove(unwanted),
            None if is_wanted(&own) => Step::Settled,
            None => Step::HandOver,
        }
    }
}

fn remove(id: u64) -> Step {
    member_of(id).map_or(Step::Wait, |member| Step::Propose(MemberChange::Remove(member)))
}

fn read_ids(reader: &mut Reader) -> Result<Vec<u64>, CodecError> {
    let count = reader.count("members", limits::VOTERS_MAX, 1)?;
    (0..count).map(|_| reader.varint("member")).collect()
}

impl MemberChange {
    /// The entry's data.
    pub(crate) fn encode(self) -> Bytes {
        let (kind, member) = match self {
            MemberChange::Add(member) => (ADD, member),
            MemberChange::Promote(member) => (PROMOTE, member),
            MemberChange::Remove(member) => (REMOVE, member),
        };
        let mut out = BytesMut::with_capacity(11);
        out.put_u8(kind);
        put_varint(&mut out, raft_id(member));
        out.freeze()
    }

    /// Reads an entry's data. An unknown change stops the replica: to skip it would let replicas differ.
    pub(crate) fn decode(data: Bytes) -> Result<MemberChange, CodecError> {
        let mut reader = Reader::new(data);
        let kind = reader.byte("change of members")?;
        let id = reader.varint("member")?;
        reader.finish("change of members")?;
        let member = member_of(id).ok_or(CodecError::Unknown("member", id))?;
        match kind {
            ADD => Ok(MemberChange::Add(member)),
            PROMOTE => Ok(MemberChange::Promote(member)),
            REMOVE => Ok(MemberChange::Remove(member)),
            other => Err(CodecError::Unknown("change of members", u64::from(other))),
        }
    }

    /// The change as raft carries it out.
    pub(crate) fn to_raft(self) -> ConfChangeV2 {
        let (kind, member) = match self {
            MemberChange::Add(member) if planted(Mutant::JoiningCounts) => (ConfChangeType::AddNode, member),
            MemberChange::Add(member) => (ConfChangeType::AddLearnerNode, member),
            MemberChange::Promote(member) => (ConfChangeType::AddNode, member),
            MemberChange::Remove(member) => (ConfChangeType::RemoveNode, member),
        };
        let mut single = ConfChangeSingle::default();
        single.set_change_type(kind);
        single.node_id = raft_id(member);
        let mut change = ConfChangeV2::default();
        change.mut_changes().push(single);
        change
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chronik_wire::types::NodeId;

    fn member(node: i32, generation: u32) -> MemberId {
        MemberId { node: NodeId(node), generation }
    }

    fn wanted(members: &[(i32, u32)]) -> Vec<WantedMember> {
        let wish =
            |(node, generation): &(i32, u32)| WantedMember { id: member(*node, *generation), votes: true };
        members.iter().map(wish).collect()
    }

    fn founders(nodes: &[i32]) -> Members {
        Members::of(nodes.iter().map(|node| member(*node, 0)))
    }

    /// Walks from `from` to `wanted`, handing leadership over to the first wanted voter. Returns the steps.
    fn walk(mut members: Members, wanted: &[WantedMember], mut leader: MemberId) -> Vec<String> {
        let mut steps = Vec::new();
        for _ in 0..40 {
            let before = members.clone();
            match members.next_step(wanted, raft_id(leader), |_| true) {
                Step::Settled => return steps,
                Step::Wait => panic!("everybody has caught up"),
                Step::HandOver => {
                    let heir = wanted
                        .iter()
                        .find(|heir| heir.id.node != leader.node && members.is_voter(raft_id(heir.id)));
                    leader = heir.expect("somebody else has a vote").id;
                    steps.push(format!("lead {}", leader.node));
                }
                Step::Propose(change) => {
                    assert!(members.apply(change), "{change:?} changes nothing");
                    let moved =
                        |a: &Members, b: &Members| a.voters.iter().filter(|id| !b.is_voter(**id)).count();
                    assert!(moved(&before, &members) + moved(&members, &before) <= 1, "one vote at a time");
                    steps.push(match change {
                        MemberChange::Add(member) => format!("+{}.{}", member.node, member.generation),
                        MemberChange::Promote(member) => format!("^{}", member.node),
                        MemberChange::Remove(member) => format!("-{}.{}", member.node, member.generation),
                    });
                }
            }
        }
        panic!("never arrives: {steps:?}");
    }

    #[test]
    fn members_come_before_others_go() {
        let steps = walk(founders(&[1, 2, 3]), &wanted(&[(4, 1), (1, 0), (2, 0)]), member(1, 0));
        assert_eq!(steps, ["+4.1", "^4", "-3.0"]);
        let steps = walk(founders(&[1, 2, 3]), &wanted(&[(4, 1), (5, 2), (6, 3)]), member(1, 0));
        assert_eq!(steps, ["+4.1", "^4", "+5.2", "^5", "+6.3", "^6", "-2.0", "-3.0", "lead 4", "-1.0"]);
        assert_eq!(walk(founders(&[1]), &wanted(&[(2, 1)]), member(1, 0)), ["+2.1", "^2", "lead 2", "-1.0"]);
        assert!(walk(founders(&[1, 2]), &wanted(&[(1, 0), (2, 0)]), member(2, 0)).is_empty());
    }

    #[test]
    fn a_lost_disk_leaves_before_its_successor_comes() {
        let steps = walk(founders(&[1, 2, 3]), &wanted(&[(1, 0), (2, 0), (3, 7)]), member(2, 0));
        assert_eq!(steps, ["-3.0", "+3.7", "^3"]);
    }

    #[test]
    fn nobody_goes_before_the_new_ones_hold_the_log_and_followers_stay_followers() {
        let mut members = founders(&[1, 2, 3]);
        let wanted = wanted(&[(1, 0), (2, 0), (4, 1)]);
        members.apply(MemberChange::Add(member(4, 1)));
        assert_eq!(members.next_step(&wanted, 2, |_| false), Step::Wait);
        let follower = [WantedMember { id: member(4, 1), votes: false }];
        let all: Vec<WantedMember> =
            self::wanted(&[(1, 0), (2, 0), (3, 0)]).into_iter().chain(follower).collect();
        assert_eq!(members.next_step(&all, 2, |_| true), Step::Settled);
    }

    #[test]
    fn changes_that_make_no_sense_change_nothing() {
        let mut members = founders(&[1]);
        assert!(!members.apply(MemberChange::Remove(member(1, 0))), "the last voter stays");
        assert!(!members.apply(MemberChange::Promote(member(2, 0))), "nobody votes who did not follow");
        assert!(!members.apply(MemberChange::Add(member(1, 5))), "one node is one member");
        for node in 2..=limits::VOTERS_MAX as i32 {
            assert!(members.apply(MemberChange::Add(member(node, 1))));
        }
        assert!(!members.apply(MemberChange::Add(member(1_000, 1))));
    }

    #[test]
    fn members_and_changes_round_trip_and_nonsense_does_not() {
        let mut members = founders(&[0, 1, i32::MAX]);
        members.apply(MemberChange::Add(member(7, u32::MAX)));
        assert_eq!(Members::decode(members.encode()), Ok(members.clone()));
        assert_eq!(members.conf_state(Some(99)).get_learners(), [raft_id(member(7, u32::MAX)), 99]);
        for wrong in [&[0, 0][..], &[1, 0, 0], &[2, 1, 1, 0], &[1, 1, 1, 1], &[1, 1]] {
            assert!(Members::decode(Bytes::copy_from_slice(wrong)).is_err(), "{wrong:?}");
        }
        for change in [MemberChange::Add, MemberChange::Promote, MemberChange::Remove] {
            let change = change(member(4, 9));
            assert_eq!(MemberChange::decode(change.encode()), Ok(change));
        }
        for wrong in [&[][..], &[9, 1], &[1, 0], &[1, 1, 1]] {
            assert!(MemberChange::decode(Bytes::copy_from_slice(wrong)).is_err(), "{wrong:?}");
        }
    }
}
