//! What the coordinator is told: everything it does not know yet, one write at a time.
//!
//! While a write is under way what happens next gathers for the one after it, so that many calls cost one record of the
//! coordinator's log. The writes are numbered; a call counts when the write with its number does.

use chronik_wire::types::Offset;

use super::SharePartition;
use super::window::{Hold, Run, Saved};
use crate::share::delivery::{DeliveryState, StateBatch};

/// One write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateWrite {
    /// Its number.
    pub number: u64,
    /// The first record that is not done once this is written.
    pub start: Offset,
    /// How many records from there on are done.
    pub complete_count: i64,
    /// What is new of records from there on.
    pub batches: Vec<StateBatch>,
}

impl SharePartition {
    /// What is to be written now; `None` if there is nothing, or a write is under way.
    pub fn take_write(&mut self) -> Option<StateWrite> {
        if self.write_under_way.is_some() || !self.has_unwritten() {
            return None;
        }
        let number = self.next_write;
        self.next_write += 1;
        let first_open = self.window.runs().find(|(_, run)| !run.is_done_with(number));
        let start = first_open.map_or(self.window.end(), |(range, _)| range.start);
        let (mut complete_count, mut batches) = (0, Vec::<StateBatch>::new());
        for (range, run) in self.window.runs_in(start..self.window.end()) {
            if run.is_done_with(number) {
                complete_count += range.end - range.start;
            }
            if let Some(state) = run.to_be_written() {
                let (first, last) = (Offset(range.start), Offset(range.end - 1));
                batches.push(StateBatch { first, last, state, delivery_count: run.delivery_count });
            }
        }
        self.window.change(self.window.start()..self.window.end(), |run| {
            let unwritten = matches!(run.hold, Hold::Free | Hold::Done(_)) && run.saved == Saved::No;
            unwritten.then(|| Run { saved: Saved::Writing(number), ..run.clone() })
        });
        self.write_under_way = Some((number, start));
        Some(StateWrite { number, start: Offset(start), complete_count, batches })
    }

    /// The write under way is done, or could not be done. What was to count with it counts, or is with its members again;
    /// their time goes on. Says whether there may be more to be had than before.
    pub fn on_written(&mut self, written: bool) -> bool {
        let Some((number, start)) = self.write_under_way.take() else { return false };
        let mut free = false;
        self.window.change(self.window.start()..self.window.end(), |run| match (&run.hold, run.saved) {
            (Hold::Settling { to, write, .. }, _) if *write == number && written => {
                free |= *to == DeliveryState::Available;
                Some(Run { hold: Hold::of(*to), saved: Saved::Yes, ..*run })
            }
            (Hold::Settling { lock, write, .. }, _) if *write == number => {
                Some(Run { hold: Hold::Held(lock.clone()), ..*run })
            }
            (_, Saved::Writing(writing)) if writing == number => {
                let saved = if written { Saved::Yes } else { Saved::No };
                Some(Run { saved, ..run.clone() })
            }
            _ => None,
        });
        if written {
            self.saved_start = start;
            self.move_start();
        }
        free || written
    }

    /// The number of the write under way.
    pub fn write_under_way(&self) -> Option<u64> {
        self.write_under_way.map(|(number, _)| number)
    }

    /// Whether there is anything the coordinator does not know and no write under way tells it.
    pub fn has_unwritten(&self) -> bool {
        let number = self.next_write;
        let told_start = self.write_under_way.map_or(self.saved_start, |(_, start)| start);
        told_start < self.window.start()
            || self.window.runs().any(|(_, run)| match &run.hold {
                Hold::Settling { write, .. } => *write == number,
                Hold::Held(_) => false,
                Hold::Free | Hold::Done(_) => run.saved == Saved::No,
            })
    }
}

impl Hold {
    /// What is so of a record in that state that nobody has.
    pub(super) fn of(state: DeliveryState) -> Hold {
        if state.is_final() { Hold::Done(state) } else { Hold::Free }
    }
}

impl Run {
    /// The state to be told, unless the coordinator knows it or there is none yet.
    fn to_be_written(&self) -> Option<DeliveryState> {
        match (&self.hold, self.saved) {
            (Hold::Settling { to, .. }, _) => Some(*to),
            (Hold::Free, Saved::No) => Some(DeliveryState::Available),
            (Hold::Done(state), Saved::No) => Some(*state),
            (Hold::Free | Hold::Done(_) | Hold::Held(_), _) => None,
        }
    }
}
