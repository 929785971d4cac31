//! Joining, syncing, living and leaving in a classic group.

use super::*;

#[test]
fn the_first_join_makes_the_group_and_its_leader_assigns() {
    let mut seat = Seat::new();
    let (id, ticket) = seat.send_first_join(join());
    let joined = seat.joined(ticket);
    assert_eq!(joined.error_code, ErrorCode::NONE);
    assert_eq!((joined.generation_id, &*joined.leader, &*joined.member_id), (1, &*id, &*id));
    assert_eq!(joined.protocol_name.as_deref(), Some("range"));
    assert_eq!(joined.protocol_type.as_deref(), Some("consumer"));
    assert_eq!(joined.members.len(), 1);
    assert_eq!(&joined.members[0].metadata[..], b"wants t", "metadata is passed on byte for byte");
    assert_eq!(seat.batches, 0, "nothing is settled yet");
    let ticket = seat.send_sync(&joined, &[(&joined.member_id, "all")]);
    let synced = seat.synced(ticket);
    assert_eq!((synced.error_code, &synced.assignment[..]), (ErrorCode::NONE, &b"all"[..]));
    assert_eq!(seat.batches, 1);
    assert_eq!(seat.heartbeat(&id, 1), ErrorCode::NONE);
}

#[test]
fn clients_before_version_4_need_no_second_join() {
    let mut seat = Seat::new();
    let request = JoinGroupRequest { rebalance_timeout_ms: -1, ..join() };
    let ticket = seat.send(GroupCall::Join(request), 0);
    let joined = seat.joined(ticket);
    assert_eq!((joined.error_code, joined.generation_id), (ErrorCode::NONE, 1));
}

#[test]
fn a_second_member_waits_until_the_first_joins_again() {
    let mut seat = Seat::new();
    let (leader, follower) = seat.pair();
    assert_eq!((leader.generation_id, follower.generation_id), (2, 2));
    assert_eq!(leader.leader, leader.member_id, "the leader stays");
    assert_eq!((leader.members.len(), follower.members.len()), (2, 0), "the leader alone needs the members");
    assert_eq!(seat.heartbeat(&leader.member_id, 2), ErrorCode::NONE);
    assert_eq!(seat.heartbeat(&follower.member_id, 2), ErrorCode::NONE);
}

#[test]
fn the_protocol_is_the_one_most_members_like_best_of_those_all_support() {
    let mut seat = Seat::new();
    let offer = |names: &[&str]| JoinGroupRequest {
        protocols: names.iter().map(|name| protocol(name, name)).collect(),
        ..join()
    };
    let (a, ticket) = seat.send_first_join(offer(&["sticky", "range", "roundrobin"]));
    assert_eq!(seat.joined(ticket).protocol_name.as_deref(), Some("sticky"));
    let (_, b) = seat.send_first_join(offer(&["range", "roundrobin"]));
    let (_, c) = seat.send_first_join(offer(&["cooperative", "roundrobin", "range"]));
    let leader = seat.join(JoinGroupRequest { member_id: a.to_string(), ..offer(&["range", "roundrobin"]) });
    assert_eq!(leader.protocol_name.as_deref(), Some("range"), "two votes to one");
    assert_eq!(&leader.members[0].metadata[..], b"range", "metadata of the protocol chosen");
    assert_eq!((seat.joined(b).generation_id, seat.joined(c).generation_id), (2, 2));
    let stranger = seat.join(offer(&["cooperative"]));
    assert_eq!(stranger.error_code, ErrorCode::INCONSISTENT_GROUP_PROTOCOL);
    let stranger = seat.join(JoinGroupRequest { protocol_type: "connect".to_owned(), ..join() });
    assert_eq!(stranger.error_code, ErrorCode::INCONSISTENT_GROUP_PROTOCOL);
}

