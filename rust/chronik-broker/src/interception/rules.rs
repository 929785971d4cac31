//! What a test has asked for, shared by all nodes of its cluster, so that `times` counts over all of them.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chronik_wire::api::ApiKey;
use chronik_wire::error_code::ErrorCode;
use chronik_wire::types::NodeId;

use super::Refused;
use super::refusal::names_topics;
use crate::dispatch;
use crate::limits;

/// Which requests, and what to do with them.
#[derive(Debug, Clone)]
pub struct InterceptionRule {
    /// The API.
    pub api: ApiKey,
    /// Only requests that concern this topic.
    pub topic: Option<String>,
    /// Only requests to this node.
    pub node: Option<NodeId>,
    /// What to refuse them with, unserved. Without it they are served.
    pub error: Option<ErrorCode>,
    /// How long each waits before it is looked at any further, in milliseconds.
    pub delay_ms: u64,
    /// How many requests; without it all until it is removed.
    pub times: Option<u64>,
}

/// Why a rule was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InterceptionError {
    /// The API is not offered.
    #[error("{0} is not offered by this broker; ask ApiVersions for those that are")]
    NotServed(ApiKey),
    /// A topic was given for requests that name none.
    #[error("{0} requests name no topic; leave topic out to intercept all of them")]
    NamesNoTopic(ApiKey),
    /// A delay above the bound.
    #[error(
        "a delay of {delay_ms} ms is above the limit of {} ms; clients give up before",
        limits::INTERCEPTION_DELAY_MS_MAX
    )]
    TooSlow {
        /// What was asked for.
        delay_ms: u64,
    },
    /// Too many rules at once.
    #[error("{} interceptions are active; remove one first", limits::INTERCEPTIONS_MAX)]
    TooMany,
}

/// A rule and how often it has struck.
#[derive(Debug)]
struct Active {
    rule: InterceptionRule,
    count: AtomicU64,
    removed: AtomicBool,
}

impl Active {
    fn is_spent(&self) -> bool {
        self.rule.times.is_some_and(|times| self.count.load(Ordering::Relaxed) >= times)
    }
}

/// A rule that was taken, to be asked and ended. Dropping it ends nothing.
#[derive(Debug, Clone)]
pub struct Interception {
    active: Arc<Active>,
    all: Arc<Interceptions>,
}

impl Interception {
    /// How many requests it has struck so far.
    pub fn count(&self) -> u64 {
        self.active.count.load(Ordering::Relaxed)
    }

    /// Whether it strikes the next request that it fits.
    pub fn is_active(&self) -> bool {
        !self.active.removed.load(Ordering::Relaxed) && !self.active.is_spent()
    }

    /// Ends it. Requests that it delays already go on to wait. Twice is fine.
    pub fn remove(&self) {
        self.active.removed.store(true, Ordering::Relaxed);
        self.all.sweep();
    }
}

/// What the rules want done with one request.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// How long it waits.
    pub(crate) delay_ms: u64,
    /// What it is refused with afterwards.
    pub(crate) refused: Option<Refused>,
}

/// The rules of one cluster.
#[derive(Debug, Default)]
pub struct Interceptions {
    /// Whether there is any rule; all that a request looks at in a cluster without one.
    any: AtomicBool,
    rules: Mutex<Vec<Arc<Active>>>,
}

impl Interceptions {
    /// Adds a rule; it strikes from the next request on.
    ///
    /// # Errors
    /// The rule can never strike, or there are too many.
    pub fn add(self: &Arc<Self>, rule: InterceptionRule) -> Result<Interception, InterceptionError> {
        if !dispatch::serves(rule.api) {
            return Err(InterceptionError::NotServed(rule.api));
        }
        if rule.topic.is_some() && !names_topics(rule.api) {
            return Err(InterceptionError::NamesNoTopic(rule.api));
        }
        if rule.delay_ms > limits::INTERCEPTION_DELAY_MS_MAX {
            return Err(InterceptionError::TooSlow { delay_ms: rule.delay_ms });
        }
        let mut rules = self.rules();
        rules.retain(|active| !active.is_spent());
        if rules.len() >= limits::INTERCEPTIONS_MAX {
            return Err(InterceptionError::TooMany);
        }
        let active = Arc::new(Active { rule, count: AtomicU64::new(0), removed: AtomicBool::new(false) });
        rules.push(Arc::clone(&active));
        self.any.store(true, Ordering::Release);
        Ok(Interception { active, all: Arc::clone(self) })
    }

    /// Removes every rule.
    pub fn clear(&self) {
        for active in self.rules().iter() {
            active.removed.store(true, Ordering::Relaxed);
        }
        self.sweep();
    }

    /// Whether there is nothing to ask.
    pub(crate) fn is_empty(&self) -> bool {
        !self.any.load(Ordering::Acquire)
    }

