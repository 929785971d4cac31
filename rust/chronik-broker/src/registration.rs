//! Joining the cluster: every start of a node registers its addresses, rack, start number and disk with the controller.
//! A node that was told to join also asks for its disk to be counted on, should the cluster know another one under its id.

use std::rc::Rc;

use chronik_coord::{Action, BrokerRegistration, ItemError};

use crate::broker::Broker;
use crate::limits;

impl Broker {
    /// Registers this start of the node; repeats until the controller has answered.
    pub(crate) async fn register_forever(self: Rc<Self>) {
        loop {
            let deadline_ms = self.world.now_ms() + limits::INTERNAL_CALL_TIMEOUT_MS;
            if self.register(deadline_ms).await {
                return;
            }
            let node = self.node.config.node.0;
            let missing = self.node.founding(|founding| founding.missing());
            if missing.is_empty() {
                tracing::warn!(node, "no majority of the nodes is reachable; still joining");
            } else {
                tracing::warn!(
                    node,
                    ?missing,
                    "no member of a cluster is reachable; a new one begins when all of its nodes have been there at once"
                );
            }
        }
    }

    async fn register(&self, deadline_ms: u64) -> bool {
        let config = &self.node.config;
        let Some((directory, votes)) = self.standing(deadline_ms).await else { return false };
        let identify = Action::SetClusterId { cluster_id: config.cluster_id_proposal.clone() };
        let register = Action::RegisterBroker(BrokerRegistration {
            id: config.node,
            incarnation: config.incarnation,
            endpoint: config.advertised.clone(),
            pinned: config.pinned.clone(),
            peer: config.peer.clone(),
            rack: config.rack.clone(),
            directory,
            votes,
        });
        // The cluster keeps the first id it was given; only a cluster without one needs to hear it.
        let anonymous = self.node.image().cluster_id.is_none();
        if anonymous && self.controller_call(identify, deadline_ms).await.is_err() {
            return false;
        }
        let Ok(reply) = self.controller_call(register, deadline_ms).await else { return false };
        // What is refused would be refused again; the node serves its peers, and no client hears of it.
        let refused = |error: &ItemError| {
            tracing::error!(
                node = config.node.0,
                %error,
                "the cluster does not accept this node; mend what the error names and start it again"
            );
        };
        match reply.body.rejection() {
            Some(error) => refused(error),
            None => {
                if config.asks_admission {
                    let admit = Action::ReadmitBroker { id: config.node };
                    let Ok(reply) = self.controller_call(admit, deadline_ms).await else { return false };
                    reply.body.rejection().into_iter().for_each(refused);
                }
                self.node.set_registered(reply.at);
            }
        }
        true
    }
}
