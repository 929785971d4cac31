//! Calls to the controller: found wherever the leader of the metadata group is, repeated until answered or out of time.
//!
//! A command carries an id and the controller remembers its replies, so sending one twice is the same as sending it
//! once. No caller sees "not the controller".

use std::rc::Rc;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use chronik_coord::{Action, Command, CommandId, CommandReply, ItemError, ReplyBody};
use chronik_replica::{Acks, AppendError, Role};
use chronik_wire::batch::BatchBuilder;
use chronik_wire::error_code::ErrorCode;
use chronik_wire::types::{NodeId, Offset, PartitionIndex, PartitionKey, TopicId};
use tokio::sync::watch;

use crate::broker::Broker;
use crate::counters::count;
use crate::limits;
use crate::node_state::{CallAnswer, NodeState};
use crate::peer::NodeMessage;
use crate::world::until;

/// Why the controller gave no reply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ControllerError {
    /// No reply within the time given. The command may still take effect.
    #[error(
        "the controller did not answer within {waited_ms} ms; a majority of the nodes may be unreachable"
    )]
    TimedOut {
        /// How long was waited.
        waited_ms: u64,
    },
    /// The command is over its size limit.
    #[error("the request is too large for one metadata command: {0}")]
    TooLarge(String),
    /// Too many calls are open at this node.
    #[error("{0} controller calls are open; try again later")]
    Overloaded(usize),
    /// The controller refused the command as a whole.
    #[error("{}", .0.message)]
    Refused(ItemError),
}

impl ControllerError {
    /// The error behind a reply that is not the one the command asks for.
    pub(crate) fn from_reply(body: &ReplyBody) -> ControllerError {
        ControllerError::Refused(body.rejection().cloned().unwrap_or_else(|| ItemError {
            code: ErrorCode::UNKNOWN_SERVER_ERROR,
            message: "the controller answered another question".to_owned(),
        }))
    }
}

impl Broker {
    /// Has the controller apply `action` and returns what it replied.
    pub async fn controller_call(
        &self,
        action: Action,
        deadline_ms: u64,
    ) -> Result<CommandReply, ControllerError> {
        count(&self.node.counters.controller_calls);
        let started_ms = self.world.now_ms();
        let id = self.node.next_command_id();
        let bytes =
            Command { id, action }.encode().map_err(|error| ControllerError::TooLarge(error.to_string()))?;
        let mut view_changes = self.node.subscribe_view();
        for attempt in 0.. {
            let now_ms = self.world.now_ms();
            if now_ms >= deadline_ms {
                break;
            }
            view_changes.borrow_and_update();
            let asked = self.controller_node().await.or_else(|| self.go_between(attempt));
            match asked {
                Some(node) if node == self.node.config.node => {
                    if let Some(reply) = self.apply_here(id, bytes.clone(), deadline_ms).await {
                        return Ok(reply);
                    }
                }
                Some(node) => {
                    if let Some(reply) = self.apply_at(node, bytes.clone(), deadline_ms).await? {
                        return Ok(reply);
                    }
                }
                None => {}
            }
            // Whoever was asked could not do it. Try again as soon as the view changes, or after a pause.
            let pause_ms = deadline_ms.min(self.world.now_ms() + limits::CALL_RESEND_MS);
            until(&*self.world, pause_ms, view_changes.changed()).await;
        }
        Err(ControllerError::TimedOut { waited_ms: self.world.now_ms() - started_ms })
    }

    /// Whoever may pass a command on. A node that is still to register hears of no leader but those it was told of at its
    /// start, and the controller need not be one of them.
    fn go_between(&self, attempt: usize) -> Option<NodeId> {
        let own = self.node.config.node;
        let live = self.node.view(|view| view.live_peers());
        let turn = attempt.checked_rem(live.len())?;
        live.get(turn).copied().filter(|_| !self.node.image().brokers.contains_key(&own))
    }

