//! Groups of the newer protocol: joining, reconciling, leaving, and every way to be refused.

use super::*;

fn owned(partitions: std::ops::Range<i32>) -> Vec<(u128, i32)> {
    partitions.map(|partition| (1, partition)).collect()
}

#[test]
fn the_first_member_gets_everything_at_once() {
    let mut seat = Seat::new();
    let mut a = consumer("a", &["t", "u", "does not exist"]);
    let response = seat.consumer_heartbeat(a.heartbeat());
    assert_eq!((response.error_code, response.member_epoch), (ErrorCode::NONE, 1));
    assert_eq!(response.member_id.as_deref(), Some("a"));
    assert_eq!(response.heartbeat_interval_ms, 5_000);
    let assignment = flat(&response.assignment.expect("joined").topic_partitions);
    assert_eq!(assignment, [(1, 0), (1, 1), (1, 2), (1, 3), (2, 0), (2, 1)]);
    (a.epoch, a.owned) = (1, assignment);
    let batches = seat.batches;
    let request = ConsumerGroupHeartbeatRequest {
        group_id: GROUP.to_owned(),
        member_id: "a".to_owned(),
        member_epoch: 1,
        ..Default::default()
    };
    let response = seat.consumer_heartbeat(request);
    assert_eq!((response.member_epoch, response.assignment), (1, None), "nothing new");
    assert_eq!(seat.batches, batches, "a heartbeat that changes nothing writes nothing");
    assert!(seat.consumer_heartbeat(a.heartbeat()).assignment.is_some(), "a full heartbeat is told all");
}

#[test]
fn a_second_member_waits_for_the_first_to_give_up() {
    let mut seat = Seat::new();
    let mut a = consumer("a", &["t"]);
    let mut b = consumer("b", &["t"]);
    a.beat(&mut seat);
    b.beat(&mut seat);
    assert_eq!((b.epoch, &b.owned[..]), (2, &[][..]), "everything is still a's");
    assert_eq!(seat.describe_consumers().group_state, "Reconciling");
    let response = seat.consumer_heartbeat(a.heartbeat());
    assert_eq!(response.member_epoch, 1, "a stays at its epoch until it has given up");
    assert_eq!(flat(&response.assignment.expect("changed").topic_partitions), owned(0..2));
    b.beat(&mut seat);
    assert!(b.owned.is_empty(), "a has not said that it gave them up");
    a.owned = owned(0..2);
    a.beat(&mut seat);
    assert_eq!((a.epoch, &a.owned), (2, &owned(0..2)));
    b.beat(&mut seat);
    assert_eq!((b.epoch, &b.owned), (2, &owned(2..4)));
    assert_eq!(seat.describe_consumers().group_state, "Stable");
}

#[test]
fn who_does_not_give_up_in_time_is_out() {
    let mut seat = Seat::new();
    let mut a = consumer("a", &["t"]);
    let mut b = consumer("b", &["t"]);
    a.beat(&mut seat);
    b.beat(&mut seat);
    for _ in 0..3 {
        let response = seat.consumer_heartbeat(a.heartbeat());
        assert_eq!(response.error_code, ErrorCode::NONE);
        assert_eq!(b.beat(&mut seat), ErrorCode::NONE);
        seat.advance(10_000);
    }
    let response = seat.consumer_heartbeat(a.heartbeat());
    assert_eq!(response.error_code, ErrorCode::UNKNOWN_MEMBER_ID);
    b.beat(&mut seat);
    assert_eq!(b.owned, owned(0..4));
}

#[test]
fn a_silent_member_is_out_and_its_partitions_go_to_the_others() {
    let mut seat = Seat::new();
    let (mut a, mut b) = (consumer("a", &["t"]), consumer("b", &["t"]));
    seat.converge(&mut [&mut a, &mut b]);
    seat.advance(44_999);
    a.beat(&mut seat);
    assert_eq!(a.owned.len(), 2);
    seat.advance(1);
    assert_eq!(seat.describe_consumers().group_state, "Assigning");
    a.beat(&mut seat);
    assert_eq!(a.owned, owned(0..4));
    assert_eq!(b.beat(&mut seat), ErrorCode::UNKNOWN_MEMBER_ID);
}

