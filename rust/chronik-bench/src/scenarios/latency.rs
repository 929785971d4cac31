//! Small produces, and the way from a produce to a consumer that waits, beside the loopback round trip.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use chronik_wire::error_code::ErrorCode;
use chronik_wire::header::decode_response;
use chronik_wire::messages::FetchRequest;

use super::limits::round_trips;
use super::{Settings, median, ratios, show_ratio};
use crate::client::Client;
use crate::error::BenchError;
use crate::latencies::Latencies;
use crate::machine::{CpuClock, CpuUse};
use crate::paced::{self, wait_until};
use crate::report::{Row, Verdict};
use crate::requests::{FetchFrame, ProduceFrame, batch};
use crate::topics;

/// Requests of one closed-loop round.
const REQUESTS_PER_ROUND: u64 = 3_000;
/// Requests before the first round.
const WARM_UP_REQUESTS: u64 = 1_000;
/// Rate of the open loop, per second.
const OPEN_RATE: f64 = 1_000.0;
/// Rate of produces in the end-to-end run, per second: slow enough for the consumer to be parked again.
const END_TO_END_RATE: f64 = 400.0;
const END_TO_END_PER_ROUND: u64 = 400;
/// Long poll of the consumer, in milliseconds.
const CONSUMER_WAIT_MS: i32 = 10_000;

/// Sends a produce and checks that it was acknowledged.
pub(super) fn produce(client: &mut Client, frame: &ProduceFrame) -> Result<(), BenchError> {
    client.send(&frame.bytes)?;
    let answer = client.receive()?;
    if frame.succeeded(answer) {
        return Ok(());
    }
    Err(BenchError::Unexpected("a produce was answered with an error".into()))
}

/// Produces of 100 B with acks=all at replication factor 3 on one connection: closed loop and open loop.
pub fn produce_rows(settings: &Settings, transport: &str) -> Result<Vec<Row>, BenchError> {
    let server = settings.serve(&["cluster", "--transport", transport])?;
    let echo_server = settings.serve(&["echo"])?;
    let mut echo = Client::plain(echo_server.address()?)?;
    let mut admin = Client::connect(server.address()?)?;
    let placement = topics::create(&mut admin, "produce-latency", 1, 3, &[])?;
    let mut client = Client::connect(placement.leader(0)?)?;
    let frame = ProduceFrame::new(&client, "produce-latency", 0, -1, &batch(1, 100)?)?;
    paced::closed_loop(&mut client, WARM_UP_REQUESTS, |client| produce(client, &frame))?;
    round_trips(&mut echo, &frame.bytes, WARM_UP_REQUESTS)?;

    let clock = CpuClock::read(Some(server.pid()));
    let (mut closed, mut open) = (Vec::new(), Vec::new());
    for _ in 0..settings.rounds {
        let floor = round_trips(&mut echo, &frame.bytes, REQUESTS_PER_ROUND)?;
        let reached = paced::closed_loop(&mut client, REQUESTS_PER_ROUND, |client| produce(client, &frame))?;
        closed.push((reached, floor));
    }
    let closed_cpu = clock.used();
    let clock = CpuClock::read(Some(server.pid()));
    for _ in 0..settings.rounds {
        let count = OPEN_RATE as u64 / 2;
        let floor = paced::open_loop(&mut echo, OPEN_RATE, count, |client, _| {
            client.send(&frame.bytes)?;
            client.receive().map(|_| ())
        })?;
        let reached = paced::open_loop(&mut client, OPEN_RATE, count, |client, _| produce(client, &frame))?;
        open.push((reached.latencies, floor.latencies));
    }
    let open_cpu = clock.used();
    let placement = settings.placement().label();
    let name =
        |kind: &str| format!("produce 100 B, acks=all, RF 3, {transport}, 1 connection, {placement}, {kind}");
    // Over TCP the way is two hops longer; the goal there is performance goal 9.
    let limits = if transport == "tcp" { (2.5, 4.0) } else { (1.5, 3.0) };
    let mut rows = beside_round_trip(&name("closed loop"), &closed, limits, closed_cpu)?;
    rows.extend(beside_round_trip(&name(&format!("open loop at {OPEN_RATE}/s")), &open, limits, open_cpu)?);
    Ok(rows)
}

/// Rows for p50 and p99 of rounds paired with their floor.
fn beside_round_trip(
    what: &str,
    rounds: &[(Latencies, Latencies)],
    (p50_times, p99_times): (f64, f64),
    cpu: CpuUse,
) -> Result<Vec<Row>, BenchError> {
    let mut rows = Vec::new();
    for (name, quantile, times) in [("p50", 0.5, p50_times), ("p99", 0.99, p99_times)] {
        let pairs = rounds
            .iter()
            .map(|(reached, floor)| (reached.quantile_us(quantile), floor.quantile_us(quantile)));
        let ratio = ratios(pairs.clone())?;
        rows.push(Row {
            what: format!("{what}, {name}"),
            reached: format!("{:.1} µs", median(pairs.clone().map(|(reached, _)| reached))?),
            limit: format!("round trip {:.1} µs", median(pairs.map(|(_, floor)| floor))?),
            ratio: show_ratio(ratio),
            target: format!("≤ {times}"),
            verdict: Verdict::of(ratio.median <= times),
            cpu: cpu.shares(),
            marks: cpu.marks(),
        });
    }
    Ok(rows)
}

