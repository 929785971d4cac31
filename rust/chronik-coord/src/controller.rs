//! The controller of `__meta`: commands in log order in, replies and images out.
//!
//! Role: one deterministic machine. Equal commands give equal states, byte for byte, on every
//! replica and after every restart. Owns the image, the placement cursor and a bounded ring of
//! recent replies, which is part of the state because it decides whether a command is applied.
//!
//! Must not: fail. A command that cannot be carried out becomes a reply with an error code.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use chronik_wire::types::Offset;

use crate::apply;
use crate::codec::{self, CodecError, Coded};
use crate::command::{Action, Command, CommandId};
use crate::image::MetaImage;
use crate::limits;
use crate::reply::{CommandReply, ReplyBody};
use crate::snapshot::{SNAPSHOT_VERSION, Stored};

/// What an action changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct State {
    /// The picture that everybody reads.
    pub(crate) image: MetaImage,
    /// Counts the partitions ever placed; see `placement`.
    pub(crate) cursor: u64,
}

/// The replicated controller.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Controller {
    state: State,
    published: Arc<MetaImage>,
    replies: Replies,
}

impl Controller {
    /// A controller before its first command.
    pub fn new() -> Controller {
        Controller::default()
    }

    /// Applies the command at offset `at`; offsets ascend. A command whose id is still in the ring is
    /// not applied again: its first reply is the answer.
    pub fn apply(&mut self, command: &Command, at: Offset) -> CommandReply {
        self.advance(at);
        if let Some(reply) = self.replies.get(command.id) {
            let reply = reply.clone();
            self.publish();
            return reply;
        }
        let body = apply::run(&mut self.state, &command.action);
        self.publish();
        let reply = CommandReply { at, body };
        self.replies.push(command.id, reply.clone());
        reply
    }

    /// Decodes and applies one record's bytes.
    ///
    /// # Errors
    /// Bytes that are no command leave everything but the image's offset unchanged; every replica
    /// sees the same bytes and skips them alike.
    pub fn apply_bytes(&mut self, command: &[u8], at: Offset) -> Result<CommandReply, CodecError> {
        match Command::decode(command) {
            Ok(command) => Ok(self.apply(&command, at)),
            Err(error) => {
                self.advance(at);
                self.publish();
                Err(error)
            }
        }
    }

    /// What applying the action would answer now; changes nothing.
    pub fn check(&self, action: &Action) -> CommandReply {
        let mut state = self.state.clone();
        CommandReply { at: Offset::UNKNOWN, body: apply::run(&mut state, action) }
    }

    /// The picture as of the last command.
    pub fn image(&self) -> Arc<MetaImage> {
        self.published.clone()
    }

    /// The reply to a recent command.
    pub fn reply(&self, id: CommandId) -> Option<&CommandReply> {
        self.replies.get(id)
    }

    /// The whole state as bytes; equal states give equal bytes.
    pub fn snapshot(&self) -> Bytes {
        let stored = Stored::from_image(&self.state.image, self.state.cursor, self.replies.to_vec());
        let mut out = vec![SNAPSHOT_VERSION];
        stored.put(&mut out);
        out.into()
    }

    /// The controller that wrote the snapshot.
    ///
    /// # Errors
    /// Any [`CodecError`], for any bytes; nothing is believed that contradicts itself.
    pub fn restore(snapshot: &[u8]) -> Result<Controller, CodecError> {
        let mut stored: Stored =
            codec::decode_versioned(snapshot, SNAPSHOT_VERSION, "snapshot", limits::SNAPSHOT_BYTES_MAX)?;
        let replies = Replies::from_vec(std::mem::take(&mut stored.replies))?;
        let cursor = stored.cursor;
        let image = stored.into_image()?;
        let published = Arc::new(image.clone());
        Ok(Controller { state: State { image, cursor }, published, replies })
    }

    fn advance(&mut self, at: Offset) {
        assert!(at > self.state.image.offset, "commands are applied once each, in log order");
        self.state.image.offset = at;
    }

    fn publish(&mut self) {
        self.published = Arc::new(self.state.image.clone());
    }
}

/// The last replies, oldest first, bounded in number and in items.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Replies {
    order: VecDeque<CommandId>,
    by_id: BTreeMap<CommandId, CommandReply>,
    items: usize,
}

impl Replies {
    fn get(&self, id: CommandId) -> Option<&CommandReply> {
        self.by_id.get(&id)
    }

    fn push(&mut self, id: CommandId, reply: CommandReply) {
        self.items += reply.body.item_count();
        self.order.push_back(id);
        let replaced = self.by_id.insert(id, reply);
        assert!(replaced.is_none(), "a command in the ring is not applied again");
        while self.order.len() > limits::REPLIES_KEPT
            || (self.items > limits::REPLY_ITEMS_KEPT && self.order.len() > 1)
        {
            let evicted = self.order.pop_front().and_then(|oldest| self.by_id.remove(&oldest));
            self.items -= evicted.map_or(0, |reply| reply.body.item_count());
        }
        assert_eq!(self.order.len(), self.by_id.len(), "the ring and its index hold the same replies");
    }

    fn to_vec(&self) -> Vec<(CommandId, CommandReply)> {
        self.order.iter().filter_map(|id| self.by_id.get(id).map(|reply| (*id, reply.clone()))).collect()
    }

    fn from_vec(replies: Vec<(CommandId, CommandReply)>) -> Result<Self, CodecError> {
        let mut ring = Replies::default();
        let count = replies.len();
        for (id, reply) in replies {
            if ring.by_id.contains_key(&id) {
                return Err(CodecError::Inconsistent("two replies share one command id"));
            }
            ring.push(id, reply);
        }
        if ring.order.len() != count {
            return Err(CodecError::TooLarge {
                what: "reply ring",
                length: count,
                bound: limits::REPLIES_KEPT,
            });
        }
        Ok(ring)
    }
}

impl ReplyBody {
    /// The error of a command refused as a whole.
    pub fn rejection(&self) -> Option<&crate::ItemError> {
        match self {
            ReplyBody::Rejected(error) => Some(error),
            _ => None,
        }
    }
}
