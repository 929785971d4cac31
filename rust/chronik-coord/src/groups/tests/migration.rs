//! From one protocol to the other and back, with everything that was there.

use super::*;
use chronik_wire::messages::consumer_protocol::{
    ConsumerProtocolAssignment, ConsumerProtocolSubscription, TopicPartition, read_versioned, write_versioned,
};

fn partitions_of(list: &[i32]) -> Vec<TopicPartition> {
    if list.is_empty() {
        Vec::new()
    } else {
        vec![TopicPartition { topic: "t".into(), partitions: list.to_vec() }]
    }
}

/// A classic consumer of `t` that has these partitions.
fn classic(owned: &[i32]) -> JoinGroupRequest {
    let subscription = ConsumerProtocolSubscription {
        topics: vec!["t".into()],
        owned_partitions: partitions_of(owned),
        ..Default::default()
    };
    let metadata = write_versioned(&subscription, 1).expect("encodes");
    JoinGroupRequest {
        protocols: vec![JoinGroupRequestProtocol { name: "cooperative-sticky".into(), metadata }],
        ..join()
    }
}

fn assigned(bytes: &Bytes) -> Vec<i32> {
    let assignment: ConsumerProtocolAssignment = read_versioned(bytes.clone()).expect("an assignment");
    assignment.assigned_partitions.into_iter().flat_map(|list| list.partitions).collect()
}

/// A settled classic group of one consumer with all of `t`.
fn classic_group(seat: &mut Seat) -> JoinGroupResponse {
    let (_, ticket) = seat.send_first_join(classic(&[]));
    let joined = seat.joined(ticket);
    let assignment =
        ConsumerProtocolAssignment { assigned_partitions: partitions_of(&[0, 1, 2, 3]), user_data: None };
    let mut request = sync(&joined, &[]);
    request.assignments = vec![SyncGroupRequestAssignment {
        member_id: joined.member_id.clone(),
        assignment: write_versioned(&assignment, 1).expect("encodes"),
    }];
    let ticket = seat.send(GroupCall::Sync(request), 5);
    assert_eq!(assigned(&seat.synced(ticket).assignment), [0, 1, 2, 3]);
    joined
}

/// The classic member joins again with what it has, and fetches what it gets.
fn rejoin(seat: &mut Seat, member_id: &str, owned: &[i32]) -> (i32, Vec<i32>) {
    let joined = seat.join(JoinGroupRequest { member_id: member_id.to_owned(), ..classic(owned) });
    assert_eq!(joined.error_code, ErrorCode::NONE);
    assert_eq!((&*joined.leader, joined.members.len()), ("", 0), "it never leads");
    let ticket = seat.send_sync(&joined, &[]);
    let synced = seat.synced(ticket);
    assert_eq!(synced.error_code, ErrorCode::NONE);
    (joined.generation_id, assigned(&synced.assignment))
}

