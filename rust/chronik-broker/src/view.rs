//! What one node believes about the others: who is alive, and who leads which partition.
//!
//! Liveness comes from beats; leadership from each leader's own announcements, of which the one with the highest
//! confirmed epoch counts. Leadership is a hint for clients; who may write and what a read may claim is decided by
//! the Raft group and the read gate alone.

use std::collections::{BTreeMap, HashMap};

use chronik_replica::LeaderChange;
use chronik_wire::types::{LeaderEpoch, NodeId, PartitionKey};

use crate::limits;

/// Who leads a partition, as its leader announced it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leadership {
    /// The leader; `None` when the last one known has stepped down.
    pub leader: Option<NodeId>,
    /// Its confirmed epoch.
    pub epoch: LeaderEpoch,
    /// Members in sync, the leader included.
    pub isr: Vec<NodeId>,
}

/// The incarnation of a peer that was never heard.
const UNHEARD: u64 = 0;

#[derive(Debug, Default)]
struct Peer {
    incarnation: u64,
    heard_at_ms: u64,
    alive: bool,
    /// Version of the peer's own announcements that has been received completely.
    version: u64,
}

/// What a beat told us to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BeatOutcome {
    /// The peer was not alive before, or has been restarted.
    pub came_up: bool,
    /// Its announcements are ahead of what we hold: ask for all of them.
    pub stale: bool,
}

/// One node's picture of the cluster.
#[derive(Debug)]
pub struct ClusterView {
    node: NodeId,
    peers: BTreeMap<NodeId, Peer>,
    leaders: HashMap<PartitionKey, Leadership>,
    /// What this node leads itself, to be announced; `own_version` counts its changes.
    own: BTreeMap<PartitionKey, Leadership>,
    own_version: u64,
}

impl ClusterView {
    /// A view that knows nobody.
    pub fn new(node: NodeId, others: impl IntoIterator<Item = NodeId>) -> ClusterView {
        let peers =
            others.into_iter().filter(|peer| *peer != node).map(|peer| (peer, Peer::default())).collect();
        ClusterView { node, peers, leaders: HashMap::new(), own: BTreeMap::new(), own_version: 0 }
    }

    /// A beat from `peer` arrived.
    pub fn on_beat(&mut self, peer: NodeId, incarnation: u64, version: u64, now_ms: u64) -> BeatOutcome {
        let entry = self.peers.entry(peer).or_default();
        let restarted = entry.incarnation != incarnation;
        let came_up = !entry.alive || restarted;
        if restarted {
            entry.version = 0;
        }
        if restarted && entry.incarnation != UNHEARD {
            // What its former life led it leads no longer, until its present one says so.
            let led = self.leaders.values_mut().filter(|known| known.leader == Some(peer));
            led.for_each(|known| known.leader = None);
        }
        entry.incarnation = incarnation;
        entry.heard_at_ms = now_ms;
        entry.alive = true;
        BeatOutcome { came_up, stale: entry.version != version }
    }

    /// The peer is known to be gone, or known to have come back. True if that is news.
    pub fn set_alive(&mut self, peer: NodeId, alive: bool, now_ms: u64) -> bool {
        let entry = self.peers.entry(peer).or_default();
        let news = entry.alive != alive;
        entry.alive = alive;
        entry.heard_at_ms = now_ms;
        news
    }

    /// Peers that have been silent for longer than `timeout_ms` and were alive until now.
    pub fn expire(&mut self, now_ms: u64, timeout_ms: u64) -> Vec<NodeId> {
        let mut gone = Vec::new();
        for (id, peer) in &mut self.peers {
            if peer.alive && now_ms.saturating_sub(peer.heard_at_ms) > timeout_ms {
                peer.alive = false;
                gone.push(*id);
            }
        }
        gone
    }

    /// After a pause of this node itself nobody may be judged by the silence that was ours.
    pub fn forgive_silence(&mut self, now_ms: u64) {
        for peer in self.peers.values_mut().filter(|peer| peer.alive) {
            peer.heard_at_ms = now_ms;
        }
    }

    /// Whether a node counts as live; this node always does.
    pub fn is_alive(&self, node: NodeId) -> bool {
        node == self.node || self.peers.get(&node).is_some_and(|peer| peer.alive)
    }

    /// Every live node, this one included, in order of id.
    pub fn live(&self) -> Vec<NodeId> {
        let mut live: Vec<_> = self.peers.iter().filter(|(_, peer)| peer.alive).map(|(id, _)| *id).collect();
        live.push(self.node);
        live.sort_unstable();
        live
    }

    /// Live nodes other than this one.
    pub fn live_peers(&self) -> Vec<NodeId> {
        self.live().into_iter().filter(|node| *node != self.node).collect()
    }

    /// The newest known leadership of a partition.
    pub fn leadership(&self, key: PartitionKey) -> Option<&Leadership> {
        self.leaders.get(&key)
    }

    /// The live, confirmed leader of a partition.
    pub fn leader(&self, key: PartitionKey) -> Option<(NodeId, LeaderEpoch)> {
        let known = self.leaders.get(&key)?;
        let leader = known.leader.filter(|leader| self.is_alive(*leader))?;
        Some((leader, known.epoch))
    }

    /// A change of what this node leads. Returns the version to announce it under.
    pub fn on_own_change(&mut self, change: &LeaderChange) -> u64 {
        self.merge(change);
        if change.leader == Some(self.node) {
            let leadership =
                Leadership { leader: change.leader, epoch: change.epoch, isr: change.isr.clone() };
            self.own.insert(change.key, leadership);
        } else {
            self.own.remove(&change.key);
        }
        self.own_version += 1;
        self.own_version
    }

