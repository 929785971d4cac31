//! Durability: promises leave after the sync, crashes lose nothing acknowledged, snapshots, retention, restart.
#![allow(clippy::unwrap_used, reason = "test code")]

mod harness;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use chronik_log::{Disk, DiskFault, FaultPlan, FileScope, LogConfig, LogError, UnsyncedPolicy};
use chronik_replica::*;
use chronik_wire::types::{LeaderEpoch, NodeId, Offset};
use harness::*;
use raft::eraftpb::MessageType;

fn deferred() -> World {
    let mut world = World::with(3, |config| HostConfig { sync: SyncMode::Deferred, ..config });
    world.create_all(KEY, TopicSettings::default());
    world.until("a leader", |world| world.confirmed_leader(KEY) == Some(NodeId(1)));
    world
}

fn small_segments() -> Arc<LogConfig> {
    Arc::new(LogConfig { segment_bytes: 4 * 1024, ..LogConfig::default() })
}

fn big() -> String {
    "x".repeat(1_000)
}

#[test]
fn a_followers_promise_leaves_after_its_sync() {
    let mut world = deferred();
    world.node(2).hold_syncs = true;
    world.node(3).hold_syncs = true;
    let mut answer = world.append(1, batch(&["a"]));
    world.settle();
    assert!(is_open(&mut answer));
    assert_eq!(world.view(1).high_watermark, Offset(0), "two members wrote it and promised nothing");
    world.node(2).hold_syncs = false;
    world.settle();
    assert_eq!(answer.try_recv().unwrap(), ok(0));
}

#[test]
fn a_leader_sends_before_its_own_sync_and_acks_after_it() {
    let mut world = deferred();
    world.node(1).hold_syncs = true;
    let mut leader = world.host(1).append(KEY, batch(&["a"]), Acks::Leader, LATE);
    let mut all = world.append(1, batch(&["b"]));
    world.settle();
    assert_eq!(world.view(2).log_start, Offset(0));
    let at_follower = world.host(2).replica(KEY).unwrap().log().log_end();
    assert_eq!(at_follower, Offset(2), "the followers have it already");
    assert!(is_open(&mut leader) && is_open(&mut all));
    world.node(1).hold_syncs = false;
    world.settle();
    assert_eq!(leader.try_recv().unwrap(), ok(0));
    assert_eq!(all.try_recv().unwrap(), ok(1));
}

#[test]
fn what_comes_during_a_sync_shares_the_next_one() {
    let mut world = deferred();
    world.create_all(key(3), TopicSettings::default());
    world.until("a second leader", |world| world.confirmed_leader(key(3)) == Some(NodeId(1)));
    let before = world.node(1).disk.sync_count();
    world.node(1).hold_syncs = true;
    let mut answers = vec![world.append(1, batch(&["first"]))];
    world.settle();
    for _ in 0..50 {
        answers.push(world.append(1, batch(&["later"])));
        answers.push(world.host(1).append(key(3), batch(&["other"]), Acks::All, LATE));
        world.settle();
    }
    world.node(1).hold_syncs = false;
    world.settle();
    for mut answer in answers {
        answer.try_recv().unwrap().unwrap();
    }
    let syncs = world.node(1).disk.sync_count() - before;
    assert!(syncs <= 8, "{syncs} syncs for 101 batches of two partitions");
}

#[test]
fn a_vote_is_durable_before_it_leaves() {
    let mut world = deferred();
    world.isolate(1);
    world.node(2).hold_syncs = true;
    world.node(3).hold_syncs = true;
    world.ticks(120);
    assert!(
        [2, 3].iter().all(|node| world.view(*node).role == Role::Follower),
        "nobody wins while no vote is durable"
    );
    world.node(2).hold_syncs = false;
    world.ticks(120);
    assert_eq!(world.view(2).role, Role::Follower, "its own vote is durable, the one it needs is not");
    world.node(3).hold_syncs = false;
    world.until("a leader", |world| world.confirmed_leader(KEY).is_some_and(|leader| leader != NodeId(1)));
}

#[test]
fn a_reader_waits_for_what_is_committed_and_not_yet_persisted_here() {
    let mut world = deferred();
    world.node(3).hold_syncs = true;
    world.produce(1, batch(&["a"])).unwrap();
    world.ticks(5);
    let mut reader = world.enter(3);
    world.ticks(1);
    assert_eq!(world.view(3).high_watermark, Offset(0), "written and not persisted, so not applied");
    assert!(is_open(&mut reader));
    world.node(3).hold_syncs = false;
    assert!(world.wait(&mut reader).is_ok());
    assert_eq!(world.view(3).high_watermark, Offset(1));
}