#[test]
fn a_member_leaves_and_an_empty_group_goes_on_from_its_epoch() {
    let mut seat = Seat::new();
    let mut a = consumer("a", &["t"]);
    a.beat(&mut seat);
    let leave = ConsumerGroupHeartbeatRequest { member_epoch: -1, ..a.heartbeat() };
    let response = seat.consumer_heartbeat(leave.clone());
    assert_eq!((response.error_code, response.member_epoch), (ErrorCode::NONE, -1));
    assert_eq!(seat.consumer_heartbeat(leave.clone()).error_code, ErrorCode::UNKNOWN_MEMBER_ID);
    let described = seat.describe_consumers();
    assert_eq!((&*described.group_state, described.group_epoch), ("Empty", 2));
    let elsewhere = ConsumerGroupHeartbeatRequest { group_id: "other".to_owned(), ..leave };
    assert_eq!(seat.consumer_heartbeat(elsewhere).error_code, ErrorCode::GROUP_ID_NOT_FOUND);
    let mut b = consumer("b", &["t"]);
    b.beat(&mut seat);
    assert_eq!((b.epoch, b.owned.len()), (3, 4));
}

#[test]
fn requests_that_make_no_sense_are_refused_with_kafkas_errors() {
    let mut seat = Seat::new();
    let a = consumer("a", &["t"]);
    let join = a.heartbeat();
    let mut refused = |request: ConsumerGroupHeartbeatRequest, error: ErrorCode| {
        let response = seat.consumer_heartbeat(request);
        assert_eq!(response.error_code, error);
        assert!(response.error_message.is_some(), "in words too");
    };
    let with = |change: fn(&mut ConsumerGroupHeartbeatRequest)| {
        let mut request = join.clone();
        change(&mut request);
        request
    };
    refused(with(|one| one.group_id.clear()), ErrorCode::INVALID_REQUEST);
    refused(with(|one| one.member_id.clear()), ErrorCode::INVALID_REQUEST);
    refused(with(|one| one.instance_id = Some(String::new())), ErrorCode::INVALID_REQUEST);
    refused(with(|one| one.rack_id = Some(String::new())), ErrorCode::INVALID_REQUEST);
    refused(with(|one| one.rebalance_timeout_ms = -1), ErrorCode::INVALID_REQUEST);
    refused(with(|one| one.topic_partitions = None), ErrorCode::INVALID_REQUEST);
    refused(with(|one| one.subscribed_topic_names = None), ErrorCode::INVALID_REQUEST);
    refused(with(|one| one.member_epoch = -3), ErrorCode::INVALID_REQUEST);
    refused(with(|one| one.member_epoch = -2), ErrorCode::INVALID_REQUEST);
    refused(with(|one| one.server_assignor = Some("best".to_owned())), ErrorCode::UNSUPPORTED_ASSIGNOR);
    refused(
        with(|one| one.subscribed_topic_regex = Some("(".to_owned())),
        ErrorCode::INVALID_REGULAR_EXPRESSION,
    );
    let long = |one: &mut ConsumerGroupHeartbeatRequest| one.subscribed_topic_regex = Some("x".repeat(1_025));
    refused(with(long), ErrorCode::INVALID_REGULAR_EXPRESSION);
    let hostile = |one: &mut ConsumerGroupHeartbeatRequest| {
        one.subscribed_topic_regex = Some("((a{100}){100}){100}".to_owned());
    };
    refused(with(hostile), ErrorCode::INVALID_REGULAR_EXPRESSION);
    refused(with(|one| one.member_epoch = 1), ErrorCode::GROUP_ID_NOT_FOUND);
    refused(
        with(|one| one.subscribed_topic_names = Some(vec!["x".repeat(1024 * 1024 + 1)])),
        ErrorCode::INVALID_REQUEST,
    );
    assert_eq!(seat.batches, 0);
}

