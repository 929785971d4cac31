//! Replicas that move, brokers that are emptied, disks that are admitted again.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use chronik_coord::{
    Action, AlterReassignment, AlterReassignments, ArrivedPartition, Assignment, BrokerRegistration,
    Controller, DamagedReplica, DrainBroker, NewTopic, ReplyBody,
};
use chronik_wire::error_code::ErrorCode;
use chronik_wire::types::{DirectoryId, NodeId, PartitionIndex, TopicId};
use common::{Rig, broker, topic};

const T: TopicId = TopicId(7);
const P: PartitionIndex = PartitionIndex(0);

fn nodes(ids: &[i32]) -> Vec<NodeId> {
    ids.iter().copied().map(NodeId).collect()
}

/// Brokers and topic "t" with one partition on 1, 2 and 3.
fn rig(brokers: i32) -> Rig {
    let mut rig = Rig::new(brokers);
    let manual = NewTopic { assignments: vec![(P, nodes(&[1, 2, 3]))], ..topic("t", T.0) };
    assert_eq!(rig.create(manual), None);
    rig
}

fn alter(rig: &mut Rig, topic: &str, replicas: Option<&[i32]>, change_factor: bool) -> Option<ErrorCode> {
    let replicas = replicas.map(nodes);
    let partitions = vec![AlterReassignment { topic: topic.into(), partition: P, replicas }];
    let alter = AlterReassignments { partitions, allow_replication_factor_change: change_factor };
    match rig.run(Action::AlterReassignments(alter)).body {
        ReplyBody::ReassignmentsAltered(mut outcomes) => {
            outcomes.pop().unwrap().err().map(|error| error.code)
        }
        other => panic!("not a reassignment: {other:?}"),
    }
}

fn assignment(rig: &Rig) -> Assignment {
    rig.controller.image().topic("t").unwrap().partitions[0].clone()
}

/// The group's leader reports that it consists of what is wanted.
fn arrive(rig: &mut Rig) {
    let members = assignment(rig).wanted().map(|member| (member.node, member.generation)).rev_sorted();
    let arrived = vec![ArrivedPartition { topic: T, partition: P, members }];
    assert_eq!(rig.run(Action::CompleteReassignments { arrived }).body, ReplyBody::Done);
}

trait RevSorted<T> {
    fn rev_sorted(self) -> Vec<T>;
}

impl<T: Ord, I: Iterator<Item = T>> RevSorted<T> for I {
    fn rev_sorted(self) -> Vec<T> {
        let mut all: Vec<T> = self.collect();
        all.sort_by(|a, b| b.cmp(a));
        all
    }
}

fn drain(rig: &mut Rig, id: i32, live: &[i32]) -> ReplyBody {
    rig.run(Action::DrainBroker(DrainBroker { id: NodeId(id), live: nodes(live) })).body
}

#[test]
fn impossible_wishes_are_refused_with_kafkas_codes() {
    let mut rig = rig(4);
    let before = rig.controller.snapshot();
    assert_eq!(alter(&mut rig, "x", Some(&[1]), true), Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION));
    assert_eq!(alter(&mut rig, "t", None, true), Some(ErrorCode::NO_REASSIGNMENT_IN_PROGRESS));
    for wrong in [&[][..], &[1, 1, 2], &[1, 2, 9], &[-1, 2, 3]] {
        assert_eq!(alter(&mut rig, "t", Some(wrong), true), Some(ErrorCode::INVALID_REPLICA_ASSIGNMENT));
    }
    assert_eq!(alter(&mut rig, "t", Some(&[1, 2]), false), Some(ErrorCode::INVALID_REPLICATION_FACTOR));
    assert_eq!(assignment(&rig), assignment(&self::rig(4)));
    assert_ne!(before, rig.controller.snapshot(), "the replies are remembered");
}

#[test]
fn a_reassignment_ends_when_its_own_target_is_reached() {
    let mut rig = rig(5);
    assert_eq!(alter(&mut rig, "t", Some(&[4, 1, 2]), false), None);
    let on_its_way = assignment(&rig);
    assert_eq!(on_its_way.replicas, nodes(&[4, 1, 2, 3]));
    let late = vec![ArrivedPartition {
        topic: T,
        partition: P,
        members: on_its_way.wanted().map(|member| (member.node, member.generation)).collect(),
    }];
    // A new target: the report about the former one is out of date.
    assert_eq!(alter(&mut rig, "t", Some(&[5, 1, 2]), false), None);
    rig.run(Action::CompleteReassignments { arrived: late });
    assert!(assignment(&rig).is_moving());
    arrive(&mut rig);
    assert_eq!(assignment(&rig).replicas, nodes(&[5, 1, 2]));
    assert_eq!(assignment(&rig).designated, NodeId(5));
    assert!(!assignment(&rig).is_moving());
    let restored = Controller::restore(&rig.controller.snapshot()).unwrap();
    assert_eq!(restored, rig.controller);
}

