//! The waiting side of the read gate: per partition idle, or one round in flight plus one set of waiters for the
//! next.
//!
//! Owns: who waits, for which round or applied index, until when. A request joins a round that was not sent yet
//! and never one in flight, because the leader may have captured its commit index before the request arrived.
//! Moving a waiter to a later round is always safe; that is all a failure ever does.
//! Must not: look at raft, send, or read a clock. Generic over the waiter's handle, so that tests use numbers.

use std::collections::BTreeMap;

use chronik_log::Index;
use chronik_mutants::{Mutant, planted};
use chronik_wire::types::NodeId;

use super::{GateErrorKind, GatePass};
use crate::limits;

/// Whom a round asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RoundTarget {
    /// This replica leads: its own desk.
    Local,
    /// The leader's node.
    Remote(NodeId),
}

/// Requests that leave the gate, with their outcome.
pub(crate) type Settled<W> = Vec<(W, Result<GatePass, GateErrorKind>)>;

#[derive(Debug)]
struct Waiting<W> {
    handle: W,
    deadline_ms: u64,
}

#[derive(Debug)]
struct Round<W> {
    id: u64,
    target: RoundTarget,
    expires_ms: u64,
    waiters: Vec<Waiting<W>>,
}

/// One partition's read gate at one replica.
#[derive(Debug)]
pub(crate) struct ReadGate<W> {
    next: Vec<Waiting<W>>,
    round: Option<Round<W>>,
    /// Answered and waiting to be applied. An answer stays good for ever, whatever the term does.
    answered: BTreeMap<Index, Vec<Waiting<W>>>,
    /// A refused round rests until then, unless the leader changes first.
    resting_until_ms: Option<u64>,
    /// Rounds lost in a row; each doubles the patience, so that a slow leader is not asked for ever in vain.
    lost: u32,
    round_timeout_ms: u64,
    earliest_deadline_ms: u64,
}

impl<W> ReadGate<W> {
    /// A gate with nobody in it. `round_timeout_ms`: patience with the first unanswered round, and the rest after
    /// a refusal.
    pub(crate) fn new(round_timeout_ms: u64) -> Self {
        ReadGate {
            next: Vec::new(),
            round: None,
            answered: BTreeMap::new(),
            resting_until_ms: None,
            lost: 0,
            round_timeout_ms,
            earliest_deadline_ms: u64::MAX,
        }
    }

    /// Lets a request wait for the next round.
    ///
    /// # Errors
    /// Gives the handle back when the gate is full.
    pub(crate) fn enter(&mut self, handle: W, deadline_ms: u64) -> Result<(), W> {
        if self.waiting() >= limits::GATE_WAITERS_MAX {
            return Err(handle);
        }
        self.earliest_deadline_ms = self.earliest_deadline_ms.min(deadline_ms);
        if planted(Mutant::RoundInFlightJoined)
            && let Some(round) = &mut self.round
        {
            round.waiters.push(Waiting { handle, deadline_ms });
            return Ok(());
        }
        self.next.push(Waiting { handle, deadline_ms });
        Ok(())
    }

    /// Nobody who still waits for a round stays beyond `latest_ms`. Asked in every turn: only then the time is
    /// known to be fresh, since a sleeping host is not told the time.
    pub(crate) fn clamp_deadlines(&mut self, latest_ms: u64) {
        for waiting in &mut self.next {
            waiting.deadline_ms = waiting.deadline_ms.min(latest_ms);
        }
        if !self.next.is_empty() {
            self.earliest_deadline_ms = self.earliest_deadline_ms.min(latest_ms);
        }
    }

    /// Requests in the gate.
    pub(crate) fn waiting(&self) -> usize {
        let in_round = self.round.as_ref().map_or(0, |round| round.waiters.len());
        self.next.len() + in_round + self.answered.values().map(Vec::len).sum::<usize>()
    }

    /// Whether nobody waits.
    pub(crate) fn is_idle(&self) -> bool {
        self.next.is_empty() && self.round.is_none() && self.answered.is_empty()
    }

    /// Whether a round should be started now, given that a leader is known.
    pub(crate) fn wants_round(&self, now_ms: u64) -> bool {
        self.round.is_none()
            && !self.next.is_empty()
            && self.resting_until_ms.is_none_or(|until| until <= now_ms)
    }

