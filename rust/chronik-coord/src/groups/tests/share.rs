//! Share groups: joining, accounts before assignments, leaving, and every way to be refused.

use chronik_wire::messages::group_records::ShareTopicPartitions;

use super::*;

/// What a heartbeat led to.
type Told = (ShareGroupHeartbeatResponse, Option<ShareBeginning>);

fn beat(id: &str, epoch: i32, topics: Option<&[&str]>) -> ShareGroupHeartbeatRequest {
    ShareGroupHeartbeatRequest {
        group_id: GROUP.to_owned(),
        member_id: id.to_owned(),
        member_epoch: epoch,
        rack_id: None,
        subscribed_topic_names: topics.map(|topics| topics.iter().map(|one| (*one).to_owned()).collect()),
    }
}

fn given(response: &ShareGroupHeartbeatResponse) -> Vec<(u128, i32)> {
    let assignment = response.assignment.as_ref().expect("told what it has");
    let lists = &assignment.topic_partitions;
    lists.iter().flat_map(|list| list.partitions.iter().map(|one| (list.topic_id.0, *one))).collect()
}

fn all_of(topics: &[ShareTopicPartitions]) -> Vec<(u128, i32)> {
    topics.iter().flat_map(|list| list.partitions.iter().map(|one| (list.topic_id.0, *one))).collect()
}

fn t(partitions: std::ops::Range<i32>) -> Vec<(u128, i32)> {
    partitions.map(|partition| (1, partition)).collect()
}

impl Seat {
    fn share_beat(&mut self, request: ShareGroupHeartbeatRequest) -> Told {
        match self.ask(GroupCall::ShareHeartbeat(request), 1) {
            GroupReply::ShareHeartbeat { response, begin } => (response, begin),
            other => panic!("{other:?}"),
        }
    }

    fn share_error(&mut self, request: ShareGroupHeartbeatRequest) -> ErrorCode {
        let (response, begin) = self.share_beat(request);
        assert_eq!((response.assignment, begin), (None, None));
        assert!(response.error_message.is_some());
        response.error_code
    }

    fn report(&mut self, id: &str, begun: &ShareBeginning, ok: bool) -> ShareGroupHeartbeatResponse {
        let (done, failed) = if ok { (begun.topics.clone(), vec![]) } else { (vec![], begun.topics.clone()) };
        let member_id = Some(id.to_owned());
        let report = ShareReport { group_id: GROUP.to_owned(), member_id, begun: done, failed };
        match self.ask(GroupCall::ShareBegun(report), 1) {
            GroupReply::ShareHeartbeat { response, begin: None } => response,
            other => panic!("{other:?}"),
        }
    }

    /// Joins, and has the accounts begun that this takes.
    fn share_join(&mut self, id: &str, topics: &[&str]) -> ShareGroupHeartbeatResponse {
        let (response, begin) = self.share_beat(beat(id, 0, Some(topics)));
        assert_eq!(response.error_code, ErrorCode::NONE, "{response:?}");
        begin.map_or(response, |begin| self.report(id, &begin, true))
    }

    fn describe_share(&mut self) -> share_group_describe::DescribedGroup {
        match self.ask(GroupCall::ShareDescribe { group_id: GROUP.to_owned() }, 1) {
            GroupReply::ShareDescribe(described) => described,
            other => panic!("{other:?}"),
        }
    }

    fn accounts(&mut self) -> Vec<(u128, i32)> {
        match self.ask(GroupCall::ShareAccounts { group_id: GROUP.to_owned() }, 1) {
            GroupReply::ShareAccounts(Ok(topics)) => all_of(&topics),
            other => panic!("{other:?}"),
        }
    }

    fn forget(&mut self, topics: Option<Vec<TopicId>>) -> Result<Vec<(u128, i32)>, ErrorCode> {
        match self.ask(GroupCall::ShareForget { group_id: GROUP.to_owned(), topics }, 0) {
            GroupReply::ShareForget(result) => result.map(|topics| all_of(&topics)),
            other => panic!("{other:?}"),
        }
    }

