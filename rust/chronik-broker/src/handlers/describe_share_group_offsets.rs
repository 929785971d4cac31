//! DescribeShareGroupOffsets (key 90), versions 0-1.
//!
//! Behaviour: how far share groups are, in the partitions asked for or in all they read; where nothing is known, in topics
//! that do not exist too, the start offset is -1 without an error. Each group at its coordinator; another node answers 16.
//! Versions: 1 the lag: records up to the end that are not done, -1 where nobody has decided where to begin.
//! Not done: authorization.
//! Tests: tests/share_groups.rs.

use std::collections::BTreeMap;

use chronik_coord::groups::{GroupCall, GroupReply, Groups};
use chronik_coord::share::{ShareAnswer, ShareCall, ShareSummary};
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::describe_share_group_offsets::{
    DescribeShareGroupOffsetsRequest, DescribeShareGroupOffsetsRequestGroup,
    DescribeShareGroupOffsetsRequestTopic, DescribeShareGroupOffsetsResponse,
    DescribeShareGroupOffsetsResponseGroup, DescribeShareGroupOffsetsResponsePartition,
    DescribeShareGroupOffsetsResponseTopic,
};
use chronik_wire::messages::group_records::ShareTopicPartitions;
use chronik_wire::messages::list_offsets::{
    LATEST_TIMESTAMP, ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};
use chronik_wire::types::{PartitionIndex, PartitionKey, TopicId};

use super::{Answer, Context};
use crate::connection::CloseReason;
use crate::limits;
use crate::share_groups::UNDECIDED;
use crate::together::together;
use crate::topics::TopicName;

const LAG_FROM: i16 = 1;
/// The newest ListOffsets that asks for the end by name.
const LIST_OFFSETS_VERSION: i16 = 6;

pub(crate) async fn handle(
    context: Context,
    request: DescribeShareGroupOffsetsRequest,
) -> Answer<DescribeShareGroupOffsetsResponse> {
    context.check_group_count(request.groups.len())?;
    let topics = request.groups.iter().flat_map(|group| group.topics.iter().flatten());
    if topics.map(|topic| topic.partitions.len()).sum::<usize>() > limits::REQUEST_PARTITIONS_MAX {
        return Err(CloseReason::Unanswerable("a request names too many partitions"));
    }
    let mut groups = Vec::with_capacity(request.groups.len());
    for group in request.groups {
        let alone = DescribeShareGroupOffsetsRequest { groups: vec![group.clone()] };
        let described = match context.carry::<Groups, _>(&group.group_id, &alone).await {
            Some(response) => response.groups.into_iter().next(),
            None => Some(describe(&context, group).await),
        };
        groups.extend(described);
    }
    Ok(Some(DescribeShareGroupOffsetsResponse { groups, ..Default::default() }))
}

async fn describe(
    context: &Context,
    group: DescribeShareGroupOffsetsRequestGroup,
) -> DescribeShareGroupOffsetsResponseGroup {
    let group_id = group.group_id;
    let call = GroupCall::ShareAccounts { group_id: group_id.clone() };
    let known = match context.ask_group(&group_id, call).await {
        GroupReply::ShareAccounts(known) => known,
        _ => Err(ErrorCode::UNKNOWN_SERVER_ERROR),
    };
    let known = match known {
        Ok(known) => known,
        Err(error_code) => {
            let error_message = error_code.name().map(str::to_owned);
            return DescribeShareGroupOffsetsResponseGroup {
                group_id,
                error_code,
                error_message,
                ..Default::default()
            };
        }
    };
    let wanted = match group.topics {
        None => known,
        Some(topics) => named(context, topics).await,
    };
    let exist = |topic: &&ShareTopicPartitions| topic.topic_id != TopicId::ZERO;
    let asked: Vec<ShareTopicPartitions> = wanted.iter().filter(exist).cloned().collect();
    let said = context.ask_share_coordinators(&group_id, &asked, |_, _| ShareCall::Summarize).await;
    let summaries: BTreeMap<(TopicId, i32), Result<ShareSummary, ErrorCode>> = said
        .into_iter()
        .map(|(place, reply)| match reply {
            Ok(ShareAnswer::Summary(summary)) => (place, Ok(summary)),
            Ok(_) => (place, Err(ErrorCode::UNKNOWN_SERVER_ERROR)),
            Err(code) => (place, Err(code)),
        })
        .collect();
    let lags =
        if context.version >= LAG_FROM { lags(context, &asked, &summaries).await } else { Lags::new() };
    let topics = wanted.into_iter().map(|topic| described(topic, &summaries, &lags)).collect();
    DescribeShareGroupOffsetsResponseGroup { group_id, topics, ..Default::default() }
}