    /// Sends the waiting set off as one round under a fresh id. Returns when it counts as lost.
    pub(crate) fn start_round(&mut self, id: u64, target: RoundTarget, now_ms: u64) -> u64 {
        assert!(self.round.is_none(), "one round in flight per partition and node");
        let patience_ms = self.round_timeout_ms << self.lost.min(8);
        let expires_ms = now_ms + patience_ms.min(limits::ROUND_TIMEOUT_MS_MAX);
        let waiters = std::mem::take(&mut self.next);
        self.resting_until_ms = None;
        self.round = Some(Round { id, target, expires_ms, waiters });
        expires_ms
    }

    /// Whom the round in flight asks.
    pub(crate) fn round_target(&self) -> Option<RoundTarget> {
        self.round.as_ref().map(|round| round.target)
    }

    /// The answer to round `id`. Returns `None` for an unknown id, else the requests that pass at once.
    pub(crate) fn on_answer(&mut self, id: u64, index: Index, applied: Index) -> Option<Settled<W>> {
        let round = self.round.take_if(|round| round.id == id || planted(Mutant::AnswerToAnyRound))?;
        self.lost = 0;
        if index <= applied || planted(Mutant::ApplyNotAwaited) {
            let pass = GatePass { waited: false, index };
            return Some(round.waiters.into_iter().map(|waiting| (waiting.handle, Ok(pass))).collect());
        }
        self.answered.entry(index).or_default().extend(round.waiters);
        Some(Vec::new())
    }

    /// The asked node refused round `id`: its waiters rest, unless the leader changes first. Returns whether the
    /// id was known.
    pub(crate) fn on_refusal(&mut self, id: u64, now_ms: u64) -> bool {
        let known = self.round.as_ref().is_some_and(|round| round.id == id);
        if known {
            self.fail_round();
            self.resting_until_ms = Some(now_ms + self.round_timeout_ms);
        }
        known
    }

    /// Role, leader or term changed: the round in flight is void and its waiters may move at once. Returns whether
    /// there was a round.
    pub(crate) fn on_leader_change(&mut self) -> bool {
        self.lost = 0;
        self.resting_until_ms = None;
        self.fail_round()
    }

    /// This replica applied up to `applied`.
    pub(crate) fn on_applied(&mut self, applied: Index) -> Settled<W> {
        let mut passed = Vec::new();
        while let Some(entry) = self.answered.first_entry() {
            if *entry.key() > applied {
                break;
            }
            let (index, waiters) = entry.remove_entry();
            let pass = GatePass { waited: true, index };
            passed.extend(waiters.into_iter().map(|waiting| (waiting.handle, Ok(pass))));
        }
        passed
    }

    /// Time passes: a lost round fails, and requests past their deadline leave. Returns those and whether a round
    /// was lost.
    pub(crate) fn on_tick(&mut self, now_ms: u64, leader_known: bool) -> (Settled<W>, bool) {
        let lost = self.round.as_ref().is_some_and(|round| round.expires_ms <= now_ms);
        if lost {
            self.lost += 1;
            self.fail_round();
        }
        if now_ms < self.earliest_deadline_ms {
            return (Vec::new(), lost);
        }
        let unanswered = if leader_known { GateErrorKind::Behind } else { GateErrorKind::NoLeader };
        let mut expired = Vec::new();
        let mut earliest = u64::MAX;
        let mut sift = |waiters: &mut Vec<Waiting<W>>, kind| {
            for waiting in std::mem::take(waiters) {
                if waiting.deadline_ms <= now_ms {
                    expired.push((waiting.handle, Err(kind)));
                } else {
                    earliest = earliest.min(waiting.deadline_ms);
                    waiters.push(waiting);
                }
            }
        };
        sift(&mut self.next, unanswered);
        if let Some(round) = &mut self.round {
            sift(&mut round.waiters, unanswered);
        }
        for waiters in self.answered.values_mut() {
            sift(waiters, GateErrorKind::Behind);
        }
        self.answered.retain(|_, waiters| !waiters.is_empty());
        self.earliest_deadline_ms = earliest;
        (expired, lost)
    }

    /// The replica is gone or stopped: everybody leaves.
    pub(crate) fn fail_all(&mut self, kind: GateErrorKind) -> Settled<W> {
        self.fail_round();
        let answered = std::mem::take(&mut self.answered).into_values().flatten();
        let all = std::mem::take(&mut self.next).into_iter().chain(answered);
        all.map(|waiting| (waiting.handle, Err(kind))).collect()
    }

