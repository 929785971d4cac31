//! From a name to its coordinator: the office here, or the node that has it.

use chronik_wire::error_code::ErrorCode;
use chronik_wire::types::{NodeId, PartitionKey};
use tokio::sync::oneshot;

use super::kinds::{Asked, Kind, Verified};
use super::topics::{self, InternalTopic};
use crate::broker::Broker;

/// Why this node cannot answer for a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoCoordinator {
    /// Nobody leads the partition, as far as this node knows, or there is no such partition yet.
    Unavailable,
    /// This node leads it and has not taken office yet.
    Loading,
    /// Another node leads it.
    Elsewhere(NodeId, PartitionKey),
}

impl NoCoordinator {
    /// What a client is told. All of them are tried again after another look for the coordinator.
    pub(crate) fn code(self) -> ErrorCode {
        match self {
            NoCoordinator::Unavailable => ErrorCode::COORDINATOR_NOT_AVAILABLE,
            NoCoordinator::Loading => ErrorCode::COORDINATOR_LOAD_IN_PROGRESS,
            NoCoordinator::Elsewhere(..) => ErrorCode::NOT_COORDINATOR,
        }
    }
}

impl Broker {
    /// The node that leads a coordinator partition, as this node knows it.
    pub(crate) fn coordinator_node(&self, key: PartitionKey) -> Option<NodeId> {
        self.node.view(|view| view.leader(key)).map(|(leader, _)| leader)
    }

    /// The partition that is responsible for a name, if this node has its office.
    ///
    /// # Errors
    /// Who has it instead.
    pub(crate) fn coordinated_here<K: Kind>(&self, name: &str) -> Result<PartitionKey, NoCoordinator> {
        let key =
            topics::partition_of(&self.node.image(), K::TOPIC, name).ok_or(NoCoordinator::Unavailable)?;
        if K::doors(&self.node).find(key).is_some() {
            return Ok(key);
        }
        match self.coordinator_node(key) {
            Some(node) if node == self.node.config.node => Err(NoCoordinator::Loading),
            Some(node) => Err(NoCoordinator::Elsewhere(node, key)),
            None => Err(NoCoordinator::Unavailable),
        }
    }

    /// Asks the office of a partition, which this node has. `None` if it closed before it answered, could not prove that
    /// it still leads, or is overrun.
    pub(crate) async fn ask_office<K: Kind>(
        &self,
        key: PartitionKey,
        request: K::Request,
    ) -> Option<K::Reply> {
        self.ask_office_verified::<K>(key, request, None).await
    }

    /// The same with a request that adds to a transaction. `None` also if a marker has come since that was verified.
    pub(crate) async fn ask_office_verified<K: Kind>(
        &self,
        key: PartitionKey,
        request: K::Request,
        verified: Option<Verified>,
    ) -> Option<K::Reply> {
        let door = K::doors(&self.node).find(key)?;
        let (reply, answer) = oneshot::channel();
        door.try_send(Asked { request, verified, reply }).ok()?;
        // The office sees that it is closed when the last door is gone.
        drop(door);
        answer.await.ok()
    }

    /// The node that coordinates a transactional id, as this node knows it.
    pub(crate) fn transaction_coordinator(&self, id: &str) -> Option<NodeId> {
        let key = topics::partition_of(&self.node.image(), InternalTopic::TransactionState, id)?;
        self.coordinator_node(key)
    }

    /// The internal topic of a kind and the partition for a name there, created if need be.
    pub(crate) async fn coordinator_of(
        &self,
        topic: InternalTopic,
        name: &str,
        deadline_ms: u64,
    ) -> Result<NodeId, ErrorCode> {
        let key = self.coordinator_partition(topic, name, deadline_ms).await?;
        self.coordinator_node(key).ok_or(ErrorCode::COORDINATOR_NOT_AVAILABLE)
    }
}