/// Votes that node 3 gives candidate `from` for `term`.
fn votes_for(world: &mut World, from: i32, term: u64) -> usize {
    let log = world.host(3).replica(KEY).unwrap().log();
    let last = log.last_index();
    let mut request = raft::eraftpb::Message::default();
    request.set_msg_type(MessageType::MsgRequestVote);
    (request.from, request.to) = (from as u64 + 1, 4);
    (request.term, request.index, request.log_term) = (term, last.0, log.term(last).unwrap().0);
    world.recover();
    world.hold = Some(Box::new(|_| true));
    world.host(3).on_message(NodeId(from), KEY, ReplicaMessage::Raft(request));
    world.settle();
    let granted = |flight: &Flight| matches!(&flight.message, ReplicaMessage::Raft(message) if message.get_msg_type() == MessageType::MsgRequestVoteResponse && !message.reject);
    let votes = world.held.iter().filter(|flight| granted(flight)).count();
    world.held.clear();
    world.hold = None;
    world.isolate(3);
    votes
}

#[test]
fn nobody_votes_twice_in_a_term_though_it_crashed_in_between() {
    let mut world = deferred();
    world.isolate(3);
    world.until("node 3 knows no leader", |world| world.view(3).leader.is_none());
    assert_eq!(votes_for(&mut world, 1, 99), 1);
    world.crash(3, UnsyncedPolicy::Drop);
    world.restart(3);
    assert_eq!(votes_for(&mut world, 2, 99), 0, "it gave its vote away");
    assert_eq!(votes_for(&mut world, 2, 100), 1, "in another term it has another one");
}

#[test]
fn what_was_never_committed_is_not_visible_after_a_restart() {
    let mut world = deferred();
    world.produce(1, batch(&["a"])).unwrap();
    world.ticks(2);
    world.isolate(1);
    let mut open = world.append(1, batch(&["b"]));
    world.settle();
    assert!(is_open(&mut open));
    world.crash(1, UnsyncedPolicy::Keep);
    world.restart(1);
    world.ticks(5);
    assert_eq!(world.view(1).high_watermark, Offset(1));
}

#[test]
fn a_failed_deferred_sync_stops_the_replica() {
    let mut world = deferred();
    let disk = world.node(3).disk.clone();
    disk.fail_next_syncs(1);
    world.produce(1, batch(&["a"])).unwrap();
    assert!(world.view(3).stopped);
    assert_eq!(world.produce(1, batch(&["b"])), ok(1));
    assert_eq!(world.enter(3).try_recv().unwrap().unwrap_err().kind, GateErrorKind::Stopped);
    assert_eq!(world.counters(3).sync_failures.get(), 1);
}

#[test]
fn a_torn_tail_is_cut_and_damage_before_it_refused() {
    let mut world = deferred();
    world.log = small_segments();
    world.produce(1, batch(&["a"])).unwrap();
    world.node(3).hold_syncs = true;
    world.produce(1, batch(&["b"])).unwrap();
    // Half a record on the disk, as a power cut leaves it.
    let dir = world.spec(KEY, TopicSettings::default()).dir;
    let disk = world.node(3).disk.clone();
    let segment = disk.list(&dir).unwrap().into_iter().find(|name| name.ends_with(".log")).unwrap();
    let torn = disk.open(&dir, &segment).unwrap();
    torn.truncate(torn.len() - 20).unwrap();
    drop(torn);
    world.node(3).hold_syncs = false;
    world.crash(3, UnsyncedPolicy::Keep);
    world.restart(3);
    assert_eq!(world.counters(3).torn_tails_cut.get(), 1);
    world.until("it has what it lost again", |world| world.view(3).high_watermark == Offset(2));

    world.crash(3, UnsyncedPolicy::Keep);
    assert!(disk.flip_bit(&dir, &segment, 100, 1), "in an entry that was synced");
    let spec = world.spec(KEY, TopicSettings::default());
    world.node(3).keys.clear();
    world.restart(3);
    let refused = world.host(3).create_replica(spec).unwrap_err();
    assert!(matches!(refused, ReplicaError::Log { source: LogError::Corrupt { .. }, .. }), "{refused}");
    assert_eq!(world.counters(3).damage_refusals.get(), 1);
}

