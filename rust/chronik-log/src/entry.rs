//! One Raft entry and its form on disk: a 64-byte header, then the payload as it came.
//!
//! The header carries all that a lookup needs (index, offsets, timestamp), so that walking a segment touches
//! no payload. It also carries what was known to be synced when the entry was written: recovery uses it to
//! tell a torn tail, which may be cut, from damage to bytes that were promised, which may not.
//!
//! ```text
//! 0 magic · 4 crc of place and 8..64 · 8 data crc · 12 data length · 16 index · 24 term · 32 base offset
//! 40 max timestamp · 48 synced through · 56 offset count · 60 kind · 61 by sync · 62..64 zero   (big endian)
//! ```
//! For a batch the data crc covers its first 21 bytes only: the rest is covered by the batch's own CRC, which
//! is one of those 21 bytes. So no payload is passed over twice, and still no byte is uncovered.
//!
//! The header crc covers the header's place too, which is not stored: a header is one only where it was written. A
//! payload may hold a copy of a segment, and a disk may answer with the bytes of another place; neither is taken
//! for an entry, nor for proof of one.

use bytes::{BufMut, Bytes, BytesMut};
use chronik_wire::batch::BatchHeader;
use chronik_wire::types::Offset;

use crate::batch_header::{self, BATCH_CRC_START};
use crate::limits::ENTRY_DATA_BYTES_MAX;
use crate::{Index, Term};

/// What an entry carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum EntryKind {
    /// A new leader's first entry. No payload.
    Noop = 0,
    /// A membership change; opaque to the log.
    ConfigChange = 1,
    /// Exactly one record batch, data or transaction marker. The only kind that takes offsets.
    Batch = 2,
    /// A command of the replica itself, such as a move of the log start; opaque to the log.
    Control = 3,
}

impl EntryKind {
    fn from_byte(byte: u8) -> Option<EntryKind> {
        match byte {
            0 => Some(EntryKind::Noop),
            1 => Some(EntryKind::ConfigChange),
            2 => Some(EntryKind::Batch),
            3 => Some(EntryKind::Control),
            _ => None,
        }
    }
}

/// One entry of the log. Cloning shares the payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Position in the Raft log.
    pub index: Index,
    /// Term of the leader that proposed it.
    pub term: Term,
    /// What the payload is.
    pub kind: EntryKind,
    /// Offset of the first record of a batch; for other kinds the log end at that point.
    pub base_offset: Offset,
    /// The payload. A batch is stored byte for byte as the producer sent it, base offset and epoch apart.
    pub data: Bytes,
}

impl Entry {
    /// An entry to append. A batch's base offset is read from its bytes; for other kinds it is
    /// [`Offset::UNKNOWN`], to be filled in by [`append`](crate::PartitionLog::append).
    pub fn new(index: Index, term: Term, kind: EntryKind, data: Bytes) -> Entry {
        let base_offset = match kind {
            EntryKind::Batch => BatchHeader::parse(&data).map_or(Offset::UNKNOWN, |batch| batch.base_offset),
            EntryKind::Noop | EntryKind::ConfigChange | EntryKind::Control => Offset::UNKNOWN,
        };
        Entry { index, term, kind, base_offset, data }
    }

    /// The log end after this entry: past the last record of a batch, the base offset for other kinds.
    pub fn next_offset(&self) -> Offset {
        match self.kind {
            EntryKind::Batch => {
                BatchHeader::parse(&self.data).map_or(self.base_offset, |batch| batch.next_offset())
            }
            EntryKind::Noop | EntryKind::ConfigChange | EntryKind::Control => self.base_offset,
        }
    }
}

/// Where a header lies: in which segment of which generation, and at which byte of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) generation: u64,
    pub(crate) first_index: Index,
    pub(crate) position: u64,
}

impl Place {
    /// CRC32C of this place and `fields`.
    fn crc(self, fields: &[u8]) -> u32 {
        let mut covered = [0; PLACE_BYTES + ENTRY_HEADER_BYTES - FIELDS_START];
        let (place, rest) = covered.split_at_mut(PLACE_BYTES);
        place[..8].copy_from_slice(&self.generation.to_be_bytes());
        place[8..16].copy_from_slice(&self.first_index.0.to_be_bytes());
        place[16..].copy_from_slice(&self.position.to_be_bytes());
        rest.copy_from_slice(fields);
        crc_fast::crc32_iscsi(&covered)
    }
}

const PLACE_BYTES: usize = 24;

/// Where the part of a header begins that its crc covers.
const FIELDS_START: usize = 8;

/// Bytes that an entry takes in a segment before its payload.
pub(crate) const ENTRY_HEADER_BYTES: usize = 64;

/// First bytes of every entry header; what recovery looks for behind damaged bytes.
pub(crate) const ENTRY_MAGIC: [u8; 4] = [0xC4, 0x0E, 0x1F, 0xE7];

