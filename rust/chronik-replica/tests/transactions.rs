//! Transactions in a partition: what readers of committed records see at every replica, over failover, snapshots and
//! restarts; who may end a transaction, and how often.
#![allow(clippy::unwrap_used, reason = "test code")]

mod harness;

use std::sync::Arc;

use chronik_log::{LogConfig, UnsyncedPolicy};
use chronik_replica::*;
use chronik_wire::types::{NodeId, Offset};
use harness::*;

/// A world with small segments, led by node 1.
fn segmented() -> World {
    let mut world = World::new(3);
    world.log = Arc::new(LogConfig { segment_bytes: 4 * 1024, ..LogConfig::default() });
    world.create_all(KEY, TopicSettings::default());
    world
}

fn fill(world: &mut World, node: i32, batches: usize) {
    let filler = "x".repeat(1_000);
    for _ in 0..batches {
        world.produce(node, batch(&[&filler])).unwrap();
    }
}

/// Every node's view of committed records, fillers left out, after it has passed the gate.
fn seen(world: &mut World) -> Vec<Vec<String>> {
    (1..=3)
        .map(|node| {
            world.pass(node).unwrap();
            world.committed(node).into_iter().filter(|value| value.len() < 100).collect()
        })
        .collect()
}

fn stable(world: &World) -> Vec<i64> {
    (1..=3).map(|node| world.view(node).last_stable_offset.0).collect()
}

fn lead(world: &mut World, node: i32) {
    let leader = world.confirmed_leader(KEY).unwrap().0;
    world.host(leader).transfer_leader(KEY, NodeId(node)).unwrap();
    world.until("the heir leads", |world| world.confirmed_leader(KEY) == Some(NodeId(node)));
}

#[test]
fn open_records_are_hidden_and_a_commit_is_visible_at_every_replica() {
    let mut world = World::elected();
    world.produce(1, batch(&["plain"])).unwrap();
    world.produce(1, transactional(7, 0, 0, "a")).unwrap();
    world.produce(1, transactional(7, 0, 1, "b")).unwrap();
    world.produce(1, batch(&["behind"])).unwrap();
    assert_eq!(seen(&mut world), [["plain"], ["plain"], ["plain"]]);
    assert_eq!(stable(&world), [1, 1, 1]);
    assert_eq!(world.view(2).high_watermark, Offset(4), "readers of everything see it");
    assert_eq!(world.end(1, ending(7, 0, true)), ok(4), "the marker takes an offset");
    assert_eq!(seen(&mut world), vec![["plain", "a", "b", "behind"]; 3]);
    assert_eq!(stable(&world), [5, 5, 5]);
}

#[test]
fn aborted_records_are_seen_at_no_replica() {
    let mut world = World::elected();
    // One turn carries both: the marker is judged against the batch in flight.
    let mut record = world.append(1, transactional(7, 0, 0, "gone"));
    let mut marker = world.host(1).append_marker(KEY, ending(7, 0, false), LATE);
    let mut next = world.append(1, transactional(7, 0, 1, "kept"));
    assert_eq!((world.wait(&mut record), world.wait(&mut marker)), (ok(0), ok(1)));
    assert_eq!(world.wait(&mut next), ok(2));
    assert_eq!(stable(&world), [2, 2, 2], "the next transaction is open");
    world.end(1, ending(7, 0, true)).unwrap();
    assert_eq!(seen(&mut world), [["kept"], ["kept"], ["kept"]]);
}

#[test]
fn the_oldest_open_transaction_holds_the_stable_offset() {
    let mut world = World::elected();
    world.produce(1, transactional(1, 0, 0, "one")).unwrap();
    world.produce(1, transactional(2, 0, 0, "two")).unwrap();
    world.end(1, ending(2, 0, true)).unwrap();
    assert_eq!(stable(&world), [0, 0, 0], "what was decided behind an open transaction waits with it");
    world.end(1, ending(1, 0, false)).unwrap();
    assert_eq!(stable(&world), [4, 4, 4]);
    assert_eq!(seen(&mut world), [["two"], ["two"], ["two"]]);
    let aborted = |world: &mut World, from, up_to| {
        world.host(3).aborted_transactions(KEY, Offset(from), Offset(up_to)).unwrap()
    };
    let one = AbortedTransaction { producer: 1, first_offset: Offset(0) };
    assert_eq!(aborted(&mut world, 0, 4), [one]);
    assert_eq!(aborted(&mut world, 2, 3), [one], "a range between its record and its marker");
    assert!(aborted(&mut world, 4, 9).is_empty());
}