    fn move_to(&mut self, topic: u128, name: &str, partitions: &[i32]) -> Result<i32, ErrorCode> {
        let topics = vec![ShareTopicPartitions {
            topic_id: TopicId(topic),
            topic_name: name.to_owned(),
            partitions: partitions.to_vec(),
        }];
        match self.ask(GroupCall::ShareMove { group_id: GROUP.to_owned(), topics }, 0) {
            GroupReply::ShareMove(result) => result,
            other => panic!("{other:?}"),
        }
    }

    fn delete(&mut self) -> ErrorCode {
        match self.ask(GroupCall::DeleteGroup { group_id: GROUP.to_owned() }, 2) {
            GroupReply::DeleteGroup(error) => error,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn partitions_get_accounts_before_members_get_partitions() {
    let mut seat = Seat::new();
    let (response, begin) = seat.share_beat(beat("a", 0, Some(&["t", "does not exist"])));
    assert_eq!((response.error_code, response.member_epoch), (ErrorCode::NONE, 1));
    assert_eq!(response.heartbeat_interval_ms, 5_000);
    assert_eq!(given(&response), [], "nothing has an account yet");
    let begin = begin.expect("accounts to begin");
    assert_eq!((begin.state_epoch, all_of(&begin.topics)), (1, t(0..4)));
    assert_eq!(seat.accounts(), []);
    let response = seat.report("a", &begin, true);
    assert_eq!((response.member_epoch, given(&response)), (2, t(0..4)));
    assert_eq!(seat.accounts(), t(0..4));
    let batches = seat.batches;
    let (response, begin) = seat.share_beat(beat("a", 2, None));
    assert_eq!((response.member_epoch, response.assignment, begin), (2, None, None));
    assert_eq!(seat.batches, batches, "a heartbeat that changes nothing writes nothing");
    assert!(seat.share_beat(beat("a", 2, Some(&["t", "does not exist"]))).0.assignment.is_some());
}

#[test]
fn members_divide_and_share() {
    let mut seat = Seat::new();
    assert_eq!(given(&seat.share_join("a", &["t"])), t(0..4));
    let b = seat.share_join("b", &["t"]);
    assert_eq!((b.member_epoch, given(&b).len()), (3, 2));
    let (a, _) = seat.share_beat(beat("a", 2, None));
    assert_eq!((a.member_epoch, given(&a).len()), (3, 2), "nobody waits for anybody");
    for id in ["c", "d", "e"] {
        seat.share_join(id, &["t"]);
    }
    let described = seat.describe_share();
    assert_eq!((&*described.group_state, &*described.assignor_name), ("Stable", "simple"));
    assert_eq!(described.members.len(), 5);
    let (e, _) = seat.share_beat(beat("e", 0, Some(&["t"])));
    assert!(!given(&e).is_empty(), "with more members than partitions they share");
}

#[test]
fn accounts_that_nobody_reports_are_ordered_again() {
    let mut seat = Seat::new();
    let (_, begin) = seat.share_beat(beat("a", 0, Some(&["t"])));
    assert!(begin.is_some());
    let (_, other) = seat.share_beat(beat("b", 0, Some(&["t", "u"])));
    let other = other.expect("u has no account");
    assert_eq!(all_of(&other.topics), [(2, 0), (2, 1)], "those of t are under way");
    seat.advance(29_999);
    let (a, begin) = seat.share_beat(beat("a", 1, None));
    assert_eq!((a.member_epoch, begin), (2, None));
    seat.advance(1);
    let again = seat.share_beat(beat("a", 2, None)).1.expect("ordered again");
    assert_eq!(all_of(&again.topics).len(), 6);
    let failed = seat.report("a", &again, false);
    assert_eq!((failed.error_code, given(&failed)), (ErrorCode::NONE, vec![]));
    let once_more = seat.share_beat(beat("a", failed.member_epoch, None)).1.expect("at once after a failure");
    assert_eq!(given(&seat.report("a", &once_more, true)).len(), 2, "half of what both want");
}

#[test]
fn a_new_leader_orders_what_was_not_reported_and_keeps_the_rest() {
    let mut seat = Seat::new();
    seat.share_join("a", &["u"]);
    let (b, begin) = seat.share_beat(beat("b", 0, Some(&["t"])));
    assert!(begin.is_some());
    seat.fail_over();
    let (b, begin) = seat.share_beat(beat("b", b.member_epoch, None));
    assert_eq!(all_of(&begin.expect("ordered anew").topics), t(0..4));
    assert_eq!(b.error_code, ErrorCode::NONE, "the member is known");
    assert_eq!(seat.accounts(), [(2, 0), (2, 1)]);
    seat.advance(44_999);
    assert_eq!(seat.describe_share().members.len(), 2, "a full session under the new leader");
    seat.advance(1);
    assert_eq!(seat.describe_share().members.len(), 0);
    assert_eq!(seat.describe_share().group_state, "Empty");
}

#[test]
fn a_topic_that_comes_later_is_read_and_one_that_goes_is_forgotten() {
    let mut seat = Seat::new();
    assert_eq!(given(&seat.share_join("a", &["late", "u"])), [(2, 0), (2, 1)]);
    let image = |topics_now: &[(&str, u128, usize)], offset| {
        let mut image = MetaImage::clone(&topics(topics_now));
        image.offset = Offset(offset);
        GroupsConfig { topics: Arc::new(image), ..config(&[]) }
    };
    seat.configure(image(&[("late", 7, 2), ("u", 2, 3)], 5));
    let (response, begin) = seat.share_beat(beat("a", 2, None));
    let begin = begin.expect("new partitions");
    assert_eq!(all_of(&begin.topics), [(2, 2), (7, 0), (7, 1)], "of grown topics too");
    let response = seat.report("a", &begin, response.error_code.is_none());
    assert_eq!(given(&response), [(2, 0), (2, 1), (2, 2), (7, 0), (7, 1)]);
    seat.configure(image(&[("late", 7, 2)], 9));
    let (response, _) = seat.share_beat(beat("a", response.member_epoch, None));
    assert_eq!(given(&response), [(7, 0), (7, 1)]);
    seat.advance(limits::DELETED_TOPICS_DELAY_MS);
    assert_eq!(seat.accounts(), [(7, 0), (7, 1)], "a topic that is gone has no accounts");
}

#[test]
fn sessions_and_heartbeats_are_the_groups_own_at_once() {
    let mut seat = Seat::new();
    seat.share_join("a", &["t"]);
    let statics =
        [("group.share.min.session.timeout.ms", "1"), ("group.share.min.heartbeat.interval.ms", "1")];
    let mut own = config(&statics);
    let mut image = MetaImage::clone(&own.topics);
    let overrides = [("share.session.timeout.ms", "700"), ("share.heartbeat.interval.ms", "50")];
    let overrides = overrides.map(|(name, value)| (name.to_owned(), value.to_owned()));
    image.set_group_overrides(GROUP.to_owned(), overrides.into());
    own.topics = Arc::new(image);
    seat.configure(own);
    assert_eq!(seat.share_beat(beat("a", 2, None)).0.heartbeat_interval_ms, 50);
    seat.advance(699);
    assert_eq!(seat.describe_share().members.len(), 1);
    seat.advance(1);
    assert_eq!(seat.describe_share().members.len(), 0);
    assert_eq!(seat.share_error(beat("a", 2, None)), ErrorCode::UNKNOWN_MEMBER_ID);
}

#[test]
fn bad_heartbeats_get_kafkas_codes() {
    let mut seat = Seat::new();
    let bad = ErrorCode::INVALID_REQUEST;
    assert_eq!(seat.share_error(beat("", 0, Some(&["t"]))), bad);
    assert_eq!(seat.share_error(beat("a", 0, None)), bad);
    assert_eq!(seat.share_error(beat("a", 0, Some(&[]))), bad);
    assert_eq!(seat.share_error(beat("a", -2, None)), bad);
    let rack = ShareGroupHeartbeatRequest { rack_id: Some(String::new()), ..beat("a", 0, Some(&["t"])) };
    assert_eq!(seat.share_error(rack), bad);
    let nameless = ShareGroupHeartbeatRequest { group_id: String::new(), ..beat("a", 0, Some(&["t"])) };
    assert_eq!(seat.share_error(nameless), bad);
    assert_eq!(seat.share_error(beat(&"x".repeat(limits::NAME_BYTES_MAX + 1), 0, Some(&["t"]))), bad);
    let long = "x".repeat(limits::MEMBER_METADATA_BYTES_MAX + 1);
    assert_eq!(seat.share_error(beat("a", 0, Some(&[&long]))), bad);
    assert_eq!(seat.share_error(beat("a", 1, None)), ErrorCode::GROUP_ID_NOT_FOUND);
    assert_eq!(seat.share_error(beat("a", -1, None)), ErrorCode::GROUP_ID_NOT_FOUND);
    assert_eq!(seat.describe_share().error_code, ErrorCode::GROUP_ID_NOT_FOUND, "none of it made a group");
    seat.share_join("a", &["t"]);
    assert_eq!(seat.share_error(beat("b", 1, None)), ErrorCode::UNKNOWN_MEMBER_ID);
    assert_eq!(seat.share_error(beat("b", -1, None)), ErrorCode::UNKNOWN_MEMBER_ID);
    assert_eq!(seat.share_error(beat("a", 3, None)), ErrorCode::FENCED_MEMBER_EPOCH);
    assert_eq!(seat.share_beat(beat("a", 1, None)).0.error_code, ErrorCode::NONE, "an answer was lost");
    seat.share_join("b", &["t"]);
    seat.share_beat(beat("a", 2, None));
    assert_eq!(seat.share_error(beat("a", 1, None)), ErrorCode::FENCED_MEMBER_EPOCH);
    assert_eq!(seat.share_beat(beat("a", 0, Some(&["t"]))).0.error_code, ErrorCode::NONE, "joins again");
}

#[test]
fn a_group_has_as_many_members_as_it_may() {
    let mut seat = Seat::with(config(&[("group.share.max.size", "2")]));
    seat.share_join("a", &["t"]);
    seat.share_join("b", &["t"]);
    assert_eq!(seat.share_error(beat("c", 0, Some(&["t"]))), ErrorCode::GROUP_MAX_SIZE_REACHED);
    assert_eq!(seat.share_beat(beat("b", 0, Some(&["t"]))).0.error_code, ErrorCode::NONE);
}

#[test]
fn a_group_is_of_one_kind() {
    let mut seat = Seat::new();
    seat.share_join("a", &["t"]);
    let joined = seat.join(join());
    assert_eq!(joined.error_code, ErrorCode::INCONSISTENT_GROUP_PROTOCOL);
    assert_eq!(seat.heartbeat("a", 1), ErrorCode::UNKNOWN_MEMBER_ID);
    let consumer = consumer("b", &["t"]).heartbeat();
    assert_eq!(seat.consumer_heartbeat(consumer).error_code, ErrorCode::GROUP_ID_NOT_FOUND);
    assert_eq!(seat.describe_consumers().error_code, ErrorCode::GROUP_ID_NOT_FOUND);
    assert_eq!(seat.commit(commit(0, 5)), ErrorCode::GROUP_ID_NOT_FOUND);
    assert_eq!(seat.commit_in(transactional(3, 0, 0, 5)), ErrorCode::GROUP_ID_NOT_FOUND);
    assert_eq!(seat.fetch(0, false), (-1, ErrorCode::NONE));
    let mut seat = Seat::new();
    seat.alone();
    assert_eq!(seat.share_error(beat("a", 0, Some(&["t"]))), ErrorCode::GROUP_ID_NOT_FOUND);
    let mut seat = Seat::new();
    seat.commit(commit(0, 5));
    assert_eq!(seat.share_error(beat("a", 0, Some(&["t"]))), ErrorCode::GROUP_ID_NOT_FOUND);
    assert_eq!(seat.forget(None), Err(ErrorCode::GROUP_ID_NOT_FOUND));
    assert_eq!(seat.move_to(1, "t", &[0]), Err(ErrorCode::GROUP_ID_NOT_FOUND));
}

#[test]
fn a_group_is_listed_described_and_deleted() {
    let mut seat = Seat::new();
    seat.share_join("a", &["t", "u"]);
    let list = |seat: &mut Seat, types: &[&str]| {
        let types_filter = types.iter().map(|one| (*one).to_owned()).collect();
        match seat.ask(GroupCall::List { states_filter: Vec::new(), types_filter }, 5) {
            GroupReply::List(listed) => listed,
            other => panic!("{other:?}"),
        }
    };
    let listed = list(&mut seat, &["Share"]);
    assert_eq!(listed.len(), 1);
    let row = (&*listed[0].group_type, &*listed[0].protocol_type, &*listed[0].group_state);
    assert_eq!(row, ("share", "share", "Stable"));
    assert_eq!(list(&mut seat, &["consumer", "classic"]), []);
    let member = seat.describe_share().members.remove(0);
    assert_eq!((&*member.member_id, member.member_epoch, &*member.client_id), ("a", 2, "c"));
    assert_eq!(member.subscribed_topic_names, ["t", "u"]);
    let names: Vec<_> = member.assignment.topic_partitions.iter().map(|list| &*list.topic_name).collect();
    assert_eq!(names, ["t", "u"]);
    assert_eq!(seat.delete(), ErrorCode::NON_EMPTY_GROUP);
    assert_eq!(seat.forget(None), Err(ErrorCode::NON_EMPTY_GROUP));
    let (left, _) = seat.share_beat(beat("a", -1, None));
    assert_eq!((left.error_code, left.member_epoch), (ErrorCode::NONE, -1));
    seat.advance(8 * 24 * 3_600_000);
    assert_eq!(seat.describe_share().group_state, "Empty", "it stays until somebody deletes it");
    assert_eq!(seat.forget(None), Ok([t(0..4), vec![(2, 0), (2, 1)]].concat()));
    assert_eq!(seat.delete(), ErrorCode::NONE);
    assert_eq!(list(&mut seat, &[]), []);
    assert_eq!(seat.log, GroupsState::default(), "nothing is left of it");
}

#[test]
fn accounts_are_moved_and_forgotten_while_nobody_reads() {
    let mut seat = Seat::new();
    assert_eq!(seat.move_to(1, "t", &[]), Ok(0));
    assert_eq!(seat.describe_share().error_code, ErrorCode::GROUP_ID_NOT_FOUND, "nothing makes no group");
    assert_eq!(seat.move_to(1, "t", &[0, 1]), Ok(1), "a group that did not exist is made");
    let report = |seat: &mut Seat| {
        let topics = vec![ShareTopicPartitions {
            topic_id: TopicId(1),
            topic_name: "t".to_owned(),
            partitions: vec![0, 1],
        }];
        let report =
            ShareReport { group_id: GROUP.to_owned(), member_id: None, begun: topics, failed: vec![] };
        seat.ask(GroupCall::ShareBegun(report), 0);
    };
    report(&mut seat);
    assert_eq!(seat.accounts(), t(0..2));
    assert_eq!(seat.move_to(1, "t", &[1]), Ok(2), "a higher epoch each time");
    assert_eq!(seat.accounts(), t(0..1));
    report(&mut seat);
    assert_eq!(given(&seat.share_join("a", &["t"])), t(0..4));
    assert_eq!(seat.move_to(1, "t", &[0]), Err(ErrorCode::NON_EMPTY_GROUP));
    seat.share_beat(beat("a", -1, None));
    assert_eq!(seat.forget(Some(vec![TopicId(2)])), Ok(vec![]));
    assert_eq!(seat.forget(Some(vec![TopicId(1)])), Ok(t(0..4)));
    assert_eq!(seat.accounts(), []);
    assert_eq!(seat.forget(Some(vec![TopicId(1)])), Ok(t(0..4)), "it was not reported");
    let call = GroupCall::ShareForgotten { group_id: GROUP.to_owned(), topics: vec![TopicId(1)] };
    assert_eq!(seat.ask(call, 0), GroupReply::ShareForget(Ok(vec![])));
    assert_eq!(seat.forget(Some(vec![TopicId(1)])), Ok(vec![]));
    let (_, begin) = seat.share_beat(beat("a", 0, Some(&["t"])));
    assert_eq!(all_of(&begin.expect("anew").topics), t(0..4));
}
