//! Closed-loop load over many connections: each keeps a number of requests in flight until the round's requests are
//! used up. One thread, so that the generator never takes more than one core from what it measures.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::error::BenchError;
use crate::latencies::Latencies;
use crate::requests::ProduceFrame;

/// Largest answer to a produce.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// Longest round.
const ROUND_TIMEOUT: Duration = Duration::from_secs(120);

/// One connection's part of the load.
#[derive(Debug, Clone)]
pub struct Lane {
    /// Whom it connects to.
    pub address: String,
    /// What it sends, again and again.
    pub frame: ProduceFrame,
}

/// What a round came to.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Requests acknowledged without an error.
    pub acks: u64,
    /// Requests answered with an error.
    pub errors: u64,
    /// Batch bytes acknowledged.
    pub bytes: u64,
    /// From the first send to the last answer.
    pub elapsed: Duration,
    /// Latency of each request.
    pub latencies: Latencies,
}

impl Outcome {
    /// Acknowledged requests per second.
    pub fn acks_per_s(&self) -> f64 {
        self.acks as f64 / self.elapsed.as_secs_f64()
    }

    /// Acknowledged batch bytes per second, in units of 10^6.
    pub fn mb_per_s(&self) -> f64 {
        self.bytes as f64 / 1e6 / self.elapsed.as_secs_f64()
    }
}

/// Sends `requests` requests over all lanes, `depth` at a time on each. Any error answer fails the round: a fast peer
/// may be answering errors.
pub fn closed_loop(lanes: Vec<Lane>, depth: usize, requests: u64) -> Result<Outcome, BenchError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(BenchError::io("starting the generator's runtime"))?;
    let outcome = runtime.block_on(async {
        let run = run(lanes, depth, requests);
        tokio::time::timeout(ROUND_TIMEOUT, run).await
    });
    let outcome = outcome
        .map_err(|_| BenchError::Unexpected(format!("a round took longer than {ROUND_TIMEOUT:?}")))??;
    if outcome.errors > 0 {
        let text = format!("{} of {} requests were answered with an error", outcome.errors, requests);
        return Err(BenchError::Unexpected(text));
    }
    Ok(outcome)
}

async fn run(lanes: Vec<Lane>, depth: usize, requests: u64) -> Result<Outcome, BenchError> {
    let mut connected = Vec::new();
    for lane in lanes {
        let stream = TcpStream::connect(&lane.address)
            .await
            .map_err(BenchError::io(format!("connecting to {}", lane.address)))?;
        stream.set_nodelay(true).map_err(BenchError::io("setting no delay"))?;
        connected.push((stream, lane.frame));
    }
    let left = Arc::new(AtomicU64::new(requests));
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for (stream, frame) in connected {
        tasks.spawn(lane(stream, frame, depth, Arc::clone(&left)));
    }
    let mut total =
        Outcome { acks: 0, errors: 0, bytes: 0, elapsed: Duration::ZERO, latencies: Latencies::new() };
    while let Some(joined) = tasks.join_next().await {
        let part = joined
            .map_err(|error| BenchError::Unexpected(format!("a connection's task failed: {error}")))??;
        total.acks += part.acks;
        total.errors += part.errors;
        total.bytes += part.bytes;
        total.latencies.add(&part.latencies);
    }
    total.elapsed = start.elapsed();
    Ok(total)
}

struct Part {
    acks: u64,
    errors: u64,
    bytes: u64,
    latencies: Latencies,
}

async fn lane(
    mut stream: TcpStream,
    frame: ProduceFrame,
    depth: usize,
    left: Arc<AtomicU64>,
) -> Result<Part, BenchError> {
    let mut part = Part { acks: 0, errors: 0, bytes: 0, latencies: Latencies::new() };
    let mut sent = VecDeque::with_capacity(depth);
    let mut input = Vec::with_capacity(ANSWER_BYTES_MAX);
    loop {
        while sent.len() < depth && take_one(&left) {
            sent.push_back(Instant::now());
            stream.write_all(&frame.bytes).await.map_err(BenchError::io("sending a batch"))?;
        }
        if sent.is_empty() {
            return Ok(part);
        }
        let read = stream.read_buf(&mut input).await.map_err(BenchError::io("waiting for an answer"))?;
        if read == 0 {
            return Err(BenchError::Unexpected("the peer closed the connection".into()));
        }
        let mut taken = 0;
        while let Some(answer) = next_answer(input.get(taken..).unwrap_or_default())? {
            taken += 4 + answer.len();
            let Some(at) = sent.pop_front() else {
                return Err(BenchError::Unexpected("an answer came without a request".into()));
            };
            part.latencies.record(at.elapsed());
            if frame.succeeded(answer) {
                part.acks += 1;
                part.bytes += frame.batch_bytes as u64;
            } else {
                part.errors += 1;
            }
        }
        input.drain(..taken);
    }
}

fn take_one(left: &AtomicU64) -> bool {
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
}

fn next_answer(input: &[u8]) -> Result<Option<&[u8]>, BenchError> {
    let Some(length) = input.first_chunk::<4>() else { return Ok(None) };
    match usize::try_from(i32::from_be_bytes(*length)) {
        Ok(length) if length <= ANSWER_BYTES_MAX => Ok(input.get(4..4 + length)),
        _ => Err(BenchError::Unexpected("the peer's answer has an absurd length".into())),
    }
}
