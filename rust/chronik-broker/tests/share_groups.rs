//! Share groups: who reads what, and how far a group is, over the wire and over the coordinator's death.

mod harness;

use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::alter_share_group_offsets::{
    AlterShareGroupOffsetsRequest, AlterShareGroupOffsetsRequestPartition, AlterShareGroupOffsetsRequestTopic,
};
use chronik_wire::messages::delete_groups::DeleteGroupsRequest;
use chronik_wire::messages::delete_share_group_offsets::{
    DeleteShareGroupOffsetsRequest, DeleteShareGroupOffsetsRequestTopic,
};
use chronik_wire::messages::describe_share_group_offsets::{
    DescribeShareGroupOffsetsRequest, DescribeShareGroupOffsetsRequestGroup,
    DescribeShareGroupOffsetsRequestTopic, DescribeShareGroupOffsetsResponseGroup,
};
use chronik_wire::messages::find_coordinator::FindCoordinatorRequest;
use chronik_wire::messages::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use chronik_wire::messages::list_groups::ListGroupsRequest;
use chronik_wire::messages::share_group_describe::{DescribedGroup, ShareGroupDescribeRequest};
use chronik_wire::messages::share_group_heartbeat::{
    ShareGroupHeartbeatRequest, ShareGroupHeartbeatResponse,
};
use chronik_wire::types::NodeId;
use harness::{Options, TestCluster};

const GROUP: &str = "sharers";
const ASKED: NodeId = NodeId(1);

fn cluster() -> TestCluster {
    let config = [
        ("offsets.topic.num.partitions", "2"),
        ("share.coordinator.state.topic.num.partitions", "2"),
        ("group.share.min.session.timeout.ms", "1"),
        ("group.share.min.heartbeat.interval.ms", "1"),
    ];
    let config = config.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let mut cluster = TestCluster::start(3, &Options { config, ..Options::default() });
    cluster.create_topic("t", 3, &[]);
    cluster
}

fn beat(member: &str, epoch: i32) -> ShareGroupHeartbeatRequest {
    ShareGroupHeartbeatRequest {
        group_id: GROUP.to_owned(),
        member_id: member.to_owned(),
        member_epoch: epoch,
        rack_id: None,
        subscribed_topic_names: (epoch == 0).then(|| vec!["t".to_owned()]),
    }
}

fn given(response: &ShareGroupHeartbeatResponse) -> Vec<i32> {
    let assignment = response.assignment.as_ref().expect("told what it has");
    assignment.topic_partitions.iter().flat_map(|topic| topic.partitions.clone()).collect()
}

impl TestCluster {
    /// The node that coordinates the group, in office.
    fn coordinating(&mut self, asked: NodeId) -> NodeId {
        let request = FindCoordinatorRequest {
            coordinator_keys: vec![GROUP.to_owned()],
            ..FindCoordinatorRequest::default()
        };
        for _ in 0..1_000 {
            let found = self.call(asked, 4, &request).coordinators.remove(0);
            let node = NodeId(found.node_id);
            // A node that has just died may still be named.
            if found.error_code.is_none() && self.nodes.contains_key(&node) {
                let not_yet = [ErrorCode::COORDINATOR_LOAD_IN_PROGRESS, ErrorCode::NOT_COORDINATOR];
                if !not_yet.contains(&self.describe(node).error_code) {
                    return node;
                }
            }
            self.pass_ms(10);
        }
        panic!("no coordinator took office in time");
    }

    fn beat(&mut self, node: NodeId, request: &ShareGroupHeartbeatRequest) -> ShareGroupHeartbeatResponse {
        self.call(node, 1, request)
    }

    fn join(&mut self, node: NodeId, member: &str) -> ShareGroupHeartbeatResponse {
        let joined = self.beat(node, &beat(member, 0));
        assert_eq!(joined.error_code, ErrorCode::NONE, "{joined:?}");
        joined
    }

    fn describe(&mut self, node: NodeId) -> DescribedGroup {
        let request = ShareGroupDescribeRequest { group_ids: vec![GROUP.to_owned()], ..Default::default() };
        self.call(node, 1, &request).groups.remove(0)
    }

    fn offsets(
        &mut self,
        node: NodeId,
        topics: Option<&[(&str, &[i32])]>,
    ) -> DescribeShareGroupOffsetsResponseGroup {
        let topic = |(name, partitions): &(&str, &[i32])| DescribeShareGroupOffsetsRequestTopic {
            topic_name: (*name).to_owned(),
            partitions: partitions.to_vec(),
        };
        let group = DescribeShareGroupOffsetsRequestGroup {
            group_id: GROUP.to_owned(),
            topics: topics.map(|topics| topics.iter().map(topic).collect()),
        };
        let request = DescribeShareGroupOffsetsRequest { groups: vec![group] };
        self.call(node, 1, &request).groups.remove(0)
    }

