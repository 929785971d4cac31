//! Listing, describing and deleting groups.

use super::*;

fn describe(seat: &mut Seat, group: &str, version: i16) -> describe_groups::DescribedGroup {
    match seat.ask(GroupCall::Describe { group_id: group.to_owned() }, version) {
        GroupReply::Describe(described) => described,
        other => panic!("{other:?}"),
    }
}

fn list(seat: &mut Seat, states: &[&str], types: &[&str]) -> Vec<(String, String, String, String)> {
    let all = |filter: &[&str]| filter.iter().map(|one| (*one).to_owned()).collect();
    let call = GroupCall::List { states_filter: all(states), types_filter: all(types) };
    match seat.ask(call, 5) {
        GroupReply::List(listed) => listed
            .into_iter()
            .map(|one| (one.group_id, one.protocol_type, one.group_state, one.group_type))
            .collect(),
        other => panic!("{other:?}"),
    }
}

fn delete(seat: &mut Seat, group: &str) -> ErrorCode {
    match seat.ask(GroupCall::DeleteGroup { group_id: group.to_owned() }, 2) {
        GroupReply::DeleteGroup(error) => error,
        other => panic!("{other:?}"),
    }
}

fn row(group: &str, kind: &str, state: &str, of: &str) -> (String, String, String, String) {
    (group.to_owned(), kind.to_owned(), state.to_owned(), of.to_owned())
}

#[test]
fn groups_are_listed_by_state_and_type() {
    let mut seat = Seat::with(config(&[("group.initial.rebalance.delay.ms", "3000")]));
    seat.send_first_join(join());
    seat.commit(OffsetCommitRequest { group_id: "only-offsets".to_owned(), ..commit(0, 1) });
    let joining = row(GROUP, "consumer", "PreparingRebalance", "classic");
    let offsets = row("only-offsets", "", "Empty", "classic");
    assert_eq!(list(&mut seat, &[], &[]), [joining.clone(), offsets.clone()]);
    assert_eq!(list(&mut seat, &["empty"], &["CLASSIC"]), [offsets]);
    assert_eq!(list(&mut seat, &["preparingrebalance", "stable"], &[]), [joining]);
    assert_eq!(list(&mut seat, &[], &["consumer"]), []);
    assert_eq!(list(&mut seat, &[], &["nonsense"]), []);
}

#[test]
fn a_settled_group_is_described_with_its_members_bytes() {
    let mut seat = Seat::new();
    let (leader, follower) = seat.pair();
    let described = describe(&mut seat, GROUP, 5);
    assert_eq!(described.error_code, ErrorCode::NONE);
    assert_eq!((&*described.group_state, &*described.protocol_type), ("Stable", "consumer"));
    assert_eq!(described.protocol_data, "range");
    let members: BTreeMap<_, _> =
        described.members.iter().map(|member| (&member.member_id, member)).collect();
    let member = members[&leader.member_id];
    assert_eq!((&member.member_metadata[..], &member.member_assignment[..]), (&b"wants t"[..], &b"L"[..]));
    assert_eq!((&*member.client_id, &*member.client_host), ("c", "/127.0.0.1"));
    assert!(members.contains_key(&follower.member_id));
    seat.send_first_join(join());
    let described = describe(&mut seat, GROUP, 5);
    assert_eq!((&*described.group_state, &*described.protocol_data), ("PreparingRebalance", ""));
    assert!(described.members.iter().all(|member| member.member_metadata.is_empty()));
}

#[test]
fn a_group_that_does_not_exist_is_dead_and_from_version_6_on_an_error() {
    let mut seat = Seat::new();
    let described = describe(&mut seat, "ghost", 5);
    assert_eq!((described.error_code, &*described.group_state), (ErrorCode::NONE, "Dead"));
    let described = describe(&mut seat, "ghost", 6);
    assert_eq!(described.error_code, ErrorCode::GROUP_ID_NOT_FOUND);
    assert!(described.error_message.is_some());
    seat.commit(commit(0, 1));
    assert_eq!(describe(&mut seat, GROUP, 6).group_state, "Empty");
}

