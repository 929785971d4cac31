//! Who gets what: records that nobody has, up to what a fetch wants and the rules allow.
//!
//! Whole batches of the log stay together, since a batch travels as it is stored, unless the member wants to be strict.
//! Records that were delivered often already are handed out in ever smaller portions, so that one that no consumer can
//! digest does not use up the deliveries of its neighbours.

use std::ops::Range;
use std::sync::Arc;

use chronik_wire::types::Offset;

use super::window::{Hold, Lock, Run, Saved};
use super::{DeliveryRules, SharePartition};
use crate::share::limits;

/// How strictly a fetch is held to the number of records it wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AcquireMode {
    /// The last batch of the log is taken whole.
    BatchOptimized,
    /// Not one record more.
    RecordLimit,
}

/// What a member wants to have.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Who.
    pub member: Arc<str>,
    /// How many records.
    pub records_max: i64,
    /// From how many records on a range of acquired records ends with a batch of the log.
    pub batch_records: i64,
    /// How strictly.
    pub mode: AcquireMode,
}

/// A batch of the log that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadRange {
    /// Its first offset.
    pub first: Offset,
    /// Its last offset.
    pub last: Offset,
    /// Whether there is anything in it for a consumer: not if it is a marker, or of an aborted transaction.
    pub deliverable: bool,
}

/// Records that a member has from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AcquiredRange {
    /// The first of them.
    pub first: Offset,
    /// The last of them.
    pub last: Offset,
    /// How often each has been delivered, this time included.
    pub delivery_count: i16,
}

impl SharePartition {
    /// Where a fetch would have to read; `None` if there is nothing to be had: every record under way is with somebody,
    /// and there are as many as the rules allow.
    pub fn next_fetch_offset(&self, rules: &DeliveryRules) -> Option<Offset> {
        let free = self.window.runs().find(|(_, run)| run.hold == Hold::Free);
        let new = (self.room(rules) > 0).then_some(self.window.end());
        free.map(|(range, _)| range.start).or(new).map(Offset)
    }

    /// Hands out what was read from offset `from` on, in the order of the log. What lies between the batches was compacted
    /// away.
    pub fn acquire(
        &mut self,
        wanted: &Wanted,
        from: Offset,
        read: &[ReadRange],
        rules: &DeliveryRules,
        now_ms: i64,
    ) -> Vec<AcquiredRange> {
        let lock =
            Lock { member: wanted.member.clone(), until_ms: now_ms.saturating_add(rules.lock_duration_ms) };
        let mut taken = Taken { wanted, left: wanted.records_max, ranges: Vec::new() };
        let mut at = from.0.max(self.window.start());
        for batch in read {
            let next = batch.last.0.saturating_add(1);
            let records = batch.first.0.max(at)..next;
            // Beyond the end there may only be what follows it without a gap.
            if at > self.window.end() || taken.left <= 0 {
                break;
            }
            if records.is_empty() {
                continue;
            }
            self.archive(at..records.start);
            if !batch.deliverable {
                self.archive(records);
            } else if !self.take(records, &lock, &mut taken, rules) {
                break;
            }
            at = next;
        }
        self.move_start();
        taken.ranges
    }

    /// The member was never given what it acquired: it may be had by others, and this time does not count.
    pub fn take_back(&mut self, member: &str, ranges: &[AcquiredRange]) {
        for range in ranges {
            self.window.change(range.first.0..range.last.0.saturating_add(1), |run| match &run.hold {
                Hold::Held(lock) if *lock.member == *member => {
                    let delivery_count = run.delivery_count.saturating_sub(1);
                    let saved = if delivery_count == 0 { Saved::Yes } else { Saved::No };
                    Some(Run { hold: Hold::Free, delivery_count, saved })
                }
                _ => None,
            });
        }
    }

    /// There is nothing at these offsets that anybody could be given.
    fn archive(&mut self, offsets: Range<i64>) {
        self.window.change(offsets.clone(), |run| (run.hold == Hold::Free).then_some(Run::NOTHING));
        if offsets.start <= self.window.end() {
            self.window.extend(offsets.end, Run::NOTHING);
        }
    }

