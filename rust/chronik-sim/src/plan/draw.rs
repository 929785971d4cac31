//! From a seed to a plan. Every schedule has a few kinds of faults, not all: a cluster that suffers everything at once
//! seldom gets far enough to be wrong.

use super::{
    ClusterPlan, CutShape, DiskOperation, Durability, Fault, FaultKind, NetworkPlan, Noise, Plan, Target,
    Unsynced, WorkloadPlan,
};
use crate::random::Random;

/// Time before the first fault, in milliseconds: clients have begun.
const CALM_MS: u64 = 200;

pub(super) fn plan(seed: u64, duration_ms: u64) -> Plan {
    let mut random = Random::new(seed);
    let mut cluster = cluster(&mut random.fork(1));
    let network = network(&mut random.fork(2));
    let workload = workload(&mut random.fork(3), &cluster);
    let faults = faults(&mut random.fork(4), &cluster, duration_ms);
    let mut workload = with_groups(workload, &mut random.fork(5), &cluster);
    let faults = with_changes_of_members(faults, &mut random.fork(6), &cluster, duration_ms);
    age(&mut cluster, &mut workload, &mut random.fork(7));
    Plan { seed, duration_ms, cluster, network, workload, faults }
}

fn cluster(random: &mut Random) -> ClusterPlan {
    let nodes = match random.below(20) {
        0 => 1,
        1 | 2 => 5,
        _ => 3,
    };
    let topics = (0..random.between(1, 2)).map(|_| random.between(1, 2) as i32).collect();
    let durability = match random.below(10) {
        0 => Durability::Os,
        1 | 2 => Durability::FsyncInline,
        _ => Durability::Fsync,
    };
    let drift = random.chance(300);
    let clock_per_mille =
        (0..nodes).map(|_| if drift { random.between(500, 2_000) } else { 1_000 }).collect();
    let small_segments = random.chance(500);
    let segment_bytes = if small_segments { random.between(300, 8_000) } else { 1 << 20 };
    ClusterPlan {
        nodes,
        topics,
        durability,
        tick_ms: *random.pick(&[10, 10, 20, 50]).unwrap_or(&10),
        sync_us: *random.pick(&[50, 300, 2_000, 8_000]).unwrap_or(&300),
        turn_us: *random.pick(&[5, 50, 500]).unwrap_or(&50),
        clock_per_mille,
        segment_bytes,
        min_insync: min_insync(random, nodes),
        retention_bytes: if small_segments && random.chance(500) { random.between(2_000, 40_000) } else { 0 },
        // Not drawn: what the other draws bring stays what it was.
        retention_ms: 0,
        compacted: small_segments && segment_bytes.is_multiple_of(3),
        gate_off: false,
    }
}

fn min_insync(random: &mut Random, nodes: i32) -> i32 {
    match random.below(1_000) {
        _ if nodes == 1 => 1,
        0..250 => nodes / 2 + 1,
        250..350 => nodes,
        _ => 1,
    }
}

fn network(random: &mut Random) -> NetworkPlan {
    let noise = if random.chance(500) { noise(random, 50) } else { Noise::default() };
    NetworkPlan {
        latency_us: *random.pick(&[30, 100, 500, 3_000]).unwrap_or(&100),
        ordered: random.chance(500),
        noise,
        survive_per_mille: 700,
    }
}

fn noise(random: &mut Random, most_per_mille: u64) -> Noise {
    Noise {
        loss_per_mille: if random.chance(500) { random.below(most_per_mille) } else { 0 },
        repeat_per_mille: if random.chance(500) { random.below(most_per_mille) } else { 0 },
        late_per_mille: if random.chance(500) { random.between(10, 100) } else { 0 },
    }
}

