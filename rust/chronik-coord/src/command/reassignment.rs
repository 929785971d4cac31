//! Commands about replicas that move.

use chronik_wire::types::{NodeId, PartitionIndex, TopicId};

use crate::codec::coded_struct;

/// Reassignments to begin, to replace or to cancel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlterReassignments {
    /// One wish per partition.
    pub partitions: Vec<AlterReassignment>,
    /// Whether a partition may get more or fewer replicas than it has.
    pub allow_replication_factor_change: bool,
}
coded_struct!(AlterReassignments {
    partitions: Vec<AlterReassignment>,
    allow_replication_factor_change: bool,
});

/// Where the replicas of one partition shall be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlterReassignment {
    /// The topic's name.
    pub topic: String,
    /// The partition.
    pub partition: PartitionIndex,
    /// The brokers, the preferred leader first; `None` cancels the reassignment under way.
    pub replicas: Option<Vec<NodeId>>,
}
coded_struct!(AlterReassignment {
    topic: String,
    partition: PartitionIndex,
    replicas: Option<Vec<NodeId>>,
});

/// A partition whose Raft group consists of the wanted members, as its leader reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArrivedPartition {
    /// The topic.
    pub topic: TopicId,
    /// The partition.
    pub partition: PartitionIndex,
    /// Node and generation of every voter of the group; there is nobody else in it.
    pub members: Vec<(NodeId, u32)>,
}
coded_struct!(ArrivedPartition { topic: TopicId, partition: PartitionIndex, members: Vec<(NodeId, u32)> });

/// A broker to empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrainBroker {
    /// The broker.
    pub id: NodeId,
    /// Brokers that the proposer sees alive: replicas move there before they move anywhere else.
    pub live: Vec<NodeId>,
}
coded_struct!(DrainBroker { id: NodeId, live: Vec<NodeId> });

/// A replica that has lost its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DamagedReplica {
    /// The topic.
    pub topic: TopicId,
    /// The partition.
    pub partition: PartitionIndex,
    /// Which of the broker's stays in the group it is.
    pub generation: u32,
}
coded_struct!(DamagedReplica { topic: TopicId, partition: PartitionIndex, generation: u32 });
