//! Time: one monotonic clock per process start, and a broker clock that a test may move.
//!
//! Deadlines, ticks and beats use the monotonic clock. The broker clock is real time plus an offset; it stamps records,
//! drives retention and the time-outs of groups and transactions, and never decides a read.

use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::watch;
use tokio::time::Instant;

/// The clocks of one cluster or server. Cheap to clone; clones share the offset.
#[derive(Debug, Clone)]
pub(crate) struct Clock {
    start: Instant,
    offset_ms: watch::Sender<i64>,
}

impl Clock {
    /// A clock that begins now.
    pub(crate) fn new() -> Clock {
        Clock { start: Instant::now(), offset_ms: watch::Sender::new(0) }
    }

    /// Monotonic milliseconds since this clock began.
    pub(crate) fn now_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The instant at which `now_ms` reads `at_ms`.
    pub(crate) fn instant(&self, at_ms: u64) -> Instant {
        // A deadline of "never" must not overflow the instant; a day is longer than any wait here.
        let ahead = at_ms.min(self.now_ms().saturating_add(86_400_000));
        self.start + std::time::Duration::from_millis(ahead)
    }

    /// Broker time in milliseconds since the Unix epoch.
    pub(crate) fn wall_ms(&self) -> i64 {
        let real = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let real_ms = i64::try_from(real.as_millis()).unwrap_or(i64::MAX);
        real_ms.saturating_add(*self.offset_ms.borrow())
    }

    /// Broker time that no correction of the wall clock moves: monotonic milliseconds plus what it was put forward.
    pub(crate) fn clock_ms(&self) -> i64 {
        i64::try_from(self.now_ms()).unwrap_or(i64::MAX).saturating_add(*self.offset_ms.borrow())
    }

    /// Puts broker time forward by `by_ms`; monotonic time stays.
    pub(crate) fn advance(&self, by_ms: i64) {
        self.offset_ms.send_modify(|offset_ms| *offset_ms = offset_ms.saturating_add(by_ms.max(0)));
    }

    /// To be told when broker time is put forward.
    pub(crate) fn subscribe(&self) -> watch::Receiver<i64> {
        self.offset_ms.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advancing_moves_broker_time_only() {
        let clock = Clock::new();
        let (mono, wall) = (clock.now_ms(), clock.wall_ms());
        clock.clone().advance(3_600_000);
        assert!(clock.wall_ms() >= wall + 3_600_000);
        assert!(clock.now_ms() < mono + 60_000);
    }
}
