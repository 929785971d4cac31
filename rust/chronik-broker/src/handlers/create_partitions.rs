//! CreatePartitions (key 37), versions 0-3.
//!
//! Behaviour: any node takes it; the controller decides, each topic on its own. Answers when every live node knows the
//! leader of every partition; out of time with the partitions made is 7, and the text says so. An unknown topic is 3, no
//! more partitions than there are 37, a bad assignment 39, a topic named twice 42, an internal topic 17. `validate_only`
//! asks the controller's state behind the metadata gate and changes nothing.
//! Versions: 2 flexible · 3 quota errors.
//! Not done: creation quotas (89).
//! Tests: tests/administration/partitions.rs.

use chronik_coord::MorePartitions;
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::create_partitions::{
    CreatePartitionsAssignment, CreatePartitionsRequest, CreatePartitionsResponse, CreatePartitionsTopic,
    CreatePartitionsTopicResult,
};
use chronik_wire::types::NodeId;

use super::{Answer, Context};

pub(crate) async fn handle(
    context: Context,
    request: CreatePartitionsRequest,
) -> Answer<CreatePartitionsResponse> {
    let deadline_ms = context.deadline_ms(request.timeout_ms);
    let names: Vec<String> = request.topics.iter().map(|topic| topic.name.clone()).collect();
    let wishes = request.topics.into_iter().map(wish).collect();
    let outcomes = context.broker.create_partitions(wishes, request.validate_only, deadline_ms).await;
    let results = names.into_iter().zip(outcomes).map(|(name, outcome)| {
        let error = outcome.err();
        CreatePartitionsTopicResult {
            name,
            error_code: error.as_ref().map_or(ErrorCode::NONE, |error| error.code),
            error_message: error.map(|error| error.message),
        }
    });
    Ok(Some(CreatePartitionsResponse { throttle_time_ms: 0, results: results.collect() }))
}

fn wish(topic: CreatePartitionsTopic) -> MorePartitions {
    let nodes = |assigned: CreatePartitionsAssignment| assigned.broker_ids.into_iter().map(NodeId).collect();
    MorePartitions {
        name: topic.name,
        count: topic.count,
        assignments: topic.assignments.map(|assigned| assigned.into_iter().map(nodes).collect()),
    }
}