    /// What the controller would reply to `action` now, by its state at this node behind the gate. Changes nothing.
    pub(crate) async fn controller_check(
        &self,
        action: Action,
        deadline_ms: u64,
    ) -> Result<CommandReply, ControllerError> {
        let started_ms = self.world.now_ms();
        let gate_ms = deadline_ms.min(started_ms + self.node.config.gate_cap_ms);
        if self.meta_barrier(gate_ms).await.is_err() {
            return Err(ControllerError::TimedOut { waited_ms: self.world.now_ms() - started_ms });
        }
        Ok(self.node.seat.check(&Command { id: self.node.next_command_id(), action }))
    }

    /// The leader of the metadata group as this node knows it.
    pub async fn controller_node(&self) -> Option<NodeId> {
        let own = self.hosts.with(PartitionKey::META, |host| host.view(PartitionKey::META)).await.ok()?.ok();
        let raft_leader = own.and_then(|view| match view.role {
            Role::Leader => Some(self.node.config.node),
            Role::Follower => view.leader,
        });
        raft_leader.or_else(|| self.node.view(|view| view.leader(PartitionKey::META)).map(|(node, _)| node))
    }

    /// Appends a command to the metadata log at this node, its leader. `None` if it is not, or no longer.
    async fn apply_here(&self, id: CommandId, command: Bytes, deadline_ms: u64) -> Option<CommandReply> {
        if let Some(reply) = self.node.seat.reply(id) {
            return Some(reply);
        }
        let batch = command_batch(&command, self.world.wall_ms())?;
        let appended = self
            .hosts
            .with(PartitionKey::META, move |host| {
                host.append(PartitionKey::META, batch, Acks::All, deadline_ms)
            })
            .await
            .ok()?
            .await
            .ok()?;
        match appended {
            Ok(_) => self.node.seat.reply(id),
            Err(AppendError::TimedOut | AppendError::NotEnoughReplicasAfterAppend) => {
                self.node.seat.reply(id)
            }
            Err(_) => None,
        }
    }

    /// Sends a command to another node. `None` when that node cannot do it or does not answer for a while.
    async fn apply_at(
        &self,
        node: NodeId,
        command: Bytes,
        deadline_ms: u64,
    ) -> Result<Option<CommandReply>, ControllerError> {
        let resend_ms = deadline_ms.min(self.world.now_ms() + limits::CALL_RESEND_MS);
        let answer = self.call(node, resend_ms, |call| NodeMessage::ControllerCall { call, command }).await?;
        Ok(match answer {
            Some(CallAnswer::Bytes(reply)) => CommandReply::decode(&reply).ok(),
            _ => None,
        })
    }

    /// Sends one message to a node and waits for its answer until `until_ms`.
    pub(crate) async fn call(
        &self,
        node: NodeId,
        until_ms: u64,
        message: impl FnOnce(u64) -> NodeMessage,
    ) -> Result<Option<CallAnswer>, ControllerError> {
        let (call, answer) =
            self.node.open_call().ok_or(ControllerError::Overloaded(limits::PENDING_CALLS_MAX))?;
        self.node.send(node, message(call));
        let answer = until(&*self.world, until_ms, answer).await;
        self.node.close_call(call);
        Ok(answer.and_then(Result::ok))
    }

    /// Another node asks this one, as leader of the metadata group, to apply a command.
    pub(crate) async fn serve_controller_call(self: Rc<Self>, from: NodeId, call: u64, command: Bytes) {
        let deadline_ms = self.world.now_ms() + limits::INTERNAL_CALL_TIMEOUT_MS;
        let reply = match Command::decode(&command) {
            Ok(decoded) => match self.apply_here(decoded.id, command.clone(), deadline_ms).await {
                None if !self.knows(from) => self.pass_on(command, deadline_ms).await,
                reply => reply,
            },
            Err(error) => {
                tracing::warn!(node = self.node.config.node.0, from = from.0, %error, "controller call does not decode");
                None
            }
        };
        let reply = reply.and_then(|reply| reply.encode().ok());
        self.node.send(from, NodeMessage::ControllerReply { call, reply });
    }

    /// Carries the command of a node that is still to register to the controller.
    async fn pass_on(&self, command: Bytes, deadline_ms: u64) -> Option<CommandReply> {
        let own = self.node.config.node;
        let controller = self.controller_node().await.filter(|node| *node != own)?;
        self.apply_at(controller, command, deadline_ms).await.ok().flatten()
    }