/// From the scheduled time of a produce to its arrival at a consumer parked at the leader, and at a follower.
pub fn end_to_end_rows(settings: &Settings) -> Result<Vec<Row>, BenchError> {
    let server = settings.serve(&["cluster"])?;
    let echo_server = settings.serve(&["echo"])?;
    let mut echo = Client::plain(echo_server.address()?)?;
    let mut rows = Vec::new();
    for (from, replica) in [("leader", 0), ("follower", 1)] {
        let topic = format!("end-to-end-{from}");
        let mut admin = Client::connect(server.address()?)?;
        let placement = topics::create(&mut admin, &topic, 1, 3, &[])?;
        let mut producer = Client::connect(placement.leader(0)?)?;
        let frame = ProduceFrame::new(&producer, &topic, 0, -1, &batch(1, 100)?)?;
        let address = if replica == 0 { placement.leader(0)? } else { placement.follower(0)? };
        let consumer = Consumer::start(address, &topic)?;
        end_to_end(&mut producer, &frame, &consumer, 50)?;
        let clock = CpuClock::read(Some(server.pid()));
        let mut rounds = Vec::new();
        for _ in 0..settings.rounds {
            let floor = paced::open_loop(&mut echo, END_TO_END_RATE, END_TO_END_PER_ROUND, |client, _| {
                client.send(&frame.bytes)?;
                client.receive().map(|_| ())
            })?;
            let reached = end_to_end(&mut producer, &frame, &consumer, END_TO_END_PER_ROUND)?;
            rounds.push((reached, floor.latencies));
        }
        let what =
            format!("produce -> long-polling consumer at the {from}, RF 3, open loop at {END_TO_END_RATE}/s");
        let mut both = beside_round_trip(&what, &rounds, (2.5, 10.0), clock.used())?;
        // The goal is about the median; the 99th percentile is there to be seen.
        if let Some(p99) = both.get_mut(1) {
            (p99.target, p99.verdict) = (String::new(), Verdict::None);
        }
        rows.extend(both);
    }
    Ok(rows)
}

fn end_to_end(
    producer: &mut Client,
    frame: &ProduceFrame,
    consumer: &Consumer,
    count: u64,
) -> Result<Latencies, BenchError> {
    let mut latencies = Latencies::new();
    let start = Instant::now() + Duration::from_millis(5);
    for number in 0..count {
        let scheduled = start + Duration::from_secs_f64(number as f64 / END_TO_END_RATE);
        wait_until(scheduled);
        produce(producer, frame)?;
        let arrived = consumer.arrived()?;
        latencies.record(arrived.saturating_duration_since(scheduled));
    }
    Ok(latencies)
}

/// A consumer on a thread of its own that is parked in a long poll whenever nothing arrives.
struct Consumer {
    arrivals: Receiver<Result<Instant, BenchError>>,
    _thread: JoinHandle<()>,
}

impl Consumer {
    fn start(address: &str, topic: &str) -> Result<Consumer, BenchError> {
        let mut client = Client::connect(address)?;
        let mut frame = FetchFrame::new(&client, topic, 0, 0)?;
        frame.request.max_wait_ms = CONSUMER_WAIT_MS;
        let (sender, arrivals) = channel();
        let thread = std::thread::spawn(move || {
            let mut next = 0;
            // Ends when nobody listens to it any more, at the latest after one long poll.
            while let Ok(true) = report(&sender, consume(&mut client, &mut frame, &mut next)) {}
        });
        Ok(Consumer { arrivals, _thread: thread })
    }

    fn arrived(&self) -> Result<Instant, BenchError> {
        let arrival = self.arrivals.recv_timeout(Duration::from_secs(30));
        arrival.map_err(|_| BenchError::Unexpected("the consumer got nothing within 30 s".into()))?
    }
}

/// Hands an arrival over. False after an error; `Err` if nobody listens.
fn report(
    sender: &Sender<Result<Instant, BenchError>>,
    arrival: Result<Option<Instant>, BenchError>,
) -> Result<bool, ()> {
    match arrival {
        Ok(None) => Ok(true),
        Ok(Some(at)) => sender.send(Ok(at)).map(|()| true).map_err(|_| ()),
        Err(error) => sender.send(Err(error)).map(|()| false).map_err(|_| ()),
    }
}

/// One long poll. `None` if it brought nothing.
fn consume(
    client: &mut Client,
    frame: &mut FetchFrame,
    next: &mut i64,
) -> Result<Option<Instant>, BenchError> {
    frame.set_offset(*next);
    client.send(&frame.encode()?)?;
    let answer = client.receive()?;
    let at = Instant::now();
    let (_, response) = decode_response::<FetchRequest>(Bytes::copy_from_slice(answer), frame.version)?;
    let partition = response.responses.iter().flat_map(|topic| &topic.partitions).next();
    let Some(partition) = partition else { return Ok(None) };
    if partition.error_code != ErrorCode::NONE {
        return Err(BenchError::Refused { what: "a long poll".into(), code: partition.error_code });
    }
    if partition.records.is_empty() {
        return Ok(None);
    }
    *next += 1;
    Ok(Some(at))
}
