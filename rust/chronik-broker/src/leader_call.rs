//! Requests that only one node can serve, carried there from the node the client asked.
//!
//! What travels is the Kafka request itself, so the node asked treats it like a client's; only that it never passes it on
//! once more, since two nodes that take each other for the leader would do so for ever.

use bytes::Bytes;
use chronik_wire::api::Request;
use chronik_wire::codec::Writer;
use chronik_wire::header::{RequestHeader, decode_response};
use chronik_wire::types::NodeId;
use tokio::sync::oneshot;

use crate::broker::Broker;
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
        let header = RequestHeader { api: Q::KEY, version, correlation_id: 0, client_id: None };
        let mut writer = Writer::new();
        header.write(&mut writer).ok()?;
        request.encode(&mut writer, version).ok()?;
        let frame = Bytes::from(writer.finish().concat());
        let (call, answer) = self.node.open_call()?;
        self.node.send(node, NodeMessage::ForwardRequest { call, frame });
        Some(Asked { call, answer })
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
