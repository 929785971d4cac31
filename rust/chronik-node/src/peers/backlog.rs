//! What arrived for a frozen node. After the thaw it is taken a little at a time, mixed with new work, as a process
//! that was stopped finds its sockets full and its clients calling.

use std::collections::{BTreeMap, VecDeque};

use chronik_broker::PeerMessage;
use chronik_wire::types::NodeId;

use crate::limits;

/// Messages waiting for a node, in order per sender.
#[derive(Default)]
pub(crate) struct Backlog {
    by_sender: BTreeMap<NodeId, VecDeque<PeerMessage>>,
    length: usize,
}

impl Backlog {
    /// Queues a message. When full the oldest of the same sender makes room; false if one was lost.
    pub(crate) fn push(&mut self, from: NodeId, message: PeerMessage) -> bool {
        let full = self.length >= limits::BACKLOG_MESSAGES_MAX;
        let queue = self.by_sender.entry(from).or_default();
        if full {
            // Without an older one of its own the new message is the one lost.
            if queue.pop_front().is_none() {
                return false;
            }
            self.length -= 1;
        }
        queue.push_back(message);
        self.length += 1;
        !full
    }

    /// True when nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The oldest message of every sender.
    pub(crate) fn take_round(&mut self) -> Vec<(NodeId, PeerMessage)> {
        let mut round = Vec::with_capacity(self.by_sender.len());
        self.by_sender.retain(|from, queue| {
            round.extend(queue.pop_front().map(|message| (*from, message)));
            !queue.is_empty()
        });
        self.length -= round.len();
        round
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chronik_broker::NodeMessage;

    fn call(number: u64) -> PeerMessage {
        PeerMessage::Node(NodeMessage::AwaitTopicsReply { call: number })
    }

    #[test]
    fn rounds_take_one_per_sender_in_order() {
        let mut backlog = Backlog::default();
        for number in 0..3 {
            assert!(backlog.push(NodeId(1), call(number)));
        }
        assert!(backlog.push(NodeId(2), call(9)));
        let sizes: Vec<usize> = std::iter::from_fn(|| {
            let round = backlog.take_round();
            (!round.is_empty()).then_some(round.len())
        })
        .collect();
        assert_eq!(sizes, [2, 1, 1]);
        assert!(backlog.is_empty());
    }

    #[test]
    fn a_full_backlog_loses_the_oldest() {
        let mut backlog = Backlog::default();
        for number in 0..limits::BACKLOG_MESSAGES_MAX as u64 {
            assert!(backlog.push(NodeId(1), call(number)));
        }
        assert!(!backlog.push(NodeId(1), call(u64::MAX)));
        assert_eq!(backlog.length, limits::BACKLOG_MESSAGES_MAX);
        let first = backlog.take_round().pop().unwrap().1;
        assert!(matches!(first, PeerMessage::Node(NodeMessage::AwaitTopicsReply { call: 1 })));
    }
}
