//! Members that come and go: added, removed, both; the leader itself; crashes at every step; a lost disk that gets its
//! vote back.
#![allow(clippy::unwrap_used, reason = "test code")]

mod harness;

use std::sync::Arc;

use chronik_log::{LogConfig, UnsyncedPolicy};
use chronik_replica::*;
use chronik_wire::types::{NodeId, Offset};
use harness::*;
use raft::eraftpb::MessageType;

/// `nodes` nodes, of which the first three hold the group, led by node 1.
fn three_of(nodes: i32) -> World {
    let mut world = World::new(nodes);
    world.founders = 3;
    for node in 1..=3 {
        world.open(NodeId(node), KEY, TopicSettings::default());
    }
    world.until("node 1 leads", |world| world.confirmed_leader(KEY) == Some(NodeId(1)));
    world
}

fn produce_some(world: &mut World, count: usize) {
    for number in 0..count {
        let leader = world.confirmed_leader(KEY).unwrap().0;
        world.produce(leader, batch(&[&format!("v{number}")])).unwrap();
    }
}

fn arrives(world: &mut World) {
    world.until("the group consists of who is wanted", World::has_arrived);
}

fn nobody_stopped(world: &World) {
    assert_eq!(world.sum(|counters| &counters.replicas_stopped), 0);
}

fn swap_a_member() {
    let mut world = three_of(4);
    produce_some(&mut world, 20);
    world.stay(4, 1);
    world.want(&[(4, 1), (1, 0), (2, 0)]);
    arrives(&mut world);
    assert_eq!(world.voters(1), [1, 2, 4]);
    world.until("node 4 has it all", |world| world.view(4).high_watermark == Offset(20));
    assert_eq!(world.values(4), world.values(1));
    world.pass(4).unwrap();
    assert_eq!(world.counters(1).member_changes.get(), 3, "added, promoted, removed");
    // The removed one counts for nothing: two of the three remaining are a quorum, and it takes both.
    world.crash(4, UnsyncedPolicy::Drop);
    assert!(world.produce(1, batch(&["two are enough"])).is_ok());
    world.crash(2, UnsyncedPolicy::Drop);
    let mut answer = world.append(1, batch(&["one is not"]));
    world.ticks(100);
    assert!(!matches!(answer.try_recv(), Ok(Ok(_))), "the removed member still counts");
    world.drop_replica(3);
    world.restart(2);
    world.restart(4);
    world.until("a leader", |world| world.confirmed_leader(KEY).is_some());
    produce_some(&mut world, 1);
    nobody_stopped(&world);
}

#[test]
fn a_member_takes_the_place_of_another() {
    swap_a_member();
}

#[test]
fn a_leader_that_leaves_hands_over_and_is_removed_by_its_heir() {
    let mut world = three_of(4);
    produce_some(&mut world, 5);
    world.stay(4, 1);
    world.want(&[(2, 0), (3, 0), (4, 1)]);
    arrives(&mut world);
    assert_eq!(world.counters(1).leaders_leaving.get(), 1);
    let leader = world.confirmed_leader(KEY).unwrap().0;
    assert_ne!(leader, 1);
    assert_eq!(world.voters(leader), [2, 3, 4]);
    produce_some(&mut world, 5);
    nobody_stopped(&world);
}

#[test]
fn a_group_moves_to_other_nodes_altogether_while_it_is_written_to() {
    let mut world = three_of(6);
    produce_some(&mut world, 10);
    for (node, generation) in [(4, 1), (5, 2), (6, 3)] {
        world.stay(node, generation);
    }
    world.want(&[(4, 1), (5, 2), (6, 3)]);
    let mut acknowledged = 10;
    for number in 0..400 {
        if let Some(leader) = world.confirmed_leader(KEY) {
            let mut answer = world.append(leader.0, batch(&[&number.to_string()]));
            world.tick();
            acknowledged += i64::from(matches!(answer.try_recv(), Ok(Ok(_))));
        } else {
            world.tick();
        }
    }
    arrives(&mut world);
    let leader = world.confirmed_leader(KEY).unwrap().0;
    assert!((4..=6).contains(&leader));
    for node in 1..=3 {
        world.drop_replica(node);
    }
    for node in 4..=6 {
        world.until("all hold all", |world| world.view(node).high_watermark.0 >= acknowledged);
        assert_eq!(world.values(node), world.values(leader));
    }
    assert!(acknowledged > 300, "{acknowledged}: writing goes on meanwhile");
    nobody_stopped(&world);
}

