//! Commands about topics that grow.

use chronik_wire::types::NodeId;

use crate::codec::coded_struct;

/// Topics that get more partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreatePartitions {
    /// The topics.
    pub topics: Vec<MorePartitions>,
    /// Brokers that the proposer sees alive: new leaders are placed there. Empty: all registered ones count as alive.
    pub live: Vec<NodeId>,
}
coded_struct!(CreatePartitions { topics: Vec<MorePartitions>, live: Vec<NodeId> });

/// How one topic grows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MorePartitions {
    /// The topic's name.
    pub name: String,
    /// The number of partitions it shall have.
    pub count: i32,
    /// The replicas of each new partition, the designated leader first; `None`: automatic.
    pub assignments: Option<Vec<Vec<NodeId>>>,
}
coded_struct!(MorePartitions { name: String, count: i32, assignments: Option<Vec<Vec<NodeId>>> });
