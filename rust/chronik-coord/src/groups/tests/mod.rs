//! Groups as scripts: a seat that commits what the machine writes, delivers what it answers, and compares after every
//! input what the log adds up to with what the leader believes.

mod admin;
mod classic;
mod consumer;
mod failover;
mod hostile;
mod migration;
mod offsets;
mod property;
mod share;
mod static_members;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::join_group::JoinGroupRequestProtocol;
use chronik_wire::messages::leave_group::MemberIdentity;
use chronik_wire::messages::offset_commit::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use chronik_wire::messages::offset_fetch::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopics, OffsetFetchResponsePartitions,
};
use chronik_wire::messages::sync_group::SyncGroupRequestAssignment;
use chronik_wire::messages::txn_offset_commit::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use chronik_wire::messages::*;
use chronik_wire::types::{NodeId, Offset, TopicId};

use super::*;
use crate::assignment::Assignment;
use crate::coordinator::{Coordinator, CoordinatorState, Moment, OpenTransaction, Output, Ticket};
use crate::image::{MetaImage, Topic};

pub(super) const GROUP: &str = "g";

/// Commits and delivers for one machine.
pub(super) struct Seat {
    pub(super) machine: Groups,
    /// What the log says.
    pub(super) log: GroupsState,
    pub(super) config: GroupsConfig,
    pub(super) now_ms: i64,
    inputs: u64,
    outstanding: BTreeSet<Ticket>,
    replies: BTreeMap<Ticket, GroupReply>,
    /// Batches appended so far.
    pub(super) batches: usize,
}

pub(super) fn topics(names: &[(&str, u128, usize)]) -> Arc<MetaImage> {
    let assignment = Assignment::founded(vec![NodeId(1)], &BTreeMap::new());
    let mut image = MetaImage::default();
    for &(name, id, partitions) in names {
        image.put_topic(Topic {
            name: name.into(),
            id: TopicId(id),
            partitions: vec![assignment.clone(); partitions],
            configs: BTreeMap::new(),
        });
    }
    Arc::new(image)
}

pub(super) fn config(statics: &[(&str, &str)]) -> GroupsConfig {
    let mut all: BTreeMap<String, String> =
        [("group.initial.rebalance.delay.ms", "0"), ("group.min.session.timeout.ms", "1")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
    all.extend(statics.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())));
    GroupsConfig::from_image(&topics(&[("t", 1, 4), ("u", 2, 2)]), NodeId(1), &all)
}

impl Seat {
    pub(super) fn new() -> Seat {
        Seat::with(config(&[]))
    }

    pub(super) fn with(config: GroupsConfig) -> Seat {
        let log = GroupsState::default();
        let moment = Moment { now_ms: 0, wall_ms: 1_000_000, random: 1 };
        Seat {
            machine: Groups::lead(log.clone(), config.clone(), moment),
            log,
            config,
            now_ms: 0,
            inputs: 0,
            outstanding: BTreeSet::new(),
            replies: BTreeMap::new(),
            batches: 0,
        }
    }

    pub(super) fn wall_ms(&self) -> i64 {
        1_000_000 + self.now_ms
    }

    fn moment(&mut self) -> Moment {
        self.inputs += 1;
        let random = u128::from(self.inputs) << 64;
        Moment { now_ms: self.now_ms, wall_ms: self.wall_ms(), random }
    }

    /// Commits and delivers.
    fn settle(&mut self, output: Output<GroupReply>) {
        for batch in &output.batches {
            assert!(!batch.records.is_empty(), "an empty batch");
            let before = self.log.clone();
            for record in &batch.records {
                self.log.apply(record, Offset(0), 0, batch.transaction).expect("our own records decode");
            }
            assert_ne!(before, self.log, "a batch without effect: {batch:?}");
            self.batches += 1;
        }
        let snapshot = self.log.snapshot();
        assert_eq!(self.machine.state(), &self.log, "the leader believes what the log does not say");
        assert_eq!(self.machine.state().snapshot(), snapshot);
        let restored = GroupsState::restore(&snapshot).expect("our own snapshot restores");
        assert_eq!((&restored, restored.snapshot()), (&self.log, snapshot));
        for (ticket, reply) in output.replies {
            assert!(self.outstanding.remove(&ticket), "answered twice, or never asked: {reply:?}");
            self.replies.insert(ticket, reply);
        }
        assert_eq!(self.machine.waiting(), self.outstanding.len(), "who waits is known");
    }

    /// Sends a request that may have to wait.
    pub(super) fn send(&mut self, call: GroupCall, version: i16) -> Ticket {
        let moment = self.moment();
        let ticket = Ticket(self.inputs);
        self.outstanding.insert(ticket);
        let caller = Caller { version, client_id: "c".to_owned(), client_host: "/127.0.0.1".to_owned() };
        let output = self.machine.handle(ticket, GroupRequest { call, caller }, moment);
        self.settle(output);
        ticket
    }

