//! Requests that only one node can serve, carried there from the node the client asked.
//!
//! What travels is the Kafka request itself, so the node asked treats it like a client's; only that it never passes it on
//! once more, since two nodes that take each other for the leader would do so for ever.

use std::rc::Rc;

use bytes::Bytes;
use chronik_wire::api::Request;
use chronik_wire::header::decode_response;
use chronik_wire::types::NodeId;
use tokio::sync::oneshot;

use crate::broker::Broker;
use crate::connection::Connection;
use crate::forward::request_frame;
use crate::node_state::CallAnswer;
use crate::peer::NodeMessage;
use crate::world::until;

/// How much longer than the request's own time-out its answer is waited for.
const GRACE_MS: u64 = 500;

/// A question under way to another node.
pub(crate) struct Asked {
    call: u64,
    answer: oneshot::Receiver<CallAnswer>,
}

impl Broker {
    /// Sends a request to another node. `None` when nothing was sent.
    pub(crate) fn ask_node<Q: Request>(&self, node: NodeId, version: i16, request: &Q) -> Option<Asked> {
        let frame = request_frame(version, None, request)?;
        let (call, answer) = self.node.open_call()?;
        self.node.send(node, NodeMessage::ForwardRequest { call, frame });
        Some(Asked { call, answer })
    }

    /// Has a node, which may be this one, serve a request. `None` when it refused or did not answer in time.
    pub(crate) async fn served_by<Q: Request>(
        self: &Rc<Self>,
        node: NodeId,
        version: i16,
        request: &Q,
        deadline_ms: u64,
    ) -> Option<Q::Response> {
        if node != self.node.config.node {
            let asked = self.ask_node(node, version, request)?;
            return self.answer_of_node::<Q>(asked, version, deadline_ms).await;
        }
        let frame = request_frame(version, None, request)?;
        let connection = Connection::between_nodes();
        let served = until(&*self.world, deadline_ms, self.handle(&connection, frame)).await;
        let answer = Bytes::from(served?.ok()??.concat());
        decode_response::<Q>(answer, version).ok().map(|(_, response)| response)
    }

    /// The answer of the other node. `None` when it refused or did not answer soon after `deadline_ms`.
    pub(crate) async fn answer_of_node<Q: Request>(
        &self,
        asked: Asked,
        version: i16,
        deadline_ms: u64,
    ) -> Option<Q::Response> {
        let answer = until(&*self.world, deadline_ms + GRACE_MS, asked.answer).await;
        self.node.close_call(asked.call);
        match answer? {
            Ok(CallAnswer::Bytes(frame)) => {
                decode_response::<Q>(frame, version).ok().map(|(_, response)| response)
            }
            Ok(CallAnswer::Done | CallAnswer::Refused) | Err(_) => None,
        }
    }
}
