//! Groups: a coordinator per partition of `__consumer_offsets`, wherever that partition's leader is.

mod harness;

use bytes::Bytes;
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::create_topics::{CreatableTopic, CreateTopicsRequest};
use chronik_wire::messages::find_coordinator::{Coordinator, FindCoordinatorRequest};
use chronik_wire::messages::heartbeat::HeartbeatRequest;
use chronik_wire::messages::join_group::{JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse};
use chronik_wire::messages::list_groups::ListGroupsRequest;
use chronik_wire::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use chronik_wire::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use chronik_wire::messages::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment};
use chronik_wire::types::NodeId;
use harness::client::{PRODUCE_VERSION, one, produce_request};
use harness::{Options, TestCluster};

const GROUP: &str = "readers";
const JOIN_VERSION: i16 = 5;
const COMMIT_VERSION: i16 = 8;
const OFFSET_FETCH_VERSION: i16 = 8;

fn cluster() -> TestCluster {
    let config = [
        ("group.initial.rebalance.delay.ms", "0"),
        ("group.min.session.timeout.ms", "1"),
        ("offsets.topic.num.partitions", "2"),
        // Smaller than a topic of clients may have them.
        ("offsets.topic.segment.bytes", "4096"),
    ];
    let config = config.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let mut cluster = TestCluster::start(3, &Options { config, ..Options::default() });
    cluster.create_topic("t", 2, &[]);
    cluster
}

impl TestCluster {
    /// Asks a node for the group's coordinator until there is one.
    fn coordinator(&mut self, asked: NodeId, pinned: bool) -> Coordinator {
        let request =
            FindCoordinatorRequest { coordinator_keys: vec![GROUP.to_owned()], ..Default::default() };
        for _ in 0..1_000 {
            let answer = self.ask(asked, pinned, 4, &request);
            let answer = self.run(answer).expect("open").expect("answered");
            let found = answer.coordinators.into_iter().next().expect("one key, one answer");
            if found.error_code != ErrorCode::COORDINATOR_NOT_AVAILABLE {
                assert_eq!(found.error_code, ErrorCode::NONE, "{found:?}");
                return found;
            }
            self.pass_ms(10);
        }
        panic!("no coordinator in time");
    }

    /// The node that coordinates the group, in office.
    fn coordinating(&mut self, asked: NodeId) -> NodeId {
        for _ in 0..1_000 {
            let node = NodeId(self.coordinator(asked, false).node_id);
            let not_yet = [ErrorCode::COORDINATOR_LOAD_IN_PROGRESS, ErrorCode::NOT_COORDINATOR];
            // A node that has just died may still be named.
            if self.nodes.contains_key(&node) && !not_yet.contains(&self.fetch_offset(node, "t", 0).0) {
                return node;
            }
            self.pass_ms(10);
        }
        panic!("no coordinator took office in time");
    }

    fn join(&mut self, node: NodeId, pinned: bool, member: &str) -> JoinGroupResponse {
        let request = JoinGroupRequest {
            group_id: GROUP.to_owned(),
            session_timeout_ms: 1_000,
            rebalance_timeout_ms: 2_000,
            member_id: member.to_owned(),
            protocol_type: "consumer".to_owned(),
            protocols: vec![JoinGroupRequestProtocol {
                name: "range".to_owned(),
                metadata: Bytes::from_static(b"wants t"),
            }],
            ..JoinGroupRequest::default()
        };
        let answer = self.ask(node, pinned, JOIN_VERSION, &request);
        self.run(answer).expect("open").expect("answered")
    }

    /// Joins as the only member and hands out the assignment. Returns the member and its generation.
    fn join_alone(&mut self, node: NodeId, pinned: bool) -> (String, i32) {
        let first = self.join(node, pinned, "");
        assert_eq!(first.error_code, ErrorCode::MEMBER_ID_REQUIRED, "{first:?}");
        let joined = self.join(node, pinned, &first.member_id);
        assert_eq!(joined.error_code, ErrorCode::NONE, "{joined:?}");
        assert_eq!((&joined.leader, joined.members.len()), (&joined.member_id, 1));
        let request = SyncGroupRequest {
            group_id: GROUP.to_owned(),
            generation_id: joined.generation_id,
            member_id: joined.member_id.clone(),
            assignments: vec![SyncGroupRequestAssignment {
                member_id: joined.member_id.clone(),
                assignment: Bytes::from_static(b"has t"),
            }],
            ..SyncGroupRequest::default()
        };
        let answer = self.ask(node, pinned, 3, &request);
        let synced = self.run(answer).expect("open").expect("answered");
        assert_eq!((synced.error_code, &synced.assignment[..]), (ErrorCode::NONE, &b"has t"[..]));
        (joined.member_id, joined.generation_id)
    }

