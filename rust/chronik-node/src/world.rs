//! What the broker is lent: tokio's timers, the clocks, randomness, and a place for its futures in the node's life.

use std::rc::Rc;

use chronik_broker::{LocalFuture, World};

use crate::clock::Clock;
use crate::gate::Life;
use crate::random::os_random_u64;

/// The world of one node on one shard.
pub(crate) struct TokioWorld {
    clock: Clock,
    life: Rc<Life>,
}

impl TokioWorld {
    /// The world of a node whose life has begun.
    pub(crate) fn new(clock: Clock, life: Rc<Life>) -> Rc<TokioWorld> {
        Rc::new(TokioWorld { clock, life })
    }
}

impl World for TokioWorld {
    fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    fn wall_ms(&self) -> i64 {
        self.clock.wall_ms()
    }

    fn clock_ms(&self) -> i64 {
        self.clock.clock_ms()
    }

    fn clock_advanced(&self) -> LocalFuture<()> {
        let mut offset = self.clock.subscribe();
        Box::pin(async move {
            // Without the clock nobody can put it forward any more.
            if offset.changed().await.is_err() {
                std::future::pending().await
            }
        })
    }

    fn sleep_until(&self, at_ms: u64) -> LocalFuture<()> {
        Box::pin(tokio::time::sleep_until(self.clock.instant(at_ms)))
    }

    fn random_u64(&self) -> u64 {
        os_random_u64()
    }

    fn spawn(&self, future: LocalFuture<()>) {
        self.life.spawn(future);
    }
}