    /// Moves the waiters of the round in flight to the next one.
    fn fail_round(&mut self) -> bool {
        let Some(round) = self.round.take() else { return false };
        let arrived_later = std::mem::replace(&mut self.next, round.waiters);
        self.next.extend(arrived_later);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate() -> ReadGate<u32> {
        ReadGate::new(100)
    }

    #[test]
    fn a_request_never_joins_a_round_in_flight() {
        let mut gate = gate();
        gate.enter(1, 1_000).unwrap();
        assert!(gate.wants_round(0));
        gate.start_round(10, RoundTarget::Remote(NodeId(1)), 0);
        gate.enter(2, 1_000).unwrap();
        assert!(!gate.wants_round(0), "one round in flight");
        let passed = gate.on_answer(10, Index(5), Index(5)).unwrap();
        assert_eq!(passed, vec![(1, Ok(GatePass { waited: false, index: Index(5) }))]);
        assert!(gate.wants_round(0), "the later request needs its own round");
    }

    #[test]
    fn a_thousand_requests_share_two_rounds() {
        let mut gate = gate();
        gate.enter(0, 1_000).unwrap();
        gate.start_round(1, RoundTarget::Local, 0);
        for waiter in 1..1_000 {
            gate.enter(waiter, 1_000).unwrap();
        }
        assert_eq!(gate.on_answer(1, Index(1), Index(1)).unwrap().len(), 1);
        gate.start_round(2, RoundTarget::Local, 0);
        assert_eq!(gate.on_answer(2, Index(1), Index(1)).unwrap().len(), 999);
        assert!(gate.is_idle());
    }

    #[test]
    fn an_answered_request_waits_for_apply_only() {
        let mut gate = gate();
        gate.enter(1, 1_000).unwrap();
        gate.start_round(1, RoundTarget::Remote(NodeId(1)), 0);
        assert!(gate.on_answer(1, Index(7), Index(5)).unwrap().is_empty());
        assert!(gate.on_applied(Index(6)).is_empty());
        gate.on_leader_change();
        assert!(!gate.wants_round(0), "an answer stays good over a leader change");
        assert_eq!(gate.on_applied(Index(8)), vec![(1, Ok(GatePass { waited: true, index: Index(7) }))]);
    }

    #[test]
    fn failure_moves_waiters_to_a_new_round_and_old_answers_are_ignored() {
        let mut gate = gate();
        gate.enter(1, 1_000).unwrap();
        gate.start_round(1, RoundTarget::Remote(NodeId(1)), 0);
        assert!(gate.on_leader_change());
        assert_eq!(gate.on_answer(1, Index(1), Index(1)), None);
        assert!(gate.wants_round(0), "at once");
        gate.start_round(2, RoundTarget::Remote(NodeId(2)), 0);
        assert!(gate.on_refusal(2, 50));
        assert!(!gate.on_refusal(2, 50));
        assert!(!gate.wants_round(149));
        assert!(gate.wants_round(150), "after a rest");
        gate.start_round(3, RoundTarget::Remote(NodeId(2)), 150);
        assert!(!gate.on_tick(249, true).1);
        assert!(gate.on_tick(250, true).1, "lost");
        gate.start_round(4, RoundTarget::Remote(NodeId(2)), 250);
        assert!(!gate.on_tick(449, true).1, "the patience doubles");
        assert!(gate.on_tick(450, true).1);
        assert_eq!(gate.waiting(), 1);
    }

    #[test]
    fn deadlines_belong_to_waiters_and_name_the_cause() {
        let mut gate = gate();
        gate.enter(1, 50).unwrap();
        gate.start_round(1, RoundTarget::Remote(NodeId(1)), 0);
        gate.enter(2, 60).unwrap();
        assert!(gate.on_tick(49, true).0.is_empty());
        assert_eq!(gate.on_tick(50, true).0, vec![(1, Err(GateErrorKind::Behind))]);
        assert_eq!(gate.on_tick(60, false).0, vec![(2, Err(GateErrorKind::NoLeader))]);
        gate.on_leader_change();
        gate.enter(3, 70).unwrap();
        gate.start_round(2, RoundTarget::Remote(NodeId(1)), 60);
        gate.on_answer(2, Index(9), Index(1)).unwrap();
        assert_eq!(gate.on_tick(70, false).0, vec![(3, Err(GateErrorKind::Behind))]);
        assert!(gate.is_idle());
    }

    #[test]
    fn the_gate_is_bounded_and_empties_on_removal() {
        let mut gate = gate();
        for waiter in 0..limits::GATE_WAITERS_MAX as u32 {
            gate.enter(waiter, 10).unwrap();
        }
        assert_eq!(gate.enter(9, 10), Err(9));
        gate.start_round(1, RoundTarget::Local, 0);
        let left = gate.fail_all(GateErrorKind::Removed);
        assert_eq!(left.len(), limits::GATE_WAITERS_MAX);
        assert!(gate.is_idle());
    }
}
