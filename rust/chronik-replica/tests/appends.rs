//! What an append may be told: acks, `min.insync.replicas`, deadlines, lost leadership, idempotence over failover.
#![allow(clippy::unwrap_used, reason = "test code")]

mod harness;

use chronik_replica::*;
use chronik_wire::types::{NodeId, Offset};
use harness::*;
use raft::eraftpb::MessageType;

fn is_append(flight: &Flight) -> bool {
    matches!(&flight.message, ReplicaMessage::Raft(message) if message.get_msg_type() == MessageType::MsgAppend)
}

fn strict(min_insync_replicas: usize) -> TopicSettings {
    TopicSettings { min_insync_replicas, replica_lag_max_ms: 500, ..TopicSettings::default() }
}

fn world(settings: TopicSettings) -> World {
    let mut world = World::new(3);
    world.create_all(KEY, settings);
    world
}

fn appended(world: &mut World, acks: Acks) -> AppendReceiver {
    world.host(1).append(KEY, batch(&["x"]), acks, LATE)
}

#[test]
fn each_acks_level_waits_for_what_it_says() {
    let mut world = world(strict(1));
    // The leader's turn has run, nobody else's: written and synced here only.
    let mut none = appended(&mut world, Acks::None);
    let mut leader = appended(&mut world, Acks::Leader);
    let mut all = appended(&mut world, Acks::All);
    assert!(is_open(&mut none));
    world.turn(NodeId(1));
    assert_eq!(none.try_recv().unwrap(), ok(0));
    assert_eq!(leader.try_recv().unwrap(), ok(1));
    assert!(is_open(&mut all));
    world.settle();
    assert_eq!(all.try_recv().unwrap(), ok(2));
}

#[test]
fn no_ack_without_a_quorum_even_with_min_insync_one() {
    let mut world = world(strict(1));
    world.isolate(1);
    world.no_ticks.insert(NodeId(1));
    let mut all = appended(&mut world, Acks::All);
    world.ticks(5);
    assert!(is_open(&mut all));
    assert_eq!(world.view(1).high_watermark, Offset(0), "the end shows committed records only");
}

#[test]
fn min_insync_all_waits_for_the_last_member() {
    let mut world = world(strict(3));
    world.hold = Some(Box::new(|flight| is_append(flight) && flight.to == NodeId(3)));
    let mut all = appended(&mut world, Acks::All);
    world.settle();
    assert_eq!(world.view(1).high_watermark, Offset(1), "committed by two of three");
    assert!(is_open(&mut all), "but three must hold it");
    world.release();
    assert_eq!(all.try_recv().unwrap(), ok(0));
}

#[test]
fn too_few_members_after_the_append_is_told_at_the_deadline() {
    let mut world = world(strict(3));
    world.hold = Some(Box::new(|flight| is_append(flight) && flight.to == NodeId(3)));
    let deadline_ms = world.now_ms + 200;
    let mut all = world.host(1).append(KEY, batch(&["x"]), Acks::All, deadline_ms);
    assert_eq!(world.wait(&mut all), Err(AppendError::NotEnoughReplicasAfterAppend));
    assert_eq!(world.now_ms, deadline_ms);
    assert_eq!(world.view(1).high_watermark, Offset(1), "the record is visible");
    assert_eq!(world.counters(1).appends_short.get(), 1);
}

#[test]
fn too_few_members_in_sync_refuses_before_the_append() {
    let mut world = world(strict(2));
    world.produce(1, batch(&["a"])).unwrap();
    world.isolate(3);
    world.ticks(60);
    assert_eq!(world.view(1).in_sync, [NodeId(1), NodeId(2)]);
    assert_eq!(world.produce(1, batch(&["b"])), ok(1), "two are enough");
    world.host(1).set_settings(KEY, strict(3));
    let refused = world.produce(1, batch(&["c"]));
    assert_eq!(refused, Err(AppendError::NotEnoughReplicas { in_sync: 2, required: 3 }));
    let mut weaker = appended(&mut world, Acks::Leader);
    assert_eq!(world.wait(&mut weaker), ok(2), "nothing was appended in between, and acks=1 does not ask");
    let news = world.host(1).take_leader_changes().pop().unwrap();
    assert_eq!(news.isr, [NodeId(1), NodeId(2)], "the smaller set was announced");
    world.recover();
    world.until("node 3 is back in sync", |world| world.view(1).in_sync.len() == 3);
    assert_eq!(world.produce(1, batch(&["d"])), ok(3));
    world.tick();
    assert_eq!(world.host(1).take_leader_changes().pop().unwrap().isr.len(), 3);
}

