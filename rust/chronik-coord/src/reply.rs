//! What became of a command: per-item Kafka error codes with a text for people.
//!
//! Role: plain data that travels back to the proposer and is kept in the controller's ring.

use bytes::Bytes;
use chronik_wire::error_code::ErrorCode;
use chronik_wire::types::{Offset, TopicId};

use crate::codec::{self, CodecError, Coded, Reader, coded_struct};
use crate::command::{Acl, ConfigResource, TopicRef};
use crate::limits;

/// The version byte in front of every reply.
const REPLY_VERSION: u8 = 1;

/// Why one item of a command was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}: {code}")]
pub struct ItemError {
    /// Kafka's error code.
    pub code: ErrorCode,
    /// Names the thing, the value and what is allowed.
    pub message: String,
}
coded_struct!(ItemError { code: ErrorCode, message: String });

impl ItemError {
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        ItemError { code, message: message.into() }
    }
}

/// The controller's answer to one command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandReply {
    /// Where the command stands in the metadata log; [`Offset::UNKNOWN`] when it was only checked.
    pub at: Offset,
    /// The outcome.
    pub body: ReplyBody,
}
coded_struct!(CommandReply { at: Offset, body: ReplyBody });

impl CommandReply {
    /// The binary form, a version byte first.
    ///
    /// # Errors
    /// [`CodecError::TooLarge`] above [`limits::REPLY_BYTES_MAX`].
    pub fn encode(&self) -> Result<Bytes, CodecError> {
        codec::encode_versioned(self, REPLY_VERSION, "reply", limits::REPLY_BYTES_MAX)
    }

    /// Reads what [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    /// Any [`CodecError`], for any bytes.
    pub fn decode(bytes: &[u8]) -> Result<CommandReply, CodecError> {
        codec::decode_versioned(bytes, REPLY_VERSION, "reply", limits::REPLY_BYTES_MAX)
    }
}

/// The outcome by kind of command. Lists are in the order of the command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplyBody {
    /// The command as a whole was refused.
    Rejected(ItemError),
    /// A broker was registered or removed.
    Done,
    /// The cluster id in force.
    ClusterId(String),
    /// Per topic, by name.
    TopicsCreated(Vec<(String, Result<CreatedTopic, ItemError>)>),
    /// Per topic, as it was referred to.
    TopicsDeleted(Vec<(TopicRef, Result<DeletedTopic, ItemError>)>),
    /// Per resource.
    ConfigsAltered(Vec<(ConfigResource, Result<(), ItemError>)>),
    /// Per partition of a change of reassignments.
    ReassignmentsAltered(Vec<Result<(), ItemError>>),
    /// Per topic that should grow, its id.
    PartitionsCreated(Vec<Result<TopicId, ItemError>>),
    /// Per entity.
    QuotasAltered(Vec<Result<(), ItemError>>),
    /// Per entry.
    AclsCreated(Vec<Result<(), ItemError>>),
    /// Per filter, what it removed.
    AclsDeleted(Vec<Vec<Acl>>),
    /// A block of producer ids.
    ProducerIds {
        /// The first id of the block.
        first: i64,
        /// Its length.
        count: i32,
    },
}

impl ReplyBody {
    /// Items in the outcome, at least 1: what it weighs in the ring.
    pub(crate) fn item_count(&self) -> usize {
        match self {
            ReplyBody::TopicsCreated(items) => items.len().max(1),
            ReplyBody::TopicsDeleted(items) => items.len().max(1),
            ReplyBody::ConfigsAltered(items) => items.len().max(1),
            ReplyBody::ReassignmentsAltered(items)
            | ReplyBody::QuotasAltered(items)
            | ReplyBody::AclsCreated(items) => items.len().max(1),
            ReplyBody::AclsDeleted(items) => items.len() + items.iter().map(Vec::len).sum::<usize>().max(1),
            ReplyBody::PartitionsCreated(items) => items.len().max(1),
            ReplyBody::Rejected(_)
            | ReplyBody::Done
            | ReplyBody::ClusterId(_)
            | ReplyBody::ProducerIds { .. } => 1,
        }
    }
}

/// The empty outcome of a changed resource takes no bytes.
impl Coded for () {
    const BYTES_MIN: usize = 0;

    fn put(&self, _out: &mut Vec<u8>) {}

    fn get(_from: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(())
    }
}

impl Coded for ReplyBody {
    const BYTES_MIN: usize = 1;

    fn put(&self, out: &mut Vec<u8>) {
        match self {
            ReplyBody::Rejected(error) => {
                out.push(0);
                error.put(out);
            }
            ReplyBody::Done => out.push(1),
            ReplyBody::ClusterId(id) => {
                out.push(2);
                id.put(out);
            }
            ReplyBody::TopicsCreated(items) => {
                out.push(3);
                items.put(out);
            }
            ReplyBody::TopicsDeleted(items) => {
                out.push(4);
                items.put(out);
            }
            ReplyBody::ConfigsAltered(items) => {
                out.push(5);
                items.put(out);
            }
            ReplyBody::ProducerIds { first, count } => {
                out.push(6);
                first.put(out);
                count.put(out);
            }
            ReplyBody::ReassignmentsAltered(items) => {
                out.push(7);
                items.put(out);
            }
            ReplyBody::PartitionsCreated(items) => {
                out.push(8);
                items.put(out);
            }
            ReplyBody::QuotasAltered(items) => {
                out.push(9);
                items.put(out);
            }
            ReplyBody::AclsCreated(items) => {
                out.push(10);
                items.put(out);
            }
            ReplyBody::AclsDeleted(items) => {
                out.push(11);
                items.put(out);
            }
        }
    }

    fn get(from: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(match u8::get(from)? {
            0 => ReplyBody::Rejected(Coded::get(from)?),
            1 => ReplyBody::Done,
            2 => ReplyBody::ClusterId(Coded::get(from)?),
            3 => ReplyBody::TopicsCreated(Coded::get(from)?),
            4 => ReplyBody::TopicsDeleted(Coded::get(from)?),
            5 => ReplyBody::ConfigsAltered(Coded::get(from)?),
            6 => ReplyBody::ProducerIds { first: Coded::get(from)?, count: Coded::get(from)? },
            7 => ReplyBody::ReassignmentsAltered(Coded::get(from)?),
            8 => ReplyBody::PartitionsCreated(Coded::get(from)?),
            9 => ReplyBody::QuotasAltered(Coded::get(from)?),
            10 => ReplyBody::AclsCreated(Coded::get(from)?),
            11 => ReplyBody::AclsDeleted(Coded::get(from)?),
            value => return Err(CodecError::Unknown { what: "reply", value: value.into() }),
        })
    }
}

/// A topic that was created, or would be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreatedTopic {
    /// Its id.
    pub id: TopicId,
    /// Its partitions.
    pub partitions: i32,
    /// Replicas per partition (of the first one, with a manual assignment).
    pub replication_factor: i16,
}
coded_struct!(CreatedTopic { id: TopicId, partitions: i32, replication_factor: i16 });

/// A topic that was deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeletedTopic {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: TopicId,
}
coded_struct!(DeletedTopic { name: String, id: TopicId });