/// Random writes, crashes and power cuts; whatever was acknowledged must be there at the end, once.
fn crashes(seed: u64, sync: SyncMode) {
    let mut world = World::with(3, |config| HostConfig { sync, ..config });
    world.log = small_segments();
    world.create_all(KEY, TopicSettings::default());
    world.seed(seed);
    let (mut acked, mut sent) = (Vec::<(i64, String)>::new(), 0);
    let mut open: Vec<(String, AppendReceiver)> = Vec::new();
    for step in 0..400 {
        if step % 25 == 24 {
            let policy = if world.random(2) == 0 {
                UnsyncedPolicy::Drop
            } else {
                UnsyncedPolicy::Torn { seed: world.random(1_000) }
            };
            let victims = if world.random(4) == 0 { vec![1, 2, 3] } else { vec![1 + world.random(3) as i32] };
            for node in &victims {
                world.crash(*node, policy);
            }
            let pause = world.random(40) as usize;
            world.ticks(pause);
            for node in victims {
                world.restart(node);
            }
        }
        if sync == SyncMode::Deferred {
            for node in 1..=3 {
                world.node(node).hold_syncs = world.random(3) == 0;
            }
        }
        for node in 1..=3 {
            if world.view(node).role == Role::Leader {
                sent += 1;
                let value = format!("{sent}-{}", "y".repeat(world.random(300) as usize));
                let deadline_ms = world.now_ms + 1_000;
                if let Some(answer) = world.try_append(node, batch(&[&value]), deadline_ms) {
                    open.push((value, answer));
                }
            }
        }
        world.tick();
        open.retain_mut(|(value, answer)| match answer.try_recv() {
            Ok(Ok(appended)) => {
                acked.push((appended.base_offset.0, value.clone()));
                false
            }
            Ok(Err(_)) => false,
            Err(tokio::sync::oneshot::error::TryRecvError::Closed) => false,
            Err(_) => true,
        });
    }
    for node in 1..=3 {
        world.node(node).hold_syncs = false;
    }
    world.until("a leader", |world| world.confirmed_leader(KEY).is_some());
    let leader = world.confirmed_leader(KEY).unwrap().0;
    let last = world.produce(leader, batch(&["end"])).unwrap().base_offset;
    world.until("all are equal", |world| {
        (1..=3).all(|node| world.view(node).high_watermark == Offset(last.0 + 1))
    });
    let values = world.values(1);
    assert!(acked.len() > 50, "seed {seed}: only {} acknowledged", acked.len());
    for (offset, value) in acked {
        assert_eq!(values[offset as usize], value, "seed {seed}: acknowledged at {offset} and lost");
    }
    for node in [2, 3] {
        assert!(world.values(node) == values, "seed {seed}: replicas differ");
    }
}

#[test]
fn crashes_with_unsynced_bytes_lose_nothing_acknowledged() {
    for seed in 1..=10 {
        crashes(seed, SyncMode::Inline);
        crashes(seed, SyncMode::Deferred);
    }
}

/// Fills several segments, moves the log start past some of them while node 3 is away.
fn world_with_a_moved_start() -> World {
    let mut world = World::new(3);
    world.log = small_segments();
    world.create_all(KEY, TopicSettings::default());
    world.produce(1, numbered(9, 0, 0, "first")).unwrap();
    world.isolate(3);
    for sequence in 1..40 {
        world.produce(1, numbered(9, 0, sequence, &big())).unwrap();
    }
    world.host(1).move_log_start(KEY, Offset(30)).unwrap();
    world.settle();
    assert_eq!(world.view(1).log_start, Offset(30));
    assert_eq!(world.view(2).log_start, Offset(30), "every replica moves it at the same entry");
    let first = world.host(1).replica(KEY).unwrap().log().first_index();
    assert!(first > Index(10), "old segments are gone: first index {first}");
    world
}

