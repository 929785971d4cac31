//! The bytes of one in-memory file: refcounted chunks as they were appended, and what a power cut would undo.
//!
//! Large appends keep the caller's `Bytes`, so three replicas in one process share one payload. Small ones
//! are packed into a slab. Owns no lock and knows no file name.

use bytes::Bytes;

use super::SplitMix;
use crate::limits::{PACKED_APPEND_BYTES_MAX, SLAB_BYTES, UNSYNCED_OVERWRITES_MAX};

/// Size within which a device writes all or nothing, bytes.
const SECTOR_BYTES: u64 = 512;

#[derive(Clone, Debug)]
struct Chunk {
    start: u64,
    bytes: Bytes,
}

impl Chunk {
    fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }
}

/// What brings back the durable bytes of a range that was overwritten or cut.
#[derive(Debug)]
enum Undo {
    Overwrite { start: u64, end: u64, old: Vec<Chunk> },
    Truncate { length: u64, old: Vec<Chunk> },
}

/// Content of a file, live and durable.
///
/// Durable content = live content cut to `clean_length`, then `undo` replayed backwards.
#[derive(Debug, Default)]
pub(super) struct Content {
    /// Sorted, without overlap; gaps read as zeros.
    chunks: Vec<Chunk>,
    /// Packed small appends at the end of the file, not yet a chunk.
    open: Vec<u8>,
    length: u64,
    clean_length: u64,
    undo: Vec<Undo>,
    /// A name may be durable, or not, apart from the bytes; a failed sync spoils the bytes.
    pub(super) sync_failed: bool,
}

impl Content {
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Bytes that only the page cache holds.
    pub(super) fn unsynced_bytes(&self) -> u64 {
        self.length - self.clean_length
    }