#[test]
fn joins_that_cannot_be_are_refused() {
    let mut seat = Seat::new();
    let mut refused = |request: JoinGroupRequest, error: ErrorCode| {
        assert_eq!(seat.join(request).error_code, error);
    };
    refused(JoinGroupRequest { group_id: String::new(), ..join() }, ErrorCode::INVALID_GROUP_ID);
    refused(JoinGroupRequest { session_timeout_ms: 0, ..join() }, ErrorCode::INVALID_SESSION_TIMEOUT);
    refused(JoinGroupRequest { session_timeout_ms: 1_800_001, ..join() }, ErrorCode::INVALID_SESSION_TIMEOUT);
    refused(JoinGroupRequest { member_id: "ghost".to_owned(), ..join() }, ErrorCode::UNKNOWN_MEMBER_ID);
    refused(JoinGroupRequest { protocols: Vec::new(), ..join() }, ErrorCode::INCONSISTENT_GROUP_PROTOCOL);
    let no_type = JoinGroupRequest { protocol_type: String::new(), ..join() };
    refused(no_type, ErrorCode::INCONSISTENT_GROUP_PROTOCOL);
    let metadata = "x".repeat(limits::MEMBER_METADATA_BYTES_MAX);
    let too_much = JoinGroupRequest { protocols: vec![protocol("range", &metadata)], ..join() };
    refused(too_much, ErrorCode::INVALID_REQUEST);
    let just_enough = &metadata[..limits::MEMBER_METADATA_BYTES_MAX - "range".len()];
    let request = JoinGroupRequest { protocols: vec![protocol("range", just_enough)], ..join() };
    refused(request, ErrorCode::MEMBER_ID_REQUIRED);
}

#[test]
fn the_metadata_of_all_members_together_is_bounded() {
    let mut seat = Seat::new();
    let metadata = "x".repeat(limits::MEMBER_METADATA_BYTES_MAX - "range".len());
    let large = JoinGroupRequest { protocols: vec![protocol("range", &metadata)], ..join() };
    let members = limits::GROUP_METADATA_BYTES_MAX / limits::MEMBER_METADATA_BYTES_MAX;
    for _ in 0..members {
        let ticket = seat.send(GroupCall::Join(large.clone()), 3);
        assert!(seat.take(ticket).is_none_or(
            |reply| matches!(reply, GroupReply::Join(joined) if joined.error_code == ErrorCode::NONE)
        ));
    }
    let ticket = seat.send(GroupCall::Join(large), 3);
    assert_eq!(seat.joined(ticket).error_code, ErrorCode::GROUP_MAX_SIZE_REACHED);
}

#[test]
fn a_full_group_lets_nobody_in_but_its_members() {
    let mut seat = Seat::with(config(&[("group.max.size", "1")]));
    let member = seat.alone();
    assert_eq!(seat.join(join()).error_code, ErrorCode::GROUP_MAX_SIZE_REACHED);
    let again = seat.join(JoinGroupRequest { member_id: member.member_id, ..join() });
    assert_eq!((again.error_code, again.generation_id), (ErrorCode::NONE, 2));
}

#[test]
fn an_id_nobody_comes_back_with_is_forgotten_and_holds_up_nobody_longer() {
    let mut seat = Seat::new();
    let first = seat.alone();
    let given = seat.join(join());
    assert_eq!(given.error_code, ErrorCode::MEMBER_ID_REQUIRED);
    let again = seat.send_join(JoinGroupRequest { member_id: first.member_id.clone(), ..join() });
    assert!(seat.take(again).is_none(), "the other one is expected");
    seat.advance(9_999);
    assert!(seat.take(again).is_none());
    seat.advance(1);
    assert_eq!(seat.joined(again).generation_id, 2);
    let late = seat.join(JoinGroupRequest { member_id: given.member_id, ..join() });
    assert_eq!(late.error_code, ErrorCode::UNKNOWN_MEMBER_ID);
}

