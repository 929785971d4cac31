//! ReadShareGroupState (key 84), version 0. Between brokers.
//!
//! Behaviour: the leader of a partition takes an account over; the leaders before it are fenced (74). 42 if there is none.
//! Tests: tests/share_state.rs.

use chronik_coord::share::{ShareAnswer, ShareCall, ShareReply, wire_batches};
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::read_share_group_state::{
    PartitionResult, ReadShareGroupStateRequest, ReadShareGroupStateResponse, ReadStateResult,
};
use chronik_wire::types::LeaderEpoch;

use super::{Answer, Context};
use crate::share::serve::by_topic;

pub(crate) async fn handle(
    context: Context,
    request: ReadShareGroupStateRequest,
) -> Answer<ReadShareGroupStateResponse> {
    let topics = request.topics.into_iter();
    let asked = topics.flat_map(|topic| topic.partitions.into_iter().map(move |one| (topic.topic_id, one)));
    let asked = asked.map(|(topic, one)| {
        (topic, one.partition, ShareCall::Read { leader_epoch: LeaderEpoch(one.leader_epoch) })
    });
    let replies = context.ask_about_shares(&request.group_id, asked.collect()).await?;
    let results = replies.into_iter().map(|(topic, partition, reply)| (topic, result(partition, reply)));
    let results = by_topic(
        results.collect(),
        |topic_id| ReadStateResult { topic_id, partitions: Vec::new() },
        |topic, id| topic.topic_id == id,
        |topic, result| topic.partitions.push(result),
    );
    Ok(Some(ReadShareGroupStateResponse { results }))
}

fn result(partition: i32, reply: ShareReply) -> PartitionResult {
    match reply {
        Ok(ShareAnswer::Account(account)) => PartitionResult {
            partition,
            state_epoch: account.state_epoch,
            start_offset: account.start.0,
            state_batches: wire_batches(&account.batches),
            ..PartitionResult::default()
        },
        Ok(_) => PartitionResult {
            partition,
            error_code: ErrorCode::UNKNOWN_SERVER_ERROR,
            ..PartitionResult::default()
        },
        Err(error_code) => PartitionResult { partition, error_code, ..PartitionResult::default() },
    }
}
