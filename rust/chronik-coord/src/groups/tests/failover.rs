//! Another leader takes over with what the log says.

use super::*;

#[test]
fn a_settled_group_goes_on_where_it_was_and_every_member_has_a_full_session() {
    let mut seat = Seat::new();
    let (leader, follower) = seat.pair();
    seat.advance(9_000);
    seat.fail_over();
    seat.advance(9_000);
    assert_eq!(seat.heartbeat(&leader.member_id, 2), ErrorCode::NONE);
    assert_eq!(seat.heartbeat(&follower.member_id, 2), ErrorCode::NONE);
    let ticket = seat.send_sync(&follower, &[]);
    assert_eq!(&seat.synced(ticket).assignment[..], b"F", "the assignment is recorded");
    let again = seat.join(JoinGroupRequest { member_id: follower.member_id.clone(), ..join() });
    assert_eq!(again.generation_id, 2);
    seat.advance(10_000);
    assert_eq!(seat.heartbeat(&leader.member_id, 2), ErrorCode::UNKNOWN_MEMBER_ID, "and no more than that");
}

#[test]
fn a_rebalance_under_way_begins_anew_and_the_unknown_generation_is_fenced() {
    let mut seat = Seat::new();
    let first = seat.alone();
    let (id, second) = seat.send_first_join(join());
    let led = seat.join(JoinGroupRequest { member_id: first.member_id.clone(), ..join() });
    let follower = seat.joined(second);
    assert_eq!(led.generation_id, 2);
    seat.fail_over();
    assert_eq!(seat.heartbeat(&first.member_id, 2), ErrorCode::ILLEGAL_GENERATION);
    assert_eq!(seat.heartbeat(&id, 2), ErrorCode::UNKNOWN_MEMBER_ID);
    let ticket = seat.send_sync(&follower, &[]);
    assert_eq!(seat.synced(ticket).error_code, ErrorCode::UNKNOWN_MEMBER_ID);
    let stale = OffsetCommitRequest {
        member_id: first.member_id.clone(),
        generation_id_or_member_epoch: 2,
        ..commit(0, 5)
    };
    assert_eq!(seat.commit(stale), ErrorCode::ILLEGAL_GENERATION);
    let again = seat.join(JoinGroupRequest { member_id: first.member_id, ..join() });
    assert_eq!((again.generation_id, again.members.len()), (2, 1));
}

#[test]
fn ids_given_out_are_forgotten_and_given_out_anew() {
    let mut seat = Seat::new();
    let given = seat.join(join());
    seat.fail_over();
    let refused = seat.join(JoinGroupRequest { member_id: given.member_id, ..join() });
    assert_eq!(refused.error_code, ErrorCode::UNKNOWN_MEMBER_ID);
    seat.alone();
}

#[test]
fn static_members_and_open_transactions_survive() {
    let mut seat = Seat::new();
    let of = |instance: &str| JoinGroupRequest { group_instance_id: Some(instance.to_owned()), ..join() };
    let joined = seat.join(of("a"));
    let ticket = seat.send_sync(&joined, &[(&joined.member_id, "all")]);
    seat.synced(ticket);
    seat.commit_in(transactional(7, 1, 0, 5));
    seat.fail_over();
    let back = seat.join(of("a"));
    assert_eq!((back.error_code, back.generation_id, back.skip_assignment), (ErrorCode::NONE, 1, true));
    assert_eq!(seat.fetch(0, true).1, ErrorCode::UNSTABLE_OFFSET_COMMIT);
    seat.marker(7, 1, true);
    seat.fail_over();
    assert_eq!(seat.fetch(0, true), (5, ErrorCode::NONE));
}

#[test]
fn an_empty_group_keeps_its_generation() {
    let mut seat = Seat::new();
    let member = seat.alone();
    seat.leave(&member.member_id, None);
    seat.fail_over();
    assert_eq!(seat.alone().generation_id, 3);
}

#[test]
fn what_is_no_snapshot_of_groups_is_refused() {
    let mut seat = Seat::new();
    seat.pair();
    seat.commit_in(transactional(7, 1, 0, 5));
    let snapshot = seat.log.snapshot();
    for length in 0..snapshot.len() {
        assert!(GroupsState::restore(&snapshot[..length]).is_err(), "cut at {length}");
    }
    let mut other = snapshot.to_vec();
    other[0] ^= 1;
    assert!(GroupsState::restore(&other).is_err());
}

/// With its bug planted each of these scenarios fails.
#[cfg(feature = "mutants")]
#[test]
fn the_scenarios_above_kill_their_bugs() {
    use chronik_mutants::Mutant;
    super::killed(Mutant::GroupSnapshotsForgetOffsets, static_members_and_open_transactions_survive);
}