#[test]
fn a_classic_group_takes_in_a_member_of_the_newer_protocol_and_goes_back_when_it_leaves() {
    let mut seat = Seat::new();
    let old = classic_group(&mut seat);
    let by = OffsetCommitRequest {
        member_id: old.member_id.clone(),
        generation_id_or_member_epoch: 1,
        ..commit(0, 7)
    };
    seat.commit(by);
    let mut new = consumer("new", &["t"]);
    assert_eq!(new.beat(&mut seat), ErrorCode::NONE);
    assert_eq!((new.epoch, new.owned.len()), (2, 0), "the classic member has everything still");
    assert_eq!(seat.fetch(0, false).0, 7, "offsets stay");
    let described = seat.describe_consumers();
    assert_eq!(described.members.iter().map(|member| member.member_type).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(seat.heartbeat(&old.member_id, 1), ErrorCode::REBALANCE_IN_PROGRESS);

    let (generation, gets) = rejoin(&mut seat, &old.member_id, &[0, 1, 2, 3]);
    assert_eq!((generation, gets.len()), (1, 2), "first it gives up two");
    assert_eq!(seat.heartbeat(&old.member_id, 1), ErrorCode::REBALANCE_IN_PROGRESS);
    let (generation, kept) = rejoin(&mut seat, &old.member_id, &gets);
    assert_eq!((generation, &kept), (2, &gets));
    assert_eq!(seat.heartbeat(&old.member_id, 2), ErrorCode::NONE);
    new.beat(&mut seat);
    assert_eq!(new.owned.len(), 2);
    let by = |epoch: i32| OffsetCommitRequest {
        member_id: old.member_id.clone(),
        generation_id_or_member_epoch: epoch,
        ..commit(0, 8)
    };
    assert_eq!(seat.commit(by(1)), ErrorCode::ILLEGAL_GENERATION);
    assert_eq!(seat.commit(by(2)), ErrorCode::NONE);
    seat.fail_over();
    assert_eq!(seat.heartbeat(&old.member_id, 2), ErrorCode::NONE);

    seat.consumer_heartbeat(ConsumerGroupHeartbeatRequest { member_epoch: -1, ..new.heartbeat() });
    assert_eq!(seat.describe_consumers().error_code, ErrorCode::GROUP_ID_NOT_FOUND, "it is classic again");
    assert_eq!(seat.heartbeat(&old.member_id, 2), ErrorCode::REBALANCE_IN_PROGRESS);
    seat.fail_over();
    assert_eq!(
        seat.heartbeat(&old.member_id, 2),
        ErrorCode::REBALANCE_IN_PROGRESS,
        "another leader knows too"
    );
    let joined = seat.join(JoinGroupRequest { member_id: old.member_id.clone(), ..classic(&kept) });
    assert_eq!((joined.generation_id, joined.leader, joined.members.len()), (3, old.member_id, 1));
    assert_eq!(seat.fetch(0, false).0, 8);
}

#[test]
fn the_policy_says_which_way_is_open() {
    for (policy, upgrades, downgrades) in
        [("disabled", false, false), ("upgrade", true, false), ("downgrade", false, true)]
    {
        let mut seat = Seat::with(config(&[("group.consumer.migration.policy", policy)]));
        let old = classic_group(&mut seat);
        let error = consumer("new", &["t"]).beat(&mut seat);
        assert_eq!(error == ErrorCode::NONE, upgrades, "{policy}");
        assert!(upgrades || error == ErrorCode::GROUP_ID_NOT_FOUND);
        assert_eq!(seat.heartbeat(&old.member_id, 1) == ErrorCode::NONE, !upgrades);

        let mut seat = Seat::with(config(&[("group.consumer.migration.policy", policy)]));
        let mut new = consumer("new", &["t"]);
        new.beat(&mut seat);
        let refused = seat.join(classic(&[]));
        assert_eq!(refused.error_code, ErrorCode::MEMBER_ID_REQUIRED);
        let joined = seat.join(JoinGroupRequest { member_id: refused.member_id, ..classic(&[]) });
        assert_eq!(joined.error_code, ErrorCode::NONE, "a classic client may always join");
        seat.consumer_heartbeat(ConsumerGroupHeartbeatRequest { member_epoch: -1, ..new.heartbeat() });
        let is_classic = seat.describe_consumers().error_code == ErrorCode::GROUP_ID_NOT_FOUND;
        assert_eq!(is_classic, downgrades, "{policy}");
    }
}

#[test]
fn members_whose_bytes_nobody_understands_keep_their_group_classic() {
    let mut seat = Seat::new();
    seat.alone();
    assert_eq!(consumer("new", &["t"]).beat(&mut seat), ErrorCode::GROUP_ID_NOT_FOUND);
    let mut seat = Seat::new();
    let (_, ticket) =
        seat.send_first_join(JoinGroupRequest { protocol_type: "connect".into(), ..classic(&[]) });
    seat.joined(ticket);
    assert_eq!(consumer("new", &["t"]).beat(&mut seat), ErrorCode::GROUP_ID_NOT_FOUND);
}

#[test]
fn a_group_without_members_changes_over_whatever_the_policy() {
    let mut seat = Seat::with(config(&[("group.consumer.migration.policy", "disabled")]));
    let old = classic_group(&mut seat);
    seat.leave(&old.member_id, None);
    seat.commit(commit(0, 7));
    let mut new = consumer("new", &["t"]);
    assert_eq!(new.beat(&mut seat), ErrorCode::NONE);
    seat.consumer_heartbeat(ConsumerGroupHeartbeatRequest { member_epoch: -1, ..new.heartbeat() });
    let old = classic_group(&mut seat);
    assert_eq!(old.generation_id, 1);
    assert_eq!(seat.fetch(0, false).0, 7, "the offsets are the group's, whatever it speaks");
}

#[test]
fn whoever_waits_in_a_classic_group_is_told_when_it_changes_over() {
    let mut seat = Seat::new();
    let old = classic_group(&mut seat);
    let (id, waiting) = seat.send_first_join(classic(&[]));
    assert_eq!(consumer("new", &["t"]).beat(&mut seat), ErrorCode::NONE);
    assert_eq!(seat.joined(waiting).error_code, ErrorCode::REBALANCE_IN_PROGRESS);
    let (generation, _) = rejoin(&mut seat, &id, &[]);
    assert_eq!(generation, seat.describe_consumers().group_epoch);
    assert_eq!(seat.heartbeat(&old.member_id, 1), ErrorCode::REBALANCE_IN_PROGRESS);
}

#[test]
fn a_classic_member_is_fenced_like_in_a_classic_group() {
    let mut seat = Seat::new();
    let old = classic_group(&mut seat);
    consumer("new", &["t"]).beat(&mut seat);
    assert_eq!(seat.heartbeat("ghost", 1), ErrorCode::UNKNOWN_MEMBER_ID);
    assert_eq!(seat.heartbeat("new", 2), ErrorCode::UNKNOWN_MEMBER_ID, "that one speaks the newer protocol");
    assert_eq!(seat.heartbeat(&old.member_id, 5), ErrorCode::ILLEGAL_GENERATION);
    let ticket = seat.send_sync(&JoinGroupResponse { generation_id: 5, ..old.clone() }, &[]);
    assert_eq!(seat.synced(ticket).error_code, ErrorCode::ILLEGAL_GENERATION);
    let ticket = seat.send_sync(&old, &[]);
    assert_eq!(seat.synced(ticket).error_code, ErrorCode::REBALANCE_IN_PROGRESS);
    let odd = SyncGroupRequest { protocol_name: Some("range".into()), ..sync(&old, &[]) };
    let ticket = seat.send(GroupCall::Sync(odd), 5);
    assert_eq!(seat.synced(ticket).error_code, ErrorCode::INCONSISTENT_GROUP_PROTOCOL);
    let mut other = classic(&[]);
    other.protocols[0].name = "another".into();
    assert_eq!(seat.join(other).error_code, ErrorCode::INCONSISTENT_GROUP_PROTOCOL);
    assert_eq!(seat.join(join()).error_code, ErrorCode::INCONSISTENT_GROUP_PROTOCOL);
    assert_eq!(seat.leave("ghost", None), ErrorCode::UNKNOWN_MEMBER_ID);
    assert_eq!(seat.leave(&old.member_id, None), ErrorCode::NONE);
    assert_eq!(seat.describe_consumers().members.len(), 1);
}

#[test]
fn a_classic_member_that_does_not_join_or_sync_in_time_is_out() {
    let mut seat = Seat::new();
    let old = classic_group(&mut seat);
    let mut new = consumer("new", &["t"]);
    new.beat(&mut seat);
    for _ in 0..4 {
        assert_eq!(seat.heartbeat(&old.member_id, 1), ErrorCode::REBALANCE_IN_PROGRESS);
        new.beat(&mut seat);
        seat.advance(7_500);
    }
    assert_eq!(seat.heartbeat(&old.member_id, 1), ErrorCode::UNKNOWN_MEMBER_ID);
    new.beat(&mut seat);
    assert_eq!(new.owned.len(), 4);
}

#[test]
fn a_static_member_changes_its_protocol_from_one_process_to_the_next() {
    let mut seat = Seat::new();
    let of = |request: JoinGroupRequest| JoinGroupRequest { group_instance_id: Some("s".into()), ..request };
    let old = seat.join(of(classic(&[])));
    let ticket = seat.send_sync(&old, &[]);
    seat.synced(ticket);
    let mut new = consumer("new", &["t"]);
    new.wants.instance_id = Some("s".into());
    assert_eq!(new.beat(&mut seat), ErrorCode::NONE);
    assert_eq!(new.owned.len(), 4);
    assert_eq!(seat.describe_consumers().members.len(), 1, "it is the same member");
    let mut other = consumer("other", &["t"]);
    seat.converge(&mut [&mut new, &mut other]);
    let back = seat.join(of(classic(&[])));
    assert_eq!(back.error_code, ErrorCode::NONE);
    let types: Vec<_> = seat.describe_consumers().members.iter().map(|member| member.member_type).collect();
    assert_eq!(types.iter().sum::<i8>(), 1, "one of each");
    assert_eq!(new.beat(&mut seat), ErrorCode::FENCED_INSTANCE_ID);
}
