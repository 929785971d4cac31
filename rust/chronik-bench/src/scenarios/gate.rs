//! What the read gate costs: fetches at a follower's tail with it and without it, in turn.

use super::limits::round_trips;
use super::{Settings, median, ratios, show_ratio};
use crate::child::Server;
use crate::client::Client;
use crate::error::BenchError;
use crate::latencies::{Latencies, Spread};
use crate::machine::CpuClock;
use crate::paced;
use crate::report::{Row, Verdict};
use crate::requests::{FetchFrame, ProduceFrame, batch};
use crate::topics;

const REQUESTS_PER_ROUND: u64 = 2_000;
const WARM_UP_REQUESTS: u64 = 500;
/// The topic key that decides, and the counter that proves it did.
const CONSISTENCY: &str = "chronik.read.consistency";
const ROUNDS_COUNTER: &str = "read_gate_rounds";
/// The goals: microseconds in process, round trips over TCP.
const INPROC_US: f64 = 30.0;
const TCP_ROUND_TRIPS: f64 = 2.5;

/// A fetch at the tail of one topic's follower.
struct Tail {
    client: Client,
    request: Vec<u8>,
    error_at: usize,
}

impl Tail {
    fn new(server: &Server, consistency: &str) -> Result<Tail, BenchError> {
        let topic = format!("gate-{consistency}");
        let mut admin = Client::connect(server.address()?)?;
        let placement = topics::create(&mut admin, &topic, 1, 3, &[(CONSISTENCY, consistency)])?;
        let mut producer = Client::connect(placement.leader(0)?)?;
        let frame = ProduceFrame::new(&producer, &topic, 0, -1, &batch(1, 100)?)?;
        producer.send(&frame.bytes)?;
        let answer = producer.receive()?;
        let end = frame.base_offset(answer).filter(|_| frame.succeeded(answer)).map(|offset| offset + 1);
        let end = end.ok_or_else(|| BenchError::Unexpected("a produce was answered with an error".into()))?;
        let client = Client::connect(placement.follower(0)?)?;
        let mut fetch = FetchFrame::new(&client, &topic, 0, end)?;
        fetch.request.max_wait_ms = 0;
        fetch.request.min_bytes = 0;
        let mut tail = Tail { client, request: fetch.encode()?.to_vec(), error_at: fetch.error_at() };
        tail.wait_for_end(end)?;
        Ok(tail)
    }

    /// The follower may hear of the commit a moment later, and until then, without the gate, refuse the offset.
    fn wait_for_end(&mut self, end: i64) -> Result<(), BenchError> {
        for _ in 0..1_000 {
            self.client.send(&self.request)?;
            let answer = self.client.receive()?;
            let high_watermark = answer.get(self.error_at + 2..).and_then(|rest| rest.first_chunk::<8>());
            if high_watermark.map(|bytes| i64::from_be_bytes(*bytes)) == Some(end) {
                return Ok(());
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        Err(BenchError::Unexpected(format!("the follower never showed the end {end}")))
    }

    fn round(&mut self, count: u64) -> Result<Latencies, BenchError> {
        let (request, error_at) = (&self.request, self.error_at);
        paced::closed_loop(&mut self.client, count, |client| {
            client.send(request)?;
            match client.receive()?.get(error_at..error_at + 2) {
                Some([0, 0]) => Ok(()),
                other => {
                    Err(BenchError::Unexpected(format!("a fetch at the tail was answered with {other:?}")))
                }
            }
        })
    }
}

/// Rows for one transport.
pub fn run(settings: &Settings, transport: &str) -> Result<Vec<Row>, BenchError> {
    let mut server = settings.serve(&["cluster", "--transport", transport])?;
    let echo_server = settings.serve(&["echo"])?;
    let mut echo = Client::plain(echo_server.address()?)?;
    let (mut with, mut without) = (Tail::new(&server, "linearizable")?, Tail::new(&server, "local")?);
    with.round(WARM_UP_REQUESTS)?;
    without.round(WARM_UP_REQUESTS)?;
    let clock = CpuClock::read(Some(server.pid()));
    let mut rounds = Vec::new();
    let (mut gated_rounds, mut ungated_rounds) = (0, 0);
    for _ in 0..settings.rounds {
        let floor = round_trips(&mut echo, &with.request, REQUESTS_PER_ROUND)?;
        let before = server.ask_number("stats", ROUNDS_COUNTER)?;
        let gated = with.round(REQUESTS_PER_ROUND)?;
        let between = server.ask_number("stats", ROUNDS_COUNTER)?;
        let ungated = without.round(REQUESTS_PER_ROUND)?;
        let after = server.ask_number("stats", ROUNDS_COUNTER)?;
        gated_rounds += between - before;
        ungated_rounds += after - between;
        rounds.push((gated.p50_us(), ungated.p50_us(), floor.p50_us()));
    }
    let cpu = clock.used();
    let fetches = REQUESTS_PER_ROUND * settings.rounds as u64;
    if gated_rounds < fetches || ungated_rounds >= fetches {
        return Err(BenchError::Unexpected(format!(
            "{gated_rounds} gate rounds for {fetches} gated fetches and {ungated_rounds} for as many ungated ones: \
             the comparison does not compare what it says"
        )));
    }
    let added = Spread::of(rounds.iter().map(|(gated, ungated, _)| gated - ungated));
    let added = added.ok_or_else(|| BenchError::Unexpected("no round was measured".into()))?;
    let trips = ratios(rounds.iter().map(|(gated, ungated, floor)| (gated - ungated, *floor)))?;
    let over_tcp = transport == "tcp";
    let reached_it = if over_tcp { trips.median <= TCP_ROUND_TRIPS } else { added.median <= INPROC_US };
    Ok(vec![Row {
        what: format!("the gate at a follower's tail, {transport}, added to p50"),
        reached: format!(
            "{:.1} µs ({:.1}-{:.1}) on {:.1}",
            added.median,
            added.low,
            added.high,
            median(rounds.iter().map(|(_, ungated, _)| *ungated))?
        ),
        limit: format!("round trip {:.1} µs", median(rounds.iter().map(|(.., floor)| *floor))?),
        ratio: show_ratio(trips),
        target: if over_tcp {
            format!("≤ {TCP_ROUND_TRIPS} trips")
        } else {
            format!("≤ {INPROC_US} µs")
        },
        verdict: Verdict::of(reached_it),
        cpu: cpu.shares(),
        marks: cpu.marks(),
    }])
}
