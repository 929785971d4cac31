//! DeleteShareGroupState (key 86), version 0. Between brokers.
//!
//! Behaviour: the share coordinator forgets accounts. One that does not exist is forgotten already.
//! Tests: tests/share_state.rs.

use chronik_coord::share::ShareCall;
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::delete_share_group_state::{
    DeleteShareGroupStateRequest, DeleteShareGroupStateResponse, DeleteStateResult, PartitionResult,
};

use super::{Answer, Context};
use crate::share::serve::by_topic;

pub(crate) async fn handle(
    context: Context,
    request: DeleteShareGroupStateRequest,
) -> Answer<DeleteShareGroupStateResponse> {
    let topics = request.topics.into_iter();
    let asked = topics.flat_map(|topic| topic.partitions.into_iter().map(move |one| (topic.topic_id, one)));
    let asked = asked.map(|(topic, one)| (topic, one.partition, ShareCall::Delete));
    let replies = context.ask_about_shares(&request.group_id, asked.collect()).await?;
    let results = replies.into_iter().map(|(topic, partition, reply)| {
        (
            topic,
            PartitionResult {
                partition,
                error_code: reply.err().unwrap_or(ErrorCode::NONE),
                error_message: None,
            },
        )
    });
    let results = by_topic(
        results.collect(),
        |topic_id| DeleteStateResult { topic_id, partitions: Vec::new() },
        |topic, id| topic.topic_id == id,
        |topic, result| topic.partitions.push(result),
    );
    Ok(Some(DeleteShareGroupStateResponse { results }))
}
