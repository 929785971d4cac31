//! Taking a node out of the cluster for good: its replicas move away, it loses its vote, and it is forgotten.
//!
//! Any other node does it for whoever asks. Every step is decided by the controller and carried out by the Raft groups; here
//! it is asked for and waited for, so whoever was interrupted begins again without harm. The node itself learns of it
//! from its peers, which know it no more; a node that is dead is removed in the same way.

use std::rc::Rc;

use chronik_coord::{Action, DrainBroker};
use chronik_wire::error_code::ErrorCode;
use chronik_wire::types::{NodeId, Offset, PartitionKey};

use crate::broker::Broker;
use crate::controller::ControllerError;
use crate::limits;
use crate::node_state::CallAnswer;
use crate::peer::NodeMessage;

/// Why a node was not removed. What was done so far stays; asking again goes on from there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RemovalError {
    /// The node that was asked is the one to remove.
    #[error("node {0} cannot remove itself; ask another one")]
    Own(NodeId),
    /// The controller refused, or was not reached.
    #[error(transparent)]
    Controller(#[from] ControllerError),
    /// The replicas of the node did not all move away.
    #[error("node {node} still holds {replicas} replicas; does a majority of their partitions run?")]
    NotEmpty {
        /// The node.
        node: NodeId,
        /// How many replicas it has left.
        replicas: usize,
    },
    /// The metadata group still counts on the node.
    #[error("node {node} still has its vote among the controllers; does a majority of the nodes run?")]
    StillVotes {
        /// The node.
        node: NodeId,
    },
}

impl Broker {
    /// Removes a node and returns when nobody counts on it any more: it can be switched off. Where no other node is left
    /// for a replica the partition has one replica less.
    ///
    /// # Errors
    /// [`RemovalError`]; the node may be on its way out all the same.
    pub async fn remove_node(self: Rc<Self>, node: NodeId, deadline_ms: u64) -> Result<(), RemovalError> {
        if node == self.node.config.node {
            return Err(RemovalError::Own(node));
        }
        let live = self.node.view(|view| view.live());
        let drained = self.decree(Action::DrainBroker(DrainBroker { id: node, live }), deadline_ms).await?;
        let empty = |image: &chronik_coord::MetaImage| {
            image.offset >= drained && image.partitions_of(node).next().is_none()
        };
        if !self.await_image(deadline_ms, empty).await {
            let replicas = self.node.image().partitions_of(node).count();
            return Err(RemovalError::NotEmpty { node, replicas });
        }
        if !self.await_quorum(self.node.image().offset, deadline_ms).await? {
            return Err(RemovalError::StillVotes { node });
        }
        match self.decree(Action::UnregisterBroker { id: node }, deadline_ms).await {
            Ok(at) => {
                self.await_image(deadline_ms, |image| image.offset >= at).await;
                Ok(())
            }
            // Somebody else has removed it meanwhile.
            Err(ControllerError::Refused(error)) if error.code == ErrorCode::BROKER_ID_NOT_REGISTERED => {
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Has the controller do something; where in the metadata it is done.
    async fn decree(&self, action: Action, deadline_ms: u64) -> Result<Offset, ControllerError> {
        let reply = self.controller_call(action, deadline_ms).await?;
        match reply.body.rejection() {
            Some(_) => Err(ControllerError::from_reply(&reply.body)),
            None => Ok(reply.at),
        }
    }

    /// Waits until the metadata group consists of the members that the metadata at `applied` wants, and a majority of
    /// them knows. False when that takes too long.
    async fn await_quorum(&self, applied: Offset, deadline_ms: u64) -> Result<bool, ControllerError> {
        while self.world.now_ms() < deadline_ms {
            let settled = match self.controller_node().await {
                Some(leader) if leader == self.node.config.node => self.is_quorum_settled(applied),
                Some(leader) => {
                    let resend_ms = deadline_ms.min(self.world.now_ms() + limits::CALL_RESEND_MS);
                    let question = |call| NodeMessage::QuorumQuestion { call, applied };
                    self.call(leader, resend_ms, question).await? == Some(CallAnswer::Done)
                }
                None => false,
            };
            if settled {
                return Ok(true);
            }
            let pause_ms = self.world.now_ms() + limits::QUORUM_QUESTION_PAUSE_MS;
            self.world.sleep_until(pause_ms.min(deadline_ms)).await;
        }
        Ok(false)
    }

    /// Whether this node leads the metadata group, which consists of the members wanted by the metadata at `applied`.
    pub(crate) fn is_quorum_settled(&self, applied: Offset) -> bool {
        let host = self.hosts.own().borrow();
        self.node.has_placed(applied)
            && host.replica(PartitionKey::META).is_some_and(|replica| replica.is_settled_as_wanted())
    }
}