#[test]
fn a_slow_member_does_not_slow_acks() {
    let mut world = world(strict(2));
    world.isolate(3);
    for value in 0..20 {
        assert_eq!(world.produce(1, batch(&["x"])), ok(value));
    }
    let slow = world.view(1).followers.iter().find(|member| member.node == NodeId(3)).copied().unwrap();
    assert_eq!(slow.lag_entries, 20);
    assert!(slow.in_sync, "within the allowed lag");
    world.ticks(30);
    let slow = world.view(1).followers.iter().find(|member| member.node == NodeId(3)).copied().unwrap();
    assert!(!slow.active, "not heard for an election timeout");
}

#[test]
fn an_open_fate_is_a_timeout_and_a_truncated_entry_failed_for_sure() {
    let mut world = world(strict(1));
    world.isolate(1);
    world.no_ticks.insert(NodeId(1));
    let mut lost = appended(&mut world, Acks::All);
    world.settle();
    world.until("another leader", |world| world.confirmed_leader(KEY) != Some(NodeId(1)));
    let leader = world.confirmed_leader(KEY).unwrap().0;
    assert_eq!(world.produce(leader, batch(&["other"])), ok(0));
    assert!(is_open(&mut lost), "its fate is open while nobody tells the old leader");
    world.no_ticks.clear();
    world.recover();
    let error = world.wait(&mut lost).unwrap_err();
    assert_eq!(error, AppendError::NotLeader { hint: Some(NodeId(leader)) }, "replaced by a committed entry");
    assert_eq!(world.values(1), ["other"]);
    let counters = world.counters(1);
    assert_eq!((counters.appends_replaced.get(), counters.log_truncations.get()), (1, 1));
    assert_eq!(counters.appends_at_deposed_leader.get(), 1);
}

#[test]
fn an_entry_that_survives_a_change_of_leader_succeeds() {
    let mut world = world(strict(1));
    // The followers get the entry, their answers are lost; then another one leads.
    world.hold = Some(Box::new(|flight| flight.to == NodeId(1)));
    let mut survivor = appended(&mut world, Acks::All);
    world.settle();
    world.held.clear();
    world.hold = None;
    world.isolate(1);
    world.no_ticks.insert(NodeId(1));
    world.until("another leader", |world| world.confirmed_leader(KEY) != Some(NodeId(1)));
    assert!(is_open(&mut survivor), "the old leader cannot know");
    world.recover();
    world.no_ticks.clear();
    assert_eq!(world.wait(&mut survivor), ok(0));
}

#[test]
fn a_new_leader_counts_offsets_from_the_end_of_its_log() {
    let mut world = world(strict(1));
    // Node 2 has the entry and its acknowledgement is lost: nobody knows that it is committed.
    world.hold = Some(Box::new(|flight| flight.to == NodeId(1)));
    let mut survivor = appended(&mut world, Acks::All);
    world.settle();
    world.held.clear();
    world.isolate(1);
    world.until("another leader", |world| world.confirmed_leader(KEY) != Some(NodeId(1)));
    let leader = world.confirmed_leader(KEY).unwrap().0;
    assert_eq!(world.produce(leader, batch(&["next"])), ok(1), "behind the entry of the old leader");
    assert!(matches!(world.wait(&mut survivor), Err(AppendError::TimedOut)));
}

