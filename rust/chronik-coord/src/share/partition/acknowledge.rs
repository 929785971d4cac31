//! What a member says of records it has, and what becomes of those it says nothing of.
//!
//! One call is taken as a whole or not at all. It counts once it is written down; until then the records are neither with
//! the member nor to be had.

use chronik_wire::error_code::ErrorCode;
use chronik_wire::types::Offset;

use super::window::{Hold, Lock, Run, Saved};
use super::{DeliveryRules, SharePartition};
use crate::share::delivery::DeliveryState;
use crate::share::limits;

/// What a member says of one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AcknowledgeType {
    /// There is no such record.
    Gap,
    /// Done with it.
    Accept,
    /// Somebody else may have it.
    Release,
    /// Nobody should have it.
    Reject,
    /// Needs more time for it.
    Renew,
}

impl AcknowledgeType {
    /// The type of Kafka's number.
    pub fn from_number(number: i8) -> Option<AcknowledgeType> {
        match number {
            0 => Some(AcknowledgeType::Gap),
            1 => Some(AcknowledgeType::Accept),
            2 => Some(AcknowledgeType::Release),
            3 => Some(AcknowledgeType::Reject),
            4 => Some(AcknowledgeType::Renew),
            _ => None,
        }
    }
}

/// What a member says of neighbours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledgement {
    /// The first of them.
    pub first: Offset,
    /// The last of them.
    pub last: Offset,
    /// One for each, or one for all.
    pub types: Vec<AcknowledgeType>,
}

/// How a call was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepted {
    /// Nothing has to be written down for it.
    Done,
    /// It counts with the write of this number.
    WithWrite(u64),
}

impl SharePartition {
    /// Takes what a member says. The calls' ranges must be in order.
    ///
    /// # Errors
    /// 121: the member does not have one of the records, or has spoken of it already. 42: records that were never handed
    /// out, or another number of types than of records. Nothing has changed.
    pub fn acknowledge(
        &mut self,
        member: &str,
        said: &[Acknowledgement],
        rules: &DeliveryRules,
        now_ms: i64,
    ) -> Result<Accepted, ErrorCode> {
        self.check(member, said)?;
        let (number, mut written) = (self.next_write, false);
        for one in said {
            for (first, end, kind) in one.spans() {
                self.window.change(first..end, |run| {
                    let Hold::Held(lock) = &run.hold else { return None };
                    let settled = rules.settled(kind, run.delivery_count);
                    written |= settled.is_some();
                    let hold = match settled {
                        Some(to) => Hold::Settling { lock: lock.clone(), to, write: number },
                        None => Hold::Held(Lock {
                            until_ms: now_ms.saturating_add(rules.lock_duration_ms),
                            ..lock.clone()
                        }),
                    };
                    Some(Run { hold, ..run.clone() })
                });
            }
        }
        Ok(if written { Accepted::WithWrite(number) } else { Accepted::Done })
    }

    /// Whether a member may say that.
    fn check(&self, member: &str, said: &[Acknowledgement]) -> Result<(), ErrorCode> {
        let mut spoken_of = i64::MIN;
        let mut more_runs = 0;
        for one in said {
            let length = one.last.0.saturating_sub(one.first.0).saturating_add(1);
            let fits = one.types.len() == 1 || i64::try_from(one.types.len()) == Ok(length);
            if length <= 0 || !fits {
                return Err(ErrorCode::INVALID_REQUEST);
            }
            if one.last.0 < self.window.start() {
                continue;
            }
            if one.last.0 >= self.window.end() {
                return Err(ErrorCode::INVALID_REQUEST);
            }
            let held = |run: &Run| matches!(&run.hold, Hold::Held(lock) if *lock.member == *member);
            let records = one.first.0..one.last.0 + 1;
            if one.first.0 <= spoken_of || !self.window.runs_in(records).all(|(_, run)| held(run)) {
                return Err(ErrorCode::INVALID_RECORD_STATE);
            }
            spoken_of = one.last.0;
            more_runs += 2 + one.types.windows(2).filter(|pair| pair.first() != pair.last()).count();
        }
        if self.window.run_count() + more_runs > limits::RUNS_MAX {
            return Err(ErrorCode::INVALID_REQUEST);
        }
        Ok(())
    }

    /// The member has gone: what it has may be had again. Says whether it had anything.
    pub fn release(&mut self, member: &str, rules: &DeliveryRules) -> bool {
        self.give_back(rules, |lock| *lock.member == *member)
    }

    /// Time has passed: takes back what members have held for too long. Says whether there was anything.
    pub fn on_time(&mut self, rules: &DeliveryRules, now_ms: i64) -> bool {
        self.give_back(rules, |lock| lock.until_ms <= now_ms)
    }

    /// When [`SharePartition::on_time`] has something to do next, on the broker clock.
    pub fn next_deadline_ms(&self) -> Option<i64> {
        let locks = self.window.runs().filter_map(|(_, run)| match &run.hold {
            Hold::Held(lock) => Some(lock.until_ms),
            _ => None,
        });
        locks.min()
    }

    fn give_back(&mut self, rules: &DeliveryRules, from: impl Fn(&Lock) -> bool) -> bool {
        let mut any = false;
        self.window.change(self.window.start()..self.window.end(), |run| match &run.hold {
            Hold::Held(lock) if from(lock) => {
                any = true;
                let hold = Hold::of(rules.given_back(run.delivery_count));
                Some(Run { hold, saved: Saved::No, ..*run })
            }
            _ => None,
        });
        if any {
            self.move_start();
        }
        any
    }
}

impl Acknowledgement {
    /// Neighbours of which the same is said: first, exclusive end, what.
    fn spans(&self) -> Vec<(i64, i64, AcknowledgeType)> {
        if let [of_all] = self.types[..] {
            return vec![(self.first.0, self.last.0 + 1, of_all)];
        }
        let mut spans: Vec<(i64, i64, AcknowledgeType)> = Vec::new();
        for (offset, kind) in (self.first.0..).zip(&self.types) {
            match spans.last_mut() {
                Some((_, end, same)) if same == kind => *end = offset + 1,
                _ => spans.push((offset, offset + 1, *kind)),
            }
        }
        spans
    }
}

impl DeliveryRules {
    /// What becomes of a record; `None` if it stays with its member.
    fn settled(&self, kind: AcknowledgeType, delivery_count: i16) -> Option<DeliveryState> {
        match kind {
            AcknowledgeType::Accept => Some(DeliveryState::Acknowledged),
            AcknowledgeType::Gap | AcknowledgeType::Reject => Some(DeliveryState::Archived),
            AcknowledgeType::Release => Some(self.given_back(delivery_count)),
            AcknowledgeType::Renew => None,
        }
    }

    /// What becomes of a record that nobody is done with.
    fn given_back(&self, delivery_count: i16) -> DeliveryState {
        if delivery_count >= self.delivery_count_max {
            DeliveryState::Archived
        } else {
            DeliveryState::Available
        }
    }
}