#[test]
fn a_member_that_does_not_join_again_in_time_is_out() {
    let mut seat = Seat::new();
    let (leader, follower) = seat.pair();
    let again = seat.send_join(JoinGroupRequest { member_id: leader.member_id.clone(), ..join() });
    for _ in 0..5 {
        seat.advance(5_999);
        assert_eq!(seat.heartbeat(&follower.member_id, 2), ErrorCode::REBALANCE_IN_PROGRESS);
    }
    assert!(seat.take(again).is_none(), "it heartbeats and may yet join");
    seat.advance(5);
    let next = seat.joined(again);
    assert_eq!((next.generation_id, next.members.len()), (3, 1));
    assert_eq!(seat.heartbeat(&follower.member_id, 3), ErrorCode::UNKNOWN_MEMBER_ID);
}

#[test]
fn a_silent_member_is_out_and_the_others_rebalance() {
    let mut seat = Seat::new();
    let (leader, follower) = seat.pair();
    seat.advance(9_000);
    assert_eq!(seat.heartbeat(&follower.member_id, 2), ErrorCode::NONE);
    seat.advance(1_000);
    assert_eq!(seat.heartbeat(&leader.member_id, 2), ErrorCode::UNKNOWN_MEMBER_ID);
    assert_eq!(seat.heartbeat(&follower.member_id, 2), ErrorCode::REBALANCE_IN_PROGRESS);
    let next = seat.join(JoinGroupRequest { member_id: follower.member_id.clone(), ..join() });
    assert_eq!((next.generation_id, next.leader), (3, follower.member_id));
}

#[test]
fn a_member_that_waits_for_us_may_be_silent() {
    let mut seat = Seat::new();
    let (leader, follower) = seat.pair();
    let again = seat.send_join(JoinGroupRequest { member_id: leader.member_id, ..join() });
    for _ in 0..3 {
        seat.advance(9_000);
        assert_eq!(seat.heartbeat(&follower.member_id, 2), ErrorCode::REBALANCE_IN_PROGRESS);
    }
    let other = seat.join(JoinGroupRequest { member_id: follower.member_id, ..join() });
    assert_eq!((seat.joined(again).generation_id, other.generation_id), (3, 3));
}

#[test]
fn an_empty_group_waits_for_more_members_but_not_for_ever() {
    let mut seat = Seat::with(config(&[("group.initial.rebalance.delay.ms", "3000")]));
    let (_, first) = seat.send_first_join(join());
    seat.advance(2_000);
    let (_, second) = seat.send_first_join(join());
    seat.advance(1_000);
    assert!(seat.take(first).is_none(), "somebody came: it waits once more");
    seat.advance(3_000);
    let (first, second) = (seat.joined(first), seat.joined(second));
    assert_eq!((first.generation_id, first.members.len(), second.generation_id), (1, 2, 1));

    let patience = JoinGroupRequest { rebalance_timeout_ms: 7_000, session_timeout_ms: 60_000, ..join() };
    let mut seat = Seat::with(config(&[("group.initial.rebalance.delay.ms", "3000")]));
    let (_, first) = seat.send_first_join(patience.clone());
    for _ in 0..3 {
        seat.advance(2_333);
        seat.send_first_join(patience.clone());
    }
    seat.advance(1);
    assert_eq!(seat.joined(first).members.len(), 4, "the most patient one's time is up");
}

#[test]
fn a_generation_whose_members_do_not_fetch_their_assignment_begins_anew_without_them() {
    let mut seat = Seat::new();
    let first = seat.alone();
    let (_, second) = seat.send_first_join(join());
    let leader = seat.join(JoinGroupRequest { member_id: first.member_id.clone(), ..join() });
    let follower = seat.joined(second);
    let waiting = seat.send_sync(&follower, &[]);
    for _ in 0..3 {
        seat.advance(9_999);
        assert_eq!(seat.heartbeat(&leader.member_id, 2), ErrorCode::NONE);
    }
    assert!(seat.take(waiting).is_none());
    seat.advance(3);
    assert_eq!(seat.synced(waiting).error_code, ErrorCode::REBALANCE_IN_PROGRESS);
    assert_eq!(seat.heartbeat(&leader.member_id, 2), ErrorCode::UNKNOWN_MEMBER_ID);
    let next = seat.join(JoinGroupRequest { member_id: follower.member_id, ..join() });
    assert_eq!((next.generation_id, next.members.len()), (3, 1));
}

