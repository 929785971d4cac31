//! The read gate over whole groups: read your writes at every replica, never a stale pass, always an answer.
#![allow(clippy::unwrap_used, reason = "test code")]

mod harness;

use chronik_replica::*;
use chronik_wire::types::{NodeId, Offset};
use harness::*;
use raft::eraftpb::MessageType;

fn world(gate: GateMode) -> World {
    let mut world = World::with(3, |config| HostConfig { faults: Faults { gate }, ..config });
    world.create_all(KEY, TopicSettings::default());
    world
}

fn kind(flight: &Flight) -> Option<MessageType> {
    match &flight.message {
        ReplicaMessage::Raft(message) => Some(message.get_msg_type()),
        _ => None,
    }
}

/// An acknowledged record that node 3 did not get yet; the end it shows behind its gate.
fn end_shown_by_a_lagging_follower(gate: GateMode) -> (Offset, u64) {
    let mut world = world(gate);
    world.hold =
        Some(Box::new(|flight| flight.to == NodeId(3) && kind(flight) == Some(MessageType::MsgAppend)));
    world.produce(1, batch(&["v1"])).unwrap();
    let mut gate = world.enter(3);
    world.settle();
    let passed = gate.try_recv().unwrap_or_else(|_| {
        world.release();
        gate.try_recv().unwrap()
    });
    passed.unwrap();
    (world.view(3).high_watermark, world.counters(3).read_gate_rounds.get())
}

#[test]
fn a_lagging_follower_shows_the_acknowledged_end_only_because_of_the_gate() {
    assert_eq!(end_shown_by_a_lagging_follower(GateMode::On), (Offset(1), 1));
    assert_eq!(end_shown_by_a_lagging_follower(GateMode::Off), (Offset(0), 0), "stale without the gate");
}

/// A leader is cut off and another one acknowledges a record. Whether the old one lets a reader pass.
fn deposed_leader_lets_a_reader_pass(gate: GateMode) -> bool {
    let mut world = world(gate);
    world.produce(1, batch(&["v1"])).unwrap();
    world.isolate(1);
    world.no_ticks.insert(NodeId(1));
    world.until("another leader", |world| world.confirmed_leader(KEY) != Some(NodeId(1)));
    let leader = world.confirmed_leader(KEY).unwrap();
    world.produce(leader.0, batch(&["v2"])).unwrap();
    assert_eq!(world.view(1).role, Role::Leader, "it still believes that it leads");
    let mut gate = world.enter_until(1, LATE);
    world.ticks(20);
    world.no_ticks.clear();
    let passed = world.wait(&mut gate).is_ok();
    assert_eq!(world.view(1).high_watermark, Offset(1));
    passed
}

#[test]
fn a_deposed_leader_never_passes_the_gate() {
    assert!(!deposed_leader_lets_a_reader_pass(GateMode::On));
    assert!(deposed_leader_lets_a_reader_pass(GateMode::Off), "stale without the gate");
}