#[test]
fn a_removed_replica_sends_its_readers_elsewhere() {
    let mut world = three_of(3);
    produce_some(&mut world, 3);
    world.want(&[(1, 0), (2, 0)]);
    arrives(&mut world);
    world.ticks(5);
    assert_eq!(world.voters(1), [1, 2]);
    assert_eq!(world.counters(3).members_left.get(), 1, "it heard of its removal");
    assert!(matches!(world.pass(3), Err(GateError { kind: GateErrorKind::Removed, .. })));
    world.drop_replica(3);
    assert!(matches!(world.pass(3), Err(GateError { kind: GateErrorKind::Removed, .. })));
}

#[test]
fn a_removed_replica_that_does_not_know_disturbs_nobody() {
    let mut world = three_of(4);
    world.isolate(3);
    world.stay(4, 1);
    world.want(&[(1, 0), (2, 0), (4, 1)]);
    arrives(&mut world);
    let term = world.host(1).replica(KEY).unwrap().term();
    world.ticks(200);
    world.recover();
    world.ticks(300);
    assert!(world.counters(3).campaigns.get() > 0, "it never asked");
    assert!(world.sum(|counters| &counters.votes_refused_left) > 0);
    assert_eq!(world.host(1).replica(KEY).unwrap().term(), term, "nobody was disturbed");
    assert_eq!(world.confirmed_leader(KEY), Some(NodeId(1)));
}

#[test]
fn a_new_member_far_behind_starts_from_a_snapshot_older_than_itself() {
    let mut world = World::new(4);
    world.founders = 3;
    world.log = Arc::new(LogConfig { segment_bytes: 4 * 1024, ..LogConfig::default() });
    for node in 1..=3 {
        world.open(NodeId(node), KEY, TopicSettings::default());
    }
    world.until("node 1 leads", |world| world.confirmed_leader(KEY) == Some(NodeId(1)));
    let value = "v".repeat(1_000);
    for _ in 0..40 {
        world.produce(1, batch(&[&value])).unwrap();
    }
    world.host(1).move_log_start(KEY, Offset(30)).unwrap();
    world.settle();
    world.stay(4, 1);
    world.want(&[(1, 0), (2, 0), (4, 1)]);
    arrives(&mut world);
    world.until("node 4 has it all", |world| world.view(4).high_watermark == Offset(40));
    assert!(world.counters(4).snapshots_installed.get() > 0);
    assert_eq!(world.voters(4), [1, 2, 4]);
    // It starts again from what it has, and leads.
    for _ in 0..10 {
        world.produce(1, batch(&[&value])).unwrap();
    }
    world.crash(4, UnsyncedPolicy::Drop);
    world.restart(4);
    world.until("node 4 is back", |world| world.view(4).high_watermark == Offset(50));
    assert_eq!(world.voters(4), [1, 2, 4]);
    world.host(1).transfer_leader(KEY, NodeId(4)).unwrap();
    world.until("node 4 leads", |world| world.confirmed_leader(KEY) == Some(NodeId(4)));
    nobody_stopped(&world);
}

