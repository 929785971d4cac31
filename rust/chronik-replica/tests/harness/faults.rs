//! Faults of all kinds for a partition on three nodes, drawn from the world's seed.

use chronik_log::UnsyncedPolicy;
use chronik_wire::types::{NodeId, Offset};

use super::{KEY, World};

/// What was broken is mended, and something else breaks.
pub fn new(world: &mut World) {
    world.drop_percent = [0, 0, 5, 30][world.random(4) as usize];
    world.delay_percent = [0, 0, 10, 40][world.random(4) as usize];
    world.duplicate_percent = [0, 20][world.random(2) as usize];
    world.recover();
    world.no_ticks.clear();
    for node in 1..=3 {
        world.node(node).frozen = false;
        if world.node(node).host.is_none() {
            world.restart(node);
            world.tell_up(node);
        }
    }
    let leader = world.confirmed_leader(KEY).map_or(1, |node| node.0);
    let victim = if world.random(2) == 0 { leader } else { 1 + world.random(3) as i32 };
    match world.random(9) {
        0 => world.isolate(victim),
        1 => world.cut(victim, 1 + victim % 3),
        2 => {
            world.isolate(victim);
            world.no_ticks.insert(NodeId(victim));
        }
        3 => world.node(victim).frozen = true,
        4 => {
            let seed = world.random(1_000);
            world
                .crash(victim, if seed < 500 { UnsyncedPolicy::Drop } else { UnsyncedPolicy::Torn { seed } });
            match world.random(3) {
                0 => world.tell_down(victim, true),
                1 => world.tell_down(victim, false),
                _ => {}
            }
        }
        5 => {
            for node in 1..=3 {
                world.crash(node, UnsyncedPolicy::Drop);
            }
            for node in 1..=3 {
                world.restart(node);
            }
        }
        6 => {
            let to = NodeId(1 + victim % 3);
            let _ = world.host(leader).transfer_leader(KEY, to);
        }
        7 => {
            let high_watermark = world.view(leader).high_watermark;
            let _ = world.host(leader).move_log_start(KEY, Offset(high_watermark.0 / 2));
        }
        _ => {}
    }
}

/// Everything works again, and everybody is told so.
pub fn heal(world: &mut World) {
    (world.drop_percent, world.delay_percent, world.duplicate_percent) = (0, 0, 0);
    world.recover();
    world.no_ticks.clear();
    for node in 1..=3 {
        world.node(node).frozen = false;
        world.node(node).hold_syncs = false;
        if world.node(node).host.is_none() {
            world.restart(node);
        }
        world.tell_up(node);
    }
}
