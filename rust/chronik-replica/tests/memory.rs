//! What an idle replica costs: a thousand partitions of three replicas in one process.
//!
//! Alone in its binary, because it looks at the memory of the whole process.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "test code")]

mod harness;

use chronik_replica::*;
use harness::*;

/// Resident bytes of this process.
fn resident_bytes() -> i64 {
    const PAGE_BYTES: i64 = 4096;
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split_whitespace().nth(1).unwrap().parse::<i64>().unwrap() * PAGE_BYTES
}

#[test]
fn an_idle_replica_costs_about_eight_kilobytes() {
    const PARTITIONS: i32 = 1_000;
    let mut world = World::new(3);
    let before = resident_bytes();
    for partition in 0..PARTITIONS {
        world.create_all(key(partition), TopicSettings::default());
    }
    world.until("all groups sleep", |world| {
        world.nodes.values().all(|node| !node.host.as_ref().unwrap().needs_ticks())
    });
    let per_replica = (resident_bytes() - before) / (3 * i64::from(PARTITIONS));
    println!("{per_replica} resident bytes per idle replica, its log in memory included");
    // About 6.5 KB are allocated; the rest is what the allocator keeps around them.
    assert!(per_replica <= 9 * 1024, "{per_replica} bytes");
}
