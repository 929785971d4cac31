//! The accounts of share groups: records of `__share_group_state` and snapshots as bytes, questions to the coordinator, and
//! a leader that takes over whatever they come to.

use std::sync::Arc;

use bytes::Bytes;
use chronik_coord::MetaImage;
use chronik_coord::coordinator::{Coordinator, CoordinatorRecord, CoordinatorState, Moment, Output, Ticket};
use chronik_coord::share::{
    AcknowledgeType, Acknowledgement, AcquireMode, DeliveryRules, DeliveryState, ReadRange, ShareAnswer,
    ShareCall, ShareConfig, ShareCoordinator, ShareKey, SharePartition, ShareReply, ShareRequest,
    ShareStates, StateBatch, Wanted,
};
use chronik_wire::types::{LeaderEpoch, Offset, PartitionIndex, TopicId};

use crate::Verdict;
use crate::input::Input;

/// Records and questions of one input.
const EVENTS_MAX: usize = 64;
const HAS_VALUE: u8 = 1;
const RULES: DeliveryRules =
    DeliveryRules { lock_duration_ms: 1_000, delivery_count_max: 3, records_under_way_max: 100 };

/// `data` is a log of records; those that cannot be read change nothing. Then the same bytes are questions to its
/// coordinator, and a snapshot.
pub fn run(data: &[u8]) -> Verdict {
    let mut state = ShareStates::default();
    let mut input = Input::new(data);
    let mut accepted = false;
    for offset in 0..EVENTS_MAX as i64 {
        if input.is_empty() {
            break;
        }
        accepted |= apply(&mut state, &mut input, Offset(offset));
    }
    let snapshot = state.snapshot();
    assert_eq!(ShareStates::restore(&snapshot), Ok(state.clone()));
    ask(state, data);
    if let Ok(restored) = ShareStates::restore(data) {
        assert_eq!(restored.snapshot(), data, "a state has one encoding");
        ask(restored, data);
    }
    Verdict::accepted(accepted)
}

fn apply(state: &mut ShareStates, input: &mut Input<'_>, at: Offset) -> bool {
    let flags = input.byte();
    let mut part = || {
        let length = usize::from(input.u16());
        Bytes::copy_from_slice(input.take(length))
    };
    let (key, value) = (part(), part());
    let record = CoordinatorRecord { key, value: (flags & HAS_VALUE != 0).then_some(value) };
    let before = state.clone();
    let result = state.apply(&record, at, 0, None);
    if result.is_err() {
        assert_eq!(&before, state, "a record that cannot be read changes nothing");
    }
    result.is_ok()
}

fn moment() -> Moment {
    Moment { now_ms: 0, wall_ms: 1_000, random: 1 }
}

fn key() -> ShareKey {
    ShareKey { group: Arc::from("g"), topic: TopicId(5), partition: PartitionIndex(0) }
}

fn machine(state: ShareStates) -> ShareCoordinator {
    let config = ShareConfig { topics: Arc::new(MetaImage::default()), updates_per_snapshot: 3 };
    ShareCoordinator::lead(state, config, moment())
}

fn put(machine: &mut ShareCoordinator, call: ShareCall) -> Output<ShareReply> {
    machine.handle(Ticket(1), ShareRequest { key: key(), call }, moment())
}

/// Asks whatever the bytes say, and has a leader go on with the answer.
fn ask(state: ShareStates, data: &[u8]) {
    let mut log = state.clone();
    let mut machine = machine(state);
    let mut input = Input::new(data);
    for _ in 0..EVENTS_MAX {
        if input.is_empty() {
            break;
        }
        let call = call(&mut input);
        let output = put(&mut machine, call);
        for record in output.batches.iter().flat_map(|batch| &batch.records) {
            log.apply(record, Offset(0), 0, None).expect("what a coordinator writes can be read");
        }
        assert_eq!(&log, machine.state());
        for (_, reply) in output.replies {
            if let Ok(ShareAnswer::Account(account)) = reply {
                go_on(SharePartition::load(account.start, &account.batches));
            }
        }
    }
}