#[test]
fn the_directed_stale_read_does_not_occur() {
    let mut world = World::elected();
    world.produce(1, batch(&["v1"])).unwrap();
    // A read at the leader; its heartbeat to node 3 is repeated by the periodic one, so node 3 answers twice.
    world.cut(1, 2);
    world.hold = Some(Box::new(|flight| {
        flight.from == NodeId(3) && kind(flight) == Some(MessageType::MsgHeartbeatResponse)
    }));
    let mut first = world.enter(1);
    world.settle();
    world.ticks(3);
    let mut kept: Vec<Flight> = std::mem::take(&mut world.held);
    world.hold = None;
    let context = |flight: &Flight| match &flight.message {
        ReplicaMessage::Raft(message) => message.context.clone(),
        _ => bytes::Bytes::new(),
    };
    kept.retain(|flight| !context(flight).is_empty());
    assert!(kept.len() >= 2, "two answers to one context");
    assert_eq!(context(&kept[0]), context(&kept[1]));
    world.deliver(kept[0].clone());
    world.settle();
    assert!(first.try_recv().unwrap().is_ok(), "answered rightly by the first");

    world.isolate(1);
    world.no_ticks.insert(NodeId(1));
    world.until("another leader", |world| world.confirmed_leader(KEY) != Some(NodeId(1)));
    let leader = world.confirmed_leader(KEY).unwrap();
    world.produce(leader.0, batch(&["v2"])).unwrap();

    // A new reader at the deposed leader, lost rounds and their retries; then the kept answer arrives.
    let mut reader = world.enter(1);
    world.settle();
    for round in 0..3 {
        world.now_ms += 1_000;
        let now_ms = world.now_ms;
        world.host(1).on_tick(now_ms);
        world.settle();
        world.deliver(kept[1].clone());
        world.settle();
        if !is_open(&mut reader) {
            panic!("stale read in round {round}");
        }
    }
    assert!(world.counters(1).read_gate_retries.get() >= 1, "the reader's rounds were sent again");
    world.no_ticks.clear();
    let refused = world.wait(&mut reader).unwrap_err();
    assert!(matches!(refused.kind, GateErrorKind::NoLeader | GateErrorKind::Behind));
}

#[test]
fn a_thousand_readers_cost_two_rounds() {
    for node in 1..=3 {
        let mut world = World::elected();
        world.produce(1, batch(&["v1"])).unwrap();
        let before = world.counters(node).read_gate_rounds.get();
        let mut gates: Vec<GateReceiver> = (0..500).map(|_| world.enter(node)).collect();
        world.turn(NodeId(node));
        gates.extend((0..500).map(|_| world.enter(node)));
        world.settle();
        for gate in &mut gates {
            assert!(gate.try_recv().unwrap().is_ok());
        }
        let rounds = world.counters(node).read_gate_rounds.get() - before;
        assert!((1..=2).contains(&rounds), "{rounds} rounds at node {node}");
        assert_eq!(world.counters(node).read_gate_waits.get(), 1_000);
    }
}

#[test]
fn readers_of_all_nodes_in_one_turn_share_one_context_at_the_leader() {
    let mut world = World::elected();
    let mut gates: Vec<GateReceiver> = (1..=3).map(|node| world.enter(node)).collect();
    world.turn(NodeId(2));
    world.turn(NodeId(3));
    world.settle();
    for gate in &mut gates {
        assert!(gate.try_recv().unwrap().is_ok());
    }
    assert!(world.counters(1).read_index_calls.get() <= 2);
    assert_eq!(world.counters(1).barriers_served.get(), 2);
}

#[test]
fn without_a_leader_the_refusal_comes_at_the_deadline() {
    let mut world = World::elected();
    for node in 1..=3 {
        world.isolate(node);
    }
    world.until("nobody leads", |world| (1..=3).all(|node| world.view(node).leader.is_none()));
    let deadline_ms = world.now_ms + 300;
    let mut gate = world.enter_until(2, deadline_ms);
    assert_eq!(world.wait(&mut gate), Err(GateError { kind: GateErrorKind::NoLeader, leader: None }),);
    assert_eq!(world.now_ms, deadline_ms);
    assert_eq!(world.counters(2).read_gate_timeouts.get(), 1);
    // And the cap holds for a request without a deadline of its own.
    let entered_ms = world.now_ms;
    world.pass(3).unwrap_err();
    assert_eq!(world.now_ms - entered_ms, 5_000);
}

#[test]
fn a_reader_waits_for_the_leader_to_commit_in_its_own_term() {
    let mut world = World::elected();
    world.produce(1, batch(&["v1"])).unwrap();
    world.cut(3, 1);
    world.cut(1, 3);
    world.cut(3, 2);
    // Node 2 wins by the vote of node 1, but its no-op is held back.
    world.hold =
        Some(Box::new(|flight| flight.from == NodeId(2) && kind(flight) == Some(MessageType::MsgAppend)));
    world.host(1).transfer_leader(KEY, NodeId(2)).unwrap();
    world.until("node 2 leads", |world| world.view(2).role == Role::Leader);
    assert!(!world.view(2).confirmed);
    let mut at_leader = world.enter(2);
    let mut at_follower = world.enter(1);
    world.ticks(2);
    assert!(is_open(&mut at_leader) && is_open(&mut at_follower));
    world.release();
    let passed = world.wait(&mut at_leader).unwrap();
    assert!(passed.index >= Index(3), "its own no-op is among what it must show: {passed:?}");
    world.wait(&mut at_follower).unwrap();
    assert!(world.view(2).confirmed);
}

