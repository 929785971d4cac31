//! The in-sync set: which members are close enough behind the leader to count for `min.insync.replicas`.
//!
//! A member is in sync if it reached the leader's log end within the allowed lag. Under constant load nobody is
//! ever exactly at the end, so each member has a mark: the log end at some instant. Reaching the mark proves that
//! the member was caught up at that instant. Who may lead is not decided here but by the raft log alone.

use chronik_log::Index;
use chronik_wire::types::NodeId;
use smallvec::SmallVec;

/// One member as its leader sees it.
#[derive(Clone, Copy, Debug)]
struct Member {
    node: NodeId,
    mark: Index,
    mark_ms: u64,
    caught_up_ms: u64,
    heard_ms: u64,
    expelled: bool,
}

/// The members of a group other than the leader itself, which is always in sync.
#[derive(Clone, Debug, Default)]
pub(crate) struct InSync {
    members: SmallVec<[Member; 2]>,
    /// While the group sleeps nobody is heard, and nobody lags.
    frozen: bool,
}

impl InSync {
    /// A new leader gives everybody a fresh clock.
    pub(crate) fn reset(&mut self, others: impl Iterator<Item = NodeId>, log_end: Index, now_ms: u64) {
        self.frozen = false;
        self.members = others
            .map(|node| Member {
                node,
                mark: log_end,
                mark_ms: now_ms,
                caught_up_ms: now_ms,
                heard_ms: now_ms,
                expelled: false,
            })
            .collect();
    }

    /// Not leading any more.
    pub(crate) fn clear(&mut self) {
        self.members.clear();
        self.frozen = false;
    }

    /// A member answered, holding everything up to `matched` of the leader's log.
    pub(crate) fn on_progress(&mut self, node: NodeId, matched: Index, log_end: Index, now_ms: u64) {
        let Some(member) = self.members.iter_mut().find(|member| member.node == node) else { return };
        member.heard_ms = now_ms;
        // The answer that wakes a group is no reason for the fresh clock that members in the set get at the wake.
        member.expelled &= self.frozen;
        if matched >= member.mark {
            member.caught_up_ms = member.caught_up_ms.max(member.mark_ms);
            (member.mark, member.mark_ms) = (log_end, now_ms);
            if matched >= log_end {
                member.caught_up_ms = now_ms;
            }
        }
    }

    /// A member got its vote, holding the log but for what is on its way.
    pub(crate) fn admit(&mut self, node: NodeId, log_end: Index, now_ms: u64) {
        self.dismiss(node);
        self.members.push(Member {
            node,
            mark: log_end,
            mark_ms: now_ms,
            caught_up_ms: now_ms,
            heard_ms: now_ms,
            expelled: false,
        });
    }

    /// A member left the group.
    pub(crate) fn dismiss(&mut self, node: NodeId) {
        self.members.retain(|member| member.node != node);
    }

    /// A member certainly went down: it leaves the set now instead of after the lag.
    pub(crate) fn expel(&mut self, node: NodeId) {
        if let Some(member) = self.members.iter_mut().find(|member| member.node == node) {
            member.expelled = true;
        }
    }

    /// The group falls asleep with everybody caught up who is in the set now.
    pub(crate) fn freeze(&mut self, lag_max_ms: u64, now_ms: u64) {
        for member in &mut self.members {
            member.expelled |= !in_time(member, lag_max_ms, now_ms);
        }
        self.frozen = true;
    }

    /// The group wakes: whoever was in the set starts with a fresh clock.
    pub(crate) fn thaw(&mut self, now_ms: u64) {
        if std::mem::take(&mut self.frozen) {
            for member in self.members.iter_mut().filter(|member| !member.expelled) {
                (member.mark_ms, member.caught_up_ms, member.heard_ms) = (now_ms, now_ms, now_ms);
            }
        }
    }

