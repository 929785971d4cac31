//! The bytes of one in-memory file: refcounted chunks as they were appended, and what a power cut would undo.
//!
//! Large appends keep the caller's `Bytes`, so three replicas in one process share one payload. Small ones
//! are packed into a slab. Owns no lock and knows no file name.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::random::SplitMix;
use crate::limits::{PACKED_APPEND_BYTES_MAX, SECTOR_BYTES, SLAB_BYTES, UNSYNCED_OVERWRITES_MAX};

#[derive(Clone, Debug)]
struct Chunk {
    start: u64,
    bytes: Bytes,
}

impl Chunk {
    fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    /// The part of it in `from..to`; `None` if there is none.
    fn within(&self, from: u64, to: u64) -> Option<Chunk> {
        let (start, end) = (self.start.max(from), self.end().min(to));
        let range = usize::try_from(start.checked_sub(self.start)?).ok()?
            ..usize::try_from(end.checked_sub(self.start)?).ok()?;
        (start < end).then(|| Chunk { start, bytes: self.bytes.slice(range) })
    }
}

/// What brings back the durable bytes of a range that was overwritten or cut.
#[derive(Debug)]
enum Undo {
    /// `forgotten`: a sync of these bytes failed, and the system takes them for clean now. No later sync writes them.
    Overwrite {
        start: u64,
        end: u64,
        old: Vec<Chunk>,
        forgotten: bool,
    },
    Truncate {
        length: u64,
        old: Vec<Chunk>,
    },
}

impl Undo {
    fn is_forgotten(&self) -> bool {
        matches!(self, Undo::Overwrite { forgotten: true, .. })
    }
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
    /// The life of the node in which a sync of this file failed: for the rest of it the file refuses.
    pub(super) sync_failed_in: Option<u64>,
}

