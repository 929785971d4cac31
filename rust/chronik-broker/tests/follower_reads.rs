//! Reads at every replica: what the gate promises, and proof that it was passed.

mod harness;

use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::fetch::PartitionData;
use chronik_wire::types::NodeId;
use harness::client::{FETCH_VERSION, fetch_request, values};
use harness::{Options, TestCluster};

const LATEST: i64 = -1;

fn cluster(options: &Options) -> (TestCluster, NodeId, Vec<NodeId>) {
    let mut cluster = TestCluster::start(3, options);
    cluster.create_topic("t", 1, &[]);
    let leader = cluster.leader(cluster.key("t", 0)).expect("a leader");
    let followers = cluster.nodes.keys().copied().filter(|node| *node != leader).collect();
    (cluster, leader, followers)
}

fn assert_claims_nothing(data: &PartitionData) {
    assert_eq!(
        (data.high_watermark, data.last_stable_offset, data.log_start_offset),
        (-1, -1, -1),
        "{data:?}"
    );
    assert!(data.records.is_empty());
}

#[test]
fn every_replica_returns_what_was_acknowledged_and_counts_who_served() {
    let (mut cluster, leader, followers) = cluster(&Options::default());
    for round in 0..50 {
        let offset = cluster.send("t", &format!("v{round}"));
        for node in [leader, followers[0], followers[1]] {
            let data = cluster.fetch(node, "t", offset, 0);
            assert_eq!(values(&data), vec![format!("v{round}")], "at {node:?}");
            assert_eq!(data.high_watermark, offset + 1);
            assert_eq!(data.preferred_read_replica, -1);
            assert_eq!(cluster.list_offset(node, "t", LATEST), (ErrorCode::NONE, offset + 1));
        }
    }
    for follower in followers {
        let node = cluster.node(follower);
        assert_eq!((node.served_as_follower(), node.served_as_leader()), (50, 0));
        assert!(node.gate_rounds() >= 100, "every fetch and list passed the gate: {}", node.gate_rounds());
    }
    assert_eq!(cluster.node(leader).served_as_leader(), 50);
}

/// A follower that has not heard of the newest commit: with the gate it waits, without it lies.
fn read_at_lagging_follower(options: &Options) -> (PartitionData, i64) {
    let (mut cluster, leader, followers) = cluster(options);
    cluster.send("t", "old");
    cluster.pass_ms(200);
    cluster.cut(leader, followers[0]);
    let offset = cluster.send("t", "new");
    let data = cluster.fetch(followers[0], "t", offset, 0);
    (data, offset)
}

#[test]
fn a_cut_off_follower_refuses_instead_of_answering_empty() {
    let (data, _) = read_at_lagging_follower(&Options::default());
    assert!(
        [ErrorCode::OFFSET_NOT_AVAILABLE, ErrorCode::NOT_LEADER_OR_FOLLOWER].contains(&data.error_code),
        "{data:?}"
    );
    assert_claims_nothing(&data);
}

#[test]
fn a_position_ahead_of_a_lagging_follower_is_not_called_out_of_range() {
    let (mut cluster, leader, followers) = cluster(&Options::default());
    cluster.send("t", "old");
    cluster.pass_ms(200);
    cluster.cut(leader, followers[0]);
    let end = cluster.send("t", "new") + 1;
    let refused = cluster.fetch(followers[0], "t", end, 0);
    assert!(
        [ErrorCode::OFFSET_NOT_AVAILABLE, ErrorCode::NOT_LEADER_OR_FOLLOWER].contains(&refused.error_code),
        "{refused:?}"
    );
    let mut committed = fetch_request("t", end - 1, 0);
    committed.isolation_level = 1;
    let refused = cluster.fetch_version(followers[0], FETCH_VERSION, committed);
    assert_ne!(refused.error_code, ErrorCode::NONE, "the last stable offset is behind, too: {refused:?}");
}

