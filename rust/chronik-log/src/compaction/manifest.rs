//! The manifest of a compacted prefix: the one file whose rename makes a compaction real.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use chronik_wire::types::Offset;

use crate::limits::{COMPACTED_FILES_MAX, MANIFEST_TERMS_MAX};
use crate::segment::SegmentId;
use crate::terms::TermStart;
use crate::{Index, Term};

/// Name of the manifest in a partition's directory.
pub(crate) const MANIFEST_FILE: &str = "compacted";

const MAGIC: [u8; 8] = *b"CHRONCMP";
const VERSION: u32 = 1;
const NO_OFFSET: i64 = -1;
const FIXED_BYTES: usize = 56;
const FILE_BYTES: usize = 32;
const TERM_BYTES: usize = 24;
const PREFIX: &str = "compacted-";
const SUFFIX: &str = ".log";

/// One file of a compacted prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileMark {
    pub(crate) number: u32,
    pub(crate) first_index: Index,
    pub(crate) base_offset: Offset,
    pub(crate) size_bytes: u64,
    /// CRC32C of the whole file, for those who fetch it.
    pub(crate) crc: u32,
}

/// What a compacted prefix consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(crate) up_to: Offset,
    pub(crate) tombstones_below: Offset,
    /// Everything readable from here on is in the files; the log start lies nowhere below.
    pub(crate) starts_at: Offset,
    /// The first tombstone or marker that is left.
    pub(crate) removable_from: Option<Offset>,
    /// The terms that began below `up_to`.
    pub(crate) terms: Vec<TermStart>,
    /// In the order of their offsets.
    pub(crate) files: Vec<FileMark>,
}

/// Tells one prefix from another: by purity of compaction, two that agree here hold the same.
pub(crate) type PrefixId = (Offset, Offset);

impl Manifest {
    pub(crate) fn id(&self) -> PrefixId {
        (self.up_to, self.tombstones_below)
    }

    pub(crate) fn size_bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size_bytes).sum()
    }

    pub(crate) fn encode(&self) -> Bytes {
        let bytes = FIXED_BYTES + self.files.len() * FILE_BYTES + self.terms.len() * TERM_BYTES;
        let mut out = BytesMut::with_capacity(bytes);
        out.put_slice(&MAGIC);
        out.put_u32(0);
        out.put_u32(VERSION);
        out.put_i64(self.up_to.0);
        out.put_i64(self.tombstones_below.0);
        out.put_i64(self.starts_at.0);
        out.put_i64(self.removable_from.map_or(NO_OFFSET, |offset| offset.0));
        out.put_u32(self.terms.len() as u32);
        out.put_u32(self.files.len() as u32);
        for term in &self.terms {
            out.put_u64(term.term.0);
            out.put_u64(term.first_index.0);
            out.put_i64(term.start_offset.0);
        }
        for file in &self.files {
            out.put_u32(file.number);
            out.put_u32(file.crc);
            out.put_u64(file.first_index.0);
            out.put_i64(file.base_offset.0);
            out.put_u64(file.size_bytes);
        }
        let crc = crc_fast::crc32_iscsi(&out[12..]);
        out[8..12].copy_from_slice(&crc.to_be_bytes());
        out.freeze()
    }

    pub(crate) fn decode(bytes: &Bytes) -> Result<Manifest, &'static str> {
        if bytes.len() < FIXED_BYTES {
            return Err("manifest is shorter than its fixed part");
        }
        if bytes[..8] != MAGIC {
            return Err("manifest magic is missing");
        }
        if bytes[8..12] != crc_fast::crc32_iscsi(&bytes[12..]).to_be_bytes() {
            return Err("manifest does not match its crc");
        }
        let mut rest = bytes.slice(12..);
        if rest.get_u32() != VERSION {
            return Err("manifest version is unknown");
        }
        let [up_to, tombstones_below, starts_at, removable_from] =
            [rest.get_i64(), rest.get_i64(), rest.get_i64(), rest.get_i64()];
        let (terms, files) = (rest.get_u32() as usize, rest.get_u32() as usize);
        let bounded = terms <= MANIFEST_TERMS_MAX && files <= COMPACTED_FILES_MAX;
        if !bounded || rest.len() != terms * TERM_BYTES + files * FILE_BYTES {
            return Err("manifest lengths do not add up");
        }
        let manifest = Manifest {
            up_to: Offset(up_to),
            tombstones_below: Offset(tombstones_below),
            starts_at: Offset(starts_at),
            removable_from: (removable_from != NO_OFFSET).then_some(Offset(removable_from)),
            terms: (0..terms)
                .map(|_| TermStart {
                    term: Term(rest.get_u64()),
                    first_index: Index(rest.get_u64()),
                    start_offset: Offset(rest.get_i64()),
                })
                .collect(),
            files: (0..files)
                .map(|_| FileMark {
                    number: rest.get_u32(),
                    crc: rest.get_u32(),
                    first_index: Index(rest.get_u64()),
                    base_offset: Offset(rest.get_i64()),
                    size_bytes: rest.get_u64(),
                })
                .collect(),
        };
        manifest.check()?;
        Ok(manifest)
    }

    /// A manifest may come from another node: what it says is believed only as far as it makes sense.
    fn check(&self) -> Result<(), &'static str> {
        let ordered = self.files.is_sorted_by(|a, b| a.base_offset < b.base_offset && a.number < b.number)
            && self.terms.is_sorted_by(|a, b| {
                a.term < b.term && a.first_index < b.first_index && a.start_offset <= b.start_offset
            });
        let within =
            self.files.iter().all(|file| file.base_offset >= Offset::ZERO && file.base_offset < self.up_to)
                && self.tombstones_below >= Offset::ZERO
                && self.tombstones_below <= self.up_to
                && self.starts_at >= Offset::ZERO;
        if ordered && within { Ok(()) } else { Err("manifest contradicts itself") }
    }
}

