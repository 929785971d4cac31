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
use chronik_coord::{Command, CreatedTopic, ItemError, MetaImage, NewTopic, ReplyBody, Topic};
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::create_topics::{
    CreatableTopic, CreatableTopicConfigs, CreatableTopicResult, CreateTopicsRequest, CreateTopicsResponse,
};
use chronik_wire::types::{NodeId, PartitionIndex};

use super::{Answer, Context};
use crate::errors;
use crate::topic_creation::{Creation, Creations};

const CONFIGS_IN_ANSWER_FROM: i16 = 5;

pub(crate) async fn handle(context: Context, request: CreateTopicsRequest) -> Answer<CreateTopicsResponse> {
    let deadline_ms = context.deadline_ms(request.timeout_ms);
    let topics: Vec<NewTopic> = request.topics.into_iter().map(|topic| new_topic(&context, topic)).collect();
    let creation = if request.validate_only {
        validate(&context, &topics, deadline_ms).await
    } else {
        let created = context.broker.create_topics(topics.clone(), deadline_ms).await;
        created.map_err(|error| ItemError { code: errors::controller(&error), message: error.to_string() })
    };
    let results = match creation {
        Ok(creation) => {
            let image = context.broker.node.image();
            let outcomes = creation.outcomes.into_iter().zip(&topics);
            outcomes
                .map(|((_, outcome), topic)| match outcome {
                    Ok(_) if !creation.known_everywhere => failed(topic, not_known_everywhere()),
                    Ok(created) => succeeded(&context, &image, topic, &created),
                    Err(error) => failed(topic, error),
                })
                .collect()
        }
        Err(error) => topics.iter().map(|topic| failed(topic, error.clone())).collect(),
    };
    Ok(Some(CreateTopicsResponse { throttle_time_ms: 0, topics: results }))
}

fn new_topic(context: &Context, topic: CreatableTopic) -> NewTopic {
    let assignments = topic.assignments.into_iter().map(|assignment| {
        (PartitionIndex(assignment.partition_index), assignment.broker_ids.into_iter().map(NodeId).collect())
    });
    NewTopic {
        name: topic.name,
        id: context.broker.new_topic_id(),
        partitions: topic.num_partitions,
        replication_factor: topic.replication_factor,
        assignments: assignments.collect(),
        configs: topic.configs.into_iter().map(|config| (config.name, config.value)).collect(),
    }
}

async fn validate(context: &Context, topics: &[NewTopic], deadline_ms: u64) -> Result<Creation, ItemError> {
    let broker = &context.broker;
    let unconfirmed = |error: crate::topics::MetaGateError| ItemError {
        code: ErrorCode::REQUEST_TIMED_OUT,
        message: error.to_string(),
    };
    broker.meta_barrier(deadline_ms.min(context.gate_deadline_ms())).await.map_err(unconfirmed)?;
    let command = Command { id: broker.node.next_command_id(), action: broker.creation(topics.to_vec()) };
    let outcomes: Creations = match broker.node.seat.check(&command).body {
        ReplyBody::TopicsCreated(outcomes) => outcomes,
        other => {
            let error = crate::controller::ControllerError::from_reply(&other);
            return Err(ItemError { code: errors::controller(&error), message: error.to_string() });
        }
    };
    Ok(Creation { outcomes, known_everywhere: true })
}

fn not_known_everywhere() -> ItemError {
    ItemError {
        code: ErrorCode::REQUEST_TIMED_OUT,
        message: "the topic is created, but not every node knew all its leaders in time".to_owned(),
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
