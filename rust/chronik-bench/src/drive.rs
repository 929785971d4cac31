//! Load on a broker that is running already, whoever's it is.

use std::time::Instant;

use clap::Args;

use crate::client::Client;
use crate::error::BenchError;
use crate::latencies::Latencies;
use crate::machine::CpuClock;
use crate::paced;
use crate::pump::{self, Lane};
use crate::requests::{ProduceFrame, batch};
use crate::topics;

/// Most connections of an open loop: each has a thread.
const OPEN_CONNECTIONS_MAX: usize = 256;

/// What to send, and to whom.
#[derive(Debug, Clone, Args)]
pub struct ProduceArgs {
    /// Any broker of the cluster
    #[arg(long, value_name = "HOST:PORT")]
    pub bootstrap: String,
    /// Topic, created if missing
    #[arg(long, default_value = "chronik-bench")]
    pub topic: String,
    /// Partitions of a new topic
    #[arg(long, default_value_t = 1)]
    pub partitions: i32,
    /// Replicas of a new topic
    #[arg(long, default_value_t = -1)]
    pub replication_factor: i16,
    /// Records per batch
    #[arg(long, default_value_t = 1)]
    pub records: usize,
    /// Bytes of each record's value
    #[arg(long, default_value_t = 100)]
    pub value_bytes: usize,
    /// Acknowledgement wanted: 1 or -1
    #[arg(long, default_value_t = -1, allow_hyphen_values = true, value_parser = clap::value_parser!(i16).range(-1..=1))]
    pub acks: i16,
    /// Connections
    #[arg(long, default_value_t = 1)]
    pub connections: usize,
    /// Requests in flight per connection, closed loop
    #[arg(long, default_value_t = 1)]
    pub depth: usize,
    /// Requests per second over all connections: an open loop, measured from the scheduled time
    #[arg(long)]
    pub rate: Option<f64>,
    /// Requests to send
    #[arg(long, default_value_t = 10_000)]
    pub requests: u64,
}

/// Sends the load and returns what to print.
pub fn produce(args: &ProduceArgs) -> Result<String, BenchError> {
    if args.acks == 0 || args.connections == 0 || args.depth == 0 || args.rate.is_some_and(|rate| rate <= 0.0)
    {
        let text = "acks must be 1 or -1; connections, depth and rate must be above 0";
        return Err(BenchError::Unexpected(text.into()));
    }
    let mut admin = Client::connect(&args.bootstrap)?;
    let placement = topics::create(&mut admin, &args.topic, args.partitions, args.replication_factor, &[])?;
    let batch = batch(args.records.max(1), args.value_bytes)?;
    let mut lanes = Vec::new();
    for number in 0..args.connections {
        let partition = number % placement.replicas.len().max(1);
        let address = placement.leader(partition)?.to_owned();
        let frame =
            ProduceFrame::new(&Client::connect(&address)?, &args.topic, partition as i32, args.acks, &batch)?;
        lanes.push(Lane { address, frame });
    }
    let clock = CpuClock::read(None);
    let text = match args.rate {
        None => {
            let outcome = pump::closed_loop(lanes, args.depth, args.requests)?;
            let (acks, megabytes) = (outcome.acks_per_s(), outcome.mb_per_s());
            format!("closed loop: {acks:.0} acks/s, {megabytes:.1} MB/s; {}", outcome.latencies)
        }
        Some(rate) => open(lanes, rate, args.requests)?,
    };
    let used = clock.used();
    let marks = used.marks().join(", ");
    Ok(format!(
        "{text}\ngenerator {:.2} cores, others {:.2}; marks: {marks}",
        used.client_cores, used.foreign_cores
    ))
}

/// One thread per connection, each with its share of the rate.
fn open(lanes: Vec<Lane>, rate: f64, requests: u64) -> Result<String, BenchError> {
    if lanes.len() > OPEN_CONNECTIONS_MAX {
        return Err(BenchError::Unexpected(format!(
            "an open loop has at most {OPEN_CONNECTIONS_MAX} connections"
        )));
    }
    let (own_rate, own_requests) = (rate / lanes.len() as f64, requests / lanes.len() as u64);
    let start = Instant::now();
    let threads: Vec<_> = lanes
        .into_iter()
        .map(|lane| {
            std::thread::spawn(move || -> Result<Latencies, BenchError> {
                let mut client = Client::connect(&lane.address)?;
                let paced = paced::open_loop(&mut client, own_rate, own_requests, |client, _| {
                    client.send(&lane.frame.bytes)?;
                    if lane.frame.succeeded(client.receive()?) {
                        return Ok(());
                    }
                    Err(BenchError::Unexpected("a produce was answered with an error".into()))
                })?;
                Ok(paced.latencies)
            })
        })
        .collect();
    let mut total = Latencies::new();
    for thread in threads {
        let joined =
            thread.join().map_err(|_| BenchError::Unexpected("a connection's thread panicked".into()))?;
        total.add(&joined?);
    }
    let achieved = total.count() as f64 / start.elapsed().as_secs_f64();
    Ok(format!("open loop: offered {rate:.0}/s, achieved {achieved:.0}/s; {total}"))
}
