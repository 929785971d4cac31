//! Requests of members of groups, in the shape that clients here send: topics by name and by id, the version takes what it
//! knows.

use bytes::{BufMut, Bytes, BytesMut};
use chronik_wire::messages::consumer_group_heartbeat::{ConsumerGroupHeartbeatRequest, TopicPartitions};
use chronik_wire::messages::join_group::{
    JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponseMember,
};
use chronik_wire::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use chronik_wire::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use chronik_wire::messages::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment};
use chronik_wire::messages::txn_offset_commit::{
    TxnOffsetCommitRequest, TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};

use super::Place;

/// Time after which a silent member of the classic protocol is gone, in milliseconds.
const SESSION_MS: i32 = 1_500;
/// Time that members have to join the next generation, in milliseconds.
const REBALANCE_MS: i32 = 2_000;
const PROTOCOL_TYPE: &str = "consumer";
/// The assignor: the leader deals the partitions out in turn.
const PROTOCOL: &str = "in-turn";

/// Who asks: a group, a member of it, and the generation or epoch it knows.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    pub(super) group: String,
    pub(super) member_id: String,
    pub(super) generation: i32,
}

pub(super) fn join(who: &Identity, places: &[Place]) -> JoinGroupRequest {
    JoinGroupRequest {
        group_id: who.group.clone(),
        session_timeout_ms: SESSION_MS,
        rebalance_timeout_ms: REBALANCE_MS,
        member_id: who.member_id.clone(),
        protocol_type: PROTOCOL_TYPE.to_owned(),
        protocols: vec![JoinGroupRequestProtocol {
            name: PROTOCOL.to_owned(),
            metadata: subscription(places),
        }],
        ..JoinGroupRequest::default()
    }
}

/// A subscription as consumers write it: version 0, topics, no data of the user's own.
fn subscription(places: &[Place]) -> Bytes {
    let topics = topics_of(places);
    let mut bytes = BytesMut::new();
    bytes.put_i16(0);
    bytes.put_i32(topics.len() as i32);
    for topic in topics {
        bytes.put_i16(topic.len() as i16);
        bytes.put_slice(topic.as_bytes());
    }
    bytes.put_i32(-1);
    bytes.freeze()
}

fn topics_of(places: &[Place]) -> Vec<String> {
    let mut topics: Vec<String> = places.iter().map(|place| place.topic.to_string()).collect();
    topics.sort();
    topics.dedup();
    topics
}

/// What the leader hands in: every place to one of the members, in turn. Nobody but members reads an assignment, so it is a
/// list of numbers of places.
pub(super) fn sync(who: &Identity, members: &[JoinGroupResponseMember], places: usize) -> SyncGroupRequest {
    let assignments = members.iter().enumerate().map(|(turn, member)| {
        let own = (0..places).skip(turn).step_by(members.len().max(1)).map(|number| number as u8);
        SyncGroupRequestAssignment { member_id: member.member_id.clone(), assignment: own.collect() }
    });
    SyncGroupRequest {
        group_id: who.group.clone(),
        generation_id: who.generation,
        member_id: who.member_id.clone(),
        protocol_type: Some(PROTOCOL_TYPE.to_owned()),
        protocol_name: Some(PROTOCOL.to_owned()),
        assignments: assignments.collect(),
        ..SyncGroupRequest::default()
    }
}

/// The places of an assignment that [`sync`] wrote.
pub(super) fn assigned(assignment: &Bytes, places: &[Place]) -> Vec<Place> {
    assignment.iter().filter_map(|number| places.get(usize::from(*number)).cloned()).collect()
}

/// A heartbeat of the newer protocol. Who joins says all it wants, who stays what it has.
pub(super) fn newer_heartbeat(
    who: &Identity,
    places: &[Place],
    owned: &[Place],
) -> ConsumerGroupHeartbeatRequest {
    let joins = who.generation == 0;
    ConsumerGroupHeartbeatRequest {
        group_id: who.group.clone(),
        member_id: who.member_id.clone(),
        member_epoch: who.generation,
        rebalance_timeout_ms: if joins { REBALANCE_MS } else { -1 },
        subscribed_topic_names: joins.then(|| topics_of(places)),
        topic_partitions: Some(lists_of(owned)),
        ..ConsumerGroupHeartbeatRequest::default()
    }
}

fn lists_of(places: &[Place]) -> Vec<TopicPartitions> {
    let list = |place: &Place| TopicPartitions { topic_id: place.id, partitions: vec![place.partition] };
    places.iter().map(list).collect()
}

pub(super) fn commit(who: &Identity, place: &Place, offset: i64) -> OffsetCommitRequest {
    let partition = OffsetCommitRequestPartition {
        partition_index: place.partition,
        committed_offset: offset,
        committed_metadata: Some(String::new()),
        ..OffsetCommitRequestPartition::default()
    };
    let topic = OffsetCommitRequestTopic {
        name: place.topic.to_string(),
        topic_id: place.id,
        partitions: vec![partition],
    };
    OffsetCommitRequest {
        group_id: who.group.clone(),
        generation_id_or_member_epoch: who.generation,
        member_id: who.member_id.clone(),
        topics: vec![topic],
        ..OffsetCommitRequest::default()
    }
}

pub(super) fn transactional_commit(
    (transactional_id, producer_id, producer_epoch): (&str, i64, i16),
    who: &Identity,
    place: &Place,
    offset: i64,
) -> TxnOffsetCommitRequest {
    let partition = TxnOffsetCommitRequestPartition {
        partition_index: place.partition,
        committed_offset: offset,
        committed_metadata: Some(String::new()),
        ..TxnOffsetCommitRequestPartition::default()
    };
    let topic = TxnOffsetCommitRequestTopic { name: place.topic.to_string(), partitions: vec![partition] };
    TxnOffsetCommitRequest {
        transactional_id: transactional_id.to_owned(),
        group_id: who.group.clone(),
        producer_id,
        producer_epoch,
        generation_id: who.generation,
        member_id: who.member_id.clone(),
        topics: vec![topic],
        ..TxnOffsetCommitRequest::default()
    }
}

/// Asks for one offset, as anybody may.
pub(super) fn offset_fetch(group: &str, place: &Place, require_stable: bool) -> OffsetFetchRequest {
    let topic = OffsetFetchRequestTopics {
        name: place.topic.to_string(),
        topic_id: place.id,
        partition_indexes: vec![place.partition],
    };
    let group = OffsetFetchRequestGroup {
        group_id: group.to_owned(),
        topics: Some(vec![topic]),
        ..OffsetFetchRequestGroup::default()
    };
    OffsetFetchRequest { groups: vec![group], require_stable, ..OffsetFetchRequest::default() }
}
