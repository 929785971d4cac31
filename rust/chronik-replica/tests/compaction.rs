//! Compacted partitions: what a group decides together and carries out one by one, and members that are far behind.
#![allow(clippy::unwrap_used, reason = "tests")]

mod harness;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::BytesMut;
use chronik_log::{LogConfig, UnsyncedPolicy};
use chronik_replica::{CompactionRules, ReplicaMessage, TopicSettings};
use chronik_wire::batch::{BatchBuilder, BatchView};
use chronik_wire::types::{NodeId, Offset};
use harness::*;

const HOUR_MS: i64 = 3_600_000;

fn keyed(key: &str, value: Option<&str>) -> BytesMut {
    let value = value.map(|value| format!("{value:<120}"));
    let record = BatchBuilder::new().record(1_000, Some(key.as_bytes()), value.as_deref().map(str::as_bytes));
    record.build_mut().unwrap()
}

fn settings() -> TopicSettings {
    let rules = CompactionRules { delete_retention_ms: 1_000, ..CompactionRules::default() };
    TopicSettings { retention_ms: None, compaction: Some(rules), ..TopicSettings::default() }
}

/// Three nodes with one compacted partition, led by node 1.
fn world() -> World {
    let mut world = World::new(3);
    world.log = Arc::new(LogConfig {
        segment_bytes: 1_500,
        index_interval_bytes: 200,
        tail_bytes: 1,
        ..LogConfig::default()
    });
    world.create_all(KEY, settings());
    world.until("node 1 leads", |world| world.confirmed_leader(KEY) == Some(NodeId(1)));
    world
}

/// Writes `count` records over seven keys at the leader.
fn write(world: &mut World, leader: i32, from: usize, count: usize) {
    for number in from..from + count {
        let value = format!("value {number}");
        let value = (number % 5 != 4).then_some(value.as_str());
        world.produce(leader, keyed(&format!("key {}", number % 7), value)).unwrap();
    }
}

fn compact(world: &mut World, now_ms: i64) {
    for node in world.ids() {
        if let Some(host) = world.node(node.0).host.as_mut() {
            host.run_retention(now_ms);
        }
    }
    world.settle();
}

fn compacted_to(world: &World, node: i32) -> Offset {
    let replica = world.nodes[&NodeId(node)].host.as_ref().unwrap().replica(KEY).unwrap();
    replica.log().compacted().map_or(Offset::ZERO, |compacted| compacted.up_to)
}

/// Everything readable at a node: offset, key, value.
fn records(world: &mut World, node: i32) -> Vec<(i64, String, Option<String>)> {
    let view = world.view(node);
    let batches = world.host(node).read(KEY, view.log_start, view.high_watermark, usize::MAX, true).unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    let mut records = Vec::new();
    for record in batches.into_iter().flat_map(|batch| BatchView::parse(batch).unwrap().records().unwrap()) {
        let record = record.unwrap();
        let key = record.key.as_deref().map(text).unwrap_or_default();
        records.push((record.offset.0, key, record.value.as_deref().map(text)));
    }
    records
}

/// What a reader from the beginning believes in the end.
fn table(world: &mut World, node: i32) -> BTreeMap<String, String> {
    let mut table = BTreeMap::new();
    for (_, key, value) in records(world, node) {
        match value {
            Some(value) => table.insert(key, value),
            None => table.remove(&key),
        };
    }
    table
}

fn all_read_the_same(world: &mut World) {
    let first = records(world, 1);
    for node in 2..=3 {
        assert_eq!(records(world, node), first, "node {node}");
    }
}

#[test]
fn the_group_decides_and_every_member_compacts_to_the_same_bytes() {
    let mut world = world();
    write(&mut world, 1, 0, 80);
    let before = table(&mut world, 1);
    let all = records(&mut world, 1);
    compact(&mut world, HOUR_MS);
    for node in 1..=3 {
        assert_eq!(world.counters(node).compactions.get(), 1, "node {node} compacted");
        assert_eq!(table(&mut world, node), before, "node {node}");
        assert!(
            world.host(node).replica(KEY).unwrap().log().first_index().0 > 50,
            "node {node} let go of entries"
        );
    }
    all_read_the_same(&mut world);
    let left = records(&mut world, 1);
    assert!(
        left.len() < 40 && left.iter().all(|record| all.contains(record)),
        "{} of 80 are left",
        left.len()
    );
    assert!(left.iter().any(|(_, _, value)| value.is_none()), "tombstones can be read for a while");

    // A second plan while producers go on; tombstones of the first are old enough to go.
    write(&mut world, 1, 80, 80);
    let before = table(&mut world, 1);
    let first_plan = compacted_to(&world, 1);
    compact(&mut world, HOUR_MS + 2_000);
    all_read_the_same(&mut world);
    assert_eq!(table(&mut world, 2), before);
    let old_tombstones = records(&mut world, 3)
        .iter()
        .filter(|(offset, _, value)| value.is_none() && *offset < first_plan.0)
        .count();
    assert_eq!(old_tombstones, 0);
}

