//! Large batches: replication factor 3 beside 1, 1 beside the null broker, TCP replication beside the loopback stream.

use super::limits::stream_bytes_per_s;
use super::{Settings, median, ratios, show_ratio};
use crate::child::Server;
use crate::client::Client;
use crate::error::BenchError;
use crate::machine::{CpuClock, CpuUse};
use crate::pump::{Lane, closed_loop};
use crate::report::{Row, Verdict};
use crate::requests::{ProduceFrame, large_batch};
use crate::topics;

/// Batches of one round: about 0.4 GB, small enough for memory, long enough for the clock.
pub(super) const BATCHES_PER_ROUND: u64 = 400;
/// Requests in flight.
const DEPTH: usize = 4;
const STREAM_BYTES: u64 = 1 << 30;

/// Produces one round to a fresh topic and deletes it.
pub(super) fn round(
    server: &Server,
    number: usize,
    replication_factor: i16,
    batches: u64,
) -> Result<Sample, BenchError> {
    let topic = format!("throughput-rf{replication_factor}-{number}");
    let mut admin = Client::connect(server.address()?)?;
    let placement = topics::create(&mut admin, &topic, 1, replication_factor, &[])?;
    let leader = placement.leader(0)?;
    let frame = ProduceFrame::new(&Client::connect(leader)?, &topic, 0, -1, &large_batch()?)?;
    let clock = CpuClock::read(Some(server.pid()));
    let outcome = closed_loop(vec![Lane { address: leader.to_owned(), frame }], DEPTH, batches)?;
    let cpu = clock.used();
    topics::delete(&mut admin, &topic)?;
    Ok(Sample { mb_per_s: outcome.mb_per_s(), cpu })
}

/// One measurement.
#[derive(Clone, Copy)]
pub(super) struct Sample {
    pub(super) mb_per_s: f64,
    pub(super) cpu: CpuUse,
}

/// One interleaved round of everything.
struct Round {
    null: Sample,
    single: Sample,
    replicated: Sample,
    over_tcp: Sample,
    stream_mb_per_s: f64,
}

/// The rows.
pub fn run(settings: &Settings) -> Result<Vec<Row>, BenchError> {
    let null = settings.serve(&["null"])?;
    let sink = settings.serve(&["sink"])?;
    let inproc = settings.serve(&["cluster"])?;
    let tcp = settings.serve(&["cluster", "--transport", "tcp"])?;
    // The first round pays for memory the process does not have yet; it is not the one to compare.
    for (server, replication_factor) in [(&null, 1), (&inproc, 1), (&inproc, 3), (&tcp, 3)] {
        round(server, usize::MAX, replication_factor, BATCHES_PER_ROUND)?;
    }
    let mut rounds = Vec::new();
    for number in 0..settings.rounds {
        rounds.push(Round {
            null: round(&null, number, 1, BATCHES_PER_ROUND)?,
            single: round(&inproc, number, 1, BATCHES_PER_ROUND)?,
            replicated: round(&inproc, number, 3, BATCHES_PER_ROUND)?,
            stream_mb_per_s: stream_bytes_per_s(sink.address()?, STREAM_BYTES)? / 1e6,
            over_tcp: round(&tcp, number, 3, BATCHES_PER_ROUND)?,
        });
    }
    let row = |what: &str,
               limit_name: &str,
               reached: fn(&Round) -> Sample,
               limit_mb_per_s: fn(&Round) -> f64,
               target: f64|
     -> Result<Row, BenchError> {
        let cpu: Vec<CpuUse> = rounds.iter().map(|round| reached(round).cpu).collect();
        let cpu = CpuUse::mean(&cpu);
        let ratio = ratios(rounds.iter().map(|round| (reached(round).mb_per_s, limit_mb_per_s(round))))?;
        Ok(Row {
            what: format!("1 MiB batches, acks=all, memory, {what}"),
            reached: format!("{:.0} MB/s", median(rounds.iter().map(|round| reached(round).mb_per_s))?),
            limit: format!("{limit_name} {:.0} MB/s", median(rounds.iter().map(limit_mb_per_s))?),
            ratio: show_ratio(ratio),
            target: format!("≥ {target}"),
            verdict: Verdict::of(ratio.median >= target),
            cpu: cpu.shares(),
            marks: cpu.marks(),
        })
    };
    Ok(vec![
        row("RF 3, in process", "own RF 1", |round| round.replicated, |round| round.single.mb_per_s, 0.6)?,
        row("RF 1", "null broker", |round| round.single, |round| round.null.mb_per_s, 0.5)?,
        row("RF 3, TCP", "stream / 3", |round| round.over_tcp, |round| round.stream_mb_per_s / 3.0, 0.6)?,
    ])
}
