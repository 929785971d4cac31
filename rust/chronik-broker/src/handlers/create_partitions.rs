//! CreatePartitions (key 37), versions 0-3.
//!
//! Behaviour: any node takes it; the controller decides, each topic on its own. Answers when every live node knows the
//! leader of every partition; out of time with the partitions made is 7, and the text says so. An unknown topic is 3, no
//! more partitions than there are 37, a bad assignment 39, a topic named twice 42, an internal topic 17. `validate_only`
//! asks the controller's state behind the metadata gate and changes nothing. A client over its quota of partitions gets 89
//! from version 3 on, and before that the time to wait alone.
//! Versions: 2 flexible · 3 quota errors.
//! Tests: tests/administration/{partitions,quotas}.rs.

use chronik_coord::{ItemError, MorePartitions};
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::create_partitions::{
    CreatePartitionsAssignment, CreatePartitionsRequest, CreatePartitionsResponse, CreatePartitionsTopic,
    CreatePartitionsTopicResult,
};
use chronik_wire::types::NodeId;

use super::{Answer, Context};
use crate::quotas::Mutations;

const QUOTA_ERRORS_FROM: i16 = 3;

pub(crate) async fn handle(
    context: Context,
    request: CreatePartitionsRequest,
) -> Answer<CreatePartitionsResponse> {
    let deadline_ms = context.deadline_ms(request.timeout_ms);
    let names: Vec<String> = request.topics.iter().map(|topic| topic.name.clone()).collect();
    let mut mutations = Mutations::of(&context, QUOTA_ERRORS_FROM);
    let image = context.broker.node.image();
    let admitted: Vec<Result<(), ItemError>> = request
        .topics
        .iter()
        .map(|topic| {
            let present = image.topic(&topic.name).map(|topic| topic.partitions.len());
            let wanted = usize::try_from(topic.count).unwrap_or(0);
            // What will be refused costs nothing.
            match present.and_then(|present| wanted.checked_sub(present)) {
                Some(added) => mutations.admit(added),
                None => Ok(()),
            }
        })
        .collect();
    let throttle_time_ms = mutations.throttle_time_ms();
    let admissible = request.topics.into_iter().zip(&admitted).filter(|(_, admitted)| admitted.is_ok());
    let wishes = admissible.map(|(topic, _)| wish(topic)).collect();
    let outcomes = context.broker.create_partitions(wishes, request.validate_only, deadline_ms).await;
    let mut outcomes = outcomes.into_iter();
    let results = names.into_iter().zip(admitted).map(|(name, admitted)| {
        let error = admitted.and_then(|()| next_outcome(&mut outcomes)).err();
        CreatePartitionsTopicResult {
            name,
            error_code: error.as_ref().map_or(ErrorCode::NONE, |error| error.code),
            error_message: error.map(|error| error.message),
        }
    });
    Ok(Some(CreatePartitionsResponse { throttle_time_ms, results: results.collect() }))
}

fn next_outcome<T>(outcomes: &mut impl Iterator<Item = Result<T, ItemError>>) -> Result<T, ItemError> {
    outcomes.next().unwrap_or_else(|| {
        let message = "there is no outcome for this topic".to_owned();
        Err(ItemError { code: ErrorCode::UNKNOWN_SERVER_ERROR, message })
    })
}

fn wish(topic: CreatePartitionsTopic) -> MorePartitions {
    let nodes = |assigned: CreatePartitionsAssignment| assigned.broker_ids.into_iter().map(NodeId).collect();
    MorePartitions {
        name: topic.name,
        count: topic.count,
        assignments: topic.assignments.map(|assigned| assigned.into_iter().map(nodes).collect()),
    }
}
