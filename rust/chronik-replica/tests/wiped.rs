//! A disk that was wiped under the same node id, and one that forgot what it had acknowledged.
//!
//! Each danger is shown twice: with a wiped node that counts as a voter, where it does the damage, and as a learner,
//! where it cannot. Without the first half a test of the second would prove nothing.

#![allow(clippy::unwrap_used, reason = "test code")]

mod harness;

use std::sync::Arc;

use chronik_log::{LogConfig, MemDisk, UnsyncedPolicy};
use chronik_replica::*;
use chronik_wire::types::{NodeId, Offset};
use harness::*;
use raft::eraftpb::MessageType;

fn kind_of(flight: &Flight) -> Option<MessageType> {
    match &flight.message {
        ReplicaMessage::Raft(message) | ReplicaMessage::Learner(message) => Some(message.get_msg_type()),
        _ => None,
    }
}

/// "kept" is acknowledged by nodes 1 and 3 while node 2 hears nothing; then node 3 loses its disk and node 1 dies.
fn only_node_1_holds_the_record(standing: Standing) -> World {
    let mut world = World::elected();
    world.isolate(2);
    assert_eq!(world.produce(1, batch(&["kept"])), ok(0));
    world.restart_wiped(3, standing);
    world.crash(1, UnsyncedPolicy::Keep);
    world.recover();
    world
}

#[test]
fn a_wiped_voter_elects_who_lacks_an_acknowledged_record() {
    let mut world = only_node_1_holds_the_record(Standing::Voter);
    world.until("an election that must not be", |world| world.confirmed_leader(KEY).is_some());
    assert!(world.values(2).is_empty(), "an acknowledged record is lost");
}

#[test]
fn a_wiped_node_elects_nobody_and_the_record_is_there_when_its_holder_returns() {
    let mut world = only_node_1_holds_the_record(Standing::Learner);
    world.tell_down(1, true);
    world.ticks(200);
    assert_eq!(world.confirmed_leader(KEY), None);
    assert!(world.counters(2).campaigns.get() > 0, "nobody asked for a vote");
    assert!(world.counters(3).votes_refused_unknown_directory.get() > 0, "nobody was refused");
    assert_eq!(world.counters(3).campaigns.get(), 0);

    world.restart(1);
    world.until("node 1 leads again", |world| world.confirmed_leader(KEY) == Some(NodeId(1)));
    assert_eq!(world.produce(1, batch(&["more"])), ok(1));
    world.until("the wiped node caught up", |world| world.view(3).high_watermark == Offset(2));
    world.pass(3).unwrap();
    assert_eq!(world.values(3), ["kept", "more"]);
    assert!(world.counters(1).learner_answers.get() > 0, "its answers were not marked");
    let seen = world.view(1).followers;
    let wiped = seen.iter().find(|follower| follower.node == NodeId(3)).unwrap();
    assert_eq!((wiped.lag_entries, wiped.active, wiped.in_sync), (0, true, false), "{wiped:?}");
}

/// The vote of node 3 for node 2 is under way while node 3 loses its disk and hears of the old leader again.
/// Returns what became of a produce at the old leader before the vote arrived.
fn a_vote_outlives_its_disk(standing: Standing) -> (World, bool) {
    let mut world = World::elected();
    world.isolate(1);
    // Node 1 is not told the time: it still believes that it leads.
    world.no_ticks.insert(NodeId(1));
    world.hold = Some(Box::new(|flight| {
        flight.to == NodeId(2) && kind_of(flight) == Some(MessageType::MsgRequestVoteResponse)
    }));
    world.host(3).on_peer_down(NodeId(1), true);
    world.host(2).on_peer_down(NodeId(1), true);
    world.settle();
    let vote = world.held.pop().expect("node 2 campaigned and node 3 voted");
    world.hold = None;
    world.restart_wiped(3, standing);
    world.recover();
    world.isolate(2);
    world.no_ticks.extend([NodeId(2), NodeId(3)]);
    let mut answer = world.append(1, batch(&["kept"]));
    world.settle();
    let acknowledged = matches!(answer.try_recv(), Ok(Ok(_)));
    world.deliver(vote);
    world.settle();
    assert!(world.host(2).replica(KEY).unwrap().leads(), "the old vote makes node 2 leader");
    world.no_ticks.clear();
    world.recover();
    world.until("node 2 leads them all", |world| world.confirmed_leader(KEY) == Some(NodeId(2)));
    world.ticks(50);
    (world, acknowledged)
}

