//! A batch seen through its bytes.

use bytes::Bytes;

use super::{BatchError, BatchHeader, HEADER_BYTES, RecordIter};

/// Bytes before the part that the checksum covers.
const CHECKED_FROM: usize = 21;

/// One whole batch: its bytes, shared, and its header, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchView {
    header: BatchHeader,
    bytes: Bytes,
}

impl BatchView {
    /// Looks at bytes that hold exactly one batch. Does not compute the checksum.
    pub fn parse(bytes: Bytes) -> Result<BatchView, BatchError> {
        let header = BatchHeader::parse(&bytes)?;
        match header.size_bytes() {
            needed if needed > bytes.len() => Err(BatchError::Truncated { needed, received: bytes.len() }),
            needed if needed < bytes.len() => Err(BatchError::NotOneBatch { count: 2 }),
            _ => Ok(BatchView { header, bytes }),
        }
    }

    /// The header's fields.
    pub const fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// All bytes of the batch.
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// All bytes of the batch, without the view.
    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }

    /// Compares the checksum with the bytes.
    pub fn verify_checksum(&self) -> Result<(), BatchError> {
        let computed = checksum(&self.bytes);
        if computed == self.header.crc {
            return Ok(());
        }
        Err(BatchError::Checksum { stored: self.header.crc, computed })
    }

    /// Walks the records, decompressing them first where needed.
    pub fn records(&self) -> Result<RecordIter, BatchError> {
        RecordIter::new(&self.header, self.plain_records()?)
    }

    /// The record bytes behind the header, decompressed within bounds.
    pub(super) fn plain_records(&self) -> Result<Bytes, BatchError> {
        let payload = self.bytes.slice(HEADER_BYTES.min(self.bytes.len())..);
        self.header.attributes.compression()?.decompress(&payload)
    }
}

/// The checksum over a whole batch's bytes: CRC32C from the attributes on.
pub(super) fn checksum(batch: &[u8]) -> u32 {
    let checked = batch.get(CHECKED_FROM..).unwrap_or_default();
    crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, checked) as u32
}

/// Cuts a records field into its batches.
pub fn split_batches(records: Bytes) -> SplitBatches {
    SplitBatches { rest: records }
}

/// The batches of a records field. After an error it ends.
#[derive(Clone, Debug)]
pub struct SplitBatches {
    rest: Bytes,
}

impl Iterator for SplitBatches {
    type Item = Result<BatchView, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let mut rest = std::mem::take(&mut self.rest);
        let header = match BatchHeader::parse(&rest) {
            Ok(header) => header,
            Err(error) => return Some(Err(error)),
        };
        let needed = header.size_bytes();
        if needed > rest.len() {
            return Some(Err(BatchError::Truncated { needed, received: rest.len() }));
        }
        let bytes = rest.split_to(needed);
        self.rest = rest;
        Some(Ok(BatchView { header, bytes }))
    }
}