#[test]
fn epochs_fence_and_a_lost_answer_heals() {
    let mut seat = Seat::new();
    let (mut a, mut b) = (consumer("a", &["t"]), consumer("b", &["t"]));
    seat.converge(&mut [&mut a, &mut b]);
    assert_eq!(a.epoch, 2);
    let epoch = |epoch: i32| ConsumerGroupHeartbeatRequest { member_epoch: epoch, ..a.heartbeat() };
    assert_eq!(seat.consumer_heartbeat(epoch(3)).error_code, ErrorCode::FENCED_MEMBER_EPOCH);
    let lost = seat.consumer_heartbeat(epoch(1));
    assert_eq!((lost.error_code, lost.member_epoch), (ErrorCode::NONE, 2));
    let greedy = Consumer { owned: owned(0..4), ..a.clone() };
    let request = ConsumerGroupHeartbeatRequest { member_epoch: 1, ..greedy.heartbeat() };
    assert_eq!(seat.consumer_heartbeat(request).error_code, ErrorCode::FENCED_MEMBER_EPOCH);
    let silent = ConsumerGroupHeartbeatRequest { topic_partitions: None, ..epoch(1) };
    assert_eq!(seat.consumer_heartbeat(silent).error_code, ErrorCode::FENCED_MEMBER_EPOCH);
    let ghost = ConsumerGroupHeartbeatRequest { member_id: "ghost".to_owned(), ..epoch(2) };
    assert_eq!(seat.consumer_heartbeat(ghost).error_code, ErrorCode::UNKNOWN_MEMBER_ID);
    let mut again = Consumer { epoch: 0, owned: Vec::new(), ..a.clone() };
    assert_eq!(again.beat(&mut seat), ErrorCode::NONE, "who was fenced joins anew");
    assert_eq!((again.epoch, again.owned), (2, a.owned));
}

#[test]
fn a_full_group_lets_nobody_in_but_its_members() {
    let mut seat = Seat::with(config(&[("group.consumer.max.size", "1")]));
    let mut a = consumer("a", &["t"]);
    a.beat(&mut seat);
    let mut b = consumer("b", &["t"]);
    assert_eq!(b.beat(&mut seat), ErrorCode::GROUP_MAX_SIZE_REACHED);
    assert_eq!(Consumer { epoch: 0, owned: Vec::new(), ..a }.beat(&mut seat), ErrorCode::NONE);
}

#[test]
fn a_broker_without_the_newer_protocol_says_so() {
    let mut seat = Seat::with(config(&[("group.coordinator.rebalance.protocols", "classic")]));
    assert_eq!(consumer("a", &["t"]).beat(&mut seat), ErrorCode::UNSUPPORTED_VERSION);
    seat.alone();
}

#[test]
fn before_version_1_the_coordinator_makes_the_id() {
    let mut seat = Seat::new();
    let request =
        ConsumerGroupHeartbeatRequest { member_id: String::new(), ..consumer("", &["t"]).heartbeat() };
    let GroupReply::ConsumerHeartbeat(response) = seat.ask(GroupCall::ConsumerHeartbeat(request), 0) else {
        panic!("another answer")
    };
    assert_eq!(response.error_code, ErrorCode::NONE);
    assert_eq!(response.member_id.map(|id| id.len()), Some(36), "a UUID");
}