#[test]
fn an_acknowledgement_of_a_wiped_voter_contradicts_its_old_vote() {
    let (mut world, acknowledged) = a_vote_outlives_its_disk(Standing::Voter);
    assert!(acknowledged);
    assert!(world.values(2).is_empty(), "an acknowledged record is lost");
}

#[test]
fn an_acknowledgement_of_a_learner_commits_nothing() {
    let (mut world, acknowledged) = a_vote_outlives_its_disk(Standing::Learner);
    assert!(!acknowledged, "one member that counts holds it");
    assert_eq!(world.produce(2, batch(&["after"])), ok(0));
    assert_eq!(world.values(2), ["after"]);
}

/// Node 2 led and committed "new" with node 3 while node 1 was frozen; node 3 loses its disk; node 1 is read.
/// Returns whether the read passed the gate at node 1.
fn a_deposed_leader_asks_a_wiped_node(standing: Standing) -> bool {
    let mut world = World::new(3);
    // Node 1 never hears of node 3: its heartbeats to it carry no commit index, by which a lost disk would show.
    world.cut(1, 3);
    world.cut(3, 1);
    world.create_all(KEY, TopicSettings::default());
    world.until("node 1 leads", |world| world.confirmed_leader(KEY) == Some(NodeId(1)));
    world.node(1).frozen = true;
    world.until("node 2 leads", |world| world.confirmed_leader(KEY) == Some(NodeId(2)));
    assert_eq!(world.produce(2, batch(&["new"])), ok(0));
    world.restart_wiped(3, standing);
    world.recover();
    world.isolate(2);
    world.node(1).frozen = false;
    world.no_ticks.extend(world.ids());
    let mut read = world.enter_until(1, LATE);
    world.settle();
    matches!(read.try_recv(), Ok(Ok(_)))
}

#[test]
fn a_heartbeat_answer_of_a_wiped_node_confirms_no_read() {
    assert!(a_deposed_leader_asks_a_wiped_node(Standing::Voter), "the danger is not there");
    assert!(!a_deposed_leader_asks_a_wiped_node(Standing::Learner), "a stale read was let through");
}

#[test]
fn a_leader_that_believes_in_the_old_disk_feeds_the_new_one() {
    let mut world = World::elected();
    for number in 0..20 {
        world.produce(1, batch(&[&number.to_string()])).unwrap();
    }
    // No tick passes between the two lives: the leader's next heartbeat still carries what the old disk acknowledged.
    world.restart_wiped(3, Standing::Learner);
    world.until("the wiped node caught up", |world| world.view(3).high_watermark == Offset(20));
    world.pass(3).unwrap();
    assert_eq!(world.values(3), world.values(1));
    assert_eq!(world.counters(1).progress_lowered.get(), 1);
    assert_eq!(world.sum(|counters| &counters.replicas_stopped), 0);
    let asleep = |world: &mut World, node| world.host(node).replica(KEY).unwrap().is_asleep();
    world.ticks(200);
    assert!(
        (1..=3).all(|node| asleep(&mut world, node)),
        "a learner that holds everything lets the group sleep"
    );
    assert_eq!(world.produce(1, batch(&["awake"])), ok(20));
    world.until("woken", |world| world.view(3).high_watermark == Offset(21));
}

#[test]
fn a_wiped_node_far_behind_starts_from_a_snapshot() {
    let mut world = World::new(3);
    world.log = Arc::new(LogConfig { segment_bytes: 4 * 1024, ..LogConfig::default() });
    world.create_all(KEY, TopicSettings::default());
    let value = "v".repeat(1_000);
    for _ in 0..40 {
        world.produce(1, batch(&[&value])).unwrap();
    }
    world.host(1).move_log_start(KEY, Offset(30)).unwrap();
    world.settle();
    world.restart_wiped(3, Standing::Learner);
    world.until("the wiped node caught up", |world| world.view(3).high_watermark == Offset(40));
    assert_eq!(world.counters(3).snapshots_installed.get(), 1);
    world.pass(3).unwrap();
    assert_eq!(world.values(3), world.values(1));
    // Losses and repetitions do not stop the feeding either.
    world.seed(7);
    (world.drop_percent, world.duplicate_percent) = (20, 20);
    for number in 40..60 {
        assert_eq!(world.produce(1, batch(&["x"])).unwrap().base_offset, Offset(number));
    }
    (world.drop_percent, world.duplicate_percent) = (0, 0);
    world.until("the wiped node kept up", |world| world.view(3).high_watermark == Offset(60));
    assert_eq!(world.sum(|counters| &counters.replicas_stopped), 0);
}

