//! Messages between nodes: what replicas say to each other, and what nodes say to each other.
//!
//! The codec is our own and bounded: counts and lengths are checked against what remains before anything is
//! allocated, and payloads are slices of the received frame.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use chronik_log::Members;
use chronik_log::limits::IDENTITY_MEMBERS_MAX;
use chronik_replica::{LeaderChange, ReplicaMessage};
use chronik_wire::types::{DirectoryId, LeaderEpoch, NodeId, Offset, PartitionIndex, PartitionKey, TopicId};

use crate::limits;

/// Anything one node sends to another.
#[derive(Debug, Clone)]
pub enum PeerMessage {
    /// From a replica of a partition to its counterpart.
    Replica(PartitionKey, ReplicaMessage),
    /// From node to node.
    Node(NodeMessage),
}

/// What nodes tell each other beside replication. Unlike Raft's messages these rely on a connection: they come in order and
/// not after the end of the receiver's process. A copy within its life does no harm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeMessage {
    /// "I am alive", every beat interval.
    Beat {
        /// The sender's start number.
        incarnation: u64,
        /// Version of the sender's own leaderships, so that a receiver notices what it missed.
        leadership_version: u64,
    },
    /// The sender wants every leadership of the receiver, having missed some.
    LeadershipRequest,
    /// Changes of what the sender leads, versions `from_version..=to_version` of them.
    Leadership {
        /// First version that these changes cover.
        from_version: u64,
        /// Last version that they cover.
        to_version: u64,
        /// The changes.
        changes: Vec<LeaderChange>,
    },
    /// A command for the controller, sent to the leader of the metadata group.
    ControllerCall {
        /// The caller's number for the call.
        call: u64,
        /// An encoded command.
        command: Bytes,
    },
    /// The answer to a call: an encoded reply, or none when the receiver does not lead the group.
    ControllerReply {
        /// The call answered.
        call: u64,
        /// The encoded reply.
        reply: Option<Bytes>,
    },
    /// "Tell me when you know these topics and all their leaders."
    AwaitTopics {
        /// The caller's number for the call.
        call: u64,
        /// The metadata offset that the receiver must have applied.
        applied: Offset,
        /// Topics whose leaders must be known; deleted ones count as known.
        topics: Vec<TopicId>,
    },
    /// The receiver of `AwaitTopics` has got there.
    AwaitTopicsReply {
        /// The call answered.
        call: u64,
    },
    /// "Does the metadata group consist of the members that the metadata wants?", to its leader.
    QuorumQuestion {
        /// The caller's number for the call.
        call: u64,
        /// The metadata offset that the receiver must have acted on.
        applied: Offset,
    },
    /// The answer to `QuorumQuestion`; no, too, when the sender does not lead the group.
    QuorumAnswer {
        /// The call answered.
        call: u64,
        /// Whether it does.
        settled: bool,
    },
    /// A Kafka request carried to the leader on behalf of a client of the sender's pinned address.
    ForwardRequest {
        /// The caller's number for the call.
        call: u64,
        /// The whole request frame.
        frame: Bytes,
    },
    /// "Is your disk new, or which disks does the cluster consist of?"
    StandingRequest {
        /// The asker's start number.
        life: u64,
    },
    /// What the sender's disk is.
    StandingReply {
        /// The start number of the asker; 0 when nobody asked.
        life: u64,
        /// The sender's disk.
        directory: DirectoryId,
        /// The disks the cluster was founded with; empty from a disk that is new or not among them.
        members: Members,
    },
    /// The response to a forwarded request, without its length prefix; none when it must be closed instead.
    ForwardReply {
        /// The call answered.
        call: u64,
        /// The response frame.
        frame: Option<Bytes>,
    },
}

/// Bytes from a peer that are no message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeerDecodeError {
    /// The message ends early, or a length points past its end.
    #[error("peer message is cut off while reading {0}")]
    CutOff(&'static str),
    /// A kind this version does not know.
    #[error("peer message has unknown kind {0}")]
    UnknownKind(u8),
    /// A list or payload is over its bound.
    #[error("peer message: {what} has {count} entries, at most {max} are allowed")]
    TooMany {
        /// What is too long.
        what: &'static str,
        /// Its length.
        count: usize,
        /// The bound.
        max: usize,
    },
    /// A replica message does not decode.
    #[error("replica message: {0}")]
    Replica(String),
}

