//! Messages and states in words. Ids that mean nothing to a reader get names in the order of their appearance.

use std::fmt::Write;

use bytes::Bytes;
use chronik_replica::*;
use chronik_wire::types::NodeId;
use raft::eraftpb::{Message, MessageType};

use crate::harness::{Fate, Flight, KEY, World};

/// Names for ids.
#[derive(Default)]
pub(super) struct Names {
    barriers: Vec<(NodeId, u64)>,
    contexts: Vec<Bytes>,
}

impl Names {
    fn barrier(&mut self, asker: NodeId, id: u64) -> String {
        format!("barrier {}", place(&mut self.barriers, &(asker, id)) + 1)
    }

    fn context(&mut self, context: &Bytes) -> String {
        format!("context {}", place(&mut self.contexts, context) + 1)
    }

    /// A message in words; `None` for the heartbeat of an idle leader and its answer.
    pub(super) fn tell(&mut self, fate: Fate, flight: &Flight) -> Option<String> {
        let words = match &flight.message {
            ReplicaMessage::Raft(message) => self.raft(message)?,
            ReplicaMessage::Learner(message) => format!("without a vote: {}", self.raft(message)?),
            ReplicaMessage::ReadBarrier { request_id, .. } => self.barrier(flight.from, *request_id),
            ReplicaMessage::ReadBarrierReply { request_id, outcome } => {
                let outcome = match outcome {
                    BarrierOutcome::Ok { index, term } => format!("index {index}, term {term}"),
                    BarrierOutcome::NotLeader { hint: Some(leader) } => format!("ask {leader}"),
                    BarrierOutcome::NotLeader { hint: None } => "not the leader".to_owned(),
                    BarrierOutcome::NotReady => "not ready".to_owned(),
                };
                format!("answer to {}: {outcome}", self.barrier(flight.to, *request_id))
            }
            ReplicaMessage::PrefixRequest { place } => {
                format!("wants file {} of the log compacted up to {}", place.file, place.up_to)
            }
            ReplicaMessage::PrefixPiece { place, bytes } => {
                format!("{} bytes of the log compacted up to {}", bytes.len(), place.up_to)
            }
            ReplicaMessage::Sleep { index, .. } => format!("sleep, all is quiet up to {index}"),
        };
        let fate = match fate {
            Fate::Arrived => "",
            Fate::Lost => " (lost)",
            Fate::Held => " (held)",
        };
        Some(format!("{} -> {}  {words}{fate}", flight.from, flight.to))
    }

    fn raft(&mut self, message: &Message) -> Option<String> {
        let Message { index, log_term, commit, term, reject, .. } = message;
        let verdict = |yes, no| if *reject { no } else { yes };
        let words = match message.get_msg_type() {
            MessageType::MsgAppend => match (message.entries.first(), message.entries.last()) {
                (Some(first), Some(last)) if first.index < last.index => {
                    format!("append {}-{} after {index}, commit {commit}", first.index, last.index)
                }
                (Some(first), _) => format!("append {} after {index}, commit {commit}", first.index),
                _ => format!("append nothing after {index}, commit {commit}"),
            },
            MessageType::MsgAppendResponse if *reject => {
                format!("rejects {index}, may match {}", message.reject_hint)
            }
            // So raft tells a leader of an older term that it is deposed.
            MessageType::MsgAppendResponse if *index == 0 => "there is a newer term".to_owned(),
            MessageType::MsgAppendResponse => format!("has {index}"),
            MessageType::MsgHeartbeat if message.context.is_empty() => return None,
            MessageType::MsgHeartbeatResponse if message.context.is_empty() => return None,
            MessageType::MsgHeartbeat => format!("still leader? {}", self.context(&message.context)),
            MessageType::MsgHeartbeatResponse => format!("still leader, {}", self.context(&message.context)),
            MessageType::MsgRequestPreVote => {
                format!("would you vote for me? my log ends at {index}/{log_term}")
            }
            MessageType::MsgRequestPreVoteResponse => verdict("would vote", "would not vote").to_owned(),
            MessageType::MsgRequestVote => format!("vote for me, my log ends at {index}/{log_term}"),
            MessageType::MsgRequestVoteResponse => verdict("votes", "does not vote").to_owned(),
            MessageType::MsgSnapshot => {
                format!("snapshot at {}", message.get_snapshot().get_metadata().index)
            }
            MessageType::MsgTimeoutNow => "campaign now".to_owned(),
            other => format!("{other:?}"),
        };
        Some(format!("{words} (term {term})"))
    }
}

fn place<T: PartialEq + Clone>(known: &mut Vec<T>, item: &T) -> usize {
    known.iter().position(|other| other == item).unwrap_or_else(|| {
        known.push(item.clone());
        known.len() - 1
    })
}

/// What a trace says about one node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct NodeState {
    role: String,
    log: String,
    end: String,
    condition: &'static str,
}

impl NodeState {
    pub(super) fn of(world: &World, node: i32) -> NodeState {
        let node = &world.nodes[&NodeId(node)];
        let Some(host) = &node.host else {
            return NodeState { condition: "is down", ..NodeState::default() };
        };
        let (Some(replica), Ok(view)) = (host.replica(KEY), host.view(KEY)) else {
            return NodeState { condition: "refuses the partition", ..NodeState::default() };
        };
        let log = replica.log();
        let last_term = log.term(log.last_index()).unwrap_or_default();
        let role = match (view.role, view.leader) {
            (Role::Leader, _) if view.confirmed => "leads".to_owned(),
            (Role::Leader, _) => "is elected".to_owned(),
            (Role::Follower, Some(leader)) => format!("follows {leader}"),
            (Role::Follower, None) => "knows no leader".to_owned(),
        };
        NodeState {
            role: if view.stopped { String::new() } else { format!("{role} (term {})", replica.term()) },
            log: format!("log ends at {}/{last_term}", log.last_index()),
            end: match view.last_stable_offset {
                stable if stable == view.high_watermark => {
                    format!("applied {}, end {}", view.applied, view.high_watermark)
                }
                stable => format!("applied {}, end {}, stable {stable}", view.applied, view.high_watermark),
            },
            condition: match (view.stopped, node.frozen, replica.is_asleep()) {
                (true, ..) => "has stopped",
                (_, true, _) => "is frozen",
                (.., true) => "sleeps",
                _ => "",
            },
        }
    }

    /// In words, as far as it differs from `before`.
    pub(super) fn tell(&self, before: &NodeState) -> Option<String> {
        let mut parts = Vec::new();
        if self.condition != before.condition {
            parts.push(match (self.condition, before.condition) {
                ("", "sleeps") => "wakes",
                ("", _) => "is up",
                (condition, _) => condition,
            });
        }
        for (now, then) in [(&self.role, &before.role), (&self.log, &before.log), (&self.end, &before.end)] {
            if now != then && !now.is_empty() {
                parts.push(now);
            }
        }
        (!parts.is_empty()).then(|| parts.join("; "))
    }
}

/// Equal lines become one with a count, where the first of them was.
pub(super) fn counted(lines: &[String]) -> String {
    let mut seen: Vec<(&String, usize)> = Vec::new();
    for line in lines {
        match seen.iter_mut().find(|(known, _)| *known == line) {
            Some((_, count)) => *count += 1,
            None => seen.push((line, 1)),
        }
    }
    seen.iter().fold(String::new(), |mut text, (line, count)| {
        let times = if *count > 1 { format!(" ({count} times)") } else { String::new() };
        writeln!(text, "{line}{times}").unwrap();
        text
    })
}