#[test]
fn a_leader_that_is_cut_off_soon_lets_go_of_an_open_fate() {
    let mut world = world(strict(1));
    world.isolate(1);
    let begun_ms = world.now_ms;
    let mut open = appended(&mut world, Acks::All);
    assert_eq!(world.wait(&mut open), Err(AppendError::TimedOut), "though its own deadline is far away");
    assert_eq!(world.view(1).role, Role::Follower);
    let took_ms = world.now_ms - begun_ms;
    assert!(took_ms <= 500, "answered after {took_ms} ms: two election timeouts to notice, one of grace");
}

#[test]
fn a_deadline_passes_with_the_fate_open() {
    let mut world = world(strict(1));
    world.isolate(1);
    let deadline_ms = world.now_ms + 100;
    let mut open = world.host(1).append(KEY, batch(&["x"]), Acks::All, deadline_ms);
    assert_eq!(world.wait(&mut open), Err(AppendError::TimedOut));
    assert_eq!(world.now_ms, deadline_ms);
    assert_eq!(world.counters(1).appends_timed_out.get(), 1);
}

#[test]
fn a_batch_that_waits_for_the_own_term_is_not_appended_before_it() {
    let mut world = world(strict(1));
    world.hold = Some(Box::new(|flight| is_append(flight) && flight.from == NodeId(2)));
    world.host(1).transfer_leader(KEY, NodeId(2)).unwrap();
    world.until("node 2 leads", |world| world.view(2).role == Role::Leader);
    let deadline_ms = world.now_ms + 50;
    let mut hasty = world.host(2).append(KEY, batch(&["x"]), Acks::All, deadline_ms);
    let mut patient = world.append(2, batch(&["y"]));
    assert_eq!(world.wait(&mut hasty), Err(AppendError::NotLeader { hint: None }), "nothing was appended");
    world.release();
    assert_eq!(world.wait(&mut patient), ok(0));
    assert_eq!(world.values(3), ["y"]);
}

#[test]
fn appends_during_a_transfer_are_refused_with_the_heir() {
    let mut world = world(strict(1));
    world.hold = Some(Box::new(|flight| flight.from == NodeId(1)));
    world.host(1).transfer_leader(KEY, NodeId(3)).unwrap();
    let refused = world.produce(1, batch(&["x"]));
    assert_eq!(refused, Err(AppendError::NotLeader { hint: Some(NodeId(3)) }));
    assert!(world.host(1).transfer_leader(KEY, NodeId(9)).is_err(), "no voter");
    assert!(world.host(2).transfer_leader(KEY, NodeId(3)).is_err(), "not led there");
}

#[test]
fn too_many_waiting_batches_are_refused_and_the_rest_is_kept_in_order() {
    let mut world = world(strict(1));
    let mut answers: Vec<_> =
        (0..=limits::APPENDS_QUEUED_MAX).map(|_| world.append(1, batch(&["x"]))).collect();
    let last = answers.pop().unwrap().try_recv().unwrap();
    assert_eq!(last, Err(AppendError::Overloaded(KEY)));
    world.settle();
    for (offset, answer) in answers.iter_mut().enumerate() {
        assert_eq!(answer.try_recv().unwrap(), ok(offset as i64));
    }
}

#[test]
fn a_repeated_batch_gets_its_original_offset() {
    let mut world = world(strict(1));
    for sequence in 0..3 {
        world.produce(1, numbered(9, 0, sequence, &sequence.to_string())).unwrap();
    }
    let again = world.produce(1, numbered(9, 0, 1, "1")).unwrap();
    assert_eq!((again.base_offset, again.duplicate), (Offset(1), true));
    let gap = world.produce(1, numbered(9, 0, 7, "7"));
    assert_eq!(gap, Err(AppendError::OutOfOrderSequence { producer: 9, first: 7, last: 2 }));
    world.produce(1, numbered(9, 1, 0, "new epoch")).unwrap();
    let fenced = world.produce(1, numbered(9, 0, 3, "3"));
    assert_eq!(fenced, Err(AppendError::InvalidProducerEpoch { producer: 9, epoch: 0, current: 1 }));
    assert_eq!(world.values(2), ["0", "1", "2", "new epoch"]);
}

