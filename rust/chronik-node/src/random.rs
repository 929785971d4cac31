//! Randomness: from the operating system where identities are made, from a seed where a test wants the same again.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

/// A number nobody can foresee. The standard library seeds each `RandomState` from the operating system.
pub(crate) fn os_random_u64() -> u64 {
    let mut hasher = RandomState::new().build_hasher();
    // The keys of two states of one thread differ by a counter only; the clock makes the inputs differ as well.
    if let Ok(elapsed) = std::time::UNIX_EPOCH.elapsed() {
        hasher.write_u128(elapsed.as_nanos());
    }
    hasher.finish()
}

/// SplitMix64: small, fast, the same everywhere for the same seed. For faults and jitter, never for secrets.
#[derive(Debug, Clone)]
pub(crate) struct Seeded(u64);

impl Seeded {
    /// A generator that repeats itself for the same seed.
    pub(crate) fn new(seed: u64) -> Seeded {
        Seeded(seed)
    }

    /// The next number.
    pub(crate) fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// True with the given probability.
    pub(crate) fn chance(&mut self, ratio: f64) -> bool {
        let unit = (self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
        unit < ratio
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_seed_same_numbers() {
        let mut a = Seeded::new(7);
        let mut b = Seeded::new(7);
        for _ in 0..100 {
            assert_eq!(a.next_u64(), b.next_u64());
        }
    }

    #[test]
    fn chance_keeps_its_ratio_and_its_ends() {
        let mut random = Seeded::new(1);
        let hits = (0..10_000).filter(|_| random.chance(0.3)).count();
        assert!((2_700..3_300).contains(&hits), "{hits}");
        assert!((0..1_000).all(|_| !random.chance(0.0)));
        assert!((0..1_000).all(|_| random.chance(1.0)));
    }

    #[test]
    fn operating_system_numbers_differ() {
        assert_ne!(os_random_u64(), os_random_u64());
    }
}
