//! AlterShareGroupOffsets (key 91), version 0.
//!
//! Behaviour: moves the start offsets of a share group without members (68) and forgets what became of its records; a group
//! that does not exist is made, one of another kind does not count (69). Partitions that do not exist are 3, each on its
//! own. At the group's coordinator; another node answers 16.
//! Not done: authorization.
//! Tests: tests/share_groups.rs.

use std::collections::BTreeMap;

use chronik_coord::groups::{GroupCall, GroupReply, Groups};
use chronik_coord::share::ShareCall;
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::alter_share_group_offsets::{
    AlterShareGroupOffsetsRequest, AlterShareGroupOffsetsRequestTopic, AlterShareGroupOffsetsResponse,
    AlterShareGroupOffsetsResponsePartition, AlterShareGroupOffsetsResponseTopic,
};
use chronik_wire::messages::group_records::ShareTopicPartitions;
use chronik_wire::types::{Offset, TopicId};

use super::{Answer, Context};
use crate::connection::CloseReason;
use crate::limits;
use crate::topics::TopicName;

pub(crate) async fn handle(
    context: Context,
    request: AlterShareGroupOffsetsRequest,
) -> Answer<AlterShareGroupOffsetsResponse> {
    let count: usize = request.topics.iter().map(|topic| topic.partitions.len()).sum();
    if count > limits::REQUEST_PARTITIONS_MAX {
        return Err(CloseReason::Unanswerable("a request to move share groups names too many partitions"));
    }
    if let Some(response) = context.carry::<Groups, _>(&request.group_id, &request).await {
        return Ok(Some(response));
    }
    if request.group_id.is_empty() {
        return Ok(Some(refused(ErrorCode::INVALID_GROUP_ID)));
    }
    let (wanted, mut response) = sort_out(&context, &request.topics).await;
    if let Err(error_code) = move_to(&context, &request.group_id, &wanted, &mut response).await {
        return Ok(Some(refused(error_code)));
    }
    Ok(Some(response))
}

fn refused(error_code: ErrorCode) -> AlterShareGroupOffsetsResponse {
    let error_message = error_code.name().map(str::to_owned);
    AlterShareGroupOffsetsResponse { error_code, error_message, ..Default::default() }
}

/// Where which partition shall begin.
type Wanted = BTreeMap<(TopicId, i32), (String, i64)>;

/// What can be done, and the answer in which it has still to be filled in what became of that.
async fn sort_out(
    context: &Context,
    topics: &[AlterShareGroupOffsetsRequestTopic],
) -> (Wanted, AlterShareGroupOffsetsResponse) {
    let names: Vec<_> = topics
        .iter()
        .flat_map(|topic| {
            let name = TopicName::Name(topic.topic_name.clone());
            topic.partitions.iter().map(move |partition| (name.clone(), partition.partition_index))
        })
        .collect();
    let mut found = context.topics_of(&names).await.into_iter();
    let mut wanted = Wanted::new();
    let mut response = AlterShareGroupOffsetsResponse::default();
    for topic in topics {
        let mut topic_id = TopicId::ZERO;
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for partition in &topic.partitions {
            let partition_index = partition.partition_index;
            let error_code = match found.next() {
                Some(Ok(found)) => {
                    topic_id = found.id;
                    let place = (topic.topic_name.clone(), partition.start_offset);
                    wanted.insert((topic_id, partition_index), place);
                    ErrorCode::NONE
                }
                Some(Err(code)) => code,
                None => ErrorCode::UNKNOWN_SERVER_ERROR,
            };
            let error_message = error_code.is_error().then(|| error_code.to_string());
            partitions.push(AlterShareGroupOffsetsResponsePartition {
                partition_index,
                error_code,
                error_message,
            });
        }
        response.responses.push(AlterShareGroupOffsetsResponseTopic {
            topic_name: topic.topic_name.clone(),
            topic_id,
            partitions,
        });
    }
    (wanted, response)
}

async fn move_to(
    context: &Context,
    group: &str,
    wanted: &Wanted,
    response: &mut AlterShareGroupOffsetsResponse,
) -> Result<(), ErrorCode> {
    let mut topics: BTreeMap<TopicId, ShareTopicPartitions> = BTreeMap::new();
    for ((topic_id, partition), (name, _)) in wanted {
        let topic = topics.entry(*topic_id).or_insert_with(|| ShareTopicPartitions {
            topic_id: *topic_id,
            topic_name: name.clone(),
            partitions: Vec::new(),
        });
        topic.partitions.push(*partition);
    }
    let topics: Vec<ShareTopicPartitions> = topics.into_values().collect();
    let call = GroupCall::ShareMove { group_id: group.to_owned(), topics: topics.clone() };
    let state_epoch = match context.ask_group(group, call).await {
        GroupReply::ShareMove(epoch) => epoch?,
        _ => return Err(ErrorCode::UNKNOWN_SERVER_ERROR),
    };
    let said = context
        .ask_share_coordinators(group, &topics, |topic, partition| {
            let start = wanted.get(&(topic, partition)).map_or(0, |(_, offset)| *offset);
            ShareCall::Initialize { state_epoch, start: Offset(start) }
        })
        .await;
    context.report_shares(group, None, &topics, &said).await;
    for topic in &mut response.responses {
        for partition in topic.partitions.iter_mut().filter(|partition| partition.error_code.is_none()) {
            if let Some(Err(code)) = said.get(&(topic.topic_id, partition.partition_index)) {
                (partition.error_code, partition.error_message) = (*code, Some(code.to_string()));
            }
        }
    }
    Ok(())
}
