//! What the handlers of share groups have the share coordinators do: the coordinator of a group orders, and is told what
//! became of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use chronik_coord::groups::{GroupCall, GroupReply, ShareBeginning, ShareReport};
use chronik_coord::share::{ShareCall, ShareKey, ShareReply};
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::ShareGroupHeartbeatResponse;
use chronik_wire::messages::group_records::ShareTopicPartitions;
use chronik_wire::types::{Offset, PartitionIndex, TopicId};

use crate::handlers::Context;
use crate::limits;
use crate::together::together;

/// Where nobody has decided yet.
pub(crate) const UNDECIDED: i64 = -1;

/// What a share coordinator said of each partition.
pub(crate) type Said = BTreeMap<(TopicId, i32), ShareReply>;

impl Context {
    /// Asks the share coordinators about partitions of a group.
    pub(crate) async fn ask_share_coordinators(
        &self,
        group: &str,
        topics: &[ShareTopicPartitions],
        call: impl Fn(TopicId, i32) -> ShareCall,
    ) -> Said {
        let deadline_ms = self.broker.world.now_ms() + limits::SHARE_ACCOUNTS_MS;
        let group: Arc<str> = Arc::from(group);
        let places =
            topics.iter().flat_map(|topic| topic.partitions.iter().map(|one| (topic.topic_id, *one)));
        let questions = places.map(|(topic, partition)| {
            let key = ShareKey { group: Arc::clone(&group), topic, partition: PartitionIndex(partition) };
            let call = call(topic, partition);
            async move {
                let reply = self.broker.ask_share_coordinator(&key, &call, deadline_ms).await;
                ((topic, partition), reply)
            }
        });
        together(questions, limits::SHARE_QUESTIONS_AT_ONCE).await.into_iter().collect()
    }

    /// Has accounts begun that a heartbeat ordered, and gives the member what it then has. Where an account could not be
    /// begun the member is told so and comes again.
    pub(crate) async fn begin_shares(
        &self,
        group: &str,
        member: String,
        beginning: ShareBeginning,
    ) -> ShareGroupHeartbeatResponse {
        let ShareBeginning { state_epoch, topics } = beginning;
        let initialize = |_, _| ShareCall::Initialize { state_epoch, start: Offset(UNDECIDED) };
        let said = self.ask_share_coordinators(group, &topics, initialize).await;
        let refused = said.values().find_map(|reply| reply.as_ref().err().copied());
        let reply = self.report_shares(group, Some(member), &topics, &said).await;
        match (refused, reply) {
            (None, GroupReply::ShareHeartbeat { response, .. }) => response,
            (Some(error_code), _) => {
                let error_message = Some("partitions of the group have no account yet".to_owned());
                ShareGroupHeartbeatResponse { error_code, error_message, ..Default::default() }
            }
            (None, _) => ShareGroupHeartbeatResponse {
                error_code: ErrorCode::COORDINATOR_NOT_AVAILABLE,
                ..Default::default()
            },
        }
    }

    /// Tells the group's coordinator which accounts have begun.
    pub(crate) async fn report_shares(
        &self,
        group: &str,
        member_id: Option<String>,
        topics: &[ShareTopicPartitions],
        said: &Said,
    ) -> GroupReply {
        let has_begun =
            |topic: TopicId, partition: i32| said.get(&(topic, partition)).is_some_and(Result::is_ok);
        let (begun, failed) = (those(topics, has_begun), those(topics, |topic, one| !has_begun(topic, one)));
        let report = ShareReport { group_id: group.to_owned(), member_id, begun, failed };
        self.ask_group(group, GroupCall::ShareBegun(report)).await
    }

    /// Has accounts of a group forgotten: of some topics, or all. Says of each topic what became of it.
    ///
    /// # Errors
    /// What the group's coordinator says.
    pub(crate) async fn forget_shares(
        &self,
        group: &str,
        topics: Option<Vec<TopicId>>,
    ) -> Result<BTreeMap<TopicId, ErrorCode>, ErrorCode> {
        let order = GroupCall::ShareForget { group_id: group.to_owned(), topics };
        let going = match self.ask_group(group, order).await {
            GroupReply::ShareForget(going) => going?,
            _ => return Err(ErrorCode::UNKNOWN_SERVER_ERROR),
        };
        let said = self.ask_share_coordinators(group, &going, |_, _| ShareCall::Delete).await;
        let mut codes: BTreeMap<TopicId, ErrorCode> =
            going.iter().map(|topic| (topic.topic_id, ErrorCode::NONE)).collect();
        for ((topic, _), reply) in &said {
            if let Err(code) = reply {
                codes.insert(*topic, *code);
            }
        }
        let gone: Vec<TopicId> =
            codes.iter().filter(|(_, code)| **code == ErrorCode::NONE).map(|(topic, _)| *topic).collect();
        if !gone.is_empty() {
            let report = GroupCall::ShareForgotten { group_id: group.to_owned(), topics: gone };
            match self.ask_group(group, report).await {
                GroupReply::ShareForget(done) => done?,
                _ => return Err(ErrorCode::UNKNOWN_SERVER_ERROR),
            };
        }
        Ok(codes)
    }
}

/// The partitions that satisfy a condition; topics without any are left out.
fn those(
    topics: &[ShareTopicPartitions],
    wanted: impl Fn(TopicId, i32) -> bool,
) -> Vec<ShareTopicPartitions> {
    let list = |topic: &ShareTopicPartitions| {
        let partitions = topic.partitions.iter().copied();
        let partitions: Vec<i32> =
            partitions.filter(|partition| wanted(topic.topic_id, *partition)).collect();
        (!partitions.is_empty()).then(|| ShareTopicPartitions { partitions, ..topic.clone() })
    };
    topics.iter().filter_map(list).collect()
}
