//! DeleteTopics (key 20), versions 1-6.
//!
//! Behaviour: any node takes it; the controller decides, each topic on its own. Answers when every live node has
//! applied the deletion, so that no node shows the topic afterwards; out of time with the topic gone from the metadata
//! is 7, and the text says so. A client over its quota of partitions gets 89 from version 5 on, and before that the time to
//! wait alone.
//! Versions: 4 flexible · 5 error messages and quotas · 6 by name or by id.
//! Tests: tests/topics.rs, tests/administration/quotas.rs.

use chronik_coord::{ItemError, TopicRef};
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::delete_topics::{
    DeletableTopicResult, DeleteTopicState, DeleteTopicsRequest, DeleteTopicsResponse,
};
use chronik_wire::types::TopicId;

use super::{Answer, Context};
use crate::quotas::Mutations;

const BY_NAME_OR_ID_FROM: i16 = 6;
const QUOTA_ERRORS_FROM: i16 = 5;

pub(crate) async fn handle(context: Context, request: DeleteTopicsRequest) -> Answer<DeleteTopicsResponse> {
    let deadline_ms = context.deadline_ms(request.timeout_ms);
    let asked = asked(request, context.version);
    let mut mutations = Mutations::of(&context, QUOTA_ERRORS_FROM);
    let image = context.broker.node.image();
    let mut admit = |topic: TopicRef| {
        let known = match &topic {
            TopicRef::Name(name) => image.topic(name),
            TopicRef::Id(id) => image.topic_by_id(*id),
        };
        known.map_or(Ok(()), |known| mutations.admit(known.partitions.len())).map(|()| topic)
    };
    let refs: Vec<Result<TopicRef, ItemError>> =
        asked.iter().map(reference).map(|topic| topic.and_then(&mut admit)).collect();
    let throttle_time_ms = mutations.throttle_time_ms();
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
    Ok(Some(DeleteTopicsResponse { throttle_time_ms, responses: responses.collect() }))
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