#[test]
fn a_static_member_comes_back_to_what_it_had_and_is_fenced_if_it_never_went() {
    let mut seat = Seat::new();
    let of = |id: &str| {
        let mut client = consumer(id, &["t"]);
        client.wants.instance_id = Some("s".to_owned());
        client
    };
    let (mut a, mut b) = (of("a"), consumer("b", &["t"]));
    seat.converge(&mut [&mut a, &mut b]);
    assert_eq!(of("c").beat(&mut seat), ErrorCode::UNRELEASED_INSTANCE_ID);
    let leave = |epoch: i32, client: &Consumer| ConsumerGroupHeartbeatRequest {
        member_epoch: epoch,
        ..client.heartbeat()
    };
    let stranger = Consumer { id: "x".to_owned(), ..a.clone() };
    assert_eq!(seat.consumer_heartbeat(leave(-2, &stranger)).error_code, ErrorCode::FENCED_INSTANCE_ID);
    let response = seat.consumer_heartbeat(leave(-2, &a));
    assert_eq!((response.error_code, response.member_epoch), (ErrorCode::NONE, -2));
    b.beat(&mut seat);
    assert_eq!(b.owned.len(), 2, "its partitions stay its own");
    assert_eq!(a.beat(&mut seat), ErrorCode::FENCED_MEMBER_EPOCH);
    let mut c = of("c");
    assert_eq!(c.beat(&mut seat), ErrorCode::NONE);
    assert_eq!((c.epoch, &c.owned), (2, &a.owned), "no rebalance");
    assert_eq!(a.beat(&mut seat), ErrorCode::FENCED_INSTANCE_ID);
    seat.consumer_heartbeat(leave(-2, &c));
    seat.advance(40_000);
    b.beat(&mut seat);
    seat.advance(5_000);
    b.beat(&mut seat);
    assert_eq!(b.owned.len(), 4, "it did not come back in time");
    let mut c = of("c");
    assert_eq!(c.beat(&mut seat), ErrorCode::NONE);
    seat.consumer_heartbeat(leave(-1, &c));
    assert_eq!(seat.describe_consumers().members.len(), 1, "-1 is for good");
}

#[test]
fn patterns_match_whole_names_of_topics_as_they_come_and_go() {
    let mut seat = Seat::new();
    let mut a = consumer("a", &[]);
    a.wants.subscribed_topic_names = None;
    a.wants.subscribed_topic_regex = Some("t.*|v|__.*".to_owned());
    a.beat(&mut seat);
    assert_eq!(a.owned, owned(0..4));
    let more = topics(&[
        ("t", 1, 4),
        ("t2", 3, 1),
        ("u", 2, 2),
        ("tv", 4, 1),
        ("vv", 5, 1),
        ("__consumer_offsets", 6, 1),
    ]);
    let mut image = MetaImage::clone(&more);
    image.offset = Offset(7);
    seat.configure(GroupsConfig { topics: Arc::new(image), ..seat.config.clone() });
    seat.converge(&mut [&mut a]);
    assert_eq!(a.epoch, 2);
    assert_eq!(a.owned[4..], [(3, 0), (4, 0)]);
    let described = seat.describe_consumers();
    assert_eq!(described.members[0].subscribed_topic_regex.as_deref(), Some("t.*|v|__.*"));
    a.wants.subscribed_topic_regex = Some(String::new());
    a.wants.subscribed_topic_names = Some(vec!["u".to_owned()]);
    seat.converge(&mut [&mut a]);
    assert_eq!(a.owned, [(2, 0), (2, 1)]);
    let GroupReply::OffsetDelete(response) = seat.ask(
        GroupCall::OffsetDelete(OffsetDeleteRequest {
            group_id: GROUP.to_owned(),
            topics: vec![offset_delete::OffsetDeleteRequestTopic {
                name: "u".to_owned(),
                partitions: vec![offset_delete::OffsetDeleteRequestPartition { partition_index: 0 }],
            }],
        }),
        0,
    ) else {
        panic!("another answer")
    };
    assert_eq!(response.topics[0].partitions[0].error_code, ErrorCode::GROUP_SUBSCRIBED_TO_TOPIC);
}

