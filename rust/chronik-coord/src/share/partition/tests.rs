//! Deliveries: one rule after the other, and at random against a table of records.

use std::collections::BTreeMap;
use std::sync::Arc;

use chronik_wire::error_code::ErrorCode;
use chronik_wire::types::Offset;
use proptest::prelude::*;

use super::window::{Hold, Saved};
use super::*;
use crate::share::delivery::DeliveryState;
use crate::share::limits;

const RULES: DeliveryRules =
    DeliveryRules { lock_duration_ms: 30_000, delivery_count_max: 5, records_under_way_max: 100 };

fn wanted(member: &str, records_max: i64) -> Wanted {
    Wanted { member: Arc::from(member), records_max, batch_records: 500, mode: AcquireMode::BatchOptimized }
}

fn read(first: i64, last: i64) -> ReadRange {
    ReadRange { first: Offset(first), last: Offset(last), deliverable: true }
}

fn acquired(first: i64, last: i64, delivery_count: i16) -> AcquiredRange {
    AcquiredRange { first: Offset(first), last: Offset(last), delivery_count }
}

fn all(first: i64, last: i64, kind: AcknowledgeType) -> Acknowledgement {
    Acknowledgement { first: Offset(first), last: Offset(last), types: vec![kind] }
}

fn batch(first: i64, last: i64, state: DeliveryState, delivery_count: i16) -> StateBatch {
    StateBatch { first: Offset(first), last: Offset(last), state, delivery_count }
}

impl SharePartition {
    /// Acquires from a log of batches of ten records.
    fn fetch(&mut self, member: &str, records_max: i64, now_ms: i64) -> Vec<AcquiredRange> {
        let Some(from) = self.next_fetch_offset(&RULES) else { return Vec::new() };
        let first = from.0 / 10 * 10;
        let log: Vec<ReadRange> =
            (0..5).map(|batch| read(first + batch * 10, first + batch * 10 + 9)).collect();
        self.acquire(&wanted(member, records_max), from, &log, &RULES, now_ms)
    }

    fn say(&mut self, member: &str, said: Acknowledgement, now_ms: i64) -> Result<Accepted, ErrorCode> {
        self.acknowledge(member, &[said], &RULES, now_ms)
    }

    /// Writes what there is to write.
    fn write(&mut self) -> StateWrite {
        let write = self.take_write().expect("something to write");
        self.on_written(true);
        write
    }
}

#[test]
fn members_get_different_records_and_batches_stay_whole() {
    let mut share = SharePartition::load(Offset(0), &[]);
    assert_eq!(share.fetch("one", 5, 0), [acquired(0, 9, 1)]);
    assert_eq!(share.fetch("two", 15, 0), [acquired(10, 29, 1)]);
    let strict = Wanted { mode: AcquireMode::RecordLimit, ..wanted("three", 3) };
    let log = [read(30, 39)];
    assert_eq!(share.acquire(&strict, Offset(30), &log, &RULES, 0), [acquired(30, 32, 1)]);
    assert_eq!(share.acquire(&strict, Offset(33), &log, &RULES, 0), [acquired(33, 35, 1)]);
    assert_eq!((share.start(), share.end(), share.records_under_way()), (Offset(0), Offset(36), 36));
    // Handing out is not written down.
    assert_eq!(share.take_write(), None);
}

#[test]
fn long_answers_are_cut_at_batches() {
    let mut share = SharePartition::load(Offset(0), &[]);
    let wanted = Wanted { batch_records: 20, ..wanted("one", 50) };
    let log: Vec<ReadRange> = (0..5).map(|batch| read(batch * 10, batch * 10 + 9)).collect();
    let ranges = share.acquire(&wanted, Offset(0), &log, &RULES, 0);
    assert_eq!(ranges, [acquired(0, 19, 1), acquired(20, 39, 1), acquired(40, 49, 1)]);
}

