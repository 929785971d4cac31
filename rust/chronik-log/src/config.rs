//! How a log cuts segments, indexes, caches and syncs. May be replaced while the log runs.

use crate::limits::{SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN};

/// Options of a [`PartitionLog`](crate::PartitionLog). Shared by all logs that have the same ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// A segment that would grow beyond this many bytes is closed and a new one begun. An entry larger than
    /// that gets a segment of its own.
    pub segment_bytes: u64,
    /// A segment is closed when a batch is this much younger than the segment's first, in milliseconds of
    /// the batches' own timestamps. `None`: never by age.
    pub segment_ms: Option<u64>,
    /// The sparse index gets a point every so many bytes.
    pub index_interval_bytes: u32,
    /// Bytes of recent entries kept in memory; at least the last entry always is.
    pub tail_bytes: usize,
    /// Whether "persisted" means synced. `false` for the durability modes `os` and `memory`: then nothing is
    /// ever dirty, and what was written counts as persisted.
    pub fsync: bool,
}

impl LogConfig {
    /// The segment size within its bounds.
    pub(crate) fn segment_bytes_bounded(&self) -> u64 {
        self.segment_bytes.clamp(SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX)
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        LogConfig {
            segment_bytes: 250 << 20,
            segment_ms: None,
            index_interval_bytes: 4096,
            tail_bytes: 4 << 20,
            fsync: true,
        }
    }
}