/// Every node in turn crashes at every tick of a change that moves two of three members.
#[test]
fn a_crash_at_any_step_delays_the_change_and_loses_nothing() {
    for victim in 1..=5 {
        for at in 0..14 {
            let mut world = three_of(5);
            produce_some(&mut world, 8);
            world.stay(4, 1);
            world.stay(5, 2);
            world.want(&[(1, 0), (4, 1), (5, 2)]);
            world.ticks(at);
            world.crash(victim, UnsyncedPolicy::Drop);
            world.tell_down(victim, at % 2 == 0);
            world.ticks(at * 3);
            world.restart(victim);
            world.tell_up(victim);
            arrives(&mut world);
            produce_some(&mut world, 1);
            let leader = world.confirmed_leader(KEY).unwrap().0;
            assert_eq!(world.voters(leader), [1, 4, 5], "victim {victim} at {at}");
            for node in [1, 4, 5] {
                let what = format!("all hold all: {node}, victim {victim} at {at}");
                world.until(&what, |world| world.view(node).high_watermark == Offset(9));
                assert_eq!(world.values(node), world.values(leader));
            }
            nobody_stopped(&world);
        }
    }
}

#[test]
fn the_whole_group_dies_in_the_middle_and_goes_on() {
    for at in 0..8 {
        let mut world = three_of(4);
        produce_some(&mut world, 8);
        world.stay(4, 1);
        world.want(&[(1, 0), (2, 0), (4, 1)]);
        world.ticks(at);
        for node in 1..=4 {
            world.crash(node, UnsyncedPolicy::Drop);
        }
        for node in 1..=4 {
            world.restart(node);
        }
        arrives(&mut world);
        produce_some(&mut world, 1);
        let leader = world.confirmed_leader(KEY).unwrap().0;
        assert_eq!(world.voters(leader), [1, 2, 4]);
        assert_eq!(world.values(leader).len(), 9);
    }
}

#[test]
fn a_minority_cannot_change_the_members() {
    let mut world = three_of(4);
    world.stay(4, 1);
    world.node(1).frozen = false;
    // Node 1 is with node 4; nodes 2 and 3 are on the other side.
    for node in [1, 4] {
        for other in [2, 3] {
            world.cut(node, other);
            world.cut(other, node);
        }
    }
    world.want(&[(1, 0), (4, 1)]);
    world.ticks(300);
    assert_eq!(world.voters(1), [1, 2, 3], "nothing was committed");
    world.recover();
    arrives(&mut world);
    let leader = world.confirmed_leader(KEY).unwrap().0;
    assert_eq!(world.voters(leader), [1, 4]);
}

#[test]
fn a_change_of_mind_ends_where_it_began() {
    let mut world = three_of(4);
    produce_some(&mut world, 3);
    for ticks in 0..6 {
        world.stay(4, 10 + ticks as u32);
        world.want(&[(1, 0), (2, 0), (4, 10 + ticks as u32)]);
        world.ticks(ticks);
        world.want(&[(1, 0), (2, 0), (3, 0)]);
        arrives(&mut world);
        world.drop_replica(4);
        let leader = world.confirmed_leader(KEY).unwrap().0;
        assert_eq!(world.voters(leader), [1, 2, 3]);
        produce_some(&mut world, 1);
    }
    world.until("node 3 has it all", |world| world.view(3).high_watermark == Offset(9));
    nobody_stopped(&world);
}

#[test]
fn a_sleeping_group_wakes_for_a_change_and_sleeps_again() {
    let mut world = three_of(4);
    produce_some(&mut world, 3);
    let asleep = |world: &mut World| (1..=2).all(|node| world.host(node).replica(KEY).unwrap().is_asleep());
    world.ticks(200);
    assert!(asleep(&mut world));
    world.stay(4, 1);
    world.want(&[(1, 0), (2, 0), (4, 1)]);
    arrives(&mut world);
    world.drop_replica(3);
    world.ticks(200);
    assert!(asleep(&mut world) && world.host(4).replica(KEY).unwrap().is_asleep());
    produce_some(&mut world, 1);
}