const KIND_REPLICA: u8 = 0;
const KIND_BEAT: u8 = 1;
const KIND_LEADERSHIP_REQUEST: u8 = 2;
const KIND_LEADERSHIP: u8 = 3;
const KIND_CONTROLLER_CALL: u8 = 4;
const KIND_CONTROLLER_REPLY: u8 = 5;
const KIND_AWAIT_TOPICS: u8 = 6;
const KIND_AWAIT_TOPICS_REPLY: u8 = 7;
const KIND_FORWARD_REQUEST: u8 = 8;
const KIND_FORWARD_REPLY: u8 = 9;
const KIND_STANDING_REQUEST: u8 = 10;
const KIND_STANDING_REPLY: u8 = 11;
const KIND_QUORUM_QUESTION: u8 = 12;
const KIND_QUORUM_ANSWER: u8 = 13;

const KEY_BYTES: usize = 20;
const MEMBER_BYTES: usize = 4 + 16;
/// Smallest leadership entry: key, flag, epoch, empty in-sync set.
const LEADER_CHANGE_BYTES_MIN: usize = KEY_BYTES + 4 + 4 + 2;

impl PeerMessage {
    /// The message as pieces to be written one after the other; payloads are not copied.
    pub fn encode(&self) -> Vec<Bytes> {
        let mut head = BytesMut::with_capacity(64);
        match self {
            PeerMessage::Replica(key, message) => {
                head.put_u8(KIND_REPLICA);
                put_key(&mut head, *key);
                std::iter::once(head.freeze()).chain(message.encode()).collect()
            }
            PeerMessage::Node(message) => message.encode(head),
        }
    }

    /// Reads one whole message.
    pub fn decode(mut bytes: Bytes) -> Result<PeerMessage, PeerDecodeError> {
        let kind = get_u8(&mut bytes, "kind")?;
        if kind == KIND_REPLICA {
            let key = get_key(&mut bytes)?;
            let message =
                ReplicaMessage::decode(bytes).map_err(|error| PeerDecodeError::Replica(error.to_string()))?;
            return Ok(PeerMessage::Replica(key, message));
        }
        NodeMessage::decode(kind, &mut bytes).map(PeerMessage::Node)
    }
}

impl NodeMessage {
    fn encode(&self, mut out: BytesMut) -> Vec<Bytes> {
        let mut payload = None;
        match self {
            NodeMessage::Beat { incarnation, leadership_version } => {
                out.put_u8(KIND_BEAT);
                out.put_u64(*incarnation);
                out.put_u64(*leadership_version);
            }
            NodeMessage::LeadershipRequest => out.put_u8(KIND_LEADERSHIP_REQUEST),
            NodeMessage::Leadership { from_version, to_version, changes } => {
                out.put_u8(KIND_LEADERSHIP);
                out.put_u64(*from_version);
                out.put_u64(*to_version);
                out.put_u32(changes.len() as u32);
                for change in changes {
                    put_leader_change(&mut out, change);
                }
            }
            NodeMessage::ControllerCall { call, command } => {
                out.put_u8(KIND_CONTROLLER_CALL);
                out.put_u64(*call);
                payload = Some(command.clone());
            }
            NodeMessage::ControllerReply { call, reply } => {
                out.put_u8(KIND_CONTROLLER_REPLY);
                put_optional(&mut out, *call, reply, &mut payload);
            }
            NodeMessage::AwaitTopics { call, applied, topics } => {
                out.put_u8(KIND_AWAIT_TOPICS);
                out.put_u64(*call);
                out.put_i64(applied.0);
                out.put_u32(topics.len() as u32);
                for topic in topics {
                    out.put_u128(topic.0);
                }
            }
            NodeMessage::AwaitTopicsReply { call } => {
                out.put_u8(KIND_AWAIT_TOPICS_REPLY);
                out.put_u64(*call);
            }
            NodeMessage::QuorumQuestion { call, applied } => {
                out.put_u8(KIND_QUORUM_QUESTION);
                out.put_u64(*call);
                out.put_i64(applied.0);
            }
            NodeMessage::QuorumAnswer { call, settled } => {
                out.put_u8(KIND_QUORUM_ANSWER);
                out.put_u64(*call);
                out.put_u8(u8::from(*settled));
            }
            NodeMessage::ForwardRequest { call, frame } => {
                out.put_u8(KIND_FORWARD_REQUEST);
                out.put_u64(*call);
                payload = Some(frame.clone());
            }
            NodeMessage::ForwardReply { call, frame } => {
                out.put_u8(KIND_FORWARD_REPLY);
                put_optional(&mut out, *call, frame, &mut payload);
            }
            NodeMessage::StandingRequest { life } => {
                out.put_u8(KIND_STANDING_REQUEST);
                out.put_u64(*life);
            }
            NodeMessage::StandingReply { life, directory, members } => {
                out.put_u8(KIND_STANDING_REPLY);
                out.put_u64(*life);
                out.put_u128(directory.0);
                out.put_u32(members.len() as u32);
                for (node, directory) in members {
                    out.put_i32(node.0);
                    out.put_u128(directory.0);
                }
            }
        }
        std::iter::once(out.freeze()).chain(payload).collect()
    }