    /// Announcements from a peer. `from_version..=to_version` is the span they cover; a gap is healed by the next
    /// beat. Returns true if anything became known.
    pub fn on_announcement(
        &mut self,
        peer: NodeId,
        from_version: u64,
        to_version: u64,
        changes: &[LeaderChange],
    ) -> bool {
        let mut news = false;
        for change in changes {
            news |= self.merge(change);
        }
        let entry = self.peers.entry(peer).or_default();
        if from_version <= entry.version + 1 && to_version > entry.version {
            entry.version = to_version;
        }
        news
    }

    /// Everything this node leads, for a peer that has missed some of it.
    pub fn own_leaderships(&self) -> (u64, Vec<LeaderChange>) {
        let all = self.own.iter().map(|(key, leadership)| LeaderChange {
            key: *key,
            leader: leadership.leader,
            epoch: leadership.epoch,
            isr: leadership.isr.clone(),
        });
        (self.own_version, all.collect())
    }

    /// Version of this node's own announcements.
    pub fn own_version(&self) -> u64 {
        self.own_version
    }

    /// Forgets a deleted partition.
    pub fn forget(&mut self, key: PartitionKey) {
        self.leaders.remove(&key);
        self.own.remove(&key);
    }

    fn merge(&mut self, change: &LeaderChange) -> bool {
        if !self.leaders.contains_key(&change.key) && self.leaders.len() >= limits::LEADER_TABLE_MAX {
            return false;
        }
        let incoming = Leadership { leader: change.leader, epoch: change.epoch, isr: change.isr.clone() };
        match self.leaders.get_mut(&change.key) {
            // The epoch of a topic id never decreases. Within one epoch there is one leader, so a later word of it
            // (its in-sync set, or that it stepped down) replaces the earlier one.
            Some(known) if incoming.epoch < known.epoch || *known == incoming => false,
            Some(known) => {
                *known = incoming;
                true
            }
            None => {
                self.leaders.insert(change.key, incoming);
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chronik_wire::types::{PartitionIndex, TopicId};

    fn change(leader: Option<i32>, epoch: i32) -> LeaderChange {
        LeaderChange {
            key: PartitionKey::new(TopicId(7), PartitionIndex(0)),
            leader: leader.map(NodeId),
            epoch: LeaderEpoch(epoch),
            isr: leader.into_iter().map(NodeId).collect(),
        }
    }

    #[test]
    fn an_older_epoch_never_replaces_a_newer_one() {
        let mut view = ClusterView::new(NodeId(1), [NodeId(2), NodeId(3)]);
        let key = change(None, 0).key;
        view.on_beat(NodeId(2), 1, 0, 0);
        view.on_beat(NodeId(3), 1, 0, 0);
        assert!(view.on_announcement(NodeId(3), 1, 1, &[change(Some(3), 5)]));
        assert!(!view.on_announcement(NodeId(2), 1, 1, &[change(Some(2), 4)]));
        assert_eq!(view.leader(key), Some((NodeId(3), LeaderEpoch(5))));
    }

    #[test]
    fn a_silent_peer_leads_nothing_until_it_is_heard_again() {
        let mut view = ClusterView::new(NodeId(1), [NodeId(2)]);
        let key = change(None, 0).key;
        view.on_beat(NodeId(2), 1, 1, 100);
        view.on_announcement(NodeId(2), 1, 1, &[change(Some(2), 1)]);
        assert_eq!(view.expire(400, 300), vec![]);
        assert_eq!(view.expire(401, 300), vec![NodeId(2)]);
        assert_eq!(view.leader(key), None);
        assert_eq!(view.live(), vec![NodeId(1)]);
        assert!(view.on_beat(NodeId(2), 1, 1, 500).came_up);
        assert_eq!(view.leader(key), Some((NodeId(2), LeaderEpoch(1))));
    }

    #[test]
    fn a_restarted_peer_leads_nothing_until_it_says_so() {
        let mut view = ClusterView::new(NodeId(1), [NodeId(2)]);
        let key = change(None, 0).key;
        view.on_announcement(NodeId(2), 1, 1, &[change(Some(2), 1)]);
        view.on_beat(NodeId(2), 7, 1, 0);
        assert_eq!(
            view.leader(key),
            Some((NodeId(2), LeaderEpoch(1))),
            "words may come before the first beat"
        );
        view.on_beat(NodeId(2), 8, 0, 10);
        assert_eq!(view.leader(key), None);
        assert_eq!(
            view.leadership(key).map(|known| known.epoch),
            Some(LeaderEpoch(1)),
            "epochs never go back"
        );
        view.on_announcement(NodeId(2), 1, 1, &[change(Some(2), 2)]);
        assert_eq!(view.leader(key), Some((NodeId(2), LeaderEpoch(2))));
    }

    #[test]
    fn a_missed_announcement_shows_in_the_next_beat() {
        let mut view = ClusterView::new(NodeId(1), [NodeId(2)]);
        assert!(!view.on_beat(NodeId(2), 1, 0, 0).stale);
        view.on_announcement(NodeId(2), 2, 2, &[change(Some(2), 1)]);
        assert!(view.on_beat(NodeId(2), 1, 2, 0).stale, "version 1 never arrived");
        view.on_announcement(NodeId(2), 0, 2, &[change(Some(2), 1)]);
        assert!(!view.on_beat(NodeId(2), 1, 2, 0).stale);
        assert!(view.on_beat(NodeId(2), 9, 2, 0).stale, "a restarted peer starts from nothing");
    }
}
