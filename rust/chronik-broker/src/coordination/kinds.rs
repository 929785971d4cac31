//! The kinds of coordinators, and where each kind's doors and seats are.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chronik_coord::coordinator::{Coordinator, MarkerOrder};
use chronik_coord::groups::{GroupReply, GroupRequest, Groups, GroupsConfig};
use chronik_coord::share::{ShareConfig, ShareCoordinator, ShareReply, ShareRequest};
use chronik_coord::transactions::{TransactionReply, TransactionRequest, Transactions, TransactionsConfig};
use chronik_replica::VerificationGuard;
use chronik_wire::error_code::ErrorCode;
use chronik_wire::types::{PartitionIndex, PartitionKey};
use tokio::sync::{mpsc, oneshot};

use super::seat::Seats;
use super::topics::InternalTopic;
use crate::broker::Broker;
use crate::node_state::NodeState;

/// A request on its way through a door.
pub(crate) struct Asked<K: Kind> {
    pub(crate) request: K::Request,
    /// Present in a request that adds to a transaction: what was said of it.
    pub(crate) verified: Option<Verified>,
    /// Dropped without an answer if the office closes first.
    pub(crate) reply: oneshot::Sender<K::Reply>,
}

/// A transaction whose coordinator has agreed that a partition is part of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Verified {
    pub(crate) producer: i64,
    pub(crate) epoch: i16,
    /// Given out before the coordinator was asked; `None` if the transaction was open in the partition already.
    pub(crate) guard: Option<VerificationGuard>,
}

/// A coordinator that can take office at this broker.
pub(crate) trait Kind:
    Coordinator<State: 'static, Request: Send + 'static, Reply: Send + 'static> + Sized + 'static
{
    /// The topic whose partitions are its logs.
    const TOPIC: InternalTopic;

    /// Where its hard states are, on one shard.
    fn seats(broker: &Broker) -> &Seats<Self::State>;

    /// Where its offices can be reached, on one node.
    fn doors(node: &NodeState) -> &Doors<Self>;

    /// What it is made with now.
    fn config(broker: &Broker) -> Self::Config;

    /// The reply to a request that says nothing but this error.
    fn refusal(request: &Self::Request, error_code: ErrorCode) -> Self::Reply;

    /// How it is told that partitions have the marker of an order; `None` for a kind that orders none.
    fn markers_written(
        order: &MarkerOrder,
        partitions: Vec<(String, PartitionIndex)>,
    ) -> Option<Self::Request>;
}

/// The open offices of one kind on one node, over all shards.
pub(crate) struct Doors<K: Kind>(Mutex<BTreeMap<PartitionKey, mpsc::Sender<Asked<K>>>>);

impl<K: Kind> Default for Doors<K> {
    fn default() -> Self {
        Doors(Mutex::default())
    }
}

impl<K: Kind> Doors<K> {
    pub(super) fn open(&self, key: PartitionKey, door: mpsc::Sender<Asked<K>>) {
        self.lock().insert(key, door);
    }

    /// Closes an office from outside: it notices that nobody can come in any more.
    pub(super) fn close(&self, key: PartitionKey) {
        self.lock().remove(&key);
    }

    pub(super) fn find(&self, key: PartitionKey) -> Option<mpsc::Sender<Asked<K>>> {
        self.lock().get(&key).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<PartitionKey, mpsc::Sender<Asked<K>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kind for Groups {
    const TOPIC: InternalTopic = InternalTopic::ConsumerOffsets;

    fn seats(broker: &Broker) -> &Seats<Self::State> {
        &broker.group_seats
    }

    fn doors(node: &NodeState) -> &Doors<Self> {
        &node.group_doors
    }

    fn config(broker: &Broker) -> GroupsConfig {
        let config = &broker.node.config;
        GroupsConfig::from_image(&broker.node.image(), config.node, &config.broker_config)
    }

    fn refusal(request: &GroupRequest, error_code: ErrorCode) -> GroupReply {
        request.call.refusal(error_code)
    }

    fn markers_written(_: &MarkerOrder, _: Vec<(String, PartitionIndex)>) -> Option<GroupRequest> {
        None
    }
}

impl Kind for Transactions {
    const TOPIC: InternalTopic = InternalTopic::TransactionState;

    fn seats(broker: &Broker) -> &Seats<Self::State> {
        &broker.transaction_seats
    }

    fn doors(node: &NodeState) -> &Doors<Self> {
        &node.transaction_doors
    }

    fn config(broker: &Broker) -> TransactionsConfig {
        let config = &broker.node.config;
        TransactionsConfig::from_image(&broker.node.image(), config.node, &config.broker_config)
    }

    fn refusal(request: &TransactionRequest, error_code: ErrorCode) -> TransactionReply {
        request.refusal(error_code)
    }

    fn markers_written(
        order: &MarkerOrder,
        partitions: Vec<(String, PartitionIndex)>,
    ) -> Option<TransactionRequest> {
        Some(TransactionRequest::MarkersWritten {
            transactional_id: order.transactional_id.to_string(),
            producer_id: order.producer_id,
            producer_epoch: order.producer_epoch,
            partitions,
        })
    }
}

impl Kind for ShareCoordinator {
    const TOPIC: InternalTopic = InternalTopic::ShareGroupState;

    fn seats(broker: &Broker) -> &Seats<Self::State> {
        &broker.share_seats
    }

    fn doors(node: &NodeState) -> &Doors<Self> {
        &node.share_doors
    }

    fn config(broker: &Broker) -> ShareConfig {
        let config = &broker.node.config;
        ShareConfig::from_image(&broker.node.image(), config.node, &config.broker_config)
    }

    fn refusal(_: &ShareRequest, error_code: ErrorCode) -> ShareReply {
        Err(error_code)
    }

    fn markers_written(_: &MarkerOrder, _: Vec<(String, PartitionIndex)>) -> Option<ShareRequest> {
        None
    }
}
