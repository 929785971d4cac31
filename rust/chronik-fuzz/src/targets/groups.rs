//! The state of groups: records of `__consumer_offsets`, markers of transactions and snapshots, as bytes and as a machine.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use chronik_coord::MetaImage;
use chronik_coord::coordinator::{
    Coordinator, CoordinatorBatch, CoordinatorRecord, CoordinatorState, Moment, OpenTransaction, Ticket,
};
use chronik_coord::groups::{
    Caller, GroupCall, GroupRequest, Groups, GroupsConfig, GroupsState, ShareReport,
};
use chronik_wire::messages::group_records::ShareTopicPartitions;
use chronik_wire::messages::join_group::JoinGroupRequestProtocol;
use chronik_wire::messages::offset_commit::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use chronik_wire::messages::txn_offset_commit::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use chronik_wire::messages::{
    ConsumerGroupHeartbeatRequest, JoinGroupRequest, OffsetCommitRequest, ShareGroupHeartbeatRequest,
    SyncGroupRequest, TxnOffsetCommitRequest,
};
use chronik_wire::types::{NodeId, Offset, TopicId};

use crate::Verdict;
use crate::input::Input;

/// Records and markers of one input.
const EVENTS_MAX: usize = 64;
/// Producers of one input: few, so that markers meet their records.
const PRODUCERS: usize = 3;

const HAS_VALUE: u8 = 1;
const IN_TRANSACTION: u8 = 2;
const MARKER: u8 = 4;

/// `data` is a log of records and markers; records that cannot be read change nothing. Then the same bytes are read as a
/// snapshot.
pub fn run(data: &[u8]) -> Verdict {
    let mut state = GroupsState::default();
    let mut input = Input::new(data);
    let mut accepted = false;
    for offset in 0..EVENTS_MAX as i64 {
        if input.is_empty() {
            break;
        }
        accepted |= apply(&mut state, &mut input, Offset(offset));
    }
    restores_to_itself(&state);
    lead(&state);
    if let Ok(restored) = GroupsState::restore(data) {
        assert_eq!(restored.snapshot(), data, "a state has one encoding");
        lead(&restored);
    }
    Verdict::accepted(accepted)
}

fn apply(state: &mut GroupsState, input: &mut Input<'_>, at: Offset) -> bool {
    let flags = input.byte();
    let transaction =
        OpenTransaction { producer: input.below(PRODUCERS) as i64, epoch: i16::from(input.byte() % 4) };
    if flags & MARKER != 0 {
        state.apply_marker(transaction, flags & HAS_VALUE != 0);
        return true;
    }
    let mut part = || {
        let length = usize::from(input.u16());
        Bytes::copy_from_slice(input.take(length))
    };
    let (key, value) = (part(), part());
    let record = CoordinatorRecord { key, value: (flags & HAS_VALUE != 0).then_some(value) };
    let transaction = (flags & IN_TRANSACTION != 0).then_some(transaction);
    let before = state.clone();
    let mut twin = state.clone();
    let result = state.apply(&record, at, 0, transaction);
    assert_eq!(twin.apply(&record, at, 0, transaction), result, "two replicas differ");
    assert_eq!(&twin, state, "two replicas differ");
    if result.is_err() {
        assert_eq!(&before, state, "a record that cannot be read changes nothing");
    }
    result.is_ok()
}

/// Snapshots are compared byte by byte, and a restored replica must go on as the others do.
fn restores_to_itself(state: &GroupsState) {
    let snapshot = state.snapshot();
    let restored = GroupsState::restore(&snapshot).expect("an own snapshot restores");
    assert_eq!(&restored, state);
    assert_eq!(restored.snapshot(), snapshot);
}

/// A leader takes office with whatever the log says, and lets all sessions end.
fn lead(state: &GroupsState) {
    let moment = |now_ms: i64| Moment { now_ms, wall_ms: now_ms, random: 1 };
    let mut machine = Groups::lead(state.clone(), config(), moment(0));
    for round in 1..4 {
        machine.on_time(moment(round * i64::from(i32::MAX)));
    }
}

fn config() -> GroupsConfig {
    let statics = BTreeMap::from([("group.initial.rebalance.delay.ms".to_owned(), "0".to_owned())]);
    GroupsConfig::from_image(&Arc::new(MetaImage::default()), NodeId(1), &statics)
}

