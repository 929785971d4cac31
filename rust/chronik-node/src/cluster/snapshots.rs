//! The whole state of a cluster in memory, taken and put back: what a test leaves behind need not reach the next one.
//!
//! A snapshot is what all disks hold at one instant. All nodes stand still while it is taken: states of different
//! instants would not be a cluster, since one node may have acted on what another had not promised yet. To put it back
//! is a start: every node goes down, its disk is exchanged, and those that ran when the snapshot was taken start on it
//! together, on their old addresses.

use std::collections::BTreeMap;
use std::sync::Arc;

use chronik_log::DiskImage;
use chronik_wire::types::NodeId;

use super::Cluster;
use super::error::ClusterError;
use super::record::{NodeRecord, Presence};

/// What a cluster's disks held at one instant, and which nodes ran.
#[derive(Debug)]
pub struct Snapshot {
    nodes: BTreeMap<NodeId, NodeImage>,
}

#[derive(Debug)]
struct NodeImage {
    disk: DiskImage,
    ran: bool,
}

impl Cluster {
    /// Takes the state of all nodes.
    ///
    /// # Errors
    /// The cluster keeps its data in files.
    pub fn snapshot(&self) -> Result<Arc<Snapshot>, ClusterError> {
        self.stand_still(true)?;
        let records = self.records();
        let nodes = records.iter().map(|record| {
            let ran = matches!(*record.presence(), Presence::Running { .. });
            Ok((record.node(), NodeImage { disk: record.disk.image()?, ran }))
        });
        let nodes: Result<BTreeMap<_, _>, ClusterError> = nodes.collect();
        self.stand_still(false)?;
        Ok(Arc::new(Snapshot { nodes: nodes? }))
    }

    /// Puts a state back that this cluster had. Connections break; topics, records, groups and transactions are those of
    /// the snapshot. Links stay as they are, and so does the broker clock, which never goes back.
    ///
    /// # Errors
    /// The snapshot is of other nodes than the cluster has now.
    pub fn restore(&self, snapshot: &Snapshot) -> Result<(), ClusterError> {
        let ids: Vec<NodeId> = snapshot.nodes.keys().copied().collect();
        if ids != self.node_ids() {
            return Err(ClusterError::ForeignSnapshot { of: listed(&ids), has: listed(&self.node_ids()) });
        }
        self.take_all_down()?;
        for (record, image) in self.records().iter().zip(snapshot.nodes.values()) {
            record.disk.load(&image.disk)?;
            record.say("put back to an earlier state");
        }
        let runs =
            |record: &Arc<NodeRecord>| snapshot.nodes.get(&record.node()).is_some_and(|image| image.ran);
        self.start_together(&self.records().into_iter().filter(runs).collect::<Vec<_>>())
    }

    /// Puts the cluster back to how it was when it had started: without topics, groups, transactions or interceptions.
    ///
    /// # Errors
    /// The cluster keeps its data in files, or nodes joined or left since.
    pub fn reset(&self) -> Result<(), ClusterError> {
        let first = self.first_state.get().map(Arc::clone);
        self.restore(&*first.ok_or(ClusterError::NotInMemory)?)?;
        self.interceptions.clear();
        Ok(())
    }

    /// Lets every node stand still between two messages, or go on. Nodes that are frozen on request stay so.
    fn stand_still(&self, still: bool) -> Result<(), ClusterError> {
        let frozen =
            |record: &&Arc<NodeRecord>| matches!(*record.presence(), Presence::Running { frozen: true, .. });
        let records = self.records();
        let kept: Vec<NodeId> = records.iter().filter(frozen).map(|record| record.node()).collect();
        self.on_every_shard(move |shard| {
            let now_ms = shard.clock().now_ms();
            for seat in shard.seats().into_iter().filter(|seat| !kept.contains(&seat.node)) {
                if still {
                    seat.freeze();
                } else {
                    seat.thaw(now_ms);
                }
            }
            shard.port().wake();
        })
    }
}

fn listed(ids: &[NodeId]) -> String {
    ids.iter().map(NodeId::to_string).collect::<Vec<_>>().join(", ")
}
