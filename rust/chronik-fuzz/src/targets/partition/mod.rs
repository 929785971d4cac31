//! One partition on three nodes under a sequence of operations, against a model of what its clients know.
//!
//! The operations: produce, with and without sequence numbers, in transactions and to end them, repeat, move the log
//! start, hand leadership over, read through the gate; cut, crash with unsynced bytes lost or torn, restart, lose and double messages, hold back syncs.
//! At the end all is healed, and everything pending must finish. The simulator does the same to whole clusters and for
//! longer; here a coverage-guided search looks for the odd short sequence.

mod cluster;
mod model;
mod transactions;

use chronik_log::UnsyncedPolicy;
use chronik_replica::Faults;

use self::cluster::Cluster;
use self::model::Model;
use crate::Verdict;
use crate::input::Input;

/// Most operations of one input.
const OPERATIONS_MAX: usize = 80;
const NODES: usize = 3;
const PRODUCERS: usize = 3;
/// These bits of an operation make it one of transactions.
const TRANSACTIONAL: u8 = 0x30;
/// Simulated milliseconds until the healed partition must have finished everything.
const PATIENCE_MS: u64 = 20_000;

/// The input is a sequence of operations, each a byte and its operands.
pub fn run(data: &[u8]) -> Verdict {
    run_with(Faults::default(), data)
}

fn run_with(planted: Faults, data: &[u8]) -> Verdict {
    let mut input = Input::new(data);
    let mut cluster = Cluster::new(NODES, 300 + 4 * u64::from(input.byte()), planted);
    let mut model = Model::default();
    for _ in 0..OPERATIONS_MAX {
        if input.is_empty() {
            break;
        }
        operate(&mut input, &mut cluster, &mut model);
        collect(&mut cluster, &mut model);
    }
    finish(&mut cluster, &mut model);
    Verdict::accepted(model.acknowledged() > 0)
}

fn operate(input: &mut Input<'_>, cluster: &mut Cluster, model: &mut Model) {
    let operation = input.byte();
    let node = usize::from(operation >> 6) % NODES;
    if operation & TRANSACTIONAL == TRANSACTIONAL {
        return operate_transaction(operation, input, cluster, model);
    }
    match operation % 16 {
        0 => {
            let count = 1 + input.below(3);
            cluster.produce(node, model.send(None, count));
        }
        1 => {
            let (producer, count) = (input.below(PRODUCERS), 1 + input.below(3));
            cluster.produce(node, model.send(Some(producer), count));
        }
        2 => {
            if let Some(batch) = model.repeat(input.below(4)) {
                cluster.produce(node, batch);
            }
        }
        3 => {
            let leader = cluster.leader().unwrap_or(node);
            cluster.produce(leader, model.send(Some(0), 1));
        }
        4 => cluster.step(input.below(16)),
        5 => cluster.settle(),
        6 | 7 => cluster.ticks(1 + input.below(40)),
        8 => {
            let policy = match input.below(3) {
                0 => UnsyncedPolicy::Drop,
                1 => UnsyncedPolicy::Keep,
                _ => UnsyncedPolicy::Torn { seed: input.u64() },
            };
            cluster.crash(node, policy);
        }
        9 => cluster.restart(node),
        10 => cluster.isolate(node),
        11 => cluster.recover(),
        12 => cluster.lose_messages(),
        13 => cluster.double_messages(),
        14 => match input.below(3) {
            0 => cluster.hold_syncs(node),
            1 => cluster.move_log_start(node, input.byte()),
            _ => cluster.transfer_leader(node, input.below(NODES)),
        },
        _ => cluster.read(node, model.knowledge()),
    }
}

/// Writes in a producer's transaction, or has it ended; at the leader, or anywhere.
fn operate_transaction(operation: u8, input: &mut Input<'_>, cluster: &mut Cluster, model: &mut Model) {
    let (operands, anywhere) = (input.byte(), usize::from(operation >> 6) % NODES);
    let producer = usize::from(operands) % PRODUCERS;
    let node = cluster.leader().filter(|_| operands < 200).unwrap_or(anywhere);
    match operation % 4 {
        0 | 1 => {
            if let Some(batch) = model.send_in_transaction(producer, 1 + usize::from(operands / 64)) {
                cluster.produce(node, batch);
            }
        }
        2 => cluster.end(node, model.transactions.end(producer, operands & 4 == 0)),
        _ => {
            if let Some(end) = model.transactions.repeat(producer) {
                cluster.end(node, end);
            }
        }
    }
}

/// Hands the model what clients have been told.
fn collect(cluster: &mut Cluster, model: &mut Model) {
    for (number, outcome) in cluster.take_answers() {
        model.learn(number, outcome);
    }
    for (end, outcome) in cluster.take_ends() {
        model.transactions.learn(end, outcome);
    }
    for read in cluster.take_reads() {
        model.see(&read);
    }
}

/// Heals everything: each answer must come, each replica must hold the same, and all of it must fit what clients know.
fn finish(cluster: &mut Cluster, model: &mut Model) {
    cluster.heal();
    let give_up_ms = cluster.now_ms() + PATIENCE_MS;
    while !cluster.is_done() {
        assert!(cluster.now_ms() < give_up_ms, "healed, and still not done: {}", cluster.describe());
        cluster.ticks(1);
        collect(cluster, model);
    }
    takes_a_batch(cluster, model, give_up_ms);
    ends_transactions(cluster, model, give_up_ms);
    cluster.ticks(40);
    let contents: Vec<_> = (0..NODES).map(|node| cluster.content(node)).collect();
    assert!(contents.iter().all(|content| *content == contents[0]), "replicas differ: {contents:?}");
    model.check(&contents[0]);
    for node in 0..NODES {
        let read = cluster.view(node, model.knowledge());
        assert_eq!(read.stable, read.end, "a transaction stays open at node {node}");
        model.see(&read);
        model.check_committed(&read);
    }
}