#[test]
fn tombstones_stay_for_their_time_and_go_although_nothing_is_written() {
    let mut world = world();
    write(&mut world, 1, 0, 80);
    compact(&mut world, HOUR_MS);
    let tombstones = |world: &mut World| {
        let end = compacted_to(world, 2).0;
        records(world, 2).iter().filter(|(offset, _, value)| value.is_none() && *offset < end).count()
    };
    let kept = tombstones(&mut world);
    assert!(kept > 0);
    compact(&mut world, HOUR_MS + 999);
    assert_eq!(tombstones(&mut world), kept);
    let before = table(&mut world, 1);
    compact(&mut world, HOUR_MS + 1_000);
    assert_eq!(tombstones(&mut world), 0);
    assert_eq!(table(&mut world, 1), before);
    all_read_the_same(&mut world);
}

#[test]
fn a_member_that_compacts_late_reads_the_same_once_it_has() {
    let mut world = world();
    world.node(2).hold_compactions = true;
    write(&mut world, 1, 0, 80);
    let before = table(&mut world, 1);
    compact(&mut world, HOUR_MS);
    write(&mut world, 1, 80, 60);
    let second = table(&mut world, 1);
    compact(&mut world, HOUR_MS + 2_000);
    assert_eq!(compacted_to(&world, 2), Offset::ZERO, "node 2 was held up");
    assert_eq!(table(&mut world, 2), second, "and serves what it has: {}", before.len());
    assert!(records(&mut world, 2).len() > records(&mut world, 1).len());

    // It loses power before it began; what was decided is carried out after the restart.
    world.crash(2, UnsyncedPolicy::Drop);
    world.node(2).hold_compactions = false;
    world.restart(2);
    world.until("node 2 caught up", |world| compacted_to(world, 2) == compacted_to(world, 1));
    all_read_the_same(&mut world);
}

/// Node 3 misses everything up to a compaction.
fn world_with_a_member_behind() -> World {
    let mut world = world();
    write(&mut world, 1, 0, 3);
    world.isolate(3);
    // Node 3 leaves the in-sync set, or nothing would be compacted above it.
    write(&mut world, 1, 3, 120);
    world.now_ms += 60_000;
    world.ticks(5);
    compact(&mut world, HOUR_MS);
    assert!(compacted_to(&world, 1) > Offset(60));
    assert_eq!(world.view(3).high_watermark, Offset(3));
    world
}

#[test]
fn a_member_far_behind_fetches_the_compacted_log_before_its_snapshot() {
    let mut world = world_with_a_member_behind();
    let before = table(&mut world, 1);
    world.recover();
    world.until("node 3 caught up", |world| world.view(3).high_watermark == Offset(123));
    assert_eq!(world.counters(3).snapshots_installed.get(), 1);
    assert!(world.counters(1).prefix_pieces_sent.get() + world.counters(2).prefix_pieces_sent.get() > 1);
    all_read_the_same(&mut world);
    assert_eq!(table(&mut world, 3), before);
    assert_eq!(world.view(3).log_start, Offset(0), "nothing was dropped");

    // It can lead, and its successors find everything after a power cut of all.
    world.host(1).transfer_leader(KEY, NodeId(3)).unwrap();
    world.until("node 3 leads", |world| world.confirmed_leader(KEY) == Some(NodeId(3)));
    write(&mut world, 3, 123, 40);
    let before = table(&mut world, 3);
    compact(&mut world, 2 * HOUR_MS);
    for node in 1..=3 {
        world.crash(node, UnsyncedPolicy::Torn { seed: 7 });
    }
    for node in 1..=3 {
        world.restart(node);
    }
    world.until("somebody leads", |world| world.confirmed_leader(KEY).is_some());
    world.until("all applied", |world| (1..=3).all(|node| world.view(node).high_watermark == Offset(163)));
    all_read_the_same(&mut world);
    assert_eq!(table(&mut world, 2), before);
}

#[test]
fn lost_and_repeated_pieces_and_crashes_of_the_receiver_only_delay_the_transfer() {
    for seed in 1..=8 {
        let mut world = world_with_a_member_behind();
        world.seed(seed);
        let before = table(&mut world, 1);
        world.recover();
        (world.drop_percent, world.duplicate_percent, world.delay_percent) = (15, 15, 15);
        for round in 0..6 {
            world.ticks(12);
            if round % 2 == 0 {
                world.crash(3, UnsyncedPolicy::Torn { seed: seed + round });
                world.restart(3);
            }
        }
        (world.drop_percent, world.duplicate_percent, world.delay_percent) = (0, 0, 0);
        world.until("node 3 caught up", |world| world.view(3).high_watermark == Offset(123));
        all_read_the_same(&mut world);
        assert_eq!(table(&mut world, 3), before, "seed {seed}");
    }
}

