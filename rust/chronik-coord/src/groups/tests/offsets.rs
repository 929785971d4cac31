//! Committing, reading, deleting and expiring offsets.

use super::*;
use chronik_wire::messages::offset_delete::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};

const DAY_MS: i64 = 24 * 3_600_000;

/// The wire form of a consumer's subscription.
fn subscribed_to(topic: &str) -> JoinGroupRequest {
    let metadata = format!("\0\0\0\0\0\x01\0\x01{topic}\u{0}\0\0\0");
    JoinGroupRequest { protocols: vec![protocol("range", &metadata)], ..join() }
}

fn delete(seat: &mut Seat, topic: &str, partition: i32) -> (ErrorCode, ErrorCode) {
    let request = OffsetDeleteRequest {
        group_id: GROUP.to_owned(),
        topics: vec![OffsetDeleteRequestTopic {
            name: topic.to_owned(),
            partitions: vec![OffsetDeleteRequestPartition { partition_index: partition }],
        }],
    };
    match seat.ask(GroupCall::OffsetDelete(request), 0) {
        GroupReply::OffsetDelete(response) => {
            let partition = response.topics.first().map(|topic| topic.partitions[0].error_code);
            (response.error_code, partition.unwrap_or(ErrorCode::NONE))
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_nobody_committed_is_minus_one_without_an_error() {
    let mut seat = Seat::new();
    let fetched = seat.fetch_of("unknown", "t", 0, true);
    assert_eq!((fetched.committed_offset, fetched.error_code), (-1, ErrorCode::NONE));
    assert_eq!((fetched.committed_leader_epoch, fetched.metadata.as_deref()), (-1, Some("")));
}

#[test]
fn a_commit_without_a_group_makes_one_and_comes_back_as_it_was() {
    let mut seat = Seat::new();
    assert_eq!(seat.commit(commit(2, 41)), ErrorCode::NONE);
    let fetched = seat.fetch_of(GROUP, "t", 2, false);
    assert_eq!((fetched.committed_offset, fetched.committed_leader_epoch), (41, 3));
    assert_eq!(fetched.metadata.as_deref(), Some("note"));
    assert_eq!(seat.commit(commit(2, 40)), ErrorCode::NONE, "going back is allowed");
    assert_eq!(seat.fetch(2, false).0, 40);
    assert_eq!(seat.fetch(1, false), (-1, ErrorCode::NONE));
}

#[test]
fn all_offsets_of_a_group_come_in_order() {
    let mut seat = Seat::new();
    seat.commit(commit(3, 1));
    seat.commit(commit(1, 2));
    assert_eq!(seat.commit_in(transactional(7, 0, 2, 9)), ErrorCode::NONE);
    for (require_stable, expected) in [(false, vec![(1, 2), (3, 1)]), (true, vec![(1, 2), (2, -1), (3, 1)])] {
        let group =
            OffsetFetchRequestGroup { group_id: GROUP.to_owned(), topics: None, ..Default::default() };
        let GroupReply::OffsetFetch(response) = seat.ask(GroupCall::OffsetFetch { group, require_stable }, 8)
        else {
            panic!("another answer")
        };
        let of = |one: &OffsetFetchResponsePartitions| (one.partition_index, one.committed_offset);
        assert_eq!(response.topics[0].partitions.iter().map(of).collect::<Vec<_>>(), expected);
    }
}

#[test]
fn metadata_of_4096_characters_is_kept_and_one_more_fails_its_partition_alone() {
    let mut seat = Seat::new();
    let mut request = commit(0, 5);
    request.topics[0].partitions[0].committed_metadata = Some("ü".repeat(4_096));
    let mut second = request.topics[0].partitions[0].clone();
    second.partition_index = 1;
    second.committed_metadata = Some("x".repeat(4_097));
    request.topics[0].partitions.push(second);
    let GroupReply::OffsetCommit(response) = seat.ask(GroupCall::OffsetCommit(request), 8) else {
        panic!("another answer")
    };
    let errors: Vec<_> = response.topics[0].partitions.iter().map(|one| one.error_code).collect();
    assert_eq!(errors, [ErrorCode::NONE, ErrorCode::OFFSET_METADATA_TOO_LARGE]);
    assert_eq!((seat.fetch(0, false).0, seat.fetch(1, false).0), (5, -1));
}

#[test]
fn members_commit_with_their_generation_and_nobody_else_does() {
    let mut seat = Seat::new();
    let (leader, _) = seat.pair();
    let by = |member: &str, generation: i32| OffsetCommitRequest {
        member_id: member.to_owned(),
        generation_id_or_member_epoch: generation,
        ..commit(0, 9)
    };
    assert_eq!(seat.commit(by(&leader.member_id, 2)), ErrorCode::NONE);
    assert_eq!(seat.commit(by(&leader.member_id, 1)), ErrorCode::ILLEGAL_GENERATION);
    assert_eq!(seat.commit(by("ghost", 2)), ErrorCode::UNKNOWN_MEMBER_ID);
    assert_eq!(seat.commit(by("", -1)), ErrorCode::UNKNOWN_MEMBER_ID, "the group has members");
    seat.leave(&leader.member_id, None);
    let stale = by(&leader.member_id, 2);
    assert_eq!(seat.commit(stale), ErrorCode::UNKNOWN_MEMBER_ID);
}

#[test]
fn who_names_a_generation_of_a_group_that_does_not_exist_is_refused() {
    let mut seat = Seat::new();
    let request = OffsetCommitRequest { generation_id_or_member_epoch: 0, ..commit(0, 1) };
    assert_eq!(seat.commit_as(request.clone(), 8), ErrorCode::ILLEGAL_GENERATION);
    assert_eq!(seat.commit_as(request.clone(), 9), ErrorCode::GROUP_ID_NOT_FOUND);
    seat.commit(commit(0, 1));
    assert_eq!(seat.commit_as(request, 9), ErrorCode::UNKNOWN_MEMBER_ID);
}

#[test]
fn no_commit_while_the_leader_assigns_but_during_the_joins() {
    let mut seat = Seat::new();
    let first = seat.alone();
    let (_, second) = seat.send_first_join(join());
    let by = |generation: i32| OffsetCommitRequest {
        member_id: first.member_id.clone(),
        generation_id_or_member_epoch: generation,
        ..commit(0, 9)
    };
    assert_eq!(seat.commit(by(1)), ErrorCode::NONE, "what was read so far is committed before joining again");
    seat.join(JoinGroupRequest { member_id: first.member_id.clone(), ..join() });
    assert_eq!(seat.commit(by(2)), ErrorCode::REBALANCE_IN_PROGRESS);
    assert_eq!(seat.joined(second).generation_id, 2);
}

#[test]
fn a_commit_keeps_its_member_alive() {
    let mut seat = Seat::new();
    let (leader, follower) = seat.pair();
    for _ in 0..4 {
        seat.advance(6_000);
        let request = OffsetCommitRequest {
            member_id: leader.member_id.clone(),
            generation_id_or_member_epoch: 2,
            ..commit(0, 1)
        };
        assert_eq!(seat.commit(request), ErrorCode::NONE);
        seat.heartbeat(&follower.member_id, 2);
    }
    assert_eq!(seat.heartbeat(&leader.member_id, 2), ErrorCode::NONE);
}

#[test]
fn a_group_has_a_bounded_number_of_offsets() {
    let mut seat = Seat::new();
    let mut request = commit(0, 1);
    let one = request.topics[0].partitions[0].clone();
    let count = i32::try_from(limits::OFFSETS_PER_GROUP_MAX).expect("fits");
    request.topics[0].partitions = (0..=count)
        .map(|partition_index| OffsetCommitRequestPartition { partition_index, ..one.clone() })
        .collect();
    assert_eq!(seat.commit(request), ErrorCode::INVALID_COMMIT_OFFSET_SIZE);
    assert_eq!(seat.batches, 0);
}

#[test]
fn offsets_in_a_transaction_count_from_its_marker_on() {
    let mut seat = Seat::new();
    seat.commit(commit(0, 1));
    assert_eq!(seat.commit_in(transactional(7, 0, 0, 5)), ErrorCode::NONE);
    assert_eq!(seat.fetch(0, false), (1, ErrorCode::NONE));
    assert_eq!(seat.fetch(0, true), (-1, ErrorCode::UNSTABLE_OFFSET_COMMIT));
    assert_eq!(seat.fetch(1, true), (-1, ErrorCode::NONE));
    seat.marker(7, 0, true);
    assert_eq!(seat.fetch(0, true), (5, ErrorCode::NONE));
    assert_eq!(seat.commit_in(transactional(7, 0, 0, 8)), ErrorCode::NONE);
    seat.marker(7, 0, false);
    assert_eq!(seat.fetch(0, true), (5, ErrorCode::NONE), "aborted");
    seat.marker(99, 0, true);
}

#[test]
fn a_producers_older_epoch_is_refused_and_a_newer_epochs_marker_ends_the_older_transaction() {
    let mut seat = Seat::new();
    assert_eq!(seat.commit_in(transactional(7, 3, 0, 5)), ErrorCode::NONE);
    assert_eq!(seat.commit_in(transactional(7, 2, 0, 9)), ErrorCode::INVALID_PRODUCER_EPOCH);
    assert_eq!(seat.commit_in(transactional(-1, 0, 0, 9)), ErrorCode::INVALID_PRODUCER_ID_MAPPING);
    seat.marker(7, 2, true);
    assert_eq!(seat.fetch(0, true).1, ErrorCode::UNSTABLE_OFFSET_COMMIT, "that marker was for an older one");
    seat.marker(7, 4, false);
    assert_eq!(seat.fetch(0, true), (-1, ErrorCode::NONE));
}

#[test]
fn a_commit_after_a_transactions_offset_wins_whenever_the_marker_is_seen() {
    let mut seat = Seat::new();
    seat.commit_in(transactional(7, 0, 0, 5));
    seat.commit(commit(0, 6));
    seat.marker(7, 0, true);
    assert_eq!(seat.fetch(0, true), (6, ErrorCode::NONE));

    // A follower may see the marker before the commit, the leader after it: both must end alike.
    let record = |offset: i64| record::GroupRecord::Offset {
        group: GROUP.into(),
        topic: "t".into(),
        partition: 0,
        value: Some(chronik_wire::messages::group_records::OffsetCommitValue {
            offset,
            ..Default::default()
        }),
    };
    let transaction = OpenTransaction { producer: 7, epoch: 0 };
    for later in [
        record(6),
        record::GroupRecord::Offset { group: GROUP.into(), topic: "t".into(), partition: 0, value: None },
    ] {
        let mut leader = GroupsState::default();
        leader.apply_record(record(5), Some(transaction)).expect("applies");
        let mut follower = leader.clone();
        leader.apply_record(later.clone(), None).expect("applies");
        leader.apply_marker(transaction, true);
        follower.apply_marker(transaction, true);
        follower.apply_record(later, None).expect("applies");
        assert_eq!(leader.snapshot(), follower.snapshot());
    }
}

#[test]
fn a_transaction_may_say_who_its_consumer_is_and_is_fenced_like_it() {
    let mut seat = Seat::new();
    let member = seat.alone();
    let by = |member_id: &str, generation_id: i32| TxnOffsetCommitRequest {
        member_id: member_id.to_owned(),
        generation_id,
        ..transactional(7, 0, 0, 5)
    };
    assert_eq!(seat.commit_in(by("", -1)), ErrorCode::NONE, "older producers say nothing");
    assert_eq!(seat.commit_in(by(&member.member_id, 1)), ErrorCode::NONE);
    assert_eq!(seat.commit_in(by(&member.member_id, 0)), ErrorCode::ILLEGAL_GENERATION);
    assert_eq!(seat.commit_in(by("ghost", 1)), ErrorCode::UNKNOWN_MEMBER_ID);
    let nowhere = TxnOffsetCommitRequest { group_id: "other".to_owned(), ..by("m", 1) };
    assert_eq!(seat.commit_in(nowhere), ErrorCode::ILLEGAL_GENERATION);
}

#[test]
fn offsets_are_deleted_unless_somebody_reads_the_topic() {
    let mut seat = Seat::new();
    assert_eq!(delete(&mut seat, "t", 0).0, ErrorCode::GROUP_ID_NOT_FOUND);
    seat.commit(commit(0, 1));
    seat.commit(commit(1, 1));
    let (_, ticket) = seat.send_first_join(subscribed_to("t"));
    let joined = seat.joined(ticket);
    let ticket = seat.send_sync(&joined, &[]);
    seat.synced(ticket);
    assert_eq!(delete(&mut seat, "t", 0), (ErrorCode::NONE, ErrorCode::GROUP_SUBSCRIBED_TO_TOPIC));
    assert_eq!(delete(&mut seat, "u", 0), (ErrorCode::NONE, ErrorCode::NONE), "not there, and that is fine");
    seat.leave(&joined.member_id, None);
    assert_eq!(delete(&mut seat, "t", 0), (ErrorCode::NONE, ErrorCode::NONE));
    assert_eq!((seat.fetch(0, false).0, seat.fetch(1, false).0), (-1, 1));

    let mut seat = Seat::new();
    let connect = JoinGroupRequest { protocol_type: "connect".to_owned(), ..join() };
    seat.send_first_join(connect);
    assert_eq!(delete(&mut seat, "t", 0).0, ErrorCode::NON_EMPTY_GROUP);
}

#[test]
fn offsets_of_nobody_expire_by_the_age_of_the_commit() {
    let mut seat = Seat::new();
    seat.commit(commit(0, 1));
    seat.advance(4 * DAY_MS);
    seat.commit(commit(1, 1));
    seat.commit_in(transactional(7, 0, 0, 9));
    seat.advance(4 * DAY_MS);
    assert_eq!(seat.fetch(0, false).0, 1, "a transaction may yet change it");
    seat.marker(7, 0, false);
    seat.advance(600_000);
    assert_eq!((seat.fetch(0, false).0, seat.fetch(1, false).0), (-1, 1));
    seat.advance(4 * DAY_MS);
    assert_eq!(seat.log.groups().count(), 0, "nothing is left of the group");
}

#[test]
fn offsets_of_an_empty_group_expire_by_when_it_became_empty_and_those_of_topics_read_do_not() {
    let mut seat = Seat::new();
    let long = JoinGroupRequest { session_timeout_ms: 1_800_000, ..subscribed_to("t") };
    let (id, ticket) = seat.send_first_join(long);
    let joined = seat.joined(ticket);
    let ticket = seat.send_sync(&joined, &[]);
    seat.synced(ticket);
    let by = |partition: i32| OffsetCommitRequest {
        member_id: joined.member_id.clone(),
        generation_id_or_member_epoch: 1,
        ..commit(partition, 1)
    };
    seat.commit(by(0));
    let mut unread = by(0);
    unread.topics[0].name = "u".to_owned();
    seat.commit(unread);
    for _ in 0..(8 * DAY_MS / 1_000_000) {
        seat.advance(1_000_000);
        assert_eq!(seat.heartbeat(&id, 1), ErrorCode::NONE);
    }
    assert_eq!((seat.fetch(0, false).0, seat.fetch_of(GROUP, "u", 0, false).committed_offset), (1, -1));
    seat.leave(&id, None);
    seat.fail_over();
    seat.advance(7 * DAY_MS - 1);
    assert_eq!(seat.fetch(0, false).0, 1);
    seat.advance(600_001);
    assert_eq!(seat.fetch(0, false).0, -1);
    assert_eq!(seat.log.groups().count(), 0);
}

#[test]
fn an_old_client_says_itself_how_long_its_offset_is_kept() {
    let mut seat = Seat::new();
    let request = OffsetCommitRequest { retention_time_ms: DAY_MS, ..commit(0, 1) };
    assert_eq!(seat.commit_as(request, 3), ErrorCode::NONE);
    seat.advance(DAY_MS - 1);
    assert_eq!(seat.fetch(0, false).0, 1);
    seat.advance(600_001);
    assert_eq!(seat.fetch(0, false).0, -1);
}

#[test]
fn offsets_go_with_their_topic_and_are_not_those_of_a_new_one_of_that_name() {
    let mut seat = Seat::new();
    seat.commit(commit(0, 7));
    let mut unknown = commit(0, 8);
    unknown.topics[0].name = "not in our image".to_owned();
    seat.commit(unknown);
    let of_new_topic = |seat: &mut Seat| {
        let topics = vec![OffsetFetchRequestTopics {
            name: "t".to_owned(),
            topic_id: TopicId(9),
            partition_indexes: vec![0],
        }];
        let group = OffsetFetchRequestGroup {
            group_id: GROUP.to_owned(),
            topics: Some(topics),
            ..Default::default()
        };
        match seat.ask(GroupCall::OffsetFetch { group, require_stable: false }, 10) {
            GroupReply::OffsetFetch(response) => response.topics[0].partitions[0].committed_offset,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(of_new_topic(&mut seat), -1);
    seat.configure(GroupsConfig { topics: topics(&[("t", 9, 4)]), ..seat.config.clone() });
    seat.advance(1_000);
    assert_eq!(seat.fetch(0, false).0, -1);
    let fetched = seat.fetch_of(GROUP, "not in our image", 0, false);
    assert_eq!(fetched.committed_offset, 8, "we may know less than whoever committed");
}

/// With its bug planted each of these scenarios fails.
#[cfg(feature = "mutants")]
#[test]
fn the_scenarios_above_kill_their_bugs() {
    use chronik_mutants::Mutant;
    super::killed(Mutant::OldGenerationCommits, members_commit_with_their_generation_and_nobody_else_does);
    super::killed(Mutant::UnstableOffsetsTold, offsets_in_a_transaction_count_from_its_marker_on);
    super::killed(Mutant::AbortedOffsetsKept, offsets_in_a_transaction_count_from_its_marker_on);
}