    /// Start and lag of partitions of `t`.
    fn starts(&mut self, node: NodeId, partitions: &[i32]) -> Vec<(i64, i64)> {
        let mut group = self.offsets(node, Some(&[("t", partitions)]));
        assert_eq!(group.error_code, ErrorCode::NONE);
        let partitions = group.topics.remove(0).partitions;
        assert!(partitions.iter().all(|one| one.error_code.is_none()), "{partitions:?}");
        partitions.iter().map(|partition| (partition.start_offset, partition.lag)).collect()
    }

    fn alter(&mut self, node: NodeId, topic: &str, starts: &[(i32, i64)]) -> (ErrorCode, Vec<ErrorCode>) {
        let partition = |&(partition_index, start_offset): &(i32, i64)| {
            AlterShareGroupOffsetsRequestPartition { partition_index, start_offset }
        };
        let request = AlterShareGroupOffsetsRequest {
            group_id: GROUP.to_owned(),
            topics: vec![AlterShareGroupOffsetsRequestTopic {
                topic_name: topic.to_owned(),
                partitions: starts.iter().map(partition).collect(),
            }],
        };
        let response = self.call(node, 0, &request);
        let partitions = response.responses.into_iter().flat_map(|topic| topic.partitions);
        (response.error_code, partitions.map(|partition| partition.error_code).collect())
    }

    fn forget(&mut self, node: NodeId, topics: &[&str]) -> (ErrorCode, Vec<ErrorCode>) {
        let topic = |name: &&str| DeleteShareGroupOffsetsRequestTopic { topic_name: (*name).to_owned() };
        let request = DeleteShareGroupOffsetsRequest {
            group_id: GROUP.to_owned(),
            topics: topics.iter().map(topic).collect(),
        };
        let response = self.call(node, 0, &request);
        (response.error_code, response.responses.into_iter().map(|topic| topic.error_code).collect())
    }

    fn delete(&mut self, node: NodeId) -> ErrorCode {
        let request = DeleteGroupsRequest { groups_names: vec![GROUP.to_owned()] };
        self.call(node, 2, &request).results[0].error_code
    }
}

#[test]
fn a_member_has_its_partitions_with_its_first_heartbeat() {
    let mut cluster = cluster();
    let node = cluster.coordinating(ASKED);
    let joined = cluster.join(node, "a");
    assert_eq!(given(&joined), [0, 1, 2]);
    let quiet = cluster.beat(node, &beat("a", joined.member_epoch));
    assert_eq!((quiet.error_code, quiet.assignment), (ErrorCode::NONE, None));
    let b = cluster.join(node, "b");
    let a = cluster.beat(node, &beat("a", joined.member_epoch));
    let mut both = [given(&a), given(&b)].concat();
    both.sort_unstable();
    assert_eq!(both, [0, 1, 2]);
    let described = cluster.describe(node);
    assert_eq!((&*described.group_state, described.members.len()), ("Stable", 2));
    assert_eq!(described.members[0].assignment.topic_partitions[0].topic_name, "t");
    let request = ListGroupsRequest { types_filter: vec!["share".to_owned()], ..Default::default() };
    let listed = cluster.call(node, 5, &request).groups;
    assert_eq!(listed.len(), 1);
    assert_eq!((&*listed[0].group_id, &*listed[0].group_type), (GROUP, "share"));
    let other = if node == NodeId(1) { NodeId(2) } else { NodeId(1) };
    assert_eq!(cluster.describe(other).error_code, ErrorCode::NOT_COORDINATOR);
    assert_eq!(cluster.beat(other, &beat("a", 3)).error_code, ErrorCode::NOT_COORDINATOR);
    assert_eq!(cluster.offsets(other, None).error_code, ErrorCode::NOT_COORDINATOR);
    let starts = cluster.starts(node, &[0, 1, 2]);
    assert_eq!(starts, [(-1, -1); 3], "nobody has read, so nobody has decided");
}

#[test]
fn a_group_survives_its_coordinator() {
    let mut cluster = cluster();
    let node = cluster.coordinating(ASKED);
    let joined = cluster.join(node, "a");
    assert_eq!(cluster.alter(node, "t", &[(0, 1)]).0, ErrorCode::NON_EMPTY_GROUP);
    cluster.kill(node);
    let asked = cluster.nodes.keys().copied().next().expect("two are left");
    let next = cluster.coordinating(asked);
    assert_ne!(next, node);
    let described = cluster.describe(next);
    assert_eq!((described.members.len(), described.group_epoch), (1, joined.member_epoch));
    let known = cluster.beat(next, &beat("a", joined.member_epoch));
    assert_eq!((known.error_code, known.assignment), (ErrorCode::NONE, None), "nothing has changed for it");
    let again = cluster.join(next, "a");
    assert_eq!(given(&again), [0, 1, 2]);
    assert_eq!(cluster.beat(next, &beat("a", -1)).error_code, ErrorCode::NONE);
    assert_eq!(cluster.describe(next).group_state, "Empty");
}

