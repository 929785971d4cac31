//! What can be wrong with a record batch, and the Kafka code for it.

use thiserror::Error;

use super::Compression;
use crate::error_code::ErrorCode;

/// A batch that cannot be taken or read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BatchError {
    /// The records field is null or empty, or holds more than one batch.
    #[error("records hold {count} batches, a produce request must bring exactly one")]
    NotOneBatch {
        /// Batches found; 2 stands for more.
        count: usize,
    },
    /// The bytes end inside the batch.
    #[error("batch takes {needed} bytes, {received} were received")]
    Truncated {
        /// Bytes the batch takes.
        needed: usize,
        /// Bytes that are there.
        received: usize,
    },
    /// A length field below that of an empty batch.
    #[error("batch length field {length} is impossible")]
    BadLength {
        /// The length field.
        length: i32,
    },
    /// A batch in another format.
    #[error("batch has magic {magic}, only 2 is supported; use a client of kafka 0.11 or later")]
    Magic {
        /// The magic byte.
        magic: i8,
    },
    /// The batch is larger than the topic allows.
    #[error("batch of {bytes} bytes exceeds max.message.bytes of {max}")]
    TooLarge {
        /// The batch's size.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// The checksum does not match the bytes.
    #[error("batch checksum is {stored:#010x}, its bytes give {computed:#010x}")]
    Checksum {
        /// The checksum in the header.
        stored: u32,
        /// The checksum of the bytes.
        computed: u32,
    },
    /// Record count and last offset disagree, or are not positive.
    #[error("batch claims {count} records and last offset delta {last_offset_delta}")]
    Count {
        /// The record count.
        count: i32,
        /// The last offset delta.
        last_offset_delta: i32,
    },
    /// A control batch, which only brokers write.
    #[error("clients may not write control batches")]
    ControlBatch,
    /// Producer id, epoch and sequence do not go together.
    #[error("batch of producer {producer_id} has sequence {base_sequence} and transactional={transactional}")]
    Producer {
        /// The producer id, or -1.
        producer_id: i64,
        /// The first sequence number, or -1.
        base_sequence: i32,
        /// Whether the batch is part of a transaction.
        transactional: bool,
    },
    /// A codec number without a codec.
    #[error("compression type {id} is unknown")]
    UnknownCompression {
        /// The number in the attributes.
        id: i16,
    },
    /// Compressed records that do not decompress.
    #[error("{codec} records are corrupt: {reason}")]
    Decompress {
        /// The codec.
        codec: Compression,
        /// What the codec says.
        reason: String,
    },
    /// Records that a codec could not compress.
    #[error("records cannot be compressed with {codec}: {reason}")]
    Compress {
        /// The codec.
        codec: Compression,
        /// What the codec says.
        reason: String,
    },
    /// Compressed records that grow beyond the bounds.
    #[error("{codec} records exceed the limit of {limit} bytes when decompressed")]
    Bomb {
        /// The codec.
        codec: Compression,
        /// The limit for this batch, in bytes.
        limit: usize,
    },
    /// A record that does not fit its batch.
    #[error("record {index} is malformed: {reason}")]
    Record {
        /// The record's place in the batch.
        index: i32,
        /// What is wrong with it.
        reason: &'static str,
    },
}

impl BatchError {
    /// The Kafka code a producer gets.
    pub const fn error_code(&self) -> ErrorCode {
        match self {
            BatchError::Checksum { .. } => ErrorCode::CORRUPT_MESSAGE,
            BatchError::TooLarge { .. } => ErrorCode::MESSAGE_TOO_LARGE,
            BatchError::Compress { .. } => ErrorCode::UNKNOWN_SERVER_ERROR,
            BatchError::UnknownCompression { .. } => ErrorCode::UNSUPPORTED_COMPRESSION_TYPE,
            BatchError::NotOneBatch { .. }
            | BatchError::Truncated { .. }
            | BatchError::BadLength { .. }
            | BatchError::Magic { .. }
            | BatchError::Count { .. }
            | BatchError::ControlBatch
            | BatchError::Producer { .. }
            | BatchError::Decompress { .. }
            | BatchError::Bomb { .. }
            | BatchError::Record { .. } => ErrorCode::INVALID_RECORD,
        }
    }
}
