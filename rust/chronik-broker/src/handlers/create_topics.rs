//! CreateTopics (key 19), versions 2-7.
//!
//! Behaviour: any node takes it; the controller decides, each topic on its own. Answers when every live node knows the
//! leader of every new partition; out of time with the topic made is 7, and the text says so. `validate_only` asks the
//! controller's state behind the metadata gate and changes nothing.
//! Versions: 4 default partitions and replicas as -1 · 5 flexible, configuration in the answer · 7 topic ids.
//! Not done: creation quotas (89).
//! Tests: tests/topics.rs.

use std::collections::BTreeMap;

use chronik_coord::config_catalogue;
use chronik_coord::{CreatedTopic, ItemError, MetaImage, NewTopic, Topic};
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::create_topics::{
    CreatableTopic, CreatableTopicConfigs, CreatableTopicResult, CreateTopicsRequest, CreateTopicsResponse,
};
use chronik_wire::types::{NodeId, PartitionIndex, TopicId};

use super::{Answer, Context};
use crate::cluster_picture::is_internal;

const CONFIGS_IN_ANSWER_FROM: i16 = 5;

pub(crate) async fn handle(context: Context, request: CreateTopicsRequest) -> Answer<CreateTopicsResponse> {
    let deadline_ms = context.deadline_ms(request.timeout_ms);
    let topics: Vec<NewTopic> = request.topics.into_iter().map(new_topic).collect();
    let creatable = topics.iter().filter(|topic| !is_internal(&topic.name)).cloned().collect();
    let outcomes = context.broker.create_topics(creatable, request.validate_only, deadline_ms).await;
    let mut outcomes = outcomes.into_iter().map(|(_, outcome)| outcome);
    let image = context.broker.node.image();
    let results = topics.iter().map(|topic| match outcome_of(topic, &mut outcomes) {
        Ok(created) => succeeded(&context, &image, topic, &created),
        Err(error) => failed(topic, error),
    });
    Ok(Some(CreateTopicsResponse { throttle_time_ms: 0, topics: results.collect() }))
}

/// The outcome of the next topic; those that only brokers create were not even tried.
fn outcome_of(
    topic: &NewTopic,
    outcomes: &mut impl Iterator<Item = Result<CreatedTopic, ItemError>>,
) -> Result<CreatedTopic, ItemError> {
    if is_internal(&topic.name) {
        let message = format!("topic name {:?} begins with \"__\", which is reserved", topic.name);
        return Err(ItemError { code: ErrorCode::INVALID_TOPIC_EXCEPTION, message });
    }
    outcomes.next().unwrap_or_else(|| {
        let message = "the controller answered another question".to_owned();
        Err(ItemError { code: ErrorCode::UNKNOWN_SERVER_ERROR, message })
    })
}

fn new_topic(topic: CreatableTopic) -> NewTopic {
    let assignments = topic.assignments.into_iter().map(|assignment| {
        (PartitionIndex(assignment.partition_index), assignment.broker_ids.into_iter().map(NodeId).collect())
    });
    NewTopic {
        name: topic.name,
        id: TopicId::ZERO,
        partitions: topic.num_partitions,
        replication_factor: topic.replication_factor,
        assignments: assignments.collect(),
        configs: topic.configs.into_iter().map(|config| (config.name, config.value)).collect(),
    }
}

fn failed(topic: &NewTopic, error: ItemError) -> CreatableTopicResult {
    CreatableTopicResult {
        name: topic.name.clone(),
        error_code: error.code,
        error_message: Some(error.message),
        ..CreatableTopicResult::default()
    }
}

fn succeeded(
    context: &Context,
    image: &MetaImage,
    topic: &NewTopic,
    created: &CreatedTopic,
) -> CreatableTopicResult {
    let configs =
        if context.version >= CONFIGS_IN_ANSWER_FROM { configs(context, image, topic) } else { Vec::new() };
    CreatableTopicResult {
        name: topic.name.clone(),
        topic_id: created.id,
        error_code: ErrorCode::NONE,
        error_message: None,
        topic_config_error_code: ErrorCode::NONE,
        num_partitions: created.partitions,
        replication_factor: created.replication_factor,
        configs: Some(configs),
    }
}

/// The configuration of the topic as asked for: it is what the topic has at its creation, and what it would have when
/// the request was only checked.
fn configs(context: &Context, image: &MetaImage, topic: &NewTopic) -> Vec<CreatableTopicConfigs> {
    let given: BTreeMap<String, String> =
        topic.configs.iter().filter_map(|(name, value)| Some((name.clone(), value.clone()?))).collect();
    let asked =
        Topic { name: topic.name.as_str().into(), id: topic.id, partitions: Vec::new(), configs: given };
    let config = &context.broker.node.config;
    let resolved = config_catalogue::topic_keys().iter().filter_map(|key| {
        Some((key, image.topic_config(&asked, key.name, config.node, &config.broker_config)?))
    });
    resolved
        .filter(|(key, resolved)| !key.is_internal() || resolved.is_set())
        .map(|(key, resolved)| CreatableTopicConfigs {
            name: key.name.to_owned(),
            value: resolved.value,
            read_only: false,
            config_source: resolved.source as i8,
            is_sensitive: key.sensitive,
        })
        .collect()
}