#[test]
fn who_joins_again_unchanged_learns_the_generation_and_only_the_leader_starts_another() {
    let mut seat = Seat::new();
    let (leader, follower) = seat.pair();
    let again = seat.join(JoinGroupRequest { member_id: follower.member_id.clone(), ..join() });
    assert_eq!((again.error_code, again.generation_id), (ErrorCode::NONE, 2), "a lost answer, no storm");
    assert_eq!(seat.heartbeat(&leader.member_id, 2), ErrorCode::NONE);
    let changed = JoinGroupRequest {
        member_id: follower.member_id.clone(),
        protocols: vec![protocol("range", "wants u")],
        ..join()
    };
    let waiting = seat.send_join(changed);
    assert_eq!(seat.heartbeat(&leader.member_id, 2), ErrorCode::REBALANCE_IN_PROGRESS);
    let led = seat.join(JoinGroupRequest { member_id: leader.member_id, ..join() });
    assert_eq!((led.generation_id, seat.joined(waiting).generation_id), (3, 3));
}

#[test]
fn a_lost_join_answer_is_given_again_while_the_leader_assigns() {
    let mut seat = Seat::new();
    let first = seat.alone();
    let (_, second) = seat.send_first_join(join());
    let leader = seat.join(JoinGroupRequest { member_id: first.member_id, ..join() });
    let follower = seat.joined(second);
    let again = seat.join(JoinGroupRequest { member_id: follower.member_id.clone(), ..join() });
    assert_eq!(again.generation_id, follower.generation_id);
    let again = seat.join(JoinGroupRequest { member_id: leader.member_id.clone(), ..join() });
    assert_eq!(again.members, leader.members, "the leader gets its members again");
}

#[test]
fn syncs_and_heartbeats_of_another_generation_member_or_protocol_are_refused() {
    let mut seat = Seat::new();
    let (leader, _) = seat.pair();
    let mut refused = |request: SyncGroupRequest, error: ErrorCode| {
        let ticket = seat.send(GroupCall::Sync(request), 5);
        assert_eq!(seat.synced(ticket).error_code, error);
    };
    let right = sync(&leader, &[]);
    refused(SyncGroupRequest { generation_id: 1, ..right.clone() }, ErrorCode::ILLEGAL_GENERATION);
    refused(SyncGroupRequest { generation_id: 3, ..right.clone() }, ErrorCode::ILLEGAL_GENERATION);
    refused(SyncGroupRequest { member_id: "ghost".into(), ..right.clone() }, ErrorCode::UNKNOWN_MEMBER_ID);
    refused(SyncGroupRequest { group_id: "other".into(), ..right.clone() }, ErrorCode::UNKNOWN_MEMBER_ID);
    refused(SyncGroupRequest { group_id: String::new(), ..right.clone() }, ErrorCode::INVALID_GROUP_ID);
    let other = Some("roundrobin".to_owned());
    refused(
        SyncGroupRequest { protocol_name: other.clone(), ..right.clone() },
        ErrorCode::INCONSISTENT_GROUP_PROTOCOL,
    );
    refused(
        SyncGroupRequest { protocol_type: other, ..right.clone() },
        ErrorCode::INCONSISTENT_GROUP_PROTOCOL,
    );
    refused(SyncGroupRequest { protocol_name: None, protocol_type: None, ..right }, ErrorCode::NONE);
    assert_eq!(seat.heartbeat(&leader.member_id, 1), ErrorCode::ILLEGAL_GENERATION);
    assert_eq!(seat.heartbeat("ghost", 2), ErrorCode::UNKNOWN_MEMBER_ID);
}

