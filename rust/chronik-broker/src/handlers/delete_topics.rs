//! DeleteTopics (key 20), versions 1-6.
//!
//! Behaviour: any node takes it; the controller decides, each topic on its own. Answers when every live node has
//! applied the deletion, so that no node shows the topic afterwards; out of time with the topic gone from the metadata
//! is 7, and the text says so.
//! Versions: 4 flexible · 5 error messages · 6 by name or by id.
//! Not done: deletion quotas (89).
//! Tests: tests/topics.rs.

use chronik_coord::{ItemError, TopicRef};
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::delete_topics::{
    DeletableTopicResult, DeleteTopicState, DeleteTopicsRequest, DeleteTopicsResponse,
};
use chronik_wire::types::TopicId;

use super::{Answer, Context};

const BY_NAME_OR_ID_FROM: i16 = 6;

pub(crate) async fn handle(context: Context, request: DeleteTopicsRequest) -> Answer<DeleteTopicsResponse> {
    let deadline_ms = context.deadline_ms(request.timeout_ms);
    let asked = asked(request, context.version);
    let refs: Vec<Result<TopicRef, ItemError>> = asked.iter().map(reference).collect();
    let valid = refs.iter().filter_map(|topic| topic.as_ref().ok().cloned()).collect();
    let mut outcomes = context.broker.delete_topics(valid, deadline_ms).await.into_iter();
    let responses = asked.into_iter().zip(refs).map(|(asked, topic)| match topic {
        Err(error) => failed(asked, error),
        Ok(_) => match outcomes.next() {
            Some((_, Ok(deleted))) => DeletableTopicResult {
                name: Some(deleted.name),
                topic_id: deleted.id,
                error_code: ErrorCode::NONE,
                error_message: None,
            },
            Some((_, Err(error))) => failed(asked, error),
            None => {
                failed(asked, refusal(ErrorCode::UNKNOWN_SERVER_ERROR, "there is no outcome for this topic"))
            }
        },
    });
    Ok(Some(DeleteTopicsResponse { throttle_time_ms: 0, responses: responses.collect() }))
}

fn asked(request: DeleteTopicsRequest, version: i16) -> Vec<DeleteTopicState> {
    if version >= BY_NAME_OR_ID_FROM {
        return request.topics;
    }
    let by_name = |name| DeleteTopicState { name: Some(name), topic_id: TopicId::ZERO };
    request.topic_names.into_iter().map(by_name).collect()
}

fn reference(topic: &DeleteTopicState) -> Result<TopicRef, ItemError> {
    let refuse = |message| Err(refusal(ErrorCode::INVALID_REQUEST, message));
    match (&topic.name, topic.topic_id) {
        (Some(name), TopicId::ZERO) => Ok(TopicRef::Name(name.clone())),
        (Some(_), _) => refuse("a topic is deleted by name or by id, not by both"),
        (None, TopicId::ZERO) => refuse("a topic is deleted by name or by id; neither was given"),
        (None, id) => Ok(TopicRef::Id(id)),
    }
}

fn refusal(code: ErrorCode, message: &str) -> ItemError {
    ItemError { code, message: message.to_owned() }
}

fn failed(asked: DeleteTopicState, error: ItemError) -> DeletableTopicResult {
    DeletableTopicResult {
        name: asked.name,
        topic_id: asked.topic_id,
        error_code: error.code,
        error_message: Some(error.message),
    }
}
