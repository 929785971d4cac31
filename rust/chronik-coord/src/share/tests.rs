//! The share coordinator: what fences whom, what is written, and what survives it.

use std::collections::BTreeMap;
use std::sync::Arc;

use chronik_wire::error_code::ErrorCode;
use chronik_wire::types::{LeaderEpoch, NodeId, Offset, PartitionIndex, TopicId};

use super::record::ShareRecord;
use super::*;
use crate::coordinator::{Coordinator, CoordinatorState, Moment, Ticket};
use crate::image::MetaImage;

/// A coordinator with its log: what is applied from the log must be what the machine believes.
struct Seat {
    machine: ShareCoordinator,
    log: ShareStates,
    records: Vec<ShareRecord>,
    asked: u64,
}

fn config(updates_per_snapshot: u32) -> ShareConfig {
    ShareConfig { topics: Arc::new(MetaImage::default()), updates_per_snapshot }
}

fn moment(now_ms: i64) -> Moment {
    Moment { now_ms, wall_ms: 1_000_000 + now_ms, random: 0 }
}

fn key() -> ShareKey {
    ShareKey { group: Arc::from("readers"), topic: TopicId(5), partition: PartitionIndex(0) }
}

fn done(first: i64, last: i64) -> StateBatch {
    let state = DeliveryState::Acknowledged;
    StateBatch { first: Offset(first), last: Offset(last), state, delivery_count: 1 }
}

impl Seat {
    fn new(updates_per_snapshot: u32) -> Seat {
        let machine = ShareCoordinator::lead(ShareStates::default(), config(updates_per_snapshot), moment(0));
        Seat { machine, log: ShareStates::default(), records: Vec::new(), asked: 0 }
    }

    fn ask(&mut self, call: ShareCall) -> ShareReply {
        self.asked += 1;
        let ticket = Ticket(self.asked);
        let output =
            self.machine.handle(ticket, ShareRequest { key: key(), call }, moment(self.asked as i64));
        for batch in output.batches {
            for record in batch.records {
                self.log.apply(&record, Offset(0), 0, None).expect("a record of ours");
                self.records.push(ShareRecord::decode(&record).expect("a record of ours"));
            }
        }
        assert_eq!(&self.log, self.machine.state());
        assert_eq!(ShareStates::restore(&self.log.snapshot()), Ok(self.log.clone()));
        let [(of, reply)] = &output.replies[..] else { panic!("one answer") };
        assert_eq!(*of, ticket);
        reply.clone()
    }

    fn initialize(&mut self, state_epoch: i32, start: i64) -> ShareReply {
        self.ask(ShareCall::Initialize { state_epoch, start: Offset(start) })
    }

    fn read(&mut self, leader_epoch: i32) -> Result<ShareAccount, ErrorCode> {
        match self.ask(ShareCall::Read { leader_epoch: LeaderEpoch(leader_epoch) })? {
            ShareAnswer::Account(account) => Ok(account),
            other => panic!("{other:?}"),
        }
    }

    fn write(
        &mut self,
        state_epoch: i32,
        leader_epoch: i32,
        start: i64,
        batches: Vec<StateBatch>,
    ) -> ShareReply {
        let (start, leader_epoch) = (Offset(start), LeaderEpoch(leader_epoch));
        self.ask(ShareCall::Write { state_epoch, leader_epoch, start, batches })
    }

