//! What the handlers of the messages about accounts share: every partition of a request is a question of its own.

use std::sync::Arc;

use chronik_coord::share::{ShareCall, ShareCoordinator, ShareKey, ShareReply, ShareRequest};
use chronik_wire::error_code::ErrorCode;
use chronik_wire::types::{PartitionIndex, TopicId};

use crate::connection::CloseReason;
use crate::handlers::Context;
use crate::limits;
use crate::topics::{Absent, TopicName};

impl Context {
    /// Has the coordinators that this node is answer, one question per partition, in order.
    pub(crate) async fn ask_about_shares(
        &self,
        group: &str,
        asked: Vec<(TopicId, i32, ShareCall)>,
    ) -> Result<Vec<(TopicId, i32, ShareReply)>, CloseReason> {
        if asked.len() > limits::REQUEST_PARTITIONS_MAX {
            return Err(CloseReason::Unanswerable("a request names too many share partitions"));
        }
        let group: Arc<str> = Arc::from(group);
        let wanted: Vec<(TopicName, i32)> =
            asked.iter().map(|(topic, partition, _)| (TopicName::Id(*topic), *partition)).collect();
        let deadline_ms = self.gate_deadline_ms();
        let found = self.broker.look_up(deadline_ms, &wanted, |_, _, target| target.key).await;
        let mut replies = Vec::with_capacity(asked.len());
        for ((topic, partition, call), found) in asked.into_iter().zip(found) {
            let reply = match found {
                _ if partition < 0 => Err(ErrorCode::INVALID_REQUEST),
                Ok(_) => {
                    let partition = PartitionIndex(partition);
                    let key = ShareKey { group: group.clone(), topic, partition };
                    let name = key.name();
                    self.ask_coordinator::<ShareCoordinator>(&name, ShareRequest { key, call }).await
                }
                Err(Absent::Unknown(_)) => Err(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
                Err(Absent::Unconfirmed) => Err(ErrorCode::COORDINATOR_NOT_AVAILABLE),
            };
            replies.push((topic, partition, reply));
        }
        Ok(replies)
    }
}

/// Gathers the results of neighbours of the same topic.
pub(crate) fn by_topic<R, T>(
    results: Vec<(TopicId, R)>,
    mut topic_of: impl FnMut(TopicId) -> T,
    same: impl Fn(&T, TopicId) -> bool,
    mut add: impl FnMut(&mut T, R),
) -> Vec<T> {
    let mut topics: Vec<T> = Vec::new();
    for (topic, result) in results {
        if !topics.last().is_some_and(|last| same(last, topic)) {
            topics.push(topic_of(topic));
        }
        if let Some(last) = topics.last_mut() {
            add(last, result);
        }
    }
    topics
}
