//! Whether it is time to compact, and how far: what a leader looks at before it proposes a plan.

use chronik_wire::types::Offset;

use crate::PartitionLog;
use crate::entry::NO_TIMESTAMP;
use crate::segment::Segment;

/// The part of a topic's configuration that compaction goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompactionRules {
    /// Records younger than this are left alone, in milliseconds.
    pub min_lag_ms: u64,
    /// Records older than this are compacted whatever the ratio, in milliseconds; `None`: no such bound.
    pub max_lag_ms: Option<u64>,
    /// The log is compacted when the part that was not makes up more than this share of it, in millionths.
    pub min_dirty_millionths: u32,
    /// How long tombstones stay readable after they were first compacted, in milliseconds.
    pub delete_retention_ms: u64,
}

impl Default for CompactionRules {
    /// Kafka's defaults.
    fn default() -> Self {
        CompactionRules {
            min_lag_ms: 0,
            max_lag_ms: None,
            min_dirty_millionths: 500_000,
            delete_retention_ms: 24 * 3_600_000,
        }
    }
}

impl PartitionLog {
    /// Up to where the log should be compacted now, if it should: the end of a closed segment, not beyond `limit`, behind
    /// which a replica can start.
    pub fn compaction_candidate(
        &self,
        now_ms: i64,
        rules: &CompactionRules,
        limit: Offset,
    ) -> Option<Offset> {
        let (clean_end, clean_bytes) =
            self.compacted().map_or((Offset::ZERO, 0), |compacted| (compacted.up_to, compacted.size_bytes));
        let clean_end = clean_end.max(self.log_start());
        let old_enough = |segment: &&Segment| {
            rules.min_lag_ms == 0 || !is_younger(segment.max_timestamp, now_ms, rules.min_lag_ms)
        };
        let dirty = self
            .closed_segments()
            .iter()
            .skip_while(|segment| segment.end_offset <= clean_end)
            .take_while(|segment| segment.end_offset <= limit)
            .take_while(old_enough);
        let (mut up_to, mut dirty_bytes, mut cleanable_bytes) = (None, 0, 0);
        let mut oldest = NO_TIMESTAMP;
        for segment in dirty {
            dirty_bytes += segment.size_bytes;
            if oldest == NO_TIMESTAMP {
                oldest = segment.first_timestamp();
            }
            if segment.has_batches() && self.has_boundary(segment.last_index()) {
                (up_to, cleanable_bytes) = (Some(segment.end_offset), dirty_bytes);
            }
        }
        let overdue = rules
            .max_lag_ms
            .is_some_and(|limit_ms| oldest != NO_TIMESTAMP && !is_younger(oldest, now_ms, limit_ms));
        let millionths =
            1_000_000 * u128::from(cleanable_bytes) / u128::from((clean_bytes + cleanable_bytes).max(1));
        let dirty_enough = millionths > u128::from(rules.min_dirty_millionths);
        up_to.filter(|_| overdue || dirty_enough)
    }

    /// Closes the active segment if it holds batches and the first of them is older than `age_ms`, so that it can be
    /// compacted although nothing more is appended.
    pub fn roll_older_than(&mut self, now_ms: i64, age_ms: u64) {
        let aged = |segment: &Segment| {
            let first = segment.first_timestamp();
            segment.has_batches() && first != NO_TIMESTAMP && !is_younger(first, now_ms, age_ms)
        };
        if self.active_segment().is_some_and(aged) {
            self.close_active();
        }
    }
}

fn is_younger(timestamp_ms: i64, now_ms: i64, age_ms: u64) -> bool {
    now_ms.saturating_sub(timestamp_ms) < i64::try_from(age_ms).unwrap_or(i64::MAX)
}
