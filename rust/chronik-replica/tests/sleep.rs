//! Hibernation: quiet groups cost nothing, and everything that matters wakes them.
#![allow(clippy::unwrap_used, reason = "test code")]

mod harness;

use chronik_log::UnsyncedPolicy;
use chronik_replica::*;
use chronik_wire::types::{NodeId, Offset};
use harness::*;

fn asleep(world: &World) -> bool {
    let running = world.nodes.values().filter_map(|node| node.host.as_ref());
    running.into_iter().all(|host| !host.needs_ticks())
}

fn sleeping() -> World {
    let mut world = World::elected();
    world.produce(1, batch(&["a"])).unwrap();
    world.until("the group sleeps", asleep);
    world
}

fn impatient() -> TopicSettings {
    TopicSettings { replica_lag_max_ms: 300, ..TopicSettings::default() }
}

#[test]
fn a_quiet_group_sleeps_and_costs_no_message() {
    let mut world = sleeping();
    for node in 1..=3 {
        assert!(world.host(node).replica(KEY).unwrap().is_asleep());
        assert_eq!(world.counters(node).group_sleeps.get(), 1);
    }
    world.delivered = 0;
    let campaigns = world.sum(|counters| &counters.campaigns);
    world.ticks(500);
    assert_eq!(world.delivered, 0);
    assert_eq!(world.sum(|counters| &counters.campaigns), campaigns, "nobody misses the leader");
    assert_eq!(world.view(1).in_sync.len(), 3, "nobody left the in-sync set");
}

#[test]
fn a_group_that_no_client_has_used_sleeps_after_a_heartbeat() {
    let mut world = World::elected();
    let unused = world.until("the new group sleeps", asleep);
    world.produce(1, batch(&["a"])).unwrap();
    let used = world.until("the used group sleeps", asleep);
    let config = world.host(1).config().clone();
    assert!(unused <= 3 * config.heartbeat_ticks, "{unused} ticks");
    assert!(used >= config.hibernate_after_ticks, "{used} ticks");
}

#[test]
fn a_new_leader_that_hears_nobody_does_not_sleep() {
    let mut world = World::elected();
    for node in 1..=3 {
        world.isolate(node);
    }
    world.until("nobody leads", |world| (1..=3).all(|node| world.view(node).leader.is_none()));
    assert_eq!(world.sum(|counters| &counters.group_sleeps), 0);
}

#[test]
fn a_group_sleeps_on_a_host_whose_ticks_come_late() {
    let mut world = World::elected();
    world.produce(1, batch(&["a"])).unwrap();
    let config = world.host(1).config().clone();
    // Heartbeats are farther apart than an election timeout should be.
    for _ in 0..2 * config.hibernate_after_ticks {
        world.now_ms += config.tick_ms * config.election_ticks as u64;
        world.tick();
    }
    assert!(asleep(&world));
    assert_eq!(world.confirmed_leader(KEY), Some(NodeId(1)));
}

#[test]
fn a_proposal_wakes_the_group() {
    let mut world = sleeping();
    world.ticks(500);
    assert_eq!(world.produce(1, batch(&["b"])), ok(1));
    assert!(!asleep(&world));
    assert_eq!(world.view(3).high_watermark, Offset(2));
    world.until("it sleeps again", asleep);
}

#[test]
fn a_barrier_at_any_replica_asks_and_wakes() {
    for node in 1..=3 {
        let mut world = sleeping();
        world.ticks(500);
        world.pass(node).unwrap();
        assert!(world.counters(1).read_index_calls.get() > 0, "the leader was asked");
        assert!(!asleep(&world));
        world.until("it sleeps again", asleep);
    }
}

#[test]
fn a_sleeping_group_whose_leader_died_elects_when_told_or_asked() {
    let mut world = sleeping();
    world.crash(1, UnsyncedPolicy::Drop);
    world.ticks(100);
    assert!(asleep(&world), "nobody knows yet");
    for node in [2, 3] {
        world.host(node).set_settings(KEY, impatient());
    }
    world.tell_down(1, false);
    world.until("another leader", |world| world.confirmed_leader(KEY).is_some());
    world.until("two of three sleep", asleep);

    // Without beats between the nodes a reader finds out.
    let mut world = sleeping();
    world.crash(1, UnsyncedPolicy::Drop);
    assert!(world.pass(2).is_ok(), "the lost round woke the replica, which elected");
}

