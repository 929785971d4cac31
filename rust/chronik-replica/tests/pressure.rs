//! What happens at the edges of room: full disks, members far behind, replicas that go while work is under way.
#![allow(clippy::unwrap_used, reason = "test code")]

mod harness;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use chronik_log::{LogConfig, UnsyncedPolicy};
use chronik_replica::*;
use chronik_wire::types::{NodeId, Offset};
use harness::*;
use raft::eraftpb::MessageType;

fn retaining(bytes: u64) -> TopicSettings {
    TopicSettings { retention_ms: None, retention_bytes: Some(bytes), ..TopicSettings::default() }
}

fn big() -> String {
    "x".repeat(1_000)
}

/// A world of small segments with 40 KiB of records.
fn filled(adjust: impl Fn(HostConfig) -> HostConfig) -> World {
    let mut world = World::with(3, adjust);
    world.log = Arc::new(LogConfig { segment_bytes: 4 * 1024, ..LogConfig::default() });
    world.create_all(KEY, TopicSettings::default());
    for _ in 0..40 {
        world.produce(1, batch(&[&big()])).unwrap();
    }
    for node in 1..=3 {
        world.host(node).set_settings(KEY, retaining(8 * 1024));
    }
    world
}

fn run_retention(world: &mut World) {
    for node in 1..=3 {
        world.host(node).run_retention(2_000_000);
    }
    world.settle();
}

#[test]
fn retention_frees_a_full_disk() {
    let mut world = filled(|config| HostConfig { disk_reserve_bytes: 16 * 1024, ..config });
    for node in 1..=3 {
        let disk = world.node(node).disk.clone();
        disk.set_quota(Some(disk.used_bytes() + 12 * 1024));
    }
    assert_eq!(world.produce(1, batch(&[&big()])), Err(AppendError::Storage), "the rest is reserved");
    run_retention(&mut world);
    assert!(world.view(1).log_start > Offset(20), "the move of the log start needs no room");
    assert_eq!(world.produce(1, batch(&[&big()])).unwrap().base_offset, Offset(40));
    assert_eq!(world.view(3).log_start, world.view(1).log_start);
}

#[test]
fn a_producer_in_a_hurry_does_not_outrun_retention_by_size() {
    let mut world = World::with(3, |config| config);
    world.log = Arc::new(LogConfig { segment_bytes: 4 * 1024, ..LogConfig::default() });
    world.create_all(KEY, retaining(8 * 1024));
    for _ in 0..200 {
        world.produce(1, batch(&[&big()])).unwrap();
    }
    world.settle();
    // No regular check has run. What is kept is the limit, the active segment and one that is being dropped.
    for node in 1..=3 {
        let view = world.view(node);
        assert!(view.high_watermark.0 - view.log_start.0 <= 20, "node {node}: {view:?}");
    }
}

#[test]
fn retention_waits_for_the_end_of_a_transfer() {
    let mut world = filled(|config| config);
    world.hold = Some(Box::new(
        |flight| matches!(&flight.message, ReplicaMessage::Raft(message) if message.get_msg_type() == MessageType::MsgTimeoutNow),
    ));
    world.host(1).transfer_leader(KEY, NodeId(2)).unwrap();
    world.settle();
    run_retention(&mut world);
    assert_eq!(world.view(1).log_start, Offset(0), "nothing is proposed during a transfer");
    world.until("the transfer is given up and the log start moves", |world| {
        world.confirmed_leader(KEY) == Some(NodeId(1)) && world.view(1).log_start > Offset(20)
    });
}

#[test]
fn of_two_moves_of_the_log_start_the_farther_one_counts() {
    let mut world = filled(|config| config);
    world.host(1).move_log_start(KEY, Offset(30)).unwrap();
    world.host(1).move_log_start(KEY, Offset(10)).unwrap();
    world.settle();
    assert_eq!(world.view(1).log_start, Offset(30));
}

/// Bytes of the appends that a leader sends to a member.
#[derive(Default)]
struct Fed {
    largest: usize,
    since_answer: usize,
    most_since_answer: usize,
}