    fn decode(kind: u8, bytes: &mut Bytes) -> Result<NodeMessage, PeerDecodeError> {
        Ok(match kind {
            KIND_BEAT => NodeMessage::Beat {
                incarnation: get_u64(bytes, "incarnation")?,
                leadership_version: get_u64(bytes, "leadership version")?,
            },
            KIND_LEADERSHIP_REQUEST => NodeMessage::LeadershipRequest,
            KIND_LEADERSHIP => {
                let from_version = get_u64(bytes, "first version")?;
                let to_version = get_u64(bytes, "last version")?;
                let count = get_count(bytes, "leaderships", LEADER_CHANGE_BYTES_MIN)?;
                let changes = (0..count).map(|_| get_leader_change(bytes)).collect::<Result<_, _>>()?;
                NodeMessage::Leadership { from_version, to_version, changes }
            }
            KIND_CONTROLLER_CALL => {
                NodeMessage::ControllerCall { call: get_u64(bytes, "call")?, command: get_payload(bytes)? }
            }
            KIND_CONTROLLER_REPLY => {
                NodeMessage::ControllerReply { call: get_u64(bytes, "call")?, reply: get_optional(bytes)? }
            }
            KIND_AWAIT_TOPICS => {
                let call = get_u64(bytes, "call")?;
                let applied = Offset(get_u64(bytes, "offset")? as i64);
                let count = get_count(bytes, "topics", 16)?;
                let topics = (0..count).map(|_| get_topic_id(bytes)).collect::<Result<_, _>>()?;
                NodeMessage::AwaitTopics { call, applied, topics }
            }
            KIND_AWAIT_TOPICS_REPLY => NodeMessage::AwaitTopicsReply { call: get_u64(bytes, "call")? },
            KIND_QUORUM_QUESTION => NodeMessage::QuorumQuestion {
                call: get_u64(bytes, "call")?,
                applied: Offset(get_u64(bytes, "offset")? as i64),
            },
            KIND_QUORUM_ANSWER => NodeMessage::QuorumAnswer {
                call: get_u64(bytes, "call")?,
                settled: get_u8(bytes, "flag")? != 0,
            },
            KIND_FORWARD_REQUEST => {
                NodeMessage::ForwardRequest { call: get_u64(bytes, "call")?, frame: bytes.split_off(0) }
            }
            KIND_FORWARD_REPLY => {
                let call = get_u64(bytes, "call")?;
                let present = get_u8(bytes, "flag")? != 0;
                NodeMessage::ForwardReply { call, frame: present.then(|| bytes.split_off(0)) }
            }
            KIND_STANDING_REQUEST => NodeMessage::StandingRequest { life: get_u64(bytes, "start number")? },
            KIND_STANDING_REPLY => {
                let life = get_u64(bytes, "start number")?;
                need(bytes, 16, "directory")?;
                let directory = DirectoryId(bytes.get_u128());
                NodeMessage::StandingReply { life, directory, members: get_members(bytes)? }
            }
            unknown => return Err(PeerDecodeError::UnknownKind(unknown)),
        })
    }
}

