//! ShareAcknowledge (key 79), versions 1-2.
//!
//! Behaviour: a member says what became of records it has. Per partition all of it counts or none; it is answered when
//! the share coordinator has it written down. Closing the session gives back what the member still has.
//! Versions: 2 renewed locks (KIP-1222).
//! Not done: the pinned address, as for ShareFetch.
//! Tests: tests/share_fetches.rs, tests/clients/test_share_groups.py.

use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::share_acknowledge::{
    PartitionData, ShareAcknowledgeRequest, ShareAcknowledgeResponse, ShareAcknowledgeTopicResponse,
};

use super::{Answer, Context};
use crate::connection::CloseReason;
use crate::limits;
use crate::share::ShareMember;
use crate::share::acknowledging::Said;

const RENEWALS_FROM: i16 = 2;

pub(crate) async fn handle(
    context: Context,
    request: ShareAcknowledgeRequest,
) -> Answer<ShareAcknowledgeResponse> {
    let refused =
        |code| Ok(Some(ShareAcknowledgeResponse { error_code: code, ..ShareAcknowledgeResponse::default() }));
    let who = match ShareMember::named(request.group_id.as_ref(), request.member_id.as_ref()) {
        Ok(who) => who,
        Err(code) => return refused(code),
    };
    if request.topics.iter().map(|topic| topic.partitions.len()).sum::<usize>()
        > limits::REQUEST_PARTITIONS_MAX
    {
        return Err(CloseReason::Unanswerable("a share acknowledge request names too many partitions"));
    }
    let plan = match context.broker.node.begin_share_acknowledge(&who, request.share_session_epoch) {
        Ok(plan) => plan,
        Err(code) => return refused(code),
    };
    let renews = context.version >= RENEWALS_FROM && request.is_renew_ack;
    let topics = request.topics.into_iter();
    let partitions =
        topics.flat_map(|topic| topic.partitions.into_iter().map(move |one| (topic.topic_id, one)));
    let said: Vec<Said> =
        partitions.map(|(topic, one)| ((topic, one.partition_index), one.acknowledgement_batches)).collect();
    let named: Vec<_> = said.iter().map(|(partition, _)| *partition).collect();
    let codes = context.broker.acknowledge_shares(who.clone(), said, renews).await;
    if plan.closes {
        context.broker.node.close_share_session(&who, None);
    }
    let results: Vec<_> = named.into_iter().zip(codes).collect();
    let (hints, node_endpoints) = context.share_hints(results.iter().copied());
    let lock_ms = context.broker.share_rules(&who.group).delivery.lock_duration_ms;
    let mut response = ShareAcknowledgeResponse {
        error_code: ErrorCode::NONE,
        acquisition_lock_timeout_ms: i32::try_from(lock_ms).unwrap_or(i32::MAX),
        node_endpoints,
        ..ShareAcknowledgeResponse::default()
    };
    for (((topic_id, partition_index), error_code), current_leader) in results.into_iter().zip(hints) {
        let data = PartitionData { partition_index, error_code, error_message: None, current_leader };
        match response.responses.last_mut().filter(|last| last.topic_id == topic_id) {
            Some(last) => last.partitions.push(data),
            None => {
                let partitions = vec![data];
                response.responses.push(ShareAcknowledgeTopicResponse { topic_id, partitions });
            }
        }
    }
    Ok(Some(response))
}
