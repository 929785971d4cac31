//! DescribeTopicPartitions (key 75), version 0.
//!
//! Behaviour: passes the gate of the metadata group; topics by name in order, page by page: the cursor names the first
//! partition of the next page, and goes on behind a topic that has been deleted meanwhile. If the gate fails: named
//! topics get 5, a request for all closes the connection.
//! Not done: eligible leader replicas; who may lead is decided by the Raft log alone, so the lists are empty.
//! Tests: tests/metadata.rs.

use std::collections::BTreeSet;

use chronik_coord::Topic;
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::describe_topic_partitions::{
    Cursor, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse,
    DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};

use super::{Answer, Context};
use crate::authorized_operations;
use crate::cluster_picture::{ClusterPicture, ListedPartition, is_internal, unknown_name};
use crate::connection::CloseReason;
use crate::limits;

pub(crate) async fn handle(
    context: Context,
    request: DescribeTopicPartitionsRequest,
) -> Answer<DescribeTopicPartitionsResponse> {
    if request.topics.len() > limits::METADATA_TOPICS_MAX {
        return Err(CloseReason::Unanswerable("a request names too many topics"));
    }
    if request.cursor.as_ref().is_some_and(|cursor| cursor.partition_index < 0) {
        return Err(CloseReason::Unanswerable("a cursor names a negative partition"));
    }
    let picture = ClusterPicture::take(&context).await;
    let asks_for_all = request.topics.is_empty();
    if asks_for_all && !picture.confirmed {
        return Err(CloseReason::Unanswerable("the list of topics cannot be confirmed; ask another node"));
    }
    let config = &context.broker.node.config;
    let most = picture.image.broker_settings(config.node, &config.broker_config).request_partitions_max;
    let asked_for = usize::try_from(request.response_partition_limit).unwrap_or(0);
    let mut page =
        Page { context: &context, picture: &picture, left: asked_for.min(most).max(1), topics: Vec::new() };

    let (first_topic, first_partition) = match &request.cursor {
        Some(cursor) => (cursor.topic_name.as_str(), cursor.partition_index as usize),
        None => ("", 0),
    };
    let from_of = |name: &str| if name == first_topic { first_partition } else { 0 };
    let next_cursor = if asks_for_all {
        let mut topics = picture.image.topics_from(first_topic);
        topics.find_map(|topic| page.add(topic, from_of(&topic.name)))
    } else {
        let names: BTreeSet<&str> = request.topics.iter().map(|topic| topic.name.as_str()).collect();
        names.range(first_topic..).find_map(|name| match picture.image.topic(name) {
            Some(topic) if picture.confirmed => page.add(topic, from_of(name)),
            _ => page.add_failed(name),
        })
    };
    Ok(Some(DescribeTopicPartitionsResponse { topics: page.topics, next_cursor, ..Default::default() }))
}

/// The page being filled.
struct Page<'a> {
    context: &'a Context,
    picture: &'a ClusterPicture,
    /// Partitions that still fit.
    left: usize,
    topics: Vec<DescribeTopicPartitionsResponseTopic>,
}

impl Page<'_> {
    /// Adds a topic's partitions from `from` on as far as they fit; the cursor if they do not.
    fn add(&mut self, topic: &Topic, from: usize) -> Option<Cursor> {
        let remaining = topic.partitions.len().saturating_sub(from);
        let taken = remaining.min(self.left);
        if taken > 0 {
            let partitions = self.picture.partitions(&self.context.broker, topic, from, taken);
            self.topics.push(DescribeTopicPartitionsResponseTopic {
                error_code: ErrorCode::NONE,
                name: Some(topic.name.to_string()),
                topic_id: topic.id,
                is_internal: is_internal(&topic.name),
                partitions: partitions.into_iter().map(Into::into).collect(),
                topic_authorized_operations: authorized_operations::topic(true),
            });
            self.left -= taken;
        }
        (taken < remaining).then(|| Cursor {
            topic_name: topic.name.to_string(),
            partition_index: i32::try_from(from + taken).unwrap_or(i32::MAX),
        })
    }

    /// Adds a topic that cannot be described; it takes no room.
    fn add_failed(&mut self, name: &str) -> Option<Cursor> {
        let error_code =
            if self.picture.confirmed { unknown_name(name) } else { ErrorCode::LEADER_NOT_AVAILABLE };
        self.topics.push(DescribeTopicPartitionsResponseTopic {
            error_code,
            name: Some(name.to_owned()),
            ..DescribeTopicPartitionsResponseTopic::default()
        });
        None
    }
}

impl From<ListedPartition> for DescribeTopicPartitionsResponsePartition {
    fn from(listed: ListedPartition) -> Self {
        DescribeTopicPartitionsResponsePartition {
            error_code: listed.error_code,
            partition_index: listed.index,
            leader_id: listed.leader_id,
            leader_epoch: listed.leader_epoch,
            replica_nodes: listed.replicas,
            isr_nodes: listed.in_sync,
            eligible_leader_replicas: Some(Vec::new()),
            last_known_elr: Some(Vec::new()),
            offline_replicas: listed.offline,
        }
    }
}