fn workload(random: &mut Random, cluster: &ClusterPlan) -> WorkloadPlan {
    let plan = WorkloadPlan {
        writers: random.between(1, 2) as usize,
        idempotent_writers: random.between(0, 2) as usize,
        pipeline: random.between(1, 5) as usize,
        batch_records: random.between(1, 4),
        end_readers: 1,
        session_readers: usize::from(random.chance(300)),
        scanners: if cluster.nodes > 3 { 0 } else { usize::from(random.chance(500)) },
        consumers: random.between(0, 2) as usize,
        pinned_writes: random.chance(200),
        topic_churn: random.chance(250),
        pause_ms: *random.pick(&[20, 50, 100]).unwrap_or(&50),
        rest_ms: if random.chance(250) { random.between(800, 3_000) } else { 0 },
        transactional_writers: if random.chance(500) { random.between(1, 2) as usize } else { 0 },
        rivals: random.chance(300),
        keyed: cluster.compacted,
        deletes_records: false,
        members: 0,
        newer_members: 0,
        copiers: 0,
        newer_copiers: false,
    };
    // What an aborted transaction wrote goes from a compacted log, which the checker would call lost.
    if cluster.compacted { WorkloadPlan { transactional_writers: 0, ..plan } } else { plan }
}

/// In some schedules records go because they are old, or because somebody wants them gone.
fn age(cluster: &mut ClusterPlan, workload: &mut WorkloadPlan, random: &mut Random) {
    if random.chance(80) && !cluster.compacted {
        cluster.retention_ms = random.between(2_000, 40_000);
    }
    workload.deletes_records = random.chance(150) && !cluster.compacted;
}

fn with_groups(plan: WorkloadPlan, random: &mut Random, cluster: &ClusterPlan) -> WorkloadPlan {
    let some = |random: &mut Random, per_mille| {
        if random.chance(per_mille) { random.between(1, 3) as usize } else { 0 }
    };
    WorkloadPlan {
        members: some(random, 400),
        newer_members: some(random, 400),
        // What an aborted transaction wrote goes from a compacted log, which the checker would call lost.
        copiers: if cluster.compacted { 0 } else { some(random, 300) },
        newer_copiers: random.chance(500),
        ..plan
    }
}

type DrawFault = fn(&mut Random, &ClusterPlan) -> Option<FaultKind>;

/// The kinds a schedule may have, each with its mean distance in milliseconds.
const KINDS: &[(DrawFault, u64)] = &[
    (crash, 6_000),
    (power_cut, 18_000),
    (pause, 6_000),
    (isolate_leader, 8_000),
    (cut, 8_000),
    (bad_links, 10_000),
    (slow_disk, 15_000),
    (slow_node, 15_000),
    (full_disk, 20_000),
    (sync_error, 25_000),
    (bad_disk, 15_000),
    (bit_flip, 30_000),
    (wipe, 60_000),
    (clock_jump, 10_000),
    (transfer, 5_000),
];

fn faults(random: &mut Random, cluster: &ClusterPlan, duration_ms: u64) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (place, (draw, mean_ms)) in KINDS.iter().enumerate() {
        let mut random = random.fork(place as u64);
        if !random.chance(400) {
            continue;
        }
        // Hasty schedules have the same fault again before the last one has healed.
        let mean_ms = mean_ms * random.between(25, 150) / 100;
        let mut at_ms = CALM_MS + random.below(mean_ms);
        while at_ms < duration_ms {
            if let Some(kind) = draw(&mut random, cluster) {
                let for_ms = length_ms(&kind, &mut random);
                faults.push(Fault { at_ms, for_ms, kind });
            }
            at_ms += 50 + random.around(mean_ms);
        }
    }
    faults.extend(flicker(&mut random.fork(1), cluster, duration_ms));
    faults.sort_by_key(|fault| fault.at_ms);
    faults
}