#[test]
fn a_topic_that_grows_or_goes_is_noticed_at_the_next_heartbeat() {
    let mut seat = Seat::new();
    let (mut a, mut b) = (consumer("a", &["t"]), consumer("b", &["t", "u"]));
    seat.converge(&mut [&mut a, &mut b]);
    let image = |all: &[(&str, u128, usize)], offset: i64| {
        let mut image = MetaImage::clone(&topics(all));
        image.offset = Offset(offset);
        Arc::new(image)
    };
    seat.configure(GroupsConfig { topics: image(&[("t", 1, 8)], 5), ..seat.config.clone() });
    seat.converge(&mut [&mut a, &mut b]);
    let mut all: Vec<_> = a.owned.iter().chain(&b.owned).copied().collect();
    all.sort();
    assert_eq!(all, owned(0..8));
    let epoch = a.epoch;
    seat.configure(GroupsConfig { topics: image(&[("t", 1, 8), ("z", 9, 1)], 6), ..seat.config.clone() });
    seat.converge(&mut [&mut a, &mut b]);
    assert_eq!(a.epoch, epoch, "somebody else's topic changes nothing");
}

#[test]
fn the_assignor_that_most_members_prefer_assigns() {
    let mut seat = Seat::new();
    let prefer = |id: &str, assignor: &str| {
        let mut client = consumer(id, &["t", "u"]);
        client.wants.server_assignor = Some(assignor.to_owned());
        client
    };
    let (mut a, mut b) = (prefer("a", "range"), prefer("b", "range"));
    seat.converge(&mut [&mut a, &mut b]);
    assert_eq!(a.owned, [(1, 0), (1, 1), (2, 0)]);
    assert_eq!(b.owned, [(1, 2), (1, 3), (2, 1)]);
    let described = seat.describe_consumers();
    assert_eq!(described.assignor_name, "range");
    assert_eq!((described.group_epoch, described.assignment_epoch), (2, 2));
    let member = &described.members[0];
    assert_eq!((&*member.member_id, member.member_epoch, member.member_type), ("a", 2, 1));
    assert_eq!(member.assignment, member.target_assignment);
    assert_eq!(member.assignment.topic_partitions[1].topic_name, "u");
    assert_eq!((&*member.client_id, &*member.client_host), ("c", "/127.0.0.1"));
}

