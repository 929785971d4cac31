//! ListPartitionReassignments (key 46), version 0.
//!
//! Behaviour: passes the metadata gate, so that a reassignment that was begun anywhere is shown; out of time is 7. Only
//! partitions that are being moved are named, also among those that were asked for.
//! Tests: tests/reassignments.rs.

use chronik_coord::{Assignment, Topic};
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::list_partition_reassignments::{
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse, OngoingPartitionReassignment,
    OngoingTopicReassignment,
};
use chronik_wire::types::NodeId;

use super::{Answer, Context};
use crate::cluster_picture::ClusterPicture;

pub(crate) async fn handle(
    context: Context,
    request: ListPartitionReassignmentsRequest,
) -> Answer<ListPartitionReassignmentsResponse> {
    let picture = ClusterPicture::take(&context).await;
    if !picture.confirmed {
        return Ok(Some(ListPartitionReassignmentsResponse {
            error_code: ErrorCode::REQUEST_TIMED_OUT,
            error_message: Some("no leader of the metadata answered in time; ask again".to_owned()),
            ..ListPartitionReassignmentsResponse::default()
        }));
    }
    let topics = match &request.topics {
        None => picture.image.topics().filter_map(|topic| ongoing(topic, None)).collect(),
        Some(asked) => asked
            .iter()
            .filter_map(|asked| ongoing(picture.image.topic(&asked.name)?, Some(&asked.partition_indexes)))
            .collect(),
    };
    Ok(Some(ListPartitionReassignmentsResponse { topics, ..ListPartitionReassignmentsResponse::default() }))
}

fn ongoing(topic: &Topic, asked: Option<&[i32]>) -> Option<OngoingTopicReassignment> {
    let moving = |(index, assignment): &(i32, &Assignment)| {
        assignment.is_moving() && asked.is_none_or(|asked| asked.contains(index))
    };
    let partitions: Vec<_> = (0..)
        .zip(&topic.partitions)
        .filter(moving)
        .map(|(index, assignment)| OngoingPartitionReassignment {
            partition_index: index,
            replicas: ids(&assignment.replicas),
            // Those that an earlier target added go like all the others that go.
            adding_replicas: ids(&coming(assignment)),
            removing_replicas: ids(&assignment.removing),
        })
        .collect();
    (!partitions.is_empty()).then(|| OngoingTopicReassignment { name: topic.name.to_string(), partitions })
}

fn coming(assignment: &Assignment) -> Vec<NodeId> {
    assignment.adding.iter().copied().filter(|node| !assignment.removing.contains(node)).collect()
}

fn ids(nodes: &[NodeId]) -> Vec<i32> {
    nodes.iter().map(|node| node.0).collect()
}
