//! OffsetCommit (key 8), versions 2-10.
//!
//! Behaviour: topics that do not exist get 3 (100 by id) and leave the others alone; the rest is answered by the group's
//! coordinator once it is committed: whoever reads it back later, wherever, sees it or a newer one.
//! Versions: 5 without retention time (which counts before, as with Kafka) · 6 leader epoch · 7 static members ·
//! 8 flexible · 9 member epochs · 10 topic ids.
//! Not done: authorization.
//! Tests: tests/groups.rs, tests/test_groups.py.

use chronik_coord::groups::{GroupCall, GroupReply, Groups};
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestTopic, OffsetCommitResponse, OffsetCommitResponsePartition,
    OffsetCommitResponseTopic,
};

use super::{Answer, Context};
use crate::connection::CloseReason;
use crate::limits;
use crate::topics::TopicName;

const BY_ID_FROM: i16 = 10;

pub(crate) async fn handle(
    context: Context,
    mut request: OffsetCommitRequest,
) -> Answer<OffsetCommitResponse> {
    let count: usize = request.topics.iter().map(|topic| topic.partitions.len()).sum();
    if count > limits::REQUEST_PARTITIONS_MAX {
        return Err(CloseReason::Unanswerable("an offset commit names too many partitions"));
    }
    let group = request.group_id.clone();
    if let Some(response) = context.carry::<Groups, _>(&group, &request).await {
        return Ok(Some(response));
    }
    let topics = std::mem::take(&mut request.topics);
    let (known, mut response) = sort_out(&context, topics).await;
    request.topics = known;
    let taken = if request.topics.is_empty() {
        OffsetCommitResponse::default()
    } else {
        match context.ask_group(&group, GroupCall::OffsetCommit(request)).await {
            GroupReply::OffsetCommit(taken) => taken,
            _ => return Err(CloseReason::Unanswerable("a coordinator answered another question")),
        }
    };
    fill(&mut response, taken);
    Ok(Some(response))
}

/// What the coordinator gets, by name; and the answer, in which it has still to be filled in what became of that.
async fn sort_out(
    context: &Context,
    topics: Vec<OffsetCommitRequestTopic>,
) -> (Vec<OffsetCommitRequestTopic>, OffsetCommitResponse) {
    let by_id = context.version >= BY_ID_FROM;
    let wanted: Vec<_> = topics
        .iter()
        .flat_map(|topic| {
            let name = TopicName::of(by_id, &topic.name, topic.topic_id);
            topic.partitions.iter().map(move |partition| (name.clone(), partition.partition_index))
        })
        .collect();
    let mut found = context.topics_of(&wanted).await.into_iter();
    let mut response = OffsetCommitResponse::default();
    let mut known = Vec::with_capacity(topics.len());
    for mut topic in topics {
        let mut answered = OffsetCommitResponseTopic {
            name: topic.name.clone(),
            topic_id: topic.topic_id,
            partitions: Vec::with_capacity(topic.partitions.len()),
        };
        topic.partitions.retain(|partition| {
            let error_code = match found.next() {
                Some(Ok(found)) => {
                    topic.name = found.name.to_string();
                    ErrorCode::NONE
                }
                Some(Err(code)) => code,
                None => ErrorCode::UNKNOWN_SERVER_ERROR,
            };
            let partition_index = partition.partition_index;
            answered.partitions.push(OffsetCommitResponsePartition { partition_index, error_code });
            error_code == ErrorCode::NONE
        });
        response.topics.push(answered);
        if !topic.partitions.is_empty() {
            known.push(topic);
        }
    }
    (known, response)
}

/// The coordinator answers what it was given, in that order.
fn fill(response: &mut OffsetCommitResponse, taken: OffsetCommitResponse) {
    response.throttle_time_ms = taken.throttle_time_ms;
    let mut taken = taken.topics.into_iter().flat_map(|topic| topic.partitions);
    for partition in response.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
        if partition.error_code == ErrorCode::NONE {
            partition.error_code =
                taken.next().map_or(ErrorCode::UNKNOWN_SERVER_ERROR, |taken| taken.error_code);
        }
    }
}