#[test]
fn a_member_far_behind_is_fed_in_portions() {
    let mut world = World::elected();
    world.isolate(3);
    let value = "x".repeat(400 * 1024);
    for _ in 0..120 {
        world.produce(1, batch(&[&value])).unwrap();
    }
    let fed: Rc<RefCell<Fed>> = Rc::default();
    let seen = Rc::clone(&fed);
    world.hold = Some(Box::new(move |flight| {
        let ReplicaMessage::Raft(message) = &flight.message else { return false };
        let mut fed = seen.borrow_mut();
        if flight.to == NodeId(3) && message.get_msg_type() == MessageType::MsgAppend {
            let bytes: usize = message.get_entries().iter().map(|entry| entry.data.len()).sum();
            fed.largest = fed.largest.max(bytes);
            fed.since_answer += bytes;
            fed.most_since_answer = fed.most_since_answer.max(fed.since_answer);
        } else if flight.from == NodeId(3) {
            fed.since_answer = 0;
        }
        false
    }));
    world.recover();
    world.until("node 3 caught up", |world| world.view(3).high_watermark == Offset(120));
    assert_eq!(world.values(3).len(), 120);
    let portion = limits::APPEND_MESSAGE_BYTES_MAX as usize;
    let fed = fed.borrow();
    assert!(fed.largest <= portion, "an append of {} bytes", fed.largest);
    assert!(fed.most_since_answer <= limits::APPEND_MESSAGES_IN_FLIGHT_MAX * portion);
    assert!(fed.most_since_answer < 40 << 20, "{} bytes before an answer", fed.most_since_answer);
    assert!(fed.most_since_answer > 2 * portion, "the window is used");
}

#[test]
fn a_repetition_waits_for_as_many_members_as_its_original() {
    let mut world = World::new(3);
    let settings = TopicSettings { min_insync_replicas: 3, ..TopicSettings::default() };
    world.create_all(KEY, settings);
    world.hold = Some(Box::new(|flight| {
        flight.to == NodeId(3)
            && matches!(&flight.message, ReplicaMessage::Raft(message) if !message.get_entries().is_empty())
    }));
    let deadline_ms = world.now_ms + 100;
    let mut first = world.host(1).append(KEY, numbered(9, 0, 0, "a"), Acks::All, deadline_ms);
    assert_eq!(world.wait(&mut first), Err(AppendError::NotEnoughReplicasAfterAppend));
    let mut again = world.append(1, numbered(9, 0, 0, "a"));
    world.settle();
    assert!(is_open(&mut again), "two of three hold it, as before");
    let deadline_ms = world.now_ms + 100;
    let mut hasty = world.host(1).append(KEY, numbered(9, 0, 0, "a"), Acks::All, deadline_ms);
    assert_eq!(world.wait(&mut hasty), Err(AppendError::NotEnoughReplicasAfterAppend));
    let mut weak = world.host(1).append(KEY, numbered(9, 0, 0, "a"), Acks::Leader, LATE);
    world.settle();
    assert!(weak.try_recv().unwrap().unwrap().duplicate, "acks=1 asks the leader only");
    world.release();
    let again = world.wait(&mut again).unwrap();
    assert_eq!((again.base_offset, again.duplicate), (Offset(0), true));
    assert_eq!(world.values(3), ["a"]);
}

#[test]
fn the_sync_of_a_removed_replica_says_nothing_about_its_successor() {
    let mut world = World::with(1, |config| HostConfig { sync: SyncMode::Deferred, ..config });
    world.create_all(KEY, TopicSettings::default());
    for _ in 0..10 {
        world.produce(1, batch(&["old"])).unwrap();
    }
    world.node(1).hold_syncs = true;
    let mut lost = world.append(1, batch(&["old"]));
    world.settle();
    world.host(1).remove_replica(KEY, true).unwrap();
    assert_eq!(lost.try_recv().unwrap(), Err(AppendError::TimedOut));
    world.open(NodeId(1), KEY, TopicSettings::default());
    world.node(1).hold_syncs = false;
    assert_eq!(world.produce(1, batch(&["new"])), ok(0));
    assert!(!world.view(1).stopped);
    world.crash(1, UnsyncedPolicy::Keep);
    world.restart(1);
    world.until("it leads again", |world| world.confirmed_leader(KEY) == Some(NodeId(1)));
    assert_eq!(world.values(1), ["new"]);
}

#[test]
fn a_host_that_never_syncs_owes_its_logs_no_sync() {
    let mut world = filled(|config| HostConfig { sync: SyncMode::Never, ..config });
    world.host(2).set_log_config(KEY, Arc::new(LogConfig::default()));
    for node in 1..=3 {
        let log = world.host(node).replica(KEY).unwrap().log();
        assert!(log.segments().len() > 5);
        assert!(!log.dirty(), "files wait for a sync that never comes, and stay open");
    }
}