#[test]
fn a_leader_that_falls_during_the_transfer_is_followed_by_one_that_sends_the_same() {
    let mut world = world_with_a_member_behind();
    let before = table(&mut world, 1);
    world.recover();
    world.hold = Some(Box::new(|flight| matches!(flight.message, ReplicaMessage::PrefixPiece { .. })));
    world.until("a piece is on its way", |world| !world.held.is_empty());
    world.crash(1, UnsyncedPolicy::Drop);
    world.tell_down(1, true);
    world.held.clear();
    world.hold = None;
    world.until("node 2 leads", |world| world.confirmed_leader(KEY) == Some(NodeId(2)));
    world.until("node 3 caught up", |world| world.view(3).high_watermark == Offset(123));
    assert_eq!(table(&mut world, 3), before);
    world.restart(1);
    world.until("node 1 is back", |world| world.view(1).high_watermark == Offset(123));
    all_read_the_same(&mut world);
}

/// One record of a transaction with a key.
fn in_transaction(producer: i64, sequence: i32, key: &str, value: &str) -> BytesMut {
    let value = format!("{value:<120}");
    let builder = BatchBuilder::new().producer(producer, 0, sequence).transactional();
    builder.record(1_000, Some(key.as_bytes()), Some(value.as_bytes())).build_mut().unwrap()
}

fn aborted_records_go_and_committed_ones_stay() {
    let mut world = world();
    let mut sequence = 0;
    for round in 0..30 {
        let commits = round % 3 != 1;
        for key in 0..2 {
            let value = format!("{} {round}", if commits { "good" } else { "bad" });
            world.produce(1, in_transaction(9, sequence, &format!("key {key}"), &value)).unwrap();
            sequence += 1;
        }
        world.end(1, ending(9, 0, commits)).unwrap();
    }
    // One that stays open: nothing from its first record on is touched.
    world.produce(1, in_transaction(8, 0, "key 0", "open")).unwrap();
    let open_from = world.view(1).last_stable_offset;
    write(&mut world, 1, 0, 60);
    let committed = |world: &mut World, node| -> Vec<String> {
        world.committed(node).into_iter().map(|value| value.trim_end().to_owned()).collect()
    };
    let before = committed(&mut world, 1);
    let remembered = |world: &mut World, node| world.host(node).replica(KEY).unwrap().aborted_count();
    assert_eq!(remembered(&mut world, 1), 10);
    for now_ms in [HOUR_MS, HOUR_MS + 2_000] {
        // The producers' clock is proposed first.
        compact(&mut world, now_ms);
        compact(&mut world, now_ms);
        for node in 1..=3 {
            assert!(compacted_to(&world, node) > Offset(20) && compacted_to(&world, node) <= open_from);
            let left = committed(&mut world, node);
            assert!(left.len() < before.len());
            assert_eq!(
                left[left.len() - 2..],
                before[before.len() - 2..],
                "the newest of each key, node {node}"
            );
            assert!(left.iter().all(|value| !value.starts_with("bad")), "node {node}");
        }
        all_read_the_same(&mut world);
    }
    assert_eq!(world.view(2).last_stable_offset, open_from);
    assert!(
        (1..=3).all(|node| remembered(&mut world, node) < 10),
        "those whose markers are gone are forgotten"
    );
}

#[test]
fn transactions_are_respected() {
    aborted_records_go_and_committed_ones_stay();
}

#[test]
fn an_idle_segment_is_closed_by_age_and_compacted() {
    let mut world = world();
    world.log =
        Arc::new(LogConfig { segment_bytes: 1 << 20, segment_ms: Some(60_000), ..LogConfig::default() });
    let log = Arc::clone(&world.log);
    for node in 1..=3 {
        world.host(node).set_log_config(KEY, Arc::clone(&log));
    }
    write(&mut world, 1, 0, 30);
    compact(&mut world, 1_000 + 59_999);
    let closed_before = compacted_to(&world, 2);
    compact(&mut world, 1_000 + 60_000);
    compact(&mut world, 1_000 + 60_001);
    assert_eq!(compacted_to(&world, 2), Offset(30), "before its time: {closed_before}");
    all_read_the_same(&mut world);
}

#[cfg(feature = "mutants")]
mod mutants {
    use chronik_mutants::Mutant;

    use super::*;

    #[test]
    fn the_scenarios_above_kill_their_bugs() {
        killed(
            Mutant::TombstoneDroppedEarly,
            tombstones_stay_for_their_time_and_go_although_nothing_is_written,
        );
        killed(Mutant::NewestValueDropped, the_group_decides_and_every_member_compacts_to_the_same_bytes);
        killed(Mutant::CompactedAbortsTold, aborted_records_go_and_committed_ones_stay);
    }
}
