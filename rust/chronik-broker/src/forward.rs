//! Requests that arrive on a pinned address and are another node's to answer are carried there: the client was told that
//! this node does everything, and only its reads have to be served here.
//!
//! What travels is an ordinary request, so the other node treats it like any other. Of a produce it is one batch.

use std::collections::{BTreeSet, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use chronik_replica::Acks;
use chronik_wire::api::Request;
use chronik_wire::codec::Writer;
use chronik_wire::error_code::ErrorCode;
use chronik_wire::header::{RequestHeader, decode_response};
use chronik_wire::messages::produce::{
    PartitionProduceData, PartitionProduceResponse, ProduceRequest, TopicProduceData,
};
use chronik_wire::types::{NodeId, PartitionKey};
use tokio::sync::oneshot;

use crate::broker::Broker;
use crate::connection::Connection;
use crate::counters::count;
use crate::limits;
use crate::node_state::CallAnswer;
use crate::peer::NodeMessage;
use crate::transactional_produce::ProducedTransaction;
use crate::world::until;

/// The version in which batches travel between nodes: it names topics by id.
const VERSION: i16 = 13;
/// The version for batches of transactions whose client adds their partitions itself: it names topics by name.
const UNADDED_VERSION: i16 = 11;
/// How much longer than the leader's own time-out its answer is waited for.
const GRACE_MS: u64 = 500;

/// A batch to be carried to its leader.
pub(crate) struct ForwardedBatch {
    /// Where it belongs.
    pub(crate) key: PartitionKey,
    /// The topic's name.
    pub(crate) topic: Arc<str>,
    /// Its transaction, if it is part of one.
    pub(crate) transaction: Option<ProducedTransaction>,
    /// Its bytes.
    pub(crate) batch: Bytes,
    /// What its client waits for.
    pub(crate) acks: Acks,
}

/// A batch under way to the leader.
pub(crate) struct Forwarded {
    call: u64,
    version: i16,
    answer: oneshot::Receiver<CallAnswer>,
    acknowledged: bool,
    until_ms: u64,
}

impl Broker {
    /// Sends a batch to the leader, in order with those sent before. `None` when nothing was sent.
    pub(crate) fn forward_batch(
        &self,
        leader: NodeId,
        batch: ForwardedBatch,
        deadline_ms: u64,
    ) -> Option<Forwarded> {
        let ForwardedBatch { key, topic, transaction, batch, acks } = batch;
        let unadded = transaction.as_ref().is_some_and(|transaction| !transaction.adds);
        let version = if unadded { UNADDED_VERSION } else { VERSION };
        let left_ms = deadline_ms.saturating_sub(self.world.now_ms());
        let request = ProduceRequest {
            transactional_id: transaction.map(|transaction| transaction.id),
            acks: match acks {
                Acks::All => -1,
                Acks::Leader => 1,
                Acks::None => 0,
            },
            timeout_ms: i32::try_from(left_ms).unwrap_or(i32::MAX),
            topic_data: vec![TopicProduceData {
                name: topic.to_string(),
                topic_id: key.topic,
                partition_data: vec![PartitionProduceData { index: key.partition.0, records: Some(batch) }],
            }],
        };
        let frame = request_frame(version, None, &request)?;
        let (call, answer) = self.node.open_call()?;
        self.node.send(leader, NodeMessage::ForwardRequest { call, frame });
        let until_ms = deadline_ms + GRACE_MS;
        Some(Forwarded { call, version, answer, acknowledged: acks != Acks::None, until_ms })
    }

    /// What became of a forwarded batch. Without an answer its fate is open.
    pub(crate) async fn forwarded_result(
        &self,
        key: PartitionKey,
        forwarded: Forwarded,
    ) -> PartitionProduceResponse {
        let Forwarded { call, version, answer, acknowledged, until_ms } = forwarded;
        let answer = until(&*self.world, until_ms, answer).await;
        self.node.close_call(call);
        let result = match answer {
            Some(Ok(CallAnswer::Bytes(frame))) => first_result(frame, version),
            Some(Ok(CallAnswer::Refused)) if !acknowledged => Some(PartitionProduceResponse::default()),
            _ => None,
        };
        PartitionProduceResponse {
            index: key.partition.0,
            ..result.unwrap_or_else(|| PartitionProduceResponse {
                error_code: ErrorCode::REQUEST_TIMED_OUT,
                base_offset: -1,
                ..PartitionProduceResponse::default()
            })
        }
    }

    /// Carries a request to the coordinator it is for and returns the answer. `None` if that node does not answer before
    /// it is no longer the coordinator, or refuses to.
    pub(crate) async fn forward_to_coordinator<Q: Request>(
        &self,
        (node, key): (NodeId, PartitionKey),
        version: i16,
        client_id: Option<String>,
        request: &Q,
    ) -> Option<Q::Response> {
        let frame = request_frame(version, client_id, request)?;
        let mut view_changes = self.node.subscribe_view();
        let (call, mut answer) = self.node.open_call()?;
        self.node.send(node, NodeMessage::ForwardRequest { call, frame });
        let answer = loop {
            view_changes.borrow_and_update();
            if self.coordinator_node(key) != Some(node) {
                break None;
            }
            tokio::select! {
                biased;
                answer = &mut answer => break answer.ok(),
                _ = view_changes.changed() => {}
            }
        };
        self.node.close_call(call);
        match answer? {
            CallAnswer::Bytes(frame) => {
                count(&self.node.counters.coordinator_forwards);
                decode_response::<Q>(frame, version).ok().map(|(_, response)| response)
            }
            CallAnswer::Done | CallAnswer::Refused => None,
        }
    }

    /// Takes a request that another node forwarded for one of its clients. One that comes twice is served once: the
    /// batch in it may carry no sequence number that would show that it is known.
    pub(crate) fn on_forwarded(self: &Rc<Self>, from: NodeId, call: u64, frame: Bytes) {
        if self.forwards_taken.borrow_mut().take(from, call) {
            self.world.spawn(Box::pin(Rc::clone(self).serve_forwarded(from, call, frame)));
        }
    }

    async fn serve_forwarded(self: Rc<Self>, from: NodeId, call: u64, frame: Bytes) {
        let connection = Connection::between_nodes();
        let response = match self.handle(&connection, frame).await {
            Ok(Some(pieces)) => Some(Bytes::from(pieces.concat())),
            Ok(None) | Err(_) => None,
        };
        self.node.send(from, NodeMessage::ForwardReply { call, frame: response });
    }
}

/// The newest forwarded requests, by sender and call.
#[derive(Default)]
pub(crate) struct ForwardsTaken {
    known: BTreeSet<(NodeId, u64)>,
    order: VecDeque<(NodeId, u64)>,
}

impl ForwardsTaken {
    /// True the first time.
    fn take(&mut self, from: NodeId, call: u64) -> bool {
        if !self.known.insert((from, call)) {
            return false;
        }
        self.order.push_back((from, call));
        if self.order.len() > limits::FORWARDS_REMEMBERED_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
}

/// The frame in which a request travels between nodes.
pub(crate) fn request_frame<Q: Request>(
    version: i16,
    client_id: Option<String>,
    request: &Q,
) -> Option<Bytes> {
    let header = RequestHeader { api: Q::KEY, version, correlation_id: 0, client_id };
    let mut writer = Writer::new();
    header.write(&mut writer).ok()?;
    request.encode(&mut writer, version).ok()?;
    Some(Bytes::from(writer.finish().concat()))
}

fn first_result(frame: Bytes, version: i16) -> Option<PartitionProduceResponse> {
    let (_, response) = decode_response::<ProduceRequest>(frame, version).ok()?;
    response.responses.into_iter().next()?.partition_responses.into_iter().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forwarded_request_is_taken_once_and_memory_is_bounded() {
        let mut taken = ForwardsTaken::default();
        assert!(taken.take(NodeId(1), 7) && taken.take(NodeId(2), 7));
        assert!(!taken.take(NodeId(1), 7), "the same call of the same node");
        for call in 0..2 * limits::FORWARDS_REMEMBERED_MAX as u64 {
            taken.take(NodeId(3), call);
        }
        assert_eq!(taken.known.len(), limits::FORWARDS_REMEMBERED_MAX);
    }
}