/// Names a file's place for the CRCs of its entry headers. No segment has a generation that large.
pub(crate) fn segment_id((up_to, tombstones_below): PrefixId, number: u32) -> SegmentId {
    SegmentId {
        generation: 1 << 63 | up_to.0.unsigned_abs(),
        first_index: Index(u64::from(number) << 40 ^ tombstones_below.0.unsigned_abs()),
    }
}

/// Name of a file of a compacted prefix.
pub(crate) fn file_name((up_to, tombstones_below): PrefixId, number: u32) -> String {
    format!("{PREFIX}{:020}-{:020}-{number:08}{SUFFIX}", up_to.0, tombstones_below.0)
}

/// The prefix and number that a file name says; `None` for any other file.
pub(crate) fn parse_file_name(name: &str) -> Option<(PrefixId, u32)> {
    let mut parts = name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?.splitn(3, '-');
    let up_to = Offset(parts.next()?.parse().ok()?);
    let tombstones_below = Offset(parts.next()?.parse().ok()?);
    Some(((up_to, tombstones_below), parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_survives_the_round_trip_and_no_damage_does() {
        let term = |term, first_index, offset| TermStart {
            term: Term(term),
            first_index: Index(first_index),
            start_offset: Offset(offset),
        };
        let file = |number, base_offset| FileMark {
            number,
            first_index: Index(3),
            base_offset: Offset(base_offset),
            size_bytes: 99,
            crc: 7,
        };
        let manifest = Manifest {
            up_to: Offset(40),
            tombstones_below: Offset(10),
            starts_at: Offset(2),
            removable_from: Some(Offset(11)),
            terms: vec![term(1, 1, 0), term(4, 9, 20)],
            files: vec![file(0, 2), file(1, 30)],
        };
        let bytes = manifest.encode();
        assert_eq!(Manifest::decode(&bytes).unwrap(), manifest);
        let without = Manifest { removable_from: None, ..manifest.clone() };
        assert_eq!(Manifest::decode(&without.encode()).unwrap(), without);
        for cut in 0..bytes.len() {
            assert!(Manifest::decode(&bytes.slice(..cut)).is_err());
        }
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.to_vec();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(Manifest::decode(&Bytes::from(bad)).is_err(), "bit {bit}");
        }
        for wrong in [
            Manifest { files: vec![file(1, 30), file(0, 2)], ..manifest.clone() },
            Manifest { tombstones_below: Offset(41), ..manifest.clone() },
            Manifest { files: vec![file(0, 40)], ..manifest },
        ] {
            assert!(Manifest::decode(&wrong.encode()).is_err());
        }
    }

    #[test]
    fn names_survive_the_round_trip() {
        let id = (Offset(40), Offset(10));
        assert_eq!(parse_file_name(&file_name(id, 7)), Some((id, 7)));
        for other in
            ["compacted", "compacted-1.log", "compacted.tmp", "state", "00000000-00000000000000000001.log"]
        {
            assert_eq!(parse_file_name(other), None, "{other}");
        }
        assert_eq!(crate::segment::parse_file_name(&file_name(id, 7)), None);
    }
}
