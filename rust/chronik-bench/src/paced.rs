//! Request loops on one blocking connection: as fast as answers come, or at fixed times.
//!
//! The open loop sends request i at t0 + i / rate and measures from that time, also when an earlier answer made it send
//! late: a stall then counts for every request it delayed, not for one (coordinated omission).

use std::thread;
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::error::BenchError;
use crate::latencies::Latencies;

/// Sends `count` requests one after the other. `exchange` does one request and its answer.
pub fn closed_loop(
    client: &mut Client,
    count: u64,
    mut exchange: impl FnMut(&mut Client) -> Result<(), BenchError>,
) -> Result<Latencies, BenchError> {
    let mut latencies = Latencies::new();
    for _ in 0..count {
        let start = Instant::now();
        exchange(client)?;
        latencies.record(start.elapsed());
    }
    Ok(latencies)
}

/// What an open loop came to.
#[derive(Debug, Clone)]
pub struct Paced {
    /// From each request's scheduled time to its answer.
    pub latencies: Latencies,
    /// Requests per second asked for.
    pub offered_per_s: f64,
    /// Requests per second done.
    pub achieved_per_s: f64,
}

/// Sends `count` requests at `rate` per second.
pub fn open_loop(
    client: &mut Client,
    rate: f64,
    count: u64,
    mut exchange: impl FnMut(&mut Client, u64) -> Result<(), BenchError>,
) -> Result<Paced, BenchError> {
    let mut latencies = Latencies::new();
    let start = Instant::now();
    for number in 0..count {
        let scheduled = start + Duration::from_secs_f64(number as f64 / rate);
        wait_until(scheduled);
        exchange(client, number)?;
        latencies.record(scheduled.elapsed());
    }
    let achieved_per_s = count as f64 / start.elapsed().as_secs_f64();
    Ok(Paced { latencies, offered_per_s: rate, achieved_per_s })
}

/// Sleeps until `at`. Does not spin: on a small machine that takes the core the server needs. Waking late is part of
/// every latency here, the echo server's included.
pub(crate) fn wait_until(at: Instant) {
    let left = at.saturating_duration_since(Instant::now());
    if !left.is_zero() {
        thread::sleep(left);
    }
}