#[test]
fn members_commit_and_read_with_their_epoch() {
    let mut seat = Seat::new();
    let mut a = consumer("a", &["t"]);
    a.beat(&mut seat);
    let by = |member: &str, epoch: i32| OffsetCommitRequest {
        member_id: member.to_owned(),
        generation_id_or_member_epoch: epoch,
        ..commit(0, 9)
    };
    assert_eq!(seat.commit_as(by("a", 1), 9), ErrorCode::NONE);
    assert_eq!(seat.commit_as(by("a", 0), 9), ErrorCode::STALE_MEMBER_EPOCH);
    assert_eq!(seat.commit_as(by("a", 1), 8), ErrorCode::UNSUPPORTED_VERSION);
    assert_eq!(seat.commit_as(by("b", 1), 9), ErrorCode::UNKNOWN_MEMBER_ID);
    assert_eq!(seat.commit_as(by("", -1), 9), ErrorCode::UNKNOWN_MEMBER_ID);
    assert_eq!(seat.commit_in(transactional(7, 0, 1, 5)), ErrorCode::NONE);
    let mut read = |member: Option<&str>, epoch: i32| {
        let group = OffsetFetchRequestGroup {
            group_id: GROUP.to_owned(),
            member_id: member.map(str::to_owned),
            member_epoch: epoch,
            topics: None,
        };
        match seat.ask(GroupCall::OffsetFetch { group, require_stable: false }, 9) {
            GroupReply::OffsetFetch(response) => response.error_code,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(read(None, -1), ErrorCode::NONE);
    assert_eq!(read(Some("a"), 1), ErrorCode::NONE);
    assert_eq!(read(Some("a"), 0), ErrorCode::STALE_MEMBER_EPOCH);
    assert_eq!(read(Some("b"), 1), ErrorCode::UNKNOWN_MEMBER_ID);
    seat.consumer_heartbeat(ConsumerGroupHeartbeatRequest { member_epoch: -1, ..a.heartbeat() });
    assert_eq!(seat.commit_as(by("", -1), 9), ErrorCode::NONE, "nobody is left");
}

#[test]
fn another_leader_goes_on_in_the_middle_of_a_reconciliation() {
    let mut seat = Seat::new();
    let (mut a, mut b) = (consumer("a", &["t"]), consumer("b", &["t"]));
    a.beat(&mut seat);
    b.beat(&mut seat);
    a.beat(&mut seat);
    seat.fail_over();
    b.beat(&mut seat);
    assert!(b.owned.is_empty(), "a has yet to say that it gave up");
    seat.fail_over();
    seat.converge(&mut [&mut a, &mut b]);
    assert_eq!((a.owned, b.owned), (owned(0..2), owned(2..4)));
    let mut c = consumer("c", &["t"]);
    c.beat(&mut seat);
    let response =
        seat.consumer_heartbeat(Consumer { owned: owned(0..2), ..consumer("a", &["t"]) }.heartbeat());
    assert_eq!(response.error_code, ErrorCode::INVALID_REQUEST);
    seat.fail_over();
    seat.advance(45_000);
    assert_eq!(seat.describe_consumers().group_state, "Empty", "silence is noticed by the new leader too");
}

#[test]
fn an_empty_group_is_listed_deleted_or_expires() {
    let mut seat = Seat::new();
    let mut a = consumer("a", &["t"]);
    a.beat(&mut seat);
    let list = |seat: &mut Seat| {
        let call = GroupCall::List { states_filter: Vec::new(), types_filter: vec!["consumer".to_owned()] };
        match seat.ask(call, 5) {
            GroupReply::List(listed) => {
                listed.into_iter().map(|one| (one.group_state, one.protocol_type)).collect()
            }
            other => panic!("{other:?}"),
        }
    };
    let rows: Vec<(String, String)> = list(&mut seat);
    assert_eq!(rows, [("Stable".to_owned(), "consumer".to_owned())]);
    let delete = |seat: &mut Seat| seat.ask(GroupCall::DeleteGroup { group_id: GROUP.to_owned() }, 2);
    assert_eq!(delete(&mut seat), GroupReply::DeleteGroup(ErrorCode::NON_EMPTY_GROUP));
    let leave = ConsumerGroupHeartbeatRequest { member_epoch: -1, ..a.heartbeat() };
    seat.consumer_heartbeat(leave.clone());
    assert_eq!(delete(&mut seat), GroupReply::DeleteGroup(ErrorCode::NONE));
    assert_eq!(seat.log.groups().count(), 0);
    assert_eq!(seat.describe_consumers().error_code, ErrorCode::GROUP_ID_NOT_FOUND);
    let mut a = consumer("a", &["t"]);
    a.beat(&mut seat);
    assert_eq!(a.epoch, 1);
    seat.consumer_heartbeat(leave);
    seat.advance(600_000);
    assert_eq!(seat.log.groups().count(), 0, "nothing was left in it");
}

#[test]
fn sessions_and_heartbeats_are_the_groups_own_at_once() {
    let statics =
        [("group.consumer.min.session.timeout.ms", "1"), ("group.consumer.min.heartbeat.interval.ms", "1")];
    let mut seat = Seat::with(config(&statics));
    let mut a = consumer("a", &["t"]);
    a.beat(&mut seat);
    let mut own = config(&statics);
    let mut image = MetaImage::clone(&own.topics);
    let overrides = [("consumer.session.timeout.ms", "700"), ("consumer.heartbeat.interval.ms", "50")];
    let overrides = overrides.map(|(name, value)| (name.to_owned(), value.to_owned()));
    image.set_group_overrides(GROUP.to_owned(), overrides.into());
    own.topics = Arc::new(image);
    seat.configure(own);
    assert_eq!(seat.consumer_heartbeat(a.heartbeat()).heartbeat_interval_ms, 50);
    seat.advance(699);
    assert_eq!(seat.describe_consumers().members.len(), 1);
    seat.advance(1);
    assert_eq!(seat.describe_consumers().members.len(), 0);
}
