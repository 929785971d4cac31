//! "Turn to that node instead": the leader hints that newer versions carry beside an error.

use std::collections::BTreeSet;

use chronik_coord::MetaImage;
use chronik_wire::messages::common::{LeaderIdAndEpoch, NodeEndpoint};
use chronik_wire::types::{NodeId, PartitionKey};

use crate::broker::Broker;

/// The live, confirmed leader of a partition, or the "unknown" pair.
pub(crate) fn hint(broker: &Broker, key: PartitionKey) -> LeaderIdAndEpoch {
    match broker.node.view(|view| view.leader(key)) {
        Some((leader, epoch)) => LeaderIdAndEpoch { leader_id: leader.0, leader_epoch: epoch.0 },
        None => LeaderIdAndEpoch::default(),
    }
}

/// Addresses of the nodes that hints name, each once.
pub(crate) fn endpoints(image: &MetaImage, hints: &[LeaderIdAndEpoch]) -> Vec<NodeEndpoint> {
    let named: BTreeSet<NodeId> = hints.iter().map(|hint| NodeId(hint.leader_id)).collect();
    named
        .into_iter()
        .filter_map(|id| image.brokers.get(&id))
        .map(|broker| NodeEndpoint {
            node_id: broker.id.0,
            host: broker.endpoint.host.clone(),
            port: i32::from(broker.endpoint.port),
            rack: broker.rack.clone(),
        })
        .collect()
}
