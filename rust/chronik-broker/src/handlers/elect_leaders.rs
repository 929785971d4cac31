//! ElectLeaders (key 43), versions 0-2.
//!
//! Behaviour: any node takes it. A partition that its preferred replica, the first of its list, does not lead is handed to
//! that replica by its present leader; the answer comes when this node knows the new leader. Where it leads already
//! the code is 84; a preferred replica that is down, or may not vote, is 80; out of time is 7. Without a list of
//! partitions all are meant, and those that need nothing are left out. An unclean election is never held: 84 where there
//! is a leader, 83 where there is none.
//! Versions: 1 kinds of elections · 2 flexible.
//! Tests: tests/administration/elections.rs.

use std::collections::BTreeMap;
use std::sync::Arc;

use chronik_coord::{MetaImage, Topic};
use chronik_replica::ReplicaError;
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::elect_leaders::{
    ElectLeadersRequest, ElectLeadersResponse, PartitionResult, ReplicaElectionResult, TopicPartitions,
};
use chronik_wire::types::{NodeId, PartitionIndex, PartitionKey};

use super::{Answer, Context};
use crate::connection::CloseReason;
use crate::leader_call::Asked;
use crate::limits;
use crate::world::until;

/// An election of the preferred replica.
const PREFERRED: i8 = 0;
/// An election of whoever is left.
const UNCLEAN: i8 = 1;
/// The first version with kinds of elections; those before mean the preferred replica.
const KINDS_FROM: i16 = 1;
/// The version in which nodes ask each other.
const VERSION: i16 = 2;

pub(crate) async fn handle(context: Context, request: ElectLeadersRequest) -> Answer<ElectLeadersResponse> {
    let named: usize = request.topic_partitions.iter().flatten().map(|topic| topic.partitions.len()).sum();
    if named > limits::REQUEST_PARTITIONS_MAX {
        return Err(CloseReason::Unanswerable("a request for elections names too many partitions"));
    }
    let kind = if context.version < KINDS_FROM { PREFERRED } else { request.election_type };
    if ![PREFERRED, UNCLEAN].contains(&kind) {
        return refused(ErrorCode::INVALID_REQUEST);
    }
    let deadline_ms = context.deadline_ms(request.timeout_ms);
    if context.broker.meta_barrier(deadline_ms.min(context.metadata_deadline_ms())).await.is_err() {
        return refused(ErrorCode::REQUEST_TIMED_OUT);
    }
    let image = context.broker.node.image();
    let all = request.topic_partitions.is_none();
    let wanted = request.topic_partitions.unwrap_or_else(|| every_partition(&image));
    let mut elections: Vec<Election> = wanted
        .iter()
        .flat_map(|topic| {
            topic.partitions.iter().map(|index| Election::new(&context, &image, kind, topic, *index))
        })
        .collect();
    hold(&context, &mut elections, deadline_ms).await;
    let mut results: Vec<ReplicaElectionResult> = Vec::new();
    for election in elections {
        let code = election.outcome.unwrap_or(ErrorCode::REQUEST_TIMED_OUT);
        if all && code == ErrorCode::ELECTION_NOT_NEEDED {
            continue;
        }
        let result = PartitionResult {
            partition_id: election.partition,
            error_code: code,
            error_message: explanation(code).map(str::to_owned),
        };
        match results.last_mut().filter(|last| last.topic == election.topic) {
            Some(last) => last.partition_result.push(result),
            None => {
                results.push(ReplicaElectionResult { topic: election.topic, partition_result: vec![result] })
            }
        }
    }
    let response = ElectLeadersResponse { replica_election_results: results, ..Default::default() };
    Ok(Some(response))
}

fn refused(error_code: ErrorCode) -> Answer<ElectLeadersResponse> {
    Ok(Some(ElectLeadersResponse { error_code, ..ElectLeadersResponse::default() }))
}

fn every_partition(image: &MetaImage) -> Vec<TopicPartitions> {
    let topic = |topic: &Arc<Topic>| TopicPartitions {
        topic: topic.name.to_string(),
        partitions: topic.keyed_partitions().map(|(key, _)| key.partition.0).collect(),
    };
    image.topics().map(topic).collect()
}

/// One partition that was asked about.
struct Election {
    topic: String,
    partition: i32,
    /// What became of it; `None` while it is open.
    outcome: Option<ErrorCode>,
    /// Who leads, and who shall, while it is open.
    transfer: Option<Transfer>,
}

#[derive(Clone, Copy)]
struct Transfer {
    key: PartitionKey,
    from: NodeId,
    to: NodeId,
}

impl Election {
    fn new(
        context: &Context,
        image: &MetaImage,
        kind: i8,
        topic: &TopicPartitions,
        partition: i32,
    ) -> Election {
        let judged = judge(context, image, kind, &topic.topic, PartitionIndex(partition));
        let (outcome, transfer) = match judged {
            Ok(transfer) => (None, Some(transfer)),
            Err(code) => (Some(code), None),
        };
        Election { topic: topic.topic.clone(), partition, outcome, transfer }
    }
}

fn judge(
    context: &Context,
    image: &MetaImage,
    kind: i8,
    topic: &str,
    partition: PartitionIndex,
) -> Result<Transfer, ErrorCode> {
    let unknown = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
    let topic = image.topic(topic).ok_or(unknown)?;
    let preferred = topic.partition(partition).and_then(|held| held.replicas.first()).ok_or(unknown)?;
    let key = PartitionKey::new(topic.id, partition);
    let leader = context.broker.node.view(|view| view.leader(key)).map(|(leader, _)| leader);
    if kind == UNCLEAN {
        return Err(match leader {
            Some(_) => ErrorCode::ELECTION_NOT_NEEDED,
            None => ErrorCode::ELIGIBLE_LEADERS_NOT_AVAILABLE,
        });
    }
    if leader == Some(*preferred) {
        return Err(ErrorCode::ELECTION_NOT_NEEDED);
    }
    let alive = context.broker.node.view(|view| view.is_alive(*preferred));
    match leader {
        Some(from) if alive => Ok(Transfer { key, from, to: *preferred }),
        _ => Err(ErrorCode::PREFERRED_LEADER_NOT_AVAILABLE),
    }
}