#[test]
fn the_in_sync_set_follows_the_members() {
    let mut world = three_of(4);
    produce_some(&mut world, 3);
    world.stay(4, 1);
    world.want(&[(1, 0), (2, 0), (4, 1)]);
    arrives(&mut world);
    let nodes = |world: &World| world.view(1).in_sync.iter().map(|node| node.0).collect::<Vec<_>>();
    assert_eq!(nodes(&world), [1, 2, 4]);
    world.host(1).set_settings(KEY, TopicSettings { min_insync_replicas: 3, ..TopicSettings::default() });
    assert!(world.produce(1, batch(&["held by three"])).is_ok());
}

/// A lost disk gets its vote back as a new member; then one more node may die.
#[test]
fn a_lost_disk_is_admitted_again_and_then_another_node_may_die() {
    let mut world = three_of(3);
    produce_some(&mut world, 20);
    world.restart_wiped(3, Standing::Learner);
    world.until("it follows without a vote", |world| world.view(3).high_watermark == Offset(20));
    world.stay(3, 1);
    world.want(&[(1, 0), (2, 0), (3, 1)]);
    arrives(&mut world);
    produce_some(&mut world, 1);
    world.crash(1, UnsyncedPolicy::Drop);
    world.until("a leader without node 1", |world| {
        world.confirmed_leader(KEY).is_some_and(|node| node.0 != 1)
    });
    produce_some(&mut world, 1);
    world.until("node 3 has it all", |world| world.view(3).high_watermark == Offset(22));
    assert_eq!(world.values(3).len(), 22);
    nobody_stopped(&world);
}

/// The metadata group's way: the replica stays where it is and becomes the member that its disk is.
#[test]
fn a_stand_in_becomes_the_member_that_its_group_calls() {
    let mut world = three_of(3);
    produce_some(&mut world, 20);
    world.node(3).keys.remove(&KEY);
    world.restart_wiped(3, Standing::Learner);
    let spec = ReplicaSpec { successor: Some(77), ..world.spec(KEY, TopicSettings::default()) };
    world.host(3).create_replica(spec).unwrap();
    world.until("it follows without a vote", |world| world.view(3).high_watermark == Offset(20));
    assert_eq!(world.host(3).replica(KEY).unwrap().member().generation, 0);
    world.want(&[(1, 0), (2, 0), (3, 77)]);
    arrives(&mut world);
    assert_eq!(world.host(3).replica(KEY).unwrap().member().generation, 77);
    produce_some(&mut world, 1);
    // It knows who it is when it starts again, and leads when it has to.
    for _ in 0..2 {
        world.crash(3, UnsyncedPolicy::Drop);
        world.restart(3);
        let spec = ReplicaSpec { successor: Some(77), ..world.spec(KEY, TopicSettings::default()) };
        world.host(3).create_replica(spec).unwrap();
        world.until("it is back", |world| world.view(3).high_watermark == Offset(21));
    }
    world.crash(1, UnsyncedPolicy::Drop);
    world.until("a leader without node 1", |world| {
        world.confirmed_leader(KEY).is_some_and(|node| node.0 != 1)
    });
    produce_some(&mut world, 1);
    nobody_stopped(&world);
}

#[test]
fn what_was_meant_for_an_earlier_member_reaches_no_other() {
    let mut world = three_of(3);
    // An acknowledgement of the member that node 3 was is under way for ever.
    world.hold = Some(Box::new(|flight| {
        let is_ack = matches!(&flight.message, ReplicaMessage::Raft(message)
            if message.get_msg_type() == MessageType::MsgAppendResponse);
        flight.from == NodeId(3) && is_ack
    }));
    produce_some(&mut world, 5);
    world.want(&[(1, 0), (2, 0)]);
    arrives(&mut world);
    world.stay(3, 1);
    world.want(&[(1, 0), (2, 0), (3, 1)]);
    world.ticks(3);
    let late = std::mem::take(&mut world.held);
    assert!(!late.is_empty());
    world.hold = None;
    for flight in late {
        world.deliver(flight);
    }
    arrives(&mut world);
    world.until("node 3 has it all", |world| world.view(3).high_watermark == Offset(5));
    assert_eq!(world.values(3), world.values(1));
    nobody_stopped(&world);
}

