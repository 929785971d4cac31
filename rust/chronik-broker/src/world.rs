//! What the edge lends to the broker: time, sleep, randomness and a place to run futures.
//!
//! The broker itself reads no clock and spawns nothing, so the same code runs under tokio and under a simulator.

use std::future::Future;
use std::pin::Pin;

/// A future that lives on one shard.
pub type LocalFuture<T> = Pin<Box<dyn Future<Output = T>>>;

/// The outside of the broker. One per node and shard.
pub trait World {
    /// Monotonic milliseconds; decides every deadline.
    fn now_ms(&self) -> u64;
    /// The broker clock in milliseconds since the Unix epoch: real time plus a test's offset. Never decides a read.
    fn wall_ms(&self) -> i64;
    /// The clock that time-outs of groups and transactions run on, in milliseconds: monotonic time plus what a test has
    /// put it forward. Never goes back.
    fn clock_ms(&self) -> i64 {
        i64::try_from(self.now_ms()).unwrap_or(i64::MAX)
    }
    /// Completes when a test puts that clock forward after this call.
    fn clock_advanced(&self) -> LocalFuture<()> {
        Box::pin(std::future::pending())
    }
    /// Completes when `now_ms` has reached `at_ms`.
    fn sleep_until(&self, at_ms: u64) -> LocalFuture<()>;
    /// A random number.
    fn random_u64(&self) -> u64;
    /// Runs a future on this shard.
    fn spawn(&self, future: LocalFuture<()>);
}

/// Waits for `future` until `at_ms`; `None` when the time came first. The future is polled first, so an answer that
/// is already there always wins.
pub(crate) async fn until<T>(world: &dyn World, at_ms: u64, future: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        value = future => Some(value),
        () = world.sleep_until(at_ms) => None,
    }
}

/// A fresh 128-bit identity.
pub(crate) fn random_u128(world: &dyn World) -> u128 {
    (u128::from(world.random_u64()) << 64) | u128::from(world.random_u64())
}