#[test]
fn a_leader_that_never_commits_refuses_and_the_reader_is_told() {
    let mut world = World::elected();
    world.hold =
        Some(Box::new(|flight| flight.from == NodeId(2) && kind(flight) == Some(MessageType::MsgAppend)));
    world.host(1).transfer_leader(KEY, NodeId(2)).unwrap();
    world.until("node 2 leads", |world| world.view(2).role == Role::Leader);
    world.until("its heartbeats are heard", |world| world.view(1).leader == Some(NodeId(2)));
    let deadline_ms = world.now_ms + 400;
    let mut gate = world.enter_until(1, deadline_ms);
    let refused = world.wait(&mut gate).unwrap_err();
    assert_eq!(refused, GateError { kind: GateErrorKind::Behind, leader: Some(NodeId(2)) });
    assert!(world.counters(2).barriers_parked.get() >= 1, "the leader held the request");
    assert!(world.counters(2).barriers_refused.get() >= 1, "and refused it in time");
}

#[test]
fn a_change_of_leader_moves_readers_to_a_new_round_at_once() {
    let mut world = World::elected();
    // The answer of the first leader is lost; a transfer follows.
    world.hold = Some(Box::new(|flight| matches!(flight.message, ReplicaMessage::ReadBarrierReply { .. })));
    let mut gate = world.enter(3);
    world.settle();
    assert!(is_open(&mut gate));
    let stale_answers = std::mem::take(&mut world.held);
    world.hold = None;
    world.host(1).transfer_leader(KEY, NodeId(2)).unwrap();
    world.settle();
    assert!(gate.try_recv().unwrap().is_ok(), "no tick passed");
    assert_eq!(world.counters(3).read_gate_rounds.get(), 2);
    assert_eq!(world.counters(3).read_gate_retries.get(), 1);
    for answer in stale_answers {
        world.deliver(answer);
    }
    assert_eq!(world.counters(3).barrier_answers_ignored.get(), 1);
}

#[test]
fn readers_at_a_leader_that_loses_its_role_end_well() {
    let mut world = World::elected();
    world.hold = Some(Box::new(|flight| kind(flight) == Some(MessageType::MsgHeartbeatResponse)));
    let mut gate = world.enter(1);
    world.settle();
    assert!(is_open(&mut gate));
    world.hold = None;
    world.host(1).transfer_leader(KEY, NodeId(3)).unwrap();
    world.settle();
    let kept = std::mem::take(&mut world.held);
    for response in kept {
        world.deliver(response);
    }
    world.settle();
    assert!(world.wait(&mut gate).is_ok());
    assert_eq!(world.confirmed_leader(KEY), Some(NodeId(3)));
    assert_eq!(world.counters(1).reads_at_deposed_leader.get(), 1);
    assert_eq!(world.counters(1).leader_transfers.get(), 1);
}

#[test]
fn a_lost_message_of_any_kind_only_costs_time() {
    type Loses = fn(&Flight) -> bool;
    let cases: [(&str, Loses); 4] = [
        ("request", |flight| matches!(flight.message, ReplicaMessage::ReadBarrier { .. })),
        ("reply", |flight| matches!(flight.message, ReplicaMessage::ReadBarrierReply { .. })),
        ("heartbeat", |flight| kind(flight) == Some(MessageType::MsgHeartbeat)),
        ("response", |flight| kind(flight) == Some(MessageType::MsgHeartbeatResponse)),
    ];
    for (what, loses) in cases {
        for node in [1, 3] {
            let mut world = World::elected();
            world.hold = Some(Box::new(loses));
            let mut gate = world.enter(node);
            world.settle();
            world.held.clear();
            world.hold = None;
            let begun_ms = world.now_ms;
            assert!(world.wait(&mut gate).is_ok(), "{what} lost, node {node}");
            let took_ms = world.now_ms - begun_ms;
            assert!(took_ms <= 150, "{what} lost, node {node}: {took_ms} ms");
        }
    }
}