#[test]
fn what_is_accepted_counts_once_it_is_written_and_moves_the_start() {
    let mut share = SharePartition::load(Offset(0), &[]);
    share.fetch("one", 10, 0);
    assert_eq!(share.say("one", all(0, 4, AcknowledgeType::Accept), 0), Ok(Accepted::WithWrite(1)));
    let write = share.take_write().expect("the acknowledgement");
    assert_eq!(write, StateWrite { number: 1, start: Offset(5), complete_count: 0, batches: vec![] });
    assert_eq!(share.start(), Offset(0), "not before it is written");
    // Said again, or of a record of somebody else, it is refused; what gathers meanwhile has the next number.
    let again = share.say("one", all(0, 4, AcknowledgeType::Accept), 0);
    assert_eq!(again, Err(ErrorCode::INVALID_RECORD_STATE));
    let of_another = share.say("two", all(5, 5, AcknowledgeType::Accept), 0);
    assert_eq!(of_another, Err(ErrorCode::INVALID_RECORD_STATE));
    assert_eq!(share.say("one", all(7, 8, AcknowledgeType::Reject), 0), Ok(Accepted::WithWrite(2)));
    assert_eq!(share.take_write(), None, "one write at a time");
    share.on_written(true);
    assert_eq!(share.start(), Offset(5));
    let write = share.write();
    let rejected = batch(7, 8, DeliveryState::Archived, 1);
    assert_eq!(write, StateWrite { number: 2, start: Offset(5), complete_count: 2, batches: vec![rejected] });
    // Of what lies before the start nothing is to be said any more, and nobody minds if it is.
    assert_eq!(share.say("one", all(0, 4, AcknowledgeType::Accept), 0), Ok(Accepted::Done));
    assert_eq!(share.say("one", all(9, 10, AcknowledgeType::Accept), 0), Err(ErrorCode::INVALID_REQUEST));
}

#[test]
fn released_records_go_to_the_next_member_with_a_higher_count_up_to_the_limit() {
    let mut share = SharePartition::load(Offset(0), &[]);
    share.fetch("one", 10, 0);
    let types = (0..10)
        .map(|offset| if offset < 2 { AcknowledgeType::Release } else { AcknowledgeType::Accept })
        .collect();
    let said = Acknowledgement { first: Offset(0), last: Offset(9), types };
    share.say("one", said, 0).expect("its own");
    let write = share.write();
    let batches = [batch(0, 1, DeliveryState::Available, 1), batch(2, 9, DeliveryState::Acknowledged, 1)];
    assert_eq!((write.complete_count, &write.batches[..]), (8, &batches[..]));
    let log = [read(0, 9)];
    for count in 2..=5_i16 {
        // From the third delivery on they come one by one.
        for range in if count <= 3 { vec![(0, 1)] } else { vec![(0, 0), (1, 1)] } {
            let from = share.next_fetch_offset(&RULES).expect("something");
            let got = share.acquire(&wanted("two", 100), from, &log, &RULES, 0);
            let portion =
                if count == 3 { vec![acquired(0, 1, 3)] } else { vec![acquired(range.0, range.1, count)] };
            assert_eq!(got, portion);
        }
        share.say("two", all(0, 1, AcknowledgeType::Release), 0).expect("its own");
        share.write();
    }
    assert_eq!((share.start(), share.records_under_way()), (Offset(10), 0), "delivered five times: given up");
}

#[test]
fn a_lock_runs_out_unless_it_is_renewed() {
    let mut share = SharePartition::load(Offset(0), &[]);
    share.fetch("one", 10, 0);
    assert_eq!(share.say("one", all(0, 4, AcknowledgeType::Renew), 20_000), Ok(Accepted::Done));
    assert_eq!(share.next_deadline_ms(), Some(30_000));
    assert!(!share.on_time(&RULES, 29_999));
    assert!(share.on_time(&RULES, 30_000));
    assert_eq!(share.next_deadline_ms(), Some(50_000));
    let late = share.say("one", all(5, 9, AcknowledgeType::Accept), 30_000);
    assert_eq!(late, Err(ErrorCode::INVALID_RECORD_STATE));
    assert_eq!(share.write().batches, [batch(5, 9, DeliveryState::Available, 1)]);
    assert_eq!(share.fetch("two", 5, 30_000), [acquired(5, 9, 2)]);
}

#[test]
fn what_could_not_be_written_is_with_its_member_again() {
    let mut share = SharePartition::load(Offset(0), &[]);
    share.fetch("one", 10, 0);
    share.say("one", all(0, 9, AcknowledgeType::Accept), 0).expect("its own");
    share.take_write().expect("the acknowledgement");
    // Its time runs on, and has no effect while the write is under way.
    assert!(!share.on_time(&RULES, 30_000));
    share.on_written(false);
    assert_eq!((share.start(), share.take_write()), (Offset(0), None));
    assert_eq!(share.next_deadline_ms(), Some(30_000));
    assert!(share.on_time(&RULES, 30_000));
    assert_eq!(share.fetch("two", 10, 30_000), [acquired(0, 9, 2)]);
}