/// "No timestamp": the entry is no batch, or its records carry none.
pub(crate) const NO_TIMESTAMP: i64 = i64::MIN;

/// An entry's header, as stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EntryHeader {
    pub(crate) index: Index,
    pub(crate) term: Term,
    pub(crate) kind: EntryKind,
    pub(crate) base_offset: Offset,
    pub(crate) offset_count: u32,
    pub(crate) max_timestamp: i64,
    pub(crate) synced_through: Index,
    /// Whether the log syncs, so that `synced_through` speaks of syncs and not of mere writes.
    pub(crate) by_sync: bool,
    pub(crate) data_length: u32,
    data_crc: u32,
}

impl EntryHeader {
    /// The header for an entry that will sit at log end `at`; the reason, if the entry must not be written.
    pub(crate) fn describe(
        entry: &Entry,
        at: Offset,
        synced_through: Index,
    ) -> Result<EntryHeader, &'static str> {
        if entry.data.len() > ENTRY_DATA_BYTES_MAX {
            return Err("payload is larger than an entry may be");
        }
        let (offset_count, max_timestamp) = match entry.kind {
            EntryKind::Batch => {
                let batch = batch_header::parse_whole(&entry.data)?;
                if batch.base_offset != at || entry.base_offset != at {
                    return Err("base offset is not the log end");
                }
                let timestamp = if batch.max_timestamp < 0 { NO_TIMESTAMP } else { batch.max_timestamp };
                (batch.last_offset_delta.unsigned_abs() + 1, timestamp)
            }
            EntryKind::Noop | EntryKind::ConfigChange | EntryKind::Control => {
                if entry.base_offset != at && entry.base_offset != Offset::UNKNOWN {
                    return Err("base offset is not the log end");
                }
                (0, NO_TIMESTAMP)
            }
        };
        Ok(EntryHeader {
            index: entry.index,
            term: entry.term,
            kind: entry.kind,
            base_offset: at,
            offset_count,
            max_timestamp,
            synced_through,
            by_sync: true,
            data_length: u32::try_from(entry.data.len())
                .map_err(|_| "payload is larger than an entry may be")?,
            data_crc: data_crc(entry.kind, &entry.data),
        })
    }

    /// The header of `original` in a compacted prefix, where `batch` is what is left of its own. Says the same at every
    /// replica: nothing about syncs.
    pub(crate) fn compacted(original: &EntryHeader, batch: &Bytes) -> Result<EntryHeader, &'static str> {
        let entry = Entry {
            index: original.index,
            term: original.term,
            kind: EntryKind::Batch,
            base_offset: original.base_offset,
            data: batch.clone(),
        };
        let header = EntryHeader::describe(&entry, original.base_offset, Index::ZERO)?;
        if header.next_offset() != original.next_offset() {
            return Err("what is left of a batch covers other offsets than the batch");
        }
        Ok(EntryHeader { by_sync: false, ..header })
    }

    /// The log end after this entry.
    pub(crate) fn next_offset(&self) -> Offset {
        Offset(self.base_offset.0 + i64::from(self.offset_count))
    }

    /// Bytes that header and payload take in a segment.
    pub(crate) fn stored_bytes(&self) -> u64 {
        ENTRY_HEADER_BYTES as u64 + u64::from(self.data_length)
    }

    /// Appends the form stored at `place` to `out`.
    pub(crate) fn encode(&self, place: Place, out: &mut BytesMut) {
        let start = out.len();
        out.put_slice(&ENTRY_MAGIC);
        out.put_u32(0);
        out.put_u32(self.data_crc);
        out.put_u32(self.data_length);
        out.put_u64(self.index.0);
        out.put_u64(self.term.0);
        out.put_i64(self.base_offset.0);
        out.put_i64(self.max_timestamp);
        out.put_u64(self.synced_through.0);
        out.put_u32(self.offset_count);
        out.put_u8(self.kind as u8);
        out.put_u8(u8::from(self.by_sync));
        out.put_slice(&[0; 2]);
        debug_assert_eq!(out.len() - start, ENTRY_HEADER_BYTES);
        let crc = place.crc(&out[start + FIELDS_START..]);
        out[start + 4..start + 8].copy_from_slice(&crc.to_be_bytes());
    }

    /// Reads the header stored at `place`; the reason, if the bytes are none or another place's.
    pub(crate) fn decode(place: Place, bytes: &[u8]) -> Result<EntryHeader, &'static str> {
        let Some(raw) = bytes.first_chunk::<ENTRY_HEADER_BYTES>() else {
            return Err("entry header is cut short");
        };
        if raw[..4] != ENTRY_MAGIC {
            return Err("entry magic is missing");
        }
        if u32::from_be_bytes(array(raw, 4)) != place.crc(&raw[FIELDS_START..]) {
            return Err("entry header does not match its crc");
        }
        let header = EntryHeader {
            index: Index(u64::from_be_bytes(array(raw, 16))),
            term: Term(u64::from_be_bytes(array(raw, 24))),
            kind: EntryKind::from_byte(raw[60]).ok_or("entry kind is unknown")?,
            base_offset: Offset(i64::from_be_bytes(array(raw, 32))),
            offset_count: u32::from_be_bytes(array(raw, 56)),
            max_timestamp: i64::from_be_bytes(array(raw, 40)),
            synced_through: Index(u64::from_be_bytes(array(raw, 48))),
            by_sync: raw[61] != 0,
            data_length: u32::from_be_bytes(array(raw, 12)),
            data_crc: u32::from_be_bytes(array(raw, 8)),
        };
        if header.data_length as usize > ENTRY_DATA_BYTES_MAX {
            return Err("entry length is out of range");
        }
        Ok(header)
    }

    /// Checks a payload against the header, and a batch against its own CRC.
    pub(crate) fn verify(&self, data: &[u8]) -> Result<(), &'static str> {
        if data.len() != self.data_length as usize || data_crc(self.kind, data) != self.data_crc {
            return Err("payload does not match its crc");
        }
        if self.kind == EntryKind::Batch {
            let batch = batch_header::parse_whole(data)?;
            if batch.crc != crc_fast::crc32_iscsi(&data[BATCH_CRC_START..]) {
                return Err("record batch does not match its crc");
            }
            if batch.base_offset != self.base_offset || batch.next_offset() != self.next_offset() {
                return Err("record batch and entry header disagree about offsets");
            }
        }
        Ok(())
    }

    /// The entry, given its payload.
    pub(crate) fn into_entry(self, data: Bytes) -> Entry {
        Entry { index: self.index, term: self.term, kind: self.kind, base_offset: self.base_offset, data }
    }
}

