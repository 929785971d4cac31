//! One share-partition at the leader of its partition: from which record on consumers are served, what was handed out to
//! whom until when, and what the coordinator does not know yet.
//!
//! The walk of a record: free, held by a member (`acquire`), settled by what the member says or given back by time
//! (`acknowledge`), written down (`write`), behind the start and forgotten. Calls come with the rules in force and with
//! the broker clock.
//!
//! What must not happen here: reading a clock, waiting, knowing how records look or how a write is carried.

mod acknowledge;
mod acquire;
#[cfg(test)]
mod tests;
mod window;
mod write;

use chronik_wire::types::Offset;

pub use self::acknowledge::{Accepted, AcknowledgeType, Acknowledgement};
pub use self::acquire::{AcquireMode, AcquiredRange, ReadRange, Wanted};
use self::window::{Hold, Run, Saved, Window};
pub use self::write::StateWrite;
use super::delivery::{self, StateBatch};

/// The rules of a group, as they are configured now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeliveryRules {
    /// `share.record.lock.duration.ms`: how long a member may keep records.
    pub lock_duration_ms: i64,
    /// `share.delivery.count.limit`: how often a record is delivered before it is given up.
    pub delivery_count_max: i16,
    /// `share.partition.max.record.locks`: records of one partition that are not done.
    pub records_under_way_max: i64,
}

/// The deliveries of one partition to one group.
#[derive(Debug, Clone)]
pub struct SharePartition {
    window: Window,
    /// The start that the coordinator knows.
    saved_start: i64,
    /// The number that the next write will have.
    next_write: u64,
    /// The write under way, and the start it tells.
    write_under_way: Option<(u64, i64)>,
}

impl SharePartition {
    /// Takes over where the coordinator's account ends. Records it says nothing of between others were handed out and
    /// came to no end; nobody has them now.
    pub fn load(start: Offset, batches: &[StateBatch]) -> SharePartition {
        let mut window = Window::new(start.0);
        for batch in delivery::join(&[], batches, start) {
            window.extend(batch.first.0, Run::NEW);
            let (hold, delivery_count) = (Hold::of(batch.state), batch.delivery_count);
            window.extend(batch.last.0 + 1, Run { hold, delivery_count, saved: Saved::Yes });
        }
        let mut loaded =
            SharePartition { window, saved_start: start.0, next_write: 1, write_under_way: None };
        loaded.move_start();
        loaded
    }

    /// The first record that is not done.
    pub fn start(&self) -> Offset {
        Offset(self.window.start())
    }

    /// The record after the last that was handed out.
    pub fn end(&self) -> Offset {
        Offset(self.window.end())
    }

    /// Records that were handed out and are not done, those that may be had again included.
    pub fn records_under_way(&self) -> i64 {
        let open = self.window.runs().filter(|(_, run)| !matches!(run.hold, Hold::Done(_)));
        open.map(|(range, _)| range.end - range.start).sum()
    }

    /// How many different things are remembered: the measure of memory.
    pub fn run_count(&self) -> usize {
        self.window.run_count()
    }

    /// Whether a member has any record.
    pub fn is_held(&self) -> bool {
        self.window.runs().any(|(_, run)| matches!(run.hold, Hold::Held(_) | Hold::Settling { .. }))
    }

    /// The log begins at `log_start` now: what was before it is gone, whoever had it.
    pub fn on_log_start(&mut self, log_start: Offset) {
        self.window.cut_below(log_start.0);
        self.move_start();
    }

    /// Leaves behind what is done.
    fn move_start(&mut self) {
        let open = self.window.runs().find(|(_, run)| !matches!(run.hold, Hold::Done(_)));
        let start = open.map_or(self.window.end(), |(range, _)| range.start);
        self.window.cut_below(start);
    }
}