fn put_optional(out: &mut BytesMut, call: u64, value: &Option<Bytes>, payload: &mut Option<Bytes>) {
    out.put_u64(call);
    out.put_u8(u8::from(value.is_some()));
    payload.clone_from(value);
}

fn put_key(out: &mut BytesMut, key: PartitionKey) {
    out.put_u128(key.topic.0);
    out.put_i32(key.partition.0);
}

fn put_leader_change(out: &mut BytesMut, change: &LeaderChange) {
    put_key(out, change.key);
    out.put_i32(change.leader.map_or(-1, |leader| leader.0));
    out.put_i32(change.epoch.0);
    out.put_u16(change.isr.len() as u16);
    for member in &change.isr {
        out.put_i32(member.0);
    }
}

fn need(bytes: &Bytes, count: usize, what: &'static str) -> Result<(), PeerDecodeError> {
    if bytes.remaining() < count { Err(PeerDecodeError::CutOff(what)) } else { Ok(()) }
}

fn get_u8(bytes: &mut Bytes, what: &'static str) -> Result<u8, PeerDecodeError> {
    need(bytes, 1, what)?;
    Ok(bytes.get_u8())
}

fn get_u64(bytes: &mut Bytes, what: &'static str) -> Result<u64, PeerDecodeError> {
    need(bytes, 8, what)?;
    Ok(bytes.get_u64())
}

fn get_topic_id(bytes: &mut Bytes) -> Result<TopicId, PeerDecodeError> {
    need(bytes, 16, "topic id")?;
    Ok(TopicId(bytes.get_u128()))
}

fn get_key(bytes: &mut Bytes) -> Result<PartitionKey, PeerDecodeError> {
    need(bytes, KEY_BYTES, "partition key")?;
    Ok(PartitionKey::new(TopicId(bytes.get_u128()), PartitionIndex(bytes.get_i32())))
}

fn get_count(
    bytes: &mut Bytes,
    what: &'static str,
    entry_bytes_min: usize,
) -> Result<usize, PeerDecodeError> {
    need(bytes, 4, what)?;
    let count = bytes.get_u32() as usize;
    let max = bytes.remaining() / entry_bytes_min;
    if count > max { Err(PeerDecodeError::TooMany { what, count, max }) } else { Ok(count) }
}

fn get_members(bytes: &mut Bytes) -> Result<Members, PeerDecodeError> {
    let count = get_count(bytes, "members", MEMBER_BYTES)?;
    let max = IDENTITY_MEMBERS_MAX;
    if count > max {
        return Err(PeerDecodeError::TooMany { what: "members", count, max });
    }
    Ok((0..count).map(|_| (NodeId(bytes.get_i32()), DirectoryId(bytes.get_u128()))).collect())
}

fn get_payload(bytes: &mut Bytes) -> Result<Bytes, PeerDecodeError> {
    let count = bytes.remaining();
    if count > limits::NODE_MESSAGE_BYTES_MAX {
        return Err(PeerDecodeError::TooMany { what: "payload", count, max: limits::NODE_MESSAGE_BYTES_MAX });
    }
    Ok(bytes.split_off(0))
}

fn get_optional(bytes: &mut Bytes) -> Result<Option<Bytes>, PeerDecodeError> {
    let present = get_u8(bytes, "flag")? != 0;
    let payload = get_payload(bytes)?;
    Ok(present.then_some(payload))
}

