//! Writes batches: for clients such as tests and the load generator, and for records a broker writes itself.

use bytes::{BufMut, Bytes, BytesMut};
use thiserror::Error;

use super::stamp::put;
use super::varint::{put_varlong, varlong_bytes};
use super::view::checksum;
use super::{Attributes, Compression, HEADER_BYTES, MAGIC, OVERHEAD_BYTES};
use crate::types::{LeaderEpoch, Offset};

/// A batch that cannot be written.
#[derive(Debug, Error)]
pub enum BuildError {
    /// No record was added.
    #[error("a batch needs at least one record")]
    Empty,
    /// The batch's length field cannot hold its size.
    #[error("batch of {bytes} bytes is longer than its length field can say")]
    TooLong {
        /// The size.
        bytes: usize,
    },
    /// The codec failed.
    #[error("{codec} could not compress the records")]
    Compress {
        /// The codec.
        codec: Compression,
        /// Why.
        source: std::io::Error,
    },
}

/// How a transaction ended, as a control record tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControlMarker {
    /// The transaction's records do not count.
    Abort,
    /// The transaction's records count.
    Commit,
}

impl ControlMarker {
    /// The marker of a control record's key, if it is one that ends a transaction.
    pub fn from_key(key: &[u8]) -> Option<ControlMarker> {
        match key {
            [_, _, 0, 0, ..] => Some(ControlMarker::Abort),
            [_, _, 0, 1, ..] => Some(ControlMarker::Commit),
            _ => None,
        }
    }

    /// The key of its control record: version 0 and the kind.
    pub const fn key(self) -> [u8; 4] {
        match self {
            ControlMarker::Abort => [0, 0, 0, 0],
            ControlMarker::Commit => [0, 0, 0, 1],
        }
    }
}

/// Gathers records and writes them as one batch.
///
/// ```
/// use chronik_wire::batch::{BatchBuilder, Compression};
///
/// let batch = BatchBuilder::new()
///     .compression(Compression::Lz4)
///     .record(1_700_000_000_000, Some(b"key"), Some(b"value"))
///     .build()?;
/// # Ok::<(), chronik_wire::batch::BuildError>(())
/// ```
#[derive(Clone, Debug)]
pub struct BatchBuilder {
    compression: Compression,
    attributes: i16,
    base_offset: Offset,
    epoch: LeaderEpoch,
    producer_id: i64,
    producer_epoch: i16,
    base_sequence: i32,
    base_timestamp: i64,
    max_timestamp: i64,
    count: i32,
    records: Vec<u8>,
}

impl Default for BatchBuilder {
    fn default() -> Self {
        BatchBuilder::new()
    }
}

impl BatchBuilder {
    /// An empty batch at offset 0, uncompressed, of no producer.
    pub fn new() -> Self {
        BatchBuilder {
            compression: Compression::None,
            attributes: 0,
            base_offset: Offset::ZERO,
            epoch: LeaderEpoch::NONE,
            producer_id: -1,
            producer_epoch: -1,
            base_sequence: -1,
            base_timestamp: -1,
            max_timestamp: -1,
            count: 0,
            records: Vec::new(),
        }
    }

    /// Compresses the records.
    pub fn compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// Sets the offset of the first record.
    pub fn base_offset(mut self, base_offset: Offset) -> Self {
        self.base_offset = base_offset;
        self
    }

    /// Sets the epoch of the leader that appends the batch.
    pub fn leader_epoch(mut self, epoch: LeaderEpoch) -> Self {
        self.epoch = epoch;
        self
    }

    /// Sets producer id, producer epoch and the first sequence number.
    pub fn producer(mut self, id: i64, epoch: i16, base_sequence: i32) -> Self {
        self.producer_id = id;
        self.producer_epoch = epoch;
        self.base_sequence = base_sequence;
        self
    }

    /// Makes the batch part of a transaction.
    pub fn transactional(mut self) -> Self {
        self.attributes |= Attributes::TRANSACTIONAL;
        self
    }

    /// Makes it a control batch.
    pub fn control(mut self) -> Self {
        self.attributes |= Attributes::CONTROL;
        self
    }

    /// Marks the timestamps as the broker's.
    pub fn log_append_time(mut self) -> Self {
        self.attributes |= Attributes::LOG_APPEND_TIME;
        self
    }

