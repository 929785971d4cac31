//! Looking at a cluster: addresses, leaders, counters, log lines.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chronik_broker::NodeState;
use chronik_broker::coord::Topic;
use chronik_wire::types::{NodeId, PartitionIndex, PartitionKey};

use super::error::ClusterError;
use super::record::Presence;
use super::{Cluster, add_up, timed_out};
use crate::limits;
use crate::logs::LogLine;
use crate::shard::Shard;

/// What a node is and where it listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeInfo {
    /// Its id.
    pub id: NodeId,
    /// Its rack.
    pub rack: String,
    /// The address it advertises.
    pub host: String,
    /// Its Kafka port.
    pub port: u16,
    /// Its second Kafka port, behind which it serves every read itself.
    pub pinned_port: u16,
    /// Whether it runs; a frozen node does.
    pub running: bool,
    /// Whether it is frozen.
    pub frozen: bool,
    /// Whether it runs on the disk that the cluster counts on: founded with, joined with or admitted since. On any other
    /// it follows without a vote.
    pub votes: bool,
}

/// A partition and who leads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionLeader {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: PartitionIndex,
    /// Its leader, if one is known and alive.
    pub leader: Option<NodeId>,
}

impl Cluster {
    /// `host:port` of every node, those that are down included, separated by commas.
    pub fn bootstrap_servers(&self) -> String {
        let servers: Vec<String> = self
            .records()
            .iter()
            .map(|record| format!("{}:{}", record.host, record.addresses.ordinary.port()))
            .collect();
        servers.join(",")
    }

    /// The ids of all nodes, in order.
    pub fn node_ids(&self) -> Vec<NodeId> {
        self.records().iter().map(|record| record.node()).collect()
    }

    /// One node.
    pub fn node(&self, node: NodeId) -> Result<NodeInfo, ClusterError> {
        let record = self.record(node)?;
        let (running, frozen, votes) = match &*record.presence() {
            Presence::Running { frozen, state } => (true, *frozen, state.has_vote()),
            Presence::Down(_) => (false, false, false),
        };
        Ok(NodeInfo {
            id: node,
            rack: record.rack.clone(),
            host: record.host.clone(),
            port: record.addresses.ordinary.port(),
            pinned_port: record.addresses.pinned.port(),
            running,
            frozen,
            votes,
        })
    }

    /// The leader of a partition; waits for one during an election.
    pub fn leader(&self, topic: &str, partition: i32) -> Result<NodeId, ClusterError> {
        let (key, _) = self.partition(topic, partition)?;
        self.leader_of(key, &format!("the election of a leader for partition {partition} of {topic:?}"))
    }

    /// The other replicas of a partition, in order of their ids.
    pub fn followers(&self, topic: &str, partition: i32) -> Result<Vec<NodeId>, ClusterError> {
        let (_, mut replicas) = self.partition(topic, partition)?;
        let leader = self.leader(topic, partition)?;
        replicas.retain(|node| *node != leader);
        replicas.sort();
        Ok(replicas)
    }

    /// The leader of the metadata group; waits for one during an election.
    pub fn controller(&self) -> Result<NodeId, ClusterError> {
        self.leader_of(PartitionKey::META, "the election of a controller")
    }

    /// Every partition of every topic with its leader, as known at this instant. Waits for nothing.
    pub fn leaders(&self) -> Vec<PartitionLeader> {
        let states = self.awake_states();
        let Some(newest) = newest(&states) else { return Vec::new() };
        let image = newest.image();
        let partitions = image.topics().flat_map(|topic| {
            let indexes = 0..topic.partitions.len() as i32;
            indexes.map(move |index| (topic, PartitionIndex(index)))
        });
        partitions
            .map(|(topic, partition)| PartitionLeader {
                topic: topic.name.to_string(),
                partition,
                leader: known_leader(&states, PartitionKey::new(topic.id, partition)),
            })
            .collect()
    }

