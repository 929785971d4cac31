//! Letting other threads go first. A compaction is in no hurry, and a thread that serves clients is: where a scheduler lets
//! whoever runs finish its slice of milliseconds, each of these points ends the slice early. A lower priority would not, and
//! could hold up everybody who needs a lock that the compaction holds.

/// Records that a compaction looks at before it lets others go first: some tens of microseconds.
const RECORDS_PER_TURN: u32 = 64;

/// Lets whoever waits for this processor run now.
pub(super) fn give_way() {
    std::thread::yield_now();
}

/// Counts the records of a batch, and gives way now and then.
#[derive(Default)]
pub(super) struct Turns {
    records: u32,
}

impl Turns {
    /// Another record.
    pub(super) fn pass(&mut self) {
        self.records += 1;
        if self.records.is_multiple_of(RECORDS_PER_TURN) {
            give_way();
        }
    }
}