    fn heartbeat(&mut self, node: NodeId, member: &(String, i32)) -> ErrorCode {
        let request = HeartbeatRequest {
            group_id: GROUP.to_owned(),
            generation_id: member.1,
            member_id: member.0.clone(),
            ..HeartbeatRequest::default()
        };
        self.call(node, 3, &request).error_code
    }

    /// Commits an offset of a partition as `member`, or as nobody.
    fn commit(
        &mut self,
        node: NodeId,
        member: Option<&(String, i32)>,
        topic: &str,
        offset: i64,
    ) -> ErrorCode {
        let (member_id, generation) = member.cloned().unwrap_or((String::new(), -1));
        let request = OffsetCommitRequest {
            group_id: GROUP.to_owned(),
            generation_id_or_member_epoch: generation,
            member_id,
            topics: vec![OffsetCommitRequestTopic {
                name: topic.to_owned(),
                partitions: vec![OffsetCommitRequestPartition {
                    partition_index: 0,
                    committed_offset: offset,
                    committed_metadata: Some("mine".to_owned()),
                    ..OffsetCommitRequestPartition::default()
                }],
                ..OffsetCommitRequestTopic::default()
            }],
            ..OffsetCommitRequest::default()
        };
        self.call(node, COMMIT_VERSION, &request).topics[0].partitions[0].error_code
    }

    /// The group's error and the committed offset of a partition.
    fn fetch_offset(&mut self, node: NodeId, topic: &str, partition: i32) -> (ErrorCode, i64) {
        let request = OffsetFetchRequest {
            groups: vec![OffsetFetchRequestGroup {
                group_id: GROUP.to_owned(),
                topics: Some(vec![OffsetFetchRequestTopics {
                    name: topic.to_owned(),
                    partition_indexes: vec![partition],
                    ..OffsetFetchRequestTopics::default()
                }]),
                ..OffsetFetchRequestGroup::default()
            }],
            ..OffsetFetchRequest::default()
        };
        let answer = self.call(node, OFFSET_FETCH_VERSION, &request);
        let group = &answer.groups[0];
        let offset = group.topics.first().map_or(-1, |topic| topic.partitions[0].committed_offset);
        (group.error_code, offset)
    }
}