    /// Waits until every live node has applied metadata up to `applied`, has its replicas in line with it, and knows a
    /// leader for every partition of `topics`. False when a node did not get there in time.
    pub async fn await_topics(&self, applied: Offset, topics: &[TopicId], deadline_ms: u64) -> bool {
        let mut view_changes = self.node.subscribe_view();
        let mut asked = Vec::new();
        for node in self.node.view(|view| view.live_peers()) {
            let Some((call, answer)) = self.node.open_call() else { return false };
            self.ask_for_topics(node, call, applied, topics);
            asked.push((node, call, answer));
        }
        let mut resend_ms = self.world.now_ms() + limits::CALL_RESEND_MS;
        let mut all = self.await_topics_here(applied, topics, deadline_ms).await;
        for (node, call, mut answer) in asked {
            let arrived = loop {
                let answered = async {
                    tokio::select! {
                        biased;
                        answered = &mut answer => Some(answered.is_ok()),
                        _ = view_changes.changed() => None,
                    }
                };
                match until(&*self.world, deadline_ms.min(resend_ms), answered).await {
                    Some(Some(arrived)) => break arrived,
                    // A node that dies meanwhile is not waited for: it will learn everything when it comes back.
                    Some(None) if !self.node.view(|view| view.is_alive(node)) => break true,
                    Some(None) => {}
                    None if self.world.now_ms() >= deadline_ms => break false,
                    // The question or the answer was lost, or the node has given up waiting.
                    None => {
                        resend_ms = self.world.now_ms() + limits::CALL_RESEND_MS;
                        self.ask_for_topics(node, call, applied, topics);
                    }
                }
            };
            self.node.close_call(call);
            all &= arrived;
        }
        all
    }

    fn ask_for_topics(&self, node: NodeId, call: u64, applied: Offset, topics: &[TopicId]) {
        self.node.send(node, NodeMessage::AwaitTopics { call, applied, topics: topics.to_vec() });
    }

    /// The part of [`Broker::await_topics`] that concerns this node.
    pub(crate) async fn await_topics_here(
        &self,
        applied: Offset,
        topics: &[TopicId],
        deadline_ms: u64,
    ) -> bool {
        let mut images = self.node.seat.subscribe();
        let mut view_changes = self.node.subscribe_view();
        loop {
            images.borrow_and_update();
            view_changes.borrow_and_update();
            if self.node.knows_topics(applied, topics) {
                return true;
            }
            let changed = async {
                tokio::select! {
                    changed = images.changed() => changed.is_ok(),
                    changed = view_changes.changed() => changed.is_ok(),
                }
            };
            match until(&*self.world, deadline_ms, changed).await {
                Some(true) => {}
                Some(false) | None => return false,
            }
        }
    }

    /// Waits until the applied image satisfies `condition`, or `deadline_ms`. Returns whether it did.
    pub async fn await_image(
        &self,
        deadline_ms: u64,
        mut condition: impl FnMut(&chronik_coord::MetaImage) -> bool,
    ) -> bool {
        let mut images: watch::Receiver<Arc<_>> = self.node.seat.subscribe();
        let reached = until(&*self.world, deadline_ms, images.wait_for(|image| condition(image))).await;
        matches!(reached, Some(Ok(_)))
    }
}

impl NodeState {
    fn knows_topics(&self, applied: Offset, topics: &[TopicId]) -> bool {
        let image = self.image();
        if image.offset < applied || !self.has_placed(applied) {
            return false;
        }
        self.view(|view| {
            topics.iter().all(|id| {
                image.topic_by_id(*id).is_none_or(|topic| {
                    (0..topic.partitions.len()).all(|partition| {
                        view.leader(PartitionKey::new(*id, PartitionIndex(partition as i32))).is_some()
                    })
                })
            })
        })
    }
}

/// One command as a record batch; `None` if it cannot be built, which the size check of the command rules out.
fn command_batch(command: &[u8], wall_ms: i64) -> Option<BytesMut> {
    BatchBuilder::new().record(wall_ms, None, Some(command)).build_mut().ok()
}
