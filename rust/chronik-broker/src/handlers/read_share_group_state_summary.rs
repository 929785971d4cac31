//! ReadShareGroupStateSummary (key 87), versions 0-1. Between brokers.
//!
//! Behaviour: the share coordinator says how far a group is. Start offset -1 if there is no account.
//! Versions: 1 the number of records that are done (KIP-1226).
//! Tests: tests/share_state.rs.

use chronik_coord::share::{ShareAnswer, ShareCall, ShareReply};
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::read_share_group_state_summary::{
    PartitionResult, ReadShareGroupStateSummaryRequest, ReadShareGroupStateSummaryResponse,
    ReadStateSummaryResult,
};

use super::{Answer, Context};
use crate::share::serve::by_topic;

pub(crate) async fn handle(
    context: Context,
    request: ReadShareGroupStateSummaryRequest,
) -> Answer<ReadShareGroupStateSummaryResponse> {
    let topics = request.topics.into_iter();
    let asked = topics.flat_map(|topic| topic.partitions.into_iter().map(move |one| (topic.topic_id, one)));
    let asked = asked.map(|(topic, one)| (topic, one.partition, ShareCall::Summarize));
    let replies = context.ask_about_shares(&request.group_id, asked.collect()).await?;
    let results = replies.into_iter().map(|(topic, partition, reply)| (topic, result(partition, reply)));
    let results = by_topic(
        results.collect(),
        |topic_id| ReadStateSummaryResult { topic_id, partitions: Vec::new() },
        |topic, id| topic.topic_id == id,
        |topic, result| topic.partitions.push(result),
    );
    Ok(Some(ReadShareGroupStateSummaryResponse { results }))
}

fn result(partition: i32, reply: ShareReply) -> PartitionResult {
    match reply {
        Ok(ShareAnswer::Summary(summary)) => PartitionResult {
            partition,
            state_epoch: summary.state_epoch,
            leader_epoch: summary.leader_epoch.0,
            start_offset: summary.start.0,
            delivery_complete_count: summary.complete_count,
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