#[test]
fn a_repetition_of_a_batch_in_flight_shares_its_fate() {
    let mut world = world(strict(1));
    world.hold = Some(Box::new(is_append));
    let mut first = world.append(1, numbered(9, 0, 0, "a"));
    world.settle();
    let mut again = world.append(1, numbered(9, 0, 0, "a"));
    world.settle();
    assert!(is_open(&mut first) && is_open(&mut again), "not acknowledged before the original is");
    world.release();
    assert_eq!(first.try_recv().unwrap(), ok(0));
    let again = again.try_recv().unwrap().unwrap();
    assert_eq!((again.base_offset, again.duplicate), (Offset(0), true));
    assert_eq!(world.values(3), ["a"]);
}

#[test]
fn pipelined_retries_are_judged_right_across_a_failover() {
    for survive in [true, false] {
        let mut world = world(strict(1));
        world.produce(1, numbered(9, 0, 0, "0")).unwrap();
        // Five batches in flight; the followers get them or not, and the leader is cut off.
        world.hold = Some(Box::new(move |flight| flight.to == NodeId(1) || (!survive && is_append(flight))));
        let mut lost: Vec<_> = (1..=5)
            .map(|sequence| world.append(1, numbered(9, 0, sequence, &sequence.to_string())))
            .collect();
        world.settle();
        world.held.clear();
        world.hold = None;
        world.isolate(1);
        world.no_ticks.insert(NodeId(1));
        world.until("another leader", |world| world.confirmed_leader(KEY) != Some(NodeId(1)));
        let leader = world.confirmed_leader(KEY).unwrap().0;
        // The client repeats them in one go, as a pipelining producer does.
        let mut again: Vec<_> = (1..=5)
            .map(|sequence| world.append(leader, numbered(9, 0, sequence, &sequence.to_string())))
            .collect();
        world.settle();
        for (answer, offset) in again.iter_mut().zip(1..) {
            let appended = answer.try_recv().unwrap().unwrap();
            assert_eq!((appended.base_offset, appended.duplicate), (Offset(offset), survive));
        }
        assert_eq!(world.produce(leader, numbered(9, 0, 6, "6")).unwrap().base_offset, Offset(6));
        world.recover();
        world.no_ticks.clear();
        world.until("the old leader follows", |world| world.view(1).high_watermark == Offset(7));
        assert_eq!(world.values(1), ["0", "1", "2", "3", "4", "5", "6"], "no duplicate, no reordering");
        for answer in &mut lost {
            let outcome = answer.try_recv().unwrap();
            assert_eq!(outcome.is_ok(), survive, "{outcome:?}");
        }
    }
}

#[test]
fn a_gap_after_a_failover_is_refused_until_the_lost_batch_is_repeated() {
    let mut world = world(strict(1));
    let refused = world.produce(1, numbered(9, 0, 1, "1"));
    assert_eq!(refused, Err(AppendError::OutOfOrderSequence { producer: 9, first: 1, last: -1 }));
    world.produce(1, numbered(9, 0, 0, "0")).unwrap();
    world.produce(1, numbered(9, 0, 1, "1")).unwrap();
    assert_eq!(world.values(2), ["0", "1"]);
}

#[test]
fn sequence_numbers_wrap_around() {
    let mut world = world(strict(1));
    world.produce(1, numbered(9, 0, 0, "0")).unwrap();
    // A producer whose state was forgotten may go on anywhere; so it gets near the wrap.
    const DAY_MS: i64 = 24 * 3_600_000;
    world.host(1).run_retention(DAY_MS);
    world.settle();
    world.host(1).run_retention(3 * DAY_MS);
    world.settle();
    world.produce(1, numbered(9, 0, i32::MAX, "last")).unwrap();
    world.produce(1, numbered(9, 0, 0, "first")).unwrap();
    assert_eq!(world.produce(1, numbered(9, 0, i32::MAX, "last")).unwrap().base_offset, Offset(1));
    assert_eq!(world.values(3), ["0", "last", "first"]);
}