#[test]
fn a_member_that_goes_leaves_its_records() {
    let mut share = SharePartition::load(Offset(0), &[]);
    share.fetch("one", 10, 0);
    share.fetch("two", 10, 0);
    assert!(share.release("one", &RULES));
    assert!(!share.release("one", &RULES));
    assert_eq!(share.fetch("three", 10, 0), [acquired(0, 9, 2)]);
    assert_eq!(share.fetch("three", 10, 0), [acquired(20, 29, 1)]);
}

#[test]
fn what_never_arrived_does_not_count() {
    let mut share = SharePartition::load(Offset(0), &[]);
    let got = share.fetch("one", 10, 0);
    share.take_back("two", &got);
    assert!(share.is_held(), "it is another's");
    share.take_back("one", &got);
    assert_eq!((share.is_held(), share.take_write()), (false, None));
    assert_eq!(share.fetch("two", 10, 0), [acquired(0, 9, 1)]);
}

#[test]
fn markers_aborted_records_and_what_was_compacted_away_are_nobodys() {
    let mut share = SharePartition::load(Offset(0), &[]);
    let marker = ReadRange { deliverable: false, ..read(15, 15) };
    let log = [read(5, 9), marker, read(20, 24)];
    let got = share.acquire(&wanted("one", 100), Offset(0), &log, &RULES, 0);
    assert_eq!(got, [acquired(5, 9, 1), acquired(20, 24, 1)]);
    assert_eq!(share.start(), Offset(5));
    let write = share.write();
    assert_eq!((write.start, write.complete_count), (Offset(5), 10));
    // Compacted after they were handed out: whoever has them says so, or the next one who reads finds it out.
    share.release("one", &RULES);
    share.acquire(&wanted("two", 100), Offset(5), &[read(22, 24)], &RULES, 0);
    assert_eq!((share.start(), share.end()), (Offset(22), Offset(25)));
}

#[test]
fn the_log_start_moves_the_start() {
    let mut share = SharePartition::load(Offset(0), &[]);
    share.fetch("one", 20, 0);
    share.on_log_start(Offset(12));
    assert_eq!(share.start(), Offset(12));
    assert_eq!(share.say("one", all(0, 19, AcknowledgeType::Accept), 0), Ok(Accepted::WithWrite(1)));
    assert_eq!(share.write().start, Offset(20));
    share.on_log_start(Offset(50));
    assert_eq!((share.start(), share.end(), share.write().start), (Offset(50), Offset(50), Offset(50)));
}

#[test]
fn a_new_leader_hands_out_what_came_to_no_end() {
    let told = [batch(3, 4, DeliveryState::Acknowledged, 1), batch(8, 9, DeliveryState::Available, 2)];
    let mut share = SharePartition::load(Offset(0), &told);
    assert_eq!((share.start(), share.end(), share.take_write()), (Offset(0), Offset(10), None));
    let got = share.fetch("one", 100, 0);
    assert_eq!(got, [acquired(0, 2, 1), acquired(5, 7, 1), acquired(8, 9, 3), acquired(10, 49, 1)]);
    let done = SharePartition::load(Offset(0), &[batch(0, 4, DeliveryState::Archived, 1)]);
    assert_eq!((done.start(), done.end(), done.run_count()), (Offset(5), Offset(5), 0));
}

#[test]
fn no_more_records_are_under_way_than_allowed() {
    let mut share = SharePartition::load(Offset(0), &[]);
    assert_eq!(share.fetch("one", 50, 0), [acquired(0, 49, 1)]);
    assert_eq!(share.fetch("one", 50, 0), [acquired(50, 99, 1)]);
    assert_eq!(share.next_fetch_offset(&RULES), None);
    share.say("one", all(60, 69, AcknowledgeType::Release), 0).expect("its own");
    share.write();
    assert_eq!(share.next_fetch_offset(&RULES), Some(Offset(60)));
    assert_eq!(share.fetch("two", 100, 0), [acquired(60, 69, 2)], "no new ones");
    share.say("one", all(0, 9, AcknowledgeType::Accept), 0).expect("its own");
    share.write();
    assert_eq!(share.fetch("two", 100, 0), [acquired(100, 109, 1)]);
}

