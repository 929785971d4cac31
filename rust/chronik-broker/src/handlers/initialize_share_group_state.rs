//! InitializeShareGroupState (key 83), version 0. Between brokers.
//!
//! Behaviour: the share coordinator begins accounts, or begins them anew at a given offset (124 in a lower state epoch). One
//! that exists stays if no offset is given: several may want it begun.
//! Tests: tests/share_state.rs.

use chronik_coord::share::ShareCall;
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::initialize_share_group_state::{
    InitializeShareGroupStateRequest, InitializeShareGroupStateResponse, InitializeStateResult,
    PartitionResult,
};
use chronik_wire::types::Offset;

use super::{Answer, Context};
use crate::share::serve::by_topic;

pub(crate) async fn handle(
    context: Context,
    request: InitializeShareGroupStateRequest,
) -> Answer<InitializeShareGroupStateResponse> {
    let topics = request.topics.into_iter();
    let asked = topics.flat_map(|topic| topic.partitions.into_iter().map(move |one| (topic.topic_id, one)));
    let asked = asked.map(|(topic, one)| {
        (
            topic,
            one.partition,
            ShareCall::Initialize { state_epoch: one.state_epoch, start: Offset(one.start_offset) },
        )
    });
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
        |topic_id| InitializeStateResult { topic_id, partitions: Vec::new() },
        |topic, id| topic.topic_id == id,
        |topic, result| topic.partitions.push(result),
    );
    Ok(Some(InitializeShareGroupStateResponse { results }))
}