    /// Whether a member is in sync.
    pub(crate) fn contains(&self, node: NodeId, lag_max_ms: u64, now_ms: u64) -> bool {
        let member = self.members.iter().find(|member| member.node == node);
        member.is_some_and(|member| !member.expelled && (self.frozen || in_time(member, lag_max_ms, now_ms)))
    }

    /// Members in sync, the leader not among them.
    pub(crate) fn iter(&self, lag_max_ms: u64, now_ms: u64) -> impl Iterator<Item = NodeId> + '_ {
        let nodes = self.members.iter().map(|member| member.node);
        nodes.filter(move |node| self.contains(*node, lag_max_ms, now_ms))
    }

    /// How long ago a member was heard, and how long ago it certainly held everything; none of a node that is no member.
    pub(crate) fn silence_and_lag_ms(&self, node: NodeId, now_ms: u64) -> Option<(u64, u64)> {
        let member = self.members.iter().find(|member| member.node == node)?;
        Some((now_ms.saturating_sub(member.heard_ms), now_ms.saturating_sub(member.caught_up_ms)))
    }

    /// Whether a member was heard within `within_ms`.
    pub(crate) fn heard_within(&self, node: NodeId, within_ms: u64, now_ms: u64) -> bool {
        let member = self.members.iter().find(|member| member.node == node);
        member.is_some_and(|member| {
            !member.expelled && (self.frozen || now_ms.saturating_sub(member.heard_ms) <= within_ms)
        })
    }
}

fn in_time(member: &Member, lag_max_ms: u64, now_ms: u64) -> bool {
    now_ms.saturating_sub(member.caught_up_ms) <= lag_max_ms
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: NodeId = NodeId(2);

    fn fresh() -> InSync {
        let mut set = InSync::default();
        set.reset([PEER, NodeId(3)].into_iter(), Index(10), 0);
        set
    }

    #[test]
    fn a_member_close_behind_a_moving_end_stays_in_sync() {
        let mut set = fresh();
        for step in 1..50u64 {
            set.on_progress(PEER, Index(10 + step * 5 - 3), Index(10 + step * 5), step * 100);
        }
        assert!(set.contains(PEER, 500, 5_000), "never at the end, always close");
        assert!(!set.contains(NodeId(3), 500, 5_000), "never heard of");
        assert_eq!(set.iter(500, 5_000).collect::<Vec<_>>(), vec![PEER]);
    }

    #[test]
    fn a_member_that_falls_behind_leaves_and_returns() {
        let mut set = fresh();
        set.on_progress(PEER, Index(9), Index(100), 400);
        assert!(set.contains(PEER, 500, 500));
        assert!(!set.contains(PEER, 500, 501), "alive but behind");
        assert!(set.heard_within(PEER, 200, 501));
        set.on_progress(PEER, Index(100), Index(100), 600);
        assert!(set.contains(PEER, 500, 601));
    }

    #[test]
    fn sleep_freezes_the_set_and_expulsion_outlasts_it() {
        let mut set = fresh();
        set.on_progress(PEER, Index(10), Index(10), 400);
        set.freeze(500, 600);
        assert!(set.contains(PEER, 500, 1_000_000));
        assert!(!set.contains(NodeId(3), 500, 1_000_000), "it was out when the group fell asleep");
        set.on_progress(NodeId(3), Index(4), Index(10), 2_000_000);
        set.thaw(2_000_000);
        assert!(set.contains(PEER, 500, 2_000_400));
        assert!(!set.contains(NodeId(3), 500, 2_000_000), "far behind, though its word woke the group");
        set.on_progress(NodeId(3), Index(10), Index(10), 2_000_100);
        assert!(set.contains(NodeId(3), 500, 2_000_100));
        set.expel(PEER);
        assert!(!set.contains(PEER, 500, 2_000_000));
        set.on_progress(PEER, Index(10), Index(10), 2_000_100);
        assert!(set.contains(PEER, 500, 2_000_100));
    }
}
