//! OffsetFetch (key 9), versions 1-10.
//!
//! Behaviour: committed offsets of groups, each from its coordinator, never older than an acknowledged commit. An unknown
//! group, like a partition nobody has committed, is offset -1 without an error; clients start such a group with this
//! question. 88 for offsets of open transactions where the client insists on stable ones.
//! Versions: 2 all topics at once · 5 leader epoch · 6 flexible · 7 stable offsets · 8 several groups · 9 members of
//! KIP-848 · 10 topic ids.
//! Not done: authorization.
//! Tests: tests/groups.rs, tests/test_groups.py.

use chronik_coord::MetaImage;
use chronik_coord::groups::{GroupCall, GroupReply, Groups};
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics, OffsetFetchResponse,
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use chronik_wire::types::TopicId;

use super::{Answer, Context};

const SEVERAL_GROUPS_FROM: i16 = 8;
const BY_ID_FROM: i16 = 10;
/// First version with an error code for the group as a whole.
const GROUP_ERROR_FROM: i16 = 2;
const NO_OFFSET: i64 = -1;
const NO_EPOCH: i32 = -1;

pub(crate) async fn handle(context: Context, request: OffsetFetchRequest) -> Answer<OffsetFetchResponse> {
    if context.version < SEVERAL_GROUPS_FROM {
        if let Some(response) = context.carry::<Groups, _>(&request.group_id, &request).await {
            return Ok(Some(response));
        }
        let group = one_group(&request);
        let fetched = fetch(&context, group.clone(), request.require_stable).await;
        return Ok(Some(old_form(context.version, &group, fetched)));
    }
    context.check_group_count(request.groups.len())?;
    let require_stable = request.require_stable;
    let mut response = OffsetFetchResponse::default();
    for group in request.groups {
        let alone = OffsetFetchRequest { groups: vec![group.clone()], require_stable, ..Default::default() };
        let fetched = match context.carry::<Groups, _>(&group.group_id, &alone).await {
            Some(carried) => carried.groups.into_iter().next(),
            None => Some(fetch(&context, group, require_stable).await),
        };
        response.groups.extend(fetched);
    }
    Ok(Some(response))
}

async fn fetch(
    context: &Context,
    mut group: OffsetFetchRequestGroup,
    require_stable: bool,
) -> OffsetFetchResponseGroup {
    let by_id = context.version >= BY_ID_FROM;
    let unknown = if by_id { name_topics(context, &mut group).await } else { Vec::new() };
    let name = group.group_id.clone();
    let mut fetched = match context.ask_group(&name, GroupCall::OffsetFetch { group, require_stable }).await {
        GroupReply::OffsetFetch(fetched) => fetched,
        _ => OffsetFetchResponseGroup {
            group_id: name,
            error_code: ErrorCode::UNKNOWN_SERVER_ERROR,
            topics: Vec::new(),
        },
    };
    if by_id {
        let image = context.broker.node.image();
        // A topic that is gone has no id to answer with.
        fetched.topics.retain_mut(|topic| identify(&image, topic));
        fetched.topics.extend(unknown);
    }
    fetched
}

/// Gives the topics of a request their names; the answers for those that do not exist.
async fn name_topics(
    context: &Context,
    group: &mut OffsetFetchRequestGroup,
) -> Vec<OffsetFetchResponseTopics> {
    let Some(topics) = &mut group.topics else { return Vec::new() };
    let knows_all = |image: &MetaImage, topics: &[OffsetFetchRequestTopics]| {
        topics.iter().all(|topic| image.topic_by_id(topic.topic_id).is_some())
    };
    if !knows_all(&context.broker.node.image(), topics) {
        // Whether it is known or not: what is missing behind the gate is said to be missing.
        let _ = context.broker.meta_barrier(context.gate_deadline_ms()).await;
    }
    let image = context.broker.node.image();
    let mut unknown = Vec::new();
    topics.retain_mut(|topic| match image.topic_by_id(topic.topic_id) {
        Some(known) => {
            topic.name = known.name.to_string();
            true
        }
        None => {
            unknown.push(unknown_topic(topic));
            false
        }
    });
    unknown
}

fn unknown_topic(topic: &OffsetFetchRequestTopics) -> OffsetFetchResponseTopics {
    let partitions = topic.partition_indexes.iter().map(|index| OffsetFetchResponsePartitions {
        partition_index: *index,
        committed_offset: NO_OFFSET,
        committed_leader_epoch: NO_EPOCH,
        metadata: Some(String::new()),
        error_code: ErrorCode::UNKNOWN_TOPIC_ID,
    });
    OffsetFetchResponseTopics {
        name: String::new(),
        topic_id: topic.topic_id,
        partitions: partitions.collect(),
    }
}

fn identify(image: &MetaImage, topic: &mut OffsetFetchResponseTopics) -> bool {
    topic.topic_id = image.topic(&topic.name).map_or(TopicId::ZERO, |known| known.id);
    topic.topic_id != TopicId::ZERO
}

/// A request for one group in the form of those for several.
fn one_group(request: &OffsetFetchRequest) -> OffsetFetchRequestGroup {
    let topics = request.topics.as_ref().map(|topics| {
        let of = topics.iter().map(|topic| OffsetFetchRequestTopics {
            name: topic.name.clone(),
            topic_id: TopicId::ZERO,
            partition_indexes: topic.partition_indexes.clone(),
        });
        of.collect()
    });
    OffsetFetchRequestGroup { group_id: request.group_id.clone(), topics, ..Default::default() }
}

/// An answer for one group in its old form. Version 1 has no place for an error of the group: each partition bears it.
fn old_form(
    version: i16,
    asked: &OffsetFetchRequestGroup,
    fetched: OffsetFetchResponseGroup,
) -> OffsetFetchResponse {
    let error_code = fetched.error_code;
    let mut topics: Vec<OffsetFetchResponseTopic> =
        fetched.topics.into_iter().map(|topic| old_topic(topic.name, topic.partitions)).collect();
    if version < GROUP_ERROR_FROM && error_code != ErrorCode::NONE {
        let failed = |index: &i32| OffsetFetchResponsePartitions {
            partition_index: *index,
            committed_offset: NO_OFFSET,
            committed_leader_epoch: NO_EPOCH,
            metadata: Some(String::new()),
            error_code,
        };
        topics = asked
            .topics
            .iter()
            .flatten()
            .map(|topic| old_topic(topic.name.clone(), topic.partition_indexes.iter().map(failed).collect()))
            .collect();
    }
    OffsetFetchResponse { topics, error_code, ..OffsetFetchResponse::default() }
}

fn old_topic(name: String, partitions: Vec<OffsetFetchResponsePartitions>) -> OffsetFetchResponseTopic {
    let partitions = partitions.into_iter().map(|partition| OffsetFetchResponsePartition {
        partition_index: partition.partition_index,
        committed_offset: partition.committed_offset,
        committed_leader_epoch: partition.committed_leader_epoch,
        metadata: partition.metadata,
        error_code: partition.error_code,
    });
    OffsetFetchResponseTopic { name, partitions: partitions.collect() }
}