#[test]
fn an_emptied_broker_gives_its_replicas_away_and_gets_no_new_ones() {
    let mut rig = rig(5);
    assert_eq!(drain(&mut rig, 3, &[1, 2, 3, 5]), ReplyBody::Done);
    let moving = assignment(&rig);
    assert_eq!((moving.adding, moving.removing), (nodes(&[5]), nodes(&[3])), "4 is not alive");
    assert!(rig.controller.image().quorum_member(NodeId(3)).is_none());
    let refused = rig.run(Action::UnregisterBroker { id: NodeId(3) }).body;
    assert!(refused.rejection().is_some(), "its replicas are still there");
    for number in 0..6 {
        assert_eq!(rig.create(topic(&format!("n{number}"), 100 + number)), None);
        let image = rig.controller.image();
        let new = image.topic(&format!("n{number}")).unwrap();
        assert!(!new.partitions[0].replicas.contains(&NodeId(3)));
    }
    assert_eq!(alter(&mut rig, "t", Some(&[1, 2, 3]), true), Some(ErrorCode::INVALID_REPLICA_ASSIGNMENT));
    arrive(&mut rig);
    assert_eq!(rig.run(Action::UnregisterBroker { id: NodeId(3) }).body, ReplyBody::Done);
    let image = rig.controller.image();
    assert!(!image.brokers.contains_key(&NodeId(3)) && !image.is_draining(NodeId(3)));
    let founders = nodes(&[1, 2, 3]);
    let quorum = image.wanted_quorum(&founders);
    assert!(
        quorum.iter().all(|(member, _)| member.node != NodeId(3)),
        "a founder that left is not waited for"
    );
}

#[test]
fn a_founder_that_left_is_not_waited_for_whatever_disk_it_had() {
    let mut rig = rig(5);
    let new = BrokerRegistration { directory: DirectoryId(9), votes: false, ..broker(3) };
    rig.run(Action::RegisterBroker(new));
    rig.run(Action::ReadmitBroker { id: NodeId(3) });
    assert_eq!(drain(&mut rig, 3, &[]), ReplyBody::Done);
    arrive(&mut rig);
    assert_eq!(rig.run(Action::UnregisterBroker { id: NodeId(3) }).body, ReplyBody::Done);
    let image = rig.controller.image();
    let quorum = image.wanted_quorum(&nodes(&[1, 2, 3]));
    assert!(quorum.iter().all(|(member, _)| member.node != NodeId(3)), "{quorum:?}");
    assert!(image.has_left(NodeId(3)));
    // Its last registration may still have been under way; a new disk is another matter.
    let late = BrokerRegistration { directory: DirectoryId(9), votes: false, ..broker(3) };
    let refused = rig.run(Action::RegisterBroker(late.clone())).body;
    let refused = refused.rejection().expect("refused");
    assert!(refused.message.contains("has left the cluster with this disk"), "{refused}");
    let fresh = BrokerRegistration { directory: DirectoryId(10), ..late };
    assert_eq!(rig.run(Action::RegisterBroker(fresh)).body, ReplyBody::Done);
    assert!(!rig.controller.image().has_left(NodeId(3)));
}

#[test]
fn a_disk_that_was_never_admitted_does_not_come_back_either() {
    let mut rig = rig(5);
    let new = BrokerRegistration { directory: DirectoryId(9), votes: false, ..broker(3) };
    rig.run(Action::RegisterBroker(new.clone()));
    assert_eq!(drain(&mut rig, 3, &[]), ReplyBody::Done);
    arrive(&mut rig);
    assert_eq!(rig.run(Action::UnregisterBroker { id: NodeId(3) }).body, ReplyBody::Done);
    assert!(rig.run(Action::RegisterBroker(new)).body.rejection().is_some());
    let restored = Controller::restore(&rig.controller.snapshot()).unwrap();
    assert_eq!(restored, rig.controller);
}