#[test]
fn a_follower_behind_the_log_start_catches_up_by_snapshot() {
    let mut world = world_with_a_moved_start();
    assert_eq!(world.view(3).high_watermark, Offset(1));
    world.recover();
    world.until("node 3 caught up", |world| world.view(3).high_watermark == Offset(40));
    assert_eq!(world.counters(3).snapshots_installed.get(), 1);
    assert_eq!(world.view(3).log_start, Offset(30));
    assert_eq!(world.values(3), world.values(1));
    assert_eq!(world.produce(1, batch(&["more"])).unwrap().base_offset, Offset(40));
    assert_eq!(world.view(3).high_watermark, Offset(41));

    // Producer state came with the snapshot: a retry at node 3 as leader is recognised.
    world.host(1).transfer_leader(KEY, NodeId(3)).unwrap();
    world.settle();
    let again = world.produce(3, numbered(9, 0, 39, &big())).unwrap();
    assert_eq!((again.base_offset, again.duplicate), (Offset(39), true));
    assert!(world.produce(3, numbered(9, 0, 40, "next")).is_ok());
    assert!(matches!(
        world.produce(3, numbered(9, 0, 5, "old")),
        Err(AppendError::OutOfOrderSequence { .. })
    ));
}

#[test]
fn a_snapshot_knows_the_producers_of_dropped_records() {
    let mut world = World::new(3);
    world.log = small_segments();
    world.create_all(KEY, TopicSettings::default());
    world.isolate(3);
    world.produce(1, numbered(8, 0, 0, "once")).unwrap();
    for sequence in 0..39 {
        world.produce(1, numbered(9, 0, sequence, &big())).unwrap();
    }
    world.host(1).move_log_start(KEY, Offset(30)).unwrap();
    world.settle();
    world.recover();
    world.until("node 3 caught up", |world| world.view(3).high_watermark == Offset(40));
    assert_eq!(world.counters(3).snapshots_installed.get(), 1);
    world.host(1).transfer_leader(KEY, NodeId(3)).unwrap();
    world.settle();
    let again = world.produce(3, numbered(8, 0, 0, "once")).unwrap();
    assert_eq!((again.base_offset, again.duplicate), (Offset(0), true));
}

#[test]
fn a_snapshot_that_cannot_be_opened_now_is_sent_later() {
    let mut world = world_with_a_moved_start();
    let scope = FileScope::everywhere().ending(".bin");
    world.node(1).disk.inject(FaultPlan { fault: DiskFault::Open, scope, skip: 0, times: 2 });
    world.recover();
    world.until("node 3 caught up", |world| world.view(3).high_watermark == Offset(40));
    assert_eq!(world.node(1).disk.faults_played(DiskFault::Open), 2);
    assert!(!world.view(1).stopped);
}

#[test]
fn a_leader_that_cannot_read_its_snapshot_stops_and_another_one_sends_it() {
    let mut world = world_with_a_moved_start();
    let scope = FileScope::everywhere().ending(".bin");
    world.node(1).disk.inject(FaultPlan { fault: DiskFault::Read, scope, skip: 0, times: 1 });
    world.recover();
    world.until("node 3 caught up", |world| world.view(3).high_watermark == Offset(40));
    let reason = world.host(1).replica(KEY).unwrap().stop_reason().unwrap().to_owned();
    assert!(reason.starts_with("log read failed: "), "{reason}");
    assert_eq!(world.confirmed_leader(KEY), Some(NodeId(2)));
}

#[test]
fn a_lost_snapshot_is_sent_again() {
    let mut world = world_with_a_moved_start();
    world.recover();
    world.hold = Some(Box::new(
        |flight| matches!(&flight.message, ReplicaMessage::Raft(message) if message.get_msg_type() == MessageType::MsgSnapshot),
    ));
    world.until("a snapshot was sent", |world| world.counters(1).snapshots_sent.get() == 1);
    world.settle();
    world.held.clear();
    world.hold = None;
    world.until("node 3 caught up", |world| world.view(3).high_watermark == Offset(40));
    assert!(world.counters(1).snapshots_sent.get() >= 2);
}

#[test]
fn a_damaged_snapshot_is_not_installed() {
    let mut world = world_with_a_moved_start();
    world.recover();
    world.hold = Some(Box::new(
        |flight| matches!(&flight.message, ReplicaMessage::Raft(message) if message.get_msg_type() == MessageType::MsgSnapshot),
    ));
    world.until("a snapshot was sent", |world| world.counters(1).snapshots_sent.get() == 1);
    let mut flight = world.held.pop().unwrap();
    if let ReplicaMessage::Raft(message) = &mut flight.message {
        let mut data = message.get_snapshot().data.to_vec();
        let at = data.len() - 3;
        data[at] ^= 1;
        message.mut_snapshot().data = Bytes::from(data);
    }
    world.hold = None;
    world.deliver(flight);
    world.settle();
    assert_eq!(world.counters(3).snapshots_installed.get(), 0);
    assert!(!world.view(3).stopped);
    world.until("node 3 caught up", |world| world.view(3).high_watermark == Offset(40));
}