    /// Sends a request that is answered at once.
    pub(super) fn ask(&mut self, call: GroupCall, version: i16) -> GroupReply {
        let ticket = self.send(call, version);
        self.take(ticket).expect("answered at once")
    }

    /// The answer to a request, if it has come.
    pub(super) fn take(&mut self, ticket: Ticket) -> Option<GroupReply> {
        self.replies.remove(&ticket)
    }

    /// Lets time pass, stopping at every deadline.
    pub(super) fn advance(&mut self, by_ms: i64) {
        let until_ms = self.now_ms + by_ms;
        while let Some(due_ms) = self.machine.next_deadline_ms().filter(|due_ms| *due_ms <= until_ms) {
            self.now_ms = self.now_ms.max(due_ms);
            let moment = self.moment();
            let output = self.machine.on_time(moment);
            self.settle(output);
        }
        self.now_ms = until_ms;
    }

    /// Another leader takes over with nothing but the log; whoever waits never hears of it.
    pub(super) fn fail_over(&mut self) {
        let moment = self.moment();
        let restored = GroupsState::restore(&self.log.snapshot()).expect("restores");
        self.machine = Groups::lead(restored, self.config.clone(), moment);
        self.outstanding.clear();
    }

    pub(super) fn cancel(&mut self, ticket: Ticket) {
        let moment = self.moment();
        let output = self.machine.cancel(ticket, moment);
        self.outstanding.remove(&ticket);
        self.settle(output);
    }

    pub(super) fn marker(&mut self, producer: i64, epoch: i16, committed: bool) {
        let transaction = OpenTransaction { producer, epoch };
        let moment = self.moment();
        self.log.apply_marker(transaction, committed);
        let output = self.machine.on_marker(transaction, committed, moment);
        self.settle(output);
    }

    pub(super) fn configure(&mut self, config: GroupsConfig) {
        self.config = config.clone();
        self.machine.configure(config);
    }

    pub(super) fn commit(&mut self, commit: OffsetCommitRequest) -> ErrorCode {
        self.commit_as(commit, 8)
    }

    pub(super) fn commit_as(&mut self, commit: OffsetCommitRequest, version: i16) -> ErrorCode {
        match self.ask(GroupCall::OffsetCommit(commit), version) {
            GroupReply::OffsetCommit(response) => response.topics[0].partitions[0].error_code,
            other => panic!("{other:?}"),
        }
    }

    /// The offset of `t`-`partition`, with the partition's error.
    pub(super) fn fetch(&mut self, partition: i32, require_stable: bool) -> (i64, ErrorCode) {
        let fetched = self.fetch_of(GROUP, "t", partition, require_stable);
        (fetched.committed_offset, fetched.error_code)
    }

    pub(super) fn fetch_of(
        &mut self,
        group: &str,
        topic: &str,
        partition: i32,
        require_stable: bool,
    ) -> OffsetFetchResponsePartitions {
        let topics = vec![OffsetFetchRequestTopics {
            name: topic.to_owned(),
            topic_id: TopicId::ZERO,
            partition_indexes: vec![partition],
        }];
        let group = OffsetFetchRequestGroup {
            group_id: group.to_owned(),
            topics: Some(topics),
            ..Default::default()
        };
        match self.ask(GroupCall::OffsetFetch { group, require_stable }, 8) {
            GroupReply::OffsetFetch(response) => response.topics[0].partitions[0].clone(),
            other => panic!("{other:?}"),
        }
    }
}

/// A commit of `t`-`partition` by nobody in particular.
pub(super) fn commit(partition: i32, offset: i64) -> OffsetCommitRequest {
    OffsetCommitRequest {
        group_id: GROUP.to_owned(),
        topics: vec![OffsetCommitRequestTopic {
            name: "t".to_owned(),
            partitions: vec![OffsetCommitRequestPartition {
                partition_index: partition,
                committed_offset: offset,
                committed_leader_epoch: 3,
                committed_metadata: Some("note".to_owned()),
            }],
            ..Default::default()
        }],
        ..Default::default()
    }
}

pub(super) fn transactional(
    producer: i64,
    epoch: i16,
    partition: i32,
    offset: i64,
) -> TxnOffsetCommitRequest {
    TxnOffsetCommitRequest {
        transactional_id: "x".to_owned(),
        group_id: GROUP.to_owned(),
        producer_id: producer,
        producer_epoch: epoch,
        topics: vec![TxnOffsetCommitRequestTopic {
            name: "t".to_owned(),
            partitions: vec![TxnOffsetCommitRequestPartition {
                partition_index: partition,
                committed_offset: offset,
                committed_leader_epoch: -1,
                committed_metadata: None,
            }],
        }],
        ..Default::default()
    }
}