    fn summary(&mut self) -> ShareSummary {
        match self.ask(ShareCall::Summarize) {
            Ok(ShareAnswer::Summary(summary)) => summary,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn an_account_is_begun_read_written_and_read_again() {
    let mut seat = Seat::new(500);
    assert_eq!(seat.read(1), Err(ErrorCode::INVALID_REQUEST), "never begun");
    assert_eq!(seat.write(0, 1, 0, vec![]), Err(ErrorCode::INVALID_REQUEST));
    assert_eq!(seat.summary().start, Offset(-1));
    assert_eq!(seat.initialize(0, -1), Ok(ShareAnswer::Done));
    let account = seat.read(3).expect("begun");
    assert_eq!(account, ShareAccount { state_epoch: 0, start: Offset(-1), batches: vec![] });
    seat.write(0, 3, 10, vec![]).expect("the leader's");
    seat.write(0, 3, 10, vec![done(12, 14)]).expect("the leader's");
    seat.write(0, 3, 13, vec![done(16, 16)]).expect("the leader's");
    let account = seat.read(3).expect("begun");
    let batches = vec![done(13, 14), done(16, 16)];
    assert_eq!(account, ShareAccount { state_epoch: 0, start: Offset(13), batches });
    let leader_epoch = LeaderEpoch(3);
    let summary = ShareSummary { state_epoch: 0, leader_epoch, start: Offset(13), complete_count: 3 };
    assert_eq!(seat.summary(), summary);
}

#[test]
fn a_leader_that_reads_fences_those_before_it() {
    let mut seat = Seat::new(500);
    seat.initialize(0, 0).expect("new");
    seat.read(3).expect("begun");
    seat.read(5).expect("a newer leader");
    assert_eq!(seat.read(4), Err(ErrorCode::FENCED_LEADER_EPOCH));
    assert_eq!(seat.write(0, 3, 5, vec![]), Err(ErrorCode::FENCED_LEADER_EPOCH));
    assert_eq!(seat.summary().start, Offset(0));
    seat.write(0, 5, 5, vec![]).expect("the leader's");
    // Whoever is no leader reads without fencing anybody.
    seat.read(-1).expect("begun");
    seat.write(0, 5, 6, vec![]).expect("the leader's");
}

#[test]
fn an_account_that_is_begun_anew_fences_who_goes_on_with_the_old_one() {
    let mut seat = Seat::new(500);
    seat.initialize(4, 0).expect("new");
    seat.read(3).expect("begun");
    seat.write(4, 3, 5, vec![done(7, 8)]).expect("the leader's");
    assert_eq!(seat.initialize(3, 0), Err(ErrorCode::FENCED_STATE_EPOCH));
    // Begun by whoever came second: nothing is lost.
    let before = seat.records.len();
    for state_epoch in [4, -1, 5, 3] {
        seat.initialize(state_epoch, -1).expect("it is there");
    }
    seat.initialize(4, 5).expect("it is there");
    assert_eq!((seat.records.len(), seat.summary().start), (before, Offset(5)));
    seat.initialize(5, 2).expect("anew");
    assert_eq!(seat.write(4, 3, 9, vec![]), Err(ErrorCode::FENCED_STATE_EPOCH));
    let account = seat.read(3).expect("begun");
    assert_eq!(account, ShareAccount { state_epoch: 5, start: Offset(2), batches: vec![] });
    assert_eq!(seat.read(2), Err(ErrorCode::FENCED_LEADER_EPOCH), "leaders stay fenced");
}

#[test]
fn what_comes_twice_or_late_takes_nothing_back() {
    let mut seat = Seat::new(500);
    seat.initialize(0, 0).expect("new");
    seat.read(1).expect("begun");
    seat.write(0, 1, 0, vec![done(2, 3)]).expect("the leader's");
    seat.write(0, 1, 5, vec![]).expect("the leader's");
    let before = seat.records.len();
    seat.write(0, 1, 0, vec![done(2, 3)]).expect("the same again");
    let state = DeliveryState::Available;
    seat.write(0, 1, 0, vec![StateBatch { state, delivery_count: 1, ..done(2, 3) }]).expect("late");
    assert_eq!((seat.records.len(), seat.summary().start), (before, Offset(5)));
}

#[test]
fn every_so_often_the_account_is_written_whole() {
    let mut seat = Seat::new(3);
    seat.initialize(0, 0).expect("new");
    seat.read(1).expect("begun");
    for offset in 0..10 {
        seat.write(0, 1, 0, vec![done(2 * offset, 2 * offset)]).expect("the leader's");
    }
    let whole: Vec<bool> =
        seat.records.iter().map(|record| matches!(record, ShareRecord::Snapshot(..))).collect();
    let expected = [true, false, false, false, true, false, false, false, true, false, false, false];
    assert_eq!(whole, expected);
    let ShareRecord::Snapshot(_, Some(last)) = &seat.records[8] else { panic!("a snapshot") };
    assert_eq!((last.snapshot_epoch, last.batches.len()), (2, 7));
}

#[test]
fn a_deleted_account_is_gone() {
    let mut seat = Seat::new(500);
    assert_eq!(seat.ask(ShareCall::Delete), Ok(ShareAnswer::Done), "nothing to delete");
    seat.initialize(0, 0).expect("new");
    assert_eq!(seat.ask(ShareCall::Delete), Ok(ShareAnswer::Done));
    assert!(seat.log.is_empty());
    assert_eq!(seat.write(0, 1, 0, vec![]), Err(ErrorCode::INVALID_REQUEST));
}

#[test]
fn nonsense_is_refused() {
    let mut seat = Seat::new(500);
    assert_eq!(seat.initialize(0, -2), Err(ErrorCode::INVALID_REQUEST));
    assert_eq!(seat.initialize(-2, 0), Err(ErrorCode::INVALID_REQUEST));
    seat.initialize(0, 0).expect("new");
    for batches in [vec![done(5, 4)], vec![done(-1, 4)]] {
        assert_eq!(seat.write(0, 1, 0, batches), Err(ErrorCode::INVALID_REQUEST));
    }
    assert_eq!(seat.write(0, 1, -2, vec![]), Err(ErrorCode::INVALID_REQUEST));
    let too_many = (0..=limits::RUNS_MAX as i64).map(|run| done(2 * run, 2 * run)).collect();
    assert_eq!(seat.write(0, 1, 0, too_many), Err(ErrorCode::INVALID_REQUEST));
    let name = "x".repeat(limits::GROUP_BYTES_MAX + 1);
    let of_nobody = ShareKey { group: Arc::from(name), ..key() };
    let call = ShareCall::Initialize { state_epoch: 0, start: Offset(0) };
    let output = seat.machine.handle(Ticket(99), ShareRequest { key: of_nobody, call }, moment(0));
    assert_eq!(output.replies, [(Ticket(99), Err(ErrorCode::INVALID_REQUEST))]);
}

#[test]
fn the_configuration_is_kafkas() {
    let image = Arc::new(MetaImage::default());
    let with = |statics: BTreeMap<String, String>| ShareConfig::from_image(&image, NodeId(1), &statics);
    assert_eq!(with(BTreeMap::new()).updates_per_snapshot, 500);
    let name = "share.coordinator.snapshot.update.records.per.snapshot";
    assert_eq!(with(BTreeMap::from([(name.to_owned(), "7".to_owned())])).updates_per_snapshot, 7);
}