fn get_leader_change(bytes: &mut Bytes) -> Result<LeaderChange, PeerDecodeError> {
    let key = get_key(bytes)?;
    need(bytes, 10, "leadership")?;
    let leader = bytes.get_i32();
    let epoch = LeaderEpoch(bytes.get_i32());
    let members = usize::from(bytes.get_u16());
    need(bytes, members * 4, "in-sync set")?;
    let isr = (0..members).map(|_| NodeId(bytes.get_i32())).collect();
    Ok(LeaderChange { key, leader: (leader >= 0).then_some(NodeId(leader)), epoch, isr })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn flatten(message: &NodeMessage) -> Bytes {
        Bytes::from(PeerMessage::Node(message.clone()).encode().concat())
    }

    fn any_change() -> impl Strategy<Value = LeaderChange> {
        (
            any::<u128>(),
            any::<i32>(),
            prop::option::of(0..i32::MAX),
            any::<i32>(),
            prop::collection::vec(any::<i32>(), 0..4),
        )
            .prop_map(|(topic, partition, leader, epoch, isr)| LeaderChange {
                key: PartitionKey::new(TopicId(topic), PartitionIndex(partition)),
                leader: leader.map(NodeId),
                epoch: LeaderEpoch(epoch),
                isr: isr.into_iter().map(NodeId).collect(),
            })
    }

    fn any_payload() -> impl Strategy<Value = Bytes> {
        prop::collection::vec(any::<u8>(), 0..64).prop_map(Bytes::from)
    }

    fn any_message() -> impl Strategy<Value = NodeMessage> {
        prop_oneof![
            (any::<u64>(), any::<u64>()).prop_map(|(incarnation, leadership_version)| NodeMessage::Beat {
                incarnation,
                leadership_version
            }),
            Just(NodeMessage::LeadershipRequest),
            (any::<u64>(), any::<u64>(), prop::collection::vec(any_change(), 0..5)).prop_map(
                |(from_version, to_version, changes)| NodeMessage::Leadership {
                    from_version,
                    to_version,
                    changes
                }
            ),
            (any::<u64>(), any_payload())
                .prop_map(|(call, command)| NodeMessage::ControllerCall { call, command }),
            (any::<u64>(), prop::option::of(any_payload()))
                .prop_map(|(call, reply)| NodeMessage::ControllerReply { call, reply }),
            (any::<u64>(), any::<i64>(), prop::collection::vec(any::<u128>().prop_map(TopicId), 0..5))
                .prop_map(|(call, applied, topics)| NodeMessage::AwaitTopics {
                    call,
                    applied: Offset(applied),
                    topics
                }),
            any::<u64>().prop_map(|call| NodeMessage::AwaitTopicsReply { call }),
            (any::<u64>(), any::<i64>().prop_map(Offset))
                .prop_map(|(call, applied)| NodeMessage::QuorumQuestion { call, applied }),
            (any::<u64>(), any::<bool>())
                .prop_map(|(call, settled)| NodeMessage::QuorumAnswer { call, settled }),
            (any::<u64>(), any_payload())
                .prop_map(|(call, frame)| NodeMessage::ForwardRequest { call, frame }),
            (any::<u64>(), prop::option::of(any_payload()))
                .prop_map(|(call, frame)| NodeMessage::ForwardReply { call, frame }),
        ]
    }

    proptest! {
        #[test]
        fn every_node_message_survives_the_wire(message in any_message()) {
            match PeerMessage::decode(flatten(&message)) {
                Ok(PeerMessage::Node(decoded)) => prop_assert_eq!(decoded, message),
                other => prop_assert!(false, "{:?}", other),
            }
        }

        #[test]
        fn any_bytes_are_refused_or_read(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
            let _ = PeerMessage::decode(Bytes::from(bytes));
        }
    }

    #[test]
    fn an_absurd_count_is_refused_before_anything_is_allocated() {
        let mut bytes = BytesMut::new();
        bytes.put_u8(KIND_LEADERSHIP);
        bytes.put_u64(1);
        bytes.put_u64(1);
        bytes.put_u32(u32::MAX);
        let refused = PeerMessage::decode(bytes.freeze());
        assert!(matches!(refused, Err(PeerDecodeError::TooMany { what: "leaderships", .. })), "{refused:?}");
    }
}
