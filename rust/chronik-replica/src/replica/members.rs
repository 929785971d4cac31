//! How members come and go: the leader moves its group step by step to what is wanted, everybody applies the steps.
//!
//! What is wanted comes from outside and may be old; it only decides what a leader proposes. Who belongs to the group is
//! a function of the applied entries, and takes effect where an entry is applied. A leader proposes one step at a time,
//! after it has applied everything of the past: so an entry behind a step proves to whoever holds it that the step
//! before is committed. For the same reason no replica campaigns that knows of a committed step it has not applied.

use chronik_log::Index;
use chronik_mutants::{Mutant, planted};
use chronik_wire::types::NodeId;
use raft::eraftpb::{Entry, Message};
use raft::{GetEntriesContext, ProgressState};

use super::Replica;
use super::persist::is_disk_full;
use crate::config::Standing;
use crate::entry;
use crate::gate::GateErrorKind;
use crate::host::shared::Shared;
use crate::ids::{MemberId, member_of, node_of, raft_id};
use crate::limits;
use crate::members::{MemberChange, Membership, Step, WantedMember};

impl Replica {
    /// Which member of its group this replica is.
    pub fn member(&self) -> MemberId {
        member_of(self.raw.raft.id).unwrap_or(MemberId::founder(self.node))
    }

    /// The members of the group as applied here.
    pub fn membership(&self) -> Membership {
        self.raw.store().members.named()
    }

    /// Whether the group consists of exactly the members wanted of it, as applied at this confirmed leader.
    pub fn is_settled_as_wanted(&self) -> bool {
        let settled = self.is_confirmed() && !self.wanted.is_empty() && self.next_step() == Step::Settled;
        settled && self.is_change_known()
    }

    /// Whether a majority knows that the last change is committed. Until then it could elect a leader only together with
    /// members that have left.
    fn is_change_known(&self) -> bool {
        let progresses = self.raw.raft.prs();
        let voters = self.raw.store().members.voters();
        let knows = |id: &&u64| {
            **id == self.raw.raft.id
                || progresses.get(**id).is_some_and(|progress| progress.committed_index >= self.last_change.0)
        };
        2 * voters.iter().filter(knows).count() > voters.len()
    }

    /// Says who shall belong to the group. Its leader sees to it.
    pub(crate) fn want_members(&mut self, wanted: Vec<WantedMember>, shared: &mut Shared) {
        if self.stopped.is_some() || self.wanted == wanted {
            return;
        }
        self.wanted = wanted;
        (self.lead.members_settled, self.lead.arrival_told) = (false, false);
        if self.leads() {
            self.wake_up(shared);
            self.mark_dirty(shared);
        }
    }

    /// Somebody waits to hear that the group has arrived where it is wanted, and may not have heard it the last time.
    pub(crate) fn expect_arrival(&mut self, shared: &mut Shared) {
        if self.stopped.is_none() && self.leads() {
            self.lead.arrival_told = false;
            self.wake_up(shared);
            self.mark_dirty(shared);
        }
    }

    /// Tells once that the group has arrived where it is wanted.
    pub(super) fn tell_arrival(&mut self, shared: &mut Shared) {
        if !self.lead.arrival_told && self.is_settled_as_wanted() {
            self.lead.arrival_told = true;
            shared.arrivals.insert(self.key);
        }
    }

    /// Whether this leader has something to do about the members of its group.
    pub(super) fn moves_members(&self) -> bool {
        self.lead.changing_members || (!self.wanted.is_empty() && !self.lead.members_settled)
    }

    fn next_step(&self) -> Step {
        let caught_up = |id| self.has_caught_up(id);
        self.raw.store().members.next_step(&self.wanted, self.raw.raft.id, caught_up)
    }