#[test]
fn a_learner_is_no_heir_and_no_quorum() {
    let mut world = World::elected();
    world.produce(1, batch(&["a"])).unwrap();
    world.restart_wiped(3, Standing::Learner);
    world.until("the wiped node caught up", |world| world.view(3).high_watermark == Offset(1));
    assert!(matches!(
        world.host(1).transfer_leader(KEY, NodeId(3)),
        Err(ReplicaError::NotVoter { node: NodeId(3), .. })
    ));
    world.crash(2, UnsyncedPolicy::Drop);
    let mut answer = world.append(1, batch(&["b"]));
    world.ticks(50);
    assert!(!matches!(answer.try_recv(), Ok(Ok(_))), "one voter of three is no quorum");
    assert!(!world.host(1).replica(KEY).unwrap().leads(), "nor does the learner keep it in office");
    assert_eq!(world.view(3).leader, None, "and the learner stops believing in it");
    world.restart(2);
    world.until("a leader", |world| world.confirmed_leader(KEY).is_some());
    let leader = world.confirmed_leader(KEY).unwrap().0;
    world.host(leader).step_down(KEY).unwrap();
    world.until("the other voter leads", |world| world.confirmed_leader(KEY) == Some(NodeId(3 - leader)));
}

#[test]
fn a_node_told_that_it_is_a_member_counts_from_then_on() {
    let mut world = World::new(3);
    for node in [1, 3] {
        world.node(node).standing = Standing::Learner;
        world.host(node).set_standing(Standing::Learner);
    }
    world.create_all(KEY, TopicSettings::default());
    assert_eq!(world.counters(1).campaigns.get(), 0, "node 1 is designated and must wait");
    world.host(1).set_standing(Standing::Voter);
    world.until("node 1 leads at once", |world| world.confirmed_leader(KEY) == Some(NodeId(1)));
    world.crash(2, UnsyncedPolicy::Drop);
    let mut answer = world.append(1, batch(&["a"]));
    world.settle();
    assert!(is_open(&mut answer), "node 3 does not count yet");
    world.host(3).set_standing(Standing::Voter);
    assert_eq!(world.wait(&mut answer), ok(0));
    world.crash(1, UnsyncedPolicy::Drop);
    world.restart(2);
    world.until("node 3 votes", |world| world.confirmed_leader(KEY).is_some());
    let leader = world.confirmed_leader(KEY).unwrap().0;
    assert_eq!(world.values(leader), ["a"]);
}

#[test]
fn without_sync_a_member_that_lost_its_tail_gets_it_again() {
    let mut world = World::with(3, |config| HostConfig { sync: SyncMode::Never, ..config });
    world.create_all(KEY, TopicSettings::default());
    for number in 0..10 {
        world.produce(1, batch(&[&number.to_string()])).unwrap();
    }
    world.crash(3, UnsyncedPolicy::Drop);
    world.restart(3);
    assert!(world.host(3).replica(KEY).unwrap().log().last_index() < Index(10), "nothing was lost");
    world.until("node 3 caught up", |world| world.view(3).high_watermark == Offset(10));
    assert_eq!(world.counters(1).progress_lowered.get(), 1);
    assert_eq!(world.values(3), world.values(1));
    assert_eq!(world.sum(|counters| &counters.replicas_stopped), 0);
    assert_eq!(world.produce(1, batch(&["more"])), ok(10));
}

#[test]
fn with_sync_a_voter_that_lost_what_it_acknowledged_stops_and_says_why() {
    let mut world = World::elected();
    for number in 0..10 {
        world.produce(1, batch(&[&number.to_string()])).unwrap();
    }
    // The disk keeps the term and forgets the entries: not a crash, a lie.
    world.crash(3, UnsyncedPolicy::Drop);
    world.node(3).disk = MemDisk::new();
    world.restart(3);
    world.ticks(10);
    let stopped = world.host(3).replica(KEY).unwrap().stop_reason().unwrap().to_owned();
    assert!(stopped.contains("the disk lost synced entries"), "{stopped}");
    assert_eq!(world.produce(1, batch(&["more"])), ok(10));
}