#[test]
fn a_full_disk_refuses_before_the_append_and_recovers() {
    let mut world = World::with(3, |config| HostConfig { disk_reserve_bytes: 64 * 1024, ..config });
    world.create_all(KEY, strict(1));
    world.produce(1, batch(&["a"])).unwrap();
    let used = world.node(1).disk.used_bytes();
    world.node(1).disk.set_quota(Some(used + 60 * 1024));
    assert_eq!(world.produce(1, batch(&["b"])), Err(AppendError::Storage));
    assert!(!world.view(1).stopped, "a full disk stops nothing");
    assert!(world.pass(1).is_ok(), "reads go on");
    world.node(1).disk.set_quota(None);
    assert_eq!(world.produce(1, batch(&["c"])), ok(1), "and it recovers by itself");
    assert_eq!(world.values(2), ["a", "c"]);
    let counters = world.counters(1);
    assert_eq!((counters.disk_full_refusals.get(), counters.disk_full_recoveries.get()), (1, 1));
}

#[test]
fn a_follower_with_a_full_disk_waits_for_space_and_catches_up() {
    let mut world = World::with(3, |config| HostConfig { disk_reserve_bytes: 64 * 1024, ..config });
    world.create_all(KEY, strict(1));
    world.produce(1, batch(&["a"])).unwrap();
    let used = world.node(3).disk.used_bytes();
    world.node(3).disk.set_quota(Some(used));
    for _ in 0..10 {
        world.produce(1, batch(&["b"])).unwrap();
        world.tick();
    }
    assert!(world.counters(3).disk_full_refusals.get() > 0);
    assert!(!world.view(3).stopped);
    assert_eq!(world.view(3).high_watermark, Offset(1));
    world.node(3).disk.set_quota(None);
    world.until("it caught up", |world| world.view(3).high_watermark == Offset(11));
    assert_eq!(world.counters(3).disk_full_recoveries.get(), 1);
}

#[test]
fn a_disk_that_fills_in_mid_write_stalls_the_replica_and_not_the_group() {
    // No reserve: the write itself meets the end of the disk.
    let mut world = World::with(3, |config| HostConfig { disk_reserve_bytes: 0, ..config });
    world.create_all(KEY, strict(1));
    world.produce(1, batch(&["a"])).unwrap();
    let big = batch(&[&"x".repeat(1_000)]);
    for node in [1, 3] {
        // Room for the batch, none for what the log writes around it.
        let used = world.node(node).disk.used_bytes();
        world.node(node).disk.set_quota(Some(used + big.len() as u64 + 10));
    }
    let mut open = world.append(1, big);
    world.settle();
    assert!(!world.view(1).stopped && !world.view(3).stopped);
    world.ticks(10);
    assert!(is_open(&mut open));
    assert!(!world.view(1).stopped && !world.view(3).stopped);
    for node in [1, 3] {
        world.node(node).disk.set_quota(None);
    }
    assert!(world.wait(&mut open).is_ok());
    world.until("all have it", |world| (1..=3).all(|node| world.view(node).high_watermark == Offset(2)));
    assert_eq!(world.sum(|counters| &counters.disk_full_recoveries), 2);
}

/// With its bug planted each of these scenarios fails.
#[cfg(feature = "mutants")]
#[test]
fn the_scenarios_above_kill_their_bugs() {
    use chronik_mutants::Mutant;

    killed(Mutant::AckBeforeQuorum, no_ack_without_a_quorum_even_with_min_insync_one);
    killed(Mutant::FateByIndex, an_open_fate_is_a_timeout_and_a_truncated_entry_failed_for_sure);
    killed(Mutant::CacheNotTruncated, an_open_fate_is_a_timeout_and_a_truncated_entry_failed_for_sure);
    killed(Mutant::OpenFateCalledFailed, an_entry_that_survives_a_change_of_leader_succeeds);
    killed(Mutant::OffsetsFromApplied, a_new_leader_counts_offsets_from_the_end_of_its_log);
    killed(Mutant::RepetitionAckedEarly, a_repetition_of_a_batch_in_flight_shares_its_fate);
    killed(Mutant::SequenceOneLevel, pipelined_retries_are_judged_right_across_a_failover);
}
