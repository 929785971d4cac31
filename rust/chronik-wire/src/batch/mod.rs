//! Record batches, format 2: the unit that is produced, replicated, stored and fetched.
//!
//! Owns the layout of the 61-byte header and of the records behind it. A batch is never re-encoded: a broker writes
//! `base_offset` and `partition_leader_epoch`, which the checksum does not cover, and keeps every other byte.
//!
//! - [`BatchView`]: a batch without a copy; [`split_batches`] cuts a records field into them.
//! - [`validate_produced`]: what a producer's batch must be; [`validate_records`] looks at each record too.
//! - [`stamp`]: writes offset and epoch in place.
//! - [`BatchView::records`]: decompresses within bounds and walks the records.
//! - [`EndTransaction`]: what the control batch at a transaction's end says.
//! - [`BatchBuilder`]: writes batches.
//! - [`retain`], [`recompress`]: the exceptions, for compaction and a topic's own codec.

mod builder;
mod compression;
mod end_transaction;
mod error;
mod header;
mod produced;
mod records;
mod rewrite;
mod stamp;
mod varint;
mod view;

pub use builder::{BatchBuilder, BuildError, ControlMarker};
pub use compression::Compression;
pub use end_transaction::EndTransaction;
pub use error::BatchError;
pub use header::{Attributes, BatchHeader, HEADER_BYTES, MAGIC, OVERHEAD_BYTES};
pub use produced::{BatchLimits, validate_produced};
pub use records::{Headers, Record, RecordHeader, RecordIter, RecordsSummary, validate_records};
pub use rewrite::{RecordParts, Retained, emptied, recompress, retain, visit_records};
pub use stamp::{into_unique, stamp, stamp_append_time};
pub use view::{BatchView, SplitBatches, split_batches};