/// Has the present leaders hand over, and waits until this node knows the new ones.
async fn hold(context: &Context, elections: &mut [Election], deadline_ms: u64) {
    let broker = &context.broker;
    let own = broker.node.config.node;
    let asked = if context.connection.between_nodes {
        Vec::new()
    } else {
        ask_leaders(context, elections, deadline_ms)
    };
    for election in elections.iter_mut().filter(|election| election.outcome.is_none()) {
        let Some(Transfer { key, from, to }) = election.transfer else { continue };
        if from == own {
            let begun = broker.hosts.with(key, move |host| host.transfer_leader(key, to)).await;
            election.outcome = match begun {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(refusal(&error)),
                Err(_) => Some(ErrorCode::NOT_LEADER_OR_FOLLOWER),
            };
        } else if context.connection.between_nodes {
            election.outcome = Some(ErrorCode::NOT_LEADER_OR_FOLLOWER);
        }
    }
    let place = |(place, election): (usize, &Election)| ((election.topic.clone(), election.partition), place);
    let places: BTreeMap<(String, i32), usize> = elections.iter().enumerate().map(place).collect();
    for asked in asked {
        let answer = broker.answer_of_node::<ElectLeadersRequest>(asked, VERSION, deadline_ms).await;
        take_over(elections, &places, answer);
    }
    for election in elections.iter_mut().filter(|election| election.outcome.is_none()) {
        let Some(transfer) = election.transfer else { continue };
        election.outcome = Some(arrival(context, transfer, deadline_ms).await);
    }
}

/// One request to each other node that leads some of the partitions.
fn ask_leaders(context: &Context, elections: &[Election], deadline_ms: u64) -> Vec<Asked> {
    let broker = &context.broker;
    let mut by_leader: BTreeMap<NodeId, BTreeMap<String, Vec<i32>>> = BTreeMap::new();
    for election in elections.iter().filter(|election| election.outcome.is_none()) {
        let Some(transfer) = election.transfer else { continue };
        if transfer.from != broker.node.config.node {
            let topics = by_leader.entry(transfer.from).or_default();
            topics.entry(election.topic.clone()).or_default().push(election.partition);
        }
    }
    let left_ms = deadline_ms.saturating_sub(broker.world.now_ms());
    let ask = |(leader, topics): (NodeId, BTreeMap<String, Vec<i32>>)| {
        let topics = topics.into_iter().map(|(topic, partitions)| TopicPartitions { topic, partitions });
        let request = ElectLeadersRequest {
            election_type: PREFERRED,
            topic_partitions: Some(topics.collect()),
            timeout_ms: i32::try_from(left_ms).unwrap_or(i32::MAX),
        };
        broker.ask_node(leader, VERSION, &request)
    };
    by_leader.into_iter().filter_map(ask).collect()
}

/// The refusals of another node are the outcome; its successes are waited for here, too.
fn take_over(
    elections: &mut [Election],
    places: &BTreeMap<(String, i32), usize>,
    answer: Option<ElectLeadersResponse>,
) {
    for topic in answer.into_iter().flat_map(|answer| answer.replica_election_results) {
        for result in topic.partition_result {
            // What that node found done already, this node will soon know.
            let refused = result.error_code.is_error() && result.error_code != ErrorCode::ELECTION_NOT_NEEDED;
            let place = places.get(&(topic.topic.clone(), result.partition_id));
            if let Some(election) = place.and_then(|place| elections.get_mut(*place)).filter(|_| refused) {
                election.outcome = Some(result.error_code);
            }
        }
    }
}

async fn arrival(context: &Context, transfer: Transfer, deadline_ms: u64) -> ErrorCode {
    let broker = &context.broker;
    let mut view_changes = broker.node.subscribe_view();
    loop {
        view_changes.borrow_and_update();
        let leader = broker.node.view(|view| view.leader(transfer.key));
        if leader.is_some_and(|(leader, _)| leader == transfer.to) {
            return ErrorCode::NONE;
        }
        if !matches!(until(&*broker.world, deadline_ms, view_changes.changed()).await, Some(Ok(()))) {
            return ErrorCode::REQUEST_TIMED_OUT;
        }
    }
}

fn refusal(error: &ReplicaError) -> ErrorCode {
    match error {
        ReplicaError::NotVoter { .. } => ErrorCode::PREFERRED_LEADER_NOT_AVAILABLE,
        ReplicaError::Stopped { .. } => ErrorCode::KAFKA_STORAGE_ERROR,
        _ => ErrorCode::NOT_LEADER_OR_FOLLOWER,
    }
}

fn explanation(code: ErrorCode) -> Option<&'static str> {
    match code {
        ErrorCode::NONE => None,
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION => Some("there is no such partition"),
        ErrorCode::ELECTION_NOT_NEEDED => Some("the partition has the leader it should have"),
        ErrorCode::ELIGIBLE_LEADERS_NOT_AVAILABLE => {
            Some("no replica that holds everything can lead, and no other ever does; start one of its nodes")
        }
        ErrorCode::PREFERRED_LEADER_NOT_AVAILABLE => Some("the preferred replica cannot lead now"),
        ErrorCode::REQUEST_TIMED_OUT => Some("the preferred replica did not take over in time; ask again"),
        _ => Some("the leader changed meanwhile; ask again"),
    }
}