#[test]
fn every_node_names_the_coordinator_and_no_other_answers_for_it() {
    let mut cluster = cluster();
    let node = cluster.coordinating(NodeId(1));
    for asked in [1, 2, 3].map(NodeId) {
        assert_eq!(cluster.coordinator(asked, false).node_id, node.0);
    }
    let member = cluster.join_alone(node, false);
    assert_eq!(cluster.heartbeat(node, &member), ErrorCode::NONE);
    assert_eq!(cluster.commit(node, Some(&member), "t", 7), ErrorCode::NONE);
    assert_eq!(cluster.fetch_offset(node, "t", 0), (ErrorCode::NONE, 7));
    assert_eq!(cluster.fetch_offset(node, "t", 1), (ErrorCode::NONE, -1), "never committed");
    assert_eq!(cluster.commit(node, Some(&member), "absent", 1), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    for other in [1, 2, 3].map(NodeId).into_iter().filter(|other| *other != node) {
        assert_eq!(cluster.heartbeat(other, &member), ErrorCode::NOT_COORDINATOR);
        assert_eq!(cluster.fetch_offset(other, "t", 0).0, ErrorCode::NOT_COORDINATOR);
    }
    let listed = cluster.call(node, 4, &ListGroupsRequest::default());
    let groups: Vec<_> =
        listed.groups.iter().map(|group| (&group.group_id[..], &group.group_state[..])).collect();
    assert_eq!((listed.error_code, groups), (ErrorCode::NONE, vec![(GROUP, "Stable")]));
}

#[test]
fn a_group_and_its_offsets_survive_their_coordinator() {
    let mut cluster = cluster();
    let node = cluster.coordinating(NodeId(1));
    let member = cluster.join_alone(node, false);
    for offset in 1..=5 {
        assert_eq!(cluster.commit(node, Some(&member), "t", offset), ErrorCode::NONE);
    }
    cluster.kill(node);
    let asked = *cluster.nodes.keys().next().expect("a node lives");
    let next = cluster.coordinating(asked);
    assert_ne!(next, node);
    assert_eq!(cluster.fetch_offset(next, "t", 0), (ErrorCode::NONE, 5));
    assert_eq!(cluster.heartbeat(next, &member), ErrorCode::NONE, "the generation goes on");
    assert_eq!(cluster.commit(next, Some(&member), "t", 6), ErrorCode::NONE);
    let stale = (member.0.clone(), member.1 - 1);
    assert_eq!(cluster.commit(next, Some(&stale), "t", 1), ErrorCode::ILLEGAL_GENERATION);
    assert_eq!(cluster.fetch_offset(next, "t", 0), (ErrorCode::NONE, 6));
}

#[test]
fn a_deposed_coordinator_tells_nobody_the_past() {
    let mut cluster = cluster();
    let node = cluster.coordinating(NodeId(1));
    assert_eq!(cluster.commit(node, None, "t", 1), ErrorCode::NONE);
    cluster.isolate(node);
    let asked = [1, 2, 3].map(NodeId).into_iter().find(|asked| *asked != node).expect("another");
    let mut next = node;
    while next == node {
        cluster.pass_ms(50);
        next = cluster.coordinating(asked);
    }
    assert_eq!(cluster.commit(next, None, "t", 2), ErrorCode::NONE);
    let (code, offset) = cluster.fetch_offset(node, "t", 0);
    assert_ne!(code, ErrorCode::NONE, "told of offset {offset} while 2 was acknowledged elsewhere");
    assert_eq!(cluster.fetch_offset(next, "t", 0), (ErrorCode::NONE, 2));
    cluster.recover();
    let again = cluster.coordinating(node);
    assert_eq!(cluster.fetch_offset(again, "t", 0), (ErrorCode::NONE, 2));
}

#[test]
fn a_coordinator_that_is_cut_off_acknowledges_nothing() {
    let mut cluster = cluster();
    let node = cluster.coordinating(NodeId(1));
    assert_eq!(cluster.commit(node, None, "t", 1), ErrorCode::NONE);
    cluster.isolate(node);
    assert_ne!(cluster.commit(node, None, "t", 2), ErrorCode::NONE);
}

#[test]
fn on_the_pinned_address_requests_are_carried_to_the_coordinator() {
    let mut cluster = cluster();
    let node = cluster.coordinating(NodeId(1));
    let other = [1, 2, 3].map(NodeId).into_iter().find(|other| *other != node).expect("another");
    assert_eq!(cluster.coordinator(other, true).node_id, other.0, "that client sees one node");
    let member = cluster.join_alone(other, true);
    let forwards = |cluster: &TestCluster| cluster.node(other).counted()["coordinator_forwards"];
    assert_eq!(forwards(&cluster), 3, "two joins and a sync");
    assert_eq!(cluster.heartbeat(node, &member), ErrorCode::NONE, "a member there like any other");
    let request = ListGroupsRequest::default();
    let answer = cluster.ask(other, true, 4, &request);
    let listed = cluster.run(answer).expect("open").expect("answered");
    assert_eq!(listed.groups.len(), 1, "{listed:?}");
}

#[test]
fn a_silent_member_goes_when_its_session_is_over() {
    let mut cluster = cluster();
    let node = cluster.coordinating(NodeId(1));
    let member = cluster.join_alone(node, false);
    cluster.pass_ms(900);
    assert_eq!(cluster.heartbeat(node, &member), ErrorCode::NONE);
    cluster.pass_ms(900);
    assert_eq!(cluster.heartbeat(node, &member), ErrorCode::NONE, "each sign of life begins a session");
    cluster.pass_ms(1_100);
    assert_eq!(cluster.heartbeat(node, &member), ErrorCode::UNKNOWN_MEMBER_ID);
}

#[test]
fn the_topic_of_groups_is_nobody_elses_to_create_or_to_write_to() {
    let mut cluster = cluster();
    let create = CreateTopicsRequest {
        topics: vec![CreatableTopic {
            name: "__consumer_offsets".to_owned(),
            num_partitions: 1,
            replication_factor: 1,
            ..CreatableTopic::default()
        }],
        timeout_ms: 1_000,
        ..CreateTopicsRequest::default()
    };
    let refused = cluster.call(NodeId(1), 5, &create);
    assert_eq!(refused.topics[0].error_code, ErrorCode::INVALID_TOPIC_EXCEPTION);
    cluster.coordinating(NodeId(1));
    let leader = cluster.leader(cluster.key("__consumer_offsets", 0)).expect("a leader");
    let request = produce_request("__consumer_offsets", 0, one("v"), -1, 1_000);
    let refused = cluster.call(leader, PRODUCE_VERSION, &request);
    let result = &refused.responses[0].partition_responses[0];
    assert_eq!(result.error_code, ErrorCode::INVALID_TOPIC_EXCEPTION);
}

/// With its bug planted each of these scenarios fails.
#[cfg(feature = "mutants")]
#[test]
fn the_scenarios_above_kill_their_bugs() {
    use chronik_mutants::Mutant;
    use harness::killed;

    killed(Mutant::CoordinatorUngated, a_deposed_coordinator_tells_nobody_the_past);
    killed(Mutant::CommitAnsweredEarly, a_coordinator_that_is_cut_off_acknowledges_nothing);
}