#[test]
fn duplicated_messages_are_harmless() {
    let mut world = World::elected();
    world.duplicate_percent = 100;
    for value in 0..20 {
        world.produce(1, batch(&[&value.to_string()])).unwrap();
        for node in 1..=3 {
            world.pass(node).unwrap();
            assert_eq!(world.view(node).high_watermark, Offset(value + 1));
        }
    }
    assert!(world.sum(|counters| &counters.barrier_answers_ignored) >= 20);
}

/// A round of node 3 is answered, and the answer is under way while another record is acknowledged.
fn with_an_answer_under_way() -> (World, GateReceiver) {
    let mut world = World::elected();
    world.produce(1, batch(&["v1"])).unwrap();
    world.ticks(1);
    world.hold = Some(Box::new(|flight| {
        flight.to == NodeId(3)
            && (kind(flight) == Some(MessageType::MsgAppend)
                || matches!(flight.message, ReplicaMessage::ReadBarrierReply { .. }))
    }));
    let early = world.enter(3);
    world.settle();
    world.produce(1, batch(&["v2"])).unwrap();
    (world, early)
}

fn take_answer(world: &mut World) -> Flight {
    let is_answer = |flight: &Flight| matches!(flight.message, ReplicaMessage::ReadBarrierReply { .. });
    let at = world.held.iter().position(is_answer).unwrap();
    world.held.remove(at)
}

#[test]
fn a_reader_that_comes_during_a_round_is_not_let_in_by_it() {
    let (mut world, mut early) = with_an_answer_under_way();
    let mut late = world.enter(3);
    world.settle();
    let answer = take_answer(&mut world);
    world.deliver(answer);
    world.settle();
    assert!(early.try_recv().unwrap().is_ok(), "nothing but the first record was there when it came");
    assert!(is_open(&mut late), "it came after the second one was acknowledged");
    world.release();
    assert!(world.wait(&mut late).is_ok());
    assert_eq!(world.view(3).high_watermark, Offset(2));
}

#[test]
fn an_answer_to_a_lost_round_lets_nobody_in() {
    let (mut world, _early) = with_an_answer_under_way();
    let answer = take_answer(&mut world);
    let mut late = world.enter(3);
    world.until("a second round", |world| world.counters(3).read_gate_rounds.get() > 1);
    assert!(is_open(&mut late));
    world.deliver(answer);
    world.settle();
    assert!(is_open(&mut late), "its round is another one");
    world.release();
    assert!(world.wait(&mut late).is_ok());
}

#[test]
fn the_gate_and_the_desk_are_bounded() {
    let mut world = World::elected();
    world.isolate(2);
    let mut gates: Vec<GateReceiver> = (0..limits::GATE_WAITERS_MAX).map(|_| world.enter(2)).collect();
    let refused = world.enter(2).try_recv().unwrap().unwrap_err();
    assert_eq!(refused.kind, GateErrorKind::Behind);
    world.settle();
    assert!(is_open(&mut gates[0]));
    // A flood of requests at a leader without an own-term commit is refused beyond the bound.
    let flood = limits::BARRIERS_HELD_MAX as u64 + 10;
    world.hold = Some(Box::new(|flight| kind(flight).is_some()));
    for request_id in 0..flood {
        let request = ReplicaMessage::ReadBarrier { request_id, wait_ms: 100 };
        world.host(1).on_message(NodeId(3), KEY, request);
    }
    assert_eq!(world.counters(1).barriers_refused.get(), 10);
    world.settle();
    world.held.clear();
    world.ticks(10);
    assert_eq!(world.counters(1).barriers_refused.get(), flood, "none was dropped in silence");
}

