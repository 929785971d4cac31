//! What the edge tells a host: time, messages, the life and death of other nodes.

use chronik_wire::types::{NodeId, PartitionKey};

use super::Host;
use crate::config::Standing;
use crate::message::ReplicaMessage;

impl Host {
    /// One tick interval passed. After a pause the edge calls this once, not once per missed tick: elections of
    /// the past serve nobody.
    pub fn on_tick(&mut self, now_ms: u64) {
        self.shared.see_time(now_ms);
        self.shared.see_tick();
        self.early.on_tick(now_ms, &self.shared.counters);
        let awake: Vec<PartitionKey> = self.shared.awake.iter().copied().collect();
        for key in awake {
            self.with_replica(key, |replica, shared| replica.tick(shared));
        }
    }

    /// A message from another node's replica. Messages for a group that does not exist here yet are kept for a
    /// moment; those for one that could not be opened are lost, as they are at a node that is down.
    pub fn on_message(&mut self, from: NodeId, key: PartitionKey, message: ReplicaMessage) {
        if self.unopened.contains(key) {
            return;
        }
        if !self.replicas.contains_key(&key) {
            return self.early.keep(key, from, message, &self.shared.counters);
        }
        self.with_replica(key, |replica, shared| replica.on_message(from, message, shared));
    }

    /// What the disk of this node is worth to its groups. A host begins as a voter; whoever does not know yet says so
    /// before it creates replicas. Those that were designated to lead a new group do so once they may.
    pub fn set_standing(&mut self, standing: Standing) {
        if std::mem::replace(&mut self.shared.standing, standing) == standing {
            return;
        }
        for key in self.keys().collect::<Vec<_>>() {
            self.with_replica(key, |replica, shared| replica.on_standing(shared));
        }
    }

    /// Another node is down. `certain` means that it was killed or stopped on purpose, so that its groups may
    /// elect at once; else they wait for their own timeouts.
    pub fn on_peer_down(&mut self, node: NodeId, certain: bool) {
        self.shared.down.insert(node);
        for key in self.keys().collect::<Vec<_>>() {
            self.with_replica(key, |replica, shared| replica.on_peer_down(node, certain, shared));
        }
    }

    /// Another node is up, or up again.
    pub fn on_peer_up(&mut self, node: NodeId) {
        self.shared.down.remove(&node);
        for key in self.keys().collect::<Vec<_>>() {
            self.with_replica(key, |replica, shared| replica.on_peer_up(node, shared));
        }
    }
}