/// The partitions asked for; topics that do not exist have no id.
async fn named(
    context: &Context,
    topics: Vec<DescribeShareGroupOffsetsRequestTopic>,
) -> Vec<ShareTopicPartitions> {
    // Every topic has a first partition.
    let names: Vec<_> = topics.iter().map(|topic| (TopicName::Name(topic.topic_name.clone()), 0)).collect();
    let deadline_ms = context.gate_deadline_ms();
    let found = context.broker.look_up(deadline_ms, &names, |_, _, target| target.key.topic).await;
    let topic =
        |(topic, found): (DescribeShareGroupOffsetsRequestTopic, Result<TopicId, _>)| ShareTopicPartitions {
            topic_id: found.unwrap_or(TopicId::ZERO),
            topic_name: topic.topic_name,
            partitions: topic.partitions,
        };
    topics.into_iter().zip(found).map(topic).collect()
}

/// How many records are not done, by partition.
type Lags = BTreeMap<(TopicId, i32), Result<i64, ErrorCode>>;

async fn lags(
    context: &Context,
    topics: &[ShareTopicPartitions],
    summaries: &BTreeMap<(TopicId, i32), Result<ShareSummary, ErrorCode>>,
) -> Lags {
    let questions = topics.iter().flat_map(|topic| {
        topic.partitions.iter().filter_map(move |partition| {
            let place = (topic.topic_id, *partition);
            let summary = summaries.get(&place)?.as_ref().ok()?;
            let decided = summary.start.0 != UNDECIDED && summary.complete_count >= 0;
            let (start, done) = (summary.start.0, i64::from(summary.complete_count));
            let lag = async move {
                let end = end_of(context, &topic.topic_name, place).await;
                (place, end.map(|end| (end - start - done).max(0)))
            };
            decided.then_some(lag)
        })
    });
    together(questions, limits::SHARE_QUESTIONS_AT_ONCE).await.into_iter().collect()
}

/// The end of a partition, as its leader says.
async fn end_of(context: &Context, topic: &str, place: (TopicId, i32)) -> Result<i64, ErrorCode> {
    let key = PartitionKey::new(place.0, PartitionIndex(place.1));
    let leader = context.broker.node.view(|view| view.leader(key)).map(|(leader, _)| leader);
    let leader = leader.ok_or(ErrorCode::LEADER_NOT_AVAILABLE)?;
    let partition = ListOffsetsPartition {
        partition_index: place.1,
        timestamp: LATEST_TIMESTAMP,
        ..ListOffsetsPartition::default()
    };
    let topics = vec![ListOffsetsTopic { name: topic.to_owned(), partitions: vec![partition] }];
    let request = ListOffsetsRequest { replica_id: -1, topics, ..ListOffsetsRequest::default() };
    let deadline_ms = context.gate_deadline_ms();
    let served = context.broker.served_by(leader, LIST_OFFSETS_VERSION, &request, deadline_ms).await;
    let answers = served.into_iter().flat_map(|response| response.topics);
    let answer = answers.flat_map(|topic| topic.partitions).next();
    match answer.ok_or(ErrorCode::LEADER_NOT_AVAILABLE)? {
        answer if answer.error_code.is_none() => Ok(answer.offset),
        answer => Err(answer.error_code),
    }
}

fn described(
    topic: ShareTopicPartitions,
    summaries: &BTreeMap<(TopicId, i32), Result<ShareSummary, ErrorCode>>,
    lags: &Lags,
) -> DescribeShareGroupOffsetsResponseTopic {
    let partition = |partition_index: i32| {
        let nothing = DescribeShareGroupOffsetsResponsePartition {
            partition_index,
            start_offset: UNDECIDED,
            ..Default::default()
        };
        let place = (topic.topic_id, partition_index);
        let error = |code: ErrorCode| DescribeShareGroupOffsetsResponsePartition {
            error_code: code,
            error_message: Some(code.to_string()),
            ..nothing.clone()
        };
        match (summaries.get(&place), lags.get(&place)) {
            (None, _) => nothing,
            (Some(Err(code)), _) | (_, Some(Err(code))) => error(*code),
            (Some(Ok(summary)), lag) => DescribeShareGroupOffsetsResponsePartition {
                start_offset: summary.start.0,
                leader_epoch: summary.leader_epoch.0,
                lag: lag.and_then(|lag| lag.as_ref().ok().copied()).unwrap_or(-1),
                ..nothing
            },
        }
    };
    DescribeShareGroupOffsetsResponseTopic {
        partitions: topic.partitions.iter().copied().map(partition).collect(),
        topic_name: topic.topic_name,
        topic_id: topic.topic_id,
    }
}