#[test]
fn a_repeated_marker_ends_nothing_a_second_time() {
    let mut world = World::elected();
    world.produce(1, transactional(7, 0, 0, "first")).unwrap();
    world.end(1, ending(7, 0, true)).unwrap();
    let again = world.end(1, ending(7, 0, true)).unwrap();
    assert!(again.duplicate);
    assert_eq!(world.view(1).high_watermark, Offset(2), "no second marker");
    assert_eq!(world.counters(1).duplicate_markers.get(), 1);

    // With the epoch bumped at each end, a repetition is known although the next transaction is open.
    let bumped = |commit| EndMarker { bumps_epoch: true, ..ending(7, 1, commit) };
    world.produce(1, transactional(7, 0, 1, "second")).unwrap();
    world.end(1, bumped(true)).unwrap();
    world.produce(1, transactional(7, 1, 0, "third")).unwrap();
    assert!(world.end(1, bumped(true)).unwrap().duplicate);
    assert_eq!(seen(&mut world)[1], ["first", "second"], "the third is undecided");
}

#[test]
fn a_deposed_leader_does_not_call_a_transaction_ended() {
    let mut world = World::elected();
    world.produce(1, transactional(7, 0, 0, "first")).unwrap();
    world.end(1, ending(7, 0, true)).unwrap();
    world.isolate(1);
    world.no_ticks.insert(NodeId(1));
    world.until("another leader", |world| world.confirmed_leader(KEY) != Some(NodeId(1)));
    let leader = world.confirmed_leader(KEY).unwrap().0;
    world.produce(leader, transactional(7, 0, 1, "second")).unwrap();
    // Here nothing is open, and the marker looks like a repetition.
    let mut marker = world.host(1).append_marker(KEY, ending(7, 0, true), LATE);
    world.ticks(20);
    assert!(is_open(&mut marker), "nobody confirms it");
    world.no_ticks.clear();
    world.recover();
    let error = world.wait(&mut marker).unwrap_err();
    assert!(matches!(error, AppendError::NotLeader { .. }), "{error}");
    world.end(leader, ending(7, 0, true)).unwrap();
    assert_eq!(seen(&mut world)[0], ["first", "second"]);
}

#[test]
fn epochs_of_producers_and_coordinators_fence() {
    let mut world = World::elected();
    world.produce(1, transactional(7, 1, 0, "a")).unwrap();
    let old = world.end(1, ending(7, 0, true));
    assert_eq!(old, Err(AppendError::InvalidProducerEpoch { producer: 7, epoch: 0, current: 1 }));
    world.end(1, EndMarker { coordinator_epoch: 5, ..ending(7, 2, false) }).unwrap();
    let zombie = world.produce(1, transactional(7, 1, 1, "late"));
    assert_eq!(zombie, Err(AppendError::InvalidProducerEpoch { producer: 7, epoch: 1, current: 2 }));
    world.produce(1, transactional(7, 2, 0, "b")).unwrap();
    let deposed = world.end(1, EndMarker { coordinator_epoch: 4, ..ending(7, 2, false) });
    assert_eq!(deposed, Err(AppendError::CoordinatorFenced { producer: 7, epoch: 4, current: 5 }));
    let plain = world.produce(1, numbered(7, 2, 1, "no"));
    assert!(matches!(plain, Err(AppendError::InvalidTransactionState { producer: 7, .. })));
    let early = world.produce(1, transactional(7, 3, 0, "no"));
    assert_eq!(early, Err(AppendError::Unverified { producer: 7 }), "a leader may know of the end later");
    // A marker for a producer that never wrote here fences all the same.
    world.end(1, ending(8, 3, true)).unwrap();
    let fenced = world.produce(1, transactional(8, 2, 0, "no"));
    assert_eq!(fenced, Err(AppendError::InvalidProducerEpoch { producer: 8, epoch: 2, current: 3 }));
    // A newer coordinator repeats the marker of the older one: from then on the older one's are fenced.
    let newer = world.end(1, EndMarker { coordinator_epoch: 6, ..ending(8, 3, true) }).unwrap();
    assert!(!newer.duplicate);
    let known = world.host(1).producers(KEY).unwrap();
    let told = |producer: &ProducerState| (producer.epoch, producer.coordinator_epoch, producer.open_since);
    let told: Vec<_> = known.iter().map(told).collect();
    assert_eq!(told, [(2, Some(5), Some(Offset(2))), (3, Some(6), None)]);
}