    /// Adds a record without headers; for chains.
    pub fn record(mut self, timestamp_ms: i64, key: Option<&[u8]>, value: Option<&[u8]>) -> Self {
        self.push(timestamp_ms, key, value, &[]);
        self
    }

    /// Adds a record.
    pub fn push(
        &mut self,
        timestamp_ms: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&str, Option<&[u8]>)],
    ) {
        if self.count == 0 {
            self.base_timestamp = timestamp_ms;
            self.max_timestamp = timestamp_ms;
        }
        self.max_timestamp = self.max_timestamp.max(timestamp_ms);
        let timestamp_delta = timestamp_ms.saturating_sub(self.base_timestamp);
        let offset_delta = i64::from(self.count);
        let fields_bytes = 1
            + varlong_bytes(timestamp_delta)
            + varlong_bytes(offset_delta)
            + nullable_bytes(key)
            + nullable_bytes(value)
            + varlong_bytes(headers.len() as i64)
            + headers
                .iter()
                .map(|(key, value)| nullable_bytes(Some(key.as_bytes())) + nullable_bytes(*value))
                .sum::<usize>();
        let out = &mut self.records;
        out.reserve(varlong_bytes(fields_bytes as i64) + fields_bytes);
        put_varlong(out, fields_bytes as i64);
        let fields_from = out.len();
        out.push(0);
        put_varlong(out, timestamp_delta);
        put_varlong(out, offset_delta);
        put_nullable(out, key);
        put_nullable(out, value);
        put_varlong(out, headers.len() as i64);
        for (key, value) in headers {
            put_nullable(out, Some(key.as_bytes()));
            put_nullable(out, *value);
        }
        assert_eq!(
            out.len() - fields_from,
            fields_bytes,
            "a record must be as long as its length field says"
        );
        self.count += 1;
    }

    /// Adds the control record that ends a transaction, and makes the batch what must be around it.
    pub fn end_transaction(self, timestamp_ms: i64, marker: ControlMarker, coordinator_epoch: i32) -> Self {
        let mut value = [0; 6];
        put(&mut value, 2, coordinator_epoch.to_be_bytes());
        self.transactional().control().record(timestamp_ms, Some(&marker.key()), Some(&value))
    }

    /// Number of records so far.
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether no record was added.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes of the batch so far, before compression.
    pub fn plain_bytes(&self) -> usize {
        HEADER_BYTES + self.records.len()
    }

    /// Writes the batch into a buffer of its own, where it can still be stamped.
    pub fn build_mut(self) -> Result<BytesMut, BuildError> {
        if self.count == 0 {
            return Err(BuildError::Empty);
        }
        let payload = match self.compression {
            Compression::None => self.records,
            codec => {
                codec.compress(&self.records).map_err(|source| BuildError::Compress { codec, source })?
            }
        };
        let bytes = HEADER_BYTES + payload.len();
        let length = i32::try_from(bytes - OVERHEAD_BYTES).map_err(|_| BuildError::TooLong { bytes })?;
        let mut batch = BytesMut::with_capacity(bytes);
        batch.put_i64(self.base_offset.0);
        batch.put_i32(length);
        batch.put_i32(self.epoch.0);
        batch.put_i8(MAGIC);
        batch.put_u32(0);
        batch.put_i16(self.attributes | self.compression.id());
        batch.put_i32(self.count - 1);
        batch.put_i64(self.base_timestamp);
        batch.put_i64(self.max_timestamp);
        batch.put_i64(self.producer_id);
        batch.put_i16(self.producer_epoch);
        batch.put_i32(self.base_sequence);
        batch.put_i32(self.count);
        batch.put_slice(&payload);
        let crc = checksum(&batch);
        put(&mut batch, 17, crc.to_be_bytes());
        Ok(batch)
    }

    /// Writes the batch.
    pub fn build(self) -> Result<Bytes, BuildError> {
        self.build_mut().map(BytesMut::freeze)
    }
}

fn put_nullable(out: &mut Vec<u8>, field: Option<&[u8]>) {
    match field {
        Some(bytes) => {
            put_varlong(out, bytes.len() as i64);
            out.extend_from_slice(bytes);
        }
        None => put_varlong(out, -1),
    }
}

fn nullable_bytes(field: Option<&[u8]>) -> usize {
    match field {
        Some(bytes) => varlong_bytes(bytes.len() as i64) + bytes.len(),
        None => varlong_bytes(-1),
    }
}
