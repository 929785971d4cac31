//! Static members: a client that says who it is comes back without anybody noticing.

use super::*;

fn of(instance: &str) -> JoinGroupRequest {
    JoinGroupRequest { group_instance_id: Some(instance.to_owned()), ..join() }
}

/// A settled group of two static members.
fn pair(seat: &mut Seat) -> (JoinGroupResponse, JoinGroupResponse) {
    let first = seat.join(of("a"));
    let ticket = seat.send_sync(&first, &[]);
    assert_eq!(seat.synced(ticket).error_code, ErrorCode::NONE);
    let second = seat.send_join(of("b"));
    let leader = seat.join(JoinGroupRequest { member_id: first.member_id, ..of("a") });
    let follower = seat.joined(second);
    let assignments = [(leader.member_id.as_str(), "A"), (follower.member_id.as_str(), "B")];
    let ticket = seat.send_sync(&leader, &assignments);
    assert_eq!(&seat.synced(ticket).assignment[..], b"A");
    let ticket = seat.send_sync(&follower, &[]);
    assert_eq!(&seat.synced(ticket).assignment[..], b"B");
    (leader, follower)
}

fn sync_of(joined: &JoinGroupResponse, instance: &str) -> SyncGroupRequest {
    SyncGroupRequest { group_instance_id: Some(instance.to_owned()), ..sync(joined, &[]) }
}

fn heartbeat_of(joined: &JoinGroupResponse, instance: &str) -> HeartbeatRequest {
    HeartbeatRequest {
        group_id: GROUP.to_owned(),
        generation_id: joined.generation_id,
        member_id: joined.member_id.clone(),
        group_instance_id: Some(instance.to_owned()),
    }
}

#[test]
fn a_restart_keeps_the_assignment_and_fences_the_former_self() {
    let mut seat = Seat::new();
    let (leader, follower) = pair(&mut seat);
    let back = seat.join(of("b"));
    assert_eq!((back.error_code, back.generation_id), (ErrorCode::NONE, 2), "no rebalance");
    assert_ne!(back.member_id, follower.member_id);
    assert_eq!(seat.heartbeat(&leader.member_id, 2), ErrorCode::NONE);
    let ticket = seat.send(GroupCall::Sync(sync_of(&back, "b")), 5);
    assert_eq!(&seat.synced(ticket).assignment[..], b"B");
    assert_eq!(seat.heartbeat_with(heartbeat_of(&follower, "b")), ErrorCode::FENCED_INSTANCE_ID);
    let ticket = seat.send(GroupCall::Sync(sync_of(&follower, "b")), 5);
    assert_eq!(seat.synced(ticket).error_code, ErrorCode::FENCED_INSTANCE_ID);
    let stale = seat.join(JoinGroupRequest { member_id: follower.member_id.clone(), ..of("b") });
    assert_eq!(stale.error_code, ErrorCode::FENCED_INSTANCE_ID);
    assert_eq!(seat.leave(&follower.member_id, Some("b")), ErrorCode::FENCED_INSTANCE_ID);
    let stale = OffsetCommitRequest {
        member_id: follower.member_id,
        group_instance_id: Some("b".to_owned()),
        generation_id_or_member_epoch: 2,
        ..commit(0, 1)
    };
    assert_eq!(seat.commit(stale), ErrorCode::FENCED_INSTANCE_ID);
    assert_eq!(seat.heartbeat_with(heartbeat_of(&back, "c")), ErrorCode::UNKNOWN_MEMBER_ID);
}

#[test]
fn a_leader_that_restarts_leads_on_and_need_not_assign() {
    let mut seat = Seat::new();
    let (leader, follower) = pair(&mut seat);
    let back = seat.join(of("a"));
    assert_eq!((back.generation_id, back.skip_assignment), (2, true));
    assert_eq!((&back.leader, back.members.len()), (&back.member_id, 2));
    let ticket = seat.send(GroupCall::Join(of("a")), 8);
    let older = seat.joined(ticket);
    assert_eq!(older.leader, back.member_id, "an older client is told that its former self leads");
    assert!(older.members.is_empty() && !older.skip_assignment);
    assert_eq!(seat.heartbeat(&follower.member_id, 2), ErrorCode::NONE);
    assert_ne!(leader.member_id, back.member_id);
}

#[test]
fn a_restart_with_another_protocol_rebalances() {
    let mut seat = Seat::new();
    let both = |instance: &str| JoinGroupRequest {
        protocols: vec![protocol("range", "r"), protocol("sticky", "s")],
        ..of(instance)
    };
    let alone = seat.join(both("a"));
    let ticket = seat.send_sync(&alone, &[]);
    assert_eq!(seat.synced(ticket).protocol_name.as_deref(), Some("range"));
    let sticky = JoinGroupRequest { protocols: vec![protocol("sticky", "s")], ..of("a") };
    let back = seat.join(sticky);
    assert_eq!((back.generation_id, back.protocol_name.as_deref()), (2, Some("sticky")));
}

#[test]
fn a_restart_during_a_rebalance_joins_it_in_its_former_place() {
    let mut seat = Seat::new();
    let (leader, _) = pair(&mut seat);
    let waiting = seat.send_join(JoinGroupRequest { member_id: leader.member_id.clone(), ..of("a") });
    let back = seat.send_join(of("a"));
    assert_eq!(seat.joined(waiting).error_code, ErrorCode::FENCED_INSTANCE_ID);
    let other = seat.send_join(of("b"));
    let (back, other) = (seat.joined(back), seat.joined(other));
    assert_eq!((back.generation_id, other.generation_id), (3, 3));
    assert_eq!(back.leader, back.member_id);
}

#[test]
fn a_static_member_that_does_not_join_in_time_stays_until_its_session_ends() {
    let mut seat = Seat::new();
    let short = |instance: &str| JoinGroupRequest { rebalance_timeout_ms: 2_000, ..of(instance) };
    let a = seat.join(short("a"));
    let ticket = seat.send_sync(&a, &[]);
    seat.synced(ticket);
    let b = seat.send_join(short("b"));
    seat.advance(2_000);
    let b = seat.joined(b);
    assert_eq!((b.generation_id, b.members.len(), &b.leader), (2, 2, &b.member_id), "a is still a member");
    let ticket = seat.send_sync(&b, &[]);
    seat.synced(ticket);
    seat.advance(2_000);
    assert_eq!(seat.heartbeat(&b.member_id, 2), ErrorCode::REBALANCE_IN_PROGRESS, "a never fetched its part");
}

#[test]
fn an_administrator_removes_a_static_member_by_its_name() {
    let mut seat = Seat::new();
    let (leader, follower) = pair(&mut seat);
    assert_eq!(seat.leave("", Some("z")), ErrorCode::UNKNOWN_MEMBER_ID);
    assert_eq!(seat.leave("", Some("b")), ErrorCode::NONE);
    assert_eq!(seat.heartbeat(&follower.member_id, 2), ErrorCode::UNKNOWN_MEMBER_ID);
    assert_eq!(seat.heartbeat(&leader.member_id, 2), ErrorCode::REBALANCE_IN_PROGRESS);
}