#[test]
fn a_restarted_replica_restores_and_replays_and_knows_its_producers() {
    let mut world = world_with_a_moved_start();
    world.recover();
    world.ticks(2);
    for node in 1..=3 {
        world.crash(node, UnsyncedPolicy::Keep);
    }
    for node in 1..=3 {
        world.restart(node);
    }
    world.until("a leader", |world| world.confirmed_leader(KEY).is_some());
    let leader = world.confirmed_leader(KEY).unwrap().0;
    assert_eq!(world.view(leader).high_watermark, Offset(40));
    assert_eq!(world.view(leader).log_start, Offset(30));
    let again = world.produce(leader, numbered(9, 0, 38, &big())).unwrap();
    assert_eq!((again.base_offset, again.duplicate), (Offset(38), true));
    let follower = world.ids().into_iter().find(|node| node.0 != leader).unwrap().0;
    world.pass(follower).unwrap();
    assert!(world.view(follower).high_watermark >= Offset(40));
}

#[test]
fn retention_is_proposed_by_the_leader_and_obeyed_by_all() {
    let mut world = World::new(3);
    world.log = small_segments();
    let settings =
        TopicSettings { retention_ms: None, retention_bytes: Some(8 * 1024), ..TopicSettings::default() };
    world.create_all(KEY, settings);
    for _ in 0..40 {
        world.produce(1, batch(&[&big()])).unwrap();
    }
    for node in 1..=3 {
        world.host(node).run_retention(2_000_000);
    }
    world.settle();
    let start = world.view(1).log_start;
    assert!(start > Offset(20), "{start}");
    for node in 1..=3 {
        assert_eq!(world.view(node).log_start, start);
        let below = world.host(node).read(KEY, Offset(0), Offset(40), 100, true).unwrap_err();
        assert!(matches!(below, ReadError::OutOfRange { .. }));
        let size = world.host(node).replica(KEY).unwrap().log().size_bytes();
        assert!(size < 20 * 1024, "{size} bytes at node {node}");
    }
    assert!(world.host(2).move_log_start(KEY, Offset(39)).is_err(), "only the leader moves it");
    assert!(matches!(
        world.host(1).move_log_start(KEY, Offset(41)),
        Err(ReplicaError::LogStartAboveEnd { .. })
    ));
}

#[test]
fn a_log_start_that_a_later_snapshot_covers_survives_a_crash() {
    let mut world = World::new(3);
    world.log = small_segments();
    world.create_all(KEY, TopicSettings::default());
    world.produce(1, batch(&["a", "b", "c"])).unwrap();
    world.host(1).move_log_start(KEY, Offset(2)).unwrap();
    world.settle();
    for _ in 0..10 {
        world.produce(1, batch(&[&big()])).unwrap();
    }
    for node in 1..=3 {
        let newest = world.host(node).replica(KEY).unwrap().log().newest_snapshot().unwrap().unwrap();
        assert_eq!(newest.log_start, Offset(2), "the entry that moved the start will not be replayed");
        world.crash(node, UnsyncedPolicy::Drop);
        world.restart(node);
    }
    world.until("a leader", |world| world.confirmed_leader(KEY).is_some());
    for node in 1..=3 {
        assert_eq!(world.view(node).log_start, Offset(2));
    }
}

#[test]
fn an_emptied_partition_goes_on() {
    let mut world = World::elected();
    for _ in 0..5 {
        world.produce(1, batch(&["x"])).unwrap();
    }
    world.host(1).move_log_start(KEY, Offset(5)).unwrap();
    world.settle();
    for node in 1..=3 {
        assert_eq!((world.view(node).log_start, world.view(node).high_watermark), (Offset(5), Offset(5)));
        assert!(world.values(node).is_empty());
    }
    assert_eq!(world.produce(1, batch(&["y"])).unwrap().base_offset, Offset(5));
    for node in 1..=3 {
        world.crash(node, UnsyncedPolicy::Drop);
        world.restart(node);
    }
    world.until("a leader", |world| world.confirmed_leader(KEY).is_some());
    let leader = world.confirmed_leader(KEY).unwrap().0;
    assert_eq!(world.produce(leader, batch(&["z"])).unwrap().base_offset, Offset(6));
    world.until("all applied", |world| (1..=3).all(|node| world.view(node).high_watermark == Offset(7)));
    for node in 1..=3 {
        assert_eq!(world.values(node), ["y", "z"]);
    }
}

