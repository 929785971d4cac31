//! The cluster as one client may see it: who is live, who leads, under which address.
//!
//! Every answer about the cluster is made from one picture, taken after the gate of the metadata group. On a pinned
//! connection the picture shows this node alone, as leader of everything it holds. When the gate could not be passed
//! this node may be the one that is cut off, so it does not name itself.

use std::sync::Arc;

use chronik_coord::{Assignment, Broker as Registration, Endpoint, MetaImage, Topic};
use chronik_wire::error_code::ErrorCode;
use chronik_wire::types::{NodeId, PartitionIndex, PartitionKey};

use crate::broker::Broker;
use crate::handlers::Context;

/// What one request is told about the cluster.
pub(crate) struct ClusterPicture {
    /// The metadata it is made from.
    pub(crate) image: Arc<MetaImage>,
    /// Whether the gate was passed: only then is absence, or this node being live, known to be true.
    pub(crate) confirmed: bool,
    pinned: bool,
}

/// A broker to name to the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListedBroker {
    pub(crate) id: NodeId,
    pub(crate) endpoint: Endpoint,
    pub(crate) rack: Option<String>,
    pub(crate) is_live: bool,
}

/// A partition to name to the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListedPartition {
    pub(crate) error_code: ErrorCode,
    pub(crate) index: i32,
    pub(crate) leader_id: i32,
    pub(crate) leader_epoch: i32,
    pub(crate) replicas: Vec<i32>,
    pub(crate) in_sync: Vec<i32>,
    pub(crate) offline: Vec<i32>,
}

const NOBODY: i32 = -1;

impl ClusterPicture {
    /// Takes the picture for a request, after the gate.
    pub(crate) async fn take(context: &Context) -> ClusterPicture {
        let passed = context.broker.meta_barrier(context.metadata_deadline_ms()).await;
        if let Err(error) = &passed {
            tracing::debug!(node = context.broker.node.config.node.0, %error, "answering without confirmed metadata");
        }
        ClusterPicture {
            image: context.broker.node.image(),
            confirmed: passed.is_ok(),
            pinned: context.connection.pinned,
        }
    }

    /// The live brokers, by id. With `with_dead` the others as well.
    pub(crate) fn brokers(&self, broker: &Broker, with_dead: bool) -> Vec<ListedBroker> {
        let own = broker.node.config.node;
        if self.pinned {
            return self.image.brokers.get(&own).map(|own| pinned(own)).into_iter().collect();
        }
        let live = broker.node.view(|view| view.live());
        let list = |registration: &Registration, is_live| ListedBroker {
            id: registration.id,
            endpoint: registration.endpoint.clone(),
            rack: registration.rack.clone(),
            is_live,
        };
        let registered = self.image.brokers.values();
        if self.confirmed {
            return registered
                .map(|registration| list(registration, live.contains(&registration.id)))
                .filter(|listed| listed.is_live || with_dead)
                .collect();
        }
        let alone = self.image.brokers.len() <= 1;
        registered
            .filter(|registration| registration.id != own || alone)
            .map(|registration| list(registration, true))
            .collect()
    }

    /// The controller's id, or -1.
    pub(crate) async fn controller_id(&self, broker: &Broker) -> i32 {
        if self.pinned {
            return broker.node.config.node.0;
        }
        match broker.controller_node().await {
            Some(node) if self.confirmed && broker.node.view(|view| view.is_alive(node)) => node.0,
            _ => NOBODY,
        }
    }

    /// The partitions of a topic from index `from` on, at most `count`.
    pub(crate) fn partitions(
        &self,
        broker: &Broker,
        topic: &Topic,
        from: usize,
        count: usize,
    ) -> Vec<ListedPartition> {
        let indexed = (0..).zip(&topic.partitions).skip(from).take(count);
        indexed.map(|(index, assignment)| self.partition(broker, topic, index, assignment)).collect()
    }

    fn partition(
        &self,
        broker: &Broker,
        topic: &Topic,
        index: i32,
        assignment: &Assignment,
    ) -> ListedPartition {
        let key = PartitionKey::new(topic.id, PartitionIndex(index));
        let own = broker.node.config.node;
        broker.node.view(|view| {
            let known = view.leadership(key);
            let leader_epoch = known.map_or(NOBODY, |known| known.epoch.0);
            let ids = |nodes: &[NodeId]| nodes.iter().map(|node| node.0).collect::<Vec<_>>();
            if self.pinned {
                let here: Vec<i32> = ids(&[own]);
                let hosted = assignment.replicas.contains(&own);
                return ListedPartition {
                    error_code: if hosted { ErrorCode::NONE } else { ErrorCode::LEADER_NOT_AVAILABLE },
                    index,
                    leader_id: if hosted { own.0 } else { NOBODY },
                    leader_epoch,
                    replicas: if hosted { here.clone() } else { Vec::new() },
                    in_sync: if hosted { here } else { Vec::new() },
                    offline: Vec::new(),
                };
            }
            let leader = view.leader(key).map(|(leader, _)| leader);
            ListedPartition {
                error_code: if leader.is_some() { ErrorCode::NONE } else { ErrorCode::LEADER_NOT_AVAILABLE },
                index,
                leader_id: leader.map_or(NOBODY, |leader| leader.0),
                leader_epoch,
                replicas: ids(&assignment.replicas),
                in_sync: known.map_or_else(Vec::new, |known| ids(&known.isr)),
                offline: assignment
                    .replicas
                    .iter()
                    .filter(|node| !view.is_alive(**node))
                    .map(|node| node.0)
                    .collect(),
            }
        })
    }
}

/// This node under the address at which a client sees it alone.
fn pinned(own: &Registration) -> ListedBroker {
    ListedBroker {
        id: own.id,
        endpoint: own.pinned.clone().unwrap_or_else(|| own.endpoint.clone()),
        rack: own.rack.clone(),
        is_live: true,
    }
}

/// Whether a topic belongs to the system itself.
pub(crate) fn is_internal(name: &str) -> bool {
    chronik_coord::INTERNAL_TOPICS.contains(&name)
}

/// The code for asking about a topic that is not there: 17 for a name that no topic can have, else 3.
pub(crate) fn unknown_name(name: &str) -> ErrorCode {
    chronik_coord::check_topic_name(name)
        .map_or_else(|error| error.code, |()| ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)
}