#[test]
fn members_leave_and_the_last_one_leaves_an_empty_group() {
    let mut seat = Seat::new();
    let (leader, follower) = seat.pair();
    assert_eq!(seat.leave("ghost", None), ErrorCode::UNKNOWN_MEMBER_ID);
    assert_eq!(seat.heartbeat(&follower.member_id, 2), ErrorCode::NONE, "no rebalance for nothing");
    assert_eq!(seat.leave(&leader.member_id, None), ErrorCode::NONE);
    let alone = seat.join(JoinGroupRequest { member_id: follower.member_id.clone(), ..join() });
    assert_eq!((alone.generation_id, &alone.leader), (3, &follower.member_id));
    assert_eq!(seat.leave(&follower.member_id, None), ErrorCode::NONE);
    assert_eq!(seat.heartbeat(&follower.member_id, 3), ErrorCode::UNKNOWN_MEMBER_ID);
    let next = seat.alone();
    assert_eq!(next.generation_id, 5, "generations go on: 4 was the empty one");
}

#[test]
fn an_old_leave_names_one_member_and_answers_with_one_error() {
    let mut seat = Seat::new();
    let member = seat.alone();
    let leave = |member_id: &str| LeaveGroupRequest {
        group_id: GROUP.to_owned(),
        member_id: member_id.to_owned(),
        ..Default::default()
    };
    for (member_id, error) in [("ghost", ErrorCode::UNKNOWN_MEMBER_ID), (&*member.member_id, ErrorCode::NONE)]
    {
        match seat.ask(GroupCall::Leave(leave(member_id)), 2) {
            GroupReply::Leave(response) => assert_eq!(response.error_code, error),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_client_that_went_away_is_not_answered_and_does_not_stop_the_others() {
    let mut seat = Seat::new();
    let first = seat.alone();
    let (_, second) = seat.send_first_join(join());
    seat.cancel(second);
    let led = seat.join(JoinGroupRequest { member_id: first.member_id, ..join() });
    assert_eq!(led.members.len(), 2, "its member stays until its session ends");
    let waiting = seat.send_sync(&led, &[]);
    assert_eq!(seat.synced(waiting).error_code, ErrorCode::NONE);
    for _ in 0..2 {
        seat.advance(5_000);
        seat.heartbeat(&led.member_id, 2);
    }
    assert_eq!(seat.heartbeat(&led.member_id, 2), ErrorCode::REBALANCE_IN_PROGRESS);
}

#[test]
fn a_request_sent_twice_gets_two_answers() {
    let mut seat = Seat::new();
    let (leader, follower) = seat.pair();
    let first = seat.send_join(JoinGroupRequest { member_id: leader.member_id.clone(), ..join() });
    let second = seat.send_join(JoinGroupRequest { member_id: leader.member_id, ..join() });
    assert_eq!(seat.joined(first).error_code, ErrorCode::REBALANCE_IN_PROGRESS);
    seat.join(JoinGroupRequest { member_id: follower.member_id.clone(), ..join() });
    assert_eq!(seat.joined(second).generation_id, 3);
    let again = JoinGroupResponse { generation_id: 3, ..follower };
    let first = seat.send_sync(&again, &[]);
    let second = seat.send_sync(&again, &[]);
    assert_eq!(seat.synced(first).error_code, ErrorCode::REBALANCE_IN_PROGRESS);
    assert!(seat.take(second).is_none());
}

#[test]
fn an_assignment_that_no_record_can_hold_fails_and_the_group_lives_on() {
    let mut seat = Seat::new();
    let (_, ticket) = seat.send_first_join(join());
    let joined = seat.joined(ticket);
    let huge = "x".repeat(limits::RECORD_BYTES_MAX);
    let ticket = seat.send_sync(&joined, &[(&joined.member_id, &huge)]);
    assert_eq!(seat.synced(ticket).error_code, ErrorCode::UNKNOWN_SERVER_ERROR);
    assert_eq!(seat.heartbeat(&joined.member_id, 1), ErrorCode::REBALANCE_IN_PROGRESS);
    let next = seat.join(JoinGroupRequest { member_id: joined.member_id, ..join() });
    assert_eq!(next.generation_id, 2);
}

/// With its bug planted each of these scenarios fails.
#[cfg(feature = "mutants")]
#[test]
fn the_scenarios_above_kill_their_bugs() {
    use chronik_mutants::Mutant;
    super::killed(Mutant::SessionsNeverEnd, a_silent_member_is_out_and_the_others_rebalance);
}