#[test]
fn a_group_without_members_is_moved_forgotten_and_deleted() {
    let mut cluster = cluster();
    for value in ["1", "2", "3", "4"] {
        cluster.send("t", value);
    }
    let node = cluster.coordinating(ASKED);
    let unknown = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
    assert_eq!(
        cluster.alter(node, "t", &[(0, 1), (9, 0)]),
        (ErrorCode::NONE, vec![ErrorCode::NONE, unknown])
    );
    assert_eq!(cluster.alter(node, "nope", &[(0, 1)]), (ErrorCode::NONE, vec![unknown]));
    assert_eq!(cluster.starts(node, &[0]), [(1, 3)]);
    assert_eq!(cluster.alter(node, "t", &[(0, 0)]).1, [ErrorCode::NONE], "back as well as forth");
    assert_eq!(cluster.starts(node, &[0, 1]), [(0, 4), (-1, -1)]);
    let all = cluster.offsets(node, None);
    assert_eq!((all.topics.len(), &*all.topics[0].topic_name), (1, "t"));
    assert_eq!(all.topics[0].partitions.len(), 1, "that of which something is known");
    let absent = cluster.offsets(node, Some(&[("nope", &[3])])).topics.remove(0).partitions.remove(0);
    assert_eq!((absent.start_offset, absent.error_code), (-1, ErrorCode::NONE));
    assert_eq!(cluster.forget(node, &["t", "nope"]), (ErrorCode::NONE, vec![ErrorCode::NONE, unknown]));
    assert_eq!(cluster.forget(node, &["t"]), (ErrorCode::NONE, vec![unknown]), "nothing is left of it");
    assert_eq!(cluster.starts(node, &[0]), [(-1, -1)]);
    let joined = cluster.join(node, "a");
    assert_eq!(given(&joined), [0, 1, 2], "it begins anew");
    assert_eq!(cluster.delete(node), ErrorCode::NON_EMPTY_GROUP);
    assert_eq!(cluster.forget(node, &["t"]).0, ErrorCode::NON_EMPTY_GROUP);
    cluster.beat(node, &beat("a", -1));
    assert_eq!(cluster.alter(node, "t", &[(2, 0)]).1, [ErrorCode::NONE]);
    assert_eq!(cluster.delete(node), ErrorCode::NONE);
    assert_eq!(cluster.delete(node), ErrorCode::GROUP_ID_NOT_FOUND);
    assert_eq!(cluster.describe(node).error_code, ErrorCode::GROUP_ID_NOT_FOUND);
    assert_eq!(cluster.starts(node, &[2]), [(-1, -1)], "no account outlives its group");
}

#[test]
fn a_groups_own_session_counts_at_once() {
    let mut cluster = cluster();
    let node = cluster.coordinating(ASKED);
    let joined = cluster.join(node, "a");
    let config = |name: &str, value: &str| AlterableConfig {
        name: name.to_owned(),
        config_operation: 0,
        value: Some(value.to_owned()),
    };
    let configs =
        vec![config("share.heartbeat.interval.ms", "100"), config("share.session.timeout.ms", "700")];
    let group = AlterConfigsResource { resource_type: 32, resource_name: GROUP.to_owned(), configs };
    let request = IncrementalAlterConfigsRequest { resources: vec![group], validate_only: false };
    assert_eq!(cluster.call(ASKED, 1, &request).responses[0].error_code, ErrorCode::NONE);
    assert_eq!(cluster.beat(node, &beat("a", joined.member_epoch)).heartbeat_interval_ms, 100);
    cluster.pass_ms(600);
    assert_eq!(cluster.describe(node).members.len(), 1);
    cluster.pass_ms(200);
    assert_eq!(cluster.describe(node).members.len(), 0);
    assert_eq!(cluster.beat(node, &beat("a", joined.member_epoch)).error_code, ErrorCode::UNKNOWN_MEMBER_ID);
}

#[test]
fn nameless_and_unknown_groups_get_kafkas_codes() {
    let mut cluster = cluster();
    let node = cluster.coordinating(ASKED);
    assert_eq!(cluster.beat(node, &beat("a", 1)).error_code, ErrorCode::GROUP_ID_NOT_FOUND);
    assert_eq!(cluster.beat(node, &beat("", 0)).error_code, ErrorCode::INVALID_REQUEST);
    assert_eq!(cluster.forget(node, &["t"]).0, ErrorCode::GROUP_ID_NOT_FOUND);
    let nameless = AlterShareGroupOffsetsRequest::default();
    assert_eq!(cluster.call(node, 0, &nameless).error_code, ErrorCode::INVALID_GROUP_ID);
    let nameless = DeleteShareGroupOffsetsRequest::default();
    assert_eq!(cluster.call(node, 0, &nameless).error_code, ErrorCode::INVALID_GROUP_ID);
    let nothing = cluster.offsets(node, None);
    assert_eq!((nothing.error_code, nothing.topics.len()), (ErrorCode::NONE, 0));
}