#[test]
fn epochs_and_times_are_looked_up_among_applied_entries() {
    let mut world = World::elected();
    world.produce(1, batch(&["a", "b"])).unwrap();
    world.host(1).transfer_leader(KEY, NodeId(2)).unwrap();
    world.settle();
    world.produce(2, batch(&["c"])).unwrap();
    let host = world.host(3);
    let end = host.epoch_end_offset(KEY, LeaderEpoch(1)).unwrap().unwrap();
    assert_eq!(end, EpochEnd { epoch: LeaderEpoch(1), end_offset: Offset(2) });
    let end = host.epoch_end_offset(KEY, LeaderEpoch(2)).unwrap().unwrap();
    assert_eq!(end, EpochEnd { epoch: LeaderEpoch(2), end_offset: Offset(3) });
    let found = host.offset_for_timestamp(KEY, 1_000, Offset(3)).unwrap().unwrap();
    assert_eq!(found, TimestampedOffset { offset: Offset(0), timestamp_ms: 1_000 });
    assert_eq!(host.offset_for_timestamp(KEY, 1_001, Offset(3)).unwrap(), None);
    assert_eq!(host.max_timestamp(KEY, Offset(3)).unwrap().unwrap().max_timestamp, 1_000);
}

/// Remembers every batch it applied.
#[derive(Clone, Default)]
struct Recorder(Rc<RefCell<Vec<Applied>>>);

type Applied = (i64, Vec<String>);

impl Machine for Recorder {
    fn apply(&mut self, batch: &Bytes, base_offset: Offset, _index: Index) {
        self.0.borrow_mut().push((base_offset.0, values_of(batch)));
    }