#[test]
fn without_the_gate_the_same_follower_lies() {
    let (data, offset) = read_at_lagging_follower(&Options { gate_off: true, ..Options::default() });
    assert_eq!((data.error_code, data.high_watermark), (ErrorCode::NONE, offset), "a stale, empty success");
    assert!(data.records.is_empty());
}

fn ask_deposed_leader(options: &Options) -> (PartitionData, (ErrorCode, i64)) {
    let (mut cluster, old, followers) = cluster(options);
    cluster.send("t", "old");
    cluster.isolate(old);
    let key = cluster.key("t", 0);
    let others = followers.clone();
    cluster.wait_for("a new leader", |cluster| {
        others.iter().any(|node| cluster.node(*node).host.borrow().view(key).is_ok_and(|view| view.confirmed))
    });
    let new = *followers
        .iter()
        .find(|node| cluster.node(**node).host.borrow().view(key).is_ok_and(|view| view.confirmed))
        .expect("found");
    let written = cluster.produce(new, "t", harness::client::one("new"));
    assert_eq!(written.error_code, ErrorCode::NONE);
    (cluster.fetch(old, "t", written.base_offset, 0), cluster.list_offset(old, "t", LATEST))
}

#[test]
fn a_deposed_leader_that_is_cut_off_answers_with_a_retriable_error() {
    let (data, listed) = ask_deposed_leader(&Options::default());
    assert!(
        [ErrorCode::OFFSET_NOT_AVAILABLE, ErrorCode::NOT_LEADER_OR_FOLLOWER].contains(&data.error_code),
        "{data:?}"
    );
    assert_claims_nothing(&data);
    assert_eq!(listed, (ErrorCode::OFFSET_NOT_AVAILABLE, -1));
}

#[test]
fn without_the_gate_a_deposed_leader_lies() {
    let (data, listed) = ask_deposed_leader(&Options { gate_off: true, ..Options::default() });
    assert_eq!(data.error_code, ErrorCode::NONE);
    assert!(data.records.is_empty());
    assert_eq!(listed.0, ErrorCode::NONE);
}

#[test]
fn old_fetch_versions_are_told_6_when_the_gate_fails() {
    let (mut cluster, leader, followers) = cluster(&Options::default());
    cluster.send("t", "old");
    cluster.cut(leader, followers[0]);
    cluster.cut(followers[0], leader);
    let data = cluster.fetch_version(followers[0], 10, fetch_request("t", 1, 0));
    assert_eq!(data.error_code, ErrorCode::NOT_LEADER_OR_FOLLOWER);
    assert_claims_nothing(&data);
}

#[test]
fn a_thousand_parked_fetches_cost_two_rounds_at_most() {
    let (mut cluster, _, followers) = cluster(&Options::default());
    let offset = cluster.send("t", "v");
    let follower = followers[0];
    cluster.fetch(follower, "t", offset, 0);
    let before = cluster.node(follower).gate_rounds();
    let fetches: Vec<_> = (0..1_000)
        .map(|_| cluster.ask(follower, false, FETCH_VERSION, &fetch_request("t", offset + 1, 5_000)))
        .map(Box::pin)
        .collect();
    let mut fetches = fetches;
    let mut answers = Vec::new();
    // All of them arrive and park; then one record wakes them all.
    let mut polls = 0;
    cluster.wait_for("all fetches to park", |cluster| {
        polls += 1;
        poll_all(&mut fetches, &mut answers);
        polls > 5
            && cluster.node(follower).counters.fetches_parked.load(std::sync::atomic::Ordering::Relaxed)
                >= 1_000
    });
    let rounds = cluster.node(follower).gate_rounds() - before;
    assert!((1..=2).contains(&rounds), "{rounds} rounds for 1,000 fetches");
    assert!(answers.is_empty());
    cluster.send("t", "wake");
    cluster.wait_for("all fetches to be answered", |_| {
        poll_all(&mut fetches, &mut answers);
        fetches.is_empty()
    });
    assert_eq!(answers.len(), 1_000);
    let rounds = cluster.node(follower).gate_rounds() - before;
    assert!(rounds <= 2, "waking them cost no round: {rounds}");
}