#[test]
fn a_group_sleeps_while_a_minority_is_down_and_looks_after_it_later() {
    let mut world = World::new(3);
    world.create_all(KEY, impatient());
    world.crash(3, UnsyncedPolicy::Drop);
    world.tell_down(3, false);
    world.produce(1, batch(&["a"])).unwrap();
    world.until("two of three sleep", asleep);
    assert_eq!(world.view(1).in_sync, [NodeId(1), NodeId(2)], "the in-sync set noticed before");
    world.restart(3);
    world.tell_up(3);
    world.until("node 3 caught up", |world| world.view(3).high_watermark == Offset(1));
    world.until("all sleep", asleep);
    assert_eq!(world.view(1).in_sync.len(), 3);
}

#[test]
fn a_member_that_is_behind_keeps_the_group_awake() {
    let mut world = World::elected();
    world.hold = Some(Box::new(|flight| {
        flight.to == NodeId(3)
            && matches!(&flight.message, ReplicaMessage::Raft(message) if !message.get_entries().is_empty())
    }));
    world.produce(1, batch(&["a"])).unwrap();
    world.ticks(300);
    assert_eq!(world.sum(|counters| &counters.group_sleeps), 0);
    world.held.clear();
    world.hold = None;
    world.until("node 3 caught up", |world| world.view(3).high_watermark == Offset(1));
    world.until("all sleep", asleep);
}

#[test]
fn a_lost_word_to_sleep_or_a_restart_disturbs_nobody_for_long() {
    let mut world = World::elected();
    world.hold = Some(Box::new(|flight| {
        flight.to == NodeId(2) && matches!(flight.message, ReplicaMessage::Sleep { .. })
    }));
    world.until("node 1 sleeps", |world| world.counters(1).group_sleeps.get() == 1);
    world.held.clear();
    world.hold = None;
    world.ticks(200);
    world.until("all sleep", asleep);
    assert_eq!(world.confirmed_leader(KEY), Some(NodeId(1)), "the leader stayed");
    world.crash(2, UnsyncedPolicy::Drop);
    world.restart(2);
    world.until("node 2 is back", |world| world.view(2).leader == Some(NodeId(1)));
    world.until("all sleep", asleep);
    assert_eq!(world.confirmed_leader(KEY), Some(NodeId(1)));
}

#[test]
fn hibernation_can_be_switched_off() {
    let mut world = World::with(3, |config| HostConfig { hibernate_after_ticks: 0, ..config });
    world.create_all(KEY, TopicSettings::default());
    world.ticks(500);
    assert!(!asleep(&world));
    assert_eq!(world.sum(|counters| &counters.group_sleeps), 0);
}

#[test]
fn a_host_that_slept_for_hours_judges_by_the_present() {
    let mut world = sleeping();
    // Nobody told the sleeping hosts the time; requests and messages reach them before any tick does.
    world.now_ms += 10 * 3_600_000;
    let deadline_ms = world.now_ms + 200;
    let mut gate = world.enter_until(2, deadline_ms);
    world.settle();
    assert!(gate.try_recv().unwrap().is_ok(), "the deadline counts from now");
    world.tick();
    assert_eq!(world.counters(1).barriers_refused.get(), 0);
    assert_eq!(world.view(1).in_sync.len(), 3, "silence in sleep is no lag");
    world.ticks(3);
    assert_eq!(world.view(1).in_sync.len(), 3);
    assert_eq!(world.confirmed_leader(KEY), Some(NodeId(1)));
}

/// With its bug planted each of these scenarios fails.
#[cfg(feature = "mutants")]
#[test]
fn the_scenarios_above_kill_their_bugs() {
    use chronik_mutants::Mutant;

    killed(Mutant::SleeperUngated, a_barrier_at_any_replica_asks_and_wakes);
}
