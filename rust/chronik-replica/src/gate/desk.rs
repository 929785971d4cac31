//! The leader's side of the read gate: barrier requests in, raft read contexts and answers out.
//!
//! Owns: requests that wait for a context, and those of each open context. One context serves every request that
//! came before it, from this node and from others. Contexts are numbers here; the replica makes the bytes.
//! Must not: drop a request in silence. Whatever enters leaves with an answer or a refusal.

use std::collections::{BTreeMap, VecDeque};

use chronik_mutants::{Mutant, planted};
use chronik_wire::types::NodeId;

use crate::limits;

/// Who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BarrierOrigin {
    /// The gate of this very replica.
    Local,
    /// The gate of a follower.
    Remote(NodeId),
}

/// One barrier request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BarrierRequest {
    /// Who asked.
    pub(crate) origin: BarrierOrigin,
    /// The asker's round id.
    pub(crate) request_id: u64,
    /// How long the asker has use for the answer, in milliseconds.
    pub(crate) wait_ms: u64,
}

/// A request on the desk; its time runs from the first turn after it came.
#[derive(Clone, Copy, Debug)]
struct Held {
    request: BarrierRequest,
    expires_ms: Option<u64>,
}

/// Barrier requests held by one partition's leader.
#[derive(Debug, Default)]
pub(crate) struct BarrierDesk {
    waiting: VecDeque<Held>,
    contexts: BTreeMap<u64, Vec<Held>>,
    held: usize,
}

impl BarrierDesk {
    /// Takes a request in.
    ///
    /// # Errors
    /// Gives it back when the desk is full; the caller refuses it.
    pub(crate) fn submit(&mut self, request: BarrierRequest) -> Result<(), BarrierRequest> {
        if self.held >= limits::BARRIERS_HELD_MAX {
            return Err(request);
        }
        self.held += 1;
        self.waiting.push_back(Held { request, expires_ms: None });
        Ok(())
    }

    /// Starts the clock of requests that came since the last turn. A host that slept learns the time only by the
    /// turn, so a request cannot be dated when it comes.
    pub(crate) fn date(&mut self, now_ms: u64) {
        for held in &mut self.waiting {
            held.expires_ms.get_or_insert(now_ms.saturating_add(held.request.wait_ms));
        }
    }

    /// Whether nothing is held.
    pub(crate) fn is_idle(&self) -> bool {
        self.held == 0
    }

    /// Whether requests wait for a context that may be opened now.
    pub(crate) fn wants_context(&self) -> bool {
        !self.waiting.is_empty() && self.contexts.len() < limits::BARRIER_CONTEXTS_MAX
    }

    /// Opens a context for every request that waits. `number` must never have been used before.
    pub(crate) fn open_context(&mut self, number: u64) {
        let is_fresh = !self.contexts.contains_key(&number);
        let may_repeat = planted(Mutant::ContextReused) || planted(Mutant::RoundIdsRepeat);
        assert!(is_fresh || may_repeat, "a read context is never used twice");
        self.contexts.entry(number).or_default().extend(std::mem::take(&mut self.waiting));
    }

    /// Raft answered context `number`: the requests it serves. Unknown contexts serve nobody.
    pub(crate) fn on_read_state(&mut self, number: u64) -> Option<Vec<BarrierRequest>> {
        let requests = self.contexts.remove(&number)?;
        self.held -= requests.len();
        Some(requests.into_iter().map(|held| held.request).collect())
    }

    /// Role or term changed, or the replica stops: every request leaves and must be refused.
    pub(crate) fn drop_all(&mut self) -> Vec<BarrierRequest> {
        self.held = 0;
        let in_contexts = std::mem::take(&mut self.contexts).into_values().flatten();
        let all = std::mem::take(&mut self.waiting).into_iter().chain(in_contexts);
        all.map(|held| held.request).collect()
    }

    /// Requests past their time leave, to be refused; contexts nobody waits for are forgotten.
    pub(crate) fn on_tick(&mut self, now_ms: u64) -> Vec<BarrierRequest> {
        let mut expired = Vec::new();
        let mut keep = |held: &Held| {
            let alive = held.expires_ms.is_none_or(|expires_ms| expires_ms > now_ms);
            if !alive {
                expired.push(held.request);
            }
            alive
        };
        self.waiting.retain(&mut keep);
        for requests in self.contexts.values_mut() {
            requests.retain(&mut keep);
        }
        self.contexts.retain(|_, requests| !requests.is_empty());
        self.held -= expired.len();
        expired
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(node: i32, request_id: u64, wait_ms: u64) -> BarrierRequest {
        BarrierRequest { origin: BarrierOrigin::Remote(NodeId(node)), request_id, wait_ms }
    }

    #[test]
    fn one_context_serves_all_that_came_before_it() {
        let mut desk = BarrierDesk::default();
        desk.submit(request(1, 1, 100)).unwrap();
        desk.submit(request(2, 1, 100)).unwrap();
        desk.open_context(7);
        desk.submit(request(1, 2, 100)).unwrap();
        assert_eq!(desk.on_read_state(8), None, "unknown context");
        assert_eq!(desk.on_read_state(7).unwrap(), vec![request(1, 1, 100), request(2, 1, 100)]);
        assert_eq!(desk.on_read_state(7), None, "a context answers once");
        assert!(desk.wants_context());
    }

    #[test]
    fn nothing_is_dropped_in_silence() {
        let mut desk = BarrierDesk::default();
        desk.submit(request(1, 1, 50)).unwrap();
        assert!(desk.on_tick(1_000).is_empty(), "time runs from the first turn on");
        desk.date(0);
        desk.open_context(1);
        desk.submit(request(1, 2, 60)).unwrap();
        desk.submit(request(2, 3, 90)).unwrap();
        desk.date(0);
        assert_eq!(desk.on_tick(60), vec![request(1, 2, 60), request(1, 1, 50)]);
        assert_eq!(desk.drop_all(), vec![request(2, 3, 90)]);
        assert!(desk.is_idle());
    }

    #[test]
    fn the_desk_is_bounded_in_requests_and_contexts() {
        let mut desk = BarrierDesk::default();
        for id in 0..limits::BARRIER_CONTEXTS_MAX as u64 {
            desk.submit(request(1, id, 100)).unwrap();
            assert!(desk.wants_context());
            desk.open_context(id);
        }
        for id in limits::BARRIER_CONTEXTS_MAX..limits::BARRIERS_HELD_MAX {
            desk.submit(request(1, id as u64, 100)).unwrap();
        }
        assert!(!desk.wants_context(), "no further context until one is answered");
        assert!(desk.submit(request(1, 0, 100)).is_err());
        desk.on_read_state(0).unwrap();
        assert!(desk.wants_context());
    }
}