#[test]
fn memory_goes_with_what_differs_and_has_a_bound() {
    let rules = DeliveryRules { records_under_way_max: i64::MAX, ..RULES };
    let mut share = SharePartition::load(Offset(0), &[]);
    let runs = limits::RUNS_BEFORE_NEW_RECORDS_MAX as i64;
    share.acquire(&wanted("one", i64::MAX), Offset(0), &[read(0, runs * 10)], &rules, 0);
    assert_eq!(share.run_count(), 1);
    let kind = |offset| if offset % 2 == 0 { AcknowledgeType::Accept } else { AcknowledgeType::Reject };
    let said = |first: i64, count: i64| Acknowledgement {
        first: Offset(first),
        last: Offset(first + count - 1),
        types: (first..first + count).map(kind).collect(),
    };
    // The first stays with its member, so that nothing is left behind.
    let too_many = share.acknowledge("one", &[said(1, limits::RUNS_MAX as i64)], &rules, 0);
    assert_eq!(too_many, Err(ErrorCode::INVALID_REQUEST));
    share.acknowledge("one", &[said(1, runs - 3)], &rules, 0).expect("few enough");
    share.write();
    assert!(share.next_fetch_offset(&rules).is_some());
    share.acknowledge("one", &[said(runs - 2, 2)], &rules, 0).expect("few enough");
    share.write();
    assert_eq!((share.run_count() as i64, share.next_fetch_offset(&rules)), (runs + 1, None));
    share.acknowledge("one", &[all(0, 0, AcknowledgeType::Accept)], &rules, 0).expect("its own");
    share.write();
    assert_eq!(share.run_count(), 1);
}

/// What happens next. Numbers choose a member, a place or a kind.
#[derive(Debug, Clone)]
enum Event {
    Fetch {
        member: usize,
        records_max: i64,
        strict: bool,
        batches: usize,
    },
    Say {
        member: usize,
        place: usize,
        length: i64,
        kind: usize,
    },
    Write,
    Written(bool),
    /// It is written, but nobody hears of it.
    WrittenInVain,
    Leave(usize),
    Wait(i64),
    LogStart(i64),
    Crash,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let member = || 0_usize..3;
    let event = prop_oneof![
        6 => (member(), 1_i64..12, any::<bool>(), 1_usize..4).prop_map(|(member, records_max, strict, batches)| {
            Event::Fetch { member, records_max, strict, batches }
        }),
        8 => (member(), 0_usize..40, 1_i64..8, 0_usize..5)
            .prop_map(|(member, place, length, kind)| Event::Say { member, place, length, kind }),
        4 => Just(Event::Write),
        4 => prop_oneof![4 => Just(true), 1 => Just(false)].prop_map(Event::Written),
        1 => Just(Event::WrittenInVain),
        1 => member().prop_map(Event::Leave),
        2 => prop_oneof![Just(1_i64), Just(15_000), Just(30_000)].prop_map(Event::Wait),
        1 => (0_i64..30).prop_map(Event::LogStart),
        1 => Just(Event::Crash),
    ];
    proptest::collection::vec(event, 1..150)
}

/// A log of batches; those that are not deliverable are markers or aborted, what is between was compacted away.
fn log() -> impl Strategy<Value = Vec<ReadRange>> {
    let batch = (0_i64..3, 1_i64..7, prop_oneof![5 => Just(true), 1 => Just(false)]);
    proptest::collection::vec(batch, 1..20).prop_map(|batches| {
        let mut next = 0;
        let ranges = batches.into_iter().map(|(gap, length, deliverable)| {
            let first = next + gap;
            next = first + length;
            ReadRange { first: Offset(first), last: Offset(next - 1), deliverable }
        });
        ranges.collect()
    })
}

const MEMBERS: [&str; 3] = ["one", "two", "three"];
const KINDS: [AcknowledgeType; 5] = [
    AcknowledgeType::Gap,
    AcknowledgeType::Accept,
    AcknowledgeType::Release,
    AcknowledgeType::Reject,
    AcknowledgeType::Renew,
];
const FEW: DeliveryRules =
    DeliveryRules { lock_duration_ms: 30_000, delivery_count_max: 3, records_under_way_max: 20 };

/// What a table of records says: who has each, and which are done for sure.
#[derive(Debug, Default)]
struct Table {
    held: BTreeMap<i64, (usize, i64)>,
    counts: BTreeMap<i64, i16>,
    /// Settled, with the number of the write and whether for good.
    settling: BTreeMap<i64, (u64, bool, usize, i64)>,
    /// A member was told that it is done.
    promised: std::collections::BTreeSet<i64>,
}

