//! Latencies of one round, and what is printed of them.

use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;

/// Longest latency told apart from longer ones, in nanoseconds: ten minutes.
const LATENCY_NS_MAX: u64 = 600_000_000_000;
/// Significant digits kept: a tenth of a percent.
const DIGITS: u8 = 3;

/// Latencies recorded so far.
#[derive(Debug, Clone)]
pub struct Latencies {
    histogram: Histogram<u64>,
}

impl Default for Latencies {
    fn default() -> Self {
        let histogram =
            Histogram::new_with_bounds(1, LATENCY_NS_MAX, DIGITS).expect("the bounds are constants that fit");
        Latencies { histogram }
    }
}

impl Latencies {
    /// None yet.
    pub fn new() -> Latencies {
        Latencies::default()
    }

    /// Adds one.
    pub fn record(&mut self, latency: Duration) {
        let nanos = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        self.histogram.saturating_record(nanos.max(1));
    }

    /// Adds all of another round.
    pub fn add(&mut self, other: &Latencies) {
        // Cannot fail: all histograms here have the same bounds.
        let _ = self.histogram.add(&other.histogram);
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// The latency that this share of all does not exceed, in microseconds.
    pub fn quantile_us(&self, quantile: f64) -> f64 {
        self.histogram.value_at_quantile(quantile) as f64 / 1_000.0
    }

    /// The median, in microseconds.
    pub fn p50_us(&self) -> f64 {
        self.quantile_us(0.5)
    }

    /// The 99th percentile, in microseconds.
    pub fn p99_us(&self) -> f64 {
        self.quantile_us(0.99)
    }
}

impl fmt::Display for Latencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "p50 {:.1} p99 {:.1} p99.9 {:.1} max {:.1} µs ({} samples)",
            self.p50_us(),
            self.p99_us(),
            self.quantile_us(0.999),
            self.histogram.max() as f64 / 1_000.0,
            self.count()
        )
    }
}

/// Median, smallest and largest of a few rounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// The median.
    pub median: f64,
    /// The smallest.
    pub low: f64,
    /// The largest.
    pub high: f64,
}

impl Spread {
    /// Of these values; `None` if there are none.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Spread> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (low, high) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = match (values.get(middle.wrapping_sub(1)), values.get(middle)) {
            (Some(below), Some(above)) if values.len().is_multiple_of(2) => (below + above) / 2.0,
            (_, Some(middle)) => *middle,
            _ => low,
        };
        Some(Spread { median, low, high })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_in_microseconds() {
        let mut latencies = Latencies::new();
        for micros in 1..=1_000 {
            latencies.record(Duration::from_micros(micros));
        }
        assert!((latencies.p50_us() - 500.0).abs() < 1.0, "{latencies}");
        assert!((latencies.p99_us() - 990.0).abs() < 2.0, "{latencies}");
        let mut twice = latencies.clone();
        twice.add(&latencies);
        assert_eq!(twice.count(), 2_000);
    }

    #[test]
    fn a_spread_has_the_median_between_its_ends() {
        let spread = |values: &[f64]| Spread::of(values.iter().copied());
        assert_eq!(spread(&[3.0, 1.0, 2.0]), Some(Spread { median: 2.0, low: 1.0, high: 3.0 }));
        assert_eq!(spread(&[4.0, 1.0]), Some(Spread { median: 2.5, low: 1.0, high: 4.0 }));
        assert_eq!(spread(&[5.0]), Some(Spread { median: 5.0, low: 5.0, high: 5.0 }));
        assert_eq!(spread(&[]), None);
    }
}