/// What a machine writes for a classic group, for one of the newer protocol, for a share group, and for offsets alone and
/// in a transaction; and a snapshot of it all.
pub fn seeds() -> Vec<Vec<u8>> {
    let moment = Moment { now_ms: 0, wall_ms: 1_000, random: 1 };
    let mut machine = Groups::lead(GroupsState::default(), config(), moment);
    let caller = Caller { version: 3, client_id: "c".to_owned(), client_host: "/127.0.0.1".to_owned() };
    let mut logs = Vec::new();
    for (ticket, call) in calls().into_iter().enumerate() {
        let request = GroupRequest { call, caller: caller.clone() };
        let output = machine.handle(Ticket(ticket as u64), request, moment);
        logs.push(output.batches.iter().map(framed).collect::<Vec<_>>().concat());
    }
    logs.push(vec![MARKER | HAS_VALUE, 1, 0]);
    let mut seeds = vec![logs.concat(), machine.state().snapshot().to_vec()];
    seeds.extend(logs.into_iter().filter(|log| !log.is_empty()));
    seeds
}

fn framed(batch: &CoordinatorBatch) -> Vec<u8> {
    let mut out = Vec::new();
    let (producer, epoch) = batch.transaction.map_or((0, 0), |open| (open.producer as u8, open.epoch as u8));
    for CoordinatorRecord { key, value } in &batch.records {
        let in_transaction = if batch.transaction.is_some() { IN_TRANSACTION } else { 0 };
        out.extend([in_transaction | (u8::from(value.is_some()) * HAS_VALUE), producer, epoch]);
        for part in [key, &value.clone().unwrap_or_default()] {
            out.extend((part.len() as u16).to_be_bytes());
            out.extend_from_slice(part);
        }
    }
    out
}

fn calls() -> Vec<GroupCall> {
    let group_id = || "g".to_owned();
    let member_id = "c-00000000-0000-4000-8000-000000000001".to_owned();
    let join = JoinGroupRequest {
        group_id: group_id(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 10_000,
        protocol_type: "consumer".to_owned(),
        protocols: vec![JoinGroupRequestProtocol { name: "range".to_owned(), metadata: Bytes::from("m") }],
        ..Default::default()
    };
    let sync = SyncGroupRequest { group_id: group_id(), generation_id: 1, member_id, ..Default::default() };
    let commit = OffsetCommitRequest {
        group_id: "offsets".to_owned(),
        topics: vec![OffsetCommitRequestTopic {
            name: "t".to_owned(),
            partitions: vec![OffsetCommitRequestPartition { committed_offset: 5, ..Default::default() }],
            ..Default::default()
        }],
        ..Default::default()
    };
    let transactional = TxnOffsetCommitRequest {
        group_id: "offsets".to_owned(),
        producer_id: 1,
        topics: vec![TxnOffsetCommitRequestTopic {
            name: "t".to_owned(),
            partitions: vec![TxnOffsetCommitRequestPartition { committed_offset: 6, ..Default::default() }],
        }],
        ..Default::default()
    };
    let heartbeat = ConsumerGroupHeartbeatRequest {
        group_id: "newer".to_owned(),
        member_id: "m".to_owned(),
        rebalance_timeout_ms: 10_000,
        subscribed_topic_names: Some(vec!["t".to_owned()]),
        subscribed_topic_regex: Some("t.*".to_owned()),
        topic_partitions: Some(Vec::new()),
        ..Default::default()
    };
    vec![
        GroupCall::Join(join),
        GroupCall::Sync(sync),
        GroupCall::OffsetCommit(commit),
        GroupCall::TxnOffsetCommit(transactional),
        GroupCall::ConsumerHeartbeat(heartbeat),
        GroupCall::ShareMove { group_id: "sharers".to_owned(), topics: shared() },
        GroupCall::ShareBegun(ShareReport {
            group_id: "sharers".to_owned(),
            member_id: None,
            begun: shared(),
            failed: Vec::new(),
        }),
        GroupCall::ShareForget { group_id: "sharers".to_owned(), topics: Some(vec![TopicId(1)]) },
        GroupCall::ShareHeartbeat(ShareGroupHeartbeatRequest {
            group_id: "sharers".to_owned(),
            member_id: "m".to_owned(),
            rack_id: Some("r".to_owned()),
            subscribed_topic_names: Some(vec!["t".to_owned()]),
            ..Default::default()
        }),
    ]
}

/// Partitions of two topics.
fn shared() -> Vec<ShareTopicPartitions> {
    let topic = |id: u128, name: &str| ShareTopicPartitions {
        topic_id: TopicId(id),
        topic_name: name.to_owned(),
        partitions: vec![0, 1, 2],
    };
    vec![topic(1, "t"), topic(2, "u")]
}
