//! Messages under way on delayed links. What is under way arrives, whatever happens to the link meanwhile.

use std::collections::BTreeMap;

use chronik_broker::PeerMessage;
use chronik_wire::types::NodeId;

use crate::limits;

/// A message under way.
pub(crate) struct Travelling {
    /// Who sent it.
    pub(crate) from: NodeId,
    /// Who gets it.
    pub(crate) to: NodeId,
    /// The message.
    pub(crate) message: PeerMessage,
}

/// All messages under way, by arrival. Messages of one link keep their order.
#[derive(Default)]
pub(crate) struct Delayed {
    by_arrival: BTreeMap<(u64, u64), Travelling>,
    links: BTreeMap<(NodeId, NodeId), Underway>,
    next: u64,
}

/// One link's messages under way.
#[derive(Default)]
struct Underway {
    count: usize,
    last_arrival: u64,
}

impl Delayed {
    /// Sends a message on its way. False, and the message is lost, when too many are under way.
    pub(crate) fn push(&mut self, now_ms: u64, delay_ms: u64, travelling: Travelling) -> bool {
        if self.by_arrival.len() >= limits::DELAYED_MESSAGES_MAX {
            return false;
        }
        let link = (travelling.from, travelling.to);
        let underway = self.links.entry(link).or_default();
        let arrival = now_ms.saturating_add(delay_ms).max(underway.last_arrival);
        *underway = Underway { count: underway.count + 1, last_arrival: arrival };
        self.by_arrival.insert((arrival, self.next), travelling);
        self.next += 1;
        true
    }

    /// Whether a link still has messages under way; later ones must queue behind them, delayed or not.
    pub(crate) fn occupies(&self, from: NodeId, to: NodeId) -> bool {
        !self.links.is_empty() && self.links.contains_key(&(from, to))
    }

    /// When the next message arrives.
    pub(crate) fn next_arrival(&self) -> Option<u64> {
        self.by_arrival.first_key_value().map(|((arrival, _), _)| *arrival)
    }

    /// The next message that has arrived by now.
    pub(crate) fn pop(&mut self, now_ms: u64) -> Option<Travelling> {
        let first = self.by_arrival.first_entry()?;
        if first.key().0 > now_ms {
            return None;
        }
        let travelling = first.remove();
        let link = (travelling.from, travelling.to);
        if let Some(underway) = self.links.get_mut(&link) {
            underway.count -= 1;
            if underway.count == 0 {
                self.links.remove(&link);
            }
        }
        Some(travelling)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chronik_broker::NodeMessage;

    fn beat(from: i32, to: i32, number: u64) -> Travelling {
        let message = PeerMessage::Node(NodeMessage::AwaitTopicsReply { call: number });
        Travelling { from: NodeId(from), to: NodeId(to), message }
    }

    fn number(travelling: &Travelling) -> u64 {
        match &travelling.message {
            PeerMessage::Node(NodeMessage::AwaitTopicsReply { call }) => *call,
            _ => unreachable!("only replies are sent here"),
        }
    }

    #[test]
    fn a_link_keeps_its_order_when_its_delay_shrinks() {
        let mut delayed = Delayed::default();
        delayed.push(0, 100, beat(1, 2, 1));
        delayed.push(10, 5, beat(1, 2, 2));
        delayed.push(10, 5, beat(2, 1, 3));
        assert!(delayed.occupies(NodeId(1), NodeId(2)));
        assert_eq!(delayed.next_arrival(), Some(15));
        assert_eq!(delayed.pop(15).as_ref().map(number), Some(3));
        assert!(!delayed.occupies(NodeId(2), NodeId(1)));
        assert!(delayed.pop(99).is_none());
        assert_eq!(delayed.pop(100).as_ref().map(number), Some(1));
        assert!(delayed.occupies(NodeId(1), NodeId(2)));
        assert_eq!(delayed.pop(100).as_ref().map(number), Some(2));
        assert!(!delayed.occupies(NodeId(1), NodeId(2)));
        assert_eq!(delayed.next_arrival(), None);
    }
}