struct Play {
    log: Vec<ReadRange>,
    share: SharePartition,
    /// The coordinator's account.
    told: (Offset, Vec<StateBatch>),
    under_way: Option<StateWrite>,
    table: Table,
    now_ms: i64,
}

impl Play {
    fn step(&mut self, event: &Event) {
        match *event {
            Event::Fetch { member, records_max, strict, batches } => {
                self.fetch(member, records_max, strict, batches)
            }
            Event::Say { member, place, length, kind } => self.say(member, place, length, kind),
            Event::Write => {
                let taken = self.share.take_write();
                assert!(taken.is_none() || self.under_way.is_none(), "one write at a time");
                self.under_way = taken.or(self.under_way.take());
            }
            Event::Written(written) => self.written(written, written),
            Event::WrittenInVain => self.written(true, false),
            Event::Leave(member) => {
                self.share.release(MEMBERS[member], &FEW);
                self.table.held.retain(|_, (holder, _)| *holder != member);
            }
            Event::Wait(ms) => {
                self.now_ms += ms;
                self.share.on_time(&FEW, self.now_ms);
                let now_ms = self.now_ms;
                self.table.held.retain(|_, (_, until_ms)| *until_ms > now_ms);
            }
            Event::LogStart(start) => {
                self.share.on_log_start(Offset(start));
                self.table.held.retain(|offset, _| *offset >= start);
                self.table.settling.retain(|offset, _| *offset >= start);
            }
            Event::Crash => {
                self.share = SharePartition::load(self.told.0, &self.told.1);
                self.under_way = None;
                self.table.held.clear();
                self.table.settling.clear();
                self.table.counts.clear();
            }
        }
        self.check();
    }

    fn fetch(&mut self, member: usize, records_max: i64, strict: bool, batches: usize) {
        let Some(from) = self.share.next_fetch_offset(&FEW) else { return };
        let read: Vec<ReadRange> =
            self.log.iter().filter(|batch| batch.last >= from).take(batches).copied().collect();
        let mode = if strict { AcquireMode::RecordLimit } else { AcquireMode::BatchOptimized };
        let wanted = Wanted { member: Arc::from(MEMBERS[member]), records_max, batch_records: 4, mode };
        let before = self.share.clone();
        let ranges = self.share.acquire(&wanted, from, &read, &FEW, self.now_ms);
        let total: i64 = ranges.iter().map(|range| range.last.0 - range.first.0 + 1).sum();
        assert!(!strict || total <= records_max);
        assert!(
            total > 0
                || read.iter().all(|batch| !batch.deliverable || self.share.start() > batch.last)
                || before.records_under_way() > 0,
            "something was to be had"
        );
        for range in ranges {
            for offset in range.first.0..=range.last.0 {
                let within = |batch: &ReadRange| (batch.first.0..=batch.last.0).contains(&offset);
                assert!(read.iter().any(|batch| batch.deliverable && within(batch)), "{offset} is a record");
                assert!(!self.table.promised.contains(&offset), "{offset} is done and was handed out again");
                assert!(!self.table.settling.contains_key(&offset), "{offset} is being settled");
                let held = self.table.held.insert(offset, (member, self.now_ms + FEW.lock_duration_ms));
                assert_eq!(held, None, "{offset} is somebody's");
                let count = self.table.counts.entry(offset).or_insert(range.delivery_count - 1);
                *count += 1;
                assert_eq!(*count, range.delivery_count);
                assert!(*count <= FEW.delivery_count_max);
            }
        }
    }

    fn say(&mut self, member: usize, place: usize, length: i64, kind: usize) {
        let first = place as i64;
        let records = first.max(self.share.start().0)..first + length;
        let owned = |offset: i64| self.table.held.get(&offset).is_some_and(|(holder, _)| *holder == member);
        let legal = records.clone().all(owned) && (records.is_empty() || records.end <= self.share.end().0);
        let said = all(first, first + length - 1, KINDS[kind]);
        let outcome = self.share.acknowledge(MEMBERS[member], &[said], &FEW, self.now_ms);
        assert_eq!(outcome.is_ok(), legal, "{outcome:?}");
        let Ok(accepted) = outcome else { return };
        for offset in records {
            match accepted {
                Accepted::Done => {
                    self.table.held.insert(offset, (member, self.now_ms + FEW.lock_duration_ms));
                }
                Accepted::WithWrite(number) => {
                    let (_, until_ms) = self.table.held.remove(&offset).expect("owned");
                    let for_good = KINDS[kind] != AcknowledgeType::Release;
                    self.table.settling.insert(offset, (number, for_good, member, until_ms));
                }
            }
        }
    }