fn poll_all<F: std::future::Future<Output = T> + Unpin, T>(pending: &mut Vec<F>, done: &mut Vec<T>) {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    pending.retain_mut(|future| match std::pin::Pin::new(future).poll(&mut context) {
        std::task::Poll::Ready(value) => {
            done.push(value);
            false
        }
        std::task::Poll::Pending => true,
    });
}

#[test]
fn a_leader_names_the_follower_in_the_clients_rack_and_claims_nothing_with_it() {
    let (mut cluster, leader, followers) = cluster(&Options::default());
    let offset = cluster.send("t", "v");
    let follower = followers[0];
    let mut request = fetch_request("t", offset, 500);
    request.rack_id = format!("rack-{follower}");
    let hint = cluster.fetch_version(leader, FETCH_VERSION, request.clone());
    assert_eq!((hint.error_code, hint.preferred_read_replica), (ErrorCode::NONE, follower.0));
    assert_claims_nothing(&hint);
    let served = cluster.fetch_version(follower, FETCH_VERSION, request.clone());
    assert_eq!((values(&served), served.preferred_read_replica), (vec!["v".to_owned()], -1));
    assert_eq!(cluster.node(leader).served_as_leader(), 0, "a hint is not a served fetch");
    // The pinned address means: read here.
    let pinned = cluster.ask(leader, true, FETCH_VERSION, &request);
    let pinned = cluster.run(pinned).expect("open").expect("answered");
    assert_eq!(values(&pinned.responses[0].partitions[0]), vec!["v".to_owned()]);
}

#[test]
fn nobody_is_sent_to_a_dead_follower() {
    let (mut cluster, leader, followers) = cluster(&Options::default());
    let offset = cluster.send("t", "v");
    cluster.freeze(followers[0]);
    cluster.pass_ms(1_000);
    let mut request = fetch_request("t", offset, 0);
    request.rack_id = format!("rack-{}", followers[0]);
    let data = cluster.fetch_version(leader, FETCH_VERSION, request);
    assert_eq!((values(&data), data.preferred_read_replica), (vec!["v".to_owned()], -1));
}

/// A fetch at the end by a client in `rack`, and how long it took.
fn fetch_from_rack(cluster: &mut TestCluster, node: NodeId, rack: &str) -> (PartitionData, u64) {
    let mut request = fetch_request("t", 1, 500);
    request.rack_id = rack.to_owned();
    let asked_ms = cluster.now_ms();
    let data = cluster.fetch_version(node, FETCH_VERSION, request);
    (data, cluster.now_ms() - asked_ms)
}

#[test]
fn a_follower_that_cannot_pass_its_gate_sends_a_client_with_a_rack_back_to_the_leader() {
    let (mut cluster, leader, followers) = cluster(&Options::default());
    let follower = followers[0];
    cluster.send("t", "v");
    cluster.pass_ms(200);
    cluster.cut(leader, follower);
    cluster.cut(follower, leader);
    let before = cluster.node(follower).served_as_follower();
    let (data, took_ms) = fetch_from_rack(&mut cluster, follower, &format!("rack-{follower}"));
    assert_eq!((data.error_code, data.preferred_read_replica), (ErrorCode::NONE, leader.0));
    assert_claims_nothing(&data);
    assert!(took_ms >= 500, "sent back after the deadline of the gate, not at network speed: {took_ms}");
    assert_eq!(cluster.node(follower).served_as_follower(), before, "nothing was served");
    // Without a rack the client did not choose this replica by one, and an error is what it understands.
    let (data, _) = fetch_from_rack(&mut cluster, follower, "");
    assert!(
        [ErrorCode::OFFSET_NOT_AVAILABLE, ErrorCode::NOT_LEADER_OR_FOLLOWER].contains(&data.error_code),
        "{data:?}"
    );
    assert_eq!(data.preferred_read_replica, -1);
    cluster.recover();
    cluster.pass_ms(1_000);
    let (data, _) = fetch_from_rack(&mut cluster, follower, &format!("rack-{follower}"));
    assert_eq!((data.error_code, data.high_watermark), (ErrorCode::NONE, 1), "healed, it serves again");
}