#[test]
fn brokers_that_left_are_remembered_within_a_bound() {
    let mut rig = rig(3);
    for id in 100..100 + chronik_coord::limits::LEFT_BROKERS_MAX as i32 + 3 {
        rig.run(Action::RegisterBroker(BrokerRegistration { votes: false, ..broker(id) }));
        assert_eq!(rig.run(Action::UnregisterBroker { id: NodeId(id) }).body, ReplyBody::Done);
    }
    let image = rig.controller.image();
    let left = (100..2_000).map(NodeId).filter(|id| image.has_left(*id));
    assert_eq!(left.count(), chronik_coord::limits::LEFT_BROKERS_MAX);
}

#[test]
fn without_another_broker_a_partition_shrinks_and_the_last_broker_stays() {
    let mut rig = rig(3);
    assert_eq!(drain(&mut rig, 3, &[]), ReplyBody::Done);
    assert_eq!(assignment(&rig).removing, nodes(&[3]));
    arrive(&mut rig);
    assert_eq!(drain(&mut rig, 2, &[]), ReplyBody::Done);
    assert!(drain(&mut rig, 1, &[]).rejection().is_some());
    assert!(drain(&mut rig, 9, &[]).rejection().is_some());
}

#[test]
fn the_racks_of_the_others_are_avoided_when_a_replica_moves() {
    let mut rig = rig(3);
    for (id, rack) in [(4, "rack-1"), (5, "rack-9")] {
        rig.run(Action::RegisterBroker(BrokerRegistration { rack: Some(rack.into()), ..broker(id) }));
    }
    drain(&mut rig, 3, &[]);
    assert_eq!(assignment(&rig).adding, nodes(&[5]));
}

#[test]
fn a_replaced_disk_is_a_new_member_once_it_is_admitted() {
    let mut rig = rig(3);
    let founders = nodes(&[1, 2, 3]);
    let new = BrokerRegistration { directory: DirectoryId(9), votes: false, ..broker(3) };
    rig.run(Action::RegisterBroker(new));
    let known = |rig: &Rig| {
        let quorum = rig.controller.image().wanted_quorum(&founders);
        let seat = quorum.iter().find(|(member, _)| member.node == NodeId(3)).unwrap().0;
        (assignment(rig).member(NodeId(3)).unwrap().directory, seat.directory, seat.generation)
    };
    assert_eq!(known(&rig), (DirectoryId(1_003), DirectoryId(1_003), 0), "registering admits nobody");
    assert_eq!(rig.run(Action::ReadmitBroker { id: NodeId(3) }).body, ReplyBody::Done);
    let generation = chronik_coord::metadata_generation(DirectoryId(9));
    assert_eq!(known(&rig), (DirectoryId(9), DirectoryId(9), generation));
    assert_eq!(assignment(&rig).member(NodeId(3)).unwrap().generation, 1);
    assert!(!assignment(&rig).is_moving());
    let again = rig.controller.image();
    rig.run(Action::ReadmitBroker { id: NodeId(3) });
    assert_eq!(rig.controller.image().topic("t"), again.topic("t"), "once is enough");
    let restored = Controller::restore(&rig.controller.snapshot()).unwrap();
    assert_eq!(restored, rig.controller);
}

#[test]
fn a_damaged_replica_is_replaced_once_by_a_new_member_on_the_same_disk() {
    let mut rig = rig(3);
    let before = assignment(&rig);
    let topic = rig.controller.image().topic("t").expect("created").id;
    let replace = |rig: &mut Rig, broker: i32, generation: u32| {
        let replicas = vec![DamagedReplica { topic, partition: PartitionIndex(0), generation }];
        rig.run(Action::ReplaceReplicas { broker: NodeId(broker), replicas }).body
    };
    assert_eq!(replace(&mut rig, 2, 0), ReplyBody::Done);
    let member = *assignment(&rig).member(NodeId(2)).expect("a member");
    let former = *before.member(NodeId(2)).expect("a member");
    assert_eq!((former.generation, member.generation), (0, 1));
    assert_eq!((member.directory, assignment(&rig).replicas), (former.directory, before.replicas));
    let after = rig.controller.image();
    for (broker, generation) in [(2, 0), (3, 7)] {
        assert_eq!(replace(&mut rig, broker, generation), ReplyBody::Done);
        assert_eq!(rig.controller.image().topic("t"), after.topic("t"), "that is out of date");
    }
    assert!(replace(&mut rig, 9, 0).rejection().is_some());
    let wiped = BrokerRegistration { directory: DirectoryId(9), votes: false, ..broker(3) };
    rig.run(Action::RegisterBroker(wiped));
    assert_eq!(replace(&mut rig, 3, 0), ReplyBody::Done);
    let member = *assignment(&rig).member(NodeId(3)).expect("a member");
    assert_eq!(member.generation, 0, "a disk that nobody admitted gets no vote in this way");
}
