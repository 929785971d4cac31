//! DescribeQuorum (key 55), versions 0-2.
//!
//! Behaviour: the metadata group under Kafka's name of its log, `__cluster_metadata`, partition 0; any other partition is
//! 3. Any node takes it and asks the group's leader, since only that knows how far the others are. Offsets are those of
//! the metadata log. Without a leader that answers the code is 7.
//! Versions: 1 times of the replicas · 2 messages, directories and nodes.
//! Tests: tests/administration/quorum.rs.

use std::sync::Arc;

use chronik_coord::MetaImage;
use chronik_replica::{FollowerProgress, Host, ReadView, Role};
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::describe_quorum::{
    DescribeQuorumRequest, DescribeQuorumResponse, Listener, Node, PartitionData, ReplicaState, TopicData,
};
use chronik_wire::types::{NodeId, Offset, PartitionKey, TopicId};

use super::{Answer, Context};
use crate::world::until;

/// Kafka's name of the metadata log.
const METADATA_LOG: &str = "__cluster_metadata";
/// The listener that clients are told of.
const LISTENER: &str = "PLAINTEXT";
/// The version in which nodes ask each other.
const VERSION: i16 = 2;
const UNKNOWN_TIME: i64 = -1;

pub(crate) async fn handle(
    context: Context,
    request: DescribeQuorumRequest,
) -> Answer<DescribeQuorumResponse> {
    let asked_for = |topic: &str, partition: i32| topic == METADATA_LOG && partition == 0;
    let mut named =
        request.topics.iter().flat_map(|topic| topic.partitions.iter().map(move |part| (topic, part)));
    if !named.all(|(topic, partition)| asked_for(&topic.topic_name, partition.partition_index)) {
        return Ok(Some(unknown(&request)));
    }
    let deadline_ms = context.metadata_deadline_ms();
    let mut view_changes = context.broker.node.subscribe_view();
    loop {
        view_changes.borrow_and_update();
        if let Some(answer) = describe(&context, &request, deadline_ms).await {
            return Ok(Some(answer));
        }
        // The leader has changed, or is being elected.
        let changed = until(&*context.broker.world, deadline_ms, view_changes.changed()).await;
        if context.connection.between_nodes || !matches!(changed, Some(Ok(()))) {
            return Ok(Some(DescribeQuorumResponse {
                error_code: ErrorCode::REQUEST_TIMED_OUT,
                error_message: Some("no leader of the metadata answered in time; ask again".to_owned()),
                ..DescribeQuorumResponse::default()
            }));
        }
    }
}

fn unknown(request: &DescribeQuorumRequest) -> DescribeQuorumResponse {
    let partition = |index| PartitionData {
        partition_index: index,
        error_code: ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        error_message: Some(format!("only {METADATA_LOG} partition 0 has a quorum to describe")),
        leader_id: -1,
        leader_epoch: -1,
        high_watermark: -1,
        ..PartitionData::default()
    };
    let topics = request.topics.iter().map(|topic| TopicData {
        topic_name: topic.topic_name.clone(),
        partitions: topic.partitions.iter().map(|asked| partition(asked.partition_index)).collect(),
    });
    DescribeQuorumResponse { topics: topics.collect(), ..DescribeQuorumResponse::default() }
}

/// The answer of the leader, be it this node or another. `None` when nobody answers as leader.
async fn describe(
    context: &Context,
    request: &DescribeQuorumRequest,
    deadline_ms: u64,
) -> Option<DescribeQuorumResponse> {
    let broker = &context.broker;
    let leader = broker.controller_node().await?;
    if leader != broker.node.config.node {
        if context.connection.between_nodes {
            return None;
        }
        let asked = broker.ask_node(leader, VERSION, request)?;
        let answer = broker.answer_of_node::<DescribeQuorumRequest>(asked, VERSION, deadline_ms).await?;
        return Some(answer).filter(|answer| !answer.error_code.is_error());
    }
    let quorum = broker.hosts.with(PartitionKey::META, Quorum::of).await.ok()??;
    Some(quorum.shown(broker.node.image(), leader, broker.world.wall_ms()))
}

/// The metadata group as its leader knows it.
struct Quorum {
    view: ReadView,
    log_end: Offset,
    /// Members with a vote.
    voters: Vec<NodeId>,
    /// Each other member with the end of its log.
    members: Vec<(FollowerProgress, Option<Offset>)>,
}

impl Quorum {
    fn of(host: &mut Host) -> Option<Quorum> {
        let view = host.view(PartitionKey::META).ok().filter(|view| view.role == Role::Leader)?;
        let replica = host.replica(PartitionKey::META)?;
        let voters = replica.membership().voters.iter().map(|member| member.node).collect();
        let log = replica.log();
        let members =
            view.followers.iter().map(|follower| (*follower, log.offset_after_index(follower.matched).ok()));
        Some(Quorum { members: members.collect(), voters, log_end: log.log_end(), view: view.clone() })
    }

    fn shown(&self, image: Arc<MetaImage>, leader: NodeId, wall_ms: i64) -> DescribeQuorumResponse {
        let directory = |node: NodeId| {
            image.brokers.get(&node).map_or(TopicId::ZERO, |broker| TopicId(broker.directory.0))
        };
        let ago = |ms: u64| wall_ms.saturating_sub(i64::try_from(ms).unwrap_or(i64::MAX));
        let own = ReplicaState {
            replica_id: leader.0,
            replica_directory_id: directory(leader),
            log_end_offset: self.log_end.0,
            last_fetch_timestamp: wall_ms,
            last_caught_up_timestamp: wall_ms,
        };
        let member = |(follower, end): &(FollowerProgress, Option<Offset>)| ReplicaState {
            replica_id: follower.node.0,
            replica_directory_id: directory(follower.node),
            log_end_offset: end.unwrap_or(Offset::UNKNOWN).0,
            last_fetch_timestamp: follower
                .silence_and_lag_ms
                .map_or(UNKNOWN_TIME, |(silence, _)| ago(silence)),
            last_caught_up_timestamp: follower.silence_and_lag_ms.map_or(UNKNOWN_TIME, |(_, lag)| ago(lag)),
        };
        // The member of a disk that is lost has a vote that nobody can cast.
        let votes = |state: &ReplicaState| {
            let node = NodeId(state.replica_id);
            let lost = image.brokers.contains_key(&node) && !image.has_vote(node);
            self.voters.contains(&node) && !lost
        };
        let mut states: Vec<ReplicaState> = self.members.iter().map(member).chain([own]).collect();
        states.sort_by_key(|state| state.replica_id);
        let (current_voters, observers): (Vec<_>, Vec<_>) = states.into_iter().partition(votes);
        let nodes = current_voters.iter().filter_map(|voter| {
            let broker = image.brokers.get(&NodeId(voter.replica_id))?;
            let listener = Listener {
                name: LISTENER.to_owned(),
                host: broker.endpoint.host.clone(),
                port: broker.endpoint.port,
            };
            Some(Node { node_id: broker.id.0, listeners: vec![listener] })
        });
        let nodes = nodes.collect();
        let partition = PartitionData {
            leader_id: leader.0,
            leader_epoch: self.view.leader_epoch.0,
            high_watermark: self.view.high_watermark.0,
            current_voters,
            observers,
            ..PartitionData::default()
        };
        let topic = TopicData { topic_name: METADATA_LOG.to_owned(), partitions: vec![partition] };
        DescribeQuorumResponse { topics: vec![topic], nodes, ..DescribeQuorumResponse::default() }
    }
}