impl Seat {
    pub(super) fn commit_in(&mut self, request: TxnOffsetCommitRequest) -> ErrorCode {
        match self.ask(GroupCall::TxnOffsetCommit(request), 3) {
            GroupReply::TxnOffsetCommit(response) => response.topics[0].partitions[0].error_code,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn send_join(&mut self, join: JoinGroupRequest) -> Ticket {
        self.send(GroupCall::Join(join), 9)
    }

    pub(super) fn joined(&mut self, ticket: Ticket) -> JoinGroupResponse {
        match self.take(ticket) {
            Some(GroupReply::Join(response)) => response,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn join(&mut self, join: JoinGroupRequest) -> JoinGroupResponse {
        let ticket = self.send_join(join);
        self.joined(ticket)
    }

    /// A client's first join: it gets an id and comes again with it.
    pub(super) fn send_first_join(&mut self, join: JoinGroupRequest) -> (Arc<str>, Ticket) {
        let refused = self.join(join.clone());
        assert_eq!(refused.error_code, ErrorCode::MEMBER_ID_REQUIRED);
        let ticket = self.send_join(JoinGroupRequest { member_id: refused.member_id.clone(), ..join });
        (refused.member_id.into(), ticket)
    }

    pub(super) fn send_sync(&mut self, joined: &JoinGroupResponse, assignments: &[(&str, &str)]) -> Ticket {
        self.send(GroupCall::Sync(sync(joined, assignments)), 5)
    }

    pub(super) fn synced(&mut self, ticket: Ticket) -> SyncGroupResponse {
        match self.take(ticket) {
            Some(GroupReply::Sync(response)) => response,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn heartbeat(&mut self, member_id: &str, generation_id: i32) -> ErrorCode {
        let request = HeartbeatRequest {
            group_id: GROUP.to_owned(),
            generation_id,
            member_id: member_id.to_owned(),
            group_instance_id: None,
        };
        self.heartbeat_with(request)
    }

    pub(super) fn heartbeat_with(&mut self, request: HeartbeatRequest) -> ErrorCode {
        match self.ask(GroupCall::Heartbeat(request), 4) {
            GroupReply::Heartbeat(response) => response.error_code,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn leave(&mut self, member_id: &str, instance_id: Option<&str>) -> ErrorCode {
        let request = LeaveGroupRequest {
            group_id: GROUP.to_owned(),
            members: vec![MemberIdentity {
                member_id: member_id.to_owned(),
                group_instance_id: instance_id.map(str::to_owned),
                reason: None,
            }],
            ..Default::default()
        };
        match self.ask(GroupCall::Leave(request), 5) {
            GroupReply::Leave(response) => {
                assert_eq!(response.error_code, ErrorCode::NONE, "each member has its own");
                response.members[0].error_code
            }
            other => panic!("{other:?}"),
        }
    }

    /// A settled group of one member, alone with everything.
    pub(super) fn alone(&mut self) -> JoinGroupResponse {
        let (_, ticket) = self.send_first_join(join());
        let joined = self.joined(ticket);
        let ticket = self.send_sync(&joined, &[(&joined.member_id, "all")]);
        assert_eq!(&self.synced(ticket).assignment[..], b"all");
        joined
    }

    /// A settled group of two members: the leader and a follower.
    pub(super) fn pair(&mut self) -> (JoinGroupResponse, JoinGroupResponse) {
        let first = self.alone();
        let (_, second) = self.send_first_join(join());
        assert_eq!(self.heartbeat(&first.member_id, first.generation_id), ErrorCode::REBALANCE_IN_PROGRESS);
        let leader = self.join(JoinGroupRequest { member_id: first.member_id, ..join() });
        let follower = self.joined(second);
        let waiting = self.send_sync(&follower, &[]);
        assert!(self.take(waiting).is_none(), "the leader has yet to assign");
        let assignments = [(leader.member_id.as_str(), "L"), (follower.member_id.as_str(), "F")];
        let ticket = self.send_sync(&leader, &assignments);
        assert_eq!(&self.synced(ticket).assignment[..], b"L");
        assert_eq!(&self.synced(waiting).assignment[..], b"F");
        (leader, follower)
    }
}

pub(super) fn protocol(name: &str, metadata: &str) -> JoinGroupRequestProtocol {
    JoinGroupRequestProtocol { name: name.to_owned(), metadata: Bytes::from(metadata.to_owned()) }
}

pub(super) fn join() -> JoinGroupRequest {
    JoinGroupRequest {
        group_id: GROUP.to_owned(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 30_000,
        protocol_type: "consumer".to_owned(),
        protocols: vec![protocol("range", "wants t")],
        ..Default::default()
    }
}

pub(super) fn sync(joined: &JoinGroupResponse, assignments: &[(&str, &str)]) -> SyncGroupRequest {
    let one = |&(member_id, assignment): &(&str, &str)| SyncGroupRequestAssignment {
        member_id: member_id.to_owned(),
        assignment: Bytes::from(assignment.to_owned()),
    };
    SyncGroupRequest {
        group_id: GROUP.to_owned(),
        generation_id: joined.generation_id,
        member_id: joined.member_id.clone(),
        protocol_type: joined.protocol_type.clone(),
        protocol_name: joined.protocol_name.clone(),
        assignments: assignments.iter().map(one).collect(),
        ..Default::default()
    }
}

/// A client of the newer protocol, with what it has.
#[derive(Debug, Clone)]
pub(super) struct Consumer {
    pub(super) id: String,
    pub(super) epoch: i32,
    pub(super) owned: Vec<(u128, i32)>,
    pub(super) wants: ConsumerGroupHeartbeatRequest,
}

/// A client that wants these topics and has not joined.
pub(super) fn consumer(id: &str, topics: &[&str]) -> Consumer {
    let wants = ConsumerGroupHeartbeatRequest {
        group_id: GROUP.to_owned(),
        rebalance_timeout_ms: 30_000,
        subscribed_topic_names: Some(topics.iter().map(|topic| (*topic).to_owned()).collect()),
        ..Default::default()
    };
    Consumer { id: id.to_owned(), epoch: 0, owned: Vec::new(), wants }
}

impl Consumer {
    /// The heartbeat that says everything.
    pub(super) fn heartbeat(&self) -> ConsumerGroupHeartbeatRequest {
        let mut lists: BTreeMap<u128, Vec<i32>> = BTreeMap::new();
        for (topic, partition) in &self.owned {
            lists.entry(*topic).or_default().push(*partition);
        }
        let list = |(topic, partitions)| consumer_group_heartbeat::TopicPartitions {
            topic_id: TopicId(topic),
            partitions,
        };
        ConsumerGroupHeartbeatRequest {
            member_id: self.id.clone(),
            member_epoch: self.epoch,
            topic_partitions: Some(lists.into_iter().map(list).collect()),
            ..self.wants.clone()
        }
    }

    /// Heartbeats, and does what the answer says: gives up and takes partitions.
    pub(super) fn beat(&mut self, seat: &mut Seat) -> ErrorCode {
        let response = seat.consumer_heartbeat(self.heartbeat());
        if response.error_code == ErrorCode::NONE {
            self.epoch = response.member_epoch;
            if let Some(assignment) = response.assignment {
                self.owned = flat(&assignment.topic_partitions);
            }
        }
        response.error_code
    }
}

pub(super) fn flat(lists: &[consumer_group_heartbeat::TopicPartitions]) -> Vec<(u128, i32)> {
    lists.iter().flat_map(|list| list.partitions.iter().map(|one| (list.topic_id.0, *one))).collect()
}

impl Seat {
    pub(super) fn consumer_heartbeat(
        &mut self,
        request: ConsumerGroupHeartbeatRequest,
    ) -> ConsumerGroupHeartbeatResponse {
        match self.ask(GroupCall::ConsumerHeartbeat(request), 1) {
            GroupReply::ConsumerHeartbeat(response) => response,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn describe_consumers(&mut self) -> consumer_group_describe::DescribedGroup {
        match self.ask(GroupCall::ConsumerDescribe { group_id: GROUP.to_owned() }, 1) {
            GroupReply::ConsumerDescribe(described) => described,
            other => panic!("{other:?}"),
        }
    }

    /// Lets clients heartbeat until nothing changes any more.
    pub(super) fn converge(&mut self, clients: &mut [&mut Consumer]) {
        for _ in 0..20 {
            let before: Vec<_> = clients.iter().map(|client| (client.epoch, client.owned.clone())).collect();
            for client in clients.iter_mut() {
                assert_eq!(client.beat(self), ErrorCode::NONE, "{}", client.id);
            }
            if clients
                .iter()
                .zip(before)
                .all(|(client, (epoch, owned))| client.epoch == epoch && client.owned == owned)
            {
                return;
            }
        }
        panic!("the members do not converge");
    }
}

/// The scenario holds, and fails with its bug planted.
#[cfg(feature = "mutants")]
pub(super) fn killed(mutant: chronik_mutants::Mutant, scenario: fn()) {
    scenario();
    let planted = chronik_mutants::plant(mutant);
    let outcome = std::panic::catch_unwind(scenario);
    drop(planted);
    assert!(outcome.is_err(), "{} survives", mutant.name());
}