/// Nodes come and go, and partitions move to and fro between them.
fn with_changes_of_members(
    mut faults: Vec<Fault>,
    random: &mut Random,
    cluster: &ClusterPlan,
    duration_ms: u64,
) -> Vec<Fault> {
    for fault in &mut faults {
        if let FaultKind::Wipe { readmitted, .. } = &mut fault.kind {
            *readmitted = random.chance(500);
        }
    }
    if random.chance(250) {
        let mut at_ms = CALM_MS + random.below(2_000);
        let mut kind = FaultKind::AddNode;
        while at_ms < duration_ms {
            faults.push(Fault { at_ms, for_ms: 0, kind });
            at_ms += 50 + random.around(3_000);
            let node = random.between(1, cluster.nodes as u64 + 1) as i32;
            kind = match random.below(10) {
                0 => FaultKind::AddNode,
                1 | 2 => FaultKind::RemoveNode { node },
                _ => FaultKind::Reassign { partition: random.below(8) as usize, without: node },
            };
        }
    }
    // Only the nodes that were there when it was taken can have their state back.
    let is_steady = !faults.iter().any(|fault| fault.kind == FaultKind::AddNode);
    if is_steady && random.chance(150) {
        let at_ms = CALM_MS + random.below(duration_ms / 2);
        let for_ms = random.between(500, duration_ms / 3 + 500);
        faults.push(Fault { at_ms, for_ms, kind: FaultKind::Rewind });
    }
    faults.sort_by_key(|fault| fault.at_ms);
    faults
}

/// In some schedules nodes hardly come up before they go down again: promises that were not kept show then.
fn flicker(random: &mut Random, cluster: &ClusterPlan, duration_ms: u64) -> Vec<Fault> {
    let mut faults = Vec::new();
    if random.chance(150) {
        let mut at_ms = CALM_MS;
        while at_ms < duration_ms {
            at_ms += 50 + random.around(1_000);
            if let Some(kind) = crash(random, cluster) {
                faults.push(Fault { at_ms, for_ms: random.between(1, 60), kind });
            }
        }
    }
    faults
}

fn length_ms(kind: &FaultKind, random: &mut Random) -> u64 {
    match kind {
        FaultKind::Crash { .. }
        | FaultKind::PowerCut { .. }
        | FaultKind::BitFlip { .. }
        | FaultKind::Wipe { .. } => {
            if random.chance(300) {
                random.between(1, 50)
            } else {
                random.between(50, 4_000)
            }
        }
        FaultKind::Pause { .. } => mostly_short(random, 200, 2_000, 10_000),
        FaultKind::Cut { .. } => mostly_short(random, 300, 3_000, 20_000),
        FaultKind::ClockJump { .. } | FaultKind::Transfer { .. } => 0,
        _ => random.between(200, 5_000),
    }
}

fn mostly_short(random: &mut Random, least_ms: u64, short_ms: u64, long_ms: u64) -> u64 {
    let most_ms = if random.chance(200) { long_ms } else { short_ms };
    random.between(least_ms, most_ms)
}

/// The leader suffers most: that is where a mistake shows.
fn target(random: &mut Random, cluster: &ClusterPlan) -> Target {
    if random.chance(600) {
        Target::LeaderOf(random.below(4) as usize)
    } else {
        Target::Node(node(random, cluster))
    }
}

fn node(random: &mut Random, cluster: &ClusterPlan) -> i32 {
    random.between(1, cluster.nodes as u64) as i32
}

fn unsynced(random: &mut Random, cluster: &ClusterPlan) -> Unsynced {
    if cluster.durability == Durability::Os {
        return Unsynced::Keep;
    }
    *random.pick(&[Unsynced::Drop, Unsynced::Torn, Unsynced::Keep]).unwrap_or(&Unsynced::Drop)
}

fn crash(random: &mut Random, cluster: &ClusterPlan) -> Option<FaultKind> {
    let told = random.chance(400);
    let unsynced = unsynced(random, cluster);
    // A process that dies loses nothing; only the power can go in the middle of a write.
    let after_changes = (unsynced != Unsynced::Keep && random.chance(400)).then(|| random.below(25));
    Some(FaultKind::Crash { target: target(random, cluster), unsynced, told, after_changes })
}