/// Killed by `aborted-list-lost`.
fn transactions_survive_a_change_of_leader() {
    let mut world = World::elected();
    world.produce(1, transactional(1, 0, 0, "gone")).unwrap();
    world.end(1, ending(1, 0, false)).unwrap();
    world.produce(1, transactional(2, 0, 0, "open")).unwrap();
    world.crash(1, UnsyncedPolicy::Drop);
    world.tell_down(1, true);
    world.until("another leader", |world| world.confirmed_leader(KEY).is_some());
    let leader = world.confirmed_leader(KEY).unwrap().0;
    assert_eq!(world.view(leader).last_stable_offset, Offset(2));
    world.produce(leader, transactional(2, 0, 1, "going on")).unwrap();
    world.end(leader, ending(2, 0, true)).unwrap();
    world.restart(1);
    world.tell_up(1);
    assert_eq!(seen(&mut world), vec![["open", "going on"]; 3]);
}

#[test]
fn a_new_leader_knows_open_and_aborted_transactions() {
    transactions_survive_a_change_of_leader();
}

/// Killed by `open-transactions-not-saved`: node 3 learns of the open transaction by a snapshot alone.
fn a_snapshot_carries_open_transactions() {
    let mut world = segmented();
    world.produce(1, transactional(1, 0, 0, "gone")).unwrap();
    fill(&mut world, 1, 20);
    world.end(1, ending(1, 0, false)).unwrap();
    world.produce(1, transactional(2, 0, 0, "open")).unwrap();
    let opened = world.view(1).high_watermark.0 - 1;
    world.isolate(3);
    fill(&mut world, 1, 20);
    world.host(1).move_log_start(KEY, Offset(opened)).unwrap();
    fill(&mut world, 1, 20);
    // What is kept begins with the open transaction; its segment goes once the log start has passed it.
    world.host(1).move_log_start(KEY, Offset(opened + 10)).unwrap();
    world.settle();
    let installed = world.counters(3).snapshots_installed.get();
    world.recover();
    world.until("node 3 caught up", |world| world.view(3).high_watermark == world.view(1).high_watermark);
    assert_eq!(world.counters(3).snapshots_installed.get(), installed + 1);
    assert_eq!(stable(&world), vec![opened + 10; 3], "undecided from the log start on");
    lead(&mut world, 3);
    world.produce(3, transactional(2, 0, 1, "going on")).unwrap();
    assert!(seen(&mut world).iter().all(Vec::is_empty));
    world.end(3, ending(2, 0, false)).unwrap();
    assert!(seen(&mut world).iter().all(Vec::is_empty), "aborted, and all of it");
}

#[test]
fn a_lagging_follower_gets_open_transactions_with_the_snapshot() {
    a_snapshot_carries_open_transactions();
}

#[test]
fn aborted_transactions_survive_snapshots_and_a_power_cut() {
    let mut world = segmented();
    for round in 0..4 {
        world.produce(1, transactional(1, 0, round, "gone")).unwrap();
        fill(&mut world, 1, 6);
        world.end(1, ending(1, 0, false)).unwrap();
        world.produce(1, transactional(2, 0, round, "kept")).unwrap();
        world.end(1, ending(2, 0, true)).unwrap();
    }
    world.produce(1, transactional(1, 0, 4, "open")).unwrap();
    let before = (seen(&mut world), stable(&world));
    assert_eq!(before.0, vec![["kept"; 4]; 3]);
    for node in 1..=3 {
        world.crash(node, UnsyncedPolicy::Drop);
    }
    for node in 1..=3 {
        world.restart(node);
    }
    world.until("a leader", |world| world.confirmed_leader(KEY).is_some());
    assert_eq!((seen(&mut world), stable(&world)), before);
    let log = world.host(1).replica(KEY).unwrap().log();
    assert!(log.newest_snapshot().unwrap().is_some_and(|snapshot| snapshot.index > Index(20)));
}