    /// Lets every rule that fits strike: their delays add up, and the oldest error is the answer.
    pub(crate) fn judge(&self, node: NodeId, api: ApiKey, concerns: impl Fn(&str) -> bool) -> Verdict {
        let mut verdict = Verdict::default();
        // Counted under the lock: two shards must not both take the last of `times`.
        for active in self.rules().iter() {
            let rule = &active.rule;
            let fits = rule.api == api
                && rule.node.is_none_or(|wanted| wanted == node)
                && rule.topic.as_deref().is_none_or(&concerns);
            if !fits || active.is_spent() {
                continue;
            }
            active.count.fetch_add(1, Ordering::Relaxed);
            verdict.delay_ms = verdict.delay_ms.saturating_add(rule.delay_ms);
            if let (None, Some(code)) = (&verdict.refused, rule.error) {
                verdict.refused = Some(Refused { code, topic: rule.topic.clone() });
            }
        }
        verdict
    }

    /// Forgets the rules that were removed.
    fn sweep(&self) {
        let mut rules = self.rules();
        rules.retain(|active| !active.removed.load(Ordering::Relaxed));
        self.any.store(!rules.is_empty(), Ordering::Release);
    }

    fn rules(&self) -> MutexGuard<'_, Vec<Arc<Active>>> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(api: ApiKey) -> InterceptionRule {
        InterceptionRule { api, topic: None, node: None, error: None, delay_ms: 0, times: None }
    }

    fn judge(rules: &Interceptions, node: i32, api: ApiKey, topic: &str) -> Verdict {
        rules.judge(NodeId(node), api, |wanted| wanted == topic)
    }

    #[test]
    fn a_rule_strikes_what_it_names_as_often_as_it_says() {
        let rules = Arc::new(Interceptions::default());
        assert!(rules.is_empty());
        let error = Some(ErrorCode::NOT_LEADER_OR_FOLLOWER);
        let orders = InterceptionRule {
            topic: Some("orders".to_owned()),
            node: Some(NodeId(2)),
            times: Some(1),
            error,
            ..rule(ApiKey::Produce)
        };
        let orders = rules.add(orders).expect("taken");
        for (node, api, topic) in
            [(1, ApiKey::Produce, "orders"), (2, ApiKey::Fetch, "orders"), (2, ApiKey::Produce, "other")]
        {
            assert_eq!(judge(&rules, node, api, topic), Verdict::default());
        }
        assert_eq!((orders.count(), orders.is_active()), (0, true));
        let refused = judge(&rules, 2, ApiKey::Produce, "orders").refused.expect("refused");
        assert_eq!(refused.code, ErrorCode::NOT_LEADER_OR_FOLLOWER);
        assert!(refused.concerns(Some("orders")) && !refused.concerns(Some("other")));
        assert_eq!(judge(&rules, 2, ApiKey::Produce, "orders"), Verdict::default());
        assert_eq!((orders.count(), orders.is_active()), (1, false));
    }

    #[test]
    fn rules_add_up_and_the_oldest_error_is_the_answer() {
        let rules = Arc::new(Interceptions::default());
        let counted = rules.add(rule(ApiKey::Heartbeat)).expect("taken");
        let first = Some(ErrorCode::REBALANCE_IN_PROGRESS);
        let first = rules.add(InterceptionRule { error: first, delay_ms: 5, ..rule(ApiKey::Heartbeat) });
        let second = Some(ErrorCode::UNKNOWN_MEMBER_ID);
        let second = rules.add(InterceptionRule { error: second, delay_ms: 7, ..rule(ApiKey::Heartbeat) });
        let verdict = judge(&rules, 1, ApiKey::Heartbeat, "");
        assert_eq!(verdict.delay_ms, 12);
        assert_eq!(verdict.refused.expect("refused").code, ErrorCode::REBALANCE_IN_PROGRESS);
        first.expect("taken").remove();
        let verdict = judge(&rules, 1, ApiKey::Heartbeat, "");
        assert_eq!(verdict.refused.expect("refused").code, ErrorCode::UNKNOWN_MEMBER_ID);
        rules.clear();
        assert!(rules.is_empty() && !second.expect("taken").is_active());
        assert_eq!(counted.count(), 2);
    }

    #[test]
    fn a_rule_that_could_never_strike_is_refused() {
        let rules = Arc::new(Interceptions::default());
        let heartbeat = InterceptionRule { topic: Some("t".to_owned()), ..rule(ApiKey::Heartbeat) };
        assert_eq!(
            rules.add(heartbeat).expect_err("refused"),
            InterceptionError::NamesNoTopic(ApiKey::Heartbeat)
        );
        let slow = InterceptionRule { delay_ms: u64::MAX, ..rule(ApiKey::Fetch) };
        assert_eq!(rules.add(slow).expect_err("refused"), InterceptionError::TooSlow { delay_ms: u64::MAX });
        for _ in 0..limits::INTERCEPTIONS_MAX {
            rules.add(InterceptionRule { times: Some(1), ..rule(ApiKey::Fetch) }).expect("taken");
        }
        assert_eq!(rules.add(rule(ApiKey::Fetch)).expect_err("refused"), InterceptionError::TooMany);
        judge(&rules, 1, ApiKey::Fetch, "");
        rules.add(rule(ApiKey::Fetch)).expect("those that are spent make room");
    }
}