    fn written(&mut self, written: bool, heard: bool) {
        let Some(write) = self.under_way.take() else { return };
        if written {
            let start = self.told.0.max(write.start);
            self.told = (start, delivery::join(&self.told.1, &write.batches, start));
            let done = delivery::complete_count(&self.told.1, start);
            assert!(
                start > write.start || done >= write.complete_count,
                "the account says as much as the write"
            );
        }
        self.share.on_written(heard);
        let settled: Vec<i64> =
            self.table.settling.iter().filter(|(_, of)| of.0 == write.number).map(|of| *of.0).collect();
        for offset in settled {
            let (_, for_good, member, until_ms) = self.table.settling.remove(&offset).expect("there");
            match (heard, for_good) {
                (true, true) => {
                    self.table.promised.insert(offset);
                }
                (true, false) => {}
                (false, _) => {
                    self.table.held.insert(offset, (member, until_ms));
                }
            }
        }
        self.share.on_time(&FEW, self.now_ms);
        let now_ms = self.now_ms;
        self.table.held.retain(|_, (_, until_ms)| *until_ms > now_ms);
    }

    /// The table and the runs say the same of everybody who has something.
    fn check(&self) {
        let mut held = BTreeMap::new();
        let mut previous: Option<(i64, super::window::Run)> = None;
        for (range, run) in self.share.window.runs() {
            assert!(!range.is_empty());
            let expected_first = previous.as_ref().map_or(self.share.start().0, |(end, _)| *end);
            assert_eq!(range.start, expected_first, "no gap and no overlap");
            assert!(previous.as_ref().is_none_or(|(_, before)| before != run), "equal neighbours are one");
            if let Hold::Held(lock) = &run.hold {
                let member = MEMBERS.iter().position(|name| **name == *lock.member).expect("a member");
                held.extend(range.clone().map(|offset| (offset, (member, lock.until_ms))));
            }
            if let Hold::Settling { write, .. } = &run.hold {
                assert!(
                    range.clone().all(|offset| self
                        .table
                        .settling
                        .get(&offset)
                        .is_some_and(|of| of.0 == *write))
                );
            }
            if let (Hold::Free, Saved::Writing(number)) = (&run.hold, run.saved) {
                assert_eq!(self.under_way.as_ref().map(|write| write.number), Some(number));
            }
            previous = Some((range.end, run.clone()));
        }
        assert_eq!(previous.map_or(self.share.start().0, |(end, _)| end), self.share.end().0);
        assert_eq!(held, self.table.held);
        let first = self.share.window.runs().next();
        assert!(first.is_none_or(|(_, run)| !matches!(run.hold, Hold::Done(_))), "the start is not done");
        // Whatever a member was told is done is so in the coordinator's account.
        for offset in &self.table.promised {
            let done = *offset < self.told.0.0
                || self
                    .told
                    .1
                    .iter()
                    .any(|one| one.state.is_final() && (one.first.0..=one.last.0).contains(offset));
            assert!(done, "{offset} was promised and is not written down");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    /// No record is with two members at a time, nobody is given what a member was told is done, whatever is written or
    /// lost; and in the end every record is delivered and done.
    #[test]
    fn a_table_of_records_agrees(log in log(), events in events()) {
        let share = SharePartition::load(Offset(0), &[]);
        let told = (Offset(0), Vec::new());
        let mut play = Play { log, share, told, under_way: None, table: Table::default(), now_ms: 0 };
        for event in &events {
            play.step(event);
        }
        let end = play.log.last().map_or(0, |batch| batch.last.0 + 1);
        for _ in 0..1_000 {
            if play.share.start().0 >= end && play.told.0 == play.share.start() {
                break;
            }
            play.fetch(0, 100, false, 100);
            for offset in play.table.held.keys().copied().collect::<Vec<_>>() {
                let (member, _) = play.table.held[&offset];
                play.say(member, usize::try_from(offset).expect("small"), 1, 1);
            }
            play.step(&Event::Write);
            play.step(&Event::Written(true));
        }
        prop_assert!(play.share.start().0 >= end, "every record comes to an end");
        prop_assert_eq!(play.told.0, play.share.start());
    }
}
