//! What replicas of one group say to each other.
//!
//! Raft's own messages, the read barrier (never raft's ReadIndex, which drops requests in silence), the compacted
//! beginning of a log piece by piece, and the leader's word that a group may sleep. [`codec`] turns them into bytes; in one process they travel as they are.
//! [`portion`] cuts appends to size before either.

mod codec;
mod portion;

pub(crate) use codec::is_sendable;
pub(crate) use portion::in_portions;

use bytes::Bytes;
use chronik_log::compaction::PrefixPlace;
use chronik_log::{Index, Term};
use chronik_wire::types::NodeId;
use raft::eraftpb::{Message, MessageType};

use crate::CodecError;

/// A leader's answer to a read barrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BarrierOutcome {
    /// The group's commit index at some instant after the request was sent.
    Ok {
        /// The commit index.
        index: Index,
        /// The leader's term.
        term: Term,
    },
    /// The asked node does not lead.
    NotLeader {
        /// Who does, if known.
        hint: Option<NodeId>,
    },
    /// The asked node leads but could not answer in the time the request gave it.
    NotReady,
}

/// One message between two replicas of a group.
#[derive(Clone, Debug, PartialEq)]
pub enum ReplicaMessage {
    /// A raft message.
    Raft(Message),
    /// The answer of a member without a vote to an append or a heartbeat: it tells the leader what to send next and
    /// counts towards no quorum.
    Learner(Message),
    /// "What is the commit index, and do you still lead?"
    ReadBarrier {
        /// Chosen by the asker, never used twice.
        request_id: u64,
        /// How long the asker waits for the answer, in milliseconds.
        wait_ms: u32,
    },
    /// The answer.
    ReadBarrierReply {
        /// The request answered.
        request_id: u64,
        /// The answer itself.
        outcome: BarrierOutcome,
    },
    /// "Send me what your log begins with, from this place on."
    PrefixRequest {
        /// Which compacted prefix, and where in it.
        place: PrefixPlace,
    },
    /// A piece of a compacted prefix.
    PrefixPiece {
        /// Where it belongs.
        place: PrefixPlace,
        /// The bytes; none if the prefix is another by now.
        bytes: Bytes,
    },
    /// "All is quiet up to this entry: stop ticking until something happens."
    Sleep {
        /// The leader's term.
        term: Term,
        /// The last entry, committed and held by every live member.
        index: Index,
    },
}

/// What the sender of a message must not forget, whatever happens to it: leaders count on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promise {
    /// The receiver has its vote.
    Vote {
        /// In this term.
        term: Term,
    },
    /// It has persisted the receiver's log.
    Holds {
        /// In this term.
        term: Term,
        /// Up to this entry.
        index: Index,
    },
}

impl ReplicaMessage {
    /// What the sender promises by this message, if it does.
    pub fn promise(&self) -> Option<Promise> {
        let ReplicaMessage::Raft(message) = self else { return None };
        let term = Term(message.term);
        match message.get_msg_type() {
            _ if message.reject => None,
            MessageType::MsgRequestVoteResponse => Some(Promise::Vote { term }),
            MessageType::MsgAppendResponse => Some(Promise::Holds { term, index: Index(message.index) }),
            _ => None,
        }
    }

    /// The message as pieces: the head first, then the payloads as they are, not copied. A receiver decodes their
    /// concatenation.
    pub fn encode(&self) -> Vec<Bytes> {
        codec::encode(self)
    }

    /// Decodes one whole message. Payloads are slices of `bytes`.
    ///
    /// # Errors
    /// The bytes are no message of this version; nothing large was allocated.
    pub fn decode(bytes: Bytes) -> Result<ReplicaMessage, CodecError> {
        codec::decode(bytes)
    }

    /// About how many bytes the message holds; exact enough for bounds.
    pub fn size_bytes(&self) -> usize {
        const HEAD: usize = 64;
        match self {
            ReplicaMessage::Raft(message) | ReplicaMessage::Learner(message) => {
                let entries: usize = message.get_entries().iter().map(|entry| entry.data.len() + 16).sum();
                HEAD + entries + message.get_snapshot().data.len()
            }
            ReplicaMessage::PrefixPiece { bytes, .. } => HEAD + bytes.len(),
            _ => HEAD,
        }
    }
}
