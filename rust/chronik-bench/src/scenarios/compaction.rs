//! Compaction: how fast a log is compacted, and what that does to a producer of the same cluster meanwhile.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use chronik_wire::batch::BatchBuilder;

use super::latency::produce;
use super::{Settings, median, ratios, show_ratio};
use crate::child::Server;
use crate::client::Client;
use crate::error::BenchError;
use crate::latencies::Latencies;
use crate::machine::{CpuClock, CpuUse};
use crate::paced;
use crate::report::{Row, Verdict};
use crate::requests::{ProduceFrame, batch};
use crate::topics;

/// The log of one round: records of 1 KiB, whose keys come back four times on the average.
const BATCHES: usize = 480;
const RECORDS_PER_BATCH: usize = 800;
const KEYS: u32 = 96_000;
const VALUE_BYTES: usize = 1_000;
/// Batches in flight while the log is filled.
const DEPTH: usize = 4;
/// Kept small, so that nearly all of the log is in closed segments.
const SEGMENT_BYTES: &str = "8388608";
/// The producer beside it: requests per second, and how many between two looks at the compaction.
const RATE: f64 = 1_000.0;
const LOOK_AFTER: u64 = 50;
/// Requests of the producer without compaction.
const QUIET: u64 = 3_000;
const COUNTER: &str = "compactions";
const NODES: u64 = 3;
const COMPACTION_TIMEOUT: Duration = Duration::from_secs(120);
const MB_PER_S_MIN: f64 = 100.0;
const P99_TIMES_MAX: f64 = 2.0;

/// One round.
struct Round {
    mb_per_s: f64,
    quiet: Latencies,
    beside: Latencies,
    cpu: CpuUse,
}

/// The rows.
pub fn run(settings: &Settings) -> Result<Vec<Row>, BenchError> {
    let mut server = settings.serve(&["cluster"])?;
    let mut admin = Client::connect(server.address()?)?;
    let placement = topics::create(&mut admin, "beside", 1, 3, &[])?;
    let mut producer = Client::connect(placement.leader(0)?)?;
    let frame = ProduceFrame::new(&producer, "beside", 0, -1, &batch(1, 100)?)?;
    paced::open_loop(&mut producer, RATE, QUIET / 4, |client, _| produce(client, &frame))?;
    let mut rounds = Vec::new();
    for number in 0..settings.rounds {
        rounds.push(round(&mut server, &mut admin, (&mut producer, &frame), number)?);
    }
    let cpu = CpuUse::mean(&rounds.iter().map(|round| round.cpu).collect::<Vec<_>>());
    let speed = ratios(rounds.iter().map(|round| (round.mb_per_s, 1.0)))?;
    let p99 = ratios(rounds.iter().map(|round| (round.beside.p99_us(), round.quiet.p99_us())))?;
    let row = |what: &str, reached: String| Row {
        cpu: cpu.shares(),
        marks: cpu.marks(),
        ..Row::plain(what, reached)
    };
    Ok(vec![
        Row {
            target: format!("≥ {MB_PER_S_MIN} MB/s"),
            verdict: Verdict::of(speed.median >= MB_PER_S_MIN),
            ..row(
                "compaction, records of 1 KiB, a quarter stays, at all 3 nodes",
                format!("{:.0} MB/s ({:.0}-{:.0})", speed.median, speed.low, speed.high),
            )
        },
        Row {
            limit: format!("without {:.1} µs", median(rounds.iter().map(|round| round.quiet.p99_us()))?),
            ratio: show_ratio(p99),
            target: format!("≤ {P99_TIMES_MAX}"),
            verdict: Verdict::of(p99.median <= P99_TIMES_MAX),
            ..row(
                &format!("produce 100 B during compaction, open loop at {RATE}/s, p99"),
                format!("{:.1} µs", median(rounds.iter().map(|round| round.beside.p99_us()))?),
            )
        },
    ])
}

fn round(
    server: &mut Server,
    admin: &mut Client,
    (producer, frame): (&mut Client, &ProduceFrame),
    number: usize,
) -> Result<Round, BenchError> {
    let topic = format!("compacted-{number}");
    let bytes = fill(admin, &topic)?;
    let quiet = paced::open_loop(producer, RATE, QUIET, |client, _| produce(client, frame))?;
    let mut beside = Latencies::new();
    let goal = server.ask_number("stats", COUNTER)? + NODES;
    let clock = CpuClock::read(Some(server.pid()));
    let begin = Instant::now();
    server.ask("advance")?;
    while server.ask_number("stats", COUNTER)? < goal {
        if begin.elapsed() > COMPACTION_TIMEOUT {
            return Err(BenchError::Unexpected(format!(
                "{topic} was not compacted within {COMPACTION_TIMEOUT:?}"
            )));
        }
        let part = paced::open_loop(producer, RATE, LOOK_AFTER, |client, _| produce(client, frame))?;
        beside.add(&part.latencies);
    }
    let mb_per_s = bytes as f64 / 1e6 / begin.elapsed().as_secs_f64();
    let cpu = clock.used();
    topics::delete(admin, &topic)?;
    Ok(Round { mb_per_s, quiet: quiet.latencies, beside, cpu })
}

/// Writes the log that is to be compacted; returns its size in bytes.
fn fill(admin: &mut Client, topic: &str) -> Result<usize, BenchError> {
    let configs = [("cleanup.policy", "compact"), ("segment.bytes", SEGMENT_BYTES)];
    let placement = topics::create(admin, topic, 1, 3, &configs)?;
    let mut client = Client::connect(placement.leader(0)?)?;
    let mut noise = 0x9e37_79b9_7f4a_7c15_u64;
    let (mut bytes, mut open) = (0, VecDeque::new());
    for _ in 0..BATCHES {
        let frame = ProduceFrame::new(&client, topic, 0, -1, &keyed_batch(&mut noise)?)?;
        bytes += frame.batch_bytes;
        client.send(&frame.bytes)?;
        open.push_back(frame);
        if open.len() == DEPTH {
            open.pop_front().map_or(Ok(()), |frame| acknowledged(&mut client, &frame))?;
        }
    }
    open.iter().try_for_each(|frame| acknowledged(&mut client, frame))?;
    Ok(bytes)
}

fn acknowledged(client: &mut Client, frame: &ProduceFrame) -> Result<(), BenchError> {
    if frame.succeeded(client.receive()?) {
        return Ok(());
    }
    Err(BenchError::Unexpected("a produce was answered with an error".into()))
}

/// A batch whose records have keys drawn from all there are.
fn keyed_batch(noise: &mut u64) -> Result<Bytes, BenchError> {
    let mut builder = BatchBuilder::new();
    let mut value = [0; VALUE_BYTES];
    for _ in 0..RECORDS_PER_BATCH {
        // Xorshift: cheap, and the same in every run.
        *noise ^= *noise << 13;
        *noise ^= *noise >> 7;
        *noise ^= *noise << 17;
        let key = format!("key-{:012}", *noise as u32 % KEYS);
        value.chunks_mut(8).for_each(|chunk| chunk.copy_from_slice(&noise.to_le_bytes()[..chunk.len()]));
        builder.push(0, Some(key.as_bytes()), Some(&value), &[]);
    }
    Ok(builder.build()?)
}