/// CRC32C of the part of a payload that nothing else covers.
fn data_crc(kind: EntryKind, data: &[u8]) -> u32 {
    let covered = match kind {
        EntryKind::Batch => data.get(..BATCH_CRC_START).unwrap_or(data),
        EntryKind::Noop | EntryKind::ConfigChange | EntryKind::Control => data,
    };
    crc_fast::crc32_iscsi(covered)
}

/// `N` bytes of a header; callers pass constant positions inside it.
fn array<const N: usize>(raw: &[u8; ENTRY_HEADER_BYTES], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&raw[at..at + N]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{batch_entry, noop};

    const PLACE: Place = Place { generation: 2, first_index: Index(3), position: 48 };

    fn stored(entry: &Entry, at: i64) -> (EntryHeader, BytesMut) {
        let header = EntryHeader::describe(entry, Offset(at), Index(3)).unwrap();
        let mut out = BytesMut::new();
        header.encode(PLACE, &mut out);
        (header, out)
    }

    #[test]
    fn a_header_survives_the_round_trip() {
        for (entry, at) in [(batch_entry(4, 2, 10, 5, b"abc"), 10), (noop(4, 2), 10)] {
            let (header, bytes) = stored(&entry, at);
            assert_eq!(EntryHeader::decode(PLACE, &bytes).unwrap(), header);
            header.verify(&entry.data).unwrap();
        }
    }

    #[test]
    fn no_flipped_bit_goes_unnoticed() {
        let entry = batch_entry(4, 2, 10, 5, b"some records");
        let (header, bytes) = stored(&entry, 10);
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.to_vec();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(EntryHeader::decode(PLACE, &bad).is_err(), "header bit {bit}");
        }
        for bit in 0..entry.data.len() * 8 {
            let mut bad = entry.data.to_vec();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(header.verify(&bad).is_err(), "payload bit {bit}");
        }
    }

    #[test]
    fn a_header_of_another_place_is_none() {
        let (_, bytes) = stored(&batch_entry(4, 2, 10, 5, b"abc"), 10);
        for place in [
            Place { generation: 1, ..PLACE },
            Place { first_index: Index(2), ..PLACE },
            Place { position: 49, ..PLACE },
        ] {
            assert!(EntryHeader::decode(place, &bytes).is_err(), "{place:?}");
        }
    }

    #[test]
    fn a_batch_at_the_wrong_offset_is_refused() {
        let entry = batch_entry(4, 2, 10, 5, b"");
        assert!(EntryHeader::describe(&entry, Offset(11), Index::ZERO).is_err());
        let not_a_batch = Entry::new(Index(1), Term(1), EntryKind::Batch, Bytes::from_static(b"short"));
        assert!(EntryHeader::describe(&not_a_batch, Offset(0), Index::ZERO).is_err());
    }

    #[test]
    fn only_batches_take_offsets() {
        assert_eq!(batch_entry(1, 1, 7, 3, b"").next_offset(), Offset(10));
        let mut entry = noop(2, 1);
        entry.base_offset = Offset(10);
        assert_eq!(entry.next_offset(), Offset(10));
    }
}
