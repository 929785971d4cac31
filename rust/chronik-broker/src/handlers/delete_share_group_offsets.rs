//! DeleteShareGroupOffsets (key 92), version 0.
//!
//! Behaviour: forgets how far a share group without members (68) is in topics; a topic that does not exist, or that the group
//! has never read, is 3, each on its own. At the group's coordinator; another node answers 16.
//! Not done: authorization.
//! Tests: tests/share_groups.rs.

use chronik_coord::groups::Groups;
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::delete_share_group_offsets::{
    DeleteShareGroupOffsetsRequest, DeleteShareGroupOffsetsResponse, DeleteShareGroupOffsetsResponseTopic,
};
use chronik_wire::types::TopicId;

use super::{Answer, Context};
use crate::connection::CloseReason;
use crate::limits;
use crate::topics::TopicName;

pub(crate) async fn handle(
    context: Context,
    request: DeleteShareGroupOffsetsRequest,
) -> Answer<DeleteShareGroupOffsetsResponse> {
    if request.topics.len() > limits::METADATA_TOPICS_MAX {
        return Err(CloseReason::Unanswerable("a request names too many topics"));
    }
    if let Some(response) = context.carry::<Groups, _>(&request.group_id, &request).await {
        return Ok(Some(response));
    }
    if request.group_id.is_empty() {
        return Ok(Some(refused(ErrorCode::INVALID_GROUP_ID)));
    }
    // Every topic has a first partition.
    let names: Vec<_> =
        request.topics.iter().map(|topic| (TopicName::Name(topic.topic_name.clone()), 0)).collect();
    let found = context.topics_of(&names).await;
    let known: Vec<TopicId> = found.iter().flatten().map(|topic| topic.id).collect();
    let codes = match context.forget_shares(&request.group_id, Some(known)).await {
        Ok(codes) => codes,
        Err(error_code) => return Ok(Some(refused(error_code))),
    };
    let mut response = DeleteShareGroupOffsetsResponse::default();
    for (topic, found) in request.topics.into_iter().zip(found) {
        let (topic_id, error_code) = match found {
            Ok(found) => {
                let code = codes.get(&found.id).copied();
                (found.id, code.unwrap_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION))
            }
            Err(code) => (TopicId::ZERO, code),
        };
        let message = match error_code {
            ErrorCode::NONE => None,
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION => Some("there is nothing to forget".to_owned()),
            code => Some(code.to_string()),
        };
        response.responses.push(DeleteShareGroupOffsetsResponseTopic {
            topic_name: topic.topic_name,
            topic_id,
            error_code,
            error_message: message,
        });
    }
    Ok(Some(response))
}

fn refused(error_code: ErrorCode) -> DeleteShareGroupOffsetsResponse {
    let error_message = error_code.name().map(str::to_owned);
    DeleteShareGroupOffsetsResponse { error_code, error_message, ..Default::default() }
}