#[test]
fn what_lies_below_the_log_start_is_forgotten() {
    let mut world = World::elected();
    world.produce(1, transactional(1, 0, 0, "gone")).unwrap();
    world.end(1, ending(1, 0, false)).unwrap();
    world.produce(1, transactional(2, 0, 0, "open")).unwrap();
    world.produce(1, batch(&["plain", "plainer"])).unwrap();
    let listed =
        |world: &mut World| world.host(2).aborted_transactions(KEY, Offset(0), Offset(9)).unwrap().len();
    assert_eq!(listed(&mut world), 1);
    world.host(1).move_log_start(KEY, Offset(4)).unwrap();
    world.settle();
    assert_eq!(listed(&mut world), 0);
    assert_eq!(stable(&world), [4, 4, 4], "undecided from the log start on");
    world.end(1, ending(2, 0, true)).unwrap();
    assert_eq!(seen(&mut world)[2], ["plain", "plainer"], "a batch is read whole");
}

#[test]
fn a_transaction_is_opened_only_under_a_guard_that_no_marker_ended() {
    let mut world = World::elected();
    let unverified = Err(AppendError::Unverified { producer: 7 });
    let append = |world: &mut World, sequence, guard| {
        let record = transactional(7, 0, sequence, "a");
        let mut answer = world.host(1).append_verified(KEY, record, Acks::All, LATE, guard);
        world.wait(&mut answer)
    };
    assert_eq!(append(&mut world, 0, None), unverified);
    let guard = world.host(1).begin_verification(KEY, 7, 0);
    assert!(guard.is_some());
    assert_eq!(append(&mut world, 0, guard), ok(0));
    assert_eq!(world.host(1).begin_verification(KEY, 7, 0), None, "its transaction is open");
    assert!(world.host(1).begin_verification(KEY, 7, 1).is_some(), "that of another epoch is not");
    assert_eq!(append(&mut world, 1, None), ok(1));
    world.end(1, ending(7, 0, true)).unwrap();

    let guard = world.host(1).begin_verification(KEY, 7, 0);
    assert!(world.end(1, ending(7, 0, true)).unwrap().duplicate);
    assert_eq!(append(&mut world, 2, guard), unverified, "its transaction may have ended meanwhile");
    let guard = world.host(1).begin_verification(KEY, 7, 0);
    lead(&mut world, 2);
    assert_eq!(world.host(1).begin_verification(KEY, 7, 0), None, "only a leader gives guards");
    lead(&mut world, 1);
    assert_eq!(append(&mut world, 2, guard), unverified, "markers may have come to another leader");
    let repeated = append(&mut world, 1, None).unwrap();
    assert_eq!((repeated.base_offset, repeated.duplicate), (Offset(1), true), "a repetition opens nothing");
}

#[test]
fn open_transactions_are_bounded() {
    let mut world = World::elected();
    let count = limits::OPEN_TRANSACTIONS_MAX as i64;
    let mut answers = Vec::new();
    for producer in 0..count {
        answers.push(world.append(1, transactional(producer, 0, 0, "")));
        if answers.len() >= 1_000 || producer == count - 1 {
            for mut answer in std::mem::take(&mut answers) {
                world.wait(&mut answer).unwrap();
            }
        }
    }
    assert_eq!(world.produce(1, transactional(count, 0, 0, "")), Err(AppendError::Overloaded(KEY)));
    assert!(world.produce(1, transactional(3, 0, 1, "")).is_ok(), "those that are open go on");
    world.end(1, ending(0, 0, true)).unwrap();
    assert!(world.produce(1, transactional(count, 0, 0, "")).is_ok());
}

#[cfg(feature = "mutants")]
mod mutants {
    use chronik_mutants::Mutant;

    use super::harness::killed;

    #[test]
    fn the_scenarios_above_kill_their_bugs() {
        killed(
            Mutant::OpenTransactionsVisible,
            super::open_records_are_hidden_and_a_commit_is_visible_at_every_replica,
        );
        killed(Mutant::AbortedListLost, super::transactions_survive_a_change_of_leader);
        killed(Mutant::MarkerRepeated, super::a_repeated_marker_ends_nothing_a_second_time);
        killed(
            Mutant::LateBatchOpens,
            super::a_transaction_is_opened_only_under_a_guard_that_no_marker_ended,
        );
        killed(Mutant::OpenTransactionsNotSaved, super::a_snapshot_carries_open_transactions);
    }
}