#[test]
fn only_so_many_groups_catch_up_at_a_time() {
    let mut world = World::new(2);
    world.founders = 1;
    let groups = limits::CATCHING_UP_MAX as i32 + 3;
    for number in 0..groups {
        world.open(NodeId(1), key(number), TopicSettings::default());
    }
    world.settle();
    // Node 2 has no replicas yet: nobody catches up.
    let wanted = |members: &[(i32, u32)]| {
        let wish = |(node, generation): &(i32, u32)| WantedMember {
            id: MemberId { node: NodeId(*node), generation: *generation },
            votes: true,
        };
        members.iter().map(wish).collect::<Vec<_>>()
    };
    for number in 0..groups {
        world.host(1).want_members(key(number), wanted(&[(1, 0), (2, 1)]));
    }
    world.ticks(20);
    let joining = |world: &mut World| {
        (0..groups)
            .filter(|number| !world.host(1).replica(key(*number)).unwrap().membership().joining.is_empty())
            .count()
    };
    assert_eq!(joining(&mut world), limits::CATCHING_UP_MAX);
    for number in 0..groups {
        let spec = ReplicaSpec {
            generation: 1,
            standing: Some(Standing::Voter),
            ..world.spec(key(number), TopicSettings::default())
        };
        world.host(2).create_replica(spec).unwrap();
    }
    world.ticks(100);
    for number in 0..groups {
        assert!(world.host(1).replica(key(number)).unwrap().is_settled_as_wanted(), "group {number}");
    }
}

#[cfg(feature = "mutants")]
mod planted {
    use super::*;
    use chronik_mutants::Mutant;

    /// A new member that holds nothing is no help for an acknowledgement.
    fn a_new_member_is_no_quorum() {
        let mut world = three_of(4);
        produce_some(&mut world, 5);
        world.crash(2, UnsyncedPolicy::Drop);
        // Its appends never arrive, so it never gets a vote; whoever leads.
        world.isolate(4);
        world.stay(4, 1);
        world.want(&[(1, 0), (2, 0), (3, 0), (4, 1)]);
        world.ticks(10);
        let membership = world.host(1).replica(KEY).unwrap().membership();
        assert_eq!(membership.joining.len() + membership.voters.len(), 4, "{membership:?}");
        assert!(world.produce(1, batch(&["two of three"])).is_ok(), "the joining member counts");
    }

    /// Of two members that are left one is no quorum, whatever the removed third one says.
    fn a_removed_member_is_no_help() {
        let mut world = three_of(3);
        produce_some(&mut world, 5);
        world.want(&[(1, 0), (2, 0)]);
        arrives(&mut world);
        world.crash(2, UnsyncedPolicy::Drop);
        let mut answer = world.append(1, batch(&["one is not enough"]));
        world.ticks(100);
        assert!(!matches!(answer.try_recv(), Ok(Ok(_))), "the removed member counts");
    }

    /// A leader on its own changes nothing: nobody has agreed.
    fn nothing_changes_before_it_is_committed() {
        let mut world = three_of(4);
        world.stay(4, 1);
        world.isolate(1);
        world.no_ticks.extend(world.ids());
        world.want(&[(1, 0), (2, 0), (3, 0), (4, 1)]);
        let membership = world.host(1).replica(KEY).unwrap().membership();
        assert!(membership.joining.is_empty(), "the leader believes in what nobody agreed on");
    }

    #[test]
    fn the_scenarios_above_kill_their_bugs() {
        killed(Mutant::RemovedKeepsVote, a_removed_member_is_no_help);
        killed(Mutant::JoiningCounts, a_new_member_is_no_quorum);
        killed(Mutant::MembersBeforeCommit, nothing_changes_before_it_is_committed);
        killed(Mutant::MembersForgotten, a_crash_at_any_step_delays_the_change_and_loses_nothing);
    }
}
