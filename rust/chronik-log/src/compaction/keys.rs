//! The newest offset of every key met, in bounded memory.
//!
//! A key is remembered by 128 bits of hash: 24 bytes per key whatever its length. Two keys of one hash would be taken
//! for one, which happens once in 10^25 pairs; all replicas would agree about it.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher, Hash, Hasher};

use chronik_wire::types::Offset;

/// A map whose keys are hashes already.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, value: u64) {
        self.0 ^= value;
    }
}

#[derive(PartialEq, Eq)]
struct Fingerprint {
    place: u64,
    check: u64,
}

impl Hash for Fingerprint {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.place);
    }
}

impl Fingerprint {
    fn of(key: &[u8]) -> Fingerprint {
        let mut hasher = DefaultHasher::new();
        hasher.write(key);
        let place = hasher.finish();
        // The state of the first hash goes on: a second one that differs in what it has read.
        hasher.write_u8(0xC4);
        Fingerprint { place, check: hasher.finish() }
    }
}

/// The largest offset at which each key was met.
#[derive(Default)]
pub(super) struct NewestOffsets {
    by_key: HashMap<Fingerprint, Offset, BuildHasherDefault<AsItIs>>,
}

impl NewestOffsets {
    /// The key was met at `offset`.
    pub(super) fn note(&mut self, key: &[u8], offset: Offset) {
        let newest = self.by_key.entry(Fingerprint::of(key)).or_insert(offset);
        *newest = offset.max(*newest);
    }

    /// Whether the key was met at a larger offset.
    pub(super) fn supersedes(&self, key: &[u8], offset: Offset) -> bool {
        self.by_key.get(&Fingerprint::of(key)).is_some_and(|newest| *newest > offset)
    }

    /// Keys remembered.
    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.by_key.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_offset_counts_in_whatever_order_it_comes() {
        let mut newest = NewestOffsets::default();
        for (key, offset) in [(&b"a"[..], 5), (b"b", 6), (b"a", 9), (b"a", 2), (b"", 1)] {
            newest.note(key, Offset(offset));
        }
        assert_eq!(newest.len(), 3);
        assert!(newest.supersedes(b"a", Offset(5)) && !newest.supersedes(b"a", Offset(9)));
        assert!(!newest.supersedes(b"b", Offset(6)) && !newest.supersedes(b"c", Offset(0)));
    }

    #[test]
    fn keys_that_look_alike_are_told_apart() {
        let mut newest = NewestOffsets::default();
        for number in 0..50_000_u32 {
            newest.note(&number.to_be_bytes(), Offset(i64::from(number)));
        }
        assert_eq!(newest.len(), 50_000);
    }
}