#[test]
fn a_deposed_leader_sends_nobody_to_itself() {
    let (mut cluster, old, _) = cluster(&Options::default());
    cluster.send("t", "v");
    cluster.isolate(old);
    // Once while it still believes to lead, and once after it has stepped down.
    for _ in 0..2 {
        let (data, _) = fetch_from_rack(&mut cluster, old, &format!("rack-{old}"));
        assert!(
            [ErrorCode::OFFSET_NOT_AVAILABLE, ErrorCode::NOT_LEADER_OR_FOLLOWER].contains(&data.error_code),
            "{data:?}"
        );
        assert_eq!(data.preferred_read_replica, -1);
        assert_claims_nothing(&data);
        cluster.pass_ms(2_000);
    }
}

#[test]
fn followers_refuse_when_told_to() {
    let (mut cluster, leader, followers) = cluster(&Options { followers_refuse: true, ..Options::default() });
    let offset = cluster.send("t", "v");
    let refused = cluster.fetch(followers[0], "t", offset, 0);
    assert_eq!(refused.error_code, ErrorCode::NOT_LEADER_OR_FOLLOWER);
    assert_claims_nothing(&refused);
    assert_eq!(values(&cluster.fetch(leader, "t", offset, 0)), vec!["v".to_owned()]);
}

#[test]
fn the_leader_is_named_with_its_address_or_not_at_all() {
    let (mut cluster, leader, followers) = cluster(&Options { followers_refuse: true, ..Options::default() });
    // A client of version 12 has no address for a node that its metadata do not list.
    let old = cluster.call(followers[0], FETCH_VERSION, &fetch_request("t", 0, 0));
    assert_eq!(old.responses[0].partitions[0].error_code, ErrorCode::NOT_LEADER_OR_FOLLOWER);
    assert_eq!(old.responses[0].partitions[0].current_leader.leader_id, -1);
    assert_eq!(old.node_endpoints, []);

    let mut by_id = fetch_request("t", 0, 0);
    by_id.topics[0].topic_id = cluster.key("t", 0).topic;
    let new = cluster.call(followers[0], 16, &by_id);
    assert_eq!(new.responses[0].partitions[0].error_code, ErrorCode::NOT_LEADER_OR_FOLLOWER);
    assert_eq!(new.responses[0].partitions[0].current_leader.leader_id, leader.0);
    assert_eq!(new.node_endpoints.iter().map(|node| node.node_id).collect::<Vec<_>>(), vec![leader.0]);
}

#[test]
fn out_of_range_is_said_only_when_it_is_true() {
    let (mut cluster, leader, followers) = cluster(&Options::default());
    let offset = cluster.send("t", "v");
    for node in [leader, followers[0]] {
        let beyond = cluster.fetch(node, "t", offset + 2, 0);
        assert_eq!(beyond.error_code, ErrorCode::OFFSET_OUT_OF_RANGE);
        assert_eq!(cluster.node(node).counted()["offsets_out_of_range"], 1);
        let at_end = cluster.fetch(node, "t", offset + 1, 0);
        assert_eq!((at_end.error_code, at_end.high_watermark), (ErrorCode::NONE, offset + 1));
    }
}

#[test]
fn an_epoch_of_the_past_is_fenced_and_one_of_the_future_unknown() {
    let (mut cluster, leader, followers) = cluster(&Options::default());
    let offset = cluster.send("t", "v");
    let epoch =
        cluster.node(leader).broker.node().view(|view| view.leader(cluster.key("t", 0))).expect("leader").1.0;
    for (said, code) in [
        (epoch - 1, ErrorCode::FENCED_LEADER_EPOCH),
        (epoch, ErrorCode::NONE),
        (epoch + 1, ErrorCode::UNKNOWN_LEADER_EPOCH),
    ] {
        let mut request = fetch_request("t", offset, 0);
        request.topics[0].partitions[0].current_leader_epoch = said;
        assert_eq!(
            cluster.fetch_version(followers[0], FETCH_VERSION, request).error_code,
            code,
            "epoch {said}"
        );
    }
    let counters = cluster.node(followers[0]).counted();
    assert_eq!((counters["epochs_fenced"], counters["epochs_unknown"]), (1, 1));
}