    /// Whether a member without a vote holds the log, but for little that is on its way.
    fn has_caught_up(&self, id: u64) -> bool {
        let last = self.raw.raft.raft_log.last_index();
        let Some(progress) = self.raw.raft.prs().get(id) else { return false };
        // A stand-in's acknowledgements are not the member's.
        let stands_in = node_of(id).is_some_and(|node| self.lead.learners.holds(node).is_some());
        let replicates = progress.state == ProgressState::Replicate && progress.recent_active;
        !stands_in && replicates && last.saturating_sub(progress.matched) <= limits::PROMOTION_LAG_MAX
    }

    /// The leader's next step, if it is free to take one: the entry to propose.
    pub(super) fn step_members(&mut self, shared: &mut Shared) -> Option<Entry> {
        let free = !self.lead.changing_members && self.raw.raft.lead_transferee.is_none();
        if self.wanted.is_empty() || self.lead.members_settled || !free || !self.is_confirmed() {
            return None;
        }
        match self.next_step() {
            Step::Settled => {
                self.lead.members_settled = true;
                shared.catching_up.remove(&self.key);
                None
            }
            Step::Wait => None,
            // Who has a change of members yet to apply refuses to campaign.
            Step::HandOver if !self.lead.may_hand_over => None,
            Step::HandOver => {
                self.hand_over_to_wanted(shared);
                None
            }
            Step::Propose(MemberChange::Add(_)) if !shared.may_catch_up(self.key) => None,
            Step::Propose(change) => {
                self.lead.changing_members = true;
                let mut entry = Entry { data: change.encode(), ..Entry::default() };
                entry::mark_members(&mut entry);
                if planted(Mutant::MembersBeforeCommit) {
                    let _ = self.carry_out(change, shared);
                }
                Some(entry)
            }
        }
    }

    /// This leader is to leave: the live wanted voter that is closest to the log end takes over.
    fn hand_over_to_wanted(&mut self, shared: &mut Shared) {
        let may_lead = |node: &NodeId| {
            let wanted =
                self.wanted.iter().any(|member| member.votes && raft_id(member.id) == self.id_of(*node));
            wanted && !shared.down.contains(node) && self.lead.learners.holds(*node).is_none()
        };
        let heir = self
            .other_voters()
            .filter(may_lead)
            .max_by_key(|node| (self.matched(*node), std::cmp::Reverse(*node)));
        if let Some(heir) = heir {
            shared.counters.leaders_leaving.increment();
            // It leads and the heir votes, so nothing can be refused.
            let _ = self.transfer_leader(heir, shared);
        }
    }

    /// A committed change of members.
    pub(super) fn apply_members(
        &mut self,
        change: MemberChange,
        index: Index,
        shared: &mut Shared,
    ) -> Result<(), String> {
        self.lead.changing_members = false;
        self.lead.members_settled = false;
        self.lead.may_hand_over = false;
        self.lead.arrival_told = false;
        self.mark_dirty(shared);
        self.last_change = index;
        self.carry_out(change, shared)?;
        match self.promise_commit(index).and_then(|()| self.sync_promise(shared)) {
            Ok(()) => {}
            // The next change writes it again, or the next tick.
            Err(error) if is_disk_full(&error) => self.note_disk_full(shared),
            Err(error) => return Err(error.to_string()),
        }
        Ok(())
    }

    fn carry_out(&mut self, change: MemberChange, shared: &mut Shared) -> Result<(), String> {
        if !self.raw.mut_store().members.apply(change) {
            return Ok(());
        }
        shared.counters.member_changes.increment();
        let (MemberChange::Add(member) | MemberChange::Promote(member) | MemberChange::Remove(member)) =
            change;
        let id = raft_id(member);
        if Some(id) == self.successor && !matches!(change, MemberChange::Remove(_)) {
            self.become_successor(shared);
        }
        let ignored = planted(Mutant::RemovedKeepsVote) && matches!(change, MemberChange::Remove(_));
        if !ignored {
            self.raw.raft.apply_conf_change(&change.to_raft()).map_err(|error| error.to_string())?;
        }
        tracing::info!(key = ?self.key, node = %self.node, ?change, index = self.applied.0 + 1, "members changed");
        match change {
            _ if id != self.raw.raft.id => self.note_other_member(change, member.node, shared),
            MemberChange::Remove(_) if !ignored => self.leave(shared),
            _ => self.has_left = false,
        }
        Ok(())
    }

