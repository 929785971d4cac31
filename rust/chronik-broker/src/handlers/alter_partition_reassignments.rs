//! AlterPartitionReassignments (key 45), versions 0-1.
//!
//! Behaviour: any node takes it; the controller decides, each partition on its own. Answers once the reassignment is on
//! record; the data moves afterwards, and ListPartitionReassignments and Metadata show how far it is. A null list of
//! replicas cancels.
//! Versions: 1 whether the number of replicas may change.
//! Tests: tests/reassignments.rs.

use chronik_coord::{Action, AlterReassignment, AlterReassignments, ItemError, ReplyBody};
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::alter_partition_reassignments::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, ReassignablePartitionResponse,
    ReassignableTopic, ReassignableTopicResponse,
};
use chronik_wire::types::{NodeId, PartitionIndex};

use super::{Answer, Context};
use crate::controller::ControllerError;
use crate::errors;

pub(crate) async fn handle(
    context: Context,
    request: AlterPartitionReassignmentsRequest,
) -> Answer<AlterPartitionReassignmentsResponse> {
    let deadline_ms = context.deadline_ms(request.timeout_ms);
    let allow = request.allow_replication_factor_change;
    let partitions = request.topics.iter().flat_map(wishes).collect();
    let action =
        Action::AlterReassignments(AlterReassignments { partitions, allow_replication_factor_change: allow });
    let called = context.broker.controller_call(action, deadline_ms).await;
    let outcome = match called {
        Ok(reply) => match reply.body {
            ReplyBody::ReassignmentsAltered(outcomes) => {
                // Whoever asks this node next sees what was begun.
                context.broker.await_image(deadline_ms, |image| image.offset >= reply.at).await;
                Ok(outcomes)
            }
            other => Err(ControllerError::from_reply(&other)),
        },
        Err(error) => Err(error),
    };
    let response = AlterPartitionReassignmentsResponse {
        allow_replication_factor_change: allow,
        ..AlterPartitionReassignmentsResponse::default()
    };
    Ok(Some(match outcome {
        Ok(outcomes) => {
            AlterPartitionReassignmentsResponse { responses: by_topic(&request, outcomes), ..response }
        }
        Err(error) => {
            let error = errors::refused(&error);
            AlterPartitionReassignmentsResponse {
                error_code: error.code,
                error_message: Some(error.message),
                ..response
            }
        }
    }))
}

fn wishes(topic: &ReassignableTopic) -> impl Iterator<Item = AlterReassignment> + '_ {
    topic.partitions.iter().map(|partition| AlterReassignment {
        topic: topic.name.clone(),
        partition: PartitionIndex(partition.partition_index),
        replicas: partition.replicas.as_ref().map(|replicas| replicas.iter().copied().map(NodeId).collect()),
    })
}

fn by_topic(
    request: &AlterPartitionReassignmentsRequest,
    outcomes: Vec<Result<(), ItemError>>,
) -> Vec<ReassignableTopicResponse> {
    let mut outcomes = outcomes.into_iter();
    let topics = request.topics.iter().map(|topic| ReassignableTopicResponse {
        name: topic.name.clone(),
        partitions: topic
            .partitions
            .iter()
            .map(|partition| {
                let error = outcomes.next().and_then(Result::err);
                ReassignablePartitionResponse {
                    partition_index: partition.partition_index,
                    error_code: error.as_ref().map_or(ErrorCode::NONE, |error| error.code),
                    error_message: error.map(|error| error.message),
                }
            })
            .collect(),
    });
    topics.collect()
}