    /// Takes what may be had of a batch. Says whether to go on behind it.
    fn take(
        &mut self,
        records: Range<i64>,
        lock: &Lock,
        taken: &mut Taken<'_>,
        rules: &DeliveryRules,
    ) -> bool {
        let known = records.start..records.end.min(self.window.end());
        let free: Vec<(Range<i64>, i16)> = self
            .window
            .runs_in(known)
            .filter(|(_, run)| run.hold == Hold::Free)
            .map(|(range, run)| (range, run.delivery_count))
            .collect();
        for (range, delivery_count) in free {
            let portion = rules.portion(delivery_count, range.end - range.start);
            if portion.is_some() && !taken.ranges.is_empty() {
                return false;
            }
            let length = taken.length(portion.unwrap_or(range.end - range.start));
            self.hold(range.start..range.start.saturating_add(length).min(range.end), lock, taken);
            if portion.is_some() || taken.left <= 0 && taken.wanted.mode == AcquireMode::RecordLimit {
                return false;
            }
        }
        let first_new = records.start.max(self.window.end());
        let room = self.room(rules);
        if first_new < records.end {
            if room <= 0 {
                return false;
            }
            let length = match taken.wanted.mode {
                AcquireMode::BatchOptimized => records.end - first_new,
                AcquireMode::RecordLimit => taken.length(records.end - first_new).min(room),
            };
            self.window.extend(first_new + length, Run::NEW);
            self.hold(first_new..first_new + length, lock, taken);
        }
        taken.left > 0 && self.window.end() >= records.end
    }

    fn hold(&mut self, offsets: Range<i64>, lock: &Lock, taken: &mut Taken<'_>) {
        let mut delivery_count = 0;
        self.window.change(offsets.clone(), |run| {
            delivery_count = run.delivery_count.saturating_add(1);
            Some(Run { hold: Hold::Held(lock.clone()), delivery_count, saved: Saved::Yes })
        });
        taken.add(offsets, delivery_count);
    }

    /// How many more records may be under way.
    fn room(&self, rules: &DeliveryRules) -> i64 {
        if self.window.run_count() >= limits::RUNS_BEFORE_NEW_RECORDS_MAX {
            return 0;
        }
        rules.records_under_way_max.saturating_sub(self.records_under_way())
    }
}

impl DeliveryRules {
    /// How many of `length` neighbours are delivered together, and nothing with them, because they have been delivered so
    /// often; `None` while there is no cause for that. From half of the deliveries on every one halves the portion, and
    /// the last attempt is a record's own.
    fn portion(&self, delivery_count: i16, length: i64) -> Option<i64> {
        let suspicious_from = (self.delivery_count_max + 1) / 2;
        let suspicious_from = suspicious_from.max(2);
        if self.delivery_count_max > 2 && delivery_count >= self.delivery_count_max - 1 {
            return Some(1);
        }
        let halvings = u32::try_from(delivery_count.checked_sub(suspicious_from)?).ok()? + 1;
        Some(length.checked_shr(halvings).unwrap_or(0).max(1))
    }
}

/// What a fetch has got so far.
struct Taken<'a> {
    wanted: &'a Wanted,
    left: i64,
    ranges: Vec<AcquiredRange>,
}

impl Taken<'_> {
    /// How many of `available` records it takes.
    fn length(&self, available: i64) -> i64 {
        match self.wanted.mode {
            AcquireMode::BatchOptimized => available,
            AcquireMode::RecordLimit => available.min(self.left),
        }
    }

    fn add(&mut self, offsets: Range<i64>, delivery_count: i16) {
        self.left -= offsets.end - offsets.start;
        let (first, last) = (Offset(offsets.start), Offset(offsets.end - 1));
        match self.ranges.last_mut() {
            Some(before)
                if before.last.0 + 1 == first.0
                    && before.delivery_count == delivery_count
                    && before.last.0 - before.first.0 + 1 < self.wanted.batch_records =>
            {
                before.last = last;
            }
            _ => self.ranges.push(AcquiredRange { first, last, delivery_count }),
        }
    }
}
