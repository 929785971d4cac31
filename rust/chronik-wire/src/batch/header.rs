//! The 61 bytes in front of the records.
//!
//! ```text
//!  0 base_offset i64        16 magic i8                 35 max_timestamp i64
//!  8 batch_length i32       17 crc u32 (of 21..)        43 producer_id i64
//! 12 leader_epoch i32       21 attributes i16           51 producer_epoch i16
//!                           23 last_offset_delta i32    53 base_sequence i32
//!                           27 base_timestamp i64       57 record_count i32
//! ```

use bytes::Buf;

use super::{BatchError, Compression};
use crate::types::{LeaderEpoch, Offset};

/// Bytes before the first record.
pub const HEADER_BYTES: usize = 61;

/// Bytes the length field does not count: base offset and the length field itself.
pub const OVERHEAD_BYTES: usize = 12;

/// The only supported format.
pub const MAGIC: i8 = 2;

/// Where the format byte stands, in this and in the older formats.
const MAGIC_AT: usize = 16;

/// The attribute bits of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Attributes(pub i16);

impl Attributes {
    const COMPRESSION: i16 = 0x07;
    /// Timestamps are the broker's, not the producer's.
    pub const LOG_APPEND_TIME: i16 = 0x08;
    /// The batch belongs to a transaction.
    pub const TRANSACTIONAL: i16 = 0x10;
    /// The batch is a control batch.
    pub const CONTROL: i16 = 0x20;

    /// How the records are compressed.
    pub const fn compression(self) -> Result<Compression, BatchError> {
        Compression::from_id(self.0 & Self::COMPRESSION)
    }

    /// The same attributes with another codec.
    pub const fn with_compression(self, codec: Compression) -> Attributes {
        Attributes(self.0 & !Self::COMPRESSION | codec.id())
    }

    /// Whether timestamps are the broker's.
    pub const fn is_log_append_time(self) -> bool {
        self.0 & Self::LOG_APPEND_TIME != 0
    }

    /// Whether the batch belongs to a transaction.
    pub const fn is_transactional(self) -> bool {
        self.0 & Self::TRANSACTIONAL != 0
    }

    /// Whether this is a control batch.
    pub const fn is_control(self) -> bool {
        self.0 & Self::CONTROL != 0
    }
}

/// The header's fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    /// Offset of the first record.
    pub base_offset: Offset,
    /// Bytes after the length field.
    pub batch_length: i32,
    /// Epoch of the leader that appended the batch.
    pub partition_leader_epoch: LeaderEpoch,
    /// CRC32C of the bytes from the attributes on.
    pub crc: u32,
    /// Compression, timestamp type, transactional, control.
    pub attributes: Attributes,
    /// Offset of the last record, counted from the base offset.
    pub last_offset_delta: i32,
    /// Timestamp the records count from, in milliseconds.
    pub base_timestamp: i64,
    /// Largest timestamp in the batch, in milliseconds.
    pub max_timestamp: i64,
    /// The producer, or -1.
    pub producer_id: i64,
    /// The producer's epoch, or -1.
    pub producer_epoch: i16,
    /// Sequence number of the first record, or -1.
    pub base_sequence: i32,
    /// Number of records.
    pub record_count: i32,
}

impl BatchHeader {
    /// Reads the header at the front of `bytes`, which may go on behind the batch or end before its records do.
    /// Checks format and length field, nothing else.
    pub fn parse(bytes: &[u8]) -> Result<BatchHeader, BatchError> {
        if let Some(&magic) = bytes.get(MAGIC_AT)
            && magic as i8 != MAGIC
        {
            return Err(BatchError::Magic { magic: magic as i8 });
        }
        let Some(mut header) = bytes.get(..HEADER_BYTES) else {
            return Err(BatchError::Truncated { needed: HEADER_BYTES, received: bytes.len() });
        };
        let base_offset = Offset(header.get_i64());
        let batch_length = header.get_i32();
        let partition_leader_epoch = LeaderEpoch(header.get_i32());
        let _magic = header.get_i8();
        let parsed = BatchHeader {
            base_offset,
            batch_length,
            partition_leader_epoch,
            crc: header.get_u32(),
            attributes: Attributes(header.get_i16()),
            last_offset_delta: header.get_i32(),
            base_timestamp: header.get_i64(),
            max_timestamp: header.get_i64(),
            producer_id: header.get_i64(),
            producer_epoch: header.get_i16(),
            base_sequence: header.get_i32(),
            record_count: header.get_i32(),
        };
        match usize::try_from(batch_length) {
            Ok(length) if length >= HEADER_BYTES - OVERHEAD_BYTES => Ok(parsed),
            _ => Err(BatchError::BadLength { length: batch_length }),
        }
    }

    /// Bytes of the whole batch.
    pub const fn size_bytes(&self) -> usize {
        OVERHEAD_BYTES + self.batch_length as usize
    }

    /// Offset of the last record.
    pub const fn last_offset(&self) -> Offset {
        Offset(self.base_offset.0.saturating_add(self.last_offset_delta as i64))
    }

    /// Offset after the last record.
    pub const fn next_offset(&self) -> Offset {
        Offset(self.last_offset().0.saturating_add(1))
    }

    /// Whether an idempotent or transactional producer wrote the batch.
    pub const fn has_producer(&self) -> bool {
        self.producer_id >= 0
    }

    /// Sequence number of the last record; sequence numbers begin at 0 again after the largest.
    pub const fn last_sequence(&self) -> i32 {
        if self.base_sequence < 0 {
            return self.base_sequence;
        }
        let last = self.base_sequence as i64 + self.last_offset_delta as i64;
        (last % (i32::MAX as i64 + 1)) as i32
    }
}
