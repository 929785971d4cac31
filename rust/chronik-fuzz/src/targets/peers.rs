//! Messages between nodes and between replicas, as one node reads them from another.

use bytes::Bytes;
use chronik_broker::{NodeMessage, PeerMessage};
use chronik_replica::{BarrierOutcome, Index, LeaderChange, PrefixPlace, ReplicaMessage, Term};
use chronik_wire::types::{LeaderEpoch, NodeId, Offset, PartitionIndex, PartitionKey, TopicId};

use crate::Verdict;
use crate::memory::within;

/// Memory per byte received: an entry of no bytes takes three on the wire, and a raft entry in memory.
const BYTES_PER_BYTE: usize = 96;
const FLOOR_BYTES: usize = 64 * 1024;

/// Reads `data` as one message. What decodes must encode to bytes that mean the same.
pub fn run(data: &[u8]) -> Verdict {
    let bytes = Bytes::copy_from_slice(data);
    let allowed = FLOOR_BYTES + BYTES_PER_BYTE * bytes.len();
    let Ok(message) = within("a peer message", allowed, || PeerMessage::decode(bytes)) else {
        return Verdict::Refused;
    };
    let written = Bytes::from(message.encode().concat());
    let again = PeerMessage::decode(written.clone()).expect("what we write we read");
    match (&message, &again) {
        (PeerMessage::Replica(key, message), PeerMessage::Replica(same_key, same)) => {
            assert_eq!((key, message), (same_key, same));
            assert!(message.size_bytes() <= FLOOR_BYTES + BYTES_PER_BYTE * data.len());
        }
        (PeerMessage::Node(message), PeerMessage::Node(same)) => assert_eq!(message, same),
        _ => panic!("{message:?} came back as {again:?}"),
    }
    assert_eq!(Bytes::from(again.encode().concat()), written);
    Verdict::Accepted
}

/// A message of every kind.
pub fn seeds() -> Vec<Vec<u8>> {
    let key = PartitionKey::new(TopicId(7), PartitionIndex(1));
    let change =
        LeaderChange { key, leader: Some(NodeId(1)), epoch: LeaderEpoch(4), isr: vec![NodeId(1), NodeId(2)] };
    let bytes = Bytes::from_static(b"bytes");
    let nodes = [
        NodeMessage::Beat { incarnation: 5, leadership_version: 6 },
        NodeMessage::LeadershipRequest,
        NodeMessage::Leadership { from_version: 1, to_version: 2, changes: vec![change.clone(), change] },
        NodeMessage::ControllerCall { call: 1, command: bytes.clone() },
        NodeMessage::ControllerReply { call: 1, reply: Some(bytes.clone()) },
        NodeMessage::AwaitTopics { call: 1, applied: Offset(3), topics: vec![TopicId(1), TopicId(2)] },
        NodeMessage::AwaitTopicsReply { call: 1 },
        NodeMessage::ForwardRequest { call: 1, frame: bytes.clone() },
        NodeMessage::ForwardReply { call: 1, frame: None },
    ];
    let place = PrefixPlace { up_to: Offset(300), tombstones_below: Offset(7), file: 1, position: 1 << 20 };
    let replicas = [
        ReplicaMessage::ReadBarrier { request_id: 300, wait_ms: 5_000 },
        ReplicaMessage::ReadBarrierReply {
            request_id: 300,
            outcome: BarrierOutcome::Ok { index: Index(9), term: Term(2) },
        },
        ReplicaMessage::ReadBarrierReply {
            request_id: 1,
            outcome: BarrierOutcome::NotLeader { hint: Some(NodeId(2)) },
        },
        ReplicaMessage::Sleep { term: Term(4), index: Index(9) },
        ReplicaMessage::PrefixRequest { place },
        ReplicaMessage::PrefixPiece { place, bytes: bytes.clone() },
    ];
    let messages = nodes.into_iter().map(PeerMessage::Node);
    let messages = messages.chain(replicas.into_iter().map(|message| PeerMessage::Replica(key, message)));
    let mut seeds: Vec<Vec<u8>> = messages.map(|message| message.encode().concat()).collect();
    seeds.extend(raft_messages(key));
    seeds
}

/// Raft's own messages, written by hand: this room does not know raft's types. Head, then numbers of one byte each.
fn raft_messages(key: PartitionKey) -> Vec<Vec<u8>> {
    let sleep = ReplicaMessage::Sleep { term: Term(1), index: Index(1) };
    let whole = PeerMessage::Replica(key, sleep.clone()).encode().concat();
    let envelope = &whole[..whole.len() - sleep.encode().concat().len()];
    let to_priority = [1, 2, 3, 2, 4, 4, 0, 0, 0, 0];
    let append = [&[1, 1, 0][..], &to_priority, &[0, 2, 0, 3, 5, 1, 3, 0], b"batch"].concat();
    let heartbeat = [&[1, 6, 0][..], &to_priority, &[3, b'c', b't', b'x', 0]].concat();
    let snapshot = [&[1, 5, 2][..], &to_priority, &[0, 0, 9, 3, 3, 1, 2, 3, 5], b"state"].concat();
    [append, heartbeat, snapshot].iter().map(|message| [envelope, message].concat()).collect()
}