/// One random run: faults, writes, and readers at every node. Returns stale passes and passes in all.
fn chaos(seed: u64, gate: GateMode) -> (u64, u64) {
    let mut world = world(gate);
    world.seed(seed);
    let (mut acked, mut stale, mut passes) = (0, 0, 0);
    let mut writes: Vec<AppendReceiver> = Vec::new();
    let mut reads: Vec<(i32, i64, GateReceiver)> = Vec::new();
    for step in 0..600 {
        if step % 40 == 0 {
            world.drop_percent = [0, 0, 10, 30][world.random(4) as usize];
            world.delay_percent = [0, 10, 40][world.random(3) as usize];
            world.duplicate_percent = [0, 20][world.random(2) as usize];
            world.recover();
            world.no_ticks.clear();
            let leader = world.confirmed_leader(KEY).map_or(1, |node| node.0);
            let victim = if world.random(2) == 0 { leader } else { 1 + world.random(3) as i32 };
            match world.random(4) {
                0 => world.isolate(victim),
                1 => world.cut(victim, 1 + victim % 3),
                2 => {
                    world.isolate(victim);
                    world.no_ticks.insert(NodeId(victim));
                }
                _ => {}
            }
        }
        for node in 1..=3 {
            let deadline_ms = world.now_ms + 300;
            if world.view(node).role == Role::Leader {
                writes.extend(world.try_append(node, batch(&[&step.to_string()]), deadline_ms));
            }
            let gate = world.enter_until(node, deadline_ms);
            reads.push((node, acked, gate));
        }
        world.tick();
        writes.retain_mut(|write| match write.try_recv() {
            Ok(Ok(appended)) => {
                acked = acked.max(appended.base_offset.0 + 1);
                false
            }
            Ok(Err(_)) => false,
            Err(_) => true,
        });
        let mut open = Vec::new();
        for (node, floor, mut gate) in reads {
            match gate.try_recv() {
                Ok(Ok(_)) => {
                    passes += 1;
                    stale += u64::from(world.view(node).high_watermark.0 < floor);
                }
                Ok(Err(_)) => {}
                Err(_) => open.push((node, floor, gate)),
            }
        }
        reads = open;
    }
    assert!(acked > 0, "seed {seed} wrote nothing");
    (stale, passes)
}

#[test]
fn random_faults_never_release_a_stale_read() {
    for seed in 1..=12 {
        let (stale, passes) = chaos(seed, GateMode::On);
        assert_eq!(stale, 0, "seed {seed}");
        assert!(passes > 300, "seed {seed} passed only {passes} readers");
    }
    let stale: u64 = (1..=4).map(|seed| chaos(seed, GateMode::Off).0).sum();
    assert!(stale > 0, "without the gate the same runs show stale reads");
}

/// With its bug planted each of these scenarios fails.
#[cfg(feature = "mutants")]
#[test]
fn the_scenarios_above_kill_their_bugs() {
    use chronik_mutants::Mutant;

    killed(Mutant::FollowerUngated, a_lagging_follower_shows_the_acknowledged_end_only_because_of_the_gate);
    killed(Mutant::ApplyNotAwaited, a_lagging_follower_shows_the_acknowledged_end_only_because_of_the_gate);
    killed(Mutant::LeaderUngated, a_deposed_leader_never_passes_the_gate);
    killed(Mutant::LeaseReads, a_deposed_leader_never_passes_the_gate);
    killed(Mutant::ContextReused, the_directed_stale_read_does_not_occur);
    killed(Mutant::OwnTermNotAwaited, a_reader_waits_for_the_leader_to_commit_in_its_own_term);
    killed(Mutant::RoundInFlightJoined, a_reader_that_comes_during_a_round_is_not_let_in_by_it);
    killed(Mutant::AnswerToAnyRound, an_answer_to_a_lost_round_lets_nobody_in);
}