    fn note_other_member(&mut self, change: MemberChange, node: NodeId, shared: &mut Shared) {
        if !self.leads() {
            return;
        }
        self.lead.learners.forget(node);
        let log_end = Index(self.raw.raft.raft_log.last_index());
        match change {
            MemberChange::Add(_) => {}
            MemberChange::Promote(_) => self.in_sync.admit(node, log_end, shared.now_ms),
            MemberChange::Remove(_) => self.in_sync.dismiss(node),
        }
        self.announce_in_sync(shared);
    }

    /// This replica is no member any more: whoever waits here is sent elsewhere. It stays until it is removed, and
    /// says nothing more.
    fn leave(&mut self, shared: &mut Shared) {
        self.has_left = true;
        shared.counters.members_left.increment();
        let waiting = self.gate.fail_all(GateErrorKind::Removed);
        self.settle_gate(waiting, shared);
        if self.leads() {
            // Somebody who was elected with its own removal in the log. The others elect again.
            let term = self.raw.raft.term;
            self.raw.raft.become_follower(term, raft::INVALID_ID);
            self.fix_election_timeout(shared);
        }
        self.wake_parked();
    }

    /// The group took this disk for a member in place of one that is lost. Under that name it has promised nothing yet,
    /// and from now on its word counts.
    pub(super) fn become_successor(&mut self, shared: &Shared) {
        let Some(successor) = self.successor.filter(|successor| *successor != self.raw.raft.id) else {
            return;
        };
        tracing::info!(key = ?self.key, node = %self.node, "the group has admitted this node's new disk");
        self.raw.raft.id = successor;
        self.standing = Some(Standing::Voter);
        // Raft decides anew whether it may campaign.
        self.raw.raft.post_conf_change();
        self.fix_election_timeout(shared);
    }

    /// Whether a message is meant for this very member. One that calls this disk's successor by its name makes it so.
    pub(super) fn is_addressed(&mut self, message: &Message, shared: &Shared) -> bool {
        if Some(message.to) == self.successor {
            self.become_successor(shared);
        }
        let addressed = message.to == self.raw.raft.id;
        if !addressed {
            shared.counters.messages_for_another_member.increment();
        }
        addressed
    }

    /// Whether a candidate left the group: this replica does not know it as a member, and it is not ahead in the log, so
    /// it cannot know of members that this replica has not heard of.
    pub(super) fn has_left_group(&self, candidate: &Message) -> bool {
        let log = &self.raw.raft.raft_log;
        let own = (log.last_term(), log.last_index());
        !self.raw.store().members.contains(candidate.from) && (candidate.log_term, candidate.index) <= own
    }

    /// Whether this replica may ask for votes: it has one, and there is no change of members that it has yet to apply.
    pub(super) fn may_campaign(&self, shared: &Shared) -> bool {
        let votes = self.raw.store().members.is_voter(self.raw.raft.id);
        votes && self.standing(shared) == Standing::Voter && !self.may_have_to_apply_members()
    }

    /// Whether a change of members is committed and not applied, as far as a short look can tell.
    fn may_have_to_apply_members(&self) -> bool {
        let log = &self.raw.raft.raft_log;
        let (first, end) = (self.applied.0 + 1, log.committed + 1);
        if first >= end {
            return false;
        }
        let max_bytes = limits::APPEND_MESSAGE_BYTES_MAX;
        let entries = log.slice(first, end, max_bytes, GetEntriesContext::empty(false)).unwrap_or_default();
        entries.len() as u64 != end - first || entries.iter().any(entry::is_members)
    }
}