/// Every transaction is ended: aborted, unless a commit was decided before.
fn ends_transactions(cluster: &mut Cluster, model: &mut Model, give_up_ms: u64) {
    for producer in 0..PRODUCERS {
        let mut end = model.transactions.end(producer, false);
        while !model.transactions.has_ended(end) {
            if let Some(leader) = cluster.leader() {
                cluster.end(leader, end);
            }
            cluster.ticks(1);
            collect(cluster, model);
            assert!(cluster.now_ms() < give_up_ms, "healed, and ends nothing: {}", cluster.describe());
            end = model.transactions.repeat(producer).unwrap_or(end);
        }
    }
}

/// A partition that has healed takes new batches, once a transfer of leadership has been decided or given up.
fn takes_a_batch(cluster: &mut Cluster, model: &mut Model, give_up_ms: u64) {
    loop {
        if let Some(leader) = cluster.leader() {
            let batch = model.send(None, 1);
            cluster.produce(leader, batch);
            cluster.ticks(1);
            collect(cluster, model);
            if model.is_acknowledged(batch.number) {
                return;
            }
        }
        assert!(cluster.now_ms() < give_up_ms, "healed, and takes no batch: {}", cluster.describe());
        cluster.ticks(4);
    }
}

/// A quiet run, and runs with each of the faults.
pub fn seeds() -> Vec<Vec<u8>> {
    const SETTLE: u8 = 5;
    const WRITE: u8 = TRANSACTIONAL;
    const END: u8 = TRANSACTIONAL + 2;
    const REPEAT: u8 = TRANSACTIONAL + 3;
    let produce = [3, 1, 0, 1, 0, 0, SETTLE, 3, SETTLE];
    let begin = [&[0, 6, 20][..], &produce].concat();
    let with = |middle: &[u8]| [&begin[..], middle, &[6, 39], &produce, &[15, 15 + 64, 15 + 128]].concat();
    vec![
        with(&[]),
        with(&[3, 4, 2, 10, 6, 39, 3, 11]),
        with(&[8, 0, 6, 39, 3, SETTLE, 9, 6, 39]),
        with(&[3, 4, 5, 8, 2, 1, 2, 3, 4, 5, 6, 7, 8, 8 + 64, 0, 8 + 128, 0, 9, 9 + 64, 9 + 128, 6, 39]),
        with(&[14, 0, 3, 4, 9, 2, 0, 13, SETTLE, 14, 0]),
        with(&[14, 1, 200, SETTLE, 14, 2, 1, 6, 39]),
        with(&[10 + 64, 3, 3, 3, 3, 3, 3, SETTLE, 14, 1, 255, SETTLE, 11, 6, 39, 12]),
        with(&[WRITE, 0, WRITE, 1, SETTLE, END, 0, END, 4 + 1, SETTLE, WRITE, 0, SETTLE, REPEAT, 0, 15 + 64]),
        with(&[WRITE, 0, END, 4, SETTLE, WRITE, 1, SETTLE, 10, 6, 39, END, 1, WRITE, 0, 11, 6, 39, 15]),
        with(&[WRITE, 0, END, 4, SETTLE, 8, 0, 8 + 64, 0, 8 + 128, 0, 9, 9 + 64, 9 + 128, 6, 39, END, 0]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use chronik_replica::GateMode;
    use std::panic::catch_unwind;

    /// What the target is worth: without the read gate a follower that is cut off shows an old end.
    #[test]
    fn a_partition_without_its_gate_is_caught() {
        const THIRD: u8 = 2 << 6;
        let (ticks, produce, settle, isolate, read) = (6, 3, 5, 10, 15);
        let cut_off =
            [0, ticks, 20, produce, settle, isolate + THIRD, produce, settle, read + THIRD, ticks, 39];
        assert_eq!(run(&cut_off), Verdict::Accepted);
        let off = Faults { gate: GateMode::Off };
        assert!(catch_unwind(|| run_with(off, &cut_off)).is_err(), "a stale read was not noticed");
    }

    /// The path of transactions is taken, and a reader of committed records is told apart from others.
    #[test]
    fn transactions_are_written_committed_and_aborted() {
        let mut cluster = Cluster::new(NODES, 2_000, Faults::default());
        let mut model = Model::default();
        cluster.ticks(30);
        let leader = cluster.leader().expect("a quiet partition has a leader");
        let mut records = 0;
        for (producer, commit) in [(0, true), (1, false), (2, true)] {
            let batch = model.send_in_transaction(producer, 2).expect("no end is under way");
            cluster.produce(leader, batch);
            cluster.settle();
            collect(&mut cluster, &mut model);
            assert_eq!(cluster.view(1, model.knowledge()).committed.len(), records, "it is open");
            let end = model.transactions.end(producer, commit);
            cluster.end(leader, end);
            cluster.settle();
            collect(&mut cluster, &mut model);
            assert!(model.transactions.has_ended(end));
            records += if commit { 2 } else { 0 };
            assert_eq!(cluster.view(1, model.knowledge()).committed.len(), records);
        }
        finish(&mut cluster, &mut model);
    }
}
