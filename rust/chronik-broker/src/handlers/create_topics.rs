//! CreateTopics (key 19), versions 2-7.
//!
//! Behaviour: any node takes it; the controller decides, each topic on its own. Answers when every live node knows the
//! leader of every new partition; out of time with the topic made is 7, and the text says so. `validate_only` asks the
//! controller's state behind the metadata gate and changes nothing.
//! A client over its quota of partitions gets 89 from version 6 on, and before that the time to wait alone.
//! Versions: 4 default partitions and replicas as -1 · 5 flexible, configuration in the answer · 6 quotas · 7 topic ids.
//! Tests: tests/topics.rs, tests/administration/quotas.rs.

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
use crate::quotas::Mutations;

const CONFIGS_IN_ANSWER_FROM: i16 = 5;
const QUOTA_ERRORS_FROM: i16 = 6;

pub(crate) async fn handle(context: Context, request: CreateTopicsRequest) -> Answer<CreateTopicsResponse> {
    let deadline_ms = context.deadline_ms(request.timeout_ms);
    let topics: Vec<NewTopic> = request.topics.into_iter().map(new_topic).collect();
    let mut mutations = Mutations::of(&context, QUOTA_ERRORS_FROM);
    let admitted: Vec<Result<(), ItemError>> =
        topics.iter().map(|topic| admit(&context, topic, &mut mutations)).collect();
    let throttle_time_ms = mutations.throttle_time_ms();
    let creatable = topics.iter().zip(&admitted).filter(|(_, admitted)| admitted.is_ok());
    let creatable = creatable.map(|(topic, _)| topic.clone()).collect();
    let outcomes = context.broker.create_topics(creatable, request.validate_only, deadline_ms).await;
    let mut outcomes = outcomes.into_iter().map(|(_, outcome)| outcome);
    let image = context.broker.node.image();
    let results = topics.iter().zip(admitted).map(|(topic, admitted)| {
        match admitted.and_then(|()| next_outcome(&mut outcomes)) {
            Ok(created) => succeeded(&context, &image, topic, &created),
            Err(error) => failed(topic, error),
        }
    });
    Ok(Some(CreateTopicsResponse { throttle_time_ms, topics: results.collect() }))
}

/// Whether a topic is tried at all: only brokers create theirs, and a client has a quota.
fn admit(context: &Context, topic: &NewTopic, mutations: &mut Mutations<'_>) -> Result<(), ItemError> {
    if is_internal(&topic.name) {
        let message = format!("topic {:?} is the brokers' own; they create it on first use", topic.name);
        return Err(ItemError { code: ErrorCode::INVALID_TOPIC_EXCEPTION, message });
    }
    let image = context.broker.node.image();
    if image.topic(&topic.name).is_some() {
        // It is refused, and costs nothing.
        return Ok(());
    }
    let partitions = match usize::try_from(topic.partitions) {
        _ if !topic.assignments.is_empty() => topic.assignments.len(),
        Ok(partitions) => partitions,
        Err(_) => {
            let config = &context.broker.node.config;
            let settings = image.broker_settings(config.node, &config.broker_config);
            usize::try_from(settings.num_partitions).unwrap_or(1)
        }
    };
    mutations.admit(partitions)
}

fn next_outcome(
    outcomes: &mut impl Iterator<Item = Result<CreatedTopic, ItemError>>,
) -> Result<CreatedTopic, ItemError> {
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