    pub(super) fn append(&mut self, pieces: &[Bytes], total: usize) {
        if total <= PACKED_APPEND_BYTES_MAX {
            if self.open.len() + total > SLAB_BYTES {
                self.close_slab();
            }
            for piece in pieces {
                self.open.extend_from_slice(piece);
            }
            self.length += total as u64;
            return;
        }
        self.close_slab();
        for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
            self.chunks.push(Chunk { start: self.length, bytes: piece.clone() });
            self.length += piece.len() as u64;
        }
    }

    pub(super) fn write_at(&mut self, position: u64, bytes: &[u8]) {
        self.close_slab();
        let end = position + bytes.len() as u64;
        let old = self.cut(position, end);
        if position < self.clean_length {
            self.remember_overwrite(position, end.min(self.clean_length), old);
        }
        let at = self.chunks.partition_point(|chunk| chunk.start < position);
        self.chunks.insert(at, Chunk { start: position, bytes: Bytes::copy_from_slice(bytes) });
        self.length = self.length.max(end);
    }

    pub(super) fn truncate(&mut self, length: u64) {
        if length >= self.length {
            self.length = length;
            return;
        }
        self.close_slab();
        let mut old = self.cut(length, self.length);
        self.length = length;
        if length < self.clean_length {
            for chunk in &mut old {
                let keep = self.clean_length.saturating_sub(chunk.start).min(chunk.bytes.len() as u64);
                chunk.bytes.truncate(usize::try_from(keep).unwrap_or(usize::MAX));
            }
            self.undo.push(Undo::Truncate { length: self.clean_length, old });
            self.clean_length = length;
            self.bound_undo();
        }
    }

    /// `at_least` to `at_most` bytes from `position`; `None` past the end.
    pub(super) fn read(&self, position: u64, at_least: usize, at_most: usize) -> Option<Bytes> {
        if position + at_least as u64 > self.length {
            return None;
        }
        let open_start = self.length - self.open.len() as u64;
        if position >= open_start {
            let from = usize::try_from(position - open_start).ok()?;
            let rest = self.open.get(from..)?;
            return Some(Bytes::copy_from_slice(&rest[..rest.len().min(at_most.max(at_least))]));
        }
        let at = self.chunks.partition_point(|chunk| chunk.end() <= position);
        if let Some(chunk) = self.chunks.get(at).filter(|chunk| chunk.start <= position) {
            let from = usize::try_from(position - chunk.start).ok()?;
            let have = chunk.bytes.len() - from;
            if have >= at_least {
                return Some(chunk.bytes.slice(from..from + have.min(at_most.max(at_least))));
            }
        }
        Some(self.gather(position, at_least))
    }

    pub(super) fn sync(&mut self) {
        self.clean_length = self.length;
        self.undo = Vec::new();
    }

    pub(super) fn flip_bit(&mut self, byte: u64, bit: u8) -> bool {
        let Some(old) = self.read(byte, 1, 1) else { return false };
        let Some(value) = old.first() else { return false };
        self.close_slab();
        let flipped = value ^ (1 << (bit % 8));
        // Media damage, not a write: it is durable at once and nothing undoes it.
        self.cut(byte, byte + 1);
        let at = self.chunks.partition_point(|chunk| chunk.start < byte);
        self.chunks.insert(at, Chunk { start: byte, bytes: Bytes::copy_from_slice(&[flipped]) });
        true
    }

    /// The machine loses power: what was not synced is gone.
    pub(super) fn crash_drop(&mut self) {
        self.close_slab();
        self.truncate_clean();
        while let Some(undo) = self.undo.pop() {
            self.revert(undo);
        }
        self.clean_length = self.length;
        self.sync_failed = false;
    }

    /// The machine loses power while it was writing back: some of the unsynced bytes made it.
    pub(super) fn crash_torn(&mut self, random: &mut SplitMix) {
        self.close_slab();
        let undone = random.below(self.undo.len() as u64 + 1);
        if undone > 0 {
            self.truncate_clean();
            for _ in 0..undone {
                if let Some(undo) = self.undo.pop() {
                    self.revert(undo);
                }
            }
        } else {
            let unsynced = self.unsynced_bytes();
            let kept = self.clean_length + random.below(unsynced + 1);
            let clean_length = self.clean_length;
            self.cut(kept, self.length);
            self.length = kept;
            if unsynced > 0 && random.below(3) == 0 {
                self.lose_a_sector(clean_length, random);
            }
        }
        self.sync();
        self.sync_failed = false;
    }

    /// Write-back knows no order: a later sector may reach the disk before an earlier one.
    fn lose_a_sector(&mut self, from: u64, random: &mut SplitMix) {
        if self.length <= from {
            return;
        }
        let position = from + random.below(self.length - from);
        let start = (position - position % SECTOR_BYTES).max(from);
        let end = (position - position % SECTOR_BYTES + SECTOR_BYTES).min(self.length);
        self.cut(start, end);
    }

    fn truncate_clean(&mut self) {
        self.cut(self.clean_length, self.length);
        self.length = self.clean_length;
    }

    fn revert(&mut self, undo: Undo) {
        let (start, old) = match undo {
            Undo::Overwrite { start, end, old } => {
                self.cut(start, end);
                (start, old)
            }
            Undo::Truncate { length, old } => {
                let start = self.length;
                self.length = length;
                self.clean_length = length;
                (start, old)
            }
        };
        let at = self.chunks.partition_point(|chunk| chunk.start < start);
        self.chunks.splice(at..at, old.into_iter().filter(|chunk| !chunk.bytes.is_empty()));
    }

    fn remember_overwrite(&mut self, start: u64, end: u64, mut old: Vec<Chunk>) {
        for chunk in &mut old {
            let keep = end.saturating_sub(chunk.start).min(chunk.bytes.len() as u64);
            chunk.bytes.truncate(usize::try_from(keep).unwrap_or(usize::MAX));
        }
        // The same slot written again and again needs only its first, durable, content.
        let known = self.undo.last().is_some_and(
            |undo| matches!(undo, Undo::Overwrite { start: s, end: e, .. } if *s == start && *e == end),
        );
        if !known {
            self.undo.push(Undo::Overwrite { start, end, old });
            self.bound_undo();
        }
    }

    fn bound_undo(&mut self) {
        if self.undo.len() > UNSYNCED_OVERWRITES_MAX {
            self.undo.remove(0);
        }
    }

    fn close_slab(&mut self) {
        if !self.open.is_empty() {
            let bytes = Bytes::from(std::mem::take(&mut self.open).into_boxed_slice());
            self.chunks.push(Chunk { start: self.length - bytes.len() as u64, bytes });
        }
    }

    /// Takes the bytes of `start..end` out of the chunk list, splitting chunks at the borders.
    fn cut(&mut self, start: u64, end: u64) -> Vec<Chunk> {
        if start >= end {
            return Vec::new();
        }
        let first = self.chunks.partition_point(|chunk| chunk.end() <= start);
        let last = self.chunks.partition_point(|chunk| chunk.start < end);
        let mut keep = Vec::new();
        let mut taken = Vec::new();
        for chunk in self.chunks.drain(first..last.max(first)) {
            let from = usize::try_from(start.saturating_sub(chunk.start)).unwrap_or(usize::MAX);
            let to = usize::try_from(end.min(chunk.end()) - chunk.start).unwrap_or(usize::MAX);
            let middle_start = chunk.start + from as u64;
            let tail_start = chunk.start + to as u64;
            if from > 0 {
                keep.push(Chunk { start: chunk.start, bytes: chunk.bytes.slice(..from) });
            }
            taken.push(Chunk { start: middle_start, bytes: chunk.bytes.slice(from..to) });
            if to < chunk.bytes.len() {
                keep.push(Chunk { start: tail_start, bytes: chunk.bytes.slice(to..) });
            }
        }
        self.chunks.splice(first..first, keep);
        taken
    }

    /// A copy of a range that no single chunk holds.
    fn gather(&self, position: u64, length: usize) -> Bytes {
        let mut out = vec![0; length];
        let end = position + length as u64;
        let first = self.chunks.partition_point(|chunk| chunk.end() <= position);
        let open = Chunk {
            start: self.length - self.open.len() as u64,
            bytes: if self.open.is_empty() { Bytes::new() } else { Bytes::copy_from_slice(&self.open) },
        };
        for chunk in self.chunks.iter().skip(first).chain([&open]) {
            let from = chunk.start.max(position);
            let to = chunk.end().min(end);
            if from >= to {
                continue;
            }
            let source = (from - chunk.start) as usize..(to - chunk.start) as usize;
            let target = (from - position) as usize..(to - position) as usize;
            out[target].copy_from_slice(&chunk.bytes[source]);
            if chunk.end() >= end {
                break;
            }
        }
        Bytes::from(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(content: &Content) -> Vec<u8> {
        let length = usize::try_from(content.length()).unwrap();
        content.read(0, length, length).unwrap().to_vec()
    }

    fn append(content: &mut Content, bytes: &[u8]) {
        content.append(&[Bytes::copy_from_slice(bytes)], bytes.len());
    }

    #[test]
    fn large_appends_are_shared_and_small_ones_packed() {
        let mut content = Content::default();
        let large = Bytes::from(vec![7; PACKED_APPEND_BYTES_MAX + 1]);
        content.append(std::slice::from_ref(&large), large.len());
        let read = content.read(0, large.len(), large.len()).unwrap();
        assert_eq!(read.as_ptr(), large.as_ptr(), "a large append must not be copied");
        for _ in 0..10 {
            append(&mut content, b"0123456789");
        }
        assert_eq!(content.chunks.len(), 1, "small appends must share a slab");
        assert_eq!(content.read(large.len() as u64 + 95, 5, 100).unwrap(), Bytes::from_static(b"56789"));
        assert!(content.read(large.len() as u64 + 95, 6, 6).is_none());
    }

    #[test]
    fn a_power_cut_brings_back_what_was_synced() {
        let mut content = Content::default();
        append(&mut content, b"abcdefgh");
        content.sync();
        content.write_at(2, b"XY");
        content.write_at(2, b"ZZ");
        content.truncate(5);
        append(&mut content, b"new tail");
        content.truncate(4);
        append(&mut content, b"!");
        assert_eq!(all(&content), b"abZZ!");
        content.crash_drop();
        assert_eq!(all(&content), b"abcdefgh");
        content.crash_drop();
        assert_eq!(all(&content), b"abcdefgh");
    }

    #[test]
    fn gaps_read_as_zeros_and_bits_flip_in_place() {
        let mut content = Content::default();
        content.write_at(0, b"ab");
        content.write_at(6, b"c");
        assert_eq!(all(&content), b"ab\0\0\0\0c");
        assert!(content.flip_bit(1, 0));
        assert!(content.flip_bit(3, 7));
        assert!(!content.flip_bit(7, 0));
        assert_eq!(all(&content), b"ac\0\x80\0\0c");
    }

    #[test]
    fn a_torn_write_keeps_every_synced_byte() {
        for seed in 0..200 {
            let mut content = Content::default();
            append(&mut content, &[1; 700]);
            content.sync();
            append(&mut content, &[2; 1500]);
            content.crash_torn(&mut SplitMix::new(seed));
            let bytes = all(&content);
            assert_eq!(&bytes[..700], &[1; 700][..], "seed {seed}");
            assert!(bytes[700..].iter().all(|byte| *byte == 2 || *byte == 0));
        }
    }
}
