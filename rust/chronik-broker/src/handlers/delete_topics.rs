//! DeleteTopics (key 20), versions 1-6.
//!
//! Behaviour: any node takes it; the controller decides, each topic on its own. Answers when every live node has
//! applied the deletion, so that no node shows the topic afterwards; out of time with the topic gone from the metadata
//! is 7, and the text says so.
//! Versions: 4 flexible · 5 error messages · 6 by name or by id.
//! Not done: deletion quotas (89).
//! Tests: tests/topics.rs.

use std::collections::HashMap;

use chronik_coord::{Action, CommandReply, DeleteTopics, ItemError, ReplyBody, TopicRef};
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::delete_topics::{
    DeletableTopicResult, DeleteTopicState, DeleteTopicsRequest, DeleteTopicsResponse,
};
use chronik_wire::types::TopicId;

use super::{Answer, Context};
use crate::controller::ControllerError;
use crate::errors;

const BY_NAME_OR_ID_FROM: i16 = 6;

pub(crate) async fn handle(context: Context, request: DeleteTopicsRequest) -> Answer<DeleteTopicsResponse> {
    let deadline_ms = context.deadline_ms(request.timeout_ms);
    let asked = asked(request, context.version);
    let mut checked = check(&context, &asked);
    let valid: Vec<TopicRef> = checked.iter().filter_map(|checked| checked.as_ref().ok().cloned()).collect();
    let outcome = if valid.is_empty() { Ok(Vec::new()) } else { delete(&context, valid, deadline_ms).await };
    let mut outcomes = outcome.as_ref().map(|outcomes| outcomes.iter().cloned()).ok();
    let responses = asked
        .into_iter()
        .zip(checked.drain(..))
        .map(|(asked, checked)| match checked {
            Err(error) => failed(asked, error),
            Ok(_) => match (outcomes.as_mut().and_then(Iterator::next), &outcome) {
                (Some(result), _) => result.unwrap_or_else(|error| failed(asked, error)),
                (None, Err(error)) => failed(asked, error.clone()),
                (None, Ok(_)) => failed(asked, no_outcome()),
            },
        })
        .collect();
    Ok(Some(DeleteTopicsResponse { throttle_time_ms: 0, responses }))
}

fn asked(request: DeleteTopicsRequest, version: i16) -> Vec<DeleteTopicState> {
    if version >= BY_NAME_OR_ID_FROM {
        return request.topics;
    }
    let by_name = |name| DeleteTopicState { name: Some(name), topic_id: TopicId::ZERO };
    request.topic_names.into_iter().map(by_name).collect()
}

/// What the request may ask the controller for, topic by topic.
fn check(context: &Context, asked: &[DeleteTopicState]) -> Vec<Result<TopicRef, ItemError>> {
    let config = &context.broker.node.config;
    let allowed =
        context.broker.node.image().broker_settings(config.node, &config.broker_config).delete_topics;
    let mut times: HashMap<_, usize> = HashMap::new();
    for topic in asked {
        *times.entry(identity(topic)).or_default() += 1;
    }
    let check_one = |topic: &DeleteTopicState| {
        if !allowed {
            let message = "topics cannot be deleted while delete.topic.enable is false".to_owned();
            return Err(ItemError { code: ErrorCode::TOPIC_DELETION_DISABLED, message });
        }
        let refuse =
            |message: &str| Err(ItemError { code: ErrorCode::INVALID_REQUEST, message: message.to_owned() });
        if times.get(&identity(topic)).is_some_and(|times| *times > 1) {
            return refuse("the topic is named more than once in this request");
        }
        match (&topic.name, topic.topic_id) {
            (Some(name), TopicId::ZERO) => Ok(TopicRef::Name(name.clone())),
            (Some(_), _) => refuse("a topic is deleted by name or by id, not by both"),
            (None, TopicId::ZERO) => refuse("a topic is deleted by name or by id; neither was given"),
            (None, id) => Ok(TopicRef::Id(id)),
        }
    };
    asked.iter().map(check_one).collect()
}

fn identity(topic: &DeleteTopicState) -> (Option<&str>, TopicId) {
    (topic.name.as_deref(), topic.topic_id)
}

/// Deletes topics and waits until every live node has applied it; one outcome per topic.
async fn delete(
    context: &Context,
    topics: Vec<TopicRef>,
    deadline_ms: u64,
) -> Result<Vec<Result<DeletableTopicResult, ItemError>>, ItemError> {
    let refused =
        |error: ControllerError| ItemError { code: errors::controller(&error), message: error.to_string() };
    let action = Action::DeleteTopics(DeleteTopics { topics });
    let reply: CommandReply = context.broker.controller_call(action, deadline_ms).await.map_err(refused)?;
    let ReplyBody::TopicsDeleted(outcomes) = reply.body else {
        return Err(refused(ControllerError::from_reply(&reply.body)));
    };
    let gone_everywhere = context.broker.await_topics(reply.at, &[], deadline_ms).await;
    let result = |(_, outcome): (TopicRef, Result<chronik_coord::DeletedTopic, ItemError>)| {
        let deleted = outcome?;
        if !gone_everywhere {
            let message = "the topic is deleted, but not every node had applied it in time".to_owned();
            return Err(ItemError { code: ErrorCode::REQUEST_TIMED_OUT, message });
        }
        Ok(DeletableTopicResult {
            name: Some(deleted.name),
            topic_id: deleted.id,
            error_code: ErrorCode::NONE,
            error_message: None,
        })
    };
    Ok(outcomes.into_iter().map(result).collect())
}

fn no_outcome() -> ItemError {
    let message = "the controller gave no outcome for this topic".to_owned();
    ItemError { code: ErrorCode::UNKNOWN_SERVER_ERROR, message }
}

fn failed(asked: DeleteTopicState, error: ItemError) -> DeletableTopicResult {
    DeletableTopicResult {
        name: asked.name,
        topic_id: asked.topic_id,
        error_code: error.code,
        error_message: Some(error.message),
    }
}
