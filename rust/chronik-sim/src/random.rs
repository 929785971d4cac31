//! The only source of chance: a seeded generator. Whoever needs chance of its own forks one, so that what one part
//! draws does not move another part's luck.

/// A small, fast generator (splitmix64).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A generator that repeats itself for the same seed.
    pub fn new(seed: u64) -> Random {
        Random(mix(seed ^ 0x6368_726f_6e69_6b21))
    }

    /// A generator of its own for the part called `label`.
    pub fn fork(&mut self, label: u64) -> Random {
        Random::new(self.next_u64() ^ mix(label))
    }

    /// 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number below `bound`; 0 if `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next_u64() % bound.max(1)
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low) + 1)
    }

    /// True in `per_mille` of a thousand cases.
    pub fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1_000) < per_mille
    }

    /// One of the items; `None` if there is none.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        items.get(usize::try_from(self.below(items.len() as u64)).unwrap_or(0))
    }

    /// A number with an exponential distribution around `mean`, at most 20 times it.
    pub fn around(&mut self, mean: u64) -> u64 {
        // 2^-k has the shape; the low bits fill the steps.
        let steps = u64::from(self.next_u64().leading_zeros()).min(14);
        let fraction = self.below(mean.max(1));
        steps * mean * 7 / 10 + fraction * 7 / 10
    }
}

/// The finaliser of splitmix64: every input bit reaches every output bit.
pub(crate) fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_draws_the_same_and_another_seed_another() {
        let draw = |seed| {
            let mut random = Random::new(seed);
            (0..50).map(|_| random.next_u64()).collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }

    #[test]
    fn draws_stay_in_their_bounds_and_around_its_mean() {
        let mut random = Random::new(3);
        let mut sum = 0;
        for _ in 0..10_000 {
            assert!((5..=9).contains(&random.between(5, 9)));
            let drawn = random.around(1_000);
            assert!(drawn < 20_000);
            sum += drawn;
        }
        assert!((700_000..1_300_000).contains(&(sum / 10)), "{sum}");
        assert_eq!(random.pick::<u8>(&[]), None);
    }
}