#[test]
fn an_empty_group_is_deleted_with_its_offsets_and_others_are_not() {
    let mut seat = Seat::new();
    assert_eq!(delete(&mut seat, GROUP), ErrorCode::GROUP_ID_NOT_FOUND);
    let member = seat.alone();
    let by = OffsetCommitRequest {
        member_id: member.member_id.clone(),
        generation_id_or_member_epoch: 1,
        ..commit(0, 1)
    };
    seat.commit(by);
    seat.commit_in(transactional(7, 0, 1, 2));
    assert_eq!(delete(&mut seat, GROUP), ErrorCode::NON_EMPTY_GROUP);
    seat.leave(&member.member_id, None);
    assert_eq!(describe(&mut seat, GROUP, 5).group_state, "Empty");
    assert_eq!(delete(&mut seat, GROUP), ErrorCode::NONE);
    assert_eq!(seat.log.groups().count(), 0);
    seat.marker(7, 0, true);
    assert_eq!(seat.fetch(1, false).0, -1, "nor does the transaction bring it back");
    assert_eq!(list(&mut seat, &[], &[]), []);
    assert_eq!(describe(&mut seat, GROUP, 5).group_state, "Dead");
    assert_eq!(seat.alone().generation_id, 1, "the next one begins anew");
}

#[test]
fn a_group_that_only_gave_out_ids_is_deleted_with_them() {
    let mut seat = Seat::new();
    let given = seat.join(join());
    assert_eq!(list(&mut seat, &[], &[]), [row(GROUP, "", "Empty", "classic")]);
    assert_eq!(delete(&mut seat, GROUP), ErrorCode::NONE);
    assert_eq!(list(&mut seat, &[], &[]), []);
    let late = seat.join(JoinGroupRequest { member_id: given.member_id, ..join() });
    assert_eq!(late.error_code, ErrorCode::UNKNOWN_MEMBER_ID);
}

#[test]
fn many_offsets_are_deleted_in_more_than_one_batch() {
    let mut seat = Seat::new();
    let mut request = commit(0, 1);
    let one = OffsetCommitRequestPartition {
        committed_metadata: Some("x".repeat(4_000)),
        ..request.topics[0].partitions[0].clone()
    };
    request.topics[0].partitions = (0..300)
        .map(|partition_index| OffsetCommitRequestPartition { partition_index, ..one.clone() })
        .collect();
    assert_eq!(seat.commit(request), ErrorCode::NONE);
    assert_eq!(seat.batches, 3, "no batch is larger than a topic takes");
    assert_eq!(delete(&mut seat, GROUP), ErrorCode::NONE);
    assert_eq!(seat.log.groups().count(), 0);
}

#[test]
fn every_call_has_an_answer_that_only_refuses() {
    let error = ErrorCode::NOT_COORDINATOR;
    let mut one = commit(0, 1);
    let partition = one.topics[0].partitions[0].clone();
    one.topics[0].partitions.push(partition);
    let GroupReply::OffsetCommit(response) = GroupCall::OffsetCommit(one).refusal(error) else {
        panic!("another answer")
    };
    assert!(response.topics[0].partitions.iter().all(|partition| partition.error_code == error));
    assert_eq!(response.topics[0].partitions.len(), 2);
    let GroupReply::Join(response) = GroupCall::Join(join()).refusal(error) else { panic!("another answer") };
    assert_eq!(response.error_code, error);
    let list = GroupCall::List { states_filter: Vec::new(), types_filter: Vec::new() };
    assert_eq!((list.group_id(), list.refusal(error)), (None, GroupReply::List(Vec::new())));
    let request = GroupRequest { call: list, caller: Caller::default() };
    assert!(request.is_read());
}