#[test]
fn a_parked_fetch_at_a_follower_is_woken_by_data() {
    let (mut cluster, _, followers) = cluster(&Options::default());
    let offset = cluster.send("t", "first");
    let mut parked =
        Box::pin(cluster.ask(followers[1], false, FETCH_VERSION, &fetch_request("t", offset + 1, 10_000)));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    for _ in 0..20 {
        assert!(std::future::Future::poll(parked.as_mut(), &mut context).is_pending());
        cluster.pass_ms(1);
    }
    let started_ms = cluster.now_ms();
    cluster.send("t", "second");
    let response = cluster.run(parked).expect("open").expect("answered");
    assert_eq!(values(&response.responses[0].partitions[0]), vec!["second".to_owned()]);
    assert!(cluster.now_ms() - started_ms < 100, "woken, not timed out");
}

#[test]
fn an_incremental_session_omits_what_is_unchanged() {
    let (mut cluster, _, followers) = cluster(&Options::default());
    let offset = cluster.send("t", "v");
    let mut first = fetch_request("t", offset + 1, 0);
    first.session_epoch = 0;
    let opened = cluster.call(followers[0], FETCH_VERSION, &first);
    assert!(opened.session_id > 0);
    assert_eq!(opened.responses.len(), 1);
    let mut next = fetch_request("t", offset + 1, 0);
    (next.session_id, next.session_epoch) = (opened.session_id, 1);
    next.topics.clear();
    assert_eq!(cluster.call(followers[0], FETCH_VERSION, &next).responses.len(), 0, "nothing changed");
    cluster.send("t", "w");
    next.session_epoch = 2;
    let moved = cluster.call(followers[0], FETCH_VERSION, &next);
    assert_eq!(values(&moved.responses[0].partitions[0]), vec!["w".to_owned()]);
}

#[test]
fn tail_mode_serves_records_below_the_end_without_the_gate_and_never_a_false_empty() {
    let mut cluster = TestCluster::start(3, &Options::default());
    cluster.create_topic("t", 1, &[("chronik.read.consistency", "tail")]);
    let leader = cluster.leader(cluster.key("t", 0)).expect("a leader");
    let follower = *cluster.nodes.keys().find(|node| **node != leader).expect("a follower");
    let offset = cluster.send("t", "v");
    cluster.pass_ms(200);
    cluster.isolate(follower);
    let rounds = cluster.node(follower).gate_rounds();
    let below = cluster.fetch(follower, "t", offset, 0);
    assert_eq!(values(&below), vec!["v".to_owned()]);
    assert_eq!(cluster.node(follower).gate_rounds(), rounds, "no gate for records below the end");
    let at_end = cluster.fetch(follower, "t", offset + 1, 0);
    assert_ne!(at_end.error_code, ErrorCode::NONE, "the end is a claim: {at_end:?}");
}

/// With its bug planted each of these scenarios fails.
#[cfg(feature = "mutants")]
#[test]
fn the_scenarios_above_kill_their_bugs() {
    use chronik_mutants::Mutant;
    use harness::killed;

    killed(Mutant::FollowerUngated, a_cut_off_follower_refuses_instead_of_answering_empty);
    killed(Mutant::EmptyOnTimeout, a_cut_off_follower_refuses_instead_of_answering_empty);
    killed(Mutant::LeaderUngated, a_deposed_leader_that_is_cut_off_answers_with_a_retriable_error);
    killed(Mutant::ListOffsetsUngated, a_deposed_leader_that_is_cut_off_answers_with_a_retriable_error);
    killed(Mutant::OutOfRangeWhenBehind, a_position_ahead_of_a_lagging_follower_is_not_called_out_of_range);
    killed(Mutant::CommittedReadsUngated, a_position_ahead_of_a_lagging_follower_is_not_called_out_of_range);
}