    fn snapshot(&self) -> Bytes {
        let lines: Vec<String> =
            self.0.borrow().iter().map(|(offset, values)| format!("{offset} {}", values.join(","))).collect();
        Bytes::from(lines.join("\n"))
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<(), MachineError> {
        let text = std::str::from_utf8(snapshot).map_err(|error| MachineError(error.to_string()))?;
        let line = |line: &str| {
            let (offset, values) = line.split_once(' ').unwrap();
            (offset.parse().unwrap(), values.split(',').map(str::to_owned).collect())
        };
        *self.0.borrow_mut() = text.lines().map(line).collect();
        Ok(())
    }
}

#[test]
fn a_seated_machine_sees_every_batch_once_over_snapshot_and_restart() {
    let mut world = World::new(3);
    world.log = small_segments();
    let mut machines = Vec::new();
    for id in world.ids() {
        let recorder = Recorder::default();
        machines.push(recorder.clone());
        let spec =
            ReplicaSpec { machine: Some(Box::new(recorder)), ..world.spec(KEY, TopicSettings::default()) };
        world.host(id.0).create_replica(spec).unwrap();
    }
    world.settle();
    world.isolate(3);
    for value in 0..20 {
        world.produce(1, batch(&[&value.to_string(), &big()])).unwrap();
    }
    world.host(1).move_log_start(KEY, Offset(30)).unwrap();
    world.settle();
    world.recover();
    world.until("node 3 caught up", |world| world.view(3).high_watermark == Offset(40));
    assert_eq!(world.counters(3).snapshots_installed.get(), 1);
    world.produce(1, transactional(7, 0, 0, "part")).unwrap();
    world.end(1, ending(7, 0, true)).unwrap();
    world.ticks(2);
    let plain = (0..20).map(|value| (value * 2, vec![value.to_string(), big()]));
    let ended = [(40, vec!["part".to_owned()]), (41, vec!["commit of 7".to_owned()])];
    let expected: Vec<Applied> = plain.chain(ended).collect();
    for machine in &machines {
        assert!(*machine.0.borrow() == expected);
    }
    // Restart of node 2: restored from its newest snapshot, the rest replayed.
    world.crash(2, UnsyncedPolicy::Drop);
    world.restart(2);
    let recorder = Recorder::default();
    let spec = ReplicaSpec {
        machine: Some(Box::new(recorder.clone())),
        ..world.spec(KEY, TopicSettings::default())
    };
    world.host(2).create_replica(spec).unwrap();
    world.until("node 2 is back", |world| world.view(2).high_watermark == Offset(42));
    assert!(*recorder.0.borrow() == expected);
}

#[test]
fn without_fsync_the_order_is_the_same() {
    let mut world = World::with(3, |config| HostConfig { sync: SyncMode::Never, ..config });
    world.log = Arc::new(LogConfig { fsync: false, ..LogConfig::default() });
    world.create_all(KEY, TopicSettings::default());
    for value in 0..10 {
        assert_eq!(world.produce(1, batch(&["x"])), ok(value));
    }
    assert_eq!(world.node(1).disk.sync_count(), 0);
    // A crash that keeps what was written loses nothing.
    for node in 1..=3 {
        world.crash(node, UnsyncedPolicy::Keep);
        world.restart(node);
    }
    world.until("a leader", |world| world.confirmed_leader(KEY).is_some());
    let leader = world.confirmed_leader(KEY).unwrap().0;
    assert_eq!(world.produce(leader, batch(&["y"])).unwrap().base_offset, Offset(10));
    // The host's mode decides: a log that says otherwise is synced under a deferred one.
    let mut world = World::with(3, |config| HostConfig { sync: SyncMode::Deferred, ..config });
    world.log = Arc::new(LogConfig { fsync: false, ..LogConfig::default() });
    world.create_all(KEY, TopicSettings::default());
    assert_eq!(world.produce(1, batch(&["x"])), ok(0));
    assert!(world.node(1).disk.sync_count() > 0);
}

/// Node 3 restarts and opening its replica fails as `broken` says; the others go on.
fn unopened(break_disk: impl FnOnce(&chronik_log::MemDisk)) -> (World, ReplicaError) {
    let mut world = World::elected();
    world.produce(1, batch(&["a"])).unwrap();
    world.ticks(5);
    world.crash(3, UnsyncedPolicy::Keep);
    break_disk(&world.node(3).disk);
    world.node(3).keys.clear();
    world.restart(3);
    let spec = world.spec(KEY, TopicSettings::default());
    let error = world.host(3).create_replica(spec).unwrap_err();
    (world, error)
}

fn flip_a_segment(disk: &chronik_log::MemDisk) {
    disk.flip_random_bit(1, &FileScope::everywhere().ending(".log")).unwrap();
}

#[test]
fn a_partition_whose_log_is_damaged_is_refused_as_stopped_and_the_others_go_on() {
    let (mut world, error) = unopened(flip_a_segment);
    assert!(matches!(error, ReplicaError::Log { source: LogError::Corrupt { .. }, .. }), "{error}");
    assert!(!error.is_passing(), "damage does not pass");
    world.produce(1, batch(&["b"])).unwrap();
    world.ticks(20);
    let host = world.host(3);
    assert!(matches!(host.view(KEY), Err(ReplicaError::Stopped { .. })));
    assert!(matches!(host.read(KEY, Offset(0), Offset(1), 1, true), Err(ReadError::Stopped(_))));
    assert!(matches!(host.step_down(KEY), Err(ReplicaError::Stopped { .. })));
    let mut gate = host.enter_gate(KEY, LATE);
    assert_eq!(gate.try_recv().unwrap().unwrap_err().kind, GateErrorKind::Stopped);
    assert_eq!(world.append(3, batch(&["c"])).try_recv().unwrap(), Err(AppendError::Storage));
    assert_eq!(world.counters(3).early_messages_kept.get(), 0, "nobody will ever read them");
    assert_eq!(world.values(1), ["a", "b"]);
    world.open(NodeId(3), key(1), TopicSettings::default());
    assert!(world.host(3).view(key(1)).is_ok(), "the node serves its other partitions");
}

#[test]
fn data_of_a_replica_that_could_not_be_opened_stays_until_the_partition_goes() {
    let (mut world, _) = unopened(flip_a_segment);
    let dirs = world.node(3).disk.list_dirs().unwrap();
    world.host(3).remove_directory(&dirs[0]).unwrap();
    assert_eq!(world.node(3).disk.list_dirs().unwrap(), dirs, "it is no stray");
    world.host(3).remove_replica(KEY, true).unwrap();
    assert!(world.node(3).disk.list_dirs().unwrap().is_empty());
    assert!(matches!(world.host(3).view(KEY), Err(ReplicaError::NotHosted(_))));
    world.open(NodeId(3), KEY, TopicSettings::default());
}

#[test]
fn an_opening_that_found_no_descriptor_succeeds_the_next_time() {
    let (mut world, error) = unopened(|disk| {
        let scope = FileScope::everywhere();
        disk.inject(FaultPlan { fault: DiskFault::Open, scope, skip: 1, times: 1 });
    });
    assert!(error.is_passing(), "{error}");
    assert!(matches!(world.host(3).view(KEY), Err(ReplicaError::Stopped { .. })));
    world.open(NodeId(3), KEY, TopicSettings::default());
    world.produce(1, batch(&["b"])).unwrap();
    world.ticks(5);
    assert_eq!(world.values(3), ["a", "b"]);
}

#[test]
fn settings_that_switch_syncs_off_strand_no_promise() {
    let mut world = deferred();
    world.node(2).hold_syncs = true;
    world.node(3).hold_syncs = true;
    let mut answer = world.append(1, batch(&["a"]));
    world.settle();
    for node in 1..=3 {
        world.host(node).set_log_config(KEY, Arc::new(LogConfig { fsync: false, ..LogConfig::default() }));
    }
    let mut later = world.append(1, batch(&["b"]));
    world.settle();
    assert!(is_open(&mut answer) && is_open(&mut later), "the host syncs, whatever the settings say");
    world.node(2).hold_syncs = false;
    world.settle();
    assert_eq!(answer.try_recv().unwrap(), ok(0));
    assert_eq!(later.try_recv().unwrap(), ok(1));
}

/// Node 3 lags behind what node 1 keeps in memory, and node 1's disk fails as told when it reads for node 3.
fn read_for_a_lagging_follower(fault: DiskFault) -> World {
    let mut world = World::elected();
    world.log = Arc::new(LogConfig { tail_bytes: 0, segment_bytes: 2048, ..LogConfig::default() });
    for node in 1..=3 {
        let log = Arc::clone(&world.log);
        world.host(node).set_log_config(KEY, log);
    }
    world.crash(3, UnsyncedPolicy::Drop);
    for _ in 0..10 {
        world.produce(1, batch(&[&big()])).unwrap();
    }
    let scope = FileScope::everywhere().ending(".log");
    world.node(1).disk.inject(FaultPlan { fault, scope, skip: 0, times: 1 });
    world.restart(3);
    world.until("the fault", |world| world.nodes[&NodeId(1)].disk.faults_played(fault) == 1);
    world
}

#[test]
fn a_leader_that_cannot_read_its_log_stops_and_another_one_feeds_the_follower() {
    for fault in [DiskFault::Read, DiskFault::MisdirectedRead] {
        let mut world = read_for_a_lagging_follower(fault);
        world.until("another leader", |world| {
            world.confirmed_leader(KEY).is_some_and(|leader| leader != NodeId(1))
        });
        let reason = world.host(1).replica(KEY).unwrap().stop_reason().unwrap().to_owned();
        assert!(reason.starts_with("log read failed"), "raft must not see it: {reason}");
        world.until("node 3 has all", |world| world.view(3).high_watermark == Offset(10));
    }
}

#[test]
fn a_leader_without_a_descriptor_reads_its_log_later() {
    let mut world = read_for_a_lagging_follower(DiskFault::Open);
    world.until("node 3 has all", |world| world.view(3).high_watermark == Offset(10));
    assert_eq!(world.confirmed_leader(KEY), Some(NodeId(1)));
}

/// With its bug planted each of these scenarios fails.
#[cfg(feature = "mutants")]
#[test]
fn the_scenarios_above_kill_their_bugs() {
    use chronik_mutants::Mutant;

    killed(Mutant::AckBeforeSync, a_followers_promise_leaves_after_its_sync);
    killed(Mutant::UncommittedVisible, a_followers_promise_leaves_after_its_sync);
    killed(Mutant::WrittenCountsAsPersisted, a_leader_sends_before_its_own_sync_and_acks_after_it);
    killed(Mutant::VoteBeforeSync, a_vote_is_durable_before_it_leaves);
    killed(Mutant::VoteForgotten, nobody_votes_twice_in_a_term_though_it_crashed_in_between);
    killed(Mutant::CommittedNotApplied, a_reader_waits_for_what_is_committed_and_not_yet_persisted_here);
    killed(Mutant::TailTakenForCommitted, what_was_never_committed_is_not_visible_after_a_restart);
    killed(Mutant::DamageTruncated, a_torn_tail_is_cut_and_damage_before_it_refused);
    killed(Mutant::ProducersNotSaved, a_snapshot_knows_the_producers_of_dropped_records);
    killed(Mutant::ProducersNotReplayed, a_restarted_replica_restores_and_replays_and_knows_its_producers);
    killed(Mutant::LogStartMovedAlone, a_follower_behind_the_log_start_catches_up_by_snapshot);
}