fn number(input: &mut Input<'_>) -> i64 {
    match input.byte() {
        0 => i64::MAX,
        1 => i64::MIN,
        2 => -1,
        small => i64::from(small),
    }
}

fn call(input: &mut Input<'_>) -> ShareCall {
    let epoch = i32::from(input.byte() % 4) - 1;
    match input.byte() % 5 {
        0 => ShareCall::Initialize { state_epoch: epoch, start: Offset(number(input)) },
        1 => ShareCall::Read { leader_epoch: LeaderEpoch(epoch) },
        2 => ShareCall::Summarize,
        3 if input.byte() == 0 => ShareCall::Delete,
        _ => {
            let batch = |input: &mut Input<'_>| {
                let states = [DeliveryState::Available, DeliveryState::Acknowledged, DeliveryState::Archived];
                let state = states[input.below(states.len())];
                let (first, last) = (Offset(number(input)), Offset(number(input)));
                StateBatch { first, last, state, delivery_count: i16::from(input.byte()) - 1 }
            };
            let start = Offset(number(input));
            let batches = (0..input.below(4)).map(|_| batch(input)).collect();
            ShareCall::Write { state_epoch: epoch, leader_epoch: LeaderEpoch(epoch), start, batches }
        }
    }
}

/// Hands out, takes what is said, and writes down.
fn go_on(mut share: SharePartition) {
    let wanted = Wanted {
        member: Arc::from("m"),
        records_max: 10,
        batch_records: 5,
        mode: AcquireMode::BatchOptimized,
    };
    for round in 0..4 {
        let Some(from) = share.next_fetch_offset(&RULES) else { break };
        let last = Offset(from.0.saturating_add(3));
        let read = [ReadRange { first: from, last, deliverable: round != 1 }];
        let ranges = share.acquire(&wanted, from, &read, &RULES, round);
        for range in ranges {
            let kind = [AcknowledgeType::Accept, AcknowledgeType::Release][round as usize % 2];
            let said = Acknowledgement { first: range.first, last: range.last, types: vec![kind] };
            share.acknowledge("m", &[said], &RULES, round).expect("its own");
        }
        assert!(share.start() <= share.end());
        if share.take_write().is_some() {
            share.on_written(round % 2 == 0);
        }
    }
    share.on_log_start(Offset(7));
    share.on_time(&RULES, i64::MAX);
}

/// What a coordinator writes for an account that is begun, read, written, written whole and deleted; and a snapshot of it.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut machine = machine(ShareStates::default());
    let done = |first: i64, last: i64| StateBatch {
        first: Offset(first),
        last: Offset(last),
        state: DeliveryState::Acknowledged,
        delivery_count: 1,
    };
    let (state_epoch, leader_epoch) = (0, LeaderEpoch(1));
    let write =
        |start: i64, batches| ShareCall::Write { state_epoch, leader_epoch, start: Offset(start), batches };
    let calls = vec![
        ShareCall::Initialize { state_epoch, start: Offset(0) },
        ShareCall::Read { leader_epoch },
        write(0, vec![done(2, 3)]),
        write(4, vec![done(6, 6), done(8, 9)]),
        write(4, vec![done(11, 11)]),
        write(10, Vec::new()),
    ];
    let mut logs: Vec<Vec<u8>> = calls.into_iter().map(|call| framed(&put(&mut machine, call))).collect();
    let snapshot = machine.state().snapshot().to_vec();
    logs.push(framed(&put(&mut machine, ShareCall::Delete)));
    let mut seeds = vec![logs.concat(), snapshot];
    seeds.extend(logs.into_iter().filter(|log| !log.is_empty()));
    seeds
}

fn framed(output: &Output<ShareReply>) -> Vec<u8> {
    let mut out = Vec::new();
    for CoordinatorRecord { key, value } in output.batches.iter().flat_map(|batch| &batch.records) {
        out.push(u8::from(value.is_some()) * HAS_VALUE);
        for part in [key, &value.clone().unwrap_or_default()] {
            out.extend((part.len() as u16).to_be_bytes());
            out.extend_from_slice(part);
        }
    }
    out
}
