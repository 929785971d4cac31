//! WriteShareGroupState (key 85), versions 0-1. Between brokers.
//!
//! Behaviour: the leader of a partition tells the share coordinator what is new. 74 if a newer leader has read since, 124 if
//! the account was begun anew, 42 if there is none.
//! Versions: 1 the number of records that are done (KIP-1226), which the coordinator counts itself.
//! Tests: tests/share_state.rs.

use chronik_coord::share::{ShareCall, read_batches};
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::write_share_group_state::{
    PartitionData, PartitionResult, WriteShareGroupStateRequest, WriteShareGroupStateResponse,
    WriteStateResult,
};
use chronik_wire::types::{LeaderEpoch, Offset};

use super::{Answer, Context};
use crate::share::serve::by_topic;

pub(crate) async fn handle(
    context: Context,
    request: WriteShareGroupStateRequest,
) -> Answer<WriteShareGroupStateResponse> {
    let topics = request.topics.into_iter();
    let asked = topics.flat_map(|topic| topic.partitions.into_iter().map(move |one| (topic.topic_id, one)));
    let asked = asked.map(|(topic, one)| (topic, one.partition, call(&one)));
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
        |topic_id| WriteStateResult { topic_id, partitions: Vec::new() },
        |topic, id| topic.topic_id == id,
        |topic, result| topic.partitions.push(result),
    );
    Ok(Some(WriteShareGroupStateResponse { results }))
}

/// What is told of a partition. What cannot be read is told as nothing that can be taken.
fn call(one: &PartitionData) -> ShareCall {
    let start = read_batches(&one.state_batches).map(|batches| (Offset(one.start_offset), batches));
    let (start, batches) = start.unwrap_or((UNREADABLE, Vec::new()));
    let (state_epoch, leader_epoch) = (one.state_epoch, LeaderEpoch(one.leader_epoch));
    ShareCall::Write { state_epoch, leader_epoch, start, batches }
}

/// No offset: the coordinator refuses it.
const UNREADABLE: Offset = Offset(i64::MIN);