fn power_cut(random: &mut Random, cluster: &ClusterPlan) -> Option<FaultKind> {
    Some(FaultKind::PowerCut { unsynced: unsynced(random, cluster) })
}

fn pause(random: &mut Random, cluster: &ClusterPlan) -> Option<FaultKind> {
    Some(FaultKind::Pause { target: target(random, cluster) })
}

fn isolate_leader(random: &mut Random, cluster: &ClusterPlan) -> Option<FaultKind> {
    let target = target(random, cluster);
    let shape = *random.pick(&[CutShape::Isolate(target), CutShape::Deaf(target), CutShape::Mute(target)])?;
    (cluster.nodes > 1).then_some(FaultKind::Cut { shape })
}

fn cut(random: &mut Random, cluster: &ClusterPlan) -> Option<FaultKind> {
    let one = node(random, cluster);
    let other = one % cluster.nodes + 1;
    let shape = match random.below(4) {
        0 => CutShape::Ring,
        1 => CutShape::Bridge(one),
        2 => CutShape::Pair(one, other),
        _ => CutShape::OneWay(one, other),
    };
    (cluster.nodes > 1).then_some(FaultKind::Cut { shape })
}

fn bad_links(random: &mut Random, _: &ClusterPlan) -> Option<FaultKind> {
    Some(FaultKind::Noise(noise(random, 300)))
}

fn slow_disk(random: &mut Random, cluster: &ClusterPlan) -> Option<FaultKind> {
    Some(FaultKind::SlowDisk { target: target(random, cluster), sync_us: random.between(1_000, 500_000) })
}

fn slow_node(random: &mut Random, cluster: &ClusterPlan) -> Option<FaultKind> {
    Some(FaultKind::SlowNode { target: target(random, cluster), turn_us: random.between(1_000, 300_000) })
}

fn full_disk(random: &mut Random, cluster: &ClusterPlan) -> Option<FaultKind> {
    Some(FaultKind::FullDisk { target: target(random, cluster), room_bytes: random.below(20_000) })
}

fn sync_error(random: &mut Random, cluster: &ClusterPlan) -> Option<FaultKind> {
    let syncs = random.between(1, 3) as u32;
    (cluster.durability != Durability::Os)
        .then(|| FaultKind::SyncError { target: target(random, cluster), syncs })
}

fn bad_disk(random: &mut Random, cluster: &ClusterPlan) -> Option<FaultKind> {
    use DiskOperation::{MisdirectedRead, Open, Read, SyncDir, Write};
    let operation = *random.pick(&[Open, Read, MisdirectedRead, Write, SyncDir])?;
    let times = random.between(1, 3) as u32;
    Some(FaultKind::BadDisk { target: target(random, cluster), operation, times })
}

fn bit_flip(random: &mut Random, cluster: &ClusterPlan) -> Option<FaultKind> {
    (cluster.nodes > 2).then(|| FaultKind::BitFlip { target: target(random, cluster) })
}

fn wipe(random: &mut Random, cluster: &ClusterPlan) -> Option<FaultKind> {
    (cluster.nodes > 2).then(|| FaultKind::Wipe { target: target(random, cluster), readmitted: false })
}

fn clock_jump(random: &mut Random, cluster: &ClusterPlan) -> Option<FaultKind> {
    let hour_ms = 3_600_000;
    let by_ms = random.below(2 * hour_ms) as i64 - hour_ms as i64;
    Some(FaultKind::ClockJump { target: target(random, cluster), by_ms })
}

fn transfer(random: &mut Random, cluster: &ClusterPlan) -> Option<FaultKind> {
    Some(FaultKind::Transfer { partition: random.below(4) as usize, to: node(random, cluster) })
}