impl Content {
    /// The same bytes, as if all of them had been synced. Shares what is packed.
    pub(super) fn copy(&self) -> Content {
        Content {
            chunks: self.chunks.clone(),
            open: self.open.clone(),
            length: self.length,
            clean_length: self.length,
            ..Content::default()
        }
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Bytes that only the page cache holds.
    pub(super) fn unsynced_bytes(&self) -> u64 {
        self.length - self.clean_length
    }

    /// Bytes that a power cut would keep, as far as they were not cut since.
    pub(super) fn synced_bytes(&self) -> u64 {
        self.clean_length
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
        if bytes.is_empty() {
            return;
        }
        self.close_slab();
        let end = position + bytes.len() as u64;
        self.remind(position, end);
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
        self.remind(length, self.length);
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
        if !self.undo.is_empty() {
            self.undo.retain(Undo::is_forgotten);
        }
    }

    /// A sync failed: the system has dropped its knowledge of what was not written, and shows the bytes until the
    /// power goes. Only writing them again makes them dirty again.
    pub(super) fn fail_sync(&mut self) {
        for undo in &mut self.undo {
            if let Undo::Overwrite { forgotten, .. } = undo {
                *forgotten = true;
            }
        }
        if self.clean_length < self.length {
            let (start, end) = (self.clean_length, self.length);
            self.undo.push(Undo::Overwrite { start, end, old: Vec::new(), forgotten: true });
            self.clean_length = self.length;
        }
    }

    /// These bytes are written or cut: what was forgotten of them is not any more.
    fn remind(&mut self, from: u64, to: u64) {
        if !self.undo.iter().any(Undo::is_forgotten) {
            return;
        }
        let mut undo = Vec::with_capacity(self.undo.len() + 2);
        for known in self.undo.drain(..) {
            match known {
                Undo::Overwrite { start, end, old, forgotten: true } => {
                    let (low, high) = (from.clamp(start, end), to.clamp(start, end));
                    for (start, end, forgotten) in [(start, low, true), (low, high, false), (high, end, true)]
                    {
                        if start < end {
                            let old = old.iter().filter_map(|chunk| chunk.within(start, end)).collect();
                            undo.push(Undo::Overwrite { start, end, old, forgotten });
                        }
                    }
                }
                other => undo.push(other),
            }
        }
        self.undo = undo;
    }

    /// The power goes: bytes that the system had forgotten are not on the disk.
    fn lose_forgotten(&mut self) {
        let mut at = 0;
        while at < self.undo.len() {
            if self.undo[at].is_forgotten() {
                // Nothing newer overlaps it: that would have reminded the system.
                let undo = self.undo.remove(at);
                self.revert(undo);
            } else {
                at += 1;
            }
        }
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
        self.lose_forgotten();
        self.truncate_clean();
        while let Some(undo) = self.undo.pop() {
            self.revert(undo);
        }
        self.clean_length = self.length;
    }

    /// The machine loses power while it was writing back: some of the unsynced bytes made it.
    ///
    /// Lengths change in the order of the truncations, as in a journal; bytes between them in no order, sector by
    /// sector.
    pub(super) fn crash_torn(&mut self, random: &mut SplitMix) {
        self.close_slab();
        self.lose_forgotten();
        let truncations: Vec<usize> =
            (0..self.undo.len()).filter(|at| matches!(self.undo[*at], Undo::Truncate { .. })).collect();
        let survivors = below(random, truncations.len() + 1);
        if let Some(first_undone) = truncations.get(survivors) {
            self.truncate_clean();
            while self.undo.len() > *first_undone
                && let Some(undo) = self.undo.pop()
            {
                self.revert(undo);
            }
        } else {
            self.tear_end(random);
        }
        self.tear_overwrites(random);
        self.sync();
    }

    /// Tears what was appended since the last sync: the file ends anywhere, and any sector may be missing.
    fn tear_end(&mut self, random: &mut SplitMix) {
        let (clean, live) = (self.clean_length, self.length);
        let end = match random.below(3) {
            0 => clean,
            1 => live,
            _ => clean + random.below(live - clean + 1),
        };
        self.cut(end, live);
        self.length = end;
        // One crash loses hardly a sector, another one most of them.
        let lost_of_8 = random.below(8);
        for (from, to) in sectors(clean, end) {
            if random.below(8) < lost_of_8 {
                self.cut(from, to);
            }
        }
    }

    /// Tears what was written in place since the last sync and since the last truncation: every sector reads as of
    /// some moment in between.
    fn tear_overwrites(&mut self, random: &mut SplitMix) {
        let since =
            self.undo.iter().rposition(|undo| matches!(undo, Undo::Truncate { .. })).map_or(0, |at| at + 1);
        let overwrites: Vec<(u64, u64, Vec<Chunk>)> = self
            .undo
            .drain(since..)
            .filter_map(|undo| match undo {
                Undo::Overwrite { start, end, old, .. } => Some((start, end, old)),
                Undo::Truncate { .. } => None,
            })
            .collect();
        let touched: BTreeSet<u64> = overwrites
            .iter()
            .flat_map(|(start, end, _)| sectors(*start, *end))
            .map(|(from, _)| from - from % SECTOR_BYTES)
            .collect();
        for sector in touched {
            let sector_end = sector + SECTOR_BYTES;
            let meets = |(start, end, _): &&(u64, u64, Vec<Chunk>)| *start < sector_end && *end > sector;
            let undone = below(random, overwrites.iter().filter(meets).count() + 1);
            for (start, end, old) in overwrites.iter().filter(meets).rev().take(undone) {
                let (from, to) = ((*start).max(sector), (*end).min(sector_end));
                self.cut(from, to);
                let old: Vec<Chunk> = old.iter().filter_map(|chunk| chunk.within(from, to)).collect();
                self.insert(from, old);
            }
        }
    }

    fn truncate_clean(&mut self) {
        self.cut(self.clean_length, self.length);
        self.length = self.clean_length;
    }

    fn revert(&mut self, undo: Undo) {
        let (start, old) = match undo {
            Undo::Overwrite { start, end, old, .. } => {
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
        self.insert(start, old);
    }

    /// Puts chunks where nothing is, the first at or behind `start`.
    fn insert(&mut self, start: u64, chunks: Vec<Chunk>) {
        let at = self.chunks.partition_point(|chunk| chunk.start < start);
        self.chunks.splice(at..at, chunks.into_iter().filter(|chunk| !chunk.bytes.is_empty()));
    }

    fn remember_overwrite(&mut self, start: u64, end: u64, mut old: Vec<Chunk>) {
        for chunk in &mut old {
            let keep = end.saturating_sub(chunk.start).min(chunk.bytes.len() as u64);
            chunk.bytes.truncate(usize::try_from(keep).unwrap_or(usize::MAX));
        }
        // The same slot written again and again needs only its first, durable, content.
        let known = self.undo.last().is_some_and(
            |undo| matches!(undo, Undo::Overwrite { start: s, end: e, .. } if *s == start && *e == end && !undo.is_forgotten()),
        );
        if !known {
            self.undo.push(Undo::Overwrite { start, end, old, forgotten: false });
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

/// The pieces into which sector borders cut a range.
fn sectors(start: u64, end: u64) -> impl Iterator<Item = (u64, u64)> {
    let mut from = start;
    std::iter::from_fn(move || {
        let to = (from - from % SECTOR_BYTES + SECTOR_BYTES).min(end);
        let piece = (from < end).then_some((from, to));
        from = to;
        piece
    })
}

/// A count below `bound`.
fn below(random: &mut SplitMix, bound: usize) -> usize {
    usize::try_from(random.below(bound as u64)).unwrap_or(0)
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

    /// The outcome of 2,000 power cuts during the writing that `write` does.
    fn outcomes(write: impl Fn(&mut Content)) -> Vec<Vec<u8>> {
        let outcome = |seed| {
            let mut content = Content::default();
            write(&mut content);
            content.crash_torn(&mut SplitMix::new(seed));
            assert_eq!(content.unsynced_bytes(), 0);
            all(&content)
        };
        assert_eq!(outcome(7), outcome(7), "the same seed must tear the same way");
        (0..2_000).map(outcome).collect()
    }

    #[test]
    fn a_torn_append_keeps_what_was_synced_and_any_of_the_other_sectors() {
        let torn = outcomes(|content| {
            append(content, &[1; 700]);
            content.sync();
            append(content, &[2; 2500]);
        });
        let mut shapes = BTreeSet::new();
        for bytes in &torn {
            assert_eq!(&bytes[..700], &[1; 700][..]);
            for (from, to) in sectors(700, bytes.len() as u64) {
                let piece = &bytes[usize::try_from(from).unwrap()..usize::try_from(to).unwrap()];
                assert!(piece.iter().all(|byte| *byte == piece[0] && (*byte == 2 || *byte == 0)));
            }
            if bytes.len() == 3200 {
                shapes.insert([700, 1024, 1536, 2048, 2560, 3072].map(|at: usize| bytes[at]));
            }
        }
        assert_eq!(shapes.len(), 64, "every subset of the six sectors must come up");
        assert!(torn.iter().any(|bytes| bytes.len() == 700) && torn.iter().any(|bytes| bytes.len() == 999));
    }

    #[test]
    fn torn_overwrites_of_different_sectors_know_no_order() {
        let torn = outcomes(|content| {
            content.write_at(0, b"a0");
            content.write_at(512, b"b0");
            content.sync();
            for (position, bytes) in [(0, b"a1"), (512, b"b1"), (0, b"a2"), (512, b"b2")] {
                content.write_at(position, bytes);
            }
        });
        let slots: BTreeSet<(Vec<u8>, Vec<u8>)> =
            torn.iter().map(|bytes| (bytes[..2].to_vec(), bytes[512..].to_vec())).collect();
        assert_eq!(
            slots.len(),
            9,
            "each slot as of any of its three writes, in every combination: {slots:?}"
        );
    }

    #[test]
    fn a_failed_sync_forgets_what_only_a_new_write_brings_back() {
        let mut content = Content::default();
        append(&mut content, b"abcd");
        content.sync();
        content.write_at(0, b"XY");
        append(&mut content, b"efgh");
        content.fail_sync();
        assert_eq!(all(&content), b"XYcdefgh", "it is seen for as long as there is power");
        content.write_at(4, b"ef");
        append(&mut content, b"ij");
        content.sync();
        content.crash_drop();
        assert_eq!(all(&content), b"abcdef\0\0ij", "the second sync wrote what was new");
    }

    #[test]
    fn a_torn_truncation_happened_or_did_not() {
        let torn = outcomes(|content| {
            append(content, &[1; 2000]);
            content.sync();
            content.truncate(100);
            append(content, &[2; 50]);
        });
        for bytes in &torn {
            let tail_ok = bytes[100..].iter().all(|byte| *byte == 2 || *byte == 0);
            assert!(*bytes == [1; 2000] || (bytes.len() <= 150 && bytes[..100] == [1; 100] && tail_ok));
        }
        assert!(torn.iter().any(|bytes| bytes.len() == 2000) && torn.iter().any(|bytes| bytes.len() == 150));
    }
}