    /// The names of all topics.
    pub fn topics(&self) -> Vec<String> {
        let states = self.awake_states();
        newest(&states).map_or_else(Vec::new, |state| {
            state.image().topics().map(|topic| topic.name.to_string()).collect()
        })
    }

    /// A node's counters by name. They go on over restarts.
    pub fn node_stats(&self, node: NodeId) -> Result<BTreeMap<String, u64>, ClusterError> {
        Ok(self.record(node)?.setup.counters.snapshot())
    }

    /// The counters of all nodes, added up.
    pub fn stats(&self) -> BTreeMap<String, u64> {
        let mut sum = BTreeMap::new();
        for record in self.records() {
            add_up(&mut sum, record.setup.counters.snapshot());
        }
        sum
    }

    /// The newest log lines of a node, oldest first. Empty if the process has a subscriber of its own.
    pub fn node_logs(&self, node: NodeId) -> Result<Vec<LogLine>, ClusterError> {
        Ok(self.record(node)?.setup.log.lines())
    }

    /// The key and the replicas of a partition.
    pub(super) fn partition(
        &self,
        topic: &str,
        partition: i32,
    ) -> Result<(PartitionKey, Vec<NodeId>), ClusterError> {
        let states = self.awake_states();
        let image = newest(&states).ok_or(ClusterError::NobodyToAsk)?.image();
        let found: &Arc<Topic> =
            image.topic(topic).ok_or_else(|| ClusterError::UnknownTopic { topic: topic.to_owned() })?;
        let place = usize::try_from(partition).ok().and_then(|place| found.partitions.get(place));
        let assignment = place.ok_or_else(|| ClusterError::UnknownPartition {
            topic: topic.to_owned(),
            partition,
            count: found.partitions.len(),
        })?;
        Ok((PartitionKey::new(found.id, PartitionIndex(partition)), assignment.replicas.clone()))
    }

    fn leader_of(&self, key: PartitionKey, what: &str) -> Result<NodeId, ClusterError> {
        if let Some(leader) = known_leader(&self.awake_states(), key) {
            return Ok(leader);
        }
        self.await_on_shard(limits::LEADER_TIMEOUT, move |shard| known_leader(&states_of(shard), key))?
            .ok_or_else(|| {
                timed_out(
                    what,
                    limits::LEADER_TIMEOUT,
                    "is a majority of its replicas running and connected?",
                )
            })
    }

    /// Waits on shard 0, where the nodes' views of each other are kept.
    pub(super) fn await_on_shard<R: Send + 'static>(
        &self,
        limit: Duration,
        look: impl Fn(&Shard) -> Option<R> + Send + 'static,
    ) -> Result<Option<R>, ClusterError> {
        self.ask(0, "a look at the nodes", move |shard| {
            Box::pin(async move { shard.find(limit, look).await })
        })
    }

    pub(super) fn awake_states(&self) -> Vec<Arc<NodeState>> {
        self.records().iter().filter_map(|record| record.awake()).collect()
    }
}

/// The states of the nodes that run and are awake, seen from a shard.
pub(super) fn states_of(shard: &Shard) -> Vec<Arc<NodeState>> {
    let awake = shard.seats().into_iter().filter(|seat| !seat.life.is_frozen());
    awake.map(|seat| Arc::clone(&seat.state)).collect()
}

/// The node that has applied most of the metadata.
fn newest(states: &[Arc<NodeState>]) -> Option<&Arc<NodeState>> {
    states.iter().max_by_key(|state| state.image().offset)
}

/// The leader of the newest epoch that any of the nodes knows of.
pub(super) fn known_leader(states: &[Arc<NodeState>], key: PartitionKey) -> Option<NodeId> {
    let known = states.iter().filter_map(|state| state.view(|view| view.leader(key)));
    known.max_by_key(|(_, epoch)| *epoch).map(|(leader, _)| leader)
}
